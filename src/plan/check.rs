//! A second pair of eyes: lints a finished plan before it is carried out.
//!
//! None of these should ever be found. They are checked by code that is not the planner, so that a mistake there stops
//! a pass instead of reaching a store.

use std::collections::BTreeSet;

use repin_provider::{Seen, Serving, TargetName};

use crate::model::desired::Desired;
use crate::model::observed::{FileStanding, Observed, TargetState};
use crate::model::plan::{Plan, Step, StepAction};
use crate::model::release::Ledger;

/// Something that a plan must not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the plan for {target} is wrong about {key}: {what}; nothing was done, please report this")]
pub struct Finding {
    /// The target.
    pub target: TargetName,
    /// The key.
    pub key: String,
    /// What is wrong.
    pub what: &'static str,
}

/// Lists what a plan must not do and does.
pub fn check(plan: &Plan, desired: Option<&Desired>, observed: &Observed) -> Vec<Finding> {
    // Where an operator has a wish the file does not count.
    let desired = desired.filter(|_| !plan.is_wish());
    let mut findings = Vec::new();
    for (name, target) in &plan.targets {
        let finding = |key: &str, what| Finding { target: name.clone(), key: key.to_owned(), what };
        let Some(state) = observed.targets.get(name) else {
            findings.push(finding("", "the target was not observed"));
            continue;
        };
        let closed = target.close.as_ref().map(|close| state.ledger.with(close.clone()));
        let ledger = closed.as_ref().unwrap_or(&state.ledger);
        let mut seen_keys = BTreeSet::new();
        for step in &target.steps {
            if !seen_keys.insert(&step.key) {
                findings.push(finding(step.key.as_str(), "it has two steps"));
            }
            let wanted = desired
                .and_then(|desired| desired.targets.get(name))
                .is_some_and(|target| target.entries.contains_key(&step.key));
            let wrong = step_faults(step, state, ledger, wanted, plan.file == FileStanding::Behind);
            findings.extend(wrong.into_iter().map(|what| finding(step.key.as_str(), what)));
        }
        if plan.release.is_none() && !plan.is_wish() && target.steps.iter().any(|step| !step.repair) {
            findings.push(finding("", "something is released without a release"));
        }
    }
    if let Some(release) = &plan.release
        && release.continues.is_none()
        && observed.targets.values().any(|state| state.ledger.highest_release() >= release.number)
    {
        let target = plan.targets.keys().next().expect("a release has a target").clone();
        findings.push(Finding { target, key: String::new(), what: "its number is taken" });
    }
    findings
}

fn step_faults(step: &Step, state: &TargetState, ledger: &Ledger, wanted: bool, behind: bool) -> Vec<&'static str> {
    let mut faults = Vec::new();
    let mut fault = |wrong: bool, what| {
        if wrong {
            faults.push(what);
        }
    };
    let item = state.items.get(&step.key).and_then(Seen::item);
    let owned = ledger.pins.contains_key(&step.key)
        || state.ledger.open().is_some_and(|record| record.rows.iter().any(|row| row.key == step.key));
    let looked = matches!(state.items.get(&step.key), Some(Seen::Present(_) | Seen::Absent));
    let removes = matches!(step.action, StepAction::Delete | StepAction::Withdraw);
    // Letting go of something needs no look at it.
    fault(!looked && step.action != StepAction::Forget, "it was not read");
    fault(step.action == StepAction::Create && item.is_some(), "it would be made although it is there");
    fault(step.action == StepAction::Update && item.is_none(), "it would be changed although it is not there");
    fault(removes && !owned, "it would be deleted although it is not owned");
    fault(removes && wanted, "it would be deleted although the file wants it");
    fault(!step.repair && behind, "it would be released from a file that is behind");
    if step.writes()
        && let Some(item) = item
    {
        let expected = step.from.as_ref().is_some_and(|from| *from == item.version);
        fault(!expected, "it expects another version than the one that was seen");
        let plain = step.content.as_ref().is_some_and(|content| !content.value.is_secret());
        fault(plain && item.secret, "a secret would become plain text");
    }
    let puts = matches!(step.action, StepAction::Create | StepAction::Update);
    let led_to = state.capabilities.serving != Serving::AtOnce && step.to.is_some();
    fault(
        puts != (step.content.is_some() || led_to) && (puts || step.content.is_some()),
        "its content does not fit its action",
    );
    faults
}
