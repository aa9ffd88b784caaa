//! How requests keep to the quotas, and what becomes of throttles.

use std::time::Duration;

use repin_provider::{ErrorKind, Provider as _};
use serde_json::json;
use tokio::time::Instant;

use super::{Answer, Bench, ENDPOINT, Sent, create, item};

/// A store of its own, since limiters are shared by all tests of a process.
fn settings(store: &str, rates: serde_json::Value) -> serde_json::Value {
    json!({ "endpoint": format!("{ENDPOINT}/{store}"), "prefix": "app*1", "rates": rates })
}

fn written(_: usize, sent: &Sent) -> Answer {
    assert!(sent.line.starts_with("PUT"), "{sent:?}");
    Answer::ok(item("app*1/a", "new", "e7"))
}

#[tokio::test(start_paused = true)]
async fn an_attempt_waits_for_its_turn_outside_of_its_time() {
    let bench = Bench::with_settings(settings("turn", json!({ "write": 0.01 })), written);
    let start = Instant::now();
    for _ in 0..3 {
        bench.provider.apply(&create()).await.unwrap();
    }
    // An attempt may take ten seconds; two of these waited for a hundred each.
    let took = start.elapsed().as_secs();
    assert!((199..=201).contains(&took), "{took}");
    let pace = bench.provider.pace().unwrap();
    assert_eq!((pace.allowed.reads, pace.allowed.writes, pace.allowed.hourly), (300.0, 0.01, Some(30_000.0)));
}

#[tokio::test(start_paused = true)]
async fn a_repetition_waits_for_its_turn_too_and_throttles_are_counted() {
    let script = |index, _: &Sent| match index {
        0 | 1 => Answer::status(429).header("retry-after-ms", "1000"),
        _ => Answer::ok(item("app*1/a", "new", "e7")),
    };
    let bench = Bench::with_settings(settings("again", json!({ "write": 0.1 })), script);
    let start = Instant::now();
    bench.provider.apply(&create()).await.unwrap();
    // At a tenth of a request a second, and less than that after the first throttle; the store's own second is long over.
    assert!(start.elapsed() >= Duration::from_secs(21), "{:?}", start.elapsed());
    assert_eq!((bench.provider.requests()["PUT /kv/{key}"], bench.provider.throttles()["PUT /kv/{key}"]), (3, 2));
    assert!(bench.provider.pace().unwrap().writes < 0.1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_asks_for_an_hour_is_left_alone() {
    let hour = |_, _: &Sent| Answer::status(429).header("retry-after-ms", "3600000");
    let bench = Bench::with_settings(settings("hour", json!({ "hourly": 100 })), hour);
    let start = Instant::now();
    for n in 0..3 {
        let error = bench.provider.apply(&create()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Throttled, "{error}");
        assert!(error.retry_after().unwrap() > Duration::from_secs(600), "{error:?}");
        assert!(error.message.contains("asks to wait ") && error.message.contains(", until 20"), "{n}: {error}");
    }
    assert!(start.elapsed() < Duration::from_secs(1), "and nobody waits for it: {:?}", start.elapsed());
    assert_eq!(bench.sent().len(), 1, "it was asked once");
    assert!(bench.provider.pace().unwrap().held.is_some());
    tokio::time::advance(Duration::from_secs(900)).await;
    bench.provider.apply(&create()).await.unwrap_err();
    assert_eq!(bench.sent().len(), 1, "once more after a while: the quota may have been raised");
}

#[tokio::test(start_paused = true)]
async fn loopback_has_no_quota_unless_the_file_gives_one() {
    let settings = json!({ "endpoint": ENDPOINT, "prefix": "app*1" });
    let bench = Bench::with_settings(settings, written);
    assert_eq!((bench.provider.pace(), bench.provider.capabilities().rates), (None, None));
    let start = Instant::now();
    for _ in 0..200 {
        bench.provider.apply(&create()).await.unwrap();
    }
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}
