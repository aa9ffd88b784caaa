//! What a first look makes necessary: the newest versions where readers do not meet them, versions that the file pins,
//! secrets that holds name, and past contents that a plan brings back or is about to lose.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use repin_provider::{
    Error, Item, Key, Observe, Provider, ReadRequest, ReadValue, Seen, Serving, TargetName, Value, Version, View,
};

use super::read_owners;
use crate::model::compare::{content_digest, same_text};
use crate::model::desired::{Desired, Entry, Target};
use crate::model::hold::HeldContent;
use crate::model::observed::{Found, Observed, Past, TargetState};
use crate::model::release::{CopyName, Pin};
use crate::model::retention::{is_dropped_soon, is_near_edge};
use crate::model::way::{self, Way};
use crate::record::copies;
use crate::record::host::{HostMemory, KnownSecret, TargetMemory};
use crate::record::ledger::LedgerError;

/// Finds out whether the file asks for secrets that holds name. Each version is decrypted once on each host.
pub(super) async fn read_held(
    host: &HostMemory,
    target: &Target,
    provider: &dyn Provider,
    state: &mut TargetState,
    memory: &mut TargetMemory,
) -> Result<(), Error> {
    let mut named: Vec<(Key, Version)> = Vec::new();
    for (key, hold) in &state.ledger.holds {
        if matches!(target.entries.get(key).map(|entry| &entry.value), Some(Value::Secret(_))) {
            named.extend(hold.contents.iter().filter_map(HeldContent::version).map(|version| (key.clone(), version)));
        }
    }
    memory.held.retain(|key, known| {
        known.retain(|known| named.iter().any(|(named, version)| named == key && known.version == *version));
        !known.is_empty()
    });
    let is_known = |memory: &TargetMemory, key: &Key, version: &Version| {
        memory.held.get(key).is_some_and(|known| known.iter().any(|known| known.version == *version))
    };
    let unread: Vec<ReadRequest> = named
        .iter()
        .filter(|(key, version)| !is_known(memory, key, version))
        .map(|(key, version)| ReadRequest { key: key.clone(), version: Some(version.clone()) })
        .collect();
    if !unread.is_empty() {
        for (request, read) in unread.iter().zip(provider.read(&unread).await?) {
            let (Some(read), Some(version)) = (read, &request.version) else { continue };
            let known = KnownSecret { version: version.clone(), fingerprint: host.fingerprint(&read.value) };
            memory.held.entry(request.key.clone()).or_default().push(known);
        }
    }
    for (key, version) in &named {
        let Some(Value::Secret(asked)) = target.entries.get(key).map(|entry| &entry.value) else { continue };
        let known = memory.held.get(key).into_iter().flatten().find(|known| known.version == *version);
        // What nobody can read any more cannot be told from what the file asks for.
        let same = known.is_none_or(|known| known.fingerprint == host.fingerprint(asked));
        *state.held_secrets.entry(key.clone()).or_default() |= same;
    }
    Ok(())
}

/// Looks at the newest versions of what is about to change, where readers do not meet them by themselves.
pub(super) async fn read_heads(
    host: &HostMemory,
    target: &Target,
    provider: &dyn Provider,
    state: &mut TargetState,
    prunes: bool,
) -> Result<(), Error> {
    if state.capabilities.serving == Serving::AtOnce {
        return Ok(());
    }
    let stirred: Vec<Key> = state.items.keys().filter(|key| is_stirred(target, state, prunes, key)).cloned().collect();
    let keys = match state.capabilities.serving {
        Serving::Together if !stirred.is_empty() => staged_keys(state),
        _ => stirred,
    };
    if keys.is_empty() {
        return Ok(());
    }
    let seen = provider.observe(Observe { keys, view: View::Newest, ..Observe::default() }).await?;
    state.heads = seen.items;
    read_owners(target, provider, &state.ledger, &mut state.heads).await?;
    let unserved = |key: &Key, head: &Item| {
        state.items.get(key).and_then(Seen::item).is_none_or(|served| served.version != head.version)
    };
    let mut secrets = Vec::new();
    for (key, head) in state.heads.iter().filter_map(|(key, seen)| Some((key, seen.item()?))) {
        if let (Some(Value::Secret(asked)), true) = (target.entries.get(key).map(|entry| &entry.value), head.secret)
            && unserved(key, head)
        {
            let request = ReadRequest { key: key.clone(), version: Some(head.version.clone()) };
            secrets.push((request, host.fingerprint(asked)));
        }
    }
    if !secrets.is_empty() {
        let requests: Vec<_> = secrets.iter().map(|(request, _)| request.clone()).collect();
        for ((request, asked), read) in secrets.iter().zip(provider.read(&requests).await?) {
            let same = read.is_some_and(|read| host.fingerprint(&read.value) == *asked);
            state.head_matches.insert(request.key.clone(), same);
        }
    }
    Ok(())
}

