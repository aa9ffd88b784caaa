//! Stories that need a store with a state: faults, quotas, odd pages, a moved clock.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what is wanted")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use repin_aws_ssm::{Config, MAX_DOCUMENT, Options, Serve, Ssm, connect};
use repin_emulator::{Emulator, Fault, KmsKey};
use repin_provider::{
    Action, Content, DocumentName, ErrorKind, Key, Needs, Observe, Outcome, Owner, Provider, Put, ReadDocuments,
    ReadRequest, Retry, Secret, Value, Version, Write, WriteDocument,
};
use serde_json::json;

const REGION: &str = "eu-west-1";
const KEY: &str = "alias/ai-config";

async fn emulator(change: impl FnOnce(&mut repin_emulator::Options)) -> Emulator {
    let mut options = repin_emulator::Options::default();
    options.kms_keys = vec![KmsKey { account: options.account.clone(), region: REGION.into(), key: KEY.into() }];
    change(&mut options);
    Emulator::start(options).await.unwrap()
}

async fn target(emulator: &Emulator, change: impl FnOnce(&mut Config)) -> Ssm {
    let mut config: Config = serde_json::from_value(json!({
        "account": emulator.account(),
        "region": REGION,
        "prefix": "/ai",
        "kms_key": KEY,
        "endpoint_url": emulator.aws_endpoint(),
    }))
    .unwrap();
    change(&mut config);
    let mut options = Options::new(Owner::parse("assistant").unwrap(), "t1");
    options.credentials = Some((emulator.access_key_id(), Secret::new(emulator.secret_access_key().to_owned())));
    options.attempt_timeout = Duration::from_secs(1);
    connect(&config, options).await.unwrap()
}

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

fn document(text: &str) -> DocumentName {
    DocumentName::new(text)
}

fn write(wanted: &Key, value: &str, put: Put) -> Write {
    write_value(wanted, Value::Plain(value.into()), put)
}

fn write_value(wanted: &Key, value: Value, put: Put) -> Write {
    let content = Content { value, content_type: None, tags: Default::default(), description: None, tier: None };
    Write { key: wanted.clone(), action: Action::Put(content, put) }
}

async fn see(target: &Ssm, wanted: &Key) -> Option<Version> {
    let request = Observe { keys: vec![wanted.clone()], ..Observe::default() };
    target.observe(request).await.unwrap().items[wanted].item().map(|item| item.version.clone())
}

#[tokio::test]
async fn a_lost_put_makes_one_version() {
    let emulator = emulator(|_| {}).await;
    let target = target(&emulator, |_| {}).await;
    for (i, fault) in [Fault::DropAfter, Fault::HangAfter].into_iter().enumerate() {
        let wanted = key(&format!("lost/{i}"));
        emulator.faults().set(Arc::new(
            move |call| {
                if call.operation == "PutParameter" { fault.clone() } else { Fault::None }
            },
        ));
        let error = target.apply(&write(&wanted, "one", Put::Create)).await.unwrap_err();
        assert_eq!((error.kind, error.outcome), (ErrorKind::Unreachable, Outcome::Unknown), "{error}");
        emulator.faults().clear();
        assert_eq!(see(&target, &wanted).await.unwrap().id, "1");
    }
    assert_eq!(target.requests()["PutParameter"], 2);
}

#[tokio::test]
async fn a_moved_clock_locks_nobody_out() {
    let emulator = emulator(|_| {}).await;
    let target = target(&emulator, |_| {}).await;
    let wanted = key("a");
    target.apply(&write(&wanted, "one", Put::Create)).await.unwrap();
    let first = see(&target, &wanted).await.unwrap();
    emulator.clock().advance(Duration::from_secs(7 * 86_400));
    for _ in 0..2 {
        assert_eq!(see(&target, &wanted).await.unwrap(), first);
    }
    let replaced = target.apply(&write(&wanted, "two", Put::Replace(first))).await.unwrap();
    assert_eq!(replaced.version.unwrap().id, "2");
    assert_eq!(target.requests()["GetParameters"], 3, "nothing was signed twice");
}

#[tokio::test]
async fn a_key_that_does_not_exist_is_named() {
    let emulator = emulator(|_| {}).await;
    let target = target(&emulator, |config| config.kms_key = Some("alias/nothing".into())).await;
    target.preflight(Needs { encrypt: false, ..Needs::default() }).await.unwrap();
    let error = target.preflight(Needs { encrypt: true, ..Needs::default() }).await.unwrap_err();
    assert_eq!((error.kind, error.retry), (ErrorKind::KeyUnusable, Retry::Permanent), "{error}");
    assert!(error.message.contains("alias/nothing") && error.hint.is_some(), "{error}");
}

