//! How a record is written: a document that people can read the head of, with its rows packed.
//!
//! The rows are what grows: a thousand entries touched must still fit a few documents of 4 KB. They are laid out by
//! column, so that equal neighbours compress well, deflated, and written in base64. A version replaced is left out
//! where it is the pin that the records before this one leave, which it is unless somebody else wrote; a version that
//! came of it is left out where it is the one restored.
//!
//! What is intended and what came of it are packed apart: the first is the same in the claim and in the record, so that
//! the record goes on referring to the parts that the claim has written.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64_NAME;
use jiff::Timestamp;
use repin_provider::{DocumentName, Key, Owner, Version};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::packed;
use crate::model::hold::Hold;
use crate::model::release::{ContentDigest, CopyName, FrozenSet, Header, Pin, Record, Row, RowAction, Runner, State};

/// The version of this format. An older program may read a newer ledger and must refuse to write it.
pub const FORMAT: u32 = 1;

/// Written for "the pin that the records before leave", and for "the version restored".
const SAME: &str = "=";

/// Characters of a part's digest in its name.
const DIGEST: usize = 11;

/// Bytes that a claim takes to say that nothing is done yet.
const DONE: usize = 100;

/// A document that does not read as a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Corrupt {
    /// Written by a newer program.
    #[error("was written by a newer repin (ledger format {found}, this program knows up to {FORMAT})")]
    Newer {
        /// The format found.
        found: u32,
    },
    /// Not a record.
    #[error("does not read as a record: {0}")]
    Damaged(String),
    /// Another owner's.
    #[error("belongs to {0}")]
    OtherOwner(String),
    /// A part of its rows is missing.
    #[error("lacks its part {0}")]
    MissingPart(DocumentName),
}

/// The document of a record.
#[derive(Clone, Serialize, Deserialize)]
struct Head {
    repin: u32,
    owner: Owner,
    seq: u64,
    state: State,
    #[serde(flatten)]
    header: Header,
    runner: Runner,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    serve: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    set: Option<FrozenSet>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<Timestamp>,
    intent: String,
    /// The parts that the intent begins in, by what their names end in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    intent_parts: Vec<String>,
    done: String,
    /// The same for what was done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    done_parts: Vec<String>,
}

impl Head {
    fn intent_parts(&self) -> Vec<DocumentName> {
        self.intent_parts.iter().map(|ending| part_name(self.seq, ending)).collect()
    }

    fn done_parts(&self) -> Vec<DocumentName> {
        self.done_parts.iter().map(|ending| part_name(self.seq, ending)).collect()
    }
}

/// Only what tells whether the rest can be read.
#[derive(Deserialize)]
struct Format {
    repin: u32,
}

/// What is intended, by column; one line a row in each text.
#[derive(Serialize, Deserialize)]
struct Intent {
    keys: String,
    actions: Vec<RowAction>,
    from: String,
    contents: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restores: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    holds: BTreeMap<Key, Option<Hold>>,
}

/// What came of it, by column.
#[derive(Serialize, Deserialize)]
struct Done {
    applied: Vec<u8>,
    to: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    copies: Vec<CopyName>,
}

/// A record as documents: the parts are written before the head, which makes them count.
#[derive(Debug, PartialEq)]
pub(super) struct Encoded {
    pub(super) head: String,
    /// In no particular order.
    pub(super) parts: Vec<(DocumentName, String)>,
}

/// Returns the name of a part of a record.
fn part_name(seq: u64, ending: &str) -> DocumentName {
    DocumentName::new(format!("part/{seq:08}-{ending}"))
}

/// Returns what the name of a part ends in: what its place and its contents are.
fn ending(n: usize, body: &str) -> String {
    let digest = BASE64_NAME.encode(Sha256::digest(body));
    format!("-{n}-{}", &digest[..DIGEST])
}