/// Looks whether the versions that pins name are still there to lead readers to, where they meet something else. Neither
/// the number of the newest version nor its date tells: who destroys a parameter and makes it anew counts from 1 again,
/// and may put more than once.
pub(super) async fn look_at_pins(
    target: &Target,
    provider: &dyn Provider,
    state: &mut TargetState,
) -> Result<(), Error> {
    if state.capabilities.serving != Serving::Apart {
        return Ok(());
    }
    let in_doubt = |(key, pin): &(&Key, &Pin)| {
        let served = state.items.get(*key).and_then(Seen::item).is_some_and(|item| item.version == pin.version);
        let head = state.heads.get(*key).and_then(Seen::item);
        !served && !state.keeps(key, pin) && head.is_some_and(|head| pin.may_be_below(&head.version))
    };
    let pins: BTreeMap<Key, Pin> =
        state.ledger.pins.iter().filter(in_doubt).map(|(key, pin)| (key.clone(), pin.clone())).collect();
    if pins.is_empty() {
        return Ok(());
    }
    let versions = pins.iter().map(|(key, pin)| (key.clone(), pin.version.clone())).collect();
    let keys = pins.keys().cloned().collect();
    let seen = provider.observe(Observe { keys, versions, ..Observe::default() }).await?;
    for (key, pin) in pins {
        let item = seen.items.get(&key).and_then(Seen::item);
        let there =
            item.is_some_and(|item| item.version == pin.version && may_be(&pin, item, target.entries.get(&key)));
        let found = if there { Found::Kept(None) } else { Found::Gone };
        state.past.entry(key).or_default().push(Past { version: pin.version, found });
    }
    Ok(())
}

/// Tells whether an item of the number that a pin names can be what the pin held. Its date says so where the ledger knows
/// that; where it could not be read after the put, what the item holds has to.
fn may_be(pin: &Pin, item: &Item, entry: Option<&Entry>) -> bool {
    let Some(content) = pin.content.as_ref().filter(|_| pin.version.at.is_none()) else { return true };
    let Some(value) = &item.value else { return !content.names_value() };
    let asked = entry.filter(|entry| entry.pin.is_none() && content_digest(entry).core() == content.core());
    content.names_value() && asked.is_none_or(|entry| same_text(entry.kind, entry.value.expose(), value))
}

/// Lists the keys that may be staged: the next set is made of everything that is, also of what a release put that was
/// taken back since.
pub(super) fn staged_keys(state: &TargetState) -> Vec<Key> {
    let mut keys = state.ledger.known_keys();
    keys.extend(state.items.keys().cloned());
    keys.into_iter().collect()
}

