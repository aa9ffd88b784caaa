//! The planner: what a pass should do, as a pure function of values. No clock, randomness, I/O, environment or logging.
//!
//! ```text
//! desired ─┐
//! observed ┼─▶ standing ─▶ open records ─▶ one decision a key ─▶ brakes ─▶ Plan
//! ledger  ─┘   (behind?)   (close/resume)      (entry.rs)
//! ```

mod check;
mod copies;
mod diff;
mod entry;
mod open;
pub mod orders;
pub mod restore;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use repin_provider::{Content, Item, Key, Owner, Seen, Serving, TargetName, Value, Version};

pub use self::check::{Finding, check};
pub use self::diff::value_changes;
use self::entry::{Decision, KeyView};
use self::open::OpenRecord;
use crate::model::desired::{Desired, Drift, FileDigest, Target};
use crate::model::hold::Hold;
use crate::model::observed::{FileStanding, Observed, TargetState};
use crate::model::plan::{
    Block, BlockKind, Cost, Drifted, Held, Limits, Plan, PlannedRelease, Reason, SetPlan, Step, StepAction, TargetPlan,
};
use crate::model::release::{Cause, Ledger, Pin, Record, TargetId};
use crate::model::retention::{Until, ending, is_at_end, is_near_edge};

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
    /// What is left alone.
    pub limits: Limits<'a>,
}

/// Plans a pass.
pub fn plan(input: Input<'_>) -> Plan {
    // What an operator wished goes first, whatever the file says.
    if let Some(plan) = restore::unfinished(input.observed, Some(input.desired)) {
        return plan;
    }
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
    let mut plan = Plan {
        release: None,
        targets: BTreeMap::new(),
        orphaned: orphaned(input),
        blocks: Vec::new(),
        file: standing,
        held: Vec::new(),
        notes: Vec::new(),
        cause: Cause::Reconcile,
        then_more: false,
    };
    for (name, state) in &input.observed.targets {
        let Some(target) = input.desired.targets.get(name) else { continue };
        let planned = plan_target(input, standing, resumed, target, state, &mut plan);
        plan.targets.insert(name.clone(), planned);
    }
    plan.release = planned_release(input, &plan, resumed);
    let notes = split_releases(&plan, input.observed);
    plan.notes.extend(notes);
    plan.notes.extend(staged_again(&plan.targets));
    if !plan.is_empty() {
        plan.notes.extend(endings(input));
    }
    brakes(input.desired, &mut plan);
    plan
}

