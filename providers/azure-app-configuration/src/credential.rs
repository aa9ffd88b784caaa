//! Where a token comes from, decided at the first request and not before.
//!
//! ```text
//!   auto:  workload identity ─▶ managed identity ─▶ developer tools      the first that gives a token is kept
//! ```
//!
//! A connection string comes before all of these, but it signs requests and needs no token; see `connect`.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::Result;
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::error::{Error, ErrorKind};
use azure_core::http::{ClientOptions, Context, Method, Request, StatusCode, Transport, Url};
use azure_core::time::OffsetDateTime;
use azure_identity::{
    AzureCliCredential, ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions,
    DeveloperToolsCredential, ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId,
    WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::CredentialKind;

/// How long a host may take to say that it is an Azure host. A metadata service answers within milliseconds; where
/// there is none, packets to its address are often dropped silently.
const PROBE: Duration = Duration::from_secs(1);

/// How long one source may take to give a token. The managed identity of `azure_identity` would try for 72 s.
const PATIENCE: Duration = Duration::from_secs(15);

/// Asked without the `Metadata` header, so Azure's service answers 400 and hands out nothing; another cloud's service
/// at the same address answers something else.
const METADATA: &str = "http://169.254.169.254/metadata/identity/oauth2/token";

const CLIENT_ID: &str = "AZURE_CLIENT_ID";
const TENANT_ID: &str = "AZURE_TENANT_ID";
const CLIENT_SECRET: &str = "AZURE_CLIENT_SECRET";
const TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";

/// Reads one variable of the environment; injected, so that tests need not change their process.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// One way to a token, ready to be tried.
#[derive(Clone)]
enum Source {
    WorkloadIdentity { client_id: String, tenant_id: String, token_file: String },
    ManagedIdentity { client_id: Option<String>, probe: bool },
    ClientSecret { client_id: String, tenant_id: String, secret: Secret },
    AzureCli,
    DeveloperTools,
}

impl Source {
    fn name(&self) -> &'static str {
        match self {
            Self::WorkloadIdentity { .. } => "workload identity",
            Self::ManagedIdentity { .. } => "managed identity",
            Self::ClientSecret { .. } => "client secret",
            Self::AzureCli => "az login",
            Self::DeveloperTools => "developer tools (az, azd)",
        }
    }

    /// Makes the credential. Left to the first request, since it loads certificates and may read files.
    fn build(&self, transport: Option<&Transport>) -> Result<Arc<dyn TokenCredential>> {
        let client_options = || ClientOptions { transport: transport.cloned(), ..ClientOptions::default() };
        Ok(match self {
            Self::WorkloadIdentity { client_id, tenant_id, token_file } => {
                WorkloadIdentityCredential::new(Some(WorkloadIdentityCredentialOptions {
                    client_id: Some(client_id.clone()),
                    tenant_id: Some(tenant_id.clone()),
                    token_file_path: Some(token_file.into()),
                    credential_options: ClientAssertionCredentialOptions { client_options: client_options() },
                }))?
            }
            Self::ManagedIdentity { client_id, .. } => {
                ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
                    user_assigned_id: client_id.clone().map(UserAssignedId::ClientId),
                    client_options: client_options(),
                }))?
            }
            Self::ClientSecret { client_id, tenant_id, secret } => {
                let options = ClientSecretCredentialOptions { client_options: client_options() };
                ClientSecretCredential::new(tenant_id, client_id.clone(), secret.clone(), Some(options))?
            }
            Self::AzureCli => AzureCliCredential::new(None)?,
            Self::DeveloperTools => DeveloperToolsCredential::new(None)?,
        })
    }

    /// Gets a first token and the credential that gave it.
    async fn open(
        &self,
        transport: Option<&Transport>,
        scopes: &[&str],
    ) -> Result<(AccessToken, Arc<dyn TokenCredential>)> {
        if let Self::ManagedIdentity { probe: true, .. } = self {
            probe_host(&transport.cloned().unwrap_or_default()).await?;
        }
        let credential = self.build(transport)?;
        let token = ask(&*credential, scopes, None).await?;
        Ok((token, credential))
    }
}

/// Asks for a token, but not for ever.
async fn ask(
    credential: &dyn TokenCredential,
    scopes: &[&str],
    options: Option<TokenRequestOptions<'_>>,
) -> Result<AccessToken> {
    timeout(PATIENCE, credential.get_token(scopes, options))
        .await
        .map_err(|_| failed(format!("no token within {} s", PATIENCE.as_secs())))?
}

/// Fails unless this host has Azure's metadata service.
async fn probe_host(transport: &Transport) -> Result<()> {
    let mut request = Request::new(Url::parse(METADATA)?, Method::Get);
    match timeout(PROBE, transport.send(&Context::new(), &mut request)).await {
        Ok(Ok(response)) if response.status() == StatusCode::BadRequest => Ok(()),
        Ok(Ok(response)) => {
            Err(failed(format!("the metadata service answered {}: not an Azure host", u16::from(response.status()))))
        }
        Ok(Err(_)) => Err(failed("no metadata service: not an Azure host")),
        Err(_) => Err(failed(format!("no metadata service answered within {} s", PROBE.as_secs()))),
    }
}

