//! Values, secrets, content types, tags, descriptions and odd keys: what was written is what is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;

use super::arena::{Arena, Checked, Failure, create, held, key, look, plain, present, read, refused, replace, secret};
use super::{Case, case_table, ensure};
use crate::{Content, ErrorKind, Key, Serving};

case_table![
    values_round_trip,
    a_value_of_4_kb_fits,
    a_secret_is_never_shown,
    a_secret_has_versions_too,
    content_types_are_kept_byte_for_byte,
    tags_are_kept_beside_the_owner,
    descriptions_are_kept_or_not_told,
    owners_are_told_apart,
    owners_are_read_for_each_key,
    odd_keys_are_told_apart,
];

/// What a careless encoding would bend.
const VALUES: &[&str] = &[
    "x",
    " leading and trailing ",
    "two\nlines\r\nand a tab\t",
    "\"quoted\" 'single' `back` \\slash\\ \\n \\u007b",
    "{\"json\": [1, 1.0, null, {\"a\": \"b\"}]}",
    "Grüße, 世界, 🚀, e\u{301}, \u{200d}",
    "a=b&c=d;e,f%20%2F+?#<>",
    "null",
    "0123",
];

const SENTINEL: &str = "S3NTINEL-of-the-suite";

async fn values_round_trip(arena: Arc<Arena>) -> Checked {
    for (i, value) in VALUES.iter().enumerate() {
        let wanted = key(&format!("values/{i}"));
        let version = arena.create(&wanted, value).await?;
        arena.see_value(&wanted, value, &version).await?;
        let read = arena.read_version(&wanted, &version).await?;
        ensure!(read.value.expose() == *value, "{value:?} was read as {:?}", read.value.expose());
    }
    Ok(())
}

async fn a_value_of_4_kb_fits(arena: Arc<Arena>) -> Checked {
    let (wanted, value) = (key("long"), "0123456789abcdef".repeat(256));
    let version = arena.create(&wanted, &value).await?;
    arena.see_value(&wanted, &value, &version).await
}

async fn a_secret_is_never_shown(arena: Arc<Arena>) -> Checked {
    let wanted = key("api-key");
    let created = create(&*arena.provider, &wanted, secret(SENTINEL)).await;
    if !arena.provider.capabilities().secrets {
        let error = refused(created, ErrorKind::Refused)?;
        ensure!(!format!("{error:?} {error}").contains(SENTINEL), "the refusal shows the secret");
        ensure!(error.hint.is_some(), "a refused secret says the ways out");
        return arena.see_absent(&wanted).await;
    }
    let version = held(created?)?;
    let item = arena.see(&wanted, &version).await?;
    ensure!(item.secret && item.value.is_none(), "observing decrypts nothing: {item:?}");
    arena.read_version(&wanted, &version).await?;
    let observation = look(&*arena.provider, std::slice::from_ref(&wanted)).await?;
    let mut requests = vec![(&wanted, Some(&version))];
    // Elsewhere nothing is served yet.
    if arena.provider.capabilities().serving == Serving::AtOnce {
        requests.push((&wanted, None));
    }
    let values = read(&*arena.provider, &requests).await?;
    ensure!(!format!("{observation:?} {values:?}").contains(SENTINEL), "debug output shows the secret");
    for value in &values {
        let value = value.as_ref().ok_or_else(|| Failure::new("the secret could not be read"))?;
        ensure!(value.secret && value.value.expose() == SENTINEL, "the secret reads differently");
    }
    let history = arena.provider.history(&wanted).await?;
    let hidden = history.iter().all(|revision| revision.secret && revision.value.is_none());
    ensure!(hidden && history.len() == 1, "a history decrypts nothing: {} revisions", history.len());
    Ok(())
}

async fn a_secret_has_versions_too(arena: Arc<Arena>) -> Checked {
    let wanted = key("api-key");
    if !arena.provider.capabilities().secrets {
        let version = arena.create(&wanted, "plain").await?;
        refused(replace(&*arena.provider, &wanted, secret(SENTINEL), &version).await, ErrorKind::Refused)?;
        return arena.see_value(&wanted, "plain", &version).await;
    }
    let first = held(create(&*arena.provider, &wanted, secret("first")).await?)?;
    arena.see(&wanted, &first).await?;
    let second = held(replace(&*arena.provider, &wanted, secret("second"), &first).await?)?;
    arena.see(&wanted, &second).await?;
    arena
        .eventually(async || {
            let values = read(&*arena.provider, &[(&wanted, Some(&first)), (&wanted, Some(&second))]).await?;
            let texts: Vec<_> = values.iter().flatten().map(|value| value.value.expose()).collect();
            ensure!(texts == ["first", "second"], "two versions of a secret read differently");
            Ok(())
        })
        .await
}

async fn content_types_are_kept_byte_for_byte(arena: Arc<Arena>) -> Checked {
    let kinds = ["text/plain", "application/json; profile=\"https://azconfig.io/mime-profiles/ai\"; charset=utf-8"];
    for (i, kind) in kinds.into_iter().enumerate() {
        let wanted = key(&format!("typed/{i}"));
        let typed = Content { content_type: Some(kind.to_owned()), ..plain("{}") };
        let created = create(&*arena.provider, &wanted, typed).await;
        if !arena.provider.capabilities().content_types {
            return untyped(&arena, &wanted, created).await;
        }
        let version = held(created?)?;
        let item = arena.see(&wanted, &version).await?;
        ensure!(item.content_type.as_deref() == Some(kind), "{kind:?} became {:?}", item.content_type);
        let read = arena.read_version(&wanted, &version).await?;
        ensure!(read.content_type.as_deref() == Some(kind), "{kind:?} was read as {:?}", read.content_type);
        // A put replaces the whole item: what is not given again is gone.
        let bare = arena.replace(&wanted, "bare", &version).await?;
        let item = arena.see(&wanted, &bare).await?;
        ensure!(item.content_type.is_none(), "a put without a content type left {:?}", item.content_type);
    }
    Ok(())
}

