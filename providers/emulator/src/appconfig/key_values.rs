//! `/kv`, `/kv/{key}` and `/locks/{key}`.

use std::collections::BTreeMap;

use http::{Method, StatusCode, header};
use serde::Deserialize;

use super::exchange::{Exchange, Listing, continuation, quoted};
use super::fields::Select;
use super::model::{Content, Id, KeyValue, KeyValueFilter, Page, TextFilter, Verdict, View, page_etag, page_of};
use super::reply::{Refused, Reply};
use super::request::ApiVersion;
use super::token;
use crate::server::http_date;

const KEY_VALUE: &str = "application/vnd.microsoft.appconfig.kv+json; charset=utf-8";
pub(crate) const KEY_VALUE_SET: &str = "application/vnd.microsoft.appconfig.kvset+json; charset=utf-8";

/// What a writer may say; the key and the label come from the address, wherever else they are repeated.
#[derive(Debug, Deserialize)]
struct PutBody {
    value: Option<String>,
    content_type: Option<String>,
    tags: Option<BTreeMap<String, Option<String>>>,
    description: Option<String>,
}

/// Answers `/kv`.
pub(crate) fn list(exchange: &Exchange<'_>) -> Result<Reply, Refused> {
    let asked = exchange.asked;
    let select = Select::key_value(asked)?;
    let after = token::position::<Id>(asked.query.get("after"))?;
    // The first version has no snapshots, and ignores the parameter as it does every unknown one.
    let snapshot = asked.query.get("snapshot").filter(|_| asked.version > ApiVersion::V1);
    let page = match snapshot {
        Some(name) => page_of_snapshot(exchange, name, after.as_ref())?,
        None => page_of_store(exchange, after.as_ref())?,
    };
    let after = continuation(page.more, page.items.last().map(|item| &item.id));
    let etag = page_etag(page.items.iter().map(|item| item.etag.as_str()), after.as_deref());
    Ok(exchange.list(Listing {
        media: KEY_VALUE_SET,
        items: page.items.iter().map(|item| select.write_key_value(item)).collect(),
        after,
        etag: (asked.version > ApiVersion::V1).then_some(etag),
    }))
}

fn page_of_store(exchange: &Exchange<'_>, after: Option<&Id>) -> Result<Page<KeyValue>, Refused> {
    let tags = exchange.asked.tags(ApiVersion::V2023November)?;
    let filter = KeyValueFilter { key: exchange.filter("key")?, label: exchange.filter("label")?, tags };
    Ok(page_of(exchange.store.list(&filter, exchange.view()?, after).cloned()))
}

fn page_of_snapshot(exchange: &Exchange<'_>, name: &str, after: Option<&Id>) -> Result<Page<KeyValue>, Refused> {
    if ["key", "label", "tags"].iter().any(|name| exchange.asked.query.get(name).is_some()) {
        return Err(Refused::invalid("snapshot", "Cannot be combined with key, label or tags"));
    }
    let snapshot = exchange.store.snapshot(name, exchange.now).ok_or(Refused::NotFound)?;
    let listed = snapshot.listed(exchange.now).iter();
    Ok(page_of(listed.filter(|item| after.is_none_or(|after| item.id > *after)).cloned()))
}

/// Answers `GET /kv/{key}`.
pub(crate) fn get(exchange: &Exchange<'_>, key: &str) -> Result<Reply, Refused> {
    let asked = exchange.asked;
    let select = Select::key_value(asked)?;
    let filter =
        KeyValueFilter { key: TextFilter::Any, label: TextFilter::Any, tags: asked.tags(ApiVersion::V2024September)? };
    let id = Id { key: key.to_owned(), label: asked.label() };
    let found = exchange.store.get(&id, exchange.view()?).filter(|item| filter.tagged(item));
    let Some(item) = found else {
        return Ok(exchange.remembered(Refused::NotFound.into_reply()));
    };
    let reply = match asked.conditions().judge_read(&item.etag) {
        Verdict::Failed => return Err(Refused::Precondition),
        Verdict::NotModified => Reply::empty(StatusCode::NOT_MODIFIED),
        Verdict::Proceed => write(&select, item),
    };
    Ok(exchange.remembered(reply))
}

/// Answers `PUT /kv/{key}`: 200 whether it creates, replaces or finds the same already there.
pub(crate) fn put(exchange: &mut Exchange<'_>, key: &str) -> Result<Reply, Refused> {
    let asked = exchange.asked;
    asked.require_json()?;
    let body: PutBody =
        serde_json::from_slice(asked.body).map_err(|error| Refused::invalid("body", error.to_string()))?;
    let content = Content {
        value: body.value,
        content_type: body.content_type,
        tags: body.tags.unwrap_or_default(),
        description: body.description.filter(|_| asked.version >= ApiVersion::V2026April),
    };
    let id = Id { key: key.to_owned(), label: asked.label() };
    let change = exchange.store.plan_put(id.clone(), content, &asked.conditions(), exchange.now)?;
    exchange.commit(&change)?;
    answer_current(exchange, &id)
}

/// Answers `DELETE /kv/{key}`: 200 with what was deleted, or 204.
pub(crate) fn delete(exchange: &mut Exchange<'_>, key: &str) -> Result<Reply, Refused> {
    let select = Select::key_value(exchange.asked)?;
    let id = Id { key: key.to_owned(), label: exchange.asked.label() };
    let existing = exchange.store.get(&id, View::Now).cloned();
    let change = exchange.store.plan_delete(id, &exchange.asked.conditions(), exchange.now)?;
    exchange.commit(&change)?;
    Ok(existing.map_or_else(|| Reply::empty(StatusCode::NO_CONTENT), |item| write(&select, &item)))
}

/// Answers `/locks/{key}`: PUT locks, DELETE unlocks.
pub(crate) fn lock(exchange: &mut Exchange<'_>, key: &str) -> Result<Reply, Refused> {
    let id = Id { key: key.to_owned(), label: exchange.asked.label() };
    let conditions = exchange.asked.conditions();
    let locked = *exchange.asked.method == Method::PUT;
    let change = exchange.store.plan_lock(id.clone(), locked, &conditions, exchange.now)?;
    exchange.commit(&change)?;
    answer_current(exchange, &id)
}

fn answer_current(exchange: &Exchange<'_>, id: &Id) -> Result<Reply, Refused> {
    let select = Select::key_value(exchange.asked)?;
    let item = exchange.store.get(id, View::Now).ok_or(Refused::NotFound)?;
    Ok(write(&select, item))
}

fn write(select: &Select, item: &KeyValue) -> Reply {
    let modified = http_date(item.last_modified);
    Reply::json(StatusCode::OK, KEY_VALUE, select.write_key_value(item))
        .with(header::ETAG, &quoted(&item.etag))
        .with(header::LAST_MODIFIED, modified.to_str().unwrap_or_default())
}
