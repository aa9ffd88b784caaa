//! A plan as a file: everything that another host needs to carry it out, and to refuse it once it is stale.
//!
//! ```text
//! { format, sha256, plan: { name, digest, release, policy, targets: { entries, ledger position, steps }, ... } }
//! ```
//! Values stand in it as they would be stored; a secret only by reference, resolved where the plan is applied. The
//! hash tells a damaged or edited file, and is no signature. Nothing of the plan is carried out as it stands: the
//! applying host plans afresh and goes on only if that is the same plan. Pure but for reading secrets again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use repin_provider::{Key, Owner, TargetName, Tier, Value, Version};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::desired::{self, Env, Problem};
use crate::model::desired::{
    Adopt, Desired, Entry, EntryKind, Extra, Extras, FileDigest, Policy, Target, TargetConfig,
};
use crate::model::observed::{FileStanding, Observed};
use crate::model::plan::{Plan, Step, StepAction};
use crate::model::release::Ledger;

/// The version of the file that is written, and the newest that is read.
pub const FORMAT: u64 = 1;

/// The most values in a saved plan, its lists and objects counted: what a hundred thousand entries come to.
const MAX_VALUES: usize = 4_000_000;

/// A saved plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SavedPlan {
    /// When it was made, by the clock of the host that made it.
    pub made_at: Timestamp,
    /// Who made it: `user@host`.
    pub made_by: String,
    /// The owner of everything that is written.
    pub name: Owner,
    /// The desired state that it makes true.
    pub digest: FileDigest,
    /// How the file stood to the releases.
    pub file: FileStanding,
    /// The release that it makes or goes on with; `None` if there is only repair work, or none.
    pub release: Option<u64>,
    policy: Policy,
    forget: Vec<String>,
    targets: BTreeMap<TargetName, SavedTarget>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct SavedTarget {
    #[serde(flatten)]
    config: SavedConfig,
    entries: BTreeMap<Key, SavedEntry>,
    /// `None` where `--target` left it out.
    planned: Option<Planned>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "provider", content = "settings", rename_all = "kebab-case")]
enum SavedConfig {
    AwsSsm(repin_aws_ssm::Config),
    AzureAppConfiguration(repin_azure_app_configuration::Config),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct SavedEntry {
    #[serde(rename = "type")]
    kind: EntryKind,
    #[serde(flatten)]
    value: SavedValue,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    trim: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    adopt: Adopt,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tier: Option<Tier>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tags: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pin: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SavedValue {
    /// As it is stored.
    Value(String),
    /// Where it is read from: `env:NAME` or `file:PATH`, the path absolute.
    Secret(String),
}

/// What was to be done on one target, and what it was planned from.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Planned {
    ledger: Position,
    steps: Vec<SavedStep>,
}

/// How far a ledger was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Position {
    /// The last place in the log, 0 before the first.
    seq: u64,
    /// The native version of the last record's document: a record that was closed since has another.
    document: Option<Version>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SavedStep {
    key: Key,
    action: StepAction,
    from: Option<Version>,
    to: Option<Version>,
    repair: bool,
}

/// Why a saved plan may no longer be carried out: the first thing that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// The target that it is about, if one.
    pub target: Option<TargetName>,
    /// The key that it is about, if one.
    pub key: Option<Key>,
    /// What is not as it was.
    pub message: String,
}

/// A text that is no saved plan of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is something else.
    #[error("is no saved plan: {0}")]
    Other(String),
    /// It was written by a newer program.
    #[error("was written by a newer repin (plan format {0}, this program knows up to {FORMAT})")]
    Newer(u64),
    /// It is not what was written.
    #[error("was changed or damaged after it was written")]
    Changed,
}

