//! The loop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::{FutureExt as _, LocalBoxFuture};
use futures::stream::{FuturesUnordered, StreamExt as _};
use repin_provider::{Key, Revision, Secret, TargetName, Value, Version};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::board::{Board, TargetHealth};
use super::heads::Heads;
use super::manager::Manager;
use super::metrics::Reload;
use super::pass::{self, Connect, Ended, Of, Scene};
use super::pulse::Pulse;
use super::refusals::Refusals;
use super::rivals::Rivals;
use super::schedule::{Due, Moment, Schedule};
use super::stamp::Stamp;
use super::tell::{self, Told};
use super::visit::{self, AtWork, Visitor, Visits};
use super::watch::Watch;
use crate::cycle::{Host, Providers};
use crate::desired::Invalid;
use crate::model::desired::{Desired, TargetConfig};
use crate::model::outcome::Interrupt;
use crate::report::Trouble;

/// How long a stop waits for the calls at work. What they leave is recorded as begun, and the next start goes on with it.
const STOP: Duration = Duration::from_secs(25);

/// How many commands may come in between two turns of the loop.
const DOOR: usize = 16;

/// What a daemon depends on.
pub struct Setup {
    /// What the file asks for now.
    pub desired: Desired,
    /// Reads the file again.
    pub load: Box<dyn Fn() -> Result<Desired, Invalid>>,
    /// Tells whether a target is this daemon's business.
    pub is_in_scope: Box<dyn Fn(&TargetName) -> bool>,
    /// Builds providers.
    pub connect: Arc<dyn Connect>,
    /// The process and its surroundings.
    pub host: Host,
    /// The time between two looks at a target.
    pub interval: Duration,
    /// Whether nothing is written anywhere.
    pub dry_run: bool,
    /// Says when to stop.
    pub stop: watch::Receiver<Option<Interrupt>>,
}

/// A daemon.
pub struct Daemon {
    pub(super) load: Box<dyn Fn() -> Result<Desired, Invalid>>,
    pub(super) is_in_scope: Box<dyn Fn(&TargetName) -> bool>,
    pub(super) connect: Arc<dyn Connect>,
    pub(super) host: Arc<Host>,
    pub(super) dry_run: bool,
    stop: watch::Receiver<Option<Interrupt>>,
    started: Instant,
    pub(super) desired: Arc<Desired>,
    pub(super) board: Arc<Board>,
    pub(super) schedule: Schedule,
    pub(super) rivals: Rivals,
    pub(super) refusals: Refusals,
    pub(super) told: Told,
    pub(super) providers: Providers,
    /// Whether the file is known to ask for something that is not released yet.
    pub(super) asked: bool,
    /// The newest release when a pass last left nothing to be released.
    pub(super) settled_at: u64,
    pub(super) manager: Manager,
    pulse: Pulse,
    /// How many passes and other pieces of work have ended.
    ended: u64,
    watch: Watch,
    /// What the file and all that it refers to looked like when it was last read, and asked for the same as before.
    stamp: Option<Stamp>,
    /// What is known of each target's ledger.
    pub(super) heads: Heads,
    pub(super) work: FuturesUnordered<LocalBoxFuture<'static, Done>>,
    /// The passes at work, by number.
    pub(super) at_work: BTreeMap<u64, AtWork>,
    /// The number of the last pass that began.
    passes: u64,
    pub(super) visits: Visits,
    /// Where commands come in, and the end that is handed out.
    door: (mpsc::Sender<Visitor>, mpsc::Receiver<Visitor>),
}

/// Something that was begun and is over.
pub(super) enum Done {
    Pass(u64, Box<Ended>),
    /// Who wrote an entry that is contested.
    Who(TargetName, Key, Option<Box<Revision>>),
    /// A command.
    Visit(u64),
    /// Nothing but a reason to turn.
    Nudge,
}

