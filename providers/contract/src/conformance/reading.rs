//! Reading current and past versions, and histories.

use std::sync::Arc;

use futures::FutureExt;
use jiff::SignedDuration;

use super::arena::{Arena, Checked, Failure, key, read, refused};
use super::{Case, case_table, ensure};
use crate::{ErrorKind, ReadValue, Serving, Version};

case_table![
    read_of_what_is_served,
    read_of_past_versions_keeps_the_order,
    read_of_a_missing_key_is_none,
    read_of_another_incarnation_is_none,
    read_of_many_keys,
    history_is_newest_first,
    history_of_a_missing_key_is_not_found,
];

/// Writes three contents of one key and returns their versions, oldest first, dated where observing dates them.
async fn three(arena: &Arena, text: &str) -> Checked<[Version; 3]> {
    let wanted = key(text);
    let first = arena.create(&wanted, "one").await?;
    let first = arena.see(&wanted, &first).await?.version;
    let second = arena.replace(&wanted, "two", &first).await?;
    let second = arena.see(&wanted, &second).await?.version;
    let third = arena.replace(&wanted, "three", &second).await?;
    let third = arena.see(&wanted, &third).await?.version;
    Ok([first, second, third])
}

fn texts(values: &[Option<ReadValue>]) -> Vec<Option<&str>> {
    values.iter().map(|value| value.as_ref().map(|value| value.value.expose())).collect()
}

async fn read_of_what_is_served(arena: Arc<Arena>) -> Checked {
    if arena.provider.capabilities().serving != Serving::AtOnce {
        return Ok(()); // What is served there, and when, has cases of its own.
    }
    let versions = three(&arena, "a").await?;
    arena
        .eventually(async || {
            let values = read(&*arena.provider, &[(&key("a"), None)]).await?;
            let [Some(value)] = values.as_slice() else {
                return Err(Failure::new(format!("one value was asked for: {values:?}")));
            };
            ensure!(value.value.expose() == "three", "read {:?}", value.value.expose());
            ensure!(value.version == versions[2] && !value.secret, "served is {:?}, read {value:?}", versions[2]);
            Ok(())
        })
        .await
}

async fn read_of_past_versions_keeps_the_order(arena: Arc<Arena>) -> Checked {
    let [a1, a2, a3] = three(&arena, "a").await?;
    let [b1, _, _] = three(&arena, "b").await?;
    let (a, b, missing) = (key("a"), key("b"), key("missing"));
    let wanted = [
        (&a, Some(&a2)),
        (&missing, None),
        (&b, Some(&b1)),
        (&a, Some(&a1)),
        (&a, None),
        (&missing, Some(&a1)),
        (&a, Some(&a3)),
        (&a, Some(&a2)),
    ];
    // Where a put is not served at once, nothing is served yet.
    let served = (arena.provider.capabilities().serving == Serving::AtOnce).then_some("three");
    let expected = [Some("two"), None, Some("one"), Some("one"), served, None, Some("three"), Some("two")];
    arena
        .eventually(async || {
            let values = read(&*arena.provider, &wanted).await?;
            ensure!(texts(&values) == expected, "expected {expected:?}, read {:?}", texts(&values));
            for ((key, version), value) in wanted.iter().zip(&values) {
                if let (Some(version), Some(value)) = (version, value) {
                    ensure!(value.version == **version, "{key}: asked for {version:?}, got {:?}", value.version);
                }
            }
            Ok(())
        })
        .await
}

async fn read_of_a_missing_key_is_none(arena: Arc<Arena>) -> Checked {
    let values = read(&*arena.provider, &[(&key("missing"), None), (&key("gone"), None)]).await?;
    ensure!(texts(&values) == [None, None], "read {:?}", texts(&values));
    ensure!(read(&*arena.provider, &[]).await?.is_empty(), "nothing was asked for");
    Ok(())
}

async fn read_of_another_incarnation_is_none(arena: Arc<Arena>) -> Checked {
    let [first, ..] = three(&arena, "a").await?;
    let at = first.at.ok_or_else(|| Failure::new("an observed version has a date"))?;
    let other = Version::new(first.id.clone(), Some(at - SignedDuration::from_hours(24)));
    let undated = Version::new(first.id.clone(), None);
    let unknown = Version::new("4711", None);
    let wanted = key("a");
    let requests =
        [(&wanted, Some(&other)), (&wanted, Some(&first)), (&wanted, Some(&undated)), (&wanted, Some(&unknown))];
    arena
        .eventually(async || {
            let values = read(&*arena.provider, &requests).await?;
            let expected = [None, Some("one"), Some("one"), None];
            ensure!(texts(&values) == expected, "expected {expected:?}, read {:?}", texts(&values));
            Ok(())
        })
        .await
}

async fn read_of_many_keys(arena: Arc<Arena>) -> Checked {
    let keys: Vec<_> = (0..25).map(|i| key(&format!("many/{i:02}"))).collect();
    let mut versions = Vec::new();
    for wanted in &keys {
        versions.push(arena.create(wanted, wanted.as_str()).await?);
    }
    // Undated, as a ledger may hold them for a while, and in another order than they were written.
    let requests: Vec<_> = keys.iter().zip(&versions).rev().map(|(wanted, version)| (wanted, Some(version))).collect();
    let expected: Vec<_> = keys.iter().rev().map(|wanted| Some(wanted.as_str())).collect();
    arena
        .eventually(async || {
            let values = read(&*arena.provider, &requests).await?;
            ensure!(texts(&values) == expected, "expected {expected:?}, read {:?}", texts(&values));
            Ok(())
        })
        .await
}

async fn history_is_newest_first(arena: Arc<Arena>) -> Checked {
    let [first, second, third] = three(&arena, "a").await?;
    arena.create(&key("a/below"), "other").await?;
    arena.create(&key("ab"), "other").await?;
    arena
        .eventually(async || {
            let history = arena.provider.history(&key("a")).await?;
            let versions: Vec<_> = history.iter().map(|revision| &revision.version).collect();
            ensure!(versions == [&third, &second, &first], "the history is {versions:?}");
            let values: Vec<_> = history.iter().map(|revision| revision.value.as_deref()).collect();
            ensure!(values == [Some("three"), Some("two"), Some("one")], "the values are {values:?}");
            Ok(())
        })
        .await
}

async fn history_of_a_missing_key_is_not_found(arena: Arc<Arena>) -> Checked {
    refused(arena.provider.history(&key("missing")).await, ErrorKind::NotFound)?;
    Ok(())
}