impl SavedPlan {
    /// Keeps a plan with all that it was made from. Relative paths are relative to `folder`.
    pub fn new(desired: &Desired, plan: &Plan, observed: &Observed, made: (Timestamp, &str), folder: &Path) -> Self {
        let target = |(name, target): (&TargetName, &Target)| {
            let planned = plan.targets.get(name).zip(observed.targets.get(name)).map(|(planned, state)| Planned {
                ledger: Position::of(&state.ledger),
                steps: planned.steps.iter().map(SavedStep::of).collect(),
            });
            let entries =
                target.entries.iter().map(|(key, entry)| (key.clone(), SavedEntry::of(entry, folder))).collect();
            (name.clone(), SavedTarget { config: SavedConfig::of(&target.config, folder), entries, planned })
        };
        Self {
            made_at: made.0,
            made_by: made.1.to_owned(),
            name: desired.name.clone(),
            digest: desired.digest.clone(),
            file: plan.file,
            release: plan.release.as_ref().map(|release| release.number),
            policy: desired.policy.clone(),
            forget: desired.forget.clone(),
            targets: desired.targets.iter().map(target).collect(),
        }
    }

    /// Returns the text of the file.
    pub fn to_text(&self) -> String {
        let plan = serde_json::to_value(self).expect("plain data with text keys always serialises");
        let file = serde_json::json!({ "format": FORMAT, "sha256": hash(&plan), "plan": plan });
        format!("{file:#}\n")
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// Says why it is no saved plan of ours.
    pub fn from_text(text: &str) -> Result<Self, Unreadable> {
        let other = |why: &str| Unreadable::Other(why.to_owned());
        if !desired::has_at_most(text, MAX_VALUES) {
            return Err(other("it holds too many values"));
        }
        let mut file: serde_json::Value = serde_json::from_str(text).map_err(|_| other("it is not JSON"))?;
        // Before all else: a newer format may have anything else.
        match file.get("format").and_then(serde_json::Value::as_u64) {
            Some(FORMAT) => {}
            Some(newer) if newer > FORMAT => return Err(Unreadable::Newer(newer)),
            _ => return Err(other("it has no format")),
        }
        let plan = file.get_mut("plan").map(serde_json::Value::take).ok_or_else(|| other("it has no plan"))?;
        if file.get("sha256").and_then(serde_json::Value::as_str) != Some(&hash(&plan)) {
            return Err(Unreadable::Changed);
        }
        serde_json::from_value(plan).map_err(|error| Unreadable::Other(error.to_string()))
    }

    /// Returns the desired state that it was made from, with the secrets read again.
    ///
    /// # Errors
    /// Returns every secret that cannot be read here.
    pub fn desired(&self, env: &Env) -> Result<Desired, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut targets = BTreeMap::new();
        for (name, saved) in &self.targets {
            let mut entries = BTreeMap::new();
            for (key, entry) in &saved.entries {
                match entry.restore(key, env) {
                    Ok(entry) => {
                        entries.insert(key.clone(), entry);
                    }
                    Err(problem) => problems.push(Problem { target: Some(name.to_string()), ..problem }),
                }
            }
            let config = saved.config.clone().restore();
            targets.insert(name.clone(), Target { name: name.clone(), config, entries });
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Desired {
            name: self.name.clone(),
            targets,
            policy: self.policy.clone(),
            forget: self.forget.clone(),
            digest: self.digest.clone(),
            warnings: Vec::new(),
            sources: Vec::new(),
        })
    }

    /// Returns the targets that it is for.
    pub fn scope(&self) -> impl Iterator<Item = &TargetName> {
        self.targets.iter().filter(|(_, target)| target.planned.is_some()).map(|(name, _)| name)
    }

    /// Tells whether the file released something although a newer release had superseded it, or had changed since it
    /// was the newest on the host that planned: the applying host cannot know either.
    pub fn may_release(&self) -> bool {
        self.file == FileStanding::Changed
    }

