//! The base: what a log's oldest records come to, once they are folded away.
//!
//! A log grows by a record a release. When it holds twice as many releases as are kept restorable, its older half is
//! folded: the pins and holds that it leaves are written down as one base, and its records are removed. The heads of the
//! releases stay, so that the history stays long.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use repin_provider::{DocumentName, Key, Owner, Version};
use serde::{Deserialize, Serialize};

use super::format::{Corrupt, Encoded, FORMAT, read_head, to_json};
use super::packed::{self, Cut};
use crate::model::hold::Hold;
use crate::model::release::{ContentDigest, CopyName, FrozenSet, Header, Ledger, Pin, Record, Runner, State};

/// Heads of folded releases that are kept.
const HEADS: usize = 200;

/// The document.
#[derive(Clone, Serialize, Deserialize)]
struct Head {
    repin: u32,
    owner: Owner,
    seq: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parts: Vec<DocumentName>,
    state: String,
}

#[derive(Serialize, Deserialize)]
struct Body {
    pins: BTreeMap<Key, PinText>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    holds: BTreeMap<Key, Hold>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    withdrawn: BTreeMap<Key, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    copies: Vec<CopyName>,
    set: Option<FrozenSet>,
    serve: Option<String>,
    releases: Vec<Old>,
}

/// A pin as version, origin where that is another, release and content.
#[derive(Serialize, Deserialize)]
struct PinText(String, Option<String>, Option<u64>, Option<ContentDigest>);

/// What stays of a folded release.
#[derive(Serialize, Deserialize)]
struct Old {
    seq: u64,
    state: State,
    ended: Option<Timestamp>,
    #[serde(flatten)]
    header: Header,
}

/// Returns the name of a base's document.
pub(super) fn base_name(seq: u64) -> DocumentName {
    DocumentName::new(format!("base/{seq:08}"))
}

/// Returns the place in the log up to which a document's name says that it is the base, if it is one's.
pub(super) fn base_seq(name: &DocumentName) -> Option<u64> {
    name.as_str().strip_prefix("base/")?.parse().ok()
}

/// Returns the names of the parts that a base's document refers to; none if it cannot be read.
pub(super) fn parts_of(body: &str) -> Vec<DocumentName> {
    serde_json::from_str::<Head>(body).map(|head| head.parts).unwrap_or_default()
}

/// Writes what a ledger says as the base of its own log.
pub(super) fn encode(ledger: &Ledger, owner: &Owner, revision: &str, max: usize) -> Encoded {
    let seq = ledger.last_seq();
    let mut head = Head { repin: FORMAT, owner: owner.clone(), seq, parts: Vec::new(), state: String::new() };
    let room = |parts: &[DocumentName]| {
        let named = Head { parts: parts.to_vec(), ..head.clone() };
        max.saturating_sub(to_json(&named).len())
    };
    let name = |n: usize, _: &str| DocumentName::new(format!("part/{seq:08}-b{revision}-{n}"));
    let Cut { head: state, parts } = packed::cut(pack(ledger), max, room, name);
    head.state = state;
    head.parts = parts.iter().map(|(name, _)| name.clone()).collect();
    Encoded { head: to_json(&head), parts }
}

/// Reads a base.
pub(super) fn decode(
    body: &str,
    part: impl Fn(&DocumentName) -> Option<String>,
    owner: &Owner,
) -> Result<Ledger, Corrupt> {
    let head: Head = read_head(body, owner, |head: &Head| &head.owner)?;
    let packed = packed::join(&head.state, &head.parts, part)?;
    unpack(&packed, owner, head.seq).map_err(Corrupt::Damaged)
}

fn pack(ledger: &Ledger) -> String {
    let text = |pin: &Pin| {
        let origin = (pin.origin != pin.version || pin.origin.at != pin.version.at).then(|| written(&pin.origin));
        PinText(written(&pin.version), origin, pin.release, pin.content.clone())
    };
    let old = |record: &Record| Old {
        seq: record.seq,
        state: record.state,
        ended: record.ended,
        header: record.header.clone(),
    };
    let releases: Vec<_> = ledger.records.iter().filter(|record| record.header.release.is_some()).collect();
    let body = Body {
        pins: ledger.pins.iter().map(|(key, pin)| (key.clone(), text(pin))).collect(),
        holds: ledger.holds.clone(),
        withdrawn: ledger.withdrawn.iter().map(|(key, version)| (key.clone(), written(version))).collect(),
        copies: ledger.copies.iter().cloned().collect(),
        set: ledger.set.clone(),
        serve: ledger.serve.clone(),
        releases: releases[releases.len().saturating_sub(HEADS)..].iter().map(|record| old(record)).collect(),
    };
    packed::pack(&serde_json::to_string(&body).expect("plain data with text keys always serialises"))
}

