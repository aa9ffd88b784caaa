//! The AWS half over a socket: the official SDKs, and requests by hand where they would not send what is to be seen.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_ssm::error::ProvideErrorMetadata;
use aws_sdk_ssm::types::{ParameterStringFilter, ParameterTier, ParameterType, ResourceTypeForTagging, Tag};
use aws_smithy_types::retry::RetryConfig;
use repin_emulator::{Clock, Emulator, Fault, Faults, KmsKey, Options, Rates, StartError, credentials};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ACCOUNT: &str = "111122223333";

async fn start(options: Options) -> Emulator {
    Emulator::start(Options { account: ACCOUNT.into(), ..options }).await.unwrap()
}

/// Settings of a client of one account, without retries: each call is one request.
async fn config_of(emulator: &Emulator, key_id: &str, secret: &str, token: Option<String>) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(emulator.aws_endpoint())
        .credentials_provider(Credentials::new(key_id, secret, token, None, "test"))
        .retry_config(RetryConfig::disabled())
        .load()
        .await
}

async fn config(emulator: &Emulator) -> SdkConfig {
    config_of(emulator, &emulator.access_key_id(), emulator.secret_access_key(), None).await
}

async fn ssm(emulator: &Emulator) -> aws_sdk_ssm::Client {
    aws_sdk_ssm::Client::new(&config(emulator).await)
}

async fn put(client: &aws_sdk_ssm::Client, name: &str, value: &str) -> i64 {
    let put = client.put_parameter().name(name).value(value).r#type(ParameterType::String).overwrite(true);
    put.send().await.unwrap().version()
}

/// Returns the error code of a refused call.
fn code<T: std::fmt::Debug, E>(result: Result<T, E>) -> String
where
    E: ProvideErrorMetadata + std::fmt::Debug,
{
    result.unwrap_err().code().unwrap_or("no code").to_owned()
}

#[tokio::test]
async fn the_sdk_gets_along() {
    let emulator = start(Options::default()).await;
    let ssm = ssm(&emulator).await;
    let tag = Tag::builder().key("owner").value("repin").build().unwrap();
    let created = ssm
        .put_parameter()
        .name("/app/secret")
        .value("hunter2 ä")
        .r#type(ParameterType::SecureString)
        .tier(ParameterTier::IntelligentTiering)
        .tags(tag)
        .send()
        .await
        .unwrap();
    assert_eq!((created.version(), created.tier()), (1, Some(&ParameterTier::Standard)));
    for i in 0..12 {
        put(&ssm, &format!("/app/{i:02}"), "v").await;
    }

    let read = ssm.get_parameter().name("/app/secret").with_decryption(true).send().await.unwrap();
    assert_eq!(read.parameter().unwrap().value(), Some("hunter2 ä"));

    let mut pages = ssm.get_parameters_by_path().path("/app").into_paginator().send();
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await {
        sizes.push(page.unwrap().parameters().len());
    }
    assert_eq!(sizes, [10, 3]);

    let by_tag = ParameterStringFilter::builder().key("tag:owner").values("repin").build().unwrap();
    let described = ssm.describe_parameters().parameter_filters(by_tag).send().await.unwrap();
    assert_eq!(described.parameters()[0].key_id(), Some("alias/aws/ssm"));

    let tags = ssm.list_tags_for_resource().resource_type(ResourceTypeForTagging::Parameter).resource_id("/app/secret");
    assert_eq!(tags.send().await.unwrap().tag_list()[0].key(), "owner");

    put(&ssm, "/app/00", "w").await;
    ssm.label_parameter_version().name("/app/00").parameter_version(1).labels("live").send().await.unwrap();
    let live = ssm.get_parameters().names("/app/00:live").names("/nope").send().await.unwrap();
    assert_eq!((live.parameters()[0].value(), live.parameters()[0].version()), (Some("v"), 1));
    assert_eq!(live.invalid_parameters(), ["/nope"]);
    let history = ssm.get_parameter_history().name("/app/00").send().await.unwrap();
    assert_eq!(history.parameters()[0].labels(), ["live"]);

    let again = ssm.put_parameter().name("/app/00").value("x").r#type(ParameterType::String).send().await;
    assert!(again.unwrap_err().into_service_error().is_parameter_already_exists());
    let deleted = ssm.delete_parameters().names("/app/00").send().await.unwrap();
    assert_eq!(deleted.deleted_parameters(), ["/app/00"]);
    assert_eq!(emulator.counters().count("ssm", "PutParameter"), 15);
    assert_eq!(emulator.counters().count("kms", "Decrypt (ssm)"), 1);
    emulator.shutdown().await;
}

