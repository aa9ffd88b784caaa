//! Looking before going back: the ledgers say what to change, and the stores are asked only for what is to be served
//! again. A store that does not answer keeps no other waiting.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use jiff::Timestamp;
use repin_provider::{Error, Item, Key, Observe, Owner, Provider, Seen, Serving, TargetName, Version, View};

use super::{ObserveError, Providers, Seeing, capabilities, closer, may_take_over, patience};
use crate::model::observed::{Observed, TargetState};
use crate::model::release::{Ledger, Record, Runner, State, TargetId};
use crate::model::way::{self, Goal, Way};
use crate::record::host::{HostMemory, TargetMemory};
use crate::record::ledger::{self, LedgerError, Loaded};

/// The ledgers that could be read.
pub struct Reached {
    /// What they say, without any items, and what this host now remembers of each target.
    pub seeing: Seeing,
    /// Targets that could not be reached.
    pub unreached: BTreeMap<TargetName, ObserveError>,
}

/// Reads the ledgers of all targets in scope. One that does not answer keeps no other waiting; it is finished by a later
/// pass.
pub async fn reach(
    owner: &Owner,
    providers: &Providers,
    memory: &HostMemory,
    is_gone: &(dyn Fn(&Runner) -> bool + Send + Sync),
) -> Reached {
    let reads = providers.iter().map(|(name, provider)| (name, read_ledger(owner, provider.as_ref(), memory, is_gone)));
    let mut reads = patience::each(reads).await;
    let mut reached = Reached {
        seeing: Seeing { observed: Observed::default(), memories: BTreeMap::new() },
        unreached: BTreeMap::new(),
    };
    for (name, provider) in providers {
        let silent = || Err(patience::silent(provider.as_ref(), "read the ledger").into());
        match reads.remove(name).unwrap_or_else(silent) {
            Ok((state, memory)) => {
                reached.seeing.observed.targets.insert(name.clone(), state);
                reached.seeing.memories.insert(name.clone(), memory);
            }
            Err(error) => {
                let error = ObserveError { target: name.clone(), endpoint: provider.endpoint(), error };
                reached.unreached.insert(name.clone(), error);
            }
        }
    }
    reached
}

async fn read_ledger(
    owner: &Owner,
    provider: &dyn Provider,
    memory: &HostMemory,
    is_gone: &(dyn Fn(&Runner) -> bool + Send + Sync),
) -> Result<(TargetState, TargetMemory), LedgerError> {
    let id = TargetId::of(provider.place());
    let mut memory = memory.target(&id);
    let Loaded { ledger, at, last_written } = ledger::load(provider, owner, &mut memory.ledger).await?;
    let mut state = TargetState::unseen(id, provider.place().clone(), capabilities(provider), ledger);
    state.at = at;
    if let Some(open) = state.ledger.open() {
        // What a run left open decides what is pinned, so it has to be looked at.
        let keys: Vec<Key> = open.rows.iter().map(|row| row.key.clone()).collect();
        let surely = super::removed(open).collect();
        let observation = provider.observe(Observe { keys, surely, ..Observe::default() }).await?;
        (state.items, state.reference) = (observation.items, observation.reference);
        state.at = observation.at.max(state.at);
        // What it made and did not live to record is ours by its tag.
        super::read_owners_of(provider, &state.ledger, &mut state.items, |_| false).await?;
        let open = state.ledger.open();
        state.takeover = open.is_none_or(|open| may_take_over(open, &state.items, last_written, state.at, is_gone));
    }
    Ok((state, memory))
}

/// Lists the targets whose ledger lacks a release that the ledger of another has, and that is of both: it was made in all
/// of them before anything was served, so that what was read is old or was cut off. With each comes that release.
///
/// What is written to such a ledger is refused, and it is read again. Here somebody may want nothing to be written, since
/// it says that nothing is there.
pub fn unheard(observed: &Observed) -> BTreeMap<TargetName, u64> {
    let served =
        |record: &&Record| matches!(record.state, State::Done | State::Partial) && !record.header.cause.is_wish();
    let records = || observed.targets.values().flat_map(|state| &state.ledger.records).filter(served);
    let newest = |state: &TargetState| {
        let of = records().filter(|record| record.header.targets.contains_key(&state.id));
        of.filter_map(|record| record.header.release).max()
    };
    let lacks = |(name, state): (&TargetName, &TargetState)| {
        let newest = newest(state).filter(|newest| *newest > state.ledger.highest_release())?;
        Some((name.clone(), newest))
    };
    observed.targets.iter().filter_map(lacks).collect()
}

