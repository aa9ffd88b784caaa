//! What is checked before the first write: whose credentials these are, whether the key works, how fast it may go.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_kms::types::{KeyMetadata, KeySpec, KeyState, KeyUsageType};
use repin_provider::{Error, ErrorKind, Identity, Needs, Result};
use tokio::time::Instant;

use crate::Ssm;
use crate::error::Call;
use crate::pace::Category;

/// How long an identity is believed. Credentials may be replaced under a running daemon.
const BELIEVED: Duration = Duration::from_secs(300);

/// The setting that raises the quotas of an account in a region.
pub(crate) const THROUGHPUT: &str = "/ssm/parameter-store/high-throughput-enabled";

/// The identity that was last confirmed.
#[derive(Debug, Default)]
pub(crate) struct Confirmed(Mutex<Option<(Instant, Identity)>>);

impl Confirmed {
    fn get(&self) -> Option<Identity> {
        let confirmed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        confirmed.as_ref().filter(|(at, _)| at.elapsed() < BELIEVED).map(|(_, identity)| identity.clone())
    }

    fn set(&self, identity: &Identity) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), identity.clone()));
    }
}

impl Ssm {
    /// Checks the account, and the key each time: keys are disabled under running daemons.
    pub(crate) async fn check(&self, needs: Needs) -> Result<Identity> {
        let identity = match self.confirmed.get() {
            Some(identity) => identity,
            None => self.confirm_identity().await?,
        };
        if needs.encrypt {
            self.check_key().await?;
        }
        if let Some(pace) = self.client.pace().filter(|pace| pace.asks_for_setting(needs.writes)) {
            pace.learn_setting(self.throughput_setting().await);
        }
        Ok(identity)
    }

    /// Asks whether the account has high throughput. Without the right to ask it counts as not; `None` where there was
    /// no answer, which is no reason not to write.
    async fn throughput_setting(&self) -> Option<bool> {
        self.client.turn(Category::Tags).await;
        let call = self.client.call("GetServiceSetting", None, THROUGHPUT);
        let answer = self.client.reads().get_service_setting().setting_id(THROUGHPUT).send().await;
        match answer.map_err(|error| call.failed(error)) {
            Ok(answer) => {
                let value = answer.service_setting.and_then(|setting| setting.setting_value);
                tracing::debug!(value, "the account's throughput setting");
                Some(value.as_deref() == Some("true"))
            }
            Err(error) => {
                tracing::info!(%error, "writing at the default rate, since the throughput setting cannot be read");
                (error.kind == ErrorKind::Denied).then_some(false)
            }
        }
    }

    async fn confirm_identity(&self) -> Result<Identity> {
        let call = Call {
            operation: "GetCallerIdentity",
            endpoint: &self.client.endpoints().sts,
            key: None,
            about: "",
            writes: false,
            value: None,
        };
        let answer = self.client.sts().get_caller_identity().send().await.map_err(|error| call.failed(error))?;
        let account = answer.account.unwrap_or_default();
        if account != self.config.account {
            let principal = answer.arn.as_deref().unwrap_or("unknown");
            let message = format!(
                "the credentials belong to account {account} ({principal}), and the file names {}",
                self.config.account
            );
            let hint = "Use credentials of that account, or set `profile` or `assume_role` for this target.";
            return Err(call.error(ErrorKind::WrongAccount, message).with_hint(hint));
        }
        let identity = Identity { account: Some(account), principal: answer.arn };
        self.confirmed.set(&identity);
        Ok(identity)
    }

    async fn check_key(&self) -> Result<()> {
        let call = self.key_call();
        let key = self.kms_key(&call)?;
        let call = Call { about: &key, ..call };
        let sent = self.client.kms().describe_key().key_id(&key).send().await;
        let answer = sent.map_err(|error| call.failed(error)).map_err(allow_describe)?;
        let Some(metadata) = answer.key_metadata else {
            return Err(call.error(ErrorKind::Unexpected, "the answer describes no key"));
        };
        match key_problem(&metadata) {
            None => Ok(()),
            Some((problem, hint)) => {
                Err(call.error(ErrorKind::KeyUnusable, format!("the key {problem}")).with_hint(hint))
            }
        }
    }

