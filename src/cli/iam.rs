//! `repin iam`: the least rights that the file needs.

use super::Failure;
use super::args::{Common, IamArgs};
use super::print::Printer;
use super::session;
use crate::exit::Exit;
use crate::iam;

/// Needs only the file's name and targets, and speaks to nobody: who grants rights has no secret of the file at hand.
pub(super) fn run(common: &Common, args: &IamArgs, printer: &Printer) -> Result<Exit, Failure> {
    let identity = session::load_identity(common)?;
    let targets = session::scope(common, &identity.targets)?;
    let mode = args.mode.into();
    let scope =
        iam::azure::Scope { subscription: args.subscription.clone(), resource_group: args.resource_group.clone() };
    let access = iam::access(&identity.name, &targets, mode, &scope);
    printer.result(|| access.text(&identity.name, mode), || access.json(&identity.name, mode));
    Ok(Exit::Done)
}
