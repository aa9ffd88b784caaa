//! The emulator of one transcript, who calls it, and how calls and answers are written.
//!
//! | directive | does |
//! |-|-|
//! | `emulator [SWITCH...]` | starts another, empty one: see `options_of` |
//! | `advance TIME`, `skew TIME` | moves the clock; makes it differ from the callers' |
//! | `account ID`, `region NAME`, `store ID` | chooses who calls, and what |
//! | `session` | goes on with the credentials that STS handed out last |
//! | `sign right\|wrong\|not` | how calls are signed |
//! | `dated host\|answers` | whether signatures are dated by the host's clock or that of the answers |
//! | `show HEADER...` | headers to show besides the usual ones |
//! | `times N` | makes the next call N times, `{n}` in it counted up, and shows the last answer |
//! | `fail-snapshot` | makes the next snapshot fail |

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use repin_emulator::appconfig::{AppConfigRates, SnapshotFailure};
use repin_emulator::{Clock, Emulator, KmsKey, Options, Rates};
use serde_json::Value;

use crate::azconfig::sign_for;
use crate::mask::Masks;
use crate::sigv4::Signer;
use crate::wire::{Answer, send};

const ACCOUNT: &str = "111122223333";
const OTHER_ACCOUNT: &str = "999900001111";
const START: &str = "2026-11-21T12:00:00Z";
const API_VERSION: &str = "api-version=2024-09-01";

/// The most characters of an answer's body on one line.
const WIDTH: usize = 110;

/// The headers that every App Configuration answer is shown with, where it has them.
const SHOWN: [&str; 10] = [
    "content-type",
    "etag",
    "link",
    "allow",
    "www-authenticate",
    "operation-location",
    "retry-after",
    "retry-after-ms",
    "memento-datetime",
    "x-amz-retry-after",
];

#[derive(Clone, Copy, PartialEq)]
enum Signing {
    Right,
    Wrong,
    Not,
}

/// A call, ready to be sent.
struct Request {
    /// Which listener it goes to.
    endpoint: String,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
}

