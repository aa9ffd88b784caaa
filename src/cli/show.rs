//! `repin show RELEASE`: one release.

use super::Failure;
use super::args::{Common, ShowArgs};
use super::history::Ledgers;
use super::print::Printer;
use crate::exit::Exit;
use crate::report::{json, text};

pub(super) async fn run(common: &Common, args: &ShowArgs, printer: &Printer) -> Result<Exit, Failure> {
    let ledgers = Ledgers::read(common, printer).await?;
    let release = ledgers.find(args.release)?;
    printer.result(|| text::release(ledgers.name.as_str(), &release, printer.width()), || json::release(&release));
    Ok(ledgers.finish(printer))
}
