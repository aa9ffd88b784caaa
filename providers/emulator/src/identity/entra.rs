//! Microsoft Entra ID: the token endpoint of one tenant, with what clients look up before they use it.
//!
//! Sources: *Microsoft identity platform*, client credentials flow and error codes; OpenID Connect discovery.

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::service_account::ENTRA_AUDIENCE;
use super::token::{Claims, Tokens, Untrusted};
use super::{Answer, Query, respond};
use crate::credentials::{AzureRole, ENTRA_CLIENT_SECRET, ENTRA_TENANT_ID, role_of};

/// How long an access token of an application is good for; the service says 60 to 90 minutes.
const LIFETIME: SignedDuration = SignedDuration::from_mins(60);

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The audiences of App Configuration in the public cloud. Tokens for others are issued and of no use there.
const APP_CONFIGURATION: [&str; 2] = ["https://appconfig.azure.com", "https://azconfig.io"];

/// Further resources that every tenant knows, so that a wrong audience can be asked for at all.
const OTHER_RESOURCES: [&str; 3] =
    ["https://management.azure.com", "https://vault.azure.net", "https://graph.microsoft.com"];

/// An error of the token endpoint.
struct Refusal {
    status: StatusCode,
    error: &'static str,
    /// The number of the `AADSTS` code.
    code: u32,
    text: String,
}

impl Refusal {
    fn new(error: &'static str, code: u32, text: impl Into<String>) -> Self {
        let status = if error == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
        Self { status, error, code, text: text.into() }
    }
}

/// Answers `POST /{tenant}/oauth2/v2.0/token`.
pub(super) fn token(tokens: &Tokens, tenant: &str, form: &Query, now: Timestamp) -> Answer {
    match grant(tokens, tenant, form, now) {
        Ok(token) => {
            let seconds = LIFETIME.as_secs();
            let body = json!({
                "token_type": "Bearer",
                "expires_in": seconds,
                "ext_expires_in": seconds,
                "access_token": token,
            });
            respond(StatusCode::OK, &body)
        }
        Err(refusal) => {
            let stamp = now.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
            let body = json!({
                "error": refusal.error,
                "error_description": format!("AADSTS{}: {}", refusal.code, refusal.text),
                "error_codes": [refusal.code],
                "timestamp": stamp,
            });
            respond(refusal.status, &body)
        }
    }
}

fn grant(tokens: &Tokens, tenant: &str, form: &Query, now: Timestamp) -> Result<String, Refusal> {
    if tenant != ENTRA_TENANT_ID {
        return Err(Refusal::new("invalid_request", 90_002, format!("Tenant '{tenant}' not found.")));
    }
    match form.get("grant_type") {
        Some("client_credentials") => {}
        Some(other) => {
            let text = format!("The grant type '{other}' is not supported over this endpoint.");
            return Err(Refusal::new("unsupported_grant_type", 70_003, text));
        }
        None => return Err(missing("grant_type")),
    }
    let client = form.get("client_id").ok_or_else(|| missing("client_id"))?;
    if role_of(client).is_none() {
        let text = format!("Application with identifier '{client}' was not found in the directory.");
        return Err(Refusal::new("unauthorized_client", 700_016, text));
    }
    authenticate(tokens, form, now)?;
    let scope = form.get("scope").ok_or_else(|| missing("scope"))?;
    let resource = scope.strip_suffix("/.default").ok_or_else(|| {
        let text = format!("The provided value for scope {scope} is not valid. It must end with '/.default'.");
        Refusal::new("invalid_scope", 1_002_012, text)
    })?;
    if !is_resource(resource) {
        let text = format!("The resource principal named {resource} was not found in the tenant.");
        return Err(Refusal::new("invalid_resource", 500_011, text));
    }
    Ok(access_token(tokens, client, resource, now, LIFETIME))
}

