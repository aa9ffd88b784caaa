//! The commands, one file each.

mod args;
mod completions;
mod connect;
mod daemon;
mod diff;
mod emulator;
mod forget;
mod get;
mod history;
mod hold;
mod iam;
mod init;
mod log;
mod pin;
mod plan;
mod plan_file;
mod print;
mod probe;
mod progress;
mod reconcile;
mod rollback;
mod schema;
mod session;
mod show;
mod status;
mod validate;
mod wish;

use std::borrow::Cow;
use std::ffi::OsString;

use clap::Parser as _;

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
    let args = match Args::try_parse_from(&arguments) {
        Ok(args) => args,
        // Help and version are results; anything else is the caller's mistake.
        Err(error) if error.use_stderr() => {
            if asks_for_json(&arguments) {
                print::usage_as_json(&error);
            } else {
                let _ = error.print();
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
    match dispatch(args, &printer) {
        Ok(exit) => exit,
        Err(failure) => {
            printer.troubles(&failure.troubles);
            failure.exit
        }
    }
}

/// Tells whether arguments that make no sense as a whole ask for JSON, so that a program is answered as it expects.
fn asks_for_json(arguments: &[OsString]) -> bool {
    let words: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    let pair = |pair: &[Cow<'_, str>]| matches!(&*pair[0], "-o" | "--output") && pair[1] == "json";
    let one = |word: &Cow<'_, str>| matches!(&**word, "-ojson" | "-o=json" | "--output=json");
    words.windows(2).any(pair) || words.iter().any(one)
}

fn dispatch(args: Args, printer: &Printer) -> Result<Exit, Failure> {
    let common = args.common;
    if common.output == Output::Markdown && !shows_plan(&args.command) {
        let hint = "It is for repin plan, and for reconcile and rollback with --dry-run.";
        return Err(Failure::usage("this command has no -o markdown", hint));
    }
    match args.command {
        Command::Init => init::run(&common, printer),
        Command::Validate => validate::run(&common, printer),
        Command::Iam(args) => iam::run(&common, &args, printer),
        Command::Schema => Ok(schema::run(printer)),
        Command::Completions(args) => Ok(completions::completions(&args, printer)),
        Command::Man(args) => completions::man(&args, printer),
        Command::Plan(args) => online(async |stop| plan::run(&common, &args, stop, printer).await),
        Command::Reconcile(args) => online(async |stop| reconcile::run(&common, &args, stop, printer).await),
        Command::Daemon(args) => online(async |stop| daemon::run(&common, &args, stop, printer).await),
        Command::Status(args) => online(async |stop| looking(status::run(&common, &args, printer), stop).await),
        Command::Get(args) => online(async |stop| looking(get::run(&common, &args, printer), stop).await),
        Command::History(args) => online(async |stop| looking(history::run(&common, &args, printer), stop).await),
        Command::Show(args) => online(async |stop| looking(show::run(&common, &args, printer), stop).await),
        Command::Diff(args) => online(async |stop| looking(diff::run(&common, &args, printer), stop).await),
        Command::Rollback(args) => online(async |stop| rollback::run(&common, &args, stop, printer).await),
        Command::Hold(args) => online(async |stop| hold::run(&common, &args, stop, printer).await),
        Command::Resume(args) => online(async |stop| hold::resume(&common, &args, stop, printer).await),
        Command::Pin(args) => online(async |stop| pin::run(&common, &args, stop, printer).await),
        Command::Unpin(args) => online(async |stop| pin::unpin(&common, &args, stop, printer).await),
        Command::Forget(args) => online(async |stop| forget::run(&common, &args, stop, printer).await),
        Command::Emulator(args) => online(async |stop| emulator::run(&args, stop, printer).await),
    }
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
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(|e| {
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
