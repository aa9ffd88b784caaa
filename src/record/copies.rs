//! Copies of contents that a store would lose: what was pruned, or is too old to outlive being replaced.
//!
//! One content is one document, or several where it is long: `copy/<name>-<n>`, each of at most the size that the store
//! takes, the first with their number before it. A secret is kept as the store keeps secrets.

use std::collections::{BTreeMap, BTreeSet};

use repin_provider::{
    Content, Document, DocumentName, Error, ErrorKind, Outcome, Provider, ReadDocuments, Secret, Tier, Value,
    WriteDocument,
};
use secrecy::zeroize::{Zeroize as _, Zeroizing};
use serde::{Deserialize, Serialize};

use super::format::Corrupt;
use super::ledger::LedgerError;
use crate::model::release::CopyName;

/// How often a write whose answer was lost is repeated.
const REPEATS: usize = 3;

/// The most documents of one copy: far above what any store holds in one item.
const MAX_PIECES: usize = 64;

/// Marks the end of the number of documents.
const NUMBER_ENDS: char = ';';

/// A content as it is written.
#[derive(Serialize, Deserialize)]
struct Kept {
    value: String,
    #[serde(default)]
    secret: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tier: Option<Tier>,
}

fn document(name: &CopyName, piece: usize) -> DocumentName {
    DocumentName::new(format!("copy/{}-{piece}", name.as_str()))
}

/// Writes a copy. One that is there already is the same: the name says of which version it is.
///
/// # Errors
/// Fails where the store does.
pub async fn write(provider: &dyn Provider, name: &CopyName, content: &Content) -> Result<(), Error> {
    let secret = content.value.is_secret();
    // The last piece goes first: the first one, which says how many there are, makes them count.
    for (piece, body) in encode(content, provider.capabilities().max_document).into_iter().enumerate().rev() {
        let name = document(name, piece);
        let create = if secret {
            WriteDocument::CreateSecret { name, body: Secret::new(body) }
        } else {
            WriteDocument::Create { name, body }
        };
        create_once(provider, &create).await?;
    }
    Ok(())
}

