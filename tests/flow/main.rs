//! Whole passes of the program against both emulated clouds; a file per story.

mod basics;
mod budget;
mod crash;
mod drift;
mod refusals;
mod rivals;
#[path = "../support/mod.rs"]
mod support;
