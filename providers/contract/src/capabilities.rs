//! Facts about a store that change a plan.

use std::time::Duration;

/// How readers meet what is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serving {
    /// A put is served at once: readers ask for the latest.
    AtOnce,
    /// Readers follow a name of their own to one version of each key: a put is not seen until
    /// [`Action::Serve`](crate::Action::Serve) moves that name (an SSM label).
    Apart,
    /// Readers follow one reference to a frozen set of all keys: puts are not seen until they are frozen and
    /// [`Provider::serve_frozen`](crate::Provider::serve_frozen) moves the reference (an App Configuration snapshot).
    Together,
}

/// What a store can and cannot do; data, so that the planner can be pure.
#[derive(Debug, Clone, PartialEq)]
pub struct Capabilities {
    /// The provider's name as the file writes it.
    pub provider: &'static str,
    /// How readers meet what is put.
    pub serving: Serving,
    /// The same as the file says it, with the name that readers follow: `latest`, `label live`, `snapshot KEY`. A ledger
    /// keeps it, since changing it later takes more than another word in the file.
    pub serve: String,
    /// Whether a write can be conditional on the version it replaces. Where not, a collision is noticed afterwards.
    pub compare_and_swap: bool,
    /// Whether the store keeps secrets encrypted under a key of ours.
    pub secrets: bool,
    /// Whether items carry a content type.
    pub content_types: bool,
    /// Whether observing answers descriptions and tags. Where not, a change of these alone is not seen there.
    pub describes: bool,
    /// Whether a write answers the new version's date. Where not, the executor reads it back in batches.
    pub dates_on_write: bool,
    /// Keys that one read request covers.
    pub read_batch: usize,
    /// Items that one listing page covers.
    pub page: usize,
    /// Most bytes of one ledger document.
    pub max_document: usize,
    /// Native versions kept for each item; `None` where age decides.
    pub versions_kept: Option<u64>,
    /// How long a superseded version is kept, counted from when it was written; `None` where the number decides.
    pub versions_kept_for: Option<Duration>,
    /// How many writes may run at once.
    pub parallel_writes: usize,
    /// What requests are kept to as far as it is known without asking, for the forecast of a pass; `None` where the store
    /// has no quota. [`Provider::pace`](crate::Provider::pace) tells what is known since.
    pub rates: Option<Rates>,
    /// How long after a lost answer a write may still land: the attempt timeout and the store's read lag.
    pub settle: Duration,
    /// How long a read by another process may lag behind a write.
    pub read_lag: Duration,
}

/// Requests that are let through: the store's quota times our share of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Reads a second.
    pub reads: f64,
    /// Writes a second.
    pub writes: f64,
    /// Requests an hour, reads and writes together; `None` where the store does not count by the hour.
    pub hourly: Option<f64>,
}

impl Rates {
    /// Returns how many seconds so many requests take at the least. A quota by the hour is taken as untouched so far.
    pub fn seconds(&self, reads: u64, writes: u64) -> f64 {
        let all = (reads + writes) as f64;
        let beyond = self.hourly.map_or(0.0, |hourly| (all - hourly).max(0.0) / hourly * 3600.0);
        (reads as f64 / self.reads).max(writes as f64 / self.writes).max(beyond)
    }

    /// Returns how far apart two passes of so many requests each have to begin, in seconds, if they go on for ever.
    pub fn apart(&self, reads: u64, writes: u64) -> f64 {
        let hour = self.hourly.map_or(0.0, |hourly| (reads + writes) as f64 / hourly * 3600.0);
        self.seconds(reads, writes).max(hour)
    }
}

/// How requests are let through right now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// What is allowed.
    pub allowed: Rates,
    /// Reads a second now: less than is allowed after throttles.
    pub reads: f64,
    /// Writes a second now.
    pub writes: f64,
    /// Requests that wait for their turn, of all targets of this process that share the quota.
    pub waiting: usize,
    /// For how long the store still asks to be left alone.
    pub held: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_quota_says_how_long_it_takes() {
        let rates = Rates { reads: 40.0, writes: 3.0, hourly: None };
        assert_eq!(rates.seconds(1000, 3), 25.0);
        assert_eq!(rates.seconds(10, 300), 100.0);
        assert_eq!(rates.apart(1000, 3), 25.0);
        let counted = Rates { reads: 300.0, writes: 60.0, hourly: Some(600.0) };
        assert_eq!(counted.seconds(300, 0), 1.0, "an hour's worth may go at once");
        assert_eq!(counted.seconds(600, 600), 3600.0);
        assert_eq!(counted.apart(100, 0), 600.0, "but not every minute");
    }
}
