//! Commands of operators that the daemon carries out between its own passes.
//!
//! ```text
//! one that only looks     begins at once, beside whatever is at work
//! one that changes        waits in line; no pass begins on its targets; those at work are waited for, then told to stop
//!                         at the next safe place; it begins when they have, or beside them when they do not
//! when it ends            its targets are looked at again at once
//! ```
//! One that changes is alone on the daemon: what an operator meets is the order in which commands came, but that going
//! back, holding and pinning come before releasing, and do not wait for a release to end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use repin_provider::TargetName;
use tokio::sync::watch;

use super::pass::{Connect, Of};
use super::schedule::Moment;
use crate::model::desired::Desired;
use crate::model::outcome::Interrupt;
use crate::report::Trouble;

/// Says when to stop: a signal, a peer that is gone, or a command that comes first.
pub type StopSender = watch::Sender<Option<Interrupt>>;

/// How long passes at work are left to end by themselves before an urgent command has them stop.
const GRACE: Duration = Duration::from_millis(250);
/// How long passes that were told to stop are waited for: a call that hangs must not keep anybody from going back. The
/// ledger keeps those that then work side by side apart, as it does two hosts.
const STOPS_BY: Duration = Duration::from_secs(10);
/// The most commands in line.
const MOST: usize = 32;

/// How a command wants its targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It changes nothing.
    Look,
    /// It changes something, and may wait so long for passes at work.
    Patient(Duration),
    /// It changes something that should not wait.
    Urgent,
}

/// What the daemon lends to a command.
pub struct Loan {
    /// What the file asks for now, or what is wrong with it.
    pub asks: Result<Arc<Desired>, Vec<Trouble>>,
    /// What the file asked for when it was last understood.
    pub last_good: Arc<Desired>,
    /// Builds providers.
    pub connect: Arc<dyn Connect>,
    /// Whether nothing is written anywhere.
    pub dry_run: bool,
}

/// Why a command does not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Away {
    /// It was stopped while it waited.
    Stopped(Interrupt),
    /// Too many wait already.
    Full,
    /// The daemon ends.
    Ending,
}

/// A command of an operator.
pub trait Visit: Send {
    /// Returns how it wants its targets.
    fn manner(&self) -> Manner;

    /// Tells whether it is about a target.
    fn is_about(&self, target: &TargetName) -> bool;

    /// Tells whether it may be carried out at all; where not, it has said why. Nothing was kept waiting for it yet.
    fn admit(&mut self, loan: &Loan) -> bool;

    /// Carries it out.
    fn begin(self: Box<Self>, loan: Loan, stop: watch::Receiver<Option<Interrupt>>) -> LocalBoxFuture<'static, ()>;

    /// Says that it does not begin.
    fn turn_away(&self, why: Away);
}

/// One who came with a command.
pub struct Visitor {
    /// The command.
    pub visit: Box<dyn Visit>,
    /// Stops it.
    pub stop: StopSender,
    /// Tells the one who came a sentence.
    pub tell: Box<dyn Fn(&str) + Send>,
}

/// The commands that are there.
#[derive(Default)]
pub(super) struct Visits {
    next: u64,
    waiting: VecDeque<Waiting>,
    writer: Option<Writer>,
    looking: BTreeMap<u64, StopSender>,
}

struct Waiting {
    visitor: Visitor,
    manner: Manner,
    scope: BTreeSet<TargetName>,
    since: Moment,
}

struct Writer {
    id: u64,
    manner: Manner,
    scope: BTreeSet<TargetName>,
    stop: StopSender,
    tell: Box<dyn Fn(&str) + Send>,
}

/// A pass at work.
pub(super) struct AtWork {
    pub(super) of: Of,
    pub(super) stop: StopSender,
}

/// What to do about the command that is first in line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Nothing yet.
    Wait,
    /// Have what is in its way stop.
    Clear,
    /// Let it begin.
    Begin,
}

impl Visits {
    /// Takes a number for one that only looks.
    pub(super) fn look(&mut self, stop: StopSender) -> u64 {
        self.next += 1;
        self.looking.insert(self.next, stop);
        self.next
    }

    /// Puts one that changes something in line, unless that is full.
    pub(super) fn queue(&mut self, visitor: Visitor, scope: BTreeSet<TargetName>, now: Moment) {
        if self.waiting.len() >= MOST {
            return visitor.visit.turn_away(Away::Full);
        }
        let manner = visitor.visit.manner();
        let patient = |waiting: &Waiting| manner == Manner::Urgent && waiting.manner != Manner::Urgent;
        let at = self.waiting.iter().position(patient).unwrap_or(self.waiting.len());
        self.waiting.insert(at, Waiting { visitor, manner, scope, since: now });
    }

    /// Lists the targets on which no pass may begin.
    pub(super) fn barred(&self) -> BTreeSet<TargetName> {
        let first = self.waiting.front().map(|waiting| &waiting.scope);
        first.into_iter().chain(self.writer.as_ref().map(|writer| &writer.scope)).flatten().cloned().collect()
    }

