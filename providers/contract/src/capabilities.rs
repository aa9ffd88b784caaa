//! Facts about a store that change a plan.

use std::time::Duration;

/// What a store can and cannot do; data, so that the planner can be pure.
#[derive(Debug, Clone, PartialEq)]
pub struct Capabilities {
    /// The provider's name as the file writes it.
    pub provider: &'static str,
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