#[tokio::test]
async fn kms_and_sts_get_along_too() {
    let key = KmsKey { account: ACCOUNT.into(), region: "eu-west-1".into(), key: "alias/ai-config".into() };
    let emulator = start(Options { kms_keys: vec![key], ..Options::default() }).await;
    let config = config(&emulator).await;
    let sts = aws_sdk_sts::Client::new(&config);
    let identity = sts.get_caller_identity().send().await.unwrap();
    assert_eq!(identity.account(), Some(ACCOUNT));

    let kms = aws_sdk_kms::Client::new(&config);
    let described = kms.describe_key().key_id("alias/ai-config").send().await.unwrap();
    let key = described.key_metadata().unwrap().clone();
    assert!(key.enabled() && key.arn().unwrap().starts_with("arn:aws:kms:eu-west-1:111122223333:key/"));
    let plain = aws_smithy_types::Blob::new("data");
    let sealed = kms.encrypt().key_id(key.key_id()).plaintext(plain).encryption_context("a", "b").send().await.unwrap();
    let blob = sealed.ciphertext_blob().unwrap().clone();
    let opened = kms.decrypt().ciphertext_blob(blob.clone()).encryption_context("a", "b").send().await.unwrap();
    assert_eq!(opened.plaintext().unwrap().as_ref(), b"data");
    let other = kms.decrypt().ciphertext_blob(blob.clone()).encryption_context("a", "c").send().await;
    assert!(other.unwrap_err().into_service_error().is_invalid_ciphertext_exception());
    kms.disable_key().key_id(key.key_id()).send().await.unwrap();
    let disabled = kms.decrypt().ciphertext_blob(blob).encryption_context("a", "b").send().await;
    assert!(disabled.unwrap_err().into_service_error().is_disabled_exception());
    let aliases = kms.list_aliases().send().await.unwrap();
    let names: Vec<_> = aliases.aliases().iter().filter_map(|alias| alias.alias_name()).collect();
    assert_eq!(names, ["alias/ai-config", "alias/aws/ssm"]);
    let unknown = kms.describe_key().key_id("alias/none").send().await;
    assert!(unknown.unwrap_err().into_service_error().is_not_found_exception());
}

#[tokio::test]
async fn accounts_and_regions_have_data_of_their_own() {
    let emulator = start(Options { accounts: vec!["999900001111".into()], ..Options::default() }).await;
    let first = ssm(&emulator).await;
    put(&first, "/a", "first").await;
    let secret = emulator.secret_access_key();
    let config = config_of(&emulator, &credentials::access_key_id("999900001111"), secret, None).await;
    let second = aws_sdk_ssm::Client::new(&config);
    assert_eq!(code(second.get_parameter().name("/a").send().await), "ParameterNotFound");
    let identity = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await.unwrap();
    assert_eq!(identity.account(), Some("999900001111"));
    let elsewhere = aws_sdk_ssm::config::Builder::from(&self::config(&emulator).await).region(Region::new("us-east-1"));
    let elsewhere = aws_sdk_ssm::Client::from_conf(elsewhere.build());
    assert_eq!(code(elsewhere.get_parameter().name("/a").send().await), "ParameterNotFound");
    assert_eq!(first.get_parameter().name("/a").send().await.unwrap().parameter().unwrap().value(), Some("first"));
}

#[tokio::test]
async fn credentials_are_checked() {
    let emulator = start(Options::default()).await;
    let try_with = async |key_id: &str, secret: &str, token: Option<String>| {
        let config = config_of(&emulator, key_id, secret, token).await;
        let ssm = aws_sdk_ssm::Client::new(&config).get_parameter().name("/a").send().await;
        let sts = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await;
        (code(ssm), sts.err().and_then(|error| error.code().map(str::to_owned)).unwrap_or_default())
    };
    let pair = |ssm: &str, sts: &str| (ssm.to_owned(), sts.to_owned());
    let (id, secret) = (emulator.access_key_id(), emulator.secret_access_key());
    assert_eq!(try_with(&id, secret, None).await, pair("ParameterNotFound", ""));
    assert_eq!(try_with(&id, "wrong", None).await, pair("InvalidSignatureException", "SignatureDoesNotMatch"));
    let unknown = pair("UnrecognizedClientException", "InvalidClientTokenId");
    assert_eq!(try_with("AKIAREPIN999900001111", secret, None).await, unknown);
    assert_eq!(try_with("AKIAIOSFODNN7EXAMPLE", secret, None).await, unknown);
    assert_eq!(try_with(&id, secret, Some("stray".into())).await, unknown);
    emulator.clock().set_skew(16 * 60 * 1_000);
    assert_eq!(try_with(&id, secret, None).await, pair("InvalidSignatureException", "SignatureDoesNotMatch"));
}