/// Checks the client's secret, or the assertion of a cluster that the application trusts.
fn authenticate(tokens: &Tokens, form: &Query, now: Timestamp) -> Result<(), Refusal> {
    if let Some(secret) = form.get("client_secret") {
        return match secret == ENTRA_CLIENT_SECRET {
            true => Ok(()),
            false => Err(Refusal::new("invalid_client", 7_000_215, "Invalid client secret provided.")),
        };
    }
    let Some(assertion) = form.get("client_assertion") else {
        let text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
        return Err(Refusal::new("invalid_client", 7_000_218, text));
    };
    if form.get("client_assertion_type") != Some(ASSERTION_TYPE) {
        let text = "The required field 'client_assertion_type' is missing or not supported.";
        return Err(Refusal::new("invalid_request", 900_144, text));
    }
    match tokens.verify(assertion, now) {
        Ok(claims) if claims.aud == ENTRA_AUDIENCE => Ok(()),
        Ok(claims) => {
            let text = format!(
                "No matching federated identity record found for presented assertion audience '{}'.",
                claims.aud
            );
            Err(Refusal::new("invalid_client", 700_212, text))
        }
        Err(Untrusted::Expired) => {
            Err(Refusal::new("invalid_client", 700_024, "Client assertion is not within its valid time range."))
        }
        Err(Untrusted::Forged) => {
            Err(Refusal::new("invalid_client", 700_027, "Client assertion failed signature validation."))
        }
    }
}

fn missing(name: &str) -> Refusal {
    Refusal::new(
        "invalid_request",
        900_144,
        format!("The request body must contain the following parameter: '{name}'."),
    )
}

/// Tells whether an audience is one that the tenant knows.
pub(super) fn is_resource(resource: &str) -> bool {
    let resource = resource.trim_end_matches('/');
    is_app_configuration(resource) || OTHER_RESOURCES.contains(&resource)
}

/// Tells whether an audience is that of an App Configuration store of the public cloud.
fn is_app_configuration(resource: &str) -> bool {
    let store = resource.strip_prefix("https://").and_then(|host| host.strip_suffix(".azconfig.io"));
    APP_CONFIGURATION.contains(&resource) || store.is_some_and(|store| !store.is_empty() && !store.contains('/'))
}

/// Makes an access token of an application.
pub(super) fn access_token(
    tokens: &Tokens,
    client: &str,
    resource: &str,
    now: Timestamp,
    lifetime: SignedDuration,
) -> String {
    let issuer = format!("https://sts.windows.net/{ENTRA_TENANT_ID}/");
    let mut claims = Claims::new(issuer, resource, client, now, lifetime);
    claims.tid = Some(ENTRA_TENANT_ID.to_owned());
    tokens.issue(&claims)
}

/// Returns what the application behind an access token may do in an App Configuration store; nothing where the token
/// is not good for one.
pub(crate) fn role_in_store(tokens: &Tokens, token: &str, now: Timestamp) -> Option<AzureRole> {
    let claims = tokens.verify(token, now).ok()?;
    let of_tenant = claims.tid.as_deref() == Some(ENTRA_TENANT_ID);
    let for_store = is_app_configuration(claims.aud.trim_end_matches('/'));
    (of_tenant && for_store).then(|| role_of(&claims.sub)).flatten()
}

/// Answers the OpenID configuration, which MSAL reads before it asks for a token.
pub(super) fn openid_configuration(base: &str, tenant: &str) -> Answer {
    if tenant != ENTRA_TENANT_ID {
        let text = format!("AADSTS90002: Tenant '{tenant}' not found.");
        let body = json!({ "error": "invalid_tenant", "error_description": text, "error_codes": [90_002] });
        return respond(StatusCode::BAD_REQUEST, &body);
    }
    let body = json!({
        "issuer": format!("{base}/{tenant}/v2.0"),
        "authorization_endpoint": format!("{base}/{tenant}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{base}/{tenant}/oauth2/v2.0/token"),
        "jwks_uri": format!("{base}/{tenant}/discovery/v2.0/keys"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        "response_types_supported": ["token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["HS256"],
    });
    respond(StatusCode::OK, &body)
}

/// Answers which authority is behind this host: the host itself.
pub(super) fn instance_discovery(base: &str) -> Answer {
    let host = base.split_once("://").map_or(base, |(_, host)| host);
    let body = json!({
        "tenant_discovery_endpoint": format!("{base}/{ENTRA_TENANT_ID}/v2.0/.well-known/openid-configuration"),
        "api-version": "1.1",
        "metadata": [{ "preferred_network": host, "preferred_cache": host, "aliases": [host] }],
    });
    respond(StatusCode::OK, &body)
}

/// Answers the keys that tokens are signed with: none are public.
pub(super) fn keys() -> Answer {
    respond(StatusCode::OK, &json!({ "keys": Value::Array(Vec::new()) }))
}
