//! The client against a scripted transport.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod key_values;
mod mock;
mod retries;
mod snapshots;
