//! The program as its users meet it: output, files and exit codes of each command.

mod help;
mod init;
mod markdown;
#[path = "../support/mod.rs"]
mod support;
