//! One parameter: its versions, labels and tags.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::name::{Reference, Selector};
use crate::aws::error::{AwsError, Result};

/// What kind of value a parameter holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    String,
    StringList,
    SecureString,
}

impl Kind {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        match text {
            "String" => Ok(Self::String),
            "StringList" => Ok(Self::StringList),
            "SecureString" => Ok(Self::SecureString),
            // An enumeration of the model: refused before the operation could say UnsupportedParameterType.
            _ => Err(AwsError::constraint(
                "type",
                "Member must satisfy enum value set: [SecureString, StringList, String]",
            )),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// How much a parameter can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Tier {
    Standard,
    Advanced,
}

impl Tier {
    /// Returns the most bytes that a value of this tier has.
    pub(crate) fn max_bytes(self) -> usize {
        match self {
            Self::Standard => 4_096,
            Self::Advanced => 8_192,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One version. Nothing of it changes but its labels.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) number: u64,
    pub(crate) kind: Kind,
    /// The value; for a SecureString its ciphertext in base64.
    pub(crate) value: String,
    /// The key as the put named it.
    pub(crate) key_id: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) allowed_pattern: Option<String>,
    pub(crate) tier: Tier,
    /// Policies, each as its own JSON text.
    pub(crate) policies: Vec<Policy>,
    pub(crate) data_type: String,
    pub(crate) modified: Timestamp,
    pub(crate) user: String,
    pub(crate) labels: BTreeSet<String>,
}

/// One parameter policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Policy {
    pub(crate) kind: String,
    pub(crate) text: String,
}

/// Leaves the value out: a plain String may hold what its owner would not want in a log.
impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Version").field("number", &self.number).field("labels", &self.labels).finish_non_exhaustive()
    }
}

/// One parameter.
#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    /// The name as it was created.
    pub(crate) shown: String,
    pub(crate) tags: BTreeMap<String, String>,
    /// Never empty; the last is what readers read.
    pub(crate) versions: BTreeMap<u64, Version>,
}

/// What is kept of a parameter beside its versions.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) name: super::name::Name,
    pub(crate) shown: String,
    pub(crate) tags: BTreeMap<String, String>,
}

impl Parameter {
    /// Returns the newest version.
    pub(crate) fn latest(&self) -> &Version {
        self.versions.last_key_value().expect("a parameter has a version").1
    }

    /// Returns the parameter as reads see it that know writes up to a time; nothing where they know none.
    pub(crate) fn seen(&self, until: Timestamp) -> Option<View<'_>> {
        let newest = self.versions.values().rev().find(|version| version.modified <= until)?;
        Some(View { parameter: self, newest })
    }
}

/// A parameter as reads see it: without versions that have not arrived yet.
///
/// Labels and deletions arrive at once; only new versions lag.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) parameter: &'a Parameter,
    newest: &'a Version,
}

impl<'a> View<'a> {
    /// Returns the newest version.
    pub(crate) fn latest(self) -> &'a Version {
        self.newest
    }

    /// Returns every version, oldest first.
    pub(crate) fn versions(self) -> impl Iterator<Item = &'a Version> {
        self.parameter.versions.range(..=self.newest.number).map(|(_, version)| version)
    }

    /// Returns the version that carries a label.
    pub(crate) fn labelled(self, label: &str) -> Option<&'a Version> {
        self.versions().find(|version| version.labels.contains(label))
    }

    /// Returns the version that a reference means.
    pub(crate) fn select(self, reference: &Reference) -> Result<&'a Version> {
        let (found, what) = match &reference.selector {
            None => return Ok(self.latest()),
            Some(Selector::Version(number)) => {
                (self.versions().find(|version| version.number == *number), format!("version {number}"))
            }
            Some(Selector::Label(label)) => (self.labelled(label), format!("label {label}")),
        };
        found.ok_or_else(|| version_not_found(&self.parameter.shown, &what))
    }
}

pub(crate) fn version_not_found(name: &str, what: &str) -> AwsError {
    AwsError::new(
        "ParameterVersionNotFound",
        format!("Systems Manager could not find {what} of {name}. Verify the version and try again."),
    )
}

pub(crate) fn not_found(name: &str) -> AwsError {
    AwsError::new("ParameterNotFound", format!("Parameter {name} not found."))
}
