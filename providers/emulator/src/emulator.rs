//! Both halves, started and stopped together.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::appconfig::{self, AppConfig, AppConfigOptions, AppConfigRates, SnapshotFailure, router};
use crate::aws::{Aws, AwsOptions, KmsKey, Rates};
use crate::clock::Clock;
use crate::counters::Counters;
use crate::credentials::{self, APPCONFIG_ID, APPCONFIG_SECRET, DEFAULT_ACCOUNT, DEFAULT_REGION};
use crate::faults::Faults;
use crate::identity::token::Tokens;
use crate::identity::{Identity, service_account};
use crate::persist::{Persist, PersistError};
use crate::server::{Half, InProcess, Seam, serve};
use crate::tls::{Tls, TlsError};

/// The file, in the emulator's folder, that holds all data.
const DATA_FILE: &str = "emulator.redb";

/// How the emulated clouds are started.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder to keep data in; in memory where there is none.
    pub dir: Option<PathBuf>,
    /// Where the AWS half listens; port 0 takes a free one.
    pub aws: SocketAddr,
    /// Where the App Configuration half listens; port 0 takes a free one.
    pub azure: SocketAddr,
    /// Where tokens and credentials are handed out: Entra, managed identities, containers. Port 0 takes a free one.
    pub identity: SocketAddr,
    /// Whether everything is served over TLS, and nothing without. [`Emulator::ca_certificate`] is what to trust.
    pub tls: bool,
    /// The clock of everything.
    pub clock: Clock,
    /// What requests meet.
    pub faults: Faults,
    /// The account of [`Emulator::access_key_id`], 12 digits.
    pub account: String,
    /// Further accounts. The access key id tells them apart: see [`credentials::access_key_id`].
    pub accounts: Vec<String>,
    /// The region to suggest; every region works.
    pub region: Option<String>,
    /// KMS keys that are there from the start. `alias/aws/ssm` always is.
    pub kms_keys: Vec<KmsKey>,
    /// Whether Parameter Store refuses a deleted name for 30 s, as the service does.
    pub recreate_wait: bool,
    /// Whether listings give short and empty pages before the last, as the services may.
    pub short_pages: bool,
    /// How far reads of Parameter Store lag behind new versions; its documentation promises nothing better.
    pub ssm_read_lag: Option<Duration>,
    /// Parameter Store's quotas; none where left out.
    pub rates: Option<Rates>,
    /// App Configuration's quotas; none where left out.
    pub azure_rates: Option<AppConfigRates>,
    /// How long superseded revisions of key-values are kept.
    pub revision_retention: Duration,
    /// How long a snapshot takes to be ready.
    pub snapshot_provisioning: Duration,
    /// How far reads of App Configuration lag behind writes for clients that send no sync token.
    pub stale_reads: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            dir: None,
            aws: any_port,
            azure: any_port,
            identity: any_port,
            tls: false,
            clock: Clock::system(),
            faults: Faults::default(),
            account: DEFAULT_ACCOUNT.to_owned(),
            accounts: Vec::new(),
            region: None,
            kms_keys: Vec::new(),
            recreate_wait: true,
            short_pages: false,
            ssm_read_lag: None,
            rates: None,
            azure_rates: None,
            revision_retention: Duration::from_secs(7 * 24 * 60 * 60),
            snapshot_provisioning: Duration::from_millis(200),
            stale_reads: None,
        }
    }
}

