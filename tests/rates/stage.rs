//! Both stores with their quotas, and hosts of one process that share what these allow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use repin::cycle::wish::{self, Ask, WishPass};
use repin::cycle::{self, Host, Pass, PassError};
use repin::desired;
use repin::model::desired::{Desired, TargetConfig};
use repin::model::outcome::Outcome;
use repin::model::plan::Plan;
use repin::model::release::TargetId;
use repin::record::host::{self, HostMemory};
use repin::timeline::Back;
use repin_emulator::appconfig::AppConfigRates;
use repin_emulator::{Emulator, Options, Rates};
use repin_provider::limit::Share;
use repin_provider::{Provider, Secret, TargetName};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::support::ACCOUNT;
use crate::wire::{Hands, Wire, Wired};

/// The stores.
pub(crate) struct Stage {
    pub(crate) emulator: Emulator,
    aws: Wire,
    azure: Wire,
    hands: Hands,
    dir: tempfile::TempDir,
}

/// Plays a story on a runtime of its own, whose clock runs ahead whenever nothing else is to be done.
pub(crate) fn play<T>(story: impl AsyncFnOnce() -> T) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().expect("a runtime").block_on(story())
}

/// The documented quotas of Parameter Store, but for those that are given.
pub(crate) fn documented() -> Options {
    let standard = AppConfigRates { reads: 300.0, writes: 60.0 };
    Options { rates: Some(Rates::default()), azure_rates: Some(standard), ..Options::default() }
}

/// Makes entries, indented by two.
pub(crate) fn entries(count: usize, value: &str) -> String {
    (0..count).map(|n| format!("  k{n:04}: {{ value: {value} }}\n")).collect()
}

impl Stage {
    pub(crate) async fn new(options: Options) -> Self {
        let options = Options { account: ACCOUNT.into(), ..options };
        let Wired { emulator, aws, azure, hands } = Wired::start(options).await;
        Self { emulator, aws, azure, hands, dir: tempfile::tempdir().expect("a folder") }
    }

    /// Returns what the AWS SDK reaches Parameter Store through.
    pub(crate) fn aws_client(&self) -> SharedHttpClient {
        self.aws.aws()
    }

    /// Describes a target in Parameter Store, with its rates.
    pub(crate) fn aws(&self, prefix: &str, rates: &str) -> String {
        let endpoint = self.emulator.aws_endpoint();
        format!(
            "{{ provider: aws-ssm, account: \"{ACCOUNT}\", region: eu-west-1, prefix: {prefix}, \
             endpoint_url: \"{endpoint}\", rates: {rates} }}"
        )
    }

    /// Describes a target in App Configuration, with its rates.
    pub(crate) fn azure(&self, rates: &str) -> String {
        let endpoint = self.emulator.azure_endpoint();
        format!("{{ provider: azure-app-configuration, endpoint: \"{endpoint}\", prefix: test, rates: {rates} }}")
    }

    /// Makes a host with a file of its own.
    pub(crate) fn host(&self, name: &str, targets: &[(&str, String)], entries: &str) -> Site<'_> {
        let site = Site { stage: self, name: name.to_owned() };
        site.write(targets, entries);
        site
    }

    /// Counts what was answered by a refusal to take more.
    pub(crate) fn throttled(&self, service: &str, operation: &str) -> u64 {
        let status = if service == "ssm" { 400 } else { 429 };
        self.emulator.counters().count_status(service, operation, status)
    }

    /// Returns a host's providers, as commands or as a daemon have them.
    async fn connect(&self, desired: &Desired, share: Share) -> BTreeMap<TargetName, Arc<dyn Provider>> {
        let mut providers: BTreeMap<TargetName, Arc<dyn Provider>> = BTreeMap::new();
        for (name, target) in &desired.targets {
            let (id, owner) = (TargetId::of(&target.config.place()), desired.name.clone());
            let provider: Arc<dyn Provider> = match &target.config {
                TargetConfig::AwsSsm(config) => {
                    let secret = Secret::new(repin_emulator::credentials::SECRET_ACCESS_KEY.to_owned());
                    let mut options = repin_aws_ssm::Options::new(owner, id.as_str());
                    options.credentials = Some((self.emulator.access_key_id(), secret));
                    options.http_client = Some(self.aws.aws());
                    options.share = share;
                    Arc::new(repin_aws_ssm::connect(config, options).await.expect("connects"))
                }
                TargetConfig::AzureAppConfiguration(config) => {
                    let mut options = repin_azure_app_configuration::Options::new(owner, id.as_str());
                    options.connection_string = Some(Secret::new(self.emulator.connection_string()));
                    options.transport = Some(self.azure.azure());
                    options.share = share;
                    Arc::new(repin_azure_app_configuration::connect(config, options).expect("connects"))
                }
            };
            providers.insert(name.clone(), provider);
        }
        providers
    }
}