async fn create_once(provider: &dyn Provider, create: &WriteDocument) -> Result<(), Error> {
    let mut lost = 0;
    loop {
        match provider.write_document(create).await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind == ErrorKind::AlreadyExists => return Ok(()),
            Err(error) if error.outcome == Outcome::Unknown && lost < REPEATS => {
                lost += 1;
                tokio::time::sleep(provider.capabilities().settle).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Reads copies; one that is not there (any more) is left out.
///
/// # Errors
/// Fails where the store does, and where a copy does not read as one.
pub async fn read(
    provider: &dyn Provider,
    names: &BTreeSet<CopyName>,
) -> Result<BTreeMap<CopyName, Content>, LedgerError> {
    let firsts: Vec<_> = names.iter().map(|name| document(name, 0)).collect();
    let mut contents = BTreeMap::new();
    for (name, first) in names.iter().zip(read_bodies(provider, &firsts).await?) {
        let Some(first) = first else { continue };
        let damaged = |why: &str| LedgerError::Corrupt {
            document: document(name, 0),
            why: Corrupt::Damaged(format!("{why}, in a copy")),
        };
        let (count, start) = first.expose().split_once(NUMBER_ENDS).ok_or_else(|| damaged("no number of pieces"))?;
        let count: usize = count.parse().map_err(|_| damaged("no number of pieces"))?;
        if count > MAX_PIECES {
            return Err(damaged("too many pieces"));
        }
        let rest: Vec<_> = (1..count).map(|piece| document(name, piece)).collect();
        let rest = read_bodies(provider, &rest).await?.into_iter().collect::<Option<Vec<_>>>();
        let rest = rest.ok_or_else(|| damaged("a piece is missing"))?;
        let pieces: Vec<_> = std::iter::once(start).chain(rest.iter().map(Secret::expose)).collect();
        // Of its whole length from the start: to grow would leave a part of a secret behind.
        let text = Zeroizing::new(pieces.concat());
        // The error of the parser would quote the content.
        let kept: Kept = serde_json::from_str(&text).map_err(|_| damaged("it is not JSON"))?;
        contents.insert(name.clone(), decode(kept));
    }
    Ok(contents)
}

/// Removes copies.
///
/// # Errors
/// Fails where the store does.
pub async fn remove(provider: &dyn Provider, names: &BTreeSet<CopyName>) -> Result<(), Error> {
    let firsts: Vec<_> = names.iter().map(|name| document(name, 0)).collect();
    for (name, first) in names.iter().zip(read_bodies(provider, &firsts).await?) {
        let Some(first) = first else { continue };
        let count = first.expose().split_once(NUMBER_ENDS).and_then(|(count, _)| count.parse().ok()).unwrap_or(1);
        for piece in (0..usize::min(count, MAX_PIECES)).rev() {
            provider.write_document(&WriteDocument::Delete { name: document(name, piece) }).await?;
        }
    }
    Ok(())
}

async fn read_bodies(provider: &dyn Provider, names: &[DocumentName]) -> Result<Vec<Option<Secret>>, Error> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    if provider.capabilities().secrets {
        return provider.read_secret_documents(names).await;
    }
    let request = ReadDocuments::Named { names: names.to_vec(), resume: None };
    let mut found = provider.read_documents(request).await?.found;
    let body = |document: Document| Secret::new(document.body);
    Ok(names.iter().map(|name| found.remove(name).map(body)).collect())
}

/// Writes a content as pieces of at most `max` bytes, never empty.
fn encode(content: &Content, max: usize) -> Vec<String> {
    let mut kept = Kept {
        value: content.value.expose().to_owned(),
        secret: content.value.is_secret(),
        content_type: content.content_type.clone(),
        tags: content.tags.clone(),
        description: content.description.clone(),
        tier: content.tier,
    };
    let json = Zeroizing::new(serde_json::to_string(&kept).expect("plain data with text keys always serialises"));
    kept.value.zeroize();
    // Parameter Store takes double braces for a reference; in JSON they stand only inside texts here.
    let json = Zeroizing::new(json.replace("{{", "\\u007b\\u007b"));
    // The number takes three bytes at most.
    let room = max - 3;
    let mut pieces = Vec::new();
    let mut rest = json.as_str();
    while !rest.is_empty() {
        let mut end = room.min(rest.len());
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (piece, more) = rest.split_at(end);
        pieces.push(piece.to_owned());
        rest = more;
    }
    let count = pieces.len();
    pieces[0].insert_str(0, &format!("{count}{NUMBER_ENDS}"));
    pieces
}

fn decode(kept: Kept) -> Content {
    Content {
        value: if kept.secret { Value::Secret(Secret::new(kept.value)) } else { Value::Plain(kept.value) },
        content_type: kept.content_type,
        tags: kept.tags,
        description: kept.description,
        tier: kept.tier,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_content_goes_into_pieces_and_comes_back() {
        for value in ["x", "{{{{", &"ä{{€".repeat(3000)] {
            let content = Content {
                value: Value::Plain(value.to_owned()),
                content_type: Some("text/plain".into()),
                tags: [("team".into(), "ml".into())].into(),
                description: Some("d".into()),
                tier: Some(Tier::Advanced),
            };
            let pieces = encode(&content, 4096);
            assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= 4096 && !piece.contains("{{")));
            let text = pieces.concat();
            let (count, json) = text.split_once(NUMBER_ENDS).expect("a number");
            assert_eq!(count, pieces.len().to_string());
            let back = decode(serde_json::from_str(json).expect("json"));
            assert_eq!(back.value.expose(), value);
            assert_eq!((back.content_type, back.tags, back.tier), (content.content_type, content.tags, content.tier));
        }
    }
}
