//! A plan: ordered steps, each with its expected version and its reason, and why other things are not done.

use std::collections::BTreeMap;
use std::fmt;

use repin_provider::{Content, Key, TargetName, Version};
use serde::{Deserialize, Serialize};

use super::desired::FileDigest;
use super::observed::FileStanding;
use super::release::{ContentDigest, Record, RowAction, TargetId};

/// What a pass would do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The release that it would make or go on with; `None` if there is only repair work, or none.
    pub release: Option<PlannedRelease>,
    /// By target.
    pub targets: BTreeMap<TargetName, TargetPlan>,
    /// Targets that earlier releases had and the file has no more, or has elsewhere: left untouched.
    pub orphaned: BTreeMap<TargetId, TargetName>,
    /// Why the plan may not run; empty if it may.
    pub blocks: Vec<Block>,
    /// Whether this host's file is one that a newer release has superseded.
    pub file: FileStanding,
}

/// The release that a plan makes or goes on with.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedRelease {
    /// Its number.
    pub number: u64,
    /// The nonce of the release that an earlier run left open and that this plan goes on with.
    pub continues: Option<String>,
    /// The desired state that it makes true.
    pub file: FileDigest,
}

/// What a pass would do on one target.
#[derive(Debug, Clone)]
pub struct TargetPlan {
    /// Names its ledger.
    pub id: TargetId,
    /// What to do, in order.
    pub steps: Vec<Step>,
    /// A record that an earlier run left open and that is closed first.
    pub close: Option<Record>,
    /// A record that an earlier run left open and that this plan goes on with.
    pub resume: Option<Record>,
    /// Drift that is only told.
    pub drift: Vec<Drifted>,
    /// Keys with nothing to do.
    pub unchanged: u64,
    /// Items below the prefix that are not ours, where they were listed.
    pub foreign: Option<u64>,
    /// What the whole pass costs on this target.
    pub cost: Cost,
}

/// Something served other than its pin that the policy does not correct.
#[derive(Debug, Clone, PartialEq)]
pub struct Drifted {
    /// The key.
    pub key: Key,
    /// The pin.
    pub pin: Version,
    /// What is served; `None` if it is gone.
    pub served: Option<Version>,
}

/// One step.
#[derive(Debug, Clone)]
pub struct Step {
    /// The key.
    pub key: Key,
    /// The store's name for it.
    pub native: String,
    /// What to do.
    pub action: StepAction,
    /// Why.
    pub reason: Reason,
    /// The version that is there; `None` if nothing is.
    pub from: Option<Version>,
    /// The version that is accepted as it is; `None` where a write makes a new one.
    pub to: Option<Version>,
    /// What to put.
    pub content: Option<Content>,
    /// Names the content that it serves; `None` where there is none, and for a secret.
    pub digest: Option<ContentDigest>,
    /// Whether this restores what the ledger says rather than releasing something.
    pub repair: bool,
    /// What changes, for people.
    pub changes: Vec<Change>,
}

impl Step {
    /// Tells whether the step writes to the store.
    pub fn writes(&self) -> bool {
        match self.action {
            StepAction::Create | StepAction::Update => true,
            StepAction::Delete => self.from.is_some(),
            StepAction::Adopt | StepAction::Pin | StepAction::Forget => false,
        }
    }

    /// Tells whether the step encrypts.
    pub fn encrypts(&self) -> bool {
        self.content.as_ref().is_some_and(|content| content.value.is_secret())
    }
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepAction {
    /// Make an item.
    Create,
    /// Change an item.
    Update,
    /// Remove an item.
    Delete,
    /// Take over an item as it is.
    Adopt,
    /// Serve a version that is already there.
    Pin,
    /// Let go of an item and leave it as it is.
    Forget,
}

impl From<StepAction> for RowAction {
    fn from(action: StepAction) -> Self {
        match action {
            StepAction::Create => Self::Create,
            StepAction::Update => Self::Update,
            StepAction::Delete => Self::Delete,
            StepAction::Adopt => Self::Adopt,
            StepAction::Pin => Self::Pin,
            StepAction::Forget => Self::Forget,
        }
    }
}

/// Why a step is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// The file has it and the store does not.
    New,
    /// The file asks for something else.
    Changed,
    /// The file dropped it.
    Dropped,
    /// Somebody else changed it in the store.
    Drift,
    /// Somebody else removed it from the store.
    Missing,
    /// It already holds what is wanted, under a version that the ledger does not know.
    Equal,
    /// The file adopts it.
    Adopted,
    /// The file lets go of it.
    Forgotten,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "new in the file",
            Self::Changed => "changed in the file",
            Self::Dropped => "no longer in the file",
            Self::Drift => "changed outside repin, put back",
            Self::Missing => "removed outside repin, put back",
            Self::Equal => "holds this already",
            Self::Adopted => "taken over",
            Self::Forgotten => "let go of, left as it is",
        })
    }
}

/// One difference inside a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// Where: a JSON path, `value`, `type`, `content type`, `tags`.
    pub path: String,
    /// What is there; `None` if nothing is or it is a secret.
    pub from: Option<String>,
    /// What comes; `None` if nothing does or it is a secret.
    pub to: Option<String>,
}

/// Why a plan may not run.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// What kind of reason, which decides the exit code.
    pub kind: BlockKind,
    /// The target that it is about, if one.
    pub target: Option<TargetName>,
    /// The key that it is about, if one.
    pub key: Option<Key>,
    /// What is wrong, as a sentence.
    pub message: String,
    /// What to do about it, as a sentence.
    pub hint: String,
}

/// Kinds of reasons why a plan may not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlockKind {
    /// A wanted name is taken by something that is not ours.
    Foreign,
    /// Another run is at work.
    Running,
    /// More deletes than the policy allows, or a file that asks for nothing.
    TooManyDeletes,
    /// The store does not allow this change.
    Refused,
    /// A key could not be read.
    Unreadable,
}

/// What a pass costs on one target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Requests that read.
    pub reads: u64,
    /// Requests that write, the ledger's included.
    pub writes: u64,
    /// How long the quotas make it take, in seconds.
    pub seconds: f64,
}

/// Counts over a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Items made.
    pub create: u64,
    /// Items changed.
    pub update: u64,
    /// Items removed.
    pub delete: u64,
    /// Versions accepted or pinned, adoptions included.
    pub pin: u64,
    /// Entries with nothing to do.
    pub unchanged: u64,
    /// Entries that may not change for now.
    pub held: u64,
}

impl Plan {
    /// Tells whether there is anything to do.
    pub fn is_empty(&self) -> bool {
        self.targets.values().all(|target| target.steps.is_empty() && target.close.is_none() && target.resume.is_none())
    }

    /// Tells whether stores differ from what they should serve, whether or not a step mends it.
    pub fn has_changes(&self) -> bool {
        self.targets.values().any(|target| !target.steps.is_empty() || !target.drift.is_empty())
    }

    /// Counts.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for target in self.targets.values() {
            summary.unchanged += target.unchanged;
            for step in &target.steps {
                match step.action {
                    StepAction::Create => summary.create += 1,
                    StepAction::Update => summary.update += 1,
                    StepAction::Delete => summary.delete += 1,
                    StepAction::Adopt | StepAction::Pin => summary.pin += 1,
                    StepAction::Forget => {}
                }
            }
        }
        summary
    }
}
