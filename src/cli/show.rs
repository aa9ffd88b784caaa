//! `repin show RELEASE`: one release.

use super::Failure;
use super::args::{Common, ShowArgs};
use super::history::Ledgers;
use super::print::Printer;
use crate::exit::Exit;
use crate::history;
use crate::report::{Trouble, json, text};

pub(super) async fn run(common: &Common, args: &ShowArgs, printer: &Printer) -> Result<Exit, Failure> {
    let ledgers = Ledgers::read(common, printer).await?;
    let releases = history::releases(&ledgers.sources(), ledgers.now());
    let Some(release) = releases.iter().find(|release| release.number == args.release) else {
        let known = match (releases.last(), releases.first()) {
            (Some(oldest), Some(newest)) => format!("The ledger has {} to {}.", oldest.number, newest.number),
            _ => "There is no release yet.".to_owned(),
        };
        let trouble = Trouble::new("not-found", format!("there is no release {}", args.release)).with_hint(known);
        return Err(Failure::new(Exit::Failed, trouble));
    };
    printer.result(|| text::release(ledgers.name.as_str(), release), || json::release(release));
    Ok(ledgers.finish(printer))
}
