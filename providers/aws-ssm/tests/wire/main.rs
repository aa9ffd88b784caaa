//! What goes over the wire, and what is made of what comes back; against a scripted transport.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what is wanted")]

mod labels;
mod lacking;
mod script;

use std::time::Duration;

use repin_aws_ssm::Rates;
use repin_provider::{
    Action, Content, DocumentName, ErrorKind, Key, Needs, Observe, Outcome, Provider, Put, ReadDocuments, ReadRequest,
    Retry, Secret, Seen, Tier, Value, Version, Write, WriteDocument,
};
use serde_json::{Value as Json, json};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use script::{Answer, Script, no, ok};

const VALUE: &str = "a value that must not be repeated";

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

fn content(value: Value) -> Content {
    Content { value, content_type: None, tags: [("team".into(), "ml".into())].into(), description: None, tier: None }
}

fn plain() -> Content {
    content(Value::Plain(VALUE.into()))
}

fn secret() -> Content {
    content(Value::Secret(Secret::new(VALUE.into())))
}

fn create(content: Content) -> Write {
    Write { key: key("chat/config"), action: Action::Put(content, Put::Create) }
}

fn replace(content: Content, expected: &str) -> Write {
    Write { key: key("chat/config"), action: Action::Put(content, Put::Replace(Version::new(expected, None))) }
}

fn delete(expected: &str) -> Write {
    Write { key: key("chat/config"), action: Action::Delete(Version::new(expected, None)) }
}

fn parameter(name: &str, version: i64, kind: &str) -> Json {
    json!({ "Name": name, "Type": kind, "Value": "v", "Version": version, "LastModifiedDate": 1_700_000_000.123 })
}

fn found(parameters: &[Json]) -> Answer {
    ok(json!({ "Parameters": parameters, "InvalidParameters": [] }))
}

fn put(version: i64) -> Answer {
    ok(json!({ "Version": version, "Tier": "Standard" }))
}

/// The tags of [`content`], as the store lists them.
fn tagged() -> Answer {
    ok(json!({ "TagList": [{ "Key": "repin:owner", "Value": "assistant-prod" }, { "Key": "team", "Value": "ml" }] }))
}

fn operations(script: &Script) -> Vec<String> {
    script.sent().into_iter().map(|sent| sent.operation).collect()
}

