//! The way back: which pins a target should have again, from its ledger alone.

use std::collections::{BTreeMap, BTreeSet};

use globset::GlobMatcher;
use repin_provider::{Key, Serving, TargetName, Version};

use super::observed::{Observed, TargetState};
use super::release::{Cause, ContentDigest, Header, Ledger, Pin, Record, Row, RowAction, State};

/// What to go back to.
#[derive(Debug, Clone, PartialEq)]
pub enum Goal {
    /// What a release had, of the keys that a glob matches.
    Release {
        /// The release.
        release: u64,
        /// The glob; `None` for every key.
        keys: Option<String>,
    },
    /// One version of one key, by hand.
    Version {
        /// The key.
        key: Key,
        /// The version.
        version: Version,
    },
}

impl Goal {
    /// Returns what a record goes back to; `None` for one that does not.
    pub fn of(header: &Header, rows: &[Row]) -> Option<Self> {
        match header.cause {
            Cause::Rollback => Some(Self::Release { release: header.restores?, keys: header.keys.clone() }),
            Cause::Pin => {
                let row = rows.first()?;
                Some(Self::Version { key: row.key.clone(), version: row.restores.clone()? })
            }
            _ => None,
        }
    }

    /// Returns why a release is made that goes there.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Release { .. } => Cause::Rollback,
            Self::Version { .. } => Cause::Pin,
        }
    }

    /// Returns what matches the keys that it is about; `None` for all.
    pub fn matcher(&self) -> Option<GlobMatcher> {
        match self {
            Self::Release { keys: Some(glob), .. } => globset::Glob::new(glob).ok().map(|glob| glob.compile_matcher()),
            _ => None,
        }
    }

    /// Returns the pins that a target should have, for the keys that this is about. What was taken over since keeps what
    /// it held before; what was let go of since is left alone.
    pub fn pins(&self, ledger: &Ledger) -> BTreeMap<Key, Option<Pin>> {
        match self {
            Self::Release { release, .. } => {
                let matcher = self.matcher();
                let then = ledger.at(*release).pins;
                let keys: BTreeSet<&Key> = ledger.pins.keys().chain(then.keys()).collect();
                keys.into_iter()
                    .filter(|key| matcher.as_ref().is_none_or(|matcher| matcher.is_match(key.as_str())))
                    .filter(|key| !forgotten_since(ledger, key, *release))
                    .map(|key| (key.clone(), then.get(key).cloned().or_else(|| before_adoption(ledger, key, *release))))
                    .collect()
            }
            Self::Version { key, version } => {
                let pin = known_pin(ledger, key, version).unwrap_or_else(|| Pin {
                    version: version.clone(),
                    release: None,
                    content: None,
                    origin: version.clone(),
                });
                [(key.clone(), Some(pin))].into()
            }
        }
    }
}

/// Lists everything that happened to a key, oldest first.
pub fn rows_of<'a>(ledger: &'a Ledger, key: &'a Key) -> impl DoubleEndedIterator<Item = (&'a Record, &'a Row)> {
    let rows =
        move |record: &'a Record| record.rows.iter().filter(move |row| row.key == *key).map(move |row| (record, row));
    ledger.records.iter().flat_map(rows)
}

fn forgotten_since(ledger: &Ledger, key: &Key, release: u64) -> bool {
    let mut after = ledger.records.iter().skip_while(|record| record.header.release.is_none_or(|n| n <= release));
    !ledger.pins.contains_key(key)
        && after.any(|record| {
            record.rows.iter().any(|row| row.key == *key && row.applied && row.action == RowAction::Forget)
        })
}

/// Returns what somebody else's item held when it was taken over, if that happened after a release: going back must not
/// remove what was never ours to make.
fn before_adoption(ledger: &Ledger, key: &Key, release: u64) -> Option<Pin> {
    let (_, first) = rows_of(ledger, key)
        .skip_while(|(record, _)| record.header.release.is_none_or(|number| number <= release))
        .find(|(_, row)| row.applied)?;
    let version = match first.action {
        RowAction::Adopt => first.to.clone()?,
        RowAction::Update => first.from.clone()?,
        _ => return None,
    };
    let content = first.content.clone().filter(|_| first.action == RowAction::Adopt);
    Some(Pin { origin: version.clone(), version, release: None, content })
}

/// Returns the version of a key that a store's own name for it means, as far as the ledger knows: the newest, since
/// numbers start again when an item is made anew.
pub fn known_version(ledger: &Ledger, key: &Key, id: &str) -> Option<Version> {
    rows_of(ledger, key).filter_map(|(_, row)| row.to.clone()).rfind(|version| version.id == id)
}

fn known_pin(ledger: &Ledger, key: &Key, version: &Version) -> Option<Pin> {
    let (record, row) = rows_of(ledger, key).rev().find(|(_, row)| row.applied && row.to.as_ref() == Some(version))?;
    let to = row.to.clone()?;
    let origin = row.restores.clone().unwrap_or_else(|| to.clone());
    Some(Pin { version: to, release: record.header.release, content: row.content.clone(), origin })
}

