//! Versions that are served one by one: a put is seen by nobody until what readers follow moves to it.

use std::sync::Arc;

use futures::FutureExt;

use super::arena::{
    Arena, Checked, Failure, create, delete, held, key, look, plain, present, read, refused, secret, sent,
};
use super::{Case, case_table, ensure};
use crate::{
    Action, Applied, ErrorKind, Item, Key, Observation, Observe, Outcome, Provider, Result as StoreResult, Seen,
    Serving, Version, Write,
};

case_table![
    versions_are_served_where_stores_serve_apart,
    a_put_is_unseen_until_it_is_served,
    a_new_version_is_unseen_until_it_is_served,
    an_earlier_version_is_served_without_a_new_one,
    serving_again_changes_nothing,
    a_withdrawn_item_is_hidden_and_kept,
    withdrawing_what_is_not_served_changes_nothing,
    what_does_not_exist_is_not_served,
    a_delete_is_of_the_newest_and_takes_what_is_served,
    a_secret_is_served_undecrypted,
    a_census_knows_what_is_not_served,
    looking_at_what_is_served_costs_no_more,
];

/// More than two batches of a store that serves apart.
const MANY: usize = 25;

fn is_apart(arena: &Arena) -> bool {
    arena.provider.capabilities().serving == Serving::Apart
}

async fn serve(provider: &dyn Provider, key: &Key, version: &Version, from: Option<&Version>) -> StoreResult<Applied> {
    let action = Action::Serve { version: version.clone(), from: from.cloned() };
    provider.apply(&Write { key: key.clone(), action }).await
}

async fn withdraw(provider: &dyn Provider, key: &Key, version: &Version) -> StoreResult<Applied> {
    provider.apply(&Write { key: key.clone(), action: Action::Withdraw(version.clone()) }).await
}

/// Serves a version and requires the answer to name it.
async fn served(arena: &Arena, key: &Key, version: &Version, from: Option<&Version>) -> Checked {
    let applied = serve(&*arena.provider, key, version, from).await?;
    ensure!(applied.buried.is_none(), "serving buried {:?}", applied.buried);
    let there = held(applied)?;
    ensure!(there == *version, "{version:?} was to be served, and {there:?} is");
    Ok(())
}

/// Looks at what readers meet.
async fn look_served(provider: &dyn Provider, keys: &[Key], census: bool) -> StoreResult<Observation> {
    provider.observe(Observe { keys: keys.to_vec(), census, ..Observe::default() }).await
}

/// Waits until another host meets this version too, and returns what it is here.
async fn see_served(arena: &Arena, key: &Key, version: &Version) -> Checked<Item> {
    arena
        .eventually(async || {
            let mut items = Vec::new();
            for host in [&arena.peer, &arena.provider] {
                let item = present(&look_served(&**host, std::slice::from_ref(key), false).await?, key)?;
                ensure!(item.version == *version, "{key} is served at {:?}, not at {version:?}", item.version);
                items.push(item);
            }
            items.pop().ok_or_else(|| Failure::new("two hosts were asked"))
        })
        .await
}

/// Waits until readers meet nothing, on either host and by either way of asking.
async fn see_unserved(arena: &Arena, key: &Key) -> Checked {
    arena
        .eventually(async || {
            for host in [&arena.provider, &arena.peer] {
                for census in [false, true] {
                    let seen = look_served(&**host, std::slice::from_ref(key), census).await?;
                    ensure!(matches!(seen.items.get(key), Some(Seen::Absent)), "{key} is served: {:?}", seen.items);
                }
                let values = read(&**host, &[(key, None)]).await?;
                ensure!(values.iter().all(Option::is_none), "what readers read of {key} is {values:?}");
            }
            Ok(())
        })
        .await
}

/// Waits until readers read this value.
async fn see_read(arena: &Arena, key: &Key, value: &str) -> Checked {
    arena
        .eventually(async || match read(&*arena.peer, &[(key, None)]).await?.as_slice() {
            [Some(there)] if there.value.expose() == value => Ok(()),
            other => Err(Failure::new(format!("readers of {key} read another value, at {other:?}"))),
        })
        .await
}

/// Makes two versions, neither of them served.
async fn two(arena: &Arena, key: &Key) -> Checked<[Version; 2]> {
    let first = arena.create(key, "one").await?;
    let first = arena.see(key, &first).await?.version;
    let second = arena.replace(key, "two", &first).await?;
    let second = arena.see(key, &second).await?.version;
    Ok([first, second])
}

async fn versions_are_served_where_stores_serve_apart(arena: Arc<Arena>) -> Checked {
    let wanted = key("a");
    let version = arena.create(&wanted, "one").await?;
    arena.see(&wanted, &version).await?;
    if is_apart(&arena) {
        return served(&arena, &wanted, &version, None).await;
    }
    for refusal in
        [serve(&*arena.provider, &wanted, &version, None).await, withdraw(&*arena.provider, &wanted, &version).await]
    {
        let error = refused(refusal, ErrorKind::Refused)?;
        ensure!(error.outcome == Outcome::NotDone, "a refused write is known to have done nothing");
    }
    arena.see_value(&wanted, "one", &version).await
}

