//! KMS operations as `TrentService` offers them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::key::{EncryptionContext, KeyState, invalid_ciphertext, seconds};
use super::{Kms, SSM_ALIAS, deletion_date};
use crate::aws::context::Context;
use crate::aws::error::{AwsError, Result, check_length};
use crate::aws::json11::parse;
use crate::random_bytes;

/// The most that Encrypt takes, in bytes.
const MAX_PLAINTEXT: usize = 4_096;

/// Does one operation.
pub(crate) fn call(operation: &str, body: &[u8], kms: &mut Kms, ctx: &mut Context<'_>) -> Result<Value> {
    kms.prepare(ctx)?;
    match operation {
        "DescribeKey" => describe(kms, ctx, &parse::<OfKey>(body)?),
        "CreateKey" => create(kms, ctx, parse(body)?),
        "CreateAlias" => create_alias(kms, ctx, &parse(body)?),
        "UpdateAlias" => update_alias(kms, ctx, &parse(body)?),
        "DeleteAlias" => delete_alias(kms, ctx, &parse(body)?),
        "ListKeys" => list_keys(kms, ctx, &parse(body)?),
        "ListAliases" => list_aliases(kms, ctx, &parse(body)?),
        "EnableKey" => set_state(kms, ctx, &parse(body)?, KeyState::Enabled),
        "DisableKey" => set_state(kms, ctx, &parse(body)?, KeyState::Disabled),
        "ScheduleKeyDeletion" => schedule_deletion(kms, ctx, &parse(body)?),
        "CancelKeyDeletion" => cancel_deletion(kms, ctx, &parse(body)?),
        "Encrypt" => encrypt(kms, ctx, &parse(body)?),
        "Decrypt" => decrypt(kms, ctx, &parse(body)?),
        "GenerateDataKey" => generate_data_key(kms, ctx, &parse(body)?),
        "GetKeyRotationStatus" => rotation_status(kms, ctx, &parse(body)?),
        _ => Err(AwsError::new("UnknownOperationException", format!("{operation} is not modelled"))),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfKey {
    key_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create {
    description: Option<String>,
    key_usage: Option<String>,
    key_spec: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AliasOf {
    alias_name: String,
    target_key_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfAlias {
    alias_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    key_id: Option<String>,
    limit: Option<i64>,
    marker: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Schedule {
    key_id: String,
    pending_window_in_days: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Encrypt {
    key_id: String,
    plaintext: String,
    encryption_context: Option<EncryptionContext>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Decrypt {
    ciphertext_blob: String,
    key_id: Option<String>,
    encryption_context: Option<EncryptionContext>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GenerateDataKey {
    key_id: String,
    key_spec: Option<String>,
    number_of_bytes: Option<i64>,
    encryption_context: Option<EncryptionContext>,
}

fn describe(kms: &Kms, ctx: &Context<'_>, input: &OfKey) -> Result<Value> {
    check_length("keyId", &input.key_id, 1, 2_048)?;
    Ok(json!({ "KeyMetadata": kms.find_now(ctx, &input.key_id)?.metadata(&ctx.place) }))
}

fn create(kms: &mut Kms, ctx: &mut Context<'_>, input: Create) -> Result<Value> {
    let usual = |given: &Option<String>, usual: &str| given.as_deref().is_none_or(|given| given == usual);
    if !usual(&input.key_usage, "ENCRYPT_DECRYPT") || !usual(&input.key_spec, "SYMMETRIC_DEFAULT") {
        return Err(AwsError::new("UnsupportedOperationException", "only symmetric encryption keys are modelled"));
    }
    let description = input.description.unwrap_or_default();
    check_length("description", &description, 0, 8_192)?;
    let id = kms.create_key(ctx, Uuid::new_v4().to_string(), description, false)?;
    describe(kms, ctx, &OfKey { key_id: id }).map(|described| json!({ "KeyMetadata": described["KeyMetadata"] }))
}

fn create_alias(kms: &mut Kms, ctx: &mut Context<'_>, input: &AliasOf) -> Result<Value> {
    check_alias(&input.alias_name)?;
    if kms.ring(ctx).aliases.contains_key(&input.alias_name) {
        return Err(AwsError::new("AlreadyExistsException", format!("An alias {} exists already", input.alias_name)));
    }
    point_alias(kms, ctx, input)
}

fn update_alias(kms: &mut Kms, ctx: &mut Context<'_>, input: &AliasOf) -> Result<Value> {
    check_alias(&input.alias_name)?;
    kms.find(ctx, &input.alias_name)?;
    point_alias(kms, ctx, input)
}

/// Points an alias at a key, which an alias may not name.
fn point_alias(kms: &mut Kms, ctx: &mut Context<'_>, input: &AliasOf) -> Result<Value> {
    if input.target_key_id.contains("alias/") {
        return Err(AwsError::validation("Aliases must refer to keys. Not aliases"));
    }
    let key = kms.find(ctx, &input.target_key_id)?;
    if let KeyState::PendingDeletion(_) = key.state {
        return Err(key.invalid_state(&ctx.place, "is pending deletion."));
    }
    let id = key.id.clone();
    kms.put_alias(ctx, &input.alias_name, &id)?;
    Ok(json!({}))
}

fn delete_alias(kms: &mut Kms, ctx: &mut Context<'_>, input: &OfAlias) -> Result<Value> {
    check_alias(&input.alias_name)?;
    kms.delete_alias(ctx, &input.alias_name)?;
    Ok(json!({}))
}

fn check_alias(name: &str) -> Result<()> {
    check_length("aliasName", name, 1, 256)?;
    let rest = name.strip_prefix("alias/").unwrap_or_default();
    let fits = !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_-".contains(&b));
    if !fits {
        return Err(AwsError::new(
            "InvalidAliasNameException",
            "Alias must start with the prefix \"alias/\" and hold letters, digits, \"/\", \"_\" and \"-\"",
        ));
    }
    if name.starts_with("alias/aws/") || name == SSM_ALIAS {
        return Err(AwsError::new("NotAuthorizedException", "Aliases below alias/aws/ belong to AWS"));
    }
    Ok(())
}

/// Cuts one page out of an ordered list, after a marker.
fn page<'a, T>(
    all: impl Iterator<Item = (&'a String, T)>,
    input: &List,
    max: usize,
) -> Result<(Vec<T>, Option<&'a String>)> {
    let limit = match input.limit {
        None => max,
        Some(limit) => usize::try_from(limit)
            .ok()
            .filter(|limit| (1..=1_000).contains(limit))
            .ok_or_else(|| AwsError::constraint("limit", "Member must be between 1 and 1000"))?,
    };
    let mut rest = all.skip_while(|(name, _)| input.marker.as_ref().is_some_and(|marker| *name <= marker)).peekable();
    let (mut items, mut last) = (Vec::new(), None);
    while items.len() < limit && rest.peek().is_some() {
        if let Some((name, item)) = rest.next() {
            items.push(item);
            last = Some(name);
        }
    }
    Ok((items, last.filter(|_| rest.peek().is_some())))
}

fn list_keys(kms: &Kms, ctx: &Context<'_>, input: &List) -> Result<Value> {
    let keys = kms.ring(ctx).keys.iter();
    let shown = keys.map(|(id, key)| (id, json!({ "KeyId": id, "KeyArn": key.arn(&ctx.place) })));
    let (items, marker) = page(shown, input, 100)?;
    Ok(with_marker(json!({ "Keys": items }), marker))
}

fn list_aliases(kms: &Kms, ctx: &Context<'_>, input: &List) -> Result<Value> {
    let of_key = match &input.key_id {
        Some(name) => Some(kms.find(ctx, name)?.id.clone()),
        None => None,
    };
    let aliases = kms.ring(ctx).aliases.iter();
    let shown = aliases.filter(|(_, alias)| of_key.as_ref().is_none_or(|id| *id == alias.key)).map(|(name, alias)| {
        let shown = json!({
            "AliasName": name,
            "AliasArn": format!("arn:aws:kms:{}:{}:{name}", ctx.place.region, ctx.place.account),
            "TargetKeyId": alias.key,
            "CreationDate": seconds(alias.created),
            "LastUpdatedDate": seconds(alias.updated),
        });
        (name, shown)
    });
    let (items, marker) = page(shown, input, 50)?;
    Ok(with_marker(json!({ "Aliases": items }), marker))
}

fn with_marker(mut answer: Value, marker: Option<&String>) -> Value {
    answer["Truncated"] = marker.is_some().into();
    if let Some(marker) = marker {
        answer["NextMarker"] = marker.as_str().into();
    }
    answer
}

fn set_state(kms: &mut Kms, ctx: &mut Context<'_>, input: &OfKey, state: KeyState) -> Result<Value> {
    let place = ctx.place.clone();
    kms.change(ctx, &input.key_id, |key| {
        if let KeyState::PendingDeletion(_) = key.state {
            return Err(key.invalid_state(&place, "is pending deletion."));
        }
        key.state = state;
        Ok(())
    })?;
    Ok(json!({}))
}

fn schedule_deletion(kms: &mut Kms, ctx: &mut Context<'_>, input: &Schedule) -> Result<Value> {
    let days = input.pending_window_in_days.unwrap_or(30);
    let (at, place) = (deletion_date(ctx.now, days)?, ctx.place.clone());
    let key = kms.change(ctx, &input.key_id, |key| {
        if let KeyState::PendingDeletion(_) = key.state {
            return Err(key.invalid_state(&place, "is pending deletion."));
        }
        key.state = KeyState::PendingDeletion(at);
        Ok(())
    })?;
    Ok(json!({
        "KeyId": key.arn(&place),
        "DeletionDate": seconds(at),
        "KeyState": "PendingDeletion",
        "PendingWindowInDays": days,
    }))
}

/// Keeps a key after all; it comes back disabled.
fn cancel_deletion(kms: &mut Kms, ctx: &mut Context<'_>, input: &OfKey) -> Result<Value> {
    let place = ctx.place.clone();
    let key = kms.change(ctx, &input.key_id, |key| match key.state {
        KeyState::PendingDeletion(_) => {
            key.state = KeyState::Disabled;
            Ok(())
        }
        _ => Err(key.invalid_state(&place, "is not pending deletion.")),
    })?;
    Ok(json!({ "KeyId": key.arn(&place) }))
}

fn encrypt(kms: &Kms, ctx: &Context<'_>, input: &Encrypt) -> Result<Value> {
    let plain = decode("plaintext", &input.plaintext)?;
    if !(1..=MAX_PLAINTEXT).contains(&plain.len()) {
        return Err(AwsError::constraint("plaintext", "Member must have length between 1 and 4096"));
    }
    let context = input.encryption_context.clone().unwrap_or_default();
    let (blob, arn) = kms.encrypt_under(ctx, &input.key_id, &plain, &context)?;
    Ok(json!({
        "CiphertextBlob": STANDARD.encode(blob),
        "KeyId": arn,
        "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
    }))
}

fn decrypt(kms: &Kms, ctx: &Context<'_>, input: &Decrypt) -> Result<Value> {
    let blob = STANDARD.decode(&input.ciphertext_blob).map_err(|_| invalid_ciphertext())?;
    let context = input.encryption_context.clone().unwrap_or_default();
    let (plain, arn) = kms.decrypt_blob(ctx, &blob, &context)?;
    if let Some(name) = &input.key_id
        && kms.find(ctx, name)?.arn(&ctx.place) != arn
    {
        return Err(AwsError::new("IncorrectKeyException", "the ciphertext was made under another key"));
    }
    Ok(json!({ "Plaintext": STANDARD.encode(plain), "KeyId": arn, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT" }))
}

fn generate_data_key(kms: &Kms, ctx: &Context<'_>, input: &GenerateDataKey) -> Result<Value> {
    let length = match (input.key_spec.as_deref(), input.number_of_bytes) {
        (Some("AES_256"), None) => 32,
        (Some("AES_128"), None) => 16,
        (None, Some(bytes)) if (1..=1_024).contains(&bytes) => {
            usize::try_from(bytes).expect("it is between 1 and 1024")
        }
        _ => return Err(AwsError::validation("Please specify either number of bytes or key spec.")),
    };
    let random = random_bytes::<1_024>().ok_or_else(|| AwsError::internal("no data key could be made"))?;
    let plain = &random[..length];
    let context = input.encryption_context.clone().unwrap_or_default();
    let (blob, arn) = kms.encrypt_under(ctx, &input.key_id, plain, &context)?;
    Ok(json!({ "CiphertextBlob": STANDARD.encode(blob), "Plaintext": STANDARD.encode(plain), "KeyId": arn }))
}

fn rotation_status(kms: &Kms, ctx: &Context<'_>, input: &OfKey) -> Result<Value> {
    let key = kms.find(ctx, &input.key_id)?;
    // AWS rotates its own keys every year; a customer's only where asked, which is not modelled.
    Ok(json!({ "KeyId": key.arn(&ctx.place), "KeyRotationEnabled": key.aws_managed }))
}

fn decode(member: &str, text: &str) -> Result<Vec<u8>> {
    STANDARD.decode(text).map_err(|_| AwsError::new("SerializationException", format!("{member} is not base64")))
}
