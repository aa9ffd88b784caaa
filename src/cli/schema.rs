//! `repin schema`: the JSON Schema of the file.

use super::print::Printer;
use crate::desired;
use crate::exit::Exit;

pub(super) fn run(printer: &Printer) -> Exit {
    printer.plain(&text());
    Exit::Done
}

/// Returns the schema as a file holds it.
pub(super) fn text() -> String {
    format!("{:#}\n", desired::schema())
}
