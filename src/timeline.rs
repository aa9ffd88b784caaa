//! Which release an operator means: by number, by steps back, by time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use repin_provider::TargetName;

use crate::model::release::{Cause, Header, Ledger, State, TargetId};

/// Where to go back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Back {
    /// To this release.
    Release(u64),
    /// So many steps, counted over releases of changed file content that were not rolled back.
    Steps(u32),
    /// To the release that was fully served at this time.
    At(Timestamp),
}

/// Every release that any ledger knows, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    releases: BTreeMap<u64, Made>,
}

/// One release.
#[derive(Debug, Clone)]
struct Made {
    header: Header,
    /// When the last of its targets was done; `None` while one is not.
    done: Option<Timestamp>,
    abandoned: bool,
    /// Whether a ledger knows no more what it had.
    folded: bool,
}

/// Why there is no such release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoRelease {
    /// What is wrong, as a sentence.
    pub message: String,
    /// What to do about it, as a sentence.
    pub hint: String,
}

impl Timeline {
    /// Puts the ledgers of several targets together.
    pub fn new<'a>(ledgers: impl Iterator<Item = (&'a TargetId, &'a Ledger)>) -> Self {
        let mut releases: BTreeMap<u64, Made> = BTreeMap::new();
        for (_, ledger) in ledgers {
            for record in &ledger.records {
                let Some(number) = record.header.release else { continue };
                let done = match record.state {
                    State::Done => Some(record.ended.unwrap_or(record.header.at)),
                    _ => None,
                };
                let abandoned = record.state == State::Abandoned;
                let folded = ledger.is_folded(number);
                let fresh = || Made { header: record.header.clone(), done, abandoned, folded };
                releases
                    .entry(number)
                    .and_modify(|made| {
                        made.done = made.done.zip(done).map(|(a, b)| a.max(b));
                        made.abandoned |= abandoned;
                        made.folded |= folded;
                    })
                    .or_insert_with(fresh);
            }
        }
        Self { releases }
    }

    fn newest(&self) -> Option<u64> {
        self.served().next_back().map(|(number, _)| *number)
    }

    fn served(&self) -> impl DoubleEndedIterator<Item = (&u64, &Made)> {
        self.releases.iter().filter(|(_, made)| !made.abandoned)
    }

    /// Returns the release that is meant. `keys` is the glob of a rollback of some keys only.
    ///
    /// # Errors
    /// Says why there is none.
    pub fn resolve(&self, back: &Back, keys: Option<&str>) -> Result<u64, NoRelease> {
        let Some(newest) = self.newest() else {
            return Err(NoRelease {
                message: "there is no release to go back to yet".to_owned(),
                hint: "repin reconcile makes the first.".to_owned(),
            });
        };
        let release = match back {
            Back::Release(number) => self.by_number(*number, newest),
            Back::Steps(steps) => self.by_steps(*steps, keys),
            Back::At(time) => self.by_time(*time),
        }?;
        if self.releases.get(&release).is_some_and(|made| made.folded) {
            let kept = self.served().find(|(_, made)| !made.folded).map_or(newest, |(number, _)| *number);
            return Err(NoRelease {
                message: format!("release {release} is not kept any more: policy.keep_releases says how many are"),
                hint: format!("The oldest that can be had back is {kept}."),
            });
        }
        Ok(release)
    }

    fn by_number(&self, number: u64, newest: u64) -> Result<u64, NoRelease> {
        let oldest = self.served().next().map_or(newest, |(number, _)| *number);
        match self.releases.get(&number) {
            Some(made) if !made.abandoned => Ok(number),
            Some(_) => Err(NoRelease {
                message: format!("release {number} was abandoned: it was never served"),
                hint: format!("The newest is {newest}; repin history lists them all."),
            }),
            None => Err(NoRelease {
                message: format!("there is no release {number}"),
                hint: format!("There are {oldest} to {newest}; repin history lists them all."),
            }),
        }
    }

    /// Counts back from the release whose content is served. Going back takes what lies between out of the count, so that
    /// going back again goes further and never forward.
    fn by_steps(&self, steps: u32, keys: Option<&str>) -> Result<u64, NoRelease> {
        let mut stacks: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let mut stack: Vec<u64> = Vec::new();
        for (number, made) in self.served() {
            let about_these = made.header.keys.is_none() || made.header.keys.as_deref() == keys;
            match (made.header.cause, made.header.restores) {
                (Cause::Reconcile, _) => stack.push(*number),
                (Cause::Rollback, Some(restored)) if about_these => {
                    stack = stacks
                        .get(&restored)
                        .cloned()
                        .unwrap_or_else(|| stack.iter().copied().filter(|number| *number <= restored).collect());
                }
                _ => {}
            }
            stacks.insert(*number, stack.clone());
        }
        let at = stack.len().checked_sub(1 + steps as usize);
        at.and_then(|at| stack.get(at)).copied().ok_or_else(|| NoRelease {
            message: match stack.len() {
                0 | 1 => "there is no earlier release to go back to".to_owned(),
                n => format!("there are only {} steps back from here", n - 1),
            },
            hint: "repin history lists the releases; repin rollback RELEASE names one.".to_owned(),
        })
    }

    fn by_time(&self, time: Timestamp) -> Result<u64, NoRelease> {
        let done = self.served().filter(|(_, made)| made.done.is_some_and(|done| done <= time));
        done.map(|(number, _)| *number).next_back().ok_or_else(|| {
            let first = self.served().find_map(|(number, made)| Some((number, made.done?)));
            NoRelease {
                message: format!("no release was served at {time:.0}"),
                hint: match first {
                    Some((number, done)) => format!("The first, {number}, was served from {done:.0} on."),
                    None => "No release has been served in full yet.".to_owned(),
                },
            }
        })
    }

    /// Lists the targets that took part in a release or in one after it.
    pub fn targets_since(&self, release: u64) -> BTreeMap<TargetId, TargetName> {
        let since = self.served().filter(|(number, _)| **number >= release);
        since.flat_map(|(_, made)| made.header.targets.clone()).collect()
    }
}

/// Returns the first release of a target.
pub fn first_release(ledger: &Ledger) -> Option<u64> {
    ledger.records.iter().filter(|record| record.state != State::Abandoned).find_map(|record| record.header.release)
}
