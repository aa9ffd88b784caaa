//! The daemon: passes for ever, at the right moments.
//!
//! ```text
//! file events ─┐                    ┌─▶ a pass for each target: puts back what the ledger says ─┐
//! interval ────┼─▶ schedule (pure) ─┤                                                           ├─▶ board ─▶ probes
//! SIGHUP ──────┘        ▲           └─▶ one over all targets: releases what the file asks ──────┘
//!                       └─────────────────────── what came of it ──────────────────────────────┘
//! ```
//! Targets are independent: one that is down or slow keeps no other from being corrected. Only a release waits for all of
//! them, and says for which. A file that cannot be read leaves the last good one in force. Commands of operators come in
//! over the [control socket](control), and have their targets to themselves ([visit]).

mod board;
pub mod control;
mod exposition;
mod heads;
pub mod listen;
mod lock;
mod manager;
mod metrics;
mod pass;
mod process;
mod pulse;
mod receive;
mod refusals;
mod results;
pub mod rivals;
mod run;
pub mod schedule;
pub mod service;
mod stamp;
mod tally;
mod tell;
pub mod visit;
pub mod watch;

pub use self::board::Board;
pub use self::lock::{Lock, LockError};
pub use self::manager::not_started;
pub use self::pass::Connect;
pub use self::run::{Daemon, Setup};
