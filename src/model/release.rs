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
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jiff::Timestamp;
use repin_provider::{DocumentName, Key, Owner, Place, Seen, TargetName, Version};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::desired::FileDigest;
use super::hold::Hold;

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
    /// Somebody let the file's value of a pinned entry count again; makes no release.
    Unpin,
    /// Somebody stopped the file's changes; makes no release.
    Hold,
    /// Somebody allowed the file's changes again; makes no release.
    Resume,
    /// Somebody gave up ownership; makes no release.
    Forget,
}

impl Cause {
    /// Tells whether a record of this cause stands for an operator's wish: whatever became of it, any host finishes it,
    /// and no file stands behind it.
    pub fn is_wish(self) -> bool {
        self != Self::Reconcile
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reconcile => "reconcile",
            Self::Rollback => "rollback",
            Self::Pin => "pin",
            Self::Unpin => "unpin",
            Self::Hold => "hold",
            Self::Resume => "resume",
            Self::Forget => "forget",
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
    /// The glob of the keys that it is about, where a rollback is not about all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<String>,
    /// Who may take over what it lets go of, where nobody else may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heir: Option<Owner>,
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
    /// Takes the name that readers follow off an item and keeps the item.
    #[serde(rename = "w")]
    Withdraw,
}

/// Names a content: a hash of its type, content type and value, the same for what means the same, and one of what is
/// said about the item (description, tags, tier) where the entry says anything.
///
/// It lets any host tell, without reading the stores, whether a file asks for a content that a release had. Of a secret
/// it names all but the value, for which the native version that holds it stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentDigest(String);

impl ContentDigest {
    /// Hashes a canonical text of a content, and one of what is said about it.
    pub fn of(content: &str, about: Option<&str>) -> Self {
        Self(format!("{}{}", short(content), about_text(about)))
    }

    /// Hashes what is said about a secret.
    pub fn of_secret(about: Option<&str>) -> Self {
        Self(format!("*{}", about_text(about)))
    }

    /// Tells whether it names a value too, and not only what is said about a secret.
    pub fn names_value(&self) -> bool {
        !self.0.starts_with('*')
    }

    /// Returns it without what is said about the item: what a hold is about.
    #[must_use]
    pub fn core(&self) -> Self {
        Self(self.0.split('.').next().unwrap_or_default().to_owned())
    }

