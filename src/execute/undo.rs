//! Putting back what was served where the rest could not be (`--atomic`).

use futures::future::join_all;
use repin_provider::{
    Action, Content, Error, ErrorKind, Key, Outcome, Put, ReadRequest, Serving, Value, Version, Write,
};
use tokio::time::{Duration, Instant};

use super::write::{NotApplied, attempt};
use super::{Context, Finished, Work, claim, failure, into_error};
use crate::model::outcome::{StepOutcome, StepResult};
use crate::model::plan::StepAction;
use crate::model::release::{FrozenSet, State};

/// How long putting back is tried: longer than serving itself, since half a release is served until then.
const PATIENCE: Duration = Duration::from_secs(300);

/// Records every target, having put back what was served if not everything was. Returns whether it did.
pub(super) async fn settle(context: &Context<'_>, works: &mut [Work<'_>], finished: &mut [Finished]) -> bool {
    let done = |outcome: &StepOutcome| matches!(outcome.result, StepResult::Applied | StepResult::Unchanged);
    let whole = finished.iter().all(|finished| finished.outcomes.iter().all(done));
    let any = finished.iter().any(|finished| finished.outcomes.iter().any(done));
    let undo = !whole && any;
    let records = works.iter_mut().zip(finished.iter_mut()).map(async |(work, finished)| {
        let state = if undo { put_back(context, work, finished).await } else { super::ended(&finished.outcomes) };
        if let Err(error) = claim::record_as(context, work, &finished.outcomes, state).await {
            finished.failures.push(failure(work.name, "record what was done", into_error(error)));
        }
        finished.documents.append(&mut work.documents);
    });
    join_all(records).await;
    undo
}

/// Puts one target back; whatever cannot be stays for the next pass to see.
async fn put_back(context: &Context<'_>, work: &mut Work<'_>, finished: &mut Finished) -> State {
    let deadline = Instant::now() + PATIENCE;
    if let Some(set) = work.served_set.clone() {
        return match back_from_set(context, work, &set, deadline).await {
            Ok(()) => {
                finished.outcomes.iter_mut().for_each(skipped);
                State::Abandoned
            }
            Err(error) => {
                not_put_back(work, finished, error);
                State::Partial
            }
        };
    }
    let mut stuck = false;
    for outcome in finished.outcomes.iter_mut().filter(|outcome| outcome.result == StepResult::Applied) {
        match step_back(context, work, outcome, deadline).await {
            Ok(Some(version)) => put_again(work, outcome, version),
            Ok(None) => skipped(outcome),
            Err(error) => {
                outcome.error = Some(error);
                stuck = true;
            }
        }
    }
    for outcome in finished.outcomes.iter_mut().filter(|outcome| outcome.result == StepResult::Pending) {
        outcome.result = StepResult::Skipped;
    }
    if stuck { State::Partial } else { State::Abandoned }
}

fn skipped(outcome: &mut StepOutcome) {
    outcome.result = StepResult::Skipped;
    outcome.to = None;
}

/// Tells why a set is served still, or may be: where the answer was lost the next pass looks.
fn not_put_back(work: &Work<'_>, finished: &mut Finished, error: Error) {
    match finished.outcomes.first_mut().filter(|_| error.outcome == Outcome::Unknown) {
        Some(first) => {
            first.error = Some(error);
            finished.outcomes.iter_mut().for_each(|outcome| outcome.result = StepResult::Pending);
        }
        None => finished.failures.push(failure(work.name, "put back what was served", error)),
    }
}

/// What was there is there again, under a new version, which the record has to tell.
fn put_again(work: &mut Work<'_>, outcome: &mut StepOutcome, version: Version) {
    let pin = work.ledger.pins.get(&outcome.key);
    if let Some((record, _)) = &mut work.claimed
        && let Some(row) = record.rows.iter_mut().find(|row| row.key == outcome.key)
    {
        row.restores = pin.map(|pin| pin.origin.clone()).or(outcome.from.clone());
        row.content = pin.and_then(|pin| pin.content.clone());
    }
    outcome.to = Some(version);
    outcome.result = StepResult::Unchanged;
}

/// Leads readers back to the set that they met before. Before the first that they ever met there was no reference to one.
async fn back_from_set(
    context: &Context<'_>,
    work: &mut Work<'_>,
    served: &FrozenSet,
    deadline: Instant,
) -> Result<(), Error> {
    // A run that died may have led readers to a set that no ledger knows.
    let before = work.ledger.set.clone().or_else(|| work.state.served_set());
    let name = before.as_ref().map(|before| before.name.as_str());
    let led = super::serve::lead(context, work, name, Some(&served.reference), deadline).await;
    let version = led.map_err(error_of)?;
    work.served_set = before.map(|before| FrozenSet { reference: version.unwrap_or(before.reference), ..before });
    Ok(())
}

/// Returns why something was not put back.
fn error_of(why: NotApplied) -> Error {
    let interrupted = || Error::new(ErrorKind::Unreachable, "put back", "it was interrupted");
    super::serve::told(why).1.unwrap_or_else(interrupted)
}

/// Undoes one step. Returns the version under which what was there is there again, if it is a new one.
async fn step_back(
    context: &Context<'_>,
    work: &Work<'_>,
    outcome: &StepOutcome,
    deadline: Instant,
) -> Result<Option<Version>, Error> {
    let apart = work.provider.capabilities().serving == Serving::Apart;
    let key = outcome.key.clone();
    let action = match (outcome.action, &outcome.from, &outcome.to) {
        (StepAction::Create | StepAction::Update | StepAction::Withdraw, Some(from), to) if apart => {
            Action::Serve { version: from.clone(), from: to.clone() }
        }
        (StepAction::Create, None, Some(to)) if apart => Action::Withdraw(to.clone()),
        (StepAction::Create, _, Some(to)) => Action::Delete(to.clone()),
        (StepAction::Update, Some(from), Some(to)) => {
            Action::Put(content_before(work, &key, from).await?, Put::Replace(to.clone()))
        }
        (StepAction::Delete, Some(from), _) => Action::Put(content_before(work, &key, from).await?, Put::Create),
        _ => return Ok(None),
    };
    let puts = matches!(action, Action::Put(..));
    let write = Write { key: key.clone(), action };
    match attempt(context, work, &write, deadline).await {
        Ok(applied) => Ok(applied.version.filter(|_| puts)),
        Err(why) => Err(error_of(why).with_key(&key)),
    }
}

/// Returns what an item held before its step.
async fn content_before(work: &Work<'_>, key: &Key, version: &Version) -> Result<Content, Error> {
    let item = work.state.items.get(key).and_then(repin_provider::Seen::item);
    if let Some(item) = item
        && let Some(value) = &item.value
    {
        return Ok(Content {
            value: Value::Plain(value.clone()),
            content_type: item.content_type.clone(),
            tags: item.tags.clone().unwrap_or_default(),
            description: item.description.clone(),
            tier: None,
        });
    }
    let request = ReadRequest { key: key.clone(), version: Some(version.clone()) };
    let read = work.provider.read(&[request]).await?.into_iter().flatten().next();
    let gone = || {
        let message = format!("version {version} is not there any more");
        Error::new(ErrorKind::NotFound, "put back", message).with_key(key)
    };
    Ok(crate::model::compare::content_read(&read.ok_or_else(gone)?, item))
}
