//! PURE: wire types to the model and back.

use std::collections::BTreeMap;
use std::time::Duration;

use azure_data_app_configuration::{KeyValue, KeyValueContent, Tags};
use jiff::Timestamp;
use repin_provider::{Content, Error, ErrorKind, Item, Owner, ReadValue, Revision, Secret, Value, Version};
use serde::{Deserialize, Serialize};

/// The tag that says who owns an item.
pub(crate) const OWNER_TAG: &str = "repin:owner";

/// One key-value as it is kept between two looks: small, since every item of a target is remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    #[serde(rename = "k")]
    pub(crate) key: String,
    #[serde(rename = "v")]
    pub(crate) value: String,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<String>,
    #[serde(rename = "t", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tags: BTreeMap<String, String>,
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(rename = "l", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) locked: bool,
    #[serde(rename = "e")]
    pub(crate) version: Version,
}

impl Kept {
    /// Takes what the store sent.
    ///
    /// # Errors
    /// `Unexpected` for an answer without an etag or a time: nothing could be put back to such a version.
    pub(crate) fn from_wire(item: KeyValue, operation: &str) -> Result<Self, Error> {
        let version = version(&item, operation)?;
        Ok(Self {
            key: item.key,
            value: item.value.unwrap_or_default(),
            // The store shows an empty content type where none was set.
            content_type: item.content_type.filter(|kind| !kind.is_empty()),
            tags: item.tags.into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect(),
            description: item.description.filter(|text| !text.is_empty()),
            locked: item.locked,
            version,
        })
    }

    fn split_owner(&mut self) -> Option<String> {
        self.tags.remove(OWNER_TAG)
    }

    /// Makes the item of an observation.
    pub(crate) fn into_item(mut self) -> Item {
        let owner = self.split_owner();
        Item {
            version: self.version,
            value: Some(self.value),
            secret: false,
            native_type: None,
            content_type: self.content_type,
            tags: Some(self.tags),
            description: self.description,
            owner: Some(owner),
            locked: self.locked,
        }
    }

    /// Makes the answer of a read.
    pub(crate) fn into_value(mut self) -> ReadValue {
        self.split_owner();
        ReadValue {
            version: self.version,
            value: Secret::new(self.value),
            secret: false,
            content_type: self.content_type,
            tags: Some(self.tags),
            description: self.description,
        }
    }

    /// Makes one place of a history.
    pub(crate) fn into_revision(mut self) -> Revision {
        self.split_owner();
        Revision {
            version: self.version,
            value: Some(self.value),
            secret: false,
            content_type: self.content_type,
            tags: Some(self.tags),
            by: None,
            labels: Vec::new(),
        }
    }

    /// Tells whether this is what a put asked for.
    pub(crate) fn is_content(&self, content: &KeyValueContent) -> bool {
        let plain = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let tags = content.tags.iter().map(|(name, value)| (name, value.as_deref().unwrap_or_default()));
        content.value.as_deref().unwrap_or_default() == self.value
            && plain(&content.content_type) == self.content_type
            && plain(&content.description) == self.description
            && tags.eq(self.tags.iter().map(|(name, value)| (name, value.as_str())))
    }
}

fn version(item: &KeyValue, operation: &str) -> Result<Version, Error> {
    let etag = item.etag.clone().filter(|etag| !etag.is_empty());
    match (etag, item.last_modified.and_then(timestamp)) {
        (Some(etag), Some(at)) => Ok(Version::new(etag, Some(at))),
        _ => {
            let message = format!("the store answered {:?} without an etag or a time", item.key);
            Err(Error::new(ErrorKind::Unexpected, operation, message))
        }
    }
}

/// Converts a time of the client's; `None` outside the years that we can hold.
pub(crate) fn timestamp(at: azure_core::time::OffsetDateTime) -> Option<Timestamp> {
    Timestamp::from_nanosecond(at.unix_timestamp_nanos()).ok()
}

/// Makes what a put sends: the content with the owner beside its tags.
///
/// # Errors
/// `Refused` for a secret: this store would show it to every reader of the configuration.
pub(crate) fn wire_content(content: &Content, owner: &Owner) -> Result<KeyValueContent, Error> {
    let Value::Plain(value) = &content.value else {
        let message = "App Configuration keeps no secrets: every reader of the configuration would see it";
        return Err(Error::new(ErrorKind::Refused, "PUT /kv/{key}", message).with_hint(
            "store the secret in Key Vault and give this target `type: key-vault-reference`, or leave the entry to \
             targets that keep secrets (`targets`, `per_target`)",
        ));
    };
    let mut tags: Tags = content.tags.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
    tags.insert(OWNER_TAG.to_owned(), Some(owner.as_str().to_owned()));
    let mut wire = KeyValueContent::new(value.clone());
    wire.content_type = content.content_type.clone();
    wire.tags = tags;
    wire.description = content.description.clone();
    Ok(wire)
}

