//! One folder of `examples`, copied to where it may be edited, and the program run on it with both clouds embedded.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Ran, all_files, steps};

/// A copy of an example.
pub(crate) struct Example {
    dir: tempfile::TempDir,
    files: Vec<String>,
}

impl Example {
    /// Copies an example; commands take `files` in this order.
    pub(crate) fn new(name: &str, files: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
        for (path, bytes) in all_files(&source) {
            let copy = dir.path().join("file").join(path.strip_prefix(&source).expect("inside"));
            fs::create_dir_all(copy.parent().expect("inside")).expect("made");
            fs::write(copy, bytes).expect("written");
        }
        let example = Self { dir, files: Vec::new() };
        example.with(files)
    }

    /// Takes other files of the same copy, in front of the same clouds.
    pub(crate) fn with(mut self, files: &[&str]) -> Self {
        self.files = files.iter().map(|&file| file.to_owned()).collect();
        self
    }

    /// Returns where a file of the copy is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("file").join(name)
    }

    /// Replaces one text in a file of the copy, which must be there once.
    #[track_caller]
    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        let path = self.path(name);
        let text = fs::read_to_string(&path).expect("readable");
        assert_eq!(text.matches(from).count(), 1, "{from:?} in {name}");
        fs::write(path, text.replace(from, to)).expect("written");
    }

    /// Returns a command of the program, in front of the embedded clouds, without any file.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_repin"));
        command
            .args(args)
            .arg(format!("--emulate={}", self.dir.path().join("clouds").display()))
            .env_clear()
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs the program on the copy.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        let files = self.files.iter().flat_map(|file| ["-f".into(), self.path(file)]);
        let output = self.command(args).args(files).output().expect("the program runs");
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs the program with JSON output.
    #[track_caller]
    pub(crate) fn json(&self, code: i32, args: &[&str]) -> Value {
        self.run(&[args, &["-o", "json"]].concat()).expect(code).json()
    }

    /// Makes the first release: the file is valid, the plan is to create everything, and it comes about.
    #[track_caller]
    pub(crate) fn release_first(&self, entries: &[(&str, usize)]) {
        let valid = self.json(0, &["validate"]);
        let counts: serde_json::Map<_, _> =
            entries.iter().map(|(target, count)| ((*target).to_owned(), json!(count))).collect();
        assert_eq!(valid["targets"], Value::Object(counts));
        let total: usize = entries.iter().map(|(_, count)| count).sum();
        let planned = self.json(2, &["plan", "--detailed-exitcode"]);
        assert_eq!(
            planned["summary"],
            json!({ "create": total, "update": 0, "delete": 0, "pin": 0, "unchanged": 0, "held": 0 })
        );
        let released = self.json(0, &["reconcile"]);
        assert_eq!((&released["release"], &released["outcome"]), (&json!(1), &json!("applied")));
        for (target, count) in entries {
            let steps = steps(&released, target);
            assert_eq!(steps.len(), *count, "{target}");
            assert!(steps.iter().all(|step| step["result"] == "applied" && step["action"] == "create"), "{steps:?}");
        }
        self.expect_settled();
    }

    /// Asserts that another pass finds nothing to do and writes nothing.
    #[track_caller]
    pub(crate) fn expect_settled(&self) {
        self.json(0, &["plan", "--detailed-exitcode"]);
        let again = self.json(0, &["reconcile"]);
        assert_eq!((&again["release"], &again["outcome"]), (&Value::Null, &json!("unchanged")));
        assert!(again["steps"].as_array().expect("steps").is_empty(), "{again}");
        let writes: Vec<_> = requests(&again).into_iter().filter(|(name, _)| is_write(name)).collect();
        assert!(writes.is_empty(), "{writes:?}");
    }

    /// Makes the next release and asserts what it does: target, key and action, in order of target and key.
    #[track_caller]
    pub(crate) fn release(&self, expected: &[(&str, &str, &str)]) -> Value {
        let released = self.json(0, &["reconcile"]);
        assert_eq!(released["outcome"], "applied", "{released}");
        let text = |step: &Value, field: &str| step[field].as_str().expect("text").to_owned();
        let mut done: Vec<_> = released["steps"]
            .as_array()
            .expect("steps")
            .iter()
            .map(|step| (text(step, "target"), text(step, "key"), text(step, "action")))
            .collect();
        done.sort();
        let expected: Vec<_> =
            expected.iter().map(|(target, key, action)| ((*target).into(), (*key).into(), (*action).into())).collect();
        assert_eq!(done, expected);
        self.expect_settled();
        released
    }

    /// Returns what one target serves for a key, a secret's value included.
    #[track_caller]
    pub(crate) fn served(&self, target: &str, key: &str) -> Value {
        let got = self.json(0, &["get", key, "--reveal", "--target", target]);
        got["targets"][0].clone()
    }

    /// Returns the JSON that one target serves for a key.
    #[track_caller]
    pub(crate) fn served_json(&self, target: &str, key: &str) -> Value {
        let served = self.served(target, key);
        serde_json::from_str(served["value"].as_str().expect("a value")).expect("JSON")
    }
}

/// Returns the requests of one report by target and operation: `aws PutParameter`.
pub(crate) fn requests(report: &Value) -> Vec<(String, u64)> {
    let targets = report["requests"].as_object().expect("requests");
    let named = targets.iter().flat_map(|(target, counts)| {
        let counts = counts.as_object().expect("counts");
        counts.iter().map(move |(name, count)| (format!("{target} {name}"), count.as_u64().expect("a number")))
    });
    named.collect()
}

fn is_write(request: &str) -> bool {
    let (_, operation) = request.split_once(' ').expect("target and operation");
    ["Put", "Delete", "Label", "Unlabel", "Add", "Remove", "PUT", "DELETE", "PATCH"]
        .iter()
        .any(|verb| operation.starts_with(verb))
}
