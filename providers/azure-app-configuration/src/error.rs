//! The only place where a failure of the store becomes ours.

use std::error::Error as StdError;
use std::time::Duration;

use azure_data_app_configuration as appconfig;
use jiff::Timestamp;
use repin_provider::{Error, ErrorKind, Key, Outcome, trust_hint};

use crate::CredentialKind;
use crate::credential::mend;

/// What every error of one target says beside what failed.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// Where requests go.
    pub(crate) endpoint: String,
    /// How we sign in; `None` where a connection string signs.
    pub(crate) credential: Option<CredentialKind>,
}

impl Context {
    /// Makes our error of one of the client's, about a key if there is one.
    pub(crate) fn error(&self, error: appconfig::Error, key: Option<&Key>) -> Error {
        let kind = kind(error.kind());
        let operation = if error.operation().is_empty() { "prepare request" } else { error.operation() };
        let mut ours = Error::new(kind, operation, self.message(&error)).with_outcome(match error.outcome() {
            appconfig::Outcome::NotDone => Outcome::NotDone,
            appconfig::Outcome::Unknown => Outcome::Unknown,
        });
        if let Some(hint) = self.hint(&error) {
            ours = ours.with_hint(hint);
        }
        if let Some(key) = key {
            ours = ours.with_key(key);
        }
        if let Some(delay) = error.retry_after() {
            ours = ours.with_retry_after(delay);
        }
        ours.with_source(error)
    }

    fn message(&self, error: &appconfig::Error) -> String {
        let said = error.to_string();
        // The client puts its operation first; ours says it already.
        let said = said.strip_prefix(error.operation()).map_or(said.as_str(), |rest| rest.trim_start_matches(": "));
        match error.kind() {
            appconfig::ErrorKind::Throttled => match error.retry_after() {
                Some(delay) => {
                    format!("{} asks to wait {}{}: {said}", self.endpoint, words(delay), until(delay, Timestamp::now()))
                }
                None => format!("{} asks for fewer requests: {said}", self.endpoint),
            },
            appconfig::ErrorKind::Credential => format!("{said} for {}{}", self.endpoint, causes(error)),
            appconfig::ErrorKind::Connection | appconfig::ErrorKind::Interrupted => {
                format!("{} did not answer: {said}{}", self.endpoint, cause(error))
            }
            appconfig::ErrorKind::Server => format!("{} failed: {said}", self.endpoint),
            _ => format!("{} answered {said}", self.endpoint),
        }
    }

    fn hint(&self, error: &appconfig::Error) -> Option<String> {
        let policy = error.problem().and_then(|problem| problem.policy.as_deref());
        Some(match (error.kind(), error.status().map(u16::from)) {
            (appconfig::ErrorKind::Credential, _) => mend(self.credential.unwrap_or_default()).to_owned(),
            (appconfig::ErrorKind::Unauthorized, _) if self.credential.is_none() => {
                "check the connection string (access keys are renewed and can be disabled) and this host's clock"
                    .to_owned()
            }
            (appconfig::ErrorKind::Unauthorized, _) => {
                "the token's tenant must be the store's; check the endpoint and this host's clock".to_owned()
            }
            (appconfig::ErrorKind::Forbidden, _) if self.credential.is_none() => {
                "a read-only access key cannot write; use a read-write one".to_owned()
            }
            (appconfig::ErrorKind::Forbidden, _) => {
                "assign the role \"App Configuration Data Owner\" on the store (\"App Configuration Data Reader\" is \
                 enough to plan); Contributor gives no access to data, and a new assignment takes up to 15 minutes"
                    .to_owned()
            }
            (appconfig::ErrorKind::Locked, _) => "unlock it: az appconfig kv unlock".to_owned(),
            (appconfig::ErrorKind::Throttled, _) if policy == Some("Storage") => {
                "the store is full: delete what is not needed or move to a larger tier".to_owned()
            }
            (appconfig::ErrorKind::Throttled, _) => {
                "the quota is shared by everything that uses the store; it resets each hour (on the free tier at \
                 midnight UTC)"
                    .to_owned()
            }
            (appconfig::ErrorKind::Rejected, Some(413)) => {
                "a key-value holds at most 10 KB with its key, label, content type and tags".to_owned()
            }
            (appconfig::ErrorKind::SnapshotFailed, _) => {
                "a snapshot holds at most 1 MB, and all snapshots of a store, archived ones too, share its snapshot \
                 storage (10 MB on Free, 500 MB on Developer, 1 GB on Standard); if it is neither, try again: the next \
                 attempt makes another one"
                    .to_owned()
            }
            (appconfig::ErrorKind::WaitTimeout, _) => {
                "the store is still making it: the next attempt waits for it again".to_owned()
            }
            (appconfig::ErrorKind::Connection, _) => trust_hint(&causes(error))
                .unwrap_or("check the endpoint's name, the network and, with a private endpoint, the DNS of this host")
                .to_owned(),
            _ => return None,
        })
    }
}

