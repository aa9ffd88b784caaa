//! The daemon as a process of its own, against both emulated clouds on loopback.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "figures are there to be read")]

#[path = "../support/mod.rs"]
mod support;

mod control;
mod file;
mod kills;
mod manners;
mod observe;
mod peers;
mod running;
mod service;
mod stories;
mod targets;
mod together;
