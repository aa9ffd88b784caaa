//! The commands, one file each.

mod args;
mod connect;
mod emulator;
mod get;
mod history;
mod log;
mod plan;
mod print;
mod reconcile;
mod session;
mod show;
mod validate;

use std::ffi::OsString;

use clap::Parser as _;

use self::args::{Args, Command};
use self::print::Printer;
use crate::exit::Exit;
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

    fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Exit::Usage, Trouble::new("usage", message).with_hint(hint))
    }
}

/// Runs the program and returns what it ends with.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let args = match Args::try_parse_from(arguments) {
        Ok(args) => args,
        Err(error) => {
            // Help and version are results; anything else is the caller's mistake.
            let wrong = error.use_stderr();
            let _ = error.print();
            return if wrong { Exit::Usage } else { Exit::Done };
        }
    };
    log::init(&args.common);
    let printer = Printer::new(&args.common);
    match dispatch(args, &printer) {
        Ok(exit) => exit,
        Err(failure) => {
            printer.troubles(&failure.troubles);
            failure.exit
        }
    }
}

fn dispatch(args: Args, printer: &Printer) -> Result<Exit, Failure> {
    let common = args.common;
    if let Command::Validate = args.command {
        return validate::run(&common, printer);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(|e| {
        Failure::new(Exit::Failed, Trouble::new("system", format!("the async runtime cannot start: {e}")))
    })?;
    let exit = runtime.block_on(async {
        let (interrupt, stop_at_once) = session::signals();
        let command = async {
            match args.command {
                Command::Validate => validate::run(&common, printer),
                Command::Plan(args) => plan::run(&common, &args, interrupt, printer).await,
                Command::Reconcile(args) => reconcile::run(&common, &args, interrupt, printer).await,
                Command::Get(args) => get::run(&common, &args, interrupt, printer).await,
                Command::History(args) => history::run(&common, &args, interrupt, printer).await,
                Command::Show(args) => show::run(&common, &args, interrupt, printer).await,
                Command::Emulator(args) => emulator::run(&common, &args, interrupt, printer).await,
            }
        };
        tokio::select! {
            exit = command => exit,
            signal = stop_at_once => Ok(Exit::of_interrupt(signal)),
        }
    });
    // A name look-up or a file read that still runs must not keep the process.
    runtime.shutdown_background();
    exit
}
