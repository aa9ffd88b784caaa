//! DeleteParameter and DeleteParameters.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::name::Name;
use super::put::RECREATE_WAIT;
use super::{DELETIONS, DeletionRow, HEADS, Store, VERSIONS, head_key, parameter, version_key};
use crate::aws::context::Context;
use crate::aws::error::{Result, check_count};

const MAX_NAMES: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Delete {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteMany {
    names: Vec<String>,
}

/// Deletes one parameter with all of its versions.
pub(super) fn delete(store: &mut Store, ctx: &mut Context<'_>, input: &Delete) -> Result<Value> {
    let name = Name::parse_bare(&input.name, &ctx.place)?;
    if remove(store, ctx, &name)? { Ok(json!({})) } else { Err(parameter::not_found(&input.name)) }
}

/// Deletes up to ten; unknown ones are listed.
pub(super) fn delete_many(store: &mut Store, ctx: &mut Context<'_>, input: &DeleteMany) -> Result<Value> {
    check_count("names", &input.names, 1, MAX_NAMES)?;
    let unique: BTreeSet<&String> = input.names.iter().collect();
    let names: Vec<(&String, Name)> = unique
        .into_iter()
        .map(|text| Name::parse_bare(text, &ctx.place).map(|name| (text, name)))
        .collect::<Result<_>>()?;
    let (mut deleted, mut invalid) = (Vec::new(), Vec::new());
    for (text, name) in names {
        if remove(store, ctx, &name)? { &mut deleted } else { &mut invalid }.push(text.as_str());
    }
    Ok(json!({ "DeletedParameters": deleted, "InvalidParameters": invalid }))
}

fn remove(store: &mut Store, ctx: &mut Context<'_>, name: &Name) -> Result<bool> {
    forget_old_deletions(store, ctx);
    let Some(parameter) = store.parameters.remove(name) else { return Ok(false) };
    ctx.drop_row(HEADS, head_key(&ctx.place, name));
    for number in parameter.versions.keys() {
        ctx.drop_row(VERSIONS, version_key(&ctx.place, name, *number));
    }
    store.deletions.insert(name.clone(), ctx.now);
    ctx.keep(DELETIONS, head_key(&ctx.place, name), &DeletionRow { name: name.clone(), at: ctx.now })?;
    Ok(true)
}

fn forget_old_deletions(store: &mut Store, ctx: &mut Context<'_>) {
    let over = |at: &jiff::Timestamp| ctx.now.duration_since(*at) >= RECREATE_WAIT;
    let old: Vec<Name> = store.deletions.iter().filter(|(_, at)| over(at)).map(|(name, _)| name.clone()).collect();
    for name in old {
        store.deletions.remove(&name);
        ctx.drop_row(DELETIONS, head_key(&ctx.place, &name));
    }
}