#[tokio::test]
async fn assumed_roles_work_until_they_expire() {
    let emulator = start(Options::default()).await;
    let sts = aws_sdk_sts::Client::new(&config(&emulator).await);
    let role = sts.assume_role().role_arn("arn:aws:iam::111122223333:role/deploy").role_session_name("sess");
    let session = role.send().await.unwrap().credentials().unwrap().clone();
    let token = Some(session.session_token().to_owned());
    let config = config_of(&emulator, session.access_key_id(), session.secret_access_key(), token).await;
    let identity = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await.unwrap();
    assert_eq!(identity.arn(), Some("arn:aws:sts::111122223333:assumed-role/deploy/sess"));
    emulator.clock().advance(Duration::from_secs(3_601));
    let expired = aws_sdk_ssm::Client::new(&config).get_parameter().name("/a").send().await;
    assert_eq!(code(expired), "ExpiredTokenException");
}

#[tokio::test]
async fn faults_refuse_drop_and_hang() {
    let emulator = start(Options::default()).await;
    let client = ssm(&emulator).await;
    let set = |fault: Fault| {
        emulator.faults().set(Arc::new(move |call| match call.name.as_deref() {
            Some("/a") if call.operation == "PutParameter" => fault.clone(),
            _ => Fault::None,
        }));
    };
    let version = async || {
        let read = client.get_parameter().name("/a").send().await;
        read.ok().and_then(|read| read.parameter().map(|p| p.version())).unwrap_or(0)
    };
    let try_put = async || {
        let put = client.put_parameter().name("/a").value("v").r#type(ParameterType::String).overwrite(true);
        put.send().await
    };

    let (code_, message) = ("ThrottlingException".to_owned(), "Rate exceeded".to_owned());
    set(Fault::Refuse { status: 400, code: code_, message, retry_after_ms: Some(5) });
    assert_eq!(code(try_put().await), "ThrottlingException");
    set(Fault::DropBefore);
    assert!(try_put().await.unwrap_err().as_service_error().is_none());
    assert_eq!(version().await, 0);
    set(Fault::DropAfter);
    assert!(try_put().await.unwrap_err().as_service_error().is_none());
    assert_eq!(version().await, 1);
    set(Fault::Delay(Duration::from_millis(30)));
    let before = std::time::Instant::now();
    try_put().await.unwrap();
    assert!(before.elapsed() >= Duration::from_millis(30));

    for (fault, expected) in [(Fault::HangBefore, 2), (Fault::HangAfter, 3)] {
        set(fault);
        let hanging = {
            let client = client.clone();
            tokio::spawn(async move {
                let put = client.put_parameter().name("/a").value("v").r#type(ParameterType::String).overwrite(true);
                put.send().await
            })
        };
        tokio::time::timeout(Duration::from_secs(10), emulator.faults().reached()).await.unwrap();
        assert!(!hanging.is_finished());
        hanging.abort();
        assert_eq!(version().await, expected);
    }
    emulator.faults().clear();
    assert_eq!(try_put().await.unwrap().version(), 4);
    let puts = emulator.counters().calls().into_iter().filter(|call| call.operation == "PutParameter").count();
    assert_eq!(puts, 7);
}

