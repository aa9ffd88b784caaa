//! Where a story is played: both clouds in this process under a clock that runs ahead, and one or two hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use repin::cycle::wish::{self, Ask, WishError, WishPass};
use repin::cycle::{self, Host, Pass, PassError};
use repin::desired;
use repin::model::desired::{Desired, TargetConfig};
use repin::model::outcome::Outcome;
use repin::model::plan::Limits;
use repin::model::release::{Ledger, Runner, TargetId};
use repin::record::host::HostMemory;
use repin::record::ledger::{self, KnownDocuments};
use repin_emulator::appconfig::AppConfigRates;
use repin_emulator::{Emulator, KmsKey, Options, Rates, credentials};
use repin_provider::{Owner, Provider, Secret, TargetName};
use tokio::sync::watch;

use crate::gate::Gate;
use crate::readers::{LABEL, PREFIX, REFERENCE, REGIONS, Readers};
use crate::story::{Death, Form, Kind, Rival, Settings};
use crate::wire::{Hands, Wire, Wired};

const ACCOUNT: &str = "111122223333";
/// Never connected to, so that it may be the same in every run: what is sorted by place is then sorted alike.
pub(crate) const AWS_ENDPOINT: &str = "http://127.0.0.1:4566";
const AZURE_ENDPOINT: &str = "http://127.0.0.1:8483";
/// What every secret has in it.
pub(crate) const SENTINEL: &str = "sEnTiNeL-7d1b";
/// How long a pass tries again what may pass.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How long reads of Parameter Store may lag, as the product takes it to be anywhere but on loopback, where it takes reads
/// not to lag at all.
const READ_LAG: Duration = Duration::from_secs(10);

/// What a host's file says: which content each entry has.
pub(crate) type File = BTreeMap<usize, u8>;

type Providers = BTreeMap<TargetName, Arc<dyn Provider>>;

/// One host.
struct Site {
    folder: PathBuf,
    /// The providers of its process, where that goes on from pass to pass.
    resident: Mutex<Option<Providers>>,
    /// Its running process.
    pid: AtomicU32,
    /// Every content of its file, the newest last.
    files: Mutex<Vec<File>>,
}

/// Both clouds and the hosts.
pub(crate) struct Stage {
    pub(crate) settings: Settings,
    pub(crate) emulator: Emulator,
    pub(crate) readers: Arc<Readers>,
    pub(crate) calm: Arc<AtomicUsize>,
    connection: String,
    aws: Wire,
    azure: Wire,
    hands: Hands,
    owner: Owner,
    sites: Vec<Site>,
    alive: Arc<Mutex<BTreeSet<u32>>>,
    pids: AtomicU32,
    nonces: AtomicU64,
    dir: tempfile::TempDir,
}

/// What a process is told before it starts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fortune {
    pub(crate) seed: u64,
    pub(crate) death: Option<Death>,
    pub(crate) rival: Option<Rival>,
}

/// What became of a process.
#[derive(Debug)]
pub(crate) enum Came<E> {
    Ended(Box<Outcome>),
    Refused(E),
    Died,
    /// It was still at it after hours.
    Endless,
}

/// Returns the key of an entry.
pub(crate) fn key(n: usize) -> String {
    if n % 3 == 2 { format!("group/k{n}") } else { format!("k{n}") }
}

/// Returns the name of a target.
pub(crate) fn target_name(n: usize, form: Form) -> TargetName {
    let name = if form.is_aws() { format!("aws-{n}") } else { "azure".to_owned() };
    TargetName::parse(&name).expect("valid")
}