    /// Returns when to look at the line again, where that is not when something ends.
    pub(super) fn wake_at(&self, now: Moment) -> Option<Moment> {
        let first = self.waiting.front().filter(|_| self.writer.is_none())?;
        let grace = first.since + grace(first.manner);
        [grace, grace + STOPS_BY].into_iter().find(|at| *at > now)
    }

    /// Lets the first in line begin once it may; until then, has what is in its way stop in due time.
    pub(super) fn turn(
        &mut self,
        at_work: &BTreeMap<u64, AtWork>,
        now: Moment,
    ) -> Option<(u64, Box<dyn Visit>, StopSender)> {
        self.waiting.retain(|Waiting { visitor, .. }| {
            let stopped = *visitor.stop.borrow();
            stopped.inspect(|signal| visitor.visit.turn_away(Away::Stopped(*signal))).is_none()
        });
        let first = self.waiting.front()?;
        if let Some(writer) = &self.writer {
            let gives_way = first.manner == Manner::Urgent && writer.manner != Manner::Urgent;
            if gives_way && writer.stop.borrow().is_none() {
                (writer.tell)("note: stopped by another command, which comes first; what was begun is recorded");
                stop(&writer.stop, Interrupt::Interrupted);
            }
            return None;
        }
        let in_the_way = || at_work.values().filter(|pass| pass.is_about(&first.scope));
        match turn(first.manner, now.saturating_sub(first.since), in_the_way().next().is_none()) {
            Turn::Wait => return None,
            Turn::Clear => {
                in_the_way().for_each(|pass| stop(&pass.stop, Interrupt::Interrupted));
                return None;
            }
            Turn::Begin => {}
        }
        let Waiting { visitor: Visitor { visit, stop, tell }, manner, scope, .. } = self.waiting.pop_front()?;
        self.next += 1;
        self.writer = Some(Writer { id: self.next, manner, scope, stop: stop.clone(), tell });
        Some((self.next, visit, stop))
    }

    /// Notes that one ended. Returns its targets if it was one that changes something.
    pub(super) fn ended(&mut self, id: u64) -> Option<BTreeSet<TargetName>> {
        self.looking.remove(&id);
        self.writer.take_if(|writer| writer.id == id).map(|writer| writer.scope)
    }

    /// Has all stop, and sends those in line away.
    pub(super) fn stop(&mut self, signal: Interrupt) {
        self.waiting.drain(..).for_each(|waiting| waiting.visitor.visit.turn_away(Away::Ending));
        self.looking.values().chain(self.writer.as_ref().map(|writer| &writer.stop)).for_each(|one| stop(one, signal));
    }
}

impl AtWork {
    fn is_about(&self, scope: &BTreeSet<TargetName>) -> bool {
        match &self.of {
            Of::All => !scope.is_empty(),
            Of::Target(target) => scope.contains(target),
        }
    }
}

/// Says when to stop, where nobody has yet.
pub(crate) fn stop(sender: &StopSender, signal: Interrupt) {
    sender.send_if_modified(|said| {
        let is_first = said.is_none();
        *said = said.or(Some(signal));
        is_first
    });
}

fn grace(manner: Manner) -> Duration {
    match manner {
        Manner::Look => Duration::ZERO,
        Manner::Urgent => GRACE,
        Manner::Patient(wait) => wait,
    }
}