fn plan_target(
    input: Input<'_>,
    standing: FileStanding,
    resumed: Option<&str>,
    target: &Target,
    state: &TargetState,
    plan: &mut Plan,
) -> TargetPlan {
    let open = open::settle(input, state, standing, resumed);
    if let OpenRecord::Running(record) = &open {
        plan.blocks.push(running(&target.name, record));
    }
    let ledger = open.ledger(state);
    let mut planned = TargetPlan::new(state.id.clone());
    (planned.close, planned.resume) = (open.closed(), open.resumed());
    planned.foreign = state.foreign.as_ref().map(|names| names.len() as u64);
    if let OpenRecord::Leave(_) = &open {
        planned.withheld = u64::from(input.limits.repair_only && standing != FileStanding::Behind);
        planned.unchanged = target.entries.len() as u64;
        return planned;
    }
    plan.blocks.extend(serve_changed(&target.name, state, &ledger));
    plan.blocks.extend(taken_reference(&target.name, state, &ledger, &input.desired.name, &open));
    let forgotten = globs(&input.desired.forget);
    let set_is_there = ledger.set.as_ref().is_some_and(|set| {
        // A reference to it whose items are not there says that the set itself is gone.
        state.reference.as_ref().is_none_or(|reference| reference.set.as_ref() != Some(&set.name))
    });
    let apart = state.capabilities.serving == Serving::Apart;
    for key in keys(target, &ledger, state) {
        let near_edge = is_near_edge(&ledger, &state.capabilities, &key);
        let head = state.heads.get(&key).and_then(Seen::item).filter(|_| near_edge);
        let at_end = head.is_some_and(|head| is_at_end(&ledger, &state.capabilities, &key, &head.version));
        if at_end {
            plan.notes.push(ended(&target.name, &key));
        }
        let view = KeyView {
            key: &key,
            entry: target.entries.get(&key),
            seen: state.items.get(&key),
            pin: ledger.pins.get(&key),
            hold: ledger.holds.get(&key),
            held_secret: state.held_secrets.get(&key).copied().unwrap_or(false),
            may_be_ours: open.may_have_made(&key) || ledger.may_have_made(&key),
            withdrawn: ledger.withdrawn.contains_key(&key),
            pinned: state.pinned.get(&key),
            file_pin: state.file_pins.get(&key),
            secret_matches: state.secret_matches.get(&key).copied(),
            head: state.heads.get(&key).filter(|_| apart),
            head_matches: state.head_matches.get(&key).copied(),
            native: state.native.get(&key).map_or_else(|| key.to_string(), Clone::clone),
            owner: &input.desired.name,
            policy: &input.desired.policy,
            file: standing,
            serving: state.capabilities.serving,
            set_is_there,
            pin_is_there: apart && ledger.pins.get(&key).is_some_and(|pin| state.keeps(&key, pin)),
            content_types: state.capabilities.content_types,
            near_edge: near_edge && !at_end,
            describes: state.capabilities.describes,
            forgotten: forgotten.is_match(key.as_str()),
        };
        let mut decision = entry::decide(&view);
        if let Decision::Held(instead) = decision {
            plan.held.extend(ledger.holds.get(&key).map(|hold| held(&target.name, &key, hold, &ledger)));
            decision = *instead;
        }
        if input.limits.repair_only && planned.resume.is_none() && decision.releases() {
            planned.withheld += 1;
            decision = entry::keep(&view);
        }
        if decision.corrects() && input.limits.spares(&target.name, &key) {
            decision = entry::tell(&view);
        }
        place(decision, target, &mut planned, &mut plan.blocks);
    }
    let corrects = input.desired.policy.drift == Drift::Correct;
    settle_set(&mut planned, state, &ledger, corrects, plan);
    lift_holds(&mut planned, &ledger);
    sort(&mut planned.steps);
    planned.copies = copies::of(&planned.steps, state);
    planned.cost = cost(&planned, target.entries.len(), state);
    planned
}

/// Says that readers are led to the oldest version that a store has.
fn ended(target: &TargetName, key: &Key) -> String {
    format!(
        "{target} takes no change of {key}: others put so many versions that the one which is served is the oldest, and \
         the store drops none that a label names; repin rollback to a newer release, or repin pin a newer version"
    )
}

/// Removals come last: a reader that follows a renamed key finds the new one before the old one goes.
fn sort(steps: &mut [Step]) {
    let last = |step: &Step| matches!(step.action, StepAction::Delete | StepAction::Withdraw);
    steps.sort_by(|a, b| last(a).cmp(&last(b)).then_with(|| a.key.cmp(&b.key)));
}

/// Decides which frozen set is due. What readers should meet already is put back first: only then is it known what the
/// next set is made from.
fn settle_set(planned: &mut TargetPlan, state: &TargetState, ledger: &Ledger, corrects: bool, plan: &mut Plan) {
    if state.capabilities.serving != Serving::Together {
        return;
    }
    planned.reference = state.reference.as_ref().map(|reference| reference.version.clone());
    let again = |step: &Step| step.repair && step.content.is_none() && step.to.is_some();
    let known = ledger.set.as_ref().map(|set| set.name.clone());
    if planned.steps.iter().any(|step| again(step) && step.writes()) {
        let all = planned.steps.len();
        planned.steps.retain(again);
        plan.then_more |= planned.steps.len() < all;
        planned.set = known.map(SetPlan::Existing);
    } else if planned.steps.iter().any(Step::writes) {
        stage(planned, state, ledger);
    } else if state.reference.as_ref().is_some_and(|reference| !reference.kept && reference.set == known) {
        // Archived by somebody: it would vanish, and is made to stay.
        plan.notes.extend(
            known
                .as_ref()
                .map(|set| format!("the snapshot {set} that is served was archived by somebody: it is recovered")),
        );
        planned.set = known.map(SetPlan::Existing);
    } else if corrects && planned.steps.is_empty() && led_away(state, ledger) {
        plan.notes.extend(known.as_ref().map(|set| format!("somebody led readers to another snapshot: back to {set}")));
        planned.set = known.map(SetPlan::Existing);
    }
}

