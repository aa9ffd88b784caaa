//! What is repeated, what is not, and what the caller learns, against a scripted transport and a paused clock.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::mock::{Mock, Reply};
use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind as CoreErrorKind;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request};
use azure_core::time::OffsetDateTime;
use azure_data_app_configuration::{
    AppConfigurationClient, AppConfigurationClientOptions, ErrorKind, KeyValueContent, Operation, Outcome,
    PutKeyValueOptions, Result, RetryOptions,
};
use tokio::time::Instant;

const ITEM: &str = r#"{"etag":"e1","key":"a","value":"v"}"#;

async fn put(client: &AppConfigurationClient) -> Result<()> {
    client.put_key_value("a", &KeyValueContent::new("v"), None).await.map(|_| ())
}

async fn get(client: &AppConfigurationClient) -> Result<()> {
    client.get_key_value("a", None).await.map(|_| ())
}

fn throttle(milliseconds: u64) -> Reply {
    Reply::status(429).header("retry-after-ms", milliseconds.to_string())
}

#[tokio::test(start_paused = true)]
async fn a_throttled_write_waits_and_is_signed_anew() {
    let mock = Mock::new([throttle(1500), Reply::json(ITEM)]);
    let start = Instant::now();
    put(&mock.client()).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_millis(1500));
    let sent = mock.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[1].body, sent[0].body);
    assert!(sent[1].header("authorization").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_hours_is_left_to_the_caller() {
    let mock = Mock::new([throttle(7_200_000)]);
    let start = Instant::now();
    let error = get(&mock.client()).await.unwrap_err();
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Throttled, Outcome::NotDone));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7200)));
    assert_eq!(mock.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_is_lost_is_not_repeated() {
    for reply in [Reply::Lost, Reply::HalfAnswer(200), Reply::status(500), Reply::status(503), Reply::status(408)] {
        let mock = Mock::new([reply]);
        let client = mock.client();
        let error = put(&client).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
        assert!(matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Server), "{error}");
        assert_eq!(mock.sent().len(), 1, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_verb_that_writes_counts_as_a_write() {
    let mock = Mock::new((0..5).map(|_| Reply::Lost));
    let client = mock.client();
    let errors = [
        client.delete_key_value("a", None).await.map(|_| ()).unwrap_err(),
        client.lock_key_value("a", None).await.map(|_| ()).unwrap_err(),
        client.unlock_key_value("a", None).await.map(|_| ()).unwrap_err(),
        client.archive_snapshot("s", None).await.map(|_| ()).unwrap_err(),
        client.recover_snapshot("s", None).await.map(|_| ()).unwrap_err(),
    ];
    assert!(errors.iter().all(|error| error.outcome() == Outcome::Unknown));
    assert_eq!(mock.sent().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_read_is_repeated_until_it_is_answered() {
    let mock =
        Mock::new([Reply::Lost, Reply::HalfAnswer(200), Reply::status(500), Reply::status(503), Reply::json(ITEM)]);
    get(&mock.client()).await.unwrap();
    assert_eq!(mock.sent().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn repeating_comes_to_an_end() {
    let mock = Mock::new((0..5).map(|_| Reply::Lost));
    let start = Instant::now();
    let error = get(&mock.client()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    assert!(error.is_transient());
    assert_eq!(mock.sent().len(), 5, "one attempt and four repetitions");
    assert!(start.elapsed() <= Duration::from_millis(200 + 400 + 800 + 1600) + Duration::from_millis(10));

    let mock = Mock::new([Reply::Lost]);
    let options = AppConfigurationClientOptions { retry: RetryOptions::none(), ..mock.options() };
    get(&mock.client_with(options)).await.unwrap_err();
    assert_eq!(mock.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_never_left_is_repeated() {
    let refused = Reply::status(503).header("retry-after-ms", "10");
    let mock = Mock::new([Reply::NoConnection, refused, Reply::json(ITEM)]);
    put(&mock.client()).await.unwrap();
    assert_eq!(mock.sent().len(), 3);

    let mock = Mock::new((0..5).map(|_| Reply::NoConnection));
    let error = put(&mock.client()).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Connection, Outcome::NotDone));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_takes_no_longer_than_it_may() {
    let mock = Mock::new([Reply::Hang]);
    let start = Instant::now();
    let error = put(&mock.client()).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Interrupted, Outcome::Unknown));
    assert_eq!(start.elapsed().as_secs(), 10);

    let mock = Mock::new([Reply::Hang, Reply::json(ITEM)]);
    get(&mock.client()).await.unwrap();
    assert_eq!(mock.sent().len(), 2);
}

/// Counts attempts by what they were for, as a caller would.
#[derive(Debug, Default)]
struct Counter(Mutex<Vec<(&'static str, Option<u16>)>>);

#[async_trait]
impl Policy for Counter {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let operation = ctx.value::<Operation>().expect("every request has a name").0;
        let result = next[0].send(ctx, request, &next[1..]).await;
        let status = result.as_ref().ok().map(|response| u16::from(response.status()));
        self.0.lock().unwrap().push((operation, status));
        result
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_the_caller_sees_every_attempt() {
    let mock = Mock::new([Reply::Lost, throttle(5), Reply::json(ITEM), Reply::status(412)]);
    let counter = Arc::new(Counter::default());
    let mut options = mock.options();
    options.client_options.per_try_policies.push(counter.clone());
    let client = mock.client_with(options);
    get(&client).await.unwrap();
    put(&client).await.unwrap_err();
    let counted = counter.0.lock().unwrap().clone();
    let get = "GET /kv/{key}";
    assert_eq!(counted, [(get, None), (get, Some(429)), (get, Some(200)), ("PUT /kv/{key}", Some(412))]);
}

#[tokio::test(start_paused = true)]
async fn the_context_of_a_call_reaches_the_policies() {
    #[derive(Debug)]
    struct Tag(&'static str);
    #[derive(Debug, Default)]
    struct Seen(Mutex<Option<&'static str>>);
    #[async_trait]
    impl Policy for Seen {
        async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
            *self.0.lock().unwrap() = ctx.value::<Tag>().map(|tag| tag.0);
            next[0].send(ctx, request, &next[1..]).await
        }
    }
    let mock = Mock::new([Reply::json(ITEM)]);
    let seen = Arc::new(Seen::default());
    let mut options = mock.options();
    options.client_options.per_try_policies.push(seen.clone());
    let mut put = PutKeyValueOptions::default();
    put.method_options.context.insert(Tag("release 7"));
    mock.client_with(options).put_key_value("a", &KeyValueContent::new("v"), Some(put)).await.unwrap();
    assert_eq!(*seen.0.lock().unwrap(), Some("release 7"));
    assert_eq!(mock.sent().len(), 1);
}

/// A credential that gives a token, or fails as one whose own request was cut off.
#[derive(Debug)]
struct Credential {
    scopes: Mutex<Vec<String>>,
    works: bool,
}

impl Credential {
    fn new(works: bool) -> Arc<Self> {
        Arc::new(Self { scopes: Mutex::default(), works })
    }
}

#[async_trait]
impl TokenCredential for Credential {
    async fn get_token(&self, scopes: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        self.scopes.lock().unwrap().extend(scopes.iter().map(|&scope| scope.to_owned()));
        if !self.works {
            return Err(azure_core::Error::with_message(CoreErrorKind::Io, "the identity endpoint was cut off"));
        }
        Ok(AccessToken::new("token-1", OffsetDateTime::now_utc() + Duration::from_secs(3600)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_asked_for_the_cloud_of_the_store() {
    let mock = Mock::new([Reply::json(ITEM)]);
    let credential = Credential::new(true);
    let endpoint = "https://store.azconfig.azure.us";
    let client = AppConfigurationClient::new(endpoint, credential.clone(), Some(mock.options())).unwrap();
    get(&client).await.unwrap();
    assert_eq!(*credential.scopes.lock().unwrap(), ["https://azconfig.azure.us/.default"]);
    assert_eq!(mock.sent()[0].header("authorization"), Some("Bearer token-1"));
}

#[tokio::test(start_paused = true)]
async fn a_failing_credential_is_not_a_lost_answer() {
    let mock = Mock::new([]);
    let client =
        AppConfigurationClient::new("https://store.azconfig.io", Credential::new(false), Some(mock.options())).unwrap();
    let error = put(&client).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Credential, Outcome::NotDone));
    assert!(mock.sent().is_empty());
}

#[test]
fn a_token_is_never_sent_in_the_clear() {
    let options = AppConfigurationClientOptions { allow_http: true, ..AppConfigurationClientOptions::default() };
    let error = AppConfigurationClient::new("http://127.0.0.1:8483", Credential::new(true), Some(options)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
