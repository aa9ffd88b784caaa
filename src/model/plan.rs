//! A plan: ordered steps, each with its expected version and its reason, and why other things are not done.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use repin_provider::{Content, Key, TargetName, Version};
use serde::{Deserialize, Serialize};

use super::desired::FileDigest;
use super::hold::Hold;
use super::observed::FileStanding;
use super::release::{Cause, ContentDigest, CopyName, Header, Record, RowAction, TargetId};

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
    /// What the file asks for and may not change for now.
    pub held: Vec<Held>,
    /// What an operator should know beside it, as sentences.
    pub notes: Vec<String>,
    /// Why its records are made, where they make no release.
    pub cause: Cause,
    /// Whether there is more to plan once this is done: what an operator wished goes before what the file asks.
    pub then_more: bool,
}

/// An entry that the file would change and may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The target.
    pub target: TargetName,
    /// The key.
    pub key: Key,
    /// The hold.
    pub hold: Hold,
    /// The release whose content is served instead.
    pub serves: Option<u64>,
}

impl Held {
    /// Says which release holds it and what the way out is.
    pub fn sentence(&self) -> String {
        self.sentence_on(self.target.as_str())
    }

    /// Says the same of several targets at once, named in words; only where they are held alike.
    pub fn sentence_on(&self, targets: &str) -> String {
        let Self { key, target, hold, .. } = self;
        let at = self.serves.map_or_else(|| "as it is".to_owned(), |release| format!("at release {release}"));
        let why = hold.reason.as_ref().map(|reason| format!(" ({reason:?})")).unwrap_or_default();
        if hold.pinned {
            format!(
                "{key} stays {at} on {targets}: pinned by hand since release {}{why}; repin unpin {key} --target {target} lets the file count again",
                hold.since
            )
        } else if hold.by_hand {
            format!(
                "{key} stays {at} on {targets}: held since release {}{why}; repin resume {key} lets the file's changes through",
                hold.since
            )
        } else {
            format!(
                "{key} stays {at} on {targets}: release {} took back what the file still asks for{why}; give it another content, or repin resume {key}",
                hold.since
            )
        }
    }
}

/// The release that a plan makes or goes on with.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedRelease {
    /// Its number.
    pub number: u64,
    /// The nonce of the release that an earlier run left open and that this plan goes on with.
    pub continues: Option<String>,
    /// The desired state that it makes true; `None` where an operator's wish does.
    pub file: Option<FileDigest>,
    /// Why it is made.
    pub cause: Cause,
    /// The release whose content it brings back.
    pub restores: Option<u64>,
    /// The glob of the keys that it is about, where it is not about all.
    pub keys: Option<String>,
    /// The head that it has on the targets that have it already.
    pub header: Option<Header>,
    /// Targets that it is meant for and that could not be reached.
    pub unreached: BTreeMap<TargetId, TargetName>,
}

impl PlannedRelease {
    /// Makes the next release of a file.
    pub fn of_file(number: u64, continues: Option<String>, file: FileDigest) -> Self {
        Self {
            number,
            continues,
            file: Some(file),
            cause: Cause::Reconcile,
            restores: None,
            keys: None,
            header: None,
            unreached: BTreeMap::new(),
        }
    }
}

/// Which frozen set a target is to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetPlan {
    /// One that is there.
    Existing(String),
    /// One of what is put.
    New,
}

/// Entries by target.
pub type EntrySet = BTreeMap<TargetName, BTreeSet<Key>>;

/// What a pass leaves alone although it could do it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits<'a> {
    /// Whether only what the ledger says is put back: what the file asks beyond it waits for a pass that sees all
    /// targets. What was served in part before is gone on with all the same.
    pub repair_only: bool,
    /// Entries whose drift is only told: somebody else insists on it.
    pub spared: Option<&'a EntrySet>,
    /// Entries that their targets did not take lately. A plan that is about nothing else is not carried out: it would be
    /// claimed and recorded only to be refused again.
    pub stalled: Option<&'a EntrySet>,
}

impl Limits<'_> {
    /// Tells whether the drift of an entry is only told.
    pub fn spares(&self, target: &TargetName, key: &Key) -> bool {
        holds(self.spared, target, key)
    }

    /// Tells whether an entry was refused lately.
    pub fn stalls(&self, target: &TargetName, key: &Key) -> bool {
        holds(self.stalled, target, key)
    }
}

