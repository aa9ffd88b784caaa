//! Snapshots: immutable sets of key-values with a life of their own.
//!
//! ```text
//!   created ──▶ provisioning ──(time)──▶ ready ──archive──▶ archived ──(retention)──▶ gone
//!                     └──────(time)──▶ failed   ◀──recover──┘
//! ```
//!
//! What follows from time alone is computed from it, never stored, so that moving the clock moves the snapshot.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{KeyValue, KeyValueFilter, TagFilter, TextFilter, fingerprint};

/// The largest snapshot in bytes (documented limit).
pub(crate) const MAX_SNAPSHOT_BYTES: u64 = 1024 * 1024;

/// How many filters a snapshot has at most (documented limit).
const MAX_FILTERS: usize = 3;

/// What makes two key-values of a snapshot the same one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Composition {
    /// The key: of several with the same key, the one of the last filter stays.
    #[default]
    Key,
    /// The key and the label.
    KeyLabel,
}

/// One filter of a snapshot, as its creator wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SnapshotFilter {
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) label: Option<String>,
    #[serde(default)]
    pub(crate) tags: Option<Vec<String>>,
}

impl SnapshotFilter {
    /// Parses the texts; no label asks for key-values without one.
    fn parse(&self, composition: Composition) -> Result<KeyValueFilter, String> {
        let key = TextFilter::parse(&self.key).map_err(|error| format!("key{error}"))?;
        let label = match self.label.as_deref() {
            None => TextFilter::exactly(None),
            Some(text) => TextFilter::parse(text).map_err(|error| format!("label{error}"))?,
        };
        if self.key.is_empty() {
            return Err("A filter needs a key".into());
        }
        if composition == Composition::Key && label.is_multiple() {
            return Err("A label filter that could match several is not supported with composition type 'key'".into());
        }
        let tags = TagFilter::parse_all(self.tags.iter().flatten().map(String::as_str))?;
        Ok(KeyValueFilter { key, label, tags })
    }
}

/// What the creator of a snapshot asks for.
#[derive(Clone, Debug)]
pub(crate) struct CreateSnapshot {
    pub(crate) name: String,
    pub(crate) filters: Vec<SnapshotFilter>,
    pub(crate) composition: Composition,
    /// Seconds; the tier's default if left out.
    pub(crate) retention: Option<u64>,
    pub(crate) tags: BTreeMap<String, Option<String>>,
    pub(crate) description: Option<String>,
}

impl CreateSnapshot {
    /// Parses the filters, one to three of them.
    pub(crate) fn selectors(&self) -> Result<Vec<KeyValueFilter>, String> {
        if !(1..=MAX_FILTERS).contains(&self.filters.len()) {
            return Err(format!("A snapshot has 1 to {MAX_FILTERS} filters"));
        }
        self.filters.iter().map(|filter| filter.parse(self.composition)).collect()
    }
}

/// Why a snapshot came to nothing, in the service's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SnapshotFailure {
    /// It is too large.
    QuotaExceeded,
    /// It took too long.
    Timeout,
    /// Anything else.
    ServerError,
}

impl SnapshotFailure {
    /// The code that `/operations` shows.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::QuotaExceeded => "QuotaExceeded",
            Self::Timeout => "Timeout",
            Self::ServerError => "ServerError",
        }
    }

    /// A sentence for people.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::QuotaExceeded => "The snapshot is larger than it may be.",
            Self::Timeout => "The snapshot could not be created in time.",
            Self::ServerError => "The snapshot could not be created.",
        }
    }
}

/// Where a snapshot is in its life at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SnapshotState {
    Provisioning,
    Ready,
    Archived { expires: Timestamp },
    Failed(SnapshotFailure),
}

impl SnapshotState {
    /// The `status` of the resource.
    pub(crate) const fn status(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Ready => "ready",
            Self::Archived { .. } => "archived",
            Self::Failed(_) => "failed",
        }
    }

    /// The `status` of the operation that creates the snapshot.
    pub(crate) const fn operation_status(self) -> &'static str {
        match self {
            Self::Provisioning => "Running",
            Self::Ready | Self::Archived { .. } => "Succeeded",
            Self::Failed(_) => "Failed",
        }
    }
}

/// A snapshot as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) name: String,
    pub(crate) filters: Vec<SnapshotFilter>,
    pub(crate) composition: Composition,
    pub(crate) created: Timestamp,
    /// Seconds an archived snapshot stays readable.
    pub(crate) retention: u64,
    pub(crate) tags: BTreeMap<String, Option<String>>,
    pub(crate) description: Option<String>,
    /// The captured key-values, as they were, in listing order.
    pub(crate) items: Vec<KeyValue>,
    pub(crate) provisioned_at: Timestamp,
    pub(crate) failure: Option<SnapshotFailure>,
    pub(crate) archived_at: Option<Timestamp>,
    /// How often it was archived or recovered; each makes a new etag.
    pub(crate) changes: u64,
    pub(crate) changed_at: Timestamp,
}

impl Snapshot {
    /// Reports where the snapshot is in its life.
    pub(crate) fn state(&self, now: Timestamp) -> SnapshotState {
        if now < self.provisioned_at {
            return SnapshotState::Provisioning;
        }
        match (self.failure, self.archived_at) {
            (Some(failure), _) => SnapshotState::Failed(failure),
            (None, Some(at)) => SnapshotState::Archived { expires: self.expiry(at) },
            (None, None) => SnapshotState::Ready,
        }
    }

    /// Reports whether the snapshot is gone: archived, or failed, for as long as its retention.
    ///
    /// That a failed one goes too is this emulator's choice; the documentation does not say.
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        match self.state(now) {
            SnapshotState::Archived { expires } => expires <= now,
            SnapshotState::Failed(_) => self.expiry(self.provisioned_at) <= now,
            SnapshotState::Provisioning | SnapshotState::Ready => false,
        }
    }

    /// Returns the key-values that a listing shows: none before it is ready, none of a failed one.
    pub(crate) fn listed(&self, now: Timestamp) -> &[KeyValue] {
        match self.state(now) {
            SnapshotState::Ready | SnapshotState::Archived { .. } => &self.items,
            SnapshotState::Provisioning | SnapshotState::Failed(_) => &[],
        }
    }

    /// Counts the bytes of the captured key-values.
    pub(crate) fn bytes(&self) -> u64 {
        self.items.iter().map(|item| item.bytes() as u64).sum()
    }

    /// Computes the etag, another one in each state.
    pub(crate) fn etag(&self, now: Timestamp) -> String {
        fingerprint(&[
            self.name.as_bytes(),
            &self.created.as_nanosecond().to_be_bytes(),
            self.state(now).status().as_bytes(),
            &self.changes.to_be_bytes(),
        ])
    }

    fn expiry(&self, from: Timestamp) -> Timestamp {
        let seconds = i64::try_from(self.retention).unwrap_or(i64::MAX);
        from.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
    }
}
