//! A pass that broke off after something was done: what was done is told, and why the rest was not.

use repin_provider::{Error, ErrorKind, TargetName};

use super::PassError;
use crate::execute::Executed;
use crate::model::outcome::{Interrupt, TargetFailure};
use crate::model::plan::{Block, BlockKind};
use crate::record::ledger::LedgerError;
use crate::saved::Stale;

/// What keeps a pass from going on.
#[derive(Debug, Default)]
pub(super) struct Broken {
    pub(super) failures: Vec<TargetFailure>,
    pub(super) interrupted: Option<Interrupt>,
}

impl Broken {
    /// Takes an error apart. What is of no one target is told of `any`.
    pub(super) fn of(error: PassError, any: &TargetName) -> Self {
        let told = |kind, message: String| Self::one(any, Error::new(kind, "plan", message));
        match error {
            PassError::Unobserved(errors) => {
                let failures = errors.into_iter().map(|unobserved| TargetFailure {
                    target: unobserved.target,
                    doing: "look at what is left to do",
                    error: of_ledger(unobserved.error),
                });
                Self { failures: failures.collect(), interrupted: None }
            }
            PassError::Blocked(plan) => {
                let failures = plan.blocks.into_iter().map(|block| of_block(block, any)).collect();
                Self { failures, interrupted: None }
            }
            PassError::Unfit(failures) => Self { failures, interrupted: None },
            PassError::Wrong(findings) => {
                let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
                told(ErrorKind::Unexpected, findings.join("; "))
            }
            PassError::Stale(Stale { message, .. }) => told(ErrorKind::Conflict, message),
            PassError::Raced(target) => {
                Self::one(&target, Error::new(ErrorKind::Conflict, "plan", "other runs were first each time"))
            }
            // What was done may be whole: it is not what was asked for.
            PassError::Interrupted(interrupt) => {
                let interrupted = told(ErrorKind::Unreachable, "it was interrupted before it went on".to_owned());
                Self { interrupted: Some(interrupt), ..interrupted }
            }
        }
    }

    /// Adds it to what was done.
    pub(super) fn end(mut self, executed: &mut Executed) {
        executed.failures.append(&mut self.failures);
        executed.interrupted = self.interrupted.or(executed.interrupted);
    }

    /// Makes what is one failure.
    pub(super) fn one(target: &TargetName, error: Error) -> Self {
        let failure = TargetFailure { target: target.clone(), doing: "go on with what is left to do", error };
        Self { failures: vec![failure], interrupted: None }
    }
}

fn of_ledger(error: LedgerError) -> Error {
    match error {
        LedgerError::Store(error) => error,
        raced @ LedgerError::Raced(_) => Error::new(ErrorKind::Conflict, "ledger", raced.to_string()),
        corrupt @ LedgerError::Corrupt { .. } => Error::new(ErrorKind::Unexpected, "ledger", corrupt.to_string()),
    }
}

fn of_block(block: Block, any: &TargetName) -> TargetFailure {
    let kind = match block.kind {
        BlockKind::Foreign | BlockKind::Running => ErrorKind::Conflict,
        BlockKind::TooManyDeletes | BlockKind::Refused => ErrorKind::Refused,
        BlockKind::Unreadable => ErrorKind::Unreachable,
    };
    let error = Error::new(kind, "plan", block.message).with_hint(block.hint);
    let error = match &block.key {
        Some(key) => error.with_key(key),
        None => error,
    };
    let target = block.target.unwrap_or_else(|| any.clone());
    TargetFailure { target, doing: "go on with what is left to do", error }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was done before the signal may be whole, and is not what was asked for.
    #[test]
    fn an_interrupted_pass_is_not_done() {
        let mut executed = Executed::default();
        let any = TargetName::parse("azure").expect("valid");
        Broken::of(PassError::Interrupted(Interrupt::Terminated), &any).end(&mut executed);
        assert_eq!(executed.interrupted, Some(Interrupt::Terminated));
        assert_eq!(executed.failures.len(), 1, "without a failure, done steps would exit 0");
    }
}
