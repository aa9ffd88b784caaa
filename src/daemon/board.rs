//! What the daemon knows of itself, for those who ask: probes, `repin status` of machines, metrics. Answering asks no
//! store anything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use repin_provider::{Item, Key, Provider, Seen, TargetName, Version};
use serde_json::{Value, json};

use super::metrics::{Metrics, Reload};
use super::pass::Ended;
use super::tally::Tally;
use crate::cycle::Host;
use crate::model::desired::Desired;
use crate::model::release::{Ledger, TargetId};
use crate::record::ledger;
use crate::report::{self, Trouble};
use crate::status::{Look, Status};

/// The loop turns at least this often. Far longer without a turn, and it hangs.
pub(super) const BEAT: Duration = Duration::from_secs(5);
/// How long the loop may take for one turn.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the daemon knows of itself.
pub struct Board {
    host: Arc<Host>,
    dry_run: bool,
    metrics: Metrics,
    tally: Mutex<Tally>,
    state: Mutex<State>,
}

/// What is known.
pub(super) struct State {
    /// What the file asks for, as it was last understood.
    pub(super) desired: Arc<Desired>,
    /// What is wrong with the file now; empty where nothing is.
    pub(super) file: Vec<Trouble>,
    pub(super) targets: BTreeMap<TargetName, TargetHealth>,
    /// What a release waits for, as a sentence.
    pub(super) waits: Option<String>,
    /// What keeps the file from being released, beside targets that cannot be had.
    pub(super) stuck: Vec<Trouble>,
    pub(super) contested: Vec<Contested>,
    /// Whether a newer release has superseded the file.
    pub(super) behind: bool,
    /// Whether every target has had a good pass since the start; stays so.
    ready: bool,
    turned: Instant,
    /// For how long nothing moves although something is at work, where that is too long.
    stuck_for: Option<Duration>,
}

/// Keys that serve another version than they should, with what they serve; `None` where that is nothing.
pub(super) type Serves = BTreeMap<Key, Option<Version>>;

/// How one target is.
#[derive(Debug, Clone)]
pub(super) struct TargetHealth {
    /// What is wrong with it now.
    pub(super) error: Option<Trouble>,
    /// Since when it is as it is, good or not.
    pub(super) since: Timestamp,
    /// When a pass last left it as it should be.
    pub(super) good: Option<Timestamp>,
    /// When it is looked at again.
    pub(super) next: Option<Timestamp>,
    /// What it serves other than it should, as the last pass left it; `None` where that is not known.
    pub(super) drift: Option<Serves>,
    /// Entries of which the file asks for something that is held.
    pub(super) held: usize,
    /// The newest release in its ledger.
    pub(super) release: u64,
    /// Entries that its ledger owns.
    pub(super) entries: usize,
    /// Entries that it does not take.
    pub(super) refused: usize,
    /// When the first of the kept releases can no longer be restored, where one ends by age.
    pub(super) restorable_until: Option<Timestamp>,
    /// Since when it is looked at.
    pub(super) watched: Timestamp,
}

/// An entry that somebody else insists on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contested {
    pub(super) target: TargetName,
    pub(super) key: Key,
    pub(super) wait: Duration,
    /// Who wrote it last and when, where the store says so.
    pub(super) by: Option<String>,
}