/// Finds what going back needs, on every target that was reached. Where nothing is open the ledger's pins stand for what
/// is served: each write carries what it expects, and one that meets something else says so.
///
/// # Errors
/// Returns every target of which a past content could not be looked for; nothing has been written.
pub async fn observe_wish(
    goal: &Goal,
    providers: &Providers,
    observed: &mut Observed,
) -> Result<(), Vec<ObserveError>> {
    let closed: BTreeMap<TargetName, Ledger> = observed
        .targets
        .iter()
        .map(|(name, state)| {
            let ledger = match state.ledger.open() {
                Some(record) => state.ledger.with(observed.closed(state, record, &record.owner)),
                None => state.ledger.clone(),
            };
            (name.clone(), ledger)
        })
        .collect();
    let looks = observed.targets.iter_mut().filter_map(|(name, state)| {
        let (provider, ledger) = (providers.get(name)?, closed.get(name)?);
        Some(async move { look(goal, name, provider.as_ref(), state, ledger).await })
    });
    let errors: Vec<_> = join_all(looks).await.into_iter().filter_map(Result::err).collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

async fn look(
    goal: &Goal,
    name: &TargetName,
    provider: &dyn Provider,
    state: &mut TargetState,
    ledger: &Ledger,
) -> Result<(), ObserveError> {
    let way = Way::to(goal, ledger, state.capabilities.serving);
    let failed = |error: LedgerError| ObserveError { target: name.clone(), endpoint: provider.endpoint(), error };
    if state.capabilities.serving == Serving::AtOnce && !state.capabilities.compare_and_swap {
        // Each put would look by itself at what it replaces; together that is a tenth of the requests.
        let keys: Vec<Key> = way.changes.keys().filter(|key| !state.items.contains_key(*key)).cloned().collect();
        let seen = provider.observe(Observe { keys, ..Observe::default() }).await.map_err(|e| failed(e.into()))?;
        state.items.extend(seen.items.into_iter().filter(|(_, seen)| !matches!(seen, Seen::Unreadable(_))));
    }
    for (key, (now, _)) in &way.changes {
        state.native.insert(key.clone(), provider.native_name(key));
        let seen = now.as_ref().map_or(Seen::Absent, |pin| Seen::Present(as_pinned(pin)));
        state.items.entry(key.clone()).or_insert(seen);
    }
    if state.capabilities.serving == Serving::Together && way.set.is_none() && !way.changes.is_empty() {
        // What is not changed has to be in the next set too, and only the store has it.
        let mut keys: Vec<Key> = ledger.pins.keys().cloned().collect();
        keys.extend(way.changes.keys().filter(|key| !ledger.pins.contains_key(*key)).cloned());
        keys.extend(ledger.let_go_keys().into_iter().filter(|key| !way.changes.contains_key(key)));
        let observation =
            provider.observe(Observe { keys, ..Observe::default() }).await.map_err(|e| failed(e.into()))?;
        (state.items, state.reference) = (observation.items, observation.reference);
        let keys = closer::staged_keys(state);
        let staged = provider.observe(Observe { keys, view: View::Newest, ..Observe::default() }).await;
        state.heads = staged.map_err(|e| failed(e.into()))?.items;
    }
    closer::read_way(provider, state, &way, false).await.map_err(failed)
}

/// Makes the item that the ledger says is there.
fn as_pinned(pin: &crate::model::release::Pin) -> Item {
    Item {
        version: pin.version.clone(),
        value: None,
        secret: pin.content.as_ref().is_some_and(|content| !content.names_value()),
        native_type: None,
        content_type: None,
        tags: None,
        description: None,
        owner: None,
        locked: false,
    }
}

/// Finds what the rest of an unfinished wish needs, from what the stores show.
///
/// # Errors
/// Returns the first target of which it could not be found.
pub async fn observe_unfinished(providers: &Providers, observed: &mut Observed) -> Result<(), ObserveError> {
    for (name, way) in way::unfinished_ways(observed) {
        let (Some(provider), Some(state)) = (providers.get(&name), observed.targets.get_mut(&name)) else { continue };
        let failed = |error: LedgerError| ObserveError { target: name.clone(), endpoint: provider.endpoint(), error };
        closer::look_back(provider.as_ref(), state, &way).await.map_err(failed)?;
    }
    Ok(())
}

/// Returns the version that a key had at a time; `None` where the store tells of none.
///
/// # Errors
/// Fails where the store does.
pub async fn version_at(
    provider: Option<&Arc<dyn Provider>>,
    key: &Key,
    time: Timestamp,
) -> Result<Option<Version>, Error> {
    match provider {
        Some(provider) => closer::at_time(provider.as_ref(), key, time).await,
        None => Ok(None),
    }
}
