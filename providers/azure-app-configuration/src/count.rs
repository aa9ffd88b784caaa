//! Counts requests per attempt, where they leave the process.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request};
use azure_data_app_configuration::Operation;
use repin_provider::Tally;
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
#[derive(Debug, Clone, Default)]
pub(crate) struct Counter(Tally);

impl Deref for Counter {
    type Target = Tally;

    fn deref(&self) -> &Tally {
        &self.0
    }
}

impl Counter {
    fn record(&self, operation: &str) {
        self.sent(operation);
        // A call outside `attempts` has nobody to tell.
        let _ = ATTEMPTS.try_with(|attempts| attempts.set(attempts.get() + 1));
    }
}

#[async_trait]
impl Policy for Counter {
    async fn send(&self, context: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        // The client names its calls as the service documents them: `PUT /kv/{key}`.
        let operation = context.value::<Operation>().map_or("other", |operation| operation.0);
        self.record(operation);
        let [first, rest @ ..] = next else {
            return Err(azure_core::Error::with_message(azure_core::error::ErrorKind::Other, "no transport"));
        };
        let (span, at) = (tracing::debug_span!("request", operation), Instant::now());
        let answer = first.send(context, request, rest).instrument(span.clone()).await;
        let status = answer.as_ref().ok().map(|answer| u16::from(answer.status()));
        self.answered(operation, status);
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
        let (_, first) = attempts(async { counter.record("GET /kv") }).await;
        let (_, second) = attempts(async {
            counter.record("PUT /kv/{key}");
            counter.record("PUT /kv/{key}");
        })
        .await;
        counter.record("GET /kv");
        assert_eq!((first, second), (1, 2));
    }
}
