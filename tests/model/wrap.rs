//! A provider that dies, or that nothing reaches, when a story says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use repin_provider::{
    AnswerCounts, Applied, Capabilities, DocumentName, Documents, Error, ErrorKind, Frozen, Identity, Key, Needs,
    Observation, Observe, Pace, Place, Provider, ReadDocuments, ReadRequest, ReadValue, RequestCounts, Result,
    Revision, Secret, Version, Write, WriteDocument,
};
use tokio::sync::Notify;

/// What the calls of one process meet, on all its targets.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    /// Calls that may still be made before the process dies; `u64::MAX` for as many as it likes.
    left: AtomicU64,
    /// Whether the last of them still takes effect.
    lands: AtomicBool,
    died: Notify,
}

impl Fate {
    /// Lets everything through.
    pub(crate) fn kind() -> Arc<Self> {
        let fate = Self::default();
        fate.left.store(u64::MAX, Ordering::SeqCst);
        Arc::new(fate)
    }

    /// Ends the process at a call, counted from now and from 1: before it takes effect, or after it and before its answer.
    pub(crate) fn die_at(&self, call: u64, lands: bool) {
        self.left.store(call, Ordering::SeqCst);
        self.lands.store(lands, Ordering::SeqCst);
    }

    /// Lets everything through again.
    pub(crate) fn relent(&self) {
        self.left.store(u64::MAX, Ordering::SeqCst);
    }

    /// Waits for the end.
    pub(crate) async fn died(&self) {
        self.died.notified().await;
    }

    /// Counts a call, and tells what becomes of it.
    fn count(&self) -> Call {
        let step = |left: u64| if left == u64::MAX { None } else { Some(left.saturating_sub(1)) };
        match self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, step) {
            Ok(0) => Call::TooLate,
            Ok(1) => Call::Last,
            _ => Call::Usual,
        }
    }

    async fn die<T>(&self) -> T {
        self.died.notify_one();
        std::future::pending().await
    }
}

/// A provider of one process.
#[derive(Debug)]
pub(crate) struct Mortal {
    pub(crate) inner: Box<dyn Provider>,
    pub(crate) fate: Arc<Fate>,
    pub(crate) unreachable: Arc<AtomicBool>,
}

impl Mortal {
    async fn call<T>(&self, operation: &str, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        if self.unreachable.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unreachable, operation, "the story cut this store off"));
        }
        match self.fate.count() {
            Call::Usual => call.await,
            Call::Last => {
                if self.fate.lands.load(Ordering::SeqCst) {
                    let _ = call.await;
                }
                self.fate.die().await
            }
            // It never left the process.
            Call::TooLate => std::future::pending().await,
        }
    }
}

/// What becomes of one call.
enum Call {
    Usual,
    Last,
    TooLate,
}

#[async_trait]
impl Provider for Mortal {
    fn place(&self) -> &Place {
        self.inner.place()
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn endpoint(&self) -> String {
        self.inner.endpoint()
    }

    fn native_name(&self, key: &Key) -> String {
        self.inner.native_name(key)
    }

    async fn preflight(&self, needs: Needs) -> Result<Identity> {
        self.call("preflight", self.inner.preflight(needs)).await
    }

    async fn observe(&self, request: Observe) -> Result<Observation> {
        self.call("observe", self.inner.observe(request)).await
    }

    async fn read(&self, requests: &[ReadRequest]) -> Result<Vec<Option<ReadValue>>> {
        self.call("read", self.inner.read(requests)).await
    }

    async fn owners(&self, keys: &[Key]) -> Result<Vec<Option<String>>> {
        self.call("owners", self.inner.owners(keys)).await
    }

    async fn history(&self, key: &Key) -> Result<Vec<Revision>> {
        self.call("history", self.inner.history(key)).await
    }

    async fn apply(&self, write: &Write) -> Result<Applied> {
        self.call("apply", self.inner.apply(write)).await
    }

    async fn read_documents(&self, request: ReadDocuments) -> Result<Documents> {
        self.call("read documents", self.inner.read_documents(request)).await
    }

    async fn read_secret_documents(&self, names: &[DocumentName]) -> Result<Vec<Option<Secret>>> {
        self.call("read documents", self.inner.read_secret_documents(names)).await
    }

    async fn freeze(&self, name: &str) -> Result<Frozen> {
        self.call("freeze", self.inner.freeze(name)).await
    }

    async fn read_frozen(&self, name: &str) -> Result<Option<Frozen>> {
        self.call("read frozen", self.inner.read_frozen(name)).await
    }

    async fn serve_frozen(&self, name: &str, from: Option<&Version>) -> Result<Applied> {
        self.call("serve frozen", self.inner.serve_frozen(name, from)).await
    }

    async fn withdraw_frozen(&self, from: &Version) -> Result<()> {
        self.call("withdraw frozen", self.inner.withdraw_frozen(from)).await
    }

    async fn retire_frozen(&self, name: &str) -> Result<()> {
        self.call("retire frozen", self.inner.retire_frozen(name)).await
    }

    async fn write_document(&self, write: &WriteDocument) -> Result<Option<Version>> {
        self.call("write a document", self.inner.write_document(write)).await
    }

    fn requests(&self) -> RequestCounts {
        self.inner.requests()
    }

    fn throttles(&self) -> RequestCounts {
        self.inner.throttles()
    }

    fn pace(&self) -> Option<Pace> {
        self.inner.pace()
    }

    fn answers(&self) -> AnswerCounts {
        self.inner.answers()
    }
}
