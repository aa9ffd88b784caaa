//! The tree's own rules: who may import whom, and what must not be forgotten.

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(dir)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// The module of `src/` that a file belongs to.
fn module(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).expect("below src");
    let first = inside.components().next().expect("a file").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// Stages meet in `model` and never import each other; only what puts them together may.
#[test]
fn imports_point_one_way() {
    let allowed: &[(&str, &[&str])] = &[
        ("model", &["model"]),
        ("desired", &["desired", "model"]),
        ("plan", &["plan", "model"]),
        ("record", &["record", "model"]),
        ("observe", &["observe", "model", "record"]),
        ("execute", &["execute", "model", "record"]),
    ];
    let mut wrong = Vec::new();
    for path in rust_files("src") {
        let Some((_, allowed)) = allowed.iter().find(|(name, _)| *name == module(&path)) else { continue };
        let text = std::fs::read_to_string(&path).expect("readable");
        for (n, line) in text.lines().enumerate() {
            for import in line.split("crate::").skip(1) {
                let name: String = import.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if !name.is_empty() && !allowed.contains(&name.as_str()) {
                    wrong.push(format!("{}:{}: crate::{name}", path.display(), n + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The planner decides the same from the same: nothing in it waits, looks at a clock, or touches the world.
#[test]
fn the_planner_is_pure() {
    let impure = [
        "async ",
        "tokio",
        "std::time::",
        "Instant",
        "SystemTime",
        "Timestamp::now",
        "rand::",
        "std::env",
        "std::fs",
        "tracing",
    ];
    for path in rust_files("src/plan").into_iter().filter(|path| !path.ends_with("tests.rs")) {
        let text = std::fs::read_to_string(&path).expect("readable");
        for word in impure {
            let found = text.lines().find(|line| !line.trim_start().starts_with("//") && line.contains(word));
            assert!(found.is_none(), "{}: {word}: {found:?}", path.display());
        }
    }
}

/// Providers speak to stores; they know nothing of plans, files or the command line.
#[test]
fn providers_do_not_know_the_engine() {
    for path in rust_files("providers") {
        let text = std::fs::read_to_string(&path).expect("readable");
        assert!(!text.contains("use repin::"), "{}", path.display());
    }
}

/// The test command is what the README says and what CI calls.
#[test]
fn the_test_command_is_one() {
    use std::os::unix::fs::PermissionsExt;
    let run = root().join("tests/run");
    assert!(run.metadata().expect("tests/run is there").permissions().mode() & 0o111 != 0);
    for caller in [".ci/run", "README.md"] {
        let text = std::fs::read_to_string(root().join(caller)).expect(caller);
        assert!(text.contains("tests/run"), "{caller}");
    }
}

/// Every folder of cases is run by something.
#[test]
fn no_test_folder_is_forgotten() {
    for entry in std::fs::read_dir(root().join("tests")).expect("tests").flatten() {
        let path = entry.path();
        if !path.is_dir() || ["support", "interop", "fuzz", "mutations"].iter().any(|name| path.ends_with(name)) {
            continue;
        }
        assert!(path.join("main.rs").exists(), "{} has no main.rs", path.display());
    }
}
