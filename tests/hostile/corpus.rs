//! The seeds of the fuzzer and everything it ever found, through the same functions.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::targets::ALL;

/// What one input may take, on a machine that does other things too.
const LONGEST: Duration = Duration::from_secs(10);

fn files(kind: &str, target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(kind).join(target);
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_seed_and_every_finding_is_taken_in() {
    for (name, target) in ALL {
        let seeds = files("corpus", name);
        assert!(!seeds.is_empty(), "no seed for {name}");
        let mut understood = 0;
        for file in seeds.into_iter().chain(files("findings", name)) {
            let bytes = std::fs::read(&file).unwrap();
            let began = Instant::now();
            // A panic names the input by this line.
            println!("{}", file.display());
            understood += usize::from(target(&bytes));
            assert!(began.elapsed() < LONGEST, "{} took {:?}", file.display(), began.elapsed());
        }
        assert!(understood > 0, "no seed of {name} gets past the first check");
    }
}

#[test]
fn every_seed_cut_anywhere_is_taken_in() {
    for (name, target) in ALL {
        for file in files("corpus", name) {
            let bytes = std::fs::read(&file).unwrap();
            for cut in (0..bytes.len()).step_by((bytes.len() / 8).max(1)) {
                target(&bytes[..cut]);
                target(&bytes[cut..]);
            }
        }
    }
}

#[test]
fn every_folder_is_a_targets() {
    for kind in ["corpus", "findings"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(kind);
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let name = entry.unwrap().file_name();
            assert!(ALL.iter().any(|(known, _)| name == *known), "{kind} has {name:?}, which is no target");
        }
    }
}
