//! What became of an operator's wish, as text: the verdict first, then what is still to be known.

use std::collections::BTreeSet;

use jiff::Timestamp;
use repin_provider::{Key, TargetName};

use super::Trouble;
use super::text::{numbers, requests, results, steps};
use super::words::{self, BAD, CHANGED, FAINT, GOOD, STRONG, counted, line, listed, named, styled, when, wrap};
use crate::cycle::wish::Ask;
use crate::exit;
use crate::model::hold::Hold;
use crate::model::outcome::{Outcome, StepResult, TargetFailure, Verdict};
use crate::model::plan::{Plan, StepAction};
use crate::plan::orders::Order;

/// Describes what an operator's wish would do.
pub fn wish_plan(name: &str, ask: &Ask, plan: &Plan, width: usize) -> String {
    let mut out = String::new();
    if let Ask::Order { .. } = ask {
        line(&mut out, &wrap(&format!("{name}: {}", would_resume(plan)), width));
        hold_lines(&mut out, ask, plan, true, width);
        return out;
    }
    line(&mut out, &styled(STRONG, &words::heading(name, plan)));
    out.push_str(&steps(plan, width));
    if let Some(restores) = plan.release.as_ref().and_then(|release| release.restores) {
        line(&mut out, &styled(FAINT, &format!("repin diff {restores} shows what differs inside the values.")));
    }
    hold_lines(&mut out, ask, plan, true, width);
    for target in plan.release.iter().flat_map(|release| release.unreached.values()) {
        line(&mut out, &wrap(&format!("{target}: cannot be reached now; any host's next pass finishes it"), width));
    }
    let summary = match &plan.release {
        Some(_) => words::plan_summary(plan),
        None => "Nothing to do: it is what is served already.".to_owned(),
    };
    line(&mut out, &wrap(&summary, width));
    out
}

fn would_resume(plan: &Plan) -> String {
    let keys: BTreeSet<_> = held(plan).map(|(_, key, _)| key).collect();
    match keys.len() {
        0 => "nothing is held.".to_owned(),
        n => format!("{} would be resumed: {}", counted(n as u64, "entry"), named(keys.into_iter())),
    }
}

/// Describes what came of an operator's wish.
pub fn wish_outcome(name: &str, ask: &Ask, outcome: &Outcome, now: Timestamp, width: usize) -> String {
    let mut out = String::new();
    line(&mut out, &wrap(&verdict(name, ask, outcome), width));
    out.push_str(&results(outcome, width));
    for failure in &outcome.failures {
        failed(&mut out, ask, outcome, failure, width);
    }
    let served = outcome.steps.iter().any(|step| step.result == StepResult::Applied);
    if served {
        line(&mut out, &format!("The stores were restored at {}; readers follow at their own refresh.", when(now)));
    }
    if exit::has_moved(outcome) {
        hold_lines(&mut out, ask, &outcome.plan, false, width);
    }
    let orders = matches!(ask, Ask::Order { .. });
    let counts = if orders || outcome.steps.is_empty() { requests(outcome) } else { numbers(outcome) };
    line(&mut out, &styled(FAINT, &wrap(&counts, width)));
    out
}

fn verdict(name: &str, ask: &Ask, outcome: &Outcome) -> String {
    let verdict = exit::verdict(outcome);
    let what = match ask {
        Ask::Rollback { keys, .. } => rollback(keys.as_deref(), outcome),
        Ask::Pin { key, .. } => pin(key, outcome),
        Ask::Order { order, purge } => ordered(order, *purge, outcome),
    };
    let (word, style) = match verdict {
        Verdict::Applied => return format!("{name}: {}", styled(GOOD, &what)),
        Verdict::Unchanged => return format!("{name}: unchanged, {}", unchanged(ask)),
        Verdict::Partial => ("PARTIAL", CHANGED),
        Verdict::Conflict => ("CONFLICT", BAD),
        Verdict::Held | Verdict::Behind | Verdict::Failed => ("FAILED", BAD),
    };
    let what = if exit::has_moved(outcome) { what } else { "nothing was done".to_owned() };
    format!("{name}: {}, {what}", styled(style, word))
}

fn unchanged(ask: &Ask) -> &'static str {
    match ask {
        Ask::Rollback { .. } | Ask::Pin { .. } => "it is what is served already.",
        Ask::Order { order: Order::Hold { .. }, .. } => "it is held already.",
        Ask::Order { order: Order::Resume { .. }, .. } => "nothing is held.",
        Ask::Order { order: Order::Unpin { .. }, .. } => "nothing is pinned by hand.",
        Ask::Order { order: Order::Forget { .. }, .. } => "nothing here is ours.",
    }
}