fn failed(message: impl Into<String>) -> Error {
    Error::with_message(ErrorKind::Credential, message.into())
}

/// Lists what to try, in order, and what cannot be tried with the reason.
fn sources(kind: CredentialKind, environment: Environment<'_>) -> (Vec<Source>, Vec<String>) {
    let wanted = |name: &str| environment(name).filter(|value| !value.is_empty());
    let missing = |names: &[&str]| {
        let unset: Vec<_> = names.iter().copied().filter(|name| wanted(name).is_none()).collect();
        format!("not set: {}", unset.join(", "))
    };
    let workload = || match (wanted(CLIENT_ID), wanted(TENANT_ID), wanted(TOKEN_FILE)) {
        (Some(client_id), Some(tenant_id), Some(token_file)) => {
            Ok(Source::WorkloadIdentity { client_id, tenant_id, token_file })
        }
        _ => Err(format!("workload identity: {}", missing(&[CLIENT_ID, TENANT_ID, TOKEN_FILE]))),
    };
    // Off a virtual machine (App Service, Container Apps) the platform says where to ask: nothing to probe.
    let told = wanted("IDENTITY_ENDPOINT").is_some() || wanted("MSI_ENDPOINT").is_some();
    let managed = |probe| Source::ManagedIdentity { client_id: wanted(CLIENT_ID), probe };
    let tried = match kind {
        CredentialKind::Auto => vec![workload(), Ok(managed(!told)), Ok(Source::DeveloperTools)],
        CredentialKind::WorkloadIdentity => vec![workload()],
        CredentialKind::ManagedIdentity => vec![Ok(managed(false))],
        CredentialKind::AzureCli => vec![Ok(Source::AzureCli)],
        CredentialKind::ClientSecret => {
            vec![match (wanted(CLIENT_ID), wanted(TENANT_ID), wanted(CLIENT_SECRET)) {
                (Some(client_id), Some(tenant_id), Some(secret)) => {
                    Ok(Source::ClientSecret { client_id, tenant_id, secret: Secret::new(secret) })
                }
                _ => Err(format!("client secret: {}", missing(&[CLIENT_ID, TENANT_ID, CLIENT_SECRET]))),
            }]
        }
        CredentialKind::ConnectionString => Vec::new(),
    };
    let mut ready = Vec::new();
    let mut passed_over = Vec::new();
    for source in tried {
        match source {
            Ok(source) => ready.push(source),
            Err(why) => passed_over.push(why),
        }
    }
    (ready, passed_over)
}

/// Says what to do where no credential works.
pub(crate) fn mend(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::Auto => {
            "sign in with `az login`, give this host a managed identity, or set `connection_string`; \
             `credential` chooses one kind"
        }
        CredentialKind::AzureCli => "sign in with `az login`",
        CredentialKind::ManagedIdentity => {
            "assign a managed identity to this host; for a user-assigned one set AZURE_CLIENT_ID"
        }
        CredentialKind::WorkloadIdentity => {
            "check that the pod's service account is annotated and labelled for workload identity, so that \
             AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_FEDERATED_TOKEN_FILE are set"
        }
        CredentialKind::ClientSecret => "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET",
        CredentialKind::ConnectionString => "set `connection_string: {env: NAME}` or `{file: PATH}`",
    }
}

/// A credential that tries its sources in order and keeps the first that gives a token.
pub(crate) struct Chain {
    sources: Vec<Source>,
    passed_over: Vec<String>,
    /// What carries the requests for tokens.
    transport: Option<Transport>,
    chosen: Mutex<Option<(&'static str, Arc<dyn TokenCredential>)>>,
    /// What gave the last token, and when that ends.
    last: std::sync::Mutex<Option<(&'static str, OffsetDateTime)>>,
}

impl Chain {
    /// Makes the chain of one kind; sends nothing and reads nothing but the environment.
    pub(crate) fn new(kind: CredentialKind, transport: Option<Transport>, environment: Environment<'_>) -> Arc<Self> {
        let (sources, passed_over) = sources(kind, environment);
        Arc::new(Self { sources, passed_over, transport, chosen: Mutex::new(None), last: std::sync::Mutex::default() })
    }

    /// Tries one source after the other. The error names each with its reason.
    async fn choose(&self, scopes: &[&str]) -> Result<(AccessToken, (&'static str, Arc<dyn TokenCredential>))> {
        let mut reasons = self.passed_over.clone();
        for source in &self.sources {
            match source.open(self.transport.as_ref(), scopes).await {
                Ok((token, credential)) => {
                    tracing::debug!(credential = source.name(), "signed in");
                    return Ok((token, (source.name(), credential)));
                }
                Err(error) => reasons.push(format!("{}: {}", source.name(), first_lines(&error))),
            }
        }
        Err(failed(format!("no credential worked: {}", reasons.join("; "))))
    }

    /// Returns what gave the last token, and when that ends; `None` before the first.
    pub(crate) fn last(&self) -> Option<(&'static str, OffsetDateTime)> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, source: &'static str, token: &AccessToken) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((source, token.expires_on));
    }
}

/// Puts an error and its causes on one line.
fn first_lines(error: &Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    texts.dedup();
    texts.join(": ").split_whitespace().collect::<Vec<_>>().join(" ")
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.sources.iter().map(Source::name)).finish()
    }
}

