//! Going back: what an operator wished goes before what the file asks, on every target that it is meant for.
//!
//! A rollback is planned from the ledger alone: the pins as they are, the pins as they were, and for each key between
//! the two one ordinary step. Whoever finds it unfinished plans the rest of it the same way from what the store shows.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use repin_provider::{Content, Item, Key, ReadValue, Seen, Serving, TargetName, Value, Version};

use super::{cost, running};
use crate::model::compare::{content_digest, content_read};
use crate::model::desired::Desired;
use crate::model::hold::{HeldContent, Hold};
use crate::model::observed::{FileStanding, Found, Observed, TargetState};
use crate::model::plan::{
    Block, BlockKind, Change, Plan, PlannedRelease, Reason, SetPlan, Step, StepAction, TargetPlan,
};
use crate::model::release::{Cause, ContentDigest, Ledger, Pin, Record, RowAction, State, TargetId};
use crate::model::retention::{Source, number, oldest_restorable};
use crate::model::way::{Goal, Way, newest_unfinished, owes, rows_of, same_content};

/// What an operator wishes.
#[derive(Debug, Clone)]
pub struct Wish<'a> {
    /// Where to.
    pub goal: Goal,
    /// What the file asks for, where it can be read as a whole.
    pub asks: Option<&'a Desired>,
    /// Whether that is the file of the newest release. Of any other file another host may have a newer one, so that what
    /// it asks for does not say what will be asked for.
    pub newest: bool,
    /// What the operator says about it.
    pub reason: Option<&'a str>,
    /// The number of the release that this makes.
    pub number: u64,
    /// Targets that it is meant for and that could not be reached.
    pub unreached: BTreeMap<TargetId, TargetName>,
}

/// Plans what an operator wishes.
pub fn plan(wish: &Wish<'_>, observed: &Observed) -> Plan {
    let before = newest_unfinished(observed);
    let (restores, keys) = match &wish.goal {
        Goal::Release { release, keys } => (Some(*release), keys.clone()),
        Goal::Version { .. } => (None, None),
    };
    let mut blocks = Vec::new();
    let mut targets = BTreeMap::new();
    for (name, state) in &observed.targets {
        let mut planned = match state.ledger.open() {
            Some(record) if !state.takeover => {
                blocks.push(running(name, record));
                TargetPlan::new(state.id.clone())
            }
            Some(record) => {
                // What is open is of a file's release: it ends here as far as it got.
                let owner = record.owner.clone();
                let closed = observed.closed(state, record, &owner);
                let ledger = state.ledger.with(closed.clone());
                let mut planned = go_back(wish, name, state, &ledger, &mut blocks);
                planned.close = Some(closed);
                planned
            }
            None => go_back(wish, name, state, &state.ledger, &mut blocks),
        };
        // One that has not heard of an earlier wish must hear of this one, or that would still be due.
        let is_due = before.as_ref().is_some_and(|(header, _)| owes(state, header));
        planned.announces = is_due && !planned.records() && restores.is_some() && keys.is_none();
        planned.cost = cost(&planned, 0, state);
        targets.insert(name.clone(), planned);
    }
    let mut any = targets.values().any(TargetPlan::records);
    if !any && !wish.unreached.is_empty() && blocks.is_empty() {
        // Here all is as it should be; who can reach the others has to hear of it all the same.
        any = targets.values_mut().next().map(|first| first.announces = true).is_some();
    }
    let release = any.then(|| PlannedRelease {
        number: wish.number,
        continues: None,
        file: None,
        cause: wish.goal.cause(),
        restores,
        keys,
        header: None,
        unreached: wish.unreached.clone(),
    });
    Plan {
        release,
        notes: super::staged_again(&targets),
        targets,
        orphaned: BTreeMap::new(),
        blocks,
        file: FileStanding::Current,
        held: Vec::new(),
        cause: wish.goal.cause(),
        then_more: false,
    }
}