/// Returns the name of a record's document.
pub(super) fn record_name(seq: u64) -> DocumentName {
    DocumentName::new(format!("log/{seq:08}"))
}

/// Returns the place in the log that a document's name says, if it is a record's.
pub(super) fn record_seq(name: &DocumentName) -> Option<u64> {
    name.as_str().strip_prefix("log/")?.parse().ok()
}

/// Writes a record as documents of at most `max` bytes. `pins` are those that the records before it leave, `revision`
/// tells this state of it from others, so that no state shares parts with another by chance. `old` are the parts of the
/// state that it replaces: those that hold what they shall hold keep their names.
pub(super) fn encode(
    record: &Record,
    pins: &BTreeMap<Key, Pin>,
    revision: &str,
    old: &BTreeSet<DocumentName>,
    max: usize,
) -> Encoded {
    let mut head = Head {
        repin: FORMAT,
        owner: record.owner.clone(),
        seq: record.seq,
        state: record.state,
        header: record.header.clone(),
        runner: record.runner.clone(),
        serve: record.serve.clone(),
        set: record.set.clone(),
        ended: record.ended,
        intent: String::new(),
        intent_parts: Vec::new(),
        done: String::new(),
        done_parts: Vec::new(),
    };
    let name = |n: usize, body: &str| {
        let ending = ending(n, body);
        let kept = old.iter().find(|name| name.as_str().ends_with(&ending)).cloned();
        kept.unwrap_or_else(|| part_name(record.seq, &format!("{revision}{ending}")))
    };
    let (intent, done) = (pack_intent(record, pins), pack_done(record));
    // The shortest that is to be said of what was done always has its room.
    let room = |head: &Head| max.saturating_sub(to_json(head).len());
    let intent = packed::cut(
        intent,
        max,
        |parts| room(&Head { intent_parts: endings(parts), ..head.clone() }).saturating_sub(DONE),
        name,
    );
    (head.intent, head.intent_parts) = (intent.head, endings(intent.parts.iter().map(|(name, _)| name)));
    let done = packed::cut(done, max, |parts| room(&Head { done_parts: endings(parts), ..head.clone() }), name);
    (head.done, head.done_parts) = (done.head, endings(done.parts.iter().map(|(name, _)| name)));
    Encoded { head: to_json(&head), parts: intent.parts.into_iter().chain(done.parts).collect() }
}

/// Returns what the names of a record's parts end in.
fn endings<'a>(parts: impl IntoIterator<Item = &'a DocumentName>) -> Vec<String> {
    let ending =
        |name: &DocumentName| name.as_str().split_once('-').map_or_else(String::new, |(_, ending)| ending.to_owned());
    parts.into_iter().map(ending).collect()
}

/// Returns the names of the parts that a record's document refers to; none if it cannot be read.
pub(super) fn parts_of(body: &str) -> Vec<DocumentName> {
    let parts = |head: Head| [head.intent_parts(), head.done_parts()].concat();
    serde_json::from_str::<Head>(body).map(parts).unwrap_or_default()
}

/// Returns what tells the run that made a record from all others, if it is a record.
pub(super) fn nonce(body: &str) -> Option<String> {
    serde_json::from_str::<Head>(body).ok().map(|head| head.header.nonce)
}

/// Tells whether a record's document is of the same run as this record, whatever its rows say.
pub(super) fn is_run_of(body: &str, record: &Record) -> bool {
    serde_json::from_str::<Head>(body)
        .is_ok_and(|head| head.header.nonce == record.header.nonce && head.runner == record.runner)
}

/// Reads the head of a document of any kind: one that this program understands, of this owner. `owner_of` says whose a
/// head is.
pub(super) fn read_head<H: DeserializeOwned>(
    body: &str,
    owner: &Owner,
    owner_of: impl Fn(&H) -> &Owner,
) -> Result<H, Corrupt> {
    let Format { repin } = parse(body)?;
    if repin > FORMAT {
        return Err(Corrupt::Newer { found: repin });
    }
    let head = parse(body)?;
    let found = owner_of(&head);
    if found != owner {
        return Err(Corrupt::OtherOwner(found.to_string()));
    }
    Ok(head)
}

