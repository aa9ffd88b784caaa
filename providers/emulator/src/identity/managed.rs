//! Managed identities: the instance metadata service of virtual machines, and the endpoint of App Service.
//!
//! Sources: *How to use managed identities on an Azure VM to acquire an access token*; *How to use managed identities
//! for App Service and Azure Functions*, REST endpoint reference.

use http::{HeaderMap, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::entra::{access_token, is_resource};
use super::token::Tokens;
use super::{Answer, Query, respond};
use crate::credentials::{ENTRA_CLIENT_ID, IDENTITY_HEADER, role_of};

/// How long a managed identity's token is good for.
const LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// What protects an endpoint from requests that were talked out of somebody.
pub(super) enum Guard {
    /// `Metadata: true`: virtual machines.
    Metadata,
    /// `X-IDENTITY-HEADER` with a secret: App Service.
    Secret,
}

/// Answers a request for a token. `client_id`, `object_id`, `principal_id` and `msi_res_id` name an identity; without
/// one it is the system's, a Data Owner.
pub(super) fn token(tokens: &Tokens, guard: &Guard, headers: &HeaderMap, query: &Query, now: Timestamp) -> Answer {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match guard {
        Guard::Metadata if header("metadata") != Some("true") => {
            return refuse(StatusCode::BAD_REQUEST, "invalid_request", "Required metadata header not specified");
        }
        Guard::Secret if header("x-identity-header") != Some(IDENTITY_HEADER) => {
            return refuse(StatusCode::UNAUTHORIZED, "unauthorized", "X-IDENTITY-HEADER is missing or wrong");
        }
        _ => {}
    }
    if query.get("api-version").is_none() {
        return refuse(StatusCode::BAD_REQUEST, "invalid_request", "Required query variable 'api-version' is missing");
    }
    let Some(resource) = query.get("resource") else {
        return refuse(StatusCode::BAD_REQUEST, "invalid_request", "Required query variable 'resource' is missing");
    };
    let named = ["client_id", "object_id", "principal_id", "msi_res_id", "mi_res_id"];
    let client = named.into_iter().find_map(|name| query.get(name)).unwrap_or(ENTRA_CLIENT_ID);
    // A resource id ends in the identity's name, which here is its client id.
    let client = client.rsplit('/').next().unwrap_or(client);
    if role_of(client).is_none() {
        return refuse(StatusCode::BAD_REQUEST, "invalid_request", "Identity not found");
    }
    if !is_resource(resource) {
        let text = format!("AADSTS500011: The resource principal named {resource} was not found in the tenant.");
        return refuse(StatusCode::BAD_REQUEST, "invalid_resource", &text);
    }
    let expires = now.as_second() + LIFETIME.as_secs();
    let body = json!({
        "access_token": access_token(tokens, client, resource, now, LIFETIME),
        "client_id": client,
        "expires_in": LIFETIME.as_secs().to_string(),
        "expires_on": expires.to_string(),
        "not_before": now.as_second().to_string(),
        "resource": resource,
        "token_type": "Bearer",
    });
    respond(StatusCode::OK, &body)
}

fn refuse(status: StatusCode, error: &str, text: &str) -> Answer {
    respond(status, &json!({ "error": error, "error_description": text }))
}
