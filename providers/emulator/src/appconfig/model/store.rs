//! One store: what it holds, what it held, and what each write would change.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::item::{check_name, check_tags, item_bytes};
use super::{
    Composition, Conditions, Content, CreateSnapshot, Id, KeyValue, KeyValueFilter, MAX_ITEM_BYTES, MAX_SNAPSHOT_BYTES,
    Snapshot, SnapshotFailure, SnapshotState,
};

/// The shortest retention of a snapshot in seconds (documented limit).
const MIN_SNAPSHOT_RETENTION: u64 = 3_600;

/// The figures that depend on the tier of a store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// How long a superseded revision is kept, counted from when it was written.
    pub(crate) retention: Duration,
    /// How long a snapshot takes to become ready.
    pub(crate) provisioning: Duration,
    /// Seconds an archived snapshot is kept if its creator does not say.
    pub(crate) default_snapshot_retention: u64,
    /// The most seconds its creator may say.
    pub(crate) max_snapshot_retention: u64,
}

/// One write to one key-value; no item means that it was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Revision {
    /// The number of the write in its store, from 1.
    pub(crate) seq: u64,
    pub(crate) id: Id,
    pub(crate) at: Timestamp,
    pub(crate) item: Option<KeyValue>,
}

/// Which of the writes a reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// All of them.
    Now,
    /// Those strictly older than this instant (time travel), of those not expired at the horizon.
    Before { instant: Timestamp, horizon: Timestamp },
    /// Those up to this number, and those at least as old as this instant (a lagging cache).
    Settled { seen: u64, until: Timestamp },
}

impl View {
    /// Looks at the store as it was just before an instant.
    pub(crate) fn before(instant: Timestamp, rules: &Rules, now: Timestamp) -> Self {
        Self::Before { instant, horizon: horizon(rules, now) }
    }

    fn shows(self, revision: &Revision) -> bool {
        match self {
            Self::Now => true,
            Self::Before { instant, .. } => revision.at < instant,
            Self::Settled { seen, until } => revision.seq <= seen || revision.at <= until,
        }
    }
}

/// What a write comes to; decided, not yet done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing: the store already is as asked, and stays untouched.
    Nothing,
    /// A new revision.
    Write(Box<Revision>),
    /// A new or changed snapshot.
    Keep(Box<Snapshot>),
}

/// Why a request has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// The resource does not exist.
    NotFound,
    /// A condition of the request does not hold.
    Precondition,
    /// The key-value is read-only.
    Locked { key: String },
    /// The name is taken.
    AlreadyExists,
    /// The snapshot is in no state for this.
    InvalidState,
    /// The key-value has this many bytes, which is too large.
    TooLarge { bytes: usize },
    /// A parameter makes no sense.
    Invalid { name: &'static str, detail: String },
}

