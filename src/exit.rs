//! Exit codes: documented, stable, in one place.

use repin_provider::{Error, ErrorKind, TargetName};

use crate::cycle::PassError;
use crate::cycle::wish::{Refusal, WishError};
use crate::model::observed::FileStanding;
use crate::model::outcome::{Interrupt, Outcome, StepOutcome, StepResult, Verdict};
use crate::model::plan::{Block, BlockKind, Plan, TargetPlan};
use crate::observe::ObserveError;
use crate::record::Corrupt;
use crate::record::ledger::LedgerError;

/// What a command ends with. Ordered by which one wins where several fit and nothing was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 0: done, or nothing to do.
    Done,
    /// 2: changes or drift exist (only with `--detailed-exitcode`).
    Changes,
    /// 6: all that is left to do is held.
    Held,
    /// 75: throttled or unreachable; worth trying again.
    TryAgain,
    /// 1: failed; nothing new is served anywhere.
    Failed,
    /// 77: permission denied.
    Denied,
    /// 5: stale plan, somebody else wrote, another owner, wrong account, or the file is behind.
    Conflict,
    /// 78: the file, or a saved plan, is invalid.
    Invalid,
    /// 64: usage.
    Usage,
    /// 4: the rest could not be served, and what had been served was put back.
    PutBack,
    /// 3: some steps are served, others not yet.
    Partial,
    /// 130: SIGINT.
    Interrupted,
    /// 143: SIGTERM.
    Terminated,
}

