//! Connects to the store and sends requests, paced and counted; nothing else.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ssm::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_ssm::config::timeout::TimeoutConfig;
use aws_sdk_ssm::types::Parameter;
use repin_provider::limit::Share;
use repin_provider::{Error, ErrorKind, Key, Result, network};
use url::Url;

use crate::Options;
use crate::config::Config;
use crate::convert::BATCH;
use crate::count::{Counts, StoreClock};
use crate::credentials::AssumedRole;
use crate::error::Call;
use crate::pace::{Category, Pace};
use crate::retry::Writes;
use crate::throttle::Throttled;
use crate::transport::{self, Reach};

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// Attempts of one read, as the SDK counts them: the first one too.
const READ_ATTEMPTS: u32 = 3;
/// Attempts of one write that the store refuses to take yet. More than for a read: a bulk write runs at the quota's
/// edge, which others use too.
const WRITE_ATTEMPTS: u32 = 6;
/// The longest wait between attempts.
const BACKOFF: Duration = Duration::from_secs(20);

/// What speaks to the three services, and what watches it.
pub(crate) struct Client {
    /// For what may be repeated.
    reads: aws_sdk_ssm::Client,
    /// For what may not.
    writes: aws_sdk_ssm::Client,
    kms: aws_sdk_kms::Client,
    sts: aws_sdk_sts::Client,
    /// What gives credentials, and what makes those of the role of them.
    signers: (Option<SharedCredentialsProvider>, Option<SharedCredentialsProvider>),
    counts: Counts,
    pace: Option<Arc<Pace>>,
    endpoints: Endpoints,
    loopback: bool,
}

/// Where requests go, for messages.
#[derive(Debug, Clone)]
pub(crate) struct Endpoints {
    pub(crate) ssm: String,
    pub(crate) kms: String,
    pub(crate) sts: String,
}

impl Endpoints {
    fn new(region: &str, url: Option<&str>) -> Self {
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let of = |service: &str| url.map_or_else(|| format!("{service}.{region}.{suffix}"), str::to_owned);
        Self { ssm: of("ssm"), kms: of("kms"), sts: of("sts") }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

impl Client {
    /// Builds the clients without a request: credentials are looked for when the first one is sent.
    pub(crate) async fn build(config: &Config, options: &Options) -> Result<Self> {
        let loopback = config.endpoint_url.as_deref().is_some_and(is_loopback);
        if options.credentials.is_some() && !loopback {
            return Err(refused("given credentials go to a loopback endpoint only"));
        }
        let base = load(config, options, loopback).await?;
        let endpoints = Endpoints::new(&config.region, base.endpoint_url());
        base.endpoint_url().map_or(Ok(()), |url| check_endpoint(url, config))?;
        if config.endpoint_url.is_none() && base.endpoint_url().is_some() {
            tracing::warn!(endpoint = endpoints.ssm, "the AWS environment overrides the endpoint");
        }
        let counts = Counts::default();
        let mut signers = (base.credentials_provider(), None);
        let shared = match &config.assume_role {
            None => base,
            Some(role) => {
                let sts = sts_client(&base, &counts);
                let provider = AssumedRole::new(sts, role, &options.owner, endpoints.sts.clone());
                let provider = SharedCredentialsProvider::new(provider);
                signers.1 = Some(provider.clone());
                base.into_builder().credentials_provider(provider).build()
            }
        };
        let pace = pace(config, options.share, loopback, &endpoints.ssm)?;
        let throttled = Throttled { counts: counts.clone(), pace: pace.clone() };
        Ok(Self {
            reads: ssm_reads(&shared, &throttled, config),
            writes: ssm_writes(&shared, &throttled, config, options),
            kms: kms_client(&shared, &throttled),
            sts: sts_client(&shared, &counts),
            signers,
            pace,
            counts,
            endpoints,
            loopback,
        })
    }

    /// Returns where requests go.
    pub(crate) fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Tells whether the store is on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Returns what requests are kept to, if anything.
    pub(crate) fn pace(&self) -> Option<&Pace> {
        self.pace.as_deref()
    }

    /// Returns the counters.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The client for reads. Each request first [waits](Self::turn) its turn.
    pub(crate) fn reads(&self) -> &aws_sdk_ssm::Client {
        &self.reads
    }

    /// The client for writes, which repeats nothing that may have been done.
    pub(crate) fn writes(&self) -> &aws_sdk_ssm::Client {
        &self.writes
    }

    pub(crate) fn kms(&self) -> &aws_sdk_kms::Client {
        &self.kms
    }

    pub(crate) fn sts(&self) -> &aws_sdk_sts::Client {
        &self.sts
    }

    /// What gives credentials, and what makes those of the target's role of them, where it has one.
    pub(crate) fn signers(&self) -> (Option<&SharedCredentialsProvider>, Option<&SharedCredentialsProvider>) {
        (self.signers.0.as_ref(), self.signers.1.as_ref())
    }

    /// Waits until the quota has room for one more request.
    pub(crate) async fn turn(&self, category: Category) {
        if let Some(pace) = &self.pace {
            pace.wait(category).await;
        }
    }

    /// Describes a call to SSM for the messages about it.
    pub(crate) fn call<'a>(&'a self, operation: &'static str, key: Option<&'a Key>, about: &'a str) -> Call<'a> {
        Call { operation, endpoint: &self.endpoints.ssm, key, about, writes: false, value: None }
    }

    /// Reads up to ten names, or `name:version` selectors, in one request. Names that do not exist come back apart.
    pub(crate) async fn get_parameters(
        &self,
        names: Vec<String>,
        decrypt: bool,
        key: Option<&Key>,
        clock: &StoreClock,
    ) -> Result<(Vec<Parameter>, Vec<String>)> {
        debug_assert!(names.len() <= BATCH);
        let about = match names.as_slice() {
            [first, _, ..] => format!("{} names from {first} on", names.len()),
            [only] if key.is_none() => only.clone(),
            _ => String::new(),
        };
        self.turn(Category::Get).await;
        let answer = self
            .reads
            .get_parameters()
            .set_names(Some(names))
            .with_decryption(decrypt)
            .customize()
            .interceptor(clock.clone())
            .send()
            .await
            .map_err(|error| self.call("GetParameters", key, &about).failed(error))?;
        Ok((answer.parameters.unwrap_or_default(), answer.invalid_parameters.unwrap_or_default()))
    }

    /// Lists everything below a path, undecrypted, page by page.
    pub(crate) async fn list(&self, path: &str, clock: &StoreClock) -> Result<Vec<Parameter>> {
        let path = if path.is_empty() { "/" } else { path };
        let call = self.call("GetParametersByPath", None, path);
        let mut pages = Pages::default();
        let mut found = Vec::new();
        loop {
            self.turn(Category::Path).await;
            let page = self
                .reads
                .get_parameters_by_path()
                .path(path)
                .recursive(true)
                .with_decryption(false)
                .max_results(BATCH as i32)
                .set_next_token(pages.token.clone())
                .customize()
                .interceptor(clock.clone())
                .send()
                .await
                .map_err(|error| call.failed(error))?;
            // The service sends it with an empty page too: what has none must not look like one.
            let lacking = || call.error(ErrorKind::Unexpected, "the answer has no list of parameters");
            found.extend(page.parameters.ok_or_else(lacking)?);
            if !pages.turn(page.next_token).map_err(|text| call.error(ErrorKind::Unexpected, text))? {
                return Ok(found);
            }
        }
    }
}

/// Walks pages until there is no token. A page may be empty and still not be the last.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    /// The token for the next request.
    pub(crate) token: Option<String>,
    seen: HashSet<String>,
}

impl Pages {
    /// Takes a page's token and tells whether there is another page.
    ///
    /// # Errors
    /// A token that was given before would go round for ever.
    pub(crate) fn turn(&mut self, token: Option<String>) -> std::result::Result<bool, &'static str> {
        self.token = token.filter(|token| !token.is_empty());
        match &self.token {
            None => Ok(false),
            Some(token) if self.seen.insert(token.clone()) => Ok(true),
            Some(_) => Err("the listing repeats a page token, and would never end"),
        }
    }
}

