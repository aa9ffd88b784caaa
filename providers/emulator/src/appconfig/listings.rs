//! `/revisions`, `/keys` and `/labels`.

use std::collections::BTreeSet;

use super::exchange::{Exchange, Listing, continuation};
use super::fields::Select;
use super::key_values::KEY_VALUE_SET;
use super::model::{Id, KeyValueFilter, TextFilter, page_etag, page_of};
use super::reply::{Refused, Reply};
use super::request::ApiVersion;
use super::token;

const KEY_SET: &str = "application/vnd.microsoft.appconfig.keyset+json; charset=utf-8";
const LABEL_SET: &str = "application/vnd.microsoft.appconfig.labelset+json; charset=utf-8";

/// Answers `/revisions`.
pub(crate) fn revisions(exchange: &Exchange<'_>) -> Result<Reply, Refused> {
    let asked = exchange.asked;
    let select = Select::key_value(asked)?;
    let after = token::position::<(Id, u64)>(asked.query.get("after"))?;
    let filter = KeyValueFilter {
        key: revision_filter(exchange, "key")?,
        label: revision_filter(exchange, "label")?,
        tags: asked.tags(ApiVersion::V2023November)?,
    };
    let view = exchange.view()?;
    let rules = &exchange.app.rules;
    let page = page_of(exchange.store.revisions(&filter, view, after.as_ref(), rules, exchange.now));
    let after = continuation(page.more, page.items.last().map(|(seq, item)| (&item.id, seq)));
    let etag = page_etag(page.items.iter().map(|(_, item)| item.etag.as_str()), after.as_deref());
    Ok(exchange.list(Listing {
        media: KEY_VALUE_SET,
        items: page.items.iter().map(|(_, item)| select.write_key_value(item)).collect(),
        after,
        etag: (asked.version > ApiVersion::V1).then_some(etag),
    }))
}

fn revision_filter(exchange: &Exchange<'_>, name: &'static str) -> Result<TextFilter, Refused> {
    let text = exchange.asked.query.get(name).unwrap_or_default();
    TextFilter::parse_for_revisions(text).map_err(|error| Refused::invalid(name, format!("{name}{error}")))
}

/// Answers `/keys`: every key in use.
pub(crate) fn keys(exchange: &Exchange<'_>) -> Result<Reply, Refused> {
    names(exchange, KEY_SET, |id| Some(id.key))
}

/// Answers `/labels`: every label in use, null for none.
pub(crate) fn labels(exchange: &Exchange<'_>) -> Result<Reply, Refused> {
    names(exchange, LABEL_SET, |id| id.label)
}

fn names(exchange: &Exchange<'_>, media: &'static str, name_of: fn(Id) -> Option<String>) -> Result<Reply, Refused> {
    let select = Select::name(exchange.asked)?;
    let wanted = exchange.filter("name")?;
    let after = token::position::<Option<String>>(exchange.asked.query.get("after"))?;
    let all = KeyValueFilter { key: TextFilter::Any, label: TextFilter::Any, tags: Vec::new() };
    let found: BTreeSet<_> = exchange
        .store
        .list(&all, exchange.view()?, None)
        .map(|item| name_of(item.id.clone()))
        .filter(|name| wanted.matches(name.as_deref()) && after.as_ref().is_none_or(|after| name > after))
        .collect();
    let page = page_of(found.into_iter());
    Ok(exchange.list(Listing {
        media,
        items: page.items.iter().map(|name| select.write_name(name.as_deref())).collect(),
        after: continuation(page.more, page.items.last()),
        etag: None,
    }))
}