impl Board {
    pub(super) fn new(
        host: Arc<Host>,
        desired: Arc<Desired>,
        scope: impl Iterator<Item = TargetName>,
        dry_run: bool,
    ) -> Self {
        let now = (host.now)();
        let targets = scope.map(|name| (name, TargetHealth::unknown(now))).collect();
        let state = State::new(desired, targets);
        let metrics = Metrics::new(now, dry_run);
        Self { host, dry_run, metrics, tally: Mutex::default(), state: Mutex::new(state) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a pass.
    pub(super) fn count(&self, ended: &Ended, good: bool) {
        self.metrics.pass(&ended.of, good, ended.took.as_secs_f64());
        ended.result.iter().flat_map(|outcome| &outcome.steps).for_each(|step| self.metrics.step(step));
        self.take_answers();
    }

    /// Counts a time that the file was read.
    pub(super) fn reloaded(&self, result: Reload) {
        self.metrics.reload(result);
    }

    /// Counts what is sent through a provider from now on.
    pub(super) fn watch_provider(&self, target: &TargetName, provider: &Arc<dyn Provider>) {
        self.tally().watch(target, provider);
    }

    /// Returns how many requests were sent since the start.
    pub(super) fn sent(&self) -> u64 {
        self.tally().sent()
    }

    fn take_answers(&self) {
        self.tally().take(|target, counted, count| self.metrics.answers(target, counted, count));
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what is counted, as OpenMetrics text.
    pub(super) fn metrics(&self) -> Result<String, std::fmt::Error> {
        // What a pass at work has sent by now counts already.
        self.take_answers();
        self.metrics.text(&self.lock(), (self.host.now)())
    }

    /// Notes that the loop turned, and for how long nothing moved although something is at work, where that is too long.
    pub(super) fn turn(&self, stuck_for: Option<Duration>) {
        let mut state = self.lock();
        (state.turned, state.stuck_for) = (Instant::now(), stuck_for);
        state.ready |= state.targets.values().all(|target| target.good.is_some());
    }

    /// Tells whether the loop turns and its work gets on; otherwise why it does not seem to. Never depends on a store.
    pub fn live(&self) -> Result<String, String> {
        self.lock().live()
    }

    /// Tells whether every target has had a good pass since the start; otherwise which has not.
    pub fn ready(&self) -> Result<String, String> {
        let state = self.lock();
        if state.ready {
            return Ok("ready".to_owned());
        }
        let missing = state.targets.iter().filter(|(_, target)| target.good.is_none());
        let each = missing.map(|(name, target)| match &target.error {
            Some(error) => format!("{name} ({}: {})", error.kind, error.message),
            None => name.to_string(),
        });
        Err(format!("no good pass yet: {}", each.collect::<Vec<_>>().join(", ")))
    }

    /// Returns the object of `repin status` with what the daemon knows beside it, from what its last passes saw.
    pub fn status(&self) -> Value {
        let (desired, file_is_valid, own, targets) = {
            let state = self.lock();
            (Arc::clone(&state.desired), state.file.is_empty(), state.own(), state.targets.clone())
        };
        let looks = targets.iter().filter_map(|(name, health)| self.look(&desired, name, health)).collect();
        let asks = file_is_valid.then_some(&*desired);
        let status = Status::new(looks, asks, &self.host.memory.newest_files());
        let troubles: Vec<_> = targets.into_iter().filter_map(|(name, health)| Some((name, health.error?))).collect();
        let mut object = report::json::status(desired.name.as_str(), &status, &troubles);
        if !file_is_valid {
            object["file"] = json!("invalid");
        }
        object["daemon"] = own;
        object["daemon"]["dry_run"] = json!(self.dry_run);
        object
    }

    fn look(&self, desired: &Desired, name: &TargetName, health: &TargetHealth) -> Option<Look> {
        let id = TargetId::of(&desired.targets.get(name)?.config.place());
        let known = self.host.memory.target(&id);
        let ledger = ledger::remembered(&desired.name, &known.ledger);
        let items = health.drift.as_ref().map(|drift| seen(ledger.as_ref(), drift));
        let failure = health.error.as_ref().map(|error| error.kind);
        Some(Look { target: name.clone(), id, ledger, items, failure, last_pass: health.good.or(known.last_pass) })
    }
}

impl State {
    fn new(desired: Arc<Desired>, targets: BTreeMap<TargetName, TargetHealth>) -> Self {
        Self {
            desired,
            file: Vec::new(),
            targets,
            waits: None,
            stuck: Vec::new(),
            contested: Vec::new(),
            behind: false,
            ready: false,
            turned: Instant::now(),
            stuck_for: None,
        }
    }

    fn live(&self) -> Result<String, String> {
        let idle = self.turned.elapsed();
        match self.stuck_for {
            _ if idle >= PATIENCE => Err(format!("no turn of the loop for {} s", idle.as_secs())),
            Some(still) => Err(format!("a pass is at work and nothing was sent for {} s", still.as_secs())),
            None => Ok("live".to_owned()),
        }
    }

    fn own(&self) -> Value {
        let targets: BTreeMap<_, _> =
            self.targets.iter().map(|(name, target)| (name.as_str(), target.json())).collect();
        let contested = self.contested.iter().map(|entry| {
            json!({ "target": entry.target, "key": entry.key, "left_seconds": entry.wait.as_secs(), "by": entry.by })
        });
        json!({
            "ready": self.ready,
            "file": {
                "valid": self.file.is_empty(),
                "problems": self.file.iter().map(report::json::trouble).collect::<Vec<_>>(),
            },
            "release": {
                "waits": self.waits,
                "errors": self.stuck.iter().map(report::json::trouble).collect::<Vec<_>>(),
            },
            "contested": contested.collect::<Vec<_>>(),
            "targets": targets,
        })
    }
}

impl TargetHealth {
    pub(super) fn unknown(now: Timestamp) -> Self {
        Self {
            error: None,
            since: now,
            good: None,
            next: None,
            drift: None,
            held: 0,
            release: 0,
            entries: 0,
            refused: 0,
            restorable_until: None,
            watched: now,
        }
    }

    fn json(&self) -> Value {
        json!({
            "health": self.error.as_ref().map_or("ok", |error| error.kind),
            "since": self.since,
            "last_good_pass": self.good,
            "next_pass": self.next,
            "error": self.error.as_ref().map(report::json::trouble),
        })
    }
}

/// Makes what the last pass saw: all pins are served but those that it told of.
fn seen(ledger: Option<&Ledger>, drift: &Serves) -> BTreeMap<Key, Seen> {
    let pins = ledger.into_iter().flat_map(|ledger| &ledger.pins);
    let mut items: BTreeMap<Key, Seen> =
        pins.map(|(key, pin)| (key.clone(), Seen::Present(item(pin.version.clone())))).collect();
    for (key, served) in drift {
        let seen = served.clone().map_or(Seen::Absent, |version| Seen::Present(item(version)));
        items.insert(key.clone(), seen);
    }
    items
}

fn item(version: Version) -> Item {
    Item {
        version,
        value: None,
        secret: false,
        native_type: None,
        content_type: None,
        tags: None,
        description: None,
        owner: None,
        locked: false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    impl State {
        /// A state of some targets.
        pub(in crate::daemon) fn of_targets(targets: impl IntoIterator<Item = (TargetName, TargetHealth)>) -> Self {
            let text = "version: 1\nname: test\ntargets:\n  azure: { provider: azure-app-configuration, endpoint: \
                        https://contoso.azconfig.io }\nentries:\n  a: { value: one }\n";
            let dir = tempfile::tempdir().expect("a folder");
            let path = dir.path().join("repin.yaml");
            std::fs::write(&path, text).expect("written");
            let load =
                |path: &Path| crate::desired::load(&crate::desired::Request::new(vec![path.to_owned()], |_| None));
            Self::new(Arc::new(load(&path).expect("valid")), targets.into_iter().collect())
        }
    }

    #[test]
    fn a_loop_that_hangs_is_not_live() {
        let mut state = State::of_targets([]);
        assert_eq!(state.live(), Ok("live".to_owned()));
        state.stuck_for = Some(Duration::from_secs(1800));
        assert_eq!(state.live(), Err("a pass is at work and nothing was sent for 1800 s".to_owned()));
        state.turned = Instant::now().checked_sub(PATIENCE).expect("the machine is up for longer");
        let said = state.live().expect_err("it hangs");
        assert!(said.starts_with("no turn of the loop for 30 s"), "{said}");
    }
}
