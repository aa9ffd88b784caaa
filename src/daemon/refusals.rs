//! Entries that a target does not take: to try them again each minute would write to every ledger for nothing. They are
//! tried ever more rarely, and told once. No clock, no I/O.
//!
//! ```text
//! a pass ends with a step refused ─▶ what it left undone is left alone until ─▶ tried again, twice as long
//!                                    a pass that is about nothing else          └─▶ done: forgotten
//!                                    writes nothing
//! ```
//! Whatever else there is to do is done all the same, and the file asking for something else begins anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use repin_provider::{ErrorKind, Key, TargetName};

use super::schedule::Moment;
use crate::model::outcome::{Outcome, StepOutcome, StepResult};
use crate::model::plan::EntrySet;
use crate::report::Trouble;

/// The longest wait where the store refuses what it is given: nobody but the author of the file can mend that.
const LONGEST: Duration = Duration::from_secs(3600);
/// The longest wait where a right or a key is missing: that is mended elsewhere, and nobody tells us.
const LONGEST_DENIED: Duration = Duration::from_secs(300);

/// What targets do not take.
#[derive(Debug, Clone)]
pub(super) struct Refusals {
    /// The wait after the first refusal.
    first: Duration,
    targets: BTreeMap<TargetName, Left>,
}

/// What is left undone on one target.
#[derive(Debug, Clone)]
struct Left {
    /// Everything that the last attempt left undone.
    keys: BTreeSet<Key>,
    /// What of it the target does not take.
    refused: BTreeSet<Key>,
    /// Why.
    trouble: Option<Trouble>,
    wait: Duration,
    until: Moment,
}

impl Refusals {
    /// Knows of nothing yet. `interval` is that of the passes.
    pub(super) fn new(interval: Duration) -> Self {
        Self { first: interval.min(LONGEST_DENIED), targets: BTreeMap::new() }
    }

    /// Takes in what came of a pass: over all targets, or over one.
    pub(super) fn ended(&mut self, outcome: &Outcome, over_all: bool, now: Moment) {
        if outcome.stalled {
            return;
        }
        let any = outcome.steps.iter().any(is_refused);
        for (target, planned) in &outcome.plan.targets {
            let steps: Vec<_> = outcome.steps.iter().filter(|step| step.target == *target).collect();
            let (left, refused) = (keys(&steps, |step| !is_done(step)), keys(&steps, is_refused));
            if any && !left.is_empty() {
                let longest = longest(&steps);
                let twice = self.targets.get(target).map(|before| before.wait.saturating_mul(2));
                let wait = twice.unwrap_or(self.first).min(longest);
                let error = steps.iter().find(|step| is_refused(step)).and_then(|step| step.error.as_ref());
                let trouble = error.map(|error| Trouble::of_error(error).with_target(target));
                self.targets.insert(target.clone(), Left { keys: left, refused, trouble, wait, until: now + wait });
            } else if over_all || planned.withheld == 0 {
                // There was nothing of it to be done any more.
                self.targets.remove(target);
            }
        }
    }

    /// Forgets everything: the file asks for something else, or somebody says that it is worth a try.
    pub(super) fn clear(&mut self) {
        self.targets.clear();
    }

    /// Lists what is left alone for now.
    pub(super) fn stalled(&self, now: Moment) -> EntrySet {
        let stalled = self.targets.iter().filter(|(_, left)| now < left.until);
        stalled.map(|(target, left)| (target.clone(), left.keys.clone())).collect()
    }

    /// Returns why a target does not take something.
    pub(super) fn trouble(&self, target: &TargetName) -> Option<Trouble> {
        self.targets.get(target)?.trouble.clone()
    }

    /// Counts the entries that a target does not take.
    pub(super) fn count(&self, target: &TargetName) -> usize {
        self.targets.get(target).map_or(0, |left| left.refused.len())
    }
}

fn keys(steps: &[&StepOutcome], which: impl Fn(&StepOutcome) -> bool) -> BTreeSet<Key> {
    steps.iter().filter(|step| which(step)).map(|step| step.key.clone()).collect()
}

fn is_done(step: &StepOutcome) -> bool {
    matches!(step.result, StepResult::Applied | StepResult::Unchanged)
}

/// Tells whether a step failed so that trying it again soon is of no use.
fn is_refused(step: &StepOutcome) -> bool {
    let lasting = |kind| matches!(kind, ErrorKind::Refused | ErrorKind::Denied | ErrorKind::KeyUnusable);
    !is_done(step) && step.error.as_ref().is_some_and(|error| lasting(error.kind))
}

fn longest(steps: &[&StepOutcome]) -> Duration {
    let errors = steps.iter().filter(|step| is_refused(step)).filter_map(|step| step.error.as_ref());
    let mended_elsewhere = errors.into_iter().any(|error| error.kind != ErrorKind::Refused);
    if mended_elsewhere { LONGEST_DENIED } else { LONGEST }
}

#[cfg(test)]
mod tests {
    use repin_provider::{Error, Place};

    use super::*;
    use crate::model::observed::FileStanding;
    use crate::model::plan::{Plan, Reason, StepAction, TargetPlan};
    use crate::model::release::{Cause, TargetId};

    const MINUTE: Duration = Duration::from_secs(60);

