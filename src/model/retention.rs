//! What can still be served again: by version numbers and by age, from the ledger alone, without asking the store.

use std::collections::BTreeMap;
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
    let mut ours = then.pins.iter().filter(|(key, _)| !is_forgotten(source.ledger, key));
    (together && then.set.is_some()) || ours.all(|(key, pin)| is_restorable(source, key, pin, now))
}

/// Tells whether a key was let go of: going back leaves it as it is.
fn is_forgotten(ledger: &Ledger, key: &Key) -> bool {
    let rows = ledger.records.iter().rev().flat_map(|record| &record.rows);
    let last = rows.filter(|row| row.key == *key && row.applied).map(|row| row.action).next();
    !ledger.pins.contains_key(key) && !ledger.withdrawn.contains_key(key) && last == Some(RowAction::Forget)
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
    let made = since.filter_map(|row| row.to.as_ref().or(row.from.as_ref()).map(number));
    // The rows of what was folded away are known no more, but what they came to is.
    let left = ledger.pins.get(key).map(|pin| &pin.version).or(ledger.withdrawn.get(key)).map(number);
    made.chain(left).max()
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

/// Puts that a version which readers are to be led to must have room for: ours, and others' that the ledger does not know.
const SPARE: u64 = 3;

/// Tells whether the next puts of an item drop a version, or are refused if readers are led to it by then.
pub fn is_dropped_soon(ledger: &Ledger, capabilities: &Capabilities, key: &Key, version: &Version) -> bool {
    let (Some(kept), Some(newest)) = (capabilities.versions_kept, newest_known(ledger, key)) else { return false };
    newest + SPARE >= number(version) + kept
}

/// Tells whether what readers are led to is the oldest version that the store has: it takes no put any more.
pub fn is_at_end(ledger: &Ledger, capabilities: &Capabilities, key: &Key, head: &Version) -> bool {
    let (Serving::Apart, Some(kept)) = (capabilities.serving, capabilities.versions_kept) else { return false };
    ledger.pins.get(key).is_some_and(|pin| number(head) + 1 >= number(&pin.version) + kept)
}

/// What soon cannot be served again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The oldest and the newest of the releases.
    pub releases: (u64, u64),
    /// A key of which they need a version that goes.
    pub key: Key,
    /// When that goes.
    pub until: Until,
}

/// When a version goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// At this time.
    Time(Timestamp),
    /// After so many more changes of the key.
    Changes(u64),
}

/// An end that is this near is warned of.
const MARGIN: SignedDuration = SignedDuration::from_hours(24);

/// Returns what of the last `keep` releases can be served again now and soon cannot; `None` where nothing is that near.
pub fn ending(ledger: &Ledger, capabilities: &Capabilities, now: Timestamp, keep: u32) -> Option<Ending> {
    if capabilities.serving == Serving::Together {
        // The sets of kept releases are kept.
        return None;
    }
    let newest = newest_numbers(ledger);
    let mut then = ledger.start();
    let mut ends: Vec<(u64, Option<(Key, Until)>)> = Vec::new();
    for record in ledger.records.iter().filter(|record| record.seq > ledger.base_seq) {
        then.apply(record);
        let Some(number) = record.header.release.filter(|_| record.state != State::Abandoned) else { continue };
        let past = then.pins.iter().filter(|(key, pin)| {
            ledger.pins.get(*key).is_none_or(|now| now.version != pin.version)
                && !ledger.copies.contains(&CopyName::of(key, &pin.version))
        });
        let left = past.map(|(key, pin)| (key.clone(), left(capabilities, newest.get(key).copied(), pin, now)));
        ends.push((number, left.min_by_key(|(_, until)| rank(*until)).and_then(|(k, until)| Some((k, until?)))));
    }
    let kept = ends.len().saturating_sub(keep as usize);
    let near =
        ends.into_iter().skip(kept).filter_map(|(number, end)| Some((number, end?))).filter(|(_, (_, until))| {
            match until {
                Until::Time(at) => *at > now && at.duration_since(now) <= MARGIN,
                Until::Changes(n) => (1..=EDGE).contains(n),
            }
        });
    let near: Vec<_> = near.collect();
    let ((first, (key, until)), (last, _)) = (near.first()?, near.last()?);
    Some(Ending { releases: (*first, *last), key: key.clone(), until: *until })
}

/// Returns when the first of the last `keep` releases that can be served again now no longer can, counted by age; `None`
/// where none of them ends so.
pub fn first_expiry(ledger: &Ledger, capabilities: &Capabilities, now: Timestamp, keep: u32) -> Option<Timestamp> {
    let kept = SignedDuration::try_from(capabilities.versions_kept_for?).ok()?;
    if capabilities.serving == Serving::Together {
        // The sets of kept releases are kept.
        return None;
    }
    let until = |(key, pin): (&Key, &Pin)| {
        let served = ledger.pins.get(key).is_some_and(|now| now.version == pin.version);
        let stays = served || ledger.copies.contains(&CopyName::of(key, &pin.version));
        pin.version.at.filter(|_| !stays)?.checked_add(kept).ok()
    };
    let mut then = ledger.start();
    let mut ends = Vec::new();
    for record in ledger.records.iter().filter(|record| record.seq > ledger.base_seq) {
        then.apply(record);
        if record.header.release.is_some() && record.state != State::Abandoned {
            ends.push(then.pins.iter().filter_map(until).min());
        }
    }
    ends.iter().rev().take(keep as usize).flatten().filter(|end| **end > now).min().copied()
}

