//! What commands share: the file, the targets in scope, the providers, this host.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use repin_emulator::Emulator;
use repin_provider::{Error, Owner, Provider, TargetName};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};

use super::Failure;
use super::args::{Common, Output};
use super::connect;
use super::print::Printer;
use crate::cycle::{Host, Pass};
use crate::desired;
use crate::exit::Exit;
use crate::model::desired::{Desired, Identity, TargetConfig};
use crate::model::outcome::{Interrupt, TargetFailure};
use crate::record::host::{self, HostMemory};
use crate::report::Trouble;
use crate::saved::SavedPlan;

/// What the file is called where nothing says otherwise.
pub(super) const USUAL_FILE: &str = "repin.yaml";

/// Says when to stop.
pub(super) type Stop = watch::Receiver<Option<Interrupt>>;

/// The providers of the targets in scope, and this host.
pub(super) struct Session {
    pub(super) providers: BTreeMap<TargetName, Arc<dyn Provider>>,
    /// The targets out of scope that can be connected to, for what their ledgers say.
    pub(super) others: BTreeMap<TargetName, Arc<dyn Provider>>,
    /// Targets that cannot even be asked: a variable or a file of theirs is missing on this host.
    unconnected: BTreeMap<TargetName, Error>,
    pub(super) host: Host,
    /// Kept for as long as it is spoken to.
    _emulator: Option<Emulator>,
}

impl Session {
    /// Connects to the targets in scope; sends nothing yet. What is missing for one must not stop a look at the others.
    pub(super) async fn open(
        common: &Common,
        name: &Owner,
        targets: &BTreeMap<TargetName, TargetConfig>,
        printer: &Printer,
    ) -> Result<Self, Failure> {
        let scope = scope(common, targets)?;
        let emulator = start_emulator(common, targets, printer).await?;
        let (mut providers, mut unconnected) = (BTreeMap::new(), BTreeMap::new());
        for (target, config) in &scope {
            match connect(common, name, config, emulator.as_ref()).await {
                Ok(provider) => drop(providers.insert(target.clone(), provider)),
                Err(error) => drop(unconnected.insert(target.clone(), error)),
            }
        }
        let mut others = BTreeMap::new();
        for (target, config) in targets.iter().filter(|(target, _)| !scope.contains_key(*target)) {
            if let Ok(provider) = connect(common, name, config, emulator.as_ref()).await {
                others.insert(target.clone(), provider);
            }
        }
        let memory = HostMemory::open(&state_dir(common), name);
        let mut host = this_host(memory);
        if let Some(lent) = &common.lent {
            host.actor = lent.actor.clone();
        }
        Ok(Self { providers, others, unconnected, host, _emulator: emulator })
    }

    /// Insists on every target: a pass does nothing anywhere where it cannot look everywhere.
    fn whole(mut self) -> Result<Self, Failure> {
        match self.take_unconnected().into_values().reduce(Failure::and) {
            Some(failure) => Err(failure),
            None => Ok(self),
        }
    }

    /// Insists on one target at least.
    pub(super) fn any(self) -> Result<Self, Failure> {
        if self.providers.is_empty() { self.whole() } else { Ok(self) }
    }

    /// Takes what keeps targets from being asked, ready to be told.
    pub(super) fn take_unconnected(&mut self) -> BTreeMap<TargetName, Failure> {
        let told = |(target, error): (TargetName, Error)| {
            let trouble = Trouble::of_error(&error).with_target(&target);
            (target, Failure::new(Exit::of_error(&error), trouble))
        };
        std::mem::take(&mut self.unconnected).into_iter().map(told).collect()
    }

    /// Takes what keeps targets from being asked, as failures of a pass.
    pub(super) fn take_missing(&mut self) -> Vec<TargetFailure> {
        let failure = |(target, error)| TargetFailure { target, doing: "connect to the target", error };
        std::mem::take(&mut self.unconnected).into_iter().map(failure).collect()
    }

