//! A daemon in this process, both stores beside it, and a clock that runs ahead while nobody works.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::{join, join_all};
use repin::cycle::Host;
use repin::daemon::{Board, Connect, Setup};
use repin::desired;
use repin::model::desired::TargetConfig;
use repin::model::outcome::Interrupt;
use repin::model::release::TargetId;
use repin::record::host::{self, HostMemory};
use repin_emulator::{Emulator, KmsKey, Options};
use repin_provider::{Error, Owner, Provider, Secret};
use serde_json::Value;
use tokio::sync::watch;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::wire::{Hands, Wire, Wired};

const ACCOUNT: &str = "111122223333";
/// The interval that a daemon has unless it is told otherwise.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// Both stores, the folder with the file, and what is said.
pub(crate) struct Scene {
    pub(crate) emulator: Emulator,
    pub(crate) aws: Wire,
    pub(crate) azure: Wire,
    dir: tempfile::TempDir,
    hands: Hands,
    log: Log,
}

/// One of several daemons: a host of its own, with its own copy of the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Daemon {
    pub(crate) host: &'static str,
    pub(crate) interval: Duration,
}

/// The host of a daemon that is alone.
const HOST: &str = "here";

/// Plays a story on a runtime of its own, whose clock runs ahead whenever nothing else is to be done.
///
/// One at a time, since the memory of the process is looked at.
pub(crate) fn play<T>(story: impl AsyncFnOnce() -> T) -> T {
    static STAGE: Mutex<()> = Mutex::new(());
    let _alone = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().expect("a runtime").block_on(story())
}

