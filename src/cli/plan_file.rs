//! Saved plans on disk.

use std::io::Write as _;
use std::path::Path;

use super::Failure;
use super::print::Printer;
use super::session;
use crate::cycle::Host;
use crate::desired;
use crate::exit::Exit;
use crate::model::desired::Desired;
use crate::model::observed::Observed;
use crate::model::plan::Plan;
use crate::report::Trouble;
use crate::saved::{SavedPlan, Stale};

/// The largest saved plan in bytes: ten thousand entries of the largest size.
const MAX: u64 = 128 << 20;

/// Saves a plan, readable by its owner alone, since values stand in it.
pub(super) fn save(
    path: &Path,
    host: &Host,
    desired: &Desired,
    plan: &Plan,
    observed: &Observed,
    printer: &Printer,
) -> Result<(), Failure> {
    let folder = std::env::current_dir().map_err(|error| unsaved(path, &error))?;
    let saved = SavedPlan::new(desired, plan, observed, ((host.now)(), &host.actor), &folder);
    printer.save(path, &saved.to_text()).map_err(|error| unsaved(path, &error))
}

/// Says that a plan could not be written.
pub(super) fn unsaved(path: &Path, error: &std::io::Error) -> Failure {
    let message = format!("the plan cannot be saved to {}: {error}", path.display());
    let hint = "Name a file in a folder that is there and that you may write to.";
    Failure::new(Exit::Failed, Trouble::new("system", message).with_hint(hint))
}

/// Replaces a file as a whole: half a plan is never there to be read. A new file of this kind is the owner's alone.
pub(super) fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".repin-plan-").tempfile_in(parent)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Reads a saved plan.
///
/// # Errors
/// An unreadable plan is an invalid file: it ends with 78.
pub(super) fn load(path: &Path) -> Result<SavedPlan, Failure> {
    parse(path, &text(path)?)
}

/// Reads the text of a saved plan.
pub(super) fn text(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    desired::read_text(path, MAX)
        .map_err(|error| invalid(format!("{shown} cannot be read: {error}"), "Make it with repin plan --out."))
}

/// Makes a plan of the text that a file has.
pub(super) fn parse(path: &Path, text: &str) -> Result<SavedPlan, Failure> {
    let shown = path.display();
    SavedPlan::from_text(text).map_err(|why| {
        let hint = match why {
            crate::saved::Unreadable::Newer(_) => "Use a repin at least as new as the one that made it, or plan again.",
            _ => "Plan again: repin plan --out.",
        };
        invalid(format!("{shown} {why}"), hint)
    })
}

fn invalid(message: String, hint: &str) -> Failure {
    Failure::new(Exit::Invalid, Trouble::new("plan-file", message).with_hint(hint))
}

/// Returns what a saved plan asks for, with the secrets read on this host.
pub(super) fn desired(saved: &SavedPlan) -> Result<Desired, Failure> {
    saved.desired(&session::env()).map_err(|problems| Failure {
        exit: Exit::Invalid,
        troubles: problems.into_iter().map(Trouble::of_problem).collect(),
    })
}

/// Describes why a saved plan was refused.
pub(super) fn stale(stale: Stale) -> Trouble {
    Trouble {
        target: stale.target.map(|target| target.to_string()),
        key: stale.key.map(|key| key.to_string()),
        ..Trouble::new("stale", stale.message).with_hint("Nothing was done. Plan again: repin plan --out.")
    }
}