impl Exit {
    /// Every way to end, by number.
    pub const ALL: [Self; 13] = [
        Self::Done,
        Self::Failed,
        Self::Changes,
        Self::Partial,
        Self::PutBack,
        Self::Conflict,
        Self::Held,
        Self::Usage,
        Self::TryAgain,
        Self::Denied,
        Self::Invalid,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// Returns the number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Changes => 2,
            Self::Partial => 3,
            Self::PutBack => 4,
            Self::Conflict => 5,
            Self::Held => 6,
            Self::Usage => 64,
            Self::TryAgain => 75,
            Self::Denied => 77,
            Self::Invalid => 78,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// Returns what a number means, if anything.
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| exit.code() == code)
    }

    /// Says what it means, in a line that fits into a table.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, or nothing to do",
            Self::Failed => "failed; nothing new is served anywhere",
            Self::Changes => "changes or drift exist (only with --detailed-exitcode)",
            Self::Partial => "partial: some is served, the rest not yet; any host's next pass goes on",
            Self::PutBack => "not all could be served, and what had been was put back (--atomic)",
            Self::Conflict => "conflict: stale plan, another writer or owner, wrong account, file behind",
            Self::Held => "held: all that is left to do is held, nothing was written",
            Self::Usage => "usage",
            Self::TryAgain => "throttled or unreachable; nothing done; worth trying again",
            Self::Denied => "permission denied",
            Self::Invalid => "the file, or a saved plan, is invalid",
            Self::Interrupted => "interrupted (SIGINT); what was done is recorded",
            Self::Terminated => "terminated (SIGTERM); what was done is recorded",
        }
    }

    /// Says what to do then, in a line that fits into a table; nothing where nothing is to be done.
    pub fn way_on(self) -> Option<&'static str> {
        Some(match self {
            Self::Done => return None,
            Self::Failed => "mend what the error names, and run it again",
            Self::Changes => "read repin plan, then repin reconcile",
            Self::Partial => "repin reconcile again, or leave it to a daemon; see repin status",
            Self::PutBack => "mend what the error names, and release it again",
            Self::Conflict => "run it again to plan anew; a file that is behind: update it first",
            Self::Held => "edit what is held, or repin resume; see repin help holds",
            Self::Usage => "see repin help COMMAND",
            Self::TryAgain => "run it again later; a script may do so by itself",
            Self::Denied => "repin doctor names the right, repin iam prints all that are needed",
            Self::Invalid => "the error names the place; repin validate checks it offline",
            Self::Interrupted | Self::Terminated => "run it again: it goes on from what is recorded",
        })
    }

    /// Returns the code for a failure of a store when nothing was served.
    pub fn of_error(error: &Error) -> Self {
        match error.kind {
            ErrorKind::AlreadyExists | ErrorKind::Conflict | ErrorKind::WrongAccount => Self::Conflict,
            ErrorKind::Denied => Self::Denied,
            ErrorKind::Throttled | ErrorKind::Unreachable => Self::TryAgain,
            ErrorKind::NotFound | ErrorKind::Refused | ErrorKind::KeyUnusable | ErrorKind::Unexpected => Self::Failed,
        }
    }

    /// Returns the code for a ledger that could not be used.
    pub fn of_ledger(error: &LedgerError) -> Self {
        match error {
            LedgerError::Store(error) => Self::of_error(error),
            LedgerError::Raced(_) | LedgerError::Corrupt { why: Corrupt::OtherOwner(_), .. } => Self::Conflict,
            LedgerError::Corrupt { .. } => Self::Failed,
        }
    }

    /// Returns the code for a reason why a plan may not run.
    pub fn of_block(block: &Block) -> Self {
        match block.kind {
            BlockKind::Foreign | BlockKind::Running => Self::Conflict,
            BlockKind::TooManyDeletes | BlockKind::Refused => Self::Failed,
            BlockKind::Unreadable => Self::TryAgain,
        }
    }

    /// Returns the code for a pass that did nothing.
    pub fn of_pass_error(error: &PassError) -> Self {
        match error {
            PassError::Unobserved(errors) => gravest(errors.iter().map(|e: &ObserveError| Self::of_ledger(&e.error))),
            PassError::Blocked(plan) => gravest(plan.blocks.iter().map(Self::of_block)),
            PassError::Unfit(failures) => gravest(failures.iter().map(|failure| Self::of_error(&failure.error))),
            PassError::Wrong(_) => Self::Failed,
            PassError::Stale(_) | PassError::Raced(_) => Self::Conflict,
            PassError::Interrupted(interrupt) => Self::of_interrupt(*interrupt),
        }
    }

    /// Returns the code for a plan that was only shown.
    pub fn of_plan(plan: &Plan, detailed: bool) -> Self {
        if !plan.blocks.is_empty() {
            return gravest(plan.blocks.iter().map(Self::of_block));
        }
        if plan.file == FileStanding::Behind {
            return Self::Conflict;
        }
        match (detailed, plan.has_changes(), plan.held.is_empty()) {
            (true, true, _) => Self::Changes,
            (true, false, false) => Self::Held,
            _ => Self::Done,
        }
    }

    /// Returns the code for a signal.
    pub fn of_interrupt(interrupt: Interrupt) -> Self {
        match interrupt {
            Interrupt::Interrupted => Self::Interrupted,
            Interrupt::Terminated => Self::Terminated,
        }
    }

    /// Returns the code for why an operator's wish was not carried out at all.
    pub fn of_wish_error(error: &WishError) -> Self {
        match error {
            WishError::Pass(error) => Self::of_pass_error(error),
            WishError::Refused { kind: Refusal::NotFound, .. } => Self::Usage,
            WishError::Refused { kind: Refusal::Foreign, .. } => Self::Conflict,
        }
    }

    /// Returns the code for what a pass did. Once anything moved only 0, 3, 4 and 5, or those of a signal, come back.
    pub fn of_outcome(outcome: &Outcome) -> Self {
        let unfinished = is_unfinished(outcome);
        if let (Some(interrupt), true) = (outcome.interrupted, unfinished) {
            return Self::of_interrupt(interrupt);
        }
        if was_put_back(outcome) {
            return Self::PutBack;
        }
        if has_conflict(outcome) {
            return Self::Conflict;
        }
        if unfinished && has_moved(outcome) {
            return Self::Partial;
        }
        if unfinished {
            let failures = outcome.failures.iter().map(|failure| &failure.error);
            let errors = failures.chain(outcome.steps.iter().filter_map(|step| step.error.as_ref()));
            return gravest(errors.map(Self::of_error)).max(Self::TryAgain);
        }
        if outcome.plan.file == FileStanding::Behind {
            return Self::Conflict;
        }
        if outcome.steps.is_empty() && !outcome.plan.held.is_empty() { Self::Held } else { Self::Done }
    }
}

