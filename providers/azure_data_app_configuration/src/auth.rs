//! Who we are to the store: an access key that signs every attempt, or access tokens of Microsoft Entra ID.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::base64;
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind as CoreErrorKind;
use azure_core::hmac::hmac_sha256;
use azure_core::http::headers::{AUTHORIZATION, HeaderName, MS_DATE};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Body, Context, Request, Url};
use azure_core::time::{OffsetDateTime, to_rfc7231};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-ms-content-sha256");
/// The headers whose values are signed, in the order of the text that is signed.
const SIGNED_HEADERS: &str = "x-ms-date;host;x-ms-content-sha256";
/// The audience where the endpoint tells none.
const PUBLIC_AUDIENCE: &str = "https://appconfig.azure.com";

/// A parsed connection string: `Endpoint=<url>;Id=<id>;Secret=<base64>`, in any order.
#[derive(Clone)]
pub(crate) struct ConnectionString {
    pub(crate) endpoint: Url,
    pub(crate) key: AccessKey,
}

/// An access key of the store.
#[derive(Clone)]
pub(crate) struct AccessKey {
    id: String,
    secret: Secret,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey").finish_non_exhaustive()
    }
}

impl FromStr for ConnectionString {
    type Err = Error;

    // No message holds any of the text: it is all one secret to whoever logs the error.
    fn from_str(text: &str) -> Result<Self> {
        let [mut endpoint, mut id, mut secret] = [None, None, None];
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let bad = || Error::invalid_input("a connection string is Endpoint=...;Id=...;Secret=...");
            // Only the first `=` separates: a secret in base64 may end in others.
            let (name, value) = part.split_once('=').ok_or_else(bad)?;
            let slot = match name.trim().to_ascii_lowercase().as_str() {
                "endpoint" => &mut endpoint,
                "id" => &mut id,
                "secret" => &mut secret,
                _ => return Err(bad()),
            };
            if slot.replace(value.trim()).is_some() {
                return Err(Error::invalid_input("a part of the connection string is there twice"));
            }
        }
        let endpoint = parse_endpoint(present("Endpoint", endpoint)?)?;
        Ok(Self { endpoint, key: AccessKey::new(present("Id", id)?, present("Secret", secret)?)? })
    }
}

fn present<'a>(name: &str, value: Option<&'a str>) -> Result<&'a str> {
    value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| Error::invalid_input(format!("the connection string has no {name}")))
}

impl AccessKey {
    fn new(id: &str, secret: &str) -> Result<Self> {
        if !id.bytes().all(|byte| byte.is_ascii_graphic() && !b"&,".contains(&byte)) {
            return Err(Error::invalid_input("the Id of the connection string has characters that no id has"));
        }
        if base64::decode(secret).is_err() {
            return Err(Error::invalid_input("the Secret of the connection string is not base64"));
        }
        Ok(Self { id: id.to_owned(), secret: Secret::new(secret.to_owned()) })
    }

    /// Returns the `Authorization` header for a request.
    fn authorize(&self, parts: &SignedParts<'_>) -> azure_core::Result<String> {
        let signature = hmac_sha256(&parts.to_string(), &self.secret)?;
        Ok(format!("HMAC-SHA256 Credential={}&SignedHeaders={SIGNED_HEADERS}&Signature={signature}", self.id))
    }
}

/// What is signed. `Display` writes the text to sign.
struct SignedParts<'a> {
    method: &'a str,
    /// Exactly as on the wire.
    path_and_query: &'a str,
    date: &'a str,
    host: &'a str,
    content_hash: &'a str,
}

impl fmt::Display for SignedParts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, path_and_query, date, host, content_hash } = self;
        write!(f, "{method}\n{path_and_query}\n{date};{host};{content_hash}")
    }
}

/// Signs each attempt anew: the store refuses a signature older than 15 minutes.
#[derive(Debug)]
pub(crate) struct AccessKeyPolicy(pub(crate) AccessKey);

#[async_trait]
impl Policy for AccessKeyPolicy {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        self.sign(request, OffsetDateTime::now_utc()).map_err(|error| {
            azure_core::Error::with_error(CoreErrorKind::Credential, error, "the request could not be signed")
        })?;
        next[0].send(ctx, request, &next[1..]).await
    }
}

