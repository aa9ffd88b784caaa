//! A snapshot, the reference to it, and what readers find behind it.

use std::sync::Arc;
use std::time::Duration;

use azure_data_app_configuration::{
    GetKeyValueOptions, KeyFilter, KeyValueContent, KeyValueSelector, LabelFilter, LockOptions, PutKeyValueOptions,
};
use futures::{StreamExt, stream};
use repin_azure_app_configuration::AppConfiguration;
use repin_emulator::appconfig::SnapshotFailure;
use repin_emulator::{Fault, Options};
use repin_provider::{ErrorKind, Observe, Outcome, Provider, Put, Seen, Version, View};
use serde_json::json;

use crate::store::{Store, create, key, look, put};

const STAGING: &str = "~staging~prod~app/release";
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

async fn start() -> (Store, AppConfiguration) {
    let options = Options { snapshot_provisioning: Duration::from_millis(20), ..Options::default() };
    let store = Store::start(options).await;
    let provider = store.serving(Some("prod"), json!({ "snapshot": "release" }));
    (store, provider)
}

/// Puts one key, freezes it and serves that.
async fn serve(provider: &AppConfiguration, name: &str, value: &str, from: Option<&Version>) -> Version {
    let newest = Observe { keys: vec![key("a")], view: View::Newest, ..Observe::default() };
    let there = provider.observe(newest).await.unwrap();
    let expected = match there.items[&key("a")].item() {
        Some(item) => Put::Replace(item.version.clone()),
        None => Put::Create,
    };
    provider.apply(&put("a", value, expected)).await.unwrap();
    provider.freeze(name).await.unwrap();
    provider.serve_frozen(name, from).await.unwrap().version.unwrap()
}

#[tokio::test]
async fn readers_of_the_label_meet_the_reference_alone() {
    let (store, provider) = start().await;
    serve(&provider, "s1", "one", None).await;
    let selector = KeyValueSelector::new(KeyFilter::Any, LabelFilter::Prefix("prod".into()));
    let met = store.other.list_key_values(&selector, None).unwrap().collect_all().await.unwrap();
    let [reference] = met.as_slice() else { panic!("{met:?}") };
    assert_eq!((reference.key.as_str(), reference.label.as_deref()), ("app/release", Some("prod")));
    assert_eq!(reference.value.as_deref(), Some(r#"{"snapshot_name":"s1"}"#));
    let kind = r#"application/json; profile="https://azconfig.io/mime-profiles/snapshot-ref"; charset=utf-8"#;
    assert_eq!(reference.content_type.as_deref(), Some(kind));
    let inside = store.other.list_key_values(&KeyValueSelector::snapshot("s1"), None).unwrap();
    let inside = inside.collect_all().await.unwrap();
    let [item] = inside.as_slice() else { panic!("{inside:?}") };
    assert_eq!((item.key.as_str(), item.label.as_deref()), ("app/a", Some(STAGING)));
    let snapshot = store.other.get_snapshot("s1", None).await.unwrap().into_model();
    assert_eq!(snapshot.retention_period, Some(WEEK.as_secs()));
    assert_eq!(snapshot.tags["repin:owner"].as_deref(), Some("me"));
    store.emulator.shutdown().await;
}

#[tokio::test]
async fn a_snapshot_takes_in_its_own_target_only() {
    let (store, provider) = start().await;
    store.plant("app/a", Some("prod"), "what was served before").await;
    store.plant("apple", Some(STAGING), "a neighbour").await;
    store.plant("app/inner/b", Some("~staging~prod~app/inner/release"), "of a target within").await;
    create(&provider, "c", "ours").await;
    let made = provider.freeze("s1").await.unwrap();
    assert_eq!(made.items.into_keys().collect::<Vec<_>>(), [key("c")]);
    store.emulator.shutdown().await;
}

#[tokio::test]
async fn a_retired_snapshot_expires() {
    let (store, provider) = start().await;
    let first = serve(&provider, "s1", "one", None).await;
    let second = serve(&provider, "s2", "two", Some(&first)).await;
    provider.retire_frozen("s1").await.unwrap();
    provider.retire_frozen("s2").await.unwrap();
    let seen = look(&provider, &["a"], None).await;
    assert!(!seen.reference.unwrap().kept);
    store.emulator.clock().advance(WEEK + Duration::from_secs(60));
    // The memory of what it held must not outlive it.
    let seen = look(&provider, &["a"], seen.resume).await;
    let reference = seen.reference.unwrap();
    assert_eq!((reference.set.as_deref(), reference.kept), (Some("s2"), false));
    assert!(matches!(seen.items[&key("a")], Seen::Absent));
    assert!(provider.read_frozen("s1").await.unwrap().is_none());
    let error = provider.serve_frozen("s1", Some(&second)).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::NotFound, Outcome::NotDone));
    provider.retire_frozen("s1").await.unwrap();

    // Its name may be used again, for something else.
    serve(&provider, "s2", "three", Some(&second)).await;
    let seen = look(&provider, &["a"], seen.resume).await;
    assert_eq!(seen.items[&key("a")].item().unwrap().value.as_deref(), Some("three"));
    store.emulator.shutdown().await;
}

