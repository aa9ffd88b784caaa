//! What an answer says beside its body.

use azure_core::http::headers::{ETAG, HeaderName, Headers, LAST_MODIFIED};
use azure_core::http::{RawResponse, StatusCode};
use azure_core::time::{OffsetDateTime, parse_rfc7231};

use crate::models::NextLink;

const DATE: HeaderName = HeaderName::from_static("date");
const LINK: HeaderName = HeaderName::from_static("link");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");

/// An answer with a model in its body.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Response<T> {
    /// What the body held.
    pub model: T,
    /// Status, times and ids of the answer.
    pub meta: ResponseMeta,
}

impl<T> Response<T> {
    /// Returns what the body held.
    pub fn into_model(self) -> T {
        self.model
    }
}

/// What the headers of an answer say.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ResponseMeta {
    /// The HTTP status.
    pub status: StatusCode,
    /// The store's clock when it answered (`Date`), to the second.
    pub date: Option<OffsetDateTime>,
    /// The etag of what was answered, without quotes.
    pub etag: Option<String>,
    /// When what was answered was last written, to the second.
    pub last_modified: Option<OffsetDateTime>,
    /// The store's id of the request, for support.
    pub request_id: Option<String>,
}

impl ResponseMeta {
    pub(crate) fn new(response: &RawResponse) -> Self {
        let headers = response.headers();
        Self {
            status: response.status(),
            date: date(headers),
            etag: headers.get_optional_str(&ETAG).map(|etag| unquote(etag).to_owned()),
            last_modified: time(headers, &LAST_MODIFIED),
            request_id: headers.get_optional_string(&REQUEST_ID),
        }
    }
}

/// Returns the store's clock.
pub(crate) fn date(headers: &Headers) -> Option<OffsetDateTime> {
    time(headers, &DATE)
}

fn time(headers: &Headers, name: &HeaderName) -> Option<OffsetDateTime> {
    parse_rfc7231(headers.get_optional_str(name)?).ok()
}

/// Takes the quotes and the mark of a weak etag off.
fn unquote(etag: &str) -> &str {
    let etag = etag.trim();
    let etag = etag.strip_prefix("W/").unwrap_or(etag);
    etag.strip_prefix('"').and_then(|etag| etag.strip_suffix('"')).unwrap_or(etag)
}

/// Returns the link to the next page from the `Link` header.
pub(crate) fn next_link(headers: &Headers) -> Option<NextLink> {
    let mut rest = headers.get_optional_str(&LINK)?;
    // The targets may hold commas, so the header is walked from one `<` to the next rather than split.
    while let Some((_, after)) = rest.split_once('<') {
        let (target, after) = after.split_once('>')?;
        let parameters = after.split('<').next().unwrap_or_default();
        if is_next(parameters) {
            return Some(NextLink(target.to_owned()));
        }
        rest = after;
    }
    None
}

/// Tells whether the parameters of a link, such as `; rel="next", `, name the relation `next`.
fn is_next(parameters: &str) -> bool {
    parameters.split([';', ',']).any(|parameter| {
        parameter.trim().split_once('=').is_some_and(|(name, value)| {
            let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
            name.trim().eq_ignore_ascii_case("rel") && relations.any(|relation| relation.eq_ignore_ascii_case("next"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(header: &'static str) -> Option<String> {
        let mut headers = Headers::new();
        headers.insert(LINK, header);
        next_link(&headers).map(|link| link.0)
    }

    #[test]
    fn the_next_link_is_found_among_others() {
        let next = "/kv?api-version=1.0&key=a,b&after=Zg%3D%3D";
        assert_eq!(link("</kv?api-version=1.0&key=a,b&after=Zg%3D%3D>; rel=\"next\"").as_deref(), Some(next));
        assert_eq!(
            link("</kv>; rel=\"original\", </kv?api-version=1.0&key=a,b&after=Zg%3D%3D>; rel=next").as_deref(),
            Some(next)
        );
        assert_eq!(link("</kv>; rel=\"original\""), None);
        assert_eq!(link("</kv"), None);
    }

    #[test]
    fn etags_lose_their_quotes() {
        assert_eq!(unquote("\"abc\""), "abc");
        assert_eq!(unquote("W/\"abc\""), "abc");
        assert_eq!(unquote("abc"), "abc");
    }
}
