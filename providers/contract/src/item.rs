//! What a store holds, as far as we could see.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Key, Owner, Secret, Version};

/// One item as the store holds it now.
#[derive(Debug, Clone)]
pub struct Item {
    /// Its native version.
    pub version: Version,
    /// The value; `None` where it is a secret, which observing never decrypts.
    pub value: Option<String>,
    /// Whether the store keeps it as a secret (SecureString).
    pub secret: bool,
    /// The store's own type: `String`, `StringList`, `SecureString`; `None` where the store has no types.
    pub native_type: Option<String>,
    /// Content type; `None` where the store has none or it is not set.
    pub content_type: Option<String>,
    /// Tags without the owner tag; `None` where reading them would cost a request of its own.
    pub tags: Option<BTreeMap<String, String>>,
    /// Description; `None` where it is not set or reading it would cost a request of its own.
    pub description: Option<String>,
    /// The owner tag; the outer `None` where reading it would cost a request of its own.
    pub owner: Option<Option<String>>,
    /// Whether the store refuses writes to it (App Configuration's lock).
    pub locked: bool,
}

impl Item {
    /// Tells whether its owner tag was read and names this owner.
    pub fn is_owned_by(&self, owner: &Owner) -> bool {
        matches!(&self.owner, Some(Some(name)) if name == owner.as_str())
    }
}

/// What was seen of one wanted key.
#[derive(Debug, Clone)]
pub enum Seen {
    /// The store holds it.
    Present(Item),
    /// The store was asked, answered in full, and does not hold it.
    Absent,
    /// The store did not answer for it. Never to be taken for absent.
    Unreadable(String),
}

impl Seen {
    /// Returns the item if there is one.
    pub fn item(&self) -> Option<&Item> {
        match self {
            Self::Present(item) => Some(item),
            Self::Absent | Self::Unreadable(_) => None,
        }
    }
}

/// What a provider wants to remember between two observations to make the next one cheaper: page etags and the items
/// behind them, for example. Opaque to the engine, which keeps it; it holds no secret. Losing it loses only speed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Resume(pub serde_json::Value);

/// Which of a store's versions to look at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum View {
    /// What readers meet.
    #[default]
    Served,
    /// What the next put would replace: the latest version of each key, or the staged key-values. The same as what is
    /// served where a put is served at once.
    Newest,
}

/// What to look at.
#[derive(Debug, Clone, Default)]
pub struct Observe {
    /// The keys wanted: those of the file and those that we own.
    pub keys: Vec<Key>,
    /// Which versions to look at.
    pub view: View,
    /// Past versions to look at instead, for some of the keys: whether they are there, and from when. Only where native
    /// versions have numbers ([`Capabilities::versions_kept`](crate::Capabilities::versions_kept)).
    pub versions: BTreeMap<Key, Version>,
    /// Keys of which it matters that absent is absent, since something is let go of where it is. Where a listing lacks
    /// one it is asked for by name too.
    pub surely: BTreeSet<Key>,
    /// Whether to look at foreign items below the prefix too, at the price of a listing.
    pub census: bool,
    /// What an earlier observation returned.
    pub resume: Option<Resume>,
}

/// What was seen.
#[derive(Debug, Clone)]
pub struct Observation {
    /// One answer for each wanted key.
    pub items: BTreeMap<Key, Seen>,
    /// Native names below the prefix that were not asked for; `None` where nothing was listed.
    pub foreign: Option<Vec<String>>,
    /// What readers follow, where all keys are served together ([`Serving::Together`](crate::Serving::Together)) and
    /// something is there.
    pub reference: Option<Reference>,
    /// The store's clock when it answered, where it said so.
    pub at: Option<Timestamp>,
    /// To be given to the next [`Observe`].
    pub resume: Option<Resume>,
}

/// What readers follow to a frozen set.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// The reference's own version.
    pub version: Version,
    /// The frozen set that it names; `None` where it holds something else than a reference.
    pub set: Option<String>,
    /// The owner tag of the reference.
    pub owner: Option<String>,
    /// Whether the set is there and will stay: not archived, not expired, not failed.
    pub kept: bool,
}

/// An immutable set of items, made for being served together.
#[derive(Debug, Clone)]
pub struct Frozen {
    /// Its name.
    pub name: String,
    /// What it holds, by key; items that are not below the target's prefix are left out.
    pub items: BTreeMap<Key, Item>,
    /// Whether it will stay: not archived.
    pub kept: bool,
}

/// One past content of a key, newest first in a history.
#[derive(Debug, Clone)]
pub struct Revision {
    /// Its native version.
    pub version: Version,
    /// The value; `None` where it is a secret.
    pub value: Option<String>,
    /// Whether it is a secret.
    pub secret: bool,
    /// Content type where the store has one.
    pub content_type: Option<String>,
    /// Tags without the owner tag, where the store keeps them with the revision.
    pub tags: Option<BTreeMap<String, String>>,
    /// Who wrote it, where the store says so.
    pub by: Option<String>,
    /// Labels of the version (SSM).
    pub labels: Vec<String>,
}

/// One value that was read on purpose.
#[derive(Debug, Clone)]
pub struct ReadValue {
    /// The version that was read.
    pub version: Version,
    /// The value.
    pub value: Secret,
    /// Whether the store keeps it as a secret.
    pub secret: bool,
    /// Content type where the store has one.
    pub content_type: Option<String>,
    /// Tags without the owner tag, where the store keeps them with the version.
    pub tags: Option<BTreeMap<String, String>>,
    /// Description, where the store keeps it with the version.
    pub description: Option<String>,
}
