//! Going back, as operators do it: whole stories with the program against both emulated clouds.

mod bad;
mod story;
#[path = "../support/mod.rs"]
mod support;
