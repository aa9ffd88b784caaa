//! Pages of lists, and answers that say that nothing changed.

use serde::Deserialize;

use crate::response::ResponseMeta;

/// An answer to a request that was conditional on a change.
#[derive(Debug, Clone, PartialEq)]
pub enum Conditional<T> {
    /// It changed; this is what it is now.
    Modified(T),
    /// It did not change (304).
    NotModified(NotModified),
}

impl<T> Conditional<T> {
    /// Returns what changed, if it did.
    pub fn modified(self) -> Option<T> {
        match self {
            Self::Modified(value) => Some(value),
            Self::NotModified(_) => None,
        }
    }

    /// Tells whether nothing changed.
    pub fn is_not_modified(&self) -> bool {
        matches!(self, Self::NotModified(_))
    }
}

/// What a 304 says.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct NotModified {
    /// Where the next page is, if there is one: an unchanged page still leads on.
    pub next: Option<NextLink>,
    /// Status, times and ids of the answer.
    pub meta: ResponseMeta,
}

/// Where the next page of a list is.
///
/// It is the store's own link with an opaque mark in it; followed only on the store's own scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NextLink(pub(crate) String);

impl NextLink {
    /// Returns the link as the store wrote it, to be kept for later.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for NextLink {
    /// Takes a link that was kept.
    fn from(link: String) -> Self {
        Self(link)
    }
}

/// One page of a list: up to 100 items, the store decides.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// The page's own etag without quotes. Only lists of key-values have one, from api-version `2023-10-01`.
    ///
    /// It changes when an item on the page changes, appears or goes, and when a further page appears.
    pub etag: Option<String>,
    /// Where the next page is, if there is one.
    pub next: Option<NextLink>,
    /// Status, times and ids of the answer.
    pub meta: ResponseMeta,
}

/// A page without its items.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PageHead {
    /// The page's own etag without quotes.
    pub etag: Option<String>,
    /// Where the next page is, if there is one.
    pub next: Option<NextLink>,
    /// Status, times and ids of the answer.
    pub meta: ResponseMeta,
}

/// The body of a page.
#[derive(Debug, Deserialize)]
pub(crate) struct ListBody<T> {
    /// The service sends it with an empty list too: what has none is no list, and must not look like an empty one.
    pub(crate) items: Vec<T>,
    #[serde(default)]
    pub(crate) etag: Option<String>,
    #[serde(default, rename = "@nextLink")]
    pub(crate) next_link: Option<String>,
}
