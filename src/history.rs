//! What the ledgers say happened, put together over all targets.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use repin_provider::{Capabilities, Key, Serving, TargetName, Version};

use crate::model::release::{Cause, CopyName, Ledger, Pin, Row, RowAction, State};

/// One release over all targets.
#[derive(Debug, Clone)]
pub struct Release {
    /// Its number.
    pub number: u64,
    /// Why it was made.
    pub cause: Cause,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub actor: String,
    /// What they said.
    pub message: Option<String>,
    /// The release whose content it brought back.
    pub restores: Option<u64>,
    /// Whether it is the newest.
    pub current: bool,
    /// What it did on each target.
    pub targets: BTreeMap<TargetName, ReleaseTarget>,
}

/// What a release did on one target.
#[derive(Debug, Clone)]
pub struct ReleaseTarget {
    /// How far it got.
    pub state: State,
    /// Each key that it touched.
    pub rows: Vec<Row>,
    /// Whether everything that the target served then can be served again.
    pub restorable: bool,
}

/// The versions of one key on one target, newest first.
#[derive(Debug, Clone)]
pub struct TargetHistory {
    /// The target.
    pub target: TargetName,
    /// Its versions.
    pub versions: Vec<KeyVersion>,
}

/// One version of a key that a release or a repair brought.
#[derive(Debug, Clone)]
pub struct KeyVersion {
    /// The native version; `None` where it was removed.
    pub version: Option<Version>,
    /// The release; `None` for a repair.
    pub release: Option<u64>,
    /// When that was claimed.
    pub released_at: Timestamp,
    /// Whether it is served now.
    pub current: bool,
    /// Until when it can be restored at the latest; `None` where no date decides.
    pub restorable_until: Option<Timestamp>,
    /// Whether it can be restored now, as far as the ledger tells.
    pub restorable: bool,
}

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

/// Lists releases, newest first.
pub fn releases(sources: &[Source<'_>], now: Timestamp) -> Vec<Release> {
    let mut by_number: BTreeMap<u64, Release> = BTreeMap::new();
    for source in sources {
        let mut then = Ledger::default();
        for record in &source.ledger.records {
            then.apply(record);
            let Some(number) = record.header.release else { continue };
            let release = by_number.entry(number).or_insert_with(|| Release {
                number,
                cause: record.header.cause,
                at: record.header.at,
                actor: record.header.actor.clone(),
                message: record.header.message.clone(),
                restores: record.header.restores,
                current: false,
                targets: BTreeMap::new(),
            });
            let restorable = record.state != State::Abandoned && is_whole(source, &then, now);
            let of = ReleaseTarget { state: record.state, rows: record.rows.clone(), restorable };
            release.targets.insert(source.target.clone(), of);
        }
    }
    let mut releases: Vec<_> = by_number.into_values().rev().collect();
    let current = releases.iter_mut().find(|release| release.targets.values().any(|of| of.state != State::Abandoned));
    if let Some(current) = current {
        current.current = true;
    }
    releases
}

/// Returns the oldest release from which on a target can serve every one again, as far as the ledger tells; `None` where
/// it has none.
pub fn oldest_restorable(source: &Source<'_>, now: Timestamp) -> Option<u64> {
    let mut then = Ledger::default();
    let mut oldest = None;
    for record in &source.ledger.records {
        then.apply(record);
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

/// Lists the versions of one key, newest first.
pub fn versions(source: &Source<'_>, key: &Key, now: Timestamp) -> TargetHistory {
    let rows = source.ledger.records.iter().flat_map(|record| {
        record.rows.iter().filter(|row| row.key == *key && row.applied).map(move |row| (record, row))
    });
    let current = source.ledger.pins.get(key);
    let mut versions: Vec<_> = rows
        .map(|(record, row)| {
            let pin = row.to.clone().map(|version| Pin {
                origin: version.clone(),
                version,
                release: record.header.release,
                content: None,
            });
            KeyVersion {
                version: row.to.clone(),
                release: record.header.release,
                released_at: record.header.at,
                current: row.to.is_some() && current.map(|pin| &pin.version) == row.to.as_ref(),
                restorable_until: pin.as_ref().and_then(|pin| expires(source, key, pin)),
                restorable: pin.is_some_and(|pin| is_restorable(source, key, &pin, now)),
            }
        })
        .collect();
    versions.reverse();
    TargetHistory { target: source.target.clone(), versions }
}

/// Tells whether a past pin can be served again, by number or by age, without asking the store.
fn is_restorable(source: &Source<'_>, key: &Key, pin: &Pin, now: Timestamp) -> bool {
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
fn expires(source: &Source<'_>, key: &Key, pin: &Pin) -> Option<Timestamp> {
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

fn number(version: &Version) -> u64 {
    version.id.parse().unwrap_or(0)
}
