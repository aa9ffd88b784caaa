//! One request against one store: the common part of every resource.

use http::{HeaderName, StatusCode, header};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::AppConfig;
use super::model::{Change, Store, TextFilter, Verdict, View};
use super::reply::{MEMENTO_DATETIME, Refused, Reply};
use super::request::Asked;
use super::{tables, token};
use crate::faults::Oddity;
use crate::server::http_date;

/// A request and the store it is about.
pub(crate) struct Exchange<'a> {
    pub(crate) app: &'a AppConfig,
    pub(crate) asked: &'a Asked<'a>,
    pub(crate) store_name: &'a str,
    pub(crate) store: &'a mut Store,
    pub(crate) now: Timestamp,
    /// What this reader sees where reads lag.
    pub(crate) lagging: Option<View>,
    /// The state that the service is in for this request alone.
    pub(crate) oddity: Option<Oddity>,
}

/// One page of some resource, ready to be answered.
pub(crate) struct Listing {
    pub(crate) media: &'static str,
    pub(crate) items: Vec<Value>,
    /// The continuation token, if there is a further page.
    pub(crate) after: Option<String>,
    /// The page's etag, where the resource and the version have one.
    pub(crate) etag: Option<String>,
}

impl Exchange<'_> {
    /// Returns the writes that this reader sees: as of an instant, or those its cache already has.
    pub(crate) fn view(&self) -> Result<View, Refused> {
        if let Some(instant) = self.asked.instant()? {
            return Ok(View::before(instant, &self.app.rules, self.now));
        }
        Ok(self.lagging.unwrap_or(View::Now))
    }

    /// Parses a filter parameter.
    pub(crate) fn filter(&self, name: &'static str) -> Result<TextFilter, Refused> {
        let text = self.asked.query.get(name).unwrap_or_default();
        TextFilter::parse(text).map_err(|error| Refused::invalid(name, format!("{name}{error}")))
    }

    /// Saves a change, then takes it in.
    ///
    /// What expired goes in the same transaction, so that the data does not grow for ever.
    pub(crate) fn commit(&mut self, change: &Change) -> Result<(), Refused> {
        match change {
            Change::Nothing => Ok(()),
            Change::Write(revision) => {
                let gone = self.store.expired(&revision.id, &self.app.rules, self.now);
                let mut rows = vec![tables::put_revision(self.store_name, revision)?];
                rows.extend(gone.iter().map(|seq| tables::delete_revision(self.store_name, *seq)));
                self.app.persist.commit(&rows)?;
                self.store.forget(&revision.id, &gone);
                self.store.apply(change.clone());
                Ok(())
            }
            Change::Keep(snapshot) => {
                let gone = self.store.expired_snapshots(self.now);
                let deleted = gone.iter().map(|name| tables::delete_snapshot(self.store_name, name));
                // An expired snapshot may have had the same name: delete first.
                let rows: Vec<_> = deleted.chain([tables::put_snapshot(self.store_name, snapshot)?]).collect();
                self.app.persist.commit(&rows)?;
                gone.iter().for_each(|name| self.store.forget_snapshot(name));
                self.store.apply(change.clone());
                Ok(())
            }
        }
    }

    /// Answers a page, or that it is unchanged.
    ///
    /// A 304 keeps the link to the next page, since clients walk on by it, and has no `ETag`, since the Go client
    /// takes one for a change.
    pub(crate) fn list(&self, listing: Listing) -> Reply {
        let next = listing.after.as_deref().map(|after| self.asked.next_link(after));
        let link = next.as_ref().map(|next| format!("<{next}>; rel=\"next\""));
        let conditions = self.asked.conditions();
        let verdict = listing.etag.as_deref().map_or(Verdict::Proceed, |etag| conditions.judge_read(etag));
        let reply = match verdict {
            Verdict::Failed => return Reply::empty(StatusCode::PRECONDITION_FAILED),
            Verdict::NotModified => Reply::empty(StatusCode::NOT_MODIFIED),
            Verdict::Proceed => {
                let mut body = Map::from_iter([("items".to_owned(), Value::Array(listing.items))]);
                if let Some(next) = &next {
                    body.insert("@nextLink".to_owned(), json!(next));
                }
                if let Some(etag) = &listing.etag {
                    body.insert("etag".to_owned(), json!(etag));
                }
                let reply = Reply::json(StatusCode::OK, listing.media, Value::Object(body));
                with_some(reply, header::ETAG, listing.etag.map(|etag| quoted(&etag)))
            }
        };
        self.remembered(with_some(reply, header::LINK, link))
    }

    /// Adds what tells a time traveller where he is.
    pub(crate) fn remembered(&self, reply: Reply) -> Reply {
        match self.asked.instant() {
            Ok(Some(instant)) if instant <= self.now => reply
                .with(MEMENTO_DATETIME, http_date(instant).to_str().unwrap_or_default())
                .with(header::LINK, &format!("<{}>; rel=\"original\"", self.asked.original_link())),
            _ => reply,
        }
    }
}

/// Adds a header, if there is one.
fn with_some(reply: Reply, name: HeaderName, value: Option<String>) -> Reply {
    match value {
        Some(value) => reply.with(name, &value),
        None => reply,
    }
}

/// Writes an etag as headers do.
pub(crate) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// Makes the continuation token of a page, if more follows.
pub(crate) fn continuation<P: Serialize>(more: bool, last: Option<P>) -> Option<String> {
    last.filter(|_| more).map(|position| token::after(&position))
}
