//! How a configuration stands: what each target serves, whether that is what it should serve, and what is left to do.
//! Pure: the command looks, this concludes.

mod holds;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use repin_provider::{Key, Seen, TargetName, Version};

pub use self::holds::{HeldKey, HoldKind, alike};
use crate::model::desired::{Desired, FileDigest};
use crate::model::observed::FileStanding;
use crate::model::plan::Drifted;
use crate::model::release::{Cause, Header, Ledger, Record, State, TargetId};

/// What was seen of one target.
#[derive(Debug)]
pub struct Look {
    /// The file's name for it.
    pub target: TargetName,
    /// Names its ledger.
    pub id: TargetId,
    /// Its ledger: as it is where the target was reached, else as this host last read it, if it ever did.
    pub ledger: Option<Ledger>,
    /// What the target serves for each key that we own; `None` where it was not reached.
    pub items: Option<BTreeMap<Key, Seen>>,
    /// What kept it from being reached, in one stable word.
    pub failure: Option<&'static str>,
    /// When a pass of this host last left it as the file asks.
    pub last_pass: Option<Timestamp>,
}

/// How this host's file stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum File {
    /// It can be read and stands so; with the release that made it true, if one did.
    Stands(FileStanding, Option<u64>),
    /// It cannot be read as a whole.
    Invalid,
}

/// Whether a target serves what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sync {
    /// It does.
    Synced,
    /// Something serves another version than its pin.
    Drifted,
    /// A release is not, or not wholly, served yet.
    Pending,
    /// It could not be seen.
    Unknown,
}

/// One target.
#[derive(Debug)]
pub struct TargetStatus {
    /// The file's name for it.
    pub target: TargetName,
    /// The newest release that it serves wholly, or the one that this brought back; as last seen where it was not
    /// reached, `None` before the first.
    pub release: Option<u64>,
    /// The release that it does not serve wholly yet.
    pub pending: Option<u64>,
    /// Whether it serves what it should.
    pub sync: Sync,
    /// What kept it from being reached, in one stable word.
    pub failure: Option<&'static str>,
    /// When a pass of this host last left it as the file asks.
    pub last_pass: Option<Timestamp>,
    /// When its ledger was last written to.
    pub last_change: Option<Timestamp>,
    /// What serves something other than its pin.
    pub drift: Vec<Drifted>,
}

/// How a configuration stands.
#[derive(Debug)]
pub struct Status {
    /// The newest release.
    pub newest: Option<Header>,
    /// The release whose content was served before it.
    pub previous: Option<u64>,
    /// The release whose content it stands for: itself, or the one that it brought back.
    pub effective: Option<u64>,
    /// What is held.
    pub holds: Vec<HeldKey>,
    /// This host's file.
    pub file: File,
    /// By target.
    pub targets: Vec<TargetStatus>,
}

/// What is worth saying first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// Every target serves what the newest release says, and the file asks for nothing else.
    Ok,
    /// There is no release yet.
    Empty,
    /// A release is not served everywhere.
    Partial,
    /// Something is held that the file asks for, or by hand.
    Held,
    /// Something serves another version than its pin.
    Drifted,
    /// A target could not be seen.
    Unreachable,
    /// This host's file has been superseded.
    Behind,
    /// This host's file asks for something that was never released.
    Changed,
}

impl Status {
    /// Concludes from what was seen. `asks` is what this host's file asks for, `None` where it is invalid;
    /// `newest_here` the digests that it had when it was last the newest or about to be.
    pub fn new(looks: Vec<Look>, asks: Option<&Desired>, newest_here: &[FileDigest]) -> Self {
        let holds = holds::held(&looks, asks);
        Self::with(looks, holds, asks.map(|desired| &desired.digest), newest_here)
    }

    fn with(looks: Vec<Look>, holds: Vec<HeldKey>, file: Option<&FileDigest>, newest_here: &[FileDigest]) -> Self {
        let releases = releases(&looks);
        let newest = releases.values().next_back().cloned();
        let stands_for = newest.as_ref().and_then(|header| Some(effective(&releases, header.release?)));
        let before = newest.as_ref().and_then(|header| releases.range(..header.release?).next_back());
        let previous = before.map(|(number, _)| effective(&releases, *number));
        let file = match file {
            Some(digest) => {
                let ledgers = looks.iter().filter_map(|look| look.ledger.as_ref());
                let standing = FileStanding::of(ledgers, digest, newest_here, false);
                let made = releases.iter().rev().find(|(_, header)| header.file.as_ref() == Some(digest));
                File::Stands(standing, made.map(|(number, _)| *number))
            }
            None => File::Invalid,
        };
        let targets = looks.into_iter().map(|look| TargetStatus::new(look, &releases)).collect();
        Self { newest, previous, effective: stands_for, holds, file, targets }
    }

