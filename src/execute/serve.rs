//! Serving: the writes that readers see.

use futures::StreamExt as _;
use repin_provider::{Action, Error, ErrorKind, Observe, Outcome, Put, Serving, Version, Write};
use tokio::time::Instant;

use super::write::{NotApplied, Patience, attempt, may_pass, out_of_time, settle};
use super::{Context, Work, outcome};
use crate::model::outcome::{StepOutcome, StepResult};
use crate::model::plan::{SetPlan, Step, StepAction};
use crate::model::release::FrozenSet;

/// How often the reference is written again after a lost answer turned out to be a lost write.
const REPEATS: usize = 3;

/// Carries out the steps of one target: first what makes and changes, then what removes.
pub(super) async fn serve(context: &Context<'_>, work: &mut Work<'_>, deadline: Instant) -> Vec<StepOutcome> {
    if work.plan.set.is_some() {
        return serve_set(context, work, deadline).await;
    }
    let (removes, puts): (Vec<_>, Vec<_>) = work.plan.steps.iter().partition(|step| removes(step));
    let mut outcomes = run(context, work, puts, deadline).await;
    if outcomes.iter().all(is_done) {
        outcomes.extend(run(context, work, removes, deadline).await);
    } else {
        // What should have come in its place is not there yet.
        outcomes.extend(removes.iter().map(|step| outcome(work.name, step, StepResult::Pending)));
    }
    outcomes
}

fn removes(step: &Step) -> bool {
    matches!(step.action, StepAction::Delete | StepAction::Withdraw)
}

fn is_done(outcome: &StepOutcome) -> bool {
    matches!(outcome.result, StepResult::Applied | StepResult::Unchanged)
}

async fn run(context: &Context<'_>, work: &Work<'_>, steps: Vec<&Step>, deadline: Instant) -> Vec<StepOutcome> {
    let parallel = work.provider.capabilities().parallel_writes.max(1);
    let runs = steps.into_iter().map(async |step| {
        let outcome = run_step(context, work, step, deadline).await;
        context.progress.ended(&outcome);
        outcome
    });
    futures::stream::iter(runs).buffered(parallel).collect().await
}

async fn run_step(context: &Context<'_>, work: &Work<'_>, step: &Step, deadline: Instant) -> StepOutcome {
    let mut done = outcome(work.name, step, StepResult::Unchanged);
    if !step.writes() {
        done.to = step.to.clone();
        return done;
    }
    let Some(write) = write_of(work, step) else {
        return outcome(work.name, step, StepResult::Skipped);
    };
    if work.lease.is_idle() && Instant::now() >= deadline {
        // The store has answered nothing for too long: what is left is left to the next pass.
        let error = Some(out_of_time(&step.key));
        return StepOutcome { error, ..outcome(work.name, step, StepResult::Pending) };
    }
    match attempt(context, work, &write, deadline).await {
        Ok(applied) => {
            tracing::info!(target_name = %work.name, key = %step.key, action = ?step.action, "served");
            done.result = StepResult::Applied;
            done.to = applied.version;
            done.buried = applied.buried.or_else(|| work.buried.get(&step.key).cloned());
        }
        Err(why) => (done.result, done.error) = told(why),
    }
    done
}

/// Returns what to say of a step that was not done.
pub(super) fn told(why: NotApplied) -> (StepResult, Option<Error>) {
    match why {
        NotApplied::Later(error) => (StepResult::Pending, error),
        NotApplied::Never(error) if error.kind == ErrorKind::Refused => (StepResult::Refused, Some(error)),
        NotApplied::Never(error) => (StepResult::Failed, Some(error)),
    }
}

fn write_of(work: &Work<'_>, step: &Step) -> Option<Write> {
    let apart = work.provider.capabilities().serving == Serving::Apart;
    let action = match (step.action, &step.from) {
        (StepAction::Create | StepAction::Update, from) if apart => {
            let version = work.prepared.get(&step.key).or(step.to.as_ref())?.clone();
            Action::Serve { version, from: from.clone() }
        }
        (StepAction::Create, _) => Action::Put(step.content.clone()?, Put::Create),
        (StepAction::Update, Some(from)) => Action::Put(step.content.clone()?, Put::Replace(from.clone())),
        (StepAction::Delete, Some(from)) => Action::Delete(from.clone()),
        (StepAction::Withdraw, Some(from)) => Action::Withdraw(from.clone()),
        _ => return None,
    };
    Some(Write { key: step.key.clone(), action })
}

