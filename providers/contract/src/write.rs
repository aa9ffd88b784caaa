//! One write, with what it expects to replace.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Key, Value, Version};

/// The storage tier of an SSM parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Up to 4 KB a value, free.
    Standard,
    /// Up to 8 KB a value, charged by the month; there is no way back to standard.
    Advanced,
}

/// Everything that a store should hold under one key.
///
/// A put replaces the whole item, so what is to be preserved must be given again. Tags are the exception where a store
/// keeps them beside the versions (SSM): there none given means that those which are there stay.
#[derive(Debug, Clone)]
pub struct Content {
    /// The value; a [`Value::Secret`] goes to the store's encrypted form.
    pub value: Value,
    /// Content type, byte for byte, where the store has one.
    pub content_type: Option<String>,
    /// Tags beside the owner tag, which the provider adds.
    pub tags: BTreeMap<String, String>,
    /// Description, where the store has one.
    pub description: Option<String>,
    /// Tier (SSM); `None` takes the target's.
    pub tier: Option<Tier>,
}

/// How a put treats what is there.
#[derive(Debug, Clone)]
pub enum Put {
    /// Only if nothing is there.
    Create,
    /// Only over this version, where the store can compare and swap; noticed afterwards where it cannot.
    Replace(Version),
}

/// What to do to one key.
#[derive(Debug, Clone)]
pub enum Action {
    /// Put a content.
    Put(Content, Put),
    /// Serve a version that is there already, in place of the one that is served now ([`Serving::Apart`] only).
    ///
    /// [`Serving::Apart`]: crate::Serving::Apart
    Serve {
        /// The version to serve.
        version: Version,
        /// The version that readers meet now; `None` if they meet none.
        from: Option<Version>,
    },
    /// Serve this version no more and leave the item ([`Serving::Apart`] only): readers meet nothing.
    ///
    /// [`Serving::Apart`]: crate::Serving::Apart
    Withdraw(Version),
    /// Delete the item, if it is still at this version as far as the store can tell. Where puts are not served at once
    /// it is the newest version that counts.
    Delete(Version),
}

/// One write.
#[derive(Debug, Clone)]
pub struct Write {
    /// The key without the prefix.
    pub key: Key,
    /// What to do.
    pub action: Action,
}

/// What a write did.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The version that the store holds now; `None` after a delete.
    pub version: Option<Version>,
    /// A version that somebody else wrote in between and that ours now covers. It is still in the store's history. Where
    /// it is not below ours, somebody deleted the item in between, and the history with it.
    pub buried: Option<Version>,
}

/// Something in the file that a store cannot hold, known offline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong, as a sentence without the key.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