    /// Compares with a plan that was made afresh.
    ///
    /// # Errors
    /// Returns the first thing that is not as it was.
    pub fn agrees(&self, plan: &Plan, observed: &Observed) -> Result<(), Stale> {
        for (name, saved) in &self.targets {
            let Some(planned) = &saved.planned else { continue };
            let (Some(fresh), Some(state)) = (plan.targets.get(name), observed.targets.get(name)) else {
                return Err(stale(Some(name), None, "the target was not looked at".to_owned()));
            };
            planned.ledger.agrees(name, &state.ledger)?;
            agree_on_steps(name, &planned.steps, &fresh.steps)?;
        }
        let release = plan.release.as_ref().map(|release| release.number);
        if release != self.release {
            let number = |release: Option<u64>| release.map_or("no release".to_owned(), |n| format!("release {n}"));
            let message = format!("the plan makes {}, and now it would be {}", number(self.release), number(release));
            return Err(stale(None, None, message));
        }
        Ok(())
    }

    /// Compares with a file that is said to be what was planned from.
    ///
    /// # Errors
    /// Fails where it asks for something else.
    pub fn agrees_with_file(&self, desired: &Desired) -> Result<(), Stale> {
        if desired.digest == self.digest {
            return Ok(());
        }
        Err(stale(None, None, "the file asks for something else than it did when the plan was made".to_owned()))
    }
}

fn stale(target: Option<&TargetName>, key: Option<&Key>, message: String) -> Stale {
    Stale { target: target.cloned(), key: key.cloned(), message }
}

fn hash(plan: &serde_json::Value) -> String {
    // Spelt compactly, so that only what it says counts and not how it is laid out.
    hex::encode(Sha256::digest(plan.to_string()))
}

fn absolute(folder: &Path, path: &Path) -> PathBuf {
    // The file names a path relative to itself, and what names the file may be relative to where the program runs.
    std::path::absolute(folder.join(path)).unwrap_or_else(|_| folder.join(path))
}

fn agree_on_steps(target: &TargetName, saved: &[SavedStep], fresh: &[Step]) -> Result<(), Stale> {
    for (saved, fresh) in saved.iter().zip(fresh) {
        let now = SavedStep::of(fresh);
        if *saved == now {
            continue;
        }
        let (key, message) = if saved.key == now.key {
            (&saved.key, format!("the plan was to {saved}, and now it would be to {now}"))
        } else if fresh_has(saved, &now) {
            (&now.key, format!("now it would be to {now} too"))
        } else {
            (&saved.key, format!("the plan was to {saved}, and that is not what is to be done now"))
        };
        return Err(stale(Some(target), Some(key), message));
    }
    match (saved.get(fresh.len()), fresh.get(saved.len())) {
        (Some(gone), _) => {
            let message = format!("the plan was to {gone}, and that is not what is to be done now");
            Err(stale(Some(target), Some(&gone.key), message))
        }
        (None, Some(new)) => {
            let message = format!("now it would be to {} too", SavedStep::of(new));
            Err(stale(Some(target), Some(&new.key), message))
        }
        (None, None) => Ok(()),
    }
}

/// Tells, of two steps at one place, whether it is the fresh one that is new: steps are in the order of their keys,
/// those that remove last.
fn fresh_has(saved: &SavedStep, now: &SavedStep) -> bool {
    let place = |step: &SavedStep| (step.action == StepAction::Delete, step.key.clone());
    place(now) < place(saved)
}

impl SavedStep {
    fn of(step: &Step) -> Self {
        let Step { key, action, from, to, repair, .. } = step;
        Self { key: key.clone(), action: *action, from: from.clone(), to: to.clone(), repair: *repair }
    }
}

impl std::fmt::Display for SavedStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verb = match self.action {
            StepAction::Create => "create it",
            StepAction::Update => "change it",
            StepAction::Delete => "delete it",
            StepAction::Withdraw => "take it from readers",
            StepAction::Adopt => "take it over",
            StepAction::Pin => "re-pin it",
            StepAction::Forget => "let go of it",
        };
        f.write_str(verb)?;
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => write!(f, " from version {from} to {to}"),
            (Some(from), None) => write!(f, " at version {from}"),
            (None, Some(to)) => write!(f, " at version {to}"),
            (None, None) => Ok(()),
        }
    }
}

