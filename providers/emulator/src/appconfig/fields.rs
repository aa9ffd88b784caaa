//! The JSON of each resource, cut down to the fields a request selects.

use serde_json::{Map, Value, json};

use super::date;
use super::model::{KeyValue, Snapshot, SnapshotState};
use super::reply::Refused;
use super::request::{ApiVersion, Asked};

const KEY_VALUE: [&str; 9] =
    ["key", "label", "content_type", "value", "tags", "locked", "last_modified", "etag", "description"];

const SNAPSHOT: [&str; 13] = [
    "name",
    "status",
    "filters",
    "composition_type",
    "created",
    "expires",
    "retention_period",
    "size",
    "items_count",
    "tags",
    "description",
    "etag",
    "operation_id",
];

/// Which fields an answer has.
#[derive(Debug)]
pub(crate) struct Select {
    /// All of them if left out.
    wanted: Option<Vec<String>>,
    version: ApiVersion,
}

impl Select {
    /// Reads `$select` for key-values.
    pub(crate) fn key_value(asked: &Asked<'_>) -> Result<Self, Refused> {
        Self::parse(asked, &KEY_VALUE)
    }

    /// Reads `$select` for snapshots.
    pub(crate) fn snapshot(asked: &Asked<'_>) -> Result<Self, Refused> {
        Self::parse(asked, &SNAPSHOT)
    }

    /// Reads `$select` for keys and labels.
    pub(crate) fn name(asked: &Asked<'_>) -> Result<Self, Refused> {
        Self::parse(asked, &["name"])
    }

    /// An empty list is what some clients send for everything.
    fn parse(asked: &Asked<'_>, known: &[&str]) -> Result<Self, Refused> {
        let version = asked.version;
        let Some(text) = asked.query.get("$select").filter(|text| !text.trim().is_empty()) else {
            return Ok(Self { wanted: None, version });
        };
        let wanted: Vec<_> = text.split(',').map(|field| field.trim().to_owned()).collect();
        match wanted.iter().find(|field| !known.contains(&field.as_str())) {
            Some(field) => Err(Refused::invalid("$select", format!("Unknown field '{field}'"))),
            None => Ok(Self { wanted: Some(wanted), version }),
        }
    }

    fn cut(&self, fields: Vec<(&'static str, Value)>) -> Value {
        let wanted = |field: &str| self.wanted.as_ref().is_none_or(|wanted| wanted.iter().any(|one| one == field));
        let known = |field: &str| field != "description" || self.version >= ApiVersion::V2026April;
        let kept = fields.into_iter().filter(|(field, _)| wanted(field) && known(field));
        Value::Object(Map::from_iter(kept.map(|(field, value)| (field.to_owned(), value))))
    }

    /// Writes a key-value.
    pub(crate) fn write_key_value(&self, item: &KeyValue) -> Value {
        self.cut(vec![
            ("etag", json!(item.etag)),
            ("key", json!(item.id.key)),
            ("label", json!(item.id.label)),
            ("content_type", json!(item.content.content_type)),
            ("value", json!(item.content.value)),
            ("tags", json!(item.content.tags)),
            ("locked", json!(item.locked)),
            ("last_modified", json!(date::json(item.last_modified))),
            ("description", json!(item.content.description)),
        ])
    }

    /// Writes a snapshot as it is at a moment.
    pub(crate) fn write_snapshot(&self, snapshot: &Snapshot, now: jiff::Timestamp) -> Value {
        let state = snapshot.state(now);
        let mut fields = vec![
            ("etag", json!(snapshot.etag(now))),
            ("name", json!(snapshot.name)),
            ("status", json!(state.status())),
            ("filters", Value::Array(snapshot.filters.iter().map(|filter| self.write_filter(filter)).collect())),
            ("composition_type", json!(snapshot.composition)),
            ("created", json!(date::json(snapshot.created))),
            ("size", json!(snapshot.bytes())),
            ("items_count", json!(snapshot.items.len())),
            ("tags", json!(snapshot.tags)),
            ("retention_period", json!(snapshot.retention)),
            ("description", json!(snapshot.description)),
        ];
        if let SnapshotState::Archived { expires } = state {
            fields.push(("expires", json!(date::json(expires))));
        }
        self.cut(fields)
    }

    fn write_filter(&self, filter: &super::model::SnapshotFilter) -> Value {
        let mut fields = json!({ "key": filter.key, "label": filter.label });
        if self.version >= ApiVersion::V2023November {
            fields["tags"] = json!(filter.tags);
        }
        fields
    }

    /// Writes a key or a label.
    pub(crate) fn write_name(&self, name: Option<&str>) -> Value {
        self.cut(vec![("name", json!(name))])
    }
}
