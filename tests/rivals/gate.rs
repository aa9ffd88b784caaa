//! A door in front of the stores: one process stands still before its k-th request while somebody else acts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use azure_core::http::{AsyncRawResponse, HttpClient, Request, Transport};
use tokio::sync::watch;

use crate::wire::Wire;

/// What one process sends passes here, whichever store it is for.
#[derive(Debug)]
pub(crate) struct Gate {
    passed: AtomicU64,
    /// Before which request to stand still, counted from 1; `u64::MAX` for none.
    at: AtomicU64,
    /// Whether a request stands here.
    stands: watch::Sender<bool>,
    /// Writes to App Configuration that carry no precondition: each could lose an update.
    careless: Mutex<Vec<String>>,
    /// The request before which it stood still, counted from 1; `u64::MAX` before that.
    stood: AtomicU64,
    /// What was asked of Parameter Store since it was told where to stand still, in the order in which it left.
    asked: Mutex<Vec<Asked>>,
}

/// One request to Parameter Store.
#[derive(Debug)]
struct Asked {
    number: u64,
    operation: String,
    /// Its body, which has the names.
    body: String,
}

impl Asked {
    /// Tells whether it names a parameter.
    fn names(&self, key: &str) -> bool {
        self.body.contains(&format!("/{key}\""))
    }
}

impl Gate {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            passed: AtomicU64::new(0),
            at: AtomicU64::new(u64::MAX),
            stands: watch::Sender::new(false),
            careless: Mutex::default(),
            stood: AtomicU64::new(u64::MAX),
            asked: Mutex::default(),
        })
    }

    /// Stops the process before its k-th request from now.
    pub(crate) fn close_before(&self, request: u64) {
        self.passed.store(0, Ordering::SeqCst);
        self.at.store(request, Ordering::SeqCst);
        self.stood.store(request, Ordering::SeqCst);
        self.asked().clear();
    }

    /// Waits until the process stands at the gate.
    pub(crate) async fn reached(&self) {
        let mut stands = self.stands.subscribe();
        let _ = stands.wait_for(|stands| *stands).await;
    }

    /// Lets the process go on, to its end.
    pub(crate) fn open(&self) {
        self.at.store(u64::MAX, Ordering::SeqCst);
        self.stands.send_replace(false);
    }

    /// Returns the writes to App Configuration that carried no precondition.
    pub(crate) fn careless(&self) -> Vec<String> {
        self.careless.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells whether the stop came between the look at a parameter and its delete, which nothing can stop then.
    pub(crate) fn stopped_a_delete(&self, key: &str) -> bool {
        let (asked, stood) = (self.asked(), self.stood.load(Ordering::SeqCst));
        let about: Vec<&Asked> = asked.iter().filter(|asked| asked.names(key)).collect();
        about.windows(2).any(|pair| {
            pair[0].number < stood && pair[1].number >= stood && pair[1].operation.ends_with(".DeleteParameter")
        })
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, Vec<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn pass(&self, aws: Option<(&str, &[u8])>) {
        let number = self.passed.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some((operation, body)) = aws {
            let body = String::from_utf8_lossy(body).into_owned();
            self.asked().push(Asked { number, operation: operation.to_owned(), body });
        }
        if number >= self.at.load(Ordering::SeqCst) {
            // What the process sends beside the request that stands here waits as well: it is stopped as a whole.
            let mut stands = self.stands.subscribe();
            self.stands.send_replace(true);
            let _ = stands.wait_for(|stands| !*stands).await;
        }
    }

    fn look_at(&self, request: &Request) {
        let method = request.method();
        let conditional =
            request.headers().iter().any(|(name, _)| matches!(name.as_str(), "if-match" | "if-none-match"));
        let writes = matches!(method.as_ref(), "PUT" | "DELETE") && request.url().path().starts_with("/kv/");
        if writes && !conditional {
            let careless = format!("{method} {}", request.url());
            self.careless.lock().unwrap_or_else(PoisonError::into_inner).push(careless);
        }
    }
}

/// The way of one process to one store.
#[derive(Debug, Clone)]
pub(crate) struct Gated {
    wire: Wire,
    gate: Arc<Gate>,
}

impl Gated {
    pub(crate) fn new(wire: &Wire, gate: &Arc<Gate>) -> Self {
        Self { wire: wire.clone(), gate: gate.clone() }
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
}

impl HttpConnector for Gated {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self { wire, gate } = self.clone();
        HttpConnectorFuture::new(async move {
            let operation = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
            gate.pass(Some((&operation, request.body().bytes().unwrap_or_default()))).await;
            wire.call(request).await
        })
    }
}

#[async_trait]
impl HttpClient for Gated {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        self.gate.look_at(request);
        self.gate.pass(None).await;
        self.wire.execute_request(request).await
    }
}
