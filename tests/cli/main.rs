//! The program as its users meet it: output, files and exit codes of each command.

mod diff;
mod forget;
mod help;
mod hold;
mod init;
mod markdown;
mod pin;
mod progress;
mod rollback;
mod saved;
mod screens;
mod status;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/terminal.rs"]
mod terminal;
