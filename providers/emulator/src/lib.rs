#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may fail by panicking"))]

pub mod appconfig;
mod aws;
pub mod clock;
pub mod counters;
pub mod credentials;
mod emulator;
pub mod faults;
mod identity;
pub mod persist;
mod server;
mod spoil;
pub mod storm;
mod tls;

pub use aws::{KmsKey, Rates};
pub use clock::Clock;
pub use counters::{Call, Counters};
pub use emulator::{Emulator, Options, StartError};
pub use faults::{Fault, Faults, Oddity, Spoil};
pub use identity::token::Tokens;
pub use persist::{Change, Persist, PersistError};
pub use server::{Delivered, InProcess};
pub use storm::{FaultKind, Storm};
pub use tls::TlsError;

/// Returns random bytes; nothing where the system has none.
fn random_bytes<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(bytes)
}
