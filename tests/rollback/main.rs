//! Going back, as operators do it: whole stories with the program against both emulated clouds.

mod bad;
mod broken;
mod budget;
mod finish;
mod ledgers;
mod pins;
mod readers;
mod retention;
mod scene;
mod scope;
mod stores;
mod stories;
mod story;
#[path = "../support/mod.rs"]
mod support;
