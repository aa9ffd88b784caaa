//! The client.

mod call;
mod key_values;
mod lists;
mod snapshots;

use std::fmt;
use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use azure_core::http::policies::Policy;
use azure_core::http::policies::auth::BearerTokenAuthorizationPolicy;
use azure_core::http::{Pipeline, RetryOptions as CoreRetryOptions, Url};

use crate::auth::{self, AccessKeyPolicy, ConnectionString, MarkedCredential};
use crate::error::{Error, Result};
use crate::options::AppConfigurationClientOptions;
use crate::retry::{AttemptPolicy, RetryPolicy};
use crate::sync_token::{SyncTokenPolicy, SyncTokens};
use crate::user_agent::UserAgentPolicy;

/// The name of a call, in the context of its request: `GET /kv`, `PUT /kv/{key}`.
///
/// A policy among the caller's `per_try_policies` reads it to count attempts by what they were for:
/// `ctx.value::<Operation>()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Operation(pub &'static str);

/// A client of one App Configuration store.
///
/// Clones are cheap and share connections and sync tokens. One client speaks to one endpoint: sync tokens and etags do
/// not hold on other replicas.
#[derive(Clone)]
pub struct AppConfigurationClient {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: Url,
    api_version: String,
    pipeline: Pipeline,
    sync_tokens: Arc<SyncTokens>,
    retry: crate::RetryOptions,
}

impl AppConfigurationClient {
    /// Makes a client that identifies itself with access tokens of Microsoft Entra ID.
    ///
    /// `endpoint` is scheme, host and port, such as `https://my-store.azconfig.io`.
    ///
    /// # Errors
    /// `InvalidInput` for an endpoint that is no such URL or not https: access tokens are never sent in the clear.
    pub fn new(
        endpoint: &str,
        credential: Arc<dyn TokenCredential>,
        options: Option<AppConfigurationClientOptions>,
    ) -> Result<Self> {
        let options = options.unwrap_or_default();
        let endpoint = auth::parse_endpoint(endpoint)?;
        if endpoint.scheme() != "https" {
            return Err(Error::invalid_input("access tokens are only sent to https endpoints"));
        }
        let scope = auth::scope(&endpoint, options.audience.as_deref());
        let credential = Arc::new(MarkedCredential(credential));
        let policy = BearerTokenAuthorizationPolicy::new(credential, [scope]);
        Self::with_policy(endpoint, Arc::new(policy), options)
    }

    /// Makes a client that signs its requests with an access key:
    /// `Endpoint=<url>;Id=<id>;Secret=<base64>`, in any order.
    ///
    /// # Errors
    /// `InvalidInput` for another text, and for a plain http endpoint that is neither on loopback nor
    /// [allowed](AppConfigurationClientOptions::allow_http). No error repeats the text.
    pub fn from_connection_string(
        connection_string: &str,
        options: Option<AppConfigurationClientOptions>,
    ) -> Result<Self> {
        let options = options.unwrap_or_default();
        let ConnectionString { endpoint, key } = connection_string.parse()?;
        if endpoint.scheme() != "https" && !options.allow_http && !auth::is_loopback(&endpoint) {
            return Err(Error::invalid_input("plain http is only allowed on loopback, or with allow_http"));
        }
        Self::with_policy(endpoint, Arc::new(AccessKeyPolicy(key)), options)
    }

    fn with_policy(
        endpoint: Url,
        authorization: Arc<dyn Policy>,
        options: AppConfigurationClientOptions,
    ) -> Result<Self> {
        let AppConfigurationClientOptions { api_version, mut client_options, per_attempt_policies, retry, .. } =
            options;
        let user_agent = UserAgentPolicy::new(&std::mem::take(&mut client_options.user_agent))?;
        // Among the caller's policies rather than ours: azure_core puts its own header after ours.
        client_options.per_call_policies.insert(0, Arc::new(user_agent));
        client_options.retry = CoreRetryOptions::none();

        let sync_tokens = Arc::new(SyncTokens::default());
        let mut per_try: Vec<Arc<dyn Policy>> = vec![Arc::new(RetryPolicy(retry.clone()))];
        per_try.extend(per_attempt_policies);
        per_try.push(Arc::new(SyncTokenPolicy(sync_tokens.clone())));
        per_try.push(authorization);
        per_try.push(Arc::new(AttemptPolicy { timeout: retry.attempt_timeout }));
        let name = option_env!("CARGO_PKG_NAME");
        let version = option_env!("CARGO_PKG_VERSION");
        let pipeline = Pipeline::new(name, version, client_options, Vec::new(), per_try, None);
        Ok(Self { inner: Arc::new(Inner { endpoint, api_version, pipeline, sync_tokens, retry }) })
    }

    /// Returns the endpoint.
    pub fn endpoint(&self) -> &Url {
        &self.inner.endpoint
    }

    /// Returns the api-version that is asked for.
    pub fn api_version(&self) -> &str {
        &self.inner.api_version
    }

    /// Takes in a sync token from elsewhere, such as the `syncToken` of an event, so that reads see at least that.
    pub fn add_sync_token(&self, token: &str) {
        self.inner.sync_tokens.update(token);
    }
}

impl fmt::Debug for AppConfigurationClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppConfigurationClient")
            .field("endpoint", &self.inner.endpoint.as_str())
            .field("api_version", &self.inner.api_version)
            .finish_non_exhaustive()
    }
}
