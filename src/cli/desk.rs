//! Commands that came over the daemon's socket: parsed as any, checked, and carried out with what the daemon lends.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::Resettable;
use clap::{CommandFactory as _, FromArgMatches as _};
use futures::future::{FutureExt as _, LocalBoxFuture};
use globset::GlobSet;
use repin_provider::{Owner, TargetName};
use tokio::sync::watch;

use super::args::{self, Args, Command};
use super::lent::Lent;
use super::print::Printer;
use super::reconcile::failed;
use super::{Failure, carry_out, daemon, refuse_markdown};
use crate::control::{FORMAT, FileId, FileSaid, Line, Request};
use crate::cycle::PassError;
use crate::daemon::control::{Lines, Peer, Reception};
use crate::daemon::visit::{Away, Loan, Manner, Visit};
use crate::exit::Exit;
use crate::model::desired::Desired;
use crate::model::outcome::Interrupt;
use crate::report::Trouble;

/// How to do without the daemon.
const DIRECT: &str = "--direct goes round the daemon, with a file and credentials of your own.";

/// What the daemon knows when it meets a peer.
pub(super) struct Desk {
    /// The name that it works for.
    pub(super) name: Owner,
    /// Where it remembers.
    pub(super) state_dir: PathBuf,
    /// The folder of the embedded clouds, where it speaks to these.
    pub(super) emulated: Option<PathBuf>,
    /// The files that it reads.
    pub(super) files: Vec<PathBuf>,
    /// Its host, for who did what.
    pub(super) host: String,
}

/// Returns what carries out the commands of peers as a daemon does: for one name, with what is remembered in this folder
/// and read from these files.
pub fn reception(name: Owner, state_dir: PathBuf, files: Vec<PathBuf>) -> Arc<dyn Reception> {
    let host = crate::record::host::runner().host;
    Arc::new(Desk { name, state_dir, emulated: None, files, host })
}

/// A command of a peer.
struct Errand {
    args: Args,
    peer: Peer,
    file: Option<FileSaid>,
    plan: Option<String>,
    is_emulated: bool,
    globs: Option<GlobSet>,
    printer: Printer,
    lines: Lines,
    actor: String,
    emulated: Option<PathBuf>,
    files: Vec<PathBuf>,
    name: Owner,
}

/// Tells whether a command can be carried out by a daemon at all.
pub(super) fn is_taken(command: &Command) -> bool {
    match command {
        Command::Status(args) => args.probe.is_none(),
        _ => needs(command).is_some(),
    }
}

/// Returns how a command wants its targets; `None` where it is none for a daemon.
fn needs(command: &Command) -> Option<Manner> {
    match command {
        Command::Plan(_)
        | Command::Status(_)
        | Command::Get(_)
        | Command::History(_)
        | Command::Show(_)
        | Command::Diff(_) => Some(Manner::Look),
        Command::Reconcile(args) if args.dry_run => Some(Manner::Look),
        Command::Rollback(args) if args.dry_run => Some(Manner::Look),
        Command::Resume(args) if args.dry_run => Some(Manner::Look),
        Command::Reconcile(args) => Some(Manner::Patient(args.timeout)),
        Command::Rollback(_)
        | Command::Hold(_)
        | Command::Resume(_)
        | Command::Pin(_)
        | Command::Unpin(_)
        | Command::Forget(_) => Some(Manner::Urgent),
        Command::Init(_)
        | Command::Validate
        | Command::Daemon(_)
        | Command::Doctor(_)
        | Command::Emulator(_)
        | Command::Iam(_)
        | Command::Schema
        | Command::Completions(_)
        | Command::Man(_)
        | Command::Help(_) => None,
    }
}

impl Reception for Desk {
    fn receive(&self, request: Request, peer: Peer, lines: Lines) -> Result<Box<dyn Visit>, String> {
        if request.format != FORMAT {
            return Err(format!("this daemon is repin {}, and knows format {FORMAT}", env!("CARGO_PKG_VERSION")));
        }
        let mut args = parse(&request.argv)?;
        if !is_taken(&args.command) {
            return Err("this command is none for a daemon".to_owned());
        }
        if matches!(&args.command, Command::Reconcile(args) if args.plan.is_some() != request.plan.is_some()) {
            return Err("a saved plan is sent along, and read nowhere else".to_owned());
        }
        // Whatever is about the peer's own side counts for nothing here.
        args.common.files = Vec::new();
        args.common.state_dir = Some(self.state_dir.clone());
        args.common.emulate = self.emulated.clone();
        let user = match request.sudo_user {
            // Who stands behind a sudo did it, not root; anybody else could claim to be somebody.
            Some(user) if peer.uid == 0 && is_user(&user) => user,
            _ => peer.user.clone(),
        };
        Ok(Box::new(Errand {
            printer: Printer::for_peer(&args.common, lines.clone(), request.width, request.progress),
            globs: daemon::globs(&args.common.targets),
            args,
            peer,
            file: request.file,
            plan: request.plan,
            is_emulated: request.emulated,
            lines,
            actor: format!("{user}@{}", self.host),
            emulated: self.emulated.clone(),
            files: self.files.clone(),
            name: self.name.clone(),
        }))
    }
}

