//! Throughput limits: what a store answers when asked too fast.

use jiff::{SignedDuration, Timestamp};

/// Throughput limits of each store; none by default.
///
/// The documented figures are 300 reads and 60 writes a second for the Standard tier, 450 and 100 for Premium.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AppConfigRates {
    /// Requests a second that only read.
    pub reads: f64,
    /// Requests a second that may write.
    pub writes: f64,
}

/// The buckets of one store.
#[derive(Debug)]
pub(crate) struct Limiter {
    reads: Bucket,
    writes: Bucket,
}

impl Limiter {
    pub(crate) fn new(rates: AppConfigRates, now: Timestamp) -> Self {
        Self { reads: Bucket::full(rates.reads, now), writes: Bucket::full(rates.writes, now) }
    }

    /// Takes one request, or tells after how many milliseconds there is room for it.
    pub(crate) fn take(&mut self, is_write: bool, now: Timestamp) -> Result<(), u64> {
        if is_write { self.writes.take(now) } else { self.reads.take(now) }
    }
}

/// A bucket of one second's worth, kept as the time at which it will be full again.
///
/// Whole nanoseconds rather than fractions of a token: the wait that was told must be enough.
#[derive(Debug)]
struct Bucket {
    interval: SignedDuration,
    full_at: Timestamp,
}

impl Bucket {
    fn full(rate: f64, now: Timestamp) -> Self {
        // A rate of nothing, or nonsense, would never let anything through.
        let rate = if rate.is_finite() { rate.max(0.001) } else { f64::MAX };
        Self { interval: SignedDuration::from_secs_f64(1.0 / rate), full_at: now }
    }

    fn take(&mut self, now: Timestamp) -> Result<(), u64> {
        let room = (SignedDuration::from_secs(1) - self.interval).max(SignedDuration::ZERO);
        let full_at = self.full_at.max(now);
        let wait = full_at.duration_since(now) - room;
        if wait > SignedDuration::ZERO {
            let nanos = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
            return Err(nanos.div_ceil(1_000_000));
        }
        self.full_at = full_at.saturating_add(self.interval).unwrap_or(Timestamp::MAX);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + millis).unwrap()
    }

    #[test]
    fn a_second_of_requests_then_a_wait_that_is_enough() {
        let mut limiter = Limiter::new(AppConfigRates { reads: 4.0, writes: 2.0 }, at(0));
        for _ in 0..4 {
            assert_eq!(limiter.take(false, at(0)), Ok(()));
        }
        assert_eq!(limiter.take(false, at(0)), Err(250));
        assert_eq!(limiter.take(false, at(249)), Err(1));
        assert_eq!(limiter.take(false, at(250)), Ok(()));
        assert_eq!(limiter.take(true, at(250)), Ok(()), "writes have a bucket of their own");
    }

    #[test]
    fn an_idle_bucket_holds_no_more_than_a_second() {
        let mut limiter = Limiter::new(AppConfigRates { reads: 2.0, writes: 2.0 }, at(0));
        let taken = (0..10).filter(|_| limiter.take(false, at(3_600_000)).is_ok()).count();
        assert_eq!(taken, 2);
    }
}
