//! Keeps requests inside a quota that several targets of one process share.
//!
//! A [`Limiter`] is one quota of one account. Every target that draws on it takes a [`Seat`] there, and waits there
//! before each request for its turn:
//!
//! ```text
//!   urgent    ──┐
//!   ordinary  ──┴─▶ first in the queue ─▶ due at the present rate ─▶ sent
//!                                              ▲
//!   quota × share, less after throttles ───────┘
//! ```
//! Whoever is first in the queue watches the clock, and everybody else waits for being first: so one who goes before
//! others ([`urgently`]) takes the very next turn, however many wait. A turn that was asked for and given up (a dropped
//! future) is nobody's, and costs nothing.
//!
//! The crates for this keep one fixed rate and know no queue; here the rate follows what the store says, and the
//! runtime's clock makes it testable.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::bucket::Bucket;

/// How urgent the work is that a request belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// An operator waits for it: something bad is served.
    Urgent,
    /// Everything else.
    #[default]
    Ordinary,
}

tokio::task_local! {
    static URGENCY: Urgency;
}

/// Runs work whose requests go before all others: what an operator takes back, holds or pins.
///
/// It counts for this future and what it polls, not for tasks that it spawns.
pub async fn urgently<T>(work: impl Future<Output = T>) -> T {
    URGENCY.scope(Urgency::Urgent, work).await
}

/// Returns how urgent the work of this task is.
pub fn urgency() -> Urgency {
    URGENCY.try_with(|urgency| *urgency).unwrap_or_default()
}

/// What one target may draw of a quota.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// Requests a second for ordinary work: the quota times the share. Above zero.
    pub ordinary: f64,
    /// Requests a second for urgent work. Above zero.
    pub urgent: f64,
    /// How many requests may go at once after nobody asked for a while; one at least.
    pub burst: f64,
}

impl Draw {
    /// Takes a share of a quota in requests a second; urgent work takes its own.
    ///
    /// After idling, a tenth of a second's worth may go at once: enough for a small pass not to wait where much is
    /// allowed, and little beside the quota that other programs of the account use too.
    pub fn of(quota: f64, share: Share) -> Self {
        let (ordinary, urgent) = (quota * share.ordinary, quota * share.urgent);
        Self { ordinary, urgent, burst: (ordinary / 10.0).floor().max(1.0) }
    }

    /// Takes a share of a quota that is counted by the hour, all of which may go at once.
    pub fn hourly(quota: f64, share: Share) -> Self {
        let draw = Self::of(quota / 3600.0, share);
        Self { burst: (quota * share.ordinary).floor().max(1.0), ..draw }
    }

    fn rate(&self, urgency: Urgency) -> f64 {
        match urgency {
            Urgency::Urgent => self.urgent,
            Urgency::Ordinary => self.ordinary,
        }
    }

    fn least(self, other: Self) -> Self {
        Self {
            ordinary: self.ordinary.min(other.ordinary),
            urgent: self.urgent.min(other.urgent),
            burst: self.burst.min(other.burst),
        }
    }
}

/// Which part of a quota a process keeps to, above 0 and up to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// For ordinary work.
    pub ordinary: f64,
    /// For urgent work.
    pub urgent: f64,
}

impl Share {
    /// All of it: a command, for which somebody waits.
    pub const WHOLE: Self = Self { ordinary: 1.0, urgent: 1.0 };
    /// Half of it, which leaves as much to everybody else; but all of it for what is urgent. For what runs for ever.
    pub const HALF: Self = Self { ordinary: 0.5, urgent: 1.0 };

    /// Takes the same part for everything.
    pub fn all(part: f64) -> Self {
        Self { ordinary: part, urgent: part }
    }
}

/// One quota, shared by all targets of the process that draw on it.
#[derive(Debug, Default)]
pub struct Limiter(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    bucket: Bucket,
    /// What each seat may draw. The least counts: they share one quota.
    draws: BTreeMap<u64, Draw>,
    queue: BTreeMap<(Urgency, u64), Arc<Notify>>,
    /// Numbers seats and those who wait, in order.
    arrivals: u64,
}

impl State {
    fn arrive(&mut self) -> u64 {
        self.arrivals += 1;
        self.arrivals
    }

    /// Returns what may be drawn; nothing where nobody has a seat.
    fn draw(&self) -> Option<Draw> {
        self.draws.values().copied().reduce(Draw::least)
    }

    fn wake_first(&self) {
        if let Some(first) = self.queue.values().next() {
            first.notify_one();
        }
    }
}

static LIMITERS: LazyLock<Mutex<HashMap<String, Weak<Limiter>>>> = LazyLock::new(Mutex::default);