/// Parses arguments as at the start of a process, but for the daemon's own environment.
fn parse(argv: &[String]) -> Result<Args, String> {
    let parser = Args::command().mut_subcommands(|command| {
        command.mut_args(|arg| if arg.get_id() == args::MESSAGE { arg.env(Resettable::Reset) } else { arg })
    });
    let parsed = parser.try_get_matches_from(argv).and_then(|mut matches| Args::from_arg_matches_mut(&mut matches));
    parsed.map_err(|error| {
        let text = error.to_string();
        text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
    })
}

/// Tells whether a text can be the name of a user: it stands in records and on screens.
fn is_user(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@')
}

impl Visit for Errand {
    fn manner(&self) -> Manner {
        needs(&self.args.command).unwrap_or(Manner::Look)
    }

    fn is_about(&self, target: &TargetName) -> bool {
        self.globs.as_ref().is_none_or(|globs| globs.is_match(target.as_str()))
    }

    fn admit(&mut self, loan: &Loan) -> bool {
        match self.check(loan) {
            Ok(()) => true,
            Err(failure) => {
                self.end(Err(failure));
                false
            }
        }
    }

    fn begin(self: Box<Self>, loan: Loan, stop: watch::Receiver<Option<Interrupt>>) -> LocalBoxFuture<'static, ()> {
        let mut errand = *self;
        async move {
            let changes = errand.manner() != Manner::Look;
            // The file may be another one than when it came.
            if changes && !errand.admit(&loan) {
                return;
            }
            if changes {
                let _ = errand.lines.send(Line::Begun(true));
            }
            let lent = Lent::new(loan, errand.actor.clone(), errand.plan.take());
            errand.args.common.lent = Some(lent.into());
            let carried = AssertUnwindSafe(carry_out(&errand.args, stop, &errand.printer)).catch_unwind().await;
            let carried = carried.unwrap_or_else(|_| {
                let message = "the command broke off inside the daemon, which goes on; what was begun is recorded";
                Err(Failure::new(Exit::Failed, Trouble::new("bug", message)))
            });
            let exit = errand.end(carried);
            if changes {
                let (actor, code) = (&errand.actor, exit.code());
                tracing::info!(target: "repin::daemon", %actor, code, "{} by {actor}: exit {code}", errand.word());
            }
        }
        .boxed_local()
    }

    fn turn_away(&self, why: Away) {
        let busy = |message: &str| Failure::new(Exit::TryAgain, Trouble::new("busy", message).with_hint(DIRECT));
        self.end(Err(match why {
            Away::Stopped(signal) => failed(PassError::Interrupted(signal)),
            Away::Full => busy("too many commands wait for the daemon already; nothing was begun"),
            Away::Ending => busy("the daemon is being stopped; nothing was begun"),
        }));
    }
}

impl Errand {
    /// Says what came of it.
    fn end(&self, carried: Result<Exit, Failure>) -> Exit {
        let exit = carried.unwrap_or_else(|failure| {
            self.printer.troubles(&failure.troubles);
            failure.exit
        });
        let _ = self.lines.send(Line::Exit(exit.code()));
        exit
    }

