//! Serving: the writes that readers see.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use rand::RngExt as _;
use repin_provider::{
    Action, Applied, Content, Error, ErrorKind, Observe, Outcome, Put, ReadRequest, Retry, Seen, Version, Write,
};
use tokio::time::Instant;

use super::{CLAIM_TRUSTED, Context, Work, into_error, outcome};
use crate::model::outcome::{StepOutcome, StepResult};
use crate::model::plan::{Step, StepAction};
use crate::record::ledger;

/// How often a write whose answer was lost is repeated after it was found not to have happened.
const REPEATS: usize = 3;

/// After this long without an answer to a write no new one is begun past the deadline. A release that gets on takes the
/// time that it takes.
const IDLE: Duration = Duration::from_secs(15);

/// The first and the longest wait before trying again what may pass.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(15));

/// Carries out the steps of one target: first what makes and changes, then what removes.
pub(super) async fn serve(context: &Context<'_>, work: &Work<'_>, deadline: Instant) -> Vec<StepOutcome> {
    let lease = Lease::new();
    let (removes, puts): (Vec<_>, Vec<_>) = work.plan.steps.iter().partition(|step| step.action == StepAction::Delete);
    let mut outcomes = run(context, work, &lease, puts, deadline).await;
    if outcomes.iter().all(is_done) {
        outcomes.extend(run(context, work, &lease, removes, deadline).await);
    } else {
        // What should have come in its place is not there yet.
        outcomes.extend(removes.iter().map(|step| outcome(work.name, step, StepResult::Pending)));
    }
    outcomes
}

fn is_done(outcome: &StepOutcome) -> bool {
    matches!(outcome.result, StepResult::Applied | StepResult::Unchanged)
}

async fn run(
    context: &Context<'_>,
    work: &Work<'_>,
    lease: &Lease,
    steps: Vec<&Step>,
    deadline: Instant,
) -> Vec<StepOutcome> {
    let parallel = work.provider.capabilities().parallel_writes.max(1);
    let runs = steps.into_iter().map(async |step| {
        let outcome = run_step(context, work, lease, step, deadline).await;
        context.progress.ended(&outcome);
        outcome
    });
    futures::stream::iter(runs).buffered(parallel).collect().await
}

/// When something of ours last moved, so that a claim that may have been taken over is noticed.
struct Lease {
    moved: Mutex<Instant>,
    /// Once lost a claim never comes back.
    lost: AtomicBool,
}

impl Lease {
    fn new() -> Self {
        Self { moved: Mutex::new(Instant::now()), lost: AtomicBool::new(false) }
    }

    /// Tells whether the claim is still ours, asking the store only when nothing moved for a while.
    async fn holds(&self, work: &Work<'_>) -> Result<bool, Error> {
        if self.lost.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let (true, Some((record, _))) = (self.last().elapsed() >= CLAIM_TRUSTED, &work.claimed) else {
            return Ok(true);
        };
        let ours = ledger::is_still_ours(work.provider, record).await.map_err(into_error)?;
        if ours {
            self.moved();
        } else {
            self.lost.store(true, Ordering::Relaxed);
        }
        Ok(ours)
    }

    /// Tells whether nothing of ours has been answered for a while.
    fn is_idle(&self) -> bool {
        self.last().elapsed() >= IDLE
    }

