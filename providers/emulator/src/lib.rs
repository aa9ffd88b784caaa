//! Both stores on loopback: AWS SSM Parameter Store (with its KMS and STS) and Azure App Configuration.
//!
//! ```text
//!           aws half (aws/)                         azure half (appconfig/)
//!  sigv4 · json11 · query ─> ssm · kms · sts     hmac · rest ─> key-values · revisions · snapshots
//!                  └───────────── persist · clock · counters · faults ─────────────┘
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may fail by panicking"))]

pub mod appconfig;
mod aws;
pub mod clock;
pub mod counters;
pub mod credentials;
mod emulator;
pub mod faults;
pub mod persist;
mod server;

pub use aws::{KmsKey, Rates};
pub use clock::Clock;
pub use counters::{Call, Counters};
pub use emulator::{Emulator, Options, StartError};
pub use faults::{Fault, Faults};
pub use persist::{Change, Persist, PersistError};
