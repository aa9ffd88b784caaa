//! Spoilt answers and odd states, as the official SDK and a client without a connection meet them.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "common/azconfig.rs"]
mod azconfig;

use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_kms::types::KeyState;
use aws_sdk_ssm::error::ProvideErrorMetadata;
use aws_sdk_ssm::types::ParameterType;
use aws_smithy_types::retry::RetryConfig;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use repin_emulator::appconfig::SnapshotFailure;
use repin_emulator::credentials::APPCONFIG_ID;
use repin_emulator::{Clock, Delivered, Emulator, Fault, KmsKey, Oddity, Options, Spoil};
use serde_json::Value;

const ACCOUNT: &str = "111122223333";
const VERSION: &str = "api-version=2024-09-01";

async fn start(options: Options) -> Emulator {
    let key = KmsKey { account: ACCOUNT.into(), region: "eu-west-1".into(), key: "alias/ai".into() };
    Emulator::start(Options { account: ACCOUNT.into(), kms_keys: vec![key], ..options }).await.unwrap()
}

/// Makes every request from now on meet this.
fn meet(emulator: &Emulator, fault: Fault) {
    emulator.faults().set(Arc::new(move |_| fault.clone()));
}

async fn config(emulator: &Emulator) -> SdkConfig {
    let credentials = Credentials::new(emulator.access_key_id(), emulator.secret_access_key(), None, None, "test");
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(emulator.aws_endpoint())
        .credentials_provider(credentials)
        .retry_config(RetryConfig::disabled())
        .disable_clock_skew_correction(true)
        .load()
        .await
}

async fn put(client: &aws_sdk_ssm::Client, name: &str, value: &str) -> Option<i64> {
    let put = client.put_parameter().name(name).value(value).r#type(ParameterType::String).overwrite(true);
    put.send().await.ok().map(|done| done.version())
}

/// Sends a signed request to the store without a connection.
async fn ask(emulator: &Emulator, method: &str, target: &str, body: &str) -> Option<Delivered> {
    let host = emulator.azure_endpoint().strip_prefix("http://").unwrap().to_owned();
    let date = Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let mut request = http::Request::builder().method(method).uri(target).header("content-type", "application/json");
    for (name, value) in azconfig::sign_for(&host, APPCONFIG_ID, method, target, &date, body) {
        request = request.header(name, value);
    }
    let request = request.body(Bytes::from(body.to_owned())).unwrap();
    emulator.azure_in_process().unwrap().deliver(request).await
}

async fn list(emulator: &Emulator) -> (Delivered, Value) {
    let page = ask(emulator, "GET", &format!("/kv?{VERSION}"), "").await.unwrap();
    let body = serde_json::from_slice(page.response.body()).unwrap_or(Value::Null);
    (page, body)
}

#[tokio::test]
async fn a_spoilt_answer_has_had_its_effect() {
    let emulator = start(Options::default()).await;
    let client = aws_sdk_ssm::Client::new(&config(&emulator).await);
    let spoils = [
        (Spoil::Half, false),
        (Spoil::NotJson, false),
        (Spoil::WrongTypes, false),
        // The SDK takes a version that is not there for 0.
        (Spoil::MissingFields, true),
        (Spoil::Nothing, true),
        // What nobody asked for is passed over.
        (Spoil::Oversized { bytes: 20 << 20 }, true),
    ];
    for (index, (spoil, is_taken)) in spoils.into_iter().enumerate() {
        meet(&emulator, Fault::Spoil(spoil));
        assert_eq!(put(&client, "/a", "v").await.is_some(), is_taken, "{spoil:?}");
        emulator.faults().clear();
        let read = client.get_parameter().name("/a").send().await.unwrap();
        assert_eq!(read.parameter().unwrap().version(), index as i64 + 1, "{spoil:?}");
    }
    // What is no success goes back as it is.
    meet(&emulator, Fault::Spoil(Spoil::NotJson));
    let missing = client.get_parameter().name("/b").send().await.unwrap_err();
    assert_eq!(missing.code(), Some("ParameterNotFound"));
}

#[tokio::test]
async fn half_an_answer_comes_without_a_connection_too() {
    let emulator = start(Options::default()).await;
    let body = r#"{"value":"1"}"#;
    meet(&emulator, Fault::Spoil(Spoil::Half));
    let half = ask(&emulator, "PUT", &format!("/kv/k?{VERSION}"), body).await.unwrap();
    assert!(!half.is_whole && half.response.status() == 200 && half.response.headers().contains_key("etag"));
    emulator.faults().clear();
    let whole = ask(&emulator, "GET", &format!("/kv/k?{VERSION}"), "").await.unwrap();
    let (part, all) = (half.response.body(), whole.response.body());
    assert!(whole.is_whole && all.starts_with(part) && part.len() == all.len() / 2, "{part:?}");
    meet(&emulator, Fault::DropBefore);
    assert!(ask(&emulator, "GET", "/kv", "").await.is_none());
}