impl Stage {
    pub(crate) async fn new(settings: &Settings) -> Self {
        let keys = REGIONS.map(|region| KmsKey {
            account: ACCOUNT.into(),
            region: region.into(),
            key: "alias/ai-config".into(),
        });
        let lag = (settings.lag > 0).then(|| Duration::from_secs(settings.lag));
        let options = Options {
            account: ACCOUNT.into(),
            kms_keys: keys.into(),
            recreate_wait: settings.recreate_wait,
            short_pages: settings.short_pages,
            ssm_read_lag: lag,
            stale_reads: lag,
            rates: settings.quotas.then(Rates::default),
            azure_rates: settings.quotas.then_some(AppConfigRates { reads: 100.0, writes: 20.0 }),
            snapshot_provisioning: Duration::from_millis(settings.provisioning),
            ..Options::default()
        };
        let Wired { emulator, aws, azure, hands } = Wired::start(options).await;
        let connection = emulator.connection_string().replace(&emulator.azure_endpoint(), AZURE_ENDPOINT);
        let calm = Arc::new(AtomicUsize::new(0));
        let names = (0..settings.kinds.len()).map(key).collect();
        let readers = Readers::new(&emulator, (&aws, &azure), &connection, &settings.targets, names, Arc::clone(&calm));
        let dir = tempfile::tempdir().expect("a folder");
        let first: File = (0..settings.kinds.len()).map(|n| (n, 0)).collect();
        let site = |n: usize| Site {
            folder: dir.path().join(format!("host-{n}")),
            resident: Mutex::default(),
            pid: AtomicU32::new(0),
            files: Mutex::new(vec![first.clone()]),
        };
        Self {
            settings: settings.clone(),
            emulator,
            readers: Arc::new(readers),
            calm,
            connection,
            aws,
            azure,
            hands,
            owner: Owner::parse("chaos").expect("valid"),
            sites: (0..settings.hosts).map(site).collect(),
            alive: Arc::default(),
            pids: AtomicU32::new(1),
            nonces: AtomicU64::new(0),
            dir,
        }
    }

    /// Returns the names of the targets.
    pub(crate) fn targets(&self) -> Vec<TargetName> {
        self.settings.targets.iter().enumerate().map(|(n, form)| target_name(n, *form)).collect()
    }

    pub(crate) fn hosts(&self) -> usize {
        self.sites.len()
    }

    /// Returns a host's file.
    pub(crate) fn file(&self, host: usize) -> File {
        self.sites[host].files.lock().unwrap().last().expect("never empty").clone()
    }

    /// Gives a host another file.
    pub(crate) fn write(&self, host: usize, file: File) {
        self.sites[host].files.lock().unwrap().push(file);
    }

    /// Returns the file that a host had some edits ago.
    pub(crate) fn earlier(&self, host: usize, edits: usize) -> File {
        let files = self.sites[host].files.lock().unwrap();
        files[files.len() - 1 - edits.min(files.len() - 1)].clone()
    }

