//! What the tests share: an emulator of both clouds, files, and the program as a child process.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod disguise;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use repin_emulator::{Call, Emulator, Fault, KmsKey, Options, credentials};
use serde_json::Value;

/// The account that files name.
pub(crate) const ACCOUNT: &str = "111122223333";
/// Searched for wherever a secret must not be.
pub(crate) const SENTINEL: &str = "sEnTiNeL-4f9c2a-secret~value";

/// Both clouds, and a folder with files and state.
pub(crate) struct World {
    pub(crate) emulator: Emulator,
    pub(crate) dir: tempfile::TempDir,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Returns the JSON object that was printed.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let key = |key: &str| KmsKey { account: ACCOUNT.into(), region: "eu-west-1".into(), key: key.into() };
        let options =
            Options { account: ACCOUNT.into(), kms_keys: vec![key("alias/ai-config"), key("alias/other")], ..options };
        let emulator = Emulator::start(options).await.expect("the emulator starts");
        Self { emulator, dir: tempfile::tempdir().expect("a folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file into the folder.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("in the folder")).expect("made");
        std::fs::write(&path, text).expect("written");
        path
    }

    /// The part of a file before its entries, for both targets.
    pub(crate) fn head(&self) -> String {
        self.head_served("latest", "key-values")
    }

    /// The part of a file before its entries, with how readers meet each target.
    pub(crate) fn head_served(&self, aws: &str, azure: &str) -> String {
        format!(
            "version: 1\nname: test\ntargets:\n  aws-eu:\n    provider: aws-ssm\n    account: \"{ACCOUNT}\"\n    \
             region: eu-west-1\n    prefix: /ai/test\n    kms_key: alias/ai-config\n    serve: {aws}\n    endpoint_url: {}\n  azure:\n    \
             provider: azure-app-configuration\n    endpoint: {}\n    prefix: test\n    label: prod\n    serve: {azure}\n    \
             connection_string: {{ env: AZURE_CONNECTION }}\n",
            self.emulator.aws_endpoint(),
            self.emulator.azure_endpoint(),
        )
    }

    /// Writes `repin.yaml` with these entries (YAML, indented by two).
    pub(crate) fn entries(&self, entries: &str) -> PathBuf {
        // Renamed into place: a daemon that reads at the same moment meets no half of it.
        let new = self.write("repin.yaml.new", &format!("{}entries:\n{entries}", self.head()));
        std::fs::rename(new, self.path("repin.yaml")).expect("renamed");
        self.path("repin.yaml")
    }

    /// Returns a command of the program with everything it needs to reach the emulator.
    pub(crate) fn command(&self, args: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_repin"));
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("AWS_ACCESS_KEY_ID", self.emulator.access_key_id())
            .env("AWS_SECRET_ACCESS_KEY", self.emulator.secret_access_key())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AZURE_CONNECTION", self.emulator.connection_string())
            .env("REPIN_FILE", self.path("repin.yaml"))
            .env("REPIN_STATE_DIR", self.path("state"))
            .env("TEST_SECRET", SENTINEL)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs the program.
    pub(crate) async fn run(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().await.expect("the program runs");
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs the program with JSON output and returns the object.
    #[track_caller]
    pub(crate) fn json<'a>(&'a self, code: i32, args: &'a [&'a str]) -> impl Future<Output = Value> + 'a {
        let place = std::panic::Location::caller();
        async move {
            let ran = self.run(&[args, &["-o", "json"]].concat()).await;
            assert_eq!(ran.code, code, "{place}: {args:?}\nstdout:\n{}\nstderr:\n{}", ran.stdout, ran.stderr);
            ran.json()
        }
    }

    /// Forgets what the host remembers.
    pub(crate) fn lose_state(&self) {
        let _ = std::fs::remove_dir_all(self.path("state"));
    }

    /// Counts requests at the emulator since the last reset, by service and operation.
    pub(crate) fn count(&self, service: &str, operation: &str) -> u64 {
        self.emulator.counters().count(service, operation)
    }

    pub(crate) fn reset(&self) {
        self.emulator.counters().reset();
    }

    /// Returns how many writes reached the stores since the last reset, the ledger's included.
    pub(crate) fn writes(&self) -> u64 {
        let counts = self.emulator.counters().snapshot();
        let write = |operation: &str| {
            ["Put", "Delete", "Label", "Unlabel", "Add", "Remove", "PUT", "DELETE", "PATCH"]
                .iter()
                .any(|verb| operation.starts_with(verb))
        };
        counts.iter().filter(|((_, operation), _)| write(operation)).map(|(_, count)| count).sum()
    }

