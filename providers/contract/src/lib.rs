//! What every store must be able to do for repin, and the words for it.
//!
//! A provider speaks to one kind of store. It is dumb on purpose: it reads, it writes one thing at a time, each write
//! carries what it expects to replace, and every failure says what the caller should do and whether trying again makes
//! sense. What to write, in which order and what to remember of it is decided elsewhere.
//!
//! ```text
//!   engine  ── observe, read, history ──▶  provider ──▶ store
//!           ── apply (one write)      ──▶
//!           ── documents (the ledger) ──▶
//! ```

mod bucket;
mod capabilities;
mod document;
mod error;
mod item;
pub mod limit;
mod name;
pub mod network;
mod provider;
mod survey;
mod tally;
mod value;
mod version;
mod write;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use capabilities::{Capabilities, Pace, Rates, Serving};
pub use document::{Document, DocumentName, Documents, ReadDocuments, WriteDocument};
pub use error::{Error, ErrorKind, Outcome, Result, Retry, trust_hint};
pub use item::{Frozen, Item, Observation, Observe, ReadValue, Reference, Resume, Revision, Seen, View};
pub use name::{InvalidName, Key, Owner, Place, TargetName};
pub use provider::{Identity, Needs, Provider, ReadRequest};
pub use survey::Surveyed;
pub use tally::{AnswerCounts, RequestCounts, Tally};
pub use value::{Secret, Value};
pub use version::Version;
pub use write::{Action, Applied, Content, Put, Refusal, Tier, Write};
