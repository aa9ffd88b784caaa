//! Frozen sets: what is put is seen by nobody until the set that it was frozen into is served, all of it at once.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::join_all;

use super::arena::{Arena, Checked, Failure, delete, held, key, present, read, refused, sent};
use super::{Case, case_table, ensure};
use crate::{ErrorKind, Frozen, Item, Key, Observation, Observe, Outcome, Provider, Seen, Serving, Version};

case_table![
    sets_are_for_stores_that_serve_together,
    a_put_is_unseen_until_its_set_is_served,
    a_set_is_served_whole,
    a_set_never_changes,
    an_earlier_set_is_served_by_moving_the_reference,
    the_name_of_a_set_is_taken,
    a_missing_set_is_none,
    a_retired_set_is_kept_again_once_served,
    the_reference_moves_only_from_where_it_was,
    a_withdrawn_set_is_served_no_more,
    concurrent_servings_have_one_winner,
    the_reference_names_its_owner,
    resume_follows_the_reference,
    what_is_put_has_versions_and_owners,
];

/// How many hosts race.
const RACERS: usize = 4;

fn is_together(arena: &Arena) -> bool {
    arena.provider.capabilities().serving == Serving::Together
}

/// Names a set that no other case and no other run of the suite has: names are the whole store's.
fn set(arena: &Arena, suffix: &str) -> String {
    let place = arena.provider.place().as_str();
    let place: String = place.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("{place}-{suffix}")
}

async fn look_served(provider: &dyn Provider, keys: &[Key]) -> Checked<Observation> {
    Ok(provider.observe(Observe { keys: keys.to_vec(), ..Observe::default() }).await?)
}

/// Waits until readers meet this set, and returns what they find.
async fn see_set(arena: &Arena, name: &str, keys: &[Key]) -> Checked<Observation> {
    arena
        .eventually(async || {
            let seen = look_served(&*arena.provider, keys).await?;
            let set = seen.reference.as_ref().and_then(|reference| reference.set.as_deref());
            if set == Some(name) {
                return Ok(seen);
            }
            Err(Failure::new(format!("readers should follow {name:?}, but the reference is {:?}", seen.reference)))
        })
        .await
}

fn value<'a>(seen: &'a Observation, key: &Key) -> Option<&'a str> {
    seen.items.get(key)?.item()?.value.as_deref()
}

async fn serve(provider: &dyn Provider, name: &str, from: Option<&Version>) -> Checked<Version> {
    held(provider.serve_frozen(name, from).await?)
}

/// Freezes what is put, once the set holds this version of the key.
async fn frozen(arena: &Arena, name: &str, key: &Key, version: &Version) -> Checked<Frozen> {
    arena.see(key, version).await?;
    let made = arena.provider.freeze(name).await?;
    ensure!(made.name == name && made.kept, "a new set has the name that was asked for and stays: {made:?}");
    let item = made.items.get(key);
    ensure!(item.is_some_and(|item| item.version == *version), "{key} should be frozen at {version:?}: {item:?}");
    Ok(made)
}

async fn sets_are_for_stores_that_serve_together(arena: Arc<Arena>) -> Checked {
    if is_together(&arena) {
        let seen = look_served(&*arena.provider, &[key("a")]).await?;
        ensure!(seen.reference.is_none(), "an empty place has no reference: {:?}", seen.reference);
        ensure!(matches!(seen.items.get(&key("a")), Some(Seen::Absent)), "{:?}", seen.items);
        return Ok(());
    }
    refused(arena.provider.freeze("set").await, ErrorKind::Refused)?;
    refused(arena.provider.read_frozen("set").await, ErrorKind::Refused)?;
    refused(arena.provider.serve_frozen("set", None).await, ErrorKind::Refused)?;
    refused(arena.provider.withdraw_frozen(&Version::new("1", None)).await, ErrorKind::Refused)?;
    refused(arena.provider.retire_frozen("set").await, ErrorKind::Refused)?;
    let seen = look_served(&*arena.provider, &[]).await?;
    ensure!(seen.reference.is_none(), "there is nothing to refer to: {:?}", seen.reference);
    Ok(())
}

