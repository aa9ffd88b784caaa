//! What a request asks for: the resource its path names, its parameters and its headers.

use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, header};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::date;
use super::model::{Condition, Conditions, TagFilter};
use super::reply::Refused;
use crate::server::Operation;

const ACCEPT_DATETIME: HeaderName = HeaderName::from_static("accept-datetime");

/// What a query value may hold as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The versions of the API, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ApiVersion {
    /// No snapshots, no page etags.
    V1,
    V2023October,
    /// Tag filters on lists.
    V2023November,
    /// Tag filters on one key-value.
    V2024September,
    /// Descriptions.
    V2026April,
    /// What the Azure command line asks for. Its feature flags apart from key-values are not modelled.
    V2026MayPreview,
}

impl ApiVersion {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "1.0" => Some(Self::V1),
            "2023-10-01" => Some(Self::V2023October),
            "2023-11-01" => Some(Self::V2023November),
            "2024-09-01" => Some(Self::V2024September),
            "2026-04-01" => Some(Self::V2026April),
            "2026-05-01-preview" => Some(Self::V2026MayPreview),
            _ => None,
        }
    }

    /// Returns the text clients send.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "1.0",
            Self::V2023October => "2023-10-01",
            Self::V2023November => "2023-11-01",
            Self::V2024September => "2024-09-01",
            Self::V2026April => "2026-04-01",
            Self::V2026MayPreview => "2026-05-01-preview",
        }
    }
}

/// What a path names. A key is everything after the first segment, decoded once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    KeyValues,
    KeyValue(String),
    Keys,
    Labels,
    Lock(String),
    Revisions,
    Snapshots,
    Snapshot(String),
    Operations,
}

impl Resource {
    /// Reads a raw path.
    ///
    /// # Errors
    ///
    /// 404 for an unknown path; 400 where it holds `%25`, which the service refuses lest it be decoded twice, or
    /// something that is not UTF-8.
    pub(crate) fn parse(path: &str) -> Result<Self, Refused> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        let rest = || decode_path(rest);
        match (first, rest()?) {
            ("kv", key) if key.is_empty() => Ok(Self::KeyValues),
            ("kv", key) => Ok(Self::KeyValue(key)),
            ("locks", key) if !key.is_empty() => Ok(Self::Lock(key)),
            ("snapshots", name) if name.is_empty() => Ok(Self::Snapshots),
            ("snapshots", name) => Ok(Self::Snapshot(name)),
            ("keys", rest) if rest.is_empty() => Ok(Self::Keys),
            ("labels", rest) if rest.is_empty() => Ok(Self::Labels),
            ("revisions", rest) if rest.is_empty() => Ok(Self::Revisions),
            ("operations", rest) if rest.is_empty() => Ok(Self::Operations),
            _ => Err(Refused::NotFound),
        }
    }

    /// Returns the path as documented, with a placeholder for the name.
    const fn pattern(&self) -> &'static str {
        match self {
            Self::KeyValues => "/kv",
            Self::KeyValue(_) => "/kv/{key}",
            Self::Keys => "/keys",
            Self::Labels => "/labels",
            Self::Lock(_) => "/locks/{key}",
            Self::Revisions => "/revisions",
            Self::Snapshots => "/snapshots",
            Self::Snapshot(_) => "/snapshots/{name}",
            Self::Operations => "/operations",
        }
    }

    /// Returns the methods of the resource, as the `Allow` header lists them.
    const fn methods(&self) -> &'static str {
        match self {
            Self::KeyValue(_) => "GET, HEAD, PUT, DELETE",
            Self::Lock(_) => "PUT, DELETE",
            Self::Snapshot(_) => "GET, HEAD, PUT, PATCH",
            Self::Operations => "GET",
            Self::KeyValues | Self::Keys | Self::Labels | Self::Revisions | Self::Snapshots => "GET, HEAD",
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::KeyValue(name) | Self::Lock(name) | Self::Snapshot(name) => Some(name),
            _ => None,
        }
    }
}

/// Names what a request asks for, such as `PUT /kv/{key}`, before anything is checked.
pub(crate) fn identify(parts: &Parts, _body: &[u8]) -> Operation {
    let resource = Resource::parse(parts.uri.path()).ok();
    let pattern = resource.as_ref().map_or("/{unknown}", Resource::pattern);
    Operation {
        service: "appconfig",
        operation: format!("{} {pattern}", parts.method),
        name: resource.as_ref().and_then(Resource::name).map(str::to_owned),
    }
}

