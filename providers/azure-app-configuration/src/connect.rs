//! From settings to a provider, without a request.

use std::sync::Arc;
use std::time::Duration;

use azure_core::http::{ClientOptions, Transport, Url};
use azure_data_app_configuration::{AppConfigurationClient, AppConfigurationClientOptions, RetryOptions};
use repin_provider::limit::Share;
use repin_provider::{Capabilities, Error, ErrorKind, Owner, Result, Secret, Serving, network};

use crate::client::Store;
use crate::convert::parse_retention;
use crate::count::Counter;
use crate::credential::{Chain, mend};
use crate::documents::MAX_DOCUMENT;
use crate::error::Context;
use crate::names::Names;
use crate::pace::{Pace, Paced};
use crate::transport::transport;
use crate::{AppConfiguration, Config, CredentialKind, Serve};

/// How often a store on loopback is asked whether a snapshot is made; others say themselves when to ask again.
const LOOPBACK_POLL: Duration = Duration::from_millis(25);

/// How long a read without the token of a write may lag behind it; "a few seconds", as the service documents it.
const LAG: Duration = Duration::from_secs(10);

/// What a connection needs beside the settings of its target.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who owns what is written.
    pub owner: Owner,
    /// The ledger's folder: documents live below `.repin/<owner>/<target_id>/`.
    pub target_id: String,
    /// The connection string that `connection_string` in the settings leads to, already read.
    pub connection_string: Option<Secret>,
    /// Where requests go instead of the endpoint of the settings: an embedded store. The place stays that of the
    /// settings, and a connection string is then used whatever `credential` says.
    pub endpoint_override: Option<String>,
    /// How long one attempt may take until its whole answer is there; 10 s by default.
    pub attempt_timeout: Duration,
    /// The part of the store's quotas to keep to where the file does not say. All of them by default.
    pub share: Share,
    /// The api-version to ask for. `2026-04-01` by default, the first that knows descriptions.
    pub api_version: String,
    /// Carries requests instead of HTTP, those for tokens too; for tests.
    pub transport: Option<Transport>,
}

impl Options {
    /// Makes options; everything but the owner and the ledger's folder has a default.
    pub fn new(owner: Owner, target_id: impl Into<String>) -> Self {
        Self {
            owner,
            target_id: target_id.into(),
            connection_string: None,
            endpoint_override: None,
            attempt_timeout: Duration::from_secs(10),
            share: Share::WHOLE,
            api_version: "2026-04-01".to_owned(),
            transport: None,
        }
    }
}

/// Makes the provider of one target. Sends nothing and asks nobody for a token: that is left to the first request.
///
/// # Errors
/// `Refused` for settings that cannot be used: an endpoint that is no URL, plain HTTP to another host, a connection
/// string of another store. `Denied` where a connection string is required and none is given.
pub fn connect(config: &Config, mut options: Options) -> Result<AppConfiguration> {
    let endpoint = options.endpoint_override.as_deref().unwrap_or(&config.endpoint);
    let endpoint = parse_endpoint(endpoint, config.allow_http)?;
    let authorities = config.ca_bundle.as_deref().map(network::read_authorities).transpose()?;
    if options.transport.is_none() {
        options.transport = Some(transport(authorities.as_deref(), config.allow_http)?);
    }
    let loopback = is_loopback(&endpoint);
    let counter = Counter::default();
    let pace = pace(config, options.share, &endpoint, loopback)?;
    let (client, chain) = sign_in(config, &options, &endpoint, (&counter, pace.clone()))?;
    let credential = chain.is_some().then_some(config.credential);
    let context = Context { endpoint: endpoint.origin().ascii_serialization(), credential };
    Ok(AppConfiguration {
        names: Names::new(config, &options.owner, &options.target_id),
        capabilities: capabilities(config, &options, pace.as_deref(), loopback)?,
        place: config.place(),
        owner: options.owner,
        store: Store { client, counter, context, pace, poll: loopback.then_some(LOOPBACK_POLL) },
        chain,
    })
}

