//! Going back, as operators do it: whole stories with the program against both emulated clouds.

mod bad;
mod pins;
mod scene;
mod stores;
mod stories;
mod story;
#[path = "../support/mod.rs"]
mod support;
