//! What the provider sends and what it makes of the answers, on a scripted transport.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod frozen;
mod paced;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use azure_core::http::headers::{HeaderName, Headers};
use azure_core::http::request::Body;
use azure_core::http::{AsyncRawResponse, HttpClient, Request, StatusCode, Transport};
use repin_azure_app_configuration::{AppConfiguration, Config, Options, connect};
use repin_provider::{
    Action, Applied, Content, DocumentName, Error, ErrorKind, Key, Observe, Outcome, Owner, Provider, Put,
    ReadDocuments, ReadRequest, Secret, Seen, Value, Version, Write, WriteDocument,
};
use serde_json::{Value as Json, json};

const ENDPOINT: &str = "http://127.0.0.1:9";
const AT: &str = "2026-11-21T22:10:01+00:00";

/// One request as it left.
#[derive(Debug, Clone)]
struct Sent {
    line: String,
    if_match: Option<String>,
    if_none_match: Option<String>,
    /// The moment that is looked back to.
    back_to: Option<String>,
    body: Json,
}

/// What the store answers.
enum Answer {
    Status(u16, Vec<(&'static str, String)>, Json),
    Lost,
    NoConnection,
}

impl Answer {
    fn ok(body: Json) -> Self {
        Self::Status(200, Vec::new(), body)
    }

    fn status(status: u16) -> Self {
        Self::Status(status, Vec::new(), Json::Null)
    }

    fn header(self, name: &'static str, value: impl Into<String>) -> Self {
        match self {
            Self::Status(status, mut headers, body) => {
                headers.push((name, value.into()));
                Self::Status(status, headers, body)
            }
            other => other,
        }
    }
}

type Script = dyn Fn(usize, &Sent) -> Answer + Send + Sync;

struct Scripted {
    script: Box<Script>,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scripted")
    }
}

#[async_trait]
impl HttpClient for Scripted {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let header = |name| request.headers().get_optional_string(&HeaderName::from_static(name));
        let Body::Bytes(body) = request.body() else { panic!("bodies are bytes") };
        // The order of parameters is the client's business.
        let mut query: Vec<_> = request.url().query().unwrap_or_default().split('&').collect();
        query.sort_unstable();
        let sent = Sent {
            line: format!("{} {}?{}", request.method(), request.url().path(), query.join("&")),
            if_match: header("if-match"),
            if_none_match: header("if-none-match"),
            back_to: header("accept-datetime"),
            body: serde_json::from_slice(body).unwrap_or_default(),
        };
        let index = {
            let mut all = self.sent.lock().unwrap();
            all.push(sent.clone());
            all.len() - 1
        };
        match (self.script)(index, &sent) {
            Answer::Status(status, headers, body) => {
                let mut map = Headers::new();
                map.insert("date", "Sat, 21 Nov 2026 22:10:05 GMT");
                map.insert("sync-token", "a=b;sn=1");
                for (name, value) in headers {
                    map.insert(name, value);
                }
                let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(&body).unwrap() };
                Ok(AsyncRawResponse::from_bytes(StatusCode::from(status), map, body))
            }
            Answer::Lost => Err(azure_core::Error::with_message(azure_core::error::ErrorKind::Io, "reset by peer")),
            Answer::NoConnection => {
                Err(azure_core::Error::with_message(azure_core::error::ErrorKind::Connection, "connection refused"))
            }
        }
    }
}

