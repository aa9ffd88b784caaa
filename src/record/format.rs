//! How a record is written: a document that people can read the head of, with its rows packed.
//!
//! The rows are what grows: a thousand entries touched must still fit a few documents of 4 KB. They are laid out by
//! column, so that equal neighbours compress well, deflated, and written in base64. A version replaced is left out
//! where it is the pin that the records before this one leave, which it is unless somebody else wrote.

use std::collections::BTreeMap;

use jiff::Timestamp;
use repin_provider::{DocumentName, Key, Owner, Version};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::packed::{self, Cut};
use crate::model::hold::Hold;
use crate::model::release::{ContentDigest, CopyName, FrozenSet, Header, Pin, Record, Row, RowAction, Runner, State};

/// The version of this format. An older program may read a newer ledger and must refuse to write it.
pub const FORMAT: u32 = 1;

/// Written for "the pin that the records before leave".
const AS_PINNED: &str = "=";

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
    rows: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parts: Vec<DocumentName>,
}

/// Only what tells whether the rest can be read.
#[derive(Deserialize)]
struct Format {
    repin: u32,
}

/// The rows by column; one line a row in each text.
#[derive(Serialize, Deserialize)]
struct Columns {
    keys: String,
    actions: Vec<RowAction>,
    applied: Vec<u8>,
    from: String,
    to: String,
    contents: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restores: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    holds: BTreeMap<Key, Option<Hold>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    copies: Vec<CopyName>,
}

/// A record as documents: the parts are written before the head, which makes them count.
#[derive(Debug, PartialEq)]
pub(super) struct Encoded {
    pub(super) head: String,
    pub(super) parts: Vec<(DocumentName, String)>,
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
/// tells this state of it from others, so that no state shares parts with another.
pub(super) fn encode(record: &Record, pins: &BTreeMap<Key, Pin>, revision: &str, max: usize) -> Encoded {
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
        rows: String::new(),
        parts: Vec::new(),
    };
    let room = |parts: &[DocumentName]| {
        let named = Head { parts: parts.to_vec(), ..head.clone() };
        max.saturating_sub(to_json(&named).len())
    };
    let name = |n: usize| DocumentName::new(format!("part/{:08}-{revision}-{n}", record.seq));
    let Cut { head: rows, parts } = packed::cut(pack(record, pins), max, room, name);
    head.rows = rows;
    head.parts = parts.iter().map(|(name, _)| name.clone()).collect();
    Encoded { head: to_json(&head), parts }
}

/// Returns the names of the parts that a record's document refers to; none if it cannot be read.
pub(super) fn parts_of(body: &str) -> Vec<DocumentName> {
    serde_json::from_str::<Head>(body).map(|head| head.parts).unwrap_or_default()
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
    let packed = packed::join(head.rows, &head.parts, part)?;
    let (rows, holds, copies) = unpack(&packed, pins, head.header.at).map_err(Corrupt::Damaged)?;
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

fn pack(record: &Record, pins: &BTreeMap<Key, Pin>) -> String {
    let (rows, at) = (&record.rows, record.header.at);
    let lines = |text: &dyn Fn(&Row) -> String| rows.iter().map(text).collect::<Vec<_>>().join("\n");
    let columns = Columns {
        keys: lines(&|row| row.key.to_string()),
        actions: rows.iter().map(|row| row.action).collect(),
        applied: rows.iter().map(|row| u8::from(row.applied)).collect(),
        from: lines(&|row| match (&row.from, pins.get(&row.key)) {
            (Some(from), Some(pin)) if same_exactly(from, &pin.version) => AS_PINNED.to_owned(),
            (from, _) => version_text(from.as_ref(), at),
        }),
        to: lines(&|row| version_text(row.to.as_ref(), at)),
        contents: lines(&|row| row.content.as_ref().map(|content| content.as_str().to_owned()).unwrap_or_default()),
        restores: rows
            .iter()
            .any(|row| row.restores.is_some())
            .then(|| lines(&|row| version_text(row.restores.as_ref(), at))),
        holds: record.holds.clone(),
        copies: record.copies.clone(),
    };
    packed::pack(&to_json(&columns))
}

/// The rows of a record, what becomes of holds, and the copies that it made.
type Unpacked = (Vec<Row>, BTreeMap<Key, Option<Hold>>, Vec<CopyName>);

fn unpack(packed: &str, pins: &BTreeMap<Key, Pin>, at: Timestamp) -> Result<Unpacked, String> {
    let columns: Columns = serde_json::from_str(&packed::unpack(packed)?).map_err(|e| e.to_string())?;
    let count = columns.actions.len();
    let split = |text: &str| -> Result<Vec<String>, String> {
        let lines: Vec<String> = if count == 0 { Vec::new() } else { text.split('\n').map(str::to_owned).collect() };
        if lines.len() == count { Ok(lines) } else { Err(format!("{} lines for {count} rows", lines.len())) }
    };
    let (keys, from, to) = (split(&columns.keys)?, split(&columns.from)?, split(&columns.to)?);
    let contents = split(&columns.contents)?;
    let restores = columns.restores.as_deref().map(split).transpose()?;
    if columns.applied.len() != count {
        return Err(format!("{} marks for {count} rows", columns.applied.len()));
    }
    let mut rows = Vec::with_capacity(count);
    for n in 0..count {
        let key = Key::parse(&keys[n]).map_err(|e| e.to_string())?;
        let from = if from[n] == AS_PINNED {
            let pin = pins.get(&key).ok_or_else(|| format!("{key} refers to a pin that is not there"))?;
            Some(pin.version.clone())
        } else {
            version_of(&from[n], at)?
        };
        let to = version_of(&to[n], at)?;
        let content = Some(contents[n].as_str()).filter(|text| !text.is_empty()).map(ContentDigest::from_ledger);
        let restores = restores.as_ref().map_or(Ok(None), |restores| version_of(&restores[n], at))?;
        rows.push(Row {
            key,
            action: columns.actions[n],
            from,
            to,
            content,
            restores,
            applied: columns.applied[n] != 0,
        });
    }
    Ok((rows, columns.holds, columns.copies))
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
        let encoded = encode(record, pins, "ab", max);
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
        let encoded = encode(&record(vec![]), &BTreeMap::new(), "ab", 4096);
        let other = decode(&encoded.head, no_parts, &BTreeMap::new(), &Owner::parse("other").expect("valid"));
        assert_eq!(other, Err(Corrupt::OtherOwner("assistant-prod".into())));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn decoding_never_panics(body in ".{0,200}", rows in "[A-Za-z0-9+/]{0,80}") {
            let no_parts = |_: &DocumentName| None;
            let _ = decode(&body, no_parts, &BTreeMap::new(), &owner());
            let encoded = encode(&record(vec![]), &BTreeMap::new(), "ab", 4096);
            let mut head: serde_json::Value = serde_json::from_str(&encoded.head).expect("json");
            head["rows"] = rows.into();
            let _ = decode(&head.to_string(), no_parts, &BTreeMap::new(), &owner());
        }
    }
}
