//! Going back: what an operator wished goes before what the file asks, on every target that it is meant for.
//!
//! A rollback is planned from the ledger alone: the pins as they are, the pins as they were, and for each key between
//! the two one ordinary step. Whoever finds it unfinished plans the rest of it the same way from what the store shows.

use std::collections::{BTreeMap, BTreeSet};

use globset::GlobMatcher;
use jiff::Timestamp;
use repin_provider::{Content, Item, Key, ReadValue, Seen, Serving, TargetName, Value, Version};

use super::entry::content_read;
pub use super::entry::content_read as content_of_read;
use super::{cost, running};
use crate::history::{self, Source};
use crate::model::compare::content_digest;
use crate::model::desired::Desired;
use crate::model::hold::{HeldContent, Hold};
use crate::model::observed::{FileStanding, Found, Observed, TargetState};
use crate::model::plan::{
    Block, BlockKind, Change, Plan, PlannedRelease, Reason, SetPlan, Step, StepAction, TargetPlan,
};
use crate::model::release::{Cause, ContentDigest, Header, Ledger, Pin, Record, RowAction, State, TargetId};

/// What to go back to.
#[derive(Debug, Clone, PartialEq)]
pub enum Goal {
    /// What a release had, of the keys that a glob matches.
    Release {
        /// The release.
        release: u64,
        /// The glob; `None` for every key.
        keys: Option<String>,
    },
    /// One version of one key, by hand.
    Version {
        /// The key.
        key: Key,
        /// The version.
        version: Version,
    },
}

impl Goal {
    /// Returns what a record goes back to; `None` for one that does not.
    pub fn of(header: &Header, rows: &[crate::model::release::Row]) -> Option<Self> {
        match header.cause {
            Cause::Rollback => Some(Self::Release { release: header.restores?, keys: header.keys.clone() }),
            Cause::Pin => {
                let row = rows.first()?;
                Some(Self::Version { key: row.key.clone(), version: row.restores.clone()? })
            }
            _ => None,
        }
    }

    fn cause(&self) -> Cause {
        match self {
            Self::Release { .. } => Cause::Rollback,
            Self::Version { .. } => Cause::Pin,
        }
    }

    fn matcher(&self) -> Option<GlobMatcher> {
        match self {
            Self::Release { keys: Some(glob), .. } => globset::Glob::new(glob).ok().map(|glob| glob.compile_matcher()),
            _ => None,
        }
    }

    /// Returns the pins that a target should have, for the keys that this is about. What was taken over since keeps what
    /// it held before; what was let go of since is left alone.
    pub fn pins(&self, ledger: &Ledger) -> BTreeMap<Key, Option<Pin>> {
        match self {
            Self::Release { release, .. } => {
                let matcher = self.matcher();
                let then = ledger.at(*release).pins;
                let keys: BTreeSet<&Key> = ledger.pins.keys().chain(then.keys()).collect();
                keys.into_iter()
                    .filter(|key| matcher.as_ref().is_none_or(|matcher| matcher.is_match(key.as_str())))
                    .filter(|key| !forgotten_since(ledger, key, *release))
                    .map(|key| (key.clone(), then.get(key).cloned().or_else(|| before_adoption(ledger, key, *release))))
                    .collect()
            }
            Self::Version { key, version } => {
                let pin = known_pin(ledger, key, version).unwrap_or_else(|| Pin {
                    version: version.clone(),
                    release: None,
                    content: None,
                    origin: version.clone(),
                });
                [(key.clone(), Some(pin))].into()
            }
        }
    }
}

fn rows_of<'a>(
    ledger: &'a Ledger,
    key: &'a Key,
) -> impl DoubleEndedIterator<Item = (&'a Record, &'a crate::model::release::Row)> {
    let rows =
        move |record: &'a Record| record.rows.iter().filter(move |row| row.key == *key).map(move |row| (record, row));
    ledger.records.iter().flat_map(rows)
}