    /// Tells whether this host's file asks for what holds forbid.
    pub fn file_is_held(&self) -> bool {
        self.holds.iter().any(|held| held.blocks == Some(true))
    }

    /// Returns what is worth saying first, gravest first; never empty.
    pub fn verdict(&self) -> Vec<Word> {
        let any = |test: fn(&TargetStatus) -> bool| self.targets.iter().any(test);
        let said = [
            (Word::Partial, any(|target| target.pending.is_some())),
            (Word::Held, self.holds.iter().any(HeldKey::counts)),
            (Word::Drifted, any(|target| !target.drift.is_empty())),
            (Word::Unreachable, any(|target| target.failure.is_some() || target.sync == Sync::Unknown)),
            (Word::Behind, matches!(self.file, File::Stands(FileStanding::Behind, _))),
            (Word::Empty, self.newest.is_none()),
            // Before the first release every file asks for something new.
            (Word::Changed, self.newest.is_some() && matches!(self.file, File::Stands(FileStanding::Changed, _))),
        ];
        let mut words: Vec<_> = said.into_iter().filter_map(|(word, holds)| holds.then_some(word)).collect();
        if words.is_empty() {
            words.push(Word::Ok);
        }
        words
    }
}

/// Lists the releases that any ledger knows and none has abandoned.
fn releases(looks: &[Look]) -> BTreeMap<u64, Header> {
    let records = || looks.iter().filter_map(|look| look.ledger.as_ref()).flat_map(|ledger| &ledger.records);
    let abandoned: BTreeSet<_> =
        records().filter(|record| record.state == State::Abandoned).map(|record| &record.header.nonce).collect();
    records()
        .filter(|record| !abandoned.contains(&record.header.nonce))
        .filter_map(|record| Some((record.header.release?, record.header.clone())))
        .collect()
}

impl TargetStatus {
    fn new(look: Look, releases: &BTreeMap<u64, Header>) -> Self {
        let pending = look.ledger.as_ref().and_then(|ledger| pending(&look.id, ledger, releases));
        let before = pending.map_or(u64::MAX, |pending| pending.saturating_sub(1));
        let release = look.ledger.as_ref().and_then(|_| served(&look.id, releases, before));
        let drift = match (&look.ledger, &look.items) {
            (Some(ledger), Some(items)) => drift(ledger, items),
            _ => Vec::new(),
        };
        let unseen = match &look.items {
            Some(items) => items.values().any(|seen| matches!(seen, Seen::Unreadable(_))),
            None => true,
        };
        let sync = match (pending, unseen, drift.is_empty()) {
            (Some(_), ..) => Sync::Pending,
            (None, true, _) => Sync::Unknown,
            (None, false, true) => Sync::Synced,
            (None, false, false) => Sync::Drifted,
        };
        let last_change = look.ledger.as_ref().and_then(last_change);
        let (target, failure, last_pass) = (look.target, look.failure, look.last_pass);
        Self { target, release, pending, sync, failure, last_pass, last_change, drift }
    }
}

/// Returns the release whose content a target serves where it serves all releases up to one. A release of a changed file
/// that did not concern it is served by it all the same; a rollback or a pin that did not is none of its own.
fn served(id: &TargetId, releases: &BTreeMap<u64, Header>, up_to: u64) -> Option<u64> {
    let concerns = |header: &Header| header.cause == Cause::Reconcile || header.targets.contains_key(id);
    let mut up_to = up_to;
    loop {
        let (number, header) = releases.range(..=up_to).rev().find(|(_, header)| concerns(header))?;
        match brings_back(header) {
            // What is brought back is older each time.
            Some(restored) if restored < *number => up_to = restored,
            _ => return Some(*number),
        }
    }
}

/// Returns the release whose content a release stands for, followed to its end.
fn effective(releases: &BTreeMap<u64, Header>, release: u64) -> u64 {
    let mut number = release;
    while let Some(restored) = releases.get(&number).and_then(brings_back).filter(|restored| *restored < number) {
        number = restored;
    }
    number
}

