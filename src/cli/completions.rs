//! `repin completions SHELL` and `repin man`: made from the arguments themselves, and from the topics of `repin help`.

use std::io;
use std::path::Path;

use clap::CommandFactory as _;

use super::args::{Args, CompletionsArgs, ManArgs};
use super::print::Printer;
use super::{Failure, topics};
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
        Some(dir) => write(dir).map_err(|error| {
            let message = format!("the manual cannot be written to {}: {error}", dir.display());
            let hint = "Name a folder that is there and that you may write to.";
            Failure::new(Exit::Failed, Trouble::new("system", message).with_hint(hint))
        })?,
        None => {
            let mut page = Vec::new();
            let man = clap_mangen::Man::new(Args::command());
            man.render(&mut page).expect("a buffer takes whatever is written");
            printer.plain(&String::from_utf8_lossy(&page));
        }
    }
    Ok(Exit::Done)
}

/// Writes every page: those of commands are of section 1, those of topics of section 7.
fn write(dir: &Path) -> io::Result<()> {
    clap_mangen::generate_to(Args::command(), dir)?;
    topics::all().iter().try_for_each(|topic| std::fs::write(dir.join(topic.file()), topic.manual()))
}
