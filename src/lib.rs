//! repin keeps AWS SSM Parameter Store and Azure App Configuration equal to one reviewed file.
//!
//! ```text
//! file(s) ─▶ desired ─┐
//!                     ├─▶ plan (pure) ─▶ check ─▶ execute: claim, serve, verify, record ─▶ report
//! stores ─▶ observe ──┘
//!           + ledger (record)
//! ```
//! One pass through this is [`cycle`]. Stages never import each other; they meet in [`model`].

pub mod arrive;
pub mod cli;
pub mod control;
pub mod cycle;
pub mod daemon;
pub mod desired;
pub mod difference;
pub mod doctor;
pub mod execute;
pub mod exit;
pub mod history;
pub mod iam;
pub mod model;
pub mod observe;
pub mod plan;
pub mod record;
pub mod report;
pub mod saved;
pub mod status;
pub mod timeline;