/// Tells whether readers are led to another set than the ledger's. What it holds of ours may be just the same, and then
/// no item tells: it holds something beside it.
fn led_away(state: &TargetState, ledger: &Ledger) -> bool {
    let known = ledger.set.as_ref().map(|set| &set.name);
    known.is_some() && state.reference.as_ref().is_some_and(|reference| reference.set.as_ref() != known)
}

/// Plans the next frozen set: what is staged is brought to what should be served, where it is not that already. What is
/// served and staged no more, after a rollback for example, is staged again.
fn stage(planned: &mut TargetPlan, state: &TargetState, ledger: &Ledger) {
    planned.set = Some(SetPlan::New);
    let staged = |key: &Key| state.heads.get(key).and_then(Seen::item);
    for step in planned.steps.iter_mut() {
        let head = staged(&step.key);
        step.base = head.map(|item| item.version.clone());
        if let (Some(content), Some(head)) = (&step.content, head)
            && holds(head, content)
        {
            step.to = Some(head.version.clone());
        }
    }
    let touched: BTreeSet<Key> = planned.steps.iter().map(|step| step.key.clone()).collect();
    for (key, pin) in ledger.pins.iter().filter(|(key, _)| !touched.contains(*key)) {
        let Some(item) = state.items.get(key).and_then(Seen::item) else { continue };
        let head = staged(key);
        if head.is_some_and(|head| head.version == item.version) {
            continue;
        }
        planned.steps.push(again(key, pin, item, head, state));
    }
    let wanted = |key: &Key| {
        let removed = |step: &&Step| step.key == *key && matches!(step.action, StepAction::Delete);
        (ledger.pins.contains_key(key) || touched.contains(key)) && !planned.steps.iter().any(|step| removed(&step))
    };
    // Readers meet it, and it is not ours (any more): it stays as it is.
    let let_go = |key: &Key| {
        let served = state.items.get(key).and_then(Seen::item)?;
        (!ledger.pins.contains_key(key) && !touched.contains(key)).then_some(served)
    };
    let left = state.heads.keys().filter(|key| !wanted(key) && let_go(key).is_none());
    planned.leftovers = left.filter_map(|key| Some((key.clone(), staged(key)?.version.clone()))).collect();
    planned.kept = state.items.keys().filter_map(|key| kept(key, let_go(key)?, staged(key))).collect();
}

/// Says what is not ours and is put into the next frozen set all the same.
fn staged_again(targets: &BTreeMap<TargetName, TargetPlan>) -> Vec<String> {
    let kept = targets.iter().flat_map(|(name, target)| target.kept.iter().map(move |(key, ..)| (name, key)));
    let note = |(name, key)| {
        format!("{key} of {name} was let go of and is staged no more: it is put there as readers have it")
    };
    kept.map(note).take(NOTES).collect()
}

/// Returns what to stage so that the next frozen set holds an item as it is served; nothing where it would already.
fn kept(key: &Key, served: &Item, head: Option<&Item>) -> Option<(Key, Content, Option<Version>)> {
    let content = content_of(served);
    let is_staged = head.is_some_and(|head| head.version == served.version || holds(head, &content));
    (!is_staged).then(|| (key.clone(), content, head.map(|head| head.version.clone())))
}

/// Returns what a put would have to carry to make an item what it is.
fn content_of(item: &Item) -> Content {
    Content {
        value: Value::Plain(item.value.clone().unwrap_or_default()),
        content_type: item.content_type.clone(),
        tags: item.tags.clone().unwrap_or_default(),
        description: item.description.clone(),
        tier: None,
    }
}

/// Puts what is served once more, so that the next frozen set holds it too.
fn again(key: &Key, pin: &Pin, item: &Item, head: Option<&Item>, state: &TargetState) -> Step {
    let content = content_of(item);
    Step {
        key: key.clone(),
        native: state.native.get(key).map_or_else(|| key.to_string(), Clone::clone),
        action: StepAction::Update,
        reason: Reason::Renewed,
        from: Some(item.version.clone()),
        to: head.filter(|head| holds(head, &content)).map(|head| head.version.clone()),
        base: head.map(|head| head.version.clone()),
        content: Some(content),
        restores: Some(pin.origin.clone()),
        digest: pin.content.clone(),
        repair: true,
        changes: Vec::new(),
    }
}

