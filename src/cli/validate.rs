//! `repin validate`: everything that can be known offline.

use std::collections::BTreeMap;

use serde_json::json;

use super::Failure;
use super::args::Common;
use super::print::Printer;
use super::session;
use crate::exit::Exit;
use crate::report::words::counted;

pub(super) fn run(common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    let desired = session::load(common)?;
    session::warn(&desired, printer);
    let entries: BTreeMap<_, _> =
        desired.targets.iter().map(|(name, target)| (name.to_string(), target.entries.len() as u64)).collect();
    printer.result(
        || {
            let each: Vec<_> = entries.iter().map(|(name, n)| format!("{name} {}", counted(*n, "entry"))).collect();
            format!("{} is valid: {}.\n", desired.name, each.join(", "))
        },
        || {
            json!({
                "name": desired.name,
                "valid": true,
                "digest": desired.digest,
                "targets": entries,
                "warnings": desired.warnings,
            })
        },
    );
    Ok(Exit::Done)
}
