//! What is seen, what is absent, what is foreign, and what is remembered between two looks.

use std::sync::Arc;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};

use super::arena::{Arena, Checked, Failure, create, delete, key, look, newest, plain, present, sent};
use super::{Case, case_table, ensure};
use crate::{Key, Observation, Observe, Seen};

case_table![
    an_empty_place_holds_nothing,
    absent_keys_are_absent,
    observing_many_keys_takes_pages,
    observing_tells_the_time,
    census_names_foreign_items_and_only_those,
    documents_are_never_foreign,
    resume_repeats_what_was_seen,
    resume_sees_what_changed_in_between,
    resume_of_one_host_is_not_needed_by_another,
];

/// More than two pages of every store.
const MANY: usize = 250;

async fn an_empty_place_holds_nothing(arena: Arc<Arena>) -> Checked {
    let seen = arena.provider.observe(Observe { keys: Vec::new(), census: true, ..newest(&*arena.provider) }).await?;
    ensure!(seen.items.is_empty(), "nothing was asked for, yet {:?}", seen.items);
    ensure!(
        seen.foreign.as_ref().is_some_and(Vec::is_empty),
        "an empty place has no foreign items: {:?}",
        seen.foreign
    );
    Ok(())
}

async fn absent_keys_are_absent(arena: Arc<Arena>) -> Checked {
    let (there, missing) = (key("there"), key("missing"));
    let version = arena.create(&there, "one").await?;
    arena.see(&there, &version).await?;
    for census in [false, true] {
        let keys = vec![there.clone(), missing.clone(), key("ther"), key("there/below")];
        let seen = arena.provider.observe(Observe { keys, census, ..newest(&*arena.provider) }).await?;
        ensure!(seen.items.len() == 4, "four keys were asked for, {} answered", seen.items.len());
        present(&seen, &there)?;
        for wanted in [&missing, &key("ther"), &key("there/below")] {
            ensure!(matches!(seen.items.get(wanted), Some(Seen::Absent)), "{wanted}: {:?}", seen.items.get(wanted));
        }
    }
    Ok(())
}

async fn observing_many_keys_takes_pages(arena: Arc<Arena>) -> Checked {
    let keys: Vec<Key> = (0..MANY).map(|i| key(&format!("many/{i:03}"))).collect();
    let parallel = arena.provider.capabilities().parallel_writes.max(1);
    stream::iter(&keys)
        .map(|wanted| create(&*arena.provider, wanted, plain(wanted.as_str())))
        .buffer_unordered(parallel)
        .try_collect::<Vec<_>>()
        .await?;
    let page = arena.provider.capabilities().read_batch.max(arena.provider.capabilities().page);
    for census in [false, true] {
        let seen = arena.eventually(async || see_many(&arena, &keys, census).await).await?;
        let before = sent(&*arena.provider);
        arena.provider.observe(Observe { keys: keys.clone(), census, ..newest(&*arena.provider) }).await?;
        let cost = sent(&*arena.provider) - before;
        let pages = MANY.div_ceil(page) as u64;
        // A listing may end with one empty page.
        ensure!(cost <= pages + u64::from(census), "observing {MANY} keys took {cost} requests, not {pages}");
        ensure!(!census || seen.foreign.as_ref().is_some_and(Vec::is_empty), "foreign: {:?}", seen.foreign);
    }
    Ok(())
}

async fn see_many(arena: &Arena, keys: &[Key], census: bool) -> Checked<Observation> {
    let seen = arena.provider.observe(Observe { keys: keys.to_vec(), census, ..newest(&*arena.provider) }).await?;
    for wanted in keys {
        let item = present(&seen, wanted)?;
        ensure!(item.value.as_deref() == Some(wanted.as_str()), "{wanted} holds {:?}", item.value);
    }
    Ok(seen)
}

async fn observing_tells_the_time(arena: Arc<Arena>) -> Checked {
    let wanted = key("a");
    let version = arena.create(&wanted, "one").await?;
    let item = arena.see(&wanted, &version).await?;
    let seen = look(&*arena.provider, std::slice::from_ref(&wanted)).await?;
    if let (Some(now), Some(written)) = (seen.at, item.version.at) {
        // The store's clock answers in whole seconds.
        let age = now.as_second() - written.as_second();
        ensure!((-2..=3600).contains(&age), "the store's clock reads {now}, the item was written at {written}");
    }
    Ok(())
}

async fn census_names_foreign_items_and_only_those(arena: Arc<Arena>) -> Checked {
    let (ours, theirs, deeper) = (key("ours"), key("theirs"), key("deep/er/theirs"));
    arena.create(&ours, "one").await?;
    for foreign in [&theirs, &deeper] {
        create(&*arena.stranger, foreign, plain("foreign")).await?;
    }
    let mut wanted = vec![arena.provider.native_name(&theirs), arena.provider.native_name(&deeper)];
    wanted.sort();
    arena
        .eventually(async || {
            let request = Observe { keys: vec![ours.clone()], census: true, ..newest(&*arena.provider) };
            let seen = arena.provider.observe(request).await?;
            present(&seen, &ours)?;
            let mut foreign = seen.foreign.ok_or_else(|| Failure::new("a census names what is foreign"))?;
            foreign.sort();
            ensure!(foreign == wanted, "foreign are {wanted:?}, but {foreign:?} were named");
            Ok(())
        })
        .await
}

