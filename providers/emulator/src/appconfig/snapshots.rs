//! `/snapshots`, `/snapshots/{name}` and `/operations`.

use std::collections::BTreeMap;

use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::json;

use super::exchange::{Exchange, Listing, continuation, quoted};
use super::fields::Select;
use super::model::{Composition, CreateSnapshot, Snapshot, SnapshotFilter, SnapshotState, Verdict, page_of};
use super::reply::{OPERATION_LOCATION, Refused, Reply};
use super::request::{ApiVersion, encode};
use super::token;
use crate::faults::Oddity;
use crate::server::http_date;

const SNAPSHOT: &str = "application/vnd.microsoft.appconfig.snapshot+json; charset=utf-8";
const SNAPSHOT_SET: &str = "application/vnd.microsoft.appconfig.snapshotset+json; charset=utf-8";

#[derive(Debug, Deserialize)]
struct CreateBody {
    filters: Vec<SnapshotFilter>,
    composition_type: Option<Composition>,
    retention_period: Option<u64>,
    tags: Option<BTreeMap<String, Option<String>>>,
    description: Option<String>,
}

#[derive(Debug, Deserialize)]
struct PatchBody {
    status: String,
}

/// Answers `GET /snapshots`.
pub(crate) fn list(exchange: &Exchange<'_>) -> Result<Reply, Refused> {
    let asked = exchange.asked;
    let select = Select::snapshot(asked)?;
    let after = token::position::<String>(asked.query.get("after"))?;
    let (name, status) = (exchange.filter("name")?, statuses(asked.query.get("status"))?);
    let now = exchange.now;
    let page = page_of(exchange.store.snapshots(now).filter(|one| {
        after.as_ref().is_none_or(|after| one.name > *after)
            && name.matches(Some(&one.name))
            && status.as_ref().is_none_or(|wanted| wanted.iter().any(|one_of| one_of == one.state(now).status()))
    }));
    Ok(exchange.list(Listing {
        media: SNAPSHOT_SET,
        items: page.items.iter().map(|one| select.write_snapshot(one, now)).collect(),
        after: continuation(page.more, page.items.last().map(|one| &one.name)),
        etag: None,
    }))
}

/// Reads the `status` filter: some of the four states, or any.
fn statuses(text: Option<&str>) -> Result<Option<Vec<String>>, Refused> {
    let Some(text) = text.filter(|text| !text.is_empty() && *text != "*") else { return Ok(None) };
    let wanted: Vec<_> = text.split(',').map(|one| one.trim().to_lowercase()).collect();
    let known = |one: &String| ["provisioning", "ready", "archived", "failed"].contains(&one.as_str());
    match wanted.iter().all(known) {
        true => Ok(Some(wanted)),
        false => Err(Refused::invalid("status", "Unknown status")),
    }
}

/// Answers `GET /snapshots/{name}`.
pub(crate) fn get(exchange: &Exchange<'_>, name: &str) -> Result<Reply, Refused> {
    let select = Select::snapshot(exchange.asked)?;
    let snapshot = exchange.store.snapshot(name, exchange.now).ok_or(Refused::NotFound)?;
    match exchange.asked.conditions().judge_read(&snapshot.etag(exchange.now)) {
        Verdict::Failed => Err(Refused::Precondition),
        Verdict::NotModified => Ok(Reply::empty(StatusCode::NOT_MODIFIED)),
        Verdict::Proceed => Ok(write(exchange, &select, StatusCode::OK, snapshot)),
    }
}