fn forgotten_since(ledger: &Ledger, key: &Key, release: u64) -> bool {
    let mut after = ledger.records.iter().skip_while(|record| record.header.release.is_none_or(|n| n <= release));
    !ledger.pins.contains_key(key)
        && after.any(|record| {
            record.rows.iter().any(|row| row.key == *key && row.applied && row.action == RowAction::Forget)
        })
}

/// Returns what somebody else's item held when it was taken over, if that happened after a release: going back must not
/// remove what was never ours to make.
fn before_adoption(ledger: &Ledger, key: &Key, release: u64) -> Option<Pin> {
    let (_, first) = rows_of(ledger, key)
        .skip_while(|(record, _)| record.header.release.is_none_or(|number| number <= release))
        .find(|(_, row)| row.applied)?;
    let version = match first.action {
        RowAction::Adopt => first.to.clone()?,
        RowAction::Update => first.from.clone()?,
        _ => return None,
    };
    let content = first.content.clone().filter(|_| first.action == RowAction::Adopt);
    Some(Pin { origin: version.clone(), version, release: None, content })
}

/// Returns the version of a key that a store's own name for it means, as far as the ledger knows: the newest, since
/// numbers start again when an item is made anew.
pub fn known_version(ledger: &Ledger, key: &Key, id: &str) -> Option<Version> {
    rows_of(ledger, key).filter_map(|(_, row)| row.to.clone()).filter(|version| version.id == id).last()
}

fn known_pin(ledger: &Ledger, key: &Key, version: &Version) -> Option<Pin> {
    let (record, row) = rows_of(ledger, key).rev().find(|(_, row)| row.applied && row.to.as_ref() == Some(version))?;
    let to = row.to.clone()?;
    let origin = row.restores.clone().unwrap_or_else(|| to.clone());
    Some(Pin { version: to, release: record.header.release, content: row.content.clone(), origin })
}

/// Tells whether two pins serve the same content.
pub fn same_content(a: &Pin, b: &Pin) -> bool {
    let named = |pin: &Pin| pin.content.clone().filter(ContentDigest::names_value);
    a.origin == b.origin || (named(a).is_some() && named(a) == named(b))
}

/// What there is to do on one target to get back.
#[derive(Debug, Clone, Default)]
pub struct Way {
    /// Keys whose pin changes: the pin now, and the one wanted.
    pub changes: BTreeMap<Key, (Option<Pin>, Option<Pin>)>,
    /// The frozen set that holds exactly what is wanted, where all keys are served together.
    pub set: Option<String>,
}

impl Way {
    /// Finds the way from what a ledger says now to a goal.
    pub fn to(goal: &Goal, ledger: &Ledger, serving: Serving) -> Self {
        let wanted = goal.pins(ledger);
        let set = match goal {
            Goal::Release { release, .. } if serving == Serving::Together => existing_set(ledger, *release, &wanted),
            _ => None,
        };
        let same = |now: &Pin, then: &Pin| {
            if serving == Serving::AtOnce || (serving == Serving::Together && set.is_none()) {
                same_content(now, then)
            } else {
                now.version == then.version || (serving == Serving::Apart && same_content(now, then))
            }
        };
        let changes = wanted.into_iter().filter_map(|(key, then)| {
            let now = ledger.pins.get(&key);
            let done = match (now, &then) {
                (Some(now), Some(then)) => same(now, then),
                (now, then) => now.is_none() && then.is_none(),
            };
            (!done).then(|| (key, (now.cloned(), then)))
        });
        Self { changes: changes.collect(), set: None }.with_set(set)
    }

    fn with_set(self, set: Option<String>) -> Self {
        let set = set.filter(|_| !self.changes.is_empty());
        Self { set, ..self }
    }

    /// Lists the versions that are to be served again and have to be found first.
    pub fn versions(&self) -> Vec<(Key, Version)> {
        let then = |(key, (_, then)): (&Key, &(Option<Pin>, Option<Pin>))| Some((key.clone(), then.clone()?.version));
        self.changes.iter().filter_map(then).collect()
    }
}