impl Position {
    fn of(ledger: &Ledger) -> Self {
        Self { seq: ledger.last_seq(), document: ledger.last.as_ref().map(|document| document.version.clone()) }
    }

    fn agrees(&self, target: &TargetName, ledger: &Ledger) -> Result<(), Stale> {
        let now = Self::of(ledger);
        if *self == now {
            return Ok(());
        }
        let message = match ledger.records.iter().find(|record| record.seq > self.seq) {
            Some(record) => {
                let what = record.header.release.map_or("a repair".to_owned(), |number| format!("release {number}"));
                format!("{what} was recorded since the plan was made, by {}", record.header.actor)
            }
            None if now.seq == self.seq => "the last record of its ledger has changed".to_owned(),
            None => format!("its ledger ends with record {}, and the plan was made after {}", now.seq, self.seq),
        };
        Err(stale(Some(target), None, message))
    }
}

impl SavedConfig {
    fn of(config: &TargetConfig, folder: &Path) -> Self {
        use repin_azure_app_configuration::SecretSource;
        match config {
            TargetConfig::AwsSsm(config) => {
                let ca_bundle = config.ca_bundle.as_deref().map(|path| absolute(folder, path));
                Self::AwsSsm(repin_aws_ssm::Config { ca_bundle, ..config.clone() })
            }
            TargetConfig::AzureAppConfiguration(config) => {
                let mut config = config.clone();
                config.ca_bundle = config.ca_bundle.as_deref().map(|path| absolute(folder, path));
                if let Some(SecretSource::File(path)) = &mut config.connection_string {
                    *path = absolute(folder, path);
                }
                Self::AzureAppConfiguration(config)
            }
        }
    }

    fn restore(self) -> TargetConfig {
        match self {
            Self::AwsSsm(config) => TargetConfig::AwsSsm(config),
            Self::AzureAppConfiguration(config) => TargetConfig::AzureAppConfiguration(config),
        }
    }
}

impl SavedEntry {
    fn of(entry: &Entry, folder: &Path) -> Self {
        let source = entry.source.as_ref().map(|source| match source.strip_prefix("file:") {
            Some(path) => format!("file:{}", absolute(folder, Path::new(path)).display()),
            None => source.clone(),
        });
        let (value, source) = match &entry.value {
            Value::Plain(text) => (SavedValue::Value(text.clone()), source),
            // The planner has only secrets with a source: the file cannot hold one.
            Value::Secret(_) => (SavedValue::Secret(source.unwrap_or_default()), None),
        };
        Self {
            kind: entry.kind,
            value,
            source,
            trim: entry.trim,
            content_type: entry.content_type.clone(),
            adopt: entry.adopt,
            tier: entry.tier,
            description: entry.description.clone(),
            tags: entry.tags.clone(),
            pin: entry.pin.clone(),
        }
    }

    fn restore(&self, key: &Key, env: &Env) -> Result<Entry, Problem> {
        let (value, source) = match &self.value {
            SavedValue::Value(text) => (Value::Plain(text.clone()), self.source.clone()),
            SavedValue::Secret(source) => {
                let secret = desired::read_secret(key, self.kind, self.trim, source, env)?;
                (Value::Secret(secret), Some(source.clone()))
            }
        };
        Ok(Entry {
            kind: self.kind,
            value,
            trim: self.trim,
            content_type: self.content_type.clone(),
            adopt: self.adopt,
            tier: self.tier,
            extras: Extras::from(Extra {
                source,
                description: self.description.clone(),
                tags: self.tags.clone(),
                pin: self.pin.clone(),
            }),
        })
    }
}