async fn load(config: &Config, options: &Options, loopback: bool) -> Result<SdkConfig> {
    let http = match &options.http_client {
        Some(client) => client.clone(),
        None => transport::client(reach(config, options, loopback)?),
    };
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(Region::new(config.region.clone()))
        .app_name(AppName::new("repin").expect("a valid app name"))
        // A store on this machine has this machine's clock, unless somebody tries out what another date would do: then
        // to sign by that date would be wrong.
        .disable_clock_skew_correction(loopback)
        .http_client(http)
        .retry_config(RetryConfig::standard().with_max_attempts(READ_ATTEMPTS).with_max_backoff(BACKOFF))
        .timeout_config(timeouts(options.attempt_timeout, READ_ATTEMPTS));
    if let Some(profile) = &config.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(url) = &config.endpoint_url {
        Url::parse(url).map_err(|error| refused(format!("endpoint_url {url:?}: {error}")))?;
        loader = loader.endpoint_url(url);
    }
    if let Some((id, secret)) = &options.credentials {
        loader = loader.credentials_provider(Credentials::new(id, secret.expose(), None, None, "RepinEmulator"));
    }
    Ok(loader.load().await)
}

fn reach(config: &Config, options: &Options, loopback: bool) -> Result<Reach> {
    let is_plain = config.endpoint_url.as_deref().is_some_and(|url| url.starts_with("http://"));
    if loopback && is_plain && options.credentials.is_some() {
        return Ok(Reach::Plain);
    }
    // What the AWS command line and boto3 know, too; there it stands for all roots, here beside the system's.
    let environment = || std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()).map(PathBuf::from);
    let authorities = match config.ca_bundle.clone().or_else(environment) {
        Some(path) => Some(network::read_authorities(&path)?),
        None => None,
    };
    authorities.as_deref().map_or(Ok(()), transport::check_authorities)?;
    Ok(Reach::World { authorities, allow_http: config.allow_http })
}

