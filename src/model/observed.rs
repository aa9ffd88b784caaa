//! What each store holds, when we looked, and what we could not see.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use repin_provider::{Capabilities, Content, Key, Owner, Place, ReadValue, Reference, Seen, TargetName, Version};

use serde::{Deserialize, Serialize};

use super::desired::{Desired, FileDigest};
use super::release::{FrozenSet, Header, Ledger, Pin, Record, State, TargetId};

/// What was seen of every target in scope.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// By target.
    pub targets: BTreeMap<TargetName, TargetState>,
    /// Rollbacks that the ledgers of targets out of scope tell of: they may be due here too.
    pub rollbacks_elsewhere: Vec<Header>,
}

/// What was seen of one target.
#[derive(Debug, Clone)]
pub struct TargetState {
    /// Names its ledger.
    pub id: TargetId,
    /// Where it is.
    pub place: Place,
    /// What its store can do.
    pub capabilities: Capabilities,
    /// The store's names of the wanted keys.
    pub native: BTreeMap<Key, String>,
    /// One answer for each wanted or owned key.
    pub items: BTreeMap<Key, Seen>,
    /// Native names below the prefix that are neither wanted nor owned, where they were listed.
    pub foreign: Option<Vec<String>>,
    /// What the ledger says.
    pub ledger: Ledger,
    /// For each key whose entry is a secret and whose item is one: whether the values are equal.
    pub secret_matches: BTreeMap<Key, bool>,
    /// For each key with a hold whose entry is a secret: whether the hold names that secret, or nobody can tell.
    pub held_secrets: BTreeMap<Key, bool>,
    /// What the next put would replace, for keys of which that matters and where readers do not meet it by themselves.
    pub heads: BTreeMap<Key, Seen>,
    /// For each secret that is not served and is what the next put would replace: whether the file asks for it.
    pub head_matches: BTreeMap<Key, bool>,
    /// Contents of the native versions that the file pins, where they are not served; `None` where the store has that
    /// version no more.
    pub file_pins: BTreeMap<Key, Option<ReadValue>>,
    /// Past contents that a plan brings back or copies, by key and version.
    pub past: BTreeMap<Key, Vec<Past>>,
    /// The reference that readers follow to a frozen set.
    pub reference: Option<Reference>,
    /// Contents of pins that are no longer served, read back where the plan needs them; `None` where the store has
    /// that version no more.
    pub pinned: BTreeMap<Key, Option<ReadValue>>,
    /// The store's clock when it answered, where it said so.
    pub at: Option<Timestamp>,
    /// Open records of runs that are known to be dead or quiet for long enough, so that this pass may take them over.
    pub takeover: bool,
}

/// A past content of a key.
#[derive(Debug, Clone)]
pub struct Past {
    /// The version that was asked for.
    pub version: Version,
    /// Where it is now.
    pub found: Found,
}

/// Where a past content is.
#[derive(Debug, Clone)]
pub enum Found {
    /// The store keeps the version; its content, where that was read.
    Kept(Option<Box<ReadValue>>),
    /// The ledger has a copy.
    Copied(Box<Content>),
    /// Nobody has it any more.
    Gone,
}

/// How this host's file stands to the releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileStanding {
    /// It is what the newest release made true.
    Current,
    /// It asks for something that was never released.
    Changed,
    /// A newer release has superseded it.
    Behind,
}

impl Observed {
    /// Tells how a file stands to the releases; see [`FileStanding::of`].
    pub fn standing(&self, desired: &Desired, newest_here: &[FileDigest], allow_older: bool) -> FileStanding {
        let ledgers: Vec<_> = self.targets.values().map(|state| self.closed_ledger(state, &desired.name)).collect();
        FileStanding::of(ledgers.iter().map(Cow::as_ref), &desired.digest, newest_here, allow_older)
    }