/// Orders ends by how near they are; what never ends comes last.
fn rank(until: Option<Until>) -> (bool, i64) {
    match until {
        Some(Until::Time(at)) => (false, at.as_millisecond()),
        Some(Until::Changes(n)) => (false, i64::try_from(n).unwrap_or(i64::MAX)),
        None => (true, 0),
    }
}

fn left(capabilities: &Capabilities, newest: Option<u64>, pin: &Pin, now: Timestamp) -> Option<Until> {
    if let Some(kept) = capabilities.versions_kept {
        let newest = newest?;
        return Some(Until::Changes((number(&pin.version) + kept).saturating_sub(newest)));
    }
    let kept = SignedDuration::try_from(capabilities.versions_kept_for?).ok()?;
    let until = pin.version.at?.checked_add(kept).ok()?;
    Some(Until::Time(until.max(now.saturating_sub(MARGIN).unwrap_or(now))))
}

/// Returns the newest version number of every key since it was last deleted.
fn newest_numbers(ledger: &Ledger) -> BTreeMap<&Key, u64> {
    let mut newest = BTreeMap::new();
    for (key, pin) in &ledger.pins {
        newest.insert(key, number(&pin.version));
    }
    for row in ledger.records.iter().flat_map(|record| &record.rows).filter(|row| row.applied) {
        match &row.to {
            _ if row.action == RowAction::Delete => drop(newest.remove(&row.key)),
            Some(version) => {
                let known = newest.entry(&row.key).or_insert(0);
                *known = (*known).max(number(version));
            }
            None => {}
        }
    }
    newest
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use repin_provider::{Owner, TargetName};

    use super::*;
    use crate::model::release::{Cause, Header, Record, Row, Runner};

    fn ledger(releases: u64, at: impl Fn(u64) -> Option<Timestamp>) -> Ledger {
        let record = |n: u64| Record {
            seq: n,
            owner: Owner::parse("a").expect("valid"),
            header: Header {
                nonce: n.to_string(),
                release: Some(n),
                cause: Cause::Reconcile,
                at: Timestamp::UNIX_EPOCH,
                actor: "me".into(),
                message: None,
                file: None,
                restores: None,
                keys: None,
                heir: None,
                targets: BTreeMap::<_, TargetName>::new(),
            },
            state: State::Done,
            runner: Runner { host: "h".into(), boot: String::new(), pid_namespace: String::new(), pid: 1, started: 1 },
            rows: vec![Row {
                key: Key::parse("k").expect("valid"),
                action: RowAction::Update,
                from: None,
                to: Some(Version::new(n.to_string(), at(n))),
                content: None,
                restores: None,
                applied: true,
            }],
            holds: BTreeMap::new(),
            copies: Vec::new(),
            serve: None,
            set: None,
            ended: None,
        };
        Ledger::new((1..=releases).map(record).collect(), None)
    }

    fn capabilities(kept: Option<u64>, age: Option<Duration>) -> Capabilities {
        Capabilities {
            provider: "simulated",
            serving: Serving::AtOnce,
            serve: "latest".to_owned(),
            compare_and_swap: true,
            secrets: false,
            content_types: false,
            describes: false,
            dates_on_write: true,
            read_batch: 10,
            page: 10,
            max_document: 4096,
            versions_kept: kept,
            versions_kept_for: age,
            parallel_writes: 1,
            rates: None,
            settle: Duration::ZERO,
            read_lag: Duration::ZERO,
        }
    }

    #[test]
    fn an_end_by_number_is_told_in_changes() {
        let by_number = capabilities(Some(100), None);
        let ending = |releases, keep| ending(&ledger(releases, |_| None), &by_number, Timestamp::UNIX_EPOCH, keep);
        assert_eq!(ending(50, 100), None);
        // Version 1 goes with the hundred and first.
        let end = ending(95, 100).expect("near");
        assert_eq!((end.releases, end.until), ((1, 5), Until::Changes(6)));
        assert_eq!(ending(95, 20), None, "nobody needs it");
        let end = ending(105, 100).expect("near");
        assert_eq!((end.releases, end.until), ((6, 15), Until::Changes(1)), "what is gone is not going");
    }

    #[test]
    fn the_first_expiry_is_that_of_a_kept_release_that_can_still_be_had() {
        let day = |n: i64| Timestamp::from_second(n * 86_400).expect("in range");
        let by_age = capabilities(None, Some(Duration::from_secs(7 * 86_400)));
        let made = ledger(5, |n| Some(day(n as i64)));
        let first = |now: i64, keep| first_expiry(&made, &by_age, day(now), keep);
        assert_eq!(first(5, 20), Some(day(8)), "what release 1 put goes first");
        assert_eq!(first(8, 20), Some(day(9)), "that one is gone");
        assert_eq!(first(5, 2), Some(day(11)), "only release 4 is kept beside the one that is served");
        assert_eq!(first(12, 20), None, "what is served does not go");
        assert_eq!(first_expiry(&made, &capabilities(Some(100), None), day(5), 20), None);
    }

    #[test]
    fn an_end_by_age_is_told_as_a_time() {
        let day = |n: i64| Timestamp::from_second(n * 86_400).expect("in range");
        let by_age = capabilities(None, Some(Duration::from_secs(7 * 86_400)));
        let made = ledger(3, |n| Some(day(n as i64)));
        assert_eq!(ending(&made, &by_age, day(5), 20), None);
        let end = ending(&made, &by_age, day(8).saturating_sub(SignedDuration::from_hours(2)).expect("in range"), 20);
        assert_eq!(
            end,
            Some(Ending { releases: (1, 1), key: Key::parse("k").expect("valid"), until: Until::Time(day(8)) })
        );
        // The newest is served and does not go.
        assert_eq!(ending(&made, &by_age, day(30), 20), None);
    }
}
