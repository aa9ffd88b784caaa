//! Releases, and the ledger that records them.
//!
//! Every target's ledger holds a log of records of its own. Creating the next record is atomic on every store, so one
//! write is both the claim of a place in the log and the intent; replacing it when the work is done is the record.
//!
//! ```text
//!   (absent) ──create──▶ Claimed ──┬─▶ Done        everything intended is served
//!                                  ├─▶ Partial     ended with steps left; any host goes on
//!                                  └─▶ Abandoned   nothing was served; the number is burnt
//! ```
//! Only the last record of a log is ever open; one that is open is finished or closed before the next is created.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use repin_provider::{DocumentName, Key, Owner, Place, TargetName, Version};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::desired::FileDigest;

/// Names a target's ledger: a hash of its place, the same on every host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TargetId(String);

impl TargetId {
    /// Returns the id of a place.
    pub fn of(place: &Place) -> Self {
        // 48 bits: a name has a handful of targets, and a collision would need two of them.
        Self(hex::encode(&Sha256::digest(place.as_str())[..6]))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The process that works on a record, so that others can tell whether it is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runner {
    /// The host's name, for people.
    pub host: String,
    /// The kernel's boot id.
    pub boot: String,
    /// The pid namespace.
    pub pid_namespace: String,
    /// The process id in that namespace.
    pub pid: u32,
    /// When the process started, in clock ticks since boot.
    pub started: u64,
}

/// Why a release was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// The file changed.
    Reconcile,
    /// Somebody went back.
    Rollback,
    /// Somebody pinned an entry.
    Pin,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reconcile => "reconcile",
            Self::Rollback => "rollback",
            Self::Pin => "pin",
        })
    }
}

/// What is the same in all records of one release, on every target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Names this attempt; equal on all its targets and on no other attempt.
    pub nonce: String,
    /// The release; `None` for a repair, which is of one target and makes no release.
    pub release: Option<u64>,
    /// Why it was made.
    pub cause: Cause,
    /// When it was claimed, by the claiming host's clock.
    pub at: Timestamp,
    /// Who made it: `user@host`.
    pub actor: String,
    /// What they said about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The desired state that it makes true; `None` for a repair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileDigest>,
    /// The release whose content it brings back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<u64>,
    /// Its targets, by id, with the names that the file gave them.
    pub targets: BTreeMap<TargetId, TargetName>,
}

/// How far a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The work may be under way.
    Claimed,
    /// The work ended with steps left.
    Partial,
    /// The work is done.
    Done,
    /// Nothing was served and nothing will be.
    Abandoned,
}

impl State {
    /// Tells whether the record may still change.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Claimed | Self::Partial)
    }
}

/// What a row does to its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RowAction {
    /// Makes an item.
    #[serde(rename = "c")]
    Create,
    /// Changes an item.
    #[serde(rename = "u")]
    Update,
    /// Removes an item.
    #[serde(rename = "d")]
    Delete,
    /// Accepts the version that is there; writes nothing.
    #[serde(rename = "p")]
    Pin,
    /// Takes over an item that was not ours; writes nothing.
    #[serde(rename = "a")]
    Adopt,
    /// Lets go of an item and leaves it as it is; writes nothing.
    #[serde(rename = "f")]
    Forget,
}

/// One key in a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The key.
    pub key: Key,
    /// What is done to it.
    pub action: RowAction,
    /// The version that it replaces.
    pub from: Option<Version>,
    /// The version that it made; `None` for a delete, and until it is known.
    pub to: Option<Version>,
    /// Whether it is done.
    pub applied: bool,
}

/// One record of a target's log.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its place in the log, from 1.
    pub seq: u64,
    /// Whose ledger this is.
    pub owner: Owner,
    /// What all targets share.
    pub header: Header,
    /// How far it is.
    pub state: State,
    /// Who works on it.
    pub runner: Runner,
    /// What it does on this target.
    pub rows: Vec<Row>,
}

impl Record {
    /// Tells whether a key that the ledger does not know may be there because this record was about to make it, or to
    /// accept what an earlier state of it had made.
    pub fn may_have_made(&self, key: &Key) -> bool {
        let makes = |row: &Row| matches!(row.action, RowAction::Create | RowAction::Pin) && row.from.is_none();
        self.rows.iter().any(|row| row.key == *key && makes(row) && !row.applied)
    }
}

/// What we say a target serves for one key.
#[derive(Debug, Clone, PartialEq)]
pub struct Pin {
    /// The native version.
    pub version: Version,
    /// The release that brought this content.
    pub release: Option<u64>,
}

/// One target's ledger, read and folded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger {
    /// What we own and which version of it we serve.
    pub pins: BTreeMap<Key, Pin>,
    /// Every record, oldest first.
    pub records: Vec<Record>,
    /// The last record's document, for replacing it.
    pub last: Option<WrittenDocument>,
}

/// The document of a record as it stands in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenDocument {
    /// Its native version.
    pub version: Version,
    /// Further documents that its rows go on in.
    pub parts: BTreeSet<DocumentName>,
}

impl Ledger {
    /// Folds records, oldest first, into pins.
    pub fn new(records: Vec<Record>, last: Option<WrittenDocument>) -> Self {
        let mut ledger = Self { last, ..Self::default() };
        for record in records {
            ledger.apply(&record);
            ledger.records.push(record);
        }
        ledger
    }

    /// Adds the next record, read from this document.
    pub fn push(&mut self, record: Record, document: WrittenDocument) {
        self.apply(&record);
        self.records.push(record);
        self.last = Some(document);
    }

    /// Returns the ledger as it would be with this record: a later state of the last one, or the next one.
    #[must_use]
    pub fn with(&self, record: Record) -> Self {
        let mut records = self.records.clone();
        records.retain(|earlier| earlier.seq < record.seq);
        records.push(record);
        Self::new(records, self.last.clone())
    }

    /// Returns the pins that the records before a place in the log leave.
    pub fn pins_before(&self, seq: u64) -> BTreeMap<Key, Pin> {
        if seq > self.last_seq() {
            return self.pins.clone();
        }
        Self::new(self.records.iter().filter(|record| record.seq < seq).cloned().collect(), None).pins
    }

    /// Takes what a record did into the pins.
    pub fn apply(&mut self, record: &Record) {
        for row in record.rows.iter().filter(|row| row.applied) {
            match &row.to {
                Some(version) => {
                    // A repair keeps the content, so the release that brought it stays.
                    let release = record.header.release.or(self.pins.get(&row.key).and_then(|pin| pin.release));
                    self.pins.insert(row.key.clone(), Pin { version: version.clone(), release });
                }
                None => {
                    self.pins.remove(&row.key);
                }
            }
        }
    }

    /// Returns the last place in the log, 0 before the first.
    pub fn last_seq(&self) -> u64 {
        self.records.last().map_or(0, |record| record.seq)
    }

    /// Returns the last record if it is open.
    pub fn open(&self) -> Option<&Record> {
        self.records.last().filter(|record| record.state.is_open())
    }

    /// Returns the highest release number ever claimed here, burnt ones included.
    pub fn highest_release(&self) -> u64 {
        self.records.iter().filter_map(|record| record.header.release).max().unwrap_or(0)
    }

    /// Returns the newest record of a release that is not abandoned.
    pub fn newest_release(&self) -> Option<&Record> {
        self.records.iter().rev().find(|record| record.header.release.is_some() && record.state != State::Abandoned)
    }
}