    /// Returns a ledger with what a dead run left open closed by what the store shows: a release counts by what it
    /// served, whether or not its run lived to say so.
    fn closed_ledger<'a>(&self, state: &'a TargetState, owner: &Owner) -> Cow<'a, Ledger> {
        match state.ledger.open() {
            Some(open) if state.takeover => Cow::Owned(state.ledger.with(self.closed(state, open, owner))),
            _ => Cow::Borrowed(&state.ledger),
        }
    }

    /// Closes a record that a dead run left open on one target. Serving begins only when all claims are there: where
    /// one is missing nothing was served, whatever the store shows, and the number is burnt.
    pub fn closed(&self, state: &TargetState, record: &Record, owner: &Owner) -> Record {
        if record.state == State::Claimed && !record.header.cause.is_wish() && !self.is_claimed_everywhere(record) {
            return Record { state: State::Abandoned, rows: Vec::new(), ..record.clone() };
        }
        let closed = record.closed(&state.items, &state.ledger.pins, owner);
        let done = closed.rows.iter().any(|row| row.applied);
        Record { set: state.served_set().filter(|_| done).or(closed.set), ..closed }
    }

    /// Tells whether a record was claimed on all its targets that were looked at.
    pub fn is_claimed_everywhere(&self, record: &Record) -> bool {
        let nonce = &record.header.nonce;
        let has = |state: &TargetState| state.ledger.records.iter().any(|record| record.header.nonce == *nonce);
        self.targets.values().filter(|state| record.header.targets.contains_key(&state.id)).all(has)
    }
}

impl TargetState {
    /// Makes the state of a target of which only the ledger was read.
    pub fn unseen(id: TargetId, place: Place, capabilities: Capabilities, ledger: Ledger) -> Self {
        Self {
            id,
            place,
            capabilities,
            native: BTreeMap::new(),
            items: BTreeMap::new(),
            foreign: None,
            ledger,
            secret_matches: BTreeMap::new(),
            held_secrets: BTreeMap::new(),
            heads: BTreeMap::new(),
            head_matches: BTreeMap::new(),
            file_pins: BTreeMap::new(),
            past: BTreeMap::new(),
            reference: None,
            pinned: BTreeMap::new(),
            at: None,
            takeover: true,
        }
    }

    /// Returns the frozen set that readers meet.
    pub fn served_set(&self) -> Option<FrozenSet> {
        let reference = self.reference.as_ref()?;
        Some(FrozenSet { name: reference.set.clone()?, reference: reference.version.clone() })
    }

    /// Tells whether the version that a pin names is among those of the parameter that is there now, so that readers can
    /// be led to it again. A number says little: who destroys a parameter and makes it anew begins to count again.
    pub fn keeps(&self, key: &Key, pin: &Pin) -> bool {
        let Some(head) = self.heads.get(key).and_then(Seen::item) else { return false };
        match self.past(key, &pin.version) {
            Some(found) => matches!(found, Found::Kept(_)),
            None => pin.version.at.is_some() && pin.version == head.version,
        }
    }

    /// Returns where a past content of a key is, if it was looked for.
    pub fn past(&self, key: &Key, version: &Version) -> Option<&Found> {
        let past = self.past.get(key)?;
        past.iter().find(|past| past.version == *version).map(|past| &past.found)
    }
}

impl FileStanding {
    /// Tells how a file stands to the releases of some ledgers. `newest_here` are the digests that this host's file had
    /// when it was last the newest or about to be: a file that changed since then was changed on purpose, whatever it
    /// changed to.
    pub fn of<'a>(
        ledgers: impl Iterator<Item = &'a Ledger>,
        file: &FileDigest,
        newest_here: &[FileDigest],
        allow_older: bool,
    ) -> Self {
        let released: Vec<_> = ledgers
            .flat_map(|ledger| &ledger.records)
            .filter(|record| record.state != State::Abandoned)
            .filter_map(|record| Some((record.header.release?, record.header.file.as_ref()?)))
            .collect();
        let Some((_, newest)) = released.iter().max_by_key(|(number, _)| *number) else {
            return Self::Changed;
        };
        if *newest == file {
            return Self::Current;
        }
        let was_released = released.iter().any(|(_, released)| *released == file);
        if was_released && !newest_here.contains(newest) && !allow_older { Self::Behind } else { Self::Changed }
    }
}
