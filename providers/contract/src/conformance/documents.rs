//! The ledger's storage.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::join_all;

use super::arena::{
    Arena, Checked, Failure, all_documents, create_document, found, name, named_documents, refused, replace_document,
};
use super::{Case, case_table, ensure};
use crate::{DocumentName, Documents, ErrorKind, ReadDocuments, Secret, Version, WriteDocument};

case_table![
    a_document_is_created_once,
    documents_are_claimed_by_one_host,
    a_document_is_replaced_at_the_right_version,
    a_document_is_not_replaced_at_a_stale_version,
    a_document_is_deleted,
    all_documents_are_found,
    missing_documents_are_missing,
    documents_of_another_owner_are_not_ours,
    documents_are_as_long_as_promised,
    documents_resume_repeats_and_notices,
    a_secret_document_is_read_on_purpose_only,
];

async fn see_document(arena: &Arena, name: &DocumentName, body: &str, version: &Version) -> Checked {
    arena.eventually(async || found(&named_documents(&*arena.provider, &[name]).await?, name, body, version)).await
}

async fn see_no_document(arena: &Arena, name: &DocumentName) -> Checked {
    arena
        .eventually(async || {
            let documents = named_documents(&*arena.provider, &[name]).await?;
            ensure!(!documents.found.contains_key(name), "{name} should be gone");
            Ok(())
        })
        .await
}

async fn a_document_is_created_once(arena: Arc<Arena>) -> Checked {
    let (head, body) = (name("head"), "{\"format\":1,\"text\":\"Grüße \\\"x\\\"\"}");
    let version = create_document(&*arena.provider, &head, body).await?;
    see_document(&arena, &head, body, &version).await?;
    let again = WriteDocument::Create { name: head.clone(), body: "{}".to_owned() };
    refused(arena.peer.write_document(&again).await, ErrorKind::AlreadyExists)?;
    see_document(&arena, &head, body, &version).await
}

