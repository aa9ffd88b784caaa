//! DescribeParameters and GetParameterHistory.

use std::ops::Bound::{Excluded, Unbounded};

use serde::Deserialize;
use serde_json::{Value, json};

use super::filter::{Describe, Filter, OldFilter};
use super::name::Name;
use super::page::{Cursor, paginate};
use super::parameter::{Kind, Parameter, Version, View};
use super::{Store, secret};
use crate::aws::context::Context;
use crate::aws::error::{AwsError, Result, page_size};
use crate::aws::kms::{Kms, seconds};

/// Items on one page of either.
const MAX_PAGE: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeInput {
    filters: Option<Vec<OldFilter>>,
    parameter_filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct History {
    name: String,
    with_decryption: Option<bool>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// Lists parameters without their values.
pub(super) fn describe(store: &Store, ctx: &Context<'_>, input: &DescribeInput) -> Result<Value> {
    let size = page_size(input.max_results, MAX_PAGE)?;
    let old: Vec<Filter> = input.filters.iter().flatten().map(Filter::from).collect();
    let new = input.parameter_filters.as_deref().unwrap_or_default();
    if !old.is_empty() && !new.is_empty() {
        return Err(AwsError::validation("You can use either Filters or ParameterFilters in a single request."));
    }
    let filter = Describe::parse(if new.is_empty() { &old } else { new })?;
    let cursor = Cursor::parse(input.next_token.as_deref(), &["describe", &filter.digest()])?;
    let until = ctx.seen_until();
    let start = cursor.after().map_or(Unbounded, |after| Excluded(Name::bound(after)));
    let page = paginate(
        store.parameters.range((start, Unbounded)),
        |(name, _)| name.as_str(),
        |(name, parameter)| parameter.seen(until).filter(|view| filter.passes(name, *view)),
        &cursor,
        size,
        ctx.behaviour.short_pages,
    );
    let shown: Vec<Value> = page.items.iter().map(|((name, _), view)| metadata(ctx, name, *view)).collect();
    Ok(with_token(json!({ "Parameters": shown }), page.next))
}

/// Lists the versions of one parameter, oldest first.
pub(super) fn history(store: &Store, kms: &mut Kms, ctx: &mut Context<'_>, input: &History) -> Result<Value> {
    let name = Name::parse_bare(&input.name, &ctx.place)?;
    let size = page_size(input.max_results, MAX_PAGE)?;
    let view = store.find(ctx, &name)?;
    let cursor = Cursor::parse(input.next_token.as_deref(), &["history", name.as_str()])?;
    let keyed: Vec<(String, &Version)> =
        view.versions().map(|version| (format!("{:020}", version.number), version)).collect();
    let page = paginate(
        keyed.iter(),
        |(key, _)| key.as_str(),
        |(_, version)| Some(*version),
        &cursor,
        size,
        ctx.behaviour.short_pages,
    );
    let mut shown = Vec::new();
    for (_, version) in page.items {
        shown.push(past(kms, ctx, &name, view.parameter, version, input.with_decryption)?);
    }
    Ok(with_token(json!({ "Parameters": shown }), page.next))
}

fn with_token(mut answer: Value, token: Option<String>) -> Value {
    if let Some(token) = token {
        answer["NextToken"] = token.into();
    }
    answer
}

/// What both listings show of a version.
fn common(parameter: &Parameter, version: &Version) -> Value {
    let policies: Vec<Value> = version
        .policies
        .iter()
        .map(|policy| json!({ "PolicyText": policy.text, "PolicyType": policy.kind, "PolicyStatus": "Pending" }))
        .collect();
    let mut shown = json!({
        "Name": parameter.shown,
        "Type": version.kind.to_string(),
        "LastModifiedDate": seconds(version.modified),
        "LastModifiedUser": version.user,
        "Version": version.number,
        "Tier": version.tier.to_string(),
        "Policies": policies,
        "DataType": version.data_type,
    });
    let optional = [
        ("KeyId", &version.key_id),
        ("Description", &version.description),
        ("AllowedPattern", &version.allowed_pattern),
    ];
    for (member, text) in optional {
        if let Some(text) = text {
            shown[member] = text.as_str().into();
        }
    }
    shown
}

fn metadata(ctx: &Context<'_>, name: &Name, view: View<'_>) -> Value {
    let mut shown = common(view.parameter, view.latest());
    shown["ARN"] = name.arn(&ctx.place).into();
    shown
}

fn past(
    kms: &mut Kms,
    ctx: &mut Context<'_>,
    name: &Name,
    parameter: &Parameter,
    version: &Version,
    decrypt: Option<bool>,
) -> Result<Value> {
    let mut shown = common(parameter, version);
    shown["Value"] = if version.kind == Kind::SecureString && decrypt == Some(true) {
        secret::decrypt(kms, ctx, name, &version.value)?.into()
    } else {
        version.value.as_str().into()
    };
    shown["Labels"] = version.labels.iter().map(String::as_str).collect::<Vec<_>>().into();
    Ok(shown)
}
