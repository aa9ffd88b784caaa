//! Going back, as operators do it: whole stories with the program against both emulated clouds.

mod bad;
mod scene;
mod stores;
mod story;
#[path = "../support/mod.rs"]
mod support;
