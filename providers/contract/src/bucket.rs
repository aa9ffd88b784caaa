//! How fast requests may go, as a function of what happened and of the time: no waiting, no queue.

use std::time::Duration;

use tokio::time::Instant;

/// What one throttle leaves of the rate.
const SLOWER: f64 = 0.7;
/// The least part of the rate that throttles leave. A file may give a rate that is far too high.
const SLOWEST: f64 = 0.01;
/// How long after a throttle the rate stays as it is. What the store just refused it would refuse again.
const SETTLED: Duration = Duration::from_secs(5);
/// The part of the rate that comes back each second after that: all of it within a minute.
const RECOVERY: f64 = 1.0 / 60.0;
/// Throttles closer than this have one cause, and slow down once.
const ONE_CAUSE: Duration = Duration::from_secs(1);
/// The longest that a store is left alone because it asked for it. Then one request asks again: a quota may have been
/// raised meanwhile, and an answer of days may be a mistake.
const LONGEST_HOLD: Duration = Duration::from_secs(15 * 60);
/// How late a turn may be taken without the next one being later for it: timers and busy machines wake late.
const LATE: Duration = Duration::from_millis(20);

/// Gives out turns at a steady rate (the generic cell rate algorithm), slower after throttles, which wear off.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    /// When the next turn is due if nobody was idle.
    next: Option<Instant>,
    throttles: Option<Throttles>,
    /// Until when the store asks to be left alone.
    held: Option<Instant>,
}

/// What throttles have left of the rate.
#[derive(Debug, Clone, Copy)]
struct Throttles {
    left: f64,
    /// When the last one was.
    last: Instant,
}

impl Bucket {
    /// Returns when the next turn is due, at so many requests a second of which so many may go at once after idling.
    /// What is not in the future is due now.
    pub(crate) fn due(&mut self, rate: f64, burst: f64, now: Instant) -> Instant {
        let due = self.turn(self.interval(rate, now), burst, now);
        self.held.map_or(due, |held| due.max(held))
    }

    /// Takes a turn, due or not. Where it was not due, the next one is later for it.
    pub(crate) fn take(&mut self, rate: f64, burst: f64, now: Instant) {
        let interval = self.interval(rate, now);
        self.next = Some(self.turn(interval, burst, now) + interval);
    }

    fn turn(&self, interval: Duration, burst: f64, now: Instant) -> Instant {
        let slack = interval.mul_f64(burst - 1.0).max(LATE);
        let earliest = now.checked_sub(slack).unwrap_or(now);
        self.next.map_or(earliest, |next| next.max(earliest))
    }

    fn interval(&self, rate: f64, now: Instant) -> Duration {
        Duration::try_from_secs_f64(1.0 / (rate * self.left(now))).unwrap_or(LONGEST_HOLD).min(LONGEST_HOLD)
    }

    /// Slows down.
    pub(crate) fn throttled(&mut self, now: Instant, retry_after: Option<Duration>) {
        if let Some(asked) = retry_after {
            let until = now + asked.min(LONGEST_HOLD);
            self.held = Some(self.held.map_or(until, |held| held.max(until)));
        }
        if self.throttles.is_some_and(|throttles| now.saturating_duration_since(throttles.last) < ONE_CAUSE) {
            return;
        }
        let left = (self.left(now) * SLOWER).max(SLOWEST);
        self.throttles = Some(Throttles { left, last: now });
    }

    /// Returns what throttles leave of the rate: 1 where there were none for a while.
    pub(crate) fn left(&self, now: Instant) -> f64 {
        self.throttles.map_or(1.0, |throttles| {
            let since = now.saturating_duration_since(throttles.last);
            (throttles.left + RECOVERY * since.saturating_sub(SETTLED).as_secs_f64()).min(1.0)
        })
    }

    /// Returns for how long the store still asks to be left alone.
    pub(crate) fn held(&self, now: Instant) -> Option<Duration> {
        self.held.map(|held| held.saturating_duration_since(now)).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts the turns that are due within some seconds.
    fn turns(bucket: &mut Bucket, rate: f64, from: Instant, seconds: u64) -> u32 {
        let (mut turns, mut now) = (0, from);
        let end = from + Duration::from_secs(seconds);
        while now < end {
            bucket.take(rate, 1.0, now);
            turns += 1;
            now = bucket.due(rate, 1.0, now).max(now);
        }
        turns
    }

    #[test]
    fn a_steady_rate_whoever_is_late() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        let mut now = start;
        for _ in 0..500 {
            bucket.take(50.0, 1.0, now);
            // Woken late each time.
            now = bucket.due(50.0, 1.0, now).max(now) + Duration::from_millis(3);
        }
        let took = (now - start).as_secs_f64();
        assert!((took - 10.0).abs() < 0.1, "{took}");
    }

    #[test]
    fn a_throttle_slows_down_once_and_wears_off() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        bucket.throttled(start, None);
        bucket.throttled(start + Duration::from_millis(900), None);
        assert_eq!(bucket.left(start), SLOWER, "one cause");
        bucket.throttled(start + Duration::from_secs(1), None);
        let left = bucket.left(start + Duration::from_secs(1));
        assert!((left - SLOWER * SLOWER).abs() < 1e-9, "{left}");
        assert_eq!(bucket.left(start + Duration::from_secs(6)), left, "it stays for a while");
        let halfway = bucket.left(start + Duration::from_secs(21));
        assert!((halfway - left - 0.25).abs() < 1e-9, "so much each second: {left} {halfway}");
        assert_eq!(bucket.left(start + Duration::from_secs(60)), 1.0);
        assert_eq!(turns(&mut bucket, 10.0, start + Duration::from_secs(60), 10), 101);
    }

    #[test]
    fn it_never_stops_altogether() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        for n in 0..100 {
            bucket.throttled(start + Duration::from_secs(n), None);
        }
        assert!(bucket.left(start + Duration::from_secs(99)) >= SLOWEST);
        // From next to nothing to the whole within a minute: about half the turns.
        let turns = turns(&mut bucket, 10.0, start + Duration::from_secs(99), 60);
        assert!((250..400).contains(&turns), "{turns}");
    }

    #[test]
    fn a_store_is_left_alone_for_as_long_as_it_asks_but_not_for_days() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        bucket.throttled(start, Some(Duration::from_secs(5)));
        bucket.throttled(start, Some(Duration::from_secs(3)));
        assert_eq!(bucket.held(start), Some(Duration::from_secs(5)));
        assert_eq!(bucket.due(1000.0, 10.0, start), start + Duration::from_secs(5));
        assert_eq!(bucket.held(start + Duration::from_secs(5)), None);
        bucket.throttled(start, Some(Duration::from_secs(48 * 3600)));
        assert_eq!(bucket.held(start), Some(LONGEST_HOLD));
    }

    #[test]
    fn after_idling_no_more_than_a_burst_goes_at_once() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        let later = start + Duration::from_secs(3600);
        for now in [start, later] {
            for n in 0..4 {
                assert!(bucket.due(10.0, 4.0, now) <= now, "{n}");
                bucket.take(10.0, 4.0, now);
            }
            assert_eq!(bucket.due(10.0, 4.0, now) - now, Duration::from_millis(100));
        }
    }

    #[test]
    fn rates_that_make_no_sense_neither_panic_nor_stand_still() {
        let now = Instant::now();
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300, f64::MAX] {
            let mut bucket = Bucket::default();
            bucket.take(rate, 1.0, now);
            assert!(bucket.due(rate, 1.0, now) <= now + LONGEST_HOLD, "{rate}");
        }
    }
}
