//! What goes over the wire where readers follow a label.

use std::time::Duration;

use repin_aws_ssm::{Rates, Serve, Ssm};
use repin_provider::{Action, ErrorKind, Observe, Outcome, Provider, ReadRequest, Seen, Serving, Version, View, Write};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use super::script::{Answer, Script, no, ok};
use super::{create, delete, found, key, operations, parameter, plain, put, secret, tagged};

const NAME: &str = "/ai/prod/chat/config";

async fn target(script: &Script) -> Ssm {
    script.target_with(|config| config.serve = Serve::Label("live".into()), |_| {}).await
}

async fn lagging(script: &Script) -> Ssm {
    let serve = |config: &mut repin_aws_ssm::Config| config.serve = Serve::Label("live".into());
    script.target_with(serve, |options| options.read_lag = Some(Duration::from_secs(10))).await
}

fn labelled(name: &str, version: i64) -> Json {
    let mut parameter = parameter(name, version, "String");
    parameter["Selector"] = json!(":live");
    parameter
}

fn missing(names: &[&str]) -> Answer {
    ok(json!({ "Parameters": [], "InvalidParameters": names }))
}

fn serve(version: &str) -> Write {
    let version = Version::new(version, None);
    Write { key: key("chat/config"), action: Action::Serve { version, from: None } }
}

fn withdraw(version: &str) -> Write {
    Write { key: key("chat/config"), action: Action::Withdraw(Version::new(version, None)) }
}

fn replace(version: &str) -> Write {
    super::replace(secret(), version)
}

fn ask(view: View) -> Observe {
    Observe { keys: vec![key("chat/config")], view, ..Observe::default() }
}

async fn seen(target: &Ssm, view: View) -> Option<String> {
    let seen = target.observe(ask(view)).await.unwrap();
    seen.items[&key("chat/config")].item().map(|item| item.version.id.clone())
}

#[tokio::test]
async fn what_is_served_is_asked_for_by_label() {
    let other = json!({ "Name": "/ai/prod/d", "Type": "String", "Value": "v", "Version": 9, "Selector": ":other" });
    let script = Script::new([
        ok(json!({ "Parameters": [labelled("/ai/prod/b", 3), other],
            "InvalidParameters": ["/ai/prod/a:live", "/ai/prod/e"] })),
        found(&[parameter("/ai/prod/b", 7, "String")]),
    ]);
    let target = target(&script).await;
    assert_eq!((target.capabilities().serving, target.capabilities().serve.as_str()), (Serving::Apart, "label live"));
    let keys = ["e", "d", "b", "a"].map(key).to_vec();
    let seen = target.observe(Observe { keys, ..Observe::default() }).await.unwrap();
    assert_eq!(script.sent()[0].body["Names"], json!(["a", "b", "d", "e"].map(|key| format!("/ai/prod/{key}:live"))));
    let item = seen.items[&key("b")].item().unwrap();
    assert_eq!((item.version.id.as_str(), item.version.at.unwrap().as_millisecond()), ("3", 1_700_000_000_123));
    assert!(matches!(seen.items[&key("a")], Seen::Absent));
    for unclear in ["d", "e"] {
        assert!(matches!(seen.items[&key(unclear)], Seen::Unreadable(_)), "{unclear}: {seen:?}");
    }
    let newest = Observe { keys: vec![key("b")], view: View::Newest, ..Observe::default() };
    assert_eq!(target.observe(newest).await.unwrap().items[&key("b")].item().unwrap().version.id, "7");
    assert_eq!(script.sent()[1].body["Names"], json!(["/ai/prod/b"]));
}

#[tokio::test]
async fn a_census_lists_names_and_still_asks_for_the_label() {
    let listed = || ok(json!({ "Parameters": [parameter(NAME, 7, "String"), parameter("/ai/prod/x", 1, "String")] }));
    let script = Script::new([listed(), found(&[labelled(NAME, 3)]), listed()]);
    let target = target(&script).await;
    let census = |view| Observe { census: true, ..ask(view) };
    let served = target.observe(census(View::Served)).await.unwrap();
    let newest = target.observe(census(View::Newest)).await.unwrap();
    for (observation, version) in [(served, "3"), (newest, "7")] {
        assert_eq!(observation.items[&key("chat/config")].item().unwrap().version.id, version);
        assert_eq!(observation.foreign.unwrap(), ["/ai/prod/x"]);
    }
    assert_eq!(operations(&script), ["GetParametersByPath", "GetParameters", "GetParametersByPath"]);
}

