//! Rivals: whoever else writes to the stores, at whatever moment, loses nothing and is told of.
//!
//! Everything runs in this process, under a clock that runs ahead: a pass stands still before its k-th request, the rival
//! acts, and the pass goes on. Every k is played.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod answers;
mod console;
mod frozen;
mod gate;
mod human;
mod judge;
mod owners;
mod pairs;
mod stage;
#[path = "../support/mod.rs"]
mod support;
mod undo;
#[path = "../support/wire.rs"]
mod wire;