async fn documents_are_claimed_by_one_host(arena: Arc<Arena>) -> Checked {
    let claim = name("r/000042");
    let results = join_all((0..6).map(|i| {
        let (arena, claim) = (arena.clone(), claim.clone());
        async move {
            let host = if i % 2 == 0 { &arena.provider } else { &arena.peer };
            host.write_document(&WriteDocument::Create { name: claim, body: format!("{{\"nonce\":{i}}}") }).await
        }
    }))
    .await;
    let mut winners = Vec::new();
    for (i, result) in results.into_iter().enumerate() {
        match result {
            Ok(version) => winners.push((i, version.ok_or_else(|| Failure::new("a claim has a version"))?)),
            Err(error) if error.kind == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
    }
    let [(winner, version)] = winners.as_slice() else {
        return Err(Failure::new(format!("{} hosts hold one claim", winners.len())));
    };
    see_document(&arena, &claim, &format!("{{\"nonce\":{winner}}}"), version).await
}

async fn a_document_is_replaced_at_the_right_version(arena: Arc<Arena>) -> Checked {
    let head = name("head");
    let first = create_document(&*arena.provider, &head, "{\"n\":1}").await?;
    let second = replace_document(&*arena.provider, &head, "{\"n\":2}", &first).await?;
    let second = second.ok_or_else(|| Failure::new("a replaced document has a version"))?;
    ensure!(second != first, "a new body has the old version");
    see_document(&arena, &head, "{\"n\":2}", &second).await
}

async fn a_document_is_not_replaced_at_a_stale_version(arena: Arc<Arena>) -> Checked {
    let head = name("head");
    let first = create_document(&*arena.provider, &head, "{\"n\":1}").await?;
    let second = replace_document(&*arena.peer, &head, "{\"n\":2}", &first).await?;
    let second = second.ok_or_else(|| Failure::new("a replaced document has a version"))?;
    // Without compare-and-swap it was written and then noticed; with it nothing changed.
    refused(replace_document(&*arena.provider, &head, "{\"n\":3}", &first).await, ErrorKind::Conflict)?;
    if arena.provider.capabilities().compare_and_swap {
        see_document(&arena, &head, "{\"n\":2}", &second).await?;
    }
    Ok(())
}

async fn a_document_is_deleted(arena: Arc<Arena>) -> Checked {
    let (gone, kept) = (name("r/000001"), name("r/000002"));
    create_document(&*arena.provider, &gone, "{}").await?;
    let version = create_document(&*arena.provider, &kept, "{\"n\":2}").await?;
    see_document(&arena, &kept, "{\"n\":2}", &version).await?;
    for _ in 0..2 {
        let answer = arena.provider.write_document(&WriteDocument::Delete { name: gone.clone() }).await?;
        ensure!(answer.is_none(), "a delete answered {answer:?}");
        see_no_document(&arena, &gone).await?;
    }
    see_document(&arena, &kept, "{\"n\":2}", &version).await
}

async fn all_documents_are_found(arena: Arc<Arena>) -> Checked {
    let none = all_documents(&*arena.provider).await?;
    ensure!(none.all && none.found.is_empty(), "an empty ledger holds {:?}", none.found);
    let mut wanted = Vec::new();
    for text in ["head", "r/000001", "r/000002", "base/1.0", "base/1.1"].into_iter().map(str::to_owned) {
        let document = name(&text);
        let version = create_document(&*arena.provider, &document, &format!("{{\"is\":\"{text}\"}}")).await?;
        wanted.push((document, format!("{{\"is\":\"{text}\"}}"), version));
    }
    arena
        .eventually(async || {
            let documents = all_documents(&*arena.peer).await?;
            ensure!(documents.all, "everything was asked for");
            ensure!(documents.found.len() == wanted.len(), "found {:?}", documents.found.keys());
            wanted.iter().try_for_each(|(document, body, version)| found(&documents, document, body, version))
        })
        .await
}

async fn missing_documents_are_missing(arena: Arc<Arena>) -> Checked {
    let (head, missing) = (name("head"), name("r/000009"));
    let none = named_documents(&*arena.provider, &[&head, &missing]).await?;
    ensure!(none.found.is_empty(), "an empty ledger holds {:?}", none.found);
    let version = create_document(&*arena.provider, &head, "{}").await?;
    see_document(&arena, &head, "{}", &version).await?;
    let documents = named_documents(&*arena.provider, &[&head, &missing]).await?;
    found(&documents, &head, "{}", &version)?;
    ensure!(!documents.found.contains_key(&missing), "what is missing was found");
    let replaced = replace_document(&*arena.provider, &missing, "{}", &version).await;
    if arena.provider.capabilities().compare_and_swap {
        refused(replaced, ErrorKind::Conflict)?;
        see_no_document(&arena, &missing).await?;
    }
    Ok(())
}

async fn documents_of_another_owner_are_not_ours(arena: Arc<Arena>) -> Checked {
    let head = name("head");
    create_document(&*arena.stranger, &head, "{\"theirs\":true}").await?;
    create_document(&*arena.stranger, &name("r/000001"), "{}").await?;
    let version = create_document(&*arena.provider, &head, "{\"ours\":true}").await?;
    see_document(&arena, &head, "{\"ours\":true}", &version).await?;
    arena
        .eventually(async || {
            let names = all_documents(&*arena.provider).await?.found.into_keys().collect::<Vec<_>>();
            ensure!(names == [name("head")], "ours is one document, but {names:?} are read");
            Ok(())
        })
        .await
}

async fn documents_are_as_long_as_promised(arena: Arc<Arena>) -> Checked {
    let max = arena.provider.capabilities().max_document;
    let longest = format!("\"{}\"", "x".repeat(max - 2));
    let fits = name("r/000001");
    let version = create_document(&*arena.provider, &fits, &longest).await?;
    see_document(&arena, &fits, &longest, &version).await?;
    let over = WriteDocument::Create { name: name("r/000002"), body: "x".repeat(max + 1) };
    refused(arena.provider.write_document(&over).await, ErrorKind::Refused)?;
    see_no_document(&arena, &name("r/000002")).await
}

async fn documents_resume_repeats_and_notices(arena: Arc<Arena>) -> Checked {
    let (head, next) = (name("head"), name("r/000001"));
    let first = create_document(&*arena.provider, &head, "{\"n\":1}").await?;
    see_document(&arena, &head, "{\"n\":1}", &first).await?;
    let ask = async |resume| -> crate::Result<Documents> {
        let names = vec![head.clone(), next.clone()];
        arena.provider.read_documents(ReadDocuments::Named { names, resume }).await
    };
    let seen = ask(None).await?;
    found(&seen, &head, "{\"n\":1}", &first)?;
    let again = ask(seen.resume.clone()).await?;
    ensure!(again.found == seen.found, "nothing changed, yet {:?} became {:?}", seen.found, again.found);
    let second = replace_document(&*arena.peer, &head, "{\"n\":2}", &first).await?;
    let second = second.ok_or_else(|| Failure::new("a replaced document has a version"))?;
    let claim = create_document(&*arena.peer, &next, "{}").await?;
    let resume = again.resume;
    arena
        .eventually(async || {
            let documents = ask(resume.clone()).await?;
            found(&documents, &head, "{\"n\":2}", &second)?;
            found(&documents, &next, "{}", &claim)
        })
        .await
}

async fn a_secret_document_is_read_on_purpose_only(arena: Arc<Arena>) -> Checked {
    const SENTINEL: &str = "S3NTINEL-of-the-suite";
    let (head, kept, missing) = (name("head"), name("kept/a.1"), name("kept/b.1"));
    let secret = WriteDocument::CreateSecret { name: kept.clone(), body: Secret::new(SENTINEL.to_owned()) };
    let version = create_document(&*arena.provider, &head, "{}").await?;
    let created = arena.provider.write_document(&secret).await;
    if !arena.provider.capabilities().secrets {
        let error = refused(created, ErrorKind::Refused)?;
        ensure!(!format!("{error:?} {error}").contains(SENTINEL), "the refusal shows the secret");
        refused(arena.provider.read_secret_documents(&[kept]).await, ErrorKind::Refused)?;
        return Ok(());
    }
    ensure!(created?.is_some(), "a created document has a version");
    let error = refused(arena.peer.write_document(&secret).await, ErrorKind::AlreadyExists)?;
    ensure!(!format!("{error:?} {error}").contains(SENTINEL), "the refusal shows the secret");
    let wanted = [missing, kept.clone()];
    arena
        .eventually(async || {
            let bodies = arena.peer.read_secret_documents(&wanted).await?;
            ensure!(!format!("{bodies:?}").contains(SENTINEL), "debug output shows the secret");
            let texts: Vec<_> = bodies.iter().map(|body| body.as_ref().map(Secret::expose)).collect();
            ensure!(texts == [None, Some(SENTINEL)], "one answer for each name, in order: {bodies:?}");
            let all = all_documents(&*arena.peer).await?;
            ensure!(all.found.keys().eq([&head]), "all documents are {:?}", all.found.keys());
            found(&named_documents(&*arena.peer, &[&head, &kept]).await?, &head, "{}", &version)
        })
        .await?;
    arena.provider.write_document(&WriteDocument::Delete { name: kept.clone() }).await?;
    arena
        .eventually(async || {
            let bodies = arena.provider.read_secret_documents(std::slice::from_ref(&kept)).await?;
            ensure!(bodies.iter().all(Option::is_none), "a deleted secret is still there");
            Ok(())
        })
        .await
}
