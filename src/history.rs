//! What the ledgers say happened, put together over all targets.

use std::collections::BTreeMap;

use jiff::Timestamp;
use repin_provider::{Key, TargetName, Version};

use crate::model::release::{Cause, Pin, Row, State};
pub use crate::model::retention::Source;
use crate::model::retention::{expires, is_restorable, is_whole};

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
    /// Each key that it touched; none where that is known no more.
    pub rows: Vec<Row>,
    /// Whether it is so old that the ledger tells no more what it did.
    pub folded: bool,
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

/// Lists releases, newest first.
pub fn releases(sources: &[Source<'_>], now: Timestamp) -> Vec<Release> {
    // Two runs may have made one number while neither could read the ledger of the other.
    let mut by_number: BTreeMap<(u64, Timestamp, &str), Release> = BTreeMap::new();
    for source in sources {
        let mut then = source.ledger.start();
        for record in &source.ledger.records {
            if record.seq > source.ledger.base_seq {
                then.apply(record);
            }
            let Some(number) = record.header.release else { continue };
            let named = (number, record.header.at, record.header.nonce.as_str());
            let release = by_number.entry(named).or_insert_with(|| Release {
                number,
                cause: record.header.cause,
                at: record.header.at,
                actor: record.header.actor.clone(),
                message: record.header.message.clone(),
                restores: record.header.restores,
                current: false,
                targets: BTreeMap::new(),
            });
            let restorable =
                record.state != State::Abandoned && !source.ledger.is_folded(number) && is_whole(source, &then, now);
            let folded = record.seq <= source.ledger.base_seq;
            let of = ReleaseTarget { state: record.state, rows: record.rows.clone(), folded, restorable };
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

/// Lists the versions of one key, newest first.
pub fn versions(source: &Source<'_>, key: &Key, now: Timestamp) -> TargetHistory {
    let ledger = source.ledger;
    // Of what is folded away only the last version is known.
    let base = ledger.start().pins.remove(key).map(|pin| {
        let made = ledger.records.iter().find(|record| pin.release.is_some() && record.header.release == pin.release);
        let at = made.map(|record| record.header.at).or(pin.version.at).unwrap_or(Timestamp::UNIX_EPOCH);
        key_version(source, key, Some(pin.version), (pin.release, at), now)
    });
    let rows = ledger.records.iter().flat_map(|record| {
        record.rows.iter().filter(|row| row.key == *key && row.applied).map(move |row| (record, row))
    });
    let rows = rows
        .map(|(record, row)| key_version(source, key, row.to.clone(), (record.header.release, record.header.at), now));
    let mut versions: Vec<_> = base.into_iter().chain(rows).collect();
    versions.reverse();
    TargetHistory { target: source.target.clone(), versions }
}

fn key_version(
    source: &Source<'_>,
    key: &Key,
    version: Option<Version>,
    (release, released_at): (Option<u64>, Timestamp),
    now: Timestamp,
) -> KeyVersion {
    let pin = version.clone().map(|version| Pin { origin: version.clone(), version, release, content: None });
    let current = source.ledger.pins.get(key).map(|pin| &pin.version);
    KeyVersion {
        current: version.is_some() && current == version.as_ref(),
        release,
        released_at,
        restorable_until: pin.as_ref().and_then(|pin| expires(source, key, pin)),
        restorable: pin.is_some_and(|pin| is_restorable(source, key, &pin, now)),
        version,
    }
}
