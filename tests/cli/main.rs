//! The program as its users meet it: output, files and exit codes of each command.

mod diff;
mod help;
mod init;
mod markdown;
mod progress;
mod saved;
mod screens;
mod status;
#[path = "../support/mod.rs"]
mod support;
