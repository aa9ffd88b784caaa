//! Harmless requests that show what a target lacks: each changes nothing, whatever it finds.
//!
//! Reads are tried on a name that need not be there. IAM answers by the name alone, before the store looks it up, so that
//! "not found" means "allowed". Nothing comparable is certain of writes, which are therefore not tried.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_kms::types::KeyManagerType;
use aws_sdk_ssm::types::ResourceTypeForTagging;
use jiff::Timestamp;
use repin_provider::{Error, ErrorKind, Identity, Key, Result};

use crate::Ssm;
use crate::count::StoreClock;
use crate::error::Call;
use crate::pace::Category;
use crate::preflight::{THROUGHPUT, key_problem};

/// Where credentials came from. Holds none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What they were found in: `the environment (AWS_ACCESS_KEY_ID)`.
    pub from: &'static str,
    /// The role that the target assumes with them, and until when.
    pub role: Option<(String, Option<Timestamp>)>,
    /// When they end, where they say so. All but those of the environment are renewed in time.
    pub expires: Option<Timestamp>,
    /// Whether they belong to a session that ends, whether or not they say when.
    pub is_session: bool,
}

/// Who the store takes us for.
#[derive(Debug)]
pub struct Identified {
    /// The account and the principal.
    pub identity: Result<Identity>,
    /// The store's clock as it answered, refusals too; `None` where nothing did.
    pub at: Option<Timestamp>,
}

/// A key that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyState {
    /// Its ARN: what an alias leads to.
    pub arn: String,
    /// What keeps it from encrypting parameters, and the mend.
    pub problem: Option<(String, &'static str)>,
    /// Whether AWS manages it, and its policy cannot be changed.
    pub is_aws_managed: bool,
}

impl Ssm {
    /// Returns the services that a target needs and where each is: a host name, or the URL that the file or the
    /// environment names instead. KMS only where there is a key.
    pub fn services(&self) -> Vec<(&'static str, String)> {
        let endpoints = self.client.endpoints();
        let mut all = vec![("ssm", endpoints.ssm.clone()), ("sts", endpoints.sts.clone())];
        if self.config.kms_key.is_some() {
            all.push(("kms", endpoints.kms.clone()));
        }
        all
    }

    /// Finds credentials, and says where.
    ///
    /// # Errors
    /// `Denied` where there are none; whatever kept a role from being assumed.
    pub async fn source(&self) -> Result<Source> {
        let (base, role) = self.client.signers();
        let found = self.provide(base).await?;
        let role = match (role, &self.config.assume_role) {
            (Some(provider), Some(role)) => {
                let session = self.provide(Some(provider)).await?;
                Some((role.arn.clone(), session.expiry().and_then(timestamp)))
            }
            _ => None,
        };
        Ok(Source {
            from: origin(&found),
            role,
            expires: found.expiry().and_then(timestamp),
            is_session: found.session_token().is_some(),
        })
    }

    async fn provide(&self, provider: Option<&SharedCredentialsProvider>) -> Result<Credentials> {
        let call = self.client.call("find credentials", None, "");
        let Some(provider) = provider else {
            return Err(call.error(ErrorKind::Denied, "nothing provides credentials"));
        };
        provider.provide_credentials().await.map_err(|error| call.unprovided(&error))
    }

    /// Asks who we are, whatever account that is.
    pub async fn identify(&self) -> Identified {
        let clock = StoreClock::default();
        let call = Call { endpoint: &self.client.endpoints().sts, ..self.client.call("GetCallerIdentity", None, "") };
        let asked = self.client.sts().get_caller_identity().customize().interceptor(clock.clone()).send().await;
        let identity = asked.map_err(|error| call.failed(error));
        let identity = identity.map(|answer| Identity { account: answer.account, principal: answer.arn });
        Identified { identity, at: clock.earliest() }
    }

    /// Tries `ssm:GetParameters` on a name.
    ///
    /// # Errors
    /// `Denied` without the right.
    pub async fn try_read(&self, name: &str) -> Result<()> {
        self.client.get_parameters(vec![name.to_owned()], false, None, &StoreClock::default()).await.map(drop)
    }