impl Limiter {
    /// Returns the limiter of this name, shared by everybody in the process who asks for it while somebody has it.
    ///
    /// A name says what the quota is of: account, region and category, or the store.
    pub fn shared(name: &str) -> Arc<Self> {
        let mut limiters = LIMITERS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(limiter) = limiters.get(name).and_then(Weak::upgrade) {
            return limiter;
        }
        limiters.retain(|_, limiter| limiter.strong_count() > 0);
        let limiter = Arc::new(Self::default());
        limiters.insert(name.to_owned(), Arc::downgrade(&limiter));
        limiter
    }

    /// Takes a seat for as long as it is kept.
    pub fn join(self: &Arc<Self>, draw: Draw) -> Seat {
        let mut state = self.lock();
        let id = state.arrive();
        state.draws.insert(id, draw);
        Seat { limiter: Arc::clone(self), id }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A target's place at a [`Limiter`].
#[derive(Debug)]
pub struct Seat {
    limiter: Arc<Limiter>,
    id: u64,
}

impl Seat {
    /// Changes what this target may draw.
    pub fn set(&self, draw: Draw) {
        let mut state = self.limiter.lock();
        state.draws.insert(self.id, draw);
        state.wake_first();
    }

    /// Waits until the quota has room for one more request, as [urgent](urgency) as the task is.
    pub async fn wait(&self) {
        let ticket = Ticket::queue(&self.limiter, urgency());
        loop {
            match ticket.ask(Instant::now()) {
                Turn::Taken => return,
                Turn::Due(at) => drop(tokio::time::timeout_at(at, ticket.notify.notified()).await),
                Turn::Behind => ticket.notify.notified().await,
            }
        }
    }

    /// Counts a request that did not wait: a client library repeated it by itself. Those who wait make up for it.
    pub fn spend(&self) {
        let mut state = self.limiter.lock();
        if let Some(draw) = state.draw() {
            state.bucket.take(draw.rate(urgency()), draw.burst, Instant::now());
        }
    }

    /// Slows down, since the store asked for fewer requests; `retry_after` is how long it asks to be left alone.
    pub fn throttled(&self, retry_after: Option<Duration>) {
        self.limiter.lock().bucket.throttled(Instant::now(), retry_after);
    }

    /// Returns for how long the store still asks to be left alone, if it does.
    pub fn held(&self) -> Option<Duration> {
        self.limiter.lock().bucket.held(Instant::now())
    }

    /// Returns the requests a second that ordinary work may send, whatever was throttled.
    pub fn allowed(&self) -> f64 {
        self.limiter.lock().draw().map_or(f64::INFINITY, |draw| draw.ordinary)
    }

    /// Returns the requests a second that work as urgent as this task's sends now: less than is allowed after throttles.
    pub fn rate(&self) -> f64 {
        let state = self.limiter.lock();
        let allowed = state.draw().map_or(f64::INFINITY, |draw| draw.rate(urgency()));
        allowed * state.bucket.left(Instant::now())
    }

    /// Returns how many requests wait for their turn, of all targets that share the quota.
    pub fn waiting(&self) -> usize {
        self.limiter.lock().queue.len()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.limiter.lock();
        state.draws.remove(&self.id);
        state.wake_first();
    }
}

/// A place in the queue, which is left when this is dropped.
struct Ticket<'a> {
    limiter: &'a Limiter,
    place: (Urgency, u64),
    notify: Arc<Notify>,
}

/// What somebody who waits is told.
enum Turn {
    /// The turn was theirs, and they left the queue.
    Taken,
    /// They are first, and theirs comes then.
    Due(Instant),
    /// Somebody is before them.
    Behind,
}

impl<'a> Ticket<'a> {
    fn queue(limiter: &'a Limiter, urgency: Urgency) -> Self {
        let notify = Arc::new(Notify::new());
        let mut state = limiter.lock();
        let place = (urgency, state.arrive());
        state.queue.insert(place, Arc::clone(&notify));
        Self { limiter, place, notify }
    }

