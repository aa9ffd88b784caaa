//! What those need who run the program: rights, and what stands in `deploy/`.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod iam;
mod metrics;
mod rights;
#[path = "../support/mod.rs"]
mod support;