/// The parameters of a query; names are lower-cased, since the service does not tell their case apart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Parses a raw query; `+` is a space here.
    pub(crate) fn parse(raw: &str) -> Self {
        let pairs = url::form_urlencoded::parse(raw.as_bytes());
        Self(pairs.map(|(name, value)| (name.to_lowercase(), value.into_owned())).collect())
    }

    /// Returns the first value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Returns every value of a parameter.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// A request, understood as far as its resource and version.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) resource: Resource,
    pub(crate) query: Query,
    pub(crate) version: ApiVersion,
    pub(crate) headers: &'a HeaderMap,
    path: &'a str,
    pub(crate) body: &'a [u8],
}

impl<'a> Asked<'a> {
    /// Understands a request.
    ///
    /// # Errors
    ///
    /// An unknown path, a method it does not have, or an absent or unknown `api-version`.
    pub(crate) fn parse(parts: &'a Parts, body: &'a [u8]) -> Result<Self, Refused> {
        let resource = Resource::parse(parts.uri.path())?;
        let methods = resource.methods();
        if !methods.split(", ").any(|method| method == parts.method.as_str()) {
            return Err(Refused::NotAllowed(methods));
        }
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let asked_version = query.get("api-version").unwrap_or_default();
        let version = ApiVersion::parse(asked_version)
            .ok_or_else(|| Refused::invalid("api-version", format!("Unsupported API version '{asked_version}'")))?;
        let path = parts.uri.path();
        Ok(Self { method: &parts.method, resource, query, version, headers: &parts.headers, path, body })
    }

    /// Returns a header as text.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the conditional headers.
    pub(crate) fn conditions(&self) -> Conditions {
        Conditions {
            if_match: self.header(&header::IF_MATCH).map(Condition::parse),
            if_none_match: self.header(&header::IF_NONE_MATCH).map(Condition::parse),
        }
    }

    /// Returns the label of one key-value: left out, empty or `%00` is none.
    pub(crate) fn label(&self) -> Option<String> {
        self.query.get("label").filter(|label| !label.is_empty() && *label != "\0").map(str::to_owned)
    }

    /// Returns the instant to look at the store from.
    ///
    /// # Errors
    ///
    /// A date that no known client would send.
    pub(crate) fn instant(&self) -> Result<Option<Timestamp>, Refused> {
        let Some(text) = self.header(&ACCEPT_DATETIME) else { return Ok(None) };
        date::parse(text).map(Some).ok_or_else(|| Refused::invalid("Accept-Datetime", "Invalid date"))
    }

    /// Returns the tag filters.
    ///
    /// # Errors
    ///
    /// A malformed filter, too many of them, or any before the version that brought them.
    pub(crate) fn tags(&self, since: ApiVersion) -> Result<Vec<TagFilter>, Refused> {
        if self.version < since && self.query.get("tags").is_some() {
            return Err(Refused::invalid("tags", format!("Supported since API version {}", since.as_str())));
        }
        TagFilter::parse_all(self.query.all("tags")).map_err(|detail| Refused::invalid("tags", detail))
    }

    /// Refuses a body that does not claim to be JSON.
    pub(crate) fn require_json(&self) -> Result<(), Refused> {
        let Some(media) = self.header(&header::CONTENT_TYPE) else { return Ok(()) };
        let essence = media.split(';').next().unwrap_or_default().trim().to_lowercase();
        match essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
            true => Ok(()),
            false => Err(Refused::MediaType),
        }
    }

    /// Returns the absolute address of another resource of this store, as the client reached it.
    pub(crate) fn absolute(&self, tls: bool, path_and_query: &str) -> String {
        let scheme = if tls { "https" } else { "http" };
        format!("{scheme}://{}{path_and_query}", self.header(&header::HOST).unwrap_or("localhost"))
    }

    /// Returns the relative address of the page that begins after a token.
    pub(crate) fn next_link(&self, after: &str) -> String {
        self.link(Some(after))
    }

    /// Returns the relative address of this very request.
    pub(crate) fn original_link(&self) -> String {
        self.link(self.query.get("after"))
    }

    /// Writes the path and the parameters again.
    ///
    /// `api-version` comes first and `after` in lower case, since the JavaScript client looks for it by name in the
    /// whole text and would miss a first parameter.
    fn link(&self, after: Option<&str>) -> String {
        let mut link = format!("{}?api-version={}", self.path, self.version.as_str());
        let kept = self.query.0.iter().filter(|(name, _)| name != "api-version" && name != "after");
        let kept = kept.map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in kept.chain(after.map(|after| ("after", after))) {
            // `$select` stays readable; no other name of the API needs an escape.
            let name = if name == "$select" { name.into() } else { encode(name) };
            link.push_str(&format!("&{name}={}", encode(value)));
        }
        link
    }
}

