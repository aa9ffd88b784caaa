//! Service settings of Parameter Store: the default tier, and whether more throughput was bought.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{SETTINGS, Store};
use crate::aws::context::Context;
use crate::aws::error::{AwsError, Result};
use crate::aws::kms::seconds;

const DEFAULT_TIER: &str = "/ssm/parameter-store/default-parameter-tier";
const HIGH_THROUGHPUT: &str = "/ssm/parameter-store/high-throughput-enabled";

/// A setting that somebody changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Setting {
    pub(super) id: String,
    value: String,
    modified: Timestamp,
    user: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OfSetting {
    setting_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Update {
    setting_id: String,
    setting_value: String,
}

impl Store {
    pub(super) fn high_throughput(&self) -> bool {
        self.settings.get(HIGH_THROUGHPUT).is_some_and(|setting| setting.value == "true")
    }

    pub(super) fn default_tier(&self) -> String {
        self.settings.get(DEFAULT_TIER).map_or_else(|| "Standard".to_owned(), |setting| setting.value.clone())
    }
}

pub(super) fn get(store: &Store, ctx: &Context<'_>, input: &OfSetting) -> Result<Value> {
    let id = parse_id(ctx, &input.setting_id)?;
    Ok(json!({ "ServiceSetting": show(store, ctx, id) }))
}

pub(super) fn update(store: &mut Store, ctx: &mut Context<'_>, input: &Update) -> Result<Value> {
    let id = parse_id(ctx, &input.setting_id)?;
    let allowed: &[&str] =
        if id == DEFAULT_TIER { &["Standard", "Advanced", "Intelligent-Tiering"] } else { &["true", "false"] };
    if !allowed.contains(&input.setting_value.as_str()) {
        return Err(AwsError::validation(format!("{id} must be one of {}.", allowed.join(", "))));
    }
    let setting =
        Setting { id: id.to_owned(), value: input.setting_value.clone(), modified: ctx.now, user: ctx.caller.clone() };
    ctx.keep(SETTINGS, format!("{}{id}", ctx.place), &setting)?;
    store.settings.insert(id.to_owned(), setting);
    Ok(json!({}))
}

/// Puts the default back and answers it.
pub(super) fn reset(store: &mut Store, ctx: &mut Context<'_>, input: &OfSetting) -> Result<Value> {
    let id = parse_id(ctx, &input.setting_id)?;
    if store.settings.remove(id).is_some() {
        ctx.drop_row(SETTINGS, format!("{}{id}", ctx.place));
    }
    Ok(json!({ "ServiceSetting": show(store, ctx, id) }))
}

/// Takes a setting's id or its ARN.
fn parse_id(ctx: &Context<'_>, text: &str) -> Result<&'static str> {
    let prefix = format!("arn:aws:ssm:{}:{}:servicesetting", ctx.place.region, ctx.place.account);
    let id = text.strip_prefix(&prefix).unwrap_or(text);
    [DEFAULT_TIER, HIGH_THROUGHPUT]
        .into_iter()
        .find(|known| *known == id)
        .ok_or_else(|| AwsError::new("ServiceSettingNotFound", format!("The setting {text} was not found.")))
}

fn show(store: &Store, ctx: &Context<'_>, id: &str) -> Value {
    let arn = format!("arn:aws:ssm:{}:{}:servicesetting{id}", ctx.place.region, ctx.place.account);
    match store.settings.get(id) {
        Some(setting) => json!({
            "SettingId": id,
            "SettingValue": setting.value,
            "LastModifiedDate": seconds(setting.modified),
            "LastModifiedUser": setting.user,
            "ARN": arn,
            "Status": "Customized",
        }),
        None => json!({
            "SettingId": id,
            "SettingValue": if id == DEFAULT_TIER { "Standard" } else { "false" },
            "LastModifiedUser": "System",
            "ARN": arn,
            "Status": "Default",
        }),
    }
}