    /// Takes a digest as a ledger wrote it.
    pub fn from_ledger(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn short(canonical: &str) -> String {
    // 40 bits: only contents of one key are compared, of which there are hundreds, not millions.
    BASE64.encode(&Sha256::digest(canonical)[..5])
}

fn about_text(about: Option<&str>) -> String {
    about.map(|about| format!(".{}", short(about))).unwrap_or_default()
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
    /// The content that it serves; `None` for a delete, and where nobody knows.
    pub content: Option<ContentDigest>,
    /// The version whose content it brings back; `None` where it brings a content of its own.
    pub restores: Option<Version>,
    /// Whether it is done.
    pub applied: bool,
}

/// Names a copy that the ledger keeps of a content which the store itself would lose: by key and version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CopyName(String);

impl CopyName {
    /// Returns the name of the copy of one version of a key.
    pub fn of(key: &Key, version: &Version) -> Self {
        let at = version.at.map_or(0, Timestamp::as_millisecond);
        let text = format!("{key}\n{}\n{at}", version.id);
        // 80 bits: a name has some thousands of versions over its life.
        Self(hex::encode(&Sha256::digest(text)[..10]))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
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
    /// What becomes of holds: made or changed, or lifted. One that a row releases is lifted when the row is done.
    pub holds: BTreeMap<Key, Option<Hold>>,
    /// How readers met the target, as the file said it.
    pub serve: Option<String>,
    /// The frozen set that is served since.
    pub set: Option<FrozenSet>,
    /// Copies that it made.
    pub copies: Vec<CopyName>,
    /// When the work ended, by the clock of the host that said so.
    pub ended: Option<Timestamp>,
}

/// A frozen set that readers follow a reference to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrozenSet {
    /// Its name in the store.
    pub name: String,
    /// The version of the reference that names it.
    pub reference: Version,
}

impl Record {
    /// Tells whether a key that the ledger does not know may be there because of this record: it was about to make it,
    /// or to go on with what an earlier state of it had made.
    pub fn may_have_made(&self, key: &Key) -> bool {
        self.rows.iter().any(|row| row.key == *key && !row.applied)
    }

    /// Returns the record closed by what the store shows: a step whose effect is there was done, the others are
    /// dropped. `pins` are what the ledger knows without them.
    ///
    /// Of a key that the ledger does not know the intent stays: what readers do not see may have been put all the same.
    #[must_use]
    pub fn closed(&self, items: &BTreeMap<Key, Seen>, pins: &BTreeMap<Key, Pin>, owner: &Owner) -> Self {
        let close = |row: &Row| {
            let known = pins.contains_key(&row.key);
            let made = !known && matches!(row.action, RowAction::Create | RowAction::Update);
            row.closed(items.get(&row.key), known, owner).or_else(|| made.then(|| row.clone()))
        };
        let rows: Vec<_> = self.rows.iter().filter_map(close).collect();
        let state = if rows.iter().any(|row| row.applied) { State::Done } else { State::Abandoned };
        Self { state, rows, ..self.clone() }
    }
}

impl Row {
    /// Returns the row as it was done; nothing if it was not.
    fn closed(&self, seen: Option<&Seen>, known: bool, owner: &Owner) -> Option<Self> {
        if self.applied {
            return Some(self.clone());
        }
        let done = |to: Option<&Version>| Self { to: to.cloned(), applied: true, ..self.clone() };
        match (self.action, seen) {
            // What the ledger does not know was made under this record, whatever became of it since: the owner is
            // written as a tag in the create itself.
            (_, Some(Seen::Present(item))) if !known && item.is_owned_by(owner) => Some(done(Some(&item.version))),
            // Nothing was to be written; it was only to be said.
            (RowAction::Pin | RowAction::Adopt, Some(Seen::Present(item)))
                if self.to.as_ref() == Some(&item.version) =>
            {
                Some(done(Some(&item.version)))
            }
            (RowAction::Forget, _) => Some(done(None)),
            (RowAction::Update, Some(Seen::Present(item))) if known && self.from.as_ref() != Some(&item.version) => {
                Some(done(Some(&item.version)))
            }
            (RowAction::Delete | RowAction::Withdraw, Some(Seen::Absent)) => Some(done(None)),
            _ => None,
        }
    }
}

/// What we say a target serves for one key.
#[derive(Debug, Clone, PartialEq)]
pub struct Pin {
    /// The native version.
    pub version: Version,
    /// The release that brought this content.
    pub release: Option<u64>,
    /// The content; `None` where nobody knows.
    pub content: Option<ContentDigest>,
    /// The version that this content was first put as: two pins of one origin serve the same.
    pub origin: Version,
}

impl Pin {
    /// Tells whether the version can be one of those that end in this newest one. A store that counts them begins anew
    /// where somebody destroyed an item and made another: the same number is then another content.
    pub fn may_be_below(&self, newest: &Version) -> bool {
        let (Ok(number), Ok(last)) = (self.version.id.parse::<u64>(), newest.id.parse::<u64>()) else { return true };
        // What the store says it dates; a pin may be younger than the first look at it.
        let same_date = self.version.at.is_none() || self.version.at == newest.at;
        let in_order = self.version.at.zip(newest.at).is_none_or(|(then, now)| then <= now);
        if number == last { same_date } else { number < last && in_order }
    }
}

/// One target's ledger, read and folded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger {
    /// What we own and which version of it we serve.
    pub pins: BTreeMap<Key, Pin>,
    /// What the file may not change for now.
    pub holds: BTreeMap<Key, Hold>,
    /// Items of ours that readers meet no more and that are still there, with the version that they were left at.
    pub withdrawn: BTreeMap<Key, Version>,
    /// Copies that are kept of contents which the store has lost or may lose.
    pub copies: BTreeSet<CopyName>,
    /// The frozen set that is served.
    pub set: Option<FrozenSet>,
    /// How readers meet the target, as the file said it last.
    pub serve: Option<String>,
    /// Every record, oldest first.
    pub records: Vec<Record>,
    /// The last record's document, for replacing it.
    pub last: Option<WrittenDocument>,
    /// What the records up to `base_seq` come to, where they were folded away: of those only the heads are left.
    pub base: Option<Arc<Self>>,
    /// The place in the log up to which records were folded away, 0 where none was.
    pub base_seq: u64,
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

    /// Returns what the records that were folded away come to.
    #[must_use]
    pub fn start(&self) -> Self {
        self.base.as_ref().map_or_else(Self::default, |base| Self { base: self.base.clone(), ..(**base).clone() })
    }

    /// Folds some of the records that are left onto what was folded away.
    fn refold<'a>(&self, records: impl Iterator<Item = &'a Record>) -> Self {
        let mut ledger = self.start();
        for record in records.filter(|record| record.seq > self.base_seq) {
            ledger.apply(record);
            ledger.records.push(record.clone());
        }
        ledger
    }