#[tokio::test]
async fn a_snapshot_that_expired_and_was_made_again_is_read_again() {
    let (store, provider) = start().await;
    let reference = serve(&provider, "s1", "one", None).await;
    let seen = look(&provider, &["a"], None).await;
    provider.retire_frozen("s1").await.unwrap();
    store.emulator.clock().advance(WEEK + Duration::from_secs(60));
    serve(&provider, "s1", "two", Some(&reference)).await;
    let seen = look(&provider, &["a"], seen.resume).await;
    assert_eq!(seen.items[&key("a")].item().unwrap().value.as_deref(), Some("two"));
    store.emulator.shutdown().await;
}

#[tokio::test]
async fn a_snapshot_that_fails_is_none() {
    let (store, provider) = start().await;
    create(&provider, "a", "one").await;
    store.emulator.fail_next_snapshot(SnapshotFailure::QuotaExceeded);
    let error = provider.freeze("s1").await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::Refused, Outcome::NotDone));
    assert!(error.message.contains("QuotaExceeded"), "{error}");
    assert!(error.hint.unwrap().contains("1 MB"));
    assert!(provider.read_frozen("s1").await.unwrap().is_none());
    assert_eq!(provider.serve_frozen("s1", None).await.unwrap_err().kind, ErrorKind::NotFound);
    provider.retire_frozen("s1").await.unwrap();
    assert_eq!(provider.freeze("s1").await.unwrap_err().kind, ErrorKind::AlreadyExists);
    assert_eq!(provider.freeze("s2").await.unwrap().items.len(), 1);
    store.emulator.shutdown().await;
}

#[tokio::test]
async fn a_snapshot_that_is_too_large_is_refused() {
    let (store, provider) = start().await;
    let large = "x".repeat(9000);
    for i in 0..130 {
        create(&provider, &format!("k{i}"), &large).await;
    }
    let error = provider.freeze("s1").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(error.message.contains("QuotaExceeded"), "{error}");
    store.emulator.shutdown().await;
}

#[tokio::test]
async fn an_unfinished_snapshot_is_waited_for() {
    let options = Options { snapshot_provisioning: Duration::from_millis(300), ..Options::default() };
    let store = Store::start(options).await;
    let provider = store.serving(None, json!({ "snapshot": "release" }));
    create(&provider, "a", "one").await;
    // The process that began it is gone; all that is known is its name.
    let asks = |call: &repin_emulator::Call| {
        if call.operation == "GET /operations" { Fault::DropBefore } else { Fault::None }
    };
    store.emulator.faults().set(Arc::new(asks));
    let error = provider.freeze("s1").await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::Unreachable, Outcome::Unknown), "{error}");
    store.emulator.faults().clear();
    let there = provider.read_frozen("s1").await.unwrap().unwrap();
    assert!(there.kept && there.items.contains_key(&key("a")));
    assert!(provider.requests()["GET /operations"] > 1);

    let begun = provider.freeze("s2");
    let retired = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        store.serving(None, json!({ "snapshot": "release" })).retire_frozen("s2").await.unwrap();
    };
    let (made, ()) = tokio::join!(begun, retired);
    assert_eq!(made.unwrap().items.len(), 1);
    assert!(!provider.read_frozen("s2").await.unwrap().unwrap().kept);
    store.emulator.shutdown().await;
}

#[tokio::test]
async fn a_lost_answer_leaves_it_open_whether_a_snapshot_was_begun() {
    let (store, provider) = start().await;
    create(&provider, "a", "one").await;
    for (fault, name, landed) in [(Fault::DropAfter, "s1", true), (Fault::DropBefore, "s2", false)] {
        let begins = move |call: &repin_emulator::Call| {
            if call.operation.starts_with("PUT /snapshots") { fault.clone() } else { Fault::None }
        };
        store.emulator.faults().set(Arc::new(begins));
        let error = provider.freeze(name).await.unwrap_err();
        assert_eq!((error.kind, error.outcome), (ErrorKind::Unreachable, Outcome::Unknown), "{error}");
        store.emulator.faults().clear();
        assert_eq!(provider.read_frozen(name).await.unwrap().is_some(), landed);
    }
    store.emulator.shutdown().await;
}

