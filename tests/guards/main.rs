//! Guards: mistakes that would empty a store do not. Whatever the mistake, everything that both stores hold is as it was
//! before, the ledgers included, and what is said names the mistake and the way out.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod files;
mod listings;
mod places;
mod stage;
#[path = "../support/mod.rs"]
mod support;
mod whole;