    fn word(&self) -> &'static str {
        match &self.args.command {
            Command::Reconcile(_) => "reconcile",
            Command::Rollback(_) => "rollback",
            Command::Hold(_) => "hold",
            Command::Resume(_) => "resume",
            Command::Pin(_) => "pin",
            Command::Unpin(_) => "unpin",
            Command::Forget(_) => "forget",
            _ => "a look",
        }
    }

    /// Refuses what this daemon does not do, or not for this peer, or not with the file that the peer means.
    fn check(&self, loan: &Loan) -> Result<(), Failure> {
        refuse_markdown(&self.args)?;
        if loan.dry_run && self.manner() != Manner::Look {
            let message = "the daemon of this host only watches (--dry-run), and changes nothing for anybody";
            return Err(Failure::usage(message, DIRECT));
        }
        if self.is_emulated != self.emulated.is_some() {
            let of = |emulated| if emulated { "the embedded clouds" } else { "the real clouds" };
            let message = format!(
                "this command is about {}, and the daemon speaks to {}",
                of(self.is_emulated),
                of(self.emulated.is_some())
            );
            return Err(Failure::usage(message, DIRECT));
        }
        self.check_reveal()?;
        match &self.file {
            Some(file) => self.check_file(file, loan),
            None => Ok(()),
        }
    }

    /// The values of secrets are for those who could have them anyway.
    fn check_reveal(&self) -> Result<(), Failure> {
        let reveals = matches!(&self.args.command, Command::Get(args) if args.reveal);
        let own = rustix::process::geteuid().as_raw();
        if !reveals || self.peer.uid == 0 || self.peer.uid == own {
            return Ok(());
        }
        let message =
            format!("a daemon reveals secrets to root and to its own user only, and you are {}", self.peer.user);
        let hint = "Leave --reveal out, or read it with credentials of your own: --direct.";
        Err(Failure::new(Exit::Denied, Trouble::new("denied", message).with_hint(hint)))
    }

    fn check_file(&self, file: &FileSaid, loan: &Loan) -> Result<(), Failure> {
        let desired = loan.asks.as_ref().unwrap_or(&loan.last_good);
        let theirs = names(file.files.iter().map(|file| file.path.as_path()));
        let ours = names(self.files.iter().map(PathBuf::as_path));
        if file.name != self.name.as_str() {
            let message = format!("{theirs} is of {}, and the daemon keeps {} as {ours} says", file.name, self.name);
            return Err(Failure::usage(message, DIRECT));
        }
        if let Some(target) = self.other_place(file, desired) {
            let message = format!("{target} is not at the same place in {theirs} and in the daemon's {ours}");
            return Err(Failure::usage(message, DIRECT));
        }
        let depends = matches!(&self.args.command, Command::Plan(_) | Command::Reconcile(_)) && self.plan.is_none();
        if depends && loan.asks.is_ok() && !self.is_same_file(file) && file.digest.as_ref() != Some(&desired.digest) {
            let how = if file.digest.is_some() { "does not ask for the same as" } else { "cannot be compared with" };
            let message = format!("{theirs} {how} the daemon's {ours}, which is what the daemon releases");
            return Err(Failure::usage(message, format!("Edit the daemon's file. {DIRECT}")));
        }
        Ok(())
    }

    /// Returns a target in scope that one of the files has, and the other has not at the same place.
    fn other_place(&self, file: &FileSaid, desired: &Desired) -> Option<String> {
        let place = |name: &str| {
            let found = desired.targets.iter().find(|(known, _)| known.as_str() == name)?;
            Some(found.1.config.place().to_string())
        };
        let names = file.targets.keys().map(String::as_str).chain(desired.targets.keys().map(TargetName::as_str));
        let mut meant = names.filter(|name| self.globs.as_ref().is_none_or(|globs| globs.is_match(name)));
        meant.find(|name| file.targets.get(*name) != place(name).as_ref()).map(str::to_owned)
    }

    fn is_same_file(&self, file: &FileSaid) -> bool {
        let ours: Vec<_> = self.files.iter().filter_map(|path| FileId::of(path)).collect();
        ours.len() == file.files.len() && ours.iter().zip(&file.files).all(|(one, other)| one.is_same(other))
    }
}

fn names<'a>(paths: impl Iterator<Item = &'a std::path::Path>) -> String {
    let absolute = paths.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    absolute.map(|path| path.display().to_string()).collect::<Vec<_>>().join(" with ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn arguments_are_parsed_as_at_the_start() {
        let args = parse(&words(&["repin", "-f", "x.yaml", "rollback", "41", "--message=why"])).expect("valid");
        let Command::Rollback(of) = &args.command else { panic!("{args:?}") };
        assert_eq!((of.release, of.why.message.as_deref()), (Some(41), Some("why")));
        for wrong in [&["repin", "rollback", "x"][..], &["repin", "hold", "a["], &["repin"], &[], &["repin", "--help"]]
        {
            assert!(parse(&words(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_a_daemon_takes() {
        let needs = |argv: &[&str]| needs(&parse(&words(argv)).expect("valid").command);
        assert_eq!(needs(&["repin", "status"]), Some(Manner::Look));
        assert_eq!(needs(&["repin", "rollback"]), Some(Manner::Urgent));
        assert_eq!(needs(&["repin", "rollback", "--dry-run"]), Some(Manner::Look));
        let patient = Manner::Patient(std::time::Duration::from_secs(90));
        assert_eq!(needs(&["repin", "reconcile", "--timeout", "90s"]), Some(patient));
        assert_eq!(needs(&["repin", "daemon"]), None);
        assert_eq!(needs(&["repin", "validate"]), None);
        let probe = parse(&words(&["repin", "status", "--probe", "live"])).expect("valid");
        assert!(!is_taken(&probe.command));
    }

    #[test]
    fn names_of_users_are_harmless() {
        assert!(is_user("ana") && is_user("ana.maria-7"));
        assert!(!is_user("") && !is_user("a b") && !is_user("root@other") && !is_user("a\u{1b}[2J"));
    }
}
