//! PutParameter.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use regex_lite::Regex;
use serde::Deserialize;
use serde_json::{Value, json};

use super::name::Name;
use super::parameter::{Kind, Parameter, Policy, Tier, Version};
use super::tag::{self, Tag};
use super::{DELETIONS, Store, VERSIONS, head_key, policy, secret, version_key};
use crate::aws::context::Context;
use crate::aws::error::{AwsError, Result, check_length};
use crate::aws::kms::{Kms, SSM_ALIAS};

/// Versions kept of each parameter.
const MAX_VERSIONS: usize = 100;

/// Parameters of each tier in one account and region.
const MAX_STANDARD: usize = 10_000;
const MAX_ADVANCED: usize = 100_000;

/// How long a deleted name is refused.
pub(super) const RECREATE_WAIT: SignedDuration = SignedDuration::from_secs(30);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Put {
    name: String,
    value: String,
    #[serde(rename = "Type")]
    kind: Option<String>,
    key_id: Option<String>,
    overwrite: Option<bool>,
    description: Option<String>,
    allowed_pattern: Option<String>,
    tier: Option<String>,
    policies: Option<String>,
    data_type: Option<String>,
    tags: Option<Vec<Tag>>,
}

/// Stores a new version; every accepted put makes one, an identical value too.
pub(super) fn put(store: &mut Store, kms: &mut Kms, ctx: &mut Context<'_>, input: Put) -> Result<Value> {
    let (name, shown) = Name::parse_new(&input.name, &ctx.place)?;
    check_members(&input)?;
    let existing = store.parameters.get(&name);
    check_existence(store, ctx, &name, &input)?;
    let latest = existing.map(Parameter::latest);
    let kind = resolve_kind(&input, latest)?;
    let key_id = resolve_key(&input, kind)?;
    let policies = resolve_policies(&input, latest)?;
    let tier = resolve_tier(store, &input, latest, &policies)?;
    check_size(&input.value, tier)?;
    let allowed_pattern = input.allowed_pattern.clone().or_else(|| latest.and_then(|v| v.allowed_pattern.clone()));
    check_pattern(&input.value, allowed_pattern.as_deref())?;
    let data_type = resolve_data_type(&input, latest)?;
    let evicted = evicted(existing, &input.name)?;
    if existing.is_none() {
        check_room(store, tier)?;
    }
    let number = latest.map_or(1, |version| version.number + 1);
    let description = input.description.clone().or_else(|| latest.and_then(|v| v.description.clone()));
    let value = match &key_id {
        Some(key) => secret::encrypt(kms, ctx, &name, key, tier, &input.value)?,
        None => input.value,
    };
    let version = Version {
        number,
        kind,
        value,
        key_id,
        description: description.filter(|text| !text.is_empty()),
        allowed_pattern: allowed_pattern.filter(|text| !text.is_empty()),
        tier,
        policies,
        data_type,
        modified: ctx.now,
        user: ctx.caller.clone(),
        labels: BTreeSet::new(),
    };
    let tags = input.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect();
    insert(store, ctx, &name, shown, tags, version, evicted)?;
    Ok(json!({ "Version": number, "Tier": tier.to_string() }))
}

fn insert(
    store: &mut Store,
    ctx: &mut Context<'_>,
    name: &Name,
    shown: String,
    tags: BTreeMap<String, String>,
    version: Version,
    evicted: Option<u64>,
) -> Result<()> {
    let number = version.number;
    let parameter =
        store.parameters.entry(name.clone()).or_insert_with(|| Parameter { shown, tags, versions: BTreeMap::new() });
    parameter.versions.insert(number, version);
    if let Some(old) = evicted {
        parameter.versions.remove(&old);
        ctx.drop_row(VERSIONS, version_key(&ctx.place, name, old));
    }
    if store.deletions.remove(name).is_some() {
        ctx.drop_row(DELETIONS, head_key(&ctx.place, name));
    }
    if number == 1 {
        store.keep_head(ctx, name)?;
    }
    store.keep_version(ctx, name, number)
}

