//! What the file asks for, already validated.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::PathBuf;

use repin_provider::{Key, Owner, Place, TargetName, Tier, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problem::Problem;

/// What the file asks for.
#[derive(Debug, Clone)]
pub struct Desired {
    /// The owner of everything that is written.
    pub name: Owner,
    /// The targets with the entries that each should hold.
    pub targets: BTreeMap<TargetName, Target>,
    /// The rules of a pass.
    pub policy: Policy,
    /// Globs of entries that are no longer ours and stay in the stores.
    pub forget: Vec<String>,
    /// Names this desired state: equal exactly where the file asks for the same, secrets by reference.
    pub digest: FileDigest,
    /// What may not be what was meant, though it can be stored: for people, and without a say in what is done.
    pub warnings: Vec<Problem>,
    /// What this was read from: the files, those that entries refer to, and the folders in which patterns look.
    pub sources: Vec<PathBuf>,
}

/// Who writes and where, and nothing of the entries: enough to look at the stores and to put them back.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The owner of everything that is written.
    pub name: Owner,
    /// The targets.
    pub targets: BTreeMap<TargetName, TargetConfig>,
    /// The rules of a pass; the defaults where the file's are broken.
    pub policy: Policy,
}

/// One target and what it should hold.
#[derive(Debug, Clone)]
pub struct Target {
    /// The file's name for it.
    pub name: TargetName,
    /// What it is.
    pub config: TargetConfig,
    /// What it should hold.
    pub entries: BTreeMap<Key, Entry>,
}

/// The settings of a target, by provider.
#[derive(Debug, Clone, PartialEq)]
pub enum TargetConfig {
    /// AWS SSM Parameter Store.
    AwsSsm(repin_aws_ssm::Config),
    /// Azure App Configuration.
    AzureAppConfiguration(repin_azure_app_configuration::Config),
}

impl TargetConfig {
    /// Returns the target's place.
    pub fn place(&self) -> Place {
        match self {
            Self::AwsSsm(config) => config.place(),
            Self::AzureAppConfiguration(config) => config.place(),
        }
    }

    /// Returns the provider's name as the file writes it.
    pub fn provider(&self) -> &'static str {
        match self {
            Self::AwsSsm(_) => "aws-ssm",
            Self::AzureAppConfiguration(_) => "azure-app-configuration",
        }
    }
}

/// What one key should hold on one target.
#[derive(Debug, Clone)]
pub struct Entry {
    /// How the value is meant and compared.
    pub kind: EntryKind,
    /// The text to store, byte for byte: JSON is compact here, escapes are done, `trim` is done.
    pub value: Value,
    /// Whether one final newline of what the source holds is dropped.
    pub trim: bool,
    /// The content type to store: the type's, or the file's own; `None` where neither says.
    pub content_type: Option<String>,
    /// What to do with an item that is there and not ours.
    pub adopt: Adopt,
    /// The tier, where the entry names one.
    pub tier: Option<Tier>,
    /// What else the entry says, read as if it were among these fields.
    pub extras: Extras,
}

impl Deref for Entry {
    type Target = Extra;

    fn deref(&self) -> &Extra {
        &self.extras
    }
}

/// What few entries say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extra {
    /// Where the value came from, as a reference that may be shown: `env:NAME` or `file:PATH`; `None` where the value
    /// stands in the file.
    pub source: Option<String>,
    /// The description, where the entry names one.
    pub description: Option<String>,
    /// The tags, where the entry names some.
    pub tags: Option<BTreeMap<String, String>>,
    /// The native version to serve whatever the value says.
    pub pin: Option<String>,
}

impl Extra {
    const NONE: Self = Self { source: None, description: None, tags: None, pin: None };
}

/// An [`Extra`] that takes no room where it says nothing: a daemon keeps ten thousand entries a target for months.
#[derive(Debug, Clone, Default)]
pub struct Extras(Option<Box<Extra>>);

impl From<Extra> for Extras {
    fn from(extra: Extra) -> Self {
        Self((extra != Extra::NONE).then(|| Box::new(extra)))
    }
}

impl Deref for Extras {
    type Target = Extra;

    fn deref(&self) -> &Extra {
        self.0.as_deref().unwrap_or(&Extra::NONE)
    }
}

/// How a value is meant and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// Text, byte for byte. The default for a string and for `value_from`.
    Text,
    /// JSON, stored compact, compared as JSON. The default for anything but a string.
    Json,
    /// Any text, stored as one JSON string.
    JsonString,
    /// A reference to a secret in Azure Key Vault (App Configuration only).
    KeyVaultReference,
    /// A feature flag.
    FeatureFlag,
    /// An AI chat completion configuration.
    AiChat,
    /// An AI configuration.
    Ai,
}

impl EntryKind {
    /// Tells whether two texts of this kind are compared as JSON.
    pub fn is_json(self) -> bool {
        !matches!(self, Self::Text)
    }
}

/// What to do with an item that is there and not ours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Adopt {
    /// Refuse.
    #[default]
    Never,
    /// Take it over where it already holds what the file asks for.
    Equal,
    /// Take it over and change it.
    Always,
}

/// What to do about something that serves another version than the one that repin last served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Drift {
    /// Put back what was served before somebody else changed it.
    #[default]
    Correct,
    /// Only tell of it.
    Report,
}

/// The rules of a pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// What to do about drift: something that serves another version than the one that repin last served.
    pub drift: Drift,
    /// Whether to delete what we own and the file dropped.
    pub prune: bool,
    /// Most deletes in one pass; over it the whole pass is refused before any write.
    pub max_deletes: u32,
    /// What to do with items that are there and not ours.
    pub adopt: Adopt,
    /// How many releases can be served again, as long as the stores keep what they need; older ones stay in the history.
    pub keep_releases: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self { drift: Drift::Correct, prune: true, max_deletes: 10, adopt: Adopt::Never, keep_releases: 20 }
    }
}

/// Names a desired state: a hash of what the file asks for, secrets by reference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileDigest(pub String);
