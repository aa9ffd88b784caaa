//! `repin reconcile`: one pass.

use std::path::Path;

use super::args::{Common, ReconcileArgs};
use super::print::Printer;
use super::progress::Line;
use super::session::{self, Session, Stop};
use super::{Failure, plan, plan_file};
use crate::cycle::{self, Pass, PassError};
use crate::exit::Exit;
use crate::model::outcome::Interrupt;
use crate::report::{Trouble, json, text};
use crate::saved::SavedPlan;

pub(super) async fn run(
    common: &Common,
    args: &ReconcileArgs,
    interrupt: Stop,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let saved = args.plan.as_deref().map(|path| load_plan(common, path)).transpose()?;
    let desired = match &saved {
        // A daemon goes by its own file, which the plan was found to agree with: what a peer sends decides no content.
        Some(saved) if common.lent.is_none() => plan_file::desired(saved)?,
        _ => session::load(common)?,
    };
    session::warn(&desired, printer);
    let session = match &saved {
        Some(saved) => Session::for_plan(common, saved, &desired, printer).await?,
        None => Session::for_desired(common, &desired, printer).await?,
    };
    let line = Line::new(&session.providers);
    let pass = Pass {
        allow_older: args.allow_older || saved.as_ref().is_some_and(SavedPlan::may_release),
        message: args.message.as_deref(),
        timeout: args.timeout,
        atomic: args.atomic,
        saved: saved.as_ref(),
        progress: &line,
        ..session.pass(&desired, interrupt)
    };
    if args.dry_run {
        let (planned, _) = line.during(printer, cycle::plan_only(&pass)).await.map_err(failed)?;
        plan::show(&desired, &planned, printer);
        return Ok(Exit::of_plan(&planned, false));
    }
    let outcome = line.during(printer, cycle::reconcile(&pass)).await.map_err(failed)?;
    let name = desired.name.as_str();
    printer.result(|| text::outcome(name, &outcome, printer.width()), || json::outcome(&outcome));
    Ok(Exit::of_outcome(&outcome))
}

/// Loads a saved plan; a file that is named beside it must still ask for what was planned.
fn load_plan(common: &Common, path: &Path) -> Result<SavedPlan, Failure> {
    if !common.targets.is_empty() {
        return Err(Failure::usage(
            "--plan and --target",
            "A saved plan says its targets; give --target to repin plan.",
        ));
    }
    let lent = common.lent.as_ref();
    let saved = match lent.and_then(|lent| lent.plan.as_deref()) {
        Some(text) => plan_file::parse(path, text)?,
        None => plan_file::load(path)?,
    };
    if !common.files.is_empty() || lent.is_some() {
        let desired = session::load(common)?;
        saved.agrees_with_file(&desired).map_err(|stale| Failure::new(Exit::Conflict, plan_file::stale(stale)))?;
    }
    Ok(saved)
}

/// Describes why a pass did nothing.
pub(super) fn failed(error: PassError) -> Failure {
    let exit = Exit::of_pass_error(&error);
    let troubles = match error {
        PassError::Unobserved(errors) => errors.iter().map(Trouble::of_unobserved).collect(),
        PassError::Blocked(plan) => plan.blocks.iter().map(Trouble::of_block).collect(),
        PassError::Wrong(findings) => findings.iter().map(|f| Trouble::new("bug", f.to_string())).collect(),
        PassError::Unfit(failures) => {
            failures.iter().map(|failure| Trouble::of_error(&failure.error).with_target(&failure.target)).collect()
        }
        PassError::Stale(stale) => vec![plan_file::stale(stale)],
        PassError::Raced(target) => vec![
            Trouble::new("conflict", "other runs were first each time; nothing of this one was served")
                .with_target(target)
                .with_hint("Run it again; the releases made meanwhile are in repin history."),
        ],
        PassError::Interrupted(signal) => {
            let name = match signal {
                Interrupt::Interrupted => "SIGINT",
                Interrupt::Terminated => "SIGTERM",
            };
            vec![Trouble::new("interrupted", format!("stopped by {name} before anything was written"))]
        }
    };
    Failure { exit, troubles }
}