struct Bench {
    provider: AppConfiguration,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl Bench {
    fn new(script: impl Fn(usize, &Sent) -> Answer + Send + Sync + 'static) -> Self {
        Self::with_prefix("app*1", script)
    }

    fn with_prefix(prefix: &str, script: impl Fn(usize, &Sent) -> Answer + Send + Sync + 'static) -> Self {
        Self::with_settings(json!({ "endpoint": ENDPOINT, "prefix": prefix }), script)
    }

    fn with_settings(settings: Json, script: impl Fn(usize, &Sent) -> Answer + Send + Sync + 'static) -> Self {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let transport = Scripted { script: Box::new(script), sent: sent.clone() };
        let config: Config = serde_json::from_value(settings).unwrap();
        let options = Options {
            connection_string: Some(Secret::new(format!("Endpoint={ENDPOINT};Id=id;Secret=c2VjcmV0"))),
            transport: Some(Transport::new(Arc::new(transport))),
            ..Options::new(Owner::parse("me").unwrap(), "t1")
        };
        Self { provider: connect(&config, options).unwrap(), sent }
    }

    fn sent(&self) -> Vec<Sent> {
        std::mem::take(&mut *self.sent.lock().unwrap())
    }
}

fn item(key: &str, value: &str, etag: &str) -> Json {
    json!({ "key": key, "label": null, "value": value, "content_type": "", "tags": { "repin:owner": "me" },
            "etag": etag, "last_modified": AT, "locked": false })
}

fn page(etag: &str, items: &[Json], next: Option<&str>) -> Json {
    let mut page = json!({ "items": items, "etag": etag });
    if let Some(next) = next {
        page["@nextLink"] = next.into();
    }
    page
}

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

fn content(value: &str) -> Content {
    Content {
        value: Value::Plain(value.to_owned()),
        content_type: None,
        tags: BTreeMap::new(),
        description: None,
        tier: None,
    }
}

fn replace(expected: &str) -> Write {
    Write { key: key("a"), action: Action::Put(content("new"), Put::Replace(Version::new(expected, None))) }
}

fn create() -> Write {
    Write { key: key("a"), action: Action::Put(content("new"), Put::Create) }
}

fn observe(keys: &[&str]) -> Observe {
    Observe { keys: keys.iter().map(|text| key(text)).collect(), census: false, ..Observe::default() }
}

const NEXT: &str = "/kv?after=2&api-version=2026-04-01&key=x";

/// Two pages; each is unchanged for whoever shows its etag.
fn two_pages(first: &'static str) -> impl Fn(usize, &Sent) -> Answer {
    move |_, sent| {
        let (etag, body, next) = if sent.line.contains("after=2") {
            ("p2", page("p2", &[item("app*1/b", "two", "e2")], None), None)
        } else {
            (first, page(first, &[item("app*1/a", first, "e1")], Some(NEXT)), Some(NEXT))
        };
        let unchanged = sent.if_none_match.as_deref() == Some(&format!("\"{etag}\""));
        let answer = if unchanged { Answer::status(304) } else { Answer::ok(body) };
        match next {
            Some(next) => answer.header("link", format!("<{next}>; rel=\"next\"")),
            None => answer,
        }
    }
}

#[tokio::test]
async fn an_unchanged_pass_asks_for_no_body() {
    let bench = Bench::new(two_pages("p1"));
    let first = bench.provider.observe(observe(&["a", "b", "c"])).await.unwrap();
    let lines: Vec<_> = bench.sent().into_iter().map(|sent| sent.line).collect();
    assert_eq!(lines, ["GET /kv?api-version=2026-04-01&key=app%5C%2A1%2F%2A&label=%00", &format!("GET {NEXT}")]);
    assert!(matches!(first.items[&key("c")], Seen::Absent));
    assert_eq!(first.items[&key("b")].item().unwrap().value.as_deref(), Some("two"));
    assert_eq!(first.foreign.as_deref(), Some(&[][..]));
    assert_eq!(first.at.unwrap().to_string(), "2026-11-21T22:10:05Z");

    let again = Observe { resume: first.resume.clone(), ..observe(&["a", "b"]) };
    let second = bench.provider.observe(again).await.unwrap();
    let conditions: Vec<_> = bench.sent().into_iter().map(|sent| sent.if_none_match.unwrap()).collect();
    assert_eq!(conditions, ["\"p1\"", "\"p2\""]);
    assert_eq!(second.items[&key("a")].item().unwrap().value.as_deref(), Some("p1"));
    assert_eq!(second.resume, first.resume);
    assert_eq!(bench.provider.requests(), BTreeMap::from([("GET /kv".to_owned(), 4)]));
}

#[tokio::test]
async fn a_changed_page_is_taken_and_the_rest_kept() {
    let before = Bench::new(two_pages("p1")).provider.observe(observe(&["a", "b"])).await.unwrap();
    let bench = Bench::new(two_pages("p1-changed"));
    let seen = bench.provider.observe(Observe { resume: before.resume, ..observe(&["a", "b"]) }).await.unwrap();
    assert_eq!(seen.items[&key("a")].item().unwrap().value.as_deref(), Some("p1-changed"));
    assert_eq!(seen.items[&key("b")].item().unwrap().value.as_deref(), Some("two"));
    assert_eq!(bench.sent().len(), 2);
    // The next pass is cheap again.
    let next = bench.provider.observe(Observe { resume: seen.resume, ..observe(&["a"]) }).await.unwrap();
    let conditions: Vec<_> = bench.sent().into_iter().map(|sent| sent.if_none_match.unwrap()).collect();
    assert_eq!(conditions, ["\"p1-changed\"", "\"p2\""]);
    assert_eq!(next.foreign.unwrap(), ["app*1/b"]);
}

#[tokio::test]
async fn pages_that_lead_in_a_circle_end() {
    let bench = Bench::new(|_, _| Answer::ok(page("p", &[], Some(NEXT))));
    let error = bench.provider.observe(observe(&["a"])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unexpected);
    assert_eq!(bench.sent().len(), 2);
}

#[tokio::test]
async fn half_a_listing_is_no_listing() {
    let bench = Bench::new(
        |_, sent| {
            if sent.line.contains("after=2") { Answer::status(403) } else { two_pages("p1")(0, sent) }
        },
    );
    let error = bench.provider.observe(observe(&["a", "b"])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
}

#[tokio::test]
async fn a_put_carries_everything_byte_for_byte() {
    let bench = Bench::new(|_, _| Answer::ok(item("app*1/a", "new", "e9")));
    let kind = "application/json; profile=\"https://azconfig.io/mime-profiles/ai/chat-completion\"";
    let tags = BTreeMap::from([("team".to_owned(), "ml".to_owned())]);
    let full = Content {
        content_type: Some(kind.to_owned()),
        tags,
        description: Some("what it is".to_owned()),
        ..content("{\"model\": \"ü\"}")
    };
    let write = Write { key: key("a"), action: Action::Put(full, Put::Create) };
    let applied = bench.provider.apply(&write).await.unwrap();
    let at = Some(AT.parse().unwrap());
    assert_eq!(applied, Applied { version: Some(Version::new("e9", at)), buried: None });
    assert!(applied.version.unwrap().at.is_some());
    let sent = &bench.sent()[0];
    assert_eq!(sent.line, "PUT /kv/app%2A1%2Fa?api-version=2026-04-01");
    assert_eq!(sent.if_none_match.as_deref(), Some("*"));
    assert_eq!(
        sent.body,
        json!({ "value": "{\"model\": \"ü\"}", "content_type": kind, "description": "what it is",
                "tags": { "repin:owner": "me", "team": "ml" } })
    );
    bench.provider.apply(&replace("e9")).await.unwrap();
    assert_eq!(bench.sent()[0].if_match.as_deref(), Some("\"e9\""));
}

#[tokio::test]
async fn a_lost_answer_is_not_sent_again() {
    for write in [create(), replace("e1"), Write { key: key("a"), action: Action::Delete(Version::new("e1", None)) }] {
        let bench = Bench::new(|_, _| Answer::Lost);
        let error = bench.provider.apply(&write).await.unwrap_err();
        assert_eq!((error.kind, error.outcome), (ErrorKind::Unreachable, Outcome::Unknown));
        assert!(error.to_string().contains(ENDPOINT), "{error}");
        assert_eq!(bench.sent().len(), 1);
        let counted: u64 = bench.provider.requests().values().sum();
        assert_eq!(counted, 1);
    }
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_leaves_a_write_open() {
    let bench = Bench::new(|_, _| Answer::ok(json!({ "key": "app*1/a" })));
    let error = bench.provider.apply(&create()).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::Unexpected, Outcome::Unknown));
}

/// Refuses the first attempt of a put for a moment, then answers 412, and shows what is there.
fn refused_then_unmet(there: Option<&'static str>) -> impl Fn(usize, &Sent) -> Answer {
    move |index, sent| match (index, sent.line.starts_with("PUT"), there) {
        (0, ..) => Answer::status(429).header("retry-after-ms", "1"),
        (_, true, _) => Answer::status(412),
        (_, false, Some(value)) => Answer::ok(item("app*1/a", value, "e7")),
        (_, false, None) => Answer::status(404),
    }
}

#[tokio::test]
async fn ones_own_write_is_no_conflict() {
    for write in [create(), replace("e1")] {
        let bench = Bench::new(refused_then_unmet(Some("new")));
        let applied = bench.provider.apply(&write).await.unwrap();
        assert_eq!(applied.version.unwrap().id, "e7");
        assert_eq!(bench.provider.requests()["PUT /kv/{key}"], 2);
    }
    for (write, kind) in [(create(), ErrorKind::AlreadyExists), (replace("e1"), ErrorKind::Conflict)] {
        for there in [Some("other"), None] {
            let error = Bench::new(refused_then_unmet(there)).provider.apply(&write).await.unwrap_err();
            assert_eq!(error.kind, kind);
        }
    }
}

#[tokio::test]
async fn a_first_412_is_a_conflict_at_once() {
    let bench = Bench::new(|_, _| Answer::status(412));
    let error = bench.provider.apply(&create()).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::AlreadyExists, Outcome::NotDone));
    assert_eq!(error.key, Some(key("a")));
    let error = bench.provider.apply(&replace("e1")).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::Conflict, Outcome::NotDone));
    assert_eq!(bench.sent().len(), 2);
}