/// Why the emulated clouds did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address that others could reach. The credentials are public, so only loopback is served.
    #[error("{0} is not a loopback address, and the emulator's credentials are public")]
    NotLoopback(SocketAddr),
    /// An address that is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// An account that is not 12 digits.
    #[error("{0:?} is not an AWS account: 12 digits")]
    Account(String),
    /// The data cannot be opened or read.
    #[error("cannot open the emulator's data")]
    Data(#[from] PersistError),
    /// TLS was asked for and cannot be served.
    #[error("cannot set up TLS")]
    Tls(#[from] TlsError),
    /// The system has no randomness for keys.
    #[error("the system has no randomness")]
    Randomness,
}

/// Both emulated clouds, running. They stop when this is dropped.
#[derive(Debug)]
pub struct Emulator {
    aws_address: SocketAddr,
    azure_address: SocketAddr,
    identity_address: SocketAddr,
    tls: Option<Tls>,
    tokens: Tokens,
    account: String,
    region: String,
    clock: Clock,
    counters: Counters,
    faults: Faults,
    /// These three are there until the shutdown.
    aws: Option<Arc<Aws>>,
    appconfig: Option<Arc<AppConfig>>,
    persist: Option<Persist>,
    tasks: Vec<JoinHandle<()>>,
}

impl Emulator {
    /// Starts everything. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// An address that is not loopback or is taken, an odd account, data that another emulator uses.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let mut accounts = vec![options.account.clone()];
        accounts.extend(options.accounts.iter().cloned());
        if let Some(odd) = accounts.iter().find(|account| !credentials::is_account(account)) {
            return Err(StartError::Account(odd.clone()));
        }
        let (aws_listener, aws_address) = listen(options.aws).await?;
        let (azure_listener, azure_address) = listen(options.azure).await?;
        let (identity_listener, identity_address) = listen(options.identity).await?;
        let persist = match &options.dir {
            Some(dir) => Persist::open(dir, DATA_FILE)?,
            None => Persist::in_memory()?,
        };
        // The folder is ours alone from here on.
        let tls = options.tls.then(|| Tls::open(options.dir.as_deref())).transpose()?;
        let tokens = Tokens::random().ok_or(StartError::Randomness)?;
        let seam = Seam {
            clock: options.clock.clone(),
            counters: Counters::default(),
            faults: options.faults.clone(),
            tls: tls.as_ref().map(|tls| tls.acceptor.clone()),
        };
        let aws = open_aws(&options, accounts, &seam, &persist, &tokens)?;
        let appconfig = open_appconfig(&options, &seam, &persist, &tokens)?;
        let azure = half_of(&appconfig);
        let identity = Identity {
            clock: seam.clock.clone(),
            counters: seam.counters.clone(),
            tokens: tokens.clone(),
            aws: Arc::clone(&aws),
            account: options.account.clone(),
            scheme: scheme(tls.as_ref()),
        };
        let tasks = vec![
            tokio::spawn(serve(aws_listener, aws.half(), seam.clone())),
            tokio::spawn(serve(azure_listener, azure, seam.clone())),
            tokio::spawn(serve(identity_listener, Arc::new(identity).half(), seam.clone())),
        ];
        Ok(Self {
            aws_address,
            azure_address,
            identity_address,
            tls,
            tokens,
            account: options.account,
            region: options.region.unwrap_or_else(|| DEFAULT_REGION.to_owned()),
            clock: seam.clock,
            counters: seam.counters,
            faults: seam.faults,
            aws: Some(aws),
            appconfig: Some(appconfig),
            persist: Some(persist),
            tasks,
        })
    }

    /// Returns the endpoint of every AWS service: `http://127.0.0.1:PORT`, or with TLS `https://`.
    pub fn aws_endpoint(&self) -> String {
        self.endpoint(self.aws_address)
    }

    /// Returns the endpoint of the App Configuration store: `http://127.0.0.1:PORT`, or with TLS `https://`.
    pub fn azure_endpoint(&self) -> String {
        self.endpoint(self.azure_address)
    }

    /// Returns the endpoint of what hands out tokens and credentials: `http://127.0.0.1:PORT`, or with TLS `https://`.
    ///
    /// It is the authority of Entra (`AZURE_AUTHORITY_HOST`). Below it are `/msi/token` (`IDENTITY_ENDPOINT`),
    /// `/metadata/identity/oauth2/token` and `/credentials` (`AWS_CONTAINER_CREDENTIALS_FULL_URI`).
    pub fn identity_endpoint(&self) -> String {
        self.endpoint(self.identity_address)
    }

    fn endpoint(&self, address: SocketAddr) -> String {
        format!("{}://{address}", scheme(self.tls.as_ref()))
    }

    /// Returns the certificate, in PEM, that clients must trust; nothing without TLS.
    pub fn ca_certificate(&self) -> Option<&str> {
        self.tls.as_ref().map(|tls| tls.authority.as_str())
    }

    /// Returns the file of that certificate, where there is TLS and a folder.
    pub fn ca_certificate_path(&self) -> Option<&Path> {
        self.tls.as_ref()?.path.as_deref()
    }

    /// Makes a token of a service account, good for an hour, as a cluster mounts it into pods.
    ///
    /// Entra takes one for `api://AzureADTokenExchange`, STS for `sts.amazonaws.com`, and `/credentials` for
    /// `pods.eks.amazonaws.com`.
    pub fn service_account_token(&self, audience: &str) -> String {
        service_account::issue(&self.tokens, audience, self.clock.now())
    }

    /// Returns the connection string of the App Configuration store.
    pub fn connection_string(&self) -> String {
        self.connection_string_of(APPCONFIG_ID)
    }

    /// Returns the connection string of another store: each credential id has its own.
    pub fn connection_string_of(&self, store: &str) -> String {
        format!("Endpoint={};Id={store};Secret={APPCONFIG_SECRET}", self.azure_endpoint())
    }

    /// Returns the access key id of the first account.
    pub fn access_key_id(&self) -> String {
        credentials::access_key_id(&self.account)
    }

    /// Returns the secret access key, which every account shares.
    pub fn secret_access_key(&self) -> &'static str {
        credentials::SECRET_ACCESS_KEY
    }

    /// Returns the account.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Returns the region to use.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Returns the counters of both halves.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Returns what requests meet.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Returns the clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Returns the AWS half, to be spoken to without a connection; `None` where TLS is all that is spoken.
    pub fn aws_in_process(&self) -> Option<InProcess> {
        let aws = self.aws.as_ref().filter(|_| self.tls.is_none())?;
        Some(InProcess::new(aws.half(), self.seam()))
    }

    /// Returns the App Configuration half, to be spoken to without a connection; `None` where TLS is all that is spoken.
    pub fn azure_in_process(&self) -> Option<InProcess> {
        let appconfig = self.appconfig.as_ref().filter(|_| self.tls.is_none())?;
        Some(InProcess::new(half_of(appconfig), self.seam()))
    }

    fn seam(&self) -> Seam {
        let Self { clock, counters, faults, .. } = self;
        Seam { clock: clock.clone(), counters: counters.clone(), faults: faults.clone(), tls: None }
    }

    /// Makes the next App Configuration snapshot that is created fail; several calls are for several snapshots.
    pub fn fail_next_snapshot(&self, failure: SnapshotFailure) {
        if let Some(appconfig) = &self.appconfig {
            appconfig.fail_next_snapshot(failure);
        }
    }

    /// Stops both halves and waits until their data is closed, so that the folder can be opened again.
    pub async fn shutdown(mut self) {
        for task in &self.tasks {
            task.abort();
        }
        for task in self.tasks.drain(..) {
            // The error says that it was aborted, which it was.
            let _ = task.await;
        }
        self.aws = None;
        self.appconfig = None;
        if let Some(persist) = self.persist.take() {
            persist.close().await;
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn open_aws(
    options: &Options,
    accounts: Vec<String>,
    seam: &Seam,
    persist: &Persist,
    tokens: &Tokens,
) -> Result<Arc<Aws>, PersistError> {
    Aws::new(AwsOptions {
        clock: seam.clock.clone(),
        counters: seam.counters.clone(),
        persist: persist.clone(),
        accounts,
        kms_keys: options.kms_keys.clone(),
        recreate_wait: options.recreate_wait,
        short_pages: options.short_pages,
        read_lag: options.ssm_read_lag,
        rates: options.rates,
        tokens: tokens.clone(),
    })
}

fn open_appconfig(
    options: &Options,
    seam: &Seam,
    persist: &Persist,
    tokens: &Tokens,
) -> Result<Arc<AppConfig>, PersistError> {
    AppConfig::new(AppConfigOptions {
        rates: options.azure_rates,
        retention: options.revision_retention,
        provisioning: options.snapshot_provisioning,
        stale_reads: options.stale_reads,
        tokens: Some(tokens.clone()),
        tls: options.tls,
        ..AppConfigOptions::new(seam.clock.clone(), seam.counters.clone(), persist.clone())
    })
}

fn half_of(appconfig: &Arc<AppConfig>) -> Half {
    Half { router: router(Arc::clone(appconfig)), identify: appconfig::identify, refusal: appconfig::refusal }
}

fn scheme(tls: Option<&Tls>) -> &'static str {
    if tls.is_some() { "https" } else { "http" }
}

/// Binds one address, if nobody else can reach it.
async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    if !address.ip().is_loopback() {
        return Err(StartError::NotLoopback(address));
    }
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
