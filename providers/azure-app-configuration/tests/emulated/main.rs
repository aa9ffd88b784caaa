//! What only a store can show: locks, labels, expiry, lost answers, throttles and what a pass costs.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod frozen;
mod store;

use std::sync::Arc;
use std::time::Duration;

use azure_data_app_configuration::LockOptions;
use futures::{StreamExt, stream};
use repin_emulator::Fault;
use repin_emulator::appconfig::AppConfigRates;
use repin_provider::{Action, ErrorKind, Observe, Outcome, Provider, Put, ReadRequest, Seen, Write};
use serde_json::json;
use store::{Store, create, key, look, put};

#[tokio::test]
async fn a_locked_item_is_seen_and_left_alone() {
    let store = Store::start(Default::default()).await;
    let provider = store.provider(None);
    create(&provider, "a", "one").await;
    store.other.lock_key_value("app/a", Some(LockOptions::default())).await.unwrap();
    let seen = look(&provider, &["a"], None).await;
    let item = seen.items[&key("a")].item().unwrap();
    assert!(item.locked);
    for action in [put("a", "two", Put::Replace(item.version.clone())).action, Action::Delete(item.version.clone())] {
        let error = provider.apply(&Write { key: key("a"), action }).await.unwrap_err();
        assert_eq!((error.kind, error.outcome), (ErrorKind::Refused, Outcome::NotDone));
        assert!(error.hint.unwrap().contains("unlock"));
    }
    store.emulator.shutdown().await;
}

#[tokio::test]
async fn what_others_wrote_has_no_owner() {
    let store = Store::start(Default::default()).await;
    let provider = store.provider(None);
    store.plant("app/theirs", None, "x").await;
    store.plant("apple", None, "a neighbour").await;
    store.plant("app/labelled", Some("prod"), "another target").await;
    let seen = look(&provider, &["theirs"], None).await;
    assert_eq!(seen.items[&key("theirs")].item().unwrap().owner, Some(None));
    assert_eq!(seen.foreign.unwrap(), Vec::<String>::new());
    let seen = look(&provider, &["mine"], None).await;
    assert_eq!(seen.foreign.unwrap(), ["app/theirs"]);
    let labelled = look(&store.provider(Some("prod")), &["theirs", "labelled"], None).await;
    assert!(matches!(labelled.items[&key("theirs")], Seen::Absent));
    assert!(labelled.items[&key("labelled")].item().is_some());
    store.emulator.shutdown().await;
}

#[tokio::test]
async fn a_revision_expires_and_is_then_none() {
    let store = Store::start(Default::default()).await;
    let provider = store.provider(None);
    let first = create(&provider, "a", "one").await;
    let second = provider.apply(&put("a", "two", Put::Replace(first.clone()))).await.unwrap().version.unwrap();
    let wanted = [&first, &second].map(|version| ReadRequest { key: key("a"), version: Some(version.clone()) });
    let read = provider.read(&wanted).await.unwrap();
    assert!(read.iter().all(Option::is_some));
    store.emulator.clock().advance(provider.capabilities().versions_kept_for.unwrap() + Duration::from_secs(60));
    let read = provider.read(&wanted).await.unwrap();
    assert!(read[0].is_none(), "the superseded revision has expired");
    assert_eq!(read[1].as_ref().unwrap().value.expose(), "two");
    store.emulator.shutdown().await;
}

#[tokio::test]
async fn a_lost_answer_leaves_one_version_and_an_open_outcome() {
    let store = Store::start(Default::default()).await;
    let provider = store.provider(None);
    for (fault, landed) in [(Fault::DropAfter, true), (Fault::DropBefore, false)] {
        let name = if landed { "landed" } else { "lost" };
        let rule = fault.clone();
        let writes = move |call: &repin_emulator::Call| {
            if call.operation.starts_with("PUT") { rule.clone() } else { Fault::None }
        };
        store.emulator.faults().set(Arc::new(writes));
        let error = provider.apply(&put(name, "one", Put::Create)).await.unwrap_err();
        assert_eq!((error.kind, error.outcome), (ErrorKind::Unreachable, Outcome::Unknown), "{error}");
        store.emulator.faults().clear();
        let seen = look(&provider, &[name], None).await;
        assert_eq!(seen.items[&key(name)].item().is_some(), landed);
    }
    assert_eq!(provider.history(&key("landed")).await.unwrap().len(), 1);
    assert_eq!(provider.requests()["PUT /kv/{key}"], 2);
    store.emulator.shutdown().await;
}

#[tokio::test]
async fn a_listing_that_breaks_off_is_a_failure() {
    let store = Store::start(Default::default()).await;
    let provider = store.provider(None);
    create(&provider, "a", "one").await;
    let refuse = Fault::Refuse { status: 403, code: String::new(), message: String::new(), retry_after_ms: None };
    store.emulator.faults().set(Arc::new(move |_| refuse.clone()));
    let request = Observe { keys: vec![key("a")], census: false, ..Observe::default() };
    assert_eq!(provider.observe(request).await.unwrap_err().kind, ErrorKind::Denied);
    store.emulator.shutdown().await;
}

