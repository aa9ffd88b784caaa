//! Where stories are played: one emulator of both clouds, two hosts, and somebody else.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use azure_core::http::{Transport, new_http_client};
use jiff::Timestamp;
use repin::cycle::wish::{self, Ask, WishError, WishPass};
use repin::cycle::{self, Host, Pass, PassError};
use repin::desired;
use repin::model::desired::{Desired, TargetConfig};
use repin::model::outcome::Outcome;
use repin::model::release::{Ledger, Runner, TargetId};
use repin::record::host::HostMemory;
use repin::record::ledger::{self, KnownDocuments};
use repin_emulator::{Emulator, KmsKey, Options, credentials};
use repin_provider::{
    Action, Content as Put, Key, Observe, Owner, Provider, ReadRequest, Secret, Seen, TargetName, Value, Version, View,
    Write,
};
use tokio::sync::{Mutex, watch};

use crate::model::{Content, File, Items};
use crate::story::{At, KEYS};
use crate::wrap::{Fate, Mortal};

const ACCOUNT: &str = "111122223333";

/// How both targets are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Forms {
    pub(crate) label: bool,
    pub(crate) snapshot: bool,
}

/// Both clouds, for as many stories as one likes: each has a prefix of its own.
pub(crate) struct Clouds {
    emulator: Emulator,
    forms: Forms,
    dir: tempfile::TempDir,
    /// What all connections to the one have in common.
    aws: repin_aws_ssm::Options,
    azure: Transport,
    stories: AtomicU64,
}

/// A process on a host.
struct Process {
    providers: BTreeMap<TargetName, Arc<dyn Provider>>,
}

/// The scene of one story.
pub(crate) struct Scene<'a> {
    /// Which story this is, from 0.
    pub(crate) number: u64,
    clouds: &'a Clouds,
    owner: Owner,
    folder: PathBuf,
    configs: BTreeMap<At, TargetConfig>,
    hosts: Vec<Process>,
    pub(crate) fate: Arc<Fate>,
    cut_off: BTreeMap<At, Arc<AtomicBool>>,
    /// Somebody else, who can do everything.
    other: BTreeMap<At, Box<dyn Provider>>,
    /// The same, where puts go to readers at once whatever the file says.
    plain: BTreeMap<At, Box<dyn Provider>>,
    nonces: AtomicU64,
    written: BTreeMap<At, u64>,
    /// The files that were loaded already.
    files: std::sync::Mutex<BTreeMap<File, Arc<Desired>>>,
    /// What was read of the ledgers already.
    known: BTreeMap<At, Mutex<KnownDocuments>>,
}

impl Clouds {
    pub(crate) async fn start(forms: Forms) -> Self {
        let key = KmsKey { account: ACCOUNT.into(), region: "eu-west-1".into(), key: "alias/ai-config".into() };
        let options = Options {
            account: ACCOUNT.into(),
            kms_keys: vec![key],
            recreate_wait: false,
            snapshot_provisioning: Duration::ZERO,
            ..Options::default()
        };
        let emulator = Emulator::start(options).await.expect("the emulator starts");
        let mut shared = repin_aws_ssm::Options::new(owner("shared"), "shared");
        shared.http_client = Some(repin_aws_ssm::http_client());
        let dir = tempfile::tempdir().expect("a folder");
        Self {
            emulator,
            forms,
            dir,
            aws: shared,
            azure: Transport::new(new_http_client(None)),
            stories: AtomicU64::new(0),
        }
    }

    pub(crate) fn forms(&self) -> Forms {
        self.forms
    }

    /// Counts the writes to each store since the last reset, those of ledgers included.
    fn writes(&self) -> BTreeMap<At, u64> {
        let verbs = ["Put", "Delete", "Label", "Unlabel", "Add", "Remove", "PUT", "DELETE", "PATCH"];
        let mut writes = BTreeMap::from(At::BOTH.map(|at| (at, 0)));
        for ((service, operation), count) in self.emulator.counters().snapshot() {
            let at = if service == "appconfig" { At::Azure } else { At::Aws };
            if verbs.iter().any(|verb| operation.starts_with(verb)) {
                *writes.entry(at).or_default() += count;
            }
        }
        writes
    }

