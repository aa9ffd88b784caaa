//! Creates, replacements, deletes and races.

use std::sync::Arc;

use futures::future::join_all;

use super::arena::{Arena, Checked, Failure, create, delete, held, key, look, plain, read, refused, replace, sent};
use super::{Case, case_table, ensure};
use crate::{ErrorKind, Needs, Outcome, Seen};
use futures::FutureExt;

case_table![
    place_is_shared_by_hosts,
    preflight_names_who_we_are,
    create_then_observe,
    create_over_existing_changes_nothing,
    replace_at_the_right_version,
    replace_at_a_stale_version,
    replace_of_a_missing_item_creates_nothing,
    concurrent_creates_have_one_winner,
    concurrent_replaces_have_one_winner,
    delete_at_the_right_version,
    delete_at_a_stale_version,
    delete_of_a_missing_item_is_done,
    requests_are_counted,
];

/// How many writers race.
const RACERS: usize = 6;

async fn place_is_shared_by_hosts(arena: Arc<Arena>) -> Checked {
    let wanted = key("chat/config");
    ensure!(arena.provider.place() == arena.peer.place(), "two hosts disagree about the place");
    let native = arena.provider.native_name(&wanted);
    ensure!(native.ends_with(wanted.as_str()), "{native:?} does not end with the key");
    ensure!(native == arena.peer.native_name(&wanted), "two hosts disagree about a native name");
    ensure!(native != arena.provider.native_name(&key("chat/confi")), "two keys share a native name");
    ensure!(!arena.provider.endpoint().is_empty(), "the endpoint is empty");
    Ok(())
}

async fn preflight_names_who_we_are(arena: Arc<Arena>) -> Checked {
    let encrypt = arena.provider.capabilities().secrets;
    let ours = arena.provider.preflight(Needs { encrypt, ..Needs::default() }).await?;
    let theirs = arena.peer.preflight(Needs { encrypt, ..Needs::default() }).await?;
    ensure!(ours.account == theirs.account, "two hosts disagree about the account: {ours:?}, {theirs:?}");
    Ok(())
}

async fn create_then_observe(arena: Arc<Arena>) -> Checked {
    let wanted = key("chat/config");
    let applied = create(&*arena.provider, &wanted, plain("one")).await?;
    ensure!(applied.buried.is_none(), "a create buried {:?}", applied.buried);
    let version = held(applied)?;
    let dated = version.at.is_some();
    ensure!(
        dated || !arena.provider.capabilities().dates_on_write,
        "the capabilities promise a date with each write, but {version:?} has none"
    );
    let item = arena.see(&wanted, &version).await?;
    ensure!(item.value.as_deref() == Some("one"), "the value is {:?}", item.value);
    ensure!(!item.secret && !item.locked, "a plain item is neither secret nor locked: {item:?}");
    ensure!(item.version.at.is_some(), "an observed version has a date: {:?}", item.version);
    let ours = Some(arena.owner.as_str().to_owned());
    ensure!(item.owner.as_ref().is_none_or(|owner| *owner == ours), "the owner tag is {:?}", item.owner);
    Ok(())
}

async fn create_over_existing_changes_nothing(arena: Arc<Arena>) -> Checked {
    let wanted = key("a");
    let version = arena.create(&wanted, "one").await?;
    arena.see(&wanted, &version).await?;
    let error = refused(create(&*arena.peer, &wanted, plain("two")).await, ErrorKind::AlreadyExists)?;
    ensure!(error.outcome == Outcome::NotDone, "a refused create is known to have done nothing");
    ensure!(error.key.as_ref() == Some(&wanted), "the error does not name the key: {error:?}");
    refused(create(&*arena.stranger, &wanted, plain("three")).await, ErrorKind::AlreadyExists)?;
    arena.see_value(&wanted, "one", &version).await
}

