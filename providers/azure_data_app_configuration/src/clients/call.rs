//! One call: its URL and headers, and what its answer must be.

use azure_core::http::headers::{ACCEPT, CONTENT_TYPE, HeaderName, IF_MATCH};
use azure_core::http::{Context, Method, PipelineSendOptions, RawResponse, Request, StatusCode, Url};
use azure_core::time::{OffsetDateTime, to_rfc7231};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{AppConfigurationClient, Operation};
use crate::error::{Error, Result};
use crate::models::{Conditional, NextLink, NotModified};
use crate::options::{DESCRIPTIONS_SINCE, Precondition, quote_etag};
use crate::response::{Response, ResponseMeta, next_link};

pub(super) const IF_NONE_MATCH: HeaderName = HeaderName::from_static("if-none-match");
const ACCEPT_DATETIME: HeaderName = HeaderName::from_static("accept-datetime");

/// Everything but the unreserved characters of RFC 3986. The URL parser leaves what is encoded alone, whereas it would
/// drop a tab and read `\` and `?` as its own.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A request on its way.
pub(super) struct Call {
    operation: &'static str,
    request: Request,
    /// Whether 304 is an answer rather than a mistake of the store.
    may_be_unmodified: bool,
}

impl AppConfigurationClient {
    /// Begins a call. `name` is the last segment of the path, if there is one.
    pub(super) fn call(
        &self,
        operation: &'static str,
        method: Method,
        resource: &str,
        name: Option<&str>,
        query: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Call> {
        let mut url = self.inner.endpoint.clone();
        url.set_path(&path(resource, name)?);
        let api_version = ("api-version", self.inner.api_version.clone());
        url.set_query(Some(&query_string(query.into_iter().chain([api_version]))));
        Ok(Call { operation, request: Request::new(url, method), may_be_unmodified: false })
    }

    /// Begins a call of the store's own link.
    pub(super) fn call_link(&self, operation: &'static str, method: Method, link: &NextLink) -> Result<Call> {
        let url = resolve(&self.inner.endpoint, link)
            .ok_or_else(|| Error::unexpected(operation, "the link to the next page leads away from the store"))?;
        Ok(Call { operation, request: Request::new(url, method), may_be_unmodified: false })
    }

    /// Sends a call. Answers are 2xx, or 304 where the call is conditional on a change.
    pub(super) async fn send(&self, mut call: Call, context: &Context<'_>) -> Result<RawResponse> {
        let context = context.to_borrowed().with_value(Operation(call.operation));
        // Our own errors say more than those that azure_core makes of a status.
        let options = PipelineSendOptions { skip_checks: true, ..PipelineSendOptions::default() };
        let response = self
            .inner
            .pipeline
            .send(&context, &mut call.request, Some(options))
            .await
            .map_err(|error| Error::from_core(call.operation, error))?;
        let status = response.status();
        if status.is_success() || (call.may_be_unmodified && status == StatusCode::NotModified) {
            Ok(response)
        } else {
            Err(Error::from_response(call.operation, &response))
        }
    }

    /// Sends a call whose answer has a model in its body.
    pub(super) async fn fetch<T: DeserializeOwned>(&self, call: Call, context: &Context<'_>) -> Result<Response<T>> {
        let operation = call.operation;
        let response = self.send(call, context).await?;
        Ok(Response { model: parse(operation, &response)?, meta: ResponseMeta::new(&response) })
    }

    /// Refuses a description that the api-version would drop without a word.
    pub(super) fn check_description(&self, description: Option<&str>) -> Result<()> {
        if description.is_some() && self.inner.api_version.as_str() < DESCRIPTIONS_SINCE {
            return Err(Error::invalid_input(format!("descriptions need api-version {DESCRIPTIONS_SINCE}")));
        }
        Ok(())
    }
}

impl Call {
    /// Names the media type wanted: the part that differs, such as `kvset`.
    pub(super) fn accept(mut self, kind: &str) -> Self {
        let types = format!("application/vnd.microsoft.appconfig.{kind}+json, application/problem+json");
        self.request.insert_header(ACCEPT, types);
        self
    }

    pub(super) fn precondition(mut self, precondition: Option<&Precondition>) -> Result<Self> {
        let is_read = matches!(self.request.method(), Method::Get | Method::Head);
        if is_read && matches!(precondition, Some(Precondition::Absent | Precondition::NotEtag(_))) {
            return Err(Error::invalid_input("a read takes no precondition on being absent or of another etag"));
        }
        let (name, value) = match precondition {
            None => return Ok(self),
            Some(Precondition::Absent) => (IF_NONE_MATCH, "*".to_owned()),
            Some(Precondition::Present) => (IF_MATCH, "*".to_owned()),
            Some(Precondition::Etag(etag)) => (IF_MATCH, quote_etag(etag)?),
            Some(Precondition::NotEtag(etag)) => (IF_NONE_MATCH, quote_etag(etag)?),
        };
        self.request.insert_header(name, value);
        Ok(self)
    }

    /// Makes the call conditional on a change since the etag.
    pub(super) fn if_changed_since(mut self, etag: Option<&str>) -> Result<Self> {
        if let Some(etag) = etag {
            self.request.insert_header(IF_NONE_MATCH, quote_etag(etag)?);
            self.may_be_unmodified = true;
        }
        Ok(self)
    }

    pub(super) fn accept_datetime(mut self, at: Option<OffsetDateTime>) -> Self {
        if let Some(at) = at {
            // The format ends in "GMT" whatever the offset is.
            let at = at.to_offset(OffsetDateTime::UNIX_EPOCH.offset());
            self.request.insert_header(ACCEPT_DATETIME, to_rfc7231(&at));
        }
        self
    }

