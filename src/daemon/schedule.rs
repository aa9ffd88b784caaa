//! When to do what, as a function of what happened and of the time. No clock, no I/O: the loop tells the time.
//!
//! ```text
//! each target   ── due ─▶ repair ─▶ well: an interval later    away: sooner at first, then ever more rarely
//! the release   ── wanted, and every target well ─▶ one pass over all of them
//! the file      ── noticed ─▶ quiet for a moment ─▶ read again; and once an interval, whatever was noticed
//! ```
//! Targets never wait for each other; only a release waits for all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use repin_provider::TargetName;

/// A time, counted from the start of the daemon.
pub type Moment = Duration;

/// How long nothing may happen to the file before it is read: an editor and `git checkout` touch it more than once.
const QUIET: Duration = Duration::from_millis(100);
/// How long a file that never comes to rest is waited for.
const RESTLESS: Duration = Duration::from_secs(1);
/// The first wait after a failure; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait after failures, where the interval is not longer still.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How long targets are left to a release at work before their own passes go on beside it.
const LEFT_TO_RELEASE: Duration = Duration::from_secs(30);
/// A pass takes at most four fifths of the time: the interval stretches where one cannot fit it.
const STRETCH: f64 = 1.25;
/// How far a wait may be off, either way, so that many daemons do not ask at the same moment.
const JITTER: f64 = 0.1;

/// Something to begin now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// Read the file again.
    Reload,
    /// Bring one target back to what the ledger says.
    Repair(TargetName),
    /// Make all targets equal to the file.
    Release,
}

/// How a target was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It was not asked yet.
    Unknown,
    /// It answers, and takes what it is given.
    Well,
    /// It cannot be had: down, slow to the point of failing, throttling, or without valid credentials.
    Away,
}

/// What came of a release pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Released {
    /// There is nothing left to release.
    Settled,
    /// Something is left, and these targets could not be had.
    Left(BTreeSet<TargetName>),
}

/// What is due when.
#[derive(Debug, Clone)]
pub struct Schedule {
    interval: Duration,
    lanes: BTreeMap<TargetName, Lane>,
    release: Release,
    reload: Reload,
    /// Targets that a command has to itself: nothing begins there.
    barred: BTreeSet<TargetName>,
}

#[derive(Debug, Clone)]
struct Lane {
    due: Moment,
    began: Option<Moment>,
    /// Whether something made it due at once while it was at work.
    again: bool,
    health: Health,
    failures: u32,
    /// How far apart the store's quotas have two passes begin.
    apart: Duration,
}

#[derive(Debug, Clone)]
struct Release {
    wanted: bool,
    due: Moment,
    began: Option<Moment>,
    /// Whether something made it wanted again while it was at work.
    again: bool,
    failures: u32,
}

#[derive(Debug, Clone)]
struct Reload {
    due: Moment,
    /// When something was first and last noticed about the file since it was read.
    noticed: Option<(Moment, Moment)>,
}

impl Schedule {
    /// Makes the schedule of a daemon that starts now: every target is looked at, and then all together once.
    pub fn new(interval: Duration, targets: impl IntoIterator<Item = TargetName>) -> Self {
        let mut schedule = Self {
            interval,
            lanes: BTreeMap::new(),
            release: Release { wanted: true, due: Moment::ZERO, began: None, again: false, failures: 0 },
            reload: Reload { due: interval, noticed: None },
            barred: BTreeSet::new(),
        };
        schedule.set_targets(targets, Moment::ZERO);
        schedule
    }

    /// Sets which targets there are: new ones are looked at at once, those that are gone no more.
    pub fn set_targets(&mut self, targets: impl IntoIterator<Item = TargetName>, now: Moment) {
        let mut before = std::mem::take(&mut self.lanes);
        let new = || Lane {
            due: now,
            began: None,
            again: false,
            health: Health::Unknown,
            failures: 0,
            apart: Duration::ZERO,
        };
        self.lanes = targets.into_iter().map(|name| (name.clone(), before.remove(&name).unwrap_or_else(new))).collect();
    }

    /// Forgets how a target was found: it is another one now.
    pub fn renew(&mut self, target: &TargetName, now: Moment) {
        if let Some(lane) = self.lanes.get_mut(target) {
            *lane = Lane {
                due: now,
                began: lane.began,
                again: lane.began.is_some(),
                health: Health::Unknown,
                failures: 0,
                apart: Duration::ZERO,
            };
        }
    }

