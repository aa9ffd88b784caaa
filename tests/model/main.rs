//! Generated stories against a reference model: whatever people, hosts and accidents do, readers meet what the
//! guarantees say.
//!
//! `REPIN_MODEL_STORIES` plays another number of stories for each pair of serve forms, `REPIN_MODEL_SEED` other ones.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod model;
mod play;
mod stage;
mod stories;
mod story;
mod wrap;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use crate::stage::{Clouds, Forms};

/// How many stories each of the four pairs of serve forms plays: 2,000 together.
const STORIES: u32 = 500;

/// How often a story that fails is played again in fewer turns.
const SHRINKS: u32 = 400;

fn number(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Plays generated stories; one that fails is told in as few turns as fail.
fn play_stories(forms: Forms) {
    let seed = number("REPIN_MODEL_SEED", 1);
    let config = Config {
        cases: number("REPIN_MODEL_STORIES", STORIES),
        failure_persistence: None,
        max_shrink_iters: SHRINKS,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let runtime = runtime();
    let clouds = runtime.block_on(Clouds::start(forms));
    let told = runner
        .run(&story::stories(), |story| runtime.block_on(play::play(&clouds, &story)).map_err(TestCaseError::fail));
    if let Err(error) = told {
        panic!("{forms:?}, REPIN_MODEL_SEED={seed}: {error}");
    }
}

#[test]
fn slow_latest_and_key_values() {
    play_stories(Forms { label: false, snapshot: false });
}

#[test]
fn slow_label_and_key_values() {
    play_stories(Forms { label: true, snapshot: false });
}

#[test]
fn slow_latest_and_snapshot() {
    play_stories(Forms { label: false, snapshot: true });
}

#[test]
fn slow_label_and_snapshot() {
    play_stories(Forms { label: true, snapshot: true });
}