async fn replace_at_the_right_version(arena: Arc<Arena>) -> Checked {
    let wanted = key("a");
    let first = arena.create(&wanted, "one").await?;
    let applied = replace(&*arena.provider, &wanted, plain("two"), &first).await?;
    ensure!(applied.buried.is_none(), "nobody wrote in between, yet {:?} was buried", applied.buried);
    let second = held(applied)?;
    ensure!(second != first, "a new content has the old version {first:?}");
    arena.see_value(&wanted, "two", &second).await
}

async fn replace_at_a_stale_version(arena: Arc<Arena>) -> Checked {
    let wanted = key("a");
    let first = arena.create(&wanted, "one").await?;
    let second = held(replace(&*arena.peer, &wanted, plain("two"), &first).await?)?;
    let stale = replace(&*arena.provider, &wanted, plain("three"), &first).await;
    if arena.provider.capabilities().compare_and_swap {
        let error = refused(stale, ErrorKind::Conflict)?;
        ensure!(error.outcome == Outcome::NotDone, "a refused write is known to have done nothing");
        return arena.see_value(&wanted, "two", &second).await;
    }
    let applied = stale?;
    ensure!(applied.buried.as_ref() == Some(&second), "{second:?} was buried, but {:?} is named", applied.buried);
    arena.see_value(&wanted, "three", &held(applied)?).await?;
    let buried = arena.eventually(async || Ok(read(&*arena.provider, &[(&wanted, Some(&second))]).await?)).await?;
    let kept = buried.first().and_then(Option::as_ref).is_some_and(|value| value.value.expose() == "two");
    ensure!(kept, "what was buried is still in the history, but reads as {buried:?}");
    Ok(())
}

async fn replace_of_a_missing_item_creates_nothing(arena: Arc<Arena>) -> Checked {
    if !arena.provider.capabilities().compare_and_swap {
        // Such a store answers a plain put with a first version, which is not the expected one plus one.
        let (other, missing) = (key("other"), key("missing"));
        let version = arena.create(&other, "one").await?;
        let applied = replace(&*arena.provider, &missing, plain("two"), &version).await;
        return match applied {
            Err(error) if error.kind == ErrorKind::Conflict => arena.see_absent(&missing).await,
            Err(error) => Err(error.into()),
            Ok(applied) => {
                let version = held(applied)?;
                arena.see_value(&missing, "two", &version).await
            }
        };
    }
    let (other, missing) = (key("other"), key("missing"));
    let version = arena.create(&other, "one").await?;
    refused(replace(&*arena.provider, &missing, plain("two"), &version).await, ErrorKind::Conflict)?;
    arena.see_absent(&missing).await
}

