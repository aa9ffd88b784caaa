//! Commands through the daemon of this host, where there is one: it carries them out with its own file and credentials.

use std::path::Path;

use repin_provider::Owner;

use super::args::{Args, Command};
use super::desk::is_taken;
use super::print::Printer;
use super::session::{self, Stop};
use super::{Failure, plan_file};
use crate::control::client::{self, Conversation, Daemon, NotTaken, Reached};
use crate::control::places::Places;
use crate::control::{Cancel, FORMAT, FileId, FileSaid, Line, MAX_BODY, Request};
use crate::desired;
use crate::exit::Exit;
use crate::model::outcome::Interrupt;
use crate::report::Trouble;

/// How much of a request is not the saved plan, at most, in bytes; a plan is quoted, which makes it longer.
const MAX_PLAN: usize = MAX_BODY / 2;

/// Has the daemon of this host carry a command out. `None` where there is none, or it is not meant.
pub(super) async fn run(
    args: &Args,
    words: &[String],
    stop: &Stop,
    printer: &Printer,
) -> Result<Option<Exit>, Failure> {
    if args.common.direct || !is_taken(&args.command) {
        return Ok(None);
    }
    let places = Places::new(session::state_dir(&args.common), args.common.emulate.is_some());
    if !places.may_have_any() {
        return Ok(None);
    }
    // A file or a plan that makes no sense is told as without a daemon.
    let Ok(own) = Own::of(args) else { return Ok(None) };
    let Some(daemon) = find(&places, own.name.as_ref()).await? else { return Ok(None) };
    let path = daemon.path().to_owned();
    let conversation = match daemon.command(&own.request(args, words, printer)).await {
        Ok(conversation) => conversation,
        Err(why) => return Err(not_taken(&path, why)),
    };
    hear(conversation, &path, args, stop.clone(), printer).await.map(Some)
}

/// What the operator has of their own.
struct Own {
    name: Option<Owner>,
    file: Option<FileSaid>,
    plan: Option<String>,
}

impl Own {
    fn of(args: &Args) -> Result<Self, Failure> {
        let common = &args.common;
        if let Command::Reconcile(of) = &args.command
            && let Some(path) = &of.plan
        {
            let plan = plan_file::text(path)?;
            if plan.len() > MAX_PLAN {
                let message = format!("{} is too large for the socket of a daemon", path.display());
                return Err(Failure::usage(message, "Apply it with --direct."));
            }
            let name = plan_file::parse(path, &plan)?.name;
            let file = if common.files.is_empty() { None } else { Some(file_said(args)?) };
            return Ok(Self { name: Some(name), file, plan: Some(plan) });
        }
        if session::has_no_file(common) {
            return Ok(Self { name: None, file: None, plan: None });
        }
        let file = file_said(args)?;
        let name = Owner::parse(&file.name).map_err(|error| Failure::usage(error.to_string(), "Name it otherwise."))?;
        Ok(Self { name: Some(name), file: Some(file), plan: None })
    }

    fn request(self, args: &Args, words: &[String], printer: &Printer) -> Request {
        Request {
            format: FORMAT,
            argv: words.to_vec(),
            file: self.file,
            plan: self.plan,
            width: printer.columns(),
            progress: printer.shows_progress(),
            emulated: args.common.emulate.is_some(),
            sudo_user: std::env::var("SUDO_USER").ok().filter(|user| !user.is_empty()),
        }
    }
}

/// Says what the operator's own file has, as far as the command depends on it.
fn file_said(args: &Args) -> Result<FileSaid, Failure> {
    let common = &args.common;
    let identity = session::load_identity(common)?;
    let files = session::files(common)?;
    let depends = matches!(args.command, Command::Plan(_) | Command::Reconcile(_));
    // Secrets count by reference: an operator need not have what is in a variable for a file to be the same.
    let without = |name: &str| std::env::var(name).ok().or_else(|| Some("0".to_owned()));
    let desired = depends.then(|| desired::load(&desired::Request::new(files.clone(), without)).ok()).flatten();
    Ok(FileSaid {
        name: identity.name.to_string(),
        files: files.iter().filter_map(|path| FileId::of(path)).collect(),
        targets: identity.targets.iter().map(|(name, it)| (name.to_string(), it.place().to_string())).collect(),
        digest: desired.map(|desired| desired.digest),
    })
}

