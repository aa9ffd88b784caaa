//! Requests and pagination, nothing else.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use azure_data_app_configuration::{
    AppConfigurationClient, Conditional, DeleteKeyValueOptions, ErrorKind, GetKeyValueOptions, KeyValue,
    KeyValueContent, KeyValueSelector, NextLink, PageOptions, Pager, Precondition, PutKeyValueOptions, Response,
    Result as ClientResult, Snapshot, SnapshotContent, SnapshotWaitOptions,
};
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use repin_provider::{Error, Outcome, Result};
use serde::{Deserialize, Serialize};

use crate::convert::{Kept, timestamp};
use crate::count::{Counter, attempts};
use crate::error::Context;
use crate::pace::Pace;

const GET: &str = "GET /kv/{key}";
const LIST: &str = "GET /kv";
const REVISIONS: &str = "GET /revisions";

/// The store as the rest of this crate speaks to it.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) client: AppConfigurationClient,
    pub(crate) counter: Counter,
    pub(crate) context: Context,
    /// What requests are kept to; `None` where the store has no quota.
    pub(crate) pace: Option<Arc<Pace>>,
    /// How often to ask whether a snapshot is made; `None` asks when the store says.
    pub(crate) poll: Option<Duration>,
}

/// One page of a listing, with what makes the next look at it cheap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PageKept {
    /// The page's etag; `None` where the store gave none, and the page is then always fetched.
    pub(crate) etag: Option<String>,
    pub(crate) items: Vec<Kept>,
}

/// A listing that was read to its end.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) pages: Vec<PageKept>,
    /// The store's clock when it began to answer: what was written later may be missing.
    pub(crate) at: Option<Timestamp>,
    /// Whether anything differs from what was remembered.
    pub(crate) changed: bool,
}

impl Listing {
    /// Returns the items of all pages.
    pub(crate) fn into_items(self) -> impl Iterator<Item = Kept> {
        self.pages.into_iter().flat_map(|page| page.items)
    }
}

