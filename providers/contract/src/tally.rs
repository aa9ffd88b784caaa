//! Counts of what a provider sends, and of what comes back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Requests that left the process, by the store's name of the operation, counted per attempt.
pub type RequestCounts = BTreeMap<String, u64>;

/// What came back for requests that left the process, counted per attempt: by the store's name of the operation, then by
/// HTTP status; `None` where nothing came back. A request that still waits for its answer is not among them.
pub type AnswerCounts = BTreeMap<String, BTreeMap<Option<u16>, u64>>;

/// Counts the attempts of one target; its clones count together.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<Mutex<Counted>>);

#[derive(Debug, Default)]
struct Counted {
    requests: RequestCounts,
    answers: AnswerCounts,
    throttles: RequestCounts,
}

impl Tally {
    /// Returns what was sent so far.
    pub fn requests(&self) -> RequestCounts {
        self.lock().requests.clone()
    }

    /// Returns what came back so far.
    pub fn answers(&self) -> AnswerCounts {
        self.lock().answers.clone()
    }

    /// Returns what was throttled so far.
    pub fn throttles(&self) -> RequestCounts {
        self.lock().throttles.clone()
    }

    /// Counts an attempt that leaves the process.
    pub fn sent(&self, operation: &str) {
        count(&mut self.lock().requests, operation);
    }

    /// Counts what came back for an attempt: an HTTP status, or nothing.
    pub fn answered(&self, operation: &str, status: Option<u16>) {
        *self.lock().answers.entry(operation.to_owned()).or_default().entry(status).or_default() += 1;
    }

    /// Counts an attempt that was throttled.
    pub fn throttled(&self, operation: &str) {
        count(&mut self.lock().throttles, operation);
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(counts: &mut RequestCounts, operation: &str) {
    *counts.entry(operation.to_owned()).or_default() += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_count_together_and_each_operation_for_itself() {
        let tally = Tally::default();
        let other = tally.clone();
        for operation in ["GET /kv", "PUT /kv/{key}", "PUT /kv/{key}"] {
            other.sent(operation);
        }
        other.answered("GET /kv", Some(200));
        other.answered("PUT /kv/{key}", Some(429));
        other.answered("PUT /kv/{key}", None);
        other.throttled("PUT /kv/{key}");
        let requests = [("GET /kv", 1), ("PUT /kv/{key}", 2)].map(|(name, n)| (name.to_owned(), n));
        assert_eq!(tally.requests(), RequestCounts::from(requests));
        assert_eq!(tally.answers()["PUT /kv/{key}"], BTreeMap::from([(None, 1), (Some(429), 1)]));
        assert_eq!(tally.throttles(), RequestCounts::from([("PUT /kv/{key}".to_owned(), 1)]));
    }
}
