//! KMS: symmetric keys, their aliases and states, and real encryption.

pub(crate) mod crypto;
mod key;
#[cfg(test)]
mod tests;
mod wire;

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use self::crypto::Material;
pub(crate) use self::key::{EncryptionContext, KeyState, seconds};
use self::key::{Key, split_blob};
pub(crate) use self::wire::call;
use super::context::{Context, Place, Row};
use super::error::{AwsError, Result};
use crate::faults::Oddity;
use crate::persist::{Persist, PersistError};

/// The key that Parameter Store uses where none is named. It is there in every account and region.
pub(crate) const SSM_ALIAS: &str = "alias/aws/ssm";

const KEYS: &str = "kms_keys";
const ALIASES: &str = "kms_aliases";

/// Every key of every account and region.
#[derive(Debug)]
pub(crate) struct Kms {
    root: Material,
    rings: BTreeMap<Place, Ring>,
}

/// The keys of one account in one region.
#[derive(Debug, Default)]
struct Ring {
    keys: BTreeMap<String, Key>,
    aliases: BTreeMap<String, Alias>,
}

#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Alias {
    name: String,
    key: String,
    created: Timestamp,
    updated: Timestamp,
}

impl Kms {
    /// Reads back what was kept.
    pub(crate) fn load(persist: &Persist) -> std::result::Result<Self, PersistError> {
        let mut kms = Self { root: crypto::root_key(persist.dir())?, rings: BTreeMap::new() };
        for (_, row) in persist.load_all::<Row<Key>>(KEYS)? {
            kms.rings.entry(row.place).or_default().keys.insert(row.item.id.clone(), row.item);
        }
        for (_, row) in persist.load_all::<Row<Alias>>(ALIASES)? {
            kms.rings.entry(row.place).or_default().aliases.insert(row.item.name.clone(), row.item);
        }
        Ok(kms)
    }

    /// Makes sure that a key exists: an id, or an alias with a key behind it. ARNs name their own place.
    pub(crate) fn ensure(&mut self, ctx: &mut Context<'_>, name: &str) -> Result<()> {
        let (place, name) = match parse_arn(name) {
            Some((place, rest)) => (place, rest),
            None => (ctx.place.clone(), name),
        };
        let outer = std::mem::replace(&mut ctx.place, place);
        let done = self.ensure_here(ctx, name);
        ctx.place = outer;
        done
    }

    fn ensure_here(&mut self, ctx: &mut Context<'_>, name: &str) -> Result<()> {
        self.prepare(ctx)?;
        if self.find(ctx, name).is_ok() {
            return Ok(());
        }
        if name.starts_with("alias/") {
            let id = self.create_key(ctx, Uuid::new_v4().to_string(), String::new(), false)?;
            self.put_alias(ctx, name, &id)
        } else {
            self.create_key(ctx, name.strip_prefix("key/").unwrap_or(name).to_owned(), String::new(), false).map(drop)
        }
    }

    /// Makes the key that AWS manages here, and lets keys go whose waiting time is over.
    fn prepare(&mut self, ctx: &mut Context<'_>) -> Result<()> {
        let ring = self.rings.entry(ctx.place.clone()).or_default();
        let over = |key: &Key| matches!(key.state, KeyState::PendingDeletion(at) if at <= ctx.now);
        let gone: Vec<String> = ring.keys.values().filter(|key| over(key)).map(|key| key.id.clone()).collect();
        for id in gone {
            ring.keys.remove(&id);
            ctx.drop_row(KEYS, format!("{}/{id}", ctx.place));
            let orphans: Vec<String> =
                ring.aliases.values().filter(|alias| alias.key == id).map(|alias| alias.name.clone()).collect();
            for name in orphans {
                ring.aliases.remove(&name);
                ctx.drop_row(ALIASES, format!("{}/{name}", ctx.place));
            }
        }
        if !ring.aliases.contains_key(SSM_ALIAS) {
            let id = self.create_key(
                ctx,
                Uuid::new_v4().to_string(),
                "Default key that protects my SSM parameters when no other key is defined".to_owned(),
                true,
            )?;
            self.put_alias(ctx, SSM_ALIAS, &id)?;
        }
        Ok(())
    }