    fn target(name: &str) -> TargetName {
        TargetName::parse(name).expect("valid")
    }

    fn key(name: &str) -> Key {
        Key::parse(name).expect("valid")
    }

    fn step(name: &str, of: &str, error: Option<ErrorKind>) -> StepOutcome {
        StepOutcome {
            target: target(name),
            key: key(of),
            native: of.to_owned(),
            action: StepAction::Update,
            reason: Reason::Changed,
            from: None,
            to: None,
            result: match error {
                None => StepResult::Applied,
                Some(ErrorKind::Refused) => StepResult::Refused,
                Some(_) => StepResult::Failed,
            },
            error: error.map(|kind| Error::new(kind, "PUT /kv/{key}", "no")),
            buried: None,
        }
    }

    fn outcome(steps: Vec<StepOutcome>) -> Outcome {
        let id = TargetId::of(&Place::parse("p").expect("valid"));
        let names = ["aws", "azure"].map(|name| (target(name), TargetPlan::new(id.clone())));
        let plan = Plan {
            release: None,
            targets: names.into(),
            orphaned: BTreeMap::new(),
            blocks: Vec::new(),
            file: FileStanding::Current,
            held: Vec::new(),
            notes: Vec::new(),
            cause: Cause::Reconcile,
            then_more: false,
        };
        Outcome { steps, ..Outcome::untried(plan) }
    }

    fn refused(kind: ErrorKind) -> Outcome {
        outcome(vec![step("aws", "a", None), step("azure", "a", None), step("azure", "b", Some(kind))])
    }

    #[test]
    fn what_is_refused_is_left_twice_as_long_each_time() {
        for (kind, last) in [(ErrorKind::Refused, 3600), (ErrorKind::Denied, 300), (ErrorKind::KeyUnusable, 300)] {
            let mut refusals = Refusals::new(MINUTE);
            let mut now = Moment::ZERO;
            let mut waits = Vec::new();
            for _ in 0..9 {
                refusals.ended(&refused(kind), true, now);
                assert_eq!(refusals.stalled(now), EntrySet::from([(target("azure"), [key("b")].into())]));
                let wait = (1..).map(Duration::from_secs).find(|wait| refusals.stalled(now + *wait).is_empty());
                let wait = wait.expect("it ends");
                waits.push(wait.as_secs());
                now += wait;
            }
            assert_eq!(waits[..3], [60, 120, 240]);
            assert_eq!(waits[8], last, "{kind:?}: {waits:?}");
        }
    }

    #[test]
    fn what_was_not_tried_changes_nothing() {
        let mut refusals = Refusals::new(MINUTE);
        refusals.ended(&refused(ErrorKind::Refused), true, Moment::ZERO);
        let stalled = Outcome { stalled: true, ..outcome(Vec::new()) };
        refusals.ended(&stalled, true, MINUTE / 2);
        assert_eq!(refusals.count(&target("azure")), 1);
        assert_eq!(refusals.trouble(&target("azure")).map(|trouble| trouble.kind), Some("refused"));
        assert!(!refusals.stalled(MINUTE / 2).is_empty() && refusals.stalled(MINUTE).is_empty());
    }

    #[test]
    fn what_is_done_or_asked_for_no_more_is_forgotten() {
        let mut refusals = Refusals::new(MINUTE);
        refusals.ended(&refused(ErrorKind::Refused), true, Moment::ZERO);
        refusals.ended(&outcome(vec![step("azure", "b", None)]), true, MINUTE);
        assert_eq!((refusals.count(&target("azure")), refusals.trouble(&target("azure")).is_none()), (0, true));
        refusals.ended(&refused(ErrorKind::Refused), true, MINUTE);
        refusals.clear();
        assert!(refusals.stalled(MINUTE).is_empty());
    }

    #[test]
    fn a_release_that_one_target_refuses_whole_is_left_everywhere() {
        let mut refusals = Refusals::new(MINUTE);
        let skipped = StepOutcome { result: StepResult::Skipped, ..step("aws", "a", None) };
        let all = outcome(vec![skipped, step("azure", "a", Some(ErrorKind::Refused))]);
        refusals.ended(&all, true, Moment::ZERO);
        let both = [(target("aws"), [key("a")].into()), (target("azure"), [key("a")].into())];
        assert_eq!(refusals.stalled(Moment::ZERO), EntrySet::from(both));
        assert_eq!((refusals.count(&target("aws")), refusals.count(&target("azure"))), (0, 1));
        // A look at one target that finds the release to be still withheld has nothing to say about it.
        let mut look = outcome(Vec::new());
        look.plan.targets.values_mut().for_each(|planned| planned.withheld = 1);
        refusals.ended(&look, false, MINUTE / 2);
        assert_eq!(refusals.stalled(MINUTE / 2).len(), 2);
    }

    #[test]
    fn what_may_pass_is_not_left() {
        let mut refusals = Refusals::new(MINUTE);
        for kind in [ErrorKind::Throttled, ErrorKind::Unreachable, ErrorKind::Conflict] {
            refusals.ended(&refused(kind), true, Moment::ZERO);
            assert!(refusals.stalled(Moment::ZERO).is_empty(), "{kind:?}");
        }
    }
}