/// Tells whether a file is that of the newest release of the targets.
pub fn is_newest(observed: &Observed, file: Option<&Desired>) -> bool {
    file.is_some_and(|file| observed.standing(file, &[], false) == FileStanding::Current)
}

/// Plans the rest of what an operator wished and some run left unfinished, or some target has not heard of; `None` where
/// there is no such thing.
pub fn unfinished(observed: &Observed, asks: Option<&Desired>) -> Option<Plan> {
    let (header, goal) = newest_unfinished(observed)?;
    let wish = Wish {
        goal,
        asks,
        newest: is_newest(observed, asks),
        reason: header.message.as_deref(),
        number: header.release.unwrap_or_default(),
        unreached: BTreeMap::new(),
    };
    let mut blocks = Vec::new();
    let mut targets = BTreeMap::new();
    for (name, state) in &observed.targets {
        let mut planned = TargetPlan::new(state.id.clone());
        match state.ledger.open() {
            Some(record) if !state.takeover => blocks.push(running(name, record)),
            Some(record) if record.header.nonce == header.nonce => {
                planned = go_back(&wish, name, state, &state.ledger, &mut blocks);
                planned.resume = Some(record.clone());
            }
            open if owes(state, &header) => {
                let closed = open.map(|record| observed.closed(state, record, &record.owner));
                let ledger =
                    closed.as_ref().map_or_else(|| state.ledger.clone(), |closed| state.ledger.with(closed.clone()));
                planned = go_back(&wish, name, state, &ledger, &mut blocks);
                planned.close = closed;
                // Where nothing is left to do it is written down all the same, or it would never be done with.
                planned.announces = !planned.records();
            }
            _ => {}
        }
        planned.cost = cost(&planned, 0, state);
        targets.insert(name.clone(), planned);
    }
    let release = PlannedRelease {
        number: wish.number,
        continues: Some(header.nonce.clone()),
        file: None,
        cause: header.cause,
        restores: header.restores,
        keys: header.keys.clone(),
        header: Some(header),
        unreached: BTreeMap::new(),
    };
    Some(Plan {
        release: Some(release),
        notes: super::staged_again(&targets),
        targets,
        orphaned: BTreeMap::new(),
        blocks,
        file: FileStanding::Current,
        held: Vec::new(),
        cause: Cause::Reconcile,
        then_more: true,
    })
}

/// Plans one target.
fn go_back(
    wish: &Wish<'_>,
    name: &TargetName,
    state: &TargetState,
    ledger: &Ledger,
    blocks: &mut Vec<Block>,
) -> TargetPlan {
    blocks.extend(super::serve_changed(name, state, ledger));
    let caps = &state.capabilities;
    let way = Way::to(&wish.goal, ledger, caps.serving);
    let mut planned = TargetPlan::new(state.id.clone());
    let mut gone = Vec::new();
    for (key, (now, then)) in &way.changes {
        let restore = Restore { wish, state, ledger, key, now: now.as_ref(), set: way.set.is_some() };
        match then {
            None => planned.steps.extend(restore.remove()),
            Some(then) => match restore.serve(then) {
                Ok(step) => planned.steps.extend(step),
                Err(why) => gone.push((key.clone(), why)),
            },
        }
    }
    if let Some((key, why)) = gone.first() {
        blocks.push(cannot_return(wish, name, state, ledger, key, why, gone.len()));
    }
    planned.holds = holds(wish, name, state, ledger, &way);
    if planned.steps.iter().any(Step::writes) && caps.serving == Serving::Together {
        planned.reference = reference(state, ledger);
        match way.set {
            Some(set) => planned.set = Some(SetPlan::Existing(set)),
            None => super::stage(&mut planned, state, ledger),
        }
    }
    super::sort(&mut planned.steps);
    planned.copies = super::copies::of(&planned.steps, state);
    planned
}

fn reference(state: &TargetState, ledger: &Ledger) -> Option<Version> {
    let seen = state.reference.as_ref().map(|reference| reference.version.clone());
    seen.or_else(|| ledger.set.as_ref().map(|set| set.reference.clone()))
}

