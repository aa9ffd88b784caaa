//! Options of the client and of its methods.

use std::sync::Arc;
use std::time::Duration;

use azure_core::http::policies::Policy;
use azure_core::http::{ClientMethodOptions, ClientOptions};
use azure_core::time::OffsetDateTime;

use crate::error::{Error, Result};
use crate::filter::{Field, TagFilter};
use crate::retry::RetryOptions;

/// The api-version that is asked for unless told otherwise: what the service and the official emulator both know.
pub const DEFAULT_API_VERSION: &str = "2024-09-01";

/// The first api-version that knows descriptions.
pub(crate) const DESCRIPTIONS_SINCE: &str = "2026-04-01";

/// Options of a client.
#[derive(Debug, Clone)]
pub struct AppConfigurationClientOptions {
    /// The api-version to ask for.
    pub api_version: String,
    /// Policies, transport, logging and the like. Its `retry` is not used: see
    /// [`retry`](AppConfigurationClientOptions::retry).
    ///
    /// A policy in `per_try_policies` sees every attempt as it leaves, signed and with its sync token; the name of the
    /// call is in its context as [`Operation`](crate::Operation).
    pub client_options: ClientOptions,
    /// Policies that each attempt passes before it is signed and before the time that it may take begins: what may wait,
    /// such as for a limit of the caller's own, does so here.
    pub per_attempt_policies: Vec<Arc<dyn Policy>>,
    /// When an attempt is repeated, how long is waited, and how long one attempt may take.
    pub retry: RetryOptions,
    /// The audience of access tokens, such as `https://appconfig.azure.com`; `None` derives it from the endpoint.
    pub audience: Option<String>,
    /// Whether access keys may be used over plain HTTP on hosts other than loopback. Requests are signed there, but
    /// anybody on the way can read them. Access tokens are never sent over plain HTTP.
    pub allow_http: bool,
}

impl Default for AppConfigurationClientOptions {
    fn default() -> Self {
        Self {
            api_version: DEFAULT_API_VERSION.to_owned(),
            client_options: ClientOptions::default(),
            per_attempt_policies: Vec::new(),
            retry: RetryOptions::default(),
            audience: None,
            allow_http: false,
        }
    }
}

/// What must hold for a request to be carried out. Where it does not, the call fails with `PreconditionFailed`.
///
/// Reads take only [`Present`](Precondition::Present) and [`Etag`](Precondition::Etag): the other two would ask whether
/// something changed, for which there are methods that answer so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing is there (`If-None-Match: *`).
    Absent,
    /// Something is there (`If-Match: *`).
    Present,
    /// What is there has this etag, given without quotes (`If-Match`).
    Etag(String),
    /// What is there, if anything, has another etag than this, given without quotes (`If-None-Match`).
    NotEtag(String),
}

/// Puts an etag into quotes for a header.
pub(crate) fn quote_etag(etag: &str) -> Result<String> {
    let sendable = !etag.is_empty() && etag.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    if sendable {
        Ok(format!("\"{etag}\""))
    } else {
        Err(Error::invalid_input("an etag must be printable text without quotes"))
    }
}

macro_rules! method_options {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default)]
        pub struct $name<'a> {
            $($(#[$field_doc])* pub $field: $type,)*
            /// Context for the policies of this call.
            pub method_options: ClientMethodOptions<'a>,
        }
    };
}

method_options! {
    /// Options of reading one key-value.
    GetKeyValueOptions {
        /// The label; `None` is no label.
        label: Option<String>,
        /// What must hold.
        precondition: Option<Precondition>,
        /// Which members to return; empty returns all of them.
        select: Vec<Field>,
        /// Tags that must match, or it is not found. Needs api-version `2024-09-01`.
        tags: Vec<TagFilter>,
        /// Show it as it was then, as far back as revisions are kept. Whole seconds.
        accept_datetime: Option<OffsetDateTime>,
    }
}

method_options! {
    /// Options of writing one key-value.
    PutKeyValueOptions {
        /// The label; `None` is no label.
        label: Option<String>,
        /// What must hold.
        precondition: Option<Precondition>,
    }
}

method_options! {
    /// Options of deleting one key-value.
    DeleteKeyValueOptions {
        /// The label; `None` is no label.
        label: Option<String>,
        /// What must hold.
        precondition: Option<Precondition>,
    }
}

method_options! {
    /// Options of locking and unlocking one key-value.
    LockOptions {
        /// The label; `None` is no label.
        label: Option<String>,
        /// What must hold.
        precondition: Option<Precondition>,
    }
}

method_options! {
    /// Options of reading or checking one page.
    PageOptions {
        /// The etag, without quotes, that an earlier read of this page answered. An unchanged page is then answered
        /// as [`NotModified`](crate::NotModified), which costs neither side a body.
        if_none_match: Option<String>,
    }
}

method_options! {
    /// Options of a list.
    ListOptions {}
}

method_options! {
    /// Options of a list of keys or labels.
    ListNamesOptions {
        /// Show the names as they were then, as far back as revisions are kept. Whole seconds.
        accept_datetime: Option<OffsetDateTime>,
    }
}

method_options! {
    /// Options of beginning a snapshot and of asking how far it is.
    SnapshotOptions {}
}

method_options! {
    /// Options of reading one snapshot.
    GetSnapshotOptions {
        /// What must hold.
        precondition: Option<Precondition>,
    }
}

method_options! {
    /// Options of archiving and recovering one snapshot.
    UpdateSnapshotOptions {
        /// What must hold.
        precondition: Option<Precondition>,
    }
}

method_options! {
    /// Options of waiting for a snapshot to be made.
    SnapshotWaitOptions {
        /// How long to wait between two looks; `None` waits as long as the store asks, or one second.
        poll_interval: Option<Duration>,
        /// How long to wait in all, not counting the requests themselves; `None` waits five minutes.
        timeout: Option<Duration>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_cannot_break_out_of_their_header() {
        assert_eq!(quote_etag("a1-/=").unwrap(), "\"a1-/=\"");
        for bad in ["", "a\"b", "a\r\nb", "ü", "a b"] {
            assert!(quote_etag(bad).is_err(), "{bad:?}");
        }
    }
}