    fn create_key(
        &mut self,
        ctx: &mut Context<'_>,
        id: String,
        description: String,
        aws_managed: bool,
    ) -> Result<String> {
        let mut key = Key::generate(id, aws_managed, &self.root, ctx.now)?;
        key.description = description;
        let id = key.id.clone();
        ctx.keep(KEYS, format!("{}/{id}", ctx.place), &key)?;
        self.ring_mut(ctx).keys.insert(id.clone(), key);
        Ok(id)
    }

    fn put_alias(&mut self, ctx: &mut Context<'_>, name: &str, key: &str) -> Result<()> {
        let now = ctx.now;
        let created = self.ring(ctx).aliases.get(name).map_or(now, |alias| alias.created);
        let alias = Alias { name: name.to_owned(), key: key.to_owned(), created, updated: now };
        ctx.keep(ALIASES, format!("{}/{name}", ctx.place), &alias)?;
        self.ring_mut(ctx).aliases.insert(name.to_owned(), alias);
        Ok(())
    }

    fn delete_alias(&mut self, ctx: &mut Context<'_>, name: &str) -> Result<()> {
        if self.ring_mut(ctx).aliases.remove(name).is_none() {
            return Err(alias_not_found(&ctx.place, name));
        }
        ctx.drop_row(ALIASES, format!("{}/{name}", ctx.place));
        Ok(())
    }

    fn ring(&self, ctx: &Context<'_>) -> &Ring {
        self.rings.get(&ctx.place).expect("prepare made the ring of this place")
    }

    fn ring_mut(&mut self, ctx: &Context<'_>) -> &mut Ring {
        self.rings.entry(ctx.place.clone()).or_default()
    }

    /// Finds a key by id, key ARN, alias or alias ARN.
    fn find(&self, ctx: &Context<'_>, name: &str) -> Result<&Key> {
        let local = match parse_arn(name) {
            Some((place, _)) if place != ctx.place => {
                return Err(not_found(format!("Key '{name}' does not exist")));
            }
            Some((_, rest)) => rest,
            None if name.starts_with("arn:") => {
                return Err(AwsError::new("InvalidArnException", format!("{name} is not an ARN of a key or alias")));
            }
            None => name,
        };
        let ring = self.ring(ctx);
        let id = if local.starts_with("alias/") {
            &ring.aliases.get(local).ok_or_else(|| alias_not_found(&ctx.place, local))?.key
        } else {
            local.strip_prefix("key/").unwrap_or(local)
        };
        ring.keys.get(id).ok_or_else(|| {
            not_found(format!("Key 'arn:aws:kms:{}:{}:key/{id}' does not exist", ctx.place.region, ctx.place.account))
        })
    }