pub(crate) struct Stage {
    emulator: Option<Emulator>,
    masks: Masks,
    signer: Signer,
    store: String,
    signing: Signing,
    dated_as_answers: bool,
    shown: Vec<String>,
    times: usize,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self {
            emulator: None,
            masks: Masks::new(),
            signer: signer_of(ACCOUNT),
            store: "contoso".into(),
            signing: Signing::Right,
            dated_as_answers: false,
            shown: Vec::new(),
            times: 1,
        }
    }

    /// Does what a directive says.
    pub(crate) async fn direct(&mut self, directive: &str) -> Result<(), String> {
        let (what, rest) = directive.split_once(' ').unwrap_or((directive, ""));
        match what {
            "emulator" => self.emulator = Some(start(options_of(rest)?).await?),
            "advance" => self.emulator().await?.clock().advance(duration(rest)?),
            "skew" => {
                let millis = rest.parse::<SignedDuration>().map_err(|error| error.to_string())?.as_millis();
                self.emulator().await?.clock().set_skew(i64::try_from(millis).map_err(|error| error.to_string())?);
            }
            "account" => self.signer = Signer { region: self.signer.region.clone(), ..signer_of(rest) },
            "region" => self.signer.region = rest.to_owned(),
            "store" => self.store = rest.to_owned(),
            "session" => {
                let newest = |kind: &str| self.masks.newest(kind).map(str::to_owned).ok_or("there is no session");
                let (key_id, secret) = (newest("key-id")?, newest("secret")?);
                let token = Some(newest("session")?);
                self.signer = Signer { key_id, secret, token, region: self.signer.region.clone() };
            }
            "sign" => {
                self.signing = match rest {
                    "right" => Signing::Right,
                    "wrong" => Signing::Wrong,
                    "not" => Signing::Not,
                    _ => return Err(format!("no such way to sign: {rest}")),
                }
            }
            "dated" => self.dated_as_answers = rest == "answers",
            "show" => self.shown = rest.split_whitespace().map(str::to_owned).collect(),
            "times" => self.times = rest.parse().map_err(|_| format!("{rest} is no number"))?,
            "fail-snapshot" => self.emulator().await?.fail_next_snapshot(SnapshotFailure::ServerError),
            _ => return Err(format!("no such directive: {directive}")),
        }
        Ok(())
    }

    /// Makes a call, and writes its answer as transcripts do.
    pub(crate) async fn call(&mut self, first: &str, more: &[&str]) -> Result<String, String> {
        let endpoints = {
            let emulator = self.emulator().await?;
            [emulator.aws_endpoint(), emulator.azure_endpoint(), emulator.identity_endpoint()]
        };
        let (first, more) = (self.masks.show(first), more.iter().map(|line| self.masks.show(line)).collect::<Vec<_>>());
        let times = std::mem::replace(&mut self.times, 1);
        let mut answer = None;
        for n in 1..=times {
            let count = |text: &str| text.replace("{n}", &n.to_string());
            let more: Vec<String> = more.iter().map(|line| count(line)).collect();
            let request = self.request(&count(&first), &more, &endpoints)?;
            let address = request.endpoint.trim_start_matches("http://");
            let sent = send(address, &request.method, &request.target, &request.headers, &request.body);
            answer = Some(sent.await?);
        }
        let mut answer = answer.ok_or("nothing was sent")?;
        for (_, value) in &mut answer.headers {
            *value = value.replace(&endpoints[1], "<endpoint>");
        }
        let host = endpoints[2].trim_start_matches("http://");
        answer.body = answer.body.replace(&endpoints[2], "<endpoint>").replace(host, "<host>");
        Ok(self.write(&answer))
    }

    /// Returns the emulator, which starts with the first call where no directive asked for more.
    async fn emulator(&mut self) -> Result<&Emulator, String> {
        if self.emulator.is_none() {
            self.emulator = Some(start(options_of("")?).await?);
        }
        self.emulator.as_ref().ok_or_else(|| "no emulator".to_owned())
    }

    fn request(&self, first: &str, more: &[String], endpoints: &[String; 3]) -> Result<Request, String> {
        let (head, rest) = first.split_once(' ').ok_or_else(|| format!("no call: {first}"))?;
        let [aws, azure, identity] = endpoints;
        let is_header = |line: &&String| line.split_once(": ").is_some_and(|(name, _)| !name.contains(['{', '"']));
        let (headers, body): (Vec<&String>, Vec<&String>) = more.iter().partition(is_header);
        let mut headers: Vec<(String, String)> = headers
            .iter()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let body: String = body.into_iter().map(String::as_str).collect();
        if ["ssm", "kms", "sts"].contains(&head) {
            let (operation, input) = rest.split_once(' ').unwrap_or((rest, "{}"));
            let (content, body) = aws_body(head, operation, input)?;
            headers.extend(self.aws_headers(head, aws, content, &body));
            return Ok(Request { endpoint: aws.clone(), method: "POST".into(), target: "/".into(), headers, body });
        }
        if head == "identity" {
            let (method, target) = rest.split_once(' ').ok_or_else(|| format!("no call: {first}"))?;
            headers.push(("host".into(), identity.trim_start_matches("http://").into()));
            let (endpoint, method, target) = (identity.clone(), method.to_owned(), target.to_owned());
            return Ok(Request { endpoint, method, target, headers, body });
        }
        let target = versioned(rest);
        if !body.is_empty() && !headers.iter().any(|(name, _)| name == "content-type") {
            headers.push(("content-type".into(), "application/json".into()));
        }
        headers.extend(self.azure_headers(azure, head, &target, &body));
        Ok(Request { endpoint: azure.clone(), method: head.to_owned(), target, headers, body })
    }

    fn aws_headers(
        &self,
        service: &str,
        endpoint: &str,
        content: Vec<(&str, String)>,
        body: &str,
    ) -> Vec<(String, String)> {
        let host = endpoint.trim_start_matches("http://");
        let mut signer = self.signer.clone();
        if self.signing == Signing::Wrong {
            signer.secret = "wrong".into();
        }
        let mut headers = signer.sign(service, host, &content, body, self.date());
        headers.retain(|(name, _)| self.signing != Signing::Not || name != "authorization");
        headers
    }

    fn azure_headers(&self, endpoint: &str, method: &str, target: &str, body: &str) -> Vec<(String, String)> {
        let host = endpoint.trim_start_matches("http://");
        let date = self.date().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        // A signature over another target is well-formed, and wrong.
        let signed = if self.signing == Signing::Wrong { "/" } else { target };
        let mut headers = sign_for(host, &self.store, method, signed, &date, body);
        headers.retain(|(name, _)| self.signing != Signing::Not || *name != "authorization");
        headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Returns what a call is dated with.
    fn date(&self) -> Timestamp {
        let emulator = self.emulator.as_ref().filter(|_| self.dated_as_answers);
        emulator.map_or_else(Timestamp::now, |emulator| emulator.clock().now())
    }

    fn write(&mut self, answer: &Answer) -> String {
        let mut lines = vec![answer.status.to_string()];
        let azure = answer.values("sync-token").next().is_some();
        let usual = SHOWN.iter().copied().filter(|name| azure || *name == "x-amz-retry-after");
        for name in usual.chain(self.shown.iter().map(String::as_str)) {
            lines.extend(answer.values(name).map(|value| format!("{name}: {value}")));
        }
        for line in &mut lines {
            *line = self.masks.hide(line);
        }
        let body = self.masks.hide(&answer.body.replace("><", ">\n<"));
        match serde_json::from_str::<Value>(&body) {
            Ok(value) if lines.len() == 1 && body.len() <= WIDTH => lines[0].push_str(&format!(" {value}")),
            Ok(value) if body.len() <= WIDTH => lines.push(value.to_string()),
            Ok(value) => lines.extend(pretty(&value).lines().map(str::to_owned)),
            Err(_) => lines.extend(body.lines().map(str::to_owned)),
        }
        lines.iter().map(|line| format!("< {line}\n")).collect()
    }
}

