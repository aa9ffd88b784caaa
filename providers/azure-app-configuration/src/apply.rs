//! One write.

use azure_data_app_configuration::Precondition;
use repin_provider::{Action, Applied, Content, Error, ErrorKind, Put, Result, Version, Write};

use crate::AppConfiguration;
use crate::convert::wire_content;
use crate::names::{LEDGER_ROOT, is_ledger};

impl AppConfiguration {
    /// Does one write; its precondition travels with it, so nothing needs to be looked at first.
    pub(crate) async fn write(&self, write: &Write) -> Result<Applied> {
        let native = self.names.native(&write.key);
        if is_ledger(&native) {
            let message = format!("keys below {LEDGER_ROOT} hold the ledger");
            return Err(Error::new(ErrorKind::Refused, "PUT /kv/{key}", message).with_key(&write.key));
        }
        if self.names.reference() == Some(native.as_str()) {
            let message = "this key is that of the snapshot reference";
            return Err(Error::new(ErrorKind::Refused, "PUT /kv/{key}", message).with_key(&write.key));
        }
        let result = match &write.action {
            Action::Put(content, put) => self.put(&native, content, put).await,
            Action::Delete(expected) => self.delete(&native, expected).await,
            Action::Serve { .. } | Action::Withdraw(_) => {
                Err(Error::new(ErrorKind::Refused, "serve", "key-values are not served one by one"))
            }
        };
        result.map_err(|error| error.with_key(&write.key))
    }

    async fn put(&self, native: &str, content: &Content, put: &Put) -> Result<Applied> {
        let wire = wire_content(content, &self.owner)?;
        let precondition = match put {
            Put::Create => Precondition::Absent,
            Put::Replace(expected) => Precondition::Etag(expected.id.clone()),
        };
        match self.store.put(native, self.names.written_label(), &wire, precondition).await? {
            Some(kept) => Ok(Applied { version: Some(kept.version), buried: None }),
            None => Err(unmet("PUT /kv/{key}", put)),
        }
    }

    async fn delete(&self, native: &str, expected: &Version) -> Result<Applied> {
        self.remove(native, self.names.written_label(), expected).await?;
        Ok(Applied { version: None, buried: None })
    }

    /// Removes a key-value that is at an expected version; being gone already is fine.
    pub(crate) async fn remove(&self, native: &str, label: Option<&str>, expected: &Version) -> Result<()> {
        if self.store.delete(native, label, Some(Precondition::Etag(expected.id.clone()))).await? {
            return Ok(());
        }
        // 412 says the same of an item that changed and of one that is gone already.
        match self.store.get(native, label).await? {
            None => Ok(()),
            Some(there) => {
                Err(changed("DELETE /kv/{key}", expected).with_hint(format!("it is at {} now", there.version)))
            }
        }
    }
}

/// Makes the error of a put whose precondition did not hold.
pub(crate) fn unmet(operation: &str, put: &Put) -> Error {
    match put {
        Put::Create => Error::new(ErrorKind::AlreadyExists, operation, "something is there already"),
        Put::Replace(expected) => changed(operation, expected),
    }
}

fn changed(operation: &str, expected: &Version) -> Error {
    Error::new(
        ErrorKind::Conflict,
        operation,
        format!("it is no longer at {expected}: somebody else wrote or deleted it"),
    )
}