/// Takes seats at the limiters of the store. One on loopback has no quota unless the file gives it one.
fn pace(config: &Config, share: Share, endpoint: &Url, loopback: bool) -> Result<Option<Arc<Pace>>> {
    if loopback && config.rates.is_none() {
        return Ok(None);
    }
    let share = config.rate_share.map_or(share, Share::all);
    if !Pace::is_positive(config.rates.as_ref(), share) {
        return Err(unusable("rates and rate_share let nothing through".to_owned()).with_hint("each must be above 0"));
    }
    // Embedded stores lie behind one endpoint, and each is named by the settings.
    let store = format!("{} at {}", config.endpoint.trim_end_matches('/').to_lowercase(), endpoint.authority());
    Ok(Some(Arc::new(Pace::join(&store, config.rates.as_ref(), share))))
}

fn capabilities(config: &Config, options: &Options, pace: Option<&Pace>, loopback: bool) -> Result<Capabilities> {
    let retention = parse_retention(&config.revision_retention).ok_or_else(|| {
        unusable(format!("revision_retention {:?} is no duration", config.revision_retention))
            .with_hint("write days or hours: 7d, 36h")
    })?;
    Ok(Capabilities {
        provider: "azure-app-configuration",
        serving: match config.serve {
            Serve::KeyValues => Serving::AtOnce,
            Serve::Snapshot(_) => Serving::Together,
        },
        serve: config.serve.to_string(),
        compare_and_swap: true,
        secrets: false,
        content_types: true,
        describes: true,
        dates_on_write: true,
        read_batch: 1,
        page: 100,
        max_document: MAX_DOCUMENT,
        versions_kept: None,
        versions_kept_for: Some(retention),
        parallel_writes: 8,
        rates: pace.map(|pace| pace.standing().allowed),
        // A lost write lands within its attempt or never, and our sync token makes the next read see it.
        settle: options.attempt_timeout,
        // Another process has no token of the write.
        read_lag: if loopback { Duration::ZERO } else { LAG },
    })
}

/// Makes the client, and what gives it tokens: `None` where a connection string signs.
fn sign_in(
    config: &Config,
    options: &Options,
    endpoint: &Url,
    watched: (&Counter, Option<Arc<Pace>>),
) -> Result<(AppConfigurationClient, Option<Arc<Chain>>)> {
    let kind = config.credential;
    let client_options = client_options(config, options, watched);
    let signed =
        matches!(kind, CredentialKind::Auto | CredentialKind::ConnectionString) || options.endpoint_override.is_some();
    match &options.connection_string {
        Some(text) if signed => {
            let client = AppConfigurationClient::from_connection_string(text.expose(), Some(client_options))
                .map_err(|error| unusable(error.to_string()).with_hint(mend(CredentialKind::ConnectionString)))?;
            // A connection string names a store of its own; writing to another than the file names must not happen.
            if client.endpoint().origin() != endpoint.origin() {
                return Err(unusable(format!(
                    "the connection string is for {}, but the endpoint is {endpoint}",
                    client.endpoint()
                ))
                .with_hint("let both name the same store"));
            }
            Ok((client, None))
        }
        _ if kind == CredentialKind::ConnectionString => {
            let message = "no connection string was given";
            Err(Error::new(ErrorKind::Denied, "connect", message).with_hint(mend(kind)))
        }
        _ if endpoint.scheme() != "https" => Err(unusable(format!("{endpoint} is plain HTTP"))
            .with_hint("access tokens travel over https only; on loopback use a connection string")),
        _ => {
            let chain = Chain::new(kind, options.transport.clone(), &|name| std::env::var(name).ok());
            let client = AppConfigurationClient::new(endpoint.as_str(), chain.clone(), Some(client_options))
                .map_err(|error| unusable(error.to_string()))?;
            Ok((client, Some(chain)))
        }
    }
}

fn client_options(
    config: &Config,
    options: &Options,
    (counter, pace): (&Counter, Option<Arc<Pace>>),
) -> AppConfigurationClientOptions {
    let retry = RetryOptions { attempt_timeout: options.attempt_timeout, ..RetryOptions::default() };
    let mut client_options = ClientOptions::default();
    client_options.per_try_policies.push(Arc::new(counter.clone()));
    client_options.transport = options.transport.clone();
    AppConfigurationClientOptions {
        api_version: options.api_version.clone(),
        client_options,
        per_attempt_policies: vec![Arc::new(Paced { pace, counter: counter.clone(), patience: retry.max_retry_after })],
        retry,
        allow_http: config.allow_http,
        ..Default::default()
    }
}