/// Answers `PUT /snapshots/{name}`: 201, and where to watch it being made.
pub(crate) fn create(exchange: &mut Exchange<'_>, name: &str) -> Result<Reply, Refused> {
    let asked = exchange.asked;
    asked.require_json()?;
    let body: CreateBody =
        serde_json::from_slice(asked.body).map_err(|error| Refused::invalid("body", error.to_string()))?;
    let wanted = CreateSnapshot {
        name: name.to_owned(),
        filters: body.filters,
        composition: body.composition_type.unwrap_or_default(),
        retention: body.retention_period,
        tags: body.tags.unwrap_or_default(),
        description: body.description.filter(|_| asked.version >= ApiVersion::V2026April),
    };
    let (conditions, mut rules) = (asked.conditions(), exchange.app.rules);
    if let Some(Oddity::SnapshotStays(how_long)) = exchange.oddity {
        rules.provisioning = how_long;
    }
    // Judged before a failure is spent on it: a refused request makes no snapshot that could fail.
    exchange.store.plan_snapshot(wanted.clone(), None, &conditions, &rules, exchange.now)?;
    let fail = match exchange.oddity {
        Some(Oddity::SnapshotFails(failure)) => Some(failure),
        _ => exchange.app.take_failure(),
    };
    let change = exchange.store.plan_snapshot(wanted, fail, &conditions, &rules, exchange.now)?;
    exchange.commit(&change)?;
    let snapshot = exchange.store.snapshot(name, exchange.now).ok_or(Refused::NotFound)?;
    let operation = format!("/operations?snapshot={}&api-version={}", encode(name), asked.version.as_str());
    let select = Select::snapshot(asked)?;
    Ok(write(exchange, &select, StatusCode::CREATED, snapshot)
        .with(OPERATION_LOCATION, &asked.absolute(exchange.app.tls, &operation)))
}

/// Answers `PATCH /snapshots/{name}`: archives or recovers.
pub(crate) fn patch(exchange: &mut Exchange<'_>, name: &str) -> Result<Reply, Refused> {
    let asked = exchange.asked;
    asked.require_json()?;
    let body: PatchBody =
        serde_json::from_slice(asked.body).map_err(|error| Refused::invalid("body", error.to_string()))?;
    let archive = match body.status.as_str() {
        "archived" => true,
        "ready" => false,
        _ => return Err(Refused::invalid("status", "Only 'archived' and 'ready' can be asked for")),
    };
    let change = exchange.store.plan_archive(name, archive, &asked.conditions(), exchange.now)?;
    exchange.commit(&change)?;
    let snapshot = exchange.store.snapshot(name, exchange.now).ok_or(Refused::NotFound)?;
    Ok(write(exchange, &Select::snapshot(asked)?, StatusCode::OK, snapshot))
}

/// Answers `GET /operations`: how the making of a snapshot goes.
pub(crate) fn operation(exchange: &Exchange<'_>) -> Result<Reply, Refused> {
    let name = exchange.asked.query.get("snapshot").unwrap_or_default();
    if name.is_empty() {
        return Err(Refused::invalid("snapshot", "Required"));
    }
    let snapshot = exchange.store.snapshot(name, exchange.now).ok_or(Refused::NotFound)?;
    let state = snapshot.state(exchange.now);
    let error = match state {
        SnapshotState::Failed(failure) => json!({ "code": failure.code(), "message": failure.message() }),
        _ => json!(null),
    };
    let body = json!({ "id": name, "status": state.operation_status(), "error": error });
    let reply = Reply::json(StatusCode::OK, "application/json; charset=utf-8", body);
    match state {
        // The service says 10; the least that can be said keeps clients of a fast emulator fast.
        SnapshotState::Provisioning => Ok(reply.with(header::RETRY_AFTER, "1")),
        _ => Ok(reply),
    }
}

fn write(exchange: &Exchange<'_>, select: &Select, status: StatusCode, snapshot: &Snapshot) -> Reply {
    let items = format!("/kv?snapshot={}&api-version={}", encode(&snapshot.name), exchange.asked.version.as_str());
    let modified = http_date(snapshot.changed_at);
    Reply::json(status, SNAPSHOT, select.write_snapshot(snapshot, exchange.now))
        .with(header::ETAG, &quoted(&snapshot.etag(exchange.now)))
        .with(header::LAST_MODIFIED, modified.to_str().unwrap_or_default())
        .with(header::LINK, &format!("<{items}>; rel=\"items\""))
}
