//! The only place where a service's error becomes ours.
//!
//! Errors carry the service's words with every value cut out, and never the SDK's error itself: its chain and `Debug`
//! hold whatever the service chose to quote.

use std::error::Error as StdError;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use repin_provider::{Error, ErrorKind, Key, Outcome, Retry, trust_hint};

use crate::retry;

/// One call, for the messages about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    /// The operation as AWS names it.
    pub(crate) operation: &'static str,
    /// Where it went.
    pub(crate) endpoint: &'a str,
    /// The key it was about, if one.
    pub(crate) key: Option<&'a Key>,
    /// What it was about, where no key says so: a path, a document, a KMS key.
    pub(crate) about: &'a str,
    /// Whether it could change something. A write is not repeated where that could repeat its effect.
    pub(crate) writes: bool,
    /// The value that was sent, to be cut out of what the service answers.
    pub(crate) value: Option<&'a str>,
}

/// How far a failed call got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    /// It never left.
    Nowhere,
    /// It may have arrived; the answer did not.
    Perhaps,
    /// The service answered with this status.
    Answered(u16),
}

impl Call<'_> {
    /// Makes our error of the SDK's.
    pub(crate) fn failed<E>(&self, error: SdkError<E, HttpResponse>) -> Error
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        match &error {
            SdkError::ServiceError(service) => {
                let status = service.raw().status().as_u16();
                self.answered(status, service.err().code(), service.err().message())
            }
            SdkError::ResponseError(response) => {
                let status = response.raw().status().as_u16();
                self.unreadable(status)
            }
            _ => self.unanswered(&error),
        }
    }

    /// Makes an error that is ours from the start.
    pub(crate) fn error(&self, kind: ErrorKind, message: impl fmt::Display) -> Error {
        let about = if self.about.is_empty() { String::new() } else { format!("{}: ", self.about) };
        let error = Error::new(kind, self.operation, format!("{about}{message}"));
        match self.key {
            Some(key) => error.with_key(key),
            None => error,
        }
    }

    /// The service said no.
    fn answered(&self, status: u16, code: Option<&str>, message: Option<&str>) -> Error {
        let code = code.unwrap_or("an unknown error");
        let text = self.scrub(message.unwrap_or("no explanation"));
        let kind = kind_of(code, status);
        let cause = kms_cause(&text);
        let error = self
            .error(kind, format_args!("{} answered {code}: {text}", self.endpoint))
            .with_outcome(self.outcome(Reached::Answered(status)))
            .with_retry(self.retry(kind, Reached::Answered(status)));
        match hint(code, cause, &text) {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    /// The service answered, but not in its own language: a proxy in between, for example.
    fn unreadable(&self, status: u16) -> Error {
        let kind = if status >= 500 { ErrorKind::Unreachable } else { ErrorKind::Unexpected };
        self.error(kind, format_args!("{} answered HTTP {status} with a body that makes no sense", self.endpoint))
            .with_outcome(if self.writes { Outcome::Unknown } else { Outcome::NotDone })
            .with_retry(self.retry(kind, Reached::Answered(status)))
    }

    /// No answer, or the request never left.
    fn unanswered<E>(&self, error: &SdkError<E, HttpResponse>) -> Error
    where
        E: StdError + 'static,
    {
        if let Some(inner) = find::<Error>(error) {
            return self.credentials_refused(inner);
        }
        if let Some(credentials) = find::<CredentialsError>(error) {
            return self.no_credentials(credentials);
        }
        let (reached, kind) = match error {
            SdkError::ConstructionFailure(_) => (Reached::Nowhere, ErrorKind::Refused),
            _ if is_connect(error) => (Reached::Nowhere, ErrorKind::Unreachable),
            _ => (Reached::Perhaps, ErrorKind::Unreachable),
        };
        // Where there was no connection, the levels in between only say so again.
        let text = match (reached, levels(error).last()) {
            (Reached::Nowhere, Some(cause)) if kind == ErrorKind::Unreachable => cause.to_string(),
            _ => chain(error),
        };
        let text = self.scrub(&text);
        let error = self
            .error(kind, format_args!("no answer from {}: {text}", self.endpoint))
            .with_outcome(self.outcome(reached))
            .with_retry(self.retry(kind, reached));
        match trust_hint(&text) {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    /// Assuming the role failed, and that error is already one of ours.
    fn credentials_refused(&self, inner: &Error) -> Error {
        let error = self.error(inner.kind, format_args!("no credentials: {inner}")).with_retry(inner.retry);
        match &inner.hint {
            Some(hint) => error.with_hint(hint.clone()),
            None => error,
        }
    }

    /// Makes our error of what a provider of credentials says.
    pub(crate) fn unprovided(&self, error: &CredentialsError) -> Error {
        match find::<Error>(error) {
            Some(inner) => self.credentials_refused(inner),
            None => self.no_credentials(error),
        }
    }

    fn no_credentials(&self, error: &CredentialsError) -> Error {
        let text = self.scrub(&chain(error));
        let retry = match error {
            CredentialsError::ProviderTimedOut(_) => Retry::Temporary,
            _ => Retry::Permanent,
        };
        self.error(ErrorKind::Denied, format_args!("no credentials for {}: {text}", self.endpoint))
            .with_retry(retry)
            .with_hint(credentials_hint(&text))
    }

    fn outcome(&self, reached: Reached) -> Outcome {
        match reached {
            _ if !self.writes => Outcome::NotDone,
            Reached::Nowhere => Outcome::NotDone,
            Reached::Answered(status) if status < 500 => Outcome::NotDone,
            Reached::Perhaps | Reached::Answered(_) => Outcome::Unknown,
        }
    }

    /// Reads, and writes that were only throttled, were already repeated by the SDK.
    fn retry(&self, kind: ErrorKind, reached: Reached) -> Retry {
        let refused = matches!(reached, Reached::Answered(status) if status < 500);
        match kind {
            ErrorKind::Throttled | ErrorKind::Unreachable if !self.writes || refused => Retry::Persistent,
            ErrorKind::Throttled | ErrorKind::Unreachable => Retry::Temporary,
            _ => Retry::Permanent,
        }
    }

    /// Cuts the value that was sent out of a service's text, which may quote it, raw or escaped.
    fn scrub(&self, text: &str) -> String {
        /// Shorter values occur in any text by chance; cutting them out would only garble it.
        const SHORTEST: usize = 4;
        let Some(value) = self.value.filter(|value| !value.is_empty()) else { return text.to_owned() };
        let escaped = serde_json::Value::from(value).to_string();
        let escaped = escaped.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(&escaped);
        if !text.contains(value) && !text.contains(escaped) {
            return text.to_owned();
        }
        if value.len() < SHORTEST {
            return "(its words are left out: they may quote the value)".to_owned();
        }
        text.replace(value, "***").replace(escaped, "***")
    }
}

/// What a caller should do about a code.
fn kind_of(code: &str, status: u16) -> ErrorKind {
    match code {
        _ if retry::is_throttle(code) || code == retry::TOO_MANY_UPDATES => ErrorKind::Throttled,
        _ if is_denied(code) => ErrorKind::Denied,
        "ParameterAlreadyExists" => ErrorKind::AlreadyExists,
        "ParameterNotFound" | "ParameterVersionNotFound" | "InvalidResourceId" => ErrorKind::NotFound,
        "InvalidNextToken" => ErrorKind::Unexpected,
        _ if is_key_trouble(code) => ErrorKind::KeyUnusable,
        "InternalServerError" | "KMSInternalException" | "DependencyTimeoutException" => ErrorKind::Unreachable,
        _ if status >= 500 => ErrorKind::Unreachable,
        _ => ErrorKind::Refused,
    }
}

fn is_denied(code: &str) -> bool {
    const STARTS: [&str; 8] = [
        "AccessDenied",
        "ExpiredToken",
        "UnrecognizedClient",
        "InvalidSignature",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "IncompleteSignature",
        "SignatureDoesNotMatch",
    ];
    STARTS.iter().any(|start| code.starts_with(start))
        || matches!(code, "RequestExpired" | "NotAuthorized" | "OptInRequired" | "AuthFailure")
}

fn is_key_trouble(code: &str) -> bool {
    matches!(
        code,
        "InvalidKeyId"
            | "NotFoundException"
            | "DisabledException"
            | "InvalidArnException"
            | "InvalidKeyUsageException"
            | "KeyUnavailableException"
            | "KMSInvalidStateException"
    )
}

/// Returns the KMS code that SSM embeds in the text of `InvalidKeyId`: `... Error Code: DisabledException; ...`.
fn kms_cause(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("Error Code: ")?;
    Some(rest.split([';', ')', ' ']).next().unwrap_or(rest)).filter(|cause| !cause.is_empty())
}

/// What to do about a code, as a sentence.
fn hint(code: &str, cause: Option<&str>, text: &str) -> Option<&'static str> {
    match cause.unwrap_or(code) {
        "NotFoundException" | "InvalidArnException" => {
            Some("Check `kms_key`: the key must exist in the target's region, and be allowed to this account.")
        }
        "DisabledException" => Some("Enable the KMS key, or name another in `kms_key`."),
        "KMSInvalidStateException" => {
            Some("The KMS key is being deleted, or waits for its material: cancel that, or name another in `kms_key`.")
        }
        "InvalidKeyId" => Some("Check `kms_key` and the state of the key."),
        "ParameterMaxVersionLimitExceeded" => Some(
            "The store keeps 100 versions, and drops no version that a label names: move the label on the oldest to \
                 a newer one, or put that content again and move the label there.",
        ),
        "ParameterVersionNotFound" => Some("The store keeps the newest 100 versions; `repin history KEY` lists them."),
        "ParameterVersionLabelLimitExceeded" => {
            Some("A version takes ten labels: take labels that nobody reads off it, or choose another version.")
        }
        "ParameterLimitExceeded" => Some("The account holds as many parameters as its quota allows in this region."),
        code if code.starts_with("AccessDenied") && mentions_kms(text) => {
            Some("Allow kms:Encrypt, kms:GenerateDataKey and kms:Decrypt on `kms_key`; `repin iam` prints the policy.")
        }
        code if code.starts_with("AccessDenied") => Some("`repin iam` prints the policy that this file needs."),
        code if is_denied(code) => Some(credentials_hint(code)),
        _ => None,
    }
}

fn mentions_kms(text: &str) -> bool {
    text.contains("kms:") || text.contains("AWSKMS") || text.contains("ciphertext")
}

/// Says which credential to refresh.
fn credentials_hint(text: &str) -> &'static str {
    let lower = text.to_ascii_lowercase();
    if lower.contains("sso") {
        "The SSO session has ended: run `aws sso login` for this profile."
    } else if lower.contains("expiredtoken") || lower.contains("expired") {
        "The session token has expired: fetch new credentials and restart, since those of the environment are fixed."
    } else if lower.contains("invalidsignature") || lower.contains("signaturedoesnotmatch") {
        "The secret key does not belong to the access key, or this machine's clock is wrong."
    } else if lower.contains("unrecognizedclient") || lower.contains("invalidclienttokenid") {
        "The access key is not known: it was deleted, or belongs to another partition."
    } else {
        "Set AWS credentials in the environment, a `profile`, or the role of the machine; `repin doctor` tries them."
    }
}

/// Tells whether the connection was never made, so that nothing can have been done.
fn is_connect(error: &(dyn StdError + 'static)) -> bool {
    find::<hyper_util::client::legacy::Error>(error).is_some_and(hyper_util::client::legacy::Error::is_connect)
}

/// Walks an error and what caused it.
fn levels<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let level = next?;
        next = level.source();
        Some(level)
    })
}

