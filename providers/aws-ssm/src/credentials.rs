//! The role that a target assumes.
//!
//! The SDK has a provider for this too; ours goes through a client that counts its requests, and its failures arrive as
//! errors of ours, which say which of the two sets of credentials is at fault.

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, Result, future};
use repin_provider::{Error, Owner};

use crate::config::AssumeRole;
use crate::error::Call;

/// Assumes a role whenever the SDK's identity cache asks for it.
#[derive(Debug)]
pub(crate) struct AssumedRole {
    sts: aws_sdk_sts::Client,
    role: AssumeRole,
    session: String,
    endpoint: String,
}

impl AssumedRole {
    /// Makes a provider that calls STS with the base credentials. Makes no request yet.
    pub(crate) fn new(sts: aws_sdk_sts::Client, role: &AssumeRole, owner: &Owner, endpoint: String) -> Self {
        Self { sts, role: role.clone(), session: format!("repin-{owner}"), endpoint }
    }

    async fn assume(&self) -> Result {
        let call = Call {
            operation: "AssumeRole",
            endpoint: &self.endpoint,
            key: None,
            about: &self.role.arn,
            writes: false,
            value: None,
        };
        let answer = self
            .sts
            .assume_role()
            .role_arn(&self.role.arn)
            .role_session_name(&self.session)
            .set_external_id(self.role.external_id.clone())
            .send()
            .await
            .map_err(|error| CredentialsError::provider_error(with_hint(call.failed(error))))?;
        let Some(session) = answer.credentials else {
            return Err(CredentialsError::unhandled("AssumeRole answered no credentials"));
        };
        Ok(Credentials::new(
            session.access_key_id,
            session.secret_access_key,
            Some(session.session_token),
            session.expiration.try_into().ok(),
            "RepinAssumedRole",
        ))
    }
}

/// Says what a refused role needs: the role's trust policy is looked at last by most people.
fn with_hint(error: Error) -> Error {
    if error.message.contains("AccessDenied") {
        error.with_hint("Allow sts:AssumeRole to the base credentials, in their policy and in the role's trust policy.")
    } else {
        error
    }
}

impl ProvideCredentials for AssumedRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.assume())
    }
}