/// One key on its way back.
struct Restore<'a> {
    wish: &'a Wish<'a>,
    state: &'a TargetState,
    ledger: &'a Ledger,
    key: &'a Key,
    now: Option<&'a Pin>,
    /// Whether a frozen set that is there serves it.
    set: bool,
}

impl Restore<'_> {
    fn item(&self) -> Option<&Item> {
        self.state.items.get(self.key).and_then(Seen::item)
    }

    fn step(&self, action: StepAction) -> Step {
        let native = self.state.native.get(self.key).map_or_else(|| self.key.to_string(), Clone::clone);
        let reason = match self.wish.goal {
            Goal::Release { .. } => Reason::RolledBack,
            Goal::Version { .. } => Reason::Pinned,
        };
        Step {
            key: self.key.clone(),
            native,
            action,
            reason,
            from: self.item().map(|item| item.version.clone()),
            to: None,
            base: None,
            content: None,
            restores: None,
            digest: None,
            repair: false,
            changes: Vec::new(),
        }
    }

    fn remove(&self) -> Option<Step> {
        // Where it is gone already only the ledger still has it.
        let apart = self.state.capabilities.serving == Serving::Apart;
        Some(self.step(if apart { StepAction::Withdraw } else { StepAction::Delete }))
    }

    fn serve(&self, then: &Pin) -> Result<Option<Step>, String> {
        let item = self.item();
        let action = if item.is_some() { StepAction::Update } else { StepAction::Create };
        let mut step = self.step(action);
        step.digest = then.content.clone();
        step.restores = Some(then.origin.clone());
        let serving = self.state.capabilities.serving;
        if self.set || item.is_some_and(|item| item.version == then.version) {
            step.to = Some(then.version.clone());
            if !self.set {
                // It is what readers meet: the ledger says so, and nothing is written.
                step.action = StepAction::Pin;
            }
            return Ok(Some(step));
        }
        let found = self.state.past(self.key, &then.version);
        let content = match found {
            Some(Found::Kept(None)) if serving == Serving::Apart => {
                step.to = Some(then.version.clone());
                return Ok(Some(step));
            }
            Some(Found::Kept(Some(read))) => self.content(read),
            Some(Found::Copied(content)) => (**content).clone(),
            Some(Found::Kept(None)) | None => return Err("it was not looked for".to_owned()),
            Some(Found::Gone) => return Err(gone(self.state)),
        };
        if let Some(done) = self.done_already(item, &content, then) {
            step.action = StepAction::Pin;
            step.to = Some(done);
            return Ok(Some(step));
        }
        if serving == Serving::Apart {
            let head = self.state.heads.get(self.key).and_then(Seen::item);
            step.base = head.map(|head| head.version.clone()).or_else(|| last_known(self.ledger, self.key));
            if let Some(head) =
                head.filter(|head| head.value.is_some() && head.value.as_deref() == content.value.plain())
            {
                // A run that died has put it already.
                step.to = Some(head.version.clone());
                return Ok(Some(step));
            }
        }
        step.changes = self.changes(item, &content);
        step.content = Some(content);
        Ok(Some(step))
    }

    /// A String over a SecureString stays a SecureString: what was a secret once is shown to nobody.
    fn content(&self, read: &ReadValue) -> Content {
        let secret_now = self.now.and_then(|pin| pin.content.as_ref()).is_some_and(|content| !content.names_value());
        let content = content_read(read, self.item());
        match content.value {
            Value::Plain(text) if secret_now => {
                Content { value: Value::Secret(repin_provider::Secret::new(text)), ..content }
            }
            value => Content { value, ..content },
        }
    }

    /// Returns the version that a run which died has put already: what readers meet is neither the pin nor what the
    /// ledger knows, and holds what is wanted.
    fn done_already(&self, item: Option<&Item>, content: &Content, then: &Pin) -> Option<Version> {
        let item = item.filter(|item| self.now.is_none_or(|now| now.version != item.version))?;
        let same = match &item.value {
            Some(held) => Some(held.as_str()) == content.value.plain(),
            None => match self.state.past(self.key, &item.version) {
                Some(Found::Kept(Some(read))) => read.value.is(content.value.expose()),
                _ => false,
            },
        };
        let typed = !self.state.capabilities.content_types || item.content_type == content.content_type;
        (same && typed && item.version != then.version).then(|| item.version.clone())
    }

    fn changes(&self, item: Option<&Item>, content: &Content) -> Vec<Change> {
        match (item.and_then(|item| item.value.as_deref()), content.value.plain()) {
            (Some(from), Some(to)) => super::value_changes(from, to),
            _ => Vec::new(),
        }
    }
}

