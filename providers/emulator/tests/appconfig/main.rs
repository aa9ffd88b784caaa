//! The App Configuration half over its HTTP interface, with requests signed by a signer of the tests' own.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod auth;
#[path = "../common/azconfig.rs"]
mod azconfig;
mod harness;
mod key_values;
mod lag_and_limits;
mod listings;
mod snapshots;
mod socket;
mod survival;