/// Returns the release that one brought back as a whole.
fn brings_back(header: &Header) -> Option<u64> {
    header.restores.filter(|_| header.keys.is_none())
}

/// Returns the oldest release that this target is to serve and does not wholly. One that it never heard of and that is
/// older than what it has made since was decided about anew.
fn pending(id: &TargetId, ledger: &Ledger, releases: &BTreeMap<u64, Header>) -> Option<u64> {
    let own: BTreeMap<_, _> = ledger.records.iter().map(|record| (&record.header.nonce, record.state)).collect();
    let is_pending = |header: &Header| match own.get(&header.nonce) {
        Some(state) => state.is_open(),
        None => header.targets.contains_key(id) && header.release > Some(ledger.highest_release()),
    };
    releases.iter().find(|(_, header)| is_pending(header)).map(|(number, _)| *number)
}

/// Lists what serves something other than its pin. What an open release is changing is not drift.
fn drift(ledger: &Ledger, items: &BTreeMap<Key, Seen>) -> Vec<Drifted> {
    let changing: BTreeSet<_> = ledger.open().into_iter().flat_map(|record| &record.rows).map(|row| &row.key).collect();
    let settled = ledger.pins.iter().filter(|(key, _)| !changing.contains(key));
    settled
        .filter_map(|(key, pin)| {
            let served: Option<Version> = match items.get(key)? {
                Seen::Present(item) if item.version == pin.version => return None,
                Seen::Present(item) => Some(item.version.clone()),
                Seen::Absent => None,
                Seen::Unreadable(_) => return None,
            };
            Some(Drifted { key: key.clone(), pin: pin.version.clone(), served })
        })
        .collect()
}

fn last_change(ledger: &Ledger) -> Option<Timestamp> {
    let at = |record: &Record| record.header.at;
    ledger.last.as_ref().and_then(|document| document.version.at).or(ledger.records.last().map(at))
}