async fn a_put_is_unseen_until_it_is_served(arena: Arc<Arena>) -> Checked {
    if !is_apart(&arena) {
        return Ok(());
    }
    let wanted = key("chat/config");
    let version = arena.create(&wanted, "one").await?;
    arena.see_value(&wanted, "one", &version).await?;
    see_unserved(&arena, &wanted).await?;
    served(&arena, &wanted, &version, None).await?;
    let item = see_served(&arena, &wanted, &version).await?;
    ensure!(item.value.as_deref() == Some("one") && !item.secret, "served is {item:?}");
    ensure!(item.version.at.is_some(), "what is served has a date: {:?}", item.version);
    see_read(&arena, &wanted, "one").await
}

async fn a_new_version_is_unseen_until_it_is_served(arena: Arc<Arena>) -> Checked {
    if !is_apart(&arena) {
        return Ok(());
    }
    let wanted = key("a");
    let first = arena.create(&wanted, "one").await?;
    served(&arena, &wanted, &first, None).await?;
    let first = see_served(&arena, &wanted, &first).await?.version;
    let second = arena.replace(&wanted, "two", &first).await?;
    arena.see_value(&wanted, "two", &second).await?;
    let item = see_served(&arena, &wanted, &first).await?;
    ensure!(item.value.as_deref() == Some("one"), "a put changed what readers meet to {:?}", item.value);
    see_read(&arena, &wanted, "one").await?;
    served(&arena, &wanted, &second, Some(&first)).await?;
    let item = see_served(&arena, &wanted, &second).await?;
    ensure!(item.value.as_deref() == Some("two"), "served is {item:?}");
    see_read(&arena, &wanted, "two").await
}

async fn an_earlier_version_is_served_without_a_new_one(arena: Arc<Arena>) -> Checked {
    if !is_apart(&arena) {
        return Ok(());
    }
    let wanted = key("a");
    let [first, second] = two(&arena, &wanted).await?;
    served(&arena, &wanted, &second, None).await?;
    see_served(&arena, &wanted, &second).await?;
    let before = sent(&*arena.provider);
    served(&arena, &wanted, &first, Some(&second)).await?;
    let cost = sent(&*arena.provider) - before;
    ensure!(cost == 1, "going back to what is there took {cost} requests");
    let item = see_served(&arena, &wanted, &first).await?;
    ensure!(item.value.as_deref() == Some("one"), "served is {item:?}");
    see_read(&arena, &wanted, "one").await?;
    // Nothing was written: the newest is what it was, and so is the history.
    arena.see_value(&wanted, "two", &second).await?;
    let versions: Vec<_> = arena.provider.history(&wanted).await?.into_iter().map(|one| one.version).collect();
    ensure!(versions == [second, first], "serving changed the history to {versions:?}");
    Ok(())
}

async fn serving_again_changes_nothing(arena: Arc<Arena>) -> Checked {
    if !is_apart(&arena) {
        return Ok(());
    }
    let wanted = key("a");
    let [first, second] = two(&arena, &wanted).await?;
    served(&arena, &wanted, &first, None).await?;
    let again = serve(&*arena.peer, &wanted, &first, None).await?;
    ensure!(held(again)? == first, "another host serves the same version");
    let item = see_served(&arena, &wanted, &first).await?;
    ensure!(item.value.as_deref() == Some("one"), "served is {item:?}");
    arena.see_value(&wanted, "two", &second).await
}

async fn a_withdrawn_item_is_hidden_and_kept(arena: Arc<Arena>) -> Checked {
    if !is_apart(&arena) {
        return Ok(());
    }
    let wanted = key("a");
    let version = arena.create(&wanted, "one").await?;
    served(&arena, &wanted, &version, None).await?;
    see_served(&arena, &wanted, &version).await?;
    let applied = withdraw(&*arena.provider, &wanted, &version).await?;
    ensure!(applied.version.is_none() && applied.buried.is_none(), "withdrawing answered {applied:?}");
    see_unserved(&arena, &wanted).await?;
    arena.see_value(&wanted, "one", &version).await?;
    let error = refused(create(&*arena.peer, &wanted, plain("two")).await, ErrorKind::AlreadyExists)?;
    ensure!(error.outcome == Outcome::NotDone, "a refused create is known to have done nothing");
    served(&arena, &wanted, &version, None).await?;
    see_served(&arena, &wanted, &version).await?;
    Ok(())
}

async fn withdrawing_what_is_not_served_changes_nothing(arena: Arc<Arena>) -> Checked {
    if !is_apart(&arena) {
        return Ok(());
    }
    let wanted = key("a");
    let [first, second] = two(&arena, &wanted).await?;
    withdraw(&*arena.provider, &wanted, &second).await?;
    see_unserved(&arena, &wanted).await?;
    served(&arena, &wanted, &second, None).await?;
    see_served(&arena, &wanted, &second).await?;
    withdraw(&*arena.peer, &wanted, &first).await?;
    see_served(&arena, &wanted, &second).await?;
    withdraw(&*arena.provider, &key("missing"), &first).await?;
    Ok(())
}