/// Refuses to send values and signatures where anybody on the way could read them.
fn check_endpoint(url: &str, config: &Config) -> Result<()> {
    match Url::parse(url) {
        Ok(url) if url.scheme() == "http" && !config.allow_http && !is_loopback(url.as_str()) => {
            let hint = "use https, or say `allow_http: true` where something else keeps the way safe";
            Err(refused(transport::plain_http(&url)).with_hint(hint))
        }
        _ => Ok(()),
    }
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Refused, "connect", message)
}

/// Every wait of a call is bounded: the SDK by itself bounds only the connecting.
fn timeouts(attempt: Duration, attempts: u32) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT.min(attempt))
        .read_timeout(attempt)
        .operation_attempt_timeout(attempt)
        .operation_timeout((attempt + BACKOFF) * attempts)
        .build()
}

/// A retry budget of the target's own, refilled with time: by default all clients of a region share one that an outage
/// empties for good.
fn partition(config: &Config, kind: &str) -> RetryPartition {
    let bucket = TokenBucket::builder().capacity(500).refill_rate(5.0).build();
    RetryPartition::custom(format!("{}-{}-{kind}", config.account, config.region)).token_bucket(bucket).build()
}

fn ssm_reads(shared: &SdkConfig, throttled: &Throttled, config: &Config) -> aws_sdk_ssm::Client {
    let builder = aws_sdk_ssm::config::Builder::from(shared)
        .interceptor(throttled.counts.clone())
        .interceptor(throttled.clone())
        .retry_partition(partition(config, "reads"));
    aws_sdk_ssm::Client::from_conf(builder.build())
}

fn ssm_writes(shared: &SdkConfig, throttled: &Throttled, config: &Config, options: &Options) -> aws_sdk_ssm::Client {
    let builder = aws_sdk_ssm::config::Builder::from(shared)
        .interceptor(throttled.counts.clone())
        .interceptor(throttled.clone())
        .retry_partition(partition(config, "writes"))
        .retry_config(RetryConfig::standard().with_max_attempts(WRITE_ATTEMPTS).with_max_backoff(BACKOFF))
        .timeout_config(timeouts(options.attempt_timeout, WRITE_ATTEMPTS))
        .retry_classifier(Writes);
    aws_sdk_ssm::Client::from_conf(builder.build())
}

fn kms_client(shared: &SdkConfig, throttled: &Throttled) -> aws_sdk_kms::Client {
    let builder =
        aws_sdk_kms::config::Builder::from(shared).interceptor(throttled.counts.clone()).interceptor(throttled.clone());
    aws_sdk_kms::Client::from_conf(builder.build())
}

fn sts_client(shared: &SdkConfig, counts: &Counts) -> aws_sdk_sts::Client {
    let builder = aws_sdk_sts::config::Builder::from(shared).interceptor(counts.clone());
    aws_sdk_sts::Client::from_conf(builder.build())
}

/// Takes seats at the limiters of the account and region. A store on loopback has no quota unless the file gives it one.
fn pace(config: &Config, share: Share, loopback: bool, endpoint: &str) -> Result<Option<Arc<Pace>>> {
    if loopback && config.rates.is_none() {
        return Ok(None);
    }
    let share = config.rate_share.map_or(share, Share::all);
    if !Pace::is_positive(config.rates.as_ref(), share) {
        return Err(refused("rates and rate_share let nothing through: each must be above 0"));
    }
    let place = format!("aws-ssm {}/{} {endpoint}", config.account, config.region);
    Ok(Some(Pace::join(&place, config.rates, share)))
}

/// Tells whether a URL leads to this machine.
pub(crate) fn is_loopback(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.host_str().is_some_and(network::is_loopback))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_an_address_not_a_name_that_looks_like_one() {
        for yes in ["http://127.0.0.1:4566", "http://localhost", "http://[::1]:80/", "http://127.9.9.9"] {
            assert!(is_loopback(yes), "{yes}");
        }
        for no in ["http://127.0.0.1.example.com", "https://ssm.eu-west-1.amazonaws.com", "http://10.0.0.1", "x"] {
            assert!(!is_loopback(no), "{no}");
        }
    }

    #[test]
    fn pages_end_without_a_token_and_never_go_round() {
        let mut pages = Pages::default();
        assert_eq!(pages.turn(Some("a".into())), Ok(true));
        assert_eq!(pages.turn(Some("b".into())), Ok(true));
        assert!(pages.turn(Some("a".into())).is_err());
        assert_eq!(Pages::default().turn(Some(String::new())), Ok(false));
        assert_eq!(Pages::default().turn(None), Ok(false));
    }

    #[test]
    fn endpoints_follow_the_region() {
        assert_eq!(Endpoints::new("eu-west-1", None).ssm, "ssm.eu-west-1.amazonaws.com");
        assert_eq!(Endpoints::new("cn-north-1", None).kms, "kms.cn-north-1.amazonaws.com.cn");
        assert_eq!(Endpoints::new("eu-west-1", Some("http://127.0.0.1:1")).sts, "http://127.0.0.1:1");
    }
}
