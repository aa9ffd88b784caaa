//! What a case works with.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{
    Action, Applied, Content, Document, DocumentName, Documents, Error, ErrorKind, Item, Key, Observation, Observe,
    Owner, Provider, Put, ReadDocuments, ReadRequest, ReadValue, Result as StoreResult, Secret, Seen, Serving, Value,
    Version, View, Write, WriteDocument,
};

/// How often a read is repeated while its store may lag.
const AGAIN: Duration = Duration::from_millis(250);

/// Why a case failed.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let hint = error.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        Self(format!("{:?}: {error}{hint}", error.kind))
    }
}

pub(super) type Checked<T = ()> = Result<T, Failure>;

/// Three providers on one empty place.
#[derive(Debug)]
pub struct Arena {
    /// The provider under test.
    pub provider: Arc<dyn Provider>,
    /// The same owner on another host: nothing is shared with `provider` but the store.
    pub peer: Arc<dyn Provider>,
    /// Another owner on the same place: what it writes is foreign to the other two.
    pub stranger: Arc<dyn Provider>,
    /// The owner of `provider` and `peer`.
    pub owner: Owner,
    pub(super) patience: Duration,
    pub(super) odd_keys: Vec<String>,
}

impl Arena {
    /// Makes an arena; `owner` is that of the first two.
    pub fn new(
        provider: Arc<dyn Provider>,
        peer: Arc<dyn Provider>,
        stranger: Arc<dyn Provider>,
        owner: Owner,
    ) -> Self {
        Self { provider, peer, stranger, owner, patience: Duration::ZERO, odd_keys: Vec::new() }
    }

    /// Repeats a check until it passes or the store has had its time. Only for reads: a write is never repeated.
    pub(super) async fn eventually<T>(&self, check: impl AsyncFn() -> Checked<T>) -> Checked<T> {
        let deadline = Instant::now() + self.patience;
        loop {
            match check().await {
                Err(_) if Instant::now() < deadline => sleep(AGAIN).await,
                other => return other,
            }
        }
    }

    /// Creates one plain item and returns its version.
    pub(super) async fn create(&self, key: &Key, value: &str) -> Checked<Version> {
        held(create(&*self.provider, key, plain(value)).await?)
    }

    /// Replaces one item by a plain value and returns the new version.
    pub(super) async fn replace(&self, key: &Key, value: &str, expected: &Version) -> Checked<Version> {
        held(replace(&*self.provider, key, plain(value), expected).await?)
    }

    /// Waits until the key is seen at this version and returns the item.
    pub(super) async fn see(&self, key: &Key, version: &Version) -> Checked<Item> {
        self.eventually(async || {
            let item = present(&look(&*self.provider, std::slice::from_ref(key)).await?, key)?;
            if item.version == *version {
                Ok(item)
            } else {
                Err(Failure::new(format!("{key} is at {:?}, not at {version:?}", item.version)))
            }
        })
        .await
    }

    /// Waits until a version can be read and returns what it holds.
    pub(super) async fn read_version(&self, key: &Key, version: &Version) -> Checked<ReadValue> {
        self.eventually(async || {
            let values = read(&*self.provider, &[(key, Some(version))]).await?;
            let value = values.into_iter().next().flatten();
            value.ok_or_else(|| Failure::new(format!("{key} cannot be read at {version:?}")))
        })
        .await
    }

    /// Waits until the key is seen to be absent.
    pub(super) async fn see_absent(&self, key: &Key) -> Checked {
        self.eventually(async || match look(&*self.provider, std::slice::from_ref(key)).await?.items.get(key) {
            Some(Seen::Absent) => Ok(()),
            other => Err(Failure::new(format!("{key} should be absent, but is {other:?}"))),
        })
        .await
    }

    /// Waits until the key is seen with this value and version.
    pub(super) async fn see_value(&self, key: &Key, value: &str, version: &Version) -> Checked {
        let item = self.see(key, version).await?;
        if item.value.as_deref() == Some(value) && !item.secret {
            return Ok(());
        }
        Err(Failure::new(format!("{key} should hold {value:?}, but is {item:?}")))
    }
}

/// Parses a key that the suite chose.
pub(super) fn key(text: &str) -> Key {
    Key::parse(text).expect("keys of the suite are valid")
}

pub(super) fn plain(value: &str) -> Content {
    content(Value::Plain(value.to_owned()))
}

pub(super) fn secret(value: &str) -> Content {
    content(Value::Secret(Secret::new(value.to_owned())))
}