#[tokio::test]
async fn a_throttled_write_is_repeated_and_done_once() {
    let store = Store::start(Default::default()).await;
    let provider = store.provider(None);
    let throttled = |call: &repin_emulator::Call| match call.index {
        1 => Fault::Refuse {
            status: 429,
            code: "too-many-requests".into(),
            message: "slow down".into(),
            retry_after_ms: Some(5),
        },
        _ => Fault::None,
    };
    store.emulator.faults().set(Arc::new(throttled));
    create(&provider, "a", "one").await;
    assert_eq!(provider.requests()["PUT /kv/{key}"], 2);
    assert_eq!(provider.history(&key("a")).await.unwrap().len(), 1);
    store.emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_costs_what_was_promised() {
    let store = Store::start(Default::default()).await;
    let provider = store.provider(None);
    let names: Vec<_> = (0..250).map(|i| format!("k{i:03}")).collect();
    stream::iter(&names).map(|name| create(&provider, name, "one")).buffer_unordered(8).collect::<Vec<_>>().await;
    let keys: Vec<_> = names.iter().map(String::as_str).collect();
    let counters = store.emulator.counters();
    counters.reset();
    let first = look(&provider, &keys, None).await;
    assert_eq!(counters.count_status("appconfig", "GET /kv", 200), 3);

    let unchanged = look(&provider, &keys, first.resume).await;
    assert_eq!(counters.count_status("appconfig", "GET /kv", 304), 3);
    assert_eq!(counters.total("appconfig"), 6);

    let at = unchanged.items[&key("k120")].item().unwrap().version.clone();
    provider.apply(&put("k120", "two", Put::Replace(at.clone()))).await.unwrap();
    counters.reset();
    let changed = look(&provider, &keys, unchanged.resume).await;
    assert_eq!(changed.items[&key("k120")].item().unwrap().value.as_deref(), Some("two"));
    assert_eq!(counters.count_status("appconfig", "GET /kv", 304), 2);
    assert_eq!(counters.count_status("appconfig", "GET /kv", 200), 1);

    // One more key moves every page behind it.
    create(&provider, "k000x", "new").await;
    counters.reset();
    let grown = look(&provider, &keys, changed.resume).await;
    assert_eq!(grown.items.values().filter(|seen| seen.item().is_some()).count(), 250);
    assert_eq!(grown.foreign.unwrap(), ["app/k000x"]);
    assert_eq!(counters.total("appconfig"), 3);

    store.emulator.shutdown().await;
}

/// A request for each key at most, and never more than the whole prefix takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_versions_of_one_moment_cost_a_look() {
    for serve in [json!("key-values"), json!({ "snapshot": "release" })] {
        let store = Store::start(Default::default()).await;
        let provider = store.serving(None, serve);
        let names: Vec<_> = (0..1000).map(|i| format!("k{i:04}")).collect();
        let old: Vec<_> = stream::iter(&names).map(|name| create(&provider, name, "one")).buffered(8).collect().await;
        store.emulator.clock().advance(Duration::from_secs(2));
        stream::iter(names.iter().zip(&old).step_by(2))
            .for_each_concurrent(8, async |(name, version)| {
                provider.apply(&put(name, "two", Put::Replace(version.clone()))).await.unwrap();
            })
            .await;
        let counters = store.emulator.counters();
        // Asked for, and what it may cost: by name in groups of five, or the ten pages of the prefix.
        for (wanted, most) in [(1, 1), (4, 1), (10, 10), (250, 10), (1000, 10)] {
            let chosen = (0..1000).step_by(1000 / wanted);
            let requests: Vec<_> =
                chosen.map(|i| ReadRequest { key: key(&names[i]), version: Some(old[i].clone()) }).collect();
            counters.reset();
            let read = provider.read(&requests).await.unwrap();
            assert_eq!((read.len(), read.iter().flatten().count()), (wanted, wanted));
            assert!(read.iter().flatten().all(|value| value.value.expose() == "one"));
            let sent = counters.total("appconfig");
            assert!(sent <= most, "{wanted} past versions took {sent} requests, not {most}");
        }
        store.emulator.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_beyond_the_throughput_wait_their_turn() {
    let rates = AppConfigRates { reads: 1000.0, writes: 20.0 };
    let store = Store::start(repin_emulator::Options { azure_rates: Some(rates), ..Default::default() }).await;
    let provider = store.provider(None);
    let names: Vec<_> = (0..30).map(|i| format!("k{i}")).collect();
    let written = stream::iter(&names)
        .map(|name| create(&provider, name, "one"))
        .buffer_unordered(provider.capabilities().parallel_writes)
        .collect::<Vec<_>>()
        .await;
    assert_eq!(written.len(), 30);
    assert!(provider.requests()["PUT /kv/{key}"] > 30, "some were refused at first");
    store.emulator.shutdown().await;
}