fn parse<T: DeserializeOwned>(body: &str) -> Result<T, Corrupt> {
    serde_json::from_str(body).map_err(|error| Corrupt::Damaged(error.to_string()))
}

/// Reads a record from its document. `pins` are those that the records before it leave.
pub(super) fn decode(
    body: &str,
    part: impl Fn(&DocumentName) -> Option<String>,
    pins: &BTreeMap<Key, Pin>,
    owner: &Owner,
) -> Result<Record, Corrupt> {
    let head: Head = read_head(body, owner, |head: &Head| &head.owner)?;
    let intent = packed::join(&head.intent, &head.intent_parts(), &part)?;
    let done = packed::join(&head.done, &head.done_parts(), &part)?;
    let (rows, holds, copies) = unpack(&intent, &done, pins, head.header.at).map_err(Corrupt::Damaged)?;
    Ok(Record {
        seq: head.seq,
        owner: head.owner,
        header: head.header,
        state: head.state,
        runner: head.runner,
        rows,
        holds,
        copies,
        serve: head.serve,
        set: head.set,
        ended: head.ended,
    })
}

/// Writes JSON without double braces, which Parameter Store refuses as a reference. In JSON they stand only inside
/// texts, a release's message for example, where an escape means the same.
pub(super) fn to_json<T: Serialize>(value: &T) -> String {
    let json = serde_json::to_string(value).expect("plain data with text keys always serialises");
    json.replace("{{", "\\u007b\\u007b")
}

/// Writes a line for each row.
fn lines(record: &Record, text: impl Fn(&Row) -> String) -> String {
    record.rows.iter().map(text).collect::<Vec<_>>().join("\n")
}

fn pack_intent(record: &Record, pins: &BTreeMap<Key, Pin>) -> String {
    let (rows, at) = (&record.rows, record.header.at);
    let restores = || lines(record, |row| version_text(row.restores.as_ref(), at));
    let intent = Intent {
        keys: lines(record, |row| row.key.to_string()),
        actions: rows.iter().map(|row| row.action).collect(),
        from: lines(record, |row| match (&row.from, pins.get(&row.key)) {
            (Some(from), Some(pin)) if same_exactly(from, &pin.version) => SAME.to_owned(),
            (from, _) => version_text(from.as_ref(), at),
        }),
        contents: lines(record, |row| row.content.as_ref().map(|c| c.as_str().to_owned()).unwrap_or_default()),
        restores: rows.iter().any(|row| row.restores.is_some()).then(restores),
        holds: record.holds.clone(),
    };
    packed::pack(&to_json(&intent))
}

fn pack_done(record: &Record) -> String {
    let at = record.header.at;
    let done = Done {
        applied: record.rows.iter().map(|row| u8::from(row.applied)).collect(),
        to: lines(record, |row| match (&row.to, &row.restores) {
            (Some(to), Some(restores)) if same_exactly(to, restores) => SAME.to_owned(),
            (to, _) => version_text(to.as_ref(), at),
        }),
        copies: record.copies.clone(),
    };
    packed::pack(&to_json(&done))
}

/// The rows of a record, what becomes of holds, and the copies that it made.
type Unpacked = (Vec<Row>, BTreeMap<Key, Option<Hold>>, Vec<CopyName>);

