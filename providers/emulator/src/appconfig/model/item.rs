//! One key-value: what identifies it, what it holds.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::fingerprint;

/// The largest key-value in bytes, key, label and metadata included (documented limit).
pub(crate) const MAX_ITEM_BYTES: usize = 10 * 1024;

/// The longest key, label, tag name and tag value in characters (as the official emulator enforces).
pub(crate) const MAX_NAME_CHARS: usize = 256;

/// What identifies a key-value: its key and label, both case-sensitive.
///
/// Ordered as the service lists: by key, then label, ordinally, no label first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Id {
    pub(crate) key: String,
    pub(crate) label: Option<String>,
}

impl Id {
    /// Says what is wrong with these names for a write, as (parameter, detail).
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        let key = &self.key;
        if key.is_empty() || key == "." || key == ".." || key.contains('%') {
            return Err(("key", "A key is not empty, '.' or '..', and has no '%'".into()));
        }
        check_name(key).map_err(|detail| ("key", detail))?;
        check_name(self.label.as_deref().unwrap_or_default()).map_err(|detail| ("label", detail))
    }
}

/// What a writer decides about a key-value; replaced as a whole by each write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) value: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) tags: BTreeMap<String, Option<String>>,
    pub(crate) description: Option<String>,
}

impl Content {
    /// Says what is wrong with the tags or the content type, as (parameter, detail).
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        if self.content_type.as_deref().is_some_and(|text| text.chars().any(char::is_control)) {
            return Err(("content_type", "Invalid character".into()));
        }
        check_tags(&self.tags)
    }

    fn bytes(&self) -> usize {
        let tags = self.tags.iter().map(|(name, value)| name.len() + length(value)).sum::<usize>();
        length(&self.value) + length(&self.content_type) + length(&self.description) + tags
    }
}

/// One key-value as the store holds, or held, it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyValue {
    pub(crate) id: Id,
    pub(crate) content: Content,
    pub(crate) locked: bool,
    pub(crate) last_modified: Timestamp,
    pub(crate) etag: String,
}

impl KeyValue {
    /// Makes the key-value that write number `seq` of a store leaves behind; the etag is new for each write.
    pub(crate) fn written(id: Id, content: Content, locked: bool, seq: u64, at: Timestamp) -> Self {
        let etag = fingerprint(&[
            id.key.as_bytes(),
            id.label.as_deref().unwrap_or("\0").as_bytes(),
            &seq.to_be_bytes(),
            &at.as_nanosecond().to_be_bytes(),
        ]);
        Self { id, content, locked, last_modified: at, etag }
    }

    /// Counts the bytes that the 10 KB limit and the size of a snapshot are about.
    pub(crate) fn bytes(&self) -> usize {
        item_bytes(&self.id, &self.content)
    }
}

/// Counts the bytes of a key-value that has not been written yet.
pub(crate) fn item_bytes(id: &Id, content: &Content) -> usize {
    id.key.len() + length(&id.label) + content.bytes()
}

/// Says what is wrong with a map of tags, as (parameter, detail).
pub(crate) fn check_tags(tags: &BTreeMap<String, Option<String>>) -> Result<(), (&'static str, String)> {
    for (name, value) in tags {
        if name.is_empty() {
            return Err(("tags", "A tag name is not empty".into()));
        }
        check_name(name).and_then(|()| check_name(value.as_deref().unwrap_or_default())).map_err(|d| ("tags", d))?;
    }
    Ok(())
}

/// Says what is wrong with one name: its length or a control character.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    if name.chars().count() > MAX_NAME_CHARS {
        return Err(format!("At most {MAX_NAME_CHARS} characters"));
    }
    if name.chars().any(char::is_control) {
        return Err("Invalid character".into());
    }
    Ok(())
}

fn length(text: &Option<String>) -> usize {
    text.as_deref().map_or(0, str::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(key: &str, label: Option<&str>) -> Id {
        Id { key: key.into(), label: label.map(Into::into) }
    }

    #[test]
    fn reserved_keys_are_refused() {
        for key in ["", ".", "..", "a%b", "a\nb"] {
            assert_eq!(id(key, None).check().unwrap_err().0, "key", "{key:?}");
        }
        for key in ["...", "a/b", "é:*,\\", &"k".repeat(256)] {
            assert_eq!(id(key, None).check(), Ok(()), "{key:?}");
        }
        assert_eq!(id(&"k".repeat(257), None).check().unwrap_err().0, "key");
        assert_eq!(id("k", Some(&"l".repeat(257))).check().unwrap_err().0, "label");
    }

    #[test]
    fn tags_are_bounded() {
        let tagged = |name: &str, value: &str| Content {
            tags: BTreeMap::from([(name.to_owned(), Some(value.to_owned()))]),
            ..Content::default()
        };
        assert_eq!(tagged("n", &"v".repeat(256)).check(), Ok(()));
        for content in [tagged("", "v"), tagged(&"n".repeat(257), ""), tagged("n", &"v".repeat(257))] {
            assert_eq!(content.check().unwrap_err().0, "tags");
        }
    }

    #[test]
    fn ids_order_by_key_then_label() {
        let mut ids = vec![id("b", None), id("a", Some("z")), id("a", None), id("B", None), id("a", Some("A"))];
        ids.sort();
        assert_eq!(ids, [id("B", None), id("a", None), id("a", Some("A")), id("a", Some("z")), id("b", None)]);
    }

    #[test]
    fn size_counts_everything_a_writer_sends() {
        let content = Content {
            value: Some("1234".into()),
            content_type: Some("t".into()),
            tags: BTreeMap::from([("ab".to_owned(), Some("c".to_owned())), ("d".to_owned(), None)]),
            description: Some("é".into()),
        };
        assert_eq!(item_bytes(&id("key", Some("l")), &content), 3 + 1 + 4 + 1 + 4 + 2);
    }
}
