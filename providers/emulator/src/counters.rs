//! Counts of requests, by service and operation.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// How many calls the log keeps, the newest.
const LOG: usize = 10_000;

/// One request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// Its number, from 1, since the start or the last reset.
    pub index: u64,
    /// `ssm`, `kms`, `sts`, `appconfig` or `identity`.
    pub service: String,
    /// `PutParameter`, or `PUT /kv/{key}`.
    pub operation: String,
    /// What it was about, where one thing can be named: a parameter, a key.
    pub name: Option<String>,
}

/// Counts what the emulated services answered, and logs what reached them.
///
/// Services: `ssm`, `kms`, `sts`, `appconfig`, `identity`. What one service does for another is counted too, under the
/// service that did it, with the caller in brackets: `Decrypt (ssm)`.
#[derive(Debug, Clone, Default)]
pub struct Counters(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    counts: BTreeMap<(String, String), BTreeMap<u16, u64>>,
    calls: VecDeque<Call>,
    last_index: u64,
}

impl Counters {
    /// Counts one answer. Status 0 stands for a request that got none.
    pub fn record(&self, service: &str, operation: &str, status: u16) {
        let mut state = self.lock();
        let by_status = state.counts.entry((service.to_owned(), operation.to_owned())).or_default();
        *by_status.entry(status).or_default() += 1;
    }

    /// Logs the arrival of a request and gives it its number.
    pub(crate) fn arrived(&self, service: &str, operation: &str, name: Option<&str>) -> Call {
        let mut state = self.lock();
        state.last_index += 1;
        let call = Call {
            index: state.last_index,
            service: service.to_owned(),
            operation: operation.to_owned(),
            name: name.map(str::to_owned),
        };
        if state.calls.len() == LOG {
            state.calls.pop_front();
        }
        state.calls.push_back(call.clone());
        call
    }

    /// Returns the counts by (service, operation).
    pub fn snapshot(&self) -> BTreeMap<(String, String), u64> {
        self.lock().counts.iter().map(|(key, by_status)| (key.clone(), by_status.values().sum())).collect()
    }

    /// Returns the count of one operation.
    pub fn count(&self, service: &str, operation: &str) -> u64 {
        let key = (service.to_owned(), operation.to_owned());
        self.lock().counts.get(&key).map_or(0, |by_status| by_status.values().sum())
    }

    /// Returns how often one operation was answered with one status.
    pub fn count_status(&self, service: &str, operation: &str, status: u16) -> u64 {
        let key = (service.to_owned(), operation.to_owned());
        self.lock().counts.get(&key).and_then(|by_status| by_status.get(&status)).copied().unwrap_or(0)
    }

    /// Returns the requests to one service: what services did for each other is left out.
    pub fn total(&self, service: &str) -> u64 {
        let state = self.lock();
        let of_service = state.counts.iter().filter(|((s, operation), _)| s == service && !operation.ends_with(')'));
        of_service.flat_map(|(_, by_status)| by_status.values()).sum()
    }

    /// Returns the newest 10,000 requests, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.iter().cloned().collect()
    }

    /// Forgets everything; the next request is number 1.
    pub fn reset(&self) {
        *self.lock() = State::default();
    }

    /// Counting cannot leave the state half-changed, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_leave_out_internal_work() {
        let counters = Counters::default();
        counters.record("ssm", "GetParameter", 200);
        counters.record("ssm", "GetParameter", 400);
        counters.record("kms", "Decrypt (ssm)", 200);
        assert_eq!(counters.total("ssm"), 2);
        assert_eq!(counters.total("kms"), 0);
        assert_eq!(counters.count("kms", "Decrypt (ssm)"), 1);
        assert_eq!(counters.count_status("ssm", "GetParameter", 400), 1);
        assert_eq!(counters.snapshot()[&("ssm".to_owned(), "GetParameter".to_owned())], 2);
    }

    #[test]
    fn the_log_is_bounded_and_numbers_go_on() {
        let counters = Counters::default();
        for _ in 0..LOG + 5 {
            counters.arrived("ssm", "PutParameter", Some("/a"));
        }
        let calls = counters.calls();
        assert_eq!((calls.len(), calls[0].index), (LOG, 6));
        counters.reset();
        assert_eq!(counters.arrived("ssm", "PutParameter", None).index, 1);
    }
}
