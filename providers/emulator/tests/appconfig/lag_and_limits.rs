use std::time::Duration;

use repin_emulator::appconfig::AppConfigRates;
use serde_json::json;

use crate::harness::{Bench, VERSION};

#[tokio::test]
async fn a_reader_without_the_token_sees_the_past() {
    let bench = Bench::with(|options| options.stale_reads = Some(Duration::from_secs(5)));
    let target = format!("/kv/k?{VERSION}");
    bench.put("k", r#"{"value":"1"}"#).await;
    bench.advance(10);
    let written = bench.put("k", r#"{"value":"2"}"#).await;
    assert_eq!(bench.get(&target).await.json()["value"], "1");
    assert_eq!(bench.get(&format!("/kv?{VERSION}")).await.column("value"), ["1"]);
    let stale = bench.get(&target).await;
    assert_ne!(stale.header("sync-token"), written.header("sync-token"), "it does not vouch for what it hides");
    let token = written.header("sync-token").unwrap().split(';').next().unwrap();
    let synced = bench.send("GET", &target, &[("sync-token", token)], "").await;
    assert_eq!(synced.json()["value"], "2");
    bench.advance(5);
    assert_eq!(bench.get(&target).await.json()["value"], "2");
}

#[tokio::test]
async fn conditions_of_writes_never_lag() {
    let bench = Bench::with(|options| options.stale_reads = Some(Duration::from_secs(5)));
    bench.put("k", r#"{"value":"1"}"#).await;
    let absent = [("if-none-match", "*")];
    assert_eq!(bench.send("PUT", &format!("/kv/k?{VERSION}"), &absent, r#"{"value":"2"}"#).await.status, 412);
}

#[tokio::test]
async fn too_many_requests_wait_as_long_as_they_are_told() {
    let bench = Bench::with(|options| options.rates = Some(AppConfigRates { reads: 100.0, writes: 2.0 }));
    for key in ["a", "b"] {
        assert_eq!(bench.put(key, r#"{"value":"1"}"#).await.status, 200);
    }
    let refused = bench.put("c", r#"{"value":"1"}"#).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after-ms"), Some("500"));
    let problem = refused.json();
    assert_eq!(problem["type"], "https://azconfig.io/errors/too-many-requests");
    assert_eq!((&problem["policy"], &problem["status"]), (&json!("Total Requests"), &json!(429)));
    assert_eq!(bench.get(&format!("/kv/c?{VERSION}")).await.status, 404, "a refused write has no effect");
    let other = bench.caller("fabrikam");
    assert_eq!(other.put("a", r#"{"value":"1"}"#).await.status, 200, "each store has its own limit");
    bench.clock.advance(Duration::from_millis(500));
    assert_eq!(bench.put("c", r#"{"value":"1"}"#).await.status, 200);
}
