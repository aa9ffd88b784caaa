//! `repin plan`: what a pass would do and cost.

use super::args::{Common, Output, PlanArgs};
use super::print::Printer;
use super::progress::Line;
use super::reconcile::failed;
use super::session::{self, Session, Stop};
use super::{Failure, plan_file};
use crate::cycle::{self, Pass};
use crate::exit::Exit;
use crate::model::desired::Desired;
use crate::model::plan::Plan;
use crate::report::{Trouble, json, markdown, text};

pub(super) async fn run(common: &Common, args: &PlanArgs, interrupt: Stop, printer: &Printer) -> Result<Exit, Failure> {
    let desired = session::load(common)?;
    session::warn(&desired, printer);
    let session = Session::for_desired(common, &desired, printer).await?;
    let pass = Pass { allow_older: args.allow_older, ..session.pass(&desired, interrupt) };
    let line = Line::new(&session.providers);
    let (plan, observed) = line.during(printer, cycle::plan_only(&pass)).await.map_err(failed)?;
    if let Some(path) = &args.out {
        if plan.blocks.is_empty() {
            plan_file::save(path, &session.host, &desired, &plan, &observed, printer)?;
            printer.note(&format!("Saved; apply it with: repin reconcile --plan {}", path.display()));
        } else {
            printer.note("Not saved: a plan that may not run cannot be applied.");
        }
    }
    show(&desired, &plan, printer);
    Ok(Exit::of_plan(&plan, args.detailed_exitcode))
}

/// Shows a plan on stdout, and why it may not run: in the result for programs, on stderr for people.
pub(super) fn show(desired: &Desired, plan: &Plan, printer: &Printer) {
    let name = desired.name.as_str();
    if printer.output() == Output::Markdown {
        return printer.plain(&markdown::plan(name, plan));
    }
    printer.result(|| text::plan(name, plan, printer.width()), || json::plan(name, plan));
    if printer.output() == Output::Text {
        let troubles: Vec<_> = plan.blocks.iter().map(Trouble::of_block).collect();
        printer.troubles(&troubles);
    }
}
