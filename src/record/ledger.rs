//! The ledger in the stores: reading it, claiming the next record, replacing the last.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rand::RngExt as _;
use repin_provider::{
    Document, DocumentName, Error, ErrorKind, Outcome, Owner, Provider, ReadDocuments, Resume, Version, WriteDocument,
};
use serde::{Deserialize, Serialize};

use super::base;
use super::format::{self, Corrupt};
use crate::model::release::{Ledger, Record, WrittenDocument};

/// How many places after the last known record one read looks at. With the last record itself they make the ten names
/// that one SSM request takes, so looking further costs nothing.
const LOOK_AHEAD: u64 = 9;

/// How often a write of the ledger whose answer was lost is repeated after it was found not to have happened.
const REPEATS: usize = 3;

/// How often a ledger that does not make sense is read again.
const REREADS: usize = 3;

/// The documents of one ledger as this host last read them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KnownDocuments {
    /// Whether the whole ledger was ever read; an empty one counts.
    #[serde(default)]
    whole: bool,
    documents: BTreeMap<DocumentName, Document>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resume: Option<Resume>,
}

impl KnownDocuments {
    /// Leaves out of what was read what is older than what this host knows.
    fn without_earlier(&self, mut read: BTreeMap<DocumentName, Document>) -> BTreeMap<DocumentName, Document> {
        read.retain(|name, read| !self.documents.get(name).is_some_and(|known| is_earlier_state(read, known)));
        read
    }

    /// Takes in documents that this host has just written, so that they need not be read to be known.
    pub fn learn(&mut self, documents: BTreeMap<DocumentName, Document>) {
        self.documents.extend(documents);
        // Parts of states that have been replaced are gone from the store.
        let folded = self.documents.keys().filter_map(base::base_seq).max().unwrap_or(0);
        let stays = |name: &DocumentName| {
            format::record_seq(name).is_some_and(|seq| seq > folded) || base::base_seq(name) == Some(folded)
        };
        self.documents.retain(|name, _| stays(name) || name.as_str().starts_with("part/"));
        let parts: BTreeSet<_> = self.documents.values().flat_map(|document| parts_of(&document.body)).collect();
        self.documents.retain(|name, _| stays(name) || parts.contains(name));
    }
}

/// Tells whether what was read is an earlier state of a record than the one that this host knows. Reads may lag behind
/// writes, and an answer may be older than what this very run has written: it would do again what it has done, and bury
/// its own record. A store that counts its versions tells by their numbers; any other refuses a write over what was not
/// read.
fn is_earlier_state(read: &Document, known: &Document) -> bool {
    let number = |document: &Document| document.version.id.parse::<u64>().ok();
    let earlier = number(read).zip(number(known)).is_some_and(|(read, known)| read < known);
    // Numbers start again where a ledger was removed and begun anew, and then it is another run's record.
    earlier && format::nonce(&read.body).is_some_and(|nonce| format::nonce(&known.body) == Some(nonce))
}

/// A record that was written.
#[derive(Debug)]
pub struct Written {
    /// Its document.
    pub document: WrittenDocument,
    /// Everything that was written for it.
    pub documents: BTreeMap<DocumentName, Document>,
}

/// Why a ledger could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store failed.
    #[error("{0}")]
    Store(#[from] Error),
    /// A document does not read as what it should be.
    #[error("the ledger's {document} {why}")]
    Corrupt {
        /// The document.
        document: DocumentName,
        /// What is wrong with it.
        why: Corrupt,
    },
    /// Somebody else has taken the place in the log.
    #[error("another run has claimed record {0}")]
    Raced(u64),
}

/// One ledger, read.
#[derive(Debug)]
pub struct Loaded {
    /// What it says.
    pub ledger: Ledger,
    /// The store's clock when it answered.
    pub at: Option<Timestamp>,
    /// When the last record was written, by the store's clock.
    pub last_written: Option<Timestamp>,
}

/// Reads a ledger; with what this host knows already, in one request on SSM where nothing is new, and in one
/// conditional request on App Configuration.
///
/// # Errors
/// Fails where the store does, and where a document cannot be understood.
pub async fn load(provider: &dyn Provider, owner: &Owner, known: &mut KnownDocuments) -> Result<Loaded, LedgerError> {
    let at = if known.whole { load_new(provider, known).await? } else { load_all(provider, known).await? };
    let mut folded = fold(owner, &known.documents);
    // What this host remembers may be what is broken, and a record may be replaced between two pages of a listing: the
    // stores decide, asked again.
    for _ in 0..REREADS {
        let Err(LedgerError::Corrupt { .. }) = folded else { break };
        load_all(provider, known).await?;
        folded = fold(owner, &known.documents);
    }
    let ledger = folded?;
    let last_written = ledger.last.as_ref().and_then(|document| document.version.at);
    Ok(Loaded { ledger, at, last_written })
}