/// Encodes a text for a query.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

fn decode_path(raw: &str) -> Result<String, Refused> {
    if raw.contains("%25") {
        return Err(Refused::invalid("key", "'%25' is not supported in a path"));
    }
    let text = percent_decode_str(raw).decode_utf8();
    text.map(Into::into).map_err(|_| Refused::invalid("key", "The path is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(method: &str, target: &str) -> Parts {
        http::Request::builder().method(method).uri(target).body(()).unwrap().into_parts().0
    }

    #[test]
    fn keys_are_the_whole_remaining_path_decoded_once() {
        let key = |path| match Resource::parse(path).unwrap() {
            Resource::KeyValue(key) => key,
            other => panic!("{other:?}"),
        };
        assert_eq!(key("/kv/a%2Fb"), "a/b");
        assert_eq!(key("/kv/a/b"), "a/b");
        assert_eq!(key("/kv/a+b"), "a+b");
        assert_eq!(key("/kv/a%20b%3Ac"), "a b:c");
        assert_eq!(key("/kv//a/"), "/a/");
        assert!(matches!(Resource::parse("/kv/a%252Fb"), Err(Refused::Invalid { .. })));
        assert!(matches!(Resource::parse("/kv/%ff"), Err(Refused::Invalid { .. })));
        assert!(matches!(Resource::parse("/other"), Err(Refused::NotFound)));
        assert!(matches!(Resource::parse("/keys/a"), Err(Refused::NotFound)));
    }

    #[test]
    fn operations_have_the_documented_names() {
        let named = |method, target| {
            let found = identify(&parts(method, target), b"");
            (found.operation, found.name)
        };
        assert_eq!(named("PUT", "/kv/a%2Fb?api-version=1.0"), ("PUT /kv/{key}".into(), Some("a/b".into())));
        assert_eq!(named("GET", "/kv?key=a"), ("GET /kv".into(), None));
        assert_eq!(named("PUT", "/snapshots/s"), ("PUT /snapshots/{name}".into(), Some("s".into())));
        assert_eq!(named("GET", "/nowhere"), ("GET /{unknown}".into(), None));
    }

    #[test]
    fn names_of_parameters_have_no_case() {
        let query = Query::parse("API-Version=1.0&%24Select=key&Key=a+b%2Bc&tags=x&TAGS=y");
        assert_eq!(query.get("api-version"), Some("1.0"));
        assert_eq!(query.get("$select"), Some("key"));
        assert_eq!(query.get("key"), Some("a b+c"));
        assert_eq!(query.all("tags").collect::<Vec<_>>(), ["x", "y"]);
    }

    #[test]
    fn versions_are_required_and_known() {
        for target in ["/kv", "/kv?api-version=", "/kv?api-version=2022-11-01-preview"] {
            let parts = parts("GET", target);
            let refused = Asked::parse(&parts, b"").unwrap_err();
            assert!(matches!(refused, Refused::Invalid { name, .. } if name == "api-version"), "{target}");
        }
        for version in ["1.0", "2023-10-01", "2023-11-01", "2024-09-01", "2026-04-01", "2026-05-01-preview"] {
            let parts = parts("GET", &format!("/kv?api-version={version}"));
            assert_eq!(Asked::parse(&parts, b"").unwrap().version.as_str(), version);
        }
        assert!(ApiVersion::V1 < ApiVersion::V2023October && ApiVersion::V2024September < ApiVersion::V2026April);
    }

    #[test]
    fn links_lead_with_the_version() {
        let parts = parts("GET", "/kv?$Select=key&key=a%2F*&api-version=2024-09-01&After=old");
        let asked = Asked::parse(&parts, b"").unwrap();
        assert_eq!(asked.next_link("t"), "/kv?api-version=2024-09-01&$select=key&key=a%2F%2A&after=t");
        assert_eq!(asked.original_link(), "/kv?api-version=2024-09-01&$select=key&key=a%2F%2A&after=old");
    }

    #[test]
    fn methods_are_checked() {
        let parts = parts("POST", "/kv/a?api-version=1.0");
        assert!(matches!(Asked::parse(&parts, b""), Err(Refused::NotAllowed("GET, HEAD, PUT, DELETE"))));
    }
}
