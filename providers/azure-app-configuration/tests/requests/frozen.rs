//! What is sent for a snapshot and for the reference to it.

use repin_provider::{ErrorKind, Observe, Outcome, Provider, Version, View};
use serde_json::{Value as Json, json};

use crate::{AT, Answer, Bench, ENDPOINT, Sent, create, item, key, observe, page};

const KIND: &str = "application/json; profile=\"https://azconfig.io/mime-profiles/snapshot-ref\"; charset=utf-8";
const LISTED: &str = "GET /kv?api-version=2026-04-01&snapshot=s-1";

fn bench(script: impl Fn(usize, &Sent) -> Answer + Send + Sync + 'static) -> Bench {
    let settings =
        json!({ "endpoint": ENDPOINT, "prefix": "app*1", "label": "prod", "serve": { "snapshot": "release" } });
    Bench::with_settings(settings, script)
}

fn snapshot(status: &str, items: u64) -> Json {
    json!({ "name": "s-1", "status": status, "filters": [], "composition_type": "key", "created": AT, "size": 9,
            "items_count": items, "tags": { "repin:owner": "me" }, "etag": format!("{status}-etag") })
}

fn reference() -> Json {
    let mut there = item("app*1/release", r#"{"snapshot_name":"s-1"}"#, "r1");
    there["content_type"] = KIND.into();
    there
}

/// A store with one snapshot of one key, and the reference to it.
fn served(sent: &Sent) -> Answer {
    let path = sent.line.split('?').next().unwrap().to_owned();
    let unchanged = |etag: &str| sent.if_none_match.as_deref() == Some(&format!("\"{etag}\""));
    match &*path {
        "GET /kv/app%2A1%2Frelease" if unchanged("r1") => Answer::status(304),
        "GET /kv/app%2A1%2Frelease" | "PUT /kv/app%2A1%2Frelease" => Answer::ok(reference()),
        "GET /snapshots/s-1" if unchanged("ready-etag") => Answer::status(304),
        "GET /snapshots/s-1" => Answer::ok(snapshot("ready", 1)),
        "GET /kv" => Answer::ok(page("p", &[item("app*1/a", "one", "e1")], None)),
        other => panic!("{other} was not expected"),
    }
}

fn lines(bench: &Bench) -> Vec<String> {
    bench.sent().into_iter().map(|sent| sent.line).collect()
}

#[tokio::test]
async fn a_put_goes_to_a_label_of_the_targets_own() {
    let bench = bench(|_, _| Answer::ok(item("app*1/a", "new", "e9")));
    bench.provider.apply(&create()).await.unwrap();
    assert_eq!(lines(&bench), ["PUT /kv/app%2A1%2Fa?api-version=2026-04-01&label=~staging~prod~app-1%2Frelease"]);
    let mut reference = create();
    reference.key = key("release");
    assert_eq!(bench.provider.apply(&reference).await.unwrap_err().kind, ErrorKind::Refused);
    assert!(bench.sent().is_empty());
}

#[tokio::test]
async fn a_snapshot_is_of_everything_that_is_staged() {
    let bench = bench(|_, sent| match sent.line.split('?').next().unwrap() {
        "PUT /snapshots/s-1" => Answer::Status(201, Vec::new(), snapshot("provisioning", 0)),
        "GET /operations" => Answer::ok(json!({ "id": "s-1", "status": "Succeeded", "error": null })),
        _ => served(sent),
    });
    let made = bench.provider.freeze("s-1").await.unwrap();
    assert_eq!(made.items[&key("a")].version, Version::new("e1", Some(AT.parse().unwrap())));
    let sent = bench.sent();
    assert_eq!(
        sent[0].body,
        json!({ "filters": [{ "key": "app\\*1/*", "label": "~staging~prod~app-1/release" }],
                "composition_type": "key", "retention_period": 604_800, "tags": { "repin:owner": "me" } })
    );
    let rest: Vec<_> = sent[1..].iter().map(|sent| sent.line.as_str()).collect();
    let version = "api-version=2026-04-01";
    assert_eq!(
        rest,
        [&format!("GET /operations?{version}&snapshot=s-1"), &format!("GET /snapshots/s-1?{version}"), LISTED]
    );
}

#[tokio::test]
async fn the_reference_is_written_byte_for_byte() {
    let bench = bench(|_, sent| served(sent));
    let applied = bench.provider.serve_frozen("s-1", None).await.unwrap();
    assert_eq!(applied.version.unwrap().id, "r1");
    let sent = bench.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[1].line, "PUT /kv/app%2A1%2Frelease?api-version=2026-04-01&label=prod");
    assert_eq!(sent[1].if_none_match.as_deref(), Some("*"));
    assert_eq!(
        sent[1].body,
        json!({ "value": "{\"snapshot_name\":\"s-1\"}", "content_type": KIND, "tags": { "repin:owner": "me" } })
    );
    bench.provider.serve_frozen("s-1", Some(&Version::new("r0", None))).await.unwrap();
    assert_eq!(bench.sent()[1].if_match.as_deref(), Some("\"r0\""));
}

