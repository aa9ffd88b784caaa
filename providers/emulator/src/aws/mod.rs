//! The AWS half: Parameter Store, KMS and STS behind one listener.
//!
//! ```text
//! request ─> sigv4: who, which region, which service ─┬─> json11 ─> ssm ─> kms (secrets)
//!                                                    │         └─> kms
//!                                                    └─> query  ─> sts
//!                  what changed ─> persist, in one commit, before the answer leaves
//! ```
//!
//! What is modelled, and what is not: `README.md` of this crate.

mod context;
mod error;
mod identity;
mod json11;
mod kms;
mod query;
mod rates;
mod sigv4;
mod ssm;
mod sts;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, Method};
use jiff::Timestamp;
use serde_json::Value;

use self::context::{Behaviour, Context, Place};
use self::error::{AwsError, Result};
use self::identity::Identities;
pub(crate) use self::identity::Session;
use self::kms::Kms;
use self::query::{Form, Xml};
use self::rates::Limiter;
pub use self::rates::Rates;
use self::sigv4::Signed;
use self::ssm::Ssm;
use crate::clock::Clock;
use crate::counters::{Call, Counters};
use crate::faults::Oddity;
use crate::identity::token::Tokens;
use crate::persist::{Persist, PersistError};
use crate::server::{self, Half, MAX_BODY, Operation, Refusal};

/// How the AWS half behaves.
#[derive(Debug, Clone)]
pub(crate) struct AwsOptions {
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    pub(crate) persist: Persist,
    pub(crate) accounts: Vec<String>,
    pub(crate) kms_keys: Vec<KmsKey>,
    pub(crate) recreate_wait: bool,
    pub(crate) short_pages: bool,
    pub(crate) read_lag: Option<Duration>,
    pub(crate) rates: Option<Rates>,
    /// What service account tokens are checked with.
    pub(crate) tokens: Tokens,
}

/// A KMS key that is there from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KmsKey {
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
    /// An alias (`alias/ai-config`), a key id, or an ARN of either, whose account and region then count.
    pub key: String,
}

/// The AWS half.
#[derive(Debug)]
pub(crate) struct Aws {
    clock: Clock,
    counters: Counters,
    persist: Persist,
    tokens: Tokens,
    behaviour: Behaviour,
    /// One lock for all: the services call each other, and an emulator has few callers.
    state: Mutex<Cloud>,
}

#[derive(Debug)]
struct Cloud {
    identities: Identities,
    ssm: Ssm,
    kms: Kms,
    limiter: Option<Limiter>,
    /// Set when a change could not be kept: what is in memory may then be ahead of the disk.
    broken: bool,
}

impl Aws {
    /// Reads back what was kept and makes the keys that must be there.
    pub(crate) fn new(options: AwsOptions) -> std::result::Result<Arc<Self>, PersistError> {
        let aws = Self {
            state: Mutex::new(Cloud {
                identities: Identities::new(options.accounts),
                ssm: Ssm::load(&options.persist)?,
                kms: Kms::load(&options.persist)?,
                limiter: options.rates.map(Limiter::new),
                broken: false,
            }),
            clock: options.clock,
            counters: options.counters,
            persist: options.persist,
            tokens: options.tokens,
            behaviour: Behaviour {
                recreate_wait: options.recreate_wait,
                short_pages: options.short_pages,
                read_lag: options.read_lag,
            },
        };
        for key in options.kms_keys {
            aws.ensure_key(&key)?;
        }
        Ok(Arc::new(aws))
    }

    fn ensure_key(&self, key: &KmsKey) -> std::result::Result<(), PersistError> {
        let place = Place { account: key.account.clone(), region: key.region.clone() };
        let mut ctx = self.context(place, String::new(), None);
        let mut cloud = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        cloud
            .kms
            .ensure(&mut ctx, &key.key)
            .map_err(|error| PersistError::Key { key: key.key.clone(), why: error.message })?;
        self.persist.commit(&ctx.changes)
    }

