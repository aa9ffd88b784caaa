//! `repin completions SHELL` and `repin man`: made from the arguments themselves.

use clap::CommandFactory as _;

use super::Failure;
use super::args::{Args, CompletionsArgs, ManArgs};
use super::print::Printer;
use crate::exit::Exit;
use crate::report::Trouble;

pub(super) fn completions(args: &CompletionsArgs, printer: &Printer) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "repin", &mut script);
    printer.plain(&String::from_utf8_lossy(&script));
    Exit::Done
}

pub(super) fn man(args: &ManArgs, printer: &Printer) -> Result<Exit, Failure> {
    match &args.dir {
        Some(dir) => {
            clap_mangen::generate_to(Args::command(), dir)
                .map_err(|error| failed(&format!("the manual cannot be written to {}: {error}", dir.display())))?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Args::command())
                .render(&mut page)
                .map_err(|error| failed(&format!("the manual cannot be made: {error}")))?;
            printer.plain(&String::from_utf8_lossy(&page));
        }
    }
    Ok(Exit::Done)
}

fn failed(message: &str) -> Failure {
    Failure::new(Exit::Failed, Trouble::new("system", message))
}
