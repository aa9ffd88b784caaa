//! Throughput limits: what a store answers when asked too fast.

use jiff::Timestamp;

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

/// A token bucket that holds one second's worth.
#[derive(Debug)]
struct Bucket {
    rate: f64,
    tokens: f64,
    filled: Timestamp,
}

impl Bucket {
    fn full(rate: f64, now: Timestamp) -> Self {
        // A rate of nothing, or nonsense, would never let anything through.
        let rate = if rate.is_finite() { rate.max(0.001) } else { f64::MAX };
        Self { rate, tokens: rate.max(1.0), filled: now }
    }

    fn take(&mut self, now: Timestamp) -> Result<(), u64> {
        let passed = now.duration_since(self.filled).as_secs_f64().max(0.0);
        self.filled = self.filled.max(now);
        self.tokens = (self.tokens + passed * self.rate).min(self.rate.max(1.0));
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        let millis = ((1.0 - self.tokens) / self.rate * 1_000.0).ceil();
        // The saturating cast is meant: no wait is longer than the largest number.
        Err((millis as u64).max(1))
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
