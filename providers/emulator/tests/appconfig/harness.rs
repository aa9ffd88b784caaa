use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{HeaderMap, Request, StatusCode};
use jiff::Timestamp;
use repin_emulator::appconfig::{AppConfig, AppConfigOptions, router};
use repin_emulator::{Clock, Counters, Persist};
use serde_json::Value;
use tower::ServiceExt;

use crate::azconfig::Signed;
pub(crate) use crate::azconfig::sign_for;

pub(crate) const HOST: &str = "127.0.0.1:8483";
pub(crate) const VERSION: &str = "api-version=2024-09-01";

/// One emulated listener, the caller and what can be moved about both.
pub(crate) struct Bench {
    pub(crate) app: std::sync::Arc<AppConfig>,
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    pub(crate) credential: String,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn etag(&self) -> String {
        self.header("etag").unwrap_or_else(|| panic!("no etag: {self:?}")).to_owned()
    }

    /// The values of one field of each item.
    pub(crate) fn column(&self, field: &str) -> Vec<Value> {
        self.json()["items"].as_array().unwrap().iter().map(|item| item[field].clone()).collect()
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut AppConfigOptions)) -> Self {
        let clock = Clock::manual("2026-11-21T12:00:00Z".parse().unwrap());
        let counters = Counters::default();
        let mut options = AppConfigOptions::new(clock, counters, Persist::in_memory().unwrap());
        options.provisioning = Duration::from_secs(2);
        change(&mut options);
        let (clock, counters) = (options.clock.clone(), options.counters.clone());
        Self { app: AppConfig::new(options).unwrap(), clock, counters, credential: "contoso".into() }
    }

    /// Looks at the same listener with another access key.
    pub(crate) fn caller(&self, credential: &str) -> Self {
        Self {
            app: self.app.clone(),
            clock: self.clock.clone(),
            counters: self.counters.clone(),
            credential: credential.into(),
        }
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[], "").await
    }

    pub(crate) async fn put(&self, key: &str, body: &str) -> Answer {
        self.send("PUT", &format!("/kv/{key}?{VERSION}"), &[("content-type", "application/json")], body).await
    }

    pub(crate) async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let date = Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let signed = sign(&self.credential, method, target, &date, body);
        let mut all: Vec<(&str, &str)> = headers.to_vec();
        all.extend(signed.iter().map(|(name, value)| (*name, value.as_str())));
        self.send_raw(method, target, &all, body).await
    }

    pub(crate) async fn send_raw(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = router(self.app.clone()).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let answer =
            Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() };
        check_every_answer(&answer);
        answer
    }
}

/// What clients rely on in every answer, whatever its status: the Go client reads the token without looking.
fn check_every_answer(answer: &Answer) {
    let token = answer.header("sync-token").unwrap_or_else(|| panic!("no sync token: {answer:?}"));
    let (id, rest) = token.split_once('=').unwrap();
    let (value, number) = rest.split_once(";sn=").unwrap();
    assert!(!id.is_empty() && !value.is_empty() && number.parse::<u64>().is_ok(), "{token}");
    assert!(answer.header("date").unwrap().ends_with(" GMT"));
}

/// Signs for the host that requests in this process name.
pub(crate) fn sign(credential: &str, method: &str, target: &str, date: &str, body: &str) -> Signed {
    sign_for(HOST, credential, method, target, date, body)
}
