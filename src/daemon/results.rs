//! What a pass came to: for the schedule, for those who ask, and for the log.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use repin_provider::{ErrorKind, Key, Revision, TargetName};

use super::board::{Contested, Serves, TargetHealth};
use super::heads::Head;
use super::pass::{self, Ended, Failed, Of};
use super::run::Daemon;
use super::schedule::{Health, Released};
use super::tell;
use crate::cycle::PassError;
use crate::model::observed::FileStanding;
use crate::model::outcome::{Outcome, StepResult};
use crate::model::plan::{BlockKind, Plan, Reason, TargetPlan};
use crate::model::release::{Ledger, TargetId};
use crate::model::retention;
use crate::record::ledger;
use crate::report::Trouble;

impl Daemon {
    /// Takes in what a pass came to.
    pub(super) fn ended(&mut self, ended: Ended) {
        let mut failures = failures(&ended.result);
        self.keep_providers(&ended, &failures);
        if was_interrupted(&ended.result) {
            let target = match &ended.of {
                Of::Target(target) => Some(target),
                Of::All => None,
            };
            self.schedule.stopped(target, self.now());
            return;
        }
        self.note_refusals(&ended, &mut failures);
        self.board.count(&ended, ended.result.is_ok() && failures.is_empty());
        match &ended.of {
            Of::Target(target) => self.repaired(target, &ended, &failures),
            Of::All => self.released(&ended, &failures),
        }
        if let Ok(outcome) = &ended.result {
            self.note_corrections(outcome);
        }
        self.tell_waits();
        self.note_next();
        self.tell_manager();
    }

    /// Notes what targets do not take. That it was not tried this time does not make them well.
    fn note_refusals(&mut self, ended: &Ended, failures: &mut Failures) {
        let Ok(outcome) = &ended.result else { return };
        self.refusals.ended(outcome, ended.of == Of::All, self.now());
        for target in outcome.plan.targets.keys() {
            if let Some(trouble) = self.refusals.trouble(target) {
                failures.entry(target.clone()).or_insert((trouble, Health::Well));
            }
        }
    }

    /// Keeps providers for the next pass, but for those that had no valid credentials: the next ones are read anew.
    fn keep_providers(&mut self, ended: &Ended, failures: &Failures) {
        for (name, provider) in &ended.providers {
            let config = |desired: &crate::model::desired::Desired| Some(desired.targets.get(name)?.config.clone());
            let refused = failures.get(name).is_some_and(|(trouble, _)| trouble.kind == "denied");
            if refused || config(&ended.desired) != config(&self.desired) {
                self.providers.remove(name);
            } else {
                self.providers.insert(name.clone(), provider.clone());
            }
        }
    }

    fn repaired(&mut self, target: &TargetName, ended: &Ended, failures: &Failures) {
        let failure = failures.get(target);
        let health = failure.map_or(Health::Well, |(_, health)| *health);
        let mut withheld = false;
        let mut trouble = failure.map(|(trouble, _)| trouble.clone());
        match &ended.result {
            Ok(outcome) => {
                withheld = outcome.plan.targets.get(target).is_some_and(|planned| planned.withheld > 0);
                self.tell_plan(&outcome.plan, Some(target));
                self.keep_apart(target, &outcome.plan);
                if outcome.release.is_some() && outcome.steps.iter().any(|step| tell::is_done(step.result)) {
                    tracing::info!(target_name = %target, "went on with what was left: {}", tell::served(outcome));
                }
            }
            Err(Failed::Pass(PassError::Blocked(plan))) => trouble = trouble.or_else(|| first_block(plan)),
            Err(Failed::Pass(PassError::Wrong(findings))) => {
                trouble = trouble.or_else(|| Some(Trouble::new("bug", findings.first()?.to_string())));
            }
            // A run of another host was first each time, or a call was still going on: the next pass looks again.
            Err(_) => {}
        }
        self.asked |= withheld;
        // Another host made a release since all ledgers were looked at: one that a target has not heard of may concern it.
        let is_news = self.newest_release(target) > self.settled_at;
        let withheld = withheld || (is_news && ended.result.is_ok());
        self.schedule.repaired(target, self.now(), health, withheld, rand::random());
        self.note_health(target, trouble, ended.result.as_ref().ok().map(|outcome| &outcome.plan));
    }