fn kind(kind: appconfig::ErrorKind) -> ErrorKind {
    match kind {
        appconfig::ErrorKind::Credential | appconfig::ErrorKind::Unauthorized | appconfig::ErrorKind::Forbidden => {
            ErrorKind::Denied
        }
        appconfig::ErrorKind::NotFound => ErrorKind::NotFound,
        appconfig::ErrorKind::PreconditionFailed => ErrorKind::Conflict,
        appconfig::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
        appconfig::ErrorKind::InvalidInput
        | appconfig::ErrorKind::Locked
        | appconfig::ErrorKind::InvalidState
        | appconfig::ErrorKind::SnapshotFailed
        | appconfig::ErrorKind::Rejected => ErrorKind::Refused,
        appconfig::ErrorKind::Throttled => ErrorKind::Throttled,
        appconfig::ErrorKind::Server
        | appconfig::ErrorKind::Connection
        | appconfig::ErrorKind::Interrupted
        | appconfig::ErrorKind::WaitTimeout => ErrorKind::Unreachable,
        _ => ErrorKind::Unexpected,
    }
}

/// Returns what was at the bottom of an error: the levels in between only say so again, in the words of each client.
fn cause(error: &appconfig::Error) -> String {
    let mut cause = error.source();
    while let Some(below) = cause.and_then(|error| error.source()) {
        cause = Some(below);
    }
    cause.map(|error| format!(": {error}")).unwrap_or_default()
}

/// Returns the causes of an error on one line, each said once.
fn causes(error: &appconfig::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Wrappers often repeat what they wrap.
        if !texts.iter().any(|said| said.contains(&text)) {
            texts.push(text);
        }
        cause = error.source();
    }
    texts.iter().map(|text| format!(": {text}")).collect()
}

/// Says when a wait ends, where it is long enough to come back later.
fn until(delay: Duration, now: Timestamp) -> String {
    const LONG: Duration = Duration::from_secs(60);
    match now.checked_add(delay) {
        Ok(end) if delay >= LONG => format!(", until {}", end.strftime("%Y-%m-%d %H:%MZ")),
        _ => String::new(),
    }
}

/// Says a duration as people do: `500 ms`, `45 s`, `2 h 5 min`.
fn words(delay: Duration) -> String {
    let seconds = delay.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds % 3600 / 60);
    match (hours, minutes, seconds) {
        (0, 0, 0) => format!("{} ms", delay.as_millis()),
        (0, 0, _) => format!("{seconds} s"),
        (0, _, _) => format!("{minutes} min"),
        (_, 0, _) => format!("{hours} h"),
        _ => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_waits_say_when_they_end() {
        let now = "2026-11-22T23:30:59Z".parse().unwrap();
        assert_eq!(until(Duration::from_secs(3600), now), ", until 2026-11-23 00:30Z");
        assert_eq!(until(Duration::from_secs(59), now), "");
        assert_eq!(until(Duration::MAX, now), "");
    }

    #[test]
    fn delays_are_said_in_words() {
        for (millis, text) in
            [(500, "500 ms"), (45_000, "45 s"), (60_000, "1 min"), (7_200_000, "2 h"), (7_500_000, "2 h 5 min")]
        {
            assert_eq!(words(Duration::from_millis(millis)), text);
        }
    }
}
