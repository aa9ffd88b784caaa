//! Carries a plan out. No choices are left to make here: a step is done, skipped with a reason, or fails.
//!
//! ```text
//! preflight ─▶ close what was left open ─▶ claim ─▶ prepare ─▶ serve ─▶ verify ─▶ record
//!                                          └── everywhere ──┘
//! ```
//! Nothing is served before every claim is there and everything is prepared that readers do not see. From then on every
//! way out leads through recording. An operator's wish is the exception: a target that cannot be had keeps no other from
//! going back, and is told by the record of those that can.

mod claim;
mod prepare;
mod serve;
mod undo;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use repin_provider::{Document, DocumentName, Error, Key, Needs, Observe, Owner, Provider, Seen, TargetName, Version};
use tokio::sync::watch;
use tokio::time::Instant;

use self::write::Lease;
use crate::model::observed::{Observed, TargetState};
use crate::model::outcome::{Interrupt, Progress, StepOutcome, StepResult, TargetFailure};
use crate::model::plan::{Plan, Step, TargetPlan};
use crate::model::release::{FrozenSet, Ledger, Record, Runner, State, WrittenDocument};
use crate::record::host::HostMemory;
use crate::record::ledger::{LedgerError, Written};

/// What carrying a plan out depends on.
pub struct Context<'a> {
    /// The providers, by target.
    pub providers: &'a BTreeMap<TargetName, Arc<dyn Provider>>,
    /// The providers of the file's other targets, where a run that has no target in common with this one may make a
    /// release at the same moment.
    pub others: &'a BTreeMap<TargetName, Arc<dyn Provider>>,
    /// What this host knows of their ledgers.
    pub memory: &'a HostMemory,
    /// The owner of everything that is written.
    pub owner: &'a Owner,
    /// Who asked for it: `user@host`.
    pub actor: &'a str,
    /// What they said.
    pub message: Option<&'a str>,
    /// Who alone may take over what is let go of.
    pub heir: Option<&'a Owner>,
    /// This process.
    pub runner: &'a Runner,
    /// This host's clock at the start.
    pub now: Timestamp,
    /// A name for this attempt that no other has.
    pub nonce: String,
    /// How long to try again what may pass.
    pub timeout: Duration,
    /// Whether what is served already is put back where the rest cannot be served.
    pub atomic: bool,
    /// Hears what is done.
    pub progress: &'a dyn Progress,
    /// Says when to stop.
    pub interrupt: watch::Receiver<Option<Interrupt>>,
}

impl Context<'_> {
    fn interrupted(&self) -> Option<Interrupt> {
        *self.interrupt.borrow()
    }
}

/// What came of a plan. Ends up in the report whatever it is.
#[must_use]
#[derive(Debug, Default)]
pub struct Executed {
    /// Every step and what became of it.
    pub steps: Vec<StepOutcome>,
    /// Failures that are not of one step.
    pub failures: Vec<TargetFailure>,
    /// What was written to each ledger.
    pub documents: BTreeMap<TargetName, BTreeMap<DocumentName, Document>>,
    /// The signal that stopped it early.
    pub interrupted: Option<Interrupt>,
    /// Whether what had been served was put back.
    pub undone: bool,
}

/// Why a plan was not carried out at all.
#[derive(Debug)]
pub enum NotExecuted {
    /// Another run was first: observe and plan again.
    Raced {
        /// Where.
        target: TargetName,
        /// The ledgers in which an order had been said before, which stays.
        said: BTreeSet<TargetName>,
    },
}

/// How long a ledger out of scope is waited for.
pub(crate) const OTHERS_ANSWER: Duration = Duration::from_secs(5);
/// After this long without a write of ours a claim is read again before the next: another host takes a claim over when
/// nothing moved under it for 120 s.
const CLAIM_TRUSTED: Duration = Duration::from_secs(60);

/// The work on one target.
struct Work<'a> {
    name: &'a TargetName,
    provider: &'a dyn Provider,
    plan: &'a TargetPlan,
    state: &'a TargetState,
    ledger: Ledger,
    /// The claimed record and its document; `None` until it is claimed, and where there is nothing to record.
    claimed: Option<(Record, WrittenDocument)>,
    /// What was written to the ledger.
    documents: BTreeMap<DocumentName, Document>,
    /// Versions that were put and that readers do not meet yet.
    prepared: BTreeMap<Key, Version>,
    /// Versions of somebody else's that lie below those.
    buried: BTreeMap<Key, Version>,
    /// The frozen set to serve.
    frozen: Option<String>,
    /// The frozen set that is served since.
    served_set: Option<FrozenSet>,
    /// Notices when another host may have taken the claim over.
    lease: Lease,
    /// When the work began.
    since: Instant,
}

