//! Harmless requests that show what a target lacks: each changes nothing, whatever it finds.
//!
//! Writes are tried under a condition that cannot hold, on a key-value of the ledger that nobody ever writes: the store
//! asks for the role first (403) and for the condition then (412), before it looks at anything else.
//! (App Configuration REST reference, authorization and key-value; the service's own emulator, whose controllers check in
//! this order: 2026-11-22.)

use azure_data_app_configuration::{
    DeleteKeyValueOptions, Error as ClientError, ErrorKind as Kind, GetKeyValueOptions, KeyValueContent, Precondition,
    PutKeyValueOptions,
};
use jiff::Timestamp;
use repin_provider::{Error, ErrorKind, Result};

use crate::client::{Changed, Found};
use crate::convert::timestamp;
use crate::{AppConfiguration, CredentialKind};

/// The document of the ledger that there never is.
const NOWHERE: &str = "doctor";

/// Who signed in, and until when the token that it gave is good. Tokens are renewed in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// What gave the token: `workload identity`.
    pub with: &'static str,
    /// When it ends.
    pub expires: Option<Timestamp>,
}

/// What a first look was answered.
#[derive(Debug)]
pub struct Looked {
    /// Whether reading is allowed.
    pub result: Result<()>,
    /// The HTTP status of a refusal; `None` where nothing was answered, as when there is no token to ask with.
    pub status: Option<u16>,
    /// The store's clock as it answered, refusals too; `None` where nothing did.
    pub at: Option<Timestamp>,
}

impl AppConfiguration {
    /// Returns how requests are signed; `None` with a connection string.
    pub fn credential(&self) -> Option<CredentialKind> {
        self.store.context.credential
    }

    /// Returns what gave the last access token; `None` before the first, and with a connection string.
    pub fn signed_in(&self) -> Option<SignedIn> {
        let (with, expires) = self.chain.as_ref()?.last()?;
        Some(SignedIn { with, expires: timestamp(expires) })
    }

    /// Tries `keyValues/read`.
    pub async fn try_read(&self) -> Looked {
        let options = GetKeyValueOptions { label: Some(self.names.ledger_label().to_owned()), ..Default::default() };
        match self.store.client.get_key_value(&self.nowhere(), Some(options)).await {
            Ok(answer) => Looked { result: Ok(()), status: None, at: answer.meta.date.and_then(timestamp) },
            Err(error) => {
                let (status, at) = (error.status().map(u16::from), error.date().and_then(timestamp));
                Looked { result: self.judge(error, &[Kind::NotFound]), status, at }
            }
        }
    }

    /// Tries `keyValues/write`, with an etag that no store ever gave.
    ///
    /// # Errors
    /// `Denied` without the right.
    pub async fn try_write(&self, etag: &str) -> Result<()> {
        let options = PutKeyValueOptions {
            label: Some(self.names.ledger_label().to_owned()),
            precondition: Some(Precondition::Etag(etag.to_owned())),
            ..Default::default()
        };
        let content = KeyValueContent::new("never written");
        match self.store.client.put_key_value(&self.nowhere(), &content, Some(options)).await {
            Ok(_) => Err(Error::new(ErrorKind::Unexpected, "PUT /kv/{key}", "a condition that cannot hold was met")),
            Err(error) => self.judge(error, &[Kind::PreconditionFailed, Kind::Locked]),
        }
    }

    /// Tries `keyValues/delete`, with an etag that no store ever gave.
    ///
    /// # Errors
    /// `Denied` without the right.
    pub async fn try_delete(&self, etag: &str) -> Result<()> {
        let options = DeleteKeyValueOptions {
            label: Some(self.names.ledger_label().to_owned()),
            precondition: Some(Precondition::Etag(etag.to_owned())),
            ..Default::default()
        };
        match self.store.client.delete_key_value(&self.nowhere(), Some(options)).await {
            // Nothing was there to be deleted.
            Ok(_) => Ok(()),
            Err(error) => self.judge(error, &[Kind::PreconditionFailed, Kind::NotFound, Kind::Locked]),
        }
    }

    /// Tries `snapshots/read`, on a name that no snapshot has.
    ///
    /// # Errors
    /// `Denied` without the right.
    pub async fn try_read_snapshot(&self, name: &str) -> Result<()> {
        match self.store.look_at_snapshot(name, None).await?.found {
            Found::Now(_) | Found::Unchanged | Found::Gone => Ok(()),
        }
    }

    /// Tries `snapshots/archive/action`, on a name that no snapshot has.
    ///
    /// # Errors
    /// `Denied` without the right.
    pub async fn try_archive(&self, name: &str) -> Result<()> {
        match self.store.change_snapshot(name, true).await? {
            Changed::Done | Changed::Gone | Changed::Unfinished => Ok(()),
        }
    }

    fn nowhere(&self) -> String {
        self.names.document(&repin_provider::DocumentName::new(NOWHERE))
    }

    /// An answer that comes only after the right was found to be there is as good as a yes.
    fn judge(&self, error: ClientError, as_good_as_yes: &[Kind]) -> Result<()> {
        if as_good_as_yes.contains(&error.kind()) { Ok(()) } else { Err(self.store.context.error(error, None)) }
    }
}
