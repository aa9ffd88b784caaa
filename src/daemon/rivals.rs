//! Entries that are put back again and again: somebody else insists on another content. Fighting at full speed would
//! make a version a minute and help nobody, so they are corrected ever more rarely, and told. No clock, no I/O.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use repin_provider::{Key, TargetName};

use super::schedule::Moment;
use crate::model::plan::EntrySet;

/// So many corrections within [`WINDOW`] are no accident any more.
const MANY: usize = 3;
/// How long a correction is remembered.
const WINDOW: Duration = Duration::from_secs(600);
/// The longest wait between two corrections of one entry.
const LONGEST: Duration = Duration::from_secs(3600);

/// What is known of entries that were put back.
#[derive(Debug, Clone)]
pub struct Rivals {
    /// The wait after an entry is first noticed.
    first: Duration,
    entries: BTreeMap<(TargetName, Key), Contest>,
}

#[derive(Debug, Clone, Default)]
struct Contest {
    /// When it was put back, newest last.
    corrected: VecDeque<Moment>,
    /// Until when it is left, and how long that is since it was last put back.
    left: Option<(Moment, Duration)>,
}

/// An entry that is now corrected more rarely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noticed {
    /// How often it was put back lately.
    pub times: usize,
    /// How long it is left now.
    pub wait: Duration,
}

impl Rivals {
    /// Knows of nothing yet. `interval` is that of the passes.
    pub fn new(interval: Duration) -> Self {
        Self { first: interval.saturating_mul(2).min(LONGEST), entries: BTreeMap::new() }
    }

    /// Notes that an entry was put back. Returns what becomes of it where that is not to be done again soon.
    pub fn corrected(&mut self, target: &TargetName, key: &Key, now: Moment) -> Option<Noticed> {
        let contest = self.entries.entry((target.clone(), key.clone())).or_default();
        contest.corrected.retain(|at| now.saturating_sub(*at) < WINDOW);
        contest.corrected.push_back(now);
        let wait = match contest.left {
            Some((_, before)) => before.saturating_mul(2).min(LONGEST),
            None if contest.corrected.len() >= MANY => self.first,
            None => return None,
        };
        contest.left = Some((now + wait, wait));
        Some(Noticed { times: contest.corrected.len(), wait })
    }

    /// Notes that a pass found a target's entries, all but some, as they should be. What stays so for as long as it was
    /// left before is contested no more.
    pub fn quiet(&mut self, target: &TargetName, drifted: &[Key], now: Moment) -> Vec<Key> {
        let over = |(of, key): &(TargetName, Key), contest: &Contest| {
            let idle = contest.corrected.back().is_none_or(|at| now.saturating_sub(*at) >= WINDOW);
            let calm = contest.left.map_or(idle, |(until, wait)| now >= until + wait);
            of == target && calm && !drifted.contains(key)
        };
        let mut settled = Vec::new();
        self.entries.retain(|entry, contest| {
            let stays = !over(entry, contest);
            if !stays && contest.left.is_some() {
                settled.push(entry.1.clone());
            }
            stays
        });
        settled
    }

    /// Lists the entries whose drift is only told for now.
    pub fn spared(&self, now: Moment) -> EntrySet {
        let mut spared = EntrySet::new();
        for ((target, key), _) in self.entries.iter().filter(|(_, c)| c.left.is_some_and(|(until, _)| now < until)) {
            spared.entry(target.clone()).or_default().insert(key.clone());
        }
        spared
    }

    /// Lists every contested entry, with how long it is left between two corrections.
    pub fn contested(&self) -> impl Iterator<Item = (&TargetName, &Key, Duration)> {
        self.entries.iter().filter_map(|((target, key), contest)| Some((target, key, contest.left?.1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> TargetName {
        TargetName::parse("aws").expect("valid")
    }

    fn key() -> Key {
        Key::parse("a").expect("valid")
    }

    fn minutes(n: u64) -> Moment {
        Duration::from_secs(60 * n)
    }

    #[test]
    fn the_third_correction_in_ten_minutes_is_noticed_and_each_further_one_is_rarer() {
        let mut rivals = Rivals::new(minutes(1));
        assert_eq!(rivals.corrected(&target(), &key(), minutes(1)), None);
        assert_eq!(rivals.corrected(&target(), &key(), minutes(2)), None);
        assert!(rivals.spared(minutes(2)).is_empty());
        let noticed = rivals.corrected(&target(), &key(), minutes(3));
        assert_eq!(noticed, Some(Noticed { times: 3, wait: minutes(2) }));
        assert!(rivals.spared(minutes(4))[&target()].contains(&key()));
        assert!(rivals.spared(minutes(5)).is_empty());
        let mut now = minutes(5);
        let mut waits = Vec::new();
        for _ in 0..7 {
            let wait = rivals.corrected(&target(), &key(), now).expect("noticed").wait;
            waits.push(wait.as_secs() / 60);
            now += wait;
        }
        assert_eq!(waits, [4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn corrections_now_and_then_are_no_contest() {
        let mut rivals = Rivals::new(minutes(1));
        for n in 0..10 {
            assert_eq!(rivals.corrected(&target(), &key(), minutes(6 * n)), None);
        }
    }

    #[test]
    fn a_contest_ends_when_nobody_insists_any_more() {
        let mut rivals = Rivals::new(minutes(1));
        for n in 1..=3 {
            rivals.corrected(&target(), &key(), minutes(n));
        }
        assert!(rivals.quiet(&target(), &[], minutes(6)).is_empty(), "not yet");
        assert!(rivals.quiet(&target(), &[key()], minutes(8)).is_empty(), "it differs again");
        assert_eq!(rivals.quiet(&target(), &[], minutes(8)), [key()]);
        assert_eq!(rivals.contested().count(), 0);
    }
}