fn holds(set: Option<&EntrySet>, target: &TargetName, key: &Key) -> bool {
    set.and_then(|set| set.get(target)).is_some_and(|keys| keys.contains(key))
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
    /// The frozen set to serve, where all keys are served together and another is due.
    pub set: Option<SetPlan>,
    /// The reference to frozen sets as it was seen.
    pub reference: Option<Version>,
    /// What is staged and is to be in the next frozen set no more.
    pub leftovers: Vec<(Key, Version)>,
    /// What readers meet and is not ours (any more), where it is staged no more or not as it is served: put there over this
    /// version, so that the next frozen set leaves readers what they have.
    pub kept: Vec<(Key, Content, Option<Version>)>,
    /// What becomes of holds.
    pub holds: BTreeMap<Key, Option<Hold>>,
    /// Whether there is nothing to do here but to tell others, who cannot be reached, of the release.
    pub announces: bool,
    /// Contents that the store would lose with these steps and that a kept release needs: copied to the ledger first.
    pub copies: Vec<(CopyName, Content)>,
    /// Drift that is only told.
    pub drift: Vec<Drifted>,
    /// Keys of which the file asks for something that waits, since nothing may be released ([`Limits::repair_only`]).
    pub withheld: u64,
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
    /// The version that is accepted as it is, or served without a put; `None` where a put makes a new one.
    pub to: Option<Version>,
    /// The version that a put replaces, where that is not what readers meet; `None` where nothing is there.
    pub base: Option<Version>,
    /// What to put.
    pub content: Option<Content>,
    /// The version whose content this brings back.
    pub restores: Option<Version>,
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
            StepAction::Delete | StepAction::Withdraw => self.from.is_some(),
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
    /// Take an item from readers and keep it, so that it can come back.
    Withdraw,
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
            StepAction::Withdraw => Self::Withdraw,
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
    /// The file lets go of it, or an operator does.
    Forgotten,
    /// A release before served it so.
    #[serde(rename = "rolled-back")]
    RolledBack,
    /// An operator or the file names this native version.
    Pinned,
    /// No kept release needs it any more.
    Unneeded,
    /// It is put again before it grows too old to be served.
    Renewed,
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
            Self::RolledBack => "as an earlier release had it",
            Self::Pinned => "pinned to a version",
            Self::Unneeded => "no kept release needs it",
            Self::Renewed => "put again, so that it can stay",
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
    /// Tells whether it carries out what an operator wished: there a target that cannot be had keeps no other waiting.
    pub fn is_wish(&self) -> bool {
        self.release.as_ref().map_or(self.cause, |release| release.cause).is_wish()
    }

    /// Tells whether there is anything to do.
    pub fn is_empty(&self) -> bool {
        self.targets.values().all(|target| !target.touches())
    }

    /// Tells whether there is something to do, and all of it was refused lately.
    pub fn is_stalled(&self, limits: &Limits<'_>) -> bool {
        let stalled = |(name, target): (&TargetName, &TargetPlan)| {
            let refused = target.steps.iter().all(|step| limits.stalls(name, &step.key));
            target.close.is_none() && !target.steps.is_empty() && refused
        };
        !self.is_empty() && self.targets.iter().filter(|(_, target)| target.touches()).all(stalled)
    }

    /// Tells whether stores differ from what they should serve, whether or not a step mends it.
    pub fn has_changes(&self) -> bool {
        self.targets.values().any(|target| !target.steps.is_empty() || !target.drift.is_empty() || target.set.is_some())
    }

    /// Counts.
    pub fn summary(&self) -> Summary {
        let held: BTreeSet<_> = self.held.iter().map(|held| &held.key).collect();
        let mut summary = Summary { held: held.len() as u64, ..Summary::default() };
        for target in self.targets.values() {
            summary.unchanged += target.unchanged;
            // What is only put once more changes for nobody, and is counted as unchanged.
            for step in target.steps.iter().filter(|step| step.reason != Reason::Renewed) {
                match step.action {
                    StepAction::Create => summary.create += 1,
                    StepAction::Update => summary.update += 1,
                    StepAction::Delete | StepAction::Withdraw => summary.delete += 1,
                    StepAction::Adopt | StepAction::Pin => summary.pin += 1,
                    StepAction::Forget => {}
                }
            }
        }
        summary
    }
}

impl TargetPlan {
    /// Makes a plan that does nothing.
    pub fn new(id: TargetId) -> Self {
        Self {
            id,
            steps: Vec::new(),
            close: None,
            resume: None,
            set: None,
            reference: None,
            leftovers: Vec::new(),
            kept: Vec::new(),
            holds: BTreeMap::new(),
            announces: false,
            copies: Vec::new(),
            drift: Vec::new(),
            withheld: 0,
            unchanged: 0,
            foreign: None,
            cost: Cost::default(),
        }
    }

    /// Tells whether anything is written to the target, its ledger included.
    pub fn touches(&self) -> bool {
        self.records() || self.close.is_some() || self.set.is_some()
    }

    /// Tells whether it makes a record, or goes on with one.
    pub fn records(&self) -> bool {
        self.announces || !self.steps.is_empty() || !self.holds.is_empty() || self.resume.is_some()
    }
}
