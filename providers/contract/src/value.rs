//! Values, and how a secret is kept from being shown.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// A value that must never be printed, logged or stored by us.
///
/// Its memory is zeroed when dropped. `Debug` prints a placeholder; there is no `Display` and no `Serialize`.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a value.
    pub fn new(value: String) -> Self {
        Self(SecretString::from(value))
    }

    /// Returns the value itself. Each caller answers for where it goes next.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

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
    fn a_secret_does_not_print() {
        let value = Value::Secret(Secret::new("hunter2".into()));
        assert!(!format!("{value:?} {value:#?}").contains("hunter2"));
        assert_eq!(value.expose(), "hunter2");
        assert_eq!(value.plain(), None);
    }
}
