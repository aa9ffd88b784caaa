//! Passes against stores that keep to their documented quotas: in this process, under a clock that runs ahead, so that
//! what takes minutes there takes none here and is the same each time.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod aws;
mod azure;
mod program;
mod stage;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/wire.rs"]
mod wire;