#[tokio::test]
async fn something_else_at_the_reference_is_told() {
    let (store, provider) = start().await;
    store.plant("app/release", Some("prod"), "notes").await;
    let seen = look(&provider, &["a"], None).await;
    let reference = seen.reference.unwrap();
    assert_eq!((reference.set.as_deref(), reference.owner.as_deref(), reference.kept), (None, None, false));
    assert!(matches!(seen.items[&key("a")], Seen::Absent));
    create(&provider, "a", "one").await;
    provider.freeze("s1").await.unwrap();
    assert_eq!(provider.serve_frozen("s1", None).await.unwrap_err().kind, ErrorKind::AlreadyExists);
    provider.serve_frozen("s1", Some(&reference.version)).await.unwrap();

    // One that only some readers take for a reference is none.
    let mut almost = KeyValueContent::new(r#"{"snapshot_name":"s1"}"#);
    almost.content_type = Some(r#"application/json;profile="https://azconfig.io/mime-profiles/snapshot-ref""#.into());
    let prod = || Some("prod".to_owned());
    let options = PutKeyValueOptions { label: prod(), ..Default::default() };
    store.other.put_key_value("app/release", &almost, Some(options)).await.unwrap();
    let reference = look(&provider, &["a"], seen.resume).await.reference.unwrap();
    assert_eq!((reference.set.as_deref(), reference.owner), (None, None));

    store.other.lock_key_value("app/release", Some(LockOptions { label: prod(), ..Default::default() })).await.unwrap();
    let options = GetKeyValueOptions { label: prod(), ..Default::default() };
    let there = store.other.get_key_value("app/release", Some(options)).await.unwrap().into_model();
    let from = Version::new(there.etag.unwrap(), None);
    let error = provider.serve_frozen("s1", Some(&from)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(error.hint.unwrap().contains("unlock"));
    store.emulator.shutdown().await;
}

#[tokio::test]
async fn a_census_tells_what_readers_meet_beside_the_snapshot() {
    let (store, provider) = start().await;
    for (native, label) in [
        ("app/theirs", Some("prod")),
        ("app/a", Some("prod")),
        ("app/unlabelled", None),
        ("apple", Some("prod")),
        ("app/staged", Some(STAGING)),
    ] {
        store.plant(native, label, "x").await;
    }
    serve(&provider, "s1", "one", None).await;
    let ask = |view, census, resume| Observe { keys: vec![key("a")], view, census, resume, ..Observe::default() };
    let seen = provider.observe(ask(View::Served, true, None)).await.unwrap();
    assert_eq!(seen.foreign.unwrap(), ["app/a", "app/staged", "app/theirs"]);
    assert_eq!(provider.observe(ask(View::Served, false, None)).await.unwrap().foreign, None);
    let counters = store.emulator.counters();
    counters.reset();
    let again = provider.observe(ask(View::Served, true, seen.resume)).await.unwrap();
    assert_eq!(again.foreign.unwrap().len(), 3);
    assert_eq!((counters.total("appconfig"), counters.count_status("appconfig", "GET /kv", 304)), (3, 1));
    let staged = provider.observe(ask(View::Newest, true, None)).await.unwrap();
    assert_eq!(staged.foreign.unwrap(), ["app/staged"]);
    assert_eq!(staged.reference, None);
    store.emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_costs_what_was_promised() {
    let (store, provider) = start().await;
    let names: Vec<_> = (0..250).map(|i| format!("k{i:03}")).collect();
    stream::iter(&names).map(|name| create(&provider, name, "one")).buffer_unordered(8).collect::<Vec<_>>().await;
    let keys: Vec<_> = names.iter().map(String::as_str).collect();
    let counters = store.emulator.counters();
    let count = |operation| counters.count("appconfig", operation);

    counters.reset();
    assert_eq!(provider.freeze("s1").await.unwrap().items.len(), 250);
    assert_eq!((count("PUT /snapshots/{name}"), count("GET /snapshots/{name}"), count("GET /kv")), (1, 1, 3));
    assert_eq!(counters.total("appconfig"), 5 + count("GET /operations"));

    counters.reset();
    let first = provider.serve_frozen("s1", None).await.unwrap().version.unwrap();
    assert_eq!((count("GET /snapshots/{name}"), count("PUT /kv/{key}"), counters.total("appconfig")), (1, 1, 2));

    let seen = look(&provider, &keys, None).await;
    counters.reset();
    let seen = look(&provider, &keys, seen.resume).await;
    assert_eq!(seen.items.values().filter(|seen| seen.item().is_some()).count(), 250);
    assert_eq!(counters.count_status("appconfig", "GET /kv/{key}", 304), 1);
    assert_eq!(counters.count_status("appconfig", "GET /snapshots/{name}", 304), 1);
    assert_eq!(counters.total("appconfig"), 2);

    // Another snapshot is read once; back at the earlier one, it is read again.
    provider.freeze("s2").await.unwrap();
    provider.serve_frozen("s2", Some(&first)).await.unwrap();
    counters.reset();
    let seen = look(&provider, &keys, seen.resume).await;
    assert_eq!((count("GET /kv"), counters.total("appconfig")), (3, 5));
    provider.retire_frozen("s2").await.unwrap();
    counters.reset();
    let seen = look(&provider, &keys, seen.resume).await;
    assert!(!seen.reference.unwrap().kept);
    assert_eq!((count("GET /kv"), counters.total("appconfig")), (0, 2));
    store.emulator.shutdown().await;
}