/// Returns the set that a release was served by, if what is wanted is exactly what it holds.
fn existing_set(ledger: &Ledger, release: u64, wanted: &BTreeMap<Key, Option<Pin>>) -> Option<String> {
    let then = ledger.at(release);
    let set = then.set?;
    let mut after = ledger.pins.clone();
    for (key, pin) in wanted {
        match pin {
            Some(pin) => drop(after.insert(key.clone(), pin.clone())),
            None => drop(after.remove(key)),
        }
    }
    let versions = |pins: &BTreeMap<Key, Pin>| -> Vec<_> {
        pins.iter().map(|(key, pin)| (key.clone(), pin.version.id.clone())).collect()
    };
    (versions(&after) == versions(&then.pins)).then_some(set.name)
}

/// What an operator wishes.
#[derive(Debug, Clone)]
pub struct Wish<'a> {
    /// Where to.
    pub goal: Goal,
    /// What the file asks for, where it can be read as a whole.
    pub asks: Option<&'a Desired>,
    /// What the operator says about it.
    pub reason: Option<&'a str>,
    /// The number of the release that this makes.
    pub number: u64,
    /// Targets that it is meant for and that could not be reached.
    pub unreached: BTreeMap<TargetId, TargetName>,
}

/// Plans what an operator wishes.
pub fn plan(wish: &Wish<'_>, observed: &Observed) -> Plan {
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
        planned.cost = cost(&planned, 0, state);
        targets.insert(name.clone(), planned);
    }
    let mut any = targets.values().any(TargetPlan::records);
    if !any && !wish.unreached.is_empty() && blocks.is_empty() {
        // Here all is as it should be; who can reach the others has to hear of it all the same.
        any = targets.values_mut().next().map(|first| first.announces = true).is_some();
    }
    let (restores, keys) = match &wish.goal {
        Goal::Release { release, keys } => (Some(*release), keys.clone()),
        Goal::Version { .. } => (None, None),
    };
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
        targets,
        orphaned: BTreeMap::new(),
        blocks,
        file: FileStanding::Current,
        held: Vec::new(),
        notes: Vec::new(),
        cause: Cause::Reconcile,
        then_more: false,
    }
}

/// Plans the rest of what an operator wished and some run left unfinished, or some target has not heard of; `None` where
/// there is no such thing.
pub fn unfinished(observed: &Observed, asks: Option<&Desired>) -> Option<Plan> {
    let (header, goal) = newest_unfinished(observed)?;
    let wish = Wish {
        goal,
        asks,
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
        targets,
        orphaned: BTreeMap::new(),
        blocks,
        file: FileStanding::Current,
        held: Vec::new(),
        notes: Vec::new(),
        cause: Cause::Reconcile,
        then_more: true,
    })
}

/// Lists the ways that [`unfinished`] goes, so that what they need can be read first.
pub fn unfinished_ways(observed: &Observed) -> BTreeMap<TargetName, Way> {
    let Some((header, goal)) = newest_unfinished(observed) else { return BTreeMap::new() };
    let ways = observed.targets.iter().filter_map(|(name, state)| {
        let open = state.ledger.open().is_some_and(|open| open.header.nonce == header.nonce);
        (open || owes(state, &header)).then(|| {
            let ledger = match state.ledger.open() {
                Some(record) if !open => state.ledger.with(observed.closed(state, record, &record.owner)),
                _ => state.ledger.clone(),
            };
            (name.clone(), Way::to(&goal, &ledger, state.capabilities.serving))
        })
    });
    ways.collect()
}

/// Returns the newest wish that is not finished on a target that is looked at.
fn newest_unfinished(observed: &Observed) -> Option<(Header, Goal)> {
    let records = observed.targets.values().flat_map(|state| &state.ledger.records);
    let wishes = records.filter(|record| record.header.release.is_some() && record.state != State::Abandoned);
    let wishes = wishes.filter_map(|record| Some((record, Goal::of(&record.header, &record.rows)?)));
    let unfinished = wishes.filter(|(record, _)| {
        observed.targets.values().any(|state| {
            let open = state.ledger.open().filter(|_| state.takeover);
            open.is_some_and(|open| open.header.nonce == record.header.nonce) || owes(state, &record.header)
        })
    });
    unfinished.max_by_key(|(record, _)| record.header.release).map(|(record, goal)| (record.header.clone(), goal))
}