    /// Has the next pass of a target begin no sooner than the quotas of its store have room for, if every pass after it
    /// looks at as much.
    fn keep_apart(&mut self, target: &TargetName, plan: &Plan) {
        let rates = self.providers.get(target).and_then(|provider| provider.pace()).map(|pace| pace.allowed);
        if let (Some(rates), Some(planned)) = (rates, plan.targets.get(target)) {
            let apart = Duration::try_from_secs_f64(rates.apart(planned.cost.reads, 0)).unwrap_or(Duration::ZERO);
            self.schedule.keep_apart(target, apart);
        }
    }

    fn released(&mut self, ended: &Ended, failures: &Failures) {
        let away = failures.iter().filter(|(_, (_, health))| *health == Health::Away).map(|(name, _)| name.clone());
        let away: BTreeSet<_> = away.collect();
        let mut stuck = Vec::new();
        let result = match &ended.result {
            Ok(outcome) if failures.is_empty() && outcome.steps.iter().all(|step| tell::is_done(step.result)) => {
                self.asked = false;
                self.settled_at = self.next_release() - 1;
                Released::Settled
            }
            Ok(_) => Released::Left(away),
            Err(failed) => {
                stuck = troubles(failed);
                Released::Left(away)
            }
        };
        if let Ok(outcome) = &ended.result {
            self.tell_release(outcome, result == Released::Settled);
            self.tell_plan(&outcome.plan, None);
            for name in outcome.plan.targets.keys() {
                let trouble = failures.get(name).map(|(trouble, _)| trouble.clone());
                self.note_health(name, trouble, Some(&outcome.plan));
            }
        } else {
            for (name, (trouble, _)) in failures {
                self.note_health(name, Some(trouble.clone()), None);
            }
        }
        // A target that cannot be had is told as such, and what waits for it too.
        let shown = if failures.is_empty() { stuck.as_slice() } else { &[] };
        if shown.is_empty() {
            if self.told.is_over("stuck") && result == Released::Settled {
                tracing::info!("the file can be released again");
            }
        } else {
            let text = tell::line(shown);
            if self.told.is_news("stuck", &text) {
                tracing::error!("the file is not released, and drift goes on being corrected: {text}");
            }
        }
        self.board.lock().stuck = shown.to_vec();
        self.schedule.released(self.now(), result, rand::random());
    }

    fn tell_release(&mut self, outcome: &Outcome, whole: bool) {
        let moved = outcome.steps.iter().any(|step| step.result == StepResult::Applied);
        match outcome.release {
            Some(release) if whole => tracing::info!(release, "release {release} is served: {}", tell::served(outcome)),
            Some(release) if moved => {
                tracing::warn!(
                    release,
                    "release {release} is served in part: {}; the rest is tried again",
                    tell::served(outcome)
                );
            }
            _ => {}
        }
    }

    /// Says what a plan has to say beside its steps: what is held, what only is told, and that the file is behind.
    fn tell_plan(&mut self, plan: &Plan, only: Option<&TargetName>) {
        if only.is_none() {
            self.board.lock().behind = plan.file == FileStanding::Behind;
        }
        if plan.file == FileStanding::Behind {
            if self.told.is_news("behind", "") {
                tracing::warn!(
                    "this host's file is behind: a newer release has superseded it. It releases nothing; drift goes on \
                     being corrected. Update the file, or release it again with repin reconcile --allow-older"
                );
            }
        } else if only.is_none() && self.told.is_over("behind") {
            tracing::info!("the file is no longer behind");
        }
        for held in &plan.held {
            if self.told.is_news(&format!("held {} {}", held.target, held.key), &held.sentence()) {
                tracing::warn!("held: {}", held.sentence());
            }
        }
        for (target, planned) in &plan.targets {
            let still = |key: &str| plan.held.iter().any(|held| held.target == *target && held.key.as_str() == key);
            self.told.keep(&format!("held {target} "), still);
            let drift = tell::keys(planned.drift.iter().map(|drifted| drifted.key.as_str()));
            let about = format!("drift {target}");
            if drift.is_empty() {
                self.told.is_over(&about);
            } else if self.told.is_news(&about, &drift) {
                tracing::warn!(target_name = %target, "differs from what was released, and is left so for now: {drift}");
            }
            if self.dry_run {
                self.tell_dry(target, planned, only.is_none());
            }
        }
    }