/// A host: its file and what it remembers.
pub(crate) struct Site<'a> {
    stage: &'a Stage,
    name: String,
}

/// What a pass came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) outcome: Outcome,
    /// Virtual time.
    pub(crate) seconds: f64,
    /// Throttled attempts by the provider's own count, all targets together.
    pub(crate) throttles: u64,
}

impl Site<'_> {
    pub(crate) fn write(&self, targets: &[(&str, String)], entries: &str) {
        let targets: String = targets.iter().map(|(name, target)| format!("  {name}: {target}\n")).collect();
        let text = format!("version: 1\nname: {}\ntargets:\n{targets}entries:\n{entries}", self.name);
        std::fs::write(self.file(), text).expect("written");
    }

    fn file(&self) -> std::path::PathBuf {
        self.stage.dir.path().join(format!("{}.yaml", self.name))
    }

    fn desired(&self) -> Desired {
        desired::load(&desired::Request::new(vec![self.file()], |_| None)).expect("a valid file")
    }

    fn host(&self, desired: &Desired) -> Host {
        let hands = self.stage.hands.clone();
        Host {
            memory: HostMemory::open(&self.stage.dir.path().join("state"), &desired.name),
            runner: host::runner(),
            is_gone: Box::new(host::is_gone),
            actor: "somebody@here".to_owned(),
            now: Box::new(move || hands.now()),
            nonce: Box::new(|| format!("{:016x}", rand::random::<u64>())),
        }
    }

    /// Makes one pass, as a command.
    pub(crate) async fn reconcile(&self) -> Ran {
        self.reconcile_with(Share::WHOLE).await
    }

    /// Makes one pass with a share of the quotas.
    pub(crate) async fn reconcile_with(&self, share: Share) -> Ran {
        let desired = self.desired();
        let (providers, host) = (self.stage.connect(&desired, share).await, self.host(&desired));
        let (others, (_stop, interrupt)) = (BTreeMap::new(), watch::channel(None));
        let began = Instant::now();
        let outcome =
            cycle::reconcile(&Pass::new(&desired, (&providers, &others), &host, interrupt)).await.expect("a pass");
        ran(outcome, began, &providers)
    }

    /// Plans one pass.
    pub(crate) async fn plan(&self) -> Result<Plan, PassError> {
        let desired = self.desired();
        let (providers, host) = (self.stage.connect(&desired, Share::WHOLE).await, self.host(&desired));
        let (others, (_stop, interrupt)) = (BTreeMap::new(), watch::channel(None));
        Ok(cycle::plan_only(&Pass::new(&desired, (&providers, &others), &host, interrupt)).await?.0)
    }

    /// Goes back to a release, in a process that keeps to a share of the quotas otherwise.
    pub(crate) async fn rollback(&self, release: u64, share: Share) -> Ran {
        let desired = self.desired();
        let (providers, host) = (self.stage.connect(&desired, share).await, self.host(&desired));
        let (others, (_stop, interrupt)) = (BTreeMap::new(), watch::channel(None));
        let id = |name: &TargetName| TargetId::of(&desired.targets[name].config.place());
        let pass = WishPass {
            owner: &desired.name,
            providers: &providers,
            others: &others,
            unconnected: &BTreeMap::new(),
            configured: &providers.keys().map(|name| (id(name), name.clone())).collect(),
            scoped: false,
            desired: Some(&desired),
            host: &host,
            message: None,
            timeout: Duration::from_secs(120),
            progress: &(),
            interrupt,
        };
        let began = Instant::now();
        let ask = Ask::Rollback { to: Back::Release(release), keys: None };
        ran(wish::carry_out(&pass, &ask).await.expect("a rollback"), began, &providers)
    }
}

fn ran(outcome: Outcome, began: Instant, providers: &BTreeMap<TargetName, Arc<dyn Provider>>) -> Ran {
    let throttles = providers.values().flat_map(|provider| provider.throttles().into_values()).sum();
    Ran { outcome, seconds: began.elapsed().as_secs_f64(), throttles }
}
