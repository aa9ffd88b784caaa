//! What to do about a record that an earlier run left open.

use repin_provider::{Key, Owner};

use super::Input;
use crate::model::observed::{FileStanding, TargetState};
use crate::model::release::{Ledger, Record};

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
}

impl OpenRecord {
    /// Returns the ledger as it is once the record is closed.
    pub(super) fn ledger(&self, state: &TargetState) -> Ledger {
        match self {
            Self::Close(record) => state.ledger.with(record.clone()),
            _ => state.ledger.clone(),
        }
    }

    pub(super) fn closed(&self) -> Option<Record> {
        if let Self::Close(record) = self { Some(record.clone()) } else { None }
    }

    pub(super) fn resumed(&self) -> Option<Record> {
        if let Self::Resume(record) = self { Some(record.clone()) } else { None }
    }

    /// Tells whether a record that is still open may have made a key that the ledger does not know.
    pub(super) fn may_have_made(&self, key: &Key) -> bool {
        let (Self::Resume(record) | Self::Running(record)) = self else { return false };
        record.may_have_made(key)
    }
}

/// Returns the nonce of the release that can be gone on with: the newest one left open, if it makes this very file
/// true and was claimed on all its targets that we can see. Where a claim is missing nothing was served, since serving
/// begins only when all claims are there; its number is burnt.
pub(super) fn resumable(input: Input<'_>, standing: FileStanding) -> Option<String> {
    if standing == FileStanding::Behind {
        return None;
    }
    let states = &input.observed.targets;
    let open = states.values().filter(|state| state.takeover).filter_map(|state| state.ledger.open());
    let newest = open.filter(|record| record.header.release.is_some()).max_by_key(|record| record.header.release)?;
    let nonce = &newest.header.nonce;
    let claimed = |state: &TargetState| state.ledger.records.iter().any(|record| record.header.nonce == *nonce);
    let complete = states.values().filter(|state| newest.header.targets.contains_key(&state.id)).all(claimed);
    let same_file = newest.header.file.as_ref() == Some(&input.desired.digest);
    (complete && same_file).then(|| nonce.clone())
}

/// Decides about the last record of one target.
pub(super) fn settle(state: &TargetState, resumed: Option<&str>, owner: &Owner) -> OpenRecord {
    let Some(record) = state.ledger.open() else { return OpenRecord::None };
    if !state.takeover {
        return OpenRecord::Running(record.clone());
    }
    if resumed == Some(record.header.nonce.as_str()) {
        return OpenRecord::Resume(record.clone());
    }
    OpenRecord::Close(record.closed(&state.items, &state.ledger.pins, owner))
}