    /// Says what would be written. A pass over one target knows what would be put back; one over all, what would be
    /// released.
    fn tell_dry(&mut self, target: &TargetName, planned: &TargetPlan, all: bool) {
        let steps = planned.steps.iter().filter(|step| step.repair != all);
        let (word, wanted) =
            (if all { "release" } else { "put back" }, tell::keys(steps.map(|step| step.key.as_str())));
        let released = !all && planned.withheld == 0 && self.told.is_over(&format!("would release {target}"));
        let about = format!("would {word} {target}");
        if !wanted.is_empty() && self.told.is_news(&about, &wanted) {
            tracing::info!(target_name = %target, "would {word}, if this were no dry run: {wanted}");
        }
        if released || (wanted.is_empty() && self.told.is_over(&about)) {
            tracing::info!(target_name = %target, "there is nothing to {} any more", if released { "release" } else { word });
        }
    }

    /// Notes how a target is, and says so where that is news.
    fn note_health(&mut self, target: &TargetName, trouble: Option<Trouble>, plan: Option<&Plan>) {
        let wall = (self.host.now)();
        let head = self.head(target);
        let refused = self.refusals.count(target);
        let mut board = self.board.lock();
        let Some(known) = board.targets.get_mut(target) else { return };
        if let Some(head) = &head {
            (known.release, known.entries) = (head.release, head.entries);
        }
        (known.restorable_until, known.refused) = (head.and_then(|head| head.restorable_until), refused);
        if let Some(plan) = plan {
            known.held = plan.held.iter().filter(|held| held.target == *target).count();
        }
        let changed = known.error.as_ref().map(|error| error.kind) != trouble.as_ref().map(|error| error.kind);
        if changed {
            match &trouble {
                Some(trouble) => {
                    tracing::warn!(target_name = %target, "{}: {}", trouble.kind, tell::line(std::slice::from_ref(trouble)))
                }
                None => tracing::info!(target_name = %target, since = %known.since, "is well again"),
            }
            known.since = wall;
        }
        let drift = plan.and_then(|plan| plan.targets.get(target)).map(|planned| self.drift_left(planned));
        if trouble.is_none() && plan.is_some() {
            known.good = Some(wall);
        }
        *known = TargetHealth { error: trouble, drift, ..known.clone() };
    }

    /// Lists what serves another version than its pin after a pass.
    fn drift_left(&self, planned: &TargetPlan) -> Serves {
        let told = planned.drift.iter().map(|drifted| (drifted.key.clone(), drifted.served.clone()));
        let unmended = planned.steps.iter().filter(|step| self.dry_run && corrects(step.reason));
        told.chain(unmended.map(|step| (step.key.clone(), step.from.clone()))).collect()
    }

    /// Counts what was put back, and slows down where somebody else insists.
    fn note_corrections(&mut self, outcome: &Outcome) {
        let now = self.now();
        let put_back: Vec<_> = outcome
            .steps
            .iter()
            .filter(|step| corrects(step.reason) && step.result == StepResult::Applied)
            .map(|step| (step.target.clone(), step.key.clone(), step.from.clone()))
            .collect();
        for target in outcome.plan.targets.keys() {
            let keys = put_back.iter().filter(|(of, ..)| of == target).map(|(_, key, _)| key.as_str());
            let keys = tell::keys(keys);
            if !keys.is_empty() {
                tracing::info!(target_name = %target, "drift was put back: {keys}");
            }
        }
        for (target, key, version) in put_back {
            let Some(noticed) = self.rivals.corrected(&target, &key, now) else { continue };
            tracing::warn!(
                target_name = %target,
                key = %key,
                "somebody else keeps changing {key}: put back {} times in ten minutes, left as it is for {} s from now on",
                noticed.times,
                noticed.wait.as_secs_f64().ceil()
            );
            self.ask_who(&target, &key, version);
        }
        for (target, planned) in &outcome.plan.targets {
            let drifted: Vec<Key> = planned.drift.iter().map(|drifted| drifted.key.clone()).collect();
            for key in self.rivals.quiet(target, &drifted, now) {
                tracing::info!(target_name = %target, %key, "nobody changes {key} against the file any more");
            }
        }
        let mut board = self.board.lock();
        let before = std::mem::take(&mut board.contested);
        let contested = self.rivals.contested().map(|(target, key, wait)| {
            let known = before.iter().find(|entry| entry.target == *target && entry.key == *key);
            Contested { target: target.clone(), key: key.clone(), wait, by: known.and_then(|known| known.by.clone()) }
        });
        board.contested = contested.collect();
    }