fn turn(manner: Manner, waited: Duration, is_clear: bool) -> Turn {
    let grace = grace(manner);
    if is_clear || waited >= grace + STOPS_BY {
        Turn::Begin
    } else if waited >= grace {
        Turn::Clear
    } else {
        Turn::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Clone)]
    struct Told(Arc<std::sync::Mutex<Vec<Away>>>);

    struct Errand(Manner, Told);

    impl Visit for Errand {
        fn manner(&self) -> Manner {
            self.0
        }

        fn is_about(&self, _target: &TargetName) -> bool {
            true
        }

        fn admit(&mut self, _loan: &Loan) -> bool {
            true
        }

        fn begin(self: Box<Self>, _: Loan, _: watch::Receiver<Option<Interrupt>>) -> LocalBoxFuture<'static, ()> {
            Box::pin(std::future::ready(()))
        }

        fn turn_away(&self, why: Away) {
            self.1.0.lock().expect("whole").push(why);
        }
    }

    const PATIENT: Manner = Manner::Patient(Duration::from_secs(120));

    fn sender() -> StopSender {
        watch::channel(None).0
    }

    fn name(text: &str) -> TargetName {
        TargetName::parse(text).expect("valid")
    }

    fn ms(n: u64) -> Moment {
        Duration::from_millis(n)
    }

    fn queue(visits: &mut Visits, manner: Manner, targets: &[&str], now: Moment) -> StopSender {
        queue_told(visits, manner, targets, now, &Told::default())
    }

    fn queue_told(visits: &mut Visits, manner: Manner, targets: &[&str], now: Moment, told: &Told) -> StopSender {
        let stop = sender();
        let visit = Box::new(Errand(manner, told.clone()));
        let visitor = Visitor { visit, stop: stop.clone(), tell: Box::new(|_| {}) };
        visits.queue(visitor, targets.iter().map(|target| name(target)).collect(), now);
        stop
    }

    fn at_work(of: Of) -> (BTreeMap<u64, AtWork>, StopSender) {
        let stop = sender();
        ([(1, AtWork { of, stop: stop.clone() })].into(), stop)
    }

    #[test]
    fn on_a_calm_daemon_a_command_begins_at_once() {
        let mut visits = Visits::default();
        queue(&mut visits, Manner::Urgent, &["aws"], ms(5));
        assert_eq!(visits.barred(), [name("aws")].into());
        let (id, ..) = visits.turn(&BTreeMap::new(), ms(5)).expect("begins");
        assert_eq!(visits.barred(), [name("aws")].into(), "for as long as it is at work");
        assert!(visits.ended(id).is_some());
        assert!(visits.barred().is_empty());
    }

    #[test]
    fn an_urgent_one_has_a_release_stop_and_waits_for_no_call_that_hangs() {
        let mut visits = Visits::default();
        let (passes, pass) = at_work(Of::All);
        queue(&mut visits, Manner::Urgent, &["aws"], ms(0));
        assert!(visits.turn(&passes, ms(0)).is_none());
        assert_eq!(visits.wake_at(ms(0)), Some(GRACE));
        assert!(pass.borrow().is_none(), "it may end by itself");
        assert!(visits.turn(&passes, GRACE).is_none());
        assert_eq!(*pass.borrow(), Some(Interrupt::Interrupted));
        assert_eq!(visits.wake_at(GRACE), Some(GRACE + STOPS_BY));
        assert!(visits.turn(&passes, GRACE + STOPS_BY).is_some());
    }

    #[test]
    fn passes_of_other_targets_are_in_nobodys_way() {
        let mut visits = Visits::default();
        let (passes, _) = at_work(Of::Target(name("azure")));
        queue(&mut visits, Manner::Urgent, &["aws"], ms(0));
        assert!(visits.turn(&passes, ms(0)).is_some());
    }

    #[test]
    fn a_patient_one_waits_for_passes_to_end() {
        let mut visits = Visits::default();
        let (passes, pass) = at_work(Of::All);
        queue(&mut visits, PATIENT, &["aws"], ms(0));
        assert!(visits.turn(&passes, ms(100_000)).is_none());
        assert!(pass.borrow().is_none());
        assert!(visits.turn(&BTreeMap::new(), ms(100_001)).is_some());
    }

    #[test]
    fn an_urgent_one_comes_before_patient_ones_and_stops_one_at_work() {
        let mut visits = Visits::default();
        let first = queue(&mut visits, PATIENT, &["aws"], ms(0));
        let (id, ..) = visits.turn(&BTreeMap::new(), ms(0)).expect("begins");
        let second = queue(&mut visits, PATIENT, &["aws"], ms(1));
        let urgent = queue(&mut visits, Manner::Urgent, &["aws"], ms(2));
        assert!(visits.turn(&BTreeMap::new(), ms(2)).is_none(), "one at a time");
        assert_eq!(*first.borrow(), Some(Interrupt::Interrupted));
        visits.ended(id);
        let (id, _, stop) = visits.turn(&BTreeMap::new(), ms(3)).expect("begins");
        assert!(stop.same_channel(&urgent));
        let later = queue(&mut visits, Manner::Urgent, &["aws"], ms(4));
        assert!(visits.turn(&BTreeMap::new(), ms(5)).is_none());
        assert!(urgent.borrow().is_none(), "nobody stops an urgent one");
        visits.ended(id);
        let (_, _, stop) = visits.turn(&BTreeMap::new(), ms(6)).expect("begins");
        assert!(stop.same_channel(&later) && second.borrow().is_none());
    }

    #[test]
    fn one_who_is_gone_keeps_nobody_waiting() {
        let mut visits = Visits::default();
        let (passes, pass) = at_work(Of::All);
        let told = Told::default();
        let gone = queue_told(&mut visits, Manner::Urgent, &["aws"], ms(0), &told);
        stop(&gone, Interrupt::Interrupted);
        assert!(visits.turn(&passes, ms(60_000)).is_none());
        assert_eq!(*told.0.lock().expect("whole"), [Away::Stopped(Interrupt::Interrupted)]);
        assert!(visits.barred().is_empty() && pass.borrow().is_none());
    }

    #[test]
    fn a_full_line_takes_nobody_else() {
        let mut visits = Visits::default();
        let told = Told::default();
        for _ in 0..=MOST {
            queue_told(&mut visits, PATIENT, &["aws"], ms(0), &told);
        }
        assert_eq!(*told.0.lock().expect("whole"), [Away::Full]);
        visits.stop(Interrupt::Terminated);
        assert_eq!(told.0.lock().expect("whole").len(), 1 + MOST);
        assert_eq!(told.0.lock().expect("whole").last(), Some(&Away::Ending));
    }

    #[test]
    fn the_first_word_to_stop_counts() {
        let one = sender();
        stop(&one, Interrupt::Interrupted);
        stop(&one, Interrupt::Terminated);
        assert_eq!(*one.borrow(), Some(Interrupt::Interrupted));
    }
}
