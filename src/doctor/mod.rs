//! What keeps a file from working on this host: one finding a check, and where it is not well the mend.
//!
//! ```text
//! host  file ─ entries ─ state ─ daemon
//! each  settings ─▶ network ─▶ credentials ─▶ clock ─▶ account ─▶ rights, key, quota
//! target             what fails ends the way: the rest is said to be not tried, and why
//! ```
//! Nothing is changed anywhere, and what each right is tried by stands in one table ([`rights`]), made from what `repin iam`
//! prints. Fewer than 20 requests go to a target.

pub mod aws;
pub mod azure;
mod endpoints;
pub mod host;
mod judge;
pub mod net;
pub mod rights;

use repin_provider::{Error, TargetName};

use crate::exit::Exit;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It is well.
    Ok,
    /// It works, and something about it may be wanted otherwise.
    Warn,
    /// It does not work; a command that needs it ends so.
    Fail(Exit),
    /// It was not tried.
    Skip,
}

impl Mark {
    /// Returns the stable word for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail(_) => "fail",
            Self::Skip => "skip",
        }
    }
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The target that it is about; `None` for this host.
    pub target: Option<TargetName>,
    /// The check, a stable word for programs.
    pub check: String,
    /// How it came out.
    pub mark: Mark,
    /// What was found, as a sentence without its full stop.
    pub found: String,
    /// What to do about it, as a sentence.
    pub mend: Option<String>,
    /// The rights that it is about, as the clouds name them.
    pub rights: Vec<String>,
}

/// The findings about this host, or about one target, in the order of the checks.
#[derive(Debug, Default)]
pub struct Sheet {
    target: Option<TargetName>,
    findings: Vec<Finding>,
    stopped: Option<String>,
}

impl Sheet {
    /// Begins with a target; `None` for this host.
    pub fn new(target: Option<&TargetName>) -> Self {
        Self { target: target.cloned(), ..Self::default() }
    }

    /// Notes a finding.
    pub fn note(&mut self, check: &str, mark: Mark, found: impl Into<String>, mend: Option<&str>) -> &mut Finding {
        self.findings.push(Finding {
            target: self.target.clone(),
            check: check.to_owned(),
            mark,
            found: found.into(),
            mend: mend.map(str::to_owned),
            rights: Vec::new(),
        });
        self.findings.last_mut().expect("one was pushed")
    }

    /// Notes that something is well.
    pub fn ok(&mut self, check: &str, found: impl Into<String>) -> &mut Finding {
        self.note(check, Mark::Ok, found, None)
    }

    /// Notes that something may be wanted otherwise.
    pub fn warn(&mut self, check: &str, found: impl Into<String>, mend: &str) -> &mut Finding {
        self.note(check, Mark::Warn, found, Some(mend))
    }

    /// Notes that something does not work.
    pub fn fail(&mut self, check: &str, exit: Exit, found: impl Into<String>, mend: &str) -> &mut Finding {
        self.note(check, Mark::Fail(exit), found, Some(mend))
    }

    /// Notes that something was not tried.
    pub fn skip(&mut self, check: &str, found: impl Into<String>) -> &mut Finding {
        self.note(check, Mark::Skip, found, None)
    }

    /// Notes a failure of a store; `mend` counts where the failure says none.
    pub fn failed(&mut self, check: &str, error: &Error, mend: &str) -> &mut Finding {
        let mend = sentence(error.hint.as_deref().unwrap_or(mend));
        self.note(check, Mark::Fail(Exit::of_error(error)), error.to_string(), Some(&mend))
    }

    /// Ends the way: what comes after is not tried, for this reason.
    pub fn stop(&mut self, why: impl Into<String>) {
        self.stopped.get_or_insert(why.into());
    }

    /// Returns why nothing more is tried.
    pub fn stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    /// Returns the findings.
    pub fn finish(self) -> Vec<Finding> {
        self.findings
    }
}

/// Writes a hint as a sentence: some stand behind others elsewhere.
pub fn sentence(hint: &str) -> String {
    let mut letters = hint.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if hint.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

/// Returns what a doctor ends with: warnings are well enough; else the first that fits, in the order of every command.
pub fn exit(findings: &[Finding]) -> Exit {
    let failures = findings.iter().filter_map(|finding| match finding.mark {
        Mark::Fail(exit) => Some(exit),
        Mark::Ok | Mark::Warn | Mark::Skip => None,
    });
    failures.max().unwrap_or(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_failure_is_the_end() {
        let mut sheet = Sheet::new(None);
        sheet.ok("a", "well");
        sheet.warn("b", "old", "Renew it.");
        sheet.skip("c", "not tried");
        assert_eq!(exit(&sheet.findings), Exit::Done);
        sheet.fail("d", Exit::TryAgain, "gone", "Wait.");
        sheet.fail("e", Exit::Denied, "no", "Ask.");
        sheet.fail("f", Exit::Failed, "broken", "Mend it.");
        assert_eq!(exit(&sheet.findings), Exit::Denied);
        sheet.fail("g", Exit::Invalid, "unreadable", "Mend it.");
        assert_eq!(exit(&sheet.findings), Exit::Invalid);
    }

    #[test]
    fn the_first_reason_to_stop_counts() {
        let mut sheet = Sheet::new(None);
        sheet.stop("first");
        sheet.stop("second");
        assert_eq!(sheet.stopped(), Some("first"));
    }
}