#[tokio::test]
async fn past_versions_are_looked_at_undecrypted_beside_what_is_served() {
    let mut past = parameter("/ai/prod/a", 3, "SecureString");
    past["Selector"] = json!(":3");
    let script = Script::new([
        ok(json!({ "Parameters": [past, labelled("/ai/prod/d", 7)], "InvalidParameters": ["/ai/prod/b:5"] })),
        found(&[parameter("/ai/prod/a", 9, "SecureString")]),
        ok(json!({})),
    ]);
    let target = target(&script).await;
    let versions = [("a", "3"), ("b", "5"), ("c", "etag")].map(|(text, id)| (key(text), Version::new(id, None)));
    let keys = ["a", "b", "c", "d"].map(key).to_vec();
    let seen = target.observe(Observe { keys, versions: versions.into(), ..Observe::default() }).await.unwrap();
    let sent = &script.sent()[0].body;
    assert_eq!(sent["Names"], json!(["/ai/prod/a:3", "/ai/prod/b:5", "/ai/prod/d:live"]));
    assert_eq!(sent["WithDecryption"], json!(false));
    let item = seen.items[&key("a")].item().unwrap();
    assert_eq!((item.version.id.as_str(), item.version.at.is_some(), &item.value), ("3", true, &None));
    assert_eq!(seen.items[&key("d")].item().unwrap().version.id, "7");
    for gone in ["b", "c"] {
        assert!(matches!(seen.items[&key(gone)], Seen::Absent), "{gone}: {seen:?}");
    }
    // None of them is what a write would meet.
    let write = Write { key: key("a"), action: Action::Delete(Version::new("9", None)) };
    target.apply(&write).await.unwrap();
    assert_eq!(script.sent()[1].body["Names"], json!(["/ai/prod/a"]));
}

#[tokio::test(start_paused = true)]
async fn a_past_version_is_late_only_if_it_is_our_own_last() {
    let gone = |number: i64| missing(&[&format!("{NAME}:{number}")]);
    let mut eighth = parameter(NAME, 8, "SecureString");
    eighth["Selector"] = json!(":8");
    let script = Script::new([tagged(), put(8), gone(8), found(&[eighth]), gone(2)]);
    let target = lagging(&script).await;
    target.apply(&replace("7")).await.unwrap();
    let at = |number: &str| {
        let versions = [(key("chat/config"), Version::new(number, None))].into();
        Observe { versions, ..ask(View::Served) }
    };
    let there = target.observe(at("8")).await.unwrap();
    assert_eq!(there.items[&key("chat/config")].item().unwrap().version.id, "8");
    assert!(matches!(target.observe(at("2")).await.unwrap().items[&key("chat/config")], Seen::Absent));
    assert_eq!(target.requests()["GetParameters"], 3);
}

#[tokio::test]
async fn a_read_without_a_version_reads_what_is_served() {
    let script = Script::new([
        ok(json!({ "Parameters": [labelled(NAME, 3)], "InvalidParameters": ["/ai/prod/none:live"] })),
        found(&[parameter(NAME, 2, "String")]),
    ]);
    let target = target(&script).await;
    let request = |text: &str, version: Option<&str>| ReadRequest {
        key: key(text),
        version: version.map(|number| Version::new(number, None)),
    };
    let requests = [request("chat/config", Some("2")), request("none", None), request("chat/config", None)];
    let values = target.read(&requests).await.unwrap();
    let versions: Vec<_> = values.iter().map(|value| value.as_ref().map(|value| value.version.id.as_str())).collect();
    assert_eq!(versions, [Some("2"), None, Some("3")]);
    let mut names: Vec<_> = script.sent().iter().map(|sent| sent.body["Names"].clone()).collect();
    names.sort_by_key(Json::to_string);
    assert_eq!(names, [json!([format!("{NAME}:2")]), json!([format!("{NAME}:live"), "/ai/prod/none:live"])]);
}