    /// Notes that something happened to the file or to what it refers to.
    pub fn notice(&mut self, now: Moment) {
        let first = self.reload.noticed.map_or(now, |(first, _)| first);
        self.reload.noticed = Some((first, now));
    }

    /// Notes that the file asks for something else, or that a release is worth another try at once.
    pub fn want_release(&mut self, now: Moment) {
        let release = &mut self.release;
        (release.wanted, release.due, release.failures) = (true, now, 0);
        release.again = release.began.is_some();
    }

    /// Makes everything due at once.
    pub fn hurry(&mut self, now: Moment) {
        self.reload.due = now;
        for lane in self.lanes.values_mut() {
            (lane.due, lane.again) = (now, lane.began.is_some());
        }
        self.want_release(now);
    }

    /// Sets the targets on which nothing begins until they are set otherwise; no release begins while there are any.
    pub fn bar(&mut self, targets: BTreeSet<TargetName>) {
        self.barred = targets;
    }

    /// Makes some targets due at once, and a release worth a try.
    pub fn look_again(&mut self, targets: &BTreeSet<TargetName>, now: Moment) {
        for (_, lane) in self.lanes.iter_mut().filter(|(name, _)| targets.contains(*name)) {
            (lane.due, lane.again) = (now, lane.began.is_some());
        }
        self.want_release(now);
    }

    /// Notes that a pass was stopped before it came to anything: that of a target, or a release. It is due again.
    pub fn stopped(&mut self, target: Option<&TargetName>, now: Moment) {
        match target {
            Some(target) => {
                if let Some(lane) = self.lanes.get_mut(target) {
                    (lane.began, lane.again, lane.due) = (None, false, now);
                }
            }
            None => {
                let release = &mut self.release;
                (release.began, release.again, release.wanted, release.due) = (None, false, true, now);
            }
        }
    }

    /// Returns what is to begin now, and takes it as begun.
    pub fn begin(&mut self, now: Moment) -> Vec<Due> {
        let mut due = Vec::new();
        if self.reload_at() <= now {
            self.reload = Reload { due: now + self.interval, noticed: None };
            due.push(Due::Reload);
            // What is due otherwise depends on what the file says now.
            return due;
        }
        if self.may_release() && self.release.due <= now {
            self.release.began = Some(now);
            due.push(Due::Release);
        }
        for name in self.due_lanes(now) {
            if let Some(lane) = self.lanes.get_mut(&name) {
                lane.began = Some(now);
                due.push(Due::Repair(name));
            }
        }
        due
    }

    fn due_lanes(&self, now: Moment) -> Vec<TargetName> {
        let due = |(name, lane): &(&TargetName, &Lane)| self.may_begin(name, lane) && self.lane_at(lane) <= now;
        self.lanes.iter().filter(due).map(|(name, _)| name.clone()).collect()
    }

    /// Keeps the passes of one target so far apart, where that is more than the interval: its store's quotas allow no more,
    /// though one pass by itself may be quick.
    pub fn keep_apart(&mut self, target: &TargetName, apart: Duration) {
        if let Some(lane) = self.lanes.get_mut(target) {
            lane.apart = apart.mul_f64(STRETCH);
        }
    }

    /// Notes what came of one target's own pass. `withheld` says whether the file asks for something that waits for a
    /// release; `random` is between 0 and 1.
    pub fn repaired(&mut self, target: &TargetName, now: Moment, health: Health, withheld: bool, random: f64) {
        let interval = self.interval;
        let Some(lane) = self.lanes.get_mut(target) else { return };
        let began = lane.began.take().unwrap_or(now);
        let was_away = lane.health == Health::Away;
        lane.health = health;
        let again = std::mem::take(&mut lane.again);
        if health == Health::Away {
            lane.failures += 1;
            lane.due = if again { now } else { now + jittered(wait(lane.failures, interval), random) };
            return;
        }
        lane.failures = 0;
        lane.due = if again { now } else { next(began, now, interval, random).max(began + lane.apart) };
        // Whatever a release waited for, this may have been it.
        if was_away {
            self.release.due = self.release.due.min(now);
        }
        if withheld && !self.release.wanted {
            self.release.wanted = true;
        }
    }

