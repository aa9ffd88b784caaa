#![doc = include_str!("README.md")]
//!
//! ```text
//!   router ─> auth ─> rates ─> request ─┬─> key_values · listings · snapshots ─> model (pure)
//!                                       └─> exchange ─> tables (saved before anyone sees it)
//! ```

mod auth;
mod date;
mod exchange;
mod fields;
mod key_values;
mod listings;
mod model;
mod rates;
mod reply;
mod request;
mod snapshots;
mod tables;
mod token;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use jiff::{SignedDuration, Timestamp};

pub use model::SnapshotFailure;
pub use rates::AppConfigRates;
pub(crate) use request::identify;

use crate::Clock;
use crate::counters::{Call, Counters};
use crate::faults::Oddity;
use crate::identity::token::Tokens;
use crate::persist::{Persist, PersistError};
use crate::server::{self, Refusal, http_date};
use auth::{Access, Caller};
use exchange::Exchange;
use model::{Rules, Store, View};
use rates::Limiter;
use reply::{Refused, Reply, SYNC_TOKEN};
use request::{Asked, Resource};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// More than the largest request the service takes.
const MAX_BODY: usize = 1 << 20;

/// What the emulated stores run on, and what they do differently when asked.
#[derive(Clone, Debug)]
pub struct AppConfigOptions {
    /// The time the stores show and count with.
    pub clock: Clock,
    /// Where every answer is counted, under the service `appconfig`.
    pub counters: Counters,
    /// Where the data is kept.
    pub persist: Persist,
    /// The `Host` headers accepted, port included; all of them if empty.
    pub hosts: Vec<String>,
    /// How long superseded revisions are kept, from when they were written: 7 days (Free, Developer), 30 on others.
    pub retention: Duration,
    /// How long a snapshot is `provisioning`.
    pub provisioning: Duration,
    /// How long an archived snapshot is kept where its creator does not say; to the second.
    pub snapshot_retention: Duration,
    /// The longest its creator may say; to the second.
    pub max_snapshot_retention: Duration,
    /// Throughput limits of each store.
    pub rates: Option<AppConfigRates>,
    /// How far reads lag behind writes for callers that do not send the sync token of the write.
    pub stale_reads: Option<Duration>,
    /// Whose access tokens are good; nobody's if left out.
    pub tokens: Option<Tokens>,
    /// Whether it is served over TLS, as the addresses in answers then say.
    pub tls: bool,
}

impl AppConfigOptions {
    /// Makes the options of stores that never throttle, never lag and have a snapshot ready after 200 ms.
    pub fn new(clock: Clock, counters: Counters, persist: Persist) -> Self {
        Self {
            clock,
            counters,
            persist,
            hosts: Vec::new(),
            retention: 7 * DAY,
            provisioning: Duration::from_millis(200),
            snapshot_retention: 30 * DAY,
            max_snapshot_retention: 90 * DAY,
            rates: None,
            stale_reads: None,
            tokens: None,
            tls: false,
        }
    }
}

/// The emulated App Configuration stores of one listener, told apart by the credential id.
#[derive(Debug)]
pub struct AppConfig {
    clock: Clock,
    counters: Counters,
    persist: Persist,
    hosts: Vec<String>,
    rules: Rules,
    rates: Option<AppConfigRates>,
    stale_reads: Option<Duration>,
    tokens: Option<Tokens>,
    tls: bool,
    state: Mutex<Stores>,
    failures: Mutex<VecDeque<SnapshotFailure>>,
}

/// Every store that was ever written, and the limiter of every store that was ever asked.
#[derive(Debug)]
struct Stores {
    stores: BTreeMap<String, Store>,
    limiters: BTreeMap<String, Limiter>,
}

impl AppConfig {
    /// Opens the stores with the data that was kept.
    ///
    /// # Errors
    ///
    /// Data that cannot be read back.
    pub fn new(options: AppConfigOptions) -> Result<Arc<Self>, PersistError> {
        let stores = tables::load(&options.persist)?;
        Ok(Arc::new(Self {
            clock: options.clock,
            counters: options.counters,
            persist: options.persist,
            hosts: options.hosts,
            rules: Rules {
                retention: options.retention,
                provisioning: options.provisioning,
                default_snapshot_retention: options.snapshot_retention.as_secs(),
                max_snapshot_retention: options.max_snapshot_retention.as_secs(),
            },
            rates: options.rates,
            stale_reads: options.stale_reads,
            tokens: options.tokens,
            tls: options.tls,
            state: Mutex::new(Stores { stores, limiters: BTreeMap::new() }),
            failures: Mutex::default(),
        }))
    }

