//! The planner: what a pass should do, as a pure function of values. No clock, randomness, I/O, environment or logging.
//!
//! ```text
//! desired ─┐
//! observed ┼─▶ standing ─▶ open records ─▶ one decision a key ─▶ brakes ─▶ Plan
//! ledger  ─┘   (behind?)   (close/resume)      (entry.rs)
//! ```

mod check;
mod diff;
mod entry;
mod open;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use repin_provider::{Key, TargetName};

pub use self::check::{Finding, check};
pub use self::diff::value_changes;
use self::entry::{Decision, KeyView};
use self::open::OpenRecord;
use crate::model::desired::{Desired, FileDigest, Target};
use crate::model::observed::{FileStanding, Observed, TargetState};
use crate::model::plan::{Block, BlockKind, Cost, Drifted, Plan, PlannedRelease, Step, StepAction, TargetPlan};
use crate::model::release::{Ledger, Record, TargetId};

/// Everything that a plan depends on.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What the file asks for.
    pub desired: &'a Desired,
    /// What the targets in scope hold.
    pub observed: &'a Observed,
    /// The digests that this host's file had when it was last the newest or about to be.
    pub newest_here: &'a [FileDigest],
    /// Whether an older file may be released again.
    pub allow_older: bool,
    /// The highest release number in the ledgers of targets that are not looked at.
    pub highest_elsewhere: u64,
}

/// Plans a pass.
pub fn plan(input: Input<'_>) -> Plan {
    let standing = input.observed.standing(input.desired, input.newest_here, input.allow_older);
    let resumed = open::resumable(input, standing);
    let first = plan_with(input, standing, resumed.as_deref());
    // A release is gone on with only if all that is left to release fits the records that it left open; otherwise
    // those are closed as they are and a new release is made.
    if resumed.is_some() && !fits_resumed(&first) { plan_with(input, standing, None) } else { first }
}

fn fits_resumed(plan: &Plan) -> bool {
    plan.targets.values().all(|target| target.resume.is_some() || target.steps.iter().all(|step| step.repair))
}

fn plan_with(input: Input<'_>, standing: FileStanding, resumed: Option<&str>) -> Plan {
    let mut blocks = Vec::new();
    let mut targets = BTreeMap::new();
    for (name, state) in &input.observed.targets {
        let Some(target) = input.desired.targets.get(name) else { continue };
        let planned = plan_target(input, standing, resumed, target, state, &mut blocks);
        targets.insert(name.clone(), planned);
    }
    let orphaned = orphaned(input);
    let mut plan = Plan { release: None, targets, orphaned, blocks, file: standing };
    plan.release = planned_release(input, &plan, resumed);
    brakes(input.desired, &mut plan);
    plan
}

fn plan_target(
    input: Input<'_>,
    standing: FileStanding,
    resumed: Option<&str>,
    target: &Target,
    state: &TargetState,
    blocks: &mut Vec<Block>,
) -> TargetPlan {
    let open = open::settle(input, state, standing, resumed);
    if let OpenRecord::Running(record) = &open {
        blocks.push(running(&target.name, record));
    }
    let ledger = open.ledger(state);
    let forgotten = globs(&input.desired.forget);
    let mut planned = TargetPlan {
        id: state.id.clone(),
        steps: Vec::new(),
        close: open.closed(),
        resume: open.resumed(),
        drift: Vec::new(),
        unchanged: 0,
        foreign: state.foreign.as_ref().map(|names| names.len() as u64),
        cost: Cost::default(),
    };
    if let OpenRecord::Leave(_) = &open {
        planned.unchanged = target.entries.len() as u64;
        return planned;
    }
    for key in keys(target, &ledger, state) {
        let view = KeyView {
            key: &key,
            entry: target.entries.get(&key),
            seen: state.items.get(&key),
            pin: ledger.pins.get(&key),
            may_be_ours: open.may_have_made(&key),
            pinned: state.pinned.get(&key),
            secret_matches: state.secret_matches.get(&key).copied(),
            native: state.native.get(&key).map_or_else(|| key.to_string(), Clone::clone),
            owner: &input.desired.name,
            policy: &input.desired.policy,
            file: standing,
            content_types: state.capabilities.content_types,
            describes: state.capabilities.describes,
            forgotten: forgotten.is_match(key.as_str()),
        };
        place(entry::decide(&view), &target.name, &mut planned, blocks);
    }
    // Removals come last: a reader that follows a renamed key finds the new one before the old one goes.
    planned.steps.sort_by(|a, b| {
        let last = |step: &Step| step.action == StepAction::Delete;
        last(a).cmp(&last(b)).then_with(|| a.key.cmp(&b.key))
    });
    planned.cost = cost(&planned, target, state);
    planned
}

