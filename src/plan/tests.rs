//! The planner against a small simulated world: any sequence of edits, hand edits and crashes converges, the second
//! plan is empty, and what is not ours stays as it is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;
use repin_provider::{Capabilities, Content, Item, Owner, Place, Seen, Serving, Value, Version};

use super::*;
use crate::model::desired::{Adopt, Entry, EntryKind, Extras, TargetConfig};
use crate::model::plan::EntrySet;
use crate::model::release::{Cause, Header, Record, Row, Runner, State, TargetId};

const TARGETS: [&str; 2] = ["one", "two"];
const KEYS: [&str; 4] = ["a", "b", "c", "d"];
const OURS: &str = "tests";

fn key(text: &str) -> Key {
    Key::parse(text).expect("valid")
}

fn target(text: &str) -> TargetName {
    TargetName::parse(text).expect("valid")
}

fn place(target: &str) -> Place {
    Place::parse(target).expect("valid")
}

/// One simulated store with its ledger.
#[derive(Debug, Clone, Default)]
struct Store {
    items: BTreeMap<Key, Item>,
    records: Vec<Record>,
    writes: u64,
}

impl Store {
    fn version(&mut self) -> Version {
        self.writes += 1;
        let at = Timestamp::from_second(self.writes as i64).expect("in range");
        Version::new(self.writes.to_string(), Some(at))
    }

    fn put(&mut self, key: &Key, value: &str, owner: Option<&str>) -> Version {
        let version = self.version();
        let owner = self.items.get(key).map_or(owner.map(str::to_owned), |item| item.owner.clone().flatten());
        let item = Item {
            version: version.clone(),
            value: Some(value.to_owned()),
            secret: false,
            native_type: None,
            content_type: None,
            tags: Some(BTreeMap::new()),
            description: None,
            owner: Some(owner),
            locked: false,
        };
        self.items.insert(key.clone(), item);
        version
    }
}

/// The whole simulated world.
#[derive(Debug, Clone, Default)]
struct World {
    stores: BTreeMap<TargetName, Store>,
    passes: u64,
    /// What the one host there is remembers.
    newest_here: Vec<FileDigest>,
}

/// A file: a value for each key on all targets.
type File = BTreeMap<&'static str, u8>;

fn desired(file: &File) -> Desired {
    let entry = |value: u8| Entry {
        kind: EntryKind::Text,
        value: Value::Plain(format!("value {value}")),
        trim: false,
        content_type: None,
        adopt: Adopt::Never,
        tier: None,
        extras: Extras::default(),
    };
    let config = serde_json::json!({"account": "111122223333", "region": "eu-west-1", "prefix": "/p"});
    let config: repin_aws_ssm::Config = serde_json::from_value(config).expect("valid");
    let targets = TARGETS.map(|name| {
        let entries = file.iter().map(|(name, value)| (key(name), entry(*value))).collect();
        let config = TargetConfig::AwsSsm(config.clone());
        (target(name), Target { name: target(name), config, entries })
    });
    let policy = crate::model::desired::Policy { max_deletes: 100, ..Default::default() };
    Desired {
        name: Owner::parse(OURS).expect("valid"),
        targets: targets.into(),
        policy,
        forget: Vec::new(),
        digest: FileDigest(format!("{file:?}")),
        warnings: Vec::new(),
        sources: Vec::new(),
    }
}

fn capabilities() -> Capabilities {
    Capabilities {
        provider: "simulated",
        serving: Serving::AtOnce,
        serve: "latest".to_owned(),
        compare_and_swap: true,
        secrets: false,
        content_types: false,
        describes: false,
        dates_on_write: true,
        read_batch: 10,
        page: 10,
        max_document: 4096,
        versions_kept: None,
        versions_kept_for: None,
        parallel_writes: 1,
        rates: None,
        settle: std::time::Duration::ZERO,
        read_lag: std::time::Duration::ZERO,
    }
}