#[async_trait]
impl TokenCredential for Chain {
    async fn get_token(&self, scopes: &[&str], options: Option<TokenRequestOptions<'_>>) -> Result<AccessToken> {
        // Held while choosing, so that requests that start together sign in once.
        let mut chosen = self.chosen.lock().await;
        if let Some((source, credential)) = chosen.clone() {
            drop(chosen);
            let token = ask(&*credential, scopes, options).await?;
            self.note(source, &token);
            return Ok(token);
        }
        let (token, opened) = self.choose(scopes).await?;
        self.note(opened.0, &token);
        *chosen = Some(opened);
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use azure_core::http::headers::Headers;
    use azure_core::http::{AsyncRawResponse, HttpClient};

    use super::*;

    fn names(kind: CredentialKind, set: &[&str]) -> (Vec<&'static str>, Vec<String>) {
        let environment = |name: &str| set.contains(&name).then(|| "x".to_owned());
        let (ready, passed_over) = sources(kind, &environment);
        (ready.iter().map(Source::name).collect(), passed_over)
    }

    #[test]
    fn auto_tries_what_the_environment_offers_in_order() {
        let all = [CLIENT_ID, TENANT_ID, TOKEN_FILE];
        let (ready, passed_over) = names(CredentialKind::Auto, &all);
        assert_eq!(ready, ["workload identity", "managed identity", "developer tools (az, azd)"]);
        assert!(passed_over.is_empty());
        let (ready, passed_over) = names(CredentialKind::Auto, &[CLIENT_ID]);
        assert_eq!(ready, ["managed identity", "developer tools (az, azd)"]);
        assert_eq!(passed_over, ["workload identity: not set: AZURE_TENANT_ID, AZURE_FEDERATED_TOKEN_FILE"]);
    }

    #[test]
    fn an_explicit_kind_is_the_only_one() {
        assert_eq!(names(CredentialKind::AzureCli, &[]).0, ["az login"]);
        assert_eq!(names(CredentialKind::ManagedIdentity, &[]).0, ["managed identity"]);
        let (ready, passed_over) = names(CredentialKind::ClientSecret, &[CLIENT_ID, TENANT_ID]);
        assert!(ready.is_empty());
        assert_eq!(passed_over, ["client secret: not set: AZURE_CLIENT_SECRET"]);
    }

    #[test]
    fn only_a_bare_host_is_probed() {
        let probed = |set: &[&str]| {
            let environment = |name: &str| set.contains(&name).then(|| "x".to_owned());
            let (ready, _) = sources(CredentialKind::Auto, &environment);
            ready.iter().any(|source| matches!(source, Source::ManagedIdentity { probe: true, .. }))
        };
        assert!(probed(&[]));
        assert!(!probed(&["IDENTITY_ENDPOINT"]));
    }

    #[tokio::test]
    async fn an_error_says_everything_that_was_tried() {
        let chain = Chain::new(CredentialKind::WorkloadIdentity, None, &|_| None);
        let error = chain.get_token(&["scope"], None).await.expect_err("nothing is set");
        assert_eq!(
            error.to_string(),
            "no credential worked: workload identity: \
             not set: AZURE_CLIENT_ID, AZURE_TENANT_ID, AZURE_FEDERATED_TOKEN_FILE"
        );
    }

    #[derive(Debug)]
    struct Answers(Option<StatusCode>);

    #[async_trait]
    impl HttpClient for Answers {
        async fn execute_request(&self, request: &Request) -> Result<AsyncRawResponse> {
            assert_eq!(request.url().as_str(), METADATA);
            match self.0 {
                Some(status) => Ok(AsyncRawResponse::from_bytes(status, Headers::new(), Vec::new())),
                None => std::future::pending().await,
            }
        }
    }

    fn answers(status: Option<StatusCode>) -> Transport {
        Transport::new(Arc::new(Answers(status)))
    }

    #[tokio::test(start_paused = true)]
    async fn another_clouds_metadata_service_is_not_taken_for_azures() {
        assert!(probe_host(&answers(Some(StatusCode::BadRequest))).await.is_ok());
        for (answer, text) in [
            (Some(StatusCode::NotFound), "answered 404"),
            (Some(StatusCode::Unauthorized), "401"),
            (None, "within 1 s"),
        ] {
            let error = probe_host(&answers(answer)).await.expect_err("no Azure host");
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
