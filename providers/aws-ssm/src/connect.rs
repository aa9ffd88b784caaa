//! What a target needs to be reached, and what it is once it is.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use repin_provider::limit::Share;
use repin_provider::{Capabilities, Key, Owner, Place, Result, Secret, Serving};

use crate::client::Client;
use crate::config::Config;
use crate::convert::{self, BATCH};
use crate::memory::Memory;
use crate::preflight::Confirmed;

/// The most bytes of one ledger document: the value of a Standard parameter.
pub const MAX_DOCUMENT: usize = 4096;

/// How long one attempt may take before its answer counts as lost.
const ATTEMPT: Duration = Duration::from_secs(10);
/// How long reads may lag behind writes. Nothing is promised; a second or more was reported.
const LAG: Duration = Duration::from_secs(10);
/// Versions that the store keeps of each parameter.
const VERSIONS: u64 = 100;

/// What the file does not say about a target.
#[derive(Debug, Clone)]
pub struct Options {
    /// The owner of what is written.
    pub owner: Owner,
    /// The ledger's folder below `<ledger_prefix>/<owner>/`.
    pub target_id: String,
    /// An access key id and its secret, for the embedded emulator: refused unless the endpoint is on loopback. Left
    /// out, the AWS credential chain is asked when the first request is sent.
    pub credentials: Option<(String, Secret)>,
    /// How long one attempt may take before its answer counts as lost. 10 s by default.
    pub attempt_timeout: Duration,
    /// How long reads may lag behind writes. Left out, 10 s, and nothing on loopback.
    pub read_lag: Option<Duration>,
    /// The part of the account's quotas to keep to where the file does not say. All of them by default.
    pub share: Share,
    /// An HTTP client to share between targets; see [`http_client`](crate::http_client). Left out, one is made.
    pub http_client: Option<SharedHttpClient>,
}

impl Options {
    /// Makes options with the defaults above.
    pub fn new(owner: Owner, target_id: impl Into<String>) -> Self {
        Self {
            owner,
            target_id: target_id.into(),
            credentials: None,
            attempt_timeout: ATTEMPT,
            read_lag: None,
            share: Share::WHOLE,
            http_client: None,
        }
    }
}

/// One target in AWS SSM Parameter Store.
///
/// `Debug` prints no credential and no value.
#[derive(Debug)]
pub struct Ssm {
    pub(crate) place: Place,
    pub(crate) capabilities: Capabilities,
    pub(crate) config: Config,
    pub(crate) owner: Owner,
    /// The ledger's path, without a slash at the end.
    pub(crate) ledger: String,
    pub(crate) client: Client,
    pub(crate) memory: Memory,
    pub(crate) confirmed: Confirmed,
}

/// Builds a target without sending anything.
///
/// # Errors
/// `Refused` for an endpoint that is no URL, rates that are not above zero, and given credentials for an endpoint that
/// is not on loopback.
pub async fn connect(config: &Config, options: Options) -> Result<Ssm> {
    let client = Client::build(config, &options).await?;
    let lag = options.read_lag.unwrap_or(if client.is_loopback() { Duration::ZERO } else { LAG });
    Ok(Ssm {
        place: config.place(),
        capabilities: capabilities(config, &client, (options.attempt_timeout + lag, lag)),
        config: config.clone(),
        ledger: convert::join(&convert::join(&config.ledger_prefix, options.owner.as_str()), &options.target_id),
        owner: options.owner,
        client,
        memory: Memory::new(lag),
        confirmed: Confirmed::default(),
    })
}

fn capabilities(config: &Config, client: &Client, (settle, read_lag): (Duration, Duration)) -> Capabilities {
    let rates = client.pace().map(|pace| pace.standing().allowed);
    Capabilities {
        provider: "aws-ssm",
        serving: if config.label().is_some() { Serving::Apart } else { Serving::AtOnce },
        serve: config.serve.to_string(),
        compare_and_swap: false,
        secrets: true,
        content_types: false,
        describes: false,
        dates_on_write: false,
        read_batch: BATCH,
        page: BATCH,
        max_document: MAX_DOCUMENT,
        versions_kept: Some(VERSIONS),
        versions_kept_for: None,
        parallel_writes: rates.map_or(8, |rates| parallel(rates.writes)),
        rates,
        settle,
        read_lag,
    }
}

/// Returns how many writes at once keep up with a rate where each takes up to a third of a second.
fn parallel(rate: f64) -> usize {
    let enough = (3..=16).find(|writes| f64::from(*writes) >= rate / 3.0 + 1.0);
    enough.unwrap_or(16) as usize
}

impl Ssm {
    /// Returns a key's full name.
    pub(crate) fn name_of(&self, key: &Key) -> String {
        convert::join(&self.config.prefix, key.as_str())
    }
}