fn unpack(intent: &str, done: &str, pins: &BTreeMap<Key, Pin>, at: Timestamp) -> Result<Unpacked, String> {
    let intent: Intent = serde_json::from_str(&packed::unpack(intent)?).map_err(|e| e.to_string())?;
    let done: Done = serde_json::from_str(&packed::unpack(done)?).map_err(|e| e.to_string())?;
    let count = intent.actions.len();
    let split = |text: &str| -> Result<Vec<String>, String> {
        let lines: Vec<String> = if count == 0 { Vec::new() } else { text.split('\n').map(str::to_owned).collect() };
        if lines.len() == count { Ok(lines) } else { Err(format!("{} lines for {count} rows", lines.len())) }
    };
    let (keys, from, to) = (split(&intent.keys)?, split(&intent.from)?, split(&done.to)?);
    let contents = split(&intent.contents)?;
    let restores = intent.restores.as_deref().map(split).transpose()?;
    if done.applied.len() != count {
        return Err(format!("{} marks for {count} rows", done.applied.len()));
    }
    let mut rows = Vec::with_capacity(count);
    for n in 0..count {
        let key = Key::parse(&keys[n]).map_err(|e| e.to_string())?;
        let from = if from[n] == SAME {
            let pin = pins.get(&key).ok_or_else(|| format!("{key} refers to a pin that is not there"))?;
            Some(pin.version.clone())
        } else {
            version_of(&from[n], at)?
        };
        let restores = restores.as_ref().map_or(Ok(None), |restores| version_of(&restores[n], at))?;
        let to = if to[n] == SAME {
            Some(restores.clone().ok_or_else(|| format!("{key} refers to a version that is not there"))?)
        } else {
            version_of(&to[n], at)?
        };
        let content = Some(contents[n].as_str()).filter(|text| !text.is_empty()).map(ContentDigest::from_ledger);
        let (action, applied) = (intent.actions[n], done.applied[n] != 0);
        rows.push(Row { key, action, from, to, content, restores, applied });
    }
    Ok((rows, intent.holds, done.copies))
}

/// Stricter than `Version`'s equality, which lets an unknown date agree with any.
fn same_exactly(a: &Version, b: &Version) -> bool {
    a.id == b.id && a.at == b.at
}

/// Writes a version as `id`, or `id@milliseconds` counted from the record's own time; nothing for none.
fn version_text(version: Option<&Version>, base: Timestamp) -> String {
    match version {
        None => String::new(),
        Some(Version { id, at: None }) => id.clone(),
        Some(Version { id, at: Some(at) }) => format!("{id}@{}", at.as_millisecond() - base.as_millisecond()),
    }
}