async fn a_put_is_unseen_until_its_set_is_served(arena: Arc<Arena>) -> Checked {
    if !is_together(&arena) {
        return Ok(());
    }
    let (a, name) = (key("a"), set(&arena, "unseen"));
    let version = arena.create(&a, "one").await?;
    frozen(&arena, &name, &a, &version).await?;
    let seen = look_served(&*arena.provider, std::slice::from_ref(&a)).await?;
    ensure!(matches!(seen.items.get(&a), Some(Seen::Absent)), "nothing is served yet, but {:?}", seen.items);
    ensure!(read(&*arena.provider, &[(&a, None)]).await?[0].is_none(), "nothing is served yet, but it is read");

    let reference = serve(&*arena.provider, &name, None).await?;
    let seen = see_set(&arena, &name, std::slice::from_ref(&a)).await?;
    ensure!(value(&seen, &a) == Some("one"), "what is served is {:?}", seen.items);
    let there = seen.reference.ok_or_else(|| Failure::new("a served set has a reference"))?;
    ensure!(there.version == reference && there.kept, "the reference should be at {reference:?}: {there:?}");

    let second = arena.replace(&a, "two", &version).await?;
    arena.see(&a, &second).await?;
    let seen = look_served(&*arena.provider, std::slice::from_ref(&a)).await?;
    let item = present(&seen, &a)?;
    ensure!(item.version == version && value(&seen, &a) == Some("one"), "a put changed what is served: {item:?}");
    let values = read(&*arena.provider, &[(&a, None), (&a, Some(&second))]).await?;
    let texts: Vec<_> = values.iter().flatten().map(|value| value.value.expose()).collect();
    ensure!(texts == ["one", "two"], "served and put read as {texts:?}");
    Ok(())
}

async fn a_set_is_served_whole(arena: Arc<Arena>) -> Checked {
    if !is_together(&arena) {
        return Ok(());
    }
    let keys = [key("changed"), key("removed"), key("added")];
    let [changed, removed, added] = &keys;
    let (before, after) = (set(&arena, "before"), set(&arena, "after"));
    let gone = arena.create(removed, "one").await?;
    let first = arena.create(changed, "one").await?;
    frozen(&arena, &before, changed, &first).await?;
    let reference = serve(&*arena.provider, &before, None).await?;
    let seen = see_set(&arena, &before, &keys).await?;
    ensure!(value(&seen, removed) == Some("one") && value(&seen, added).is_none(), "{:?}", seen.items);

    arena.create(added, "new").await?;
    delete(&*arena.provider, removed, &gone).await?;
    let second = arena.replace(changed, "two", &first).await?;
    let made = frozen(&arena, &after, changed, &second).await?;
    ensure!(made.items.keys().eq([added, changed]), "the set holds {:?}", made.items.keys());
    serve(&*arena.provider, &after, Some(&reference)).await?;
    let seen = see_set(&arena, &after, &keys).await?;
    let values = keys.each_ref().map(|wanted| value(&seen, wanted));
    ensure!(values == [Some("two"), None, Some("new")], "readers find {values:?}");
    Ok(())
}

fn same_items<'a>(
    a: impl IntoIterator<Item = (&'a Key, &'a Item)>,
    b: impl IntoIterator<Item = (&'a Key, &'a Item)>,
) -> bool {
    let told = |(key, item): (&'a Key, &'a Item)| (key, item.version.clone(), item.value.clone());
    a.into_iter().map(told).eq(b.into_iter().map(told))
}

async fn a_set_never_changes(arena: Arc<Arena>) -> Checked {
    if !is_together(&arena) {
        return Ok(());
    }
    let (a, b, name) = (key("a"), key("b/deep/er"), set(&arena, "still"));
    arena.create(&b, "other").await?;
    let version = arena.create(&a, "one").await?;
    let made = frozen(&arena, &name, &a, &version).await?;
    ensure!(made.items.len() == 2, "two keys were put, {:?} are frozen", made.items.keys());
    arena.replace(&a, "two", &version).await?;
    arena.create(&key("c"), "later").await?;
    for provider in [&arena.provider, &arena.peer] {
        let there = provider.read_frozen(&name).await?.ok_or_else(|| Failure::new("a set that was made is there"))?;
        ensure!(there.kept && there.name == name, "{there:?}");
        ensure!(same_items(&made.items, &there.items), "the set was {:?} and is {:?}", made.items, there.items);
    }
    Ok(())
}