    /// Sets the scene of another story.
    pub(crate) async fn scene(&self) -> Scene<'_> {
        let n = self.stories.fetch_add(1, Ordering::Relaxed);
        let owner = owner(&format!("story-{n}"));
        let folder = self.dir.path().join(owner.as_str());
        std::fs::create_dir_all(&folder).expect("made");
        let empty = load(self, &owner, &folder, &File::from([("a", crate::story::Says { aws: 0, azure: 0 })]));
        let configs: BTreeMap<At, TargetConfig> =
            At::BOTH.map(|at| (at, empty.targets[&target_name(at)].config.clone())).into();
        let mut scene = Scene {
            number: n,
            clouds: self,
            folder,
            hosts: Vec::new(),
            fate: Fate::kind(),
            cut_off: At::BOTH.map(|at| (at, Arc::default())).into(),
            other: BTreeMap::new(),
            plain: BTreeMap::new(),
            nonces: AtomicU64::new(0),
            written: BTreeMap::new(),
            files: std::sync::Mutex::default(),
            known: At::BOTH.map(|at| (at, Mutex::default())).into(),
            owner,
            configs,
        };
        for at in At::BOTH {
            // Writes as somebody else, and knows the staging label and the ledger's place all the same.
            let (somebody, config) = (self::owner("somebody-else"), &scene.configs[&at]);
            let provider = scene.connect(config, &somebody).await;
            let plain = scene.connect(&plain(config), &somebody).await;
            scene.other.insert(at, provider);
            scene.plain.insert(at, plain);
        }
        for _ in 0..2 {
            let process = scene.process().await;
            scene.hosts.push(process);
        }
        scene
    }
}

fn owner(name: &str) -> Owner {
    Owner::parse(name).expect("valid")
}

fn plain(config: &TargetConfig) -> TargetConfig {
    let mut config = config.clone();
    match &mut config {
        TargetConfig::AwsSsm(config) => config.serve = repin_aws_ssm::Serve::Latest,
        TargetConfig::AzureAppConfiguration(config) => {
            config.serve = repin_azure_app_configuration::Serve::KeyValues;
        }
    }
    config
}

pub(crate) fn target_name(at: At) -> TargetName {
    TargetName::parse(at.name()).expect("valid")
}

pub(crate) fn key(name: &str) -> Key {
    Key::parse(name).expect("valid")
}

/// Writes a file and loads it.
fn load(clouds: &Clouds, owner: &Owner, folder: &std::path::Path, file: &File) -> Desired {
    let path = folder.join("repin.yaml");
    std::fs::write(&path, text(clouds, owner, file)).expect("written");
    let request = desired::Request::new([&path], |name| Some(name.to_lowercase().replace('_', "-")));
    desired::load(&request).unwrap_or_else(|invalid| panic!("{:?}", invalid.problems))
}

fn text(clouds: &Clouds, owner: &Owner, file: &File) -> String {
    let serve_aws = if clouds.forms.label { "{ label: live }" } else { "latest" };
    let serve_azure = if clouds.forms.snapshot { "{ snapshot: current }" } else { "key-values" };
    let mut text = format!(
        "version: 1\nname: {owner}\ntargets:\n  aws-eu:\n    provider: aws-ssm\n    account: \"{ACCOUNT}\"\n    region: \
         eu-west-1\n    prefix: /ai/{owner}\n    kms_key: alias/ai-config\n    endpoint_url: {}\n    serve: \
         {serve_aws}\n  azure:\n    provider: azure-app-configuration\n    endpoint: {}\n    prefix: {owner}\n    label: \
         prod\n    connection_string: {{ env: AZURE }}\n    serve: {serve_azure}\nentries:\n",
        clouds.emulator.aws_endpoint(),
        clouds.emulator.azure_endpoint(),
    );
    for (key, says) in file {
        let (aws, azure) = (says.aws, says.azure);
        let lines = match *key {
            "s" => format!(
                "    per_target:\n      aws-eu: {{ secret: true, value_from: {{ env: SECRET_{aws} }} }}\n      azure: {{ \
                 value: ref-{azure} }}\n"
            ),
            "c/x" if aws == azure => format!("    value: {{ n: {aws} }}\n"),
            "c/x" => format!(
                "    per_target:\n      aws-eu: {{ value: {{ n: {aws} }} }}\n      azure: {{ value: {{ n: {azure} }} }}\n"
            ),
            key if aws == azure => format!("    value: {key}{aws}\n"),
            key => format!(
                "    per_target:\n      aws-eu: {{ value: {key}{aws} }}\n      azure: {{ value: {key}{azure} }}\n"
            ),
        };
        text.push_str(&format!("  {key}:\n{lines}"));
    }
    text
}

