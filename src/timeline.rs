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
    /// Another release of the same number: two runs made them while neither could read the ledger of the other.
    twin: Option<Header>,
}

impl Made {
    /// Adds what another ledger says of the same release.
    fn join(&mut self, other: Self) {
        self.done = self.done.zip(other.done).map(|(a, b)| a.max(b));
        self.abandoned |= other.abandoned;
        self.folded |= other.folded;
    }

    /// Says that there are two.
    fn both(&self, twin: &Header) -> NoRelease {
        let told = |header: &Header| {
            let targets: Vec<_> = header.targets.values().map(ToString::to_string).collect();
            format!("a {} by {} at {:.0} on {}", header.cause, header.actor, header.at, targets.join(", "))
        };
        let number = self.header.release.unwrap_or_default();
        NoRelease {
            message: format!("there are two releases {number}: {}, and {}", told(&self.header), told(twin)),
            hint: "Neither run could read the ledger of the other. Say which with --target, or name another release."
                .to_owned(),
        }
    }
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
    /// Puts the ledgers of several targets together. Where two releases have one number, those `elsewhere` are not meant.
    pub fn new<'a>(scope: impl Iterator<Item = &'a Ledger>, elsewhere: impl Iterator<Item = &'a Ledger>) -> Self {
        let mut timeline = Self::default();
        for (ledger, meant) in scope.map(|ledger| (ledger, true)).chain(elsewhere.map(|ledger| (ledger, false))) {
            for record in &ledger.records {
                let Some(number) = record.header.release else { continue };
                let done = match record.state {
                    State::Done => Some(record.ended.unwrap_or(record.header.at)),
                    _ => None,
                };
                let abandoned = record.state == State::Abandoned;
                let folded = ledger.is_folded(number);
                let made = Made { header: record.header.clone(), done, abandoned, folded, twin: None };
                timeline.add(number, made, meant);
            }
        }
        timeline
    }

    fn add(&mut self, number: u64, made: Made, meant: bool) {
        match self.releases.get_mut(&number) {
            None => drop(self.releases.insert(number, made)),
            Some(known) if known.header.nonce == made.header.nonce => known.join(made),
            // What nobody was served is no other release.
            Some(_) if made.abandoned => {}
            Some(known) if known.abandoned => *known = made,
            Some(known) if meant => known.twin = Some(made.header),
            Some(_) => {}
        }
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
        if let Some(made) = self.releases.get(&release)
            && let Some(twin) = &made.twin
        {
            return Err(made.both(twin));
        }
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

#[cfg(test)]
mod tests {
    use repin_provider::Owner;

    use super::*;
    use crate::model::release::{Record, Runner};

    fn ledger(records: &[(u64, &str, State)]) -> Ledger {
        let record = |(seq, (release, nonce, state)): (usize, &(u64, &str, State))| Record {
            seq: seq as u64 + 1,
            owner: Owner::parse("a").expect("valid"),
            header: Header {
                nonce: (*nonce).to_owned(),
                release: Some(*release),
                cause: Cause::Reconcile,
                at: Timestamp::UNIX_EPOCH,
                actor: (*nonce).to_owned(),
                message: None,
                file: None,
                restores: None,
                keys: None,
                heir: None,
                targets: BTreeMap::new(),
            },
            state: *state,
            runner: Runner { host: "h".into(), boot: String::new(), pid_namespace: String::new(), pid: 1, started: 1 },
            rows: Vec::new(),
            holds: BTreeMap::new(),
            copies: Vec::new(),
            serve: None,
            set: None,
            ended: None,
        };
        Ledger::new(records.iter().enumerate().map(record).collect(), None)
    }

    fn timeline(scope: &[&Ledger], elsewhere: &[&Ledger]) -> Timeline {
        Timeline::new(scope.iter().copied(), elsewhere.iter().copied())
    }

    #[test]
    fn two_releases_of_one_number_are_told_apart_by_the_scope() {
        let ours = ledger(&[(1, "both", State::Done), (2, "ours", State::Done)]);
        let theirs = ledger(&[(1, "both", State::Done), (2, "theirs", State::Done)]);
        let refusal = timeline(&[&ours, &theirs], &[]).resolve(&Back::Release(2), None).expect_err("which?");
        assert!(refusal.message.contains("by ours") && refusal.message.contains("by theirs"), "{}", refusal.message);
        assert_eq!(timeline(&[&ours, &theirs], &[]).resolve(&Back::Release(1), None), Ok(1));
        assert_eq!(timeline(&[&ours], &[&theirs]).resolve(&Back::Release(2), None), Ok(2));
    }

    #[test]
    fn a_number_that_another_run_gave_up_is_no_second_release() {
        let served = ledger(&[(1, "served", State::Done)]);
        let abandoned = ledger(&[(1, "abandoned", State::Abandoned)]);
        for scope in [[&served, &abandoned], [&abandoned, &served]] {
            assert_eq!(timeline(&scope, &[]).resolve(&Back::Release(1), None), Ok(1));
        }
        assert!(timeline(&[&abandoned], &[]).resolve(&Back::Release(1), None).is_err());
    }
}
