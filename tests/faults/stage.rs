//! Both stores, and a folder for each case; the runtime's clock runs ahead while nothing else is to be done.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use repin::control::{FORMAT, Line, Request};
use repin::cycle::Host;
use repin::daemon::control::Peer;
use repin::daemon::visit::Loan;
use repin::daemon::{Connect, Setup};
use repin::desired;
use repin::model::desired::{Desired, TargetConfig};
use repin::model::outcome::Interrupt;
use repin::model::release::TargetId;
use repin::record::host::{self, HostMemory};
use repin_emulator::{Call, Emulator, KmsKey, Options, credentials};
use repin_provider::{Error, Owner, Provider, Secret};
use tokio::sync::{mpsc, watch};

use crate::stores::Stores;
use crate::wire::{Hands, Wire, Wired};

pub(crate) const ACCOUNT: &str = "111122223333";
/// How old a stale read may be at the most.
const READ_LAG: Duration = Duration::from_secs(10);
/// The targets' names, and the names of the clouds.
pub(crate) const SSM: Cloud = "ssm";
pub(crate) const AZURE: Cloud = "azure";

/// A cloud, by name.
pub(crate) type Cloud = &'static str;

/// How readers meet both targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Forms {
    /// By the newest version, and by key and label.
    Plain,
    /// By a label, and by a snapshot.
    Apart,
}

impl Forms {
    pub(crate) const BOTH: [Self; 2] = [Self::Plain, Self::Apart];

    fn served(self) -> (&'static str, &'static str) {
        match self {
            Self::Plain => ("latest", "key-values"),
            Self::Apart => ("{ label: live }", "{ snapshot: current }"),
        }
    }
}

/// Tells which cloud a request goes to.
pub(crate) fn cloud_of(call: &Call) -> Cloud {
    if call.service == "appconfig" { AZURE } else { SSM }
}

/// Plays on a runtime of its own, whose clock runs ahead whenever nothing else is to be done.
pub(crate) fn play<T>(story: impl AsyncFnOnce() -> T) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().expect("a runtime").block_on(story())
}

/// Both stores, for as many cases as one likes: each has prefixes of its own.
pub(crate) struct World {
    pub(crate) emulator: Emulator,
    pub(crate) aws: Wire,
    pub(crate) azure: Wire,
    hands: Hands,
    dir: tempfile::TempDir,
    cases: Cell<u64>,
}

impl World {
    pub(crate) async fn start() -> Self {
        let key = KmsKey { account: ACCOUNT.into(), region: "eu-west-1".into(), key: "alias/ai-config".into() };
        let options = Options { account: ACCOUNT.into(), kms_keys: vec![key], ..Options::default() };
        let Wired { emulator, aws, azure, hands } = Wired::start(options).await;
        let dir = tempfile::tempdir().expect("a folder");
        Self { emulator, aws, azure, hands, dir, cases: Cell::new(0) }
    }

    /// Sets the scene of another case.
    pub(crate) fn scene(&self, forms: Forms) -> Scene<'_> {
        let n = self.cases.get();
        self.cases.set(n + 1);
        let name = format!("case-{n}");
        let dir = self.dir.path().join(&name);
        std::fs::create_dir_all(&dir).expect("made");
        let stores = Stores::of(self, &name, forms);
        Scene { world: self, name, forms, dir, stores }
    }
}

/// The scene of one case.
pub(crate) struct Scene<'a> {
    pub(crate) world: &'a World,
    pub(crate) name: String,
    pub(crate) forms: Forms,
    dir: PathBuf,
    pub(crate) stores: Stores,
}

/// What a command did.
#[derive(Debug, Clone)]
pub(crate) struct Ran {
    pub(crate) code: u8,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn expect(self, code: u8) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

impl Scene<'_> {
    fn file(&self) -> PathBuf {
        self.dir.join("repin.yaml")
    }

    /// Writes the file with these entries, and a secret.
    pub(crate) fn write(&self, entries: &str) {
        let (name, (aws, azure)) = (&self.name, self.forms.served());
        let text = format!(
            "version: 1\nname: {name}\ntargets:\n  aws-eu:\n    provider: aws-ssm\n    account: \"{ACCOUNT}\"\n    region: \
             eu-west-1\n    prefix: /ai/{name}\n    kms_key: alias/ai-config\n    endpoint_url: {}\n    serve: {aws}\n  \
             azure:\n    provider: azure-app-configuration\n    endpoint: {}\n    prefix: {name}\n    label: prod\n    \
             serve: {azure}\nentries:\n{entries}  s:\n    per_target:\n      aws-eu: {{ secret: true, value_from: {{ env: \
             KEY }} }}\n      azure: {{ value: reference }}\n",
            self.world.emulator.aws_endpoint(),
            self.world.emulator.azure_endpoint(),
        );
        std::fs::write(self.file(), text).expect("written");
    }

    fn load(&self) -> Desired {
        load(&self.file())
    }