fn gone(state: &TargetState) -> String {
    match (state.capabilities.versions_kept, state.capabilities.versions_kept_for) {
        (Some(kept), _) => format!("the store keeps {kept} versions of an item, and none of one that was deleted"),
        (None, Some(kept)) => format!("the store keeps a replaced version for {} days", kept.as_secs() / 86_400),
        (None, None) => "the store does not keep it".to_owned(),
    }
}

/// Returns the newest version of a key that the ledger knows of: what a put would replace.
fn last_known(ledger: &Ledger, key: &Key) -> Option<Version> {
    let made = rows_of(ledger, key).filter(|(_, row)| row.applied).filter_map(|(_, row)| row.to.clone());
    made.chain(ledger.withdrawn.get(key).cloned()).max_by_key(number)
}

fn cannot_return(
    wish: &Wish<'_>,
    name: &TargetName,
    state: &TargetState,
    ledger: &Ledger,
    key: &Key,
    why: &str,
    count: usize,
) -> Block {
    let others = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
    let (message, hint) = match &wish.goal {
        Goal::Release { release, .. } => {
            let source = Source { target: name, ledger, capabilities: &state.capabilities };
            let oldest = oldest_restorable(&source, state.at.unwrap_or(Timestamp::MAX));
            let hint = match oldest {
                Some(oldest) => format!("The oldest release that {name} can serve again is {oldest}."),
                None => format!("{name} can serve no earlier release again."),
            };
            (
                format!(
                    "release {release} cannot be had back on {name}: what it had for {key}{others} is gone ({why})"
                ),
                hint,
            )
        }
        Goal::Version { version, .. } => (
            format!("{name} does not keep version {version} of {key} ({why})"),
            format!("repin history {key} lists the versions that there are."),
        ),
    };
    Block { kind: BlockKind::Refused, target: Some(name.clone()), key: Some(key.clone()), message, hint }
}