    fn key_call(&self) -> Call<'_> {
        Call {
            operation: "DescribeKey",
            endpoint: &self.client.endpoints().kms,
            key: None,
            about: "",
            writes: false,
            value: None,
        }
    }

    /// Returns the key that secrets are encrypted under. There is no default: the store's own key is open to the whole
    /// account.
    pub(crate) fn kms_key(&self, call: &Call<'_>) -> Result<String> {
        self.config.kms_key.clone().ok_or_else(|| {
            let error = call.error(ErrorKind::KeyUnusable, "a secret is to be written, and the target names no key");
            error.with_hint("Set `kms_key` for this target.")
        })
    }
}

fn allow_describe(error: Error) -> Error {
    if error.kind == ErrorKind::Denied && error.message.contains("AccessDenied") {
        error.with_hint("Allow kms:DescribeKey on `kms_key`; `repin iam` prints the policy.")
    } else {
        error
    }
}

/// Says what keeps a key from encrypting parameters, and the mend.
pub(crate) fn key_problem(key: &KeyMetadata) -> Option<(String, &'static str)> {
    const OTHER: &str = "Name a symmetric encryption key in `kms_key`.";
    match key.key_state.as_ref() {
        Some(KeyState::Enabled) => {}
        Some(KeyState::Disabled) => {
            return Some(("is Disabled".to_owned(), "Enable the key, or name another in `kms_key`."));
        }
        Some(state @ (KeyState::PendingDeletion | KeyState::PendingReplicaDeletion)) => {
            let date = key.deletion_date.as_ref().map(|date| format!(", gone on {date}")).unwrap_or_default();
            let hint = "Cancel the key's deletion and enable it: what it encrypted dies with it.";
            return Some((format!("is {}{date}", state.as_str()), hint));
        }
        Some(state) => {
            let hint = "Wait until the key is Enabled, import its material, or name another in `kms_key`.";
            return Some((format!("is {}", state.as_str()), hint));
        }
        None => return Some(("has no known state".to_owned(), OTHER)),
    }
    match (&key.key_usage, &key.key_spec) {
        (Some(KeyUsageType::EncryptDecrypt), Some(KeySpec::SymmetricDefault)) => None,
        (usage, spec) => {
            let usage = usage.as_ref().map_or("unknown", KeyUsageType::as_str);
            let spec = spec.as_ref().map_or("unknown", KeySpec::as_str);
            Some((format!("is of the wrong kind: usage {usage}, spec {spec}"), OTHER))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(state: KeyState, usage: KeyUsageType, spec: KeySpec) -> KeyMetadata {
        KeyMetadata::builder().key_id("k").key_state(state).key_usage(usage).key_spec(spec).build().unwrap()
    }

    #[test]
    fn only_an_enabled_symmetric_key_will_do() {
        let good = key(KeyState::Enabled, KeyUsageType::EncryptDecrypt, KeySpec::SymmetricDefault);
        assert_eq!(key_problem(&good), None);
        for (state, word) in [
            (KeyState::Disabled, "Disabled"),
            (KeyState::PendingDeletion, "PendingDeletion"),
            (KeyState::PendingImport, "PendingImport"),
            (KeyState::Unavailable, "Unavailable"),
        ] {
            let bad = key(state, KeyUsageType::EncryptDecrypt, KeySpec::SymmetricDefault);
            let (problem, _) = key_problem(&bad).unwrap();
            assert!(problem.contains(word), "{problem}");
        }
        let signing = key(KeyState::Enabled, KeyUsageType::SignVerify, KeySpec::Rsa2048);
        assert!(key_problem(&signing).unwrap().0.contains("RSA_2048"));
    }
}