    /// Tries `kms:Decrypt` as it is always used: by reading an entry of ours that is a secret. What it holds is dropped
    /// unseen. Tells whether there was one to try on.
    ///
    /// # Errors
    /// `Denied` without the right, `KeyUnusable`.
    pub async fn try_decrypt(&self, key: &Key) -> Result<bool> {
        let names = vec![self.name_of(key)];
        let (found, _) = self.client.get_parameters(names, true, Some(key), &StoreClock::default()).await?;
        Ok(found.iter().any(|parameter| parameter.r#type == Some(aws_sdk_ssm::types::ParameterType::SecureString)))
    }

    /// Tries `ssm:GetParameterHistory` on a name.
    ///
    /// # Errors
    /// `Denied` without the right.
    pub async fn try_history(&self, name: &str) -> Result<()> {
        self.client.turn(Category::Put).await;
        let call = self.client.call("GetParameterHistory", None, name);
        let asked = self.client.reads().get_parameter_history().name(name).max_results(1).send().await;
        allowed(asked.map(drop).map_err(|error| call.failed(error)))
    }

    /// Tries `ssm:ListTagsForResource` on a name.
    ///
    /// # Errors
    /// `Denied` without the right.
    pub async fn try_tags(&self, name: &str) -> Result<()> {
        self.client.turn(Category::Tags).await;
        let call = self.client.call("ListTagsForResource", None, name);
        let request = self.client.reads().list_tags_for_resource().resource_type(ResourceTypeForTagging::Parameter);
        let asked = request.resource_id(name).send().await;
        allowed(asked.map(drop).map_err(|error| call.failed(error)))
    }

    /// Tries `ssm:GetParametersByPath` on a path: one page of one parameter, undecrypted.
    ///
    /// # Errors
    /// `Denied` without the right.
    pub async fn try_list(&self, path: &str) -> Result<()> {
        self.client.turn(Category::Path).await;
        let call = self.client.call("GetParametersByPath", None, path);
        let request = self.client.reads().get_parameters_by_path().path(path).recursive(true).with_decryption(false);
        let asked = request.max_results(1).send().await;
        allowed(asked.map(drop).map_err(|error| call.failed(error)))
    }

    /// Asks whether the account has high throughput in the region.
    ///
    /// # Errors
    /// `Denied` without `ssm:GetServiceSetting`.
    pub async fn has_high_throughput(&self) -> Result<bool> {
        self.client.turn(Category::Tags).await;
        let call = self.client.call("GetServiceSetting", None, THROUGHPUT);
        let asked = self.client.reads().get_service_setting().setting_id(THROUGHPUT).send().await;
        let setting = asked.map_err(|error| call.failed(error))?.service_setting;
        Ok(setting.and_then(|setting| setting.setting_value).as_deref() == Some("true"))
    }

    /// Asks how the target's key is.
    ///
    /// # Errors
    /// `Denied` without `kms:DescribeKey`, `KeyUnusable` where there is no such key.
    pub async fn key_state(&self, key: &str) -> Result<KeyState> {
        let call = self.kms("DescribeKey", key);
        let asked = self.client.kms().describe_key().key_id(key).send().await;
        let Some(found) = asked.map_err(|error| call.failed(error))?.key_metadata else {
            return Err(call.error(ErrorKind::Unexpected, "the answer describes no key"));
        };
        Ok(KeyState {
            problem: key_problem(&found),
            is_aws_managed: found.key_manager == Some(KeyManagerType::Aws),
            arn: found.arn.unwrap_or(found.key_id),
        })
    }

    /// Asks whether a key, by its ARN, is rotated by itself.
    ///
    /// # Errors
    /// `Denied` without `kms:GetKeyRotationStatus`.
    pub async fn is_rotated(&self, arn: &str) -> Result<bool> {
        let call = self.kms("GetKeyRotationStatus", arn);
        let asked = self.client.kms().get_key_rotation_status().key_id(arn).send().await;
        asked.map(|answer| answer.key_rotation_enabled).map_err(|error| call.failed(error))
    }

    fn kms<'a>(&'a self, operation: &'static str, key: &'a str) -> Call<'a> {
        Call { endpoint: &self.client.endpoints().kms, ..self.client.call(operation, None, key) }
    }
}

/// A name that is not there was looked up, so it may be.
fn allowed(asked: Result<()>) -> Result<()> {
    match asked {
        Err(Error { kind: ErrorKind::NotFound, .. }) => Ok(()),
        other => other,
    }
}

fn timestamp(at: SystemTime) -> Option<Timestamp> {
    Timestamp::try_from(at).ok()
}

/// Returns where credentials were found: the SDK marks each step of the way, the source being the first.
fn origin(credentials: &Credentials) -> &'static str {
    use AwsCredentialFeature::*;
    let steps = credentials.get_property::<Vec<AwsCredentialFeature>>().map(Vec::as_slice).unwrap_or_default();
    let of = |step: &AwsCredentialFeature| {
        Some(match step {
            CredentialsEnvVars => "the environment (AWS_ACCESS_KEY_ID)",
            CredentialsEnvVarsStsWebIdToken => "a web identity (AWS_WEB_IDENTITY_TOKEN_FILE)",
            CredentialsProfileStsWebIdToken => "a profile with a web identity",
            CredentialsProfileSso | CredentialsSso => "an SSO session",
            CredentialsProfileProcess | CredentialsProcess => "a credential process",
            CredentialsProfileLogin | CredentialsLogin => "a login session",
            CredentialsHttp => "the container's endpoint (ECS, EKS Pod Identity)",
            CredentialsImds => "the instance's metadata service (IMDS)",
            CredentialsStsAssumeRoleWebId => "a web identity",
            CredentialsProfile | CredentialsProfileSourceProfile | CredentialsProfileNamedProvider => "a profile",
            _ => return None,
        })
    };
    steps.iter().find_map(of).unwrap_or("this program")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_is_the_source() {
        let mut credentials = Credentials::new("id", "secret", None, None, "test");
        assert_eq!(origin(&credentials), "this program");
        let steps = [AwsCredentialFeature::ResolvedAccountId, AwsCredentialFeature::CredentialsProfileSso];
        credentials.get_property_mut_or_default::<Vec<AwsCredentialFeature>>().extend(steps);
        assert_eq!(origin(&credentials), "an SSO session");
        credentials.get_property_mut_or_default::<Vec<AwsCredentialFeature>>()[0] =
            AwsCredentialFeature::CredentialsEnvVarsStsWebIdToken;
        assert!(origin(&credentials).starts_with("a web identity"));
    }

    #[test]
    fn not_found_means_allowed() {
        let error = |kind| Err(Error::new(kind, "X", "y"));
        assert!(allowed(error(ErrorKind::NotFound)).is_ok());
        assert_eq!(allowed(error(ErrorKind::Denied)).unwrap_err().kind, ErrorKind::Denied);
    }
}
