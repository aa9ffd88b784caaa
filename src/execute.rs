//! Carries a plan out. No choices are left to make here: a step is done, skipped with a reason, or fails.
//!
//! ```text
//! preflight ─▶ close what was left open ─▶ claim everywhere ─▶ serve ─▶ verify ─▶ record
//! ```
//! Nothing is served before every claim is there. From then on every way out leads through recording.

mod claim;
mod serve;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use repin_provider::{Document, DocumentName, Error, Needs, Observe, Owner, Provider, Seen, TargetName};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::model::outcome::{Interrupt, Progress, StepOutcome, StepResult, TargetFailure};
use crate::model::plan::{Plan, Step, TargetPlan};
use crate::model::release::{Ledger, Record, Runner, State, WrittenDocument};
use crate::record::ledger::{LedgerError, Written};

/// What carrying a plan out depends on.
pub struct Context<'a> {
    /// The providers, by target.
    pub providers: &'a BTreeMap<TargetName, Arc<dyn Provider>>,
    /// The owner of everything that is written.
    pub owner: &'a Owner,
    /// Who asked for it: `user@host`.
    pub actor: &'a str,
    /// What they said.
    pub message: Option<&'a str>,
    /// This process.
    pub runner: &'a Runner,
    /// This host's clock at the start.
    pub now: Timestamp,
    /// A name for this attempt that no other has.
    pub nonce: String,
    /// How long to try again what may pass.
    pub timeout: Duration,
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
#[derive(Debug)]
pub struct Executed {
    /// Every step and what became of it.
    pub steps: Vec<StepOutcome>,
    /// Failures that are not of one step.
    pub failures: Vec<TargetFailure>,
    /// What was written to each ledger.
    pub documents: BTreeMap<TargetName, BTreeMap<DocumentName, Document>>,
    /// The signal that stopped it early.
    pub interrupted: Option<Interrupt>,
}

/// Why a plan was not carried out at all.
#[derive(Debug)]
pub enum NotExecuted {
    /// Another run was first: observe and plan again.
    Raced(TargetName),
}

/// After this long without a write of ours a claim is read again before the next: another host takes a claim over when
/// nothing moved under it for 120 s.
const CLAIM_TRUSTED: Duration = Duration::from_secs(60);

/// The work on one target.
struct Work<'a> {
    name: &'a TargetName,
    provider: &'a dyn Provider,
    plan: &'a TargetPlan,
    ledger: Ledger,
    /// The claimed record and its document; `None` until it is claimed, and where there is nothing to record.
    claimed: Option<(Record, WrittenDocument)>,
    /// What was written to the ledger.
    documents: BTreeMap<DocumentName, Document>,
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
pub async fn execute(
    context: &Context<'_>,
    plan: &Plan,
    ledgers: &BTreeMap<TargetName, Ledger>,
) -> Result<Executed, NotExecuted> {
    let mut works = works(context, plan, ledgers);
    let failures = preflight(context.providers, plan).await;
    if !failures.is_empty() {
        return Ok(nothing_done(plan, failures, None));
    }
    if let Some(interrupt) = context.interrupted() {
        return Ok(nothing_done(plan, Vec::new(), Some(interrupt)));
    }
    if let Err(failed) = claim::claim(context, plan, &mut works).await {
        return failed.into_executed(plan);
    }
    context.progress.begins(plan);
    let deadline = Instant::now() + context.timeout;
    let mut executed =
        Executed { steps: Vec::new(), failures: Vec::new(), documents: BTreeMap::new(), interrupted: None };
    // Each target is recorded when its own serving ends: one that is slow or gone keeps no other's record open.
    for finished in join_all(works.iter_mut().map(|work| finish(context, work, deadline))).await {
        executed.steps.extend(finished.outcomes);
        executed.failures.extend(finished.failures);
        executed.documents.insert(finished.target, finished.documents);
    }
    executed.interrupted = context.interrupted();
    Ok(executed)
}

/// What came of one target.
struct Finished {
    target: TargetName,
    outcomes: Vec<StepOutcome>,
    failures: Vec<TargetFailure>,
    documents: BTreeMap<DocumentName, Document>,
}

/// Serves, verifies and records one target.
async fn finish(context: &Context<'_>, work: &mut Work<'_>, deadline: Instant) -> Finished {
    let mut failures = Vec::new();
    let mut outcomes = serve::serve(context, work, deadline).await;
    if let Err(error) = verify(work, &mut outcomes).await {
        failures.push(failure(work.name, "read back what was written", error));
    }
    if let Err(error) = claim::record(work, &outcomes).await {
        failures.push(failure(work.name, "record what was done", into_error(error)));
    }
    Finished { target: work.name.clone(), outcomes, failures, documents: std::mem::take(&mut work.documents) }
}

fn works<'a>(context: &Context<'a>, plan: &'a Plan, ledgers: &BTreeMap<TargetName, Ledger>) -> Vec<Work<'a>> {
    plan.targets
        .iter()
        .filter(|(_, target)| touches(target))
        .filter_map(|(name, target)| {
            Some(Work {
                name,
                provider: context.providers.get(name)?.as_ref(),
                plan: target,
                ledger: ledgers.get(name)?.clone(),
                claimed: None,
                documents: BTreeMap::new(),
                since: Instant::now(),
            })
        })
        .collect()
}

/// Checks every target that a plan would write to: the account, and the key where something is encrypted.
pub async fn preflight(providers: &BTreeMap<TargetName, Arc<dyn Provider>>, plan: &Plan) -> Vec<TargetFailure> {
    let touched = plan.targets.iter().filter(|(_, target)| touches(target));
    let checks = touched.filter_map(|(name, target)| {
        let encrypt = target.steps.iter().any(Step::encrypts);
        let provider = providers.get(name)?;
        Some(async move { (name, provider.preflight(Needs { encrypt }).await.err()) })
    });
    let failed = join_all(checks).await.into_iter().filter_map(|(name, error)| Some((name, error?)));
    failed.map(|(name, error)| failure(name, "check the target before writing", error)).collect()
}

/// Tells whether anything is written to a target, its ledger included.
fn touches(target: &TargetPlan) -> bool {
    !target.steps.is_empty() || target.close.is_some() || target.resume.is_some()
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

fn nothing_done(plan: &Plan, failures: Vec<TargetFailure>, interrupted: Option<Interrupt>) -> Executed {
    let steps = plan
        .targets
        .iter()
        .flat_map(|(name, target)| target.steps.iter().map(move |step| outcome(name, step, StepResult::Skipped)))
        .collect();
    Executed { steps, failures, documents: BTreeMap::new(), interrupted }
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