/// Checks what needs no look at the store.
fn check_members(input: &Put) -> Result<()> {
    check_length("value", &input.value, 1, usize::MAX)?;
    if let Some(open) = input.value.find("{{")
        && input.value[open..].contains("}}")
    {
        return Err(AwsError::validation(
            "Parameter value can't nest another parameter. Do not use \"{{}}\" in the value.",
        ));
    }
    for (member, text) in [("description", &input.description), ("allowedPattern", &input.allowed_pattern)] {
        check_length(member, text.as_deref().unwrap_or_default(), 0, 1_024)?;
    }
    if let Some(key) = &input.key_id {
        check_length("keyId", key, 1, 256)?;
        if !key.bytes().all(|b| b.is_ascii_alphanumeric() || b":/_-".contains(&b)) {
            return Err(AwsError::constraint(
                "keyId",
                "Member must satisfy regular expression pattern: ^([a-zA-Z0-9:/_-]+)$",
            ));
        }
    }
    if let Some(tags) = &input.tags {
        tag::check(tags)?;
        if input.overwrite == Some(true) && !tags.is_empty() {
            return Err(AwsError::validation(
                "Invalid request: tags and overwrite can't be used together. To change tags of a parameter that is \
                 there, use AddTagsToResource or RemoveTagsFromResource.",
            ));
        }
    }
    Ok(())
}

/// Refuses a create over something, an over-early re-create, and a put that needs what is not said.
fn check_existence(store: &Store, ctx: &Context<'_>, name: &Name, input: &Put) -> Result<()> {
    if store.parameters.contains_key(name) {
        if input.overwrite == Some(true) {
            return Ok(());
        }
        return Err(AwsError::new(
            "ParameterAlreadyExists",
            "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.",
        ));
    }
    let waits = store.deletions.get(name).is_some_and(|at| ctx.now.duration_since(*at) < RECREATE_WAIT);
    if waits && ctx.behaviour.recreate_wait {
        return Err(AwsError::new(
            "TooManyUpdates",
            "There are stale tags associated to the name, which was deleted within the last 30 seconds.",
        ));
    }
    Ok(())
}

fn resolve_kind(input: &Put, latest: Option<&Version>) -> Result<Kind> {
    match (&input.kind, latest) {
        (Some(text), _) => Kind::parse(text),
        (None, Some(version)) => Ok(version.kind),
        (None, None) => Err(AwsError::validation("A parameter type is required when you create a parameter.")),
    }
}

/// Returns the key of a SecureString. Left out, also on an overwrite, it is the AWS managed one: the worse of the two
/// things that are reported of the service, so that a client which forgets the key is found out.
fn resolve_key(input: &Put, kind: Kind) -> Result<Option<String>> {
    match (kind, &input.key_id) {
        (Kind::SecureString, key) => Ok(Some(key.clone().unwrap_or_else(|| SSM_ALIAS.to_owned()))),
        (_, None) => Ok(None),
        (_, Some(_)) => Err(AwsError::validation("KeyId is required for SecureString type parameter only.")),
    }
}

fn resolve_policies(input: &Put, latest: Option<&Version>) -> Result<Vec<Policy>> {
    match &input.policies {
        Some(text) => policy::parse(text),
        None => Ok(latest.map(|version| version.policies.clone()).unwrap_or_default()),
    }
}

/// Returns the tier of the new version. Left out, it is the account's default, but never lower than it was.
fn resolve_tier(store: &Store, input: &Put, latest: Option<&Version>, policies: &[Policy]) -> Result<Tier> {
    let before = latest.map(|version| version.tier);
    let asked = match input.tier.as_deref() {
        Some(tier) => tier.to_owned(),
        None if before == Some(Tier::Advanced) => return Ok(Tier::Advanced),
        None => store.default_tier(),
    };
    let full = latest.is_none() && store.count(Tier::Standard) >= MAX_STANDARD;
    let needs_advanced = input.value.len() > Tier::Standard.max_bytes() || !policies.is_empty() || full;
    let tier = match asked.as_str() {
        "Standard" => Tier::Standard,
        "Advanced" => Tier::Advanced,
        "Intelligent-Tiering" if needs_advanced => Tier::Advanced,
        "Intelligent-Tiering" => before.unwrap_or(Tier::Standard),
        _ => {
            return Err(AwsError::constraint(
                "tier",
                "Member must satisfy enum value set: [Standard, Advanced, Intelligent-Tiering]",
            ));
        }
    };
    if before == Some(Tier::Advanced) && tier == Tier::Standard {
        return Err(AwsError::validation(
            "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the \
             advanced-parameter tier to the standard-parameter tier.",
        ));
    }
    if tier == Tier::Standard && !policies.is_empty() {
        return Err(AwsError::validation("Parameter policies need the advanced-parameter tier."));
    }
    Ok(tier)
}

