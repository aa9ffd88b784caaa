//! `repin plan`: what a pass would do and cost.

use std::collections::BTreeMap;

use repin_provider::{Key, TargetName};

use super::args::{Common, Output, PlanArgs};
use super::print::Printer;
use super::progress::Line;
use super::reconcile::failed;
use super::session::{self, Session, Stop};
use super::{Failure, plan_file};
use crate::cycle::{self, Pass};
use crate::exit::Exit;
use crate::model::desired::{Adopt, Desired};
use crate::model::observed::Observed;
use crate::model::plan::{BlockKind, Plan};
use crate::model::printable;
use crate::observe::Providers;
use crate::report::{Trouble, json, markdown, text};

/// The most items of others of which it is asked who wrote them: each takes a request of the slowest kind.
const AUTHORS: usize = 5;

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
    let plan = with_authors(plan, &desired, &session.providers).await;
    let foreign = args.foreign.then(|| foreign(&observed));
    show_with(&desired, &plan, foreign.as_ref(), printer);
    Ok(Exit::of_plan(&plan, args.detailed_exitcode))
}

/// Names of items that are not in the file, by target.
type Foreign<'a> = BTreeMap<&'a str, &'a [String]>;

fn foreign(observed: &Observed) -> Foreign<'_> {
    observed.targets.iter().filter_map(|(target, state)| Some((target.as_str(), state.foreign.as_deref()?))).collect()
}

/// Says of items that were to be taken over and are not what the file asks for who wrote them last, where the store knows.
async fn with_authors(mut plan: Plan, desired: &Desired, providers: &Providers) -> Plan {
    let adopts = |target: &TargetName, key: &Key| {
        let entry = desired.targets.get(target).and_then(|target| target.entries.get(key));
        entry.is_some_and(|entry| entry.adopt != Adopt::Never)
    };
    let mut asked = 0;
    for block in plan.blocks.iter_mut().filter(|block| block.kind == BlockKind::Foreign) {
        let (Some(target), Some(key)) = (&block.target, &block.key) else { continue };
        let Some(provider) = providers.get(target).filter(|_| adopts(target, key) && asked < AUTHORS) else { continue };
        asked += 1;
        // What cannot be told keeps nothing from being planned.
        let Ok(history) = provider.history(key).await else { continue };
        if let Some(by) = history.first().and_then(|newest| newest.by.as_deref()) {
            block.message.push_str(&format!(", last written by {}", printable::line(by)));
        }
    }
    plan
}

/// Shows a plan on stdout, and why it may not run: in the result for programs, on stderr for people.
pub(super) fn show(desired: &Desired, plan: &Plan, printer: &Printer) {
    show_with(desired, plan, None, printer);
}

fn show_with(desired: &Desired, plan: &Plan, foreign: Option<&Foreign<'_>>, printer: &Printer) {
    let name = desired.name.as_str();
    if printer.output() == Output::Markdown {
        return printer.plain(&markdown::plan(name, plan));
    }
    let as_text = || {
        let mut out = text::plan(name, plan, printer.width());
        for (target, names) in foreign.into_iter().flatten() {
            names.iter().for_each(|name| out.push_str(&format!("foreign  {target}  {}\n", printable::line(name))));
        }
        out
    };
    let as_json = || {
        let mut object = json::plan(name, plan);
        if let Some(foreign) = foreign {
            object["foreign_names"] = serde_json::json!(foreign);
        }
        object
    };
    printer.result(as_text, as_json);
    if printer.output() == Output::Text {
        let troubles: Vec<_> = plan.blocks.iter().map(Trouble::of_block).collect();
        printer.troubles(&troubles);
    }
}