impl Work<'_> {
    /// Keeps what was written, and returns its document.
    fn learn(&mut self, written: Written) -> WrittenDocument {
        self.documents.extend(written.documents);
        written.document
    }
}

/// Carries a plan out.
///
/// # Errors
/// Returns [`NotExecuted`] where another run took the next place in a log; nothing was served.
pub async fn execute(context: &Context<'_>, plan: &Plan, observed: &Observed) -> Result<Executed, NotExecuted> {
    let wish = plan.is_wish();
    let mut works = works(context, plan, observed);
    let mut executed = Executed::default();
    let unfit = preflight(context.providers, plan).await;
    if !unfit.is_empty() && !wish {
        return Ok(nothing_done(plan, unfit, None));
    }
    give_up(&mut works, &mut executed, unfit);
    if let Some(interrupt) = context.interrupted() {
        return Ok(nothing_done(plan, executed.failures, Some(interrupt)));
    }
    match claim::claim(context, plan, &mut works).await {
        Ok(unclaimed) => give_up(&mut works, &mut executed, unclaimed),
        Err(failed) => return failed.into_executed(plan),
    }
    context.progress.begins(plan);
    let deadline = Instant::now() + context.timeout;
    let unprepared = prepare::prepare(context, plan, &mut works, deadline).await;
    if !unprepared.is_empty() && !wish {
        // No reader has seen anything, and none will: the number is burnt.
        claim::abandon(&mut works).await;
        let mut nothing = nothing_done(plan, Vec::new(), context.interrupted());
        prepare::blame(&mut nothing, unprepared);
        nothing.documents =
            works.iter_mut().map(|work| (work.name.clone(), std::mem::take(&mut work.documents))).collect();
        return Ok(nothing);
    }
    for failed in unprepared {
        let Some(at) = works.iter().position(|work| *work.name == failed.failure.target) else { continue };
        let mut work = works.remove(at);
        executed.keep(claim::leave(context, &mut work, failed).await);
    }
    // Each target is recorded when its own serving ends: one that is slow or gone keeps no other's record open. Only
    // where all is to be undone together does everybody wait for everybody.
    let atomic = context.atomic && !wish;
    let finishes = works.iter_mut().map(|work| finish(context, work, deadline, !atomic));
    let mut finished = join_all(finishes).await;
    if atomic {
        executed.undone = undo::settle(context, &mut works, &mut finished).await;
    }
    finished.into_iter().for_each(|finished| executed.keep(finished));
    executed.interrupted = context.interrupted();
    Ok(executed)
}

impl Executed {
    /// Tells whether everything was done.
    pub fn is_whole(&self) -> bool {
        self.failures.is_empty() && self.interrupted.is_none() && ended(&self.steps) == State::Done
    }

    /// Lists the targets whose ledgers were written to.
    pub fn recorded(&self) -> BTreeSet<TargetName> {
        let written = self.documents.iter().filter(|(_, documents)| !documents.is_empty());
        written.map(|(target, _)| target.clone()).collect()
    }

    /// Returns it together with what was done before it.
    pub fn after(mut self, earlier: Option<Self>) -> Self {
        if let Some(mut earlier) = earlier {
            earlier.steps.append(&mut self.steps);
            earlier.failures.append(&mut self.failures);
            self.steps = earlier.steps;
            self.failures = earlier.failures;
        }
        self
    }

    fn keep(&mut self, finished: Finished) {
        self.steps.extend(finished.outcomes);
        self.failures.extend(finished.failures);
        self.documents.entry(finished.target).or_default().extend(finished.documents);
    }
}

/// Takes targets out that cannot be had: their steps stay to be done.
fn give_up(works: &mut Vec<Work<'_>>, executed: &mut Executed, failures: Vec<TargetFailure>) {
    for failure in failures {
        works.retain_mut(|work| {
            let stays = *work.name != failure.target;
            if !stays {
                let pending = work.plan.steps.iter().map(|step| outcome(work.name, step, StepResult::Pending));
                executed.steps.extend(pending);
                executed.documents.entry(work.name.clone()).or_default().append(&mut work.documents);
            }
            stays
        });
        executed.failures.push(failure);
    }
}

/// What came of one target.
struct Finished {
    target: TargetName,
    outcomes: Vec<StepOutcome>,
    failures: Vec<TargetFailure>,
    documents: BTreeMap<DocumentName, Document>,
}

/// Serves, verifies and, if asked to, records one target.
#[tracing::instrument(level = "debug", name = "target", skip_all, fields(target_name = %work.name, stage = "serve"))]
async fn finish(context: &Context<'_>, work: &mut Work<'_>, deadline: Instant, record: bool) -> Finished {
    let mut failures = Vec::new();
    let mut outcomes = serve::serve(context, work, deadline).await;
    if let Err(error) = verify(work, &mut outcomes).await {
        failures.push(failure(work.name, "read back what was written", error));
    }
    if record && let Err(error) = claim::record(context, work, &outcomes).await {
        failures.push(failure(work.name, "record what was done", into_error(error)));
    }
    Finished { target: work.name.clone(), outcomes, failures, documents: std::mem::take(&mut work.documents) }
}

