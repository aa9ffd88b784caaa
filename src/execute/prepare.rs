//! Preparing: everything that readers do not see yet, so that serving is as short and as sure as it can be.
//!
//! Copies of what a store would lose go to the ledger first. Then, where a put is not served at once, everything is put:
//! versions without the label that readers follow, or staged key-values that are frozen into one set.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use futures::future::join_all;
use repin_provider::{Action, Applied, Content, Error, ErrorKind, Frozen, Item, Key, Put, Serving, Version, Write};
use tokio::time::Instant;

use super::serve::told;
use super::write::attempt;
use super::{Context, Executed, Work, failure};
use crate::model::outcome::{StepResult, TargetFailure};
use crate::model::plan::{Plan, SetPlan, Step, StepAction};
use crate::record::copies;

/// How many names are tried for a frozen set: runs that died may have taken some.
const NAMES: usize = 5;

/// A target that could not be prepared.
pub(super) struct Unprepared {
    pub(super) failure: TargetFailure,
    /// What failed, by key, where it is of single keys.
    pub(super) steps: Vec<(Key, Error)>,
}

/// Prepares every target, and returns those that could not be.
pub(super) async fn prepare(
    context: &Context<'_>,
    plan: &Plan,
    works: &mut [Work<'_>],
    deadline: Instant,
) -> Vec<Unprepared> {
    let prepares = works.iter_mut().map(|work| prepare_one(context, plan, work, deadline));
    join_all(prepares).await.into_iter().filter_map(Result::err).collect()
}

/// Adds to what is told of a plan that was not carried out why that is.
pub(super) fn blame(executed: &mut Executed, unprepared: Vec<Unprepared>) {
    for failed in unprepared {
        for (key, error) in failed.steps {
            let target = &failed.failure.target;
            let of_step = executed.steps.iter_mut().find(|step| step.key == key && step.target == *target);
            if let Some(step) = of_step {
                let refused = error.kind == ErrorKind::Refused;
                step.result = if refused { StepResult::Refused } else { StepResult::Failed };
                step.error = Some(error);
            }
        }
        executed.failures.push(failed.failure);
    }
}

#[tracing::instrument(level = "debug", name = "target", skip_all, fields(target_name = %work.name, stage = "prepare"))]
async fn prepare_one(
    context: &Context<'_>,
    plan: &Plan,
    work: &mut Work<'_>,
    deadline: Instant,
) -> Result<(), Unprepared> {
    let whole = |doing, error| Unprepared { failure: failure(work.name, doing, error), steps: Vec::new() };
    for (name, content) in &work.plan.copies {
        let written = copies::write(work.provider, name, content).await;
        written.map_err(|error| whole("copy what the store would lose", error))?;
    }
    match (work.provider.capabilities().serving, &work.plan.set) {
        (Serving::Apart, _) => put_unseen(context, work, deadline).await,
        (Serving::Together, Some(SetPlan::New)) => stage_and_freeze(context, plan, work, deadline).await,
        _ => Ok(()),
    }
}

/// Puts the versions that labels are moved to later.
async fn put_unseen(context: &Context<'_>, work: &mut Work<'_>, deadline: Instant) -> Result<(), Unprepared> {
    let puts = work.plan.steps.iter().filter_map(|step| Some((step.key.clone(), put_of(step)?))).collect();
    let made = put_all(context, work, puts, deadline).await?;
    work.buried = made.iter().filter_map(|(key, applied)| Some((key.clone(), applied.buried.clone()?))).collect();
    work.prepared = made.into_iter().filter_map(|(key, applied)| Some((key, applied.version?))).collect();
    Ok(())
}

fn put_of(step: &Step) -> Option<Action> {
    let content = step.content.clone().filter(|_| step.to.is_none())?;
    Some(put_over(content, step.base.clone()))
}

fn put_over(content: Content, base: Option<Version>) -> Action {
    Action::Put(content, base.map_or(Put::Create, Put::Replace))
}

async fn put_all(
    context: &Context<'_>,
    work: &Work<'_>,
    writes: Vec<(Key, Action)>,
    deadline: Instant,
) -> Result<BTreeMap<Key, Applied>, Unprepared> {
    let parallel = work.provider.capabilities().parallel_writes.max(1);
    let runs = writes.into_iter().map(async |(key, action)| {
        let write = Write { key, action };
        let done = attempt(context, work, &write, deadline).await;
        (write.key, done)
    });
    let (mut made, mut failed) = (BTreeMap::new(), Vec::new());
    for (key, done) in futures::stream::iter(runs).buffered(parallel).collect::<Vec<_>>().await {
        match done {
            Ok(applied) => drop(made.insert(key, applied)),
            Err(why) => {
                let interrupted = || Error::new(ErrorKind::Unreachable, "prepare", "it was interrupted");
                failed.push((key.clone(), told(why).1.unwrap_or_else(interrupted)));
            }
        }
    }
    let Some((key, error)) = failed.first() else { return Ok(made) };
    let message = format!("{} of the puts failed, {key} first", failed.len());
    let mut summary = Error::new(error.kind, "prepare", message);
    summary.retry = error.retry;
    Err(Unprepared { failure: failure(work.name, "prepare what is to be served", summary), steps: failed })
}

/// Brings what is staged to what is wanted, and freezes it.
async fn stage_and_freeze(
    context: &Context<'_>,
    plan: &Plan,
    work: &mut Work<'_>,
    deadline: Instant,
) -> Result<(), Unprepared> {
    let mut writes: Vec<(Key, Action)> =
        work.plan.steps.iter().filter_map(|step| Some((step.key.clone(), put_of(step)?))).collect();
    let leftovers = work.plan.leftovers.iter().map(|(key, version)| (key.clone(), Action::Delete(version.clone())));
    writes.extend(leftovers);
    let kept = work.plan.kept.iter();
    writes.extend(kept.map(|(key, content, base)| (key.clone(), put_over(content.clone(), base.clone()))));
    put_all(context, work, writes, deadline).await?;
    let wanted = wanted(work);
    let doing = "freeze what is to be served";
    let whole = |error| Unprepared { failure: failure(work.name, doing, error), steps: Vec::new() };
    let frozen = freeze(context, plan, work, &wanted).await.map_err(whole)?;
    let versions = frozen.items.into_iter().map(|(key, item)| (key, item.version));
    work.prepared = versions.collect();
    work.frozen = Some(frozen.name);
    Ok(())
}

/// What the next set has to hold: what is served now, with the steps.
#[derive(Debug, Clone, PartialEq)]
struct Wanted {
    value: String,
    content_type: Option<String>,
}

impl Wanted {
    fn of_item(item: &Item) -> Option<Self> {
        Some(Self { value: item.value.clone()?, content_type: item.content_type.clone() })
    }

    fn of_content(content: &Content) -> Self {
        Self { value: content.value.expose().to_owned(), content_type: content.content_type.clone() }
    }
}

fn wanted(work: &Work<'_>) -> BTreeMap<Key, Wanted> {
    let served = work.state.items.iter().filter_map(|(key, seen)| Some((key.clone(), Wanted::of_item(seen.item()?)?)));
    let mut wanted: BTreeMap<Key, Wanted> = served.collect();
    for step in &work.plan.steps {
        match (step.action, &step.content) {
            (StepAction::Delete | StepAction::Withdraw, _) => drop(wanted.remove(&step.key)),
            (_, Some(content)) => drop(wanted.insert(step.key.clone(), Wanted::of_content(content))),
            (_, None) => {}
        }
    }
    wanted
}

async fn freeze(
    context: &Context<'_>,
    plan: &Plan,
    work: &Work<'_>,
    wanted: &BTreeMap<Key, Wanted>,
) -> Result<Frozen, Error> {
    let number = plan.release.as_ref().map_or_else(|| "repair".to_owned(), |release| release.number.to_string());
    // Frozen sets cannot be removed, so that a name is never used twice.
    let nonce: String = context.nonce.chars().take(12).collect();
    let base = format!("repin-{}-{}-{number}-{nonce}", context.owner, work.plan.id);
    for attempt in 0..NAMES {
        let name = if attempt == 0 { base.clone() } else { format!("{base}-{attempt}") };
        let frozen = match work.provider.freeze(&name).await {
            Ok(frozen) => Some(frozen),
            // Perhaps our own, of an answer that was lost.
            Err(error)
                if error.kind == ErrorKind::AlreadyExists || error.outcome == repin_provider::Outcome::Unknown =>
            {
                work.provider.read_frozen(&name).await?
            }
            Err(error) => return Err(error),
        };
        let differs = match &frozen {
            Some(frozen) => Some(differs(work, frozen, wanted).await?),
            None => None,
        };
        match differs {
            Some(None) => return frozen.ok_or_else(|| Error::new(ErrorKind::Unexpected, "freeze", "it is gone")),
            // What a run before us made under this name may hold something else.
            Some(Some(what)) if attempt > 0 => return Err(Error::new(ErrorKind::Conflict, "freeze", what)),
            Some(Some(_)) | None => {}
        }
    }
    Err(Error::new(ErrorKind::Unexpected, "freeze", format!("no set {base} could be made")))
}

/// Tells how a frozen set is not what is wanted. What readers meet already and is not ours, since it was let go of, may
/// stay in it.
async fn differs(work: &Work<'_>, frozen: &Frozen, wanted: &BTreeMap<Key, Wanted>) -> Result<Option<String>, Error> {
    let mut besides = frozen.items.keys().filter(|key| !wanted.contains_key(*key)).peekable();
    if besides.peek().is_some() {
        let served = match &work.ledger.set {
            Some(set) => work.provider.read_frozen(&set.name).await?.map(|set| set.items).unwrap_or_default(),
            None => BTreeMap::new(),
        };
        let stays = |key: &Key| served.contains_key(key) && !work.ledger.pins.contains_key(key);
        if let Some(key) = besides.find(|key| !stays(key)) {
            return Ok(Some(format!("{key} is staged beside what repin put there, and would be served; remove it")));
        }
    }
    let held = |key: &Key| frozen.items.get(key).and_then(Wanted::of_item);
    let missing = wanted.iter().find(|(key, content)| held(key).as_ref() != Some(*content));
    Ok(missing.map(|(key, _)| format!("the set does not hold what was put for {key}: somebody else wrote in between")))
}
