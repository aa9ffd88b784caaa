//! Whether a command said what it did: its report and its exit code against what readers met before and after.

use std::collections::BTreeMap;

use repin::exit::{self, Exit};
use repin::model::observed::FileStanding;
use repin::model::outcome::{Outcome, StepOutcome, StepResult};
use repin::model::plan::StepAction;
use repin::model::release::Ledger;
use repin_provider::{Key, Value};

use crate::book::Book;
use crate::play::{Checked, Report, ensure, matches};
use crate::readers::{Shown, View};
use crate::stage::{Stage, key};
use crate::story::{Command, Form};

/// Checks a command beside which nobody else was at work.
pub(crate) fn check(stage: &Stage, book: &Book, report: &Report, before: &[View], after: &[View]) -> Checked {
    let Some(exit) = report.exit else { return Ok(()) };
    let Some(outcome) = &report.outcome else {
        return unchanged(before, after).map_err(|what| format!("exit {} for what moved: {what}", exit.code()));
    };
    check_steps((stage, book), outcome, before, after)?;
    match exit {
        Exit::Done => check_done(stage, book, report, outcome, after),
        Exit::Failed | Exit::TryAgain | Exit::Denied | Exit::Held | Exit::Invalid | Exit::Usage => {
            unchanged(before, after).map_err(|what| format!("exit {} for what moved: {what}", exit.code()))
        }
        Exit::PutBack => alike(before, after).map_err(|what| format!("exit 4, and not as before: {what}")),
        Exit::Partial => {
            ensure!(exit::has_moved(outcome), "exit 3, and nothing moved");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Checks an order, which moves nothing that readers meet: refused it says nothing anywhere, done it is said everywhere.
pub(crate) fn check_order(stage: &Stage, report: &Report, before: &[Ledger], after: &[Ledger]) -> Checked {
    if report.outcome.is_none() {
        for (before, after) in before.iter().zip(after) {
            ensure!(
                before.holds == after.holds,
                "an error, and holds changed: {:?} to {:?}",
                before.holds,
                after.holds
            );
            let lost = before.pins.keys().find(|key| !after.pins.contains_key(*key));
            ensure!(lost.is_none(), "an error, and {lost:?} is not ours any more");
        }
        return Ok(());
    }
    if report.exit != Some(Exit::Done) {
        return Ok(());
    }
    for (name, ledger) in stage.targets().iter().zip(after) {
        match &report.command {
            Command::Forget { key: n } => {
                let forgotten = key(n % stage.settings.kinds.len());
                let still = ledger.pins.keys().any(|key| key.as_str() == forgotten);
                ensure!(!still, "exit 0, and {forgotten} of {name} is still ours");
            }
            Command::Hold { glob } => {
                let free = |key: &&Key| ledger.holds.get(*key).is_none_or(|hold| !hold.by_hand);
                let loose = ledger.pins.keys().filter(|key| matches(Some(glob), key.as_str())).find(free);
                ensure!(loose.is_none(), "exit 0, and {loose:?} of {name} is not held");
            }
            _ => {}
        }
    }
    Ok(())
}

fn unchanged(before: &[View], after: &[View]) -> Checked {
    ensure!(before == after, "{before:?} became {after:?}");
    Ok(())
}

fn alike(before: &[View], after: &[View]) -> Checked {
    let plain_one =
        |view: &View| -> BTreeMap<_, _> { view.iter().map(|(key, shown)| (key.clone(), content(shown))).collect() };
    let plain = |views: &[View]| -> Vec<_> { views.iter().map(plain_one).collect() };
    ensure!(plain(before) == plain(after), "{before:?} became {after:?}");
    Ok(())
}

fn content(shown: &Shown) -> (String, bool, Option<String>) {
    (shown.text.clone(), shown.secret, shown.content_type.clone())
}

/// Tells whether readers meet the same. A set is made anew as a whole, and what was let go of and staged no more is put into
/// it again as it was: no ledger keeps its version any more, and nothing that readers have is another.
fn is_same((stage, book): (&Stage, &Book), target: usize, key: &str, before: &View, after: &View) -> bool {
    let (before, after) = (before.get(key), after.get(key));
    let put_again = stage.settings.targets[target] == Form::Snapshot && book.forgotten.contains(key);
    before == after || (put_again && before.map(content) == after.map(content))
}

/// Each change that readers meet is told, and each step that is told to be done is met.
fn check_steps((stage, book): (&Stage, &Book), outcome: &Outcome, before: &[View], after: &[View]) -> Checked {
    for (n, name) in stage.targets().iter().enumerate() {
        let steps: Vec<&StepOutcome> = outcome.steps.iter().filter(|step| step.target == *name).collect();
        let mut last: BTreeMap<&str, &StepOutcome> = BTreeMap::new();
        for step in &steps {
            last.insert(step.key.as_str(), step);
        }
        let keys = before[n].keys().chain(after[n].keys());
        for key in keys.filter(|key| !is_same((stage, book), n, key, &before[n], &after[n])) {
            let may_have = |step: &&&StepOutcome| {
                step.key.as_str() == key && !matches!(step.result, StepResult::Skipped | StepResult::Refused)
            };
            ensure!(
                steps.iter().any(|step| may_have(&step)),
                "{key} of {name} changed from {:?} to {:?}, and no step tells of it",
                before[n].get(key),
                after[n].get(key)
            );
        }
        for (key, step) in last {
            check_step(step, after[n].get(key)).map_err(|wrong| format!("{key} of {name}: {wrong}"))?;
        }
    }
    Ok(())
}

fn check_step(step: &StepOutcome, shown: Option<&Shown>) -> Checked {
    if !matches!(step.result, StepResult::Applied | StepResult::Unchanged) {
        return Ok(());
    }
    match step.action {
        StepAction::Create | StepAction::Update | StepAction::Adopt | StepAction::Pin => {
            let Some(to) = &step.to else { return Ok(()) };
            let served = shown.map(|shown| shown.version.as_str());
            ensure!(served == Some(to.id.as_str()), "{} is told to be served, and {served:?} is", to.id);
        }
        StepAction::Delete | StepAction::Withdraw => {
            let put_again = step.to.is_some();
            ensure!(put_again || shown.is_none(), "it is told to be gone, and is there");
        }
        StepAction::Forget => {}
    }
    Ok(())
}

/// Exit 0: everything that was asked for is served.
fn check_done(stage: &Stage, book: &Book, report: &Report, outcome: &Outcome, after: &[View]) -> Checked {
    ensure!(outcome.failures.is_empty(), "exit 0 with failures");
    let Command::Reconcile { only, .. } = report.command else { return Ok(()) };
    if outcome.plan.file == FileStanding::Behind {
        return Err("exit 0, and the file is behind".to_owned());
    }
    let scope = |n: usize| only.is_none_or(|only| only % stage.settings.targets.len() == n);
    for n in (0..after.len()).filter(|n| scope(*n)) {
        served(stage, book, report.host, outcome, n, &after[n])?;
    }
    Ok(())
}

/// Compares what one target serves with what a host's file asks for.
fn served(stage: &Stage, book: &Book, host: usize, outcome: &Outcome, n: usize, view: &View) -> Checked {
    let (name, desired) = (&stage.targets()[n], stage.desired(host));
    let target = &desired.targets[name];
    let is_held = |key: &str| outcome.plan.held.iter().any(|held| held.target == *name && held.key.as_str() == key);
    let told = |key: &str| {
        let drift = outcome.plan.targets.get(name).map(|plan| &plan.drift);
        drift.is_some_and(|drift| drift.iter().any(|drifted| drifted.key.as_str() == key))
    };
    for (key, entry) in target.entries.iter().filter(|(key, _)| !is_held(key.as_str()) && !told(key.as_str())) {
        let Some(shown) = view.get(key.as_str()) else {
            return Err(format!("exit 0, and {key} of {name} is not there"));
        };
        let wanted = match &entry.value {
            Value::Plain(text) => text.as_str(),
            Value::Secret(secret) => secret.expose(),
        };
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        let equal = wanted == shown.text || (entry.kind.is_json() && json(wanted) == json(&shown.text));
        ensure!(equal, "exit 0, and {key} of {name} is {shown:?} instead of {wanted:?}");
        ensure!(!entry.value.is_secret() || shown.secret, "guarantee 11: {key} of {name} is not encrypted");
        let typed = entry.content_type.is_none() || shown.content_type.is_none();
        ensure!(typed || entry.content_type == shown.content_type, "{key} of {name} is {shown:?}");
    }
    let unknown = |key: &String| {
        let spot = (n, key.clone());
        !book.touched.contains(&spot) && !book.forgotten.contains(key) && key != "bystander"
    };
    for key in view.keys().filter(|key| stage.settings.prune && unknown(key)) {
        let asked = target.entries.keys().any(|asked| asked.as_str() == key);
        ensure!(asked || is_held(key) || told(key), "exit 0, and {key} of {name} is there, which the file dropped");
    }
    Ok(())
}