impl World {
    fn new() -> Self {
        Self { stores: TARGETS.map(|name| (target(name), Store::default())).into(), passes: 0, newest_here: Vec::new() }
    }

    fn observe(&self, desired: &Desired) -> Observed {
        let targets = self.stores.iter().map(|(name, store)| {
            let ledger = Ledger::new(store.records.clone(), None);
            let open = ledger.open().into_iter().flat_map(|record| record.rows.iter().map(|row| row.key.clone()));
            let wanted = desired.targets[name].entries.keys().cloned();
            let keys: BTreeSet<Key> = wanted.chain(ledger.pins.keys().cloned()).chain(open).collect();
            let seen = |key: &Key| store.items.get(key).map_or(Seen::Absent, |item| Seen::Present(item.clone()));
            let unseen =
                TargetState::unseen(TargetId::of(&place(name.as_str())), place(name.as_str()), capabilities(), ledger);
            let state = TargetState {
                items: keys.iter().map(|key| (key.clone(), seen(key))).collect(),
                takeover: true,
                ..unseen
            };
            (name.clone(), state)
        });
        Observed { targets: targets.collect(), ..Observed::default() }
    }

    fn plan(&self, desired: &Desired) -> Plan {
        let observed = self.observe(desired);
        let input = Input {
            desired,
            observed: &observed,
            newest_here: &self.newest_here,
            allow_older: false,
            highest_elsewhere: 0,
            limits: Limits::default(),
        };
        let plan = plan(input);
        assert_eq!(check(&plan, Some(desired), &observed), [], "{plan:#?}");
        plan
    }

    /// Carries a plan out, dying after so many writes; the claims and the record of it are writes too.
    fn execute(&mut self, desired: &Desired, plan: &Plan, mut budget: usize) {
        self.passes += 1;
        if plan.release.is_some() {
            self.newest_here.push(desired.digest.clone());
        }
        let nonce = format!("pass {}", self.passes);
        let mut spend = || {
            let alive = budget > 0;
            budget = budget.saturating_sub(1);
            alive
        };
        let releasing: BTreeMap<_, _> = plan
            .targets
            .iter()
            .filter(|(_, planned)| planned.resume.is_some() || planned.steps.iter().any(|step| !step.repair))
            .map(|(name, planned)| (planned.id.clone(), name.clone()))
            .collect();
        for (name, planned) in &plan.targets {
            let store = self.stores.get_mut(name).expect("there");
            if let Some(closed) = &planned.close {
                if !spend() {
                    return;
                }
                *store.records.last_mut().expect("open") = closed.clone();
            }
        }
        for (name, planned) in &plan.targets {
            if planned.steps.is_empty() && planned.resume.is_none() {
                continue;
            }
            if !spend() {
                return;
            }
            let store = self.stores.get_mut(name).expect("there");
            let rows: Vec<_> = planned.steps.iter().map(row).collect();
            if let Some(open) = &planned.resume {
                let mut kept: Vec<_> = open.rows.iter().filter(|row| row.applied).cloned().collect();
                kept.retain(|row| !rows.iter().any(|new| new.key == row.key));
                kept.extend(rows);
                *store.records.last_mut().expect("open") = Record { rows: kept, state: State::Claimed, ..open.clone() };
            } else {
                let release = plan.release.as_ref().filter(|_| releasing.contains_key(&planned.id));
                store.records.push(Record {
                    seq: store.records.len() as u64 + 1,
                    owner: desired.name.clone(),
                    header: Header {
                        nonce: nonce.clone(),
                        release: release.map(|release| release.number),
                        cause: Cause::Reconcile,
                        at: Timestamp::from_second(1000).expect("in range"),
                        actor: "me".into(),
                        message: None,
                        file: release.and_then(|release| release.file.clone()),
                        restores: None,
                        keys: None,
                        heir: None,
                        targets: releasing.clone(),
                    },
                    state: State::Claimed,
                    runner: runner(),
                    rows,
                    holds: BTreeMap::new(),
                    copies: Vec::new(),
                    serve: None,
                    set: None,
                    ended: None,
                });
            }
        }
        for (name, planned) in &plan.targets {
            let store = self.stores.get_mut(name).expect("there");
            let mut made = BTreeMap::new();
            for step in &planned.steps {
                let to = match (&step.content, step.writes()) {
                    (_, false) => step.to.clone(),
                    _ if !spend() => return,
                    (Some(Content { value, .. }), true) => Some(store.put(&step.key, value.expose(), Some(OURS))),
                    (None, true) => {
                        store.items.remove(&step.key).expect("planned on what is there");
                        None
                    }
                };
                made.insert(step.key.clone(), to);
            }
            if !planned.steps.is_empty() || planned.resume.is_some() {
                if !spend() {
                    return;
                }
                let record = store.records.last_mut().expect("claimed");
                for row in record.rows.iter_mut().filter(|row| made.contains_key(&row.key)) {
                    row.to = made[&row.key].clone();
                    row.applied = true;
                }
                record.state = State::Done;
            }
        }
        if plan.release.is_some() || plan.file == FileStanding::Current {
            self.newest_here = vec![desired.digest.clone()];
        }
    }

