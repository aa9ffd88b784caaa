//! The ledger in the stores, and what a host remembers.

mod base;
pub mod copies;
mod format;
pub mod host;
pub mod ledger;
mod packed;
pub mod private;

pub use format::{Corrupt, FORMAT};