    fn last(&self) -> Instant {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moved(&self) {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

async fn run_step(
    context: &Context<'_>,
    work: &Work<'_>,
    lease: &Lease,
    step: &Step,
    deadline: Instant,
) -> StepOutcome {
    let mut done = outcome(work.name, step, StepResult::Unchanged);
    if !step.writes() {
        done.to = step.to.clone();
        return done;
    }
    let Some(write) = write_of(step) else {
        return outcome(work.name, step, StepResult::Skipped);
    };
    if lease.is_idle() && Instant::now() >= deadline {
        // The store has answered nothing for too long: what is left is left to the next pass.
        return StepOutcome { error: Some(out_of_time(step)), ..outcome(work.name, step, StepResult::Pending) };
    }
    match attempt(context, work, lease, step, &write, deadline).await {
        Ok(applied) => {
            tracing::info!(target_name = %work.name, key = %step.key, action = ?step.action, "served");
            done.result = StepResult::Applied;
            done.to = applied.version;
            done.buried = applied.buried;
        }
        Err(NotApplied::Later(error)) => {
            done.result = StepResult::Pending;
            done.error = error;
        }
        Err(NotApplied::Never(error)) => {
            let refused = matches!(error.kind, ErrorKind::Refused);
            done.result = if refused { StepResult::Refused } else { StepResult::Failed };
            done.error = Some(error);
        }
    }
    done
}

fn write_of(step: &Step) -> Option<Write> {
    let action = match (step.action, &step.from) {
        (StepAction::Create, _) => Action::Put(step.content.clone()?, Put::Create),
        (StepAction::Update, Some(from)) => Action::Put(step.content.clone()?, Put::Replace(from.clone())),
        (StepAction::Delete, Some(from)) => Action::Delete(from.clone()),
        _ => return None,
    };
    Some(Write { key: step.key.clone(), action })
}

/// Why a write was not done.
enum NotApplied {
    /// Still to be done: interrupted, out of time, or taken over by another host.
    Later(Option<Error>),
    /// It will not be done like this.
    Never(Error),
}

async fn attempt(
    context: &Context<'_>,
    work: &Work<'_>,
    lease: &Lease,
    step: &Step,
    write: &Write,
    deadline: Instant,
) -> Result<Applied, NotApplied> {
    let mut patience = Patience { backoff: BACKOFF.0, deadline };
    let mut repeats = 0;
    loop {
        if context.interrupted().is_some() {
            return Err(NotApplied::Later(None));
        }
        match lease.holds(work).await {
            Ok(true) => {}
            Ok(false) => return Err(NotApplied::Later(Some(taken_over(step)))),
            Err(error) => {
                patience.wait(context, error).await?;
                continue;
            }
        }
        let error = match work.provider.apply(write).await {
            Ok(applied) => {
                lease.moved();
                return Ok(applied);
            }
            Err(error) => error,
        };
        if error.outcome == Outcome::Unknown {
            match settle(context, work, step, &mut patience).await? {
                Found::Done(applied) => return Ok(applied),
                Found::NotDone if repeats < REPEATS => repeats += 1,
                Found::NotDone => return Err(NotApplied::Later(Some(error))),
                Found::Other(other) => return Err(NotApplied::Never(conflict(step, &other))),
            }
        } else if may_pass(&error) {
            patience.wait(context, error).await?;
        } else {
            return Err(NotApplied::Never(error));
        }
    }
}

/// Tells whether a refused write is worth trying again. What the client has repeated already is tried again too, more
/// slowly, for as long as there is time.
fn may_pass(error: &Error) -> bool {
    error.retry == Retry::Temporary || matches!(error.kind, ErrorKind::Throttled | ErrorKind::Unreachable)
}

/// How long to wait, and until when at the latest.
struct Patience {
    backoff: Duration,
    deadline: Instant,
}

impl Patience {
    /// Waits before another try; past the deadline the failure is what is left.
    async fn wait(&mut self, context: &Context<'_>, error: Error) -> Result<(), NotApplied> {
        let wait = self.backoff.mul_f64(rand::rng().random_range(0.5..1.0));
        if Instant::now() + wait >= self.deadline {
            return Err(NotApplied::Later(Some(error)));
        }
        wait_or_interrupt(context, wait).await;
        self.backoff = (self.backoff * 2).min(BACKOFF.1);
        Ok(())
    }
}

/// Finds out what became of a write whose answer was lost, as soon as the store answers again.
async fn settle(
    context: &Context<'_>,
    work: &Work<'_>,
    step: &Step,
    patience: &mut Patience,
) -> Result<Found, NotApplied> {
    loop {
        match find_out(work, step).await {
            Ok(found) => return Ok(found),
            // Nobody knows still. At the latest the next pass looks again: the record keeps the intent.
            Err(error) if context.interrupted().is_some() => return Err(NotApplied::Later(Some(error))),
            Err(error) => patience.wait(context, error).await?,
        }
    }
}

fn out_of_time(step: &Step) -> Error {
    Error::new(ErrorKind::Unreachable, "write", "the store did not answer within the time given").with_key(&step.key)
}

fn taken_over(step: &Step) -> Error {
    Error::new(ErrorKind::Conflict, "write", "another host took this run over after it had been quiet for two minutes")
        .with_key(&step.key)
        .with_hint("It goes on there; repin status says how far it is.")
}

async fn wait_or_interrupt(context: &Context<'_>, wait: Duration) {
    let mut interrupt = context.interrupt.clone();
    tokio::select! {
        () = tokio::time::sleep(wait) => {}
        _ = interrupt.wait_for(Option::is_some) => {}
    }
}

/// What became of a write whose answer was lost.
enum Found {
    Done(Applied),
    NotDone,
    Other(Option<Version>),
}

/// Waits until the write has landed or never will, then looks. A result equal to the intent is accepted whoever wrote
/// it.
async fn find_out(work: &Work<'_>, step: &Step) -> Result<Found, Error> {
    tokio::time::sleep(work.provider.capabilities().settle).await;
    let seen =
        work.provider.observe(Observe { keys: vec![step.key.clone()], census: false, ..Observe::default() }).await?;
    let item = match seen.items.get(&step.key) {
        Some(Seen::Present(item)) => item,
        Some(Seen::Absent) if step.action == StepAction::Delete => {
            return Ok(Found::Done(Applied { version: None, buried: None }));
        }
        Some(Seen::Absent) if step.from.is_none() => return Ok(Found::NotDone),
        Some(Seen::Absent) => return Ok(Found::Other(None)),
        Some(Seen::Unreadable(why)) => {
            return Err(Error::new(ErrorKind::Unreachable, "look after a lost answer", why).with_key(&step.key));
        }
        None => return Ok(Found::NotDone),
    };
    if step.from.as_ref() == Some(&item.version) {
        return Ok(Found::NotDone);
    }
    let same = match &step.content {
        Some(content) => holds(work, step, content).await?,
        None => false,
    };
    Ok(if same {
        Found::Done(Applied { version: Some(item.version.clone()), buried: None })
    } else {
        Found::Other(Some(item.version.clone()))
    })
}

async fn holds(work: &Work<'_>, step: &Step, content: &Content) -> Result<bool, Error> {
    let read = work.provider.read(&[ReadRequest { key: step.key.clone(), version: None }]).await?;
    Ok(read.into_iter().flatten().any(|read| {
        read.value.expose() == content.value.expose()
            && (content.content_type.is_none() || read.content_type == content.content_type)
    }))
}

fn conflict(step: &Step, other: &Option<Version>) -> Error {
    let expected = step.from.as_ref().map_or("nothing".to_owned(), |from| format!("version {from}"));
    let found = other.as_ref().map_or("nothing".to_owned(), |other| format!("version {other}"));
    Error::new(ErrorKind::Conflict, "write", format!("expected {expected} and found {found} of somebody else's"))
        .with_key(&step.key)
        .with_hint("Run it again: it plans from what is there now.")
}
