//! What the store says about a failure.

use std::fmt;

use serde::Deserialize;

/// Where the types of the service's problems begin.
const TYPE_PREFIX: &str = "https://azconfig.io/errors/";

/// One `application/problem+json` document (RFC 9457, with the service's own members).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Problem {
    /// The type, a URI: `https://azconfig.io/errors/invalid-argument`.
    #[serde(rename = "type")]
    pub type_uri: Option<String>,
    /// A short summary.
    pub title: Option<String>,
    /// The parameter or the key that it is about.
    pub name: Option<String>,
    /// An explanation, with a position where a filter could not be read.
    pub detail: Option<String>,
    /// The HTTP status, repeated.
    pub status: Option<u16>,
    /// Which limit was hit, with 429: `Total Requests`, `Total Bandwidth` or `Storage`.
    pub policy: Option<String>,
}

impl Problem {
    /// Parses a body; `None` if it is empty or something else.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let problem: Self = serde_json::from_slice(body).ok()?;
        (problem != Self::default()).then_some(problem)
    }

    /// Returns the type without its common prefix: `key-locked`, `already-exists`, `invalid-argument`.
    pub fn kind(&self) -> Option<&str> {
        let uri = self.type_uri.as_deref()?;
        Some(uri.strip_prefix(TYPE_PREFIX).unwrap_or(uri))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for part in [self.title.as_deref().or(self.kind()), self.detail.as_deref()].into_iter().flatten() {
            write!(f, "{separator}{part}")?;
            separator = ": ";
        }
        for (label, part) in [("name", &self.name), ("policy", &self.policy)] {
            if let Some(part) = part {
                write!(f, " ({label} {part:?})")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_member() {
        let body = br#"{"type":"https://azconfig.io/errors/invalid-argument","title":"Invalid request parameter 'key'",
            "name":"key","detail":"key(2): Invalid character","status":400,"policy":"Storage","more":1}"#;
        let problem = Problem::parse(body).expect("a problem");
        assert_eq!(problem.kind(), Some("invalid-argument"));
        assert_eq!(problem.status, Some(400));
        assert_eq!(
            problem.to_string(),
            r#"Invalid request parameter 'key': key(2): Invalid character (name "key") (policy "Storage")"#
        );
    }

    #[test]
    fn other_bodies_are_no_problem() {
        for body in ["", "<html>", "[]", "{}", "null", r#"{"status":"four hundred"}"#] {
            assert_eq!(Problem::parse(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn a_foreign_type_is_kept_whole() {
        let problem = Problem::parse(br#"{"type":"about:blank"}"#).expect("a problem");
        assert_eq!(problem.kind(), Some("about:blank"));
    }
}
