//! The commands, one file each.

mod args;
mod completions;
mod connect;
mod daemon;
mod desk;
mod diff;
mod doctor;
mod emulator;
mod forget;
mod get;
mod help;
mod history;
mod hold;
mod iam;
mod init;
mod lent;
mod log;
mod pin;
mod plan;
mod plan_file;
mod print;
mod privacy;
mod probe;
mod progress;
mod reconcile;
mod remote;
mod rollback;
mod schema;
mod session;
mod show;
mod status;
mod topics;
mod validate;
mod wish;

use std::borrow::Cow;
use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _};

pub use self::desk::reception;
pub use self::privacy::keep_memory_private;

use self::args::{Args, Command, Output};
use self::print::Printer;
use self::session::Stop;
use crate::exit::Exit;
use crate::model::outcome::Interrupt;
use crate::report::Trouble;

/// Why a command ended early.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    troubles: Vec<Trouble>,
}

impl Failure {
    fn new(exit: Exit, trouble: Trouble) -> Self {
        Self { exit, troubles: vec![trouble] }
    }

    /// Puts two together: the gravest exit code, and all that is to be said.
    fn and(mut self, other: Self) -> Self {
        self.exit = self.exit.max(other.exit);
        self.troubles.extend(other.troubles);
        self
    }

    fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Exit::Usage, Trouble::new("usage", message).with_hint(hint))
    }
}

/// Runs the program and returns what it ends with.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let (args, words) = match parse(&arguments) {
        Ok(parsed) => parsed,
        // Help and version are results; anything else is the caller's mistake.
        Err(error) if error.use_stderr() => {
            if asks_for_json(&arguments) {
                print::usage_as_json(&error);
            } else {
                print::usage(&error);
            }
            return Exit::Usage;
        }
        Err(result) => {
            let _ = result.print();
            return Exit::Done;
        }
    };
    log::init(&args.common, matches!(args.command, Command::Daemon(_)));
    let printer = Printer::new(&args.common);
    match dispatch(args, &words, &printer) {
        Ok(exit) => exit,
        Err(failure) => {
            printer.troubles(&failure.troubles);
            failure.exit
        }
    }
}

/// Tells whether arguments are understood, the program's name first, and does nothing.
///
/// # Errors
/// Returns what the program would say about them.
pub fn check(arguments: impl IntoIterator<Item = OsString>) -> Result<(), String> {
    let arguments: Vec<_> = arguments.into_iter().collect();
    parse(&arguments).map(drop).map_err(|error| error.to_string())
}

/// Parses the arguments. Returns them as words too, with the message of the environment among them: all that a daemon
/// needs to parse them again.
fn parse(arguments: &[OsString]) -> Result<(Args, Vec<String>), clap::Error> {
    let mut matches = Args::command().try_get_matches_from(arguments)?;
    let mut words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    if let Some((_, sub)) = matches.subcommand()
        && let Ok(Some(message)) = sub.try_get_one::<String>(args::MESSAGE)
        && sub.value_source(args::MESSAGE) == Some(ValueSource::EnvVariable)
    {
        let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
        words.insert(end, format!("--{}={message}", args::MESSAGE));
    }
    let args = Args::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut Args::command()))?;
    Ok((args, words))
}

