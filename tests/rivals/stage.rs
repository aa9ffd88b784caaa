//! Both stores in this process under a clock that runs ahead, and hosts that can be stopped before any request.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use repin::cycle::wish::{self, Ask, WishError, WishPass};
use repin::cycle::{self, Host, Pass, PassError};
use repin::desired;
use repin::exit::Exit;
use repin::model::desired::{Desired, TargetConfig};
use repin::model::outcome::Outcome;
use repin::model::plan::Limits;
use repin::model::release::{Ledger, Runner, TargetId};
use repin::record::host::HostMemory;
use repin::record::ledger::{self, KnownDocuments};
use repin::timeline::Back;
use repin_emulator::{Emulator, Options};
use repin_provider::{Provider, Secret, TargetName};
use tokio::sync::watch;

use crate::console::Console;
use crate::gate::{Gate, Gated};
use crate::support::ACCOUNT;
use crate::wire::{Hands, Wire, Wired};

/// How readers meet both targets: on AWS, on Azure.
pub(crate) type Forms = (&'static str, &'static str);

/// Each way of serving once.
pub(crate) const FORMS: [Forms; 2] = [("latest", "key-values"), ("{ label: live }", "{ snapshot: release }")];

/// Plays a story on a runtime of its own, whose clock runs ahead whenever nothing else is to be done.
pub(crate) fn play<T>(story: impl AsyncFnOnce() -> T) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().expect("a runtime").block_on(story())
}

/// The stores, for as many stories as one likes: each has places of its own.
pub(crate) struct Clouds {
    emulator: Emulator,
    aws: Wire,
    azure: Wire,
    hands: Hands,
    dir: tempfile::TempDir,
    stories: AtomicU64,
    nonces: AtomicU64,
}

impl Clouds {
    pub(crate) async fn start() -> Self {
        let options = Options { account: ACCOUNT.into(), recreate_wait: false, ..Options::default() };
        let Wired { emulator, aws, azure, hands } = Wired::start(options).await;
        let dir = tempfile::tempdir().expect("a folder");
        Self { emulator, aws, azure, hands, dir, stories: AtomicU64::new(0), nonces: AtomicU64::new(0) }
    }

    /// Returns what requests meet.
    pub(crate) fn faults(&self) -> &repin_emulator::Faults {
        self.emulator.faults()
    }

    /// Begins a story: new places in both stores.
    pub(crate) fn story(&self, forms: Forms) -> Story<'_> {
        let number = self.stories.fetch_add(1, Ordering::Relaxed);
        Story { clouds: self, forms, place: format!("story-{number}") }
    }
}

/// The places of one story.
pub(crate) struct Story<'a> {
    clouds: &'a Clouds,
    forms: Forms,
    /// The prefix of both targets.
    place: String,
}

impl<'a> Story<'a> {
    /// Returns somebody who reaches both stores past repin.
    pub(crate) fn console(&self) -> Console {
        let emulator = &self.clouds.emulator;
        let connection = emulator.connection_string();
        let (aws, azure) = (self.clouds.aws.aws(), self.clouds.azure.azure());
        Console::new(
            aws,
            azure,
            &emulator.aws_endpoint(),
            &emulator.access_key_id(),
            &connection,
            &self.place,
            self.forms,
        )
    }

    /// Starts a process at a host; its file is of this owner.
    pub(crate) async fn host(&self, name: &str, owner: &str) -> Site<'a> {
        let mut site = Site {
            clouds: self.clouds,
            forms: self.forms,
            place: self.place.clone(),
            name: name.to_owned(),
            owner: owner.to_owned(),
            gate: Gate::new(),
            providers: BTreeMap::new(),
        };
        let file = site.file("  a: { value: x }\n");
        for (name, target) in &file.targets {
            site.providers.insert(name.clone(), site.connect(&file, &target.config).await);
        }
        site
    }
}

/// A process on a host.
pub(crate) struct Site<'a> {
    clouds: &'a Clouds,
    forms: Forms,
    place: String,
    name: String,
    owner: String,
    pub(crate) gate: Arc<Gate>,
    providers: BTreeMap<TargetName, Arc<dyn Provider>>,
}

/// What came of a command, as its caller hears of it.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) exit: u8,
    /// The report for people, or the debug text of why nothing was done.
    pub(crate) report: String,
    /// What was tried.
    pub(crate) outcome: Option<Outcome>,
}

impl Ran {
    fn of_outcome(owner: &str, outcome: Outcome) -> Self {
        let report = repin::report::text::outcome(owner, &outcome, 1000);
        Self { exit: Exit::of_outcome(&outcome).code(), report, outcome: Some(outcome) }
    }

    fn of_pass(owner: &str, ran: Result<Outcome, PassError>) -> Self {
        match ran {
            Ok(outcome) => Self::of_outcome(owner, outcome),
            Err(error) => {
                Self { exit: Exit::of_pass_error(&error).code(), report: format!("{error:?}"), outcome: None }
            }
        }
    }

    fn of_wish(owner: &str, ran: Result<Outcome, WishError>) -> Self {
        match ran {
            Ok(outcome) => Self::of_outcome(owner, outcome),
            Err(error) => {
                Self { exit: Exit::of_wish_error(&error).code(), report: format!("{error:?}"), outcome: None }
            }
        }
    }

    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn expect(self, exit: u8) -> Self {
        assert_eq!(self.exit, exit, "{}", self.report);
        self
    }
}