#[tokio::test]
async fn a_label_moves_by_number_and_comes_off_without_complaint() {
    let script = Script::new([
        ok(json!({ "InvalidLabels": [], "ParameterVersion": 7 })),
        ok(json!({ "RemovedLabels": ["live"], "InvalidLabels": [] })),
        ok(json!({ "RemovedLabels": [], "InvalidLabels": ["live"] })),
        no(400, "ParameterVersionNotFound", "gone"),
        no(400, "ParameterNotFound", "gone"),
    ]);
    let target = target(&script).await;
    let served = target.apply(&serve("7")).await.unwrap();
    assert_eq!((served.version.unwrap().id.as_str(), served.buried), ("7", None));
    for _ in 0..4 {
        let applied = target.apply(&withdraw("7")).await.unwrap();
        assert_eq!((applied.version, applied.buried), (None, None));
    }
    let body = json!({ "Name": NAME, "ParameterVersion": 7, "Labels": ["live"] });
    assert!(script.sent().iter().all(|sent| sent.body == body));
    assert_eq!(target.requests()["LabelParameterVersion"], 1);
    assert_eq!(target.requests()["UnlabelParameterVersion"], 4);
}

#[tokio::test]
async fn what_stops_a_label_is_said_with_the_way_out() {
    let cases = [
        (ok(json!({ "InvalidLabels": ["live"], "ParameterVersion": 7 })), ErrorKind::Refused, "serve"),
        (no(400, "ParameterVersionNotFound", "no such version"), ErrorKind::NotFound, "history"),
        (no(400, "ParameterVersionLabelLimitExceeded", "ten"), ErrorKind::Refused, "ten labels"),
        (no(400, "AccessDeniedException", "not allowed"), ErrorKind::Denied, "iam"),
    ];
    for (answer, kind, way_out) in cases {
        let script = Script::new([answer]);
        let error = target(&script).await.apply(&serve("7")).await.unwrap_err();
        assert_eq!((error.kind, error.outcome), (kind, Outcome::NotDone), "{error}");
        assert!(error.hint.as_deref().is_some_and(|hint| hint.contains(way_out)), "{error:?}");
        assert_eq!(error.key, Some(key("chat/config")));
    }
}

#[tokio::test]
async fn a_put_that_a_label_blocks_names_the_rule() {
    let script = Script::new([tagged(), no(400, "ParameterMaxVersionLimitExceeded", "version 1 has a label")]);
    let error = target(&script).await.apply(&replace("100")).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::Refused, Outcome::NotDone), "{error}");
    let hint = error.hint.unwrap();
    assert!(hint.contains("label") && hint.contains("move") && hint.contains("again"), "{hint}");
}

