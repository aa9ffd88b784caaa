//! Files that are loaded, and what is said about them.
//!
//! Each case is a file (or a folder of files that merge in order of name) beside a `.expected` with what people are
//! told, or, below `good`, with what the file comes to. `REPIN_BLESS=1` writes the expectations anew.
//!
//! | folder | loaded |
//! |-|-|
//! | `alone` | as it is, and refused |
//! | `over-base` | over `base.yaml`, which holds the targets, and refused |
//! | `several` | one folder for each case, and refused |
//! | `good/...` | the same, and accepted |

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what is wanted")]

mod behaviour;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use repin::desired::{Invalid, Request, load, load_identity};
use repin::model::desired::{Desired, Entry};

/// Stands in every secret of the cases; no message may hold it.
const SENTINEL: &str = "SENTINEL";

const CASES: &str = "tests/desired/cases";

/// The environment of every case.
fn env(name: &str) -> Option<String> {
    match name {
        "OPENAI_API_KEY" => Some(format!("sk-{SENTINEL}")),
        "MODEL" => Some("gpt-4o".to_owned()),
        "JSON" => Some("{ \"b\": 1.0, \"a\": [] }".to_owned()),
        "BROKEN_JSON" => Some(format!("{{\"key\": {SENTINEL}}}")),
        "EMPTY" => Some(String::new()),
        "NEWLINE" => Some("\n".to_owned()),
        _ => None,
    }
}

/// One case: its name for people, the files to load, and where its expectation stands.
struct Case {
    files: Vec<PathBuf>,
    expected: PathBuf,
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn is_expectation(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "expected")
}

fn cases(folder: &str) -> Vec<Case> {
    let folder = Path::new(CASES).join(folder);
    let base = Path::new(CASES).join("base.yaml");
    let mut cases = Vec::new();
    for path in files_in(&folder).into_iter().filter(|path| !is_expectation(path)) {
        let expected = PathBuf::from(format!("{}.expected", path.display()));
        let files = if path.is_dir() {
            files_in(&path).into_iter().filter(|path| path.is_file() && !is_expectation(path)).collect()
        } else if folder.ends_with("over-base") {
            vec![base.clone(), path]
        } else {
            vec![path]
        };
        cases.push(Case { files, expected });
    }
    cases
}

fn compare(case: &Case, actual: &str, failures: &mut Vec<String>) {
    assert!(!actual.contains(SENTINEL), "a secret is shown: {actual}");
    if std::env::var_os("REPIN_BLESS").is_some() {
        fs::write(&case.expected, actual).unwrap();
        return;
    }
    let expected = fs::read_to_string(&case.expected).unwrap_or_default();
    if actual != expected {
        failures.push(format!("{}\n--- expected\n{expected}\n--- actual\n{actual}", case.expected.display()));
    }
}

fn describe_invalid(invalid: &Invalid) -> String {
    for problem in &invalid.problems {
        assert!(!problem.message.is_empty());
        let machine = serde_json::to_string(problem).unwrap();
        assert!(!machine.contains(SENTINEL), "a secret is shown: {machine}");
    }
    assert!(!format!("{invalid:?}").contains(SENTINEL));
    format!("{invalid}\n")
}

fn check_refused(folder: &str) -> usize {
    let mut failures = Vec::new();
    let cases = cases(folder);
    for case in &cases {
        match load(&Request::new(&case.files, env)) {
            Ok(_) => failures.push(format!("{} is accepted", case.expected.display())),
            Err(invalid) => compare(case, &describe_invalid(&invalid), &mut failures),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    cases.len()
}

fn check_accepted(folder: &str) {
    let mut failures = Vec::new();
    let cases = cases(folder);
    assert!(!cases.is_empty(), "no cases in {folder}");
    for case in &cases {
        match load(&Request::new(&case.files, env)) {
            Ok(desired) => {
                assert!(!format!("{desired:?}").contains(SENTINEL), "a secret is shown");
                compare(case, &describe_desired(&desired), &mut failures);
                load_identity(&Request::new(&case.files, |_| None)).expect("whoever may load may identify");
            }
            Err(invalid) => failures.push(format!("{}: {invalid}", case.expected.display())),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// Writes what a file comes to, one entry and target a line.
fn describe_desired(desired: &Desired) -> String {
    let mut out = format!("{} {}\n{:?}\n", desired.name, desired.digest.0, desired.policy);
    if !desired.forget.is_empty() {
        writeln!(out, "forget {:?}", desired.forget).unwrap();
    }
    for warning in &desired.warnings {
        writeln!(out, "warning {warning}").unwrap();
    }
    for source in &desired.sources {
        writeln!(out, "source {}", source.display()).unwrap();
    }
    for (name, target) in &desired.targets {
        writeln!(out, "\n{name} = {}", target.config.place()).unwrap();
        for (key, entry) in &target.entries {
            writeln!(out, "  {key}: {}", describe_entry(entry)).unwrap();
        }
    }
    out
}

fn describe_entry(entry: &Entry) -> String {
    let mut out = format!("{:?} {:?}", entry.kind, entry.value);
    for (name, value) in [
        ("from", entry.source.clone()),
        ("content type", entry.content_type.clone()),
        ("tier", entry.tier.map(|tier| format!("{tier:?}"))),
        ("description", entry.description.clone()),
        ("tags", entry.tags.as_ref().map(|tags| format!("{tags:?}"))),
        ("pin", entry.pin.clone()),
        ("adopt", Some(format!("{:?}", entry.adopt)).filter(|adopt| adopt != "Never")),
    ] {
        if let Some(value) = value {
            write!(out, "\n    {name}: {value}").unwrap();
        }
    }
    out
}

#[test]
fn bad_files_are_refused_with_the_place_and_the_mend() {
    let count = check_refused("alone") + check_refused("over-base") + check_refused("several");
    assert!(count >= 60, "only {count} cases were found");
}

#[test]
fn good_files_come_to_what_they_say() {
    for folder in ["good/alone", "good/over-base", "good/several"] {
        check_accepted(folder);
    }
}
