//! The fuzzer's program: one target a run, named by `REPIN_FUZZ_TARGET`.
#![no_main]

#[path = "targets/mod.rs"]
mod targets;

use std::sync::LazyLock;

static TARGET: LazyLock<targets::Target> = LazyLock::new(|| {
    let name = std::env::var("REPIN_FUZZ_TARGET").unwrap_or_default();
    let known = targets::ALL.iter().find(|(known, _)| *known == name);
    known.unwrap_or_else(|| panic!("REPIN_FUZZ_TARGET names no target: {name:?}")).1
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    TARGET(bytes);
});
