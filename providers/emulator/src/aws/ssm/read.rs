//! GetParameter, GetParameters and GetParametersByPath.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Included, Unbounded};

use serde::Deserialize;
use serde_json::{Value, json};

use super::filter::{ByPath, Filter};
use super::name::{Name, Reference};
use super::page::{Cursor, paginate};
use super::parameter::{Kind, Version};
use super::{Store, secret};
use crate::aws::context::Context;
use crate::aws::error::{AwsError, Result, check_count, page_size};
use crate::aws::kms::{Kms, seconds};

/// Names of one GetParameters, and parameters on one page of GetParametersByPath.
const MAX_BATCH: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Get {
    name: String,
    with_decryption: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetMany {
    names: Vec<String>,
    with_decryption: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetByPath {
    path: String,
    recursive: Option<bool>,
    parameter_filters: Option<Vec<Filter>>,
    with_decryption: Option<bool>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// A version found by a read, with what was read.
struct Found<'a> {
    name: &'a Name,
    shown: &'a str,
    version: &'a Version,
    selector: Option<&'a str>,
}

/// Reads one parameter.
pub(super) fn get(store: &Store, kms: &mut Kms, ctx: &mut Context<'_>, input: &Get) -> Result<Value> {
    let reference = Reference::parse(&input.name, &ctx.place)?;
    let view = store.find(ctx, &reference.name)?;
    let version = view.select(&reference)?;
    let selector = reference.written.as_deref();
    let found = Found { name: &reference.name, shown: &view.parameter.shown, version, selector };
    Ok(json!({ "Parameter": show(kms, ctx, &found, input.with_decryption)? }))
}

/// Reads up to ten, in alphabetical order; what is not there is listed apart. A secret that cannot be decrypted fails
/// all of them.
pub(super) fn get_many(store: &Store, kms: &mut Kms, ctx: &mut Context<'_>, input: &GetMany) -> Result<Value> {
    check_count("names", &input.names, 1, MAX_BATCH)?;
    let (mut found, mut invalid) = (Vec::new(), Vec::new());
    for text in input.names.iter().collect::<BTreeSet<_>>() {
        let reference = Reference::parse(text, &ctx.place)?;
        match store.find(ctx, &reference.name).and_then(|view| Ok((view, view.select(&reference)?))) {
            Ok((view, version)) => found.push((reference, view, version)),
            Err(_) => invalid.push(text.as_str()),
        }
    }
    found.sort_by(|(a, ..), (b, ..)| (&a.name, &a.written).cmp(&(&b.name, &b.written)));
    let mut parameters = Vec::new();
    for (reference, view, version) in &found {
        let selector = reference.written.as_deref();
        let found = Found { name: &reference.name, shown: &view.parameter.shown, version, selector };
        parameters.push(show(kms, ctx, &found, input.with_decryption)?);
    }
    Ok(json!({ "Parameters": parameters, "InvalidParameters": invalid }))
}

/// Reads what lies below a path, ten at a time; with a label filter each parameter at its labelled version.
pub(super) fn get_by_path(store: &Store, kms: &mut Kms, ctx: &mut Context<'_>, input: &GetByPath) -> Result<Value> {
    let path = normalise_path(&input.path)?;
    let size = page_size(input.max_results, MAX_BATCH)?;
    let filter = ByPath::parse(input.parameter_filters.as_deref().unwrap_or_default())?;
    let recursive = input.recursive.unwrap_or(false);
    let cursor =
        Cursor::parse(input.next_token.as_deref(), &["path", &path, &recursive.to_string(), &filter.digest()])?;
    // A path ends with a slash, and everything below sorts directly behind it.
    let start = cursor.after().map_or(Included(Name::bound(&path)), |after| Excluded(Name::bound(after)));
    let below = store
        .parameters
        .range((start, Unbounded))
        .take_while(|(name, _)| name.below(&path).is_some())
        .filter(|(name, _)| recursive || !name.below(&path).is_some_and(|rest| rest.contains('/')));
    let until = ctx.seen_until();
    let page = paginate(
        below,
        |(name, _)| name.as_str(),
        |(_, parameter)| parameter.seen(until).and_then(|view| filter.select(view)),
        &cursor,
        size,
        ctx.behaviour.short_pages,
    );
    let mut parameters = Vec::new();
    for ((name, parameter), version) in page.items {
        let found = Found { name, shown: &parameter.shown, version, selector: None };
        parameters.push(show(kms, ctx, &found, input.with_decryption)?);
    }
    let mut answer = json!({ "Parameters": parameters });
    if let Some(token) = page.next {
        answer["NextToken"] = token.into();
    }
    Ok(answer)
}

/// Checks a path and makes it end with a slash.
fn normalise_path(path: &str) -> Result<String> {
    if path == "/" {
        return Ok(path.to_owned());
    }
    let trimmed = path.strip_suffix('/').unwrap_or(path);
    let fits = |segment: &str| {
        !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    };
    match trimmed.strip_prefix('/') {
        Some(rest) if rest.split('/').all(fits) => Ok(format!("{trimmed}/")),
        _ => Err(AwsError::validation(
            "The parameter path doesn't meet the parameter name requirements: it must begin with a forward slash \
             \"/\" and hold only letters, numbers, and the symbols . - _ between slashes.",
        )),
    }
}

/// Returns one parameter as reads answer it. Only a SecureString is decrypted, and only if asked.
fn show(kms: &mut Kms, ctx: &mut Context<'_>, found: &Found<'_>, decrypt: Option<bool>) -> Result<Value> {
    let version = found.version;
    let value = if version.kind == Kind::SecureString && decrypt == Some(true) {
        secret::decrypt(kms, ctx, found.name, &version.value)?
    } else {
        version.value.clone()
    };
    let mut shown = json!({
        "Name": found.shown,
        "Type": version.kind.to_string(),
        "Value": value,
        "Version": version.number,
        "LastModifiedDate": seconds(version.modified),
        "ARN": found.name.arn(&ctx.place),
        "DataType": version.data_type,
    });
    if let Some(selector) = found.selector {
        shown["Selector"] = selector.into();
    }
    Ok(shown)
}