/// Tells whether two pins serve the same content.
pub fn same_content(a: &Pin, b: &Pin) -> bool {
    let named = |pin: &Pin| pin.content.clone().filter(ContentDigest::names_value);
    a.origin == b.origin || (named(a).is_some() && named(a) == named(b))
}

/// What there is to do on one target to get back.
#[derive(Debug, Clone, Default)]
pub struct Way {
    /// Keys whose pin changes: the pin now, and the one wanted.
    pub changes: BTreeMap<Key, (Option<Pin>, Option<Pin>)>,
    /// The frozen set that holds exactly what is wanted, where all keys are served together.
    pub set: Option<String>,
}

impl Way {
    /// Finds the way from what a ledger says now to a goal.
    pub fn to(goal: &Goal, ledger: &Ledger, serving: Serving) -> Self {
        let wanted = goal.pins(ledger);
        let set = match goal {
            Goal::Release { release, .. } if serving == Serving::Together => existing_set(ledger, *release, &wanted),
            _ => None,
        };
        let same = |now: &Pin, then: &Pin| {
            if serving == Serving::AtOnce || (serving == Serving::Together && set.is_none()) {
                same_content(now, then)
            } else {
                now.version == then.version || (serving == Serving::Apart && same_content(now, then))
            }
        };
        let changes = wanted.into_iter().filter_map(|(key, then)| {
            let now = ledger.pins.get(&key);
            let done = match (now, &then) {
                (Some(now), Some(then)) => same(now, then),
                (now, then) => now.is_none() && then.is_none(),
            };
            (!done).then(|| (key, (now.cloned(), then)))
        });
        let changes: BTreeMap<_, _> = changes.collect();
        let set = set.filter(|_| !changes.is_empty());
        Self { changes, set }
    }

    /// Lists the versions that are to be served again and have to be found first.
    pub fn versions(&self) -> Vec<(Key, Version)> {
        let then = |(key, (_, then)): (&Key, &(Option<Pin>, Option<Pin>))| Some((key.clone(), then.clone()?.version));
        self.changes.iter().filter_map(then).collect()
    }
}

/// Returns the set that a release was served by, if what is wanted is exactly what it holds.
fn existing_set(ledger: &Ledger, release: u64, wanted: &BTreeMap<Key, Option<Pin>>) -> Option<String> {
    let then = ledger.at(release);
    let set = then.set?;
    let mut after = ledger.pins.clone();
    for (key, pin) in wanted {
        match pin {
            Some(pin) => drop(after.insert(key.clone(), pin.clone())),
            None => drop(after.remove(key)),
        }
    }
    let versions = |pins: &BTreeMap<Key, Pin>| -> Vec<_> {
        pins.iter().map(|(key, pin)| (key.clone(), pin.version.id.clone())).collect()
    };
    (versions(&after) == versions(&then.pins)).then_some(set.name)
}

/// Lists the ways of a wish that is not finished, so that what they need can be read first.
pub fn unfinished_ways(observed: &Observed) -> BTreeMap<TargetName, Way> {
    let Some((header, goal)) = newest_unfinished(observed) else { return BTreeMap::new() };
    let ways = observed.targets.iter().filter_map(|(name, state)| {
        let open = state.ledger.open().is_some_and(|open| open.header.nonce == header.nonce);
        (open || owes(state, &header)).then(|| {
            let ledger = match state.ledger.open() {
                Some(record) if !open => state.ledger.with(observed.closed(state, record, &record.owner)),
                _ => state.ledger.clone(),
            };
            (name.clone(), Way::to(&goal, &ledger, state.capabilities.serving))
        })
    });
    ways.collect()
}

/// Returns the newest wish that is not finished on a target that is looked at.
pub fn newest_unfinished(observed: &Observed) -> Option<(Header, Goal)> {
    let records = observed.targets.values().flat_map(|state| &state.ledger.records);
    let made = records.filter(|record| record.header.release.is_some() && record.state != State::Abandoned);
    let here = made.filter_map(|record| Some((&record.header, Goal::of(&record.header, &record.rows)?)));
    let elsewhere = observed.rollbacks_elsewhere.iter();
    let elsewhere = elsewhere.filter_map(|header| Some((header, Goal::of(header, &[])?)));
    let unfinished = here.chain(elsewhere).filter(|(header, _)| {
        observed.targets.values().any(|state| {
            let open = state.ledger.open().filter(|_| state.takeover);
            open.is_some_and(|open| open.header.nonce == header.nonce) || owes(state, header)
        })
    });
    unfinished.max_by_key(|(header, _)| header.release).map(|(header, goal)| (header.clone(), goal))
}

/// Tells whether a wish was meant for a target that has not heard of it. One that has made a later release since has
/// been decided about anew.
pub fn owes(state: &TargetState, header: &Header) -> bool {
    let known = |record: &Record| record.header.nonce == header.nonce;
    header.targets.contains_key(&state.id)
        && header.cause == Cause::Rollback
        && !state.ledger.records.iter().any(known)
        && header.release > Some(state.ledger.highest_release())
}
