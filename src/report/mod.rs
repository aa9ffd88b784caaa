//! Plans, outcomes and history as text for people, as JSON for programs, as Markdown for pull requests. A secret is in neither.

pub mod doctor;
pub mod json;
pub mod markdown;
mod screen;
mod table;
pub mod text;
mod wish;
pub(crate) mod words;

use crate::desired::Invalid;
use crate::model::outcome::TargetFailure;
use crate::model::plan::{Block, BlockKind};
use crate::model::problem::{Location, Problem};
use crate::observe::ObserveError;
use crate::record::ledger::LedgerError;

/// One thing that went wrong, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// A stable word for programs.
    pub kind: &'static str,
    /// What is wrong, as a sentence.
    pub message: String,
    /// Where in a file it stands.
    pub location: Option<Box<Location>>,
    /// The target that it is about.
    pub target: Option<String>,
    /// The key that it is about.
    pub key: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Trouble {
    /// Makes a trouble about nothing in particular.
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), location: None, target: None, key: None, hint: None }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Names the target.
    #[must_use]
    pub fn with_target(mut self, target: impl ToString) -> Self {
        self.target = Some(target.to_string());
        self
    }

    /// Describes what is wrong with a file.
    pub fn of_problem(problem: Problem) -> Self {
        let Problem { message, hint, location, target, key } = problem;
        Self { kind: Invalid::KIND, message, location, target, key, hint }
    }

    /// Describes a failure of a store.
    pub fn of_error(error: &repin_provider::Error) -> Self {
        let mut message = error.to_string();
        // Of a connection that failed the message has the cause already.
        let told = error.kind == repin_provider::ErrorKind::Unreachable;
        let mut source = if told { None } else { std::error::Error::source(error) };
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            // Layers of the clients often repeat what the one above says.
            if !message.contains(&cause_text) {
                message = format!("{message}: {cause_text}");
            }
            source = cause.source();
        }
        Self {
            kind: kind_word(error.kind),
            message,
            location: None,
            target: None,
            key: error.key.as_ref().map(ToString::to_string),
            hint: error.hint.clone(),
        }
    }

    /// Describes what kept one target from taking part.
    pub fn of_failure(failure: &TargetFailure) -> Self {
        let mut trouble = Self::of_error(&failure.error).with_target(&failure.target);
        trouble.message = format!("failed to {}: {}", failure.doing, trouble.message);
        trouble
    }

    /// Describes a ledger that could not be used.
    pub fn of_ledger(error: &LedgerError) -> Self {
        match error {
            LedgerError::Store(error) => Self::of_error(error),
            LedgerError::Raced(_) => Self::new("conflict", error.to_string()).with_hint("Run it again."),
            LedgerError::Corrupt { why, .. } => {
                let hint = match why {
                    crate::record::Corrupt::Newer { .. } => "Use a repin at least as new as the one that wrote it.",
                    crate::record::Corrupt::OtherOwner(_) => {
                        "Choose another name in the file, or another ledger_prefix."
                    }
                    _ => "The entries themselves are untouched; restore the document in the store from its history.",
                };
                Self::new("ledger", error.to_string()).with_hint(hint)
            }
        }
    }

    /// Describes a target that could not be observed.
    pub fn of_unobserved(error: &ObserveError) -> Self {
        let mut trouble = Self::of_ledger(&error.error).with_target(&error.target);
        if !trouble.message.contains(&error.endpoint) {
            trouble.message = format!("{} ({})", trouble.message, error.endpoint);
        }
        trouble
    }

    /// Describes why a plan may not run.
    pub fn of_block(block: &Block) -> Self {
        let kind = match block.kind {
            BlockKind::Foreign => "foreign",
            BlockKind::Running => "running",
            BlockKind::TooManyDeletes => "too-many-deletes",
            BlockKind::Refused => "refused",
            BlockKind::Unreadable => "unreadable",
        };
        Self {
            kind,
            message: block.message.clone(),
            location: None,
            target: block.target.as_ref().map(ToString::to_string),
            key: block.key.as_ref().map(ToString::to_string),
            hint: Some(block.hint.clone()),
        }
    }
}

/// Says what to do about a kind of trouble for which nothing more is known.
pub(crate) fn way_out(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "unreachable" => "Is the network up, and the proxy right? repin doctor looks; it is safe to run this again.",
        "throttled" => "It is safe to run this again in a while; repin help quotas says what counts.",
        "denied" => "repin doctor names the right that is missing, repin iam prints all that are needed.",
        "wrong-account" => {
            "Use credentials of that account, or mend `account` in the file; repin doctor shows which are found."
        }
        "key-unusable" => "repin doctor shows the state of the key.",
        "conflict" | "already-exists" => "Somebody else wrote: run it again to plan from what is there.",
        "not-found" => "It may have been removed meanwhile: run it again to plan from what is there.",
        "refused" => "Change what the store does not take, and run it again.",
        "unexpected" => "Run it again; with -vv the log shows what was answered.",
        "interrupted" => "Nothing has to be undone: run it again.",
        "bug" => "This is a mistake of repin itself; please report it.",
        _ => return None,
    })
}

/// Returns the stable word for a kind of failure.
pub(crate) fn kind_word(kind: repin_provider::ErrorKind) -> &'static str {
    use repin_provider::ErrorKind;
    match kind {
        ErrorKind::AlreadyExists => "already-exists",
        ErrorKind::Conflict => "conflict",
        ErrorKind::NotFound => "not-found",
        ErrorKind::Denied => "denied",
        ErrorKind::WrongAccount => "wrong-account",
        ErrorKind::Throttled => "throttled",
        ErrorKind::Unreachable => "unreachable",
        ErrorKind::Refused => "refused",
        ErrorKind::KeyUnusable => "key-unusable",
        ErrorKind::Unexpected => "unexpected",
    }
}
