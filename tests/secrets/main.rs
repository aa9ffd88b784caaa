//! A secret goes from its source to the call that stores it, and nowhere else.

mod doors;
mod host;
mod outputs;
#[path = "../support/mod.rs"]
mod support;
mod troubles;
