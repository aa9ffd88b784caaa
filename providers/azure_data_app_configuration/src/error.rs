//! Failures, sorted by what a caller does about them.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use azure_core::error::ErrorKind as CoreErrorKind;
use azure_core::http::{RawResponse, StatusCode, headers::HeaderName};
use azure_core::time::OffsetDateTime;

use crate::problem::Problem;
use crate::retry::retry_after;

const WWW_AUTHENTICATE: HeaderName = HeaderName::from_static("www-authenticate");

/// The result of a call to the store.
pub type Result<T> = std::result::Result<T, Error>;

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Refused here, before anything was sent: an empty key, six alternatives in a filter, a bad connection string.
    InvalidInput,
    /// No access token could be got from the credential. Nothing was sent to the store.
    Credential,
    /// 401: the store does not accept who we are, or our clock is more than 15 minutes off.
    Unauthorized,
    /// 403: known, but not allowed to do this. New role assignments take up to 15 minutes.
    Forbidden,
    /// 404: there is no such thing.
    NotFound,
    /// 412: the precondition does not hold.
    PreconditionFailed,
    /// 409 `key-locked`: the key-value is read-only.
    Locked,
    /// 409 `already-exists`: the snapshot name is taken.
    AlreadyExists,
    /// 409 `invalid-state`: a snapshot is not in a state that allows this. Also another 409 without a known type.
    InvalidState,
    /// Another 4xx: the store refuses this request, now and always.
    Rejected,
    /// 429: the store asks for fewer requests; see [`Error::retry_after`].
    Throttled,
    /// 408 or 5xx: the store failed.
    Server,
    /// No connection was made, so nothing was sent.
    Connection,
    /// The answer was lost on the way or did not come in time; see [`Error::outcome`].
    Interrupted,
    /// The store answered something that makes no sense to this crate.
    UnexpectedResponse,
    /// The creation of a snapshot failed or was cancelled.
    SnapshotFailed,
    /// What was waited for did not happen in the time allowed.
    WaitTimeout,
}

/// What a failed write may have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Nothing: the store said no, or the request never left.
    NotDone,
    /// Nobody knows: the answer was lost, or the store failed while it worked. Read before repeating.
    Unknown,
}

/// A failure of one call. Holds no value, no credential and no response body beyond the parsed [`Problem`].
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    outcome: Outcome,
    operation: &'static str,
    message: String,
    status: Option<StatusCode>,
    problem: Option<Problem>,
    retry_after: Option<Duration>,
    date: Option<OffsetDateTime>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Returns what kind of failure it was.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns what the call may have done if it was a write.
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// Returns the operation: verb and resource, such as `PUT /kv`; empty where no call was made.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// Returns the HTTP status, where the store answered.
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// Returns what the store said in `application/problem+json`. 401, 403, 404 and 412 usually say nothing.
    pub fn problem(&self) -> Option<&Problem> {
        self.0.problem.as_ref()
    }

    /// Returns how long the store asks to wait: up to hours on a used-up daily quota.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns the store's clock when it answered, to the second.
    pub fn date(&self) -> Option<OffsetDateTime> {
        self.0.date
    }

    /// Tells whether the same call may pass later without anything being changed.
    ///
    /// For a write this says nothing about whether repeating is safe; [`Error::outcome`] does.
    pub fn is_transient(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Throttled | ErrorKind::Server | ErrorKind::Connection | ErrorKind::Interrupted)
    }

    pub(crate) fn new(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            outcome: Outcome::NotDone,
            operation,
            message: message.into(),
            status: None,
            problem: None,
            retry_after: None,
            date: None,
            source: None,
        }))
    }

    pub(crate) fn invalid_input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, "", message)
    }

    /// Makes an error for an answer that cannot be understood. What the call did is then unknown.
    pub(crate) fn unexpected(operation: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::UnexpectedResponse, operation, message).with_outcome(Outcome::Unknown)
    }

    pub(crate) fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.0.outcome = outcome;
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Makes an error of an answer that is not a success.
    pub(crate) fn from_response(operation: &'static str, response: &RawResponse) -> Self {
        let status = response.status();
        let retry_after = retry_after(response.headers());
        let problem = Problem::parse(response.body());
        let (kind, outcome) = classify(u16::from(status), problem.as_ref(), retry_after.is_some());
        let challenge = response.headers().get_optional_str(&WWW_AUTHENTICATE).and_then(error_description);
        let message = describe(status, problem.as_ref(), challenge);

        let mut error = Self::new(kind, operation, message).with_outcome(outcome);
        error.0.status = Some(status);
        error.0.problem = problem;
        error.0.retry_after = retry_after;
        error.0.date = crate::response::date(response.headers());
        error
    }

    /// Makes an error of a call that got no answer.
    pub(crate) fn from_core(operation: &'static str, error: azure_core::Error) -> Self {
        let (kind, outcome, message) = match error.kind() {
            CoreErrorKind::Connection => {
                (ErrorKind::Connection, Outcome::NotDone, "no connection to the store could be made")
            }
            CoreErrorKind::Credential => {
                (ErrorKind::Credential, Outcome::NotDone, "the credential gave no access token")
            }
            CoreErrorKind::Io => (ErrorKind::Interrupted, Outcome::Unknown, "the answer of the store was lost"),
            // A transport or a policy of the caller may fail with these at any point, so nothing is known.
            _ => (ErrorKind::UnexpectedResponse, Outcome::Unknown, "the request could not be carried out"),
        };
        Self::new(kind, operation, message).with_outcome(outcome).with_source(error)
    }
}

