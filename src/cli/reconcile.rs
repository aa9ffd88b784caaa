//! `repin reconcile`: one pass.

use super::Failure;
use super::args::{Common, ReconcileArgs};
use super::plan;
use super::print::Printer;
use super::session::{self, Session, Stop};
use crate::cycle::{self, Pass, PassError};
use crate::exit::Exit;
use crate::model::outcome::Interrupt;
use crate::report::{Trouble, json, text};

pub(super) async fn run(
    common: &Common,
    args: &ReconcileArgs,
    interrupt: Stop,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let desired = session::load(common)?;
    let session = Session::for_desired(common, &desired, printer).await?;
    let pass = Pass {
        allow_older: args.allow_older,
        message: args.message.as_deref(),
        timeout: args.timeout,
        ..session.pass(&desired, interrupt)
    };
    if args.dry_run {
        let planned = cycle::plan_only(&pass).await.map_err(failed)?;
        plan::show(&desired, &planned, printer);
        return Ok(Exit::of_plan(&planned, false));
    }
    let outcome = cycle::reconcile(&pass).await.map_err(failed)?;
    let name = desired.name.as_str();
    printer.result(|| text::outcome(name, &outcome), || json::outcome(&outcome));
    Ok(Exit::of_outcome(&outcome))
}

/// Describes why a pass did nothing.
pub(super) fn failed(error: PassError) -> Failure {
    let exit = Exit::of_pass_error(&error);
    let troubles = match error {
        PassError::Unobserved(errors) => errors.iter().map(Trouble::of_unobserved).collect(),
        PassError::Blocked(plan) => plan.blocks.iter().map(Trouble::of_block).collect(),
        PassError::Wrong(findings) => findings.iter().map(|f| Trouble::new("bug", f.to_string())).collect(),
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