fn parse_endpoint(text: &str, allow_http: bool) -> Result<Url> {
    let endpoint = Url::parse(text).map_err(|_| {
        unusable(format!("the endpoint {text:?} is no URL")).with_hint("write https://<store>.azconfig.io")
    })?;
    match endpoint.scheme() {
        "https" => Ok(endpoint),
        "http" if allow_http || is_loopback(&endpoint) => Ok(endpoint),
        _ => Err(unusable(format!("the endpoint {text} is not https")).with_hint(
            "plain http is for loopback only: anybody on the way could read and change what is sent; `allow_http: true` \
             allows it",
        )),
    }
}

fn is_loopback(endpoint: &Url) -> bool {
    endpoint.host_str().is_some_and(network::is_loopback)
}

fn unusable(message: String) -> Error {
    Error::new(ErrorKind::Refused, "connect", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::config;

    fn options() -> Options {
        Options::new(Owner::parse("assistant-prod").unwrap(), "t1")
    }

    fn signed(endpoint: &str) -> Options {
        let text = format!("Endpoint={endpoint};Id=id-1;Secret=c2VjcmV0LW9mLXRoZS10ZXN0");
        Options { connection_string: Some(Secret::new(text)), ..options() }
    }

    #[test]
    fn plain_http_is_for_loopback() {
        for endpoint in ["http://contoso.azconfig.io", "ftp://127.0.0.1", "contoso.azconfig.io", ""] {
            let error = connect(&config(endpoint), options()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Refused, "{endpoint}");
        }
        for endpoint in ["http://127.0.0.1:8483", "http://[::1]:8483", "http://localhost:8483"] {
            assert!(connect(&config(endpoint), signed(endpoint)).is_ok(), "{endpoint}");
            // A token would be readable on its way.
            assert_eq!(connect(&config(endpoint), options()).unwrap_err().kind, ErrorKind::Refused, "{endpoint}");
        }
    }

    #[test]
    fn a_connection_string_of_another_store_is_refused() {
        let error = connect(&config("https://a.azconfig.io"), signed("https://b.azconfig.io")).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(error.message.contains("b.azconfig.io"), "{error}");
        assert!(connect(&config("https://a.azconfig.io/"), signed("https://A.azconfig.io")).is_ok());
    }

    #[test]
    fn a_required_connection_string_must_be_there() {
        let wanting = Config { credential: CredentialKind::ConnectionString, ..config("https://a.azconfig.io") };
        let error = connect(&wanting, options()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied);
        assert!(error.hint.is_some());
    }

    #[test]
    fn an_override_keeps_the_place() {
        let config = Config { credential: CredentialKind::AzureCli, ..config("https://a.azconfig.io") };
        let endpoint = "http://127.0.0.1:4711";
        let embedded = Options { endpoint_override: Some(endpoint.into()), ..signed(endpoint) };
        let provider = connect(&config, embedded).unwrap();
        assert_eq!(repin_provider::Provider::endpoint(&provider), endpoint);
        assert_eq!(provider.place, config.place());
        assert_eq!(provider.capabilities.rates, None);
        assert!(connect(&config, options()).unwrap().capabilities.rates.is_some());
    }

    #[test]
    fn a_retention_must_be_a_duration() {
        let config = Config { revision_retention: "a week".into(), ..config("https://a.azconfig.io") };
        assert_eq!(connect(&config, options()).unwrap_err().kind, ErrorKind::Refused);
    }

    #[test]
    fn debug_shows_no_credential() {
        let endpoint = "https://a.azconfig.io";
        let options = signed(endpoint);
        let provider = connect(&config(endpoint), options.clone()).unwrap();
        let printed = format!("{options:?} {provider:?}");
        assert!(!printed.contains("c2VjcmV0") && !printed.contains("secret-of"), "{printed}");
    }
}