/// Parses a retention as the file writes it: `7d`, `36h`.
pub(crate) fn parse_retention(text: &str) -> Option<Duration> {
    let hours = if let Some(days) = text.strip_suffix('d') {
        days.parse::<u64>().ok()?.checked_mul(24)?
    } else {
        text.strip_suffix('h')?.parse().ok()?
    };
    let digits = text.bytes().next()?.is_ascii_digit();
    (digits && hours > 0).then_some(Duration::from_secs(hours.checked_mul(3600)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(json: &str) -> KeyValue {
        serde_json::from_str(json).expect("valid JSON")
    }

    fn kept() -> Kept {
        let json = r#"{"key":"p/a","value":"v","content_type":"","tags":{"repin:owner":"me","team":"ml","flag":null},
            "etag":"e1","last_modified":"2026-11-21T22:10:01+00:00","locked":true}"#;
        Kept::from_wire(wire(json), "GET /kv").expect("complete")
    }

    #[test]
    fn the_owner_is_no_tag_of_ours() {
        let item = kept().into_item();
        assert_eq!(item.owner, Some(Some("me".to_owned())));
        let tags = BTreeMap::from([("flag".to_owned(), String::new()), ("team".to_owned(), "ml".to_owned())]);
        assert_eq!(item.tags.as_ref(), Some(&tags));
        assert_eq!((item.content_type, item.locked), (None, true));
        assert_eq!(item.version.at.map(|at| at.to_string()).as_deref(), Some("2026-11-21T22:10:01Z"));
        assert_eq!(kept().into_value().tags, Some(tags.clone()));
        assert_eq!(kept().into_revision().tags, Some(tags));
    }

    #[test]
    fn an_item_without_a_version_is_not_understood() {
        for json in [
            r#"{"key":"a","last_modified":"2026-11-21T22:10:01+00:00"}"#,
            r#"{"key":"a","etag":"","last_modified":"2026-11-21T22:10:01+00:00"}"#,
            r#"{"key":"a","etag":"e"}"#,
        ] {
            let error = Kept::from_wire(wire(json), "GET /kv").expect_err("incomplete");
            assert_eq!(error.kind, ErrorKind::Unexpected);
        }
    }

    #[test]
    fn what_is_kept_comes_back() {
        let text = serde_json::to_string(&kept()).expect("serializable");
        assert_eq!(serde_json::from_str::<Kept>(&text).expect("its own format"), kept());
    }

    fn content(value: Value) -> Content {
        Content {
            value,
            content_type: None,
            tags: BTreeMap::from([("team".to_owned(), "ml".to_owned()), ("flag".to_owned(), String::new())]),
            description: None,
            tier: None,
        }
    }

    #[test]
    fn an_intent_is_recognised() {
        let owner = Owner::parse("me").expect("valid");
        let intent = wire_content(&content(Value::Plain("v".into())), &owner).expect("plain");
        assert!(kept().is_content(&intent));
        let other = wire_content(&content(Value::Plain("w".into())), &owner).expect("plain");
        assert!(!kept().is_content(&other));
        let stranger = Owner::parse("you").expect("valid");
        let theirs = wire_content(&content(Value::Plain("v".into())), &stranger).expect("plain");
        assert!(!kept().is_content(&theirs));
    }

    #[test]
    fn secrets_are_refused_with_the_ways_out() {
        let owner = Owner::parse("me").expect("valid");
        let secret = content(Value::Secret(Secret::new("hunter2".into())));
        let error = wire_content(&secret, &owner).expect_err("a secret");
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("key-vault-reference")));
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn retentions() {
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
        for (text, expected) in [("7d", hours(168)), ("30d", hours(720)), ("36h", hours(36))] {
            assert_eq!(parse_retention(text), expected, "{text}");
        }
        for text in ["", "7", "d", "0d", "+7d", "-1d", "7 d", "1w", "99999999999999999999d", "9999999999999999999h"] {
            assert_eq!(parse_retention(text), None, "{text}");
        }
    }
}