#[tokio::test]
async fn each_protocol_has_its_own_refusals() {
    let emulator = start(Options::default()).await;
    emulator.faults().set(Arc::new(|call| Fault::Refuse {
        status: 503,
        code: format!("{}Down", call.service),
        message: "<down> & out".to_owned(),
        retry_after_ms: None,
    }));
    let config = config(&emulator).await;
    let sts = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await.unwrap_err();
    assert_eq!((sts.code(), sts.message()), (Some("stsDown"), Some("<down> & out")));
    assert_eq!(sts.raw_response().unwrap().status().as_u16(), 503);
    let kms = aws_sdk_kms::Client::new(&config).list_keys().send().await.unwrap_err();
    assert_eq!((kms.code(), kms.message()), (Some("kmsDown"), Some("<down> & out")));
    assert_eq!(emulator.counters().count_status("kms", "ListKeys", 503), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_puts_get_distinct_versions() {
    let emulator = start(Options::default()).await;
    let client = ssm(&emulator).await;
    let mut puts = tokio::task::JoinSet::new();
    for i in 0..80 {
        let client = client.clone();
        puts.spawn(async move { put(&client, "/a", &i.to_string()).await });
    }
    let mut versions = puts.join_all().await;
    versions.sort_unstable();
    assert_eq!(versions, (1..=80).collect::<Vec<i64>>());
    let create = |value: &str| {
        let create = client.put_parameter().name("/b").value(value).r#type(ParameterType::String);
        create.send()
    };
    let (one, two) = tokio::join!(create("1"), create("2"));
    assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1, "create-if-absent has one winner");
}

/// Sends bytes and returns everything that comes back until the connection closes.
async fn raw(emulator: &Emulator, request: &str) -> String {
    let address = emulator.aws_endpoint().replace("http://", "");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset instead of an orderly end is fine: what arrived before it counts.
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_dropped_connection_answers_not_one_byte() {
    let faults = Faults::default();
    faults.set(Arc::new(|_| Fault::DropBefore));
    let emulator = start(Options { faults, ..Options::default() }).await;
    assert_eq!(raw(&emulator, "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}").await, "");
}

#[tokio::test]
async fn answers_carry_one_date_by_the_emulators_clock() {
    let clock = Clock::manual("2031-02-03T04:05:06Z".parse().unwrap());
    let emulator = start(Options { clock, ..Options::default() }).await;
    let request = "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: AmazonSSM.GetParameter\r\nconnection: close\r\n\
                   content-length: 2\r\n\r\n{}";
    let answer = raw(&emulator, request).await.to_ascii_lowercase();
    let dates: Vec<&str> = answer.lines().filter(|line| line.starts_with("date:")).collect();
    assert_eq!(dates, ["date: mon, 03 feb 2031 04:05:06 gmt"]);
    assert!(answer.starts_with("http/1.1 400") && answer.contains("x-amzn-requestid: "));
    assert!(answer.contains(r#""__type":"missingauthenticationtokenexception""#), "{answer}");
    let counted = raw(&emulator, "GET /_emulator/requests HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(counted.ends_with(r#"{"ssm":{"GetParameter":1}}"#), "{counted}");
}

#[tokio::test]
async fn a_hang_ends_when_the_client_goes() {
    let faults = Faults::default();
    faults.set(Arc::new(|_| Fault::HangBefore));
    let emulator = start(Options { faults, ..Options::default() }).await;
    let address = emulator.aws_endpoint().replace("http://", "");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
    emulator.faults().reached().await;
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok() && rest.is_empty(), "the server lets go of the connection");
}

#[tokio::test]
async fn quotas_apply_where_they_are_asked_for() {
    let rates = Rates { put: 2.0, ..Rates::default() };
    let clock = Clock::manual(jiff::Timestamp::try_from(SystemTime::now()).unwrap());
    let emulator = start(Options { rates: Some(rates), clock, ..Options::default() }).await;
    let client = ssm(&emulator).await;
    put(&client, "/a", "1").await;
    put(&client, "/a", "2").await;
    assert_eq!(code(client.describe_parameters().send().await), "ThrottlingException");
    assert!(client.get_parameter().name("/a").send().await.is_ok());
    emulator.clock().advance(Duration::from_millis(500));
    assert_eq!(put(&client, "/a", "3").await, 3);
}

#[tokio::test]
async fn data_outlive_the_emulator_and_have_one_user() {
    let dir = tempfile::tempdir().unwrap();
    let options = || Options { dir: Some(dir.path().to_owned()), account: ACCOUNT.into(), ..Options::default() };
    let emulator = Emulator::start(options()).await.unwrap();
    let client = ssm(&emulator).await;
    let secret = client.put_parameter().name("/s").value("hunter2").r#type(ParameterType::SecureString);
    secret.send().await.unwrap();
    assert!(matches!(Emulator::start(options()).await, Err(StartError::Data(_))));
    emulator.shutdown().await;

    let emulator = Emulator::start(options()).await.unwrap();
    let client = ssm(&emulator).await;
    let read = client.get_parameter().name("/s").with_decryption(true).send().await.unwrap();
    assert_eq!(read.parameter().unwrap().value(), Some("hunter2"));
}

#[tokio::test]
async fn others_cannot_reach_it() {
    let open = Options { aws: "0.0.0.0:0".parse().unwrap(), ..Options::default() };
    assert!(matches!(Emulator::start(open).await, Err(StartError::NotLoopback(_))));
    let odd = Options { account: "12".into(), ..Options::default() };
    assert!(matches!(Emulator::start(odd).await, Err(StartError::Account(_))));
}
