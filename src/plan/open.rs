//! What to do about a record that an earlier run left open.

use std::collections::BTreeSet;

use repin_provider::Key;

use super::Input;
use crate::model::observed::{FileStanding, TargetState};
use crate::model::release::{Ledger, Record, State, TargetId};

/// What becomes of the last record of a log.
pub(super) enum OpenRecord {
    /// It is not open.
    None,
    /// Another run is at work on it.
    Running(Record),
    /// Its work is gone on with.
    Resume(Record),
    /// It is closed as far as it got.
    Close(Record),
    /// It is left as it is, and so is everything on its target.
    Leave(Record),
}

impl OpenRecord {
    /// Returns the ledger as it is once the record is closed.
    pub(super) fn ledger(&self, state: &TargetState) -> Ledger {
        match self {
            Self::Close(record) => state.ledger.with(record.clone()),
            _ => state.ledger.clone(),
        }
    }

    /// Tells whether an earlier run left a record open.
    pub(super) fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }

    pub(super) fn closed(&self) -> Option<Record> {
        if let Self::Close(record) = self { Some(record.clone()) } else { None }
    }

    pub(super) fn resumed(&self) -> Option<Record> {
        if let Self::Resume(record) = self { Some(record.clone()) } else { None }
    }

    /// Tells whether a record that is still open may have made a key that the ledger does not know.
    pub(super) fn may_have_made(&self, key: &Key) -> bool {
        let (Self::Resume(record) | Self::Running(record) | Self::Leave(record)) = self else { return false };
        record.may_have_made(key)
    }
}

/// Returns the nonce of the release that can be gone on with: the newest one left open, if it makes this very file true
/// and was claimed on all its targets.
pub(super) fn resumable(input: Input<'_>, standing: FileStanding) -> Option<String> {
    if standing == FileStanding::Behind {
        return None;
    }
    let states = &input.observed.targets;
    let open = states.values().filter(|state| state.takeover).filter_map(|state| state.ledger.open());
    let newest = open.filter(|record| record.header.release.is_some()).max_by_key(|record| record.header.release)?;
    // A target that this pass does not look at may lack its claim.
    let present: BTreeSet<_> =
        input.desired.targets.values().map(|target| TargetId::of(&target.config.place())).collect();
    let looked_at = |id: &TargetId| states.values().any(|state| state.id == *id) || !present.contains(id);
    let complete = newest.state == State::Partial
        || (newest.header.targets.keys().all(looked_at) && input.observed.is_claimed_everywhere(newest));
    let same_file = newest.header.file.as_ref() == Some(&input.desired.digest);
    (complete && same_file).then(|| newest.header.nonce.clone())
}

/// Tells whether every target of a record was looked at.
fn is_all_seen(input: Input<'_>, record: &Record) -> bool {
    let seen = |id: &TargetId| input.observed.targets.values().any(|state| state.id == *id);
    record.header.targets.keys().all(seen)
}

/// Decides about the last record of one target.
pub(super) fn settle(
    input: Input<'_>,
    state: &TargetState,
    standing: FileStanding,
    resumed: Option<&str>,
) -> OpenRecord {
    let Some(record) = state.ledger.open() else { return OpenRecord::None };
    if !state.takeover {
        return OpenRecord::Running(record.clone());
    }
    if standing == FileStanding::Behind {
        // It is of a newer file than ours, and those who have that file go on with it.
        return OpenRecord::Leave(record.clone());
    }
    if resumed == Some(record.header.nonce.as_str()) {
        return OpenRecord::Resume(record.clone());
    }
    if input.limits.repair_only && record.state == State::Claimed && !is_all_seen(input, record) {
        // Whether it was claimed everywhere is known only to a pass that looks everywhere.
        return OpenRecord::Leave(record.clone());
    }
    OpenRecord::Close(input.observed.closed(state, record, &input.desired.name))
}