async fn concurrent_creates_have_one_winner(arena: Arc<Arena>) -> Checked {
    let wanted = key("race");
    let results = join_all((0..RACERS).map(|i| {
        let (arena, wanted) = (arena.clone(), wanted.clone());
        async move {
            let racer = if i % 2 == 0 { &arena.provider } else { &arena.peer };
            create(&**racer, &wanted, plain(&format!("racer {i}"))).await
        }
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
    let [(winner, version)] = winners.as_slice() else {
        return Err(Failure::new(format!("{} creates of one key succeeded", winners.len())));
    };
    arena.see_value(&wanted, &format!("racer {winner}"), version).await
}

async fn concurrent_replaces_have_one_winner(arena: Arc<Arena>) -> Checked {
    let wanted = key("race");
    let first = arena.create(&wanted, "start").await?;
    let results = join_all((0..RACERS).map(|i| {
        let (arena, wanted, first) = (arena.clone(), wanted.clone(), first.clone());
        async move {
            let racer = if i % 2 == 0 { &arena.provider } else { &arena.peer };
            replace(&**racer, &wanted, plain(&format!("racer {i}")), &first).await
        }
    }))
    .await;
    let (mut clean, mut noticed) = (Vec::new(), 0);
    for (i, result) in results.into_iter().enumerate() {
        match result {
            Ok(applied) if applied.buried.is_none() => clean.push((i, held(applied)?)),
            Ok(_) => noticed += 1,
            Err(error) if error.kind == ErrorKind::Conflict => {}
            Err(error) => return Err(error.into()),
        }
    }
    let [(winner, version)] = clean.as_slice() else {
        return Err(Failure::new(format!("{} writers believe that they replaced one version", clean.len())));
    };
    if arena.provider.capabilities().compare_and_swap {
        ensure!(noticed == 0, "{noticed} writers buried another's version in spite of compare-and-swap");
        return arena.see_value(&wanted, &format!("racer {winner}"), version).await;
    }
    ensure!(noticed == RACERS - 1, "{noticed} of {} losers noticed the collision", RACERS - 1);
    Ok(())
}

async fn delete_at_the_right_version(arena: Arc<Arena>) -> Checked {
    let (gone, kept) = (key("gone"), key("kept"));
    let version = arena.create(&gone, "one").await?;
    let other = arena.create(&kept, "two").await?;
    let seen = arena.see(&gone, &version).await?;
    let applied = delete(&*arena.provider, &gone, &seen.version).await?;
    ensure!(applied.version.is_none(), "a delete answered the version {:?}", applied.version);
    arena.see_absent(&gone).await?;
    arena.see_value(&kept, "two", &other).await
}

async fn delete_at_a_stale_version(arena: Arc<Arena>) -> Checked {
    let wanted = key("a");
    let first = arena.create(&wanted, "one").await?;
    let second = held(replace(&*arena.peer, &wanted, plain("two"), &first).await?)?;
    arena.see(&wanted, &second).await?;
    let stale = delete(&*arena.provider, &wanted, &first).await;
    if arena.provider.capabilities().compare_and_swap {
        refused(stale, ErrorKind::Conflict)?;
        return arena.see_value(&wanted, "two", &second).await;
    }
    // As far as such a store can tell: it may notice, and then nothing is gone.
    match stale {
        Ok(_) => arena.see_absent(&wanted).await,
        Err(error) if error.kind == ErrorKind::Conflict => arena.see_value(&wanted, "two", &second).await,
        Err(error) => Err(error.into()),
    }
}

async fn delete_of_a_missing_item_is_done(arena: Arc<Arena>) -> Checked {
    let wanted = key("a");
    let version = arena.create(&wanted, "one").await?;
    arena.see(&wanted, &version).await?;
    delete(&*arena.provider, &wanted, &version).await?;
    arena.see_absent(&wanted).await?;
    let again = delete(&*arena.peer, &wanted, &version).await?;
    ensure!(again.version.is_none() && again.buried.is_none(), "deleting nothing answered {again:?}");
    Ok(())
}

async fn requests_are_counted(arena: Arc<Arena>) -> Checked {
    let wanted = key("a");
    let provider = &*arena.provider;
    let mut before = sent(provider);
    let mut grown = |what: &str| {
        let now = sent(provider);
        let grew = now > before;
        before = now;
        if grew { Ok(()) } else { Err(Failure::new(format!("{what} sent nothing that was counted"))) }
    };
    let version = arena.create(&wanted, "one").await?;
    grown("a create")?;
    let seen = look(provider, std::slice::from_ref(&wanted)).await?;
    grown("an observation")?;
    ensure!(matches!(seen.items.get(&wanted), Some(Seen::Present(_) | Seen::Absent)), "{:?}", seen.items);
    read(provider, &[(&wanted, None)]).await?;
    grown("a read")?;
    provider.history(&wanted).await?;
    grown("a history")?;
    delete(provider, &wanted, &version).await?;
    grown("a delete")?;
    let counts = provider.requests();
    ensure!(counts.len() >= 3, "reads, puts and deletes have names of their own: {counts:?}");
    ensure!(counts.iter().all(|(operation, n)| !operation.is_empty() && *n > 0), "{counts:?}");
    Ok(())
}