    pub(super) fn json(mut self, content_type: &'static str, body: &impl Serialize) -> Result<Self> {
        self.request
            .set_json(body)
            .map_err(|error| Error::invalid_input("the content cannot be written as JSON").with_source(error))?;
        self.request.insert_header(CONTENT_TYPE, content_type);
        Ok(self)
    }
}

/// Reads the model in a body.
pub(super) fn parse<T: DeserializeOwned>(operation: &'static str, response: &RawResponse) -> Result<T> {
    serde_json::from_slice(response.body()).map_err(|error| {
        // The text of the error may quote the body, and with it a value.
        let place = format!("the answer cannot be read (line {}, column {})", error.line(), error.column());
        Error::unexpected(operation, place)
    })
}

/// Sorts an answer by whether something changed.
pub(super) fn conditional(response: RawResponse) -> Conditional<RawResponse> {
    if response.status() == StatusCode::NotModified {
        let (next, meta) = (next_link(response.headers()), ResponseMeta::new(&response));
        Conditional::NotModified(NotModified { next, meta })
    } else {
        Conditional::Modified(response)
    }
}

fn path(resource: &str, name: Option<&str>) -> Result<String> {
    match name {
        None => Ok(format!("/{resource}")),
        // A URL cannot hold these two: they mean "here" and "one up", encoded or not.
        Some("" | "." | "..") => Err(Error::invalid_input("a name must not be empty, \".\" or \"..\"")),
        Some(name) => Ok(format!("/{resource}/{}", utf8_percent_encode(name, ENCODED))),
    }
}

/// Writes a query with its names sorted, as the service's own clients do for caches on the way.
fn query_string(query: impl Iterator<Item = (&'static str, String)>) -> String {
    let mut pairs: Vec<_> = query.collect();
    pairs.sort_by_key(|(name, _)| *name);
    let pairs: Vec<_> =
        pairs.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, ENCODED))).collect();
    pairs.join("&")
}

/// Resolves the store's link; `None` if it leads to another place, which must not get our signature or token.
fn resolve(endpoint: &Url, link: &NextLink) -> Option<Url> {
    let url = endpoint.join(link.as_str()).ok()?;
    let is_plain = url.username().is_empty() && url.password().is_none();
    (url.origin() == endpoint.origin() && is_plain).then_some(url)
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::{any, prop_assert_eq, prop_assume, proptest};

    use super::*;

    fn url(name: &str) -> String {
        let mut url = Url::parse("https://s.azconfig.io").unwrap();
        url.set_path(&path("kv", Some(name)).unwrap());
        url.to_string()
    }

    #[test]
    fn every_key_is_one_segment() {
        for (key, segment) in [
            ("a/b%c?d#e\\f+g h", "a%2Fb%25c%3Fd%23e%5Cf%2Bg%20h"),
            (".appconfig.featureflag/beta", ".appconfig.featureflag%2Fbeta"),
            ("Ümlaut\t", "%C3%9Cmlaut%09"),
            ("a:b*,c;d", "a%3Ab%2A%2Cc%3Bd"),
            ("...", "..."),
            ("%2e%2e", "%252e%252e"),
        ] {
            assert_eq!(url(key), format!("https://s.azconfig.io/kv/{segment}"));
        }
        for bad in ["", ".", ".."] {
            assert!(path("kv", Some(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn queries_are_sorted_and_encoded() {
        let query = [("tags", "b=1"), ("label", "\0"), ("key", "a b+*"), ("tags", "a=2"), ("$select", "key,etag")];
        assert_eq!(
            query_string(query.into_iter().map(|(name, value)| (name, value.to_owned()))),
            "$select=key%2Cetag&key=a%20b%2B%2A&label=%00&tags=b%3D1&tags=a%3D2"
        );
    }

    #[test]
    fn links_stay_on_the_store() {
        let endpoint = Url::parse("http://127.0.0.1:8483").unwrap();
        let resolved = |link: &str| resolve(&endpoint, &NextLink(link.to_owned())).map(String::from);
        let absolute = "http://127.0.0.1:8483/kv?api-version=1.0&after=YQ%3D%3D";
        assert_eq!(resolved("/kv?api-version=1.0&after=YQ%3D%3D").as_deref(), Some(absolute));
        assert_eq!(resolved(absolute).as_deref(), Some(absolute));
        for bad in
            ["//evil.example/kv", "https://127.0.0.1:8483/kv", "http://127.0.0.1:1/kv", "http://u@127.0.0.1:8483"]
        {
            assert_eq!(resolved(bad), None, "{bad}");
        }
    }
    proptest! {
        #[test]
        fn any_key_is_one_segment_that_decodes_to_it(key in any::<String>(), value in any::<String>()) {
            prop_assume!(!matches!(key.as_str(), "" | "." | ".."));
            let mut url = Url::parse("https://s.azconfig.io").unwrap();
            url.set_path(&path("kv", Some(&key)).unwrap());
            url.set_query(Some(&query_string([("label", value.clone())].into_iter())));
            let segments: Vec<_> = url.path_segments().unwrap().collect();
            prop_assert_eq!(segments.len(), 2);
            prop_assert_eq!(percent_decode_str(segments[1]).decode_utf8().unwrap(), key);
            let pairs: Vec<_> = url.query_pairs().into_owned().collect();
            prop_assert_eq!(pairs, vec![("label".to_owned(), value)]);
            prop_assert_eq!(url.fragment(), None);
        }
    }
}