impl Daemon {
    /// Makes a daemon that has not looked at anything yet.
    pub fn new(setup: Setup) -> Self {
        let Setup { desired, load, is_in_scope, connect, host, interval, dry_run, stop } = setup;
        let (desired, host) = (Arc::new(desired), Arc::new(host));
        let scope: Vec<_> = desired.targets.keys().filter(|name| is_in_scope(name)).cloned().collect();
        let board = Board::new(Arc::clone(&host), Arc::clone(&desired), scope.iter().cloned(), dry_run);
        Self {
            load,
            is_in_scope,
            connect,
            host,
            dry_run,
            stop,
            started: Instant::now(),
            desired,
            board: Arc::new(board),
            schedule: Schedule::new(interval, scope),
            rivals: Rivals::new(interval),
            refusals: Refusals::new(interval),
            told: Told::default(),
            providers: Providers::new(),
            asked: false,
            settled_at: 0,
            manager: Manager::new(),
            pulse: Pulse::default(),
            ended: 0,
            watch: Watch::new(),
            stamp: None,
            heads: Heads::default(),
            work: FuturesUnordered::new(),
            at_work: BTreeMap::new(),
            passes: 0,
            visits: Visits::default(),
            door: mpsc::channel(DOOR),
        }
    }

    /// Returns where commands of operators are handed in.
    pub fn door(&self) -> mpsc::Sender<Visitor> {
        self.door.0.clone()
    }

    /// Returns what it knows of itself.
    pub fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    /// Runs until it is told to stop.
    pub async fn run(mut self) -> Interrupt {
        // Without it the interval still has the file read again.
        let mut hangup = signal(SignalKind::hangup()).ok();
        let mut stop = self.stop.clone();
        self.announce();
        self.watch_sources();
        self.manager.ready();
        let signal = loop {
            self.begin_visits();
            self.begin_due();
            self.beat();
            let wake = self.started + self.schedule.wake_at();
            let wake = wake.min(Instant::now() + self.manager.beat());
            let wake = self.visits.wake_at(self.now()).map_or(wake, |at| wake.min(self.started + at));
            tokio::select! {
                Some(visitor) = self.door.1.recv() => self.receive(visitor),
                Some(done) = self.work.next() => self.take(done),
                () = self.watch.changed() => self.schedule.notice(self.started.elapsed()),
                () = hung_up(&mut hangup) => self.hang_up(),
                signal = stopped(&mut stop) => break signal,
                () = tokio::time::sleep_until(wake) => {}
            }
        };
        self.manager.stopping();
        self.stop_work(signal);
        // Whatever is at work was told to stop, and comes to a place where nothing is half done.
        let ending = async {
            while let Some(done) = self.work.next().await {
                self.take(done);
            }
        };
        if tokio::time::timeout(STOP, ending).await.is_err() {
            tracing::warn!("a call is still at work; its claim says so, and the next start goes on with it");
        }
        tracing::info!("stopped");
        signal
    }

    pub(super) fn now(&self) -> Moment {
        self.started.elapsed()
    }

    fn begin_due(&mut self) {
        loop {
            let due = self.schedule.begin(self.now());
            if due.is_empty() {
                return;
            }
            for due in due {
                match due {
                    Due::Reload => self.reload(),
                    Due::Repair(target) => self.begin(Of::Target(target)),
                    Due::Release => self.begin(Of::All),
                }
            }
        }
    }

    fn begin(&mut self, of: Of) {
        let meant = |name: &TargetName| match &of {
            Of::Target(target) => name == target,
            Of::All => (self.is_in_scope)(name),
        };
        let names = |wanted: &dyn Fn(&TargetName) -> bool| -> BTreeSet<TargetName> {
            self.desired.targets.keys().filter(|name| wanted(name)).cloned().collect()
        };
        let scope = names(&meant);
        // Other targets' ledgers know release numbers too.
        let others = if of == Of::All { names(&|name| !meant(name)) } else { BTreeSet::new() };
        let known = scope.iter().filter_map(|name| Some((name.clone(), self.providers.get(name)?.clone()))).collect();
        let (stop, interrupt) = watch::channel(*self.stop.borrow());
        self.passes += 1;
        let number = self.passes;
        self.at_work.insert(number, AtWork { of: of.clone(), stop });
        let scene = Scene {
            desired: Arc::clone(&self.desired),
            host: Arc::clone(&self.host),
            connect: Arc::clone(&self.connect),
            spared: self.rivals.spared(self.now()),
            stalled: self.refusals.stalled(self.now()),
            board: Arc::clone(&self.board),
            dry_run: self.dry_run,
            interrupt,
        };
        let pass = pass::run(scene, of, known, scope, others);
        self.work.push(pass.map(move |ended| Done::Pass(number, Box::new(ended))).boxed_local());
    }