/// A store without content types either refuses one or drops it; it never pretends to have kept it.
async fn untyped(arena: &Arena, wanted: &Key, created: crate::Result<crate::Applied>) -> Checked {
    match created {
        Err(error) if error.kind == ErrorKind::Refused => arena.see_absent(wanted).await,
        Err(error) => Err(error.into()),
        Ok(applied) => {
            let item = arena.see(wanted, &held(applied)?).await?;
            ensure!(item.content_type.is_none(), "a store without content types shows {:?}", item.content_type);
            Ok(())
        }
    }
}

async fn tags_are_kept_beside_the_owner(arena: Arc<Arena>) -> Checked {
    let wanted = key("tagged");
    let tags =
        BTreeMap::from([("team".to_owned(), "ml platform".to_owned()), ("cost:centre".to_owned(), "7".to_owned())]);
    let tagged = Content { tags: tags.clone(), ..plain("one") };
    let version = held(create(&*arena.provider, &wanted, tagged).await?)?;
    let item = arena.see(&wanted, &version).await?;
    let ours = Some(arena.owner.as_str().to_owned());
    ensure!(item.tags.as_ref().is_none_or(|there| *there == tags), "the tags are {:?}", item.tags);
    ensure!(item.owner.as_ref().is_none_or(|owner| *owner == ours), "the owner is {:?}", item.owner);
    let read = arena.read_version(&wanted, &version).await?;
    ensure!(read.tags.as_ref().is_none_or(|there| *there == tags), "the tags were read as {:?}", read.tags);
    Ok(())
}

async fn descriptions_are_kept_or_not_told(arena: Arc<Arena>) -> Checked {
    let wanted = key("described");
    let text = "What the chat service asks";
    let described = Content { description: Some(text.to_owned()), ..plain("one") };
    match create(&*arena.provider, &wanted, described).await {
        Err(error) if error.kind == ErrorKind::Refused => arena.see_absent(&wanted).await,
        Err(error) => Err(error.into()),
        Ok(applied) => {
            let item = arena.see(&wanted, &held(applied)?).await?;
            ensure!(item.description.as_deref().is_none_or(|there| there == text), "{:?}", item.description);
            Ok(())
        }
    }
}

async fn owners_are_told_apart(arena: Arc<Arena>) -> Checked {
    let wanted = key("theirs");
    let version = held(create(&*arena.stranger, &wanted, plain("one")).await?)?;
    let item = arena.see(&wanted, &version).await?;
    if let Some(owner) = item.owner {
        let owner = owner.ok_or_else(|| Failure::new("a create writes its owner"))?;
        ensure!(owner != arena.owner.as_str(), "another owner's item seems to be ours");
    }
    Ok(())
}

async fn owners_are_read_for_each_key(arena: Arc<Arena>) -> Checked {
    let (ours, theirs, missing) = (key("ours"), key("theirs"), key("missing"));
    let version = arena.create(&ours, "one").await?;
    let other = held(create(&*arena.stranger, &theirs, plain("two")).await?)?;
    arena.see(&ours, &version).await?;
    arena.see(&theirs, &other).await?;
    let owners = arena.provider.owners(&[theirs, missing, ours]).await?;
    let [Some(stranger), None, Some(owner)] = owners.as_slice() else {
        return Err(Failure::new(format!("one answer for each key, in order: {owners:?}")));
    };
    ensure!(owner == arena.owner.as_str(), "our item belongs to {owner:?}");
    ensure!(stranger != owner, "another owner's item seems to be ours");
    ensure!(arena.provider.owners(&[]).await?.is_empty(), "nothing was asked for");
    Ok(())
}

async fn odd_keys_are_told_apart(arena: Arc<Arena>) -> Checked {
    let common = ["UPPER/lower", "upper/lower", "dots.and-dashes_1", "a/b/c/d/e", "a/b", "a.b", "0"];
    let keys: Vec<Key> = common.into_iter().map(str::to_owned).chain(arena.odd_keys.clone()).map(|k| key(&k)).collect();
    let mut versions = Vec::new();
    for wanted in &keys {
        versions.push(arena.create(wanted, wanted.as_str()).await?);
    }
    for (wanted, version) in keys.iter().zip(&versions) {
        arena.see_value(wanted, wanted.as_str(), version).await?;
        arena
            .eventually(async || {
                let history = arena.provider.history(wanted).await?;
                let values: Vec<_> = history.iter().map(|revision| revision.value.as_deref()).collect();
                ensure!(values == [Some(wanted.as_str())], "the history of {wanted:?} is {values:?}");
                Ok(())
            })
            .await?;
    }
    arena
        .eventually(async || {
            let seen = look(&*arena.provider, &keys).await?;
            for wanted in &keys {
                let value = present(&seen, wanted)?.value;
                ensure!(value.as_deref() == Some(wanted.as_str()), "{wanted:?} holds {value:?}");
            }
            Ok(())
        })
        .await
}
