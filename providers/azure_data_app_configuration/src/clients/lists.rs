//! Lists: key-values, revisions, keys and labels.

use azure_core::http::{Context, Method};
use azure_core::time::OffsetDateTime;
use futures::FutureExt;
use serde::de::DeserializeOwned;

use super::AppConfigurationClient;
use super::call::{conditional, parse};
use crate::error::{Error, Result};
use crate::filter::{KeyFilter, KeyValueSelector, LabelFilter};
use crate::models::{Conditional, KeyName, KeyValue, LabelName, ListBody, NextLink, NotModified, Page, PageHead};
use crate::options::{ListNamesOptions, ListOptions, PageOptions};
use crate::pager::Pager;
use crate::response::{ResponseMeta, next_link};

/// A list: what stays the same over its pages.
#[derive(Debug, Clone)]
pub(super) struct List {
    pub(super) operation: &'static str,
    pub(super) resource: &'static str,
    /// The part of the media type that names the list.
    pub(super) accept: &'static str,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) accept_datetime: Option<OffsetDateTime>,
}

impl List {
    fn key_values(selector: &KeyValueSelector) -> Result<Self> {
        Ok(Self {
            operation: "GET /kv",
            resource: "kv",
            accept: "kvset",
            query: selector.to_query()?,
            accept_datetime: selector.accept_datetime,
        })
    }
}

impl AppConfigurationClient {
    /// Lists key-values, ordered by key and label.
    ///
    /// # Errors
    /// `InvalidInput` at once for a selector that cannot be spelled; the list itself yields the other errors.
    pub fn list_key_values(
        &self,
        selector: &KeyValueSelector,
        options: Option<ListOptions<'_>>,
    ) -> Result<Pager<KeyValue>> {
        Ok(self.pager(List::key_values(selector)?, options.unwrap_or_default()))
    }

    /// Reads one page of a list of key-values: the first, or the one behind `next`.
    ///
    /// With the etag of the page in the options an unchanged page is `NotModified`, which still leads on to the next.
    /// All pages unchanged, and as many as before, means that nothing changed.
    ///
    /// # Errors
    /// `InvalidInput` for a selector that cannot be spelled.
    pub async fn list_key_values_page(
        &self,
        selector: &KeyValueSelector,
        next: Option<&NextLink>,
        options: Option<PageOptions<'_>>,
    ) -> Result<Conditional<Page<KeyValue>>> {
        let options = options.unwrap_or_default();
        let list = List::key_values(selector)?;
        self.page(&list, next, options.if_none_match.as_deref(), &options.method_options.context).await
    }

    /// Asks for one page of a list of key-values without its body: its etag, and where the next page is.
    ///
    /// # Errors
    /// As [`list_key_values_page`](Self::list_key_values_page).
    pub async fn check_key_values_page(
        &self,
        selector: &KeyValueSelector,
        next: Option<&NextLink>,
        options: Option<PageOptions<'_>>,
    ) -> Result<Conditional<PageHead>> {
        const OPERATION: &str = "HEAD /kv";
        let options = options.unwrap_or_default();
        let list = List::key_values(selector)?;
        let call = match next {
            None => self.call(OPERATION, Method::Head, list.resource, None, list.query)?,
            Some(next) => self.call_link(OPERATION, Method::Head, next)?,
        };
        let call = call
            .accept(list.accept)
            .accept_datetime(list.accept_datetime)
            .if_changed_since(options.if_none_match.as_deref())?;
        let response = self.send(call, &options.method_options.context).await?;
        Ok(match conditional(response) {
            Conditional::NotModified(unchanged) => Conditional::NotModified(unchanged),
            Conditional::Modified(response) => {
                let (meta, next) = (ResponseMeta::new(&response), next_link(response.headers()));
                Conditional::Modified(PageHead { etag: meta.etag.clone(), next, meta })
            }
        })
    }

