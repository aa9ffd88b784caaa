//! Between a process and the stores: it sees what leaves, ends the process where the story says so, and lets somebody
//! else in before a call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;

use crate::readers::Readers;
use crate::story::{Death, Rival};
use crate::wire;

/// A write that left a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    /// `aws` with its region, or `azure`.
    pub(crate) store: String,
    /// The store's name of the operation: `PutParameter`, or `PUT`.
    pub(crate) operation: String,
    /// What it is about: a name, or a path with its query.
    pub(crate) about: String,
}

/// What one process meets. Its clones are the same.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Inner>);

struct Inner {
    calls: AtomicU64,
    latency: Mutex<fastrand::Rng>,
    death: Option<Death>,
    died: Notify,
    rival: Option<(Rival, Arc<Readers>)>,
    sent: Mutex<Vec<Sent>>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("calls", &self.calls()).finish_non_exhaustive()
    }
}

impl Gate {
    pub(crate) fn new(seed: u64, death: Option<Death>, rival: Option<(Rival, Arc<Readers>)>) -> Self {
        Self(Arc::new(Inner {
            calls: AtomicU64::new(0),
            latency: Mutex::new(fastrand::Rng::with_seed(seed)),
            death,
            died: Notify::new(),
            rival,
            sent: Mutex::default(),
        }))
    }

    /// Returns how many requests left.
    pub(crate) fn calls(&self) -> u64 {
        self.0.calls.load(Ordering::SeqCst)
    }

    /// Returns the writes that left.
    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.0.sent.lock().unwrap().clone()
    }

    /// Waits for the end of the process.
    pub(crate) async fn died(&self) {
        self.0.died.notified().await;
    }

    fn death(&self, call: u64, landed: bool) -> bool {
        matches!(self.0.death, Some(Death::Call { call: at, lands }) if at == call && lands == landed)
    }

    async fn die(&self) {
        self.0.died.notify_one();
        std::future::pending().await
    }
}

#[async_trait]
impl wire::Gate for Gate {
    async fn before(&self, request: &http::Request<Bytes>) {
        let call = self.0.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if self.death(call, false) {
            self.die().await;
        }
        if let Some((rival, readers)) = &self.0.rival
            && rival.call == call
        {
            readers.act(rival.target, rival.key, rival.deed).await;
        }
        let wait = self.0.latency.lock().unwrap().u64(1..30);
        tokio::time::sleep(Duration::from_millis(wait)).await;
        self.0.sent.lock().unwrap().extend(write_of(request));
    }

    async fn after(&self, _request: &http::Request<Bytes>) {
        if self.death(self.calls(), true) {
            self.die().await;
        }
    }
}

/// Tells what a request writes, if it writes.
fn write_of(request: &http::Request<Bytes>) -> Option<Sent> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let Some(target) = header("x-amz-target") else {
        if request.method() == http::Method::GET || request.headers().contains_key("x-amz-date") {
            return None;
        }
        let about = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        return Some(Sent { store: "azure".to_owned(), operation: request.method().to_string(), about });
    };
    let operation = target.split_once('.')?.1;
    let writes = ["Put", "Delete", "Label", "Unlabel", "Add", "Remove"];
    if !writes.iter().any(|verb| operation.starts_with(verb)) {
        return None;
    }
    let body: serde_json::Value = serde_json::from_slice(request.body()).ok()?;
    let about = body.get("Name").or_else(|| body.get("ResourceId")).or_else(|| body.get("Names"))?;
    let region = header("authorization")?.split('/').nth(2)?.to_owned();
    let about = about.as_str().map_or_else(|| about.to_string(), str::to_owned);
    Some(Sent { store: region, operation: operation.to_owned(), about })
}
