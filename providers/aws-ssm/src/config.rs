//! Settings of one target, as the file writes them.

use std::path::PathBuf;

use repin_provider::{Place, Tier};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One place in AWS SSM Parameter Store: account, region and prefix. Holds no credential.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The AWS account, 12 digits, compared with the credentials' account before any write.
    pub account: String,
    /// The AWS region.
    pub region: String,
    /// The path below which every entry lies: `/ai/assistant/prod`.
    pub prefix: String,
    /// The KMS key that secrets are encrypted under: id, ARN, alias name or alias ARN. Always sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// What readers read.
    #[serde(default)]
    pub serve: Serve,
    /// A profile of the AWS configuration files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// A role to assume first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assume_role: Option<AssumeRole>,
    /// Another endpoint, for emulators and private endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    /// Whether `endpoint_url` may be plain http on another host. Values, secrets among them, can then be read and changed
    /// on the way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_http: bool,
    /// A file with the certificates of authorities, in PEM, that are trusted beside the system's, relative to the file
    /// that names it. Left out, the one that `AWS_CA_BUNDLE` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<PathBuf>,
    /// The tier of new parameters: `standard` (default) or `advanced`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// The path below which the ledger lies. `/repin` by default.
    #[serde(default = "default_ledger_prefix")]
    pub ledger_prefix: String,
    /// Quotas other than the documented ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rates: Option<Rates>,
    /// The share of the quota to use, above 0 and up to 1. All of it for a command, half of it for the daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_share: Option<f64>,
}

/// What readers read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Serve {
    /// The parameter's name: the latest version.
    #[default]
    Latest,
    /// `name:label`: the version that carries this label.
    Label(String),
}

impl std::fmt::Display for Serve {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Label(label) => write!(f, "label {label}"),
        }
    }
}

/// A role to assume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AssumeRole {
    /// The role's ARN.
    pub arn: String,
    /// The external id that the role's trust policy asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
}

/// Requests a second, by category.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// GetParameter, GetParameters and GetParametersByPath together. 40 by default; 1,000 with high throughput.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get: Option<f64>,
    /// PutParameter, labels, DescribeParameters and GetParameterHistory together. 3 by default; 10 with high
    /// throughput.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put: Option<f64>,
    /// DeleteParameter and DeleteParameters together. 3 by default; 5 with high throughput.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<f64>,
}

fn default_ledger_prefix() -> String {
    "/repin".to_owned()
}

impl Config {
    /// Returns the target's place: what it is whatever the file calls it.
    pub fn place(&self) -> Place {
        let prefix = self.prefix.trim_end_matches('/');
        Place::parse(&format!("aws-ssm/{}/{}{}", self.account, self.region, prefix)).expect("never empty")
    }
}