    /// Shows that the loop turns, and whether what is at work gets on.
    fn beat(&mut self) {
        let signs = self.board.sent() + self.ended;
        let stuck_for = self.pulse.beat(self.now(), self.work.len(), signs);
        self.board.turn(stuck_for);
        self.manager.turn(stuck_for);
    }

    fn take(&mut self, done: Done) {
        self.ended += 1;
        match done {
            Done::Pass(number, ended) => {
                self.at_work.remove(&number);
                self.ended(*ended);
            }
            Done::Who(target, key, revision) => self.found_out(&target, &key, revision.map(|revision| *revision)),
            Done::Visit(number) => self.visited(number),
            Done::Nudge => {}
        }
    }

    /// Has everything that is at work stop where nothing is half done.
    fn stop_work(&mut self, signal: Interrupt) {
        self.at_work.values().for_each(|pass| visit::stop(&pass.stop, signal));
        self.visits.stop(signal);
    }

    /// Asks the store who wrote a version that was put away.
    pub(super) fn ask_who(&mut self, target: &TargetName, key: &Key, version: Option<Version>) {
        let Some(provider) = self.providers.get(target).cloned() else { return };
        let (target, key) = (target.clone(), key.clone());
        self.work.push(
            async move {
                let revision = pass::who(provider, key.clone(), version).await;
                Done::Who(target, key, revision.map(Box::new))
            }
            .boxed_local(),
        );
    }

    fn hang_up(&mut self) {
        tracing::info!("SIGHUP: reading the file again, with fresh credentials");
        self.manager.reloading();
        self.providers.clear();
        self.refusals.clear();
        self.stamp = None;
        self.schedule.hurry(self.now());
        self.begin_due();
        self.manager.ready();
    }

    fn reload(&mut self) {
        // Taken before reading: what changes meanwhile differs from it.
        let stamp = Stamp::of(&self.desired.sources);
        if stamp.is_some() && stamp == self.stamp {
            self.board.reloaded(Reload::Unchanged);
            return;
        }
        self.stamp = None;
        let loaded =
            (self.load)().map_err(|invalid| invalid.problems.into_iter().map(Trouble::of_problem).collect::<Vec<_>>());
        let loaded = loaded.and_then(|desired| match self.is_other(&desired) {
            Some(trouble) => Err(vec![trouble]),
            None => Ok(desired),
        });
        match loaded {
            Ok(desired) => {
                let unchanged = is_same(&self.desired, &desired);
                self.board.reloaded(if unchanged { Reload::Unchanged } else { Reload::Changed });
                if self.told.is_over("file") {
                    tracing::info!("the file is valid again");
                }
                self.board.lock().file.clear();
                if !unchanged {
                    self.adopt(desired);
                } else if self.desired.sources != desired.sources {
                    // The entries are many, and are kept once: whoever asks is told of the same.
                    self.desired = Arc::new(desired);
                    self.board.lock().desired = Arc::clone(&self.desired);
                } else {
                    self.stamp = stamp;
                }
            }
            Err(problems) => {
                self.board.reloaded(Reload::Invalid);
                let text = tell::line(&problems);
                if self.told.is_news("file", &text) {
                    tracing::error!(
                        "the file is invalid and changes nothing; the last good one stays in force: {text}"
                    );
                }
                self.board.lock().file = problems;
            }
        }
        self.watch_sources();
    }

    /// Says so where a file is of another owner than the daemon's.
    pub(super) fn is_other(&self, desired: &Desired) -> Option<Trouble> {
        if desired.name == self.desired.name {
            return None;
        }
        let message = format!("the file's name changed from {} to {}", self.desired.name, desired.name);
        Some(Trouble::new("invalid", message).with_hint("That is another owner: start another daemon for it."))
    }

