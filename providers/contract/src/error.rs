//! Failures, on two axes: what the caller should do, and whether trying again is sensible.

use std::error::Error as StdError;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::Key;

/// What the caller should do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A create met something that is already there: look again and plan again.
    AlreadyExists,
    /// Somebody else wrote: the expected version is gone.
    Conflict,
    /// The thing asked for is not there.
    NotFound,
    /// Credentials are missing, expired or not allowed to do this.
    Denied,
    /// The credentials belong to another account than the file names.
    WrongAccount,
    /// The store asks for fewer requests.
    Throttled,
    /// The store did not answer, or only with an error of its own.
    Unreachable,
    /// The store refuses this content, now and always.
    Refused,
    /// The encryption key cannot be used: disabled, being deleted, of the wrong kind, not found.
    KeyUnusable,
    /// The answer makes no sense to us.
    Unexpected,
}

/// Whether trying again is sensible. Retry layers read only this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It will fail again until something is changed.
    Permanent,
    /// It may pass if tried again.
    Temporary,
    /// It was tried again, as often as makes sense, and failed each time.
    Persistent,
}

/// What a failed write may have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: the store said no, or the request never left.
    NotDone,
    /// Nobody knows: the answer was lost. Look before repeating.
    Unknown,
}

/// A failure of one call to a store. Never holds a value or a credential.
#[derive(Debug)]
pub struct Error {
    /// What the caller should do.
    pub kind: ErrorKind,
    /// Whether trying again is sensible.
    pub retry: Retry,
    /// What a write may have done.
    pub outcome: Outcome,
    /// The operation as the store names it: `PutParameter`, `PUT /kv`.
    pub operation: String,
    /// The key it was about, if one.
    pub key: Option<Key>,
    /// What happened, lower-case, fit for "failed to ...".
    pub message: String,
    /// What to do about it, as a sentence.
    pub hint: Option<String>,
    /// In milliseconds, and small: an error is a part of every result.
    retry_after: Option<NonZeroU32>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The result of a call to a store.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Makes an error that is permanent and did nothing; see the `with_` methods for the rest.
    pub fn new(kind: ErrorKind, operation: impl Into<String>, message: impl Into<String>) -> Self {
        let retry = match kind {
            ErrorKind::Throttled | ErrorKind::Unreachable => Retry::Temporary,
            _ => Retry::Permanent,
        };
        Self {
            kind,
            retry,
            outcome: Outcome::NotDone,
            operation: operation.into(),
            key: None,
            message: message.into(),
            hint: None,
            retry_after: None,
            source: None,
        }
    }

    /// Sets whether trying again is sensible.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Sets what the failed write may have done.
    #[must_use]
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// Names the key it was about.
    #[must_use]
    pub fn with_key(mut self, key: &Key) -> Self {
        self.key = Some(key.clone());
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says how long the store asks to be left alone.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        let millis = u32::try_from(retry_after.as_millis()).unwrap_or(u32::MAX);
        self.retry_after = NonZeroU32::new(millis);
        self
    }

    /// Returns how long the store asks to be left alone, where it says so: to the millisecond, 49 days at the most.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after.map(|millis| Duration::from_millis(millis.get().into()))
    }

    /// Keeps the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

/// Returns what to do where the text of a failure says that the other side of a connection did not prove who it is, or
/// speaks no TLS of today; `None` where it says something else.
///
/// The words are those of rustls, which every client of ours speaks TLS with; the tests of the network hold them fast.
pub fn trust_hint(told: &str) -> Option<&'static str> {
    if told.contains("invalid peer certificate") {
        Some(
            "it does not prove who it is: if its authority is your own, name that certificate with ca_bundle or \
             SSL_CERT_FILE; if not, something on the way answers in its place, or this host's clock is wrong",
        )
    } else if told.contains("peer is incompatible") {
        Some("TLS 1.2 or newer is needed; if the store speaks it, something on the way does not")
    } else {
        None
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{} {}: {}", self.operation, key, self.message),
            None => write!(f, "{}: {}", self.operation, self.message),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
