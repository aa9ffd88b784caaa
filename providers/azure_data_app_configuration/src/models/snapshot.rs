//! Snapshots and the operation that makes one.

use std::fmt;

use azure_core::time::OffsetDateTime;
use serde::{Deserialize, Serialize};

use super::{Tags, lenient};
use crate::error::{Error, Result};
use crate::filter::{KeyFilter, LabelFilter, MAX_ALTERNATIVES, TagFilter};

/// Which key-values a snapshot takes in, as the store reads and answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SnapshotFilter {
    /// The key filter.
    pub key: String,
    /// The label filter; `None` is no label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The tag filters.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

impl SnapshotFilter {
    /// Makes a filter.
    ///
    /// # Errors
    /// `InvalidInput` for a filter that cannot be spelled; see [`KeyFilter::to_filter`].
    pub fn new(key: &KeyFilter, label: &LabelFilter, tags: &[TagFilter]) -> Result<Self> {
        if tags.len() > MAX_ALTERNATIVES {
            return Err(Error::invalid_input(format!("a filter takes at most {MAX_ALTERNATIVES} tags")));
        }
        Ok(Self {
            key: key.to_filter()?,
            label: Some(label.to_filter()?),
            tags: tags.iter().map(TagFilter::to_filter).collect(),
        })
    }
}

fn null_as_default<'de, D, T>(deserializer: D) -> std::result::Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

macro_rules! open_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// Something newer than this crate.
            Other(String),
        }

        impl $name {
            /// Returns the name on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text,
                }
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                $(if text.eq_ignore_ascii_case($text) {
                    return Self::$variant;
                })*
                Self::Other(text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

open_enum! {
    /// How a snapshot tells its key-values apart.
    CompositionType {
        /// By key. Readers that follow a snapshot reference load no other.
        Key = "key",
        /// By key and label.
        KeyLabel = "key_label",
    }
}

open_enum! {
    /// Where a snapshot is in its life.
    SnapshotStatus {
        /// It is being made; listing it shows nothing yet.
        Provisioning = "provisioning",
        /// It can be read and does not expire.
        Ready = "ready",
        /// It can be read until it expires.
        Archived = "archived",
        /// Making it failed.
        Failed = "failed",
    }
}

open_enum! {
    /// Where the making of a snapshot is.
    OperationState {
        /// Not begun.
        NotStarted = "NotStarted",
        /// Under way.
        Running = "Running",
        /// The snapshot is ready.
        Succeeded = "Succeeded",
        /// There will be no snapshot.
        Failed = "Failed",
        /// There will be no snapshot.
        Canceled = "Canceled",
    }
}

/// What a snapshot is made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SnapshotContent {
    /// One to three filters.
    pub filters: Vec<SnapshotFilter>,
    /// How key-values are told apart. By key, every filter must name one label.
    pub composition_type: CompositionType,
    /// How long it is kept once archived, in seconds: 3,600 to 90 days (7 days on the Free and Developer tiers).
    /// Fixed at creation; `None` takes the store's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_period: Option<u64>,
    /// The tags.
    #[serde(skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// The description; refused before api-version `2026-04-01`, which does not know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl SnapshotContent {
    /// Makes a content composed by key.
    pub fn new(filters: Vec<SnapshotFilter>) -> Self {
        Self {
            filters,
            composition_type: CompositionType::Key,
            retention_period: None,
            tags: Tags::new(),
            description: None,
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        match self.filters.len() {
            1..=3 => Ok(()),
            count => Err(Error::invalid_input(format!("a snapshot takes 1 to 3 filters, not {count}"))),
        }
    }
}

/// One snapshot.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// The name. It cannot be used again until the snapshot has expired.
    pub name: String,
    /// Where it is in its life.
    pub status: SnapshotStatus,
    /// What it takes in.
    #[serde(default, deserialize_with = "null_as_default")]
    pub filters: Vec<SnapshotFilter>,
    /// How its key-values are told apart.
    #[serde(default)]
    pub composition_type: Option<CompositionType>,
    /// When it was made.
    #[serde(default, deserialize_with = "lenient::time")]
    pub created: Option<OffsetDateTime>,
    /// When it goes, once archived.
    #[serde(default, deserialize_with = "lenient::time")]
    pub expires: Option<OffsetDateTime>,
    /// How long it is kept once archived, in seconds.
    #[serde(default)]
    pub retention_period: Option<u64>,
    /// Its size in bytes, at most 1 MB.
    #[serde(default)]
    pub size: Option<u64>,
    /// How many key-values it holds.
    #[serde(default)]
    pub items_count: Option<u64>,
    /// The tags.
    #[serde(default, deserialize_with = "lenient::tags")]
    pub tags: Tags,
    /// The description, from api-version `2026-04-01`.
    #[serde(default)]
    pub description: Option<String>,
    /// The etag without quotes.
    #[serde(default)]
    pub etag: Option<String>,
}

/// The making of a snapshot.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct OperationStatus {
    /// The operation's id.
    #[serde(default)]
    pub id: Option<String>,
    /// Where it is.
    pub status: OperationState,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<OperationError>,
}

/// Why an operation failed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct OperationError {
    /// A code such as `QuotaExceeded`, `Timeout` or `ServerError`.
    #[serde(default)]
    pub code: Option<String>,
    /// An explanation.
    #[serde(default)]
    pub message: Option<String>,
}

/// The body of an archive or recover request.
#[derive(Debug, Serialize)]
pub(crate) struct SnapshotUpdate {
    pub(crate) status: SnapshotStatus,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_spells_its_filters() {
        let filter =
            SnapshotFilter::new(&KeyFilter::Prefix("app/".into()), &LabelFilter::Exact("r,1".into()), &[]).unwrap();
        let mut content = SnapshotContent::new(vec![filter]);
        content.retention_period = Some(3600);
        assert_eq!(
            serde_json::to_string(&content).unwrap(),
            r#"{"filters":[{"key":"app/*","label":"r\\,1"}],"composition_type":"key","retention_period":3600}"#
        );
    }

    #[test]
    fn no_label_is_said_and_filters_are_counted() {
        let filter = SnapshotFilter::new(&KeyFilter::Any, &LabelFilter::Null, &[]).unwrap();
        assert_eq!(serde_json::to_string(&filter).unwrap(), r#"{"key":"*","label":"\u0000"}"#);
        assert!(SnapshotContent::new(vec![]).check().is_err());
        assert!(SnapshotContent::new(vec![filter.clone(); 3]).check().is_ok());
        assert!(SnapshotContent::new(vec![filter; 4]).check().is_err());
    }

    #[test]
    fn reads_a_snapshot_and_unknown_states() {
        let snapshot: Snapshot = serde_json::from_str(
            r#"{"name":"s","status":"ready","filters":[{"key":"*","label":null,"tags":null}],"composition_type":"key",
                "created":"2026-11-21T22:10:01+00:00","expires":null,"size":12,"items_count":1,"tags":null,"etag":"e"}"#,
        )
        .unwrap();
        assert_eq!(snapshot.status, SnapshotStatus::Ready);
        assert_eq!(snapshot.filters, [SnapshotFilter { key: "*".into(), label: None, tags: vec![] }]);
        let odd: OperationStatus = serde_json::from_str(r#"{"status":"Paused"}"#).unwrap();
        assert_eq!(odd.status, OperationState::Other("Paused".into()));
    }
}