    fn hand_edit(&mut self, name: &str, key_name: &str, value: Option<u8>) {
        let store = self.stores.get_mut(&target(name)).expect("there");
        match value {
            Some(value) if store.items.contains_key(&key(key_name)) => {
                store.put(&key(key_name), &format!("hand {value}"), None);
            }
            Some(_) => {}
            None => {
                store.items.remove(&key(key_name));
            }
        }
    }

    #[track_caller]
    fn assert_equals(&self, file: &File) {
        for store in self.stores.values() {
            let held: BTreeMap<_, _> = store
                .items
                .iter()
                .filter(|(key, _)| !key.as_str().starts_with("foreign"))
                .map(|(key, item)| (key.to_string(), item.value.clone().expect("plain")))
                .collect();
            let wanted: BTreeMap<_, _> =
                file.iter().map(|(key, value)| ((*key).to_owned(), format!("value {value}"))).collect();
            assert_eq!(held, wanted);
        }
    }
}

fn row(step: &Step) -> Row {
    Row {
        key: step.key.clone(),
        action: step.action.into(),
        from: step.from.clone(),
        to: step.to.clone(),
        content: step.digest.clone(),
        restores: step.restores.clone(),
        applied: false,
    }
}

fn runner() -> Runner {
    Runner { host: "h".into(), boot: "b".into(), pid_namespace: "n".into(), pid: 1, started: 1 }
}

/// What happens to the world.
#[derive(Debug, Clone)]
enum Event {
    /// The file becomes this, and a pass runs until it dies after so many writes.
    Edit(File, usize),
    /// A pass with the same file dies after so many writes.
    Pass(usize),
    /// Somebody changes or removes an item of ours.
    Hand(&'static str, &'static str, Option<u8>),
}

fn files() -> impl Strategy<Value = File> {
    proptest::collection::btree_map(proptest::sample::select(&KEYS[..]), 0_u8..3, 1..=KEYS.len())
}

