//! What to do about a record that an earlier run left open.

use std::collections::BTreeMap;

use repin_provider::{Item, Key, Owner, Seen};

use super::Input;
use crate::model::observed::{FileStanding, TargetState};
use crate::model::release::{Ledger, Record, Row, RowAction, State};

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
    OpenRecord::Close(close(record, &state.items, owner))
}

/// Closes a record by what the store shows: a step whose effect is there was done.
fn close(record: &Record, items: &BTreeMap<Key, Seen>, owner: &Owner) -> Record {
    let rows: Vec<_> = record.rows.iter().map(|row| close_row(row, items.get(&row.key), owner)).collect();
    let state = if rows.iter().any(|row| row.applied) { State::Done } else { State::Abandoned };
    Record { state, rows: rows.into_iter().filter(|row| row.applied).collect(), ..record.clone() }
}

fn close_row(row: &Row, seen: Option<&Seen>, owner: &Owner) -> Row {
    if row.applied {
        return row.clone();
    }
    let landed = |item: &Item| Row { to: Some(item.version.clone()), applied: true, ..row.clone() };
    match (row.action, seen) {
        // The owner is written as a tag in the create itself.
        (RowAction::Create, Some(Seen::Present(item))) if super::is_mine(owner, item.owner.as_ref()) => landed(item),
        // Nothing was to be written; it was only to be said.
        (RowAction::Pin | RowAction::Adopt, Some(Seen::Present(item))) if row.to.as_ref() == Some(&item.version) => {
            landed(item)
        }
        (RowAction::Forget, _) => Row { to: None, applied: true, ..row.clone() },
        (RowAction::Update, Some(Seen::Present(item))) if row.from.as_ref() != Some(&item.version) => landed(item),
        (RowAction::Delete, Some(Seen::Absent)) => Row { to: None, applied: true, ..row.clone() },
        _ => row.clone(),
    }
}
