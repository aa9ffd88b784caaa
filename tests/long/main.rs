//! The daemon for as long as one likes: in this process, under a clock that runs ahead while nobody works.
//!
//! `REPIN_LONG_RUN=1` plays everything at full length, as `tests/run long` does with an optimized build; otherwise fewer
//! passes of the same kind are played.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "figures are there to be read")]

mod outage;
mod scene;
mod unchanged;
#[path = "../support/wire.rs"]
mod wire;

/// That of the program: what another one keeps for itself is not what is looked for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Tells whether everything is to be played at full length.
fn is_full() -> bool {
    std::env::var_os("REPIN_LONG_RUN").is_some_and(|value| value == "1")
}