    /// Hands out credentials for a role, as the agent of a container does.
    pub(crate) fn session(&self, account: &str, role: &str) -> Option<Session> {
        let mut cloud = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        cloud.identities.assume(account, role, "container", self.clock.now(), 3_600)
    }

    /// Returns what the server needs to serve this half.
    pub(crate) fn half(self: &Arc<Self>) -> Half {
        let router = Router::new().fallback(answer).with_state(Arc::clone(self));
        Half { router, identify, refusal }
    }

    fn context(&self, place: Place, caller: String, oddity: Option<Oddity>) -> Context<'_> {
        Context {
            place,
            caller,
            now: self.clock.now(),
            counters: &self.counters,
            behaviour: self.behaviour,
            oddity,
            changes: Vec::new(),
        }
    }

    fn handle(&self, parts: &Parts, body: &[u8]) -> Response {
        let asked = identify(parts, body);
        let oddity = Oddity::of(parts);
        let off = |clock: Timestamp| clock.saturating_add(Oddity::skew(oddity)).unwrap_or(clock);
        let (now, signing_now) = (self.clock.now(), self.clock.signing_now());
        let mut cloud = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let signed = sigv4::verify(parts, body, &cloud.identities, off(signing_now), off(now));
        let response = if asked.operation == sts::WEB_IDENTITY && speaks_query(parts) {
            // Whoever has a token only has no key to sign with.
            let result = sts::assume_with_web_identity(&Form::parse(body), &mut cloud.identities, &self.tokens, now);
            query::answer(&asked.operation, &result)
        } else if speaks_query(parts) {
            let signed = signed.map_err(query::signature_error);
            let result = signed.and_then(|signed| self.call_query(&mut cloud, &signed, &asked, body));
            query::answer(&asked.operation, &result)
        } else {
            let signed = signed.map_err(json11::signature_error);
            json11::answer(&signed.and_then(|signed| self.call_json(&mut cloud, signed, &asked, body, oddity)))
        };
        self.counters.record(asked.service, &asked.operation, response.status().as_u16());
        response
    }

    fn call_query(&self, cloud: &mut Cloud, signed: &Signed, asked: &Operation, body: &[u8]) -> Result<Xml> {
        if signed.service != "sts" {
            return Err(AwsError::new(
                "SignatureDoesNotMatch",
                "Credential should be scoped to correct service: 'sts'.",
            )
            .with_status(http::StatusCode::FORBIDDEN));
        }
        sts::call(&asked.operation, &Form::parse(body), &mut cloud.identities, &signed.principal, self.clock.now())
    }

    fn call_json(
        &self,
        cloud: &mut Cloud,
        signed: Signed,
        asked: &Operation,
        body: &[u8],
        oddity: Option<Oddity>,
    ) -> Result<Value> {
        if asked.service == UNKNOWN {
            return Err(AwsError::new("UnknownOperationException", "X-Amz-Target names no operation that is modelled"));
        }
        if signed.service != asked.service {
            let message = format!("Credential should be scoped to correct service: '{}'.", asked.service);
            return Err(AwsError::new("InvalidSignatureException", message));
        }
        if cloud.broken {
            return Err(AwsError::internal("an earlier change could not be kept; restart the emulator"));
        }
        let place = Place { account: signed.principal.account, region: signed.region };
        let mut ctx = self.context(place, signed.principal.arn, oddity);
        if let Some(limiter) = cloud.limiter.as_mut().filter(|_| asked.service == "ssm") {
            let high_throughput = cloud.ssm.high_throughput(&ctx.place);
            limiter.admit(&ctx.place, &asked.operation, high_throughput, ctx.now)?;
        }
        let result = match asked.service {
            "ssm" => ssm::call(&asked.operation, body, &mut cloud.ssm, &mut cloud.kms, &mut ctx),
            _ => kms::call(&asked.operation, body, &mut cloud.kms, &mut ctx),
        };
        // A refused request may have changed something too: the AWS managed key is made at its first use.
        if let Err(error) = self.persist.commit(&ctx.changes) {
            tracing::error!(%error, "a change could not be kept");
            cloud.broken = true;
            return Err(AwsError::internal("the change could not be kept"));
        }
        result
    }
}