/// Tells whether arguments that make no sense as a whole ask for JSON, so that a program is answered as it expects.
fn asks_for_json(arguments: &[OsString]) -> bool {
    let words: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    let pair = |pair: &[Cow<'_, str>]| matches!(&*pair[0], "-o" | "--output") && pair[1] == "json";
    let one = |word: &Cow<'_, str>| matches!(&**word, "-ojson" | "-o=json" | "--output=json");
    words.windows(2).any(pair) || words.iter().any(one)
}

fn dispatch(args: Args, words: &[String], printer: &Printer) -> Result<Exit, Failure> {
    refuse_markdown(&args)?;
    match args.command {
        Command::Init(of) if of.from.is_empty() => init::run(&args.common, printer),
        Command::Init(of) => online(async |stop| looking(init::from::run(&args.common, &of, printer), stop).await),
        Command::Validate => validate::run(&args.common, printer),
        Command::Iam(of) => iam::run(&args.common, &of, printer),
        Command::Schema => Ok(schema::run(printer)),
        Command::Completions(of) => Ok(completions::completions(&of, printer)),
        Command::Man(of) => completions::man(&of, printer),
        Command::Help(of) => help::run(&of, printer),
        _ => online(async |stop| match remote::run(&args, words, &stop, printer).await? {
            Some(exit) => Ok(exit),
            None => carry_out(&args, stop, printer).await,
        }),
    }
}

/// Carries out a command that speaks to stores, here: as a process of its own, or inside the daemon.
async fn carry_out(args: &Args, stop: Stop, printer: &Printer) -> Result<Exit, Failure> {
    let common = &args.common;
    match &args.command {
        Command::Plan(args) => plan::run(common, args, stop, printer).await,
        Command::Reconcile(args) => reconcile::run(common, args, stop, printer).await,
        Command::Daemon(args) => daemon::run(common, args, stop, printer).await,
        Command::Status(args) => looking(status::run(common, args, printer), stop).await,
        Command::Get(args) => looking(get::run(common, args, printer), stop).await,
        Command::History(args) => looking(history::run(common, args, printer), stop).await,
        Command::Show(args) => looking(show::run(common, args, printer), stop).await,
        Command::Diff(args) => looking(diff::run(common, args, printer), stop).await,
        Command::Rollback(args) => rollback::run(common, args, stop, printer).await,
        Command::Hold(args) => hold::run(common, args, stop, printer).await,
        Command::Resume(args) => hold::resume(common, args, stop, printer).await,
        Command::Pin(args) => pin::run(common, args, stop, printer).await,
        Command::Unpin(args) => pin::unpin(common, args, stop, printer).await,
        Command::Forget(args) => forget::run(common, args, stop, printer).await,
        Command::Doctor(args) => looking(doctor::run(common, args, printer), stop).await,
        Command::Emulator(args) => emulator::run(args, stop, printer).await,
        Command::Init(_)
        | Command::Validate
        | Command::Iam(_)
        | Command::Schema
        | Command::Completions(_)
        | Command::Man(_)
        | Command::Help(_) => unreachable!("speaks to no store"),
    }
}

fn refuse_markdown(args: &Args) -> Result<(), Failure> {
    if args.common.output != Output::Markdown || shows_plan(&args.command) {
        return Ok(());
    }
    let hint = "It is for repin plan, and for reconcile and rollback with --dry-run.";
    Err(Failure::usage("this command has no -o markdown", hint))
}

fn shows_plan(command: &Command) -> bool {
    match command {
        Command::Plan(_) => true,
        Command::Reconcile(args) => args.dry_run,
        Command::Rollback(args) => args.dry_run,
        _ => false,
    }
}

/// Runs a command that only looks: it ends at the first signal, since there is nothing to finish.
async fn looking(command: impl Future<Output = Result<Exit, Failure>>, mut stop: Stop) -> Result<Exit, Failure> {
    tokio::select! {
        exit = command => exit,
        Ok(signal) = stop.wait_for(Option::is_some) => {
            Ok(Exit::of_interrupt(signal.unwrap_or(Interrupt::Interrupted)))
        }
    }
}

/// Runs a command that speaks to stores. A second signal ends it wherever it is.
fn online(command: impl AsyncFnOnce(Stop) -> Result<Exit, Failure>) -> Result<Exit, Failure> {
    // The command itself runs on this thread; another is enough for connections and for those who ask a daemon.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(|e| {
        Failure::new(Exit::Failed, Trouble::new("system", format!("the async runtime cannot start: {e}")))
    })?;
    let exit = runtime.block_on(async {
        let (stop, stop_at_once) = session::signals();
        tokio::select! {
            exit = command(stop) => exit,
            signal = stop_at_once => Ok(Exit::of_interrupt(signal)),
        }
    });
    // A name look-up or a file read that still runs must not keep the process.
    runtime.shutdown_background();
    exit
}