/// Finds the daemon for a name; without one, the only daemon of this host.
async fn find(places: &Places, name: Option<&Owner>) -> Result<Option<Daemon>, Failure> {
    if let Some(name) = name {
        for path in places.of(name) {
            match client::reach(&path).await {
                Reached::Daemon(daemon) => return Ok(Some(daemon)),
                Reached::Nobody => {}
                Reached::Forbidden => {
                    tracing::info!(path = %path.display(), "a daemon may listen there, and not to this user");
                }
            }
        }
        return Ok(None);
    }
    let mut found = Vec::new();
    for candidate in places.all() {
        if let Reached::Daemon(daemon) = client::reach(&candidate.path).await {
            found.push((candidate.name, daemon));
        }
    }
    if found.len() > 1 {
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        let message = format!("no file was given, and this host has daemons for {}", names.join(", "));
        return Err(Failure::usage(message, "Name the file with -f FILE: it says which is meant."));
    }
    Ok(found.pop().map(|(_, daemon)| daemon))
}

/// Writes what the daemon says, until it says what the command ends with.
async fn hear(
    mut conversation: Conversation,
    path: &Path,
    args: &Args,
    mut stop: Stop,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let (mut ticket, mut begun, mut cancelled) = (None, false, false);
    loop {
        let line = tokio::select! {
            line = conversation.next() => line,
            Ok(signal) = stop.wait_for(Option::is_some), if !cancelled && ticket.is_some() => {
                cancelled = true;
                let terminated = *signal == Some(Interrupt::Terminated);
                let ticket = ticket.take().unwrap_or_default();
                tokio::spawn({
                    let path = path.to_owned();
                    async move { client::cancel(&path, &Cancel { ticket, terminated }).await }
                });
                continue;
            }
        };
        match line {
            Some(Line::Ticket(text)) => ticket = Some(text),
            Some(Line::Begun(_)) => begun = true,
            Some(Line::Alive(_)) => {}
            Some(Line::Stdout(text)) => printer.plain(&text),
            Some(Line::Stderr(text)) => printer.err(&text),
            Some(Line::Progress(text)) => printer.progress(&text),
            Some(Line::Save(text)) => save(args, &text, printer)?,
            Some(Line::Exit(code)) => {
                printer.progress("");
                return Ok(Exit::of_code(code).unwrap_or(Exit::Failed));
            }
            None => {
                printer.progress("");
                return Err(lost(begun));
            }
        }
    }
}

fn save(args: &Args, text: &str, printer: &Printer) -> Result<(), Failure> {
    let Command::Plan(of) = &args.command else { return Ok(()) };
    let Some(path) = &of.out else { return Ok(()) };
    printer.save(path, text).map_err(|error| plan_file::unsaved(path, &error))
}

/// Describes a daemon that went away in the middle of a command.
fn lost(begun: bool) -> Failure {
    if begun {
        let trouble = Trouble::new("lost", "the daemon is gone in the middle of it; what was begun is recorded")
            .with_hint("Its next start goes on with it; repin status --direct tells how it stands.");
        return Failure::new(Exit::Partial, trouble);
    }
    let trouble = Trouble::new("lost", "the daemon is gone, and nothing was begun");
    Failure::new(Exit::TryAgain, trouble.with_hint("Try again, or go round it with --direct."))
}

fn not_taken(path: &Path, why: NotTaken) -> Failure {
    let path = path.display();
    let (exit, kind, message) = match why {
        NotTaken::Lost(why) => (Exit::TryAgain, "lost", format!("the daemon at {path} does not answer: {why}")),
        NotTaken::Busy(why) => (Exit::TryAgain, "busy", format!("the daemon at {path} cannot do it now: {why}")),
        NotTaken::Refused(why) => (Exit::Failed, "refused", format!("the daemon at {path} does not do it: {why}")),
    };
    let hint = "Nothing was done. Try again, or go round the daemon with --direct.";
    Failure::new(exit, Trouble::new(kind, message).with_hint(hint))
}