impl Store {
    /// Reads one key-value; `None` if it is not there.
    pub(crate) async fn get(&self, native: &str, label: Option<&str>) -> Result<Option<Kept>> {
        let options = GetKeyValueOptions { label: label.map(str::to_owned), ..Default::default() };
        match self.client.get_key_value(native, Some(options)).await {
            Ok(response) => Kept::from_wire(response.into_model(), GET).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.context.error(error, None)),
        }
    }

    /// Writes one key-value; `None` if the precondition does not hold, and then nothing was written by this call.
    ///
    /// The client repeats a write only after an answer that says that it was not done. Should one have been done all
    /// the same, the repetition meets its own result: what is there is then compared with what was asked.
    pub(crate) async fn put(
        &self,
        native: &str,
        label: Option<&str>,
        content: &KeyValueContent,
        precondition: Precondition,
    ) -> Result<Option<Kept>> {
        let options = PutKeyValueOptions {
            label: label.map(str::to_owned),
            precondition: Some(precondition),
            ..Default::default()
        };
        let (result, tries) = attempts(self.client.put_key_value(native, content, Some(options))).await;
        match result {
            // It was written, whatever we fail to understand of the answer.
            Ok(response) => Kept::from_wire(response.into_model(), "PUT /kv/{key}")
                .map(Some)
                .map_err(|error| error.with_outcome(Outcome::Unknown)),
            Err(error) if error.kind() == ErrorKind::PreconditionFailed && tries > 1 => {
                let there = self.get(native, label).await.map_err(|error| error.with_outcome(Outcome::Unknown))?;
                Ok(there.filter(|there| there.is_content(content)))
            }
            Err(error) if error.kind() == ErrorKind::PreconditionFailed => Ok(None),
            Err(error) => Err(self.context.error(error, None)),
        }
    }

    /// Deletes one key-value; `false` if the precondition does not hold. Deleting what is not there is fine.
    pub(crate) async fn delete(
        &self,
        native: &str,
        label: Option<&str>,
        precondition: Option<Precondition>,
    ) -> Result<bool> {
        let options = DeleteKeyValueOptions { label: label.map(str::to_owned), precondition, ..Default::default() };
        match self.client.delete_key_value(native, Some(options)).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            Err(error) if error.kind() == ErrorKind::PreconditionFailed => Ok(false),
            Err(error) => Err(self.context.error(error, None)),
        }
    }

    /// Lists key-values to the end, page by page, asking for each only if it differs from what is remembered.
    ///
    /// A page that changed is taken as it is now, and the walk goes on: a later page that still has its etag still
    /// holds what it held.
    pub(crate) async fn list(&self, selector: &KeyValueSelector, remembered: Vec<PageKept>) -> Result<Listing> {
        let known = remembered.len();
        let mut remembered = remembered.into_iter();
        let mut listing = Listing { pages: Vec::new(), at: None, changed: false };
        let mut walk = Walk::default();
        loop {
            let old = remembered.next();
            let options =
                PageOptions { if_none_match: old.as_ref().and_then(|page| page.etag.clone()), ..Default::default() };
            let answer = self
                .client
                .list_key_values_page(selector, walk.next.as_ref(), Some(options))
                .await
                .map_err(|error| self.context.error(error, None))?;
            let (page, next, date) = match (answer, old) {
                (Conditional::NotModified(answer), Some(old)) => (old, answer.next, answer.meta.date),
                (Conditional::NotModified(_), None) => {
                    return Err(unexpected("the store says that a page is unchanged that was never read"));
                }
                (Conditional::Modified(page), _) => {
                    listing.changed = true;
                    let items = page.items.into_iter().map(|item| Kept::from_wire(item, LIST));
                    let items = items.collect::<Result<Vec<_>>>()?;
                    (PageKept { etag: page.etag, items }, page.next, page.meta.date)
                }
            };
            listing.at = listing.at.or_else(|| date.and_then(timestamp));
            listing.pages.push(page);
            if !walk.go_on(next)? {
                listing.changed |= listing.pages.len() != known;
                return Ok(listing);
            }
        }
    }

    /// Lists key-values, page by page, until `each` has enough or `pages` were read. Tells whether there is nothing left
    /// to look for: `each` had enough, or the list came to its end.
    pub(crate) async fn walk(
        &self,
        selector: &KeyValueSelector,
        pages: usize,
        each: &mut (dyn FnMut(Kept) -> ControlFlow<()> + Send),
    ) -> Result<bool> {
        let pager = self.client.list_key_values(selector, None).map_err(|error| self.context.error(error, None))?;
        self.drain(pager, LIST, pages, each).await
    }

    /// Lists revisions, page by page, until all were seen or `each` has enough.
    pub(crate) async fn revisions(
        &self,
        selector: &KeyValueSelector,
        each: &mut (dyn FnMut(Kept) -> ControlFlow<()> + Send),
    ) -> Result<()> {
        let pager = self.client.list_revisions(selector, None).map_err(|error| self.context.error(error, None))?;
        self.drain(pager, REVISIONS, usize::MAX, each).await.map(|_| ())
    }

    async fn drain(
        &self,
        pager: Pager<KeyValue>,
        operation: &str,
        pages: usize,
        each: &mut (dyn FnMut(Kept) -> ControlFlow<()> + Send),
    ) -> Result<bool> {
        let mut pages = pager.into_pages().take(pages);
        let mut ended = false;
        while let Some(page) = pages.try_next().await.map_err(|error| self.context.error(error, None))? {
            ended = page.next.is_none();
            for item in page.items {
                if each(Kept::from_wire(item, operation)?).is_break() {
                    return Ok(true);
                }
            }
        }
        Ok(ended)
    }
}

/// What a look at one thing found.
#[derive(Debug)]
pub(crate) enum Found<T> {
    /// It still has the etag that was remembered.
    Unchanged,
    /// This is what it is now.
    Now(T),
    /// There is no such thing.
    Gone,
}

/// A look at one thing, and the store's clock when it answered.
#[derive(Debug)]
pub(crate) struct Look<T> {
    pub(crate) found: Found<T>,
    pub(crate) at: Option<Timestamp>,
}

impl Store {
    /// Looks at one key-value; with an etag, only whether it still has it.
    pub(crate) async fn look(&self, native: &str, label: Option<&str>, etag: Option<&str>) -> Result<Look<Kept>> {
        let options = Some(GetKeyValueOptions { label: label.map(str::to_owned), ..Default::default() });
        let answer = match etag {
            Some(etag) => self.client.get_key_value_if_changed(native, etag, options).await,
            None => self.client.get_key_value(native, options).await.map(Conditional::Modified),
        };
        let Look { found, at } = self.looked(answer)?;
        let found = match found {
            Found::Now(item) => Found::Now(Kept::from_wire(item, GET)?),
            Found::Unchanged => Found::Unchanged,
            Found::Gone => Found::Gone,
        };
        Ok(Look { found, at })
    }

