//! Credentials of AWS containers: what an ECS task or an EKS pod asks its agent for.
//!
//! Sources: *Container credential provider* in the AWS SDKs and Tools Reference Guide; *EKS Pod Identity*.

use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use serde_json::json;

use super::service_account::POD_IDENTITY_AUDIENCE;
use super::token::Tokens;
use super::{Answer, respond};
use crate::aws::Session;
use crate::credentials::CONTAINER_TOKEN;

/// The role of a container.
pub(super) const ROLE: &str = "container";

/// Tells whether a container may have credentials: its `Authorization` is the task's token, or a service account's.
pub(super) fn is_admitted(tokens: &Tokens, headers: &HeaderMap, now: Timestamp) -> bool {
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    sent == CONTAINER_TOKEN || tokens.verify(sent, now).is_ok_and(|claims| claims.aud == POD_IDENTITY_AUDIENCE)
}

/// Answers a container that may not.
pub(super) fn refuse() -> Answer {
    let body = json!({ "code": "AccessDenied", "message": "the authorization token is missing or not good" });
    respond(StatusCode::UNAUTHORIZED, &body)
}

/// Answers a session's credentials, or that there is none.
pub(super) fn credentials(session: Option<Session>) -> Answer {
    let Some(session) = session else {
        let body = json!({ "code": "InternalServerException", "message": "no session could be made" });
        return respond(StatusCode::INTERNAL_SERVER_ERROR, &body);
    };
    let body = json!({
        "RoleArn": format!("arn:aws:iam::{}:role/{ROLE}", session.principal.account),
        "AccessKeyId": session.access_key_id,
        "SecretAccessKey": session.secret,
        "Token": session.token,
        "Expiration": session.expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "AccountId": session.principal.account,
    });
    respond(StatusCode::OK, &body)
}