/// Reads the ledger of another owner at the same place; `None` where they have none there, where it may not be read or
/// where it makes no sense to this program.
///
/// # Errors
/// Fails where the store does.
pub async fn of_another(provider: &dyn Provider, owner: &Owner) -> Result<Option<Ledger>, Error> {
    let read = match provider.read_documents(ReadDocuments::Of(owner.clone())).await {
        Err(error) if error.kind == ErrorKind::Denied => return Ok(None),
        other => other?,
    };
    Ok(fold(owner, &read.found).ok().filter(|ledger| ledger.last_seq() > 0))
}

/// Returns what a ledger said when this host last read it, for showing where the store cannot be reached; `None` where
/// it was never read.
pub fn remembered(owner: &Owner, known: &KnownDocuments) -> Option<Ledger> {
    if known.whole { fold(owner, &known.documents).ok() } else { None }
}

async fn load_all(provider: &dyn Provider, known: &mut KnownDocuments) -> Result<Option<Timestamp>, Error> {
    let read = provider.read_documents(ReadDocuments::All).await?;
    *known = KnownDocuments { whole: true, documents: read.found, resume: read.resume };
    Ok(read.at)
}

/// Reads the last known record again, since it may have been open, and what follows it.
async fn load_new(provider: &dyn Provider, known: &mut KnownDocuments) -> Result<Option<Timestamp>, Error> {
    let mut at = None;
    // A run makes two records at most; the bound only guards against an answer that never ends.
    for _ in 0..10_000 {
        let last = known.documents.keys().filter_map(format::record_seq).max().unwrap_or(0);
        let wanted: Vec<_> = (last.max(1)..=last + LOOK_AHEAD).map(format::record_name).collect();
        let request = ReadDocuments::Named { names: wanted.clone(), resume: known.resume.take() };
        let read = provider.read_documents(request).await?;
        at = read.at.or(at);
        known.resume = read.resume;
        if read.all {
            known.documents = read.found;
            return Ok(at);
        }
        if last > 0 && !read.found.contains_key(&format::record_name(last)) {
            // The log that this host remembers is gone: begin anew.
            return load_all(provider, known).await;
        }
        let more = wanted.last().is_some_and(|name| read.found.contains_key(name));
        let found = known.without_earlier(read.found);
        let parts = missing_parts(&found, known);
        known.documents.extend(found);
        if !parts.is_empty() {
            let request = ReadDocuments::Named { names: parts, resume: None };
            known.documents.extend(provider.read_documents(request).await?.found);
        }
        if !more {
            break;
        }
    }
    Ok(at)
}

/// Returns the names of the parts that a record or a base goes on in.
fn parts_of(body: &str) -> Vec<DocumentName> {
    let mut parts = format::parts_of(body);
    parts.extend(base::parts_of(body));
    parts
}

fn missing_parts(found: &BTreeMap<DocumentName, Document>, known: &KnownDocuments) -> Vec<DocumentName> {
    found
        .iter()
        .filter(|(name, _)| format::record_seq(name).is_some())
        .flat_map(|(_, document)| format::parts_of(&document.body))
        .filter(|part| !known.documents.contains_key(part) && !found.contains_key(part))
        .collect()
}

/// Folds documents into a ledger. Records are read in order, since each may refer to the pins that those before leave.
fn fold(owner: &Owner, documents: &BTreeMap<DocumentName, Document>) -> Result<Ledger, LedgerError> {
    let mut ledger = Ledger::default();
    let part = |name: &DocumentName| documents.get(name).map(|document| document.body.clone());
    let bases = documents.iter().filter_map(|(name, document)| Some((base::base_seq(name)?, name, document)));
    if let Some((_, name, document)) = bases.max_by_key(|(seq, _, _)| *seq) {
        let corrupt = |why| LedgerError::Corrupt { document: name.clone(), why };
        ledger = base::decode(&document.body, part, owner).map_err(corrupt)?;
    }
    let folded = ledger.base_seq;
    let records = documents.iter().filter(|(name, _)| format::record_seq(name).is_some_and(|seq| seq > folded));
    for (name, document) in records {
        let corrupt = |why| LedgerError::Corrupt { document: name.clone(), why };
        let record = format::decode(&document.body, part, &ledger.pins, owner).map_err(corrupt)?;
        if record.seq != ledger.last_seq() + 1 {
            return Err(corrupt(Corrupt::Damaged(format!("follows record {}", ledger.last_seq()))));
        }
        let parts = format::parts_of(&document.body).into_iter().collect();
        ledger.push(record, WrittenDocument { version: document.version.clone(), parts });
    }
    Ok(ledger)
}