    /// Looks at one snapshot; with an etag, only whether it still has it.
    pub(crate) async fn look_at_snapshot(&self, name: &str, etag: Option<&str>) -> Result<Look<Snapshot>> {
        let answer = match etag {
            Some(etag) => self.client.get_snapshot_if_changed(name, etag, None).await,
            None => self.client.get_snapshot(name, None).await.map(Conditional::Modified),
        };
        self.looked(answer)
    }

    fn looked<T>(&self, answer: ClientResult<Conditional<Response<T>>>) -> Result<Look<T>> {
        let (found, date) = match answer {
            Ok(Conditional::NotModified(answer)) => (Found::Unchanged, answer.meta.date),
            Ok(Conditional::Modified(answer)) => {
                let date = answer.meta.date;
                (Found::Now(answer.into_model()), date)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => (Found::Gone, error.date()),
            Err(error) => return Err(self.context.error(error, None)),
        };
        Ok(Look { found, at: date.and_then(timestamp) })
    }

    /// Begins to make a snapshot and returns it as it is now.
    ///
    /// A repetition that finds the name taken takes the snapshot for its own where `is_ours` says so: names are made
    /// for one attempt.
    pub(crate) async fn begin_snapshot(
        &self,
        name: &str,
        content: &SnapshotContent,
        is_ours: impl Fn(&Snapshot) -> bool,
    ) -> Result<Snapshot> {
        let (result, tries) = attempts(self.client.begin_create_snapshot(name, content, None)).await;
        let error = match result {
            Ok(response) => return Ok(response.into_model()),
            Err(error) => error,
        };
        if error.kind() == ErrorKind::AlreadyExists && tries > 1 {
            let there =
                self.look_at_snapshot(name, None).await.map_err(|error| error.with_outcome(Outcome::Unknown))?;
            if let Found::Now(snapshot) = there.found
                && is_ours(&snapshot)
            {
                return Ok(snapshot);
            }
        }
        Err(self.context.error(error, None))
    }

    /// Waits until a snapshot is made, for as long as the client does.
    pub(crate) async fn await_snapshot(&self, name: &str) -> Result<Made> {
        let options = SnapshotWaitOptions { poll_interval: self.poll, ..Default::default() };
        match self.client.wait_for_snapshot(name, Some(options)).await {
            Ok(response) => Ok(Made::Whole(Box::new(response.into_model()))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Made::Gone),
            Err(error) if error.kind() == ErrorKind::SnapshotFailed => {
                Ok(Made::Failed(self.context.error(error, None)))
            }
            Err(error) => Err(self.context.error(error, None)),
        }
    }

    /// Archives a snapshot or makes it ready again.
    pub(crate) async fn change_snapshot(&self, name: &str, keep: bool) -> Result<Changed> {
        let result = match keep {
            true => self.client.recover_snapshot(name, None).await,
            false => self.client.archive_snapshot(name, None).await,
        };
        match result {
            Ok(_) => Ok(Changed::Done),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Changed::Gone),
            Err(error) if error.kind() == ErrorKind::InvalidState => Ok(Changed::Unfinished),
            Err(error) => Err(self.context.error(error, None)),
        }
    }
}

/// What came of making a snapshot.
#[derive(Debug)]
pub(crate) enum Made {
    /// It can be read.
    Whole(Box<Snapshot>),
    /// The store gave it up: there will never be one of this name.
    Failed(Error),
    /// There is no such snapshot.
    Gone,
}

/// What came of a change to a snapshot's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changed {
    /// It has the status asked for.
    Done,
    /// There is no such snapshot.
    Gone,
    /// It is still being made, or that failed.
    Unfinished,
}

/// The way through the pages of a list, which must come to an end.
#[derive(Debug, Default)]
struct Walk {
    next: Option<NextLink>,
    seen: HashSet<NextLink>,
}

impl Walk {
    /// Takes the link that a page answered; `false` if it was the last.
    fn go_on(&mut self, next: Option<NextLink>) -> Result<bool> {
        let Some(link) = next else { return Ok(false) };
        if !self.seen.insert(link.clone()) {
            return Err(unexpected("the store's pages lead in a circle"));
        }
        self.next = Some(link);
        Ok(true)
    }
}

fn unexpected(message: &str) -> Error {
    Error::new(repin_provider::ErrorKind::Unexpected, LIST, message)
}