#[tokio::test]
async fn nothing_is_sent_for_a_label_that_nobody_follows_or_a_version_that_never_was() {
    let script = Script::new([]);
    let latest = script.target().await;
    for write in [serve("7"), withdraw("7")] {
        assert_eq!(latest.apply(&write).await.unwrap_err().kind, ErrorKind::Refused);
    }
    let target = target(&script).await;
    for write in [serve("etag"), withdraw("0")] {
        assert_eq!(target.apply(&write).await.unwrap_err().kind, ErrorKind::NotFound);
    }
    assert!(script.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_move_whose_answer_is_lost_is_not_repeated() {
    for write in [serve("7"), withdraw("7")] {
        let script = Script::new([Answer::Lost]);
        let error = target(&script).await.apply(&write).await.unwrap_err();
        assert_eq!((error.kind, error.outcome), (ErrorKind::Unreachable, Outcome::Unknown), "{error}");
        assert_eq!(script.sent().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_read_of_the_label_is_asked_again() {
    let moved = || ok(json!({ "InvalidLabels": [], "ParameterVersion": 7 }));
    let at = |version| found(&[labelled(NAME, version)]);
    let unlabelled = || missing(&["/ai/prod/chat/config:live"]);
    let removed = ok(json!({ "RemovedLabels": ["live"], "InvalidLabels": [] }));
    let script = Script::new([moved(), unlabelled(), at(6), at(7), removed, at(7), unlabelled()]);
    let target = lagging(&script).await;
    target.apply(&serve("7")).await.unwrap();
    assert_eq!(seen(&target, View::Served).await.as_deref(), Some("7"));
    target.apply(&withdraw("7")).await.unwrap();
    assert_eq!(seen(&target, View::Served).await, None);
    assert_eq!(target.requests()["GetParameters"], 5);
}

#[tokio::test(start_paused = true)]
async fn a_label_that_somebody_else_moved_is_believed_after_the_lag() {
    let moved = ok(json!({ "InvalidLabels": [], "ParameterVersion": 7 }));
    let script = Script::new([moved].into_iter().chain((0..30).map(|_| found(&[labelled(NAME, 5)]))));
    let target = lagging(&script).await;
    target.apply(&serve("7")).await.unwrap();
    let start = Instant::now();
    assert_eq!(seen(&target, View::Served).await.as_deref(), Some("5"));
    let took = start.elapsed();
    assert!((Duration::from_secs(10)..Duration::from_secs(11)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_put_does_not_make_the_label_late_nor_the_label_the_newest() {
    let script = Script::new([tagged(), put(8), found(&[labelled(NAME, 7)]), found(&[parameter(NAME, 8, "String")])]);
    let target = lagging(&script).await;
    target.apply(&replace("7")).await.unwrap();
    assert_eq!(seen(&target, View::Served).await.as_deref(), Some("7"));
    assert_eq!(seen(&target, View::Newest).await.as_deref(), Some("8"));
    assert_eq!(target.requests()["GetParameters"], 2, "neither was asked for twice");
}

#[tokio::test]
async fn a_delete_compares_with_the_newest_whatever_is_served() {
    let newest = || found(&[parameter(NAME, 8, "String")]);
    let script = Script::new([found(&[labelled(NAME, 7)]), newest(), newest(), ok(json!({}))]);
    let target = target(&script).await;
    assert_eq!(seen(&target, View::Served).await.as_deref(), Some("7"));
    let error = target.apply(&delete("7")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict, "{error}");
    target.apply(&delete("8")).await.unwrap();
    assert_eq!(operations(&script), ["GetParameters", "GetParameters", "GetParameters", "DeleteParameter"]);
    assert_eq!(script.sent()[1].body["Names"], json!([NAME]));
}

#[tokio::test]
async fn plain_text_is_weighed_against_the_newest_and_not_what_is_served() {
    let script = Script::new([found(&[labelled(NAME, 7)]), found(&[parameter(NAME, 8, "SecureString")])]);
    let target = target(&script).await;
    assert_eq!(seen(&target, View::Served).await.as_deref(), Some("7"), "plain text is served");
    let error = target.apply(&super::replace(plain(), "8")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    assert_eq!(script.sent()[1].body["Names"], json!([NAME]));
}

#[tokio::test(start_paused = true)]
async fn moves_of_the_label_share_the_rate_of_puts() {
    let moved = || ok(json!({ "InvalidLabels": [], "ParameterVersion": 1 }));
    let removed = || ok(json!({ "RemovedLabels": ["live"], "InvalidLabels": [] }));
    let script = Script::new((0..3).flat_map(|_| [put(1), moved(), removed()]));
    let settings = |config: &mut repin_aws_ssm::Config| {
        config.account = "777788889999".into();
        config.serve = Serve::Label("live".into());
        config.rates = Some(Rates { get: None, put: Some(2.0), delete: None });
    };
    let target = script.target_with(settings, |_| {}).await;
    let start = Instant::now();
    for write in (0..3).flat_map(|_| [create(plain()), serve("1"), withdraw("1")]) {
        target.apply(&write).await.unwrap();
    }
    assert!(start.elapsed() >= Duration::from_millis(3_970), "{:?}", start.elapsed());
}
