//! Speaking with the daemon of this host: operators' commands go through its socket, so that an operator needs none of
//! its credentials.
//!
//! ```text
//! <runtime directory>/<name>/daemon.sock      folder 0750, socket 0660: for the daemon's user and their group
//!   POST /v1/command   a `Request` as JSON, at most 4 MB ─▶ 200 and `Line`s, one JSON object each, the last one `exit`
//!   POST /v1/cancel    a `Cancel` as JSON: the command stops at the next safe place, is recorded, and says its exit
//!   GET  /live, /ready, /v1/status, /metrics    as `daemon::service` has them
//! ```
//! Whoever may open the socket may do what the daemon may; who did is what the kernel says of the peer. Arguments are
//! read by the daemon with the same parser, and carried out by the same functions: what a command prints and ends with
//! is the same on either way.

pub mod client;
pub mod places;
mod protocol;

pub use self::protocol::{CANCEL, COMMAND, Cancel, FORMAT, FileId, FileSaid, Line, MAX_BODY, Request};