async fn documents_are_never_foreign(arena: Arc<Arena>) -> Checked {
    // The ledger's own documents are ours and no data: they are never foreign items.
    let (ours, document) = (key("ours"), super::arena::name("head"));
    super::arena::create_document(&*arena.provider, &document, "{}").await?;
    super::arena::create_document(&*arena.stranger, &document, "{}").await?;
    arena.create(&ours, "one").await?;
    let request = Observe { keys: vec![ours], census: true, ..newest(&*arena.provider) };
    let foreign = arena.provider.observe(request).await?.foreign;
    ensure!(foreign.as_ref().is_some_and(Vec::is_empty), "documents were taken for foreign items: {foreign:?}");
    Ok(())
}

/// Tells the same story as another observation, key by key.
fn same(a: &Observation, b: &Observation) -> Checked {
    ensure!(a.items.keys().eq(b.items.keys()), "the keys differ: {:?}, {:?}", a.items.keys(), b.items.keys());
    for (wanted, seen) in &a.items {
        let other = b.items.get(wanted);
        let equal = match (seen, other) {
            (Seen::Present(x), Some(Seen::Present(y))) => x.version == y.version && x.value == y.value,
            (Seen::Absent, Some(Seen::Absent)) => true,
            _ => false,
        };
        ensure!(equal, "{wanted} was {seen:?} and is {other:?}, though nothing changed");
    }
    ensure!(a.foreign == b.foreign, "foreign items were {:?} and are {:?}", a.foreign, b.foreign);
    Ok(())
}

async fn resume_repeats_what_was_seen(arena: Arc<Arena>) -> Checked {
    let keys = vec![key("a"), key("b"), key("missing")];
    let a = arena.create(&keys[0], "one").await?;
    let b = arena.create(&keys[1], "two").await?;
    arena.see(&keys[0], &a).await?;
    arena.see(&keys[1], &b).await?;
    let ask = |resume| Observe { keys: keys.clone(), census: false, resume, ..newest(&*arena.provider) };
    let first = arena.provider.observe(ask(None)).await?;
    let second = arena.provider.observe(ask(first.resume.clone())).await?;
    same(&first, &second)?;
    let third = arena.provider.observe(ask(second.resume.clone())).await?;
    same(&first, &third)?;
    // Other keys than those remembered are answered too.
    let other = Observe {
        keys: vec![key("b"), key("elsewhere")],
        census: false,
        resume: third.resume,
        ..newest(&*arena.provider)
    };
    let seen = arena.provider.observe(other).await?;
    present(&seen, &keys[1])?;
    ensure!(matches!(seen.items.get(&key("elsewhere")), Some(Seen::Absent)), "{:?}", seen.items);
    ensure!(seen.items.len() == 2, "two keys were asked for, {} answered", seen.items.len());
    Ok(())
}

async fn resume_sees_what_changed_in_between(arena: Arc<Arena>) -> Checked {
    let (changed, removed, added, kept) = (key("changed"), key("removed"), key("added"), key("kept"));
    let keys = vec![changed.clone(), removed.clone(), added.clone(), kept.clone()];
    let first = arena.create(&changed, "one").await?;
    let removable = arena.create(&removed, "one").await?;
    let still = arena.create(&kept, "one").await?;
    for (wanted, version) in [(&changed, &first), (&removed, &removable), (&kept, &still)] {
        arena.see(wanted, version).await?;
    }
    let seen = look(&*arena.provider, &keys).await?;
    let resume = seen.resume;
    let second = super::arena::held(super::arena::replace(&*arena.peer, &changed, plain("two"), &first).await?)?;
    delete(&*arena.peer, &removed, &removable).await?;
    create(&*arena.peer, &added, plain("new")).await?;
    arena
        .eventually(async || {
            let request =
                Observe { keys: keys.clone(), census: false, resume: resume.clone(), ..newest(&*arena.provider) };
            let seen = arena.provider.observe(request).await?;
            let item = present(&seen, &changed)?;
            ensure!(item.version == second && item.value.as_deref() == Some("two"), "the change is not seen: {item:?}");
            ensure!(matches!(seen.items.get(&removed), Some(Seen::Absent)), "the delete is not seen");
            ensure!(present(&seen, &added)?.value.as_deref() == Some("new"), "the new item is not seen");
            ensure!(present(&seen, &kept)?.version == still, "what was kept changed");
            Ok(())
        })
        .await
}

async fn resume_of_one_host_is_not_needed_by_another(arena: Arc<Arena>) -> Checked {
    let wanted = key("a");
    let version = arena.create(&wanted, "one").await?;
    arena.see(&wanted, &version).await?;
    let ask = |resume| Observe { keys: vec![wanted.clone()], census: false, resume, ..newest(&*arena.provider) };
    let here = arena.provider.observe(ask(None)).await?;
    // A resume is data: it may come from another process, or be one that this version does not understand.
    let alien = crate::Resume(serde_json::json!({ "unknown": [1, 2, 3] }));
    for resume in [None, here.resume.clone(), Some(alien)] {
        arena.eventually(async || same(&here, &arena.peer.observe(ask(resume.clone())).await?)).await?;
    }
    Ok(())
}