    /// Finds a key in the state that it is in for this request.
    fn find_now(&self, ctx: &Context<'_>, name: &str) -> Result<Cow<'_, Key>> {
        let key = self.find(ctx, name)?;
        let state = match ctx.oddity.filter(|_| !key.aws_managed) {
            Some(Oddity::KeysDisabled) => KeyState::Disabled,
            Some(Oddity::KeysPendingDeletion) => KeyState::PendingDeletion(deletion_date(ctx.now, 7)?),
            _ => return Ok(Cow::Borrowed(key)),
        };
        Ok(Cow::Owned(Key { state, ..key.clone() }))
    }

    /// Changes a key and notes it.
    fn change(
        &mut self,
        ctx: &mut Context<'_>,
        name: &str,
        change: impl FnOnce(&mut Key) -> Result<()>,
    ) -> Result<Key> {
        let mut key = self.find(ctx, name)?.clone();
        change(&mut key)?;
        ctx.keep(KEYS, format!("{}/{}", ctx.place, key.id), &key)?;
        self.ring_mut(ctx).keys.insert(key.id.clone(), key.clone());
        Ok(key)
    }

    /// Encrypts under a usable key; returns the ciphertext and the key's ARN.
    fn encrypt_under(
        &self,
        ctx: &Context<'_>,
        name: &str,
        plain: &[u8],
        context: &EncryptionContext,
    ) -> Result<(Vec<u8>, String)> {
        let key = self.find_now(ctx, name)?;
        key.check_usable(&ctx.place)?;
        Ok((key.encrypt(&ctx.place, &self.root, plain, context)?, key.arn(&ctx.place)))
    }

    /// Decrypts under the key that the ciphertext names; returns the plain text and the key's ARN.
    fn decrypt_blob(&self, ctx: &Context<'_>, blob: &[u8], context: &EncryptionContext) -> Result<(Vec<u8>, String)> {
        let (arn, sealed) = split_blob(blob)?;
        let key = self.find_now(ctx, arn)?;
        key.check_usable(&ctx.place)?;
        Ok((key.decrypt(&ctx.place, &self.root, sealed, context)?, arn.to_owned()))
    }

    /// Does what Parameter Store asks of KMS to store a secret of the standard tier.
    pub(crate) fn encrypt_for_ssm(
        &mut self,
        ctx: &mut Context<'_>,
        key: &str,
        plain: &[u8],
        context: &EncryptionContext,
    ) -> Result<Vec<u8>> {
        self.prepare(ctx)?;
        let result = self.encrypt_under(ctx, key, plain, context).map(|(blob, _)| blob);
        count(ctx, "Encrypt (ssm)", &result);
        result
    }

    /// Hands Parameter Store a data key for a secret of the advanced tier: in the clear, and encrypted.
    pub(crate) fn data_key_for_ssm(
        &mut self,
        ctx: &mut Context<'_>,
        key: &str,
        context: &EncryptionContext,
    ) -> Result<(Material, Vec<u8>)> {
        self.prepare(ctx)?;
        let material = Material::random().ok_or_else(|| AwsError::internal("no data key could be made"))?;
        let result = self.encrypt_under(ctx, key, material.bytes(), context).map(|(blob, _)| blob);
        count(ctx, "GenerateDataKey (ssm)", &result);
        result.map(|blob| (material, blob))
    }

    /// Decrypts a ciphertext for Parameter Store.
    pub(crate) fn decrypt_for_ssm(
        &mut self,
        ctx: &mut Context<'_>,
        blob: &[u8],
        context: &EncryptionContext,
    ) -> Result<Vec<u8>> {
        self.prepare(ctx)?;
        let result = self.decrypt_blob(ctx, blob, context).map(|(plain, _)| plain);
        count(ctx, "Decrypt (ssm)", &result);
        result
    }
}

fn count<T>(ctx: &Context<'_>, operation: &str, result: &Result<T>) {
    ctx.counters.record("kms", operation, result.as_ref().map_or_else(|error| error.status.as_u16(), |_| 200));
}

/// Takes `arn:aws:kms:REGION:ACCOUNT:key/ID` or `...:alias/NAME` apart.
fn parse_arn(text: &str) -> Option<(Place, &str)> {
    let mut parts = text.strip_prefix("arn:aws:kms:")?.splitn(3, ':');
    let (region, account, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let known = rest.starts_with("key/") || rest.starts_with("alias/");
    known.then(|| (Place { account: account.to_owned(), region: region.to_owned() }, rest))
}

fn not_found(message: String) -> AwsError {
    AwsError::new("NotFoundException", message)
}

fn alias_not_found(place: &Place, name: &str) -> AwsError {
    not_found(format!("Alias arn:aws:kms:{}:{}:{name} is not found.", place.region, place.account))
}

/// Returns when a key goes that is scheduled now.
fn deletion_date(now: Timestamp, days: i64) -> Result<Timestamp> {
    if !(7..=30).contains(&days) {
        return Err(AwsError::constraint("pendingWindowInDays", "Member must be between 7 and 30, inclusive"));
    }
    now.checked_add(SignedDuration::from_hours(24 * days)).map_err(|error| AwsError::internal(error.to_string()))
}