impl Scene<'_> {
    async fn connect(&self, config: &TargetConfig, owner: &Owner) -> Box<dyn Provider> {
        let id = TargetId::of(&config.place());
        match config {
            TargetConfig::AwsSsm(config) => {
                let secret = Secret::new(credentials::SECRET_ACCESS_KEY.to_owned());
                let options = repin_aws_ssm::Options {
                    owner: owner.clone(),
                    target_id: id.as_str().to_owned(),
                    credentials: Some((self.clouds.emulator.access_key_id(), secret)),
                    ..self.clouds.aws.clone()
                };
                Box::new(repin_aws_ssm::connect(config, options).await.expect("connects"))
            }
            TargetConfig::AzureAppConfiguration(config) => {
                let mut options = repin_azure_app_configuration::Options::new(owner.clone(), id.as_str());
                options.connection_string = Some(Secret::new(self.clouds.emulator.connection_string()));
                options.transport = Some(self.clouds.azure.clone());
                Box::new(repin_azure_app_configuration::connect(config, options).expect("connects"))
            }
        }
    }

    /// Starts a process.
    async fn process(&self) -> Process {
        let mut providers: BTreeMap<TargetName, Arc<dyn Provider>> = BTreeMap::new();
        for at in At::BOTH {
            let (fate, unreachable) = (self.fate.clone(), self.cut_off[&at].clone());
            let mortal = Mortal { inner: self.connect(&self.configs[&at], &self.owner).await, fate, unreachable };
            providers.insert(target_name(at), Arc::new(mortal));
        }
        Process { providers }
    }

    /// A host forgets everything, and is another from now on.
    pub(crate) async fn replace(&mut self, host: usize) {
        let folder = self.folder.join(format!("host-{host}"));
        let _ = std::fs::remove_dir_all(&folder);
        self.hosts[host] = self.process().await;
    }

    /// A process on a host is gone, and another takes its place.
    pub(crate) async fn restart(&mut self, host: usize) {
        self.hosts[host] = self.process().await;
    }

    pub(crate) fn cut_off(&self, at: Option<At>) {
        for (target, flag) in &self.cut_off {
            flag.store(at == Some(*target), Ordering::SeqCst);
        }
    }

    fn host(&self, host: usize) -> Host {
        let folder = self.folder.join(format!("host-{host}"));
        let runner =
            Runner { host: format!("host-{host}"), boot: "b".into(), pid_namespace: "n".into(), pid: 1, started: 1 };
        let nonce = format!("{}-{}", self.owner, self.nonces.fetch_add(1, Ordering::Relaxed));
        Host {
            memory: HostMemory::open(&folder, &self.owner),
            runner,
            // One runs at a time, so that whoever left something open is gone.
            is_gone: Box::new(|_| true),
            actor: "model".into(),
            now: Box::new(Timestamp::now),
            nonce: Box::new(move || nonce.clone()),
        }
    }

    fn load(&self, file: &File) -> Arc<Desired> {
        let mut files = self.files.lock().expect("nobody panics with it");
        let desired = || Arc::new(load(self.clouds, &self.owner, &self.folder, file));
        files.entry(file.clone()).or_insert_with(desired).clone()
    }

    pub(crate) async fn reconcile(&self, host: usize, file: &File, older: bool) -> Result<Outcome, PassError> {
        let desired = self.load(file);
        let (_stay, interrupt) = watch::channel(None);
        let pass = Pass {
            desired: &desired,
            providers: &self.hosts[host].providers,
            others: &BTreeMap::new(),
            host: &self.host(host),
            message: None,
            allow_older: older,
            timeout: Duration::ZERO,
            atomic: false,
            limits: repin::model::plan::Limits::default(),
            saved: None,
            progress: &(),
            interrupt,
        };
        cycle::reconcile(&pass).await
    }

    /// Tells whether a host knows that its file was this one when it was the newest, or about to be.
    pub(crate) fn remembers(&self, host: usize, file: &File) -> bool {
        self.host(host).memory.newest_files().contains(&self.load(file).digest)
    }

    /// Carries out what an operator asks for; without a file where that cannot be read.
    pub(crate) async fn wish(
        &self,
        host: usize,
        file: Option<&File>,
        scope: Option<At>,
        ask: &Ask,
    ) -> Result<Outcome, WishError> {
        let desired = file.map(|file| self.load(file));
        let (_stay, interrupt) = watch::channel(None);
        let all = &self.hosts[host].providers;
        let in_scope = |name: &TargetName| scope.is_none_or(|at| *name == target_name(at));
        let clone = |(name, provider): (&TargetName, &Arc<dyn Provider>)| (name.clone(), provider.clone());
        let (providers, others) = all.iter().map(clone).partition(|(name, _)| in_scope(name));
        let pass = WishPass {
            owner: &self.owner,
            providers: &providers,
            others: &others,
            unconnected: &BTreeMap::new(),
            configured: &all.iter().map(|(name, provider)| (TargetId::of(provider.place()), name.clone())).collect(),
            scoped: scope.is_some(),
            desired: desired.as_deref(),
            host: &self.host(host),
            message: None,
            timeout: Duration::ZERO,
            progress: &(),
            interrupt,
        };
        wish::carry_out(&pass, ask).await
    }

    /// Puts an item of somebody else's beside ours, where readers look.
    pub(crate) async fn make_bystanders(&mut self) {
        for at in At::BOTH {
            let put = Put {
                value: Value::Plain("not ours".to_owned()),
                content_type: None,
                tags: BTreeMap::new(),
                description: None,
                tier: None,
            };
            let action = Action::Put(put, repin_provider::Put::Create);
            let write = Write { key: key("bystander"), action };
            self.plain[&at].apply(&write).await.expect("written");
        }
    }

    /// Tells whether that item is as it was put.
    pub(crate) async fn bystander(&self, at: At) -> bool {
        let history = self.plain[&at].history(&key("bystander")).await.unwrap_or_default();
        matches!(&history[..], [only] if only.value.as_deref() == Some("not ours"))
    }

    /// Counts the writes to both stores since the last time.
    pub(crate) fn take_writes(&mut self) -> u64 {
        let writes = self.clouds.writes();
        self.clouds.emulator.counters().reset();
        for (at, count) in &writes {
            *self.written.entry(*at).or_default() += count;
        }
        writes.values().sum()
    }

    /// Counts the writes to one store since the beginning.
    pub(crate) fn written(&mut self, at: At) -> u64 {
        self.take_writes();
        self.written[&at]
    }

    /// Reads what readers meet.
    pub(crate) async fn shown(&self, at: At) -> Items {
        let provider = &self.other[&at];
        let requests: Vec<ReadRequest> = KEYS.map(|name| ReadRequest { key: key(name), version: None }).into();
        let read = provider.read(&requests).await.expect("read");
        let content =
            |read: repin_provider::ReadValue| Content { secret: read.secret, text: read.value.expose().to_owned() };
        KEYS.into_iter().zip(read).filter_map(|(key, read)| Some((key, content(read?)))).collect()
    }

    /// Reads a ledger as a host that knows nothing does.
    pub(crate) async fn ledger(&self, at: At) -> Ledger {
        // The owner of the ledger is part of its place.
        let provider = &self.hosts[0].providers[&target_name(at)];
        ledger::load(provider.as_ref(), &self.owner, &mut KnownDocuments::default()).await.expect("read").ledger
    }

    /// Reads a ledger as somebody does who has watched all the time.
    pub(crate) async fn watched(&self, at: At) -> Ledger {
        let provider = &self.hosts[0].providers[&target_name(at)];
        let mut known = self.known[&at].lock().await;
        ledger::load(provider.as_ref(), &self.owner, &mut known).await.expect("read").ledger
    }

    /// Reads a ledger as a host does that has been there.
    pub(crate) async fn ledger_of(&self, host: usize, at: At) -> Ledger {
        let provider = &self.hosts[host].providers[&target_name(at)];
        let mut memory = self.host(host).memory.target(&TargetId::of(provider.place()));
        ledger::load(provider.as_ref(), &self.owner, &mut memory.ledger).await.expect("read").ledger
    }

    /// Lists the versions that a store has of a key, newest first, with what they hold.
    pub(crate) async fn versions(&self, at: At, name: &str) -> Vec<(Version, Content)> {
        let provider = &self.other[&at];
        let Ok(history) = provider.history(&key(name)).await else { return Vec::new() };
        let requests: Vec<_> =
            history.iter().map(|r| ReadRequest { key: key(name), version: Some(r.version.clone()) }).collect();
        let read = provider.read(&requests).await.expect("read");
        let versions = history.into_iter().zip(read);
        versions
            .filter_map(|(revision, read)| {
                let read = read?;
                Some((revision.version, Content { secret: read.secret, text: read.value.expose().to_owned() }))
            })
            .collect()
    }

    /// Lists what the versions of a parameter hold that is no secret, newest first.
    pub(crate) async fn texts(&self, name: &str) -> Vec<Option<String>> {
        let history = self.plain[&At::Aws].history(&key(name)).await.unwrap_or_default();
        history.into_iter().map(|revision| revision.value).collect()
    }

    async fn newest(&self, at: At, name: &str) -> Option<repin_provider::Item> {
        let request = Observe { keys: vec![key(name)], view: View::Newest, ..Observe::default() };
        let seen = self.other[&at].observe(request).await.expect("observed");
        seen.items.get(&key(name)).and_then(Seen::item).cloned()
    }

    async fn other_writes(&self, at: At, name: &str, action: Action) -> Option<Version> {
        let write = Write { key: key(name), action };
        self.other[&at].apply(&write).await.expect("written").version
    }

    /// Somebody else changes what readers meet; in a snapshot's staging only what a snapshot would hold.
    pub(crate) async fn other_changes(&self, at: At, name: &str, content: &Content) {
        let Some(item) = self.newest(at, name).await else { return };
        let value = match content.secret {
            true => Value::Secret(Secret::new(content.text.clone())),
            false => Value::Plain(content.text.clone()),
        };
        let put = Put {
            value,
            content_type: item.content_type.clone(),
            tags: BTreeMap::new(),
            description: None,
            tier: None,
        };
        let put = Action::Put(put, repin_provider::Put::Replace(item.version));
        let version = self.other_writes(at, name, put).await;
        if at == At::Aws && self.clouds.forms.label {
            let version = version.expect("a put has one");
            self.other_writes(at, name, Action::Serve { version, from: None }).await;
        }
    }

    /// Somebody else removes an item.
    pub(crate) async fn other_deletes(&self, at: At, name: &str) {
        if let Some(item) = self.newest(at, name).await {
            self.other_writes(at, name, Action::Delete(item.version)).await;
        }
    }

    /// Somebody else moves the label of a key.
    pub(crate) async fn other_leads(&self, name: &str, version: Version) {
        self.other_writes(At::Aws, name, Action::Serve { version, from: None }).await;
    }

    /// Returns the set that readers follow a reference to.
    pub(crate) async fn set(&self) -> Option<String> {
        self.other[&At::Azure].observe(Observe::default()).await.expect("observed").reference?.set
    }

    /// Somebody else leads readers to another set.
    pub(crate) async fn other_refers(&self, set: &str) {
        let seen = self.other[&At::Azure].observe(Observe::default()).await.expect("observed");
        let from = seen.reference.map(|reference| reference.version);
        self.other[&At::Azure].serve_frozen(set, from.as_ref()).await.expect("served");
    }
}
