//! What happened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use repin_provider::{Error, Key, RequestCounts, TargetName, Version};
use serde::Serialize;

use super::plan::{Plan, Reason, StepAction};

/// What became of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepResult {
    /// It is served.
    Applied,
    /// It was so already.
    Unchanged,
    /// It is still to be done; recorded, and any host's next pass goes on.
    Pending,
    /// It was not tried.
    Skipped,
    /// The store refuses it.
    Refused,
    /// It failed.
    Failed,
}

/// One step and what became of it.
#[derive(Debug)]
pub struct StepOutcome {
    /// The target.
    pub target: TargetName,
    /// The key.
    pub key: Key,
    /// The store's name for it.
    pub native: String,
    /// What was to be done.
    pub action: StepAction,
    /// Why.
    pub reason: Reason,
    /// The version that was there.
    pub from: Option<Version>,
    /// The version that is there now.
    pub to: Option<Version>,
    /// What became of it.
    pub result: StepResult,
    /// Why it failed.
    pub error: Option<Error>,
    /// A version of somebody else's that ours now covers.
    pub buried: Option<Version>,
}

/// What a pass did, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything intended is served.
    Applied,
    /// There was nothing to do.
    Unchanged,
    /// Some of it is served.
    Partial,
    /// Somebody else wrote, owns it, or is at work.
    Conflict,
    /// All that is left to do is held.
    Held,
    /// This host's file has been superseded.
    Behind,
    /// Nothing new is served.
    Failed,
}

/// What a pass did.
#[derive(Debug)]
pub struct Outcome {
    /// The plan that was carried out.
    pub plan: Plan,
    /// The release that was made or gone on with.
    pub release: Option<u64>,
    /// Every step and what became of it.
    pub steps: Vec<StepOutcome>,
    /// Failures that are not of one step: a claim or a record that could not be written.
    pub failures: Vec<TargetFailure>,
    /// Targets whose ledgers were written to: what is left to do there is known to every host.
    pub recorded: BTreeSet<TargetName>,
    /// What was sent, by target.
    pub requests: BTreeMap<TargetName, RequestCounts>,
    /// A signal that stopped the pass early.
    pub interrupted: Option<Interrupt>,
    /// Whether what had been served was put back, since the rest could not be served.
    pub undone: bool,
    /// Whether nothing was tried, since all there is to do was refused lately ([`Limits::stalled`]).
    ///
    /// [`Limits::stalled`]: super::plan::Limits::stalled
    pub stalled: bool,
}

impl Outcome {
    /// Makes the outcome of a plan of which nothing has been tried.
    pub fn untried(plan: Plan) -> Self {
        Self {
            plan,
            release: None,
            steps: Vec::new(),
            failures: Vec::new(),
            recorded: BTreeSet::new(),
            requests: BTreeMap::new(),
            interrupted: None,
            undone: false,
            stalled: false,
        }
    }
}

/// A failure of one target.
#[derive(Debug)]
pub struct TargetFailure {
    /// The target.
    pub target: TargetName,
    /// What was being done, as in "failed to ...".
    pub doing: &'static str,
    /// The failure.
    pub error: Error,
}

/// A signal to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// SIGINT.
    Interrupted,
    /// SIGTERM.
    Terminated,
}

/// Hears what a pass does while it does it. Nothing waits for it, and nothing depends on it.
pub trait Progress: Send + Sync {
    /// A plan is about to be carried out.
    fn begins(&self, plan: &Plan);

    /// A step has come to its end.
    fn ended(&self, step: &StepOutcome);

    /// A write waits before it is tried again.
    fn waits(&self, target: &TargetName, wait: Duration, why: &Error);
}

/// Nobody listens.
impl Progress for () {
    fn begins(&self, _plan: &Plan) {}
    fn ended(&self, _step: &StepOutcome) {}
    fn waits(&self, _target: &TargetName, _wait: Duration, _why: &Error) {}
}
