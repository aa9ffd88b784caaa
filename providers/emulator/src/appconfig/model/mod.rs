//! The store as a value: no HTTP, no I/O and no clock of its own (the time is passed in).
//!
//! ```text
//!   request ──▶ Store::plan_* ──▶ Change ──▶ saved ──▶ Store::apply
//!                    │
//!                    └──▶ Rejection (nothing happened)
//! ```
//!
//! Deciding and applying are two steps so that a change is on disk before any reader can see it.

mod condition;
mod filter;
mod item;
mod page;
mod snapshot;
mod store;
mod tag_filter;

pub(super) use condition::{Condition, Conditions, Verdict};
pub(super) use filter::{FilterError, TextFilter};
pub(super) use item::{Content, Id, KeyValue};
pub(super) use page::{Page, page_of, page_etag};
pub(super) use snapshot::{
    Composition, CreateSnapshot, Failure, MAX_SNAPSHOT_BYTES, Snapshot, SnapshotFilter, SnapshotState,
};
pub(super) use store::{Change, KeyValueFilter, Rejection, Revision, Rules, Store, View};
pub(super) use tag_filter::TagFilter;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

/// Returns the text form of a SHA-256 over `parts`, in which no two different lists of parts collide.
fn fingerprint(parts: &[&[u8]]) -> String {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, &bytes))
}
