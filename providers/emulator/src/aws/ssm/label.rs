//! LabelParameterVersion and UnlabelParameterVersion.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::name::Name;
use super::parameter::{Parameter, version_not_found};
use super::{Store, parameter};
use crate::aws::context::Context;
use crate::aws::error::{AwsError, Result, check_count, check_length};

/// Labels of one version, and of one request.
const MAX_LABELS: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Label {
    name: String,
    parameter_version: Option<u64>,
    labels: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Unlabel {
    name: String,
    parameter_version: u64,
    labels: Vec<String>,
}

/// Attaches labels to a version, taking them from others. Ill-formed ones are listed, not refused.
pub(super) fn label(store: &mut Store, ctx: &mut Context<'_>, input: &Label) -> Result<Value> {
    let name = Name::parse_bare(&input.name, &ctx.place)?;
    check_labels(&input.labels)?;
    let parameter = store.parameters.get_mut(&name).ok_or_else(|| parameter::not_found(&input.name))?;
    let number = input.parameter_version.unwrap_or_else(|| parameter.latest().number);
    let target = parameter.versions.get(&number).ok_or_else(|| no_version(&input.name, number))?;
    let (valid, invalid): (BTreeSet<&String>, BTreeSet<&String>) =
        input.labels.iter().partition(|label| is_label(label));
    let after = target.labels.iter().chain(valid.iter().copied()).collect::<BTreeSet<_>>().len();
    if after > MAX_LABELS {
        return Err(AwsError::new(
            "ParameterVersionLabelLimitExceeded",
            "A parameter version can have maximum 10 labels. Move one or more labels to another version and try again.",
        ));
    }
    let invalid: Vec<&String> = invalid.into_iter().collect();
    for number in move_labels(parameter, number, &valid) {
        store.keep_version(ctx, &name, number)?;
    }
    Ok(json!({ "InvalidLabels": invalid, "ParameterVersion": number }))
}

/// Moves labels to a version and returns the versions that changed.
fn move_labels(parameter: &mut Parameter, to: u64, labels: &BTreeSet<&String>) -> Vec<u64> {
    let mut changed = Vec::new();
    for version in parameter.versions.values_mut() {
        let before = version.labels.len();
        if version.number == to {
            version.labels.extend(labels.iter().map(|label| (*label).clone()));
        } else {
            version.labels.retain(|label| !labels.contains(label));
        }
        if version.labels.len() != before {
            changed.push(version.number);
        }
    }
    changed
}

/// Takes labels off a version. Those that it does not carry are listed.
pub(super) fn unlabel(store: &mut Store, ctx: &mut Context<'_>, input: &Unlabel) -> Result<Value> {
    let name = Name::parse_bare(&input.name, &ctx.place)?;
    check_labels(&input.labels)?;
    let number = input.parameter_version;
    let parameter = store.parameters.get_mut(&name).ok_or_else(|| parameter::not_found(&input.name))?;
    let version = parameter.versions.get_mut(&number).ok_or_else(|| no_version(&input.name, number))?;
    let (removed, invalid): (Vec<&String>, Vec<&String>) =
        input.labels.iter().partition(|label| version.labels.remove(*label));
    if !removed.is_empty() {
        store.keep_version(ctx, &name, number)?;
    }
    Ok(json!({ "RemovedLabels": removed, "InvalidLabels": invalid }))
}

fn no_version(name: &str, number: u64) -> AwsError {
    version_not_found(name, &format!("version {number}"))
}

fn check_labels(labels: &[String]) -> Result<()> {
    check_count("labels", labels, 1, MAX_LABELS)?;
    labels.iter().try_for_each(|label| check_length("labels", label, 1, 100))
}

/// Tells whether a label is well-formed: letters, digits, `.`, `-`, `_`; not beginning with a digit, `aws` or `ssm`.
fn is_label(label: &str) -> bool {
    let lower = label.to_ascii_lowercase();
    label.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b))
        && !label.starts_with(|c: char| c.is_ascii_digit())
        && !lower.starts_with("aws")
        && !lower.starts_with("ssm")
}