/// What is said at the default level.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Scene {
    /// Starts the stores, and writes a file with these entries (YAML, indented by two).
    pub(crate) async fn new(entries: &str) -> Self {
        let key = KmsKey { account: ACCOUNT.into(), region: "eu-west-1".into(), key: "alias/ai-config".into() };
        let options = Options { account: ACCOUNT.into(), kms_keys: vec![key], ..Options::default() };
        let Wired { emulator, aws, azure, hands } = Wired::start(options).await;
        let scene =
            Self { emulator, aws, azure, dir: tempfile::tempdir().expect("a folder"), hands, log: Log::default() };
        scene.write(entries);
        scene
    }

    /// Writes the file anew, as an editor that renames over it.
    pub(crate) fn write(&self, entries: &str) {
        self.write_for(HOST, entries);
    }

    /// Writes the file of one host.
    pub(crate) fn write_for(&self, host: &str, entries: &str) {
        let text = format!(
            "version: 1\nname: test\ntargets:\n  aws-eu:\n    provider: aws-ssm\n    account: \"{ACCOUNT}\"\n    \
             region: eu-west-1\n    prefix: /ai/test\n    tier: advanced\n    kms_key: alias/ai-config\n    \
             endpoint_url: {}\n  azure:\n    provider: azure-app-configuration\n    endpoint: {}\n    prefix: test\n    \
             label: prod\nentries:\n{entries}",
            self.emulator.aws_endpoint(),
            self.emulator.azure_endpoint(),
        );
        let path = self.file(host);
        std::fs::create_dir_all(path.parent().expect("in a folder")).expect("made");
        let new = path.with_extension("new");
        std::fs::write(&new, text).expect("written");
        std::fs::rename(new, path).expect("renamed");
    }

    fn file(&self, host: &str) -> PathBuf {
        self.dir.path().join(host).join("repin.yaml")
    }

    /// Runs a daemon beside a story, until the story ends.
    pub(crate) async fn with_daemon<T>(&self, interval: Duration, story: impl AsyncFnOnce(Arc<Board>) -> T) -> T {
        self.with_daemons(&[Daemon { host: HOST, interval }], async |mut boards| story(boards.remove(0)).await).await
    }

    /// Runs daemons beside a story, until the story ends.
    pub(crate) async fn with_daemons<T>(&self, daemons: &[Daemon], story: impl AsyncFnOnce(Vec<Arc<Board>>) -> T) -> T {
        let (stop, stopped) = watch::channel(None);
        let daemons: Vec<_> =
            daemons.iter().map(|daemon| repin::daemon::Daemon::new(self.setup(daemon, stopped.clone()))).collect();
        let boards = daemons.iter().map(repin::daemon::Daemon::board).collect();
        let filter = Targets::new().with_default(LevelFilter::WARN).with_target("repin::daemon", LevelFilter::INFO);
        let log = self.log.clone();
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || log.clone());
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter));
        let _listening = tracing::subscriber::set_default(subscriber);
        let told = async {
            let told = story(boards).await;
            stop.send(Some(Interrupt::Terminated)).expect("the daemon runs");
            told
        };
        let (ended, told) = join(join_all(daemons.into_iter().map(repin::daemon::Daemon::run)), told).await;
        assert!(ended.iter().all(|ended| *ended == Interrupt::Terminated));
        told
    }

    fn setup(&self, daemon: &Daemon, stop: watch::Receiver<Option<Interrupt>>) -> Setup {
        let file = self.file(daemon.host);
        let load = move || desired::load(&desired::Request::new(vec![file.clone()], |_| None));
        let desired = load().expect("a valid file");
        let (hands, owner) = (self.hands.clone(), desired.name.clone());
        let host = Host {
            memory: HostMemory::open(&self.dir.path().join(daemon.host).join("state"), &owner),
            runner: host::runner(),
            is_gone: Box::new(host::is_gone),
            actor: format!("somebody@{}", daemon.host),
            now: Box::new(move || hands.now()),
            nonce: Box::new(|| format!("{:016x}", rand::random::<u64>())),
        };
        Setup {
            desired,
            load: Box::new(load),
            is_in_scope: Box::new(|_| true),
            connect: Arc::new(self.connector(None)),
            host,
            interval: daemon.interval,
            dry_run: false,
            stop,
        }
    }

    fn connector(&self, target_id: Option<&'static str>) -> Connector {
        Connector {
            aws: self.aws.clone(),
            azure: self.azure.clone(),
            access_key_id: self.emulator.access_key_id(),
            connection_string: self.emulator.connection_string(),
            target_id,
        }
    }

    /// Returns what it has said so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.0.lock().unwrap()).into_owned()
    }

    /// Counts the lines that say something.
    pub(crate) fn said(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    /// Counts the lines.
    pub(crate) fn lines(&self) -> usize {
        self.log.0.lock().unwrap().iter().filter(|byte| **byte == b'\n').count()
    }

    /// Waits until something was said. Virtual time passes; what takes a day of it never comes.
    pub(crate) async fn until_said(&self, text: &str) {
        self.until(text, async || self.said(text) > 0).await;
    }

    /// Waits until something is so.
    pub(crate) async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let since = tokio::time::Instant::now();
        while since.elapsed() < Duration::from_secs(24 * 60 * 60) {
            if is_so().await {
                return;
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        panic!("not within a day: {what}\n{}", self.log());
    }

    /// Returns how many writes reached the stores since the last reset, the ledger's included.
    pub(crate) fn writes(&self) -> u64 {
        let verbs = ["Put", "Delete", "Label", "Unlabel", "Add", "Remove", "PUT", "DELETE", "PATCH"];
        let counts = self.emulator.counters().snapshot();
        let is_write = |operation: &str| verbs.iter().any(|verb| operation.starts_with(verb));
        counts.iter().filter(|((_, operation), _)| is_write(operation)).map(|(_, count)| count).sum()
    }

    /// Returns a target's provider as somebody else has it, who writes past the ledger.
    pub(crate) async fn somebody_else(&self, target: &str) -> Arc<dyn Provider> {
        let desired = desired::load(&desired::Request::new(vec![self.file(HOST)], |_| None)).expect("a valid file");
        let found = desired.targets.values().find(|known| known.name.as_str() == target).expect("the target is there");
        let owner = Owner::parse("somebody-else").expect("valid");
        self.connector(Some("hand")).connect(&owner, &found.config).await.expect("connects")
    }
}

/// Returns how one target is, by the daemon's own word.
pub(crate) fn health(board: &Board, target: &str) -> Value {
    board.status()["daemon"]["targets"][target]["health"].clone()
}

/// Builds providers that reach the stores without a socket.
struct Connector {
    aws: Wire,
    azure: Wire,
    access_key_id: String,
    connection_string: String,
    /// Another ledger's place than the target's own.
    target_id: Option<&'static str>,
}

#[async_trait]
impl Connect for Connector {
    async fn connect(&self, owner: &Owner, config: &TargetConfig) -> Result<Arc<dyn Provider>, Error> {
        let id = TargetId::of(&config.place());
        let id = self.target_id.unwrap_or(id.as_str());
        match config {
            TargetConfig::AwsSsm(config) => {
                let mut options = repin_aws_ssm::Options::new(owner.clone(), id);
                let secret = Secret::new(repin_emulator::credentials::SECRET_ACCESS_KEY.to_owned());
                options.credentials = Some((self.access_key_id.clone(), secret));
                options.http_client = Some(self.aws.aws());
                Ok(Arc::new(repin_aws_ssm::connect(config, options).await?))
            }
            TargetConfig::AzureAppConfiguration(config) => {
                let mut options = repin_azure_app_configuration::Options::new(owner.clone(), id);
                options.connection_string = Some(Secret::new(self.connection_string.clone()));
                options.transport = Some(self.azure.azure());
                Ok(Arc::new(repin_azure_app_configuration::connect(config, options)?))
            }
        }
    }
}