    /// Makes the next snapshot that is created end as `failed`; several calls are for several snapshots.
    pub fn fail_next_snapshot(&self, failure: SnapshotFailure) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push_back(failure);
    }

    fn take_failure(&self) -> Option<SnapshotFailure> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Answers one request.
    fn answer(&self, parts: &Parts, body: &[u8]) -> Response {
        let now = self.clock.now();
        let skew = Oddity::skew(Oddity::of(parts));
        let off = |clock: Timestamp| clock.saturating_add(skew).unwrap_or(clock);
        let (reply, sync_token) = match self.authenticate(parts, body, &[off(self.clock.signing_now()), off(now)]) {
            Ok(caller) => self.answer_caller(&caller, parts, body, now),
            Err(refused) => (refused.into_reply(), token::sync("", 0)),
        };
        self.counters.record("appconfig", &identify(parts, body).operation, reply.status.as_u16());
        finish(reply.with(SYNC_TOKEN, &sync_token), parts.method != Method::HEAD, off(now))
    }

    /// Tells who asks, by clocks the last of which is the store's own.
    fn authenticate(&self, parts: &Parts, body: &[u8], clocks: &[Timestamp; 2]) -> Result<Caller, Refused> {
        match auth::bearer(&parts.headers) {
            Some(token) => auth::verify_token(token, self.tokens.as_ref(), clocks[1]),
            None => auth::verify(parts, body, &self.hosts, clocks),
        }
    }

    /// Answers one request of a known caller, with the sync token of his store.
    fn answer_caller(&self, caller: &Caller, parts: &Parts, body: &[u8], now: Timestamp) -> (Reply, String) {
        let mut state = self.lock();
        let reply = match self.admit(&mut state, caller, parts, now) {
            Err(refused) => refused.into_reply(),
            Ok(()) => {
                let store = state.stores.entry(caller.store.clone()).or_default();
                self.exchange(store, caller, parts, body, now).unwrap_or_else(Refused::into_reply)
            }
        };
        let store = state.stores.get(&caller.store);
        let vouched = store.map_or(0, |store| match self.lagging_view(parts, &caller.store, now) {
            // A lagging answer must not vouch for what it does not show.
            Some(view) if !is_write(&parts.method) => store.newest_seq(view),
            _ => store.last_seq(),
        });
        (reply, token::sync(&caller.store, vouched))
    }

    /// Returns what a caller with these sync tokens sees of a store whose reads lag.
    fn lagging_view(&self, parts: &Parts, store: &str, now: Timestamp) -> Option<View> {
        let lag = Oddity::lag(Oddity::of(parts)).or(self.stale_reads)?;
        let lag = SignedDuration::try_from(lag).unwrap_or(SignedDuration::MAX);
        let tokens = parts.headers.get_all(SYNC_TOKEN).iter().filter_map(|value| value.to_str().ok());
        let seen = token::synced(store, tokens);
        Some(View::Settled { seen, until: now.checked_sub(lag).unwrap_or(Timestamp::MIN) })
    }

    /// Asks the limiter, whatever the request is about: the service counts refused ones too.
    fn admit(&self, state: &mut Stores, caller: &Caller, parts: &Parts, now: Timestamp) -> Result<(), Refused> {
        let Some(rates) = self.rates else { return Ok(()) };
        let limiter = state.limiters.entry(caller.store.clone()).or_insert_with(|| Limiter::new(rates, now));
        limiter.take(is_write(&parts.method), now).map_err(|retry_after_ms| Refused::TooMany { retry_after_ms })
    }

    fn exchange(
        &self,
        store: &mut Store,
        caller: &Caller,
        parts: &Parts,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Reply, Refused> {
        let asked = Asked::parse(parts, body)?;
        let oddity = Oddity::of(parts);
        if caller.access == Access::None || (caller.access == Access::Read && is_write(asked.method)) {
            return Err(Refused::Forbidden);
        }
        let lagging = self.lagging_view(parts, &caller.store, now);
        dispatch(&mut Exchange { app: self, asked: &asked, store_name: &caller.store, store, now, lagging, oddity })
    }

    /// A change is applied in one step after it was saved, so a panic elsewhere leaves nothing half-done.
    fn lock(&self) -> MutexGuard<'_, Stores> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands a request to its resource; the methods were checked against the resource before.
fn dispatch(exchange: &mut Exchange<'_>) -> Result<Reply, Refused> {
    let method = exchange.asked.method;
    match &exchange.asked.resource {
        Resource::KeyValues => key_values::list(exchange),
        Resource::KeyValue(key) if *method == Method::PUT => key_values::put(exchange, key),
        Resource::KeyValue(key) if *method == Method::DELETE => key_values::delete(exchange, key),
        Resource::KeyValue(key) => key_values::get(exchange, key),
        Resource::Lock(key) => key_values::lock(exchange, key),
        Resource::Revisions => listings::revisions(exchange),
        Resource::Keys => listings::keys(exchange),
        Resource::Labels => listings::labels(exchange),
        Resource::Snapshots | Resource::Snapshot(_) | Resource::Operations
            if exchange.asked.version == request::ApiVersion::V1 =>
        {
            Err(Refused::NotFound)
        }
        Resource::Snapshots => snapshots::list(exchange),
        Resource::Snapshot(name) if *method == Method::PUT => snapshots::create(exchange, name),
        Resource::Snapshot(name) if *method == Method::PATCH => snapshots::patch(exchange, name),
        Resource::Snapshot(name) => snapshots::get(exchange, name),
        Resource::Operations => snapshots::operation(exchange),
    }
}

/// Serves the stores over HTTP.
///
/// One handler for every path, since keys are the raw rest of a path, which a router would take apart and decode.
pub fn router(state: Arc<AppConfig>) -> Router {
    Router::new().fallback(serve).with_state(state)
}

async fn serve(State(state): State<Arc<AppConfig>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return finish(sync_less(Reply::empty(StatusCode::PAYLOAD_TOO_LARGE)), true, state.clock.now());
    };
    let answered = server::beside(move || state.answer(&parts, &body)).await;
    answered.unwrap_or_else(|| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// Refuses what a fault wants refused, in the service's own format: some statuses never have a body.
pub(crate) fn refusal(_call: &Call, refusal: &Refusal) -> Response {
    let refused = match refusal.status {
        StatusCode::UNAUTHORIZED => Refused::Unauthorized(Some(refusal.message.clone())),
        StatusCode::FORBIDDEN => Refused::Forbidden,
        StatusCode::NOT_FOUND => Refused::NotFound,
        StatusCode::PRECONDITION_FAILED => Refused::Precondition,
        status => Refused::Custom {
            status,
            kind: refusal.code.clone(),
            title: refusal.message.clone(),
            retry_after_ms: refusal.retry_after_ms,
        },
    };
    sync_less(refused.into_reply()).into_response(true)
}

/// Adds the sync token of no store, since every answer of the service has one and some clients insist.
fn sync_less(reply: Reply) -> Reply {
    reply.with(SYNC_TOKEN, &token::sync("", 0))
}

fn is_write(method: &Method) -> bool {
    *method != Method::GET && *method != Method::HEAD
}

fn finish(reply: Reply, with_body: bool, now: Timestamp) -> Response {
    let mut response = reply.into_response(with_body);
    let date: HeaderValue = http_date(now);
    response.headers_mut().insert(header::DATE, date);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, retry_after_ms: Option<u64>) -> Response {
        let call = Call { index: 1, service: "appconfig".into(), operation: "GET /kv".into(), name: None };
        let status = StatusCode::from_u16(status).unwrap();
        let (code, message) = ("server-busy".to_owned(), "Busy".to_owned());
        refusal(&call, &Refusal { status, code, message, retry_after_ms })
    }

    async fn body(response: Response) -> String {
        String::from_utf8(to_bytes(response.into_body(), MAX_BODY).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn faults_speak_as_the_service_does() {
        let busy = refused(503, Some(1_500));
        assert_eq!(busy.headers()["retry-after-ms"], "1500");
        assert!(busy.headers().contains_key(SYNC_TOKEN));
        let problem: serde_json::Value = serde_json::from_str(&body(busy).await).unwrap();
        assert_eq!(problem["type"], "https://azconfig.io/errors/server-busy");
        assert_eq!(problem["status"], 503);
        let forbidden = refused(403, None);
        assert!(forbidden.headers().contains_key(SYNC_TOKEN));
        assert_eq!(body(forbidden).await, "");
    }
}
