//! JSON for programs: one object a command, `format: 1`. Fields are added, never renamed.

use std::collections::BTreeMap;

use repin_provider::{RequestCounts, TargetName, Version};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Trouble, words};
use crate::difference::{Content, Difference};
use crate::exit;
use crate::history::{Release, TargetHistory};
use crate::model::hold::Hold;
use crate::model::observed::FileStanding;
use crate::model::outcome::{Outcome, StepOutcome, StepResult};
use crate::model::plan::{Drifted, Held, Plan, Step, StepAction};
use crate::model::release::{RowAction, State};
use crate::status::{File, HeldKey, HoldKind, Status};

/// The version of this output.
pub const FORMAT: u32 = 1;

/// Puts the fields that every object has in front of a command's own.
pub fn object(emulated: bool, fields: Value) -> Value {
    let mut object = serde_json::Map::new();
    object.insert("format".into(), FORMAT.into());
    if emulated {
        object.insert("emulated".into(), true.into());
    }
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
    Value::Object(object)
}

/// Describes a plan.
pub fn plan(name: &str, plan: &Plan) -> Value {
    let steps: Vec<_> = plan
        .targets
        .iter()
        .flat_map(|(target, planned)| planned.steps.iter().map(move |step| plan_step(target.as_str(), step)))
        .collect();
    let foreign: BTreeMap<_, _> =
        plan.targets.iter().filter_map(|(name, target)| Some((name.as_str(), target.foreign?))).collect();
    let cost: BTreeMap<_, _> = plan.targets.iter().map(|(name, target)| (name.as_str(), target.cost)).collect();
    let mut object = json!({
        "name": name,
        "release": plan.release.as_ref().map(|release| release.number),
        "file": standing(plan.file),
        "steps": steps,
        "held": plan.held.iter().map(held).collect::<Vec<_>>(),
        "notes": plan.notes,
        "drift": drift(plan),
        "orphaned": plan.orphaned.values().collect::<Vec<_>>(),
        "foreign": foreign,
        "summary": plan.summary(),
        "cost": cost,
    });
    if !plan.blocks.is_empty() {
        object["blocks"] = plan.blocks.iter().map(|block| trouble(&Trouble::of_block(block))).collect();
    }
    object
}

/// Describes an entry that the file would change and may not.
fn held(held: &Held) -> Value {
    let mut object = hold(&held.hold);
    object["target"] = json!(held.target);
    object["key"] = json!(held.key);
    object["serves"] = json!(held.serves);
    object["message"] = json!(held.sentence());
    object
}

fn hold(hold: &Hold) -> Value {
    json!({ "kind": HoldKind::of(hold), "since_release": hold.since, "reason": hold.reason })
}

/// Describes what an operator's wish would do. `unreached` says what keeps targets from being looked at.
pub fn wish_plan(name: &str, of: &Plan, unreached: &[Trouble]) -> Value {
    let mut object = plan(name, of);
    object["restores"] = json!(of.release.as_ref().and_then(|release| release.restores));
    object["holds"] = holds(of);
    object["unreached"] = unreached.iter().map(trouble).collect();
    object
}

/// Describes what came of an operator's wish.
pub fn wish_outcome(done: &Outcome) -> Value {
    let mut object = outcome(done);
    if !exit::has_moved(done) {
        object["release"] = Value::Null;
    }
    object["restores"] = json!(done.plan.release.as_ref().and_then(|release| release.restores));
    object["holds"] = holds(&done.plan);
    object
}

/// Lists holds that are made or changed, and those that are lifted.
fn holds(plan: &Plan) -> Value {
    let all = plan.targets.iter().flat_map(|(target, planned)| planned.holds.iter().map(move |held| (target, held)));
    let objects = all.map(|(target, (key, after))| {
        let mut object = after.as_ref().map_or_else(|| json!({}), hold);
        object["target"] = json!(target);
        object["key"] = json!(key);
        object["held"] = json!(after.is_some());
        object
    });
    objects.collect()
}

/// Returns the word for what readers see of a step.
fn action_word(action: StepAction) -> &'static str {
    row_word(action.into())
}