/// Tells whether a pass may have to put something for a key: unless what is served is the pin and the pin is what the
/// file asks for, or may not have.
fn is_stirred(target: &Target, state: &TargetState, prunes: bool, key: &Key) -> bool {
    let served = match state.items.get(key) {
        Some(Seen::Present(item)) => Some(item),
        Some(Seen::Absent) => None,
        Some(Seen::Unreadable(_)) | None => return false,
    };
    let entry = target.entries.get(key);
    let Some(pin) = state.ledger.pins.get(key) else {
        let held = state.ledger.holds.get(key).is_some_and(|hold| hold.by_hand || hold.pinned);
        return entry.is_some() && !held;
    };
    // A number without a date may be that of a parameter that somebody made anew.
    if pin.version.at.is_none() || served.is_none_or(|item| item.version != pin.version) {
        return true;
    }
    if is_near_edge(&state.ledger, &state.capabilities, key) {
        return true;
    }
    let asked = entry.map(content_digest);
    let held = state.ledger.holds.get(key).is_some_and(|hold| {
        let named = match &asked {
            None => hold.contents.contains(&HeldContent::Absent),
            Some(asked) if asked.names_value() => hold.contents.contains(&HeldContent::Plain(asked.core())),
            Some(_) => state.held_secrets.get(key) == Some(&true),
        };
        hold.by_hand || hold.pinned || named
    });
    let same_secret =
        entry.is_none_or(|entry| !entry.value.is_secret() || state.secret_matches.get(key) == Some(&true));
    // Whoever made it anew before its date was read is in the pin, with what else the file asks for.
    let same_value = entry.zip(served.and_then(|item| item.value.as_deref())).is_none_or(|(entry, value)| {
        entry.pin.is_some() || entry.value.plain().is_none_or(|wanted| same_text(entry.kind, wanted, value))
    });
    match &asked {
        None => prunes && !held,
        Some(_) => !held && (asked != pin.content || !same_secret || !same_value),
    }
}

/// Reads the versions that the file pins and that are not what is served.
pub(super) async fn read_file_pins(
    target: &Target,
    provider: &dyn Provider,
    state: &mut TargetState,
) -> Result<(), Error> {
    let mut requests = Vec::new();
    for (key, entry) in &target.entries {
        let Some(pin) = &entry.pin else { continue };
        let Some(version) = resolve(provider, state, key, pin).await? else {
            state.file_pins.insert(key.clone(), None);
            continue;
        };
        let served = state.items.get(key).and_then(Seen::item).is_some_and(|item| item.version == version);
        let known = state.ledger.pins.get(key);
        let satisfied = known.is_some_and(|known| known.origin == version || (served && known.version == version));
        if !satisfied {
            requests.push(ReadRequest { key: key.clone(), version: Some(version) });
        }
    }
    if !requests.is_empty() {
        let read = provider.read(&requests).await?;
        state.file_pins.extend(requests.into_iter().map(|request| request.key).zip(read));
    }
    Ok(())
}

/// Returns the version that a pin names: by the store's own name for it, or as the revision of a time.
async fn resolve(provider: &dyn Provider, state: &TargetState, key: &Key, pin: &str) -> Result<Option<Version>, Error> {
    let Ok(time) = pin.parse::<Timestamp>() else {
        let known = way::known_version(&state.ledger, key, pin);
        return Ok(Some(known.unwrap_or_else(|| Version::new(pin, None))));
    };
    at_time(provider, key, time).await
}