#[tokio::test(start_paused = true)]
async fn a_put_whose_answer_is_lost_is_not_repeated() {
    for answer in [Answer::Lost, Answer::Silent, no(500, "InternalServerError", "oops"), no(503, "Throttling", "x")] {
        let described = format!("{answer:?}");
        let script = Script::new([answer]);
        let target = script.target().await;
        let error = target.apply(&create(plain())).await.unwrap_err();
        assert_eq!(error.outcome, Outcome::Unknown, "{described}: {error}");
        assert_eq!(error.key, Some(key("chat/config")));
        assert_eq!(target.requests()["PutParameter"], 1, "{described}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_put_gives_up_after_its_one_attempt() {
    let script = Script::new([Answer::Silent]);
    let target = script.target().await;
    let start = Instant::now();
    let error = target.apply(&create(plain())).await.unwrap_err();
    assert_eq!((error.kind, error.retry), (ErrorKind::Unreachable, Retry::Temporary));
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    assert!(error.message.contains("http://127.0.0.1:9"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_put_is_repeated_after_a_second() {
    let script = Script::new([no(400, "TooManyUpdates", "busy"), no(400, "TooManyUpdates", "busy"), put(1)]);
    let target = script.target().await;
    let start = Instant::now();
    let applied = target.apply(&create(plain())).await.unwrap();
    assert_eq!(applied.version.unwrap().id, "1");
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(target.requests()["PutParameter"], 3);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_put_is_repeated_until_it_is_taken_or_hopeless() {
    let script = Script::new([tagged(), no(400, "ThrottlingException", "Rate exceeded"), put(8)]);
    let target = script.target().await;
    let applied = target.apply(&replace(secret(), "7")).await.unwrap();
    assert_eq!((applied.version.unwrap().id.as_str(), applied.buried), ("8", None));

    let script = Script::new((0..20).map(|_| no(400, "ThrottlingException", "Rate exceeded")));
    let target = script.target().await;
    let error = target.apply(&create(plain())).await.unwrap_err();
    assert_eq!((error.kind, error.retry), (ErrorKind::Throttled, Retry::Persistent));
    assert_eq!(error.outcome, Outcome::NotDone);
    assert_eq!(target.requests()["PutParameter"], 6);
}

#[tokio::test(start_paused = true)]
async fn a_read_is_repeated_whatever_went_wrong() {
    let script = Script::new([Answer::Lost, no(500, "InternalServerError", "oops"), found(&[])]);
    let target = script.target().await;
    let seen = target.observe(Observe { keys: vec![key("a")], ..Observe::default() }).await.unwrap();
    assert!(matches!(&seen.items[&key("a")], Seen::Unreadable(_)), "named neither as found nor as missing: {seen:?}");
    assert_eq!(target.requests()["GetParameters"], 3);
}

#[tokio::test]
async fn names_are_asked_for_ten_at_a_time() {
    let keys: Vec<Key> = (0..25).map(|i| key(&format!("k{i:02}"))).collect();
    let missing: Vec<String> = keys.iter().map(|key| format!("/ai/prod/{key}")).collect();
    let script = Script::new((0..3).map(|_| ok(json!({ "Parameters": [], "InvalidParameters": missing }))));
    let target = script.target().await;
    let seen = target.observe(Observe { keys, ..Observe::default() }).await.unwrap();
    assert_eq!(seen.items.len(), 25);
    assert!(seen.items.values().all(|seen| matches!(seen, Seen::Absent)));
    let mut sizes: Vec<_> = script.sent().iter().map(|sent| sent.body["Names"].as_array().unwrap().len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [5, 10, 10]);
    assert!(script.sent().iter().all(|sent| sent.body["WithDecryption"] == json!(false)));
}

#[tokio::test]
async fn what_is_seen_has_a_version_a_date_and_the_stores_time() {
    let script =
        Script::new([found(&[parameter("/ai/prod/a", 7, "String"), parameter("/ai/prod/b", 2, "SecureString")])]);
    let target = script.target().await;
    let seen = target.observe(Observe { keys: vec![key("a"), key("b")], ..Observe::default() }).await.unwrap();
    let (a, b) = (seen.items[&key("a")].item().unwrap(), seen.items[&key("b")].item().unwrap());
    assert_eq!((a.version.id.as_str(), a.value.as_deref(), a.secret), ("7", Some("v"), false));
    assert_eq!(a.version.at.unwrap().as_millisecond(), 1_700_000_000_123);
    assert_eq!((b.value.as_deref(), b.secret), (None, true));
    assert_eq!(seen.at.unwrap().as_second(), 1_700_000_000);
}

#[tokio::test]
async fn a_batch_that_is_denied_is_an_error_and_not_an_absence() {
    let script = Script::new([no(400, "AccessDeniedException", "not authorized to perform: ssm:GetParameters")]);
    let target = script.target().await;
    let error = target.observe(Observe { keys: vec![key("a")], ..Observe::default() }).await.unwrap_err();
    assert_eq!((error.kind, error.retry), (ErrorKind::Denied, Retry::Permanent));
    assert!(error.hint.is_some());
}

#[tokio::test]
async fn a_census_walks_empty_pages_and_confirms_what_it_misses() {
    let script = Script::new([
        ok(json!({ "Parameters": [parameter("/ai/prod/a", 1, "String")], "NextToken": "1" })),
        ok(json!({ "Parameters": [], "NextToken": "2" })),
        ok(
            json!({ "Parameters": [parameter("/ai/prod/x/y", 1, "String"), parameter("/ai/prod/l/o/t/head", 1, "String")] }),
        ),
        ok(json!({ "Parameters": [parameter("/ai/prod/late", 1, "String")], "InvalidParameters": ["/ai/prod/gone"] })),
    ]);
    let target = script.target_with(|config| config.ledger_prefix = "/ai/prod/l".into(), |_| {}).await;
    let keys = vec![key("a"), key("late"), key("gone")];
    let seen = target.observe(Observe { keys, census: true, ..Observe::default() }).await.unwrap();
    assert_eq!(seen.foreign.unwrap(), ["/ai/prod/x/y"]);
    assert!(seen.items[&key("late")].item().is_some() && matches!(seen.items[&key("gone")], Seen::Absent));
    assert_eq!(script.sent()[3].body["Names"], json!(["/ai/prod/gone", "/ai/prod/late"]));
}

#[tokio::test]
async fn a_listing_that_goes_round_is_an_error() {
    let page = || ok(json!({ "Parameters": [], "NextToken": "again" }));
    let script = Script::new([page(), page(), page()]);
    let target = script.target().await;
    let error = target.observe(Observe { keys: Vec::new(), census: true, ..Observe::default() }).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unexpected);
    assert_eq!(script.sent().len(), 2);
}

#[tokio::test]
async fn a_create_says_everything_and_leaves_nothing_to_defaults() {
    let script = Script::new([put(1), put(1)]);
    let target = script.target().await;
    target.apply(&create(secret())).await.unwrap();
    target.apply(&create(Content { tier: Some(Tier::Advanced), ..plain() })).await.unwrap();
    let bodies: Vec<Json> = script.sent().into_iter().map(|sent| sent.body).collect();
    let tags = json!([{ "Key": "repin:owner", "Value": "assistant-prod" }, { "Key": "team", "Value": "ml" }]);
    assert_eq!(
        bodies[0],
        json!({ "Name": "/ai/prod/chat/config", "Value": VALUE, "Type": "SecureString", "KeyId": "alias/ai-config",
            "Overwrite": false, "Tier": "Standard", "Tags": tags })
    );
    assert_eq!(
        bodies[1],
        json!({ "Name": "/ai/prod/chat/config", "Value": VALUE, "Type": "String",
            "Overwrite": false, "Tier": "Advanced", "Tags": tags })
    );
}

#[tokio::test]
async fn a_replacement_sends_no_tags_and_notices_what_it_buried() {
    let script = Script::new([tagged(), put(9)]);
    let target = script.target().await;
    let applied = target.apply(&replace(secret(), "7")).await.unwrap();
    assert_eq!((applied.version.unwrap().id.as_str(), applied.buried.unwrap().id.as_str()), ("9", "8"));
    assert_eq!(operations(&script), ["ListTagsForResource", "PutParameter"]);
    let body = &script.sent()[1].body;
    assert_eq!((&body["Overwrite"], &body["Tags"]), (&json!(true), &Json::Null));
}

#[tokio::test]
async fn tags_are_changed_before_the_put_and_only_where_they_differ() {
    let there = ok(json!({ "TagList": [{ "Key": "repin:owner", "Value": "assistant-prod" },
        { "Key": "team", "Value": "other" }, { "Key": "old", "Value": "x" }, { "Key": "aws:stack", "Value": "s" }] }));
    let script = Script::new([there, ok(json!({})), ok(json!({})), put(8)]);
    script.target().await.apply(&replace(secret(), "7")).await.unwrap();
    let expected =
        ["ListTagsForResource", "RemoveTagsFromResource", "AddTagsToResource", "PutParameter"].map(str::to_owned);
    assert_eq!(operations(&script), expected);
    let of = |more: Json| {
        let mut body = json!({ "ResourceType": "Parameter", "ResourceId": "/ai/prod/chat/config" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    assert_eq!(script.sent()[1].body, of(json!({ "TagKeys": ["old"] })));
    assert_eq!(script.sent()[2].body, of(json!({ "Tags": [{ "Key": "team", "Value": "ml" }] })));
}

#[tokio::test]
async fn a_content_without_tags_leaves_them_alone() {
    let script = Script::new([put(8)]);
    let untagged = Content { tags: Default::default(), ..secret() };
    script.target().await.apply(&replace(untagged, "7")).await.unwrap();
    assert_eq!(operations(&script), ["PutParameter"]);
}

#[tokio::test]
async fn what_is_gone_is_not_created_without_its_tags() {
    let script = Script::new([no(400, "InvalidResourceId", "")]);
    let error = script.target().await.apply(&replace(secret(), "7")).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::Conflict, Outcome::NotDone), "{error}");
    assert_eq!(operations(&script), ["ListTagsForResource"]);
}

#[tokio::test]
async fn plain_text_never_takes_the_place_of_a_secret() {
    let script = Script::new([found(&[parameter("/ai/prod/chat/config", 7, "SecureString")])]);
    let target = script.target().await;
    let error = target.apply(&replace(plain(), "7")).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::Refused, Outcome::NotDone));
    // What was seen is remembered: the second refusal sends nothing.
    target.apply(&replace(plain(), "7")).await.unwrap_err();
    assert_eq!(operations(&script), ["GetParameters"]);
}

#[tokio::test]
async fn a_parameter_that_is_advanced_stays_so() {
    let refusal = "You can't downgrade a parameter from the advanced-parameter tier to the standard-parameter tier.";
    let advanced = || ok(json!({ "Version": 8, "Tier": "Advanced" }));
    let script = Script::new([tagged(), no(400, "ValidationException", refusal), advanced(), tagged(), advanced()]);
    let target = script.target().await;
    target.apply(&replace(secret(), "7")).await.unwrap();
    target.apply(&replace(secret(), "7")).await.unwrap();
    let sent = script.sent();
    let puts = sent.iter().filter(|sent| sent.operation == "PutParameter");
    let tiers: Vec<Json> = puts.map(|sent| sent.body["Tier"].clone()).collect();
    assert_eq!(tiers, ["Standard", "Advanced", "Advanced"]);
}

#[tokio::test]
async fn a_value_that_the_store_quotes_is_in_no_error() {
    let script = Script::new([no(400, "ValidationException", &format!("Value '{VALUE}' at 'value' is bad"))]);
    let target = script.target().await;
    let error = target.apply(&create(secret())).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(error.message.contains("is bad"));
    assert!(!format!("{error} {error:?} {target:?}").contains(VALUE));
    assert!(!format!("{target:?}").contains("shh-the-secret-key"));
}

#[tokio::test]
async fn an_unusable_key_is_named_with_its_state_and_the_mend() {
    let text = "arn:aws:kms:eu-west-1:111122223333:key/k is disabled. (Service: AWSKMS; Status Code: 400; \
                Error Code: DisabledException; Request ID: r; Proxy: null)";
    let script = Script::new([no(400, "InvalidKeyId", text)]);
    let target = script.target().await;
    let error = target.apply(&create(secret())).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::KeyUnusable, Outcome::NotDone));
    assert!(error.message.contains("is disabled") && error.hint.unwrap().contains("Enable the KMS key"));

    let state = json!({ "KeyMetadata": { "KeyId": "k", "KeyState": "PendingDeletion", "KeyUsage": "ENCRYPT_DECRYPT",
        "KeySpec": "SYMMETRIC_DEFAULT" } });
    let script = Script::new([caller("111122223333"), ok(state)]);
    let target = script.target().await;
    let error = target.preflight(Needs { encrypt: true, ..Needs::default() }).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::KeyUnusable);
    assert!(error.message.contains("alias/ai-config") && error.message.contains("PendingDeletion"), "{error}");
}

fn caller(account: &str) -> Answer {
    let xml = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:iam::{account}:user/ana</Arn><UserId>U</UserId><Account>{account}</Account>\
         </GetCallerIdentityResult></GetCallerIdentityResponse>"
    );
    Answer::Says(200, xml)
}

