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
mod select;
mod snapshot;
mod store;
mod tag_filter;

pub(crate) use condition::{Condition, Conditions, Verdict};
pub(crate) use filter::TextFilter;
pub(crate) use item::{Content, Id, KeyValue, MAX_ITEM_BYTES};
pub(crate) use page::{Page, page_etag, page_of};
pub(crate) use select::KeyValueFilter;
pub use snapshot::SnapshotFailure;
pub(crate) use snapshot::{Composition, CreateSnapshot, MAX_SNAPSHOT_BYTES, Snapshot, SnapshotFilter, SnapshotState};
pub(crate) use store::{Change, Rejection, Revision, Rules, Store, View};
pub(crate) use tag_filter::TagFilter;

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