/// Tells whether an item is exactly what a put would make of it.
fn holds(item: &Item, content: &Content) -> bool {
    item.value.as_deref() == content.value.plain()
        && item.content_type == content.content_type
        && item.tags.as_ref().is_none_or(|tags| *tags == content.tags)
        && item.description == content.description
}

/// A content that is released lifts the hold that named others.
fn lift_holds(planned: &mut TargetPlan, ledger: &Ledger) {
    let released = planned.steps.iter().filter(|step| !step.repair);
    let lifted = released.filter(|step| ledger.holds.contains_key(&step.key)).map(|step| (step.key.clone(), None));
    planned.holds = lifted.collect();
}

fn held(target: &TargetName, key: &Key, hold: &Hold, ledger: &Ledger) -> Held {
    let serves = ledger.pins.get(key).map_or_else(|| ledger.effective(hold.since), |pin| pin.release);
    Held {
        target: target.clone(),
        key: key.clone(),
        hold: hold.clone(),
        serves: serves.map(|release| ledger.effective(release).unwrap_or(release)),
    }
}

/// The most notes of one kind that are told.
const NOTES: usize = 10;

/// Says where one entry would be released beside a held one that changed in the same release.
fn split_releases(plan: &Plan, observed: &Observed) -> Vec<String> {
    let mut notes = BTreeSet::new();
    for (name, planned) in &plan.targets {
        let Some(state) = observed.targets.get(name) else { continue };
        let held: BTreeMap<&Key, &Held> =
            plan.held.iter().filter(|held| held.target == *name).map(|held| (&held.key, held)).collect();
        let released = planned.steps.iter().filter(|step| !step.repair && !held.contains_key(&step.key));
        let released: BTreeSet<&Key> = released.map(|step| &step.key).collect();
        if held.is_empty() || released.is_empty() {
            continue;
        }
        let records = state.ledger.records.iter();
        for record in records.filter(|r| r.header.cause == Cause::Reconcile && r.header.release.is_some()) {
            let changed: BTreeSet<&Key> =
                record.rows.iter().map(|row| &row.key).filter(|k| released.contains(k)).collect();
            let stays = record.rows.iter().filter_map(|row| held.get(&row.key));
            for (held, key) in stays.flat_map(|held| changed.iter().map(move |key| (held, key))).take(NOTES) {
                let at = held.serves.map_or_else(|| "as it is".to_owned(), |release| format!("at {release}"));
                notes.insert(format!("{key} changes, {} stays {at} (held)", held.key));
            }
        }
    }
    let more = notes.len().saturating_sub(NOTES);
    let mut notes: Vec<_> = notes.into_iter().take(NOTES).collect();
    if more > 0 {
        notes.push(format!("{more} more entries change beside held ones of the same release"));
    }
    notes
}

/// Says which kept releases soon cannot be served again.
fn endings(input: Input<'_>) -> Vec<String> {
    let keep = input.desired.policy.keep_releases;
    let of = |(name, state): (&TargetName, &TargetState)| {
        let end = ending(&state.ledger, &state.capabilities, state.at?, keep)?;
        let which = match end.releases {
            (first, last) if first == last => format!("release {first}"),
            (first, last) => format!("releases {first} to {last}"),
        };
        let until = match end.until {
            Until::Time(at) => format!("until {:.0}", at),
            Until::Changes(1) => format!("before {} changes once more", end.key),
            Until::Changes(n) => format!("for {n} more changes of {}", end.key),
        };
        Some(format!("{name} can serve {which} again only {until}: then it no longer keeps a version that it needs"))
    };
    input.observed.targets.iter().filter_map(of).collect()
}

/// Refuses to meet readers in another way than before: what they follow would not move with them.
fn serve_changed(target: &TargetName, state: &TargetState, ledger: &Ledger) -> Option<Block> {
    let before = ledger.serve.as_ref().filter(|before| **before != state.capabilities.serve)?;
    Some(Block {
        kind: BlockKind::Refused,
        target: Some(target.clone()),
        key: None,
        message: format!("{target} was served as {before}, and the file asks for {}", state.capabilities.serve),
        hint: format!(
            "Set serve back to {before}. To change it, add a second target with the new serve and a prefix of its own, \
             let the readers move over, then take this one out of the file."
        ),
    })
}

