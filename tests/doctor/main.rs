//! `repin doctor` against set-ups that are broken, each in its own way: it finds the cause, says the mend, and changes nothing.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod aws;
mod azure;
mod host;
mod report;
#[path = "../support/mod.rs"]
mod support;
mod well;
