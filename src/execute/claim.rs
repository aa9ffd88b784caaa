//! Claiming a release in every ledger before anything is served, and recording it afterwards.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use jiff::SignedDuration;
use repin_provider::TargetName;

use super::prepare::Unprepared;
use super::{
    CLAIM_TRUSTED, Context, Executed, Finished, NotExecuted, OTHERS_ANSWER, Work, ended, failure, into_error,
    nothing_done, outcome,
};
use crate::model::outcome::{StepOutcome, StepResult, TargetFailure};
use crate::model::plan::{Plan, Step, StepAction, TargetPlan};
use crate::model::release::{Cause, Header, Record, Row, State, TargetId};
use crate::record::ledger::{self, LedgerError};

/// The most characters of a message that are kept: it stands in the head of a document of 4 KB.
const MESSAGE: usize = 400;

/// Why not every claim could be made.
pub(super) enum ClaimFailed {
    Raced { target: TargetName, said: BTreeSet<TargetName> },
    Failed(Box<TargetFailure>),
}

impl ClaimFailed {
    fn of(work: &Work<'_>, doing: &'static str, error: LedgerError) -> Self {
        match error {
            LedgerError::Raced(_) => Self::Raced { target: work.name.clone(), said: BTreeSet::new() },
            error => Self::Failed(Box::new(failure(work.name, doing, into_error(error)))),
        }
    }

    /// Returns the failure where the others may go on without this target.
    fn tolerated(self, plan: &Plan) -> Result<TargetFailure, Self> {
        match self {
            Self::Failed(failure) if plan.is_wish() => Ok(*failure),
            other => Err(other),
        }
    }

