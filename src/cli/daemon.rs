//! `repin daemon`: passes for as long as it runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use globset::{Glob, GlobSet, GlobSetBuilder};
use repin_emulator::Emulator;
use repin_provider::limit::Share;
use repin_provider::{Error, Owner, Provider};

use super::args::{Common, DaemonArgs};
use super::desk::Desk;
use super::print::Printer;
use super::session::{self, Stop};
use super::{Failure, connect};
use crate::control::places::Places;
use crate::daemon::listen::Listener;
use crate::daemon::{Connect, Daemon, Lock, LockError, Setup, control, not_started, service};
use crate::desired::{self, Invalid};
use crate::exit::Exit;
use crate::model::desired::{Desired, TargetConfig};
use crate::model::outcome::Interrupt;
use crate::model::printable;
use crate::record::host::HostMemory;
use crate::record::private;
use crate::report::Trouble;

pub(super) async fn run(common: &Common, args: &DaemonArgs, stop: Stop, printer: &Printer) -> Result<Exit, Failure> {
    let ended = start(common, args, stop, printer).await;
    if let Some(trouble) = ended.as_ref().err().and_then(|failure| failure.troubles.first()) {
        not_started(&printable::line(&trouble.message));
    }
    ended
}

async fn start(common: &Common, args: &DaemonArgs, stop: Stop, printer: &Printer) -> Result<Exit, Failure> {
    let request = session::request(common)?;
    let desired = load(&request).map_err(session::invalid)?;
    session::warn(&desired, printer);
    warn_of_root();
    let targets: BTreeMap<_, _> =
        desired.targets.iter().map(|(name, target)| (name.clone(), target.config.clone())).collect();
    session::scope(common, &targets)?;
    refuse_public(args)?;
    let dir = session::state_dir(common).join(desired.name.as_str());
    let _lock = lock(&dir, &desired.name)?;
    let memory = HostMemory::open(&session::state_dir(common), &desired.name);
    let listener = listen(args).await?;
    let emulator = session::start_emulator(common, &targets, printer).await?;
    let globs = globs(&common.targets);
    let host = session::this_host(memory);
    let places = Places::new(session::state_dir(common), common.emulate.is_some()).to_listen(&desired.name);
    let desk = Desk {
        name: desired.name.clone(),
        state_dir: session::state_dir(common),
        emulated: common.emulate.clone(),
        files: session::files(common)?,
        host: host.runner.host.clone(),
    };
    let daemon = Daemon::new(Setup {
        desired,
        load: Box::new(move || load(&request)),
        is_in_scope: Box::new(move |name| globs.as_ref().is_none_or(|globs| globs.is_match(name.as_str()))),
        connect: Arc::new(Connector { emulator }),
        host,
        interval: args.interval,
        dry_run: args.dry_run,
        stop,
    });
    let socket = control::listen(&places, daemon.board(), Arc::new(desk), daemon.door()).await;
    let _answering = listener.map(|listener| service::listen_on(listener, daemon.board()));
    let exit = exit(daemon.run().await);
    if let Some(socket) = socket {
        socket.last_words().await;
    }
    Ok(exit)
}

