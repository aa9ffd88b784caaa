//! The daemon as a process of its own, against both emulated clouds on loopback.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../support/mod.rs"]
mod support;

mod file;
mod manners;
mod observe;
mod running;
mod service;
mod targets;
mod together;