    /// Sets what requests meet.
    pub(crate) fn faults(&self, rule: impl Fn(&Call) -> Fault + Send + Sync + 'static) {
        self.emulator.faults().set(Arc::new(rule));
    }

    /// Returns what one target serves for a key, from `repin get`.
    pub(crate) async fn served(&self, target: &str, key: &str) -> Value {
        let got = self.json(0, &["get", key, "--reveal"]).await;
        let targets = got["targets"].as_array().expect("targets").clone();
        targets.into_iter().find(|found| found["target"] == target).expect("the target is there")
    }
}

/// Returns the steps of a report for one target.
pub(crate) fn steps<'a>(report: &'a Value, target: &str) -> Vec<&'a Value> {
    report["steps"].as_array().expect("steps").iter().filter(|step| step["target"] == target).collect()
}

/// The secret access key of every emulated account.
pub(crate) fn secret_access_key() -> &'static str {
    credentials::SECRET_ACCESS_KEY
}

/// Reads every file below a folder.
pub(crate) fn all_files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).expect("readable");
                found.push((path, bytes));
            }
        }
    }
    found
}

/// A store as somebody else reaches it: past the ledger.
pub(crate) struct Hand {
    provider: Box<dyn repin_provider::Provider>,
}

/// Returns both stores as somebody else reaches them.
pub(crate) async fn hand(world: &World) -> Vec<Hand> {
    use repin_provider::{Owner, Secret};
    let owner = Owner::parse("somebody-else").expect("valid");
    let aws: repin_aws_ssm::Config = serde_json::from_value(serde_json::json!({
        "account": ACCOUNT, "region": "eu-west-1", "prefix": "/ai/test", "endpoint_url": world.emulator.aws_endpoint(),
        "kms_key": "alias/ai-config",
    }))
    .expect("valid");
    let azure: repin_azure_app_configuration::Config = serde_json::from_value(serde_json::json!({
        "endpoint": world.emulator.azure_endpoint(), "prefix": "test", "label": "prod",
    }))
    .expect("valid");
    let mut aws_options = repin_aws_ssm::Options::new(owner.clone(), "hand");
    let secret = Secret::new(secret_access_key().to_owned());
    aws_options.credentials = Some((world.emulator.access_key_id().to_owned(), secret));
    let mut azure_options = repin_azure_app_configuration::Options::new(owner, "hand");
    azure_options.connection_string = Some(Secret::new(world.emulator.connection_string()));
    vec![
        Hand { provider: Box::new(repin_aws_ssm::connect(&aws, aws_options).await.expect("connects")) },
        Hand { provider: Box::new(repin_azure_app_configuration::connect(&azure, azure_options).expect("connects")) },
    ]
}

impl Hand {
    /// Puts a plain value over whatever is there.
    pub(crate) async fn overwrite(&self, key: &str, value: &str) {
        use repin_provider::{Action, Content, Key, Observe, Put, Value, Write};
        let key = Key::parse(key).expect("valid");
        let seen = self
            .provider
            .observe(Observe { keys: vec![key.clone()], census: false, ..Observe::default() })
            .await
            .expect("observed");
        let item = seen.items[&key].item().cloned();
        let content = Content {
            value: Value::Plain(value.to_owned()),
            content_type: item.as_ref().and_then(|item| item.content_type.clone()),
            tags: Default::default(),
            description: None,
            tier: None,
        };
        let put = item.map_or(Put::Create, |item| Put::Replace(item.version));
        self.provider.apply(&Write { key, action: Action::Put(content, put) }).await.expect("written");
    }

    /// Removes an item.
    pub(crate) async fn remove(&self, key: &str) {
        use repin_provider::{Action, Key, Observe, Write};
        let key = Key::parse(key).expect("valid");
        let seen = self
            .provider
            .observe(Observe { keys: vec![key.clone()], census: false, ..Observe::default() })
            .await
            .expect("observed");
        let version = seen.items[&key].item().expect("there").version.clone();
        self.provider.apply(&Write { key, action: Action::Delete(version) }).await.expect("removed");
    }
}

impl Hand {
    /// Counts the native versions that the store has of a key.
    pub(crate) async fn versions(&self, key: &str) -> usize {
        let key = repin_provider::Key::parse(key).expect("valid");
        self.provider.history(&key).await.expect("a history").len()
    }
}