#[tokio::test]
async fn a_delete_tells_gone_from_changed() {
    let write = Write { key: key("a"), action: Action::Delete(Version::new("e1", None)) };
    for (status, done) in [(404, true), (200, false)] {
        let bench = Bench::new(move |_, sent| match (sent.line.starts_with("DELETE"), status) {
            (true, _) => Answer::status(412),
            (_, 404) => Answer::status(404),
            _ => Answer::ok(item("app*1/a", "v", "e2")),
        });
        match bench.provider.apply(&write).await {
            Ok(applied) => assert!(done && applied.version.is_none()),
            Err(error) => assert!(!done && error.kind == ErrorKind::Conflict, "{error}"),
        }
        assert_eq!(bench.sent()[0].if_match.as_deref(), Some("\"e1\""));
    }
    assert!(Bench::new(|_, _| Answer::status(204)).provider.apply(&write).await.is_ok());
}

async fn failure(answer: fn() -> Answer) -> Error {
    Bench::new(move |_, _| answer()).provider.apply(&replace("e1")).await.unwrap_err()
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let locked = failure(|| {
        Answer::Status(409, Vec::new(), json!({ "type": "https://azconfig.io/errors/key-locked", "title": "Locked" }))
    });
    let cases: Vec<(Error, ErrorKind, &str)> = vec![
        (locked.await, ErrorKind::Refused, "unlock it"),
        (failure(|| Answer::status(401)).await, ErrorKind::Denied, "connection string"),
        (failure(|| Answer::status(403)).await, ErrorKind::Denied, "read-only access key"),
        (failure(|| Answer::status(413)).await, ErrorKind::Refused, "10 KB"),
        (failure(|| Answer::status(429).header("retry-after-ms", "7500000")).await, ErrorKind::Throttled, "quota"),
    ];
    for (error, kind, hint) in cases {
        assert_eq!((error.kind, error.outcome), (kind, Outcome::NotDone), "{error}");
        assert!(error.hint.as_deref().is_some_and(|text| text.contains(hint)), "{error}: {:?}", error.hint);
        assert_eq!(error.key, Some(key("a")));
        assert_eq!(error.operation, "PUT /kv/{key}");
    }
    let throttled = failure(|| Answer::status(429).header("retry-after-ms", "7500000")).await;
    assert!(throttled.message.contains("2 h 5 min"), "{throttled}");
    let rejected = failure(|| Answer::status(400)).await;
    assert_eq!(rejected.kind, ErrorKind::Refused);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_named() {
    let error = failure(|| Answer::NoConnection).await;
    assert_eq!((error.kind, error.outcome), (ErrorKind::Unreachable, Outcome::NotDone));
    assert!(error.message.contains(ENDPOINT) && error.message.contains("connection refused"), "{error}");
    let error = failure(|| Answer::status(500)).await;
    assert_eq!((error.kind, error.outcome), (ErrorKind::Unreachable, Outcome::Unknown));
}

#[tokio::test]
async fn nothing_of_the_ledger_is_an_item() {
    let items = [item(".repin/other/t/head", "{}", "e1"), item("a", "one", "e2"), item("b", "two", "e3")];
    let bench = Bench::with_prefix("", move |_, _| Answer::ok(page("p", &items, None)));
    let seen = bench.provider.observe(observe(&["a"])).await.unwrap();
    assert_eq!(seen.foreign.unwrap(), ["b"]);
    let write = Write { key: key(".repin/me/t1/head"), action: Action::Put(content("x"), Put::Create) };
    bench.sent();
    assert_eq!(bench.provider.apply(&write).await.unwrap_err().kind, ErrorKind::Refused);
    assert!(bench.sent().is_empty());
}

/// What `app*1/k0` to `app*1/k29` hold now, held a while ago, and held at all; two of the prefix make a page.
fn storeful(sent: &Sent) -> Answer {
    let old = |i: &usize| item(&format!("app*1/k{i}"), "old", &format!("o{i}"));
    let new = |i: &usize| item(&format!("app*1/k{i}"), "new", "n");
    let both = |i: usize| [new(&i), old(&i)];
    let show = |i: usize| match (sent.line.contains("/revisions"), &sent.back_to) {
        (true, _) => both(i).to_vec(),
        (false, Some(_)) => vec![old(&i)],
        (false, None) => vec![new(&i)],
    };
    if !sent.line.contains("key=app%5C%2A1%2F%2A&") && !sent.line.contains("after=") {
        let asked = |i: &usize| sent.line.contains(&format!("%2Fk{i}%2C")) || sent.line.contains(&format!("%2Fk{i}&"));
        let items: Vec<_> = (0..30).filter(asked).flat_map(show).collect();
        return Answer::ok(page("", &items, None));
    }
    let start: usize =
        sent.line.split("after=").nth(1).map_or(0, |text| text.split('&').next().unwrap().parse().unwrap());
    let next = format!("/kv?api-version=2026-04-01&key=x&after={}", start + 2);
    let items: Vec<_> = (start..start + 2).flat_map(show).collect();
    Answer::ok(page("", &items, (start + 2 < 30).then_some(next.as_str())))
}

/// Reads past versions of the first keys and returns what was sent for them.
async fn read_old(count: usize, at: Option<&str>, script: fn(&Sent) -> Answer) -> Vec<Sent> {
    let bench = Bench::new(move |_, sent| script(sent));
    let at = at.map(|at| at.parse().unwrap());
    let requests: Vec<_> = (0..count)
        .map(|i| ReadRequest { key: key(&format!("k{i}")), version: Some(Version::new(format!("o{i}"), at)) })
        .collect();
    let values = bench.provider.read(&requests).await.unwrap();
    for (i, value) in values.iter().enumerate() {
        let value = value.as_ref().unwrap_or_else(|| panic!("k{i} was not found"));
        assert_eq!((value.value.expose(), value.version.id.as_str()), ("old", format!("o{i}").as_str()));
    }
    bench.sent()
}

#[tokio::test]
async fn past_versions_are_read_by_looking_back() {
    let one = read_old(1, Some(AT), storeful).await;
    assert_eq!(one.len(), 1);
    assert_eq!(one[0].line, "GET /kv?api-version=2026-04-01&key=app%5C%2A1%2Fk0&label=%00");
    // The second after the newest of them was written.
    assert_eq!(one[0].back_to.as_deref(), Some("Sat, 21 Nov 2026 22:10:02 GMT"));
    assert_eq!(read_old(5, Some(AT), storeful).await.len(), 1);
    // 12 keys: three pages of the prefix find k0 to k5, and the other six take two lists by name.
    assert_eq!(read_old(12, Some(AT), storeful).await.len(), 5);
    assert!(read_old(12, Some(AT), storeful).await.iter().all(|sent| sent.back_to.is_some()));
    // 25 keys: five pages find k0 to k9, and the other fifteen take three lists by name.
    assert_eq!(read_old(25, Some(AT), storeful).await.len(), 8);
}

#[tokio::test]
async fn versions_without_a_time_are_looked_for_among_all() {
    let sent = read_old(12, None, storeful).await;
    assert_eq!(sent.len(), 3);
    assert!(sent.iter().all(|sent| sent.line.starts_with("GET /revisions") && sent.back_to.is_none()));
}

#[tokio::test]
async fn a_look_back_that_shows_or_tells_nothing_is_no_end() {
    fn refused(sent: &Sent) -> Answer {
        if sent.back_to.is_some() { Answer::status(400) } else { storeful(sent) }
    }
    fn newer(sent: &Sent) -> Answer {
        storeful(&Sent { back_to: None, ..sent.clone() })
    }
    for script in [refused, newer] {
        let sent = read_old(5, Some(AT), script).await;
        assert_eq!(sent.len(), 2);
        assert!(sent[0].back_to.is_some() && sent[1].line.starts_with("GET /revisions"));
    }
}

#[tokio::test]
async fn a_look_back_that_fails_is_a_failure() {
    let bench = Bench::new(|_, _| Answer::status(403));
    let request = ReadRequest { key: key("a"), version: Some(Version::new("o", Some(AT.parse().unwrap()))) };
    assert_eq!(bench.provider.read(&[request]).await.unwrap_err().kind, ErrorKind::Denied);
    assert_eq!(bench.sent().len(), 1);
}

#[tokio::test]
async fn an_expired_version_is_none() {
    let bench = Bench::new(|_, _| Answer::ok(page("", &[item("app*1/a", "new", "n")], None)));
    let request = ReadRequest { key: key("a"), version: Some(Version::new("gone", None)) };
    assert!(bench.provider.read(&[request]).await.unwrap()[0].is_none());
}

#[tokio::test]
async fn documents_stay_apart_from_the_data() {
    let bench = Bench::new(|_, sent| match sent.line.starts_with("GET") {
        true => Answer::ok(page("p", &[item(".repin/me/t1/head", "{}", "e1")], None)),
        false => Answer::ok(item(".repin/me/t1/head", "{}", "e1")),
    });
    let head = DocumentName::new("head");
    let write = WriteDocument::Create { name: head.clone(), body: "{}".to_owned() };
    assert_eq!(bench.provider.write_document(&write).await.unwrap().unwrap().id, "e1");
    let sent = bench.sent();
    assert_eq!(sent[0].line, "PUT /kv/.repin%2Fme%2Ft1%2Fhead?api-version=2026-04-01&label=repin");
    assert_eq!(sent[0].body["content_type"], "application/json");
    let documents = bench.provider.read_documents(ReadDocuments::All).await.unwrap();
    assert_eq!(documents.found[&head].body, "{}");
    assert_eq!(bench.sent()[0].line, "GET /kv?api-version=2026-04-01&key=.repin%2Fme%2Ft1%2F%2A&label=repin");
    let resumed = ReadDocuments::Named { names: vec![head], resume: documents.resume };
    bench.provider.read_documents(resumed).await.unwrap();
    assert_eq!(bench.sent()[0].if_none_match.as_deref(), Some("\"p\""));
}
