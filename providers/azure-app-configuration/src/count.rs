//! Counts requests per attempt, where they leave the process.

use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request};
use azure_data_app_configuration::Operation;
use repin_provider::{AnswerCounts, RequestCounts};
use tracing::Instrument as _;

tokio::task_local! {
    /// The attempts of the call that runs in this task.
    static ATTEMPTS: Cell<u32>;
}

/// Runs one call and returns beside its result how many attempts it took.
pub(crate) async fn attempts<T>(call: impl Future<Output = T>) -> (T, u32) {
    ATTEMPTS
        .scope(Cell::new(0), async {
            let result = call.await;
            (result, ATTEMPTS.with(Cell::get))
        })
        .await
}

/// A policy for each try, shared with the client that sends.
#[derive(Clone, Default)]
pub(crate) struct Counter(Arc<Mutex<Counted>>);

#[derive(Default)]
struct Counted {
    requests: RequestCounts,
    answers: AnswerCounts,
    throttles: RequestCounts,
}

impl Counter {
    /// Returns what was sent so far.
    pub(crate) fn snapshot(&self) -> RequestCounts {
        self.lock().requests.clone()
    }

    /// Returns what came back so far.
    pub(crate) fn answers(&self) -> AnswerCounts {
        self.lock().answers.clone()
    }

    /// Returns what was throttled so far.
    pub(crate) fn throttles(&self) -> RequestCounts {
        self.lock().throttles.clone()
    }

    /// Counts an attempt that was throttled.
    pub(crate) fn throttled(&self, operation: &str) {
        *self.lock().throttles.entry(operation.to_owned()).or_default() += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, operation: String) {
        *self.lock().requests.entry(operation).or_default() += 1;
        // A call outside `attempts` has nobody to tell.
        let _ = ATTEMPTS.try_with(|attempts| attempts.set(attempts.get() + 1));
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot().fmt(f)
    }
}

#[async_trait]
impl Policy for Counter {
    async fn send(&self, context: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        // The client names its calls as the service documents them: `PUT /kv/{key}`.
        let operation = context.value::<Operation>().map_or("other", |operation| operation.0);
        self.record(operation.to_owned());
        let [first, rest @ ..] = next else {
            return Err(azure_core::Error::with_message(azure_core::error::ErrorKind::Other, "no transport"));
        };
        let (span, at) = (tracing::debug_span!("request", operation), Instant::now());
        let answer = first.send(context, request, rest).instrument(span.clone()).await;
        let status = answer.as_ref().ok().map(|answer| u16::from(answer.status()));
        *self.lock().answers.entry(operation.to_owned()).or_default().entry(status).or_default() += 1;
        span.in_scope(|| tracing::debug!(status, seconds = at.elapsed().as_secs_f64(), "answered"));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn attempts_are_counted_for_each_call() {
        let counter = Counter::default();
        let (_, first) = attempts(async { counter.record("GET /kv".into()) }).await;
        let (_, second) = attempts(async {
            counter.record("PUT /kv/{key}".into());
            counter.record("PUT /kv/{key}".into());
        })
        .await;
        counter.record("GET /kv".into());
        assert_eq!((first, second), (1, 2));
        let expected = [("GET /kv", 2), ("PUT /kv/{key}", 2)].map(|(name, n)| (name.to_owned(), n));
        assert_eq!(counter.snapshot(), RequestCounts::from(expected));
    }
}