fn plan_step(target: &str, step: &Step) -> Value {
    json!({
        "target": target,
        "key": step.key,
        "native": step.native,
        "action": action_word(step.action),
        "reason": step.reason,
        "from": id(step.from.as_ref()),
        "to": id(step.to.as_ref()),
        "changes": step.changes,
    })
}

fn drift(plan: &Plan) -> Vec<Value> {
    let drifted = plan.targets.iter().flat_map(|(name, target)| target.drift.iter().map(move |d| (name, d)));
    drifted
        .map(|(target, d)| {
            let mut object = drifted_object(d);
            object["target"] = json!(target);
            object
        })
        .collect()
}

/// Describes one key that serves `to` and should serve `from`.
fn drifted_object(d: &Drifted) -> Value {
    json!({ "key": d.key, "from": id(Some(&d.pin)), "to": id(d.served.as_ref()) })
}

fn standing(file: FileStanding) -> &'static str {
    match file {
        FileStanding::Current => "current",
        FileStanding::Changed => "changed",
        FileStanding::Behind => "behind",
    }
}

/// Describes what a pass did.
pub fn outcome(outcome: &Outcome) -> Value {
    let mut object = json!({
        "release": outcome.release,
        "outcome": exit::verdict(outcome),
        "steps": outcome.steps.iter().map(step).collect::<Vec<_>>(),
        "held": outcome.plan.held.iter().map(held).collect::<Vec<_>>(),
        "notes": outcome.plan.notes,
        "requests": requests(&outcome.requests),
    });
    if !outcome.failures.is_empty() {
        object["errors"] = outcome.failures.iter().map(|failure| trouble(&Trouble::of_failure(failure))).collect();
    }
    object
}

fn step(step: &StepOutcome) -> Value {
    json!({
        "target": step.target,
        "key": step.key,
        "native": step.native,
        "action": action_word(step.action),
        "reason": step.reason,
        "from": id(step.from.as_ref()),
        "to": id(step.to.as_ref()),
        "result": step.result,
        "version": id(step.to.as_ref()),
        "buried": id(step.buried.as_ref()),
        "error": step.error.as_ref().map(|error| trouble(&Trouble::of_error(error).with_target(&step.target))),
    })
}

fn requests(requests: &BTreeMap<TargetName, RequestCounts>) -> Value {
    json!(requests.iter().map(|(name, counts)| (name.as_str(), counts)).collect::<BTreeMap<_, _>>())
}

/// Describes releases, newest first.
pub fn history(releases: &[Release]) -> Value {
    json!({ "releases": releases.iter().map(release).collect::<Vec<_>>() })
}

/// Describes one release.
pub fn release(release: &Release) -> Value {
    let steps: Vec<_> = release
        .targets
        .iter()
        .flat_map(|(target, of)| of.rows.iter().map(move |row| (target, of.state, row)))
        .map(|(target, state, row)| {
            json!({
                "target": target,
                "key": row.key,
                "action": row_word(row.action),
                "from": id(row.from.as_ref()),
                "to": id(row.to.as_ref()),
                "result": row_result(row.applied, state),
            })
        })
        .collect();
    let restorable: BTreeMap<_, _> = release.targets.iter().map(|(name, of)| (name.as_str(), of.restorable)).collect();
    let states: BTreeMap<_, _> = release.targets.iter().map(|(name, of)| (name.as_str(), of.state)).collect();
    json!({
        "release": release.number,
        "kind": release.cause,
        "at": release.at,
        "actor": release.actor,
        "message": release.message,
        "restores": release.restores,
        "current": release.current,
        "targets": states,
        "folded": release.targets.values().any(|of| of.folded),
        "steps": steps,
        "restorable": restorable,
    })
}

/// Describes what differs between two releases, or between one and what is served now (`to` is null).
pub fn difference(name: &str, difference: &Difference) -> Value {
    let differ = difference.targets.iter().flat_map(|(target, differ)| differ.iter().map(move |d| (target, d)));
    let entries = differ.map(|(target, differs)| {
        let (content, changes) = match &differs.content {
            Content::OneSided => ("one-sided", None),
            Content::Secret => ("secret", None),
            Content::Same => ("same", None),
            Content::Gone => ("gone", None),
            Content::Changes(changes) => ("changed", Some(changes)),
        };
        json!({
            "target": target,
            "key": differs.key,
            "action": differs.action(),
            "from": id(differs.from.as_ref()),
            "to": id(differs.to.as_ref()),
            "content": content,
            "changes": changes,
        })
    });
    json!({ "name": name, "from": difference.from, "to": difference.to, "entries": entries.collect::<Vec<_>>() })
}