/// Returns the kind and the outcome that a status stands for.
fn classify(status: u16, problem: Option<&Problem>, asks_to_wait: bool) -> (ErrorKind, Outcome) {
    let kind = match status {
        401 => ErrorKind::Unauthorized,
        403 => ErrorKind::Forbidden,
        404 => ErrorKind::NotFound,
        409 => match problem.and_then(Problem::kind) {
            Some("key-locked") => ErrorKind::Locked,
            Some("already-exists") => ErrorKind::AlreadyExists,
            _ => ErrorKind::InvalidState,
        },
        412 => ErrorKind::PreconditionFailed,
        429 => ErrorKind::Throttled,
        408 | 500..=599 => ErrorKind::Server,
        400..=499 => ErrorKind::Rejected,
        _ => ErrorKind::UnexpectedResponse,
    };
    // A 503 that names a delay is a refusal at the door; the other failures may come from half-way through.
    let refused = status == 503 && asks_to_wait;
    let outcome = match kind {
        ErrorKind::Server if !refused => Outcome::Unknown,
        ErrorKind::UnexpectedResponse => Outcome::Unknown,
        _ => Outcome::NotDone,
    };
    (kind, outcome)
}

fn describe(status: StatusCode, problem: Option<&Problem>, challenge: Option<&str>) -> String {
    let said = problem.map(Problem::to_string).filter(|text| !text.is_empty());
    let said = said.as_deref().or(challenge);
    match said {
        Some(said) => format!("{} {}: {said}", u16::from(status), status.canonical_reason()),
        None => format!("{} {}", u16::from(status), status.canonical_reason()),
    }
}

/// Returns `error_description` of a `WWW-Authenticate` header, where the store says why it answered 401.
fn error_description(header: &str) -> Option<&str> {
    let (_, rest) = header.split_once("error_description=\"")?;
    rest.split_once('"').map(|(description, _)| description).filter(|description| !description.is_empty())
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.operation.is_empty() {
            f.write_str(&self.0.message)
        } else {
            write!(f, "{}: {}", self.0.operation, self.0.message)
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.debug_struct("Error")
            .field("kind", &inner.kind)
            .field("outcome", &inner.outcome)
            .field("operation", &inner.operation)
            .field("message", &inner.message)
            .field("status", &inner.status)
            .field("problem", &inner.problem)
            .field("retry_after", &inner.retry_after)
            .field("source", &inner.source)
            .finish_non_exhaustive()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use azure_core::http::headers::Headers;

    use super::*;

    fn response(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> RawResponse {
        let mut map = Headers::new();
        for (name, value) in headers {
            map.insert(*name, *value);
        }
        RawResponse::from_bytes(StatusCode::from(status), map, body.as_bytes().to_vec())
    }

    fn error(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Error {
        Error::from_response("PUT /kv", &response(status, headers, body))
    }

    #[test]
    fn conflicts_are_told_apart_by_their_type() {
        let locked = r#"{"type":"https://azconfig.io/errors/key-locked","title":"The key is read-only","name":"a"}"#;
        assert_eq!(error(409, &[], locked).kind(), ErrorKind::Locked);
        let exists = r#"{"type":"https://azconfig.io/errors/already-exists"}"#;
        assert_eq!(error(409, &[], exists).kind(), ErrorKind::AlreadyExists);
        assert_eq!(error(409, &[], "").kind(), ErrorKind::InvalidState);
    }

    #[test]
    fn only_failures_of_the_store_leave_the_outcome_open() {
        for status in [400, 401, 403, 404, 405, 409, 412, 413, 429] {
            assert_eq!(error(status, &[], "").outcome(), Outcome::NotDone, "{status}");
        }
        for status in [408, 500, 502, 503, 504, 302, 304] {
            assert_eq!(error(status, &[], "").outcome(), Outcome::Unknown, "{status}");
        }
        assert_eq!(error(503, &[("retry-after-ms", "10")], "").outcome(), Outcome::NotDone);
        assert_eq!(error(500, &[("retry-after-ms", "10")], "").outcome(), Outcome::Unknown);
    }

    #[test]
    fn a_401_says_why() {
        let why = r#"HMAC-SHA256 error="invalid_token" error_description="The access token has expired", Bearer"#;
        let error = error(401, &[("www-authenticate", why)], "");
        assert_eq!(error.to_string(), "PUT /kv: 401 Unauthorized: The access token has expired");
    }

    #[test]
    fn a_throttle_carries_its_delay_and_the_store_time() {
        let headers = [("retry-after-ms", "7200000"), ("date", "Sat, 21 Nov 2026 22:00:00 GMT")];
        let error = error(429, &headers, r#"{"policy":"Total Requests","status":429}"#);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7200)));
        assert_eq!(error.problem().and_then(|problem| problem.policy.as_deref()), Some("Total Requests"));
        assert_eq!(error.date().map(OffsetDateTime::unix_timestamp), Some(1_795_298_400));
    }
}
