//! One KMS key, its states, and its ciphertexts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::crypto::Material;
use crate::aws::context::Place;
use crate::aws::error::{AwsError, Result};

/// Pairs that must be given again to decrypt.
pub(crate) type EncryptionContext = BTreeMap<String, String>;

/// The first byte of our ciphertexts, so that foreign ones are told apart.
const FORMAT: u8 = 1;

/// Whether a key can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum KeyState {
    Enabled,
    Disabled,
    /// It is deleted at this time, unless that is cancelled.
    PendingDeletion(Timestamp),
}

/// A symmetric key as it is kept: its material is encrypted under the root key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) description: String,
    pub(crate) state: KeyState,
    /// Whether AWS manages it: `alias/aws/ssm`.
    pub(crate) aws_managed: bool,
    pub(crate) created: Timestamp,
    /// The material under the root key.
    pub(crate) wrapped: Vec<u8>,
}

impl Key {
    /// Makes a key with fresh material.
    pub(crate) fn generate(id: String, aws_managed: bool, root: &Material, now: Timestamp) -> Result<Self> {
        let wrapped = Material::random().and_then(|material| root.seal(material.bytes(), id.as_bytes()));
        let wrapped = wrapped.ok_or_else(|| internal("no key material could be made"))?;
        Ok(Self { id, description: String::new(), state: KeyState::Enabled, aws_managed, created: now, wrapped })
    }

    /// Returns the ARN.
    pub(crate) fn arn(&self, place: &Place) -> String {
        format!("arn:aws:kms:{}:{}:key/{}", place.region, place.account, self.id)
    }

    /// Refuses unless the key can encrypt and decrypt now.
    pub(crate) fn check_usable(&self, place: &Place) -> Result<()> {
        match self.state {
            KeyState::Enabled => Ok(()),
            KeyState::Disabled => Err(AwsError::new("DisabledException", format!("{} is disabled.", self.arn(place)))),
            KeyState::PendingDeletion(_) => Err(self.invalid_state(place, "is pending deletion.")),
        }
    }

    pub(crate) fn invalid_state(&self, place: &Place, what: &str) -> AwsError {
        AwsError::new("KMSInvalidStateException", format!("{} {what}", self.arn(place)))
    }

    /// Returns what DescribeKey shows.
    pub(crate) fn metadata(&self, place: &Place) -> Value {
        let (state, deletion) = match self.state {
            KeyState::Enabled => ("Enabled", None),
            KeyState::Disabled => ("Disabled", None),
            KeyState::PendingDeletion(at) => ("PendingDeletion", Some(at)),
        };
        let mut metadata = json!({
            "AWSAccountId": place.account,
            "KeyId": self.id,
            "Arn": self.arn(place),
            "CreationDate": seconds(self.created),
            "Enabled": self.state == KeyState::Enabled,
            "Description": self.description,
            "KeyUsage": "ENCRYPT_DECRYPT",
            "KeyState": state,
            "Origin": "AWS_KMS",
            "KeyManager": if self.aws_managed { "AWS" } else { "CUSTOMER" },
            "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
            "KeySpec": "SYMMETRIC_DEFAULT",
            "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
            "MultiRegion": false,
        });
        if let Some(at) = deletion {
            metadata["DeletionDate"] = seconds(at);
        }
        metadata
    }

    /// Encrypts; the ciphertext names its key, as KMS's do.
    pub(crate) fn encrypt(
        &self,
        place: &Place,
        root: &Material,
        plain: &[u8],
        context: &EncryptionContext,
    ) -> Result<Vec<u8>> {
        let arn = self.arn(place);
        let sealed = self.material(root)?.seal(plain, &bound(&arn, context));
        let sealed = sealed.ok_or_else(|| internal("nothing could be encrypted"))?;
        let length = u8::try_from(arn.len()).map_err(|_| internal("an ARN is too long"))?;
        let mut blob = vec![FORMAT, length];
        blob.extend_from_slice(arn.as_bytes());
        blob.extend_from_slice(&sealed);
        Ok(blob)
    }

    /// Decrypts what came out of [`encrypt`](Self::encrypt), already taken apart by [`split_blob`].
    pub(crate) fn decrypt(
        &self,
        place: &Place,
        root: &Material,
        sealed: &[u8],
        context: &EncryptionContext,
    ) -> Result<Vec<u8>> {
        let plain = self.material(root)?.open(sealed, &bound(&self.arn(place), context));
        plain.ok_or_else(invalid_ciphertext)
    }

    fn material(&self, root: &Material) -> Result<Material> {
        let material = root.open(&self.wrapped, self.id.as_bytes()).and_then(|bytes| Material::from_bytes(&bytes));
        material.ok_or_else(|| internal("the key's material is not readable with this folder's root.key"))
    }
}

/// Takes a ciphertext apart: the ARN of its key, and the rest.
pub(crate) fn split_blob(blob: &[u8]) -> Result<(&str, &[u8])> {
    let parts = || {
        let (&[format, length], rest) = blob.split_first_chunk::<2>()?;
        let (arn, sealed) = rest.split_at_checked(usize::from(length))?;
        (format == FORMAT).then_some(())?;
        Some((std::str::from_utf8(arn).ok()?, sealed))
    };
    parts().ok_or_else(invalid_ciphertext)
}

/// Binds a ciphertext to its key and context. Lengths keep two contexts from reading the same.
fn bound(arn: &str, context: &EncryptionContext) -> Vec<u8> {
    let mut out = Vec::new();
    let mut add = |text: &str| {
        out.extend_from_slice(&(text.len() as u64).to_be_bytes());
        out.extend_from_slice(text.as_bytes());
    };
    add(arn);
    for (key, value) in context {
        add(key);
        add(value);
    }
    out
}

pub(crate) fn invalid_ciphertext() -> AwsError {
    AwsError::new("InvalidCiphertextException", "the ciphertext is damaged, or its encryption context is another one")
}

fn internal(message: &str) -> AwsError {
    AwsError { code: "KMSInternalException".into(), ..AwsError::internal(message) }
}

/// Writes a time as the JSON protocol does: seconds with milliseconds behind the point.
pub(crate) fn seconds(at: Timestamp) -> Value {
    let millis = at.as_millisecond();
    json!(millis as f64 / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

        #[test]
        fn damaged_ciphertexts_are_refused(cut in 0_usize..200, flip in 0_usize..200) {
            let place = Place { account: "111122223333".into(), region: "eu-west-1".into() };
            let root = Material::random().unwrap();
            let key = Key::generate("id".into(), false, &root, Timestamp::UNIX_EPOCH).unwrap();
            let context = EncryptionContext::new();
            let blob = key.encrypt(&place, &root, b"data", &context).unwrap();
            let open = |blob: &[u8]| {
                let (arn, sealed) = split_blob(blob)?;
                // Another name in front of a ciphertext leads to another key, or none.
                if arn == key.arn(&place) { key.decrypt(&place, &root, sealed, &context) } else { Err(invalid_ciphertext()) }
            };
            proptest::prop_assert_eq!(open(&blob).unwrap(), b"data");
            proptest::prop_assert!(open(&blob[..cut % blob.len()]).is_err());
            let mut flipped = blob.clone();
            flipped[flip % blob.len()] ^= 1;
            proptest::prop_assert!(open(&flipped).is_err());
        }
    }
}