async fn what_does_not_exist_is_not_served(arena: Arc<Arena>) -> Checked {
    if !is_apart(&arena) {
        return Ok(());
    }
    let wanted = key("a");
    let version = arena.create(&wanted, "one").await?;
    served(&arena, &wanted, &version, None).await?;
    see_served(&arena, &wanted, &version).await?;
    for (key, number) in [(&wanted, Version::new("4711", None)), (&key("missing"), version.clone())] {
        let error = refused(serve(&*arena.provider, key, &number, None).await, ErrorKind::NotFound)?;
        ensure!(error.outcome == Outcome::NotDone, "a refused write is known to have done nothing");
    }
    see_served(&arena, &wanted, &version).await?;
    Ok(())
}

async fn a_delete_is_of_the_newest_and_takes_what_is_served(arena: Arc<Arena>) -> Checked {
    if !is_apart(&arena) {
        return Ok(());
    }
    let wanted = key("a");
    let [first, second] = two(&arena, &wanted).await?;
    served(&arena, &wanted, &first, None).await?;
    see_served(&arena, &wanted, &first).await?;
    refused(delete(&*arena.provider, &wanted, &first).await, ErrorKind::Conflict)?;
    see_served(&arena, &wanted, &first).await?;
    let applied = delete(&*arena.provider, &wanted, &second).await?;
    ensure!(applied.version.is_none(), "a delete answered the version {:?}", applied.version);
    arena.see_absent(&wanted).await?;
    see_unserved(&arena, &wanted).await
}

async fn a_secret_is_served_undecrypted(arena: Arc<Arena>) -> Checked {
    if !is_apart(&arena) || !arena.provider.capabilities().secrets {
        return Ok(());
    }
    let wanted = key("api-key");
    let version = held(create(&*arena.provider, &wanted, secret("S3NTINEL-of-the-suite")).await?)?;
    arena.see(&wanted, &version).await?;
    served(&arena, &wanted, &version, None).await?;
    let item = see_served(&arena, &wanted, &version).await?;
    ensure!(item.secret && item.value.is_none(), "observing decrypts nothing: {item:?}");
    see_read(&arena, &wanted, "S3NTINEL-of-the-suite").await
}

async fn a_census_knows_what_is_not_served(arena: Arc<Arena>) -> Checked {
    if !is_apart(&arena) {
        return Ok(());
    }
    let (shown, hidden, theirs) = (key("shown"), key("hidden"), key("theirs"));
    let version = arena.create(&shown, "one").await?;
    served(&arena, &shown, &version, None).await?;
    arena.create(&hidden, "two").await?;
    create(&*arena.stranger, &theirs, plain("three")).await?;
    arena
        .eventually(async || {
            let seen = look_served(&*arena.provider, &[shown.clone(), hidden.clone()], true).await?;
            ensure!(present(&seen, &shown)?.version == version, "{:?}", seen.items);
            ensure!(matches!(seen.items.get(&hidden), Some(Seen::Absent)), "{:?}", seen.items);
            let foreign = seen.foreign.unwrap_or_default();
            ensure!(foreign == [arena.provider.native_name(&theirs)], "foreign are {foreign:?}");
            Ok(())
        })
        .await
}

async fn looking_at_what_is_served_costs_no_more(arena: Arc<Arena>) -> Checked {
    if !is_apart(&arena) {
        return Ok(());
    }
    let keys: Vec<Key> = (0..MANY).map(|i| key(&format!("many/{i:02}"))).collect();
    let mut versions = Vec::new();
    for wanted in &keys {
        let version = arena.create(wanted, wanted.as_str()).await?;
        // The odd ones are there, and not served.
        if versions.len() % 2 == 0 {
            served(&arena, wanted, &version, None).await?;
        }
        versions.push(version);
    }
    let check = async || {
        let seen = look_served(&*arena.provider, &keys, false).await?;
        for (i, (wanted, version)) in keys.iter().zip(&versions).enumerate() {
            match seen.items.get(wanted) {
                Some(Seen::Present(item)) if i % 2 == 0 && item.version == *version => {}
                Some(Seen::Absent) if i % 2 == 1 => {}
                other => return Err(Failure::new(format!("{wanted} is {other:?}"))),
            }
        }
        Ok(())
    };
    arena.eventually(check).await?;
    let before = sent(&*arena.provider);
    check().await?;
    let cost = sent(&*arena.provider) - before;
    let batches = MANY.div_ceil(arena.provider.capabilities().read_batch) as u64;
    ensure!(cost == batches, "looking at {MANY} keys took {cost} requests, not {batches}");
    let newest = look(&*arena.provider, &keys).await?;
    ensure!(keys.iter().all(|wanted| present(&newest, wanted).is_ok()), "all of them are there: {:?}", newest.items);
    Ok(())
}
