//! Hostile input: what the fuzzer's targets do with everything that is kept for them, and bounds on what a file, a value
//! or a name may cost or do to a screen.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(clippy::print_stdout, reason = "a panic is told of by the line before it")]

mod corpus;
mod files;
mod shown;
#[path = "../support/mod.rs"]
mod support;
#[path = "../fuzz/targets/mod.rs"]
mod targets;
