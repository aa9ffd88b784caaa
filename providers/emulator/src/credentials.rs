//! The fixed credentials of the emulated clouds.
//!
//! They are public on purpose. The emulator listens on loopback only, and holds what a test or a first try puts there.

/// The account where none is given.
pub const DEFAULT_ACCOUNT: &str = "000000000000";

/// The region that the emulator suggests; every region works, each with data of its own.
pub const DEFAULT_REGION: &str = "eu-west-1";

/// What every access key id begins with; the account's 12 digits follow.
const ACCESS_KEY_PREFIX: &str = "AKIAREPIN";

/// The secret access key of every account.
pub const SECRET_ACCESS_KEY: &str = "emulator/not-a-real-secret/0123456789abc";

/// The HMAC credential id of the App Configuration store that [`connection_string`](crate::Emulator::connection_string)
/// names. Every other id names another store.
pub const APPCONFIG_ID: &str = "emulator";

/// The HMAC secret of every App Configuration store, in base64.
pub const APPCONFIG_SECRET: &str = "ZW11bGF0b3Itbm90LWEtcmVhbC1zZWNyZXQtMDEyMzQ=";

/// The one tenant of the emulated Microsoft Entra ID.
pub const ENTRA_TENANT_ID: &str = "0e0e0e0e-0000-4000-8000-00000000000a";

/// The application that is App Configuration Data Owner. The managed identity of a host is this one, too.
pub const ENTRA_CLIENT_ID: &str = "0e0e0e0e-0000-4000-8000-000000000001";

/// The application that is App Configuration Data Reader.
pub const ENTRA_READER_ID: &str = "0e0e0e0e-0000-4000-8000-000000000002";

/// The application that has no role.
pub const ENTRA_STRANGER_ID: &str = "0e0e0e0e-0000-4000-8000-000000000003";

/// The client secret of every application.
pub const ENTRA_CLIENT_SECRET: &str = "emulator~not-a-real-client-secret";

/// What `X-IDENTITY-HEADER` must hold: the environment variable `IDENTITY_HEADER` of App Service.
pub const IDENTITY_HEADER: &str = "emulator-not-a-real-identity-header";

/// What `Authorization` must hold for container credentials: `AWS_CONTAINER_AUTHORIZATION_TOKEN`.
pub const CONTAINER_TOKEN: &str = "emulator-not-a-real-container-token";

/// What an application may do in the App Configuration store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AzureRole {
    Owner,
    Reader,
    None,
}

/// Returns the role of an application, if there is one of this client id.
pub(crate) fn role_of(client_id: &str) -> Option<AzureRole> {
    match client_id {
        ENTRA_CLIENT_ID => Some(AzureRole::Owner),
        ENTRA_READER_ID => Some(AzureRole::Reader),
        ENTRA_STRANGER_ID => Some(AzureRole::None),
        _ => None,
    }
}

/// Returns the access key id of an account: `AKIAREPIN` and its 12 digits.
pub fn access_key_id(account: &str) -> String {
    format!("{ACCESS_KEY_PREFIX}{account}")
}

/// Returns the account of an access key id, if it is one of ours.
pub(crate) fn account_of(access_key_id: &str) -> Option<&str> {
    access_key_id.strip_prefix(ACCESS_KEY_PREFIX).filter(|account| is_account(account))
}

/// Tells whether a text is an account id: 12 digits.
pub(crate) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_id_names_its_account() {
        assert_eq!(account_of(&access_key_id("111122223333")), Some("111122223333"));
        for bad in ["AKIAREPIN11112222333", "AKIAOTHER111122223333", "AKIAREPIN11112222333x", ""] {
            assert_eq!(account_of(bad), None, "{bad}");
        }
    }
}
