//! `repin plan`: what a pass would do and cost.

use super::Failure;
use super::args::{Common, PlanArgs};
use super::print::Printer;
use super::reconcile::failed;
use super::session::{self, Session, Stop};
use crate::cycle::{self, Pass};
use crate::exit::Exit;
use crate::model::desired::Desired;
use crate::model::plan::Plan;
use crate::report::{Trouble, json, text};

pub(super) async fn run(common: &Common, args: &PlanArgs, interrupt: Stop, printer: &Printer) -> Result<Exit, Failure> {
    let desired = session::load(common)?;
    let session = Session::for_desired(common, &desired, printer).await?;
    let pass = Pass { allow_older: args.allow_older, ..session.pass(&desired, interrupt) };
    let plan = cycle::plan_only(&pass).await.map_err(failed)?;
    show(&desired, &plan, printer);
    Ok(Exit::of_plan(&plan, args.detailed_exitcode))
}

/// Shows a plan, and why it may not run.
pub(super) fn show(desired: &Desired, plan: &Plan, printer: &Printer) {
    let name = desired.name.as_str();
    printer.result(
        || {
            let blocks: String = plan.blocks.iter().map(|block| text::trouble(&Trouble::of_block(block))).collect();
            format!("{}{blocks}", text::plan(name, plan))
        },
        || json::plan(name, plan),
    );
}