    /// Notes what came of a release pass.
    pub fn released(&mut self, now: Moment, result: Released, random: f64) {
        let interval = self.interval;
        let release = &mut self.release;
        let began = release.began.take().unwrap_or(now);
        let again = std::mem::take(&mut release.again);
        let away = match result {
            Released::Settled => {
                (release.wanted, release.failures) = (again, 0);
                // What a target withholds is looked at again no sooner than with its next pass.
                release.due = if again { now } else { next(began, now, interval, random) };
                BTreeSet::new()
            }
            Released::Left(away) => {
                release.failures += 1;
                release.due = if again { now } else { now + jittered(wait(release.failures, interval), random) };
                away
            }
        };
        for (name, lane) in &mut self.lanes {
            if away.contains(name) {
                lane.health = Health::Away;
                lane.failures += 1;
                lane.due = now + jittered(wait(lane.failures, interval), random);
            } else if away.is_empty() {
                lane.due = lane.due.max(next(began, now, interval, random)).max(began + lane.apart);
            }
        }
    }

    /// Returns when something is due at the latest.
    pub fn wake_at(&self) -> Moment {
        let lanes = self.lanes.iter().filter(|(name, lane)| self.may_begin(name, lane));
        let lanes = lanes.map(|(_, lane)| self.lane_at(lane));
        let release = self.may_release().then_some(self.release.due);
        lanes.chain(release).fold(self.reload_at(), Moment::min)
    }

    /// Returns how a target was found, and when it is asked again.
    pub fn lane(&self, target: &TargetName) -> Option<(Health, Moment)> {
        self.lanes.get(target).map(|lane| (lane.health, lane.due))
    }

    /// Returns the targets that a wanted release waits for; empty where it waits for none.
    pub fn waits_for(&self) -> Vec<TargetName> {
        let away = self.lanes.iter().filter(|(_, lane)| lane.health == Health::Away);
        if self.release.wanted { away.map(|(name, _)| name.clone()).collect() } else { Vec::new() }
    }

    fn may_release(&self) -> bool {
        let well = self.lanes.values().all(|lane| lane.health == Health::Well);
        self.release.wanted && self.release.began.is_none() && self.barred.is_empty() && well
    }

    fn may_begin(&self, name: &TargetName, lane: &Lane) -> bool {
        lane.began.is_none() && !self.barred.contains(name)
    }

    fn reload_at(&self) -> Moment {
        let rests = self.reload.noticed.map(|(first, last)| (last + QUIET).min(first + RESTLESS));
        rests.map_or(self.reload.due, |rests| rests.min(self.reload.due))
    }

    fn lane_at(&self, lane: &Lane) -> Moment {
        let left = self.release.began.map(|began| began + LEFT_TO_RELEASE.min(self.interval));
        left.map_or(lane.due, |left| lane.due.max(left))
    }
}

/// Returns when the next pass begins, after one that began and ended then.
fn next(began: Moment, ended: Moment, interval: Duration, random: f64) -> Moment {
    let took = ended.saturating_sub(began).mul_f64(STRETCH);
    began + jittered(interval, random).max(took)
}

/// Returns how long is waited after so many failures.
fn wait(failures: u32, interval: Duration) -> Duration {
    let longest = interval.clamp(FIRST_WAIT, LONGEST_WAIT);
    let doubled = FIRST_WAIT.min(interval).saturating_mul(2u32.saturating_pow(failures.saturating_sub(1).min(16)));
    doubled.min(longest)
}