/// Makes a record the next in its log. Its place decides between hosts: only one creation succeeds.
///
/// # Errors
/// [`LedgerError::Raced`] where another run was first.
pub async fn claim(provider: &dyn Provider, record: &Record, ledger: &Ledger) -> Result<Written, LedgerError> {
    let name = format::record_name(record.seq);
    let parts = write_parts(provider, record, ledger, &BTreeSet::new()).await?;
    let create = WriteDocument::Create { name: name.clone(), body: parts.body.clone() };
    let mut lost = 0;
    loop {
        let error = match provider.write_document(&create).await {
            Ok(version) => return written(version, parts, name),
            Err(error) => error,
        };
        let unknown = error.outcome == Outcome::Unknown;
        if unknown {
            settle(provider).await;
        } else if error.kind != ErrorKind::AlreadyExists {
            return Err(error.into());
        }
        // "Already exists" after a lost answer may be one's own: the nonce in the body tells.
        match read_one(provider, &name).await? {
            Some(document) if document.body == parts.body => return written(Some(document.version), parts, name),
            Some(_) => return Err(LedgerError::Raced(record.seq)),
            None if unknown && lost < REPEATS => lost += 1,
            // Reads may lag: it is there, and it is not ours.
            None if !unknown => return Err(LedgerError::Raced(record.seq)),
            None => return Err(error.into()),
        }
    }
}

/// Replaces the last record of a log by a later state of it, then removes the parts that only the old state had.
///
/// # Errors
/// [`LedgerError::Raced`] where somebody else has replaced it first.
pub async fn replace(
    provider: &dyn Provider,
    record: &Record,
    ledger: &Ledger,
    old: &WrittenDocument,
) -> Result<Written, LedgerError> {
    let name = format::record_name(record.seq);
    let parts = write_parts(provider, record, ledger, &old.parts).await?;
    let expected = old.version.clone();
    let replace = WriteDocument::Replace { name: name.clone(), body: parts.body.clone(), expected };
    let mut lost = 0;
    let version = loop {
        let error = match provider.write_document(&replace).await {
            Ok(version) => break version,
            Err(error) => error,
        };
        // A store without compare-and-swap has written before it notices: what stands there now is ours, and the claim
        // is the other's all the same.
        if error.kind == ErrorKind::Conflict && lost == 0 {
            return Err(LedgerError::Raced(record.seq));
        }
        let unknown = error.outcome == Outcome::Unknown;
        if unknown {
            settle(provider).await;
        } else if error.kind != ErrorKind::Conflict {
            return Err(error.into());
        }
        match read_one(provider, &name).await? {
            Some(document) if document.body == parts.body => break Some(document.version),
            Some(document) if unknown && document.version == old.version && lost < REPEATS => lost += 1,
            Some(document) if unknown && document.version == old.version => return Err(error.into()),
            _ => return Err(LedgerError::Raced(record.seq)),
        }
    };
    for part in old.parts.difference(&parts.names) {
        // Left behind it costs a little room, and nothing refers to it.
        if let Err(error) = provider.write_document(&WriteDocument::Delete { name: part.clone() }).await {
            tracing::debug!(%error, %part, "an old part of the ledger stays");
            break;
        }
    }
    written(version, parts, name)
}

fn written(version: Option<Version>, parts: Parts, name: DocumentName) -> Result<Written, LedgerError> {
    let Parts { body, names, written: mut documents } = parts;
    let version = named(version, &name)?;
    documents.insert(name, Document { body, version: version.clone() });
    Ok(Written { document: WrittenDocument { version, parts: names }, documents })
}

/// Tells whether the last record's document is still at the version that was read, before it is taken over: without
/// compare-and-swap the store itself would notice only afterwards.
///
/// # Errors
/// Fails where the store does.
pub async fn is_still_at(provider: &dyn Provider, record: &Record, document: &WrittenDocument) -> Result<bool, Error> {
    if provider.capabilities().compare_and_swap {
        return Ok(true);
    }
    let found = read_one(provider, &format::record_name(record.seq)).await?;
    Ok(found.is_some_and(|found| found.version == document.version))
}

