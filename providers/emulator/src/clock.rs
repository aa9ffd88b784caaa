//! The emulator's clock, which tests can move.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

/// A clock shared by both emulated clouds, to the millisecond.
///
/// It only ever moves forward by [`advance`](Self::advance). A request's signature is fresh by [`now`](Self::now) or by
/// [`signing_now`](Self::signing_now), which `advance` leaves alone: clients sign by the host's clock until the date of
/// an answer makes them correct it, and a test that moves a week ahead must not lock either out.
#[derive(Debug, Clone)]
pub struct Clock(Arc<State>);

#[derive(Debug)]
struct State {
    base: Base,
    /// Milliseconds that `advance` added.
    advanced: AtomicI64,
    /// Milliseconds by which the services' clock differs from the host's, for signatures too.
    skew: AtomicI64,
}

#[derive(Debug)]
enum Base {
    System,
    Manual(Timestamp),
}

impl Clock {
    /// Makes a clock that runs with the host's.
    pub fn system() -> Self {
        Self::new(Base::System)
    }

    /// Makes a clock that stands still except when it is advanced.
    pub fn manual(start: Timestamp) -> Self {
        Self::new(Base::Manual(start))
    }

    fn new(base: Base) -> Self {
        Self(Arc::new(State { base, advanced: AtomicI64::new(0), skew: AtomicI64::new(0) }))
    }

    /// Returns the time that the stores show and count with, in whole milliseconds.
    pub fn now(&self) -> Timestamp {
        let base = match self.0.base {
            Base::System => Timestamp::now(),
            Base::Manual(start) => start,
        };
        shift(base, self.0.advanced.load(Ordering::Relaxed) + self.0.skew.load(Ordering::Relaxed))
    }

    /// Returns the time of clients that go by their host: the host's, with the skew, without what was advanced.
    pub fn signing_now(&self) -> Timestamp {
        shift(Timestamp::now(), self.0.skew.load(Ordering::Relaxed))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX / 4);
        self.0.advanced.fetch_add(millis, Ordering::Relaxed);
    }

    /// Makes the services' clock differ from the host's by this many milliseconds, so that fresh signatures look old
    /// or early. Replaces an earlier skew.
    pub fn set_skew(&self, millis: i64) {
        self.0.skew.store(millis, Ordering::Relaxed);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

/// Adds milliseconds and drops what is finer; stays at the end of time rather than failing.
fn shift(base: Timestamp, millis: i64) -> Timestamp {
    Timestamp::from_millisecond(base.as_millisecond().saturating_add(millis)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let start = Timestamp::from_millisecond(1_700_000_000_123).unwrap();
        let clock = Clock::manual(start);
        let twin = clock.clone();
        assert_eq!(clock.now(), start);
        clock.advance(Duration::from_millis(1_500));
        assert_eq!(twin.now().as_millisecond(), 1_700_000_001_623);
    }

    #[test]
    fn advancing_leaves_signatures_alone_and_skew_does_not() {
        let clock = Clock::system();
        clock.advance(Duration::from_secs(7 * 86_400));
        let near = |t: Timestamp, offset: i64| (t.as_millisecond() - Timestamp::now().as_millisecond() - offset).abs();
        assert!(near(clock.signing_now(), 0) < 5_000);
        assert!(near(clock.now(), 7 * 86_400_000) < 5_000);
        clock.set_skew(-3_600_000);
        assert!(near(clock.signing_now(), -3_600_000) < 5_000);
    }

    #[test]
    fn time_ends_without_a_panic() {
        let clock = Clock::system();
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}