    /// Goes on with another desired state.
    fn adopt(&mut self, desired: Desired) {
        let now = self.now();
        let before = std::mem::replace(&mut self.desired, Arc::new(desired));
        tracing::info!("the file asks for something else");
        self.heads.forget_all();
        self.refusals.clear();
        for (name, target) in &self.desired.targets {
            if before.targets.get(name).is_some_and(|before| before.config != target.config) {
                self.providers.remove(name);
                self.schedule.renew(name, now);
            }
        }
        let scope: Vec<_> = self.desired.targets.keys().filter(|name| (self.is_in_scope)(name)).cloned().collect();
        self.providers.retain(|name, _| scope.contains(name));
        self.schedule.set_targets(scope.iter().cloned(), now);
        let mut board = self.board.lock();
        board.desired = Arc::clone(&self.desired);
        let wall = (self.host.now)();
        board.targets.retain(|name, _| scope.contains(name));
        for name in scope {
            board.targets.entry(name).or_insert_with(|| TargetHealth::unknown(wall));
        }
        drop(board);
        self.asked = true;
        self.schedule.want_release(now);
        self.tell_waits();
    }

    fn watch_sources(&mut self) {
        if self.watch.set(&self.desired.sources) {
            // It may have changed between being read and being watched.
            self.schedule.notice(self.now());
        }
    }

    /// Says once what is fixed for as long as the daemon runs.
    fn announce(&self) {
        let targets: Vec<_> = self.board.lock().targets.keys().map(ToString::to_string).collect();
        let what = if self.dry_run { "watching only, writing nothing" } else { "started" };
        tracing::info!(name = %self.desired.name, targets = targets.join(", "), "{what}");
        let fixed = from_environment(&self.desired);
        if !fixed.is_empty() {
            let names: Vec<_> = fixed.iter().map(String::as_str).collect();
            tracing::warn!(
                "fixed at start, since they come from the environment: {}; a rotation needs a restart, or a mounted file",
                names.join(", ")
            );
        }
    }
}

/// Tells whether two desired states ask for the same. The digest names secrets by reference, so that their values are
/// compared too: a mounted secret is rotated behind its name.
fn is_same(one: &Desired, other: &Desired) -> bool {
    fn secrets(desired: &Desired) -> impl Iterator<Item = &Secret> {
        let entries = desired.targets.values().flat_map(|target| target.entries.values());
        entries.filter_map(|entry| match &entry.value {
            Value::Secret(secret) => Some(secret),
            Value::Plain(_) => None,
        })
    }
    let configs = |desired: &Desired| -> BTreeMap<TargetName, TargetConfig> {
        desired.targets.iter().map(|(name, target)| (name.clone(), target.config.clone())).collect()
    };
    one.digest == other.digest && configs(one) == configs(other) && secrets(one).eq(secrets(other))
}

/// Lists the environment variables that values come from.
fn from_environment(desired: &Desired) -> BTreeSet<String> {
    use repin_azure_app_configuration::SecretSource;
    let entries = desired.targets.values().flat_map(|target| target.entries.values());
    let values = entries.filter_map(|entry| entry.source.as_deref()?.strip_prefix("env:"));
    let credentials = desired.targets.values().filter_map(|target| match &target.config {
        TargetConfig::AzureAppConfiguration(config) => match &config.connection_string {
            Some(SecretSource::Env(name)) => Some(name.as_str()),
            _ => None,
        },
        TargetConfig::AwsSsm(_) => None,
    });
    values.chain(credentials).map(str::to_owned).collect()
}

async fn hung_up(hangup: &mut Option<tokio::signal::unix::Signal>) {
    match hangup {
        Some(hangup) => drop(hangup.recv().await),
        None => std::future::pending().await,
    }
}

async fn stopped(stop: &mut watch::Receiver<Option<Interrupt>>) -> Interrupt {
    match stop.wait_for(Option::is_some).await.map(|signal| *signal) {
        Ok(Some(signal)) => signal,
        // The sender lives as long as the process.
        _ => std::future::pending().await,
    }
}