/// Reads a record again, to see whether it is still the same run's.
///
/// # Errors
/// Fails where the store does.
pub async fn is_still_ours(provider: &dyn Provider, record: &Record) -> Result<bool, LedgerError> {
    let name = format::record_name(record.seq);
    let document = read_one(provider, &name).await?;
    Ok(document.is_some_and(|document| format::is_run_of(&document.body, record)))
}

/// Folds the records up to a place in the log away, and returns what was written. Whoever reads meanwhile sees the
/// records, or the base, or both; the base counts from the moment when its document is there.
///
/// # Errors
/// Fails where the store does. What stays of the old records then is ignored, and removed when it is folded again.
pub async fn fold_away(
    provider: &dyn Provider,
    owner: &Owner,
    ledger: &Ledger,
    seq: u64,
    documents: &KnownDocuments,
) -> Result<BTreeMap<DocumentName, Document>, LedgerError> {
    let base = ledger.up_to(seq);
    let revision = format!("{:08x}", rand::rng().random::<u32>());
    let encoded = base::encode(&base, owner, &revision, provider.capabilities().max_document);
    let mut written = BTreeMap::new();
    for (name, body) in encoded.parts {
        let version = write_part(provider, &name, &body).await?;
        written.insert(name, Document { body, version });
    }
    let name = base::base_name(seq);
    let version = match write_part(provider, &name, &encoded.head).await {
        Ok(version) => version,
        // Another host folds at the same time, to the same.
        Err(LedgerError::Store(error)) if error.kind == ErrorKind::AlreadyExists => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    written.insert(name.clone(), Document { body: encoded.head, version });
    let old = documents.documents.iter().filter(|(known, _)| {
        format::record_seq(known).is_some_and(|known| known <= seq)
            || base::base_seq(known).is_some_and(|known| known < seq)
    });
    for (known, document) in old {
        let parts = parts_of(&document.body);
        for name in [known.clone()].into_iter().chain(parts) {
            provider.write_document(&WriteDocument::Delete { name }).await?;
        }
    }
    Ok(written)
}

/// A record whose parts are written.
struct Parts {
    /// What its own document is to hold.
    body: String,
    /// The names of all of its parts.
    names: BTreeSet<DocumentName>,
    /// The parts that were not there already.
    written: BTreeMap<DocumentName, Document>,
}

/// Writes the parts of a record that are not among `old`, those of the state that it replaces.
async fn write_parts(
    provider: &dyn Provider,
    record: &Record,
    ledger: &Ledger,
    old: &BTreeSet<DocumentName>,
) -> Result<Parts, LedgerError> {
    let revision = format!("{:08x}", rand::rng().random::<u32>());
    let pins = ledger.pins_before(record.seq);
    let encoded = format::encode(record, &pins, &revision, old, provider.capabilities().max_document);
    let mut parts = Parts { body: encoded.head, names: BTreeSet::new(), written: BTreeMap::new() };
    for (name, body) in encoded.parts {
        if !old.contains(&name) {
            let version = write_part(provider, &name, &body).await?;
            parts.written.insert(name.clone(), Document { body, version });
        }
        parts.names.insert(name);
    }
    Ok(parts)
}

/// Writes one part under a name that nothing else has, so that trying again after a lost answer harms nobody.
async fn write_part(provider: &dyn Provider, name: &DocumentName, body: &str) -> Result<Version, LedgerError> {
    let create = WriteDocument::Create { name: name.clone(), body: body.to_owned() };
    let version = match provider.write_document(&create).await {
        Ok(version) => version,
        Err(error) if error.outcome == Outcome::Unknown => {
            settle(provider).await;
            match read_one(provider, name).await? {
                Some(document) => Some(document.version),
                None => provider.write_document(&create).await?,
            }
        }
        Err(error) => return Err(error.into()),
    };
    Ok(named(version, name)?)
}

fn named(version: Option<Version>, name: &DocumentName) -> Result<Version, Error> {
    let nameless = || Error::new(ErrorKind::Unexpected, "ledger", format!("the store named no version for {name}"));
    version.ok_or_else(nameless)
}

async fn read_one(provider: &dyn Provider, name: &DocumentName) -> Result<Option<Document>, Error> {
    let request = ReadDocuments::Named { names: vec![name.clone()], resume: None };
    Ok(provider.read_documents(request).await?.found.remove(name))
}

async fn settle(provider: &dyn Provider) {
    tokio::time::sleep(provider.capabilities().settle).await;
}