fn works<'a>(context: &Context<'a>, plan: &'a Plan, observed: &'a Observed) -> Vec<Work<'a>> {
    plan.targets
        .iter()
        .filter(|(_, target)| target.touches())
        .filter_map(|(name, target)| {
            let state = observed.targets.get(name)?;
            Some(Work {
                name,
                provider: context.providers.get(name)?.as_ref(),
                plan: target,
                state,
                ledger: state.ledger.clone(),
                claimed: None,
                documents: BTreeMap::new(),
                prepared: BTreeMap::new(),
                buried: BTreeMap::new(),
                frozen: None,
                served_set: None,
                lease: Lease::new(),
                since: Instant::now(),
            })
        })
        .collect()
}

/// Checks every target that a plan would write to: the account, and the key where something is encrypted.
pub async fn preflight(providers: &BTreeMap<TargetName, Arc<dyn Provider>>, plan: &Plan) -> Vec<TargetFailure> {
    let touched = plan.targets.iter().filter(|(_, target)| target.touches());
    let checks = touched.filter_map(|(name, target)| {
        let copied = target.copies.iter().any(|(_, content)| content.value.is_secret());
        let encrypt = copied || target.steps.iter().any(Step::encrypts);
        let writes = target.cost.writes;
        let provider = providers.get(name)?;
        Some(async move { (name, provider.preflight(Needs { encrypt, writes }).await.err()) })
    });
    let failed = join_all(checks).await.into_iter().filter_map(|(name, error)| Some((name, error?)));
    failed.map(|(name, error)| failure(name, "check the target before writing", error)).collect()
}

/// Learns the dates that a store's writes do not answer, and that what was written is there.
async fn verify(work: &Work<'_>, outcomes: &mut [StepOutcome]) -> Result<(), Error> {
    if work.provider.capabilities().dates_on_write {
        return Ok(());
    }
    let undated = |outcome: &StepOutcome| {
        outcome.result == StepResult::Applied && outcome.to.as_ref().is_some_and(|version| version.at.is_none())
    };
    let keys: Vec<_> = outcomes.iter().filter(|o| undated(o)).map(|o| o.key.clone()).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let seen = work.provider.observe(Observe { keys, census: false, ..Observe::default() }).await?;
    for outcome in outcomes.iter_mut().filter(|o| undated(o)) {
        // Reads may lag behind writes, and somebody may have written since: only our own version's date counts.
        if let (Some(Seen::Present(item)), Some(written)) = (seen.items.get(&outcome.key), &outcome.to)
            && item.version == *written
        {
            outcome.to = Some(item.version.clone());
        }
    }
    Ok(())
}

fn failure(target: &TargetName, doing: &'static str, error: Error) -> TargetFailure {
    TargetFailure { target: target.clone(), doing, error }
}

fn into_error(error: LedgerError) -> Error {
    use repin_provider::ErrorKind;
    match error {
        LedgerError::Store(error) => error,
        LedgerError::Raced(_) => {
            Error::new(ErrorKind::Conflict, "ledger", "another run took this one over").with_hint("Run it again.")
        }
        corrupt @ LedgerError::Corrupt { .. } => Error::new(ErrorKind::Unexpected, "ledger", corrupt.to_string()),
    }
}

/// Describes a plan of which no step was tried.
pub fn untried(plan: &Plan) -> Executed {
    let steps = plan
        .targets
        .iter()
        .flat_map(|(name, target)| target.steps.iter().map(move |step| outcome(name, step, StepResult::Skipped)))
        .collect();
    Executed { steps, ..Executed::default() }
}

fn nothing_done(plan: &Plan, failures: Vec<TargetFailure>, interrupted: Option<Interrupt>) -> Executed {
    Executed { failures, interrupted, ..untried(plan) }
}

fn outcome(target: &TargetName, step: &Step, result: StepResult) -> StepOutcome {
    StepOutcome {
        target: target.clone(),
        key: step.key.clone(),
        native: step.native.clone(),
        action: step.action,
        reason: step.reason,
        from: step.from.clone(),
        to: None,
        result,
        error: None,
        buried: None,
    }
}

/// Tells what state a record ends in.
fn ended(outcomes: &[StepOutcome]) -> State {
    let done = outcomes.iter().all(|o| matches!(o.result, StepResult::Applied | StepResult::Unchanged));
    if done { State::Done } else { State::Partial }
}