#[tokio::test]
async fn the_account_is_compared_once_and_the_key_each_time() {
    let enabled = || {
        ok(json!({ "KeyMetadata": { "KeyId": "k", "KeyState": "Enabled", "KeyUsage": "ENCRYPT_DECRYPT",
            "KeySpec": "SYMMETRIC_DEFAULT" } }))
    };
    let script = Script::new([caller("111122223333"), enabled(), enabled()]);
    let target = script.target().await;
    for _ in 0..2 {
        let identity = target.preflight(Needs { encrypt: true, ..Needs::default() }).await.unwrap();
        assert_eq!(identity.principal.as_deref(), Some("arn:aws:iam::111122223333:user/ana"));
    }
    assert_eq!(target.requests()["GetCallerIdentity"], 1);
    assert_eq!(target.requests()["DescribeKey"], 2);

    let script = Script::new([caller("999900001111")]);
    let error = script.target().await.preflight(Needs::default()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::WrongAccount);
    assert!(error.message.contains("999900001111") && error.message.contains("111122223333"), "{error}");
}

#[tokio::test]
async fn an_assumed_role_is_counted_and_its_refusal_says_so() {
    let denied = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                  <Code>AccessDenied</Code><Message>not authorized</Message></Error></ErrorResponse>";
    let script = Script::new([Answer::Says(403, denied.into())]);
    let role = repin_aws_ssm::AssumeRole { arn: "arn:aws:iam::111122223333:role/r".into(), external_id: None };
    let target = script.target_with(|config| config.assume_role = Some(role), |_| {}).await;
    assert!(target.requests().is_empty(), "building sends nothing");
    let error = target.apply(&create(plain())).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::Denied, Outcome::NotDone));
    assert!(error.message.contains("role/r"), "{error}");
    assert!(error.hint.unwrap().contains("sts:AssumeRole"));
    assert_eq!(target.requests().into_iter().collect::<Vec<_>>(), [("AssumeRole".to_owned(), 1)]);
}

