//! What can still be served again: by version numbers and by age, from the ledger alone, without asking the store.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use repin_provider::{Capabilities, Key, Serving, TargetName, Version};

use super::release::{CopyName, Ledger, Pin, RowAction, State};

/// One target's ledger and what its store keeps.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The target.
    pub target: &'a TargetName,
    /// What its ledger says.
    pub ledger: &'a Ledger,
    /// What its store can do.
    pub capabilities: &'a Capabilities,
}

/// Returns the oldest release from which on a target can serve every one again, as far as the ledger tells; `None` where
/// it has none.
pub fn oldest_restorable(source: &Source<'_>, now: Timestamp) -> Option<u64> {
    let mut then = source.ledger.start();
    let mut oldest = None;
    for record in &source.ledger.records {
        if record.seq > source.ledger.base_seq {
            then.apply(record);
        }
        if record.header.release.is_some_and(|release| source.ledger.is_folded(release)) {
            continue;
        }
        let Some(number) = record.header.release.filter(|_| record.state != State::Abandoned) else { continue };
        if !is_whole(source, &then, now) {
            oldest = None;
        } else if oldest.is_none() {
            oldest = Some(number);
        }
    }
    oldest
}

/// Tells whether everything that a target served at some time can be served again.
pub fn is_whole(source: &Source<'_>, then: &Ledger, now: Timestamp) -> bool {
    let together = source.capabilities.serving == Serving::Together;
    (together && then.set.is_some()) || then.pins.iter().all(|(key, pin)| is_restorable(source, key, pin, now))
}

/// Tells whether a past pin can be served again, by number or by age, without asking the store.
pub fn is_restorable(source: &Source<'_>, key: &Key, pin: &Pin, now: Timestamp) -> bool {
    let current = source.ledger.pins.get(key);
    if current.is_some_and(|current| current.version == pin.version) {
        return true;
    }
    if source.ledger.copies.contains(&CopyName::of(key, &pin.version)) {
        return true;
    }
    if let Some(kept) = source.capabilities.versions_kept {
        // Numbers start again when an item is made anew, and its history is gone.
        let newest = newest_known(source.ledger, key);
        return newest.is_some_and(|newest| newest < number(&pin.version) + kept)
            && !remade_since(source.ledger, key, pin);
    }
    expires(source, key, pin).is_none_or(|until| until > now)
}

/// Returns the newest version number of an item that is still there; `None` where it is gone.
fn newest_known(ledger: &Ledger, key: &Key) -> Option<u64> {
    if !ledger.pins.contains_key(key) && !ledger.withdrawn.contains_key(key) {
        return None;
    }
    let rows = ledger.records.iter().rev().flat_map(|record| &record.rows).filter(|row| row.key == *key && row.applied);
    // Numbers start again after a delete.
    let since = rows.take_while(|row| row.action != RowAction::Delete);
    since.filter_map(|row| row.to.as_ref().or(row.from.as_ref()).map(number)).max()
}

/// Returns when the store drops a version that is no longer served: counted from when it was written.
pub fn expires(source: &Source<'_>, key: &Key, pin: &Pin) -> Option<Timestamp> {
    let current = source.ledger.pins.get(key);
    if current.is_some_and(|current| current.version == pin.version) {
        return None;
    }
    let kept: Duration = source.capabilities.versions_kept_for?;
    pin.version.at?.checked_add(SignedDuration::try_from(kept).ok()?).ok()
}

fn remade_since(ledger: &Ledger, key: &Key, pin: &Pin) -> bool {
    let rows = ledger.records.iter().flat_map(|record| &record.rows).filter(|row| row.key == *key && row.applied);
    rows.skip_while(|row| row.to.as_ref() != Some(&pin.version)).skip(1).any(|row| {
        let lower = row.to.as_ref().is_some_and(|to| number(to) <= number(&pin.version));
        row.action == RowAction::Delete || (row.action == RowAction::Create && lower)
    })
}

/// Returns the number that a version is; 0 for one that is none.
pub fn number(version: &Version) -> u64 {
    version.id.parse().unwrap_or(0)
}

/// Versions before the end at which what is served is put again.
const EDGE: u64 = 10;

/// Tells whether what readers are led to is one of the oldest versions that the store still has: a put that needs its
/// place is refused (SSM: ParameterMaxVersionLimitExceeded).
pub fn is_near_edge(ledger: &Ledger, capabilities: &Capabilities, key: &Key) -> bool {
    let (Serving::Apart, Some(kept)) = (capabilities.serving, capabilities.versions_kept) else { return false };
    let (Some(pin), Some(newest)) = (ledger.pins.get(key), newest_known(ledger, key)) else { return false };
    newest.saturating_sub(number(&pin.version)) + EDGE >= kept
}