#[tokio::test]
async fn a_key_that_is_disabled_under_a_daemon_is_noticed() {
    let emulator = emulator(|_| {}).await;
    let target = target(&emulator, |_| {}).await;
    let wanted = key("api-key");
    let secret = |value: &str| Value::Secret(Secret::new(value.into()));
    target.preflight(Needs { encrypt: true, ..Needs::default() }).await.unwrap();
    target.apply(&write_value(&wanted, secret("one"), Put::Create)).await.unwrap();
    disable(&emulator).await;
    let error = target.preflight(Needs { encrypt: true, ..Needs::default() }).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::KeyUnusable, "{error}");
    assert!(error.message.contains("Disabled"), "{error}");
    let replace = Put::Replace(Version::new("1", None));
    let error = target.apply(&write_value(&wanted, secret("two"), replace)).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::KeyUnusable, Outcome::NotDone), "{error}");
    let requests =
        [ReadRequest { key: key("other"), version: None }, ReadRequest { key: wanted.clone(), version: None }];
    let error = target.read(&requests).await.unwrap_err();
    assert_eq!((error.kind, error.key), (ErrorKind::KeyUnusable, Some(wanted)));
}

/// Disables the key, as an administrator would.
async fn disable(emulator: &Emulator) {
    let credentials =
        Credentials::new(emulator.access_key_id(), emulator.secret_access_key(), None, None, "an administrator");
    let config = aws_sdk_kms::Config::builder()
        .behavior_version(aws_config::BehaviorVersion::v2026_01_12())
        .region(aws_config::Region::new(REGION))
        .endpoint_url(emulator.aws_endpoint())
        .credentials_provider(credentials)
        .build();
    let kms = aws_sdk_kms::Client::from_conf(config);
    let key = kms.describe_key().key_id(KEY).send().await.unwrap().key_metadata.unwrap();
    kms.disable_key().key_id(key.key_id).send().await.unwrap();
}

/// Connects the official client as whoever looks from outside.
fn outsider(emulator: &Emulator) -> aws_sdk_ssm::Client {
    let credentials =
        Credentials::new(emulator.access_key_id(), emulator.secret_access_key(), None, None, "an administrator");
    let config = aws_sdk_ssm::Config::builder()
        .behavior_version(aws_config::BehaviorVersion::v2026_01_12())
        .region(aws_config::Region::new(REGION))
        .endpoint_url(emulator.aws_endpoint())
        .credentials_provider(credentials)
        .build();
    aws_sdk_ssm::Client::from_conf(config)
}