#[tokio::test]
async fn versions_of_one_name_are_read_in_calls_of_their_own() {
    let values = |version: i64| found(&[parameter("/ai/prod/a", version, "String")]);
    let script = Script::new([values(3), values(4)]);
    let target = script.target().await;
    let request = |version: &str| ReadRequest { key: key("a"), version: Some(Version::new(version, None)) };
    let values = target.read(&[request("4"), request("3"), request("4"), request("etag")]).await.unwrap();
    let ids: Vec<_> = values.iter().map(|value| value.as_ref().map(|value| value.version.id.as_str())).collect();
    assert_eq!(ids, [Some("4"), Some("3"), Some("4"), None]);
    let names: Vec<Json> = script.sent().iter().map(|sent| sent.body["Names"].clone()).collect();
    assert_eq!(names, [json!(["/ai/prod/a:3"]), json!(["/ai/prod/a:4"])]);
}

#[tokio::test]
async fn a_version_of_another_incarnation_is_not_the_one() {
    let script = Script::new([found(&[parameter("/ai/prod/a", 3, "String")])]);
    let target = script.target().await;
    let at = "2020-01-01T00:00:00Z".parse().unwrap();
    let request = ReadRequest { key: key("a"), version: Some(Version::new("3", Some(at))) };
    assert_eq!(target.read(&[request]).await.unwrap().len(), 1);
    assert!(script.sent().len() == 1);
}

