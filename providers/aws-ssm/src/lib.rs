#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what is wanted"))]

mod apply;
mod audit;
mod client;
mod config;
mod connect;
mod convert;
mod count;
mod credentials;
mod documents;
mod error;
mod examine;
mod history;
mod label;
mod memory;
mod observe;
mod owners;
mod pace;
mod preflight;
mod provider;
mod retry;
mod survey;
mod tags;
mod throttle;
mod transport;

pub use audit::{audit, audit_count, audit_settings};
pub use config::*;
pub use connect::{MAX_DOCUMENT, Options, Ssm, connect};
pub use convert::OWNER_TAG;
pub use examine::{Identified, KeyState, Source};
pub use survey::Survey;
pub use transport::http_client;
