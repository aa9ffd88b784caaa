//! Asks every store, in parallel: first the ledgers and the items, then only what the first answers make necessary.

mod closer;
pub mod former;
pub mod patience;
mod wish;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use repin_provider::{
    Capabilities, Error, Item, Key, Observation, Observe, Provider, ReadRequest, Seen, Serving, TargetName, Value,
};

use crate::model::compare::same_text;
use crate::model::desired::{Adopt, Desired, Drift, Entry, FileDigest, Policy, Target};
use crate::model::observed::{FileStanding, Observed, TargetState};
use crate::model::release::{ContentDigest, Header, Ledger, Record, RowAction, Runner, State, TargetId};
use crate::model::retention::is_near_edge;
use crate::record::host::{HostMemory, KnownSecret, TargetMemory};
use crate::record::ledger::{self, LedgerError, Loaded};

pub use self::wish::{Reached, observe_unfinished, observe_wish, reach, unheard, version_at};

/// How long nothing may move under a claim of a process that we cannot see before it is taken over.
const QUIET: SignedDuration = SignedDuration::from_secs(120);

/// The providers of the targets in scope.
pub type Providers = BTreeMap<TargetName, Arc<dyn Provider>>;

/// What an observation depends on.
pub struct Request<'a> {
    /// What the file asks for.
    pub desired: &'a Desired,
    /// The providers of the targets in scope.
    pub providers: &'a Providers,
    /// What this host remembers.
    pub memory: &'a HostMemory,
    /// Whether to look at foreign items too.
    pub census: bool,
    /// Whether an older file may be released again.
    pub allow_older: bool,
    /// Whether nothing is released: what is put back is then what the ledger says, which may have to be read.
    pub repair_only: bool,
    /// Rollbacks that the ledgers of targets out of scope tell of.
    pub rollbacks_elsewhere: &'a [Header],
    /// Tells whether a process is known to be gone.
    pub is_gone: &'a (dyn Fn(&Runner) -> bool + Send + Sync),
}

/// A target that could not be observed.
#[derive(Debug)]
pub struct ObserveError {
    /// The target.
    pub target: TargetName,
    /// Where its requests go.
    pub endpoint: String,
    /// Why.
    pub error: LedgerError,
}

impl ObserveError {
    /// Makes the error of a store that could not be asked.
    pub fn of(target: &TargetName, error: Error) -> Self {
        Self { target: target.clone(), endpoint: String::new(), error: error.into() }
    }
}

/// What was seen, and what this host now remembers of each target.
pub struct Seeing {
    /// What was seen.
    pub observed: Observed,
    /// What to remember, once the pass is over.
    pub memories: BTreeMap<TargetName, TargetMemory>,
}

/// Returns what a store can do, with the rates as far as they are known by now.
pub fn capabilities(provider: &dyn Provider) -> Capabilities {
    let known = provider.capabilities();
    Capabilities { rates: provider.pace().map(|pace| pace.allowed).or(known.rates), ..known.clone() }
}