/// Returns the version that a key had at a time; `None` where the store tells of none.
///
/// # Errors
/// Fails where the store does.
pub(super) async fn at_time(provider: &dyn Provider, key: &Key, time: Timestamp) -> Result<Option<Version>, Error> {
    let revisions = match provider.history(key).await {
        Ok(revisions) => revisions,
        Err(error) if error.kind == repin_provider::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut by_then = revisions.into_iter().filter(|revision| revision.version.at.is_some_and(|at| at <= time));
    Ok(by_then.next().map(|revision| revision.version))
}

/// Reads the past contents that go with an item which the file drops, where its history goes with it.
pub(super) async fn read_doomed(
    desired: &Desired,
    target: &Target,
    provider: &dyn Provider,
    state: &mut TargetState,
) -> Result<(), Error> {
    let capabilities = &state.capabilities;
    if capabilities.versions_kept.is_none() || capabilities.serving != Serving::AtOnce || !desired.policy.prune {
        return Ok(());
    }
    let dropped = |key: &&Key| {
        let there = state.items.get(*key).and_then(Seen::item).is_some();
        there && !target.entries.contains_key(*key)
    };
    let keys: Vec<Key> = state.ledger.pins.keys().filter(dropped).cloned().collect();
    read_needed(provider, state, &keys, desired.policy.keep_releases).await
}

/// Reads every version of some keys that a kept release or a hold needs.
async fn read_needed(provider: &dyn Provider, state: &mut TargetState, keys: &[Key], keep: u32) -> Result<(), Error> {
    let mut requests = Vec::new();
    for key in keys {
        let needed = state.ledger.needed_versions(key, keep);
        let uncopied = needed.into_iter().filter(|v| !state.ledger.copies.contains(&CopyName::of(key, v)));
        requests.extend(uncopied.map(|version| ReadRequest { key: key.clone(), version: Some(version) }));
    }
    if requests.is_empty() {
        return Ok(());
    }
    let read = provider.read(&requests).await?;
    for (request, read) in requests.into_iter().zip(read) {
        keep_past(state, request, read);
    }
    Ok(())
}

fn keep_past(state: &mut TargetState, request: ReadRequest, read: Option<ReadValue>) {
    let Some(version) = request.version else { return };
    // A version of the same number may be of a later incarnation, which its date tells.
    let read = read.filter(|read| read.version == version);
    let found = read.map_or(Found::Gone, |read| Found::Kept(Some(Box::new(read))));
    state.past.entry(request.key).or_default().push(Past { version, found });
}

/// Lists the ways back that some run left unfinished.
pub(super) fn ways_back(observed: &Observed) -> BTreeMap<TargetName, Way> {
    way::unfinished_ways(observed)
}

/// Looks at what the rest of an unfinished way back touches, and finds the past contents that it needs.
pub(super) async fn look_back(provider: &dyn Provider, state: &mut TargetState, way: &Way) -> Result<(), LedgerError> {
    let mut keys: BTreeSet<Key> = way.changes.keys().cloned().collect();
    let together = state.capabilities.serving == Serving::Together;
    if together {
        // What is not changed has to be in the next set too.
        keys.extend(state.ledger.pins.keys().cloned());
        keys.extend(state.ledger.let_go_keys());
        let mut staged: BTreeSet<Key> = staged_keys(state).into_iter().collect();
        staged.extend(keys.iter().cloned());
        let keys = staged.into_iter().collect();
        state.heads = provider.observe(Observe { keys, view: View::Newest, ..Observe::default() }).await?.items;
    }
    let unseen: Vec<Key> = keys.into_iter().filter(|key| !state.items.contains_key(key)).collect();
    if !unseen.is_empty() || together {
        // What is to be removed and is not there is let go of.
        let surely = way.changes.iter().filter(|(_, (_, then))| then.is_none()).map(|(key, _)| key.clone()).collect();
        let seen = provider.observe(Observe { keys: unseen, surely, ..Observe::default() }).await?;
        state.items.extend(seen.items);
        state.reference = seen.reference;
    }
    state.native.extend(way.changes.keys().map(|key| (key.clone(), provider.native_name(key))));
    read_way(provider, state, way, true).await
}

/// Finds the past contents that a way back needs. Where nothing is to be put it is enough that they are there, and
/// nothing is decrypted.
pub(super) async fn read_way(
    provider: &dyn Provider,
    state: &mut TargetState,
    way: &Way,
    looked: bool,
) -> Result<(), LedgerError> {
    if way.set.is_some() {
        return Ok(());
    }
    let wanted = way.versions();
    if state.capabilities.serving == Serving::Apart {
        let is_dropped =
            |(key, version): &(Key, Version)| is_dropped_soon(&state.ledger, &state.capabilities, key, version);
        let (dropped, kept): (Vec<_>, Vec<_>) = wanted.into_iter().partition(is_dropped);
        look_at_versions(provider, state, &kept).await?;
        read_dropped(provider, state, dropped).await?;
    } else {
        let requests =
            |(key, version): &(Key, Version)| ReadRequest { key: key.clone(), version: Some(version.clone()) };
        let mut requests: Vec<_> = wanted.iter().map(requests).collect();
        if looked {
            requests.extend(suspects(state, way));
        }
        if !requests.is_empty() {
            let read = provider.read(&requests).await?;
            for (request, read) in requests.into_iter().zip(read) {
                keep_past(state, request, read);
            }
        }
    }
    read_removed(provider, state, way).await?;
    find_copies(provider, state).await
}

/// Lists secrets that are served and are neither the pin nor what is wanted: a run that died may have put them.
fn suspects(state: &TargetState, way: &Way) -> Vec<ReadRequest> {
    let served = |key: &Key| state.items.get(key).and_then(Seen::item).filter(|item| item.secret);
    way.changes
        .iter()
        .filter_map(|(key, (now, then))| {
            let item = served(key)?;
            let known = [now, then].into_iter().flatten().any(|pin| pin.version == item.version);
            (!known).then(|| ReadRequest { key: key.clone(), version: Some(item.version.clone()) })
        })
        .collect()
}

/// Going back over a create removes the item, and its history goes with it.
async fn read_removed(provider: &dyn Provider, state: &mut TargetState, way: &Way) -> Result<(), Error> {
    if state.capabilities.versions_kept.is_none() || state.capabilities.serving != Serving::AtOnce {
        return Ok(());
    }
    let removed: Vec<Key> =
        way.changes.iter().filter(|(_, (_, then))| then.is_none()).map(|(k, _)| k.clone()).collect();
    read_needed(provider, state, &removed, u32::MAX).await
}

/// Asks whether versions are there, decrypting nothing.
async fn look_at_versions(
    provider: &dyn Provider,
    state: &mut TargetState,
    wanted: &[(Key, Version)],
) -> Result<(), Error> {
    if wanted.is_empty() {
        return Ok(());
    }
    let versions: BTreeMap<Key, Version> = wanted.iter().cloned().collect();
    let keys = versions.keys().cloned().collect();
    let seen = provider.observe(Observe { keys, versions: versions.clone(), ..Observe::default() }).await?;
    for (key, version) in versions {
        let there = seen.items.get(&key).and_then(Seen::item).is_some_and(|item| item.version == version);
        let found = if there { Found::Kept(None) } else { Found::Gone };
        state.past.entry(key).or_default().push(Past { version, found });
    }
    state.at = seen.at.or(state.at);
    Ok(())
}

/// Reads versions that are too old for readers to be led to: their contents are put once more, over what is newest.
async fn read_dropped(
    provider: &dyn Provider,
    state: &mut TargetState,
    dropped: Vec<(Key, Version)>,
) -> Result<(), Error> {
    if dropped.is_empty() {
        return Ok(());
    }
    let keys = dropped.iter().map(|(key, _)| key.clone()).collect();
    let newest = provider.observe(Observe { keys, view: View::Newest, ..Observe::default() }).await?;
    state.heads.extend(newest.items);
    let requests: Vec<_> =
        dropped.into_iter().map(|(key, version)| ReadRequest { key, version: Some(version) }).collect();
    for (request, read) in requests.iter().zip(provider.read(&requests).await?) {
        keep_past(state, request.clone(), read);
    }
    Ok(())
}

/// Looks for copies of what the store has no more.
async fn find_copies(provider: &dyn Provider, state: &mut TargetState) -> Result<(), LedgerError> {
    let known = &state.ledger.copies;
    // What a run copied before it died is in no record.
    let may_be_there = |name: &CopyName| known.contains(name) || state.ledger.open().is_some();
    let gone: BTreeSet<CopyName> = state
        .past
        .iter()
        .flat_map(|(key, past)| past.iter().map(move |past| (key, past)))
        .filter(|(_, past)| matches!(past.found, Found::Gone))
        .map(|(key, past)| CopyName::of(key, &past.version))
        .filter(may_be_there)
        .collect();
    if gone.is_empty() {
        return Ok(());
    }
    let copies = copies::read(provider, &gone).await?;
    for (key, past) in state.past.iter_mut().flat_map(|(key, past)| past.iter_mut().map(move |past| (key, past))) {
        if let (Found::Gone, Some(content)) = (&past.found, copies.get(&CopyName::of(key, &past.version))) {
            past.found = Found::Copied(Box::new(content.clone()));
        }
    }
    Ok(())
}
