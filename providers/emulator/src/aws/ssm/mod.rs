//! Parameter Store's model: state and rules, no HTTP.

mod delete;
mod filter;
mod label;
mod list;
pub(crate) mod name;
mod page;
mod parameter;
mod policy;
mod put;
mod read;
mod secret;
mod setting;
mod tag;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use self::name::Name;
use self::parameter::{Head, Parameter, Version, View};
use self::setting::Setting;
use super::context::{Context, Place, Row};
use super::error::{AwsError, Result};
use super::json11::parse;
use super::kms::Kms;
use crate::persist::{Persist, PersistError};

const HEADS: &str = "ssm_parameters";
const VERSIONS: &str = "ssm_versions";
const DELETIONS: &str = "ssm_deletions";
const SETTINGS: &str = "ssm_settings";

/// Every parameter of every account and region.
#[derive(Debug, Default)]
pub(crate) struct Ssm {
    stores: BTreeMap<Place, Store>,
}

/// The parameters of one account in one region.
#[derive(Debug, Default)]
pub(crate) struct Store {
    parameters: BTreeMap<Name, Parameter>,
    /// When names were last deleted, for as long as that matters.
    deletions: BTreeMap<Name, Timestamp>,
    settings: BTreeMap<String, Setting>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct VersionRow {
    name: Name,
    version: Version,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct DeletionRow {
    name: Name,
    at: Timestamp,
}

impl Ssm {
    /// Reads back what was kept.
    pub(crate) fn load(persist: &Persist) -> std::result::Result<Self, PersistError> {
        let mut ssm = Self::default();
        for (_, row) in persist.load_all::<Row<Head>>(HEADS)? {
            let Head { name, shown, tags } = row.item;
            let parameter = Parameter { shown, tags, versions: BTreeMap::new() };
            ssm.store(&row.place).parameters.insert(name, parameter);
        }
        for (_, row) in persist.load_all::<Row<VersionRow>>(VERSIONS)? {
            let VersionRow { name, version } = row.item;
            if let Some(parameter) = ssm.store(&row.place).parameters.get_mut(&name) {
                parameter.versions.insert(version.number, version);
            }
        }
        for (_, row) in persist.load_all::<Row<DeletionRow>>(DELETIONS)? {
            ssm.store(&row.place).deletions.insert(row.item.name, row.item.at);
        }
        for (_, row) in persist.load_all::<Row<Setting>>(SETTINGS)? {
            ssm.store(&row.place).settings.insert(row.item.id.clone(), row.item);
        }
        Ok(ssm)
    }

    /// Returns the parameters of a place.
    pub(crate) fn store(&mut self, place: &Place) -> &mut Store {
        self.stores.entry(place.clone()).or_default()
    }

    /// Tells whether a place has bought more throughput.
    pub(crate) fn high_throughput(&self, place: &Place) -> bool {
        self.stores.get(place).is_some_and(Store::high_throughput)
    }
}

impl Store {
    /// Finds a parameter for a read.
    fn find(&self, ctx: &Context<'_>, name: &Name) -> Result<View<'_>> {
        let parameter = self.parameters.get(name).ok_or_else(|| parameter::not_found(name.as_str()))?;
        parameter.seen(ctx.seen_until()).ok_or_else(|| parameter::not_found(name.as_str()))
    }

    /// Notes a parameter's tags.
    fn keep_head(&self, ctx: &mut Context<'_>, name: &Name) -> Result<()> {
        let Some(parameter) = self.parameters.get(name) else { return Ok(()) };
        let head = Head { name: name.clone(), shown: parameter.shown.clone(), tags: parameter.tags.clone() };
        ctx.keep(HEADS, head_key(&ctx.place, name), &head)
    }

    /// Notes one version with its labels.
    fn keep_version(&self, ctx: &mut Context<'_>, name: &Name, number: u64) -> Result<()> {
        let version = self.parameters.get(name).and_then(|parameter| parameter.versions.get(&number));
        let Some(version) = version.cloned() else { return Ok(()) };
        ctx.keep(VERSIONS, version_key(&ctx.place, name, number), &VersionRow { name: name.clone(), version })
    }
}

fn head_key(place: &Place, name: &Name) -> String {
    format!("{place}{}", name.as_str())
}

/// No name holds the `#`.
fn version_key(place: &Place, name: &Name, number: u64) -> String {
    format!("{place}{}#{number:020}", name.as_str())
}

/// Does one operation.
pub(crate) fn call(operation: &str, body: &[u8], ssm: &mut Ssm, kms: &mut Kms, ctx: &mut Context<'_>) -> Result<Value> {
    let store = ssm.stores.entry(ctx.place.clone()).or_default();
    match operation {
        "PutParameter" => put::put(store, kms, ctx, parse(body)?),
        "GetParameter" => read::get(store, kms, ctx, &parse(body)?),
        "GetParameters" => read::get_many(store, kms, ctx, &parse(body)?),
        "GetParametersByPath" => read::get_by_path(store, kms, ctx, &parse(body)?),
        "DescribeParameters" => list::describe(store, ctx, &parse(body)?),
        "GetParameterHistory" => list::history(store, kms, ctx, &parse(body)?),
        "DeleteParameter" => delete::delete(store, ctx, &parse(body)?),
        "DeleteParameters" => delete::delete_many(store, ctx, &parse(body)?),
        "LabelParameterVersion" => label::label(store, ctx, &parse(body)?),
        "UnlabelParameterVersion" => label::unlabel(store, ctx, &parse(body)?),
        "AddTagsToResource" => tag::add(store, ctx, parse(body)?),
        "RemoveTagsFromResource" => tag::remove(store, ctx, &parse(body)?),
        "ListTagsForResource" => tag::list(store, ctx, &parse(body)?),
        "GetServiceSetting" => setting::get(store, ctx, &parse(body)?),
        "UpdateServiceSetting" => setting::update(store, ctx, &parse(body)?),
        "ResetServiceSetting" => setting::reset(store, ctx, &parse(body)?),
        _ => Err(AwsError::new("UnknownOperationException", format!("{operation} is not modelled"))),
    }
}