impl From<(&'static str, String)> for Rejection {
    fn from((name, detail): (&'static str, String)) -> Self {
        Self::Invalid { name, detail }
    }
}

/// One App Configuration store.
#[derive(Debug, Default)]
pub(crate) struct Store {
    /// Every retained write of each key-value, oldest first.
    histories: BTreeMap<Id, Vec<Revision>>,
    snapshots: BTreeMap<String, Snapshot>,
    last_seq: u64,
    /// Writes never go back in time, even if the clock does.
    last_at: Option<Timestamp>,
}

impl Store {
    /// The number of the newest write.
    pub(crate) fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// The number of the newest write that a view shows.
    pub(crate) fn newest_seq(&self, view: View) -> u64 {
        let all = self.histories.values().flatten();
        all.filter(|one| view.shows(one)).map(|one| one.seq).max().unwrap_or_default()
    }

    /// Returns one key-value.
    pub(crate) fn get(&self, id: &Id, view: View) -> Option<&KeyValue> {
        current(self.histories.get(id)?, view)
    }

    /// Lists key-values, ordered by key and label, after `after`.
    pub(crate) fn list<'a>(
        &'a self,
        filter: &'a KeyValueFilter,
        view: View,
        after: Option<&'a Id>,
    ) -> impl Iterator<Item = &'a KeyValue> + 'a {
        let rest = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        self.histories
            .range::<Id, _>(rest)
            .filter(|(id, _)| filter.names(id))
            .filter_map(move |(_, history)| current(history, view))
            .filter(|item| filter.tagged(item))
    }

    /// Lists revisions: by key and label, newest first within one; deletions are not shown.
    ///
    /// Continues after the write number `after.1` of the key-value `after.0`.
    pub(crate) fn revisions<'a>(
        &'a self,
        filter: &'a KeyValueFilter,
        view: View,
        after: Option<&'a (Id, u64)>,
        rules: &Rules,
        now: Timestamp,
    ) -> impl Iterator<Item = (u64, &'a KeyValue)> + 'a {
        let horizon = horizon(rules, now);
        let rest = (after.map_or(Bound::Unbounded, |(id, _)| Bound::Included(id)), Bound::Unbounded);
        self.histories
            .range::<Id, _>(rest)
            .filter(|(id, _)| filter.names(id))
            .flat_map(move |(_, history)| history.iter().rev().filter(move |one| retained(one, history, horizon)))
            .filter(move |one| after.is_none_or(|(id, seq)| one.id != *id || one.seq < *seq))
            .filter(move |one| view.shows(one))
            .filter_map(|one| one.item.as_ref().map(|item| (one.seq, item)))
            .filter(|(_, item)| filter.tagged(item))
    }

    /// Returns one snapshot that has not expired.
    pub(crate) fn snapshot(&self, name: &str, now: Timestamp) -> Option<&Snapshot> {
        self.snapshots.get(name).filter(|snapshot| !snapshot.is_expired(now))
    }

    /// Lists the snapshots that have not expired, by name.
    pub(crate) fn snapshots(&self, now: Timestamp) -> impl Iterator<Item = &Snapshot> {
        self.snapshots.values().filter(move |snapshot| !snapshot.is_expired(now))
    }

    /// Decides what putting this content comes to. Equal content is left untouched, etag and all.
    pub(crate) fn plan_put(
        &self,
        id: Id,
        content: Content,
        conditions: &Conditions,
        now: Timestamp,
    ) -> Result<Change, Rejection> {
        id.check()?;
        content.check()?;
        let bytes = item_bytes(&id, &content);
        if bytes > MAX_ITEM_BYTES {
            return Err(Rejection::TooLarge { bytes });
        }
        let existing = self.guarded(&id, conditions)?;
        if existing.is_some_and(|existing| existing.content == content) {
            return Ok(Change::Nothing);
        }
        refuse_locked(existing)?;
        Ok(self.write(id, now, Some((content, false))))
    }

    /// Decides what deleting comes to; there may be nothing to delete.
    pub(crate) fn plan_delete(&self, id: Id, conditions: &Conditions, now: Timestamp) -> Result<Change, Rejection> {
        let existing = self.guarded(&id, conditions)?;
        refuse_locked(existing)?;
        match existing {
            None => Ok(Change::Nothing),
            Some(_) => Ok(self.write(id, now, None)),
        }
    }

    /// Decides what locking or unlocking comes to; a real change is a write with a new etag.
    pub(crate) fn plan_lock(
        &self,
        id: Id,
        locked: bool,
        conditions: &Conditions,
        now: Timestamp,
    ) -> Result<Change, Rejection> {
        let existing = self.guarded(&id, conditions)?.ok_or(Rejection::NotFound)?;
        if existing.locked == locked {
            return Ok(Change::Nothing);
        }
        let content = existing.content.clone();
        Ok(self.write(id, now, Some((content, locked))))
    }

    /// Decides what a new snapshot holds. `fail` makes it come to nothing when its provisioning ends.
    pub(crate) fn plan_snapshot(
        &self,
        asked: CreateSnapshot,
        fail: Option<SnapshotFailure>,
        conditions: &Conditions,
        rules: &Rules,
        now: Timestamp,
    ) -> Result<Change, Rejection> {
        check_snapshot(&asked, rules)?;
        let selectors = asked.selectors().map_err(|detail| ("filters", detail))?;
        let existing = self.snapshot(&asked.name, now);
        if !conditions.allow_write(existing.map(|snapshot| snapshot.etag(now)).as_deref()) {
            return Err(Rejection::Precondition);
        }
        if existing.is_some() {
            return Err(Rejection::AlreadyExists);
        }
        let items = self.capture(&selectors, asked.composition);
        let mut snapshot = Snapshot {
            name: asked.name,
            filters: asked.filters,
            composition: asked.composition,
            created: now,
            retention: asked.retention.unwrap_or(rules.default_snapshot_retention),
            tags: asked.tags,
            description: asked.description,
            items,
            provisioned_at: later(now, rules.provisioning),
            failure: fail,
            archived_at: None,
            changes: 0,
            changed_at: now,
        };
        if snapshot.bytes() > MAX_SNAPSHOT_BYTES {
            snapshot.failure = Some(SnapshotFailure::QuotaExceeded);
        }
        Ok(Change::Keep(Box::new(snapshot)))
    }

    /// Decides what archiving or recovering comes to.
    pub(crate) fn plan_archive(
        &self,
        name: &str,
        archive: bool,
        conditions: &Conditions,
        now: Timestamp,
    ) -> Result<Change, Rejection> {
        let existing = self.snapshot(name, now);
        if !conditions.allow_write(existing.map(|snapshot| snapshot.etag(now)).as_deref()) {
            return Err(Rejection::Precondition);
        }
        let mut snapshot = existing.ok_or(Rejection::NotFound)?.clone();
        match (snapshot.state(now), archive) {
            (SnapshotState::Provisioning | SnapshotState::Failed(_), _) => return Err(Rejection::InvalidState),
            (SnapshotState::Archived { .. }, true) | (SnapshotState::Ready, false) => return Ok(Change::Nothing),
            (SnapshotState::Ready, true) => snapshot.archived_at = Some(now),
            (SnapshotState::Archived { .. }, false) => snapshot.archived_at = None,
        }
        snapshot.changes += 1;
        snapshot.changed_at = now;
        Ok(Change::Keep(Box::new(snapshot)))
    }

    /// Takes in a change, decided now or loaded from disk. Revisions come in the order of their numbers.
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Nothing => {}
            Change::Write(revision) => {
                self.last_seq = self.last_seq.max(revision.seq);
                self.last_at = self.last_at.max(Some(revision.at));
                self.histories.entry(revision.id.clone()).or_default().push(*revision);
            }
            Change::Keep(snapshot) => {
                self.snapshots.insert(snapshot.name.clone(), *snapshot);
            }
        }
    }

    /// Returns the numbers of the revisions of one key-value that nobody can see any more.
    ///
    /// The newest write of the store is never among them: its number must not be given again after a restart.
    pub(crate) fn expired(&self, id: &Id, rules: &Rules, now: Timestamp) -> Vec<u64> {
        let Some(history) = self.histories.get(id) else { return Vec::new() };
        let horizon = horizon(rules, now);
        let gone = |one: &&Revision| one.seq != self.last_seq && !retained(one, history, horizon);
        history.iter().filter(gone).map(|one| one.seq).collect()
    }

    /// Returns the names of the snapshots that nobody can see any more.
    pub(crate) fn expired_snapshots(&self, now: Timestamp) -> Vec<String> {
        self.snapshots.values().filter(|one| one.is_expired(now)).map(|one| one.name.clone()).collect()
    }

    /// Forgets revisions of one key-value by their numbers.
    pub(crate) fn forget(&mut self, id: &Id, gone: &[u64]) {
        if let Some(history) = self.histories.get_mut(id) {
            history.retain(|one| !gone.contains(&one.seq));
        }
    }

    /// Forgets a snapshot.
    pub(crate) fn forget_snapshot(&mut self, name: &str) {
        self.snapshots.remove(name);
    }

    /// Returns the key-value a write is about, if the conditions hold.
    fn guarded(&self, id: &Id, conditions: &Conditions) -> Result<Option<&KeyValue>, Rejection> {
        let existing = self.get(id, View::Now);
        match conditions.allow_write(existing.map(|item| item.etag.as_str())) {
            true => Ok(existing),
            false => Err(Rejection::Precondition),
        }
    }

    fn write(&self, id: Id, now: Timestamp, content: Option<(Content, bool)>) -> Change {
        let seq = self.last_seq + 1;
        let at = self.last_at.map_or(now, |last| last.max(now));
        let item = content.map(|(content, locked)| KeyValue::written(id.clone(), content, locked, seq, at));
        Change::Write(Box::new(Revision { seq, id, at, item }))
    }

    /// Collects what the filters select; with composition `key` a later filter replaces what an earlier one chose.
    fn capture(&self, selectors: &[KeyValueFilter], composition: Composition) -> Vec<KeyValue> {
        let mut chosen: BTreeMap<Id, KeyValue> = BTreeMap::new();
        for selector in selectors {
            for item in self.list(selector, View::Now, None) {
                let label = item.id.label.clone().filter(|_| composition == Composition::KeyLabel);
                chosen.insert(Id { key: item.id.key.clone(), label }, item.clone());
            }
        }
        chosen.into_values().collect()
    }
}

