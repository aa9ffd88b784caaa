//! Golden transcripts: what the emulator answers, call by call, beside the rule that says so.
//!
//! ```text
//! # One sentence: the rule.
//! # source: where it is written down
//! > ssm PutParameter {"Name":"/a","Value":"1","Type":"String"}
//! < 200 {"Version":1,"Tier":"Standard"}
//! ```
//!
//! | line | means |
//! |-|-|
//! | `#` | a comment; every call stands under one with a `source:` |
//! | `@` | something done to the emulator or the caller, see `stage.rs` |
//! | `>` | a call: `ssm`, `kms` or `sts`, operation and input; `identity`, method and target; for App Configuration just these |
//! | `+` | more of the call: a header, or the body |
//! | `<` | the answer: status, headers that matter, body |
//!
//! Everything is over a socket, under a clock that stands still. What is random reads `<etag-1>`, the same for the same
//! thing throughout a file, and may be used in later calls; `<x*4096>` is 4096 times `x`.
//!
//! `REPIN_TRANSCRIPTS=write` writes the answers as they are now; read the difference before committing it.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "../common/azconfig.rs"]
mod azconfig;
mod mask;
#[path = "../common/sigv4.rs"]
mod sigv4;
mod stage;
mod wire;

use std::path::{Path, PathBuf};

use similar::TextDiff;
use stage::Stage;

/// The fewest calls that all transcripts have together.
const FEWEST_CALLS: usize = 200;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts")
}

/// Returns the transcripts, in order.
fn transcripts() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        found.extend(std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    }
    found.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    found.sort();
    found
}

/// Plays the calls of a transcript and returns it with the answers that came.
async fn play(path: &Path, text: &str) -> String {
    let mut stage = Stage::new();
    let mut played = String::new();
    let mut sourced = false;
    let mut in_comment = false;
    let mut lines = text.lines().enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let here = || format!("{}:{}", path.display(), index + 1);
        if line.starts_with('<') {
            continue;
        }
        played.push_str(line);
        played.push('\n');
        let comment = line.starts_with('#');
        if comment {
            sourced = line.starts_with("# source: ") || (sourced && in_comment);
        } else if let Some(directive) = line.strip_prefix("@ ") {
            stage.direct(directive).await.unwrap_or_else(|why| panic!("{}: {why}", here()));
        } else if let Some(call) = line.strip_prefix("> ") {
            assert!(sourced, "{}: a call without a source", here());
            let mut more = Vec::new();
            while let Some((_, line)) = lines.next_if(|(_, line)| line.starts_with("+ ")) {
                played.push_str(line);
                played.push('\n');
                more.push(&line[2..]);
            }
            played.push_str(&stage.call(call, &more).await.unwrap_or_else(|why| panic!("{}: {why}", here())));
        } else {
            assert!(line.is_empty(), "{}: neither a comment nor a call: {line}", here());
        }
        in_comment = comment;
    }
    played
}

#[tokio::test]
async fn answers_are_as_they_were() {
    let write = std::env::var("REPIN_TRANSCRIPTS").is_ok_and(|value| value == "write");
    let mut changed = Vec::new();
    for path in transcripts() {
        let before = std::fs::read_to_string(&path).unwrap();
        let after = play(&path, &before).await;
        if before == after {
            continue;
        }
        if write {
            std::fs::write(&path, &after).unwrap();
        }
        let name = path.strip_prefix(folder()).unwrap().display().to_string();
        changed.push(TextDiff::from_lines(&before, &after).unified_diff().header(&name, "answered now").to_string());
    }
    assert!(write || changed.is_empty(), "set REPIN_TRANSCRIPTS=write to take this over:\n{}", changed.join("\n"));
}

#[test]
fn there_are_enough_of_them() {
    let texts = transcripts().into_iter().map(|path| std::fs::read_to_string(path).unwrap());
    let (mut calls, mut unanswered) = (0, 0);
    for text in texts {
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('+')).collect();
        calls += lines.iter().filter(|line| line.starts_with('>')).count();
        unanswered += lines.windows(2).filter(|pair| pair[0].starts_with('>') && !pair[1].starts_with('<')).count();
    }
    assert!(calls >= FEWEST_CALLS, "{calls} calls");
    assert_eq!(unanswered, 0);
}