/// Counts bytes, as KMS does, although the service's text says characters.
fn check_size(value: &str, tier: Tier) -> Result<()> {
    if value.len() <= tier.max_bytes() {
        return Ok(());
    }
    Err(AwsError::validation(match tier {
        Tier::Standard => {
            "Standard tier parameters support a maximum parameter value of 4096 characters. To create a larger \
             parameter value, upgrade the parameter to use the advanced-parameter tier."
        }
        Tier::Advanced => "Advanced tier parameters support a maximum parameter value of 8192 characters.",
    }))
}

fn check_pattern(value: &str, pattern: Option<&str>) -> Result<()> {
    let Some(pattern) = pattern.filter(|pattern| !pattern.is_empty()) else { return Ok(()) };
    let regex = Regex::new(pattern).map_err(|_| {
        AwsError::new("InvalidAllowedPatternException", "The allowed pattern is not a valid regular expression.")
    })?;
    if regex.is_match(value) {
        return Ok(());
    }
    Err(AwsError::new(
        "ParameterPatternMismatchException",
        format!("Parameter value, cannot be validated against allowedPattern: {pattern}"),
    ))
}

fn resolve_data_type(input: &Put, latest: Option<&Version>) -> Result<String> {
    let Some(asked) = &input.data_type else {
        return Ok(latest.map_or_else(|| "text".to_owned(), |version| version.data_type.clone()));
    };
    check_length("dataType", asked, 0, 128)?;
    let value = input.value.as_str();
    let fits = match asked.as_str() {
        // What AWS checks elsewhere and later, or by rules that are not published, is taken as it comes.
        "text"
        | "aws:ec2:image"
        | "aws:ssm:integration"
        | "jsonc"
        | "url"
        | "hostname"
        | "email"
        | "ipv4-address"
        | "ipv6-address"
        | "binary"
        | "aws:region"
        | "aws:account:id" => true,
        "json" => serde_json::from_str::<serde::de::IgnoredAny>(value).is_ok(),
        "integer" => value.parse::<i64>().is_ok(),
        "float" => value.parse::<f64>().is_ok(),
        "boolean" => matches!(value, "true" | "false"),
        _ => return Err(AwsError::validation(format!("The data type {asked} is not supported."))),
    };
    if fits {
        Ok(asked.clone())
    } else {
        Err(AwsError::validation(format!("The value is not of the data type {asked}.")))
    }
}

/// Returns the version that goes to make room, which its label may forbid.
fn evicted(existing: Option<&Parameter>, name: &str) -> Result<Option<u64>> {
    let Some(parameter) = existing.filter(|parameter| parameter.versions.len() >= MAX_VERSIONS) else {
        return Ok(None);
    };
    let (number, oldest) = parameter.versions.first_key_value().expect("there are a hundred");
    if oldest.labels.is_empty() {
        return Ok(Some(*number));
    }
    Err(AwsError::new(
        "ParameterMaxVersionLimitExceeded",
        format!(
            "You attempted to create a new version of {name} by calling the PutParameter API with the overwrite flag. \
             Version {number}, the oldest version, can't be deleted because it has a label associated with it. Move \
             the label to another version of the parameter, and try again."
        ),
    ))
}

fn check_room(store: &Store, tier: Tier) -> Result<()> {
    let limit = if tier == Tier::Standard { MAX_STANDARD } else { MAX_ADVANCED };
    if store.count(tier) < limit {
        return Ok(());
    }
    Err(AwsError::new(
        "ParameterLimitExceeded",
        format!("You have exceeded the number of {tier} parameters for this account and region: {limit}."),
    ))
}

impl Store {
    fn count(&self, tier: Tier) -> usize {
        if self.parameters.len() < MAX_STANDARD {
            // Nobody asks more of the count than whether it reaches a limit.
            return 0;
        }
        self.parameters.values().filter(|parameter| parameter.latest().tier == tier).count()
    }
}