    /// Lists the targets that cannot even be asked.
    pub(super) fn unconnected(&self) -> impl Iterator<Item = &TargetName> {
        self.unconnected.keys()
    }

    /// Opens a session for everything that a file asks for.
    pub(super) async fn for_desired(common: &Common, desired: &Desired, printer: &Printer) -> Result<Self, Failure> {
        let targets = desired.targets.iter().map(|(name, target)| (name.clone(), target.config.clone())).collect();
        Self::open(common, &desired.name, &targets, printer).await?.whole()
    }

    /// Opens a session for the targets of a saved plan.
    pub(super) async fn for_plan(
        common: &Common,
        saved: &SavedPlan,
        desired: &Desired,
        printer: &Printer,
    ) -> Result<Self, Failure> {
        let config = |name: &TargetName| Some((name.clone(), desired.targets.get(name)?.config.clone()));
        let targets = saved.scope().filter_map(config).collect();
        Self::open(common, &desired.name, &targets, printer).await?.whole()
    }

    /// Describes a pass.
    pub(super) fn pass<'a>(&'a self, desired: &'a Desired, interrupt: Stop) -> Pass<'a> {
        Pass::new(desired, (&self.providers, &self.others), &self.host, interrupt)
    }
}

/// Builds the provider of one target, from the credentials of the daemon where the command runs there.
async fn connect(
    common: &Common,
    owner: &Owner,
    config: &TargetConfig,
    emulator: Option<&Emulator>,
) -> Result<Arc<dyn Provider>, Error> {
    match &common.lent {
        Some(lent) => lent.connect.connect(owner, config).await,
        None => connect::provider(owner, config, emulator).await,
    }
}

/// Starts the embedded clouds where they are asked for.
pub(super) async fn start_emulator(
    common: &Common,
    targets: &BTreeMap<TargetName, TargetConfig>,
    printer: &Printer,
) -> Result<Option<Emulator>, Failure> {
    let Some(dir) = &common.emulate else { return Ok(None) };
    let emulator = match &common.lent {
        Some(_) => None,
        None => Some(connect::start_emulator(dir, targets).await?),
    };
    let process = if emulator.is_some() { "this process" } else { "the daemon" };
    printer.note(&format!("EMULATED: both clouds run inside {process}, with their data in {}", dir.display()));
    Ok(emulator)
}

/// Looks variables up in this process's environment.
pub(super) fn env() -> desired::Env {
    Box::new(|name| std::env::var(name).ok())
}

/// Loads the whole file.
pub(super) fn load(common: &Common) -> Result<Desired, Failure> {
    if let Some(lent) = &common.lent {
        return lent.desired();
    }
    desired::load(&request(common)?).map_err(invalid)
}

/// Tells people what in a valid file may not be what was meant.
pub(super) fn warn(desired: &Desired, printer: &Printer) {
    if printer.output() != Output::Json {
        desired.warnings.iter().for_each(|warning| printer.note(&format!("warning: {warning}")));
    }
}

/// Loads only the name and the targets, which a broken entry does not touch.
pub(super) fn load_identity(common: &Common) -> Result<Identity, Failure> {
    if let Some(lent) = &common.lent {
        return Ok(lent.identity());
    }
    desired::load_identity(&request(common)?).map_err(invalid)
}

pub(super) fn request(common: &Common) -> Result<desired::Request, Failure> {
    Ok(desired::Request::new(files(common)?, |name| std::env::var(name).ok()))
}

/// Tells whether no file is named, and none is where it usually is.
pub(super) fn has_no_file(common: &Common) -> bool {
    files(common).is_err()
}

/// Returns the files that are meant.
pub(super) fn files(common: &Common) -> Result<Vec<PathBuf>, Failure> {
    if !common.files.is_empty() {
        return Ok(common.files.clone());
    }
    if let Some(list) = std::env::var_os("REPIN_FILE").filter(|list| !list.is_empty()) {
        return Ok(std::env::split_paths(&list).collect());
    }
    let usual = Path::new(USUAL_FILE);
    if usual.exists() {
        return Ok(vec![usual.to_owned()]);
    }
    Err(Failure::usage(
        "no file was given",
        "Name it with -f FILE or REPIN_FILE, or call it repin.yaml; repin init writes one to start from.",
    ))
}