/// Makes and serves two sets of one key, and returns their names, the key's versions and the reference's last.
async fn two_sets(arena: &Arena, a: &Key) -> Checked<([String; 2], [Version; 2], Version)> {
    let names = [set(arena, "1"), set(arena, "2")];
    let first = arena.create(a, "one").await?;
    frozen(arena, &names[0], a, &first).await?;
    let reference = serve(&*arena.provider, &names[0], None).await?;
    let second = arena.replace(a, "two", &first).await?;
    frozen(arena, &names[1], a, &second).await?;
    let reference = serve(&*arena.provider, &names[1], Some(&reference)).await?;
    see_set(arena, &names[1], std::slice::from_ref(a)).await?;
    Ok((names, [first, second], reference))
}

async fn an_earlier_set_is_served_by_moving_the_reference(arena: Arc<Arena>) -> Checked {
    if !is_together(&arena) {
        return Ok(());
    }
    let a = key("a");
    let ([first, _], [one, two], reference) = two_sets(&arena, &a).await?;
    let before = sent(&*arena.provider);
    serve(&*arena.provider, &first, Some(&reference)).await?;
    let cost = sent(&*arena.provider) - before;
    ensure!(cost <= 2, "going back took {cost} requests: a look at the set and a write of the reference are enough");
    let item = present(&see_set(&arena, &first, std::slice::from_ref(&a)).await?, &a)?;
    ensure!(item.version == one, "the set serves {:?}, not {one:?}", item.version);
    let item = arena.see(&a, &two).await?;
    ensure!(item.value.as_deref() == Some("two"), "going back changed what was put: {item:?}");
    Ok(())
}

async fn the_name_of_a_set_is_taken(arena: Arc<Arena>) -> Checked {
    if !is_together(&arena) {
        return Ok(());
    }
    let (a, name) = (key("a"), set(&arena, "taken"));
    let version = arena.create(&a, "one").await?;
    frozen(&arena, &name, &a, &version).await?;
    arena.replace(&a, "two", &version).await?;
    let error = refused(arena.peer.freeze(&name).await, ErrorKind::AlreadyExists)?;
    ensure!(error.outcome == Outcome::NotDone, "a taken name is known to have done nothing");
    let there = arena.provider.read_frozen(&name).await?.ok_or_else(|| Failure::new("the first set is there"))?;
    let item = there.items.get(&a);
    ensure!(item.is_some_and(|item| item.version == version), "the first set holds {item:?}");
    Ok(())
}

async fn a_missing_set_is_none(arena: Arc<Arena>) -> Checked {
    if !is_together(&arena) {
        return Ok(());
    }
    let missing = set(&arena, "missing");
    let there = arena.provider.read_frozen(&missing).await?;
    ensure!(there.is_none(), "nothing was frozen, but {there:?} is there");
    let error = refused(arena.provider.serve_frozen(&missing, None).await, ErrorKind::NotFound)?;
    ensure!(error.outcome == Outcome::NotDone, "serving nothing is known to have done nothing");
    let seen = look_served(&*arena.provider, &[]).await?;
    ensure!(seen.reference.is_none(), "a refused serving left {:?}", seen.reference);
    arena.provider.retire_frozen(&missing).await?;
    Ok(())
}

