//! What a file may hold: the one description that decoding, error messages and the JSON Schema share.

use std::collections::BTreeMap;
use std::path::PathBuf;

use repin_provider::Tier;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, Visitor};

use crate::model::desired::{Adopt, EntryKind, Policy};

/// The configuration of repin: which entries each target should hold.
///
/// Several files merge in order: maps at every depth; scalars and lists replace; `value` and `value_from` replace each
/// other; an entry set to null is dropped.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "repin configuration", extend("$id" = "https://github.com/repin-dev/repin/schema/1"))]
#[expect(
    dead_code,
    reason = "says which sections there are; each is taken from the tree, so that one flaw hides no other"
)]
pub(super) struct File {
    /// The version of this format. Needed in one of the files.
    #[serde(default)]
    #[schemars(with = "Version")]
    pub(super) version: Option<Authored>,
    /// The owner of everything that this configuration writes: 1 to 40 of a-z, 0-9 and "-". Needed in one of the files.
    #[schemars(
        with = "Option<String>",
        length(min = 1, max = 40),
        regex(pattern = "^[a-z0-9-]+$"),
        example = "assistant-prod"
    )]
    pub(super) name: Option<Authored>,
    /// Where entries go, by a name of your choice: letters, digits, "-", "_" and ".". Needed in one of the files.
    #[schemars(with = "Option<BTreeMap<String, Target>>")]
    pub(super) targets: Option<Authored>,
    /// The rules of a pass.
    #[schemars(with = "Option<Policy>")]
    pub(super) policy: Option<Authored>,
    /// What the targets should hold, by key. The target's prefix is joined to the key. A key with one `*` makes an entry
    /// of each file that `value_from: { files: GLOB }` matches. Null drops an entry of an earlier file.
    #[schemars(with = "Option<BTreeMap<String, Option<Entry>>>")]
    pub(super) entries: Option<Authored>,
    /// Globs of keys that are no longer ours: they are left in the stores as they are.
    #[schemars(with = "Option<Vec<String>>", example = ["legacy/*"])]
    pub(super) forget: Option<Authored>,
}

/// One place in one store.
#[derive(Debug, JsonSchema)]
#[schemars(tag = "provider", rename_all = "kebab-case")]
#[expect(
    dead_code,
    reason = "only describes the schema; targets are decoded by provider so that errors keep their places"
)]
pub(super) enum Target {
    /// AWS SSM Parameter Store.
    AwsSsm(repin_aws_ssm::Config),
    /// Azure App Configuration.
    AzureAppConfiguration(repin_azure_app_configuration::Config),
}

/// The names of providers, in the order of [`Target`].
pub(super) const PROVIDERS: [&str; 2] = ["aws-ssm", "azure-app-configuration"];

/// What one key should hold.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({ "type": "ai-chat", "value": { "model": "gpt-4o", "temperature": 0.2 } }))]
#[schemars(example = serde_json::json!({ "secret": true, "value_from": { "env": "OPENAI_API_KEY" }, "targets": ["aws-*"] }))]
pub(super) struct Entry {
    /// The value itself: text, or anything that JSON can hold. Never a secret.
    #[expect(
        dead_code,
        reason = "says that the field is there; the value is taken from the tree as the author wrote it"
    )]
    pub(super) value: Option<Authored>,
    /// Where the value is read from. Something missing or empty is an error.
    pub(super) value_from: Option<ValueFrom>,
    /// How the value is meant and compared. `text` for a string and for `value_from`, else `json`.
    #[serde(rename = "type")]
    pub(super) kind: Option<EntryKind>,
    /// Whether the value is a secret: stored encrypted, never shown. Only where the store can; the value comes from
    /// `value_from`.
    pub(super) secret: Option<bool>,
    /// Whether to drop one final newline of the text.
    pub(super) trim: Option<bool>,
    /// Names or globs of the targets that hold this entry; all if left out.
    #[schemars(example = ["aws-*"])]
    pub(super) targets: Option<Vec<String>>,
    /// Other fields for some targets, by name or glob. They are laid over this entry's own as a later file is: the
    /// longest pattern last, an exact name after every glob. Null drops what an earlier file said.
    #[expect(dead_code, reason = "checks the layers' types; they are laid over each other in the tree")]
    pub(super) per_target: Option<BTreeMap<String, Option<Entry>>>,
    /// The native version that a target serves, by the target's name, whatever the value says.
    pub(super) pin: Option<BTreeMap<String, NativeVersion>>,
    /// What to do with an item that is there and not ours; the policy's if left out.
    pub(super) adopt: Option<Adopt>,
    /// The tier (SSM); the target's if left out.
    pub(super) tier: Option<Tier>,
    /// A description, where the store has one.
    pub(super) description: Option<String>,
    /// Tags beside the owner's, which repin sets. Left out, those that are there stay.
    pub(super) tags: Option<BTreeMap<String, String>>,
    /// Another content type than the type's own (App Configuration); empty for none.
    pub(super) content_type: Option<String>,
}

/// Fields of an entry that choose targets, and so cannot stand below a target.
pub(super) const CHOOSING: [&str; 3] = ["targets", "per_target", "pin"];

/// Where a value is read from.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ValueFrom {
    /// An environment variable, read once at start.
    Env(String),
    /// A file, relative to the file that names it.
    File(PathBuf),
    /// A glob of files, relative to the file that names it, for a key with one `*`. `**` crosses folders; hidden files
    /// are passed over.
    Files(String),
}

/// Any value. It is taken from the tree as the author wrote it; this only says that one stands there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Authored;

impl<'de> Deserialize<'de> for Authored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_ignored_any(IgnoredAny).map(|IgnoredAny| Self)
    }
}

impl JsonSchema for Authored {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Value".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "Text, or anything that JSON can hold." })
    }
}

/// A native version: a number (SSM), or an etag or a time that names one revision (App Configuration).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NativeVersion(pub(super) String);

impl<'de> Deserialize<'de> for NativeVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsText;
        impl Visitor<'_> for AsText {
            type Value = NativeVersion;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a native version: a whole number or text")
            }
            fn visit_u64<E>(self, number: u64) -> Result<NativeVersion, E> {
                Ok(NativeVersion(number.to_string()))
            }
            fn visit_str<E>(self, text: &str) -> Result<NativeVersion, E> {
                Ok(NativeVersion(text.to_owned()))
            }
        }
        deserializer.deserialize_any(AsText)
    }
}

impl JsonSchema for NativeVersion {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "NativeVersion".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A native version: a number (SSM), or an etag or a time that names one revision (App Configuration).",
            "anyOf": [{ "type": "integer", "minimum": 1 }, { "type": "string", "minLength": 1 }],
            "examples": [7],
        })
    }
}

/// The version of the format: 1.
struct Version;

impl JsonSchema for Version {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Version".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "const": 1 })
    }
}
