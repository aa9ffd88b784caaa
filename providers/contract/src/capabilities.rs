//! Facts about a store that change a plan.

use std::time::Duration;

/// How readers meet what is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serving {
    /// A put is served at once: readers ask for the latest.
    AtOnce,
    /// Readers follow a name of their own to one version of each key: a put is not seen until
    /// [`Action::Serve`](crate::Action::Serve) moves that name (an SSM label).
    Apart,
    /// Readers follow one reference to a frozen set of all keys: puts are not seen until they are frozen and
    /// [`Provider::serve_frozen`](crate::Provider::serve_frozen) moves the reference (an App Configuration snapshot).
    Together,
}

/// What a store can and cannot do; data, so that the planner can be pure.
#[derive(Debug, Clone, PartialEq)]
pub struct Capabilities {
    /// The provider's name as the file writes it.
    pub provider: &'static str,
    /// How readers meet what is put.
    pub serving: Serving,
    /// The same as the file says it, with the name that readers follow: `latest`, `label live`, `snapshot KEY`. A ledger
    /// keeps it, since changing it later takes more than another word in the file.
    pub serve: String,
    /// Whether a write can be conditional on the version it replaces. Where not, a collision is noticed afterwards.
    pub compare_and_swap: bool,
    /// Whether the store keeps secrets encrypted under a key of ours.
    pub secrets: bool,
    /// Whether items carry a content type.
    pub content_types: bool,
    /// Whether observing answers descriptions and tags. Where not, a change of these alone is not seen there.
    pub describes: bool,
    /// Whether a write answers the new version's date. Where not, the executor reads it back in batches.
    pub dates_on_write: bool,
    /// Keys that one read request covers.
    pub read_batch: usize,
    /// Items that one listing page covers.
    pub page: usize,
    /// Most bytes of one ledger document.
    pub max_document: usize,
    /// Native versions kept for each item; `None` where age decides.
    pub versions_kept: Option<u64>,
    /// How long a superseded version is kept, counted from when it was written; `None` where the number decides.
    pub versions_kept_for: Option<Duration>,
    /// How many writes may run at once.
    pub parallel_writes: usize,
    /// The documented quotas, for the forecast of a pass; `None` on loopback.
    pub rates: Option<Rates>,
    /// How long after a lost answer a write may still land: the attempt timeout and the store's read lag.
    pub settle: Duration,
}

/// Requests a second that the store allows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Reads a second.
    pub reads: f64,
    /// Writes a second.
    pub writes: f64,
}