fn version_of(text: &str, base: Timestamp) -> Result<Option<Version>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let Some((id, delta)) = text.rsplit_once('@') else {
        return Ok(Some(Version::new(text, None)));
    };
    let delta: i64 = delta.parse().map_err(|_| format!("{text:?} is not a version"))?;
    let at = base.as_millisecond().checked_add(delta).and_then(|ms| Timestamp::from_millisecond(ms).ok());
    Ok(Some(Version::new(id, Some(at.ok_or_else(|| format!("{text:?} is out of time"))?))))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use repin_provider::TargetName;

    use super::*;
    use crate::model::desired::FileDigest;
    use crate::model::hold::HeldContent;
    use crate::model::release::{Cause, TargetId};

    pub(in crate::record) fn header(at: i64) -> Header {
        let id = TargetId::of(&repin_provider::Place::parse("aws-ssm/111122223333/eu-west-1/a").expect("valid"));
        Header {
            nonce: "0123456789abcdef".into(),
            release: Some(42),
            cause: Cause::Reconcile,
            at: Timestamp::from_millisecond(at).expect("in range"),
            actor: "ana@ops1".into(),
            message: Some("warmer".into()),
            file: Some(FileDigest("00112233445566778899aabbccddeeff".into())),
            restores: None,
            keys: None,
            heir: None,
            targets: [(id, TargetName::parse("aws-eu").expect("valid"))].into(),
        }
    }

    pub(in crate::record) fn runner() -> Runner {
        Runner {
            host: "ops1".into(),
            boot: "3e1f6a3e-0000-4000-8000-000000000000".into(),
            pid_namespace: "4026531836".into(),
            pid: 4242,
            started: 123_456,
        }
    }

    fn owner() -> Owner {
        Owner::parse("assistant-prod").expect("valid")
    }

    fn record(rows: Vec<Row>) -> Record {
        Record {
            seq: 7,
            owner: owner(),
            header: header(1_763_765_280_123),
            state: State::Done,
            runner: runner(),
            rows,
            holds: BTreeMap::new(),
            copies: Vec::new(),
            serve: None,
            set: None,
            ended: None,
        }
    }

    fn round_trip(record: &Record, pins: &BTreeMap<Key, Pin>, max: usize) -> (Encoded, Record) {
        let encoded = encode(record, pins, "ab", &BTreeSet::new(), max);
        let parts: BTreeMap<_, _> = encoded.parts.iter().cloned().collect();
        let back = decode(&encoded.head, |name| parts.get(name).cloned(), pins, &owner()).expect("decodes");
        (encoded, back)
    }

    /// Entries of SSM, each with a version, a date and a content of its own: what is intended fits one document of
    /// 4 KB, what was done fits two.
    #[test]
    fn a_release_of_250_entries_fits_few_ssm_documents() {
        let base = 1_763_765_280_123_i64;
        let version = |n: u64, ms: u64| {
            Version::new(n.to_string(), Some(Timestamp::from_millisecond(base + ms as i64).expect("in range")))
        };
        let mut pins = BTreeMap::new();
        let mut rows = Vec::new();
        for n in 0..250_u64 {
            let key = Key::parse(&format!("prompts/team-{}/answer-{n:04}", n % 7)).expect("valid");
            let from = version(n % 9 + 1, n * 7_654_321 % 99_999);
            pins.insert(
                key.clone(),
                Pin { version: from.clone(), release: Some(1), content: None, origin: from.clone() },
            );
            let to = version(n % 9 + 2, 1_000 + n * 333);
            let content = Some(ContentDigest::of(&n.to_string(), None));
            rows.push(Row {
                key,
                action: RowAction::Update,
                from: Some(from),
                to: Some(to),
                content,
                restores: None,
                applied: true,
            });
        }
        let record = record(rows);
        let (done, back) = round_trip(&record, &pins, 4096);
        assert_eq!(back, record);
        assert_eq!(done.parts.len(), 1);
        let undone = |row: &Row| Row { to: None, applied: false, ..row.clone() };
        let intended = Record { state: State::Claimed, rows: record.rows.iter().map(undone).collect(), ..record };
        let (intent, back) = round_trip(&intended, &pins, 4096);
        assert_eq!(back, intended);
        assert!(intent.parts.is_empty(), "{} bytes and {} parts", intent.head.len(), intent.parts.len());
    }

    /// A rollback of as many, with holds: what it intends goes into a part, which its record goes on referring to.
    #[test]
    fn a_record_keeps_the_parts_of_its_claim() {
        let version = |n: u64| Version::new(n.to_string(), Timestamp::from_millisecond(n as i64 * 7_919).ok());
        let digest = |n: u64| ContentDigest::of(&n.to_string(), None);
        let key = |n: u64| Key::parse(&format!("prompts/team-{}/answer-{n:04}", n % 7)).expect("valid");
        let row = |n: u64| Row {
            key: key(n),
            action: RowAction::Update,
            from: Some(version(n + 2)),
            to: None,
            content: Some(digest(n)),
            restores: Some(version(n)),
            applied: false,
        };
        let hold = |n: u64| {
            (
                key(n),
                Some(Hold { since: 3, contents: [HeldContent::Plain(digest(n + 1000))].into(), ..Hold::default() }),
            )
        };
        let holds = (0..250).map(hold).collect();
        let claim = Record { state: State::Claimed, holds, ..record((0..250).map(row).collect()) };
        let (claimed, back) = round_trip(&claim, &BTreeMap::new(), 4096);
        assert_eq!(back, claim);
        assert!((1..=3).contains(&claimed.parts.len()), "{} parts", claimed.parts.len());
        for to in [|row: &Row| row.restores.clone(), |row: &Row| row.from.clone()] {
            let rows = claim.rows.iter().map(|row| Row { to: to(row), applied: true, ..row.clone() }).collect();
            let done = Record { state: State::Done, rows, ended: Some(claim.header.at), ..claim.clone() };
            let kept = claimed.parts.iter().map(|(name, _)| name.clone()).collect();
            let encoded = encode(&done, &BTreeMap::new(), "cd", &kept, 4096);
            let parts: BTreeMap<_, _> = encoded.parts.iter().cloned().collect();
            assert!(kept.iter().all(|name| parts.contains_key(name)), "all are kept");
            assert!(parts.len() <= kept.len() + 1, "{} parts more", parts.len() - kept.len());
            let back = decode(&encoded.head, |name| parts.get(name).cloned(), &BTreeMap::new(), &owner());
            assert_eq!(back, Ok(done));
        }
    }

    #[test]
    fn a_long_record_goes_into_parts() {
        let rows = (0..3000)
            .map(|n| Row {
                key: Key::parse(&format!("k/{:x}", n * 2_654_435_761_u64 % 1_000_003)).expect("valid"),
                action: RowAction::Create,
                from: None,
                to: Some(Version::new(format!("etag{:x}", n * 40_503), None)),
                content: None,
                restores: None,
                applied: true,
            })
            .collect();
        let record = record(rows);
        let (encoded, back) = round_trip(&record, &BTreeMap::new(), 4096);
        assert_eq!(back, record);
        assert!(encoded.parts.len() > 3);
        assert!(encoded.head.len() <= 4096 && encoded.parts.iter().all(|(_, body)| body.len() <= 4096));
        let lost = decode(&encoded.head, |_| None, &BTreeMap::new(), &owner());
        assert!(matches!(lost, Err(Corrupt::MissingPart(_))), "{lost:?}");
    }

    #[test]
    fn double_braces_in_a_message_are_escaped() {
        let mut record = record(vec![]);
        record.header.message = Some("uses {{{name}}} now".into());
        let (encoded, back) = round_trip(&record, &BTreeMap::new(), 4096);
        assert!(!encoded.head.contains("{{"), "{}", encoded.head);
        assert_eq!(back, record);
    }

    #[test]
    fn a_newer_or_damaged_ledger_is_told_apart() {
        let no_parts = |_: &DocumentName| None;
        let newer = decode(r#"{"repin":2,"anything":true}"#, no_parts, &BTreeMap::new(), &owner());
        assert_eq!(newer, Err(Corrupt::Newer { found: 2 }));
        for body in ["", "{", "[]", r#"{"repin":1}"#, "null"] {
            let damaged = decode(body, no_parts, &BTreeMap::new(), &owner());
            assert!(matches!(damaged, Err(Corrupt::Damaged(_))), "{body:?}: {damaged:?}");
        }
        let encoded = encode(&record(vec![]), &BTreeMap::new(), "ab", &BTreeSet::new(), 4096);
        let other = decode(&encoded.head, no_parts, &BTreeMap::new(), &Owner::parse("other").expect("valid"));
        assert_eq!(other, Err(Corrupt::OtherOwner("assistant-prod".into())));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn decoding_never_panics(body in ".{0,200}", rows in "[A-Za-z0-9+/]{0,80}", column in "intent|done") {
            let no_parts = |_: &DocumentName| None;
            let _ = decode(&body, no_parts, &BTreeMap::new(), &owner());
            let encoded = encode(&record(vec![]), &BTreeMap::new(), "ab", &BTreeSet::new(), 4096);
            let mut head: serde_json::Value = serde_json::from_str(&encoded.head).expect("json");
            head[column] = rows.into();
            let _ = decode(&head.to_string(), no_parts, &BTreeMap::new(), &owner());
        }
    }
}