async fn tags(emulator: &Emulator, name: &str) -> BTreeMap<String, String> {
    let kind = aws_sdk_ssm::types::ResourceTypeForTagging::Parameter;
    let request = outsider(emulator).list_tags_for_resource().resource_type(kind).resource_id(name);
    let answer = request.send().await.unwrap();
    answer.tag_list.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn tags_follow_the_file_and_the_owner_stays() {
    let emulator = emulator(|_| {}).await;
    let target = target(&emulator, |_| {}).await;
    let wanted = key("tagged");
    let tagged = |tags: &[(&str, &str)], put| {
        let value = Value::Plain("one".into());
        let content = Content { value, content_type: None, tags: pairs(tags), description: None, tier: None };
        Write { key: wanted.clone(), action: Action::Put(content, put) }
    };
    let replace = |number: &str| Put::Replace(Version::new(number, None));
    let owner = ("repin:owner", "assistant");
    target.apply(&tagged(&[("team", "ml"), ("stage", "a"), ("old", "1")], Put::Create)).await.unwrap();
    target.apply(&tagged(&[("team", "ml"), ("stage", "b"), ("new", "2")], replace("1"))).await.unwrap();
    let after = pairs(&[owner, ("team", "ml"), ("stage", "b"), ("new", "2")]);
    assert_eq!(tags(&emulator, "/ai/tagged").await, after);
    // The same again changes nothing, and none given leaves them.
    target.apply(&tagged(&[("team", "ml"), ("stage", "b"), ("new", "2")], replace("2"))).await.unwrap();
    target.apply(&tagged(&[], replace("3"))).await.unwrap();
    assert_eq!(tags(&emulator, "/ai/tagged").await, after);
    let requests = target.requests();
    let counts = ["ListTagsForResource", "AddTagsToResource", "RemoveTagsFromResource"].map(|name| requests[name]);
    assert_eq!(counts, [2, 1, 1]);
}

#[tokio::test]
async fn secrets_are_kept_in_the_ledger_and_never_listed() {
    let emulator = emulator(|_| {}).await;
    let target = target(&emulator, |_| {}).await;
    let (head, kept, longest) = (document("head"), document("kept/a.3"), document("kept/b.1"));
    let secret = |name: &DocumentName, body: String| {
        let (name, body) = (name.clone(), Secret::new(body));
        WriteDocument::CreateSecret { name, body }
    };
    target.write_document(&WriteDocument::Create { name: head.clone(), body: "{}".into() }).await.unwrap();
    target.write_document(&secret(&kept, "s3cret".into())).await.unwrap();
    target.write_document(&secret(&longest, "x".repeat(MAX_DOCUMENT))).await.unwrap();
    let again = target.write_document(&secret(&kept, "other".into())).await.unwrap_err();
    assert_eq!(again.kind, ErrorKind::AlreadyExists, "{again}");
    let over = target.write_document(&secret(&document("kept/c.1"), "x".repeat(MAX_DOCUMENT + 1))).await.unwrap_err();
    assert_eq!(over.kind, ErrorKind::Refused, "{over}");
    let all = target.read_documents(ReadDocuments::All).await.unwrap();
    assert_eq!(all.found.keys().collect::<Vec<_>>(), [&head]);
    let named = ReadDocuments::Named { names: vec![kept.clone(), head.clone()], resume: None };
    assert_eq!(target.read_documents(named).await.unwrap().found.keys().collect::<Vec<_>>(), [&head]);
    let wanted = [longest.clone(), document("kept/none"), kept.clone(), head];
    let bodies = target.read_secret_documents(&wanted).await.unwrap();
    let lengths: Vec<_> = bodies.iter().map(|body| body.as_ref().map(|body| body.expose().len())).collect();
    assert_eq!(lengths, [Some(MAX_DOCUMENT), None, Some(6), Some(2)]);
    target.write_document(&WriteDocument::Delete { name: kept.clone() }).await.unwrap();
    assert!(target.read_secret_documents(&[kept]).await.unwrap()[0].is_none());
    let parameter = outsider(&emulator).get_parameter().name("/repin/assistant/t1/kept/b.1").send().await.unwrap();
    let parameter = parameter.parameter.unwrap();
    assert_eq!(parameter.r#type, Some(aws_sdk_ssm::types::ParameterType::SecureString));
    assert!(!parameter.value.unwrap().contains("xxxx"), "encrypted where it lies");
}

fn by_label(config: &mut Config) {
    config.serve = Serve::Label("live".into());
}

fn serve(wanted: &Key, version: &Version) -> Write {
    Write { key: wanted.clone(), action: Action::Serve { version: version.clone(), from: None } }
}

/// Reads as a service would that follows the label.
async fn read_live(emulator: &Emulator, name: &str) -> Option<String> {
    let sent = outsider(emulator).get_parameter().name(format!("{name}:live")).with_decryption(true).send().await;
    sent.ok()?.parameter?.value
}

#[tokio::test]
async fn readers_of_the_label_meet_what_is_served() {
    let emulator = emulator(|_| {}).await;
    let target = target(&emulator, by_label).await;
    let wanted = key("chat/api-key");
    let secret = |value: &str| Value::Secret(Secret::new(value.into()));
    let first = target.apply(&write_value(&wanted, secret("one"), Put::Create)).await.unwrap().version.unwrap();
    assert_eq!(read_live(&emulator, "/ai/chat/api-key").await, None);
    target.apply(&serve(&wanted, &first)).await.unwrap();
    let second = write_value(&wanted, secret("two"), Put::Replace(first.clone()));
    let second = target.apply(&second).await.unwrap().version.unwrap();
    assert_eq!(read_live(&emulator, "/ai/chat/api-key").await.as_deref(), Some("one"));
    target.apply(&serve(&wanted, &second)).await.unwrap();
    assert_eq!(read_live(&emulator, "/ai/chat/api-key").await.as_deref(), Some("two"));
    target.apply(&serve(&wanted, &first)).await.unwrap();
    assert_eq!(read_live(&emulator, "/ai/chat/api-key").await.as_deref(), Some("one"));
    target.apply(&Write { key: wanted.clone(), action: Action::Withdraw(first) }).await.unwrap();
    assert_eq!(read_live(&emulator, "/ai/chat/api-key").await, None);
    let history = target.history(&wanted).await.unwrap();
    assert!(history.len() == 2 && history.iter().all(|revision| revision.labels.is_empty()), "{history:?}");
}

#[tokio::test]
async fn a_label_left_behind_blocks_puts_until_it_moves() {
    let emulator = emulator(|_| {}).await;
    let target = target(&emulator, by_label).await;
    let wanted = key("a");
    let mut last = target.apply(&write(&wanted, "0", Put::Create)).await.unwrap().version.unwrap();
    target.apply(&serve(&wanted, &last)).await.unwrap();
    for i in 1..100 {
        last = target.apply(&write(&wanted, &i.to_string(), Put::Replace(last))).await.unwrap().version.unwrap();
    }
    let blocked = write(&wanted, "100", Put::Replace(last.clone()));
    let error = target.apply(&blocked).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::Refused, Outcome::NotDone), "{error}");
    assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("label")), "{error:?}");
    assert_eq!(see(&target, &wanted).await.unwrap().id, "1", "what is served was not touched");
    target.apply(&serve(&wanted, &last)).await.unwrap();
    assert_eq!(target.apply(&blocked).await.unwrap().version.unwrap().id, "101");
    // The first version made room, and is served no more.
    let error = target.apply(&serve(&wanted, &Version::new("1", None))).await.unwrap_err();
    assert!(error.kind == ErrorKind::NotFound && error.hint.is_some(), "{error:?}");
}

