//! What is fed with hostile bytes: each target takes any bytes at all, and must neither panic nor take long over them.
//!
//! The fuzzer calls these functions, and so does an ordinary test with everything in `corpus` and `findings`. What they
//! assert beyond "it comes back" stands at each. They return whether the input was understood: seeds that never are would
//! try the outermost check and nothing else.

mod answers;
mod file;
mod ledger;
mod said;

use std::sync::OnceLock;

/// A target: takes bytes, and tells whether they were understood.
pub(crate) type Target = fn(&[u8]) -> bool;

/// Every target by its name, which is also that of its folder.
pub(crate) const ALL: [(&str, Target); 9] = [
    ("arguments", said::arguments),
    ("connection", said::connection),
    ("control", said::control),
    ("file", file::file),
    ("filter", said::filter),
    ("ledger", ledger::ledger),
    ("plan", said::plan),
    ("azure", answers::azure),
    ("ssm", answers::ssm),
];

/// Parts of one input: none of the texts that are tried holds it.
const SEPARATOR: char = '\u{1e}';

/// Takes bytes as text, as far as they are.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs what is asynchronous under a clock that only jumps: what waits for a retry costs nothing.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("no sockets, no threads").block_on(future)
}

/// A folder that lasts as long as the process.
fn folder() -> &'static std::path::Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().expect("a temporary folder")).path()
}
