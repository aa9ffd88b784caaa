#![doc = include_str!("README.md")]

mod container;
pub(crate) mod entra;
mod managed;
pub(crate) mod service_account;
pub(crate) mod token;

use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::{Value, json};

use self::managed::Guard;
use self::token::Tokens;
use crate::aws::Aws;
use crate::clock::Clock;
use crate::counters::{Call, Counters};
use crate::server::{Half, MAX_BODY, Operation, Refusal};

const SERVICE: &str = "identity";

/// An answer before it is sent.
type Answer = Response;

/// Everything that hands out tokens and credentials, but STS.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    pub(crate) tokens: Tokens,
    pub(crate) aws: Arc<Aws>,
    /// Whose credentials containers get.
    pub(crate) account: String,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Endpoint<'a> {
    EntraToken(&'a str),
    OpenIdConfiguration(&'a str),
    InstanceDiscovery,
    Keys,
    MachineToken,
    AppServiceToken,
    ContainerCredentials,
    ServiceAccountToken,
    Unknown,
}

/// The fields of a form or a query.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    fn parse(bytes: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// Returns a field, if it is there and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        found.filter(|value| !value.is_empty())
    }
}

impl<'a> Endpoint<'a> {
    fn parse(method: &Method, path: &'a str) -> Self {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (method.as_str(), segments.as_slice()) {
            ("POST", [tenant, "oauth2", "v2.0", "token"]) => Self::EntraToken(tenant),
            ("GET", [tenant, "v2.0", ".well-known", "openid-configuration"]) => Self::OpenIdConfiguration(tenant),
            ("GET", ["common", "discovery", "instance"]) => Self::InstanceDiscovery,
            ("GET", [_, "discovery", "v2.0", "keys"]) => Self::Keys,
            ("GET", ["metadata", "identity", "oauth2", "token"]) => Self::MachineToken,
            ("GET", ["msi", "token"]) => Self::AppServiceToken,
            ("GET", ["credentials"]) => Self::ContainerCredentials,
            ("GET", ["service-account-token"]) => Self::ServiceAccountToken,
            _ => Self::Unknown,
        }
    }

    const fn operation(&self) -> &'static str {
        match self {
            Self::EntraToken(_) => "POST /{tenant}/oauth2/v2.0/token",
            Self::OpenIdConfiguration(_) => "GET /{tenant}/v2.0/.well-known/openid-configuration",
            Self::InstanceDiscovery => "GET /common/discovery/instance",
            Self::Keys => "GET /{tenant}/discovery/v2.0/keys",
            Self::MachineToken => "GET /metadata/identity/oauth2/token",
            Self::AppServiceToken => "GET /msi/token",
            Self::ContainerCredentials => "GET /credentials",
            Self::ServiceAccountToken => "GET /service-account-token",
            Self::Unknown => "GET /{unknown}",
        }
    }
}

impl Identity {
    /// Returns what the server needs to serve this.
    pub(crate) fn half(self: Arc<Self>) -> Half {
        Half { router: Router::new().fallback(serve).with_state(self), identify, refusal }
    }

    fn handle(&self, parts: &Parts, body: &[u8]) -> Answer {
        let now = self.clock.now();
        let endpoint = Endpoint::parse(&parts.method, parts.uri.path());
        let query = || Query::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let answer = match &endpoint {
            Endpoint::EntraToken(tenant) => entra::token(&self.tokens, tenant, &Query::parse(body), now),
            Endpoint::OpenIdConfiguration(tenant) => entra::openid_configuration(&self.base(&parts.headers), tenant),
            Endpoint::InstanceDiscovery => entra::instance_discovery(&self.base(&parts.headers)),
            Endpoint::Keys => entra::keys(),
            Endpoint::MachineToken => managed::token(&self.tokens, &Guard::Metadata, &parts.headers, &query(), now),
            Endpoint::AppServiceToken => managed::token(&self.tokens, &Guard::Secret, &parts.headers, &query(), now),
            Endpoint::ContainerCredentials if container::is_admitted(&self.tokens, &parts.headers, now) => {
                container::credentials(self.aws.session(&self.account, container::ROLE))
            }
            Endpoint::ContainerCredentials => container::refuse(),
            Endpoint::ServiceAccountToken => self.service_account_token(&query()),
            Endpoint::Unknown => respond(StatusCode::NOT_FOUND, &json!({ "error": "not_found" })),
        };
        self.counters.record(SERVICE, endpoint.operation(), answer.status().as_u16());
        answer
    }

    /// Answers a token as plain text, as it is to stand in a file.
    fn service_account_token(&self, query: &Query) -> Answer {
        match query.get("audience") {
            Some(audience) => service_account::issue(&self.tokens, audience, self.clock.now()).into_response(),
            None => respond(StatusCode::BAD_REQUEST, &json!({ "error": "the query must name an audience" })),
        }
    }

    /// Returns the address that a client reached this under.
    fn base(&self, headers: &HeaderMap) -> String {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        format!("{}://{host}", self.scheme)
    }
}

fn respond(status: StatusCode, body: &Value) -> Answer {
    (status, [(header::CONTENT_TYPE, "application/json; charset=utf-8")], body.to_string()).into_response()
}

async fn serve(State(identity): State<Arc<Identity>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match to_bytes(body, MAX_BODY).await {
        Ok(body) => identity.handle(&parts, &body),
        Err(_) => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
    }
}

fn identify(parts: &Parts, body: &[u8]) -> Operation {
    let endpoint = Endpoint::parse(&parts.method, parts.uri.path());
    let name = match endpoint {
        Endpoint::EntraToken(_) => Query::parse(body).get("client_id").map(str::to_owned),
        _ => None,
    };
    Operation { service: SERVICE, operation: endpoint.operation().to_owned(), name }
}

/// Writes a refusal that a fault asks for, in the form that OAuth has for errors.
fn refusal(_call: &Call, refusal: &Refusal) -> Response {
    respond(refusal.status, &json!({ "error": refusal.code, "error_description": refusal.message, "error_codes": [] }))
}
