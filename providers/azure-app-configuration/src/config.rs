//! Settings of one target, as the file writes them.

use std::path::PathBuf;

use repin_provider::Place;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One place in an Azure App Configuration store: endpoint, prefix and label. Holds no credential.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The store: `https://contoso-ai.azconfig.io`.
    pub endpoint: String,
    /// What every key starts with, joined by the separator. Empty by default.
    #[serde(default)]
    pub prefix: String,
    /// What joins prefix and key. `/` by default.
    #[serde(default = "default_separator")]
    pub separator: String,
    /// The label of every key-value; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What readers read.
    #[serde(default)]
    pub serve: Serve,
    /// Where the credential comes from.
    #[serde(default)]
    pub credential: CredentialKind,
    /// Where the connection string is read from; never the string itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_string: Option<SecretSource>,
    /// Whether `endpoint` may be plain http on another host, with a connection string: access tokens never travel so.
    /// Values can then be read and changed on the way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_http: bool,
    /// A file with the certificates of authorities, in PEM, that are trusted beside the system's, relative to the file
    /// that names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<PathBuf>,
    /// How long the store keeps superseded revisions, in days or hours: `7d` (default; Free and Developer), `30d`.
    #[serde(default = "default_retention")]
    pub revision_retention: String,
    /// Quotas other than those of the Standard tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rates: Option<Rates>,
    /// The share of the quota to use, above 0 and up to 1. All of it for a command, half of it for the daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_share: Option<f64>,
}

/// Requests that the store takes, for everybody who uses it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "StoreRates")]
pub struct Rates {
    /// Reads a second. 300 by default; Premium takes 450.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<f64>,
    /// Writes a second. 60 by default; Premium takes 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<f64>,
    /// Requests an hour in all. 30,000 by default; Developer takes 6,000, Free 1,000 a day (41).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hourly: Option<f64>,
}

/// What readers read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Serve {
    /// The key-values themselves.
    #[default]
    KeyValues,
    /// The snapshot that the snapshot reference at this key names; the key is joined with the prefix.
    Snapshot(String),
}

impl std::fmt::Display for Serve {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::KeyValues => f.write_str("key-values"),
            Self::Snapshot(key) => write!(f, "snapshot {key}"),
        }
    }
}

/// Where the credential comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialKind {
    /// The connection string where one is given; else workload identity where its variables are set, managed identity
    /// where it answers, then developer tools.
    #[default]
    Auto,
    /// `az login`.
    AzureCli,
    /// The host's managed identity.
    ManagedIdentity,
    /// A federated token file (`AZURE_FEDERATED_TOKEN_FILE`).
    WorkloadIdentity,
    /// `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and `AZURE_CLIENT_SECRET`.
    ClientSecret,
    /// The connection string.
    ConnectionString,
}

/// A place to read a secret from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file, relative to the file that names it; a final newline is dropped.
    File(PathBuf),
}

fn default_separator() -> String {
    "/".to_owned()
}

fn default_retention() -> String {
    "7d".to_owned()
}

impl Config {
    /// Returns the target's place: what it is whatever the file calls it.
    pub fn place(&self) -> Place {
        let store = self.endpoint.trim_end_matches('/').to_lowercase();
        let store =
            store.strip_prefix("https://").or_else(|| store.strip_prefix("http://")).unwrap_or(&store).to_owned();
        let label = self.label.as_deref().unwrap_or("");
        Place::parse(&format!("azure-app-configuration/{store}/{}?label={label}", self.prefix)).expect("never empty")
    }
}