fn events() -> impl Strategy<Value = Event> {
    // A pass has a dozen writes at most; half of them are let through whole.
    let budget = || prop_oneof![Just(usize::MAX), 0_usize..12];
    prop_oneof![
        (files(), budget()).prop_map(|(file, budget)| Event::Edit(file, budget)),
        budget().prop_map(Event::Pass),
        (proptest::sample::select(&TARGETS[..]), proptest::sample::select(&KEYS[..]), proptest::option::of(0_u8..3))
            .prop_map(|(target, key, value)| Event::Hand(target, key, value)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_story_converges(first in files(), story in proptest::collection::vec(events(), 0..8)) {
        let mut world = World::new();
        for name in TARGETS {
            world.stores.get_mut(&target(name)).expect("there").put(&key("foreign"), "theirs", None);
        }
        let foreign = |world: &World| -> Vec<_> {
            world.stores.values().map(|store| store.items[&key("foreign")].version.clone()).collect()
        };
        let before = foreign(&world);
        let mut file = first;
        for event in story {
            match event {
                Event::Edit(new, budget) => {
                    file = new;
                    let desired = desired(&file);
                    let plan = world.plan(&desired);
                    prop_assert!(plan.blocks.is_empty(), "{:?}", plan.blocks);
                    world.execute(&desired, &plan, budget);
                }
                Event::Pass(budget) => {
                    let desired = desired(&file);
                    let plan = world.plan(&desired);
                    prop_assert!(plan.blocks.is_empty(), "{:?}", plan.blocks);
                    world.execute(&desired, &plan, budget);
                }
                Event::Hand(target, key, value) => world.hand_edit(target, key, value),
            }
        }
        let wanted = desired(&file);
        let plan = world.plan(&wanted);
        prop_assert!(plan.blocks.is_empty(), "{:?}", plan.blocks);
        world.execute(&wanted, &plan, usize::MAX);
        world.assert_equals(&file);
        let again = world.plan(&wanted);
        prop_assert!(again.is_empty() && !again.has_changes(), "the second plan is empty: {again:#?}");
        prop_assert_eq!(again.file, FileStanding::Current);
        prop_assert_eq!(foreign(&world), before);
        for store in world.stores.values() {
            let ledger = Ledger::new(store.records.clone(), None);
            let served: BTreeMap<_, _> = ledger.pins.iter().map(|(key, pin)| (key, &pin.version)).collect();
            let held = store.items.iter().filter(|(key, _)| key.as_str() != "foreign");
            let held: BTreeMap<_, _> = held.map(|(key, item)| (key, &item.version)).collect();
            prop_assert_eq!(served, held, "the ledger says what is served");
        }
    }
}

#[test]
fn release_numbers_only_rise() {
    let mut world = World::new();
    let mut last = 0;
    for value in 0..4 {
        let wanted = desired(&File::from([("a", value)]));
        let plan = world.plan(&wanted);
        let number = plan.release.as_ref().expect("a release").number;
        assert_eq!(number, last + 1);
        last = number;
        world.execute(&wanted, &plan, usize::MAX);
    }
}

/// A claim that is not on all its targets served nothing: it is closed, its number is burnt.
#[test]
fn an_incomplete_claim_is_abandoned() {
    let mut world = World::new();
    let wanted = desired(&File::from([("a", 1)]));
    let plan = world.plan(&wanted);
    world.execute(&wanted, &plan, 1);
    assert_eq!(world.stores[&target("one")].records.len(), 1);
    assert!(world.stores[&target("two")].records.is_empty());
    let next = world.plan(&wanted);
    assert_eq!(next.targets[&target("one")].close.as_ref().map(|record| record.state), Some(State::Abandoned));
    let release = next.release.expect("a release");
    assert_eq!((release.number, release.continues), (2, None));
}

/// A complete claim of the same file is gone on with under its number.
#[test]
fn a_dead_release_is_rolled_forward() {
    let mut world = World::new();
    let wanted = desired(&File::from([("a", 1), ("b", 1)]));
    let plan = world.plan(&wanted);
    world.execute(&wanted, &plan, 3);
    let next = world.plan(&wanted);
    let release = next.release.clone().expect("a release");
    assert_eq!((release.number, release.continues.as_deref()), (1, Some("pass 1")));
    world.execute(&wanted, &next, usize::MAX);
    assert!(world.plan(&wanted).is_empty());
    assert_eq!(world.stores[&target("one")].items[&key("a")].version.id, "1", "made once");
}

/// Plans one target alone, which releases nothing.
fn plan_repair(world: &World, wanted: &Desired, name: &str, spared: Option<&EntrySet>) -> Plan {
    let mut observed = world.observe(wanted);
    observed.targets.retain(|of, _| of.as_str() == name);
    for state in observed.targets.values_mut() {
        // As `observe` does: what pins hold that are no longer served is read back.
        let pins = state.ledger.pins.iter().map(|(key, pin)| (key.clone(), pin.version.clone()));
        let changed = pins.filter(|(key, version)| {
            state.items.get(key).and_then(Seen::item).is_none_or(|item| item.version != *version)
        });
        let value = |version| repin_provider::ReadValue {
            version,
            value: repin_provider::Secret::new("what was released".to_owned()),
            secret: false,
            content_type: None,
            tags: None,
            description: None,
        };
        state.pinned = changed.map(|(key, version)| (key, Some(value(version)))).collect();
    }
    let plan = plan(Input {
        desired: wanted,
        observed: &observed,
        newest_here: &[],
        allow_older: false,
        highest_elsewhere: 0,
        limits: Limits { repair_only: true, spared, ..Limits::default() },
    });
    assert_eq!(check(&plan, Some(wanted), &observed), [], "{plan:#?}");
    plan
}

/// Where nothing may be released, drift is put back to what was, and what the file asks beyond that is counted.
#[test]
fn a_repair_releases_nothing() {
    let mut world = World::new();
    let wanted = desired(&File::from([("a", 1), ("b", 1), ("c", 1)]));
    let first = world.plan(&wanted);
    world.execute(&wanted, &first, usize::MAX);
    world.stores.get_mut(&target("one")).expect("there").put(&key("a"), "theirs", None);
    // One is changed, one dropped, one new; of the changed one something else is served than was released.
    let edited = desired(&File::from([("a", 2), ("b", 1), ("d", 1)]));
    let plan = plan_repair(&world, &edited, "one", None);
    let planned = &plan.targets[&target("one")];
    assert_eq!((plan.release.is_none(), planned.withheld, planned.steps.len()), (true, 3, 1), "{plan:#?}");
    let step = &planned.steps[0];
    assert_eq!((step.key.as_str(), step.reason, step.repair), ("a", Reason::Drift, true));
    let put = step.content.as_ref().and_then(|content| content.value.plain());
    assert_eq!(put, Some("what was released"), "not what the file asks for now");
    let calm = plan_repair(&world, &wanted, "two", None);
    assert!(calm.is_empty() && calm.targets[&target("two")].withheld == 0);
}

/// An entry that is spared is told, and no other.
#[test]
fn drift_of_what_is_spared_is_only_told() {
    let mut world = World::new();
    let wanted = desired(&File::from([("a", 1), ("b", 1)]));
    let first = world.plan(&wanted);
    world.execute(&wanted, &first, usize::MAX);
    for name in ["a", "b"] {
        world.stores.get_mut(&target("one")).expect("there").put(&key(name), "theirs", None);
    }
    let spared = EntrySet::from([(target("one"), [key("a")].into())]);
    let plan = plan_repair(&world, &wanted, "one", Some(&spared));
    let planned = &plan.targets[&target("one")];
    assert_eq!(planned.steps.iter().map(|step| step.key.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(planned.drift.iter().map(|drifted| drifted.key.as_str()).collect::<Vec<_>>(), ["a"]);
}

/// A claim of which only a pass over all targets can tell what became of it is left alone, and counted.
#[test]
fn a_repair_leaves_a_claim_that_others_have_too() {
    let mut world = World::new();
    let wanted = desired(&File::from([("a", 1)]));
    let first = world.plan(&wanted);
    world.execute(&wanted, &first, 1);
    let edited = desired(&File::from([("a", 2)]));
    let plan = plan_repair(&world, &edited, "one", None);
    assert!(plan.is_empty() && plan.targets[&target("one")].withheld == 1, "{plan:#?}");
}

/// A run that may be alive blocks; one that is quiet for long enough is taken over (see `observe`).
#[test]
fn a_living_run_blocks() {
    let mut world = World::new();
    let wanted = desired(&File::from([("a", 1)]));
    let plan = world.plan(&wanted);
    world.execute(&wanted, &plan, 2);
    let mut observed = world.observe(&wanted);
    observed.targets.values_mut().for_each(|state| state.takeover = false);
    let input = Input {
        desired: &wanted,
        observed: &observed,
        newest_here: &[],
        allow_older: false,
        highest_elsewhere: 0,
        limits: Limits::default(),
    };
    let blocked = super::plan(input);
    assert_eq!(blocked.blocks.iter().map(|block| block.kind).collect::<Vec<_>>(), [BlockKind::Running; 2]);
}

/// A key that the store did not answer for is neither made nor pruned, whatever the file asks: the pass does nothing.
#[test]
fn what_could_not_be_read_is_not_taken_for_absent() {
    let mut world = World::new();
    let released = desired(&File::from([("a", 1), ("b", 1)]));
    let first = world.plan(&released);
    world.execute(&released, &first, usize::MAX);
    for asked in [&[("a", 1), ("b", 1)][..], &[("a", 2), ("b", 1)], &[("b", 2)]] {
        let wanted = desired(&asked.iter().copied().collect());
        let mut observed = world.observe(&wanted);
        let state = observed.targets.get_mut(&target("one")).expect("there");
        state.items.insert(key("a"), Seen::Unreadable("the answer has nothing about it".to_owned()));
        let input = Input {
            desired: &wanted,
            observed: &observed,
            newest_here: &world.newest_here,
            allow_older: false,
            highest_elsewhere: 0,
            limits: Limits::default(),
        };
        let plan = plan(input);
        let blocks: Vec<_> = plan.blocks.iter().map(|block| (block.kind, block.key.clone())).collect();
        assert_eq!(blocks, [(BlockKind::Unreadable, Some(key("a")))], "{asked:?}: {plan:#?}");
        let steps = plan.targets.get(&target("one")).map_or(&[][..], |planned| &planned.steps);
        assert!(steps.iter().all(|step| step.key != key("a")), "{asked:?}: {plan:#?}");
    }
}

/// The second pair of eyes finds what a wrong planner would do.
#[test]
fn the_checker_finds_wrong_plans() {
    let mut world = World::new();
    let wanted = desired(&File::from([("a", 1)]));
    let first = world.plan(&wanted);
    world.execute(&wanted, &first, usize::MAX);
    world.stores.get_mut(&target("one")).expect("there").put(&key("foreign"), "theirs", None);
    let edited = desired(&File::from([("a", 2)]));
    let observed = world.observe(&edited);
    let good = world.plan(&edited);
    let broken = |spoil: &dyn Fn(&mut Plan)| {
        let mut plan = good.clone();
        spoil(&mut plan);
        check(&plan, Some(&edited), &observed).into_iter().map(|finding| finding.what).collect::<Vec<_>>()
    };
    assert_eq!(broken(&|_| {}), [] as [&str; 0]);
    let spoil = |change: &dyn Fn(&mut Step)| {
        broken(&|plan| change(&mut plan.targets.get_mut(&target("one")).expect("there").steps[0]))
    };
    assert!(spoil(&|step| step.from = Some(Version::new("99", None))).iter().any(|what| what.contains("version")));
    assert!(spoil(&|step| step.action = StepAction::Create).iter().any(|what| what.contains("although it is there")));
    assert!(spoil(&|step| step.action = StepAction::Delete).iter().any(|what| what.contains("the file wants it")));
    assert!(spoil(&|step| step.key = key("foreign")).iter().any(|what| what.contains("not read")));
    assert!(spoil(&|step| step.content = None).iter().any(|what| what.contains("content")));
    assert!(broken(&|plan| plan.release = None).iter().any(|what| what.contains("without a release")));
    assert!(broken(&|plan| plan.release.as_mut().expect("one").number = 1).iter().any(|what| what.contains("taken")));
    assert!(
        broken(&|plan| {
            let steps = &mut plan.targets.get_mut(&target("one")).expect("there").steps;
            steps.push(steps[0].clone());
        })
        .contains(&"it has two steps")
    );
}
