//! When an attempt is repeated.
//!
//! ```text
//!   RetryPolicy ─▶ caller's, per attempt ─▶ SyncTokenPolicy ─▶ signing or token ─▶ AttemptPolicy (timeout)
//!                                                                                  └▶ caller's, per try ─▶ transport
//! ```
//!
//! The retry policies of `azure_core` repeat every method on every lost answer, and wait as long as the store asks. Here
//! a write is repeated only when it is known not to have happened, and no wait is longer than the caller allows.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::error::ErrorKind as CoreErrorKind;
use azure_core::http::headers::{HeaderName, Headers, RETRY_AFTER, RETRY_AFTER_MS, X_MS_RETRY_AFTER_MS};
use azure_core::http::policies::{Policy, PolicyResult, get_retry_after};
use azure_core::http::{Context, Method, Request};
use azure_core::time::OffsetDateTime;
use futures::future::{Either, select};

const RETRY_HEADERS: [HeaderName; 3] = [X_MS_RETRY_AFTER_MS, RETRY_AFTER_MS, RETRY_AFTER];

/// When an attempt is repeated, and how long things may take.
///
/// | answer | read | write |
/// |-|-|-|
/// | 429, 503 with a delay | repeated | repeated: the store refused |
/// | no connection | repeated | repeated: nothing was sent |
/// | answer lost or too late, 408, 5xx | repeated | not repeated: it may have happened |
/// | anything else | final | final |
///
/// A call takes at most `(max_retries + 1) * attempt_timeout` and `max_retries` waits of at most the longer of
/// `max_retry_after` and `max_delay`, plus what the credential needs for a token.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryOptions {
    /// How often an attempt is repeated; 0 never repeats.
    pub max_retries: u32,
    /// The wait before the first repetition where the store names none. It doubles each time; up to half of it is
    /// taken off at random, so that many clients do not come back together.
    pub initial_delay: Duration,
    /// The longest wait that is chosen here.
    pub max_delay: Duration,
    /// The longest wait that the store may ask for. On a longer one the call fails at once as throttled, with the wait
    /// in the error: a used-up daily quota asks for hours.
    pub max_retry_after: Duration,
    /// How long one attempt may take until its whole answer is there.
    pub attempt_timeout: Duration,
}

impl Default for RetryOptions {
    /// Four repetitions from 200 ms to 10 s, waits of up to 30 s, attempts of up to 10 s.
    fn default() -> Self {
        Self {
            max_retries: 4,
            initial_delay: Duration::from_millis(200),
            max_delay: Duration::from_secs(10),
            max_retry_after: Duration::from_secs(30),
            attempt_timeout: Duration::from_secs(10),
        }
    }
}

impl RetryOptions {
    /// Never repeats; the timeout of the one attempt stays as it is by default.
    pub fn none() -> Self {
        Self { max_retries: 0, ..Self::default() }
    }
}

/// What an attempt came to, as far as repeating it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    /// An answer with this status and the delay it names.
    Answered(u16, Option<Duration>),
    /// Nothing was sent.
    NotSent,
    /// The answer was lost.
    Lost,
    /// Something else failed, and will again.
    Failed,
}

impl Attempt {
    fn of(result: &PolicyResult) -> Self {
        match result {
            Ok(response) => Self::Answered(response.status().into(), retry_after(response.headers())),
            Err(error) => match error.kind() {
                CoreErrorKind::Connection => Self::NotSent,
                CoreErrorKind::Io => Self::Lost,
                _ => Self::Failed,
            },
        }
    }

    /// Tells whether to repeat; a write only if it cannot have happened.
    fn is_repeatable(self, is_read: bool) -> bool {
        match self {
            Self::Answered(429, _) | Self::Answered(503, Some(_)) | Self::NotSent => true,
            Self::Answered(408 | 500 | 502 | 503 | 504, _) | Self::Lost => is_read,
            Self::Answered(..) | Self::Failed => false,
        }
    }
}

/// Returns how long to wait before the next attempt; `None` ends the call. `jitter` is from 0 to 1.
fn next_wait(options: &RetryOptions, is_read: bool, retries: u32, attempt: Attempt, jitter: f64) -> Option<Duration> {
    if retries >= options.max_retries || !attempt.is_repeatable(is_read) {
        return None;
    }
    let doubled = options.initial_delay.saturating_mul(2u32.saturating_pow(retries));
    let backoff = doubled.min(options.max_delay).min(LONGEST).mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0);
    match attempt {
        Attempt::Answered(_, Some(asked)) if asked > options.max_retry_after => None,
        Attempt::Answered(_, Some(asked)) => Some(asked.max(backoff)),
        _ => Some(backoff),
    }
}

/// Returns how long the store asks to wait.
pub(crate) fn retry_after(headers: &Headers) -> Option<Duration> {
    let asked = get_retry_after(headers, OffsetDateTime::now_utc, &RETRY_HEADERS)?;
    Some(asked.try_into().unwrap_or(Duration::ZERO))
}

/// As good as for ever. Runtimes and floating-point arithmetic panic on durations that they cannot hold.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Waits on the runtime that `azure_core` uses.
pub(crate) async fn sleep(duration: Duration) {
    let duration = duration.min(LONGEST);
    azure_core::sleep(duration.try_into().expect("a year fits")).await;
}

/// Repeats attempts.
#[derive(Debug)]
pub(crate) struct RetryPolicy(pub(crate) RetryOptions);

