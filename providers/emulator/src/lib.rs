#![doc = include_str!("../README.md")]
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
