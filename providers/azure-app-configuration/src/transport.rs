//! The HTTP client below the SDK's pipelines: that of the store and those that get tokens.
//!
//! ```text
//! request ─▶ plain http to another host?  refused, unless the target allows it
//!         ─▶ this machine, or Azure's service for credentials?  straight there
//!         ─▶ else through the proxy that HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY name
//! answer  ─▶ read up to a limit; a redirection is an answer like others and never followed
//! ```
//! TLS is always verified: against what the system trusts, or `SSL_CERT_FILE` and `SSL_CERT_DIR` in its place, and
//! against the target's own authorities beside these. What developer tools such as `az` do is theirs.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::error::{Error as CoreError, ErrorKind as CoreErrorKind};
use azure_core::http::{AsyncRawResponse, HttpClient, Request, Transport, Url};
use futures::StreamExt as _;
use repin_provider::network::{self, MAX_ANSWER};
use repin_provider::{Error, ErrorKind, Result};
use reqwest::redirect;

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long nothing may come of an answer. What waits for one ends it earlier.
const SILENCE: Duration = Duration::from_secs(60);

/// Makes the transport of a target: the authorities that it trusts beside the system's, and whether plain http may leave
/// this machine. Roots of trust are loaded when the first request needs them.
///
/// # Errors
/// `Refused`, where a part of the authorities is no certificate of one.
pub(crate) fn transport(authorities: Option<&[u8]>, allow_http: bool) -> Result<Transport> {
    Ok(Transport::new(Arc::new(Guard::new(authorities, allow_http)?)))
}

/// Looks at where requests go, and bounds what comes back.
#[derive(Debug)]
struct Guard {
    authorities: Vec<reqwest::Certificate>,
    allow_http: bool,
    /// One client for each way, made when it is first gone.
    world: OnceLock<reqwest::Client>,
    local: OnceLock<reqwest::Client>,
    plain: OnceLock<reqwest::Client>,
}

impl Guard {
    fn new(authorities: Option<&[u8]>, allow_http: bool) -> Result<Self> {
        let parsed = authorities.map_or(Ok(Vec::new()), reqwest::Certificate::from_pem_bundle).map_err(unusable)?;
        if !parsed.is_empty() {
            // Whether each can be trusted is found out only by trying.
            builder().tls_certs_only(parsed.clone()).build().map_err(unusable)?;
        }
        let (world, local, plain) = Default::default();
        Ok(Self { authorities: parsed, allow_http, world, local, plain })
    }

    /// Returns the client for where a request goes.
    fn client(&self, url: &Url) -> azure_core::Result<&reqwest::Client> {
        let is_local = network::is_local(url.host_str().unwrap_or_default());
        let (known, builder) = match (url.scheme(), is_local) {
            // Without TLS there is nobody to trust, and loading whom one would is most of the work.
            ("http", true) => (&self.plain, builder().no_proxy().tls_certs_only([])),
            ("https", true) => (&self.local, builder().no_proxy().tls_certs_merge(self.authorities.clone())),
            ("http", false) if !self.allow_http => {
                let origin = url.origin().ascii_serialization();
                let message = format!("{origin} is plain http, and leads away from this machine");
                return Err(CoreError::with_message(CoreErrorKind::Connection, message));
            }
            _ => (&self.world, builder().tls_certs_merge(self.authorities.clone())),
        };
        if let Some(client) = known.get() {
            return Ok(client);
        }
        let client = builder.build().map_err(|error| {
            CoreError::with_error(CoreErrorKind::Connection, error, "the HTTP client cannot be made")
        })?;
        Ok(known.get_or_init(|| client))
    }
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder().connect_timeout(CONNECT).read_timeout(SILENCE).redirect(redirect::Policy::none())
}

fn unusable(error: reqwest::Error) -> Error {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    Error::new(ErrorKind::Refused, "connect", format!("ca_bundle: {text}"))
}

#[async_trait]
impl HttpClient for Guard {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let answer = self.client(request.url())?.execute_request(request).await?;
        Ok(limited(answer, MAX_ANSWER))
    }
}

/// Ends an answer with an error where it has more bytes than so many.
fn limited(answer: AsyncRawResponse, most: usize) -> AsyncRawResponse {
    let (status, headers, body) = answer.deconstruct();
    let mut left = most;
    let body = body.map(move |part| {
        let part = part?;
        left = left.checked_sub(part.len()).ok_or_else(|| {
            CoreError::with_message(CoreErrorKind::Io, format!("the answer has more than {} MB", most >> 20))
        })?;
        Ok(part)
    });
    AsyncRawResponse::new(status, headers, Box::pin(body))
}

#[cfg(test)]
mod tests {
    use azure_core::http::StatusCode;
    use azure_core::http::headers::Headers;

    use super::*;

    #[tokio::test]
    async fn an_answer_is_read_up_to_the_limit() {
        let answer = |parts: usize| {
            let parts = futures::stream::repeat_with(|| Ok(bytes::Bytes::from_static(&[b'x'; 1000]))).take(parts);
            AsyncRawResponse::new(StatusCode::Ok, Headers::new(), Box::pin(parts))
        };
        assert_eq!(limited(answer(4), 4000).into_body().collect().await.unwrap().len(), 4000);
        let error = limited(answer(5), 4999).into_body().collect().await.unwrap_err();
        assert!(error.to_string().contains("more than 0 MB"), "{error}");
    }

    #[test]
    fn plain_http_stays_on_this_machine_unless_allowed() {
        let url = |text: &str| Url::parse(text).unwrap();
        let strict = Guard::new(None, false).unwrap();
        for local in ["http://127.0.0.1:1/", "http://169.254.169.254/metadata", "http://localhost"] {
            assert!(strict.client(&url(local)).is_ok(), "{local}");
        }
        let error = strict.client(&url("http://login.example.com/x?secret=1")).unwrap_err();
        assert_eq!(error.to_string(), "http://login.example.com is plain http, and leads away from this machine");
        assert!(Guard::new(None, true).unwrap().client(&url("http://store.example.com")).is_ok());
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let error = Guard::new(Some(pem.as_bytes()), false).unwrap_err();
        assert!(error.message.starts_with("ca_bundle: "), "{error}");
    }
}
