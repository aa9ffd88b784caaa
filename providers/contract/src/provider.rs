//! The trait.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::item::ReadValue;
use crate::{
    AnswerCounts, Applied, Capabilities, DocumentName, Documents, Frozen, Key, Observation, Observe, Pace, Place,
    ReadDocuments, RequestCounts, Result, Revision, Secret, Version, Write, WriteDocument,
};

/// What the writes ahead need.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// Whether any write encrypts.
    pub encrypt: bool,
    /// How many writes there are.
    pub writes: u64,
}

/// Who we are to the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The account, where the store has one.
    pub account: Option<String>,
    /// The principal, where the store says so.
    pub principal: Option<String>,
}

/// A value to read on purpose.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadRequest {
    /// The key.
    pub key: Key,
    /// The version; `None` reads what is served.
    pub version: Option<Version>,
}

/// One store, seen from one target.
///
/// Every method that a store must have is required: conveniences that default here would drift from what implementations
/// do. Wrappers wrap everything. No method retries a write whose outcome is unknown.
#[async_trait]
pub trait Provider: fmt::Debug + Send + Sync {
    /// Returns the target's place.
    fn place(&self) -> &Place;

    /// Returns what the store can do.
    fn capabilities(&self) -> &Capabilities;

    /// Returns where requests go, for messages: an endpoint or `ssm.eu-west-1`.
    fn endpoint(&self) -> String;

    /// Returns the store's name for a key: prefix and key joined.
    fn native_name(&self, key: &Key) -> String;

    /// Compares the account with the file's and checks that the encryption key can be used, before the first write.
    ///
    /// # Errors
    /// `WrongAccount`, `KeyUnusable` naming the key and its state, `Denied`, `Unreachable`.
    async fn preflight(&self, needs: Needs) -> Result<Identity>;

    /// Looks at the wanted keys without decrypting anything.
    ///
    /// # Errors
    /// Fails as a whole where the store could not be listed; a single key that could not be read is
    /// [`Seen::Unreadable`](crate::Seen::Unreadable).
    async fn observe(&self, request: Observe) -> Result<Observation>;

    /// Reads values on purpose, decrypting secrets, in batches. The answer has one place for each request, in order;
    /// `None` where that version does not exist (any more).
    ///
    /// # Errors
    /// Fails as a whole.
    async fn read(&self, requests: &[ReadRequest]) -> Result<Vec<Option<ReadValue>>>;

    /// Reads the owner tags of items that exist, where observing does not answer them; one answer for each key, in
    /// order, `None` for an item without one. Asked only for items that might be adopted or finished, since a store
    /// may need a request for each (SSM: ListTagsForResource).
    ///
    /// # Errors
    /// Fails as a whole; an item that is gone has no owner.
    async fn owners(&self, keys: &[Key]) -> Result<Vec<Option<String>>>;

    /// Returns the past contents of one key, newest first, undecrypted.
    ///
    /// # Errors
    /// `NotFound` where the key is not there and nothing of it is kept.
    async fn history(&self, key: &Key) -> Result<Vec<Revision>>;

    /// Does one write.
    ///
    /// # Errors
    /// `AlreadyExists` for a create over something, `Conflict` for an expectation that does not hold, `Refused` for a
    /// content that the store cannot hold. [`Outcome::Unknown`](crate::Outcome::Unknown) where the answer was lost.
    async fn apply(&self, write: &Write) -> Result<Applied>;

    /// Reads documents of the ledger.
    ///
    /// # Errors
    /// Fails as a whole.
    async fn read_documents(&self, request: ReadDocuments) -> Result<Documents>;

    /// Reads documents of the ledger that were created as secrets, decrypting them; one answer for each name, in order,
    /// `None` for one that is not there.
    ///
    /// # Errors
    /// Fails as a whole; `Refused` where the store keeps no secrets.
    async fn read_secret_documents(&self, names: &[DocumentName]) -> Result<Vec<Option<Secret>>>;

    /// Makes an immutable set of everything that is put now, under a new name, waits until it is whole, and returns
    /// what it holds ([`Serving::Together`](crate::Serving::Together) only). Readers see nothing of it.
    ///
    /// # Errors
    /// `AlreadyExists` where the name is taken, `Refused` where it cannot be made.
    async fn freeze(&self, name: &str) -> Result<Frozen>;

    /// Reads a frozen set; `None` where there is none of that name (any more). An unfinished one is waited for.
    ///
    /// # Errors
    /// Fails as a whole.
    async fn read_frozen(&self, name: &str) -> Result<Option<Frozen>>;

    /// Serves a frozen set: one conditional write of the reference, which then carries our owner tag. `from` is the
    /// reference's version, `None` to create it. A set that would vanish (archived) is first made to stay.
    ///
    /// # Errors
    /// `Conflict` or `AlreadyExists` where the reference is at another version, `NotFound` where the set is gone.
    async fn serve_frozen(&self, name: &str, from: Option<&Version>) -> Result<Applied>;

    /// Leads readers to no frozen set any more, as before the first one: one conditional removal of the reference, which is
    /// at `from`. Being gone already is fine.
    ///
    /// # Errors
    /// `Conflict` where the reference is at another version.
    async fn withdraw_frozen(&self, from: &Version) -> Result<()>;

    /// Lets go of a frozen set that nothing needs any more; not being there is fine.
    ///
    /// # Errors
    /// Fails where the store does.
    async fn retire_frozen(&self, name: &str) -> Result<()>;

    /// Writes one document of the ledger and returns its version (`None` after a delete).
    ///
    /// # Errors
    /// As [`WriteDocument`] says.
    async fn write_document(&self, write: &WriteDocument) -> Result<Option<Version>>;

    /// Returns what was sent so far.
    fn requests(&self) -> RequestCounts;

    /// Returns what came back for it so far.
    fn answers(&self) -> AnswerCounts;

    /// Returns which of the requests the store answered by asking for fewer. None for a store that never does.
    fn throttles(&self) -> RequestCounts {
        RequestCounts::new()
    }

    /// Returns how requests are let through right now; `None` where nothing limits them.
    fn pace(&self) -> Option<Pace> {
        None
    }
}