#[tokio::test]
async fn one_undecryptable_parameter_is_named() {
    let script = Script::new([
        no(400, "InvalidKeyId", "(Service: AWSKMS; Error Code: KMSInvalidStateException;)"),
        found(&[parameter("/ai/prod/a", 3, "SecureString")]),
        no(400, "InvalidKeyId", "(Service: AWSKMS; Error Code: KMSInvalidStateException;)"),
    ]);
    let target = script.target().await;
    let request = |text: &str| ReadRequest { key: key(text), version: None };
    let error = target.read(&[request("a"), request("b")]).await.unwrap_err();
    assert_eq!((error.kind, error.key), (ErrorKind::KeyUnusable, Some(key("b"))));
}

#[tokio::test]
async fn a_delete_looks_directly_before_each_time() {
    let held = || found(&[parameter("/ai/prod/chat/config", 7, "String")]);
    let script = Script::new([
        held(),
        held(),
        held(),
        ok(json!({})),
        ok(json!({ "InvalidParameters": ["/ai/prod/chat/config"] })),
        no(400, "ParameterNotFound", ""),
    ]);
    let target = script.target().await;
    let error = target.apply(&delete("6")).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::Conflict, Outcome::NotDone));
    // Somebody may have written since, however lately that was.
    target.observe(Observe { keys: vec![key("chat/config")], ..Observe::default() }).await.unwrap();
    target.apply(&delete("7")).await.unwrap();
    target.apply(&delete("7")).await.unwrap();
    // The last look shows nothing, which may be late: the delete itself tells.
    let sent =
        ["GetParameters", "GetParameters", "GetParameters", "DeleteParameter", "GetParameters", "DeleteParameter"];
    assert_eq!(operations(&script), sent);

    let script = Script::new([held(), no(400, "ParameterNotFound", "")]);
    let target = script.target().await;
    let applied = target.apply(&delete("7")).await.unwrap();
    assert_eq!(applied.version, None, "being gone already is fine");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_name_is_created_again_once_the_store_has_cleaned_up() {
    let busy = (0..6).map(|_| no(400, "TooManyUpdates", "stale tags associated to the name"));
    let first = [found(&[parameter("/ai/prod/chat/config", 7, "String")]), ok(json!({}))];
    let script = Script::new(first.into_iter().chain(busy).chain([put(1)]));
    let target = script.target().await;
    target.apply(&delete("7")).await.unwrap();
    let start = Instant::now();
    target.apply(&create(plain())).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_late_read_is_asked_again_and_not_taken_for_drift() {
    let at = |version| found(&[parameter("/ai/prod/chat/config", version, "SecureString")]);
    let script = Script::new([tagged(), put(8), at(7), at(7), at(8)]);
    let target = script.target_with(|_| {}, |options| options.read_lag = Some(Duration::from_secs(10))).await;
    target.apply(&replace(secret(), "7")).await.unwrap();
    let seen = target.observe(Observe { keys: vec![key("chat/config")], ..Observe::default() }).await.unwrap();
    assert_eq!(seen.items[&key("chat/config")].item().unwrap().version.id, "8");
    assert_eq!(target.requests()["GetParameters"], 3);
}

#[tokio::test(start_paused = true)]
async fn writes_keep_to_the_rates_of_the_file() {
    let script = Script::new((0..7).map(|_| put(1)));
    let rates = Rates { get: None, put: Some(4.0), delete: None };
    let settings = |config: &mut repin_aws_ssm::Config| {
        config.account = "444455556666".into();
        config.rates = Some(rates);
        config.rate_share = Some(0.5);
    };
    let target = script.target_with(settings, |_| {}).await;
    assert_eq!(target.capabilities().rates.unwrap().writes, 2.0);
    let start = Instant::now();
    for _ in 0..7 {
        target.apply(&create(plain())).await.unwrap();
    }
    assert!(start.elapsed() >= Duration::from_millis(2_970), "{:?}", start.elapsed());
}

fn setting(value: &str) -> Answer {
    ok(json!({ "ServiceSetting": { "SettingId": "/ssm/parameter-store/high-throughput-enabled", "SettingValue": value,
        "Status": "Customized" } }))
}

/// A target whose writes keep to the documented quota, in an account of its own.
async fn paced(script: &Script, account: &'static str) -> repin_aws_ssm::Ssm {
    let settings = move |config: &mut repin_aws_ssm::Config| {
        config.account = account.into();
        config.rates = Some(Rates { get: Some(1000.0), put: None, delete: None });
    };
    script.target_with(settings, |_| {}).await
}

#[tokio::test(start_paused = true)]
async fn much_to_write_is_worth_asking_for_the_throughput_setting() {
    let account = "121212121212";
    let script = Script::new([caller(account), setting("true")]);
    let target = paced(&script, account).await;
    target.preflight(Needs { writes: 50, ..Needs::default() }).await.unwrap();
    assert_eq!(target.requests().get("GetServiceSetting"), None, "a small pass costs what it did");
    assert_eq!(target.pace().unwrap().allowed.writes, 3.0);
    for _ in 0..2 {
        target.preflight(Needs { writes: 1000, ..Needs::default() }).await.unwrap();
        assert_eq!(target.pace().unwrap().allowed.writes, 10.0);
    }
    assert_eq!(target.requests()["GetServiceSetting"], 1);
    assert_eq!(script.sent()[1].body["SettingId"], "/ssm/parameter-store/high-throughput-enabled");
}

#[tokio::test(start_paused = true)]
async fn who_may_not_read_the_setting_writes_at_the_default_rate() {
    let account = "131313131313";
    let script = Script::new([caller(account), no(400, "AccessDeniedException", "no")]);
    let target = paced(&script, account).await;
    for _ in 0..2 {
        target.preflight(Needs { writes: 1000, ..Needs::default() }).await.unwrap();
    }
    assert_eq!(target.pace().unwrap().allowed.writes, 3.0);
    assert_eq!(target.requests()["GetServiceSetting"], 1, "not asked again within the hour");
}

#[tokio::test(start_paused = true)]
async fn a_throttle_is_counted_slows_down_and_its_repetition_takes_a_turn() {
    let script = Script::new([no(400, "ThrottlingException", "Rate exceeded"), put(1), put(1)]);
    let settings = |config: &mut repin_aws_ssm::Config| {
        config.account = "141414141414".into();
        config.rates = Some(Rates { get: None, put: Some(0.05), delete: None });
    };
    let target = script.target_with(settings, |_| {}).await;
    let start = Instant::now();
    target.apply(&create(plain())).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(15), "the SDK repeats it at its own pace: {:?}", start.elapsed());
    assert_eq!((target.requests()["PutParameter"], target.throttles()["PutParameter"]), (2, 1));
    let writes = target.pace().unwrap().writes;
    assert!(writes < 0.05, "{writes}");
    target.apply(&create(plain())).await.unwrap();
    // The first turn takes twenty seconds, and the repetition's was taken in arrears, at a lower rate.
    assert!(start.elapsed() >= Duration::from_secs(40), "{:?}", start.elapsed());
    assert_eq!(target.throttles()["PutParameter"], 1);
}