    /// Returns where a host keeps what it remembers.
    pub(crate) fn state(&self, host: usize) -> PathBuf {
        self.sites[host].folder.join("state")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// A host forgets everything, and its process starts anew.
    pub(crate) fn lose(&self, host: usize) {
        let _ = std::fs::remove_dir_all(self.state(host));
        self.end(host);
    }

    /// The process of a host is gone.
    pub(crate) fn end(&self, host: usize) {
        *self.sites[host].resident.lock().unwrap() = None;
        let pid = self.sites[host].pid.swap(0, Ordering::SeqCst);
        self.alive.lock().unwrap().remove(&pid);
    }

    /// Loads what a host's file asks for.
    pub(crate) fn desired(&self, host: usize) -> Desired {
        let path = self.sites[host].folder.join("repin.yaml");
        std::fs::create_dir_all(&self.sites[host].folder).expect("made");
        std::fs::write(&path, self.text(&self.file(host))).expect("written");
        let env = |name: &str| Some(format!("{SENTINEL}-{name}"));
        desired::load(&desired::Request::new([&path], env)).unwrap_or_else(|bad| panic!("{:?}", bad.problems))
    }

    fn text(&self, file: &File) -> String {
        let Settings { prune, corrects, adopt, keep_releases, .. } = &self.settings;
        let drift = if *corrects { "correct" } else { "report" };
        let mut text = format!(
            "version: 1\nname: {}\npolicy: {{ prune: {prune}, drift: {drift}, adopt: {adopt}, keep_releases: \
             {keep_releases}, max_deletes: 50 }}\ntargets:\n",
            self.owner
        );
        for (name, (n, form)) in self.targets().iter().zip(self.settings.targets.iter().enumerate()) {
            let serve = match form {
                Form::Latest => "latest".to_owned(),
                Form::Label => "{ label: live }".to_owned(),
                Form::KeyValues => "key-values".to_owned(),
                Form::Snapshot => format!("{{ snapshot: {REFERENCE} }}"),
            };
            text.push_str(&if form.is_aws() {
                format!(
                    "  {name}:\n    provider: aws-ssm\n    account: \"{ACCOUNT}\"\n    region: {}\n    prefix: \
                     /{PREFIX}\n    kms_key: alias/ai-config\n    endpoint_url: {AWS_ENDPOINT}\n    serve: {serve}\n",
                    REGIONS[n]
                )
            } else {
                format!(
                    "  {name}:\n    provider: azure-app-configuration\n    endpoint: {AZURE_ENDPOINT}\n    prefix: \
                     {PREFIX}\n    label: {LABEL}\n    serve: {serve}\n"
                )
            });
        }
        text.push_str("entries:\n");
        if file.is_empty() {
            text.truncate(text.len() - "entries:\n".len());
            text.push_str("entries: {}\n");
        }
        for (n, value) in file {
            text.push_str(&format!("  {}:\n{}", key(*n), self.entry(*n, *value)));
        }
        text
    }

    fn entry(&self, n: usize, value: u8) -> String {
        let first = &self.targets()[0];
        match self.settings.kinds[n] {
            Kind::Text => format!("    value: text {n} {value}\n"),
            Kind::Json => format!("    value: {{ n: {value}, of: [{n}, 1.0] }}\n"),
            Kind::JsonString => format!("    {{ type: json-string, value: \"say {{{{ {value} }}}} to {n}\" }}\n"),
            Kind::AiChat => {
                format!("    {{ type: ai-chat, value: {{ model: m{value}, temperature: 0.{n} }} }}\n")
            }
            Kind::PerTarget => {
                let each = self.targets();
                let each = each.iter().map(|name| format!("      {name}: {{ value: {name} {n} {value} }}\n"));
                format!("    per_target:\n{}", each.collect::<String>())
            }
            Kind::Secret => {
                let each = self.targets().into_iter().zip(&self.settings.targets).map(|(name, form)| {
                    if form.is_aws() {
                        format!("      {name}: {{ secret: true, value_from: {{ env: S{n}_{value} }} }}\n")
                    } else {
                        format!("      {name}: {{ value: reference {n} {value} }}\n")
                    }
                });
                format!("    per_target:\n{}", each.collect::<String>())
            }
            Kind::Described => format!(
                "    {{ value: described {n} {}, description: d{value}, tags: {{ edition: e{value} }} }}\n",
                value / 2
            ),
            Kind::OnFirst => format!("    {{ targets: [{first}], value: here {n} {value} }}\n"),
        }
    }

    async fn connect(&self, desired: &Desired, gate: Option<&Gate>) -> Providers {
        let through = |wire: &Wire| match gate {
            Some(gate) => wire.through(Arc::new(gate.clone())),
            None => wire.clone(),
        };
        let mut providers = Providers::new();
        for (name, target) in &desired.targets {
            let (id, owner) = (TargetId::of(&target.config.place()), self.owner.clone());
            let provider: Arc<dyn Provider> = match &target.config {
                TargetConfig::AwsSsm(config) => {
                    let secret = Secret::new(credentials::SECRET_ACCESS_KEY.to_owned());
                    let mut options = repin_aws_ssm::Options::new(owner, id.as_str());
                    options.credentials = Some((self.emulator.access_key_id(), secret));
                    options.http_client = Some(through(&self.aws).aws());
                    options.read_lag = (self.settings.lag > 0).then_some(READ_LAG);
                    Arc::new(repin_aws_ssm::connect(config, options).await.expect("connects"))
                }
                TargetConfig::AzureAppConfiguration(config) => {
                    let mut options = repin_azure_app_configuration::Options::new(owner, id.as_str());
                    options.connection_string = Some(Secret::new(self.connection.clone()));
                    options.transport = Some(through(&self.azure).azure());
                    Arc::new(repin_azure_app_configuration::connect(config, options).expect("connects"))
                }
            };
            providers.insert(name.clone(), provider);
        }
        providers
    }

    /// Starts a process on a host, or takes the one that is there.
    async fn process(&self, host: usize, desired: &Desired, gate: &Gate) -> (Providers, Host) {
        let site = &self.sites[host];
        // A gate belongs to one run: what a resident process keeps between two are the stores' answers, which the
        // state directory has too.
        let providers = self.connect(desired, Some(gate)).await;
        if site.pid.load(Ordering::SeqCst) == 0 || !self.settings.resident {
            self.end(host);
            let pid = self.pids.fetch_add(1, Ordering::SeqCst);
            self.alive.lock().unwrap().insert(pid);
            site.pid.store(pid, Ordering::SeqCst);
        }
        let pid = site.pid.load(Ordering::SeqCst);
        let boot = format!("boot-{host}");
        let runner =
            Runner { host: format!("host-{host}"), boot: boot.clone(), pid_namespace: "n".into(), pid, started: 1 };
        let (hands, alive) = (self.hands.clone(), Arc::clone(&self.alive));
        let nonce = format!("{host}-{}", self.nonces.fetch_add(1, Ordering::SeqCst));
        let nonces = AtomicU64::new(0);
        let host = Host {
            memory: HostMemory::open(&self.state(host), &self.owner),
            runner,
            is_gone: Box::new(move |runner| runner.boot == boot && !alive.lock().unwrap().contains(&runner.pid)),
            actor: format!("somebody@host-{host}"),
            now: Box::new(move || hands.now()),
            nonce: Box::new(move || format!("{nonce}-{}", nonces.fetch_add(1, Ordering::SeqCst))),
        };
        (providers, host)
    }

    /// Waits for a run, for its death, or until nobody would.
    async fn live<E>(
        &self,
        host: usize,
        gate: &Gate,
        death: Option<Death>,
        run: impl Future<Output = Result<Outcome, E>>,
    ) -> Came<E> {
        let run = crate::mortal::Mortal::new(run, death);
        let came = tokio::select! {
            biased;
            () = gate.died() => Came::Died,
            ended = tokio::time::timeout(Duration::from_secs(6 * 3600), run) => match ended {
                Ok(Some(Ok(outcome))) => Came::Ended(Box::new(outcome)),
                Ok(Some(Err(error))) => Came::Refused(error),
                Ok(None) => Came::Died,
                Err(_) => Came::Endless,
            },
        };
        if !self.settings.resident || matches!(came, Came::Died) {
            self.end(host);
        }
        came
    }

    pub(crate) fn gate(&self, fortune: &Fortune) -> Gate {
        Gate::new(fortune.seed, fortune.death, fortune.rival.map(|rival| (rival, Arc::clone(&self.readers))))
    }

    /// One pass of a host.
    pub(crate) async fn reconcile(
        &self,
        host: usize,
        gate: &Gate,
        fortune: &Fortune,
        (older, atomic, only): (bool, bool, Option<usize>),
    ) -> Came<PassError> {
        let desired = self.desired(host);
        let (all, process) = self.process(host, &desired, gate).await;
        let (_stay, interrupt) = watch::channel(None);
        let (providers, others) = self.scope(all, only);
        let pass = Pass {
            desired: &desired,
            providers: &providers,
            others: &others,
            host: &process,
            message: None,
            allow_older: older,
            timeout: TIMEOUT,
            atomic,
            limits: Limits::default(),
            saved: None,
            progress: &(),
            interrupt,
        };
        self.live(host, gate, fortune.death, cycle::reconcile(&pass)).await
    }

    fn scope(&self, all: Providers, only: Option<usize>) -> (Providers, Providers) {
        let only = only.map(|target| self.targets()[target % self.settings.targets.len()].clone());
        all.into_iter().partition(|(name, _)| only.as_ref().is_none_or(|only| only == name))
    }

    /// Carries out what an operator asks for.
    pub(crate) async fn wish(
        &self,
        host: usize,
        gate: &Gate,
        fortune: &Fortune,
        (ask, only): (&Ask, Option<usize>),
    ) -> Came<WishError> {
        let desired = self.desired(host);
        let (all, process) = self.process(host, &desired, gate).await;
        let (_stay, interrupt) = watch::channel(None);
        let configured = all.iter().map(|(name, provider)| (TargetId::of(provider.place()), name.clone())).collect();
        let (providers, others) = self.scope(all, only);
        let pass = WishPass {
            owner: &self.owner,
            providers: &providers,
            others: &others,
            unconnected: &BTreeMap::new(),
            configured: &configured,
            scoped: only.is_some(),
            desired: Some(&desired),
            host: &process,
            message: None,
            timeout: TIMEOUT,
            progress: &(),
            interrupt,
        };
        self.live(host, gate, fortune.death, wish::carry_out(&pass, ask)).await
    }

    /// Reads the ledgers as a host that knows nothing does.
    pub(crate) async fn ledgers(&self) -> Vec<Ledger> {
        self.calm.fetch_add(1, Ordering::SeqCst);
        let providers = self.connect(&self.desired(0), None).await;
        let mut ledgers = Vec::new();
        for name in self.targets() {
            let provider = &providers[&name];
            let loaded = ledger::load(provider.as_ref(), &self.owner, &mut KnownDocuments::default()).await;
            ledgers.push(loaded.expect("a ledger").ledger);
        }
        self.calm.fetch_sub(1, Ordering::SeqCst);
        ledgers
    }
}