    /// Takes in who wrote what a contested entry held.
    pub(super) fn found_out(&mut self, target: &TargetName, key: &Key, revision: Option<Revision>) {
        let Some(revision) = revision else { return };
        let at = revision.version.at.map(|at| format!(" at {at:.0}")).unwrap_or_default();
        let who = revision.by.unwrap_or_else(|| "somebody".to_owned());
        let by = format!("{who}{at}");
        tracing::warn!(target_name = %target, %key, "{key} was changed to version {} by {by}", revision.version.id);
        let mut board = self.board.lock();
        if let Some(entry) = board.contested.iter_mut().find(|entry| entry.target == *target && entry.key == *key) {
            entry.by = Some(by);
        }
    }

    /// Says what a release waits for, and how to do without it.
    pub(super) fn tell_waits(&mut self) {
        let waits = if self.asked { self.schedule.waits_for() } else { Vec::new() };
        if waits.is_empty() {
            self.told.is_over("waits");
            self.board.lock().waits = None;
            return;
        }
        let text = self.waits_text(&waits);
        if self.told.is_news("waits", &text) {
            tracing::warn!("{text}");
        }
        self.board.lock().waits = Some(text);
    }

    fn waits_text(&self, waits: &[TargetName]) -> String {
        let board = self.board.lock();
        let each = waits.iter().map(|name| match board.targets.get(name) {
            Some(TargetHealth { error: Some(error), since, .. }) => {
                format!("{name}, {} since {}", error.kind, since.strftime("%H:%MZ"))
            }
            _ => name.to_string(),
        });
        let others: Vec<_> =
            board.targets.keys().filter(|name| !waits.contains(name)).map(|name| format!("--target {name}")).collect();
        let without = if others.is_empty() {
            String::new()
        } else {
            format!("; without it: repin reconcile {}", others.join(" "))
        };
        format!("release {} waits for {}{without}", self.next_release(), each.collect::<Vec<_>>().join(" and for "))
    }

    /// Returns the number that the next release gets, as far as this host knows.
    fn next_release(&self) -> u64 {
        1 + self.desired.targets.keys().map(|name| self.newest_release(name)).max().unwrap_or(0)
    }

    /// Returns the newest release of a target, as this host last read its ledger; 0 where there is none.
    pub(super) fn newest_release(&self, target: &TargetName) -> u64 {
        self.head(target).map_or(0, |head| head.release)
    }

    /// Returns what is known of a target's ledger; `None` where this host never read it.
    fn head(&self, target: &TargetName) -> Option<Head> {
        let now = (self.host.now)();
        let read = || {
            let ledger = self.known_ledger(target)?;
            Some(Head {
                release: ledger.highest_release(),
                entries: ledger.pins.len(),
                restorable_until: self.first_expiry(target, &ledger, now),
            })
        };
        if !self.providers.contains_key(target) {
            // How long its store keeps what was is not known yet.
            return read();
        }
        let state = self.host.memory.state_of(&TargetId::of(&self.desired.targets.get(target)?.config.place()));
        self.heads.of(target, state, now, read)
    }

    /// Returns a target's ledger as this host last read it; `None` where it never did.
    fn known_ledger(&self, target: &TargetName) -> Option<Ledger> {
        let config = &self.desired.targets.get(target)?.config;
        let known = self.host.memory.ledger(&TargetId::of(&config.place()));
        ledger::remembered(&self.desired.name, &known)
    }

    /// Returns when the first of a target's kept releases can no longer be restored, where one ends by age.
    fn first_expiry(&self, target: &TargetName, ledger: &Ledger, now: Timestamp) -> Option<Timestamp> {
        let provider = self.providers.get(target)?;
        retention::first_expiry(ledger, provider.capabilities(), now, self.desired.policy.keep_releases)
    }