/// Refuses to take over a reference that somebody else made.
fn taken_reference(
    target: &TargetName,
    state: &TargetState,
    ledger: &Ledger,
    owner: &Owner,
    open: &OpenRecord,
) -> Option<Block> {
    let reference = state.reference.as_ref()?;
    let ours = reference.owner.as_deref() == Some(owner.as_str());
    if ledger.set.is_some() || (ours && open.is_some()) {
        return None;
    }
    let whose = match &reference.owner {
        Some(other) if !ours => format!("belongs to {other:?}"),
        _ => "is not in the ledger".to_owned(),
    };
    Some(Block {
        kind: BlockKind::Foreign,
        target: Some(target.clone()),
        key: None,
        message: format!("the snapshot reference of {target} is there already and {whose}"),
        hint: "Choose another key in serve: { snapshot: KEY }, or remove the key-value that is there.".to_owned(),
    })
}

fn place(decision: Decision, target: &Target, planned: &mut TargetPlan, blocks: &mut Vec<Block>) {
    match decision {
        Decision::Nothing => {}
        Decision::Unchanged => planned.unchanged += 1,
        Decision::Step(step) => planned.steps.push(*step),
        Decision::Held(instead) => place(*instead, target, planned, blocks),
        Decision::Drift(key, pin, served) => planned.drift.push(Drifted { key, pin, served }),
        Decision::Block(mut block) => {
            block.target = Some(target.name.clone());
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
    Some(PlannedRelease::of_file(number, continues, input.desired.digest.clone()))
}

/// Stops a plan that removes more than it may.
fn brakes(desired: &Desired, plan: &mut Plan) {
    let deletes: u64 = plan
        .targets
        .values()
        .flat_map(|target| &target.steps)
        .filter(|step| matches!(step.action, StepAction::Delete | StepAction::Withdraw) && step.writes())
        .filter(|step| step.reason != Reason::Unneeded)
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
            format!("the file has no entries, and {deletes} items would be deleted from the stores"),
            "Give the file its entries back; to leave the stores as they are and let go of them, run repin forget --all.",
        ));
    } else if deletes > u64::from(desired.policy.max_deletes) {
        let max = desired.policy.max_deletes;
        plan.blocks.push(block(
            format!("{deletes} items would be deleted from the stores, and policy.max_deletes allows {max} a pass"),
            "Is an entry, an overlay or a folder missing? If all of them are meant to go, raise policy.max_deletes for this \
             change.",
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

/// Says anew what the quotas make of a plan, after more became known of them.
pub fn reprice(plan: &mut Plan, observed: &Observed) {
    for (name, target) in &mut plan.targets {
        if let Some(rates) = observed.targets.get(name).and_then(|state| state.capabilities.rates) {
            target.cost.seconds = rates.seconds(target.cost.reads, target.cost.writes);
        }
    }
}

/// What the quotas make of a pass.
fn cost(planned: &TargetPlan, entries: usize, state: &TargetState) -> Cost {
    let caps = &state.capabilities;
    let batch = |n: u64, size: usize| n.div_ceil(size as u64);
    let looked_at = state.items.len().max(entries) as u64;
    let mut reads = 1 + batch(looked_at, caps.read_batch.max(if caps.dates_on_write { caps.page } else { 1 }));
    let writing = planned.steps.iter().filter(|step| step.writes()).count() as u64;
    let mut writes = writing + (planned.copies.len() + planned.kept.len()) as u64;
    match caps.serving {
        Serving::AtOnce => {}
        // Each put is followed by the move of a label.
        Serving::Apart => writes += planned.steps.iter().filter(|step| step.content.is_some()).count() as u64,
        Serving::Together => match &planned.set {
            None => {}
            Some(SetPlan::Existing(_)) => writes = 1,
            Some(SetPlan::New) => {
                writes += 2;
                reads += 2 * batch(looked_at, caps.page) + 2;
            }
        },
    }
    if !planned.steps.is_empty() {
        // The claim and the record.
        writes += 2;
        if !caps.dates_on_write {
            reads += batch(writing, caps.read_batch);
        }
    }
    writes += u64::from(planned.close.is_some());
    let seconds = caps.rates.map_or(0.0, |rates| rates.seconds(reads, writes));
    Cost { reads, writes, seconds }
}
