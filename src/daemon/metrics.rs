//! What `/metrics` tells; `deploy/prometheus/README.md` lists every metric with what it means.
//!
//! Nothing of an entry is a label: keys are many, and nobody's business. What is one is bounded by the file (targets), by
//! this program (operations) or by HTTP (statuses).

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use repin_provider::TargetName;

use super::board::{State, TargetHealth};
use super::pass::Of;
use super::process;
use super::tally::Counted;
use crate::model::outcome::{StepOutcome, StepResult};
use crate::model::plan::Reason;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTarget {
    target: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPass {
    pass: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PassLabels {
    pass: &'static str,
    target: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    target: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    target: String,
    operation: String,
    status: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ThrottleLabels {
    target: String,
    operation: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    result: &'static str,
}

type Number = Gauge<f64, AtomicU64>;
type Whole = Family<OfTarget, Gauge>;
type Numbers = Family<OfTarget, Number>;

/// What is counted, and what is told as it is when somebody asks.
pub(super) struct Metrics {
    registry: Registry,
    process: Registry,
    counts: Counts,
    now: Now,
    own: Own,
}

/// What came of reading the file again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reload {
    /// It asks for what it asked before.
    Unchanged,
    /// It asks for something else.
    Changed,
    /// It cannot be understood.
    Invalid,
}

impl Metrics {
    /// Begins to count. `started` is when the process began.
    pub(super) fn new(started: Timestamp, dry_run: bool) -> Self {
        let mut registry = Registry::with_prefix("repin");
        registry.register("build", "The program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        let (counts, now, own) = (Counts::new(), Now::default(), Own::default());
        counts.register(&mut registry);
        now.register(&mut registry);
        now.dry_run.set(i64::from(dry_run));
        own.started.set(seconds(started));
        let mut process = Registry::with_prefix("process");
        own.register(&mut process);
        Self { registry, process, counts, now, own }
    }

    /// Counts a pass that ended.
    pub(super) fn pass(&self, of: &Of, good: bool, seconds: f64) {
        let (pass, target) = match of {
            Of::Target(target) => ("repair", target.to_string()),
            Of::All => ("release", "all".to_owned()),
        };
        let result = if good { "good" } else { "failed" };
        self.counts.passes.get_or_create(&PassLabels { pass, target, result }).inc();
        self.counts.durations.get_or_create(&OfPass { pass }).observe(seconds);
    }

    /// Counts what became of a step.
    pub(super) fn step(&self, step: &StepOutcome) {
        let target = step.target.to_string();
        if step.result == StepResult::Applied && matches!(step.reason, Reason::Drift | Reason::Missing) {
            self.counts.corrected.get_or_create(&OfTarget { target: target.clone() }).inc();
        }
        self.counts.steps.get_or_create(&StepLabels { target, result: word(step.result) }).inc();
    }

    /// Counts answers of a store.
    pub(super) fn answers(&self, target: &TargetName, counted: Counted<'_>, count: u64) {
        let target = target.to_string();
        match counted {
            Counted::Answers(operation, status) => {
                let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
                let labels = AnswerLabels { target, operation: operation.to_owned(), status };
                self.counts.requests.get_or_create(&labels).inc_by(count);
            }
            Counted::Throttles(operation) => {
                let labels = ThrottleLabels { target, operation: operation.to_owned() };
                self.counts.throttles.get_or_create(&labels).inc_by(count);
            }
        }
    }

    /// Counts a time that the file was read.
    pub(super) fn reload(&self, result: Reload) {
        let result = match result {
            Reload::Unchanged => "unchanged",
            Reload::Changed => "changed",
            Reload::Invalid => "invalid",
        };
        self.counts.reloads.get_or_create(&ReloadLabels { result }).inc();
    }

    /// Writes everything down as OpenMetrics, with what holds now. Targets that are gone are told no more.
    pub(super) fn text(&self, state: &State, now: Timestamp) -> Result<String, fmt::Error> {
        self.now.set(state, now);
        self.own.look();
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &self.process)?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

/// What only grows.
struct Counts {
    passes: Family<PassLabels, Counter>,
    durations: Family<OfPass, Histogram>,
    steps: Family<StepLabels, Counter>,
    corrected: Family<OfTarget, Counter>,
    requests: Family<AnswerLabels, Counter>,
    throttles: Family<ThrottleLabels, Counter>,
    reloads: Family<ReloadLabels, Counter>,
}

impl Counts {
    fn new() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(exponential_buckets(0.05, 2.5, 10));
        let counts = Self {
            passes: Family::default(),
            durations: Family::new_with_constructor(histogram),
            steps: Family::default(),
            corrected: Family::default(),
            requests: Family::default(),
            throttles: Family::default(),
            reloads: Family::default(),
        };
        // A rate is only known from the second value on, and the first failure should show.
        for result in ["unchanged", "changed", "invalid"] {
            counts.reloads.get_or_create(&ReloadLabels { result }).inc_by(0);
        }
        counts
    }

    fn register(&self, to: &mut Registry) {
        to.register("passes", "Passes that ended", self.passes.clone());
        let took = self.durations.clone();
        to.register_with_unit("pass_duration", "How long passes took", Unit::Seconds, took);
        to.register("steps", "Writes by what became of them", self.steps.clone());
        to.register("drift_corrected", "Entries that were put back", self.corrected.clone());
        to.register("requests", "Requests that were sent, by the status of their answer", self.requests.clone());
        to.register("throttles", "Answers that asked for fewer requests", self.throttles.clone());
        to.register("file_reloads", "Times that the file was read again", self.reloads.clone());
    }
}

/// What holds now.
#[derive(Default)]
struct Now {
    up: Whole,
    good_age: Numbers,
    last_good: Numbers,
    entries: Whole,
    drifted: Whole,
    held: Whole,
    contested: Whole,
    refused: Whole,
    release: Whole,
    restorable: Numbers,
    file_valid: Gauge,
    file_behind: Gauge,
    waiting: Gauge,
    dry_run: Gauge,
}

impl Now {
    fn set(&self, state: &State, now: Timestamp) {
        let whole = [&self.up, &self.entries, &self.drifted, &self.held, &self.contested, &self.refused, &self.release];
        whole.iter().for_each(|family| family.clear());
        [&self.good_age, &self.last_good, &self.restorable].iter().for_each(|family| family.clear());
        for (name, target) in &state.targets {
            self.set_target(name, target, now);
            let contested = state.contested.iter().filter(|entry| entry.target == *name).count();
            set(&self.contested, name, contested);
        }
        self.file_valid.set(i64::from(state.file.is_empty()));
        self.file_behind.set(i64::from(state.behind));
        self.waiting.set(i64::from(state.waits.is_some()));
    }

    fn set_target(&self, name: &TargetName, target: &TargetHealth, now: Timestamp) {
        set(&self.up, name, usize::from(target.error.is_none() && target.good.is_some()));
        set(&self.entries, name, target.entries);
        set(&self.drifted, name, target.drift.as_ref().map_or(0, |drift| drift.len()));
        set(&self.held, name, target.held);
        set(&self.refused, name, target.refused);
        set(&self.release, name, usize::try_from(target.release).unwrap_or(usize::MAX));
        let number = |family: &Numbers, value: f64| {
            family.get_or_create(&OfTarget { target: name.to_string() }).set(value);
        };
        number(&self.good_age, between(target.good.unwrap_or(target.watched), now));
        if let Some(good) = target.good {
            number(&self.last_good, seconds(good));
        }
        if let Some(ends) = target.restorable_until {
            number(&self.restorable, between(now, ends));
        }
    }

    fn register(&self, to: &mut Registry) {
        let mut whole = |name: &str, help: &str, family: &Whole| to.register(name, help, family.clone());
        whole("target_up", "Whether the last pass left the target as it should be", &self.up);
        whole("target_entries", "Entries that the target's ledger owns", &self.entries);
        whole("target_drifted_entries", "Entries that serve another version than they should", &self.drifted);
        whole("target_held_entries", "Entries of which the file asks for something held", &self.held);
        whole("target_contested_entries", "Entries that somebody else keeps changing", &self.contested);
        whole("target_refused_entries", "Entries that the target does not take", &self.refused);
        whole("target_release", "The newest release in the target's ledger", &self.release);
        let mut number = |name: &str, help: &str, family: &Numbers| {
            to.register_with_unit(name, help, Unit::Seconds, family.clone());
        };
        number("target_last_good_pass_age", "How long ago that was last so", &self.good_age);
        number("target_last_good_pass_timestamp", "When that was last so", &self.last_good);
        number("target_restorable", "Time until a kept release can no longer be restored", &self.restorable);
        let mut one = |name: &str, help: &str, gauge: &Gauge| to.register(name, help, gauge.clone());
        one("file_valid", "Whether the file can be read", &self.file_valid);
        one("file_behind", "Whether a newer release has superseded the file", &self.file_behind);
        one("release_waiting", "Whether a release waits for a target", &self.waiting);
        one("dry_run", "Whether nothing is written anywhere", &self.dry_run);
    }
}

/// The process, under the names that every exporter gives these.
#[derive(Default)]
struct Own {
    cpu: Counter<f64, AtomicU64>,
    resident: Gauge,
    descriptors: Gauge,
    started: Number,
}

impl Own {
    fn look(&self) {
        if let Some(usage) = process::usage() {
            // The kernel counts; this only passes on what it says.
            self.cpu.inner().store(usage.cpu.to_bits(), Ordering::Relaxed);
            self.resident.set(i64::try_from(usage.resident).unwrap_or(i64::MAX));
            self.descriptors.set(i64::try_from(usage.descriptors).unwrap_or(i64::MAX));
        }
    }

    fn register(&self, to: &mut Registry) {
        to.register_with_unit("cpu", "Processor time", Unit::Seconds, self.cpu.clone());
        to.register_with_unit("resident_memory", "Resident memory", Unit::Bytes, self.resident.clone());
        to.register("open_fds", "Open file descriptors", self.descriptors.clone());
        to.register_with_unit("start_time", "When the process started", Unit::Seconds, self.started.clone());
    }
}

fn set(family: &Whole, name: &TargetName, value: usize) {
    let labels = OfTarget { target: name.to_string() };
    family.get_or_create(&labels).set(i64::try_from(value).unwrap_or(i64::MAX));
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

/// Returns the seconds from one time to another; 0 where the clock was set back in between.
fn between(from: Timestamp, to: Timestamp) -> f64 {
    (to.as_millisecond() - from.as_millisecond()).max(0) as f64 / 1000.0
}

fn word(result: StepResult) -> &'static str {
    match result {
        StepResult::Applied => "applied",
        StepResult::Unchanged => "unchanged",
        StepResult::Pending => "pending",
        StepResult::Skipped => "skipped",
        StepResult::Refused => "refused",
        StepResult::Failed => "failed",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use repin_provider::Key;

    use super::*;
    use crate::model::plan::StepAction;

    /// The list that people read.
    const LIST: &str = include_str!("../../deploy/prometheus/README.md");

    fn target() -> TargetName {
        TargetName::parse("aws-eu").expect("valid")
    }

    fn full() -> Metrics {
        let metrics = Metrics::new(Timestamp::UNIX_EPOCH, false);
        metrics.pass(&Of::Target(target()), true, 0.2);
        metrics.pass(&Of::All, false, 3.0);
        metrics.step(&StepOutcome {
            target: target(),
            key: Key::parse("a").expect("valid"),
            native: "/a".to_owned(),
            action: StepAction::Update,
            reason: Reason::Drift,
            from: None,
            to: None,
            result: StepResult::Applied,
            error: None,
            buried: None,
        });
        metrics.answers(&target(), Counted::Answers("PutParameter", Some(200)), 2);
        metrics.answers(&target(), Counted::Answers("PutParameter", None), 1);
        metrics.answers(&target(), Counted::Throttles("PutParameter"), 1);
        metrics.reload(Reload::Invalid);
        metrics
    }

    fn state() -> State {
        let now = Timestamp::from_second(1000).expect("in range");
        let mut health = TargetHealth::unknown(Timestamp::from_second(940).expect("in range"));
        health.good = Some(Timestamp::from_second(970).expect("in range"));
        health.restorable_until = now.checked_add(jiff::SignedDuration::from_hours(1)).ok();
        State::of_targets([(target(), health)])
    }

    fn text() -> String {
        full().text(&state(), Timestamp::from_second(1000).expect("in range")).expect("written")
    }

    /// Lists metrics as queries name them, with their types and labels.
    pub(in crate::daemon) fn told() -> BTreeMap<String, (String, BTreeSet<String>)> {
        let text = super::super::exposition::Form::Text.write(text());
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let labels = |name: &str| -> BTreeSet<String> {
            let samples = text.lines().filter(|line| !line.starts_with('#'));
            let ours = samples.filter_map(|line| {
                let (sample, rest) = line.split_once('{')?;
                let is_ours =
                    sample == name || ["_bucket", "_sum", "_count"].iter().any(|s| sample == format!("{name}{s}"));
                is_ours.then_some(rest)
            });
            let each =
                ours.flat_map(|rest| rest.split("\",").filter_map(|pair| Some(pair.split_once("=\"")?.0.to_owned())));
            each.filter(|label| label != "le").collect()
        };
        types.map(|(name, kind)| (name.to_owned(), (kind.to_owned(), labels(name)))).collect()
    }

    /// Reads the rows of the list: name, type, labels.
    fn listed() -> BTreeMap<String, (String, BTreeSet<String>)> {
        let rows = LIST.lines().filter_map(|line| line.strip_prefix("| `"));
        let row = |row: &str| {
            let cells: Vec<_> = row.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect();
            let labels = cells[2].split(',').map(|label| label.trim().trim_matches('`').to_owned());
            (cells[0].clone(), (cells[1].clone(), labels.filter(|label| !label.is_empty()).collect()))
        };
        rows.map(row).collect()
    }

    #[test]
    fn the_list_and_the_program_agree() {
        assert_eq!(listed(), told());
    }

    #[test]
    fn names_follow_the_conventions() {
        for (name, (kind, _)) in told() {
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            assert!(name.starts_with("repin_") || name.starts_with("process_"), "{name}");
            assert!(
                !["_ms", "_milliseconds", "_minutes", "_kilobytes"].iter().any(|unit| name.ends_with(unit)),
                "{name}"
            );
        }
    }

    #[test]
    fn what_holds_now_is_told_as_of_now() {
        let text = text();
        for line in [
            "repin_target_up{target=\"aws-eu\"} 1",
            "repin_target_last_good_pass_age_seconds{target=\"aws-eu\"} 30.0",
            "repin_target_last_good_pass_timestamp_seconds{target=\"aws-eu\"} 970.0",
            "repin_target_restorable_seconds{target=\"aws-eu\"} 3600.0",
            "repin_requests_total{target=\"aws-eu\",operation=\"PutParameter\",status=\"none\"} 1",
            "repin_file_reloads_total{result=\"invalid\"} 1",
            "repin_file_reloads_total{result=\"changed\"} 0",
            "repin_drift_corrected_total{target=\"aws-eu\"} 1",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn what_is_gone_is_told_no_more() {
        let metrics = full();
        let now = Timestamp::from_second(1000).expect("in range");
        assert!(metrics.text(&state(), now).expect("written").contains("repin_target_up{"));
        let without = metrics.text(&State::of_targets([]), now).expect("written");
        assert!(!without.contains("repin_target_up{") && !without.contains("repin_target_restorable_seconds{"));
        // A counter that went would look like one that began anew.
        assert!(without.contains("repin_steps_total{target=\"aws-eu\""));
    }

    #[test]
    fn a_target_without_a_good_pass_ages_from_the_start() {
        let mut state = state();
        state.targets.get_mut(&target()).expect("there").good = None;
        let text = full().text(&state, Timestamp::from_second(1000).expect("in range")).expect("written");
        assert!(text.contains("repin_target_last_good_pass_age_seconds{target=\"aws-eu\"} 60.0\n"), "{text}");
        assert!(text.contains("repin_target_up{target=\"aws-eu\"} 0\n"), "{text}");
        assert!(!text.contains("repin_target_last_good_pass_timestamp_seconds{"), "{text}");
    }
}
