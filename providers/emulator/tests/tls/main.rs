//! Everything over TLS, with the SDKs' own ways to credentials, end to end.
//!
//! SDKs look for credentials and for trusted certificates in the environment, which a process cannot change for one of
//! its tests. Each scenario therefore runs as a client in a process of its own: this program again, in [`clients`].
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod aws;
mod azure;
mod clients;

use std::path::PathBuf;
use std::time::Duration;

use repin_emulator::{Emulator, Options};
use tempfile::TempDir;

/// What a scenario's process finds its name under.
const SCENARIO: &str = "REPIN_EMULATOR_SCENARIO";

/// Where it finds the endpoint of what it is to talk to.
const ENDPOINT: &str = "REPIN_EMULATOR_ENDPOINT";

const ACCOUNT: &str = "111122223333";

/// An emulator with TLS, and the environment of its clients.
struct Stage {
    emulator: Emulator,
    dir: TempDir,
    environment: Vec<(&'static str, String)>,
}

impl Stage {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            dir: Some(dir.path().join("emulator")),
            tls: true,
            account: ACCOUNT.into(),
            ..Options::default()
        };
        let emulator = Emulator::start(options).await.unwrap();
        let authority = emulator.ca_certificate_path().unwrap().display().to_string();
        let environment = vec![
            ("SSL_CERT_FILE", authority),
            ("AWS_REGION", "eu-west-1".into()),
            ("AWS_ENDPOINT_URL", emulator.aws_endpoint()),
            ("AZURE_AUTHORITY_HOST", emulator.identity_endpoint()),
            // What the machine has of its own stays out of it.
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
            ("AWS_CONFIG_FILE", "/dev/null".into()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".into()),
        ];
        Self { emulator, dir, environment }
    }

    /// Sets a variable of the clients, or takes one away.
    fn set(mut self, name: &'static str, value: impl Into<Option<String>>) -> Self {
        self.environment.retain(|(found, _)| *found != name);
        self.environment.extend(value.into().map(|value| (name, value)));
        self
    }

    /// Writes a file for the clients.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Runs a scenario and returns what it reports.
    async fn run(&self, scenario: &str, endpoint: String) -> String {
        let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "clients::scenario", "--nocapture"]).env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (*name, value.as_str())));
        command.env(SCENARIO, scenario).env(ENDPOINT, endpoint).kill_on_drop(true);
        let output = tokio::time::timeout(Duration::from_secs(60), command.output()).await.unwrap().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        let report = text.lines().find_map(|line| line.split_once(clients::REPORT));
        report.unwrap_or_else(|| panic!("no report: {text}")).1.to_owned()
    }
}

#[tokio::test]
async fn nothing_is_served_without_tls() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let stage = Stage::new().await;
    for endpoint in [stage.emulator.aws_endpoint(), stage.emulator.azure_endpoint(), stage.emulator.identity_endpoint()]
    {
        let address = endpoint.strip_prefix("https://").unwrap().to_owned();
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /_emulator/requests HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        // The server may also cut the connection.
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1"), "{answer:?}");
    }
}

#[tokio::test]
async fn who_does_not_trust_the_authority_does_not_talk() {
    let (stage, other) = (Stage::new().await, Stage::new().await);
    let authority = other.emulator.ca_certificate_path().unwrap().display().to_string();
    let stage = stage.set("SSL_CERT_FILE", authority);
    let report = stage.run("azure-connection-string", stage.emulator.connection_string()).await;
    assert_eq!(report, "put: Connection");
    assert_eq!(stage.emulator.counters().total("appconfig"), 0);
}
