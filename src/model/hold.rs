//! Holds: what the file may not change for now.
//!
//! A rollback leaves a hold on each entry whose content in the file it took out of service. The hold names contents, so
//! that the daemon does not fight the rollback and an edit is all that it takes to go on: as soon as the file asks for a
//! content that the hold does not name, that content is released and the hold is gone.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use repin_provider::Version;
use serde::{Deserialize, Serialize};

use super::release::ContentDigest;

/// A hold on one entry of one target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The release that was the newest when it was made: the rollback itself, or the one before `repin hold`.
    #[serde(rename = "s")]
    pub since: u64,
    /// What the operator said.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The contents that may not be released.
    #[serde(rename = "c", default, skip_serializing_if = "BTreeSet::is_empty")]
    pub contents: BTreeSet<HeldContent>,
    /// Whether any content is held, until somebody resumes it (`repin hold`).
    #[serde(rename = "h", default, skip_serializing_if = "std::ops::Not::not")]
    pub by_hand: bool,
    /// Whether any content is held, until somebody unpins it (`repin pin`).
    #[serde(rename = "p", default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
}

impl Hold {
    /// Tells whether nothing is held by it.
    pub fn is_empty(&self) -> bool {
        self.contents.is_empty() && !self.by_hand && !self.pinned
    }

    /// Returns what is left of it when the contents and the hand are taken away, as `repin resume` does.
    pub fn resumed(&self) -> Option<Self> {
        self.pinned.then(|| Self { contents: BTreeSet::new(), by_hand: false, ..self.clone() })
    }

    /// Returns what is left of it when the pin is taken away, as `repin unpin` does.
    pub fn unpinned(&self) -> Option<Self> {
        let rest = Self { pinned: false, ..self.clone() };
        (!rest.is_empty()).then_some(rest)
    }
}

/// A content that may not be released, told without its value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HeldContent {
    /// Nothing under the key.
    Absent,
    /// A content that is no secret.
    Plain(ContentDigest),
    /// A secret: the native version that holds it, with its date in milliseconds where that is known.
    Secret(String, Option<i64>),
}

impl HeldContent {
    /// Names a secret by the version that holds it.
    pub fn secret(version: &Version) -> Self {
        Self::Secret(version.id.clone(), version.at.map(Timestamp::as_millisecond))
    }

    /// Returns the version that holds the secret.
    pub fn version(&self) -> Option<Version> {
        match self {
            Self::Secret(id, at) => {
                Some(Version::new(id.clone(), at.and_then(|ms| Timestamp::from_millisecond(ms).ok())))
            }
            Self::Absent | Self::Plain(_) => None,
        }
    }
}

/// Written as `-`, `=DIGEST`, or `@ID` and `@ID@MILLISECONDS`.
impl fmt::Display for HeldContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("-"),
            Self::Plain(digest) => write!(f, "={}", digest.as_str()),
            Self::Secret(id, None) => write!(f, "@{id}"),
            Self::Secret(id, Some(at)) => write!(f, "@{id}@{at}"),
        }
    }
}

impl FromStr for HeldContent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} names no content");
        if text == "-" {
            return Ok(Self::Absent);
        }
        if let Some(digest) = text.strip_prefix('=') {
            return Ok(Self::Plain(ContentDigest::from_ledger(digest)));
        }
        let version = text.strip_prefix('@').ok_or_else(wrong)?;
        match version.split_once('@') {
            None => Ok(Self::Secret(version.to_owned(), None)),
            Some((id, at)) => Ok(Self::Secret(id.to_owned(), Some(at.parse().map_err(|_| wrong())?))),
        }
    }
}

impl Serialize for HeldContent {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HeldContent {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_read_as_they_are_written() {
        for content in [
            HeldContent::Absent,
            HeldContent::Plain(ContentDigest::of("x", None)),
            HeldContent::Secret("7".into(), None),
            HeldContent::Secret("7".into(), Some(-5)),
        ] {
            assert_eq!(content.to_string().parse(), Ok(content));
        }
        for wrong in ["", "x", "@7@x"] {
            assert!(wrong.parse::<HeldContent>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn resuming_leaves_a_pin_and_unpinning_leaves_a_hold() {
        let hold = Hold { by_hand: true, pinned: true, contents: [HeldContent::Absent].into(), ..Hold::default() };
        assert!(hold.resumed().is_some_and(|left| left.pinned && !left.by_hand && left.contents.is_empty()));
        assert!(hold.unpinned().is_some_and(|left| !left.pinned && left.by_hand));
        assert_eq!(Hold { pinned: true, ..Hold::default() }.unpinned(), None);
        assert_eq!(Hold { by_hand: true, ..Hold::default() }.resumed(), None);
    }
}