fn content(value: Value) -> Content {
    Content { value, content_type: None, tags: BTreeMap::new(), description: None, tier: None }
}

pub(super) async fn create(provider: &dyn Provider, key: &Key, content: Content) -> StoreResult<Applied> {
    provider.apply(&Write { key: key.clone(), action: Action::Put(content, Put::Create) }).await
}

pub(super) async fn replace(
    provider: &dyn Provider,
    key: &Key,
    content: Content,
    expected: &Version,
) -> StoreResult<Applied> {
    let put = Put::Replace(expected.clone());
    provider.apply(&Write { key: key.clone(), action: Action::Put(content, put) }).await
}

pub(super) async fn delete(provider: &dyn Provider, key: &Key, expected: &Version) -> StoreResult<Applied> {
    provider.apply(&Write { key: key.clone(), action: Action::Delete(expected.clone()) }).await
}

/// Asks for what was put last, which is what readers meet where a put is served at once.
pub(super) fn newest(provider: &dyn Provider) -> Observe {
    let view = if provider.capabilities().serving == Serving::AtOnce { View::Served } else { View::Newest };
    Observe { view, ..Observe::default() }
}

/// Observes what was put last, with nothing remembered and no census.
pub(super) async fn look(provider: &dyn Provider, keys: &[Key]) -> StoreResult<Observation> {
    provider.observe(Observe { keys: keys.to_vec(), census: false, ..newest(provider) }).await
}

pub(super) async fn read(
    provider: &dyn Provider,
    wanted: &[(&Key, Option<&Version>)],
) -> StoreResult<Vec<Option<ReadValue>>> {
    let requests: Vec<_> =
        wanted.iter().map(|(key, version)| ReadRequest { key: (*key).clone(), version: version.cloned() }).collect();
    provider.read(&requests).await
}

/// Returns the item of a key that must be present.
pub(super) fn present(observation: &Observation, key: &Key) -> Checked<Item> {
    match observation.items.get(key) {
        Some(Seen::Present(item)) => Ok(item.clone()),
        other => Err(Failure::new(format!("{key} should be present, but is {other:?}"))),
    }
}

/// Returns the version that a put answered.
pub(super) fn held(applied: Applied) -> Checked<Version> {
    applied.version.ok_or_else(|| Failure::new("a put answered no version"))
}

/// Requires a failure of one kind.
pub(super) fn refused<T: fmt::Debug>(result: StoreResult<T>, kind: ErrorKind) -> Checked<Error> {
    match result {
        Err(error) if error.kind == kind => Ok(error),
        Err(error) => Err(Failure::new(format!("expected {kind:?}, got {:?}: {error}", error.kind))),
        Ok(value) => Err(Failure::new(format!("expected {kind:?}, but it succeeded with {value:?}"))),
    }
}

/// Returns how many requests left so far.
pub(super) fn sent(provider: &dyn Provider) -> u64 {
    provider.requests().values().sum()
}

pub(super) fn name(text: &str) -> DocumentName {
    DocumentName::new(text)
}

pub(super) async fn create_document(provider: &dyn Provider, name: &DocumentName, body: &str) -> Checked<Version> {
    let write = WriteDocument::Create { name: name.clone(), body: body.to_owned() };
    provider.write_document(&write).await?.ok_or_else(|| Failure::new("a created document has no version"))
}

pub(super) async fn replace_document(
    provider: &dyn Provider,
    name: &DocumentName,
    body: &str,
    expected: &Version,
) -> StoreResult<Option<Version>> {
    let write = WriteDocument::Replace { name: name.clone(), body: body.to_owned(), expected: expected.clone() };
    provider.write_document(&write).await
}

pub(super) async fn all_documents(provider: &dyn Provider) -> StoreResult<Documents> {
    provider.read_documents(ReadDocuments::All).await
}

pub(super) async fn named_documents(provider: &dyn Provider, names: &[&DocumentName]) -> StoreResult<Documents> {
    let names = names.iter().map(|name| (*name).clone()).collect();
    provider.read_documents(ReadDocuments::Named { names, resume: None }).await
}

/// Requires that a document was found with this body and version.
pub(super) fn found(documents: &Documents, name: &DocumentName, body: &str, version: &Version) -> Checked {
    match documents.found.get(name) {
        Some(Document { body: there, version: at }) if there == body && at == version => Ok(()),
        other => Err(Failure::new(format!("{name} should hold {body:?} at {version:?}, but is {other:?}"))),
    }
}
