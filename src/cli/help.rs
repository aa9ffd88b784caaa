//! `repin help`: a command, a topic, or all of them.

use clap::CommandFactory as _;

use super::args::{Args, HelpArgs};
use super::print::Printer;
use super::{Failure, topics};
use crate::desired::nearest::nearest;
use crate::exit::Exit;

pub(super) fn run(args: &HelpArgs, printer: &Printer) -> Result<Exit, Failure> {
    let Some(about) = &args.about else { return Ok(help_of(&[])) };
    if let Some(topic) = topics::find(about) {
        printer.plain(&topic.screen(topics::width(printer.columns())));
        return Ok(Exit::Done);
    }
    if Args::command().find_subcommand(about).is_some() {
        return Ok(help_of(&[about]));
    }
    Err(unknown(about))
}

/// Prints what the program prints when it is asked for the help of a command, its own without one.
fn help_of(command: &[&str]) -> Exit {
    let asked = ["repin"].iter().chain(command).chain(&["--help"]);
    if let Err(help) = Args::command().try_get_matches_from(asked) {
        // A reader that went away is no failure.
        let _ = help.print();
    }
    Exit::Done
}

fn unknown(about: &str) -> Failure {
    let commands = Args::command();
    let commands = commands.get_subcommands().flat_map(|command| command.get_name_and_visible_aliases());
    let names: Vec<_> = commands.map(str::to_owned).chain(topics::names().map(str::to_owned)).collect();
    let hint = match nearest(about, names.iter().map(String::as_str)) {
        Some(near) => format!("Did you mean repin help {near}?"),
        None => {
            let topics = topics::names().collect::<Vec<_>>().join(", ");
            format!("The topics are {topics}; repin help lists the commands too.")
        }
    };
    Failure::usage(format!("no command and no topic is called {about:?}"), hint)
}
