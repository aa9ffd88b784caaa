//! What stores answer: the whole way from the bytes on the wire to what the provider makes of them.
//!
//! An input is the answers in order, each with a head of one line: the status, then headers as `name=value` with `&` between
//! them. After the last, every request fails to connect. No request may go anywhere but to the store, whatever a link in an
//! answer says, and their number is bounded.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use azure_core::http::headers::{HeaderName, HeaderValue, Headers};
use azure_core::http::{AsyncRawResponse, HttpClient, Request, StatusCode, Transport};
use repin_provider::{
    Action, Content, DocumentName, Key, Observe, Owner, Provider, Put, ReadDocuments, ReadRequest, Result, Secret,
    Value, Version, Write, WriteDocument,
};
use serde_json::json;

use super::{SEPARATOR, block_on, text};

/// Where both stores are.
const HOST: &str = "127.0.0.1:9";
/// More requests than this for one call after the last answer is a loop.
const MOST: usize = 100;

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

/// Answers in order, and counts.
#[derive(Debug, Clone)]
struct Wire(Arc<Mutex<(VecDeque<Answer>, usize)>>);

impl Wire {
    fn of(bytes: &[u8]) -> Self {
        let text = text(bytes);
        let answer = |part: &str| {
            let (head, body) = part.split_once('\n').unwrap_or((part, ""));
            let mut fields = head.trim().split('&');
            let status = fields.next().and_then(|status| status.parse().ok()).unwrap_or(200);
            let is_token =
                |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            let headers = fields.filter_map(|field| field.split_once('=')).filter(|(name, _)| is_token(name));
            let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
            Answer { status: status % 1000, headers, body: body.to_owned() }
        };
        Self(Arc::new(Mutex::new((text.split(SEPARATOR).take(12).map(answer).collect(), 0))))
    }

    /// Takes the next answer for a request to this host.
    fn next(&self, host: &str) -> Option<Answer> {
        assert_eq!(host, HOST, "a request leaves for another host");
        let mut wire = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = wire.0.pop_front();
        if answer.is_none() {
            wire.1 += 1;
            assert!(wire.1 < MOST, "requests without end");
        }
        answer
    }

    /// Lets each call begin with all answers that are left, and with a count of its own.
    fn begin(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = 0;
    }
}

/// Calls a provider in the way that the first byte chooses; what it answers, or fails with, can be shown.
async fn call(provider: &dyn Provider, which: u8, wire: &Wire) -> bool {
    let key = Key::parse("chat/config").expect("valid");
    let name = || DocumentName::new("log/00000001");
    let content = || Content {
        value: Value::Plain("v".into()),
        content_type: None,
        tags: Default::default(),
        description: None,
        tier: None,
    };
    wire.begin();
    match which % 10 {
        0 => shown(provider.observe(Observe { keys: vec![key], census: true, ..Observe::default() })).await,
        1 => shown(provider.history(&key)).await,
        2 => shown(provider.read_documents(ReadDocuments::All)).await,
        3 => shown(provider.read_documents(ReadDocuments::Named { names: vec![name()], resume: None })).await,
        4 => shown(provider.read(&[ReadRequest { key, version: Some(Version::new("1", None)) }])).await,
        5 => {
            let action = Action::Put(content(), Put::Replace(Version::new("1", None)));
            shown(provider.apply(&Write { key, action })).await
        }
        6 => shown(provider.apply(&Write { key, action: Action::Put(content(), Put::Create) })).await,
        7 => shown(provider.write_document(&WriteDocument::Create { name: name(), body: "{}".into() })).await,
        8 => shown(provider.owners(&[key])).await,
        _ => shown(provider.read_frozen("a-1")).await,
    }
}

async fn shown<T>(call: impl Future<Output = Result<T>>) -> bool {
    call.await.map_err(|error| repin::report::Trouble::of_error(&error)).is_ok()
}

/// Splits the choice of a call from the answers.
fn choice(bytes: &[u8]) -> (u8, &[u8]) {
    bytes.split_first().map_or((0, bytes), |(first, rest)| (first.wrapping_sub(b'0'), rest))
}

/// Feeds the App Configuration provider.
pub(crate) fn azure(bytes: &[u8]) -> bool {
    let (which, bytes) = choice(bytes);
    let wire = Wire::of(bytes);
    let config =
        serde_json::from_value(json!({ "endpoint": format!("http://{HOST}"), "prefix": "test", "label": "prod" }));
    let owner = Owner::parse("test").expect("valid");
    let mut options = repin_azure_app_configuration::Options::new(owner, "t1");
    let connection = format!("Endpoint=http://{HOST};Id=id;Secret=c2VjcmV0LW9mLXRoZS10ZXN0");
    options.connection_string = Some(Secret::new(connection));
    options.transport = Some(Transport::new(Arc::new(wire.clone())));
    let provider = repin_azure_app_configuration::connect(&config.expect("settings"), options).expect("settings");
    block_on(call(&provider, which, &wire))
}

/// Feeds the Parameter Store provider.
pub(crate) fn ssm(bytes: &[u8]) -> bool {
    let (which, bytes) = choice(bytes);
    let wire = Wire::of(bytes);
    let config = serde_json::from_value(json!({
        "account": "111122223333",
        "region": "eu-west-1",
        "prefix": "/ai/test",
        "kms_key": "alias/ai-config",
        "endpoint_url": format!("http://{HOST}"),
    }));
    let owner = Owner::parse("test").expect("valid");
    let mut options = repin_aws_ssm::Options::new(owner, "t1");
    options.credentials = Some(("AKIDEXAMPLE".to_owned(), Secret::new("the-secret-key".to_owned())));
    options.attempt_timeout = Duration::from_secs(5);
    let connector = SharedHttpConnector::new(wire.clone());
    options.http_client = Some(http_client_fn(move |_, _| connector.clone()));
    block_on(async {
        let provider = repin_aws_ssm::connect(&config.expect("settings"), options).await.expect("settings");
        call(&provider, which, &wire).await
    })
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let host = request.uri().split('/').nth(2).unwrap_or_default().to_owned();
        let Some(answer) = self.next(&host) else {
            return HttpConnectorFuture::ready(Err(ConnectorError::io("refused".into())));
        };
        let status = answer.status.try_into().unwrap_or_else(|_| 500_u16.try_into().expect("a status"));
        let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
        for (name, value) in answer.headers {
            let _ = response.headers_mut().try_insert(name, value);
        }
        HttpConnectorFuture::ready(Ok(response))
    }
}

#[async_trait]
impl HttpClient for Wire {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let url = request.url();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = format!("{}{port}", url.host_str().unwrap_or_default());
        let Some(answer) = self.next(&host) else {
            return Err(azure_core::Error::with_message(azure_core::error::ErrorKind::Connection, "refused"));
        };
        let mut headers = Headers::new();
        for (name, value) in answer.headers {
            headers.insert(HeaderName::from(name), HeaderValue::from(value));
        }
        Ok(AsyncRawResponse::from_bytes(StatusCode::from(answer.status), headers, answer.body.into_bytes()))
    }
}