#[async_trait]
impl Policy for RetryPolicy {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let is_read = matches!(request.method(), Method::Get | Method::Head);
        let mut retries = 0;
        loop {
            let result = next[0].send(ctx, request, &next[1..]).await;
            let attempt = Attempt::of(&result);
            let Some(wait) = next_wait(&self.0, is_read, retries, attempt, fastrand::f64()) else {
                return result;
            };
            tracing::debug!(method = %request.method(), retries, ?attempt, ?wait, "repeating a request");
            sleep(wait).await;
            retries += 1;
        }
    }
}

/// Ends an attempt that takes too long.
///
/// It comes after signing, so that a slow credential is not taken for a lost answer.
#[derive(Debug)]
pub(crate) struct AttemptPolicy {
    pub(crate) timeout: Duration,
}

#[async_trait]
impl Policy for AttemptPolicy {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let attempt = next[0].send(ctx, request, &next[1..]);
        match select(attempt, Box::pin(sleep(self.timeout))).await {
            Either::Left((result, _)) => result,
            Either::Right(((), _)) => Err(azure_core::Error::new(CoreErrorKind::Io, AttemptTimedOut(self.timeout))),
        }
    }
}

/// An attempt took longer than it may.
#[derive(Debug)]
struct AttemptTimedOut(Duration);

impl fmt::Display for AttemptTimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no complete answer within {:?}", self.0)
    }
}

impl std::error::Error for AttemptTimedOut {}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use super::*;

    const READ: bool = true;
    const WRITE: bool = false;

    fn wait(is_read: bool, retries: u32, attempt: Attempt) -> Option<Duration> {
        next_wait(&RetryOptions::default(), is_read, retries, attempt, 0.0)
    }

    #[test]
    fn refusals_are_repeated_for_reads_and_writes() {
        let second = Some(Duration::from_secs(1));
        for attempt in [Attempt::Answered(429, second), Attempt::Answered(503, second)] {
            assert_eq!(wait(READ, 0, attempt), second);
            assert_eq!(wait(WRITE, 0, attempt), second);
        }
        for attempt in [Attempt::Answered(429, None), Attempt::NotSent] {
            assert_eq!(wait(WRITE, 0, attempt), Some(Duration::from_millis(200)), "{attempt:?}");
        }
    }

    #[test]
    fn unknown_outcomes_are_repeated_for_reads_only() {
        let statuses = [408, 500, 502, 503, 504].map(|status| Attempt::Answered(status, None));
        for attempt in statuses.into_iter().chain([Attempt::Lost]) {
            assert_eq!(wait(READ, 1, attempt), Some(Duration::from_millis(400)), "{attempt:?}");
            assert_eq!(wait(WRITE, 1, attempt), None, "{attempt:?}");
        }
        let named = Attempt::Answered(500, Some(Duration::from_secs(1)));
        assert_eq!(wait(WRITE, 0, named), None, "a 500 is no refusal even if it names a delay");
    }

    #[test]
    fn final_answers_are_final() {
        for status in [200, 204, 304, 400, 401, 403, 404, 409, 412, 501] {
            assert_eq!(wait(READ, 0, Attempt::Answered(status, None)), None, "{status}");
        }
        assert_eq!(wait(READ, 0, Attempt::Failed), None);
    }

    #[test]
    fn waits_are_bounded() {
        let options = RetryOptions { max_retries: 99, ..RetryOptions::default() };
        assert_eq!(next_wait(&options, READ, 98, Attempt::Lost, 0.0), Some(options.max_delay));
        assert_eq!(next_wait(&options, READ, 0, Attempt::Lost, 1.0), Some(options.initial_delay / 2));
        assert_eq!(next_wait(&options, READ, 99, Attempt::Lost, 0.0), None);
        let asks = |wait| Attempt::Answered(429, Some(wait));
        assert_eq!(wait(READ, 0, asks(Duration::from_secs(30))), Some(Duration::from_secs(30)));
        assert_eq!(wait(READ, 0, asks(Duration::from_millis(30_001))), None);
        let endless = RetryOptions { initial_delay: Duration::MAX, max_delay: Duration::MAX, ..options };
        assert_eq!(next_wait(&endless, READ, 9, Attempt::Lost, 0.0), Some(LONGEST));
        assert_eq!(wait(READ, 0, asks(Duration::from_millis(5))), Some(Duration::from_millis(200)));
    }

    #[test]
    fn the_delay_is_read_from_its_headers() {
        let read = |name: &'static str, value: &'static str| {
            let mut headers = Headers::new();
            headers.insert(name, value);
            retry_after(&headers)
        };
        assert_eq!(read("retry-after-ms", "1500"), Some(Duration::from_millis(1500)));
        assert_eq!(read("retry-after-ms", "-5"), Some(Duration::ZERO));
        assert_eq!(read("retry-after-ms", "soon"), None);
        assert_eq!(read("retry-after-ms", "9223372036854775807").map(|wait| wait > Duration::from_secs(1)), Some(true));
    }
    proptest! {
        #[test]
        fn no_wait_is_longer_than_allowed(
            status in 100u16..600,
            asked in any::<Option<u64>>(),
            retries in any::<u32>(),
            is_read in any::<bool>(),
            jitter in any::<f64>(),
        ) {
            let options = RetryOptions { max_retries: u32::MAX, ..RetryOptions::default() };
            let attempt = Attempt::Answered(status, asked.map(Duration::from_millis));
            if let Some(wait) = next_wait(&options, is_read, retries, attempt, jitter) {
                prop_assert!(wait <= options.max_retry_after.max(options.max_delay));
                prop_assert!(is_read || status == 429 || (status == 503 && asked.is_some()));
            }
        }
    }
}