    /// Returns the ledger as it would be with this record: a later state of the last one, or the next one.
    #[must_use]
    pub fn with(&self, record: Record) -> Self {
        let earlier = self.records.iter().filter(|earlier| earlier.seq < record.seq);
        Self { last: self.last.clone(), ..self.refold(earlier.chain([&record])) }
    }

    /// Returns the pins that the records before a place in the log leave.
    pub fn pins_before(&self, seq: u64) -> BTreeMap<Key, Pin> {
        if seq > self.last_seq() {
            return self.pins.clone();
        }
        self.refold(self.records.iter().filter(|record| record.seq < seq)).pins
    }

    /// Returns the ledger as its first records, up to a place in the log, leave it.
    #[must_use]
    pub fn up_to(&self, seq: u64) -> Self {
        self.refold(self.records.iter().filter(|record| record.seq <= seq))
    }

    /// Takes what a record did into the pins and the holds.
    pub fn apply(&mut self, record: &Record) {
        for row in record.rows.iter().filter(|row| row.applied) {
            self.apply_row(record, row);
        }
        let done = |key: &Key| record.rows.iter().find(|row| row.key == *key).is_none_or(|row| row.applied);
        for (key, change) in record.holds.iter().filter(|_| record.state != State::Abandoned) {
            match change {
                // A rollback counts from its claim on: nobody may release again what it is about to take back.
                Some(hold) => drop(self.holds.insert(key.clone(), hold.clone())),
                None if done(key) => drop(self.holds.remove(key)),
                None => {}
            }
        }
        self.copies.extend(record.copies.iter().cloned());
        self.serve = record.serve.clone().or(self.serve.take());
        self.set = record.set.clone().or(self.set.take());
    }

    fn apply_row(&mut self, record: &Record, row: &Row) {
        let before = self.pins.remove(&row.key);
        if row.action == RowAction::Withdraw {
            // The newest version there is of it, as far as the ledger knows.
            let last = row.from.clone().or(before.map(|pin| pin.version));
            self.withdrawn.extend(last.map(|version| (row.key.clone(), version)));
            return;
        }
        self.withdrawn.remove(&row.key);
        if row.action == RowAction::Forget {
            self.holds.remove(&row.key);
        }
        let Some(version) = &row.to else { return };
        // A repair keeps the content, so the release that brought it stays.
        let number = record.header.release.filter(|_| record.state != State::Abandoned);
        let release = number.or(before.as_ref().and_then(|pin| pin.release));
        let origin = row.restores.clone().unwrap_or_else(|| version.clone());
        let pin = Pin { version: version.clone(), release, content: row.content.clone(), origin };
        self.pins.insert(row.key.clone(), pin);
    }

