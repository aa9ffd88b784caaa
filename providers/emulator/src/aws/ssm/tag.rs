//! Tags of parameters.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Store;
use super::name::Name;
use super::parameter::Parameter;
use crate::aws::context::Context;
use crate::aws::error::{AwsError, Result, check_count, check_length};

/// Tags of one parameter.
const MAX_TAGS: usize = 50;

/// One tag as requests write it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    pub(super) key: String,
    pub(super) value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Add {
    resource_type: String,
    resource_id: String,
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Remove {
    resource_type: String,
    resource_id: String,
    tag_keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct List {
    resource_type: String,
    resource_id: String,
}

/// Checks tags: their number, lengths and characters, and that no key comes twice.
pub(super) fn check(tags: &[Tag]) -> Result<()> {
    if tags.len() > MAX_TAGS {
        return Err(too_many());
    }
    let mut keys = BTreeSet::new();
    for tag in tags {
        check_length("tags.key", &tag.key, 1, 128)?;
        check_length("tags.value", &tag.value, 0, 256)?;
        let fits =
            |text: &str| text.chars().all(|c| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c));
        if !fits(&tag.key) || !fits(&tag.value) {
            return Err(AwsError::constraint(
                "tags",
                "Member must satisfy regular expression pattern: ^([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*)$",
            ));
        }
        if tag.key.to_ascii_lowercase().starts_with("aws:") {
            return Err(AwsError::validation("Tag keys that begin with aws: belong to AWS."));
        }
        if !keys.insert(&tag.key) {
            return Err(AwsError::validation("Duplicate tag keys are not allowed."));
        }
    }
    Ok(())
}

pub(super) fn add(store: &mut Store, ctx: &mut Context<'_>, input: Add) -> Result<Value> {
    check(&input.tags)?;
    let (name, parameter) = find(store, ctx, &input.resource_type, &input.resource_id)?;
    let new = input.tags.iter().filter(|tag| !parameter.tags.contains_key(&tag.key)).count();
    if parameter.tags.len() + new > MAX_TAGS {
        return Err(too_many());
    }
    parameter.tags.extend(input.tags.into_iter().map(|tag| (tag.key, tag.value)));
    store.keep_head(ctx, &name)?;
    Ok(json!({}))
}

pub(super) fn remove(store: &mut Store, ctx: &mut Context<'_>, input: &Remove) -> Result<Value> {
    check_count("tagKeys", &input.tag_keys, 0, MAX_TAGS)?;
    let (name, parameter) = find(store, ctx, &input.resource_type, &input.resource_id)?;
    parameter.tags.retain(|key, _| !input.tag_keys.contains(key));
    store.keep_head(ctx, &name)?;
    Ok(json!({}))
}

pub(super) fn list(store: &mut Store, ctx: &Context<'_>, input: &List) -> Result<Value> {
    let (_, parameter) = find(store, ctx, &input.resource_type, &input.resource_id)?;
    let tags: Vec<Value> = parameter.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    Ok(json!({ "TagList": tags }))
}

fn find<'a>(store: &'a mut Store, ctx: &Context<'_>, kind: &str, id: &str) -> Result<(Name, &'a mut Parameter)> {
    if kind != "Parameter" {
        return Err(AwsError::new("InvalidResourceType", format!("{kind} is not a resource type that is modelled")));
    }
    let invalid = || AwsError::new("InvalidResourceId", format!("The resource {id} does not exist."));
    let name = Name::parse_bare(id, &ctx.place).map_err(|_| invalid())?;
    let parameter = store.parameters.get_mut(&name).ok_or_else(invalid)?;
    Ok((name, parameter))
}

fn too_many() -> AwsError {
    AwsError::new("TooManyTagsError", "A parameter can have at most 50 tags.")
}