/// Says in words what a release was.
pub fn describe(header: &Header, previous: Option<u64>) -> String {
    match (header.cause, header.restores, header.release) {
        (Cause::Rollback, Some(restores), _) => {
            let from = previous.map(|previous| format!("{previous} ")).unwrap_or_default();
            let keys = header.keys.as_ref().map(|glob| format!(" of {glob}")).unwrap_or_default();
            format!("rollback{keys} {from}-> {restores}")
        }
        (cause, _, Some(release)) => format!("release {release}, {cause}"),
        (cause, _, None) => cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use repin_provider::{Owner, Place};

    use super::*;
    use crate::model::release::{Row, RowAction, Runner, WrittenDocument};

    fn id(place: &str) -> TargetId {
        TargetId::of(&Place::parse(place).expect("valid"))
    }

    fn key(text: &str) -> Key {
        Key::parse(text).expect("valid")
    }

    fn record(seq: u64, release: u64, targets: &[&str], state: State, applied: bool) -> Record {
        let name = |text: &&str| (id(text), TargetName::parse(text).expect("valid"));
        Record {
            seq,
            owner: Owner::parse("a").expect("valid"),
            header: Header {
                nonce: format!("n{release}"),
                release: Some(release),
                cause: Cause::Reconcile,
                at: Timestamp::UNIX_EPOCH,
                actor: "ana@ops1".into(),
                message: None,
                file: Some(FileDigest(format!("d{release}"))),
                restores: None,
                keys: None,
                heir: None,
                targets: targets.iter().map(name).collect(),
            },
            state,
            runner: Runner { host: "h".into(), boot: String::new(), pid_namespace: String::new(), pid: 1, started: 1 },
            rows: vec![Row {
                key: key("k"),
                action: RowAction::Update,
                from: None,
                to: applied.then(|| Version::new(release.to_string(), None)),
                content: None,
                restores: None,
                applied,
            }],
            holds: Default::default(),
            copies: Vec::new(),
            serve: None,
            set: None,
            ended: None,
        }
    }

    fn look(target: &str, records: Vec<Record>, served: Option<&str>) -> Look {
        let ledger =
            Ledger::new(records, Some(WrittenDocument { version: Version::new("x", None), parts: Default::default() }));
        let item = |version: &str| repin_provider::Item {
            version: Version::new(version, None),
            value: Some("v".into()),
            secret: false,
            native_type: None,
            content_type: None,
            tags: None,
            description: None,
            owner: None,
            locked: false,
        };
        Look {
            target: TargetName::parse(target).expect("valid"),
            id: id(target),
            ledger: Some(ledger),
            items: Some([(key("k"), served.map_or(Seen::Absent, |version| Seen::Present(item(version))))].into()),
            failure: None,
            last_pass: None,
        }
    }

    fn summary(status: &Status) -> Vec<(Option<u64>, Sync)> {
        status.targets.iter().map(|target| (target.release, target.sync)).collect()
    }

    #[test]
    fn all_is_well_even_where_a_release_left_a_target_out() {
        let both = record(1, 1, &["aws", "azure"], State::Done, true);
        let only = record(2, 2, &["aws"], State::Done, true);
        let looks = vec![look("aws", vec![both.clone(), only], Some("2")), look("azure", vec![both], Some("1"))];
        let status = Status::with(looks, Vec::new(), Some(&FileDigest("d2".into())), &[]);
        assert_eq!(summary(&status), [(Some(2), Sync::Synced), (Some(2), Sync::Synced)]);
        assert_eq!(status.verdict(), [Word::Ok]);
        assert_eq!(status.file, File::Stands(FileStanding::Current, Some(2)));
    }

    #[test]
    fn a_target_that_lags_behind_is_pending_and_serves_the_release_before() {
        let first = record(1, 1, &["aws", "azure"], State::Done, true);
        let done = record(2, 2, &["aws", "azure"], State::Done, true);
        for lagging in
            [vec![first.clone()], vec![first.clone(), record(2, 2, &["aws", "azure"], State::Partial, false)]]
        {
            let looks =
                vec![look("aws", vec![first.clone(), done.clone()], Some("2")), look("azure", lagging, Some("1"))];
            let status = Status::with(looks, Vec::new(), None, &[]);
            assert_eq!(summary(&status), [(Some(2), Sync::Synced), (Some(1), Sync::Pending)]);
            assert_eq!(status.verdict(), [Word::Partial]);
        }
    }

    #[test]
    fn drift_is_what_serves_another_version_or_none() {
        let done = record(1, 1, &["aws"], State::Done, true);
        for served in [Some("7"), None] {
            let status = Status::with(
                vec![look("aws", vec![done.clone()], served)],
                Vec::new(),
                Some(&FileDigest("d1".into())),
                &[],
            );
            assert_eq!(summary(&status), [(Some(1), Sync::Drifted)]);
            assert_eq!(status.verdict(), [Word::Drifted]);
        }
    }

    #[test]
    fn a_target_that_was_not_reached_is_unknown_and_never_synced() {
        let mut gone = look("aws", vec![record(1, 1, &["aws"], State::Done, true)], Some("1"));
        gone.items = None;
        gone.failure = Some("unreachable");
        let status = Status::with(vec![gone], Vec::new(), Some(&FileDigest("d1".into())), &[]);
        assert_eq!(summary(&status), [(Some(1), Sync::Unknown)]);
        assert_eq!(status.verdict(), [Word::Unreachable]);
        let mut never = look("aws", Vec::new(), None);
        (never.ledger, never.items) = (None, None);
        assert_eq!(summary(&Status::with(vec![never], Vec::new(), None, &[])), [(None, Sync::Unknown)]);
    }

    #[test]
    fn an_abandoned_release_is_none() {
        let looks = vec![look("aws", vec![record(1, 1, &["aws"], State::Abandoned, false)], None)];
        let status = Status::with(looks, Vec::new(), Some(&FileDigest("d1".into())), &[]);
        assert_eq!((status.newest.is_none(), status.verdict()), (true, vec![Word::Empty]));
    }

    #[test]
    fn an_older_file_is_behind_and_another_is_changed() {
        let records = vec![record(1, 1, &["aws"], State::Done, true), record(2, 2, &["aws"], State::Done, true)];
        let verdict = |digest: &str, here: Option<&str>| {
            let here: Vec<_> = here.map(|digest| FileDigest(digest.into())).into_iter().collect();
            let looks = vec![look("aws", records.clone(), Some("2"))];
            Status::with(looks, Vec::new(), Some(&FileDigest(digest.into())), &here).verdict()
        };
        assert_eq!(verdict("d1", None), [Word::Behind]);
        assert_eq!(verdict("d1", Some("d2")), [Word::Changed]);
        assert_eq!(verdict("d3", None), [Word::Changed]);
    }
}
