//! The ledger: key-values under a prefix and a label of their own.

use std::borrow::Cow;
use std::collections::BTreeMap;

use azure_data_app_configuration::{KeyValueContent, Precondition};
use repin_provider::{
    Document, DocumentName, Documents, Error, ErrorKind, Put, ReadDocuments, Result, Version, WriteDocument,
};

use crate::AppConfiguration;
use crate::apply::unmet;
use crate::client::Found;
use crate::observe::Remembered;

/// Most bytes of one document. A key-value holds 10 KB with its key, label and content type, which take up to 0.4 KB.
pub(crate) const MAX_DOCUMENT: usize = 9000;

/// Makes portals and command lines show the ledger as what it is.
const CONTENT_TYPE: &str = "application/json";

impl AppConfiguration {
    /// Reads one document where one is asked for, or else every one there is: one conditional list costs less than two documents.
    pub(crate) async fn ledger(&self, request: ReadDocuments) -> Result<Documents> {
        let mut names = Cow::Borrowed(&self.names);
        let resume = match request {
            // It costs no more than a listing, which may have been cut off before it.
            ReadDocuments::Named { names, resume: None } if names.len() == 1 => return self.documents(&names).await,
            ReadDocuments::Named { resume, .. } => resume,
            ReadDocuments::All => None,
            ReadDocuments::Of(owner) => {
                names = Cow::Owned(self.names.of(&owner));
                None
            }
        };
        let selector = names.ledger();
        let scope = format!("{}/{selector:?}", self.place);
        let remembered = Remembered::decode(resume.as_ref(), &scope);
        let listing = self.store.list(&selector, remembered).await?;
        let resume = if listing.changed { Remembered::encode(scope, &listing.pages) } else { resume };
        let at = listing.at;
        let found = listing
            .into_items()
            .filter_map(|kept| {
                let name = names.document_name(&kept.key)?;
                Some((name, Document { body: kept.value, version: kept.version }))
            })
            .collect();
        Ok(Documents { found, all: true, at, resume })
    }

    /// Reads documents one by one.
    async fn documents(&self, names: &[DocumentName]) -> Result<Documents> {
        let mut documents = Documents { found: BTreeMap::new(), all: false, at: None, resume: None };
        for name in names {
            let look = self.store.look(&self.names.document(name), Some(self.names.ledger_label()), None).await?;
            documents.at = documents.at.or(look.at);
            if let Found::Now(kept) = look.found {
                documents.found.insert(name.clone(), Document { body: kept.value, version: kept.version });
            }
        }
        Ok(documents)
    }

    /// Writes one document.
    pub(crate) async fn record(&self, write: &WriteDocument) -> Result<Option<Version>> {
        match write {
            WriteDocument::Create { name, body } => self.put_document(name, body, &Put::Create).await.map(Some),
            WriteDocument::Replace { name, body, expected } => {
                self.put_document(name, body, &Put::Replace(expected.clone())).await.map(Some)
            }
            WriteDocument::CreateSecret { .. } => Err(no_secrets()),
            WriteDocument::Delete { name } => {
                self.store.delete(&self.names.document(name), Some(self.names.ledger_label()), None).await?;
                Ok(None)
            }
        }
    }

    async fn put_document(&self, name: &DocumentName, body: &str, put: &Put) -> Result<Version> {
        if body.len() > MAX_DOCUMENT {
            let message = format!("document {name} has {} bytes; at most {MAX_DOCUMENT} fit", body.len());
            return Err(Error::new(ErrorKind::Refused, "PUT /kv/{key}", message));
        }
        let mut content = KeyValueContent::new(body);
        content.content_type = Some(CONTENT_TYPE.to_owned());
        let precondition = match put {
            Put::Create => Precondition::Absent,
            Put::Replace(expected) => Precondition::Etag(expected.id.clone()),
        };
        let native = self.names.document(name);
        let written = self.store.put(&native, Some(self.names.ledger_label()), &content, precondition).await?;
        written.map(|kept| kept.version).ok_or_else(|| unmet(&format!("PUT /kv/{{key}} (document {name})"), put))
    }
}

/// Makes the error of a document that should be kept as a secret.
pub(crate) fn no_secrets() -> Error {
    Error::new(ErrorKind::Refused, "document", "App Configuration keeps no secrets")
}