const UNKNOWN: &str = "aws";

async fn answer(State(aws): State<Arc<Aws>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    // The server collected the body already; this is another look at it.
    let body = to_bytes(body, MAX_BODY).await.unwrap_or_else(|_| Bytes::new());
    let answered = server::beside(move || aws.handle(&parts, &body)).await;
    answered.unwrap_or_else(|| json11::refuse(&AwsError::internal("the emulator failed")))
}

/// Tells whether a request is of the query protocol: no target, or signed for STS.
fn speaks_query(parts: &Parts) -> bool {
    json11::target(&parts.headers).is_none() && sigv4::claimed_service(&parts.headers).is_none_or(|s| s == "sts")
}

/// Names what a request asks for, as far as it can be seen without believing it.
fn identify(parts: &Parts, body: &[u8]) -> Operation {
    if let Some((prefix, operation)) = json11::target(&parts.headers) {
        let service = match prefix {
            "AmazonSSM" => "ssm",
            "TrentService" => "kms",
            _ => UNKNOWN,
        };
        return Operation { service, operation: operation.to_owned(), name: subject(body) };
    }
    let form = Form::parse(body);
    match form.get("Action") {
        Some(action) if parts.method == Method::POST => {
            Operation { service: "sts", operation: action.to_owned(), name: form.get("RoleArn").map(str::to_owned) }
        }
        _ => Operation { service: UNKNOWN, operation: format!("{} {}", parts.method, parts.uri.path()), name: None },
    }
}

/// Returns what a JSON request is about: a parameter, several joined by commas, a path, a key.
fn subject(body: &[u8]) -> Option<String> {
    let request: Value = serde_json::from_slice(body).ok()?;
    let text = |member: &str| request.get(member).and_then(Value::as_str).map(str::to_owned);
    let names = || {
        let names = request.get("Names")?.as_array()?.iter().filter_map(Value::as_str);
        Some(names.collect::<Vec<_>>().join(","))
    };
    text("Name")
        .or_else(names)
        .or_else(|| ["Path", "ResourceId", "KeyId", "AliasName", "SettingId"].into_iter().find_map(text))
}

/// Writes a refusal that a fault asks for.
fn refusal(call: &Call, refusal: &Refusal) -> Response {
    let error = AwsError::new(refusal.code.clone(), refusal.message.clone()).with_status(refusal.status);
    let mut response = if call.service == "sts" { query::refuse(&error) } else { json11::refuse(&error) };
    if let Some(millis) = refusal.retry_after_ms {
        response.headers_mut().insert("x-amz-retry-after", HeaderValue::from(millis));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(target: Option<&str>, body: &str) -> (&'static str, String, Option<String>) {
        let mut request = http::Request::post("/");
        if let Some(target) = target {
            request = request.header("x-amz-target", target);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let operation = identify(&parts, body.as_bytes());
        (operation.service, operation.operation, operation.name)
    }

    #[test]
    fn requests_are_named_before_they_are_believed() {
        let get = named(Some("AmazonSSM.GetParameters"), r#"{"Names":["/a","/b"]}"#);
        assert_eq!(get, ("ssm", "GetParameters".to_owned(), Some("/a,/b".to_owned())));
        let key = named(Some("TrentService.DescribeKey"), r#"{"KeyId":"alias/x"}"#);
        assert_eq!(key, ("kms", "DescribeKey".to_owned(), Some("alias/x".to_owned())));
        let sts = named(None, "Action=GetCallerIdentity&Version=2011-06-15");
        assert_eq!(sts, ("sts", "GetCallerIdentity".to_owned(), None));
        assert_eq!(named(Some("DynamoDB_20120810.GetItem"), "{").0, UNKNOWN);
        assert_eq!(named(None, "").1, "POST /");
    }
}