async fn a_retired_set_is_kept_again_once_served(arena: Arc<Arena>) -> Checked {
    if !is_together(&arena) {
        return Ok(());
    }
    let a = key("a");
    let ([first, second], [one, _], reference) = two_sets(&arena, &a).await?;
    arena.provider.retire_frozen(&first).await?;
    arena.peer.retire_frozen(&first).await?;
    let there = arena.provider.read_frozen(&first).await?.ok_or_else(|| Failure::new("a retired set goes later"))?;
    ensure!(!there.kept, "a retired set will not stay: {there:?}");
    ensure!(there.items.get(&a).is_some_and(|item| item.version == one), "a retired set holds {:?}", there.items);

    let reference = serve(&*arena.provider, &first, Some(&reference)).await?;
    let there = see_set(&arena, &first, std::slice::from_ref(&a)).await?.reference;
    ensure!(there.as_ref().is_some_and(|there| there.kept), "a served set stays: {there:?}");

    // One that is served and retired by somebody is noticed, and mended by being served again.
    arena.peer.retire_frozen(&first).await?;
    let seen = see_set(&arena, &first, std::slice::from_ref(&a)).await?;
    ensure!(seen.reference.as_ref().is_some_and(|there| !there.kept), "it was retired: {:?}", seen.reference);
    ensure!(value(&seen, &a) == Some("one"), "readers still find it: {:?}", seen.items);
    serve(&*arena.provider, &first, Some(&reference)).await?;
    let there = see_set(&arena, &first, &[]).await?.reference;
    ensure!(there.as_ref().is_some_and(|there| there.kept), "it was mended: {there:?}");
    let other = arena.provider.read_frozen(&second).await?;
    ensure!(other.is_some_and(|other| other.kept), "the other set was left alone");
    Ok(())
}

async fn the_reference_moves_only_from_where_it_was(arena: Arc<Arena>) -> Checked {
    if !is_together(&arena) {
        return Ok(());
    }
    let a = key("a");
    let ([first, second], _, reference) = two_sets(&arena, &a).await?;
    let error = refused(arena.peer.serve_frozen(&first, None).await, ErrorKind::AlreadyExists)?;
    ensure!(error.outcome == Outcome::NotDone, "a refused serving is known to have done nothing");
    let moved = serve(&*arena.peer, &first, Some(&reference)).await?;
    refused(arena.provider.serve_frozen(&second, Some(&reference)).await, ErrorKind::Conflict)?;
    let there = see_set(&arena, &first, &[]).await?.reference;
    ensure!(there.is_some_and(|there| there.version == moved), "the reference should be where the peer moved it");
    Ok(())
}

async fn a_withdrawn_set_is_served_no_more(arena: Arc<Arena>) -> Checked {
    if !is_together(&arena) {
        return Ok(());
    }
    let a = key("a");
    let ([first, second], _, reference) = two_sets(&arena, &a).await?;
    let moved = serve(&*arena.peer, &first, Some(&reference)).await?;
    let error = refused(arena.provider.withdraw_frozen(&reference).await, ErrorKind::Conflict)?;
    ensure!(error.outcome == Outcome::NotDone, "a refused withdrawal is known to have done nothing");
    see_set(&arena, &first, &[]).await?;
    arena.provider.withdraw_frozen(&moved).await?;
    arena
        .eventually(async || {
            let seen = look_served(&*arena.provider, std::slice::from_ref(&a)).await?;
            ensure!(seen.reference.is_none(), "the reference is gone: {:?}", seen.reference);
            ensure!(matches!(seen.items.get(&a), Some(Seen::Absent)), "nothing is served: {:?}", seen.items);
            Ok(())
        })
        .await?;
    arena.provider.withdraw_frozen(&moved).await?;
    serve(&*arena.provider, &second, None).await?;
    see_set(&arena, &second, &[]).await?;
    Ok(())
}

