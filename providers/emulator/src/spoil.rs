//! Answers that arrive, and are not what was asked for.
//!
//! ```text
//!   a successful answer ─┬─> its headers and half of its body, then nothing
//!                        ├─> another body: HTML, other types, less, far more
//!                        └─> another end of a listing: none, or the page itself
//! ```

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody, to_bytes};
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use hyper::body::{Frame, SizeHint};
use serde_json::{Map, Value, json};

use crate::faults::Spoil;

/// What a proxy puts in the place of an answer.
const PAGE: &str =
    "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in to the network.</body></html>";

/// The names under which answers tell where a listing goes on.
const NEXT: [&str; 2] = ["NextToken", "@nextLink"];

/// What of a request decides how its answer is spoilt.
pub(crate) struct Asked {
    is_listing: bool,
    page: Page,
}

/// How a request names the page that it asks for.
enum Page {
    /// By its address: path and query.
    Address(String),
    /// By a token in its body; the first page has none.
    Token(Option<String>),
}

impl Asked {
    pub(crate) fn new(parts: &Parts, body: &[u8], operation: &str) -> Self {
        let address = || parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let token = || {
            let request: Value = serde_json::from_slice(body).ok()?;
            request.get("NextToken")?.as_str().map(str::to_owned)
        };
        let page = if parts.method == Method::POST { Page::Token(token()) } else { Page::Address(address()) };
        Self { is_listing: is_listing(operation), page }
    }
}

/// Tells whether an operation answers page by page.
pub(crate) fn is_listing(operation: &str) -> bool {
    const LISTINGS: [&str; 8] = [
        "GetParametersByPath",
        "DescribeParameters",
        "GetParameterHistory",
        "GET /kv",
        "GET /revisions",
        "GET /snapshots",
        "GET /keys",
        "GET /labels",
    ];
    LISTINGS.contains(&operation)
}

/// Spoils an answer. One that is no success stays as it is, and so does one without anything to spoil.
pub(crate) async fn spoil(how: Spoil, asked: &Asked, response: Response) -> Response {
    // A page that is unchanged (304) leads on too.
    let is_page = asked.is_listing && (response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED);
    if !response.status().is_success() && !is_page {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // The answers of this process are in memory: they are whole.
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    // The other length is counted anew.
    parts.headers.remove(header::CONTENT_LENGTH);
    let body = match how {
        Spoil::EndsEarly if is_page => {
            let led_on = parts.headers.remove(header::LINK).is_some();
            let (body, was_cut) = edit(&body, |answer| end_early(answer, led_on));
            if was_cut == Some(true) {
                // It is the whole page's.
                parts.headers.remove(header::ETAG);
            }
            body
        }
        Spoil::RepeatsPage if is_page => {
            if let Page::Address(address) = &asked.page
                && let Ok(link) = HeaderValue::from_str(&format!("<{address}>; rel=\"next\""))
            {
                parts.headers.insert(header::LINK, link);
            }
            edit(&body, |answer| repeat_page(answer, &asked.page)).0
        }
        Spoil::EndsEarly | Spoil::RepeatsPage => body,
        _ if body.is_empty() => body,
        Spoil::Half => return Response::from_parts(parts, Halved::body(body)),
        Spoil::NotJson => {
            parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
            Bytes::from_static(PAGE.as_bytes())
        }
        Spoil::WrongTypes => rewrite(&body, confuse_types),
        Spoil::MissingFields => rewrite(&body, drop_fields),
        Spoil::Nothing => rewrite(&body, |answer| *answer = json!({})),
        Spoil::Oversized { bytes } => inflate(&body, bytes),
    };
    Response::from_parts(parts, Body::from(body))
}

/// Edits an answer in JSON; another one stays as it is.
fn edit<T>(body: &Bytes, edit: impl FnOnce(&mut Map<String, Value>) -> T) -> (Bytes, Option<T>) {
    match serde_json::from_slice(body) {
        Ok(Value::Object(mut answer)) => {
            let told = edit(&mut answer);
            (Value::Object(answer).to_string().into(), Some(told))
        }
        _ => (body.clone(), None),
    }
}

/// Rewrites an answer in JSON; one in XML is left with its root alone.
fn rewrite(body: &Bytes, rewrite: impl FnOnce(&mut Value)) -> Bytes {
    match serde_json::from_slice(body) {
        Ok(mut answer) => {
            rewrite(&mut answer);
            answer.to_string().into()
        }
        Err(_) => Bytes::from_static(b"<Response/>"),
    }
}

/// Ends a listing that goes on; one that ends here anyway loses the second half of its items. Tells whether it did.
fn end_early(answer: &mut Map<String, Value>, led_on: bool) -> bool {
    let tokens = NEXT.map(|name| answer.remove(name).is_some());
    if led_on || tokens.contains(&true) {
        return false;
    }
    for list in answer.values_mut().filter_map(Value::as_array_mut) {
        list.truncate(list.len() / 2);
    }
    answer.remove("etag");
    true
}

fn repeat_page(answer: &mut Map<String, Value>, page: &Page) {
    match page {
        Page::Address(address) => answer.insert("@nextLink".to_owned(), json!(address)),
        Page::Token(Some(token)) => answer.insert("NextToken".to_owned(), json!(token)),
        Page::Token(None) => None,
    };
}

fn confuse_types(value: &mut Value) {
    match value {
        Value::String(_) => *value = json!(7),
        Value::Number(number) => *value = json!(format!("no {number}")),
        Value::Bool(_) => *value = json!([]),
        Value::Array(list) => list.iter_mut().for_each(confuse_types),
        Value::Object(members) => members.values_mut().for_each(confuse_types),
        Value::Null => {}
    }
}

fn drop_fields(answer: &mut Value) {
    let Some(members) = answer.as_object_mut() else { return };
    members.retain(|_, value| value.is_array());
    for item in members.values_mut().filter_map(Value::as_array_mut).flatten() {
        if item.is_object() {
            *item = json!({});
        }
    }
}

/// Adds a member that nobody knows, and that readers of the format pass over.
fn inflate(body: &Bytes, bytes: usize) -> Bytes {
    let filling = "x".repeat(bytes);
    match body.strip_prefix(b"{") {
        Some(rest) => {
            let comma = if rest.trim_ascii_start().starts_with(b"}") { "" } else { "," };
            [format!("{{\"filling\":\"{filling}\"{comma}").as_bytes(), rest].concat().into()
        }
        None => [body, format!("<!--{filling}-->").as_bytes()].concat().into(),
    }
}

/// The first half of a body, and then an error.
struct Halved {
    half: Option<Bytes>,
    length: u64,
    waited: bool,
}

impl Halved {
    fn body(whole: Bytes) -> Body {
        let length = whole.len() as u64;
        Body::new(Self { half: Some(whole.slice(..whole.len() / 2)), length, waited: false })
    }
}

/// The rest does not come.
#[derive(Debug, thiserror::Error)]
#[error("cut off on purpose")]
struct CutOff;

impl HttpBody for Halved {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        if let Some(half) = self.half.take() {
            return Poll::Ready(Some(Ok(Frame::data(half))));
        }
        if !self.waited {
            // What is ready is sent before the body is asked again: a failing one would take it along.
            self.waited = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(CutOff)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}