impl AccessKeyPolicy {
    fn sign(&self, request: &mut Request, now: OffsetDateTime) -> azure_core::Result<()> {
        let date = to_rfc7231(&now);
        let content_hash = content_hash(request.body())?;
        let authorization = self.0.authorize(&SignedParts {
            method: request.method().as_str(),
            path_and_query: &request.path_and_query(),
            date: &date,
            host: &host(request.url()),
            content_hash: &content_hash,
        })?;
        request.insert_header(MS_DATE, date);
        request.insert_header(CONTENT_SHA256, content_hash);
        request.insert_header(AUTHORIZATION, authorization);
        Ok(())
    }
}

fn content_hash(body: &Body) -> azure_core::Result<String> {
    match body {
        Body::Bytes(bytes) => Ok(base64::encode(Sha256::digest(bytes))),
        Body::SeekableStream(_) => {
            Err(azure_core::Error::with_message(CoreErrorKind::Other, "a streamed body cannot be signed"))
        }
    }
}

/// Returns the `Host` header that the transport will send: the port only where it is not the scheme's own.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Parses an endpoint: scheme, host and port, and nothing else.
pub(crate) fn parse_endpoint(text: &str) -> Result<Url> {
    let bad = |rule: &str| Error::invalid_input(format!("the endpoint {rule}"));
    let mut url = Url::parse(text.trim()).map_err(|_| bad("is no URL"))?;
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none_or(str::is_empty) {
        return Err(bad("must be an https URL with a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("must not hold credentials"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(bad("must end after host and port"));
    }
    url.set_path("");
    Ok(url)
}

/// Tells whether the endpoint is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    address.map_or_else(|_| host == "localhost" || host.ends_with(".localhost"), |address| address.is_loopback())
}

/// Returns the scope of access tokens for an endpoint.
///
/// As the service's clients do, the audience is the host from its `azconfig` or `appconfig` label on, which names the
/// cloud: `x.azconfig.azure.us` has the audience `https://azconfig.azure.us`.
pub(crate) fn scope(endpoint: &Url, audience: Option<&str>) -> String {
    let audience = audience.map_or_else(|| audience_of(endpoint.host_str().unwrap_or_default()), str::to_owned);
    let audience = audience.trim_end_matches('/');
    let audience = audience.strip_suffix("/.default").unwrap_or(audience);
    format!("{audience}/.default")
}

fn audience_of(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    let labels: Vec<_> = host.split('.').collect();
    // The first label is the store's own name, which may be anything.
    let cloud = (1..labels.len()).find(|&at| matches!(labels[at], "azconfig" | "appconfig"));
    cloud.map_or_else(|| PUBLIC_AUDIENCE.to_owned(), |at| format!("https://{}", labels[at..].join(".")))
}

/// Marks every failure to get a token as one: those of a credential come with the kinds of its own requests, and would
/// be taken for failures of the request to the store.
#[derive(Debug)]
pub(crate) struct MarkedCredential(pub(crate) Arc<dyn TokenCredential>);

#[async_trait]
impl TokenCredential for MarkedCredential {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        self.0.get_token(scopes, options).await.map_err(|error| {
            azure_core::Error::with_error(CoreErrorKind::Credential, error, "the credential gave no access token")
        })
    }
}

#[cfg(test)]
mod tests {
    use azure_core::http::Method;
    use azure_core::time::parse_rfc7231;

    use super::*;

    const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ=";

    fn sign(method: Method, url: &str, body: &'static str) -> Request {
        let mut request = Request::new(Url::parse(url).unwrap(), method);
        request.set_body(body);
        let policy = AccessKeyPolicy(AccessKey::new("id-0", SECRET).unwrap());
        policy.sign(&mut request, parse_rfc7231("Sat, 21 Nov 2026 22:00:00 GMT").unwrap()).unwrap();
        request
    }

    fn header(request: &Request, name: &'static str) -> String {
        request.headers().get_optional_string(&HeaderName::from_static(name)).unwrap()
    }