/// Returns what becomes of holds. A hold carries everything that was released or attempted after the release that is
/// brought back, and what the file asks for now, without what is brought back. Where the newest file asks for just that
/// there is nothing to hold.
fn holds(
    wish: &Wish<'_>,
    name: &TargetName,
    state: &TargetState,
    ledger: &Ledger,
    way: &Way,
) -> BTreeMap<Key, Option<Hold>> {
    let Goal::Release { release, .. } = &wish.goal else { return pinned(wish, ledger) };
    let mut changed = BTreeMap::new();
    let released = released_after(ledger, *release);
    let wanted = wish.goal.pins(ledger);
    let matcher = wish.goal.matcher();
    let asked = wish.asks.and_then(|desired| desired.targets.get(name)).map(|target| &target.entries);
    let prunes = wish.asks.is_some_and(|desired| desired.policy.prune);
    let in_file = asked.into_iter().flat_map(|entries| entries.keys());
    let in_file = in_file.filter(|key| matcher.as_ref().is_none_or(|matcher| matcher.is_match(key.as_str())));
    let keys: BTreeSet<&Key> = wanted.keys().chain(in_file).collect();
    for key in keys {
        let then = wanted.get(key).and_then(Option::as_ref);
        let restored = content_of(then.map(|pin| (pin.content.as_ref(), &pin.origin)));
        let before = ledger.holds.get(key);
        let secret = asked.and_then(|entries| entries.get(key)).filter(|e| e.value.is_secret() && e.pin.is_none());
        if secret.is_some() && !way.changes.contains_key(key) && !before.is_some_and(|hold| hold.pinned) {
            // It is served already, and nothing was read that tells whether the file asks for it: whatever brought it
            // back decided about its hold.
            continue;
        }
        let mut hold = before.cloned().unwrap_or_default();
        hold.contents.extend(released.get(key).into_iter().flatten().cloned());
        let mut equals_file = false;
        if let Some(entries) = asked {
            let asks = match entries.get(key) {
                None => (prunes && (then.is_some() || ledger.pins.contains_key(key))).then_some(HeldContent::Absent),
                Some(entry) if entry.value.is_secret() && entry.pin.is_none() => None,
                Some(entry) => Some(HeldContent::Plain(content_digest(entry).core())),
            };
            let same_secret = secret.zip(then).is_some_and(|(entry, then)| match state.past(key, &then.version) {
                Some(Found::Kept(Some(read))) => read.value.is(entry.value.expose()),
                Some(Found::Copied(copy)) => copy.value.is(entry.value.expose()),
                _ => false,
            });
            equals_file =
                same_secret || asks.as_ref() == Some(&restored) || (asks.is_none() && !entries.contains_key(key));
            hold.contents.extend(asks);
        }
        hold.contents.remove(&restored);
        if equals_file && wish.newest && !hold.by_hand {
            hold.contents.clear();
        }
        // Another version of the same content is no other pin.
        hold.pinned &= match way.changes.get(key) {
            Some((Some(now), Some(then))) => same_content(now, then),
            Some(_) => false,
            None => true,
        };
        if before.is_none_or(|before| before.contents != hold.contents) {
            hold.since = wish.number;
            hold.reason = wish.reason.map(str::to_owned);
        }
        let after = (!hold.is_empty()).then_some(hold);
        if after.as_ref() != before {
            changed.insert(key.clone(), after);
        }
    }
    changed
}

/// What is pinned by hand stays so until it is unpinned.
fn pinned(wish: &Wish<'_>, ledger: &Ledger) -> BTreeMap<Key, Option<Hold>> {
    let Goal::Version { key, .. } = &wish.goal else { return BTreeMap::new() };
    let before = ledger.holds.get(key);
    if before.is_some_and(|hold| hold.pinned) {
        return BTreeMap::new();
    }
    // A hold that is there stays what it was once the pin is gone.
    let hold = match before {
        Some(before) => Hold { pinned: true, ..before.clone() },
        None => Hold { pinned: true, since: wish.number, reason: wish.reason.map(str::to_owned), ..Hold::default() },
    };
    [(key.clone(), Some(hold))].into()
}

fn content_of(content: Option<(Option<&ContentDigest>, &Version)>) -> HeldContent {
    match content {
        None => HeldContent::Absent,
        Some((Some(content), _)) if content.names_value() => HeldContent::Plain(content.core()),
        Some((_, origin)) => HeldContent::secret(origin),
    }
}

/// Lists the contents that were released or attempted after a release, by key.
fn released_after(ledger: &Ledger, release: u64) -> BTreeMap<&Key, BTreeSet<HeldContent>> {
    let after = |record: &&Record| record.header.release.is_some_and(|number| number > release);
    let records = ledger.records.iter().filter(after).filter(|record| record.state != State::Abandoned);
    let mut contents: BTreeMap<&Key, BTreeSet<HeldContent>> = BTreeMap::new();
    for row in records.flat_map(|record| &record.rows) {
        let content = match row.action {
            RowAction::Delete | RowAction::Withdraw => Some(HeldContent::Absent),
            RowAction::Forget => None,
            _ => match (&row.content, row.restores.as_ref().or(row.to.as_ref())) {
                (Some(content), _) if content.names_value() => Some(HeldContent::Plain(content.core())),
                (_, Some(version)) => Some(HeldContent::secret(version)),
                (_, None) => None,
            },
        };
        contents.entry(&row.key).or_default().extend(content);
    }
    contents
}
