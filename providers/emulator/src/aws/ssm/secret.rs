//! SecureString values: what Parameter Store asks of KMS.
//!
//! Standard tier: one Encrypt. Advanced tier: a data key, with the value encrypted under it. Both are read back with
//! one Decrypt. The encryption context is always the parameter's ARN, so a ciphertext is of no use elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::name::Name;
use super::parameter::Tier;
use crate::aws::context::Context;
use crate::aws::error::{AwsError, Result};
use crate::aws::kms::crypto::Material;
use crate::aws::kms::{EncryptionContext, Kms};

/// The first byte: whether KMS encrypted the value itself, or a data key that did.
const DIRECT: u8 = 0;
const ENVELOPE: u8 = 1;

/// Encrypts a value and returns what an undecrypted read shows.
pub(crate) fn encrypt(
    kms: &mut Kms,
    ctx: &mut Context<'_>,
    name: &Name,
    key: &str,
    tier: Tier,
    value: &str,
) -> Result<String> {
    let context = encryption_context(ctx, name);
    let blob = match tier {
        Tier::Standard => {
            let mut blob = vec![DIRECT];
            blob.extend(kms.encrypt_for_ssm(ctx, key, value.as_bytes(), &context).map_err(unusable_key)?);
            blob
        }
        Tier::Advanced => {
            let (data_key, wrapped) = kms.data_key_for_ssm(ctx, key, &context).map_err(unusable_key)?;
            let sealed = data_key.seal(value.as_bytes(), name.as_str().as_bytes());
            let sealed = sealed.ok_or_else(|| AwsError::internal("a value could not be encrypted"))?;
            let length = u16::try_from(wrapped.len()).map_err(|_| AwsError::internal("a data key is too long"))?;
            let mut blob = vec![ENVELOPE];
            blob.extend(length.to_be_bytes());
            blob.extend(wrapped);
            blob.extend(sealed);
            blob
        }
    };
    Ok(STANDARD.encode(blob))
}

/// Decrypts what [`encrypt`] returned, with one Decrypt.
pub(crate) fn decrypt(kms: &mut Kms, ctx: &mut Context<'_>, name: &Name, stored: &str) -> Result<String> {
    let damaged = || AwsError::internal("a stored ciphertext is damaged");
    let blob = STANDARD.decode(stored).map_err(|_| damaged())?;
    let (&form, rest) = blob.split_first().ok_or_else(damaged)?;
    let context = encryption_context(ctx, name);
    let plain = if form == DIRECT {
        kms.decrypt_for_ssm(ctx, rest, &context).map_err(unusable_key)?
    } else {
        let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(damaged)?;
        let (wrapped, sealed) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or_else(damaged)?;
        let data_key = kms.decrypt_for_ssm(ctx, wrapped, &context).map_err(unusable_key)?;
        let data_key = Material::from_bytes(&data_key).ok_or_else(damaged)?;
        data_key.open(sealed, name.as_str().as_bytes()).ok_or_else(damaged)?
    };
    String::from_utf8(plain).map_err(|_| damaged())
}

fn encryption_context(ctx: &Context<'_>, name: &Name) -> EncryptionContext {
    EncryptionContext::from([("PARAMETER_ARN".to_owned(), name.arn(&ctx.place))])
}

/// Parameter Store answers every refusal of KMS as InvalidKeyId, with KMS's own words inside.
fn unusable_key(error: AwsError) -> AwsError {
    if error.status.is_server_error() {
        return AwsError::internal(error.message);
    }
    AwsError::new(
        "InvalidKeyId",
        format!(
            "{} (Service: AWSKMS; Status Code: {}; Error Code: {}; Request ID: {}; Proxy: null)",
            error.message,
            error.status.as_u16(),
            error.code,
            Uuid::new_v4()
        ),
    )
}
