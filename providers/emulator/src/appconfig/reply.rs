//! What goes back: replies, and refusals in the service's own words.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::model::{MAX_ITEM_BYTES, Rejection};
use crate::persist::PersistError;

pub(crate) const SYNC_TOKEN: HeaderName = HeaderName::from_static("sync-token");
pub(crate) const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
pub(crate) const MEMENTO_DATETIME: HeaderName = HeaderName::from_static("memento-datetime");
pub(crate) const OPERATION_LOCATION: HeaderName = HeaderName::from_static("operation-location");

const PROBLEM: &str = "application/problem+json; charset=utf-8";

/// What an access token that is not good is answered with (documented).
const TOKEN_CHALLENGE: &str =
    r#"HMAC-SHA256, Bearer error="invalid_token", error_description="Authorization token failed validation""#;

/// An answer in the making.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    body: Option<Value>,
}

impl Reply {
    /// Makes an answer without a body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: None }
    }

    /// Makes an answer with a JSON body of this media type.
    pub(crate) fn json(status: StatusCode, media: &'static str, body: Value) -> Self {
        let mut reply = Self::empty(status);
        reply.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        reply.body = Some(body);
        reply
    }

    /// Adds a header. What cannot be sent, such as a control character, is left out rather than failing the answer.
    pub(crate) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(name, value);
        }
        self
    }

    /// Turns into the response; an answer to HEAD has the headers only.
    pub(crate) fn into_response(self, with_body: bool) -> Response {
        let body = match self.body {
            Some(body) if with_body => Body::from(body.to_string()),
            _ => Body::empty(),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// Why a request has no effect.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Not signed as it should be; the text is the `error_description`, none if nothing was presented.
    Unauthorized(Option<String>),
    /// The access token is not good here.
    Token,
    /// A read-only key wrote, or an application lacks a role.
    Forbidden,
    NotFound,
    /// The resource has other methods, listed.
    NotAllowed(&'static str),
    /// A condition does not hold.
    Precondition,
    /// The body is of a media type that is not understood.
    MediaType,
    /// The key-value is too large.
    TooLarge {
        bytes: usize,
    },
    /// A parameter makes no sense; its name, and what is wrong.
    Invalid {
        name: String,
        detail: String,
    },
    Locked {
        key: String,
    },
    AlreadyExists,
    InvalidState,
    /// Come back after this many milliseconds.
    TooMany {
        retry_after_ms: u64,
    },
    /// The data could not be kept.
    Broken,
    /// Whatever a test asks for.
    Custom {
        status: StatusCode,
        kind: String,
        title: String,
        retry_after_ms: Option<u64>,
    },
}

impl Refused {
    /// Refuses a parameter.
    pub(crate) fn invalid(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid { name: name.into(), detail: detail.into() }
    }

    /// Writes the refusal. 401, 403, 404, 405, 412 and 415 have no body.
    pub(crate) fn into_reply(self) -> Reply {
        match self {
            Self::Unauthorized(why) => {
                Reply::empty(StatusCode::UNAUTHORIZED).with(header::WWW_AUTHENTICATE, &challenge(why.as_deref()))
            }
            Self::Token => Reply::empty(StatusCode::UNAUTHORIZED).with(header::WWW_AUTHENTICATE, TOKEN_CHALLENGE),
            Self::Forbidden => Reply::empty(StatusCode::FORBIDDEN),
            Self::NotFound => Reply::empty(StatusCode::NOT_FOUND),
            Self::NotAllowed(methods) => Reply::empty(StatusCode::METHOD_NOT_ALLOWED).with(header::ALLOW, methods),
            Self::Precondition => Reply::empty(StatusCode::PRECONDITION_FAILED),
            Self::MediaType => Reply::empty(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::TooLarge { bytes } => {
                let detail = format!("The key-value has {bytes} bytes; at most {MAX_ITEM_BYTES} are allowed.");
                let members = [("detail", detail.as_str())];
                problem(StatusCode::PAYLOAD_TOO_LARGE, "invalid-argument", "The request is too large", &members)
            }
            Self::Invalid { name, detail } => {
                let title = format!("Invalid request parameter '{name}'");
                let members = [("name", name.as_str()), ("detail", detail.as_str())];
                problem(StatusCode::BAD_REQUEST, "invalid-argument", &title, &members)
            }
            Self::Locked { key } => {
                let title = format!("Modifying key '{key}' is not allowed");
                let detail = "The key is read-only. To allow modification unlock it first.";
                problem(StatusCode::CONFLICT, "key-locked", &title, &[("name", key.as_str()), ("detail", detail)])
            }
            Self::AlreadyExists => {
                problem(StatusCode::CONFLICT, "already-exists", "The resource already exists.", &[("detail", "")])
            }
            Self::InvalidState => {
                let detail = "The target resource is not in a valid state to perform the requested operation.";
                problem(StatusCode::CONFLICT, "invalid-state", "Target resource state invalid.", &[("detail", detail)])
            }
            Self::TooMany { retry_after_ms } => {
                let members = [("policy", "Total Requests")];
                problem(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests", &members)
                    .with(RETRY_AFTER_MS, &retry_after_ms.to_string())
            }
            Self::Broken => {
                let title = "The emulator cannot keep its data";
                problem(StatusCode::INTERNAL_SERVER_ERROR, "server-error", title, &[])
            }
            Self::Custom { status, kind, title, retry_after_ms } => {
                let reply = problem(status, &kind, &title, &[]);
                match retry_after_ms {
                    Some(wait) => reply.with(RETRY_AFTER_MS, &wait.to_string()),
                    None => reply,
                }
            }
        }
    }
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::NotFound => Self::NotFound,
            Rejection::Precondition => Self::Precondition,
            Rejection::Locked { key } => Self::Locked { key },
            Rejection::AlreadyExists => Self::AlreadyExists,
            Rejection::InvalidState => Self::InvalidState,
            Rejection::TooLarge { bytes } => Self::TooLarge { bytes },
            Rejection::Invalid { name, detail } => Self::invalid(name, detail),
        }
    }
}

impl From<PersistError> for Refused {
    fn from(error: PersistError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "cannot keep a change");
        Self::Broken
    }
}

/// The `WWW-Authenticate` header; it names what went wrong once a signature was presented.
fn challenge(why: Option<&str>) -> String {
    match why {
        None => "HMAC-SHA256, Bearer".to_owned(),
        Some(why) => format!("HMAC-SHA256 error=\"invalid_token\" error_description=\"{why}\", Bearer"),
    }
}

/// Makes an error body after RFC 7807, with the service's own members between the title and the status.
fn problem(status: StatusCode, kind: &str, title: &str, members: &[(&str, &str)]) -> Reply {
    let kind = format!("https://azconfig.io/errors/{kind}");
    let texts = [("type", kind.as_str()), ("title", title)].into_iter().chain(members.iter().copied());
    let mut body: Map<String, Value> = texts.map(|(name, text)| (name.to_owned(), json!(text))).collect();
    body.insert("status".into(), json!(status.as_u16()));
    Reply::json(status, PROBLEM, Value::Object(body))
}