/// Says in one word what a pass did.
pub fn verdict(outcome: &Outcome) -> Verdict {
    let nothing = outcome.steps.is_empty() && outcome.failures.is_empty();
    match Exit::of_outcome(outcome) {
        Exit::Conflict if outcome.plan.file == FileStanding::Behind && !has_conflict(outcome) => Verdict::Behind,
        Exit::Held => Verdict::Held,
        _ if nothing && !has_moved(outcome) => Verdict::Unchanged,
        Exit::Done => Verdict::Applied,
        Exit::Conflict => Verdict::Conflict,
        Exit::PutBack => Verdict::Failed,
        _ if has_moved(outcome) => Verdict::Partial,
        _ => Verdict::Failed,
    }
}

/// Tells whether anything is served now, or may be, or is recorded for any host to go on with, that was not before.
pub fn has_moved(outcome: &Outcome) -> bool {
    outcome.steps.iter().any(|step| step.result == StepResult::Applied || may_be_served(step))
        || (outcome.plan.is_wish() && outcome.plan.targets.keys().any(|target| is_recorded(outcome, target)))
}

/// Tells whether the answer to a step was lost, and what became of it could not be found out.
fn may_be_served(step: &StepOutcome) -> bool {
    let unknown = step.error.as_ref().is_some_and(|error| error.outcome == repin_provider::Outcome::Unknown);
    step.result == StepResult::Pending && unknown
}

/// Tells whether the ledger of a target has heard of an operator's wish.
pub fn is_recorded(outcome: &Outcome, target: &TargetName) -> bool {
    outcome.plan.targets.get(target).is_some_and(TargetPlan::records) && outcome.recorded.contains(target)
}

fn was_put_back(outcome: &Outcome) -> bool {
    outcome.undone && outcome.steps.iter().all(|step| step.result != StepResult::Applied)
}

fn is_unfinished(outcome: &Outcome) -> bool {
    let open = |result| !matches!(result, StepResult::Applied | StepResult::Unchanged);
    !outcome.failures.is_empty() || outcome.steps.iter().any(|step| open(step.result))
}

fn has_conflict(outcome: &Outcome) -> bool {
    let conflicts = |error: &Error| Exit::of_error(error) == Exit::Conflict;
    outcome.steps.iter().any(|step| step.buried.is_some() || step.error.as_ref().is_some_and(conflicts))
        || outcome.failures.iter().any(|failure| conflicts(&failure.error))
}

fn gravest(exits: impl Iterator<Item = Exit>) -> Exit {
    exits.max().unwrap_or(Exit::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_back() {
        let known: Vec<_> = (0..=u8::MAX).filter_map(Exit::of_code).map(Exit::code).collect();
        assert_eq!(known, [0, 1, 2, 3, 4, 5, 6, 64, 75, 77, 78, 130, 143]);
    }

    /// The order of the contract: 64, 78, 5, 77, 1, 75, 6, 2, 0.
    #[test]
    fn the_gravest_wins() {
        let mut exits = [
            Exit::Done,
            Exit::TryAgain,
            Exit::Usage,
            Exit::Held,
            Exit::Failed,
            Exit::Conflict,
            Exit::Denied,
            Exit::Changes,
            Exit::Invalid,
        ];
        exits.sort();
        exits.reverse();
        assert_eq!(exits.map(Exit::code), [64, 78, 5, 77, 1, 75, 6, 2, 0]);
    }
}