fn unpack(packed: &str, owner: &Owner, seq: u64) -> Result<Ledger, String> {
    let json = packed::unpack(packed)?;
    let body: Body = serde_json::from_str(&json).map_err(|e| e.to_string())?;
    let mut ledger = Ledger {
        holds: body.holds,
        copies: body.copies.into_iter().collect(),
        set: body.set,
        serve: body.serve,
        ..Ledger::default()
    };
    for (key, PinText(version, origin, release, content)) in body.pins {
        let version = read(&version)?;
        let origin = origin.map_or_else(|| Ok(version.clone()), |origin| read(&origin))?;
        ledger.pins.insert(key, Pin { version, release, content, origin });
    }
    for (key, version) in body.withdrawn {
        ledger.withdrawn.insert(key, read(&version)?);
    }
    let record = |old: Old| Record {
        seq: old.seq,
        owner: owner.clone(),
        header: old.header,
        state: old.state,
        runner: Runner { host: String::new(), boot: String::new(), pid_namespace: String::new(), pid: 0, started: 0 },
        rows: Vec::new(),
        holds: BTreeMap::new(),
        copies: Vec::new(),
        serve: None,
        set: None,
        ended: old.ended,
    };
    ledger.records = body.releases.into_iter().map(record).collect();
    ledger.base_seq = seq;
    Ok(Ledger { base: Some(Arc::new(ledger.clone())), ..ledger })
}

fn written(version: &Version) -> String {
    match version.at {
        None => version.id.clone(),
        Some(at) => format!("{}@{}", version.id, at.as_millisecond()),
    }
}

fn read(text: &str) -> Result<Version, String> {
    let Some((id, at)) = text.rsplit_once('@') else { return Ok(Version::new(text, None)) };
    let wrong = || format!("{text:?} is not a version");
    let at = at.parse().map_err(|_| wrong())?;
    Ok(Version::new(id, Some(Timestamp::from_millisecond(at).map_err(|_| wrong())?)))
}

#[cfg(test)]
mod tests {
    use crate::record::format::tests::{header, runner};

    use super::*;
    use crate::model::release::{Row, RowAction};

    #[test]
    fn a_base_says_what_its_records_came_to() {
        let owner = Owner::parse("assistant-prod").expect("valid");
        let version = |n: u64| Version::new(n.to_string(), Timestamp::from_millisecond(n as i64 * 1000).ok());
        let record = |seq: u64| Record {
            seq,
            owner: owner.clone(),
            header: Header { release: Some(seq), ..header(1_763_765_280_123) },
            state: State::Done,
            runner: runner(),
            rows: (0..40)
                .map(|n| Row {
                    key: Key::parse(&format!("k/{n}")).expect("valid"),
                    action: RowAction::Update,
                    from: None,
                    to: Some(version(seq * 100 + n)),
                    content: Some(ContentDigest::of("x", None)),
                    restores: (n % 2 == 0).then(|| version(1)),
                    applied: true,
                })
                .collect(),
            holds: [(Key::parse("k/1").expect("valid"), Some(Hold { since: seq, by_hand: true, ..Hold::default() }))]
                .into(),
            copies: vec![CopyName::of(&Key::parse("k/1").expect("valid"), &version(seq))],
            serve: Some("latest".into()),
            set: None,
            ended: None,
        };
        let ledger = Ledger::new((1..=9).map(record).collect(), None);
        let encoded = encode(&ledger, &owner, "ab", 400);
        assert!(encoded.parts.len() > 1 && encoded.head.len() <= 400);
        let parts: BTreeMap<_, _> = encoded.parts.iter().cloned().collect();
        let back = decode(&encoded.head, |name| parts.get(name).cloned(), &owner).expect("decodes");
        assert_eq!((&back.pins, &back.holds, &back.copies), (&ledger.pins, &ledger.holds, &ledger.copies));
        assert_eq!((back.last_seq(), back.highest_release(), back.serve.as_deref()), (9, 9, Some("latest")));
        // What comes after it is folded into it.
        let next = back.with(record(10));
        let whole = ledger.with(record(10));
        assert_eq!((&next.pins, &next.holds), (&whole.pins, &whole.holds));
        assert_eq!(next.pins_before(10), back.pins);
        assert_eq!(next.at(9).pins, back.pins);
        assert!(next.is_folded(8) && !next.is_folded(9) && !next.is_folded(10));
        assert!(decode(&encoded.head, |_| None, &owner).is_err());
    }
}