    /// Lists revisions: the contents that key-values have and had, as far back as the store keeps them (7 or 30 days).
    ///
    /// Sort them by [`last_modified`](KeyValue::last_modified): the service does not promise an order. A deletion is
    /// no revision; those of a deleted key stay until they expire.
    ///
    /// # Errors
    /// `InvalidInput` at once for a selector that cannot be spelled or names a snapshot; the list itself yields the
    /// other errors.
    pub fn list_revisions(
        &self,
        selector: &KeyValueSelector,
        options: Option<ListOptions<'_>>,
    ) -> Result<Pager<KeyValue>> {
        if selector.snapshot.is_some() {
            return Err(Error::invalid_input("a snapshot has no revisions"));
        }
        let list = List { operation: "GET /revisions", resource: "revisions", ..List::key_values(selector)? };
        Ok(self.pager(list, options.unwrap_or_default()))
    }

    /// Lists the keys in use.
    ///
    /// # Errors
    /// `InvalidInput` at once for a filter that cannot be spelled; the list itself yields the other errors.
    pub fn list_keys(&self, filter: &KeyFilter, options: Option<ListNamesOptions<'_>>) -> Result<Pager<KeyName>> {
        let options = options.unwrap_or_default();
        let list = List {
            operation: "GET /keys",
            resource: "keys",
            accept: "keyset",
            query: vec![("name", filter.to_filter()?)],
            accept_datetime: options.accept_datetime,
        };
        Ok(self.pager(list, ListOptions { method_options: options.method_options }))
    }

    /// Lists the labels in use.
    ///
    /// # Errors
    /// `InvalidInput` at once for a filter that cannot be spelled; the list itself yields the other errors.
    pub fn list_labels(&self, filter: &LabelFilter, options: Option<ListNamesOptions<'_>>) -> Result<Pager<LabelName>> {
        let options = options.unwrap_or_default();
        let list = List {
            operation: "GET /labels",
            resource: "labels",
            accept: "labelset",
            query: vec![("name", filter.to_filter()?)],
            accept_datetime: options.accept_datetime,
        };
        Ok(self.pager(list, ListOptions { method_options: options.method_options }))
    }

    /// Returns the items of a list over all its pages.
    pub(super) fn pager<T>(&self, list: List, options: ListOptions<'_>) -> Pager<T>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let client = self.clone();
        let context = options.method_options.context.into_owned();
        Pager::new(move |next| {
            let (client, list, context) = (client.clone(), list.clone(), context.clone());
            async move {
                match client.page(&list, next.as_ref(), None, &context).await? {
                    Conditional::Modified(page) => Ok(page),
                    Conditional::NotModified(NotModified { .. }) => {
                        Err(Error::unexpected(list.operation, "an unconditional read was answered as not modified"))
                    }
                }
            }
            .boxed()
        })
    }

    async fn page<T: DeserializeOwned>(
        &self,
        list: &List,
        next: Option<&NextLink>,
        etag: Option<&str>,
        context: &Context<'_>,
    ) -> Result<Conditional<Page<T>>> {
        let call = match next {
            None => self.call(list.operation, Method::Get, list.resource, None, list.query.clone())?,
            Some(next) => self.call_link(list.operation, Method::Get, next)?,
        };
        let call = call.accept(list.accept).accept_datetime(list.accept_datetime).if_changed_since(etag)?;
        let response = match conditional(self.send(call, context).await?) {
            Conditional::NotModified(unchanged) => return Ok(Conditional::NotModified(unchanged)),
            Conditional::Modified(response) => response,
        };
        let body: ListBody<T> = parse(list.operation, &response)?;
        let meta = ResponseMeta::new(&response);
        let next = body.next_link.filter(|link| !link.is_empty()).map(NextLink::from);
        let next = next.or_else(|| next_link(response.headers()));
        Ok(Conditional::Modified(Page { items: body.items, etag: body.etag.or_else(|| meta.etag.clone()), next, meta }))
    }
}