/// Writes JSON over several lines, but what fits on one line on one.
fn pretty(value: &Value) -> String {
    let text = value.to_string();
    if text.len() <= WIDTH - 10 {
        return text;
    }
    let indented = |text: String| text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n");
    match value {
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| indented(format!("{name:?}: {}", pretty(value))));
            format!("{{\n{}\n}}", members.collect::<Vec<_>>().join(",\n"))
        }
        Value::Array(items) => {
            let items = items.iter().map(|item| indented(pretty(item)));
            format!("[\n{}\n]", items.collect::<Vec<_>>().join(",\n"))
        }
        _ => text,
    }
}

fn signer_of(account: &str) -> Signer {
    Signer {
        key_id: repin_emulator::credentials::access_key_id(account),
        secret: repin_emulator::credentials::SECRET_ACCESS_KEY.into(),
        token: None,
        region: "eu-west-1".into(),
    }
}

/// Headers of a call, and its body.
type Content = (Vec<(&'static str, String)>, String);

/// Returns the headers and body of an AWS call.
fn aws_body(service: &str, operation: &str, input: &str) -> Result<Content, String> {
    if service == "sts" {
        let input: serde_json::Map<String, Value> = serde_json::from_str(input).map_err(|error| error.to_string())?;
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", operation).append_pair("Version", "2011-06-15");
        for (name, value) in &input {
            form.append_pair(name, value.as_str().ok_or("STS takes texts")?);
        }
        return Ok((vec![("content-type", "application/x-www-form-urlencoded".into())], form.finish()));
    }
    let prefix = if service == "ssm" { "AmazonSSM" } else { "TrentService" };
    let headers = vec![
        ("content-type", "application/x-amz-json-1.1".to_owned()),
        ("x-amz-target", format!("{prefix}.{operation}")),
    ];
    Ok((headers, input.to_owned()))
}

/// Adds the version to a target that names none.
fn versioned(target: &str) -> String {
    match target {
        _ if target.to_ascii_lowercase().contains("api-version") => target.to_owned(),
        _ if target.contains('?') => format!("{target}&{API_VERSION}"),
        _ => format!("{target}?{API_VERSION}"),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<SignedDuration>()
        .ok()
        .and_then(|span| Duration::try_from(span).ok())
        .ok_or(format!("{text} is no time"))
}

/// Reads switches: `key=ID` or `key=alias/NAME` (a KMS key), `quotas`, `short-pages`, `ssm-lag=TIME`,
/// `azure-lag=TIME`, `provisioning=TIME`.
fn options_of(text: &str) -> Result<Options, String> {
    let mut options = Options {
        account: ACCOUNT.into(),
        accounts: vec![OTHER_ACCOUNT.into()],
        clock: Clock::manual(START.parse().map_err(|error: jiff::Error| error.to_string())?),
        snapshot_provisioning: Duration::from_secs(2),
        ..Options::default()
    };
    for switch in text.split_whitespace() {
        match switch.split_once('=').unwrap_or((switch, "")) {
            ("quotas", _) => {
                options.rates = Some(Rates::default());
                options.azure_rates = Some(AppConfigRates { reads: 3.0, writes: 2.0 });
            }
            ("short-pages", _) => options.short_pages = true,
            ("ssm-lag", lag) => options.ssm_read_lag = Some(duration(lag)?),
            ("azure-lag", lag) => options.stale_reads = Some(duration(lag)?),
            ("provisioning", time) => options.snapshot_provisioning = duration(time)?,
            ("key", key) => {
                options.kms_keys.push(KmsKey { account: ACCOUNT.into(), region: "eu-west-1".into(), key: key.into() })
            }
            _ => return Err(format!("no such switch: {switch}")),
        }
    }
    Ok(options)
}

async fn start(options: Options) -> Result<Emulator, String> {
    Emulator::start(options).await.map_err(|error| error.to_string())
}
