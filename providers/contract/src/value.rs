//! Values, and how a secret is kept from being shown.

use std::fmt;

use secrecy::zeroize::Zeroize as _;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq as _;

/// A value that must never be printed, logged or stored by us.
///
/// Its memory is zeroed when dropped. `Debug` prints a placeholder; there is no `Display` and no `Serialize`. How long a
/// comparison takes tells the length at most. What an SDK copies to send it, and the environment of a process, are out
/// of its reach.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a value.
    pub fn new(mut value: String) -> Self {
        let secret = Self::of(&value);
        // Shrinking a text to its length may move it, and would leave the value behind in memory that is given back.
        value.zeroize();
        secret
    }

    /// Wraps a copy of a value.
    pub fn of(value: &str) -> Self {
        Self(SecretString::from(Box::<str>::from(value)))
    }

    /// Tells whether it is this value, in a time that does not depend on where they differ.
    pub fn is(&self, value: &str) -> bool {
        self.expose().as_bytes().ct_eq(value.as_bytes()).into()
    }

    /// Returns the value itself. Each caller answers for where it goes next.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.is(other.expose())
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// What one item holds.
#[derive(Debug, Clone)]
pub enum Value {
    /// Text that may be shown.
    Plain(String),
    /// Text that may not.
    Secret(Secret),
}

impl Value {
    /// Returns the text, secret or not, for the one call that sends it.
    pub fn expose(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(secret) => secret.expose(),
        }
    }

    /// Tells whether it is this text, in a time that does not depend on where a secret differs from it.
    pub fn is(&self, text: &str) -> bool {
        match self {
            Self::Plain(plain) => plain == text,
            Self::Secret(secret) => secret.is(text),
        }
    }

    /// Tells whether the value is a secret.
    pub fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_))
    }

    /// Returns the text where it may be shown.
    pub fn plain(&self) -> Option<&str> {
        match self {
            Self::Plain(text) => Some(text),
            Self::Secret(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_equal_as_their_values_are() {
        let secret = Secret::new("hunter2".into());
        assert!(secret.is("hunter2") && secret == Secret::of("hunter2") && Secret::of("").is(""));
        for other in ["", "hunter", "hunter22", "Hunter2", "hunter3"] {
            assert!(!secret.is(other) && secret != Secret::of(other), "{other}");
        }
    }

    #[test]
    fn a_secret_does_not_print() {
        let value = Value::Secret(Secret::new("hunter2".into()));
        assert!(!format!("{value:?} {value:#?}").contains("hunter2"));
        assert_eq!(value.expose(), "hunter2");
        assert_eq!(value.plain(), None);
    }
}
