//! What `/metrics` tells, in the OpenMetrics text that Prometheus reads.
//!
//! | metric | labels | what |
//! |-|-|-|
//! | `repin_build_info` | `version` | 1 |
//! | `repin_passes_total` | `pass`, `target`, `result` | passes that ended: `repair` of one target or `release` over `all`; `good` or `failed` |
//! | `repin_pass_duration_seconds` | `pass` | how long they took, a histogram |
//! | `repin_steps_total` | `target`, `result` | writes by what became of them: `applied`, `unchanged`, `pending`, `skipped`, `refused`, `failed` |
//! | `repin_drift_corrected_total` | `target` | entries that were put back |
//! | `repin_requests_total` | `target`, `operation` | requests that left the process, counted per attempt |
//! | `repin_target_up` | `target` | 1 where the last pass left the target as it should be |
//! | `repin_target_last_good_pass_timestamp_seconds` | `target` | when that was last so; not there before the first time |
//! | `repin_target_drifted_entries` | `target` | entries that serve another version than they should, as far as known |
//! | `repin_target_held_entries` | `target` | entries of which the file asks for something that is held |
//! | `repin_target_contested_entries` | `target` | entries that somebody else keeps changing |
//! | `repin_target_release` | `target` | the newest release in the target's ledger |
//! | `repin_file_valid` | | 0 where the file cannot be read, and the last good one is in force |
//! | `repin_release_waiting` | | 1 where a release waits for a target that cannot be had |
//!
//! Nothing of an entry is a label: keys are many, and nobody's business.

use std::fmt;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::board::State;
use super::pass::{Ended, Of};
use crate::model::outcome::StepResult;
use crate::model::plan::Reason;

/// How the text is announced.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

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
struct RequestLabels {
    target: String,
    operation: String,
}

type PerTarget = Family<OfTarget, Gauge>;

/// What is counted, and what is told as it is when somebody asks.
pub(super) struct Metrics {
    registry: Registry,
    families: Families,
}

struct Families {
    passes: Family<PassLabels, Counter>,
    durations: Family<OfPass, Histogram>,
    steps: Family<StepLabels, Counter>,
    corrected: Family<OfTarget, Counter>,
    requests: Family<RequestLabels, Counter>,
    up: PerTarget,
    last_good: Family<OfTarget, Gauge<f64, AtomicU64>>,
    drifted: PerTarget,
    held: PerTarget,
    contested: PerTarget,
    release: PerTarget,
    file_valid: Gauge,
    waiting: Gauge,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("repin");
        registry.register("build", "The program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        let families = Families::new();
        families.register(&mut registry);
        Self { registry, families }
    }

    /// Counts a pass.
    pub(super) fn count(&self, ended: &Ended, good: bool) {
        let (pass, target) = match &ended.of {
            Of::Target(target) => ("repair", target.to_string()),
            Of::All => ("release", "all".to_owned()),
        };
        let result = if good { "good" } else { "failed" };
        self.families.passes.get_or_create(&PassLabels { pass, target, result }).inc();
        self.families.durations.get_or_create(&OfPass { pass }).observe(ended.took.as_secs_f64());
        for (target, counts) in &ended.requests {
            for (operation, count) in counts.iter().filter(|(_, count)| **count > 0) {
                let labels = RequestLabels { target: target.to_string(), operation: operation.clone() };
                self.families.requests.get_or_create(&labels).inc_by(*count);
            }
        }
        for step in ended.result.iter().flat_map(|outcome| &outcome.steps) {
            let target = step.target.to_string();
            if step.result == StepResult::Applied && matches!(step.reason, Reason::Drift | Reason::Missing) {
                self.families.corrected.get_or_create(&OfTarget { target: target.clone() }).inc();
            }
            self.families.steps.get_or_create(&StepLabels { target, result: word(step.result) }).inc();
        }
    }

    /// Writes everything down, with what holds now. Targets that are gone are told no more.
    pub(super) fn text(&self, state: &State) -> Result<String, fmt::Error> {
        let gauges = [
            &self.families.up,
            &self.families.drifted,
            &self.families.held,
            &self.families.contested,
            &self.families.release,
        ];
        gauges.iter().for_each(|family| family.clear());
        self.families.last_good.clear();
        for (name, target) in &state.targets {
            let labels = OfTarget { target: name.to_string() };
            let set = |family: &PerTarget, value: usize| {
                family.get_or_create(&labels).set(i64::try_from(value).unwrap_or(i64::MAX));
            };
            set(&self.families.up, usize::from(target.error.is_none() && target.good.is_some()));
            set(&self.families.drifted, target.drift.as_ref().map_or(0, |drift| drift.len()));
            set(&self.families.held, target.held);
            set(&self.families.contested, state.contested.iter().filter(|entry| entry.target == *name).count());
            set(&self.families.release, usize::try_from(target.release).unwrap_or(usize::MAX));
            if let Some(good) = target.good {
                self.families.last_good.get_or_create(&labels).set(good.as_millisecond() as f64 / 1000.0);
            }
        }
        self.families.file_valid.set(i64::from(state.file.is_empty()));
        self.families.waiting.set(i64::from(state.waits.is_some()));
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Families {
    fn new() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(exponential_buckets(0.05, 2.5, 10));
        Self {
            passes: Family::default(),
            durations: Family::new_with_constructor(histogram),
            steps: Family::default(),
            corrected: Family::default(),
            requests: Family::default(),
            up: Family::default(),
            last_good: Family::default(),
            drifted: Family::default(),
            held: Family::default(),
            contested: Family::default(),
            release: Family::default(),
            file_valid: Gauge::default(),
            waiting: Gauge::default(),
        }
    }

    fn register(&self, to: &mut Registry) {
        to.register("passes", "Passes that ended", self.passes.clone());
        let took = self.durations.clone();
        to.register_with_unit("pass_duration", "How long passes took", Unit::Seconds, took);
        to.register("steps", "Writes by what became of them", self.steps.clone());
        to.register("drift_corrected", "Entries that were put back", self.corrected.clone());
        to.register("requests", "Requests that left the process", self.requests.clone());
        to.register("target_up", "Whether the last pass left the target as it should be", self.up.clone());
        let last_good = self.last_good.clone();
        to.register_with_unit("target_last_good_pass_timestamp", "When that was last so", Unit::Seconds, last_good);
        to.register(
            "target_drifted_entries",
            "Entries that serve another version than they should",
            self.drifted.clone(),
        );
        to.register("target_held_entries", "Entries of which the file asks for something held", self.held.clone());
        let contested = self.contested.clone();
        to.register("target_contested_entries", "Entries that somebody else keeps changing", contested);
        to.register("target_release", "The newest release in the target's ledger", self.release.clone());
        to.register("file_valid", "Whether the file can be read", self.file_valid.clone());
        to.register("release_waiting", "Whether a release waits for a target", self.waiting.clone());
    }
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