    /// Runs a command of the program, in a process that has only just started as far as it can tell.
    pub(crate) async fn run(&self, words: &[&str]) -> Ran {
        let desired = Arc::new(self.load());
        let (lines, mut told) = mpsc::unbounded_channel();
        let reception = repin::cli::reception(desired.name.clone(), self.dir.join("state"), vec![self.file()]);
        let argv = std::iter::once("repin").chain(words.iter().copied()).map(str::to_owned).collect();
        let request = Request {
            format: FORMAT,
            argv,
            file: None,
            plan: None,
            width: None,
            progress: false,
            emulated: false,
            sudo_user: None,
        };
        let uid = rustix::process::geteuid().as_raw();
        let visit = reception.receive(request, Peer { uid, user: "ana".to_owned() }, lines).expect("a command");
        let connect = Arc::new(Connector::of(self.world));
        let loan = Loan { asks: Ok(desired.clone()), last_good: desired, connect, dry_run: false };
        let (_stop, stopped) = watch::channel(None);
        visit.begin(loan, stopped).await;
        let mut ran = Ran { code: u8::MAX, stdout: String::new(), stderr: String::new() };
        while let Ok(line) = told.try_recv() {
            match line {
                Line::Stdout(text) => ran.stdout.push_str(&text),
                Line::Stderr(text) => ran.stderr.push_str(&text),
                Line::Exit(code) => ran.code = code,
                _ => {}
            }
        }
        ran
    }

    /// Runs a daemon beside a story, until the story ends.
    pub(crate) async fn with_daemon<T>(&self, story: impl AsyncFnOnce() -> T) -> T {
        let (file, (stop, stopped)) = (self.file(), watch::channel(None));
        let (desired, hands) = (self.load(), self.world.hands.clone());
        let host = Host {
            memory: HostMemory::open(&self.dir.join("state"), &desired.name),
            runner: host::runner(),
            is_gone: Box::new(host::is_gone),
            actor: "repin@here".to_owned(),
            now: Box::new(move || hands.now()),
            nonce: Box::new(|| format!("{:016x}", rand::random::<u64>())),
        };
        let daemon = repin::daemon::Daemon::new(Setup {
            desired,
            load: Box::new(move || Ok(load(&file))),
            is_in_scope: Box::new(|_| true),
            connect: Arc::new(Connector::of(self.world)),
            host,
            interval: Duration::from_secs(60),
            dry_run: false,
            stop: stopped,
        });
        let told = async {
            let told = story().await;
            stop.send(Some(Interrupt::Terminated)).expect("the daemon runs");
            told
        };
        futures::future::join(daemon.run(), told).await.1
    }

    /// Returns the native version of `a` that a release made on a target.
    pub(crate) async fn version_in_release(&self, target: &str, release: u64) -> String {
        let ran = self.run(&["history", "a", "-o", "json"]).await.expect(0);
        let told: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
        let versions = told["versions"].as_array().expect("versions");
        let found = versions.iter().find(|version| version["target"] == target && version["release"] == release);
        found.expect("it is there")["version"].as_str().expect("a version").to_owned()
    }
}

fn load(file: &std::path::Path) -> Desired {
    let request = desired::Request::new([file], |_| Some("s3cret".to_owned()));
    desired::load(&request).unwrap_or_else(|invalid| panic!("{:?}", invalid.problems))
}

/// Builds providers that reach the stores without a socket.
struct Connector {
    aws: Wire,
    azure: Wire,
    access_key_id: String,
    connection_string: String,
}

impl Connector {
    fn of(world: &World) -> Self {
        Self {
            aws: world.aws.clone(),
            azure: world.azure.clone(),
            access_key_id: world.emulator.access_key_id(),
            connection_string: world.emulator.connection_string(),
        }
    }
}

#[async_trait]
impl Connect for Connector {
    async fn connect(&self, owner: &Owner, config: &TargetConfig) -> Result<Arc<dyn Provider>, Error> {
        let id = TargetId::of(&config.place());
        match config {
            TargetConfig::AwsSsm(config) => {
                let mut options = repin_aws_ssm::Options::new(owner.clone(), id.as_str());
                let secret = Secret::new(credentials::SECRET_ACCESS_KEY.to_owned());
                options.credentials = Some((self.access_key_id.clone(), secret));
                options.http_client = Some(self.aws.aws());
                // Reads may be stale here, as those of a store that is not on loopback.
                options.read_lag = Some(READ_LAG);
                Ok(Arc::new(repin_aws_ssm::connect(config, options).await?))
            }
            TargetConfig::AzureAppConfiguration(config) => {
                let mut options = repin_azure_app_configuration::Options::new(owner.clone(), id.as_str());
                options.connection_string = Some(Secret::new(self.connection_string.clone()));
                options.transport = Some(self.azure.azure());
                Ok(Arc::new(repin_azure_app_configuration::connect(config, options)?))
            }
        }
    }
}