    fn ask(&self, now: Instant) -> Turn {
        let mut state = self.limiter.lock();
        if state.queue.keys().next() != Some(&self.place) {
            return Turn::Behind;
        }
        if let Some(draw) = state.draw() {
            let rate = draw.rate(self.place.0);
            let due = state.bucket.due(rate, draw.burst, now);
            if due > now {
                return Turn::Due(due);
            }
            state.bucket.take(rate, draw.burst, now);
        }
        state.queue.remove(&self.place);
        state.wake_first();
        Turn::Taken
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut state = self.limiter.lock();
        if state.queue.remove(&self.place).is_some() {
            state.wake_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(rate: f64) -> Seat {
        Arc::new(Limiter::default()).join(Draw::of(rate, Share::WHOLE))
    }

    fn near(took: Duration, seconds: f64) -> bool {
        (took.as_secs_f64() - seconds).abs() < 0.03
    }

    #[tokio::test(start_paused = true)]
    async fn three_a_second() {
        let (seat, start) = (seat(3.0), Instant::now());
        for _ in 0..31 {
            seat.wait().await;
        }
        assert!(near(start.elapsed(), 10.0), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn targets_share_one_quota() {
        let name = "limit-test/targets_share_one_quota";
        let one = Limiter::shared(name).join(Draw::of(10.0, Share::WHOLE));
        let other = Limiter::shared(name).join(Draw::of(10.0, Share::WHOLE));
        let start = Instant::now();
        let draw = async |seat: &Seat| {
            for _ in 0..10 {
                seat.wait().await;
            }
            start.elapsed()
        };
        let (first, last) = tokio::join!(draw(&one), draw(&other));
        assert!(near(first.max(last), 1.9), "{first:?} {last:?}");
        assert!(first.min(last) > Duration::from_millis(1_600), "in turn: {first:?} {last:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_least_of_what_they_may_draw_counts_while_it_is_there() {
        let limiter = Arc::new(Limiter::default());
        let much = limiter.join(Draw::of(100.0, Share::WHOLE));
        let little = limiter.join(Draw::of(100.0, Share::HALF));
        assert_eq!((much.allowed(), little.allowed()), (50.0, 50.0));
        drop(little);
        assert_eq!(much.allowed(), 100.0);
        much.set(Draw::of(10.0, Share::all(0.5)));
        assert_eq!(much.allowed(), 5.0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_urgent_goes_first_and_at_full_speed() {
        let seat = Arc::new(Limiter::default()).join(Draw::of(4.0, Share::HALF));
        let (seat, start) = (&seat, Instant::now());
        let bulk = async {
            let all = (0..20).map(|_| async {
                seat.wait().await;
                start.elapsed()
            });
            futures::future::join_all(all).await
        };
        let urgent = urgently(async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            for _ in 0..8 {
                seat.wait().await;
            }
            start.elapsed()
        });
        let (bulk, urgent) = tokio::join!(bulk, urgent);
        // A turn of the bulk's was taken at 2 s; then come eight at four a second.
        assert!(urgent <= Duration::from_millis(4_300), "{urgent:?}");
        let meanwhile = bulk.iter().filter(|at| **at > Duration::from_millis(2_050) && **at < urgent).count();
        assert_eq!(meanwhile, 0, "{bulk:?}");
        assert_eq!(bulk.len(), 20, "and nobody is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_leaves_the_queue_and_costs_nothing() {
        let (seat, start) = (seat(1.0), Instant::now());
        seat.wait().await;
        let gone = tokio::time::timeout(Duration::from_millis(100), seat.wait()).await;
        assert!(gone.is_err());
        assert_eq!(seat.waiting(), 0);
        seat.wait().await;
        assert!(near(start.elapsed(), 1.0), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_next_after_one_who_gave_up_is_woken() {
        let (seat, start) = (seat(1.0), Instant::now());
        seat.wait().await;
        let gives_up = tokio::time::timeout(Duration::from_millis(500), seat.wait());
        let (gone, ()) = tokio::join!(gives_up, async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            seat.wait().await;
        });
        assert!(gone.is_err());
        assert!(near(start.elapsed(), 1.0), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn what_others_send_is_made_up_for() {
        let (seat, start) = (seat(10.0), Instant::now());
        seat.wait().await;
        (0..5).for_each(|_| seat.spend());
        seat.wait().await;
        assert!(near(start.elapsed(), 0.6), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_sent_while_the_store_asks_to_be_left_alone() {
        let (seat, start) = (seat(100.0), Instant::now());
        seat.throttled(Some(Duration::from_secs(7)));
        assert_eq!(seat.held(), Some(Duration::from_secs(7)));
        seat.wait().await;
        assert!(near(start.elapsed(), 7.0), "{:?}", start.elapsed());
        assert_eq!(seat.held(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_hour_of_quota_may_go_at_once_and_no_more() {
        let seat = Arc::new(Limiter::default()).join(Draw::hourly(720.0, Share::HALF));
        let start = Instant::now();
        for _ in 0..360 {
            seat.wait().await;
        }
        assert!(start.elapsed() < Duration::from_millis(50), "{:?}", start.elapsed());
        seat.wait().await;
        assert!(near(start.elapsed(), 10.0), "{:?}", start.elapsed());
    }
}