fn rollback(keys: Option<&str>, outcome: &Outcome) -> String {
    let release = outcome.plan.release.as_ref();
    let restored = release.and_then(|release| release.restores).map(|n| format!("release {n}")).unwrap_or_default();
    let of = keys.map(|glob| format!(" of {glob}")).unwrap_or_default();
    let number = release.map(|release| format!(", as release {}", release.number)).unwrap_or_default();
    let done = |target: &&TargetName| {
        let step_done = |result| matches!(result, StepResult::Applied | StepResult::Unchanged);
        outcome.steps.iter().all(|step| step.target != **target || step_done(step.result))
            && outcome.failures.iter().all(|failure| failure.target != **target)
    };
    let (served, left): (Vec<_>, Vec<_>) = outcome.plan.targets.keys().partition(done);
    let missing = outcome.failures.iter().map(|failure| &failure.target);
    let left: BTreeSet<_> = left.into_iter().chain(missing).map(TargetName::as_str).collect();
    if left.is_empty() {
        return format!("what {restored} had{of} is served again{number}");
    }
    let left: Vec<_> = left.into_iter().collect();
    let served: Vec<_> = served.into_iter().map(TargetName::as_str).collect();
    let on = if served.is_empty() { "nowhere yet".to_owned() } else { format!("on {}", listed(&served)) };
    format!("what {restored} had{of} is served again {on}, not yet on {}{number}", listed(&left))
}

fn pin(key: &Key, outcome: &Outcome) -> String {
    let target = outcome.plan.targets.keys().next().map(TargetName::as_str).unwrap_or_default();
    let number = outcome.release.map(|release| format!(" (release {release})")).unwrap_or_default();
    format!("{key} is pinned on {target}{number}, until repin unpin {key} --target {target}")
}

fn ordered(order: &Order, purge: bool, outcome: &Outcome) -> String {
    let recorded = |target: &&TargetName| exit::is_recorded(outcome, target);
    let targets: Vec<_> = outcome.plan.targets.keys().filter(recorded).map(TargetName::as_str).collect();
    let on = listed(&targets);
    let changed: BTreeSet<_> = held(&outcome.plan).map(|(_, key, _)| key).collect();
    let count = counted(changed.len() as u64, "entry");
    match order {
        Order::Hold { .. } => format!("{count} held on {on}: {}", named(changed.into_iter())),
        Order::Resume { .. } => format!(
            "{count} resumed on {on}: {}. The next pass of any host releases what the file asks for",
            named(changed.into_iter())
        ),
        Order::Unpin { key } => {
            format!("{key} is unpinned on {on}. What the file says counts with any host's next pass")
        }
        Order::Forget { heir, .. } => {
            // An unfinished wish of before may have been finished on the way.
            let steps = outcome.steps.iter().filter(|step| step.action == StepAction::Forget);
            let keys: BTreeSet<_> = steps.map(|step| &step.key).collect();
            let purged = if purge { "; the ledger's copies of them are removed" } else { "" };
            let count = counted(keys.len() as u64, "entry");
            let heir = heir.as_ref().map(|heir| format!("; only {heir} may take them over")).unwrap_or_default();
            format!("let go of {count} on {on}. They stay in the stores as they are{purged}{heir}")
        }
    }
}

/// Says what became of a target that could not be had, and what happens with it now.
fn failed(out: &mut String, ask: &Ask, outcome: &Outcome, failure: &TargetFailure, width: usize) {
    let trouble = Trouble::of_failure(failure);
    let TargetFailure { target, .. } = failure;
    let text = match ask {
        Ask::Rollback { .. } if exit::has_moved(outcome) => {
            format!("{target}: pending ({}); any host's next pass finishes it", trouble.message)
        }
        Ask::Order { .. } if exit::has_moved(outcome) => {
            format!("{target}: not recorded there ({}); run it again once it can be", trouble.message)
        }
        _ => return out.push_str(&super::text::trouble(&trouble)),
    };
    line(out, &styled(CHANGED, &wrap(&text, width)));
}

fn held(plan: &Plan) -> impl Iterator<Item = (&TargetName, &Key, Option<&Hold>)> {
    let all = plan.targets.iter().flat_map(|(target, planned)| planned.holds.iter().map(move |(k, h)| (target, k, h)));
    all.map(|(target, key, hold)| (target, key, hold.as_ref()))
}

/// Says what is held since and how to go on, and what is held no more.
fn hold_lines(out: &mut String, ask: &Ask, plan: &Plan, would: bool, width: usize) {
    let keys = |test: fn(Option<&Hold>) -> bool| {
        let keys: BTreeSet<_> = held(plan).filter(|(.., hold)| test(*hold)).map(|(_, key, _)| key).collect();
        keys
    };
    let (now, then) = if would { (" then", "would be held no more") } else { (" now", "held no more") };
    let mut say = |text: String| line(out, &styled(CHANGED, &wrap(&text, width)));
    let by_rollback = keys(|hold| hold.is_some_and(|hold| !hold.contents.is_empty() && !hold.by_hand && !hold.pinned));
    let lifted = keys(|hold| hold.is_none());
    match ask {
        Ask::Rollback { .. } => {
            if !by_rollback.is_empty() {
                say(format!(
                    "held{now}: {}. The file may not bring back what was taken back: give them another content there, \
                     or run repin resume KEY",
                    named(by_rollback.into_iter())
                ));
            }
            if !lifted.is_empty() {
                say(format!("{then}: {}", named(lifted.into_iter())));
            }
        }
        Ask::Order { order: Order::Hold { glob }, .. } => {
            say(format!("The file's changes of them wait on every host until repin resume {glob:?}"))
        }
        Ask::Order { order: Order::Resume { .. }, .. } => {
            let pinned = keys(|hold| hold.is_some_and(|hold| hold.pinned));
            if !pinned.is_empty() {
                say(format!("still pinned by hand: {}", named(pinned.into_iter())));
            }
        }
        Ask::Pin { .. } | Ask::Order { .. } => {}
    }
}
