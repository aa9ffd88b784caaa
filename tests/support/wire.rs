//! From the clients to the emulated stores without a socket: nothing waits but timers, so that the runtime's clock may
//! run ahead whenever it likes.
#![allow(dead_code, reason = "each of the test binaries uses a part of it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use azure_core::http::headers::Headers;
use azure_core::http::{AsyncRawResponse, Body, HttpClient, Request, StatusCode, Transport};
use bytes::Bytes;
use futures::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use jiff::Timestamp;
use repin_emulator::{Clock, Delivered, Emulator, InProcess, Options};

/// What reading on says where an answer broke off.
const CUT: &str = "the connection closed in the middle of the body";

/// Lets the stores' clock go with the runtime's.
#[derive(Debug, Clone)]
pub(crate) struct Hands {
    stores: Clock,
    began: tokio::time::Instant,
    /// Milliseconds by which the stores' clock was moved already.
    moved: Arc<AtomicU64>,
}

impl Hands {
    pub(crate) fn new(stores: Clock) -> Self {
        Self { stores, began: tokio::time::Instant::now(), moved: Arc::default() }
    }

    /// Moves the stores' clock to where the runtime's is, and returns the time.
    pub(crate) fn now(&self) -> Timestamp {
        let elapsed = u64::try_from(self.began.elapsed().as_millis()).expect("no test lasts as long");
        let before = self.moved.fetch_max(elapsed, Ordering::SeqCst);
        self.stores.advance(Duration::from_millis(elapsed.saturating_sub(before)));
        self.stores.now()
    }
}

/// Stands between a client and a store.
#[async_trait]
pub(crate) trait Gate: std::fmt::Debug + Send + Sync {
    /// Meets a request before the store does.
    async fn before(&self, request: &http::Request<Bytes>);

    /// Meets a request that the store has dealt with, before its answer goes back.
    async fn after(&self, request: &http::Request<Bytes>);
}

/// Both stores under a clock that is moved, and the ways to them.
pub(crate) struct Wired {
    pub(crate) emulator: Emulator,
    pub(crate) aws: Wire,
    pub(crate) azure: Wire,
    pub(crate) hands: Hands,
}

impl Wired {
    /// Starts the stores. Their clock begins at one moment, whatever the options say: dates have whole seconds, so that
    /// which of two things is told to be earlier depends on where in a second it began.
    pub(crate) async fn start(options: Options) -> Self {
        let clock = Clock::manual("2026-03-04T05:06:07Z".parse().expect("a moment"));
        let emulator = Emulator::start(Options { clock: clock.clone(), ..options }).await.expect("the emulator starts");
        let hands = Hands::new(clock);
        let aws = Wire::new(emulator.aws_in_process().expect("no TLS"), hands.clone(), "/repin/");
        let azure = Wire::new(emulator.azure_in_process().expect("no TLS"), hands.clone(), ".repin");
        Self { emulator, aws, azure, hands }
    }
}

/// One store as its client reaches it.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    store: InProcess,
    hands: Hands,
    gate: Option<Arc<dyn Gate>>,
    /// What only a request for the ledger's documents has in it: each look at a store has one.
    ledger: &'static str,
    looks: Arc<AtomicU64>,
}

impl Wire {
    pub(crate) fn new(store: InProcess, hands: Hands, ledger: &'static str) -> Self {
        Self { store, hands, gate: None, ledger, looks: Arc::default() }
    }

    /// Returns the same way with a gate in it.
    pub(crate) fn through(&self, gate: Arc<dyn Gate>) -> Self {
        Self { gate: Some(gate), ..self.clone() }
    }

    /// Returns how often the ledger was asked for.
    pub(crate) fn looks(&self) -> u64 {
        self.looks.load(Ordering::SeqCst)
    }

    /// Returns this as what the AWS SDK sends through.
    pub(crate) fn aws(&self) -> SharedHttpClient {
        let connector = SharedHttpConnector::new(self.clone());
        http_client_fn(move |_, _| connector.clone())
    }

    /// Returns this as what the Azure client sends through.
    pub(crate) fn azure(&self) -> Transport {
        Transport::new(Arc::new(self.clone()))
    }

    async fn send(&self, request: http::Request<Bytes>) -> Option<Delivered> {
        let Some(gate) = &self.gate else { return self.pass(request).await };
        gate.before(&request).await;
        let answer = self.pass(request.clone()).await;
        gate.after(&request).await;
        answer
    }

    async fn pass(&self, request: http::Request<Bytes>) -> Option<Delivered> {
        self.hands.now();
        let query = request.uri().query().unwrap_or_default().as_bytes();
        if [query, request.body()].iter().any(|part| contains(part, self.ledger.as_bytes())) {
            self.looks.fetch_add(1, Ordering::SeqCst);
        }
        self.store.deliver(as_server(request)).await
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Makes a request what a server finds on a connection: the path alone in its first line, the authority in a header.
fn as_server(mut request: http::Request<Bytes>) -> http::Request<Bytes> {
    let uri = request.uri().clone();
    if let Some(authority) = uri.authority() {
        let host = authority.as_str().parse().expect("an authority is a header value");
        request.headers_mut().entry(http::header::HOST).or_insert(host);
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse().expect("a part of a URI");
    request
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let wire = self.clone();
        HttpConnectorFuture::new(async move {
            let mut builder = http::Request::builder().method(request.method()).uri(request.uri());
            for (name, value) in request.headers() {
                builder = builder.header(name, value);
            }
            let body = Bytes::copy_from_slice(request.body().bytes().expect("bodies are in memory"));
            let answer = wire.send(builder.body(body).expect("a request")).await;
            let Delivered { response: answer, is_whole } =
                answer.ok_or_else(|| ConnectorError::io("closed without an answer".into()))?;
            let body = answer.body().clone();
            let body = if is_whole {
                SdkBody::from(body)
            } else {
                SdkBody::from_body_1_x(StreamBody::new(stream::iter([Ok(Frame::data(body)), Err(CUT)])))
            };
            let mut response = HttpResponse::new(answer.status().as_u16().try_into().expect("a status"), body);
            for (name, value) in answer.headers() {
                let value = value.to_str().expect("text").to_owned();
                response.headers_mut().append(name.as_str().to_owned(), value);
            }
            Ok(response)
        })
    }
}

#[async_trait]
impl HttpClient for Wire {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let mut builder = http::Request::builder().method(request.method().as_ref()).uri(request.url().as_str());
        for (name, value) in request.headers().iter() {
            builder = builder.header(name.as_str(), value.as_str());
        }
        let Body::Bytes(body) = request.body() else { panic!("bodies are in memory") };
        let answer = self.send(builder.body(body.clone()).expect("a request")).await;
        let lost =
            || azure_core::Error::with_message(azure_core::error::ErrorKind::Io, "closed without an answer".to_owned());
        let Delivered { response: answer, is_whole } = answer.ok_or_else(lost)?;
        let mut headers = Headers::new();
        for (name, value) in answer.headers() {
            headers.insert(name.as_str().to_owned(), value.to_str().expect("text").to_owned());
        }
        let status = StatusCode::from(answer.status().as_u16());
        let body = answer.into_body();
        if is_whole {
            return Ok(AsyncRawResponse::from_bytes(status, headers, body));
        }
        let cut = azure_core::Error::with_message(azure_core::error::ErrorKind::Io, CUT.to_owned());
        Ok(AsyncRawResponse::new(status, headers, Box::pin(stream::iter([Ok(body), Err(cut)]))))
    }
}