#[tokio::test]
async fn a_history_is_newest_first_and_undecrypted() {
    let past = |version: i64, labels: Json| {
        json!({ "Name": "/ai/prod/a", "Type": "SecureString", "Value": "AQICAH", "Version": version,
            "LastModifiedDate": 1_700_000_000.5, "LastModifiedUser": "arn:ana", "Labels": labels })
    };
    let script = Script::new([
        ok(json!({ "Parameters": [past(1, json!(["live"]))], "NextToken": "t" })),
        ok(json!({ "Parameters": [past(2, json!([]))] })),
        no(400, "ParameterNotFound", ""),
    ]);
    let target = script.target().await;
    let history = target.history(&key("a")).await.unwrap();
    let ids: Vec<_> = history.iter().map(|revision| revision.version.id.as_str()).collect();
    assert_eq!(ids, ["2", "1"]);
    assert_eq!(history[1].labels, ["live"]);
    assert!(history.iter().all(|revision| revision.value.is_none() && revision.by.as_deref() == Some("arn:ana")));
    assert_eq!(target.history(&key("b")).await.unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn documents_lie_below_the_ledgers_path() {
    let script = Script::new([
        put(1),
        put(5),
        put(7),
        ok(json!({ "Parameters": [parameter("/repin/assistant-prod/t1/r/000001", 1, "String")],
            "InvalidParameters": ["/repin/assistant-prod/t1/head"] })),
        no(400, "ParameterNotFound", ""),
    ]);
    let target = script.target().await;
    let (head, name) = (DocumentName::new("head"), DocumentName::new("r/000001"));
    let expected = Version::new("4", None);
    target.write_document(&WriteDocument::Create { name: name.clone(), body: "{}".into() }).await.unwrap();
    let replace = WriteDocument::Replace { name: head.clone(), body: "{}".into(), expected };
    let version = target.write_document(&replace).await.unwrap().unwrap();
    assert_eq!(version.id, "5");
    let error = target.write_document(&replace).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.message.contains('4') && error.message.contains('7'), "{error}");
    let wanted = ReadDocuments::Named { names: vec![name.clone(), head.clone()], resume: None };
    let documents = target.read_documents(wanted).await.unwrap();
    assert_eq!(documents.found.keys().collect::<Vec<_>>(), [&name]);
    assert_eq!(target.write_document(&WriteDocument::Delete { name: head }).await.unwrap(), None);
    let first = &script.sent()[0].body;
    assert_eq!(
        *first,
        json!({ "Name": "/repin/assistant-prod/t1/r/000001", "Value": "{}", "Type": "String", "Overwrite": false,
            "Tier": "Standard" })
    );
}

#[tokio::test(start_paused = true)]
async fn a_document_of_ours_that_reads_late_is_asked_again() {
    let head = |version| found(&[parameter("/repin/assistant-prod/t1/head", version, "String")]);
    let script = Script::new([put(5), head(4), head(5)]);
    let target = script.target_with(|_| {}, |options| options.read_lag = Some(Duration::from_secs(10))).await;
    let (name, expected) = (DocumentName::new("head"), Version::new("4", None));
    target.write_document(&WriteDocument::Replace { name: name.clone(), body: "{}".into(), expected }).await.unwrap();
    let wanted = ReadDocuments::Named { names: vec![name.clone()], resume: None };
    assert_eq!(target.read_documents(wanted).await.unwrap().found[&name].version.id, "5");
}

#[tokio::test]
async fn documents_that_the_store_would_not_hold_are_refused_unsent() {
    let script = Script::new([]);
    let target = script.target().await;
    for body in [String::new(), "x".repeat(4097), "{\"m\":\"{{x}}\"}".to_owned()] {
        let write = WriteDocument::Create { name: DocumentName::new("head"), body };
        assert_eq!(target.write_document(&write).await.unwrap_err().kind, ErrorKind::Refused);
    }
    assert!(script.sent().is_empty());
}

#[tokio::test]
async fn a_secret_document_is_encrypted_and_in_no_error() {
    let create = |name: &str| {
        let (name, body) = (DocumentName::new(name), Secret::new(VALUE.into()));
        WriteDocument::CreateSecret { name, body }
    };
    let quoted = no(400, "ValidationException", &format!("Value '{VALUE}' is bad"));
    let script = Script::new([put(1), quoted]);
    let target = script.target().await;
    let version = target.write_document(&create("kept/a.1")).await.unwrap().unwrap();
    assert_eq!(version.id, "1");
    let error = target.write_document(&create("kept/b.1")).await.unwrap_err();
    assert!(error.message.contains("is bad"), "{error}");
    assert!(!format!("{error} {error:?} {target:?} {:?}", create("kept/c.1")).contains(VALUE));
    assert_eq!(
        script.sent()[0].body,
        json!({ "Name": "/repin/assistant-prod/t1/kept/a.1", "Value": VALUE, "Type": "SecureString",
            "KeyId": "alias/ai-config", "Overwrite": false, "Tier": "Standard" })
    );
    let keyless = Script::new([]);
    let target = keyless.target_with(|config| config.kms_key = None, |_| {}).await;
    let error = target.write_document(&create("kept/a.1")).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::KeyUnusable, Outcome::NotDone), "{error}");
}

