//! The suite that every provider runs: what the engine relies on, store by store.
//!
//! A [`Setup`] opens an [`Arena`] for each [`Case`]: three providers on one empty place. Cases are independent and
//! each names one promise, so a failing one says which promise is broken. They are selected by nothing: where a
//! capability is missing, the case asserts the refusal instead. What an emulator gets wrong is said in its setup, as a
//! [`Deviation`] with the reason, never in a provider; one that no longer applies fails the run, so that none outlives
//! its reason.
//!
//! ```text
//!   Setup ── open(case) ──▶ Arena { provider, peer, stranger } ──▶ Case ──▶ Report
//! ```
//!
//! Nothing here knows one store from another, so the same suite runs against an emulator and a live account. For a
//! live one, [`Setup::patience`] says how long reads may lag.

mod apart;
mod arena;
mod contents;
mod documents;
mod observing;
mod reading;
mod together;
mod writing;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::LocalBoxFuture;

pub use arena::{Arena, Failure};

/// What the suite runs against.
#[async_trait]
pub trait Setup: Send + Sync {
    /// Opens a place that is empty and that nothing else uses; called once for each case, with its name.
    ///
    /// # Errors
    /// Says why the place could not be opened; the case then fails.
    async fn open(&self, case: &str) -> Result<Arena, String>;

    /// Returns keys that this store can hold beyond letters, digits, `-`, `_`, `.` and `/`.
    fn odd_keys(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns how long a read may show what was there before a write. Zero for a store on loopback.
    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    /// Returns what this environment is known to get wrong.
    fn deviations(&self) -> Vec<Deviation> {
        Vec::new()
    }
}

/// A case that fails in one environment for a reason that is not the provider's.
#[derive(Debug, Clone)]
pub struct Deviation {
    /// The case's name.
    pub case: &'static str,
    /// Why it fails there, and where that is written.
    pub reason: &'static str,
}

/// One promise of a provider.
#[derive(Clone, Copy)]
pub struct Case {
    /// What is promised, in snake case: `create_over_existing_changes_nothing`.
    pub name: &'static str,
    body: fn(Arc<Arena>) -> LocalBoxFuture<'static, Result<(), Failure>>,
}

impl Case {
    /// Runs the case on a place that [`Setup::open`] made for it.
    ///
    /// # Errors
    /// Says what did not hold.
    pub async fn run(&self, setup: &dyn Setup) -> Result<(), Failure> {
        let mut arena = setup.open(self.name).await.map_err(|why| Failure::new(format!("could not open: {why}")))?;
        arena.patience = setup.patience();
        arena.odd_keys = setup.odd_keys();
        (self.body)(Arc::new(arena)).await
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// How one case ended.
#[derive(Debug)]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It fails as the setup said it would.
    Deviates(&'static str),
    /// It does not hold.
    Failed(Failure),
    /// The setup says that it fails, yet it holds: the deviation must go.
    Stale(&'static str),
}

/// What the run of a suite found.
#[derive(Debug)]
pub struct Report {
    /// Every case with its verdict, in order.
    pub verdicts: Vec<(&'static str, Verdict)>,
}

impl Report {
    /// Tells whether nothing is left to mend.
    pub fn passed(&self) -> bool {
        self.verdicts.iter().all(|(_, verdict)| matches!(verdict, Verdict::Passed | Verdict::Deviates(_)))
    }

    /// Panics with the whole report unless it passed; for tests.
    ///
    /// # Panics
    /// When a case failed or a deviation is stale.
    pub fn assert(&self) {
        assert!(!self.verdicts.is_empty() && self.passed(), "\n{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, verdict) in &self.verdicts {
            match verdict {
                Verdict::Passed => writeln!(f, "ok        {name}")?,
                Verdict::Deviates(reason) => writeln!(f, "deviates  {name}: {reason}")?,
                Verdict::Failed(failure) => writeln!(f, "FAILED    {name}: {failure}")?,
                Verdict::Stale(reason) => writeln!(f, "STALE     {name}: passes now, though {reason}")?,
            }
        }
        Ok(())
    }
}

/// Returns every case.
pub fn cases() -> Vec<Case> {
    [writing::CASES, observing::CASES, reading::CASES, contents::CASES, documents::CASES, apart::CASES, together::CASES]
        .concat()
}

/// Runs every case, one after another: a live store's quota is shared by all of them.
pub async fn run(setup: &dyn Setup) -> Report {
    let deviations = setup.deviations();
    let mut verdicts = Vec::new();
    for case in cases() {
        let known = deviations.iter().find(|deviation| deviation.case == case.name);
        let verdict = match (case.run(setup).await, known) {
            (Ok(()), None) => Verdict::Passed,
            (Ok(()), Some(deviation)) => Verdict::Stale(deviation.reason),
            (Err(_), Some(deviation)) => Verdict::Deviates(deviation.reason),
            (Err(failure), None) => Verdict::Failed(failure),
        };
        verdicts.push((case.name, verdict));
    }
    Report { verdicts }
}

/// Makes the table of a module's cases from its functions, so that a name cannot differ from what it runs.
macro_rules! case_table {
    ($($name:ident),* $(,)?) => {
        pub(super) const CASES: &[Case] = &[$(Case { name: stringify!($name), body: |arena| $name(arena).boxed_local() }),*];
    };
}

/// Fails the case with a text unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(Failure::new(format!($($text)+)));
        }
    };
}

use {case_table, ensure};