#[tokio::test]
async fn an_archived_snapshot_is_recovered_before_it_is_served() {
    let bench = bench(|_, sent| match sent.line.split('?').next().unwrap() {
        "GET /snapshots/s-1" => Answer::ok(snapshot("archived", 1)),
        "PATCH /snapshots/s-1" => Answer::ok(snapshot("ready", 1)),
        _ => served(sent),
    });
    bench.provider.serve_frozen("s-1", None).await.unwrap();
    let sent = bench.sent();
    assert_eq!(sent[1].body, json!({ "status": "ready" }));
    assert!(sent[2].line.starts_with("PUT /kv/"));
    bench.provider.retire_frozen("s-1").await.unwrap();
    assert_eq!(bench.sent()[0].body, json!({ "status": "archived" }));
}

#[tokio::test]
async fn an_unchanged_pass_asks_for_the_reference_and_the_status() {
    let bench = bench(|_, sent| served(sent));
    let first = bench.provider.observe(observe(&["a", "b"])).await.unwrap();
    let version = "api-version=2026-04-01";
    let asked = [
        format!("GET /kv/app%2A1%2Frelease?{version}&label=prod"),
        format!("GET /snapshots/s-1?{version}"),
        LISTED.to_owned(),
    ];
    assert_eq!(lines(&bench), asked);
    assert_eq!(first.at.unwrap().to_string(), "2026-11-21T22:10:05Z");
    let again = Observe { resume: first.resume.clone(), ..observe(&["a"]) };
    let second = bench.provider.observe(again).await.unwrap();
    let sent = bench.sent();
    let conditions: Vec<_> = sent.iter().map(|sent| sent.if_none_match.as_deref().unwrap()).collect();
    assert_eq!(conditions, ["\"r1\"", "\"ready-etag\""]);
    assert_eq!((&second.resume, &second.reference), (&first.resume, &first.reference));
    assert_eq!(second.items[&key("a")].item().unwrap().value.as_deref(), Some("one"));
    // What was remembered of one view is of no use to the other.
    let newest = Observe { view: View::Newest, resume: second.resume, ..observe(&["a"]) };
    bench.provider.observe(newest).await.unwrap();
    assert_eq!(bench.sent()[0].if_none_match, None);
}

#[tokio::test]
async fn a_snapshot_that_shows_less_than_it_holds_is_not_empty() {
    let bench = bench(|_, sent| match sent.line.split('?').next().unwrap() {
        "GET /kv" => Answer::ok(page("p", &[], None)),
        _ => served(sent),
    });
    assert_eq!(bench.provider.observe(observe(&["a"])).await.unwrap_err().kind, ErrorKind::Unexpected);
    assert_eq!(bench.provider.read_frozen("s-1").await.unwrap_err().kind, ErrorKind::Unexpected);
}

/// Refuses the first attempt of a snapshot for a moment, then says that the name is taken, by somebody.
fn refused_then_taken(owner: &'static str) -> impl Fn(usize, &Sent) -> Answer {
    move |index, sent| match (index, sent.line.split('?').next().unwrap()) {
        (0, _) => Answer::status(429).header("retry-after-ms", "1"),
        (_, "PUT /snapshots/s-1") => {
            Answer::Status(409, Vec::new(), json!({ "type": "https://azconfig.io/errors/already-exists" }))
        }
        (_, "GET /snapshots/s-1") => {
            let mut there = snapshot("ready", 1);
            there["tags"]["repin:owner"] = owner.into();
            Answer::ok(there)
        }
        _ => served(sent),
    }
}

#[tokio::test]
async fn ones_own_snapshot_is_no_conflict() {
    let made = bench(refused_then_taken("me")).provider.freeze("s-1").await.unwrap();
    assert_eq!(made.items.len(), 1);
    let error = bench(refused_then_taken("you")).provider.freeze("s-1").await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::AlreadyExists, Outcome::NotDone));
}

#[tokio::test]
async fn a_store_that_cannot_be_asked_makes_nothing_absent() {
    for refused in ["GET /kv/", "GET /snapshots/", "GET /kv?"] {
        let bench =
            bench(move |_, sent| if sent.line.starts_with(refused) { Answer::status(403) } else { served(sent) });
        assert_eq!(bench.provider.observe(observe(&["a"])).await.unwrap_err().kind, ErrorKind::Denied, "{refused}");
    }
}
