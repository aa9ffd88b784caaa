//! One write, until it is known what became of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use repin_provider::{
    Action, Applied, Content, Error, ErrorKind, Key, Observe, Outcome, Put, ReadRequest, Retry, Seen, Version, View,
    Write,
};
use tokio::time::Instant;

use super::{CLAIM_TRUSTED, Context, Work, into_error};
use crate::record::ledger;

/// How often a write whose answer was lost is repeated after it was found not to have happened.
const REPEATS: usize = 3;

/// After this long without an answer to a write no new one is begun past the deadline. A release that gets on takes the
/// time that it takes.
const IDLE: Duration = Duration::from_secs(15);

/// The first and the longest wait before trying again what may pass.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(15));

/// When something of ours last moved, so that a claim that may have been taken over is noticed.
pub(super) struct Lease {
    moved: Mutex<Instant>,
    /// Once lost a claim never comes back.
    lost: AtomicBool,
}

impl Lease {
    pub(super) fn new() -> Self {
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
    pub(super) fn is_idle(&self) -> bool {
        self.last().elapsed() >= IDLE
    }

    fn last(&self) -> Instant {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn moved(&self) {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// Why a write was not done.
pub(super) enum NotApplied {
    /// Still to be done: interrupted, out of time, or taken over by another host.
    Later(Option<Error>),
    /// It will not be done like this.
    Never(Error),
}

pub(super) async fn attempt(
    context: &Context<'_>,
    work: &Work<'_>,
    write: &Write,
    deadline: Instant,
) -> Result<Applied, NotApplied> {
    let mut patience = Patience::until(deadline);
    let mut repeats = 0;
    loop {
        if context.interrupted().is_some() {
            return Err(NotApplied::Later(None));
        }
        patience.hold_claim(context, work).await?;
        let error = match work.provider.apply(write).await {
            Ok(applied) => {
                work.lease.moved();
                return Ok(applied);
            }
            Err(error) => error,
        };
        if error.outcome == Outcome::Unknown {
            match settle(context, work, &mut patience, async || find_out(work, write).await).await? {
                Found::Done(applied) => return Ok(applied),
                Found::NotDone if repeats < REPEATS => repeats += 1,
                Found::NotDone => return Err(NotApplied::Later(Some(error.with_outcome(Outcome::NotDone)))),
                Found::Other(other) => return Err(NotApplied::Never(conflict(write, &other))),
            }
        } else if may_pass(&error) {
            patience.wait(context, work, error).await?;
        } else {
            return Err(NotApplied::Never(error));
        }
    }
}

/// Tells whether a refused write is worth trying again. What the client has repeated already is tried again too, more
/// slowly, for as long as there is time.
pub(super) fn may_pass(error: &Error) -> bool {
    error.retry == Retry::Temporary || matches!(error.kind, ErrorKind::Throttled | ErrorKind::Unreachable)
}

/// How long to wait, and until when at the latest.
pub(super) struct Patience {
    backoff: Duration,
    deadline: Instant,
}

impl Patience {
    pub(super) fn until(deadline: Instant) -> Self {
        Self { backoff: BACKOFF.0, deadline }
    }

    /// Makes sure that the claim is still ours before the next write.
    pub(super) async fn hold_claim(&mut self, context: &Context<'_>, work: &Work<'_>) -> Result<(), NotApplied> {
        loop {
            match work.lease.holds(work).await {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(NotApplied::Later(Some(taken_over()))),
                Err(error) => self.wait(context, work, error).await?,
            }
        }
    }

    /// Waits before another try, for as long as the store asks at the least; past the deadline the failure is what is
    /// left, and so it is at once where the wait would end past it.
    pub(super) async fn wait(
        &mut self,
        context: &Context<'_>,
        work: &Work<'_>,
        error: Error,
    ) -> Result<(), NotApplied> {
        let backoff = self.backoff.mul_f64(0.5 + fastrand::f64() / 2.0);
        let wait = error.retry_after().map_or(backoff, |asked| asked.max(backoff));
        if wait >= self.deadline.saturating_duration_since(Instant::now()) {
            return Err(NotApplied::Later(Some(error)));
        }
        context.progress.waits(work.name, wait, &error);
        wait_or_interrupt(context, wait).await;
        self.backoff = (self.backoff * 2).min(BACKOFF.1);
        Ok(())
    }
}

/// Finds out what became of a write whose answer was lost, as soon as the store answers again. Until then nothing is
/// written again: what a later answer says is not about the lost one.
pub(super) async fn settle<T>(
    context: &Context<'_>,
    work: &Work<'_>,
    patience: &mut Patience,
    find_out: impl AsyncFn() -> Result<T, Error>,
) -> Result<T, NotApplied> {
    loop {
        // It lands within that time, or never.
        tokio::time::sleep(work.provider.capabilities().settle).await;
        match find_out().await {
            Ok(found) => return Ok(found),
            // Nobody knows still. At the latest the next pass looks again: the record keeps the intent.
            Err(error) if context.interrupted().is_some() => {
                return Err(NotApplied::Later(Some(error.with_outcome(Outcome::Unknown))));
            }
            Err(error) => {
                patience.wait(context, work, error).await.map_err(unsure)?;
            }
        }
    }
}

/// Says of what could not be found out that it may have been done.
fn unsure(why: NotApplied) -> NotApplied {
    match why {
        NotApplied::Later(error) => NotApplied::Later(error.map(|error| error.with_outcome(Outcome::Unknown))),
        never => never,
    }
}

pub(super) fn out_of_time(key: &Key) -> Error {
    Error::new(ErrorKind::Unreachable, "write", "the store did not answer within the time given").with_key(key)
}

fn taken_over() -> Error {
    Error::new(ErrorKind::Conflict, "write", "another host took this run over after it had been quiet for two minutes")
        .with_hint("It goes on there; repin status says how far it is.")
}

/// Waits out a pause, or a signal.
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

/// Looks for what was written. A result equal to the intent is accepted whoever wrote it.
async fn find_out(work: &Work<'_>, write: &Write) -> Result<Found, Error> {
    let view = match &write.action {
        Action::Put(..) | Action::Delete(_) => View::Newest,
        Action::Serve { .. } | Action::Withdraw(_) => View::Served,
    };
    let request = Observe { keys: vec![write.key.clone()], view, ..Observe::default() };
    let seen = work.provider.observe(request).await?;
    let item = match seen.items.get(&write.key) {
        Some(Seen::Present(item)) => Some(item),
        Some(Seen::Absent) | None => None,
        Some(Seen::Unreadable(why)) => {
            return Err(Error::new(ErrorKind::Unreachable, "look after a lost answer", why).with_key(&write.key));
        }
    };
    let done = |version: Option<&Version>| Found::Done(Applied { version: version.cloned(), buried: None });
    Ok(match (&write.action, item) {
        (Action::Delete(_) | Action::Withdraw(_), None) => done(None),
        (Action::Delete(expected), Some(item)) if item.version != *expected => Found::Other(Some(item.version.clone())),
        (Action::Serve { version, .. }, Some(item)) if item.version == *version => done(Some(version)),
        // Moving a name twice is the same as moving it once.
        (Action::Delete(_) | Action::Withdraw(_) | Action::Serve { .. }, _) => Found::NotDone,
        (Action::Put(_, Put::Create), None) => Found::NotDone,
        (Action::Put(_, Put::Replace(_)), None) => Found::Other(None),
        (Action::Put(_, Put::Replace(expected)), Some(item)) if item.version == *expected => Found::NotDone,
        (Action::Put(content, _), Some(item)) => {
            if holds(work, &write.key, &item.version, content).await? {
                done(Some(&item.version))
            } else {
                Found::Other(Some(item.version.clone()))
            }
        }
    })
}

async fn holds(work: &Work<'_>, key: &Key, version: &Version, content: &Content) -> Result<bool, Error> {
    let request = ReadRequest { key: key.clone(), version: Some(version.clone()) };
    let read = work.provider.read(&[request]).await?;
    Ok(read.into_iter().flatten().any(|read| {
        read.value.is(content.value.expose())
            && (content.content_type.is_none() || read.content_type == content.content_type)
    }))
}

fn conflict(write: &Write, other: &Option<Version>) -> Error {
    let expected = match &write.action {
        Action::Put(_, Put::Replace(version)) | Action::Delete(version) => format!("version {version}"),
        _ => "nothing".to_owned(),
    };
    let found = other.as_ref().map_or("nothing".to_owned(), |other| format!("version {other}"));
    Error::new(ErrorKind::Conflict, "write", format!("expected {expected} and found {found} of somebody else's"))
        .with_key(&write.key)
        .with_hint("Run it again: it plans from what is there now.")
}
