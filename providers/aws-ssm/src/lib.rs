//! Work begins.

mod config;

pub use config::*;
