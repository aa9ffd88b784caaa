//! Names, parsed once at the edge and trusted inside.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A name that breaks its rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {given:?} {rule}")]
pub struct InvalidName {
    /// What was being named: "key", "name", "target".
    pub what: &'static str,
    /// The text that was given.
    pub given: String,
    /// The rule, as the end of a sentence.
    pub rule: &'static str,
}

macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

text_newtype! {
    /// The key of an entry as the file writes it, without the target's prefix.
    ///
    /// What a store cannot hold is refused by that provider's audit; here only what no store could mean.
    Key
}

impl Key {
    /// Parses a key: not empty, no leading or trailing slash, no control characters.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let rule = if text.is_empty() {
            "is empty"
        } else if text.starts_with('/') || text.ends_with('/') {
            "must not start or end with a slash; the target's prefix is joined to it"
        } else if text.contains("//") {
            "must not hold an empty path segment"
        } else if text.chars().any(char::is_control) {
            "must not hold control characters"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(InvalidName { what: "key", given: text.to_owned(), rule })
    }
}

text_newtype! {
    /// The `name` of a configuration: the owner of everything that it writes.
    Owner
}

impl Owner {
    /// The longest name allowed.
    pub const MAX: usize = 40;

    /// Parses a name: `[a-z0-9-]`, 1 to 40 characters.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let fits = (1..=Self::MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName { what: "name", given: text.to_owned(), rule: "must be 1 to 40 of a-z, 0-9 and \"-\"" })
        }
    }
}

text_newtype! {
    /// The name that the file gives to a target. A target is recognised by its [`Place`], not by this.
    TargetName
}

impl TargetName {
    /// Parses a target's name: `[A-Za-z0-9_.-]`, 1 to 64 characters.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName {
                what: "target",
                given: text.to_owned(),
                rule: "must be 1 to 64 of letters, digits, \"-\", \"_\" and \".\"",
            })
        }
    }
}

text_newtype! {
    /// Where a target is, in one canonical line: provider, account or store, region, prefix, label.
    ///
    /// Two targets of one place are the same target whatever the file calls them; the ledger is kept per place.
    Place
}

impl Place {
    /// Takes a place as a provider wrote it.
    ///
    /// # Errors
    /// Refuses an empty text.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if text.is_empty() {
            return Err(InvalidName { what: "place", given: String::new(), rule: "is empty" });
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_relative_paths() {
        for good in ["a", "chat/config", "prompts/rag/answer.v2", "Ümlaut"] {
            assert_eq!(Key::parse(good).expect("valid").as_str(), good);
        }
        for bad in ["", "/a", "a/", "a//b", "a\u{7}b"] {
            assert!(Key::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn owners_are_short_and_plain() {
        assert!(Owner::parse("assistant-prod").is_ok());
        for bad in ["", "Assistant", "a_b", &"x".repeat(41)] {
            assert!(Owner::parse(bad).is_err(), "{bad:?}");
        }
    }
}