/// Finds an error of one type in a chain.
fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    levels(error).find_map(|level| level.downcast_ref::<E>())
}

/// Joins a chain's texts, without repeating what the level above already said.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = String::new();
    for level in levels(error).map(ToString::to_string) {
        if text.is_empty() {
            text = level;
        } else if !text.contains(&level) {
            text = format!("{text}: {level}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUT: Call<'static> = Call {
        operation: "PutParameter",
        endpoint: "ssm.eu-west-1.amazonaws.com",
        key: None,
        about: "",
        writes: true,
        value: Some("s3cr\"et-value"),
    };
    const GET: Call<'static> = Call { operation: "GetParameters", writes: false, value: None, ..PUT };

    #[test]
    fn codes_say_what_to_do() {
        let cases = [
            ("ThrottlingException", 400, ErrorKind::Throttled),
            ("TooManyUpdates", 400, ErrorKind::Throttled),
            ("AccessDeniedException", 400, ErrorKind::Denied),
            ("ExpiredTokenException", 400, ErrorKind::Denied),
            ("UnrecognizedClientException", 400, ErrorKind::Denied),
            ("InvalidSignatureException", 400, ErrorKind::Denied),
            ("ParameterAlreadyExists", 400, ErrorKind::AlreadyExists),
            ("ParameterNotFound", 400, ErrorKind::NotFound),
            ("InvalidKeyId", 400, ErrorKind::KeyUnusable),
            ("ValidationException", 400, ErrorKind::Refused),
            ("HierarchyLevelLimitExceededException", 400, ErrorKind::Refused),
            ("ParameterPatternMismatchException", 400, ErrorKind::Refused),
            ("InternalServerError", 500, ErrorKind::Unreachable),
            ("SomethingNew", 503, ErrorKind::Unreachable),
        ];
        for (code, status, kind) in cases {
            assert_eq!(PUT.answered(status, Some(code), None).kind, kind, "{code}");
        }
    }

    #[test]
    fn only_a_definite_no_means_not_done() {
        assert_eq!(PUT.answered(400, Some("ValidationException"), None).outcome, Outcome::NotDone);
        assert_eq!(PUT.answered(400, Some("ThrottlingException"), None).outcome, Outcome::NotDone);
        assert_eq!(PUT.answered(500, Some("InternalServerError"), None).outcome, Outcome::Unknown);
        assert_eq!(PUT.unreadable(200).outcome, Outcome::Unknown);
        assert_eq!(GET.answered(500, Some("InternalServerError"), None).outcome, Outcome::NotDone);
    }

    #[test]
    fn what_was_repeated_already_is_persistent() {
        assert_eq!(PUT.answered(400, Some("ThrottlingException"), None).retry, Retry::Persistent);
        assert_eq!(PUT.answered(500, Some("InternalServerError"), None).retry, Retry::Temporary);
        assert_eq!(GET.answered(500, Some("InternalServerError"), None).retry, Retry::Persistent);
        assert_eq!(GET.answered(400, Some("AccessDeniedException"), None).retry, Retry::Permanent);
    }

    #[test]
    fn a_value_that_the_service_quotes_is_cut_out() {
        for quoted in ["value s3cr\"et-value is bad", r#"value "s3cr\"et-value" is bad"#] {
            let error = PUT.answered(400, Some("ValidationException"), Some(quoted));
            assert!(!format!("{error} {error:?}").contains("et-value"), "{error}");
            assert!(error.message.contains("***") && error.message.contains("is bad"), "{error}");
        }
        let short = Call { value: Some("on"), ..PUT };
        let error = short.answered(400, Some("ValidationException"), Some("value on is bad"));
        assert!(!error.message.contains("is bad"), "{error}");
    }

    #[test]
    fn the_kms_cause_gives_the_mend() {
        let text = "key is disabled. (Service: AWSKMS; Status Code: 400; Error Code: DisabledException; Request ID: x)";
        let error = PUT.answered(400, Some("InvalidKeyId"), Some(text));
        assert_eq!(error.kind, ErrorKind::KeyUnusable);
        assert!(error.hint.as_deref().unwrap().starts_with("Enable the KMS key"), "{error:?}");
        assert_eq!(kms_cause("no such thing"), None);
    }

    #[test]
    fn a_message_names_operation_place_and_key() {
        let key = Key::parse("chat/config").unwrap();
        let error = Call { key: Some(&key), ..GET }.answered(400, Some("AccessDeniedException"), Some("no"));
        assert_eq!(
            error.to_string(),
            "GetParameters chat/config: ssm.eu-west-1.amazonaws.com answered AccessDeniedException: no"
        );
    }
}