    /// Tells the service manager how things stand.
    fn tell_manager(&mut self) {
        let status = {
            let board = self.board.lock();
            let release = board.targets.values().map(|target| target.release).max().unwrap_or(0);
            let bad: Vec<_> = board
                .targets
                .iter()
                .filter_map(|(name, target)| Some(format!("{name} {}", target.error.as_ref()?.kind)))
                .collect();
            let targets = if bad.is_empty() { format!("{} targets well", board.targets.len()) } else { bad.join(", ") };
            let file = if board.file.is_empty() { "" } else { "; the file is invalid" };
            format!("release {release}; {targets}{file}")
        };
        self.manager.status(status);
    }

    /// Notes when each target is looked at again.
    fn note_next(&mut self) {
        let (now, wall) = (self.now(), (self.host.now)());
        let mut board = self.board.lock();
        for (name, target) in &mut board.targets {
            let due = self.schedule.lane(name).map(|(_, due)| due.saturating_sub(now));
            target.next = due.and_then(|wait| wall.checked_add(wait).ok());
        }
    }
}

fn corrects(reason: Reason) -> bool {
    matches!(reason, Reason::Drift | Reason::Missing)
}

type Failures = BTreeMap<TargetName, (Trouble, Health)>;

fn was_interrupted(result: &Result<Outcome, Failed>) -> bool {
    match result {
        Ok(outcome) => outcome.interrupted.is_some(),
        Err(failed) => matches!(failed, Failed::Pass(PassError::Interrupted(_))),
    }
}

fn first_block(plan: &Plan) -> Option<Trouble> {
    // A run at work ends by itself, and the next pass comes after it.
    plan.blocks.iter().find(|block| block.kind != BlockKind::Running).map(Trouble::of_block)
}

/// Describes why a pass over all targets did nothing.
fn troubles(failed: &Failed) -> Vec<Trouble> {
    match failed {
        Failed::Unconnected(errors) => {
            errors.iter().map(|(name, error)| Trouble::of_error(error).with_target(name)).collect()
        }
        Failed::Pass(error) => match error {
            PassError::Unobserved(errors) => errors.iter().map(Trouble::of_unobserved).collect(),
            PassError::Blocked(plan) => plan.blocks.iter().map(Trouble::of_block).collect(),
            PassError::Wrong(findings) => findings.iter().map(|f| Trouble::new("bug", f.to_string())).collect(),
            PassError::Unfit(failures) => failures.iter().map(Trouble::of_failure).collect(),
            PassError::Raced(target) => {
                vec![Trouble::new("conflict", "other runs were first each time").with_target(target)]
            }
            // No saved plan is given to a pass of the daemon, and an interrupted one is not told.
            PassError::Stale(_) | PassError::Interrupted(_) => Vec::new(),
        },
    }
}

/// Returns what went wrong for each target, and whether the target cannot be had at all.
fn failures(result: &Result<Outcome, Failed>) -> Failures {
    let health = |kind: ErrorKind| if pass::is_away(kind) { Health::Away } else { Health::Well };
    let mut found: BTreeMap<TargetName, (Trouble, Health)> = BTreeMap::new();
    let mut add = |target: &TargetName, trouble: Trouble, health: Health| {
        let known = found.entry(target.clone()).or_insert_with(|| (trouble.clone(), health));
        if known.1 != Health::Away && health == Health::Away {
            *known = (trouble, health);
        }
    };
    match result {
        Err(Failed::Unconnected(errors)) => {
            errors.iter().for_each(|(name, e)| add(name, Trouble::of_error(e).with_target(name), Health::Away));
        }
        Err(Failed::Pass(PassError::Unobserved(errors))) => {
            errors.iter().for_each(|error| add(&error.target, Trouble::of_unobserved(error), Health::Away));
        }
        Err(Failed::Pass(PassError::Unfit(failures))) => {
            failures.iter().for_each(|f| add(&f.target, Trouble::of_failure(f), health(f.error.kind)));
        }
        Err(Failed::Pass(_)) => {}
        Ok(outcome) => {
            for failure in &outcome.failures {
                add(&failure.target, Trouble::of_failure(failure), health(failure.error.kind));
            }
            for step in &outcome.steps {
                if let Some(error) = &step.error {
                    let trouble = Trouble::of_error(error).with_target(&step.target);
                    // A target that denies one write, and took the claim of it, can be had.
                    let denied = error.kind == ErrorKind::Denied;
                    add(&step.target, trouble, if denied { Health::Well } else { health(error.kind) });
                }
            }
        }
    }
    found
}
