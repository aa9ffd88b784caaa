//! Keeps requests inside the store's quotas, which every target of this process in that store shares.
//!
//! | quota | Free | Developer | Standard | Premium |
//! |-|-|-|-|-|
//! | reads a second | none guaranteed | none guaranteed | 300 | 450 |
//! | writes a second | none guaranteed | none guaranteed | 60 | 100 |
//! | requests | 1,000 a day | 6,000 an hour | 30,000 an hour | no quota |
//!
//! From the page on Azure subscription limits, 2026-08-04. Nothing in the data plane tells a store's tier, so Standard is
//! assumed where the file does not say; a throttle lowers the rate.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::http::headers::{Headers, RETRY_AFTER, RETRY_AFTER_MS, X_MS_RETRY_AFTER_MS};
use azure_core::http::policies::{Policy, PolicyResult, get_retry_after};
use azure_core::http::{AsyncRawResponse, Context, Method, Request, StatusCode};
use azure_core::time::OffsetDateTime;
use azure_data_app_configuration::Operation;
use repin_provider::limit::{Draw, Limiter, Seat, Share};
use repin_provider::{Pace as Standing, Rates as Allowed};

use crate::Rates;
use crate::count::Counter;

/// The Standard tier's quotas for one replica.
const STANDARD: Quotas = Quotas { read: 300.0, write: 60.0, hourly: 30_000.0 };

/// What the store takes from everybody: reads and writes a second, requests an hour.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Quotas {
    read: f64,
    write: f64,
    hourly: f64,
}

impl Quotas {
    fn new(given: Option<&Rates>) -> Self {
        let Some(given) = given else { return STANDARD };
        Self {
            read: given.read.unwrap_or(STANDARD.read),
            write: given.write.unwrap_or(STANDARD.write),
            hourly: given.hourly.unwrap_or(STANDARD.hourly),
        }
    }
}

/// One target's seats at the limiters of its store.
#[derive(Debug)]
pub(crate) struct Pace {
    reads: Seat,
    writes: Seat,
    all: Seat,
    share: Share,
    hourly: f64,
}

impl Pace {
    /// Takes seats at a store. Rates and shares must be [positive](Self::is_positive).
    pub(crate) fn join(store: &str, given: Option<&Rates>, share: Share) -> Self {
        let quotas = Quotas::new(given);
        let limiter = |name: &str| Limiter::shared(&format!("azure-app-configuration {store} {name}"));
        Self {
            reads: limiter("reads").join(Draw::of(quotas.read, share)),
            writes: limiter("writes").join(Draw::of(quotas.write, share)),
            all: limiter("all").join(Draw::hourly(quotas.hourly, share)),
            share,
            hourly: quotas.hourly,
        }
    }

    /// Tells whether rates and a share let anything through.
    pub(crate) fn is_positive(given: Option<&Rates>, share: Share) -> bool {
        let Quotas { read, write, hourly } = Quotas::new(given);
        [read, write, hourly, share.ordinary, share.urgent].iter().all(|rate| rate.is_finite() && *rate > 0.0)
    }

    fn seat(&self, writes: bool) -> &Seat {
        if writes { &self.writes } else { &self.reads }
    }

    /// Returns how requests are let through right now.
    pub(crate) fn standing(&self) -> Standing {
        let hourly = Some(self.hourly * self.share.ordinary);
        Standing {
            allowed: Allowed { reads: self.reads.allowed(), writes: self.writes.allowed(), hourly },
            reads: self.reads.rate(),
            writes: self.writes.rate(),
            waiting: [&self.reads, &self.writes, &self.all].into_iter().map(Seat::waiting).sum(),
            held: self.reads.held().max(self.writes.held()),
        }
    }
}

/// A policy for each attempt, before its time begins: waits for its turn, and hears what the store says of it.
pub(crate) struct Paced {
    pub(crate) pace: Option<Arc<Pace>>,
    pub(crate) counter: Counter,
    /// The longest that a request waits because the store asked for it.
    pub(crate) patience: Duration,
}

impl fmt::Debug for Paced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paced").field("pace", &self.pace).finish_non_exhaustive()
    }
}

#[async_trait]
impl Policy for Paced {
    async fn send(&self, context: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let writes = !matches!(request.method(), Method::Get | Method::Head);
        if let Some(pace) = &self.pace {
            let seat = pace.seat(writes);
            if let Some(left) = seat.held().filter(|left| *left > self.patience) {
                return Ok(left_alone(left));
            }
            seat.wait().await;
            pace.all.wait().await;
        }
        let [first, rest @ ..] = next else {
            return Err(azure_core::Error::with_message(azure_core::error::ErrorKind::Other, "no transport"));
        };
        let answer = first.send(context, request, rest).await?;
        if answer.status() == StatusCode::TooManyRequests {
            let operation = context.value::<Operation>().map_or("other", |operation| operation.0);
            let retry_after = retry_after(answer.headers());
            tracing::debug!(operation, ?retry_after, "the store asks for fewer requests");
            self.counter.throttled(operation);
            if let Some(pace) = &self.pace {
                pace.seat(writes).throttled(retry_after);
            }
        }
        Ok(answer)
    }
}

fn retry_after(headers: &Headers) -> Option<Duration> {
    let names = [X_MS_RETRY_AFTER_MS, RETRY_AFTER_MS, RETRY_AFTER];
    get_retry_after(headers, OffsetDateTime::now_utc, &names)?.try_into().ok()
}

/// Answers in the store's place what it said before, while it is to be left alone: nothing is sent.
fn left_alone(left: Duration) -> AsyncRawResponse {
    let mut headers = Headers::new();
    headers.insert(RETRY_AFTER_MS, left.as_millis().to_string());
    headers.insert("content-type", "application/problem+json");
    let problem = serde_json::json!({
        "type": "https://azconfig.io/errors/too-many-requests",
        "title": "not sent: the store asked for this time to be left alone",
        "status": 429,
    });
    AsyncRawResponse::from_bytes(StatusCode::TooManyRequests, headers, problem.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_is_assumed_and_what_the_file_says_counts() {
        let pace = Pace::join("pace-test/one", None, Share::HALF);
        let allowed = pace.standing().allowed;
        assert_eq!((allowed.reads, allowed.writes, allowed.hourly), (150.0, 30.0, Some(15_000.0)));
        let free = Rates { read: None, write: Some(5.0), hourly: Some(41.0) };
        let allowed = Pace::join("pace-test/two", Some(&free), Share::WHOLE).standing().allowed;
        assert_eq!((allowed.reads, allowed.writes, allowed.hourly), (300.0, 5.0, Some(41.0)));
    }

    #[test]
    fn targets_of_one_store_share() {
        let one = Pace::join("pace-test/shared", None, Share::WHOLE);
        let other = Pace::join("pace-test/shared", None, Share::WHOLE);
        one.seat(true).throttled(Some(Duration::from_secs(60)));
        let standing = other.standing();
        assert!(standing.writes < 60.0 && standing.held.is_some(), "{standing:?}");
        assert_eq!(standing.reads, 300.0);
    }

    #[test]
    fn nothing_goes_at_a_rate_of_nothing() {
        assert!(Pace::is_positive(None, Share::HALF));
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let given = Rates { read: None, write: None, hourly: Some(bad) };
            assert!(!Pace::is_positive(Some(&given), Share::WHOLE), "{bad}");
            assert!(!Pace::is_positive(None, Share::all(bad)), "{bad}");
        }
    }
}