/// Leads readers to another frozen set, and with it to every key at once.
async fn serve_set(context: &Context<'_>, work: &mut Work<'_>, deadline: Instant) -> Vec<StepOutcome> {
    let name = match (&work.frozen, &work.plan.set) {
        (Some(made), _) => Some(made.clone()),
        (None, Some(SetPlan::Existing(name))) => Some(name.clone()),
        (None, _) => None,
    };
    let served = match name {
        Some(name) => refer(context, work, &name, deadline).await,
        None => Err(NotApplied::Later(None)),
    };
    let mut outcomes: Vec<_> = work.plan.steps.iter().map(|s| outcome(work.name, s, StepResult::Applied)).collect();
    match served {
        Ok(set) => {
            tracing::info!(target_name = %work.name, set = %set.name, "served");
            work.served_set = Some(set);
            for (done, step) in outcomes.iter_mut().zip(&work.plan.steps) {
                if !removes(step) {
                    done.to = work.prepared.get(&step.key).or(step.to.as_ref()).cloned();
                }
            }
        }
        Err(why) => {
            let (result, error) = told(why);
            outcomes.iter_mut().for_each(|outcome| outcome.result = result);
            // One request failed, and it is told once.
            if let Some(first) = outcomes.first_mut() {
                first.error = error;
            }
        }
    }
    outcomes.iter().for_each(|outcome| context.progress.ended(outcome));
    outcomes
}

async fn refer(context: &Context<'_>, work: &Work<'_>, name: &str, deadline: Instant) -> Result<FrozenSet, NotApplied> {
    let version = lead(context, work, Some(name), work.plan.reference.as_ref(), deadline).await?;
    let nameless = || NotApplied::Never(Error::new(ErrorKind::Unexpected, "serve", "the store named no version"));
    Ok(FrozenSet { name: name.to_owned(), reference: version.ok_or_else(nameless)? })
}

/// Leads readers from where the reference is to a set, or to none any more, and returns the reference's version.
pub(super) async fn lead(
    context: &Context<'_>,
    work: &Work<'_>,
    to: Option<&str>,
    from: Option<&Version>,
    deadline: Instant,
) -> Result<Option<Version>, NotApplied> {
    let mut patience = Patience::until(deadline);
    let mut lost = 0;
    loop {
        if context.interrupted().is_some() {
            return Err(NotApplied::Later(None));
        }
        patience.hold_claim(context, work).await?;
        let led = match (to, from) {
            (Some(name), from) => work.provider.serve_frozen(name, from).await.map(|applied| applied.version),
            (None, Some(from)) => work.provider.withdraw_frozen(from).await.map(|()| None),
            (None, None) => return Ok(None),
        };
        let error = match led {
            Ok(version) => return Ok(version),
            Err(error) => error,
        };
        if error.outcome == Outcome::Unknown {
            let look = async || Ok(work.provider.observe(Observe::default()).await?.reference);
            match settle(context, work, &mut patience, look).await? {
                Some(there) if to.is_some() && there.set.as_deref() == to => return Ok(Some(there.version)),
                None if to.is_none() => return Ok(None),
                there if there.as_ref().map(|there| &there.version) != from => {
                    return Err(NotApplied::Never(led_elsewhere(there.and_then(|there| there.set))));
                }
                _ if lost < REPEATS => lost += 1,
                _ => return Err(NotApplied::Later(Some(error.with_outcome(Outcome::NotDone)))),
            }
        } else if may_pass(&error) {
            patience.wait(context, work, error).await?;
        } else {
            return Err(NotApplied::Never(error));
        }
    }
}

fn led_elsewhere(set: Option<String>) -> Error {
    let found = set.map_or("no set".to_owned(), |set| format!("the set {set}"));
    Error::new(ErrorKind::Conflict, "serve", format!("somebody else led readers to {found} in between"))
        .with_hint("Run it again: it plans from what is there now.")
}