#[tokio::test]
async fn secret_documents_are_read_in_order_and_ten_at_a_time() {
    let path = |i: usize| format!("/repin/assistant-prod/t1/kept/{i:02}");
    let kept = |i: usize| {
        json!({ "Name": path(i), "Type": if i == 3 { "String" } else { "SecureString" }, "Value": format!("v{i}"),
            "Version": 1, "LastModifiedDate": 1_700_000_000.5 })
    };
    let script = Script::new([
        ok(json!({ "Parameters": (1..10).map(kept).collect::<Vec<_>>(), "InvalidParameters": [path(0)] })),
        found(&[kept(11), kept(10)]),
    ]);
    let target = script.target().await;
    // Backwards, and one of them twice.
    let names: Vec<_> = (0..12).rev().chain([5]).map(|i| DocumentName::new(format!("kept/{i:02}"))).collect();
    let bodies = target.read_secret_documents(&names).await.unwrap();
    let texts: Vec<_> = bodies.iter().map(|body| body.as_ref().map(Secret::expose)).collect();
    let expected: Vec<_> = (0..12).rev().chain([5]).map(|i| (i > 0).then(|| format!("v{i}"))).collect();
    assert_eq!(texts, expected.iter().map(Option::as_deref).collect::<Vec<_>>());
    assert!(!format!("{bodies:?}").contains("v5"));
    let sent = script.sent();
    assert_eq!(sent.iter().map(|sent| sent.body["Names"].as_array().unwrap().len()).collect::<Vec<_>>(), [10, 2]);
    assert!(sent.iter().all(|sent| sent.body["WithDecryption"] == json!(true)));
}