fn jittered(wait: Duration, random: f64) -> Duration {
    wait.mul_f64(1.0 - JITTER + 2.0 * JITTER * random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn name(text: &str) -> TargetName {
        TargetName::parse(text).expect("valid")
    }

    fn both() -> [TargetName; 2] {
        [name("aws"), name("azure")]
    }

    fn ms(n: u64) -> Moment {
        Duration::from_millis(n)
    }

    /// A daemon that has looked at both targets and released.
    fn settled() -> Schedule {
        let mut schedule = Schedule::new(MINUTE, both());
        schedule.begin(Moment::ZERO);
        both().iter().for_each(|target| schedule.repaired(target, ms(10), Health::Well, false, 0.5));
        assert_eq!(schedule.begin(ms(10)), [Due::Release]);
        schedule.released(ms(20), Released::Settled, 0.5);
        schedule
    }

    #[test]
    fn every_target_is_looked_at_and_then_all_together() {
        let mut schedule = Schedule::new(MINUTE, both());
        assert_eq!(schedule.begin(Moment::ZERO), both().map(Due::Repair));
        assert_eq!(schedule.begin(ms(5)), []);
        schedule.repaired(&name("aws"), ms(5), Health::Well, false, 0.5);
        assert_eq!(schedule.begin(ms(5)), [], "the release waits for both");
        schedule.repaired(&name("azure"), ms(6), Health::Well, false, 0.5);
        assert_eq!(schedule.begin(ms(6)), [Due::Release]);
    }

    #[test]
    fn without_news_each_target_has_one_pass_an_interval() {
        let mut schedule = settled();
        let mut passes = 0;
        let mut now = ms(20);
        while now < MINUTE * 10 {
            now = schedule.wake_at();
            for due in schedule.begin(now) {
                match due {
                    Due::Repair(target) => {
                        passes += 1;
                        schedule.repaired(&target, now + ms(50), Health::Well, false, 0.5);
                    }
                    Due::Reload => {}
                    Due::Release => panic!("nothing is to be released"),
                }
            }
        }
        assert!((18..=21).contains(&passes), "{passes}");
    }

    #[test]
    fn a_burst_of_events_is_one_reload_once_it_is_over() {
        let mut schedule = settled();
        for n in 0..5 {
            schedule.notice(ms(1000 + n * 50));
        }
        assert_eq!(schedule.wake_at(), ms(1300));
        assert_eq!(schedule.begin(ms(1299)), []);
        assert_eq!(schedule.begin(ms(1300)), [Due::Reload]);
        assert_eq!(schedule.begin(ms(1301)), []);
        for n in 0..100 {
            schedule.notice(ms(5000 + n * 50));
        }
        assert_eq!(schedule.wake_at(), ms(6000), "a file that never rests is read all the same");
    }

    #[test]
    fn a_target_that_is_away_keeps_no_other_waiting_but_the_release() {
        let mut schedule = settled();
        schedule.begin(MINUTE * 2);
        schedule.begin(MINUTE * 2);
        schedule.repaired(&name("aws"), MINUTE * 2, Health::Away, false, 0.5);
        schedule.repaired(&name("azure"), MINUTE * 2, Health::Well, true, 0.5);
        assert_eq!(schedule.waits_for(), [name("aws")]);
        let mut seen = BTreeMap::new();
        let mut now = MINUTE * 2;
        while now < MINUTE * 10 {
            now = schedule.wake_at();
            for due in schedule.begin(now) {
                let Due::Repair(target) = due else {
                    assert_eq!(due, Due::Reload);
                    continue;
                };
                *seen.entry(target.clone()).or_insert(0) += 1;
                let health = if target == name("aws") { Health::Away } else { Health::Well };
                schedule.repaired(&target, now, health, true, 0.5);
            }
        }
        assert!((7..=9).contains(&seen[&name("azure")]), "{seen:?}");
        assert!((12..=14).contains(&seen[&name("aws")]), "1, 2, 4 to 32 s, then once a minute: {seen:?}");
        let back = schedule.wake_at();
        schedule.repaired(&name("aws"), back, Health::Well, false, 0.5);
        assert!(schedule.begin(back).contains(&Due::Release), "it is gone on with at once");
    }

    #[test]
    fn a_release_that_loses_a_target_lets_the_others_go_on() {
        let mut schedule = settled();
        schedule.want_release(ms(100));
        assert_eq!(schedule.begin(ms(100)), [Due::Release]);
        schedule.released(ms(200), Released::Left([name("aws")].into()), 0.5);
        assert_eq!(schedule.lane(&name("aws")).map(|lane| lane.0), Some(Health::Away));
        assert_eq!(schedule.lane(&name("azure")).map(|lane| lane.0), Some(Health::Well));
        assert_eq!(schedule.begin(ms(300)), []);
    }

    #[test]
    fn an_edit_during_a_release_is_released_after_it() {
        let mut schedule = settled();
        schedule.want_release(ms(100));
        schedule.begin(ms(100));
        schedule.want_release(ms(150));
        assert_eq!(schedule.begin(ms(150)), []);
        schedule.released(ms(200), Released::Settled, 0.5);
        assert_eq!(schedule.begin(ms(200)), [Due::Release]);
    }

    #[test]
    fn what_is_hurried_while_it_is_at_work_is_done_once_more() {
        let mut schedule = settled();
        let now = MINUTE * 2;
        assert_eq!(schedule.begin(now), [Due::Reload]);
        assert_eq!(schedule.begin(now), both().map(Due::Repair));
        schedule.hurry(now + ms(5));
        assert_eq!(schedule.begin(now + ms(5)), [Due::Reload]);
        schedule.repaired(&name("aws"), now + ms(10), Health::Away, false, 0.5);
        schedule.repaired(&name("azure"), now + ms(10), Health::Well, false, 0.5);
        assert_eq!(schedule.begin(now + ms(10)), both().map(Due::Repair));
    }

    #[test]
    fn a_release_that_takes_long_does_not_stop_the_correction_of_drift() {
        let mut schedule = settled();
        schedule.want_release(MINUTE);
        assert!(schedule.begin(MINUTE + ms(1)).contains(&Due::Reload));
        assert_eq!(schedule.begin(MINUTE + ms(2)), [Due::Release]);
        assert_eq!(schedule.begin(MINUTE + ms(29_000)), []);
        assert_eq!(schedule.begin(MINUTE + ms(31_000)), both().map(Due::Repair));
    }

    #[test]
    fn nothing_begins_on_a_target_that_a_command_has_to_itself() {
        let mut schedule = settled();
        let now = MINUTE * 2;
        assert_eq!(schedule.begin(now), [Due::Reload]);
        schedule.want_release(now);
        schedule.bar([name("aws")].into());
        assert_eq!(schedule.begin(now), [Due::Repair(name("azure"))]);
        schedule.repaired(&name("azure"), now, Health::Well, false, 0.5);
        assert!(schedule.wake_at() > now, "nothing to wake up for");
        schedule.bar(BTreeSet::new());
        schedule.look_again(&[name("aws")].into(), now);
        assert_eq!(schedule.begin(now), [Due::Release], "which looks at all of them");
    }

    #[test]
    fn a_pass_that_was_stopped_is_due_again() {
        let mut schedule = settled();
        schedule.want_release(ms(100));
        assert_eq!(schedule.begin(ms(100)), [Due::Release]);
        schedule.bar(both().into());
        schedule.stopped(None, ms(150));
        assert_eq!(schedule.begin(ms(150)), []);
        schedule.bar(BTreeSet::new());
        assert_eq!(schedule.begin(ms(160)), [Due::Release]);
        schedule.released(ms(170), Released::Settled, 0.5);
        let now = MINUTE * 2;
        schedule.begin(now);
        assert_eq!(schedule.begin(now), both().map(Due::Repair));
        schedule.stopped(Some(&name("aws")), now);
        assert_eq!(schedule.begin(now), [Due::Repair(name("aws"))]);
    }

    #[test]
    fn passes_are_as_far_apart_as_the_quotas_have_them() {
        let mut schedule = settled();
        schedule.keep_apart(&name("azure"), MINUTE * 8);
        schedule.begin(MINUTE * 2);
        schedule.begin(MINUTE * 2);
        both().iter().for_each(|target| schedule.repaired(target, MINUTE * 2 + ms(10), Health::Well, false, 0.5));
        assert_eq!(schedule.lane(&name("aws")), Some((Health::Well, MINUTE * 3)));
        assert_eq!(schedule.lane(&name("azure")), Some((Health::Well, MINUTE * 12)), "and some time to spare");
        schedule.hurry(MINUTE * 4);
        assert_eq!(schedule.lane(&name("azure")), Some((Health::Well, MINUTE * 4)), "but for who insists");
    }

    #[test]
    fn the_interval_stretches_where_a_pass_cannot_fit_it() {
        assert_eq!(next(Moment::ZERO, ms(50_000), MINUTE, 0.5), Duration::from_millis(62_500));
        assert_eq!(next(Moment::ZERO, MINUTE * 4, MINUTE, 0.5), MINUTE * 5);
        assert_eq!(next(Moment::ZERO, ms(10), MINUTE, 0.0), MINUTE.mul_f64(0.9));
        assert_eq!(next(Moment::ZERO, ms(10), MINUTE, 1.0), MINUTE.mul_f64(1.1));
    }

    #[test]
    fn waits_double_up_to_a_minute() {
        let waits = [1, 2, 3, 6, 7, 40].map(|n| wait(n, MINUTE).as_secs());
        assert_eq!(waits, [1, 2, 4, 32, 60, 60]);
        assert_eq!(wait(9, ms(300)), Duration::from_secs(1));
    }
}