/// Loads the file on a thread of its own, and returns a copy. Reading takes several times the memory of what is read; the
/// entries, made in the midst of it and kept for months, would keep all of it from being given back.
fn load(request: &desired::Request) -> Result<Desired, Invalid> {
    match std::thread::scope(|scope| scope.spawn(|| desired::load(request)).join()) {
        Ok(Ok(desired)) => Ok(desired.clone()),
        Ok(Err(invalid)) => Err(invalid),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Tells whoever runs the image as root that they do. It is let go on: where root may write to the state volume it works, and
/// what it writes there is root's from then on; without capabilities it may not, which is told next.
fn warn_of_root() {
    if std::process::id() == 1 && rustix::process::geteuid().is_root() {
        tracing::warn!(
            "this container runs as root, which nothing here needs: leave out the user, or set runAsNonRoot; the image's \
             own user is 65532, and needs a state volume that it may write to"
        );
    }
}

/// Returns what a daemon ends with: to stop it with SIGTERM, as service managers do, is no failure.
fn exit(signal: Interrupt) -> Exit {
    match signal {
        Interrupt::Terminated => Exit::Done,
        Interrupt::Interrupted => Exit::Interrupted,
    }
}

/// Insists that answering others than this host is meant.
fn refuse_public(args: &DaemonArgs) -> Result<(), Failure> {
    match &args.listen {
        Some(address) if !address.is_local() && !args.listen_public => Err(Failure::usage(
            format!("--listen {address}: others can reach this address, and whoever asks is answered"),
            "Use 127.0.0.1 or a Unix socket, or say --listen-public where something else keeps strangers away.",
        )),
        _ => Ok(()),
    }
}

/// Takes the address of `--listen`, or says why it cannot be had.
async fn listen(args: &DaemonArgs) -> Result<Option<Listener>, Failure> {
    let Some(address) = &args.listen else { return Ok(None) };
    let listener = Listener::bind(address).await.map_err(|error| {
        let trouble = Trouble::new("listen", format!("--listen {address}: {error}"));
        Failure::new(Exit::Failed, trouble.with_hint("Choose another address, or stop what has it."))
    })?;
    Ok(Some(listener))
}

/// Makes sure that no other daemon works with this state directory, and that it can be written to.
///
/// Without it each pass would read everything anew and decrypt every secret, two daemons could work side by side, and
/// probes would find nobody: better said at the start than found on a bill. One that becomes unusable later stops
/// nothing.
fn lock(dir: &Path, name: &Owner) -> Result<Lock, Failure> {
    let made = private::claim(dir).map_err(LockError::Unusable);
    made.and_then(|()| Lock::take(dir)).map_err(|error| match error {
        LockError::Held(pid) => {
            let who = pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
            let message = format!("another daemon for {name} works with {}{who}", dir.display());
            let hint = "Stop it first, or give this one its own --state-dir.";
            Failure::new(Exit::Failed, Trouble::new("running", message).with_hint(hint))
        }
        LockError::Unusable(error) => {
            // An error of the system has no other inside.
            let what = if error.get_ref().is_some() { "used" } else { "written to" };
            let message = format!("the state directory cannot be {what}: {}: {error}", dir.display());
            let hint = "Name one that this user may write to with --state-dir; in a unit StateDirectory=repin makes one, \
                        in a container an empty volume will do.";
            Failure::new(Exit::Failed, Trouble::new("state", message).with_hint(hint))
        }
    })
}

/// Returns a matcher of `--target`; `None` where all are meant. What is no glob was refused before.
pub(super) fn globs(patterns: &[String]) -> Option<GlobSet> {
    if patterns.is_empty() {
        return None;
    }
    let mut set = GlobSetBuilder::new();
    patterns.iter().filter_map(|pattern| Glob::new(pattern).ok()).for_each(|glob| {
        set.add(glob);
    });
    set.build().ok()
}

/// Builds providers of real and of embedded clouds.
struct Connector {
    emulator: Option<Emulator>,
}

#[async_trait]
impl Connect for Connector {
    async fn connect(&self, owner: &Owner, config: &TargetConfig) -> Result<Arc<dyn Provider>, Error> {
        connect::provider_with_share(owner, config, self.emulator.as_ref(), Share::HALF).await
    }
}

#[cfg(test)]
mod tests {
    use repin_provider::TargetName;

    use super::*;

    #[test]
    fn targets_are_chosen_by_glob() {
        let name = |text: &str| TargetName::parse(text).expect("valid");
        assert!(globs(&[]).is_none());
        let aws = globs(&["aws-*".to_owned()]).expect("a matcher");
        assert!(aws.is_match(name("aws-eu").as_str()) && !aws.is_match(name("azure").as_str()));
    }
}
