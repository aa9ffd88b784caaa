//! Key-values and their names.

use std::collections::BTreeMap;
use std::fmt;

use azure_core::time::OffsetDateTime;
use serde::{Deserialize, Serialize};

use super::lenient;

/// Tags by name. A tag may be there without a value.
pub type Tags = BTreeMap<String, Option<String>>;

/// One key-value, or one revision of it. Members that were not selected hold their default.
///
/// `Debug` leaves the value out.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[non_exhaustive]
#[serde(default)]
pub struct KeyValue {
    /// The key.
    pub key: String,
    /// The label; `None` is no label.
    pub label: Option<String>,
    /// The value.
    pub value: Option<String>,
    /// The content type, byte for byte.
    pub content_type: Option<String>,
    /// The tags.
    #[serde(deserialize_with = "lenient::tags")]
    pub tags: Tags,
    /// Whether the store refuses writes to it.
    #[serde(deserialize_with = "lenient::boolean")]
    pub locked: bool,
    /// When it was written.
    #[serde(deserialize_with = "lenient::time")]
    pub last_modified: Option<OffsetDateTime>,
    /// The etag without quotes.
    pub etag: Option<String>,
    /// The description, from api-version `2026-04-01`.
    pub description: Option<String>,
}

impl fmt::Debug for KeyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyValue")
            .field("key", &self.key)
            .field("label", &self.label)
            .field("value", &Hidden(self.value.as_deref()))
            .field("content_type", &self.content_type)
            .field("locked", &self.locked)
            .field("last_modified", &self.last_modified)
            .field("etag", &self.etag)
            .finish_non_exhaustive()
    }
}

/// What a put writes. It replaces the whole item: what is left out is cleared.
///
/// `Debug` leaves the value out.
#[derive(Clone, Default, PartialEq, Serialize)]
pub struct KeyValueContent {
    /// The value.
    pub value: Option<String>,
    /// The content type. Readers compare some of them byte for byte.
    pub content_type: Option<String>,
    /// The tags.
    pub tags: Tags,
    /// The description; refused before api-version `2026-04-01`, which does not know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl KeyValueContent {
    /// Makes a content that is a value and nothing else.
    pub fn new(value: impl Into<String>) -> Self {
        Self { value: Some(value.into()), ..Self::default() }
    }
}

impl From<KeyValue> for KeyValueContent {
    /// Takes the content of a key-value or a revision, to be written back.
    fn from(item: KeyValue) -> Self {
        Self { value: item.value, content_type: item.content_type, tags: item.tags, description: item.description }
    }
}

impl fmt::Debug for KeyValueContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyValueContent")
            .field("value", &Hidden(self.value.as_deref()))
            .field("content_type", &self.content_type)
            .finish_non_exhaustive()
    }
}

/// Stands for a value in `Debug`: says only how long it is.
struct Hidden<'a>(Option<&'a str>);

impl fmt::Debug for Hidden<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => write!(f, "({} bytes)", value.len()),
            None => f.write_str("None"),
        }
    }
}

/// One key in use.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct KeyName {
    /// The key.
    pub name: String,
}

/// One label in use.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct LabelName {
    /// The label; `None` is no label.
    pub name: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_store_sends() {
        let item: KeyValue = serde_json::from_str(
            r#"{"etag":"4f6dd610","key":"app/a","label":null,"content_type":"","value":"v",
                "last_modified":"2026-11-21T22:10:01.25+00:00","locked":false,"tags":{"t":"1","n":null},"extra":{}}"#,
        )
        .unwrap();
        assert_eq!((item.key.as_str(), item.label, item.value.as_deref()), ("app/a", None, Some("v")));
        assert_eq!(item.tags, Tags::from([("n".into(), None), ("t".into(), Some("1".into()))]));
        assert_eq!(item.last_modified.map(|at| at.unix_timestamp_nanos() / 1_000_000), Some(1_795_299_001_250));
    }

    #[test]
    fn reads_other_spellings() {
        let item: KeyValue = serde_json::from_str(r#"{"key":"a","locked":"True","tags":[]}"#).unwrap();
        assert!(item.locked && item.tags.is_empty());
        let item: KeyValue = serde_json::from_str(r#"{"key":"a","locked":null,"tags":null}"#).unwrap();
        assert!(!item.locked && item.tags.is_empty());
        assert!(serde_json::from_str::<KeyValue>(r#"{"locked":"maybe"}"#).is_err());
    }

    #[test]
    fn debug_hides_values() {
        let content = KeyValueContent::new("hunter2");
        let item: KeyValue = serde_json::from_str(r#"{"key":"a","value":"hunter2"}"#).unwrap();
        let printed = format!("{content:?} {item:#?}");
        assert!(!printed.contains("hunter2") && printed.contains("(7 bytes)"), "{printed}");
    }

    #[test]
    fn a_put_says_what_it_clears() {
        let json = serde_json::to_string(&KeyValueContent::new("v")).unwrap();
        assert_eq!(json, r#"{"value":"v","content_type":null,"tags":{}}"#);
    }
}