#[tokio::test]
async fn a_version_that_others_filled_with_labels_is_refused_with_the_way_out() {
    let emulator = emulator(|_| {}).await;
    let target = target(&emulator, by_label).await;
    let wanted = key("a");
    let version = target.apply(&write(&wanted, "one", Put::Create)).await.unwrap().version.unwrap();
    let labels = (0..10).map(|i| format!("theirs-{i}")).collect();
    let request = outsider(&emulator).label_parameter_version().name("/ai/a").parameter_version(1);
    request.set_labels(Some(labels)).send().await.unwrap();
    let error = target.apply(&serve(&wanted, &version)).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::Refused, Outcome::NotDone), "{error}");
    assert!(error.hint.is_some(), "{error:?}");
}

#[tokio::test]
async fn a_move_whose_answer_was_lost_is_seen_and_may_be_repeated() {
    let emulator = emulator(|_| {}).await;
    let target = target(&emulator, by_label).await;
    let wanted = key("a");
    let version = target.apply(&write(&wanted, "one", Put::Create)).await.unwrap().version.unwrap();
    emulator
        .faults()
        .set(Arc::new(|call| if call.operation == "LabelParameterVersion" { Fault::DropAfter } else { Fault::None }));
    let error = target.apply(&serve(&wanted, &version)).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::Unreachable, Outcome::Unknown), "{error}");
    assert_eq!(target.requests()["LabelParameterVersion"], 1);
    emulator.faults().clear();
    assert_eq!(see(&target, &wanted).await, Some(version.clone()));
    target.apply(&serve(&wanted, &version)).await.unwrap();
    assert_eq!(target.history(&wanted).await.unwrap()[0].labels, ["live"]);
}

#[tokio::test]
async fn short_and_empty_pages_lose_nothing() {
    let emulator = emulator(|options| options.short_pages = true).await;
    let target = target(&emulator, |_| {}).await;
    let keys: Vec<Key> = (0..23).map(|i| key(&format!("many/{i:02}"))).collect();
    for wanted in &keys {
        target.apply(&write(wanted, "one", Put::Create)).await.unwrap();
    }
    let request = Observe { keys: keys[..5].to_vec(), census: true, ..Observe::default() };
    let seen = target.observe(request).await.unwrap();
    assert_eq!(seen.foreign.unwrap().len(), 18);
    assert!(seen.items.values().all(|seen| seen.item().is_some()));
    let mut last = Version::new("1", None);
    for i in 0..60 {
        let write = write(&keys[0], &i.to_string(), Put::Replace(last));
        last = target.apply(&write).await.unwrap().version.unwrap();
    }
    assert_eq!(target.history(&keys[0]).await.unwrap().len(), 61);
}

#[tokio::test]
async fn pacing_keeps_a_bulk_write_from_being_throttled() {
    let rates = repin_emulator::Rates { get: 400.0, put: 20.0, delete: 20.0 };
    let emulator = emulator(|options| options.rates = Some(rates)).await;
    let paced = repin_aws_ssm::Rates { get: Some(400.0), put: Some(20.0), delete: Some(20.0) };
    let target = target(&emulator, |config| config.rates = Some(paced)).await;
    let keys: Vec<Key> = (0..60).map(|i| key(&format!("bulk/{i:02}"))).collect();
    let started = Instant::now();
    let writes = keys.iter().map(|wanted| {
        let target = &target;
        async move { target.apply(&write(wanted, "one", Put::Create)).await }
    });
    futures::future::try_join_all(writes).await.unwrap();
    assert_eq!(target.requests()["PutParameter"], 60, "not one was throttled");
    let took = started.elapsed().as_secs_f64();
    assert!((2.7..5.0).contains(&took), "60 writes at 20 a second took {took} s");
}

#[tokio::test]
async fn without_pacing_a_throttled_write_still_goes_through() {
    let rates = repin_emulator::Rates { get: 400.0, put: 2.0, delete: 2.0 };
    let emulator = emulator(|options| options.rates = Some(rates)).await;
    let target = target(&emulator, |_| {}).await;
    for i in 0..4 {
        target.apply(&write(&key(&format!("k{i}")), "one", Put::Create)).await.unwrap();
    }
    assert!(emulator.counters().count_status("ssm", "PutParameter", 400) > 0, "the quota was met");
}