async fn concurrent_servings_have_one_winner(arena: Arc<Arena>) -> Checked {
    if !is_together(&arena) {
        return Ok(());
    }
    let a = key("a");
    let mut version = arena.create(&a, "start").await?;
    let mut names = Vec::new();
    for i in 0..RACERS {
        version = arena.replace(&a, &format!("racer {i}"), &version).await?;
        names.push(set(&arena, &format!("racer-{i}")));
        frozen(&arena, &names[i], &a, &version).await?;
    }
    let results = join_all(names.iter().enumerate().map(|(i, name)| {
        let racer = if i % 2 == 0 { &arena.provider } else { &arena.peer };
        racer.serve_frozen(name, None)
    }))
    .await;
    let mut winners = Vec::new();
    for (i, result) in results.into_iter().enumerate() {
        match result {
            Ok(applied) => winners.push((i, held(applied)?)),
            Err(error) if error.kind == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
    }
    let [(winner, _)] = winners.as_slice() else {
        return Err(Failure::new(format!("{} hosts created the reference", winners.len())));
    };
    let seen = see_set(&arena, &names[*winner], std::slice::from_ref(&a)).await?;
    ensure!(value(&seen, &a) == Some(&*format!("racer {winner}")), "readers find {:?}", seen.items);
    Ok(())
}

async fn the_reference_names_its_owner(arena: Arc<Arena>) -> Checked {
    if !is_together(&arena) {
        return Ok(());
    }
    let (a, name) = (key("a"), set(&arena, "owned"));
    let version = arena.create(&a, "one").await?;
    frozen(&arena, &name, &a, &version).await?;
    let reference = serve(&*arena.stranger, &name, None).await?;
    let owner = see_set(&arena, &name, &[]).await?.reference.and_then(|there| there.owner);
    ensure!(owner.as_ref().is_some_and(|owner| owner != arena.owner.as_str()), "a stranger's belongs to {owner:?}");
    let ours = serve(&*arena.provider, &name, Some(&reference)).await?;
    arena
        .eventually(async || {
            let there = look_served(&*arena.provider, &[]).await?.reference;
            let there = there.ok_or_else(|| Failure::new("the reference is there"))?;
            ensure!(there.version == ours, "the reference should be at {ours:?}: {there:?}");
            ensure!(there.owner.as_deref() == Some(arena.owner.as_str()), "ours belongs to {:?}", there.owner);
            Ok(())
        })
        .await
}

async fn resume_follows_the_reference(arena: Arc<Arena>) -> Checked {
    if !is_together(&arena) {
        return Ok(());
    }
    let (a, missing) = (key("a"), key("missing"));
    let ([first, second], [one, two], reference) = two_sets(&arena, &a).await?;
    let ask = |resume| Observe { keys: vec![a.clone(), missing.clone()], resume, ..Observe::default() };
    let seen = arena.provider.observe(ask(None)).await?;
    let before = sent(&*arena.provider);
    let again = arena.provider.observe(ask(seen.resume.clone())).await?;
    let cost = sent(&*arena.provider) - before;
    ensure!(cost <= 2, "looking again took {cost} requests: the reference and the set's state are enough");
    ensure!(again.reference == seen.reference, "{:?} became {:?}", seen.reference, again.reference);
    ensure!(present(&again, &a)?.version == two, "nothing changed, but {:?}", again.items);
    ensure!(matches!(again.items.get(&missing), Some(Seen::Absent)), "{:?}", again.items);

    arena.peer.retire_frozen(&second).await?;
    let retired = arena
        .eventually(async || {
            let seen = arena.provider.observe(ask(again.resume.clone())).await?;
            ensure!(seen.reference.as_ref().is_some_and(|there| !there.kept), "it was retired: {:?}", seen.reference);
            ensure!(present(&seen, &a)?.version == two, "a retired set is read until it goes: {:?}", seen.items);
            Ok(seen)
        })
        .await?;
    serve(&*arena.peer, &first, Some(&reference)).await?;
    arena
        .eventually(async || {
            let seen = arena.provider.observe(ask(retired.resume.clone())).await?;
            let set = seen.reference.as_ref().and_then(|there| there.set.as_deref());
            ensure!(set == Some(&*first), "readers follow {set:?}");
            ensure!(present(&seen, &a)?.version == one, "readers find {:?}", seen.items);
            Ok(())
        })
        .await
}

async fn what_is_put_has_versions_and_owners(arena: Arc<Arena>) -> Checked {
    if !is_together(&arena) {
        return Ok(());
    }
    let a = key("a");
    let ([first, _], [one, two], reference) = two_sets(&arena, &a).await?;
    serve(&*arena.provider, &first, Some(&reference)).await?;
    arena
        .eventually(async || {
            let history = arena.provider.history(&a).await?;
            let versions: Vec<_> = history.iter().map(|revision| &revision.version).collect();
            ensure!(versions == [&two, &one], "the history is of what was put: {versions:?}");
            let owners = arena.provider.owners(std::slice::from_ref(&a)).await?;
            ensure!(owners == [Some(arena.owner.as_str().to_owned())], "what was put belongs to {owners:?}");
            Ok(())
        })
        .await
}
