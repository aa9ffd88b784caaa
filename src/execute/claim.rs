//! Claiming a release in every ledger before anything is served, and recording it afterwards.

use std::collections::{BTreeMap, BTreeSet};

use repin_provider::TargetName;

use super::{CLAIM_TRUSTED, Context, Executed, NotExecuted, Work, ended, failure, into_error, nothing_done};
use crate::model::outcome::{StepOutcome, StepResult, TargetFailure};
use crate::model::plan::{Plan, Step};
use crate::model::release::{Cause, Header, Record, Row, State, TargetId};
use crate::record::ledger::{self, LedgerError};

/// The most characters of a message that are kept: it stands in the head of a document of 4 KB.
const MESSAGE: usize = 400;

/// Why not every claim could be made.
pub(super) enum ClaimFailed {
    Raced(TargetName),
    Failed(TargetFailure),
}

impl ClaimFailed {
    fn of(work: &Work<'_>, doing: &'static str, error: LedgerError) -> Self {
        match error {
            LedgerError::Raced(_) => Self::Raced(work.name.clone()),
            error => Self::Failed(failure(work.name, doing, into_error(error))),
        }
    }

    /// Nothing was served: says so.
    pub(super) fn into_executed(self, plan: &Plan) -> Result<Executed, NotExecuted> {
        match self {
            Self::Raced(target) => Err(NotExecuted::Raced(target)),
            Self::Failed(failure) => Ok(nothing_done(plan, vec![failure], None)),
        }
    }
}

/// Closes what earlier runs left open, then claims on the first target by name, then on the others. Where one claim
/// fails, those already made are taken back.
pub(super) async fn claim(context: &Context<'_>, plan: &Plan, works: &mut [Work<'_>]) -> Result<(), ClaimFailed> {
    for work in works.iter_mut() {
        close(work).await.map_err(|error| ClaimFailed::of(work, "close what an earlier run left open", error))?;
    }
    let targets: BTreeMap<TargetId, TargetName> =
        works.iter().filter(|work| releases(work)).map(|work| (work.plan.id.clone(), work.name.clone())).collect();
    for n in 0..works.len() {
        if let Err(error) = claim_one(context, plan, &targets, &mut works[n]).await {
            let failed = ClaimFailed::of(&works[n], "claim the release", error);
            take_back(&works[..n]).await;
            return Err(failed);
        }
    }
    Ok(())
}

fn releases(work: &Work<'_>) -> bool {
    work.plan.resume.is_some() || work.plan.steps.iter().any(|step| !step.repair)
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

async fn claim_one(
    context: &Context<'_>,
    plan: &Plan,
    targets: &BTreeMap<TargetId, TargetName>,
    work: &mut Work<'_>,
) -> Result<(), LedgerError> {
    if work.plan.steps.is_empty() && work.plan.resume.is_none() {
        return Ok(());
    }
    if let Some(open) = &work.plan.resume {
        return resume(context, open.clone(), work).await;
    }
    let record = Record {
        seq: work.ledger.last_seq() + 1,
        owner: context.owner.clone(),
        header: header(context, plan, targets, work),
        state: State::Claimed,
        runner: context.runner.clone(),
        rows: work.plan.steps.iter().map(intent).collect(),
    };
    let written = ledger::claim(work.provider, &record, &work.ledger).await?;
    work.claimed = Some((record, work.learn(written)));
    Ok(())
}

/// Takes an open record over. Where nothing is left to write, recording it will do.
async fn resume(context: &Context<'_>, open: Record, work: &mut Work<'_>) -> Result<(), LedgerError> {
    let keys: BTreeSet<_> = work.plan.steps.iter().map(|step| &step.key).collect();
    let mut rows: Vec<Row> = open.rows.iter().filter(|row| !keys.contains(&row.key)).cloned().collect();
    // A row that no step takes up again and that was not done is no longer wanted.
    rows.retain(|row| row.applied);
    rows.extend(work.plan.steps.iter().map(intent));
    let record = Record { state: State::Claimed, runner: context.runner.clone(), rows, ..open };
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
    let release = plan.release.as_ref().filter(|_| releases(work));
    let own = || [(work.plan.id.clone(), work.name.clone())].into();
    Header {
        nonce: context.nonce.clone(),
        release: release.map(|release| release.number),
        cause: Cause::Reconcile,
        at: context.now,
        actor: context.actor.to_owned(),
        message: release.and(context.message).map(shorten),
        file: release.map(|release| release.file.clone()),
        restores: None,
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
        applied: false,
    }
}

/// Takes claims back after another failed: best effort, since a claim that stays is abandoned by the next pass.
async fn take_back(works: &[Work<'_>]) {
    for work in works {
        let Some((record, document)) = &work.claimed else { continue };
        let state = if work.plan.resume.is_some() { State::Partial } else { State::Abandoned };
        let record = Record { state, ..record.clone() };
        if let Err(error) = ledger::replace(work.provider, &record, &work.ledger, document).await {
            tracing::warn!(target_name = %work.name, %error, "a claim could not be taken back; the next pass does it");
        }
    }
}

/// Records what was done.
pub(super) async fn record(work: &mut Work<'_>, outcomes: &[StepOutcome]) -> Result<(), LedgerError> {
    let Some((record, document)) = work.claimed.take() else { return Ok(()) };
    // After a long wait another host may have taken it over, and what it made of it must not be buried.
    if work.since.elapsed() >= CLAIM_TRUSTED && !ledger::is_still_ours(work.provider, &record).await? {
        return Err(LedgerError::Raced(record.seq));
    }
    let by_key: BTreeMap<_, _> = outcomes.iter().map(|outcome| (&outcome.key, outcome)).collect();
    let rows = record.rows.iter().map(|row| finish(row, by_key.get(&row.key).copied())).collect();
    let record = Record { state: ended(outcomes), rows, ..record };
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