impl Site<'_> {
    fn folder(&self) -> PathBuf {
        self.clouds.dir.path().join(&self.place).join(&self.owner).join(&self.name)
    }

    fn file(&self, entries: &str) -> Desired {
        let (aws, azure) = self.forms;
        let (place, emulator) = (&self.place, &self.clouds.emulator);
        let text = format!(
            "version: 1\nname: {}\ntargets:\n  aws-eu:\n    provider: aws-ssm\n    account: \"{ACCOUNT}\"\n    region: \
             eu-west-1\n    prefix: /{place}\n    endpoint_url: {}\n    serve: {aws}\n  azure:\n    provider: \
             azure-app-configuration\n    endpoint: {}\n    prefix: {place}\n    label: prod\n    serve: \
             {azure}\nentries:\n{entries}",
            self.owner,
            emulator.aws_endpoint(),
            emulator.azure_endpoint(),
        );
        let folder = self.folder();
        std::fs::create_dir_all(&folder).expect("made");
        let path = folder.join("repin.yaml");
        std::fs::write(&path, text).expect("written");
        desired::load(&desired::Request::new([&path], |_| None)).unwrap_or_else(|invalid| panic!("{invalid:?}"))
    }

    async fn connect(&self, file: &Desired, config: &TargetConfig) -> Arc<dyn Provider> {
        let (id, owner, emulator) = (TargetId::of(&config.place()), file.name.clone(), &self.clouds.emulator);
        match config {
            TargetConfig::AwsSsm(config) => {
                let secret = Secret::new(emulator.secret_access_key().to_owned());
                let mut options = repin_aws_ssm::Options::new(owner, id.as_str());
                options.credentials = Some((emulator.access_key_id(), secret));
                options.http_client = Some(Gated::new(&self.clouds.aws, &self.gate).aws());
                Arc::new(repin_aws_ssm::connect(config, options).await.expect("connects"))
            }
            TargetConfig::AzureAppConfiguration(config) => {
                let mut options = repin_azure_app_configuration::Options::new(owner, id.as_str());
                options.connection_string = Some(Secret::new(emulator.connection_string()));
                options.transport = Some(Gated::new(&self.clouds.azure, &self.gate).azure());
                Arc::new(repin_azure_app_configuration::connect(config, options).expect("connects"))
            }
        }
    }

    /// Each site is a process that lives on: nobody may take over what it has begun, unless it stands still too long.
    fn host(&self, file: &Desired) -> Host {
        let hands = self.clouds.hands.clone();
        let nonce = format!("{}-{}", self.place, self.clouds.nonces.fetch_add(1, Ordering::Relaxed));
        Host {
            memory: HostMemory::open(&self.folder(), &file.name),
            runner: Runner { host: self.name.clone(), boot: "b".into(), pid_namespace: "n".into(), pid: 1, started: 1 },
            is_gone: Box::new(|_| false),
            actor: format!("somebody@{}", self.name),
            now: Box::new(move || hands.now()),
            nonce: Box::new(move || nonce.clone()),
        }
    }

    /// Makes one pass.
    pub(crate) async fn reconcile(&self, entries: &str) -> Ran {
        let file = self.file(entries);
        let (_stay, interrupt) = watch::channel(None);
        let pass = Pass {
            desired: &file,
            providers: &self.providers,
            others: &BTreeMap::new(),
            host: &self.host(&file),
            message: None,
            allow_older: false,
            timeout: Duration::from_secs(120),
            atomic: false,
            limits: Limits::default(),
            saved: None,
            progress: &(),
            interrupt,
        };
        Ran::of_pass(&self.owner, cycle::reconcile(&pass).await)
    }

    /// Goes back to a release.
    pub(crate) async fn rollback(&self, entries: &str, release: u64) -> Ran {
        self.wish(entries, &Ask::Rollback { to: Back::Release(release), keys: None }).await
    }

    /// Carries out what an operator asks for.
    pub(crate) async fn wish(&self, entries: &str, ask: &Ask) -> Ran {
        let file = self.file(entries);
        let (_stay, interrupt) = watch::channel(None);
        let id = |name: &TargetName| TargetId::of(self.providers[name].place());
        let pass = WishPass {
            owner: &file.name,
            providers: &self.providers,
            others: &BTreeMap::new(),
            unconnected: &BTreeMap::new(),
            configured: &self.providers.keys().map(|name| (id(name), name.clone())).collect(),
            scoped: false,
            desired: Some(&file),
            host: &self.host(&file),
            message: None,
            timeout: Duration::from_secs(120),
            progress: &(),
            interrupt,
        };
        Ran::of_wish(&self.owner, wish::carry_out(&pass, ask).await)
    }

    /// Reads a ledger as a host does that knows nothing.
    pub(crate) async fn ledger(&self, target: &str) -> Ledger {
        let file = self.file("  a: { value: x }\n");
        let provider = &self.providers[&TargetName::parse(target).expect("valid")];
        ledger::load(provider.as_ref(), &file.name, &mut KnownDocuments::default()).await.expect("read").ledger
    }
}

/// Stops a process before its k-th request, lets somebody act, and lets it go on. Tells whether it got that far.
pub(crate) async fn interleave<T>(
    gate: &Gate,
    request: u64,
    run: impl Future<Output = T>,
    act: impl Future,
) -> (T, bool) {
    gate.close_before(request);
    let mut run = std::pin::pin!(run);
    let met = tokio::select! {
        biased;
        () = gate.reached() => true,
        ran = &mut run => {
            gate.open();
            return (ran, false);
        }
    };
    act.await;
    gate.open();
    (run.await, met)
}