#[tokio::test]
async fn the_secret_document_that_cannot_be_decrypted_is_named() {
    let denied = || no(400, "AccessDeniedException", "not authorized to perform kms:Decrypt");
    let a = parameter("/repin/assistant-prod/t1/a", 1, "SecureString");
    let script = Script::new([denied(), found(&[a]), denied()]);
    let names = [DocumentName::new("a"), DocumentName::new("b")];
    let error = script.target().await.read_secret_documents(&names).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.message.contains("/repin/assistant-prod/t1/b"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_secret_document_of_ours_that_reads_late_is_asked_again() {
    let path = "/repin/assistant-prod/t1/a";
    let missing = ok(json!({ "Parameters": [], "InvalidParameters": [path] }));
    let script = Script::new([put(1), missing, found(&[parameter(path, 1, "SecureString")])]);
    let target = script.target_with(|_| {}, |options| options.read_lag = Some(Duration::from_secs(10))).await;
    let (name, body) = (DocumentName::new("a"), Secret::new("v".into()));
    target.write_document(&WriteDocument::CreateSecret { name: name.clone(), body }).await.unwrap();
    let bodies = target.read_secret_documents(&[name]).await.unwrap();
    assert_eq!(bodies[0].as_ref().map(Secret::expose), Some("v"));
}

#[tokio::test]
async fn owners_are_read_from_tags() {
    let script = Script::new([
        ok(json!({ "TagList": [{ "Key": "team", "Value": "ml" }, { "Key": "repin:owner", "Value": "other" }] })),
        ok(json!({ "TagList": [] })),
        no(400, "InvalidResourceId", ""),
    ]);
    let target = script.target().await;
    let owners = target.owners(&[key("a"), key("b"), key("c")]).await.unwrap();
    assert_eq!(owners, [Some("other".to_owned()), None, None]);
}

/// Connects over a real socket, to whatever listens there.
async fn target_at(port: u16) -> repin_aws_ssm::Ssm {
    let config = serde_json::from_value(json!({
        "account": "111122223333", "region": "eu-west-1", "prefix": "/ai",
        "endpoint_url": format!("http://127.0.0.1:{port}"),
    }))
    .unwrap();
    let mut options = repin_aws_ssm::Options::new(repin_provider::Owner::parse("o").unwrap(), "t");
    options.credentials = Some(("AKID".into(), Secret::new("s".into())));
    options.attempt_timeout = Duration::from_secs(2);
    repin_aws_ssm::connect(&config, options).await.unwrap()
}

#[tokio::test]
async fn a_put_that_never_connected_did_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = target_at(port).await.apply(&create(plain())).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::Unreachable, Outcome::NotDone), "{error}");
    assert_eq!(error.retry, Retry::Temporary);
}

#[tokio::test]
async fn a_put_cut_off_on_the_wire_is_sent_once_and_unknown() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let mut connections = 0;
        while let Ok(Ok((mut socket, _))) = tokio::time::timeout(Duration::from_secs(1), listener.accept()).await {
            connections += 1;
            let mut buffer = [0; 4096];
            assert!(socket.read(&mut buffer).await.unwrap() > 0);
        }
        connections
    });
    let error = target_at(port).await.apply(&create(plain())).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::Unreachable, Outcome::Unknown), "{error}");
    assert_eq!(server.await.unwrap(), 1);
}

#[tokio::test]
async fn given_credentials_stay_on_this_machine() {
    let config = serde_json::from_value(json!({
        "account": "111122223333", "region": "eu-west-1", "prefix": "/ai", "endpoint_url": "https://example.com"
    }))
    .unwrap();
    let mut options = repin_aws_ssm::Options::new(repin_provider::Owner::parse("o").unwrap(), "t");
    options.credentials = Some(("AKID".into(), Secret::new("s".into())));
    let error = repin_aws_ssm::connect(&config, options).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
}