#[tokio::test]
async fn listings_end_early_or_go_round() {
    let emulator = start(Options { short_pages: true, ..Options::default() }).await;
    let client = aws_sdk_ssm::Client::new(&config(&emulator).await);
    for n in 0..25 {
        put(&client, &format!("/p/{n:02}"), "v").await.unwrap();
        ask(&emulator, "PUT", &format!("/kv/{n:03}?{VERSION}"), r#"{"value":"1"}"#).await.unwrap();
    }
    let page = async |token: Option<String>| {
        client.get_parameters_by_path().path("/p").set_next_token(token).send().await.unwrap()
    };
    let first = page(None).await;
    let token = first.next_token().unwrap().to_owned();
    meet(&emulator, Fault::Spoil(Spoil::EndsEarly));
    let early = page(None).await;
    assert_eq!((early.next_token(), early.parameters().len()), (None, first.parameters().len()));
    let (azure, body) = list(&emulator).await;
    assert_eq!(body["items"].as_array().unwrap().len(), 12, "the only page loses half of its items");
    assert!(!azure.response.headers().contains_key("etag") && body.get("etag").is_none());
    meet(&emulator, Fault::Spoil(Spoil::RepeatsPage));
    assert_eq!(page(Some(token.clone())).await.next_token(), Some(token.as_str()));
    let (azure, body) = list(&emulator).await;
    assert_eq!(body["@nextLink"], format!("/kv?{VERSION}"));
    assert_eq!(azure.response.headers()["link"], format!("</kv?{VERSION}>; rel=\"next\""));
}

#[tokio::test]
async fn a_stale_read_is_one_read() {
    let emulator = start(Options { clock: Clock::manual(Timestamp::now()), ..Options::default() }).await;
    let client = aws_sdk_ssm::Client::new(&config(&emulator).await);
    let version = async || {
        let read = client.get_parameter().name("/a").send().await;
        read.ok().map(|read| read.parameter().unwrap().version())
    };
    put(&client, "/a", "1").await;
    emulator.clock().advance(Duration::from_secs(5));
    put(&client, "/a", "2").await;
    ask(&emulator, "PUT", &format!("/kv/k?{VERSION}"), r#"{"value":"1"}"#).await.unwrap();
    meet(&emulator, Fault::Odd(Oddity::Stale(Duration::from_secs(3))));
    assert_eq!(version().await, Some(1));
    assert_eq!(list(&emulator).await.1["items"], serde_json::json!([]));
    emulator.clock().advance(Duration::from_secs(3));
    assert_eq!(version().await, Some(2));
    emulator.faults().clear();
    assert_eq!(list(&emulator).await.1["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_skewed_clock_refuses_what_is_signed_by_another() {
    let emulator = start(Options::default()).await;
    let client = aws_sdk_ssm::Client::new(&config(&emulator).await);
    for seconds in [1_200, -1_200] {
        meet(&emulator, Fault::Odd(Oddity::Skewed { seconds }));
        let refused = client.get_parameter().name("/a").send().await.unwrap_err();
        assert_eq!(refused.code(), Some("InvalidSignatureException"));
        let dated = refused.raw_response().unwrap().headers().get("date").unwrap().to_owned();
        let dated = jiff::fmt::rfc2822::parse(&dated).unwrap().timestamp();
        let off = dated.duration_since(Timestamp::now()) - SignedDuration::from_secs(seconds);
        assert!(off.abs() < SignedDuration::from_secs(60), "{off}");
        let (azure, _) = list(&emulator).await;
        assert_eq!(azure.response.status(), 401);
        assert!(azure.response.headers()["www-authenticate"].to_str().unwrap().contains("access token"));
    }
}

#[tokio::test]
async fn a_key_is_unusable_for_one_request() {
    let emulator = start(Options::default()).await;
    let config = config(&emulator).await;
    let (ssm, kms) = (aws_sdk_ssm::Client::new(&config), aws_sdk_kms::Client::new(&config));
    let secret = || {
        let put = ssm.put_parameter().name("/s").value("v").r#type(ParameterType::SecureString).overwrite(true);
        put.key_id("alias/ai").send()
    };
    let state = async || {
        let told = kms.describe_key().key_id("alias/ai").send().await.unwrap();
        told.key_metadata().unwrap().key_state().cloned().unwrap()
    };
    for (oddity, word, shown) in [
        (Oddity::KeysDisabled, "DisabledException", KeyState::Disabled),
        (Oddity::KeysPendingDeletion, "KMSInvalidStateException", KeyState::PendingDeletion),
    ] {
        meet(&emulator, Fault::Odd(oddity));
        let refused = secret().await.unwrap_err();
        assert_eq!(refused.code(), Some("InvalidKeyId"));
        assert!(refused.message().unwrap().contains(word), "{refused:?}");
        assert_eq!(state().await, shown);
        assert!(put(&ssm, "/plain", "v").await.is_some());
        emulator.faults().clear();
        secret().await.unwrap();
        assert_eq!(state().await, KeyState::Enabled);
    }
}

#[tokio::test]
async fn a_snapshot_stays_or_fails() {
    let clock = Clock::manual(Timestamp::now());
    let emulator = start(Options { clock, ..Options::default() }).await;
    ask(&emulator, "PUT", &format!("/kv/k?{VERSION}"), r#"{"value":"1"}"#).await.unwrap();
    let make = async |name: &str, oddity| {
        meet(&emulator, Fault::Odd(oddity));
        let body = r#"{"filters":[{"key":"*"}]}"#;
        let made = ask(&emulator, "PUT", &format!("/snapshots/{name}?{VERSION}"), body).await.unwrap();
        assert_eq!(made.response.status(), 201);
        emulator.faults().clear();
    };
    let status = async |name: &str| {
        let told = ask(&emulator, "GET", &format!("/snapshots/{name}?{VERSION}"), "").await.unwrap();
        serde_json::from_slice::<Value>(told.response.body()).unwrap()["status"].as_str().unwrap().to_owned()
    };
    make("slow", Oddity::SnapshotStays(Duration::from_secs(900))).await;
    make("lost", Oddity::SnapshotFails(SnapshotFailure::Timeout)).await;
    emulator.clock().advance(Duration::from_secs(10));
    assert_eq!((status("slow").await.as_str(), status("lost").await.as_str()), ("provisioning", "failed"));
    emulator.clock().advance(Duration::from_secs(900));
    assert_eq!(status("slow").await, "ready");
}