/// Tells whether a wish was meant for a target that has not heard of it. One that has made a later release since has
/// been decided about anew.
pub fn owes(state: &TargetState, header: &Header) -> bool {
    let known = |record: &Record| record.header.nonce == header.nonce;
    header.targets.contains_key(&state.id)
        && header.cause == Cause::Rollback
        && !state.ledger.records.iter().any(known)
        && header.release > Some(state.ledger.highest_release())
}

/// Plans one target.
fn go_back(
    wish: &Wish<'_>,
    name: &TargetName,
    state: &TargetState,
    ledger: &Ledger,
    blocks: &mut Vec<Block>,
) -> TargetPlan {
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
    planned.holds = holds(wish, name, ledger, &way);
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
        if self.item().is_none() {
            // Gone already: only the ledger still has it.
            return Some(self.step(StepAction::Delete));
        }
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
            Some(Found::Kept(_)) if serving == Serving::Apart => {
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
            step.base = last_known(self.ledger, self.key);
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
                Some(Found::Kept(Some(read))) => read.value.expose() == content.value.expose(),
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
    ledger.withdrawn.get(key).cloned().or_else(|| {
        let made = rows_of(ledger, key).filter(|(_, row)| row.applied).filter_map(|(_, row)| row.to.clone());
        made.max_by_key(|version| version.id.parse::<u64>().unwrap_or(0))
    })
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
            let oldest = history::oldest_restorable(&source, state.at.unwrap_or(Timestamp::MAX));
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
/// brought back, and what the file asks for now, without what is brought back.
fn holds(wish: &Wish<'_>, name: &TargetName, ledger: &Ledger, way: &Way) -> BTreeMap<Key, Option<Hold>> {
    let Goal::Release { release, .. } = &wish.goal else { return pinned(wish, ledger) };
    let mut changed = BTreeMap::new();
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
        let mut hold = before.cloned().unwrap_or_default();
        hold.contents.extend(released_after(ledger, key, *release));
        let mut equals_file = false;
        if let Some(entries) = asked {
            let asks = match entries.get(key) {
                None => (prunes && (then.is_some() || ledger.pins.contains_key(key))).then_some(HeldContent::Absent),
                Some(entry) if entry.value.is_secret() && entry.pin.is_none() => None,
                Some(entry) => Some(HeldContent::Plain(content_digest(entry).core())),
            };
            equals_file = asks.as_ref() == Some(&restored) || (asks.is_none() && !entries.contains_key(key));
            hold.contents.extend(asks);
        }
        hold.contents.remove(&restored);
        if equals_file && !hold.by_hand {
            hold.contents.clear();
        }
        hold.pinned &= !way.changes.contains_key(key);
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
    let hold = Hold {
        pinned: true,
        since: wish.number,
        reason: wish.reason.map(str::to_owned),
        ..before.cloned().unwrap_or_default()
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

/// Lists the contents of a key that were released or attempted after a release.
fn released_after(ledger: &Ledger, key: &Key, release: u64) -> BTreeSet<HeldContent> {
    let after = |record: &Record| record.header.release.is_some_and(|number| number > release);
    let rows = rows_of(ledger, key).filter(|(record, _)| after(record) && record.state != State::Abandoned);
    rows.filter_map(|(_, row)| match row.action {
        RowAction::Delete | RowAction::Withdraw => Some(HeldContent::Absent),
        RowAction::Forget => None,
        _ => match (&row.content, row.restores.as_ref().or(row.to.as_ref())) {
            (Some(content), _) if content.names_value() => Some(HeldContent::Plain(content.core())),
            (_, Some(version)) => Some(HeldContent::secret(version)),
            (_, None) => None,
        },
    })
    .collect()
}