    // Computed with Python: base64(hmac.new(b64decode(SECRET), text, sha256).digest()) of the text to sign, whose
    // content hash is base64(sha256(body).digest()).
    #[test]
    fn signs_an_empty_body() {
        let request = sign(Method::Get, "https://s.azconfig.io/kv?key=a%2A&label=%00&api-version=2024-09-01", "");
        assert_eq!(header(&request, "x-ms-content-sha256"), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        assert_eq!(header(&request, "x-ms-date"), "Sat, 21 Nov 2026 22:00:00 GMT");
        assert_eq!(
            header(&request, "authorization"),
            "HMAC-SHA256 Credential=id-0&SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=rCGjheU/h4D5mxusvIp1m09xkHC7S9vzIlN+pjdF4Zg="
        );
    }

    #[test]
    fn signs_a_body_and_a_port() {
        let request = sign(Method::Put, "http://127.0.0.1:8483/kv/a%2Fb?api-version=2024-09-01", r#"{"value":"v"}"#);
        assert_eq!(header(&request, "x-ms-content-sha256"), "3rjsB0jRrbjW7rx9dxK1kkzGWIHAB06H7zA7vVd704M=");
        assert!(
            header(&request, "authorization").ends_with("&Signature=oS4kUggSKrlhpYJeVJZHujHqfIkAUozCHJ6WXNMdB98="),
            "{request:?}"
        );
    }

    #[test]
    fn reads_a_connection_string_in_any_order() {
        for text in [
            format!("Endpoint=https://s.azconfig.io;Id=id-0;Secret={SECRET}"),
            format!(" Secret={SECRET} ; Id=id-0; Endpoint=https://s.azconfig.io/ ;"),
            format!("secret={SECRET};ENDPOINT=https://s.azconfig.io;id=id-0"),
        ] {
            let parsed: ConnectionString = text.parse().unwrap();
            assert_eq!(parsed.endpoint.as_str(), "https://s.azconfig.io/");
            assert_eq!((parsed.key.id.as_str(), parsed.key.secret.secret()), ("id-0", SECRET));
        }
    }

    #[test]
    fn a_bad_connection_string_is_refused_without_being_repeated() {
        for text in [
            String::new(),
            format!("Id=id-0;Secret={SECRET}"),
            format!("Endpoint=https://s.azconfig.io;Id=;Secret={SECRET}"),
            format!("Endpoint=https://s.azconfig.io;Id=id-0;Id=id-0;Secret={SECRET}"),
            format!("Endpoint=https://s.azconfig.io;Id=id-0;Secret={SECRET}!"),
            format!("Endpoint=https://u:{SECRET}@s.azconfig.io;Id=id-0;Secret={SECRET}"),
            format!("Endpoint=https://s.azconfig.io/kv;Id=id-0;Secret={SECRET}"),
            format!("Endpoint=ftp://s.azconfig.io;Id=id-0;Secret={SECRET}"),
            SECRET.to_owned(),
        ] {
            let error = text.parse::<ConnectionString>().err().unwrap_or_else(|| panic!("{text} was taken"));
            assert!(!format!("{error} {error:?}").contains("c2Vjcm"), "{error}");
        }
    }

    #[test]
    fn keys_do_not_print() {
        let key = AccessKey::new("id-0", SECRET).unwrap();
        assert_eq!(format!("{:?}", AccessKeyPolicy(key)), "AccessKeyPolicy(AccessKey { .. })");
    }

    #[test]
    fn the_scope_follows_the_cloud() {
        let scope_of = |endpoint: &str| scope(&Url::parse(endpoint).unwrap(), None);
        assert_eq!(scope_of("https://s.azconfig.io"), "https://azconfig.io/.default");
        assert_eq!(scope_of("https://s-replica.azconfig.azure.us"), "https://azconfig.azure.us/.default");
        assert_eq!(scope_of("https://s.appconfig.azure.cn"), "https://appconfig.azure.cn/.default");
        assert_eq!(scope_of("https://azconfig.example.com"), "https://appconfig.azure.com/.default");
        assert_eq!(scope_of("https://10.0.0.1"), "https://appconfig.azure.com/.default");
        let endpoint = Url::parse("https://s.azconfig.io").unwrap();
        for audience in ["https://a.example", "https://a.example/", "https://a.example/.default"] {
            assert_eq!(scope(&endpoint, Some(audience)), "https://a.example/.default");
        }
    }

    #[test]
    fn loopback_is_recognised() {
        for yes in ["http://localhost:1", "http://127.0.0.1", "http://127.1.2.3:80", "http://[::1]:1"] {
            assert!(is_loopback(&Url::parse(yes).unwrap()), "{yes}");
        }
        for no in ["http://localhost.example", "http://10.0.0.1", "http://[2001:db8::1]", "http://127.0.0.1.example"] {
            assert!(!is_loopback(&Url::parse(no).unwrap()), "{no}");
        }
    }
}
