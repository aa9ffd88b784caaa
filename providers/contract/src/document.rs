//! Small documents kept in a store beside the data: the ledger's storage.
//!
//! Creating one is atomic on every store (create-if-absent), which is all that a claim needs.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Owner, Resume, Secret, Version};

/// The name of a document, below the ledger's own prefix: `head`, `log/000042`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DocumentName(String);

impl DocumentName {
    /// Makes a name from text that we chose ourselves: `[a-z0-9/.-]`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DocumentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Its text, at most [`Capabilities::max_document`](crate::Capabilities::max_document) bytes.
    pub body: String,
    /// Its native version.
    pub version: Version,
}

/// Which documents to read.
#[derive(Debug, Clone)]
pub enum ReadDocuments {
    /// These names, as cheaply as the store can; more may come back.
    Named {
        /// The names.
        names: Vec<DocumentName>,
        /// What an earlier read returned.
        resume: Option<Resume>,
    },
    /// Every document there is.
    All,
    /// Every document of another owner's ledger at the same place: whether they let go of what they had made.
    Of(Owner),
}

/// Documents that were read.
#[derive(Debug, Clone)]
pub struct Documents {
    /// Those that exist. A wanted name that is missing here does not exist.
    pub found: BTreeMap<DocumentName, Document>,
    /// Whether `found` is every document there is.
    pub all: bool,
    /// The store's clock when it answered, where it said so.
    pub at: Option<Timestamp>,
    /// To be given to the next [`ReadDocuments::Named`]; includes what is needed to answer it when nothing changed.
    pub resume: Option<Resume>,
}

/// One write of a document.
#[derive(Debug, Clone)]
pub enum WriteDocument {
    /// Create it; [`ErrorKind::AlreadyExists`](crate::ErrorKind::AlreadyExists) if it is there.
    Create {
        /// The name.
        name: DocumentName,
        /// The text.
        body: String,
    },
    /// Replace this version of it; [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if it has another.
    ///
    /// A store without compare-and-swap writes first and notices afterwards.
    Replace {
        /// The name.
        name: DocumentName,
        /// The text.
        body: String,
        /// The version to replace.
        expected: Version,
    },
    /// Create it, kept as the store keeps secrets, under the key of the target;
    /// [`ErrorKind::AlreadyExists`](crate::ErrorKind::AlreadyExists) if it is there. Never among what
    /// [`ReadDocuments`] answers.
    CreateSecret {
        /// The name.
        name: DocumentName,
        /// The text.
        body: Secret,
    },
    /// Delete it; not being there is fine.
    Delete {
        /// The name.
        name: DocumentName,
    },
}