fn current(history: &[Revision], view: View) -> Option<&KeyValue> {
    let shown = history.iter().rev().find(|one| view.shows(one))?;
    match view {
        // Whether an expired revision was cleared away yet must make no difference.
        View::Before { horizon, .. } if !retained(shown, history, horizon) => None,
        _ => shown.item.as_ref(),
    }
}

/// The current revision of a live key-value never expires; all others do by the time they were written.
fn retained(one: &Revision, history: &[Revision], horizon: Timestamp) -> bool {
    let is_current = history.last().is_some_and(|last| last.seq == one.seq) && one.item.is_some();
    is_current || one.at > horizon
}

/// The instant at which what was written expires now.
fn horizon(rules: &Rules, now: Timestamp) -> Timestamp {
    let retention = SignedDuration::try_from(rules.retention).unwrap_or(SignedDuration::MAX);
    now.checked_sub(retention).unwrap_or(Timestamp::MIN)
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

fn refuse_locked(existing: Option<&KeyValue>) -> Result<(), Rejection> {
    match existing {
        Some(item) if item.locked => Err(Rejection::Locked { key: item.id.key.clone() }),
        _ => Ok(()),
    }
}

fn check_snapshot(asked: &CreateSnapshot, rules: &Rules) -> Result<(), Rejection> {
    if asked.name.is_empty() {
        return Err(Rejection::Invalid { name: "name", detail: "A snapshot needs a name".into() });
    }
    check_name(&asked.name).map_err(|detail| ("name", detail))?;
    check_tags(&asked.tags)?;
    let bounds = MIN_SNAPSHOT_RETENTION..=rules.max_snapshot_retention;
    match asked.retention {
        Some(seconds) if !bounds.contains(&seconds) => Err(Rejection::Invalid {
            name: "retention_period",
            detail: format!("Between {} and {} seconds", bounds.start(), bounds.end()),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