    /// Adds where it was said before, which is not taken back.
    fn after(self, works: &[Work<'_>], unclaimed: &[TargetFailure]) -> Self {
        let Self::Raced { target, .. } = self else { return self };
        let is_lost = |work: &Work<'_>| unclaimed.iter().any(|failure| failure.target == *work.name);
        let said = works.iter().filter(|work| work.plan.records() && work.claimed.is_none() && !is_lost(work));
        Self::Raced { target, said: said.map(|work| work.name.clone()).collect() }
    }

    /// Nothing was served: says so.
    pub(super) fn into_executed(self, plan: &Plan) -> Result<Executed, NotExecuted> {
        match self {
            Self::Raced { target, said } => Err(NotExecuted::Raced { target, said }),
            Self::Failed(failure) => Ok(nothing_done(plan, vec![*failure], None)),
        }
    }
}

/// Closes what earlier runs left open, then claims on the first target by name, then on the others. Where one claim
/// fails, those already made are taken back; only an operator's wish goes on without that target, which is returned.
pub(super) async fn claim(
    context: &Context<'_>,
    plan: &Plan,
    works: &mut [Work<'_>],
) -> Result<Vec<TargetFailure>, ClaimFailed> {
    let mut unclaimed = Vec::new();
    for work in works.iter_mut() {
        if let Err(error) = close(work).await {
            let failed = ClaimFailed::of(work, "close what an earlier run left open", error);
            unclaimed.push(failed.tolerated(plan)?);
        }
    }
    // Also those that were given up already: whoever reaches them has to hear of it.
    let releasing = plan.targets.iter().filter(|(_, target)| releases(plan, target));
    let mut targets: BTreeMap<TargetId, TargetName> =
        releasing.map(|(name, target)| (target.id.clone(), name.clone())).collect();
    targets.extend(plan.release.iter().flat_map(|release| release.unreached.clone()));
    for n in 0..works.len() {
        if unclaimed.iter().any(|failure| failure.target == *works[n].name) {
            continue;
        }
        if let Err(error) = claim_one(context, plan, &targets, &mut works[n]).await {
            let failed = ClaimFailed::of(&works[n], "claim the release", error);
            match failed.tolerated(plan) {
                Ok(failure) => unclaimed.push(failure),
                Err(failed) => {
                    let number =
                        if matches!(failed, ClaimFailed::Raced { .. }) { Number::GivenUp } else { Number::Burnt };
                    take_back(&works[..n], number).await;
                    return Err(failed.after(&works[..n], &unclaimed));
                }
            }
        }
    }
    if let Some(target) = taken_elsewhere(context, plan, works).await {
        take_back(works, Number::GivenUp).await;
        return Err(ClaimFailed::Raced { target, said: BTreeSet::new() }.after(works, &unclaimed));
    }
    Ok(unclaimed)
}

/// Names a target out of scope whose ledger has another release of the number that was just claimed.
///
/// Where two runs have no ledger in common, none is first in it. Each claims and then looks: at least one of them finds
/// the other, and whoever finds the other gives way. A ledger that cannot be read keeps nobody: it may be why the scope
/// is what it is.
async fn taken_elsewhere(context: &Context<'_>, plan: &Plan, works: &[Work<'_>]) -> Option<TargetName> {
    let number = plan.release.as_ref().filter(|release| release.header.is_none())?.number;
    let of_ours = |record: &Record| record.header.release == Some(number) && record.header.nonce == context.nonce;
    if !works.iter().filter_map(|work| work.claimed.as_ref()).any(|(record, _)| of_ours(record)) {
        return None;
    }
    let looks = context.others.iter().map(|(name, provider)| async move {
        let mut known = context.memory.target(&TargetId::of(provider.place())).ledger;
        let load = ledger::load(provider.as_ref(), context.owner, &mut known);
        let ledger = tokio::time::timeout(OTHERS_ANSWER, load).await.ok()?.ok()?.ledger;
        let is_other = |record: &Record| {
            record.header.release == Some(number)
                && record.header.nonce != context.nonce
                && record.state != State::Abandoned
        };
        ledger.records.iter().any(is_other).then(|| name.clone())
    });
    join_all(looks).await.into_iter().flatten().next()
}

fn releases(plan: &Plan, target: &TargetPlan) -> bool {
    target.resume.is_some() || target.steps.iter().any(|step| !step.repair) || (plan.is_wish() && target.records())
}

async fn close(work: &mut Work<'_>) -> Result<(), LedgerError> {
    let Some(closed) = work.plan.close.clone() else { return Ok(()) };
    let Some(old) = work.ledger.last.clone() else { return Ok(()) };
    if !ledger::is_still_at(work.provider, &closed, &old).await? {
        return Err(LedgerError::Raced(closed.seq));
    }
    let written = ledger::replace(work.provider, &closed, &work.ledger, &old).await?;
    work.ledger = work.ledger.with(closed);
    work.ledger.last = Some(work.learn(written));
    Ok(())
}

#[tracing::instrument(level = "debug", name = "target", skip_all, fields(target_name = %work.name, stage = "claim"))]
async fn claim_one(
    context: &Context<'_>,
    plan: &Plan,
    targets: &BTreeMap<TargetId, TargetName>,
    work: &mut Work<'_>,
) -> Result<(), LedgerError> {
    if !work.plan.records() {
        return Ok(());
    }
    if let Some(open) = &work.plan.resume {
        return resume(context, open.clone(), work).await;
    }
    // What only says something is said at once.
    let says = work.plan.steps.iter().all(|step| step.action == StepAction::Forget);
    let record = Record {
        seq: work.ledger.last_seq() + 1,
        owner: context.owner.clone(),
        header: header(context, plan, targets, work),
        state: if says { State::Done } else { State::Claimed },
        runner: context.runner.clone(),
        rows: work.plan.steps.iter().map(|step| Row { applied: says, ..intent(step) }).collect(),
        holds: work.plan.holds.clone(),
        copies: Vec::new(),
        serve: Some(work.provider.capabilities().serve.clone()),
        set: None,
        ended: says.then_some(context.now),
    };
    let written = ledger::claim(work.provider, &record, &work.ledger).await?;
    let document = work.learn(written);
    if !says {
        work.claimed = Some((record, document));
    }
    Ok(())
}

/// Takes an open record over. Where nothing is left to write, recording it will do.
async fn resume(context: &Context<'_>, open: Record, work: &mut Work<'_>) -> Result<(), LedgerError> {
    let keys: BTreeSet<_> = work.plan.steps.iter().map(|step| &step.key).collect();
    let mut rows: Vec<Row> = open.rows.iter().filter(|row| !keys.contains(&row.key)).cloned().collect();
    // A row that no step takes up again and that was not done is no longer wanted.
    rows.retain(|row| row.applied);
    rows.extend(work.plan.steps.iter().map(intent));
    let mut holds = open.holds.clone();
    holds.extend(work.plan.holds.clone());
    let record = Record { state: State::Claimed, runner: context.runner.clone(), rows, holds, ..open };
    let Some(old) = work.ledger.last.clone() else { return Err(LedgerError::Raced(record.seq)) };
    if !ledger::is_still_at(work.provider, &record, &old).await? {
        return Err(LedgerError::Raced(record.seq));
    }
    let document = if work.plan.steps.iter().any(Step::writes) {
        let written = ledger::replace(work.provider, &record, &work.ledger, &old).await?;
        work.learn(written)
    } else {
        old
    };
    work.claimed = Some((record, document));
    Ok(())
}

fn header(context: &Context<'_>, plan: &Plan, targets: &BTreeMap<TargetId, TargetName>, work: &Work<'_>) -> Header {
    let release = plan.release.as_ref().filter(|_| releases(plan, work.plan));
    if let Some(header) = release.and_then(|release| release.header.clone()) {
        // It was made elsewhere already, and this target had not heard of it.
        return header;
    }
    let own = || [(work.plan.id.clone(), work.name.clone())].into();
    let says = release.is_some() || plan.cause.is_wish();
    Header {
        nonce: context.nonce.clone(),
        release: release.map(|release| release.number),
        cause: release.map_or(plan.cause, |release| release.cause),
        at: context.now,
        actor: context.actor.to_owned(),
        message: context.message.filter(|_| says).map(shorten),
        file: release.and_then(|release| release.file.clone()),
        restores: release.and_then(|release| release.restores),
        keys: release.and_then(|release| release.keys.clone()),
        heir: context.heir.filter(|_| plan.cause == Cause::Forget).cloned(),
        targets: if release.is_some() { targets.clone() } else { own() },
    }
}

/// Cuts a message to what a ledger's document has room for.
fn shorten(message: &str) -> String {
    match message.char_indices().nth(MESSAGE) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

fn intent(step: &Step) -> Row {
    Row {
        key: step.key.clone(),
        action: step.action.into(),
        from: step.from.clone(),
        to: step.to.clone(),
        content: step.digest.clone(),
        restores: step.restores.clone(),
        applied: false,
    }
}

/// What becomes of the number of a claim that is taken back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Number {
    /// It is told as abandoned.
    Burnt,
    /// It is whose who was first.
    GivenUp,
}

/// Takes claims back after another failed: best effort, since a claim that stays is abandoned by the next pass.
async fn take_back(works: &[Work<'_>], number: Number) {
    for work in works {
        let Some((record, document)) = &work.claimed else { continue };
        let state = if work.plan.resume.is_some() { State::Partial } else { State::Abandoned };
        let mut record = Record { state, ..record.clone() };
        if number == Number::GivenUp && state == State::Abandoned {
            record.header.release = None;
        }
        if let Err(error) = ledger::replace(work.provider, &record, &work.ledger, document).await {
            tracing::warn!(target_name = %work.name, %error, "a claim could not be taken back; the next pass does it");
        }
    }
}

/// Takes every claim back: nothing of it was served.
pub(super) async fn abandon(works: &mut [Work<'_>]) {
    take_back(works, Number::Burnt).await;
    works.iter_mut().for_each(|work| work.claimed = None);
}

/// Records a target that cannot be served now as pending: any host goes on with it.
pub(super) async fn leave(context: &Context<'_>, work: &mut Work<'_>, failed: Unprepared) -> Finished {
    let mut outcomes: Vec<_> = work.plan.steps.iter().map(|s| outcome(work.name, s, StepResult::Pending)).collect();
    let mut failures = vec![failed.failure];
    failed.steps.into_iter().for_each(|(key, error)| {
        if let Some(outcome) = outcomes.iter_mut().find(|outcome| outcome.key == key) {
            outcome.error = Some(error);
        }
    });
    if let Err(error) = record(context, work, &outcomes).await {
        failures.push(failure(work.name, "record what was done", into_error(error)));
    }
    Finished { target: work.name.clone(), outcomes, failures, documents: std::mem::take(&mut work.documents) }
}

/// Records what was done.
pub(super) async fn record(
    context: &Context<'_>,
    work: &mut Work<'_>,
    outcomes: &[StepOutcome],
) -> Result<(), LedgerError> {
    let state = ended(outcomes);
    record_as(context, work, outcomes, state).await
}

/// Records what was done, in a state that the outcomes do not tell.
pub(super) async fn record_as(
    context: &Context<'_>,
    work: &mut Work<'_>,
    outcomes: &[StepOutcome],
    state: State,
) -> Result<(), LedgerError> {
    let Some((record, document)) = work.claimed.take() else { return Ok(()) };
    // After a long wait another host may have taken it over, and what it made of it must not be buried.
    if work.since.elapsed() >= CLAIM_TRUSTED && !ledger::is_still_ours(work.provider, &record).await? {
        return Err(LedgerError::Raced(record.seq));
    }
    let by_key: BTreeMap<_, _> = outcomes.iter().map(|outcome| (&outcome.key, outcome)).collect();
    let rows = record.rows.iter().map(|row| finish(row, by_key.get(&row.key).copied())).collect();
    let took = SignedDuration::try_from(work.since.elapsed()).unwrap_or_default();
    let ended = context.now.checked_add(took).ok();
    // What was taken as it is, since a run that died or somebody else had led readers there, is served by that set.
    let taken = work.state.served_set().filter(|_| work.plan.set.is_none() && !record.rows.is_empty());
    let set = work.served_set.clone().or(record.set.clone()).or(taken);
    let copies = work.plan.copies.iter().map(|(name, _)| name.clone());
    let copies = record.copies.iter().cloned().chain(copies).collect();
    let record = Record { state, rows, set, copies, ended, ..record };
    let written = ledger::replace(work.provider, &record, &work.ledger, &document).await?;
    work.learn(written);
    Ok(())
}

fn finish(row: &Row, outcome: Option<&StepOutcome>) -> Row {
    match outcome {
        Some(outcome) if matches!(outcome.result, StepResult::Applied | StepResult::Unchanged) => {
            Row { to: outcome.to.clone(), applied: true, ..row.clone() }
        }
        _ => row.clone(),
    }
}