/// Observes every target in scope.
///
/// # Errors
/// Returns every target that could not be observed; a pass then does nothing anywhere.
pub async fn observe(request: &Request<'_>) -> Result<Seeing, Vec<ObserveError>> {
    let looks = scope(request).map(|(target, provider)| look(request, target, provider));
    let mut observed = Observed { rollbacks_elsewhere: request.rollbacks_elsewhere.to_vec(), ..Observed::default() };
    let mut memories = BTreeMap::new();
    let mut errors = Vec::new();
    for ((target, provider), look) in scope(request).zip(join_all(looks).await) {
        match look {
            Ok((state, memory)) => {
                observed.targets.insert(target.name.clone(), state);
                memories.insert(target.name.clone(), memory);
            }
            Err(error) => errors.push(failed(target, provider, error)),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let newest_here = request.memory.newest_files();
    let file = observed.standing(request.desired, &newest_here, request.allow_older);
    let newest = newest_file(&observed);
    let unfinished: BTreeMap<_, _> = closer::ways_back(&observed);
    for (target, provider) in scope(request) {
        if let (Some(way), Some(state)) = (unfinished.get(&target.name), observed.targets.get_mut(&target.name)) {
            if let Err(error) = closer::look_back(provider.as_ref(), state, way).await {
                errors.push(failed(target, provider, error));
            }
            continue;
        }
        let (Some(state), Some(memory)) = (observed.targets.get_mut(&target.name), memories.get_mut(&target.name))
        else {
            continue;
        };
        let looked = look_closer(request, target, provider.as_ref(), state, memory, (file, newest.as_ref())).await;
        if let Err(error) = looked {
            errors.push(failed(target, provider, error.into()));
        }
    }
    if errors.is_empty() { Ok(Seeing { observed, memories }) } else { Err(errors) }
}

fn scope<'a>(request: &Request<'a>) -> impl Iterator<Item = (&'a Target, &'a Arc<dyn Provider>)> {
    let Request { desired, providers, .. } = *request;
    desired.targets.values().filter_map(|target| Some((target, providers.get(&target.name)?)))
}

fn failed(target: &Target, provider: &Arc<dyn Provider>, error: LedgerError) -> ObserveError {
    ObserveError { target: target.name.clone(), endpoint: provider.endpoint(), error }
}

fn newest_file(observed: &Observed) -> Option<FileDigest> {
    let records = observed.targets.values().filter_map(|state| state.ledger.newest_release());
    records.max_by_key(|record| record.header.release).and_then(|record| record.header.file.clone())
}

/// Reads one target's ledger, then the keys that the file wants or the ledger knows.
#[tracing::instrument(level = "debug", name = "target", skip_all, fields(target_name = %target.name, stage = "look"))]
async fn look(
    request: &Request<'_>,
    target: &Target,
    provider: &Arc<dyn Provider>,
) -> Result<(TargetState, TargetMemory), LedgerError> {
    let id = TargetId::of(provider.place());
    let mut memory = request.memory.target(&id);
    let Loaded { ledger, at, last_written } =
        ledger::load(provider.as_ref(), &request.desired.name, &mut memory.ledger).await?;
    let open = ledger.open().into_iter().flat_map(|record| record.rows.iter().map(|row| row.key.clone()));
    let mut keys: BTreeSet<Key> =
        target.entries.keys().cloned().chain(ledger.pins.keys().cloned()).chain(open).collect();
    if provider.capabilities().serving == Serving::Together && !request.census {
        // A set is listed as a whole, and the next one has to leave readers what they have. A census counts it as foreign.
        keys.extend(ledger.let_go_keys());
    }
    let observation = if keys.is_empty() && !request.census {
        Observation { items: BTreeMap::new(), foreign: None, reference: None, at: None, resume: memory.resume.clone() }
    } else {
        let dropped = ledger.pins.keys().filter(|key| !target.entries.contains_key(*key)).cloned();
        let surely: BTreeSet<Key> = dropped.chain(ledger.open().into_iter().flat_map(removed)).collect();
        let (keys, resume) = (keys.iter().cloned().collect(), memory.resume.take());
        let ask = Observe { keys, surely: surely.clone(), census: request.census, resume, ..Observe::default() };
        let mut observation = provider.observe(ask).await?;
        look_again(provider.as_ref(), surely, &ledger, &mut observation).await?;
        observation
    };
    memory.resume = observation.resume;
    let at = observation.at.max(at);
    let takeover =
        ledger.open().is_none_or(|record| may_take_over(record, &observation.items, last_written, at, request.is_gone));
    let mut state = TargetState {
        native: keys.iter().map(|key| (key.clone(), provider.native_name(key))).collect(),
        items: observation.items,
        foreign: observation.foreign,
        reference: observation.reference,
        at,
        takeover,
        ..TargetState::unseen(id, provider.place().clone(), capabilities(provider.as_ref()), ledger)
    };
    read_owners(target, provider.as_ref(), &state.ledger, &mut state.items).await?;
    former::ask(&request.desired.name, target, provider.as_ref(), &state.ledger, &mut state.items).await?;
    Ok((state, memory))
}

/// Looks once more, when reads have had time to follow, at what was put a moment ago, is not shown, and would be let go
/// of for that: a read may lag behind a write, and neither store says when it does.
async fn look_again(
    provider: &dyn Provider,
    mut surely: BTreeSet<Key>,
    ledger: &Ledger,
    observation: &mut Observation,
) -> Result<(), Error> {
    let lag = SignedDuration::try_from(provider.capabilities().read_lag).unwrap_or(SignedDuration::ZERO);
    let age = |key: &Key| Some(observation.at?.duration_since(ledger.pins.get(key)?.version.at?));
    surely.retain(|key| {
        matches!(observation.items.get(key), Some(Seen::Absent)) && age(key).is_some_and(|age| age < lag)
    });
    let Some(youngest) = surely.iter().filter_map(age).min() else { return Ok(()) };
    // Dates are to the second.
    let rest =
        Duration::try_from(lag - youngest.max(SignedDuration::ZERO)).unwrap_or_default() + Duration::from_secs(1);
    tracing::debug!(keys = surely.len(), seconds = rest.as_secs_f64(), "put a moment ago and not shown: looking again");
    tokio::time::sleep(rest).await;
    let keys = surely.iter().cloned().collect();
    let seen = provider.observe(Observe { keys, surely, ..Observe::default() }).await?;
    observation.items.extend(seen.items);
    Ok(())
}

/// Lists what a record removes: closing it takes what is absent for removed.
fn removed(record: &Record) -> impl Iterator<Item = Key> {
    let rows = record.rows.iter().filter(|row| matches!(row.action, RowAction::Delete | RowAction::Withdraw));
    rows.map(|row| row.key.clone())
}

/// Tells whether an open record may be taken over: its run ended and said so, its process is known to be gone, or
/// nothing under it moved for long enough by the store's clock.
fn may_take_over(
    record: &Record,
    items: &BTreeMap<Key, Seen>,
    last_written: Option<Timestamp>,
    now: Option<Timestamp>,
    is_gone: &(dyn Fn(&Runner) -> bool + Send + Sync),
) -> bool {
    if record.state == State::Partial || is_gone(&record.runner) {
        return true;
    }
    let moved = record.rows.iter().filter_map(|row| items.get(&row.key)?.item()?.version.at);
    match (moved.chain(last_written).max(), now) {
        (Some(moved), Some(now)) => now.duration_since(moved) >= QUIET,
        _ => false,
    }
}

/// Reads what the first look makes necessary: secrets whose value at this version is not known, contents of pins that
/// are no longer served, owners of items that may be ours or become ours.
#[tracing::instrument(level = "debug", name = "target", skip_all, fields(target_name = %target.name, stage = "look"))]
async fn look_closer(
    request: &Request<'_>,
    target: &Target,
    provider: &dyn Provider,
    state: &mut TargetState,
    memory: &mut TargetMemory,
    (file, newest): (FileStanding, Option<&FileDigest>),
) -> Result<(), Error> {
    read_secrets(request.memory, target, provider, state, memory).await?;
    closer::read_held(request.memory, target, provider, state, memory).await?;
    closer::read_heads(request.memory, target, provider, state, request.desired.policy.prune).await?;
    closer::look_at_pins(target, provider, state).await?;
    closer::read_file_pins(target, provider, state).await?;
    closer::read_doomed(request.desired, target, provider, state).await?;
    if newest != Some(&request.desired.digest)
        || file == FileStanding::Behind
        || !state.ledger.holds.is_empty()
        || state.capabilities.serving == Serving::Apart
        || request.repair_only
        || keeps_dropped(&request.desired.policy)
    {
        let file = if request.repair_only { FileStanding::Behind } else { file };
        read_pinned(target, provider, state, (file, &request.desired.policy)).await?;
    }
    Ok(())
}

/// Tells whether what the file drops is kept as it is.
fn keeps_dropped(policy: &Policy) -> bool {
    !policy.prune && policy.drift == Drift::Correct
}

/// Reads the owners of items that the ledger does not know and that may be ours, or become ours.
async fn read_owners(
    target: &Target,
    provider: &dyn Provider,
    ledger: &Ledger,
    items: &mut BTreeMap<Key, Seen>,
) -> Result<(), Error> {
    let adopts = |key: &Key| target.entries.get(key).is_some_and(|entry| entry.adopt != Adopt::Never);
    read_owners_of(provider, ledger, items, adopts).await
}

/// Reads the owners of items that the ledger does not know and that a run which died may have made, or of which `more`
/// says that they matter.
async fn read_owners_of(
    provider: &dyn Provider,
    ledger: &Ledger,
    items: &mut BTreeMap<Key, Seen>,
    more: impl Fn(&Key) -> bool,
) -> Result<(), Error> {
    let known = |key: &Key| ledger.pins.contains_key(key) || ledger.withdrawn.contains_key(key);
    let is_unknown = |(key, seen): &(&Key, &Seen)| {
        let unread = seen.item().is_some_and(|item| item.owner.is_none());
        unread && !known(key) && (ledger.may_have_made(key) || more(key))
    };
    let unknown: Vec<Key> = items.iter().filter(is_unknown).map(|(key, _)| key.clone()).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    for (key, owner) in unknown.iter().zip(provider.owners(&unknown).await?) {
        if let Some(Seen::Present(item)) = items.get_mut(key) {
            item.owner = Some(owner);
        }
    }
    Ok(())
}

/// Compares secrets by fingerprint; one that this host has not read at its present version is decrypted, once.
async fn read_secrets(
    host: &HostMemory,
    target: &Target,
    provider: &dyn Provider,
    state: &mut TargetState,
    memory: &mut TargetMemory,
) -> Result<(), Error> {
    let wanted: Vec<(&Key, &repin_provider::Secret)> = target
        .entries
        .iter()
        .filter(|(key, _)| state.items.get(*key).and_then(Seen::item).is_some_and(|item| item.secret))
        .filter_map(|(key, entry)| match &entry.value {
            Value::Secret(secret) => Some((key, secret)),
            Value::Plain(_) => None,
        })
        .collect();
    let held = |key: &Key| state.items.get(key).and_then(Seen::item).map(|item| item.version.clone());
    let unread: Vec<ReadRequest> = wanted
        .iter()
        .filter(|(key, _)| memory.secrets.get(*key).map(|known| &known.version) != held(key).as_ref())
        .map(|(key, _)| ReadRequest { key: (*key).clone(), version: None })
        .collect();
    if !unread.is_empty() {
        let read = provider.read(&unread).await?;
        for (request, value) in unread.iter().zip(read) {
            // Gone since the first look: the next pass sees that.
            let Some(value) = value else { continue };
            let fingerprint = host.fingerprint(&value.value);
            memory.secrets.insert(request.key.clone(), KnownSecret { version: value.version, fingerprint });
        }
    }
    for (key, secret) in wanted {
        let known = memory.secrets.get(key).filter(|known| Some(&known.version) == held(key).as_ref());
        let matches = known.is_some_and(|known| known.fingerprint == host.fingerprint(secret));
        state.secret_matches.insert(key.clone(), matches);
    }
    Ok(())
}

/// Reads back what pins hold that are no longer served, where that decides between a repair and a release, or is what
/// has to be put back.
async fn read_pinned(
    target: &Target,
    provider: &dyn Provider,
    state: &mut TargetState,
    (file, policy): (FileStanding, &Policy),
) -> Result<(), Error> {
    let mut requests = Vec::new();
    for (key, pin) in &state.ledger.pins {
        let Some(seen) = state.items.get(key) else { continue };
        let served = match seen {
            Seen::Present(item) if item.version == pin.version => {
                if item.secret && is_near_edge(&state.ledger, &state.capabilities, key) {
                    // It is to be put once more.
                    requests.push(ReadRequest { key: key.clone(), version: Some(pin.version.clone()) });
                }
                continue;
            }
            Seen::Present(item) => Some(item),
            Seen::Absent => None,
            Seen::Unreadable(_) => continue,
        };
        let entry = target.entries.get(key);
        let held = state.ledger.holds.contains_key(key);
        // Of a secret the ledger does not tell whether the file still asks for it.
        let asks = !held && file != FileStanding::Behind && entry.is_some_and(|entry| entry.value.is_secret());
        if !asks && state.capabilities.serving == Serving::Apart && state.keeps(key, pin) {
            // It is served again as it is.
            continue;
        }
        let named = pin.content.as_ref().is_some_and(ContentDigest::names_value);
        let told = named && file != FileStanding::Behind && !held;
        let kept = entry.is_none() && served.is_some() && keeps_dropped(policy);
        let settled = (told && !kept)
            || match (entry, served) {
                // Dropped from the file: it goes whatever it holds.
                (None, _) => file != FileStanding::Behind && !held && !kept,
                (Some(entry), Some(item)) => !held && file != FileStanding::Behind && holds(entry, item, key, state),
                (Some(_), None) => false,
            };
        if !settled {
            requests.push(ReadRequest { key: key.clone(), version: Some(pin.version.clone()) });
        }
    }
    if requests.is_empty() {
        return Ok(());
    }
    let read = provider.read(&requests).await?;
    state.pinned = requests.into_iter().map(|request| request.key).zip(read).collect();
    Ok(())
}

fn holds(entry: &Entry, item: &Item, key: &Key, state: &TargetState) -> bool {
    match (&entry.value, &item.value) {
        (Value::Plain(wanted), Some(held)) => same_text(entry.kind, wanted, held),
        (Value::Secret(_), _) => state.secret_matches.get(key) == Some(&true),
        (Value::Plain(_), None) => false,
    }
}