    /// Returns the ledger as it was when a release had been the newest: with everything up to the next one. Of a release
    /// that is folded away nobody knows any more; see [`Ledger::is_folded`].
    #[must_use]
    pub fn at(&self, release: u64) -> Self {
        let by_then = |record: &&Record| record.header.release.is_none_or(|number| number <= release);
        self.refold(self.records.iter().take_while(by_then))
    }

    /// Tells whether what a release had is known no more: its record and the one after it are folded away.
    pub fn is_folded(&self, release: u64) -> bool {
        self.base.as_ref().is_some_and(|base| release < base.highest_release())
    }

    /// Lists every key that was ever ours, as far as the records tell, without what was let go of since.
    pub fn known_keys(&self) -> BTreeSet<Key> {
        let mut keys: BTreeSet<Key> =
            self.base.as_ref().map(|base| base.pins.keys().cloned().collect()).unwrap_or_default();
        for row in self.records.iter().flat_map(|record| &record.rows) {
            if row.action == RowAction::Forget && row.applied {
                keys.remove(&row.key);
            } else {
                keys.insert(row.key.clone());
            }
        }
        keys
    }

    /// Lists what was let go of and did not become ours again, as far as the records tell: readers may meet it still.
    pub fn let_go_keys(&self) -> BTreeSet<Key> {
        let mut keys = BTreeSet::new();
        for row in self.records.iter().flat_map(|record| &record.rows).filter(|row| row.applied) {
            if row.action == RowAction::Forget {
                keys.insert(row.key.clone());
            } else {
                keys.remove(&row.key);
            }
        }
        keys
    }

    /// Lists the versions of a key that were served by the last `keep` releases.
    pub fn needed_versions(&self, key: &Key, keep: u32) -> Vec<Version> {
        let mut then = self.start();
        let mut served: Vec<Option<Version>> = Vec::new();
        for record in self.records.iter().filter(|record| record.seq > self.base_seq) {
            let before = then.pins.get(key).map(|pin| pin.version.clone());
            if record.header.release.is_some() {
                served.push(before);
            }
            then.apply(record);
        }
        served.push(then.pins.get(key).map(|pin| pin.version.clone()));
        let from = served.len().saturating_sub(keep as usize);
        let mut versions: Vec<Version> = served.drain(from..).flatten().collect();
        versions.dedup();
        versions
    }

    /// Returns the release whose content a release stands for: itself, or the one that it brought back, followed to its
    /// end; `None` for one that this ledger does not know.
    pub fn effective(&self, release: u64) -> Option<u64> {
        let of = |number| self.records.iter().find(|record| record.header.release == Some(number));
        let mut number = release;
        // Each step goes to a lower number.
        while let Some(restored) = of(number)?.header.restores.filter(|restored| *restored < number) {
            number = restored;
        }
        Some(number)
    }

    /// Returns the last place in the log, 0 before the first.
    pub fn last_seq(&self) -> u64 {
        self.records.last().map_or(0, |record| record.seq).max(self.base_seq)
    }

    /// Tells whether a key that the ledger does not know may be there because of a record that was never served in full:
    /// what readers do not see yet is put before it turns out whether the rest can be, and stays where it cannot.
    pub fn may_have_made(&self, key: &Key) -> bool {
        // What was done since counts: an item that was let go of is not ours again because of what failed before.
        let mut rows = self.records.iter().rev().flat_map(|record| &record.rows);
        rows.find(|row| row.key == *key).is_some_and(|row| !row.applied)
    }

    /// Returns to whom a key was let go, an inner `None` for anybody; `None` where it is ours, or where nobody knows of it
    /// (any more): records are folded away in time.
    pub fn let_go(&self, key: &Key) -> Option<Option<&Owner>> {
        let of = |record: &Record| record.rows.iter().find(|row| row.key == *key).map(|row| row.action);
        let mut told = self.records.iter().rev().filter_map(|record| Some((record, of(record)?)));
        let (record, action) = told.next()?;
        (action == RowAction::Forget).then_some(record.header.heir.as_ref())
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
