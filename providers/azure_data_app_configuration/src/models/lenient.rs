//! Readers for members that are not always spelled as the specification says.

use azure_core::time::{OffsetDateTime, parse_rfc3339};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::Tags;

/// Reads a boolean that may be spelled as a string.
pub(super) fn boolean<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Spelling {
        Plain(Option<bool>),
        Text(String),
    }
    match Spelling::deserialize(deserializer)? {
        Spelling::Plain(value) => Ok(value.unwrap_or_default()),
        Spelling::Text(text) => {
            text.to_ascii_lowercase().parse().map_err(|_| D::Error::custom("a boolean was expected"))
        }
    }
}

/// Reads tags; none may be spelled as null or as an empty array.
pub(super) fn tags<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Tags, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Spelling {
        Map(Option<Tags>),
        Array([(); 0]),
    }
    match Spelling::deserialize(deserializer)? {
        Spelling::Map(tags) => Ok(tags.unwrap_or_default()),
        Spelling::Array([]) => Ok(Tags::new()),
    }
}

/// Reads a time in RFC 3339, or none.
pub(super) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<OffsetDateTime>, D::Error> {
    Option::<String>::deserialize(deserializer)?
        .map(|text| parse_rfc3339(&text).map_err(|_| D::Error::custom("a time in RFC 3339 was expected")))
        .transpose()
}