fn row_result(applied: bool, state: State) -> StepResult {
    match (applied, state) {
        (true, _) => StepResult::Applied,
        // Nothing more will come of it.
        (false, State::Abandoned | State::Done) => StepResult::Skipped,
        (false, State::Claimed | State::Partial) => StepResult::Pending,
    }
}

/// Describes the versions of one key, newest first.
pub fn key_history(key: &str, targets: &[TargetHistory]) -> Value {
    let versions: Vec<_> = targets
        .iter()
        .flat_map(|target| target.versions.iter().map(move |version| (target, version)))
        .map(|(target, version)| {
            json!({
                "target": target.target,
                "version": id(version.version.as_ref()),
                "at": version.version.as_ref().and_then(|version| version.at).unwrap_or(version.released_at),
                "release": version.release,
                "current": version.current,
                "restorable": version.restorable,
                "restorable_until": version.restorable_until,
            })
        })
        .collect();
    json!({ "key": key, "versions": versions })
}

fn row_word(action: RowAction) -> &'static str {
    match action {
        RowAction::Create => "create",
        RowAction::Update => "update",
        RowAction::Delete | RowAction::Withdraw => "delete",
        RowAction::Pin => "pin",
        RowAction::Forget => "forget",
        RowAction::Adopt => "adopt",
    }
}

/// Describes how a configuration stands; with each target that was not reached goes what went wrong.
pub fn status(name: &str, status: &Status, troubles: &[(TargetName, Trouble)]) -> Value {
    let targets = status.targets.iter().map(|target| {
        let error = troubles.iter().find(|(name, _)| *name == target.target);
        json!({
            "target": target.target,
            "release": target.release,
            "pending": target.pending,
            "sync": target.sync,
            "health": words::health(target),
            "last_pass": target.last_pass,
            "last_change": target.last_change,
            "last_error": error.map(|(_, error)| trouble(error)),
            "drift": target.drift.iter().map(drifted_object).collect::<Vec<_>>(),
        })
    });
    json!({
        "name": name,
        "verdict": status.verdict(),
        "release": status.newest.as_ref().and_then(|header| header.release),
        "restores": status.newest.as_ref().and_then(|header| header.restores),
        "file": file_word(status),
        "targets": targets.collect::<Vec<_>>(),
        "holds": status.holds.iter().map(held_key).collect::<Vec<_>>(),
    })
}

fn file_word(status: &Status) -> Option<&'static str> {
    match status.file {
        File::Invalid => None,
        // It releases nothing, whatever is held.
        File::Stands(FileStanding::Behind, _) => Some(standing(FileStanding::Behind)),
        File::Stands(..) if status.file_is_held() => Some("held"),
        File::Stands(file, _) => Some(standing(file)),
    }
}

fn held_key(held: &HeldKey) -> Value {
    json!({
        "key": held.key,
        "since_release": held.since,
        "reason": held.reason,
        "kind": held.kind,
        "targets": held.targets,
        "blocks": held.blocks,
        "asks_for": held.asks_for,
    })
}

/// Describes one thing that went wrong.
pub fn trouble(trouble: &Trouble) -> Value {
    json!({
        "kind": trouble.kind,
        "message": trouble.message,
        "location": trouble.location,
        "target": trouble.target,
        "key": trouble.key,
        "hint": trouble.hint,
    })
}

/// Describes a command that failed: the first trouble is the error, all of them are listed.
pub fn error(troubles: &[Trouble]) -> Value {
    let first = troubles.first().map(trouble);
    json!({ "error": first, "errors": troubles.iter().map(trouble).collect::<Vec<_>>() })
}

fn id(version: Option<&Version>) -> Option<&str> {
    version.map(|version| version.id.as_str())
}

/// Serialises any plain value.
pub fn plain<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).expect("plain data with text keys always serialises")
}