fn place(decision: Decision, target: &TargetName, planned: &mut TargetPlan, blocks: &mut Vec<Block>) {
    match decision {
        Decision::Nothing => {}
        Decision::Unchanged => planned.unchanged += 1,
        Decision::Step(step) => planned.steps.push(*step),
        Decision::Drift(key, pin, served) => planned.drift.push(Drifted { key, pin, served }),
        Decision::Block(mut block) => {
            block.target = Some(target.clone());
            blocks.push(*block);
        }
    }
}

/// Every key that the file wants, that we own, or that an open record was about to make.
fn keys(target: &Target, ledger: &Ledger, state: &TargetState) -> BTreeSet<Key> {
    let open = state.ledger.open().into_iter().flat_map(|record| record.rows.iter().map(|row| row.key.clone()));
    target.entries.keys().cloned().chain(ledger.pins.keys().cloned()).chain(open).collect()
}

/// Returns a matcher of keys; loading the file has refused what is no glob.
fn globs(patterns: &[String]) -> globset::GlobSet {
    let globs = patterns.iter().filter_map(|pattern| globset::Glob::new(pattern).ok());
    let mut set = globset::GlobSetBuilder::new();
    globs.for_each(|glob| {
        set.add(glob);
    });
    set.build().unwrap_or_default()
}

/// Lists targets that releases in the ledgers name and whose place the file has no more.
fn orphaned(input: Input<'_>) -> BTreeMap<TargetId, TargetName> {
    let present: BTreeSet<_> =
        input.desired.targets.values().map(|target| TargetId::of(&target.config.place())).collect();
    let records = input.observed.targets.values().flat_map(|state| &state.ledger.records);
    let named = records.flat_map(|record| &record.header.targets);
    named.filter(|(id, _)| !present.contains(*id)).map(|(id, name)| (id.clone(), name.clone())).collect()
}

fn planned_release(input: Input<'_>, plan: &Plan, resumed: Option<&str>) -> Option<PlannedRelease> {
    let resumed_record = || plan.targets.values().find_map(|target| target.resume.as_ref());
    let releases = plan.targets.values().flat_map(|target| &target.steps).any(|step| !step.repair);
    let number = match (resumed, resumed_record()) {
        (Some(_), Some(record)) => record.header.release?,
        _ if releases => {
            1 + input
                .observed
                .targets
                .values()
                .map(|state| state.ledger.highest_release())
                .max()
                .unwrap_or(0)
                .max(input.highest_elsewhere)
        }
        _ => return None,
    };
    let continues = resumed_record().and(resumed).map(str::to_owned);
    Some(PlannedRelease { number, continues, file: input.desired.digest.clone() })
}

/// Stops a plan that removes more than it may.
fn brakes(desired: &Desired, plan: &mut Plan) {
    let deletes: u64 = plan
        .targets
        .values()
        .flat_map(|target| &target.steps)
        .filter(|step| step.action == StepAction::Delete && step.writes())
        .count() as u64;
    let empty = desired.targets.values().all(|target| target.entries.is_empty());
    let block = |message: String, hint: &str| Block {
        kind: BlockKind::TooManyDeletes,
        target: None,
        key: None,
        message,
        hint: hint.to_owned(),
    };
    if empty && deletes > 0 {
        plan.blocks.push(block(
            format!("the file has no entries, and {deletes} would be deleted"),
            "Give the file its entries back; to leave the stores as they are and let go of them, run repin forget --all.",
        ));
    } else if deletes > u64::from(desired.policy.max_deletes) {
        let max = desired.policy.max_deletes;
        plan.blocks.push(block(
            format!("{deletes} entries would be deleted, and policy.max_deletes allows {max} a pass"),
            "If that is meant, raise policy.max_deletes for this change.",
        ));
    }
}

fn running(target: &TargetName, record: &Record) -> Block {
    let what = match record.header.release {
        Some(number) => format!("release {number}"),
        None => "a repair".to_owned(),
    };
    Block {
        kind: BlockKind::Running,
        target: Some(target.clone()),
        key: None,
        message: format!("{what} is being made by {} (pid {})", record.header.actor, record.runner.pid),
        hint: "Wait until it is done; a run that died elsewhere is taken over after two minutes without a write."
            .to_owned(),
    }
}

/// What the quotas make of a pass.
fn cost(planned: &TargetPlan, target: &Target, state: &TargetState) -> Cost {
    let caps = &state.capabilities;
    let batch = |n: u64, size: usize| n.div_ceil(size as u64);
    let looked_at = state.items.len().max(target.entries.len()) as u64;
    let mut reads = 1 + batch(looked_at, caps.read_batch.max(if caps.dates_on_write { caps.page } else { 1 }));
    let writing = planned.steps.iter().filter(|step| step.writes()).count() as u64;
    let mut writes = writing;
    if !planned.steps.is_empty() {
        // The claim and the record.
        writes += 2;
        if !caps.dates_on_write {
            reads += batch(writing, caps.read_batch);
        }
    }
    writes += u64::from(planned.close.is_some());
    let seconds = caps.rates.map_or(0.0, |rates| (reads as f64 / rates.reads).max(writes as f64 / rates.writes));
    Cost { reads, writes, seconds }
}