pub(super) fn invalid(invalid: desired::Invalid) -> Failure {
    Failure { exit: Exit::Invalid, troubles: invalid.problems.into_iter().map(Trouble::of_problem).collect() }
}

/// Returns the targets that `--target` leaves.
pub(super) fn scope(
    common: &Common,
    targets: &BTreeMap<TargetName, TargetConfig>,
) -> Result<BTreeMap<TargetName, TargetConfig>, Failure> {
    if common.targets.is_empty() {
        return Ok(targets.clone());
    }
    let mut left = BTreeMap::new();
    for pattern in &common.targets {
        let glob = globset::Glob::new(pattern)
            .map_err(|error| Failure::usage(format!("--target {pattern}: {error}"), "Write it like \"aws-*\"."))?
            .compile_matcher();
        let before = left.len();
        left.extend(
            targets.iter().filter(|(name, _)| glob.is_match(name.as_str())).map(|(n, c)| (n.clone(), c.clone())),
        );
        if left.len() == before {
            let names: Vec<_> = targets.keys().map(TargetName::as_str).collect();
            return Err(Failure::usage(
                format!("--target {pattern} matches no target"),
                format!("The file has {}.", names.join(", ")),
            ));
        }
    }
    Ok(left)
}

/// Returns where this host remembers: as told, as systemd says, or where the user's state goes.
pub(super) fn state_dir(common: &Common) -> PathBuf {
    if let Some(dir) = &common.state_dir {
        return dir.clone();
    }
    if let Some(dir) = &common.emulate {
        return dir.join("state");
    }
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    // systemd may name several, colon-separated; the first is ours.
    if let Some(dir) = set("STATE_DIRECTORY").and_then(|dirs| std::env::split_paths(&dirs).next()) {
        return dir;
    }
    if let Some(dir) = set("XDG_STATE_HOME") {
        return PathBuf::from(dir).join("repin");
    }
    match set("HOME") {
        Some(home) => PathBuf::from(home).join(".local/state/repin"),
        None => PathBuf::from("/var/lib/repin"),
    }
}

/// Describes this process and its surroundings.
pub(super) fn this_host(memory: HostMemory) -> Host {
    let runner = host::runner();
    // Who stands behind a sudo did it, not root.
    let sudo = std::env::var("SUDO_USER").ok().filter(|user| !user.is_empty());
    let user = sudo.or_else(|| whoami::username().ok()).unwrap_or_else(|| "unknown".to_owned());
    Host {
        actor: format!("{user}@{}", runner.host),
        memory,
        runner,
        is_gone: Box::new(host::is_gone),
        now: Box::new(Timestamp::now),
        nonce: Box::new(|| hex::encode(rand::random::<[u8; 8]>())),
    }
}

/// Listens for signals: the first asks to stop and record, the second stops at once.
pub(super) fn signals() -> (Stop, impl Future<Output = Interrupt>) {
    let (stop, stopped) = watch::channel(None);
    let (at_once, now) = oneshot::channel();
    tokio::spawn(async move {
        let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
            return std::future::pending().await;
        };
        let mut next = async || {
            tokio::select! {
                _ = int.recv() => Interrupt::Interrupted,
                _ = term.recv() => Interrupt::Terminated,
            }
        };
        let first = next().await;
        tracing::warn!("stopping as soon as nothing is half done (once more to stop at once)");
        let _ = stop.send(Some(first));
        let second = next().await;
        let _ = at_once.send(second);
        // The sender of the first is kept: dropping it would look like a signal to those who wait.
        stop.closed().await;
    });
    let at_once = async {
        match now.await {
            Ok(signal) => signal,
            Err(_) => std::future::pending().await,
        }
    };
    (stopped, at_once)
}
