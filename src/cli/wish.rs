//! What the commands of operators share: they need the name and the targets of the file, and no more.

use std::collections::BTreeMap;
use std::time::Duration;

use repin_provider::TargetName;

use super::Failure;
use super::args::{Common, Output};
use super::print::Printer;
use super::progress::Line;
use super::reconcile::failed;
use super::session::{self, Session, Stop};
use crate::cycle::wish::{self, Ask, Refusal, WishError, WishPass};
use crate::exit::Exit;
use crate::model::desired::{Desired, Identity};
use crate::model::outcome::TargetFailure;
use crate::model::plan::Plan;
use crate::model::release::TargetId;
use crate::report::{Trouble, json, markdown, text};

/// How long what may pass is tried again where no option says so.
pub(super) const TIMEOUT: Duration = Duration::from_secs(120);

/// A command of an operator.
pub(super) struct Wished<'a> {
    /// What is asked for.
    pub(super) ask: Ask,
    /// What the operator says about it.
    pub(super) message: Option<&'a str>,
    /// How long to try again what may pass.
    pub(super) timeout: Duration,
    /// Whether what the file asks for now matters.
    pub(super) reads_file: bool,
}

/// A file's name and targets, the targets that can be asked, and what the file asks for where that can be read.
pub(super) struct Scene {
    identity: Identity,
    session: Session,
    desired: Option<Desired>,
    configured: BTreeMap<TargetId, TargetName>,
    unconnected: BTreeMap<TargetName, TargetId>,
    missing: Vec<TargetFailure>,
    scoped: bool,
}

impl Scene {
    /// Opens what can be opened. What is missing for one target keeps no other waiting; where none is left nothing can be
    /// done.
    pub(super) async fn open(common: &Common, reads_file: bool, printer: &Printer) -> Result<Self, Failure> {
        let identity = session::load_identity(common)?;
        let desired = if reads_file { desired(common, printer) } else { None };
        let mut session = Session::open(common, &identity.name, &identity.targets, printer).await?.any()?;
        let id = |name: &TargetName| Some(TargetId::of(&identity.targets.get(name)?.place()));
        let configured = identity.targets.keys().filter_map(|name| Some((id(name)?, name.clone()))).collect();
        let unconnected = session.unconnected().filter_map(|name| Some((name.clone(), id(name)?))).collect();
        let missing = session.take_missing();
        let scoped = !common.targets.is_empty();
        Ok(Self { identity, session, desired, configured, unconnected, missing, scoped })
    }

    /// Lists the targets that are meant, whether or not they can be asked.
    pub(super) fn targets(&self) -> impl Iterator<Item = &TargetName> {
        self.session.providers.keys().chain(self.unconnected.keys())
    }

    fn pass<'a>(&'a self, wished: &'a Wished<'_>, line: &'a Line, interrupt: Stop) -> WishPass<'a> {
        WishPass {
            owner: &self.identity.name,
            providers: &self.session.providers,
            others: &self.session.others,
            unconnected: &self.unconnected,
            configured: &self.configured,
            scoped: self.scoped,
            desired: self.desired.as_ref(),
            host: &self.session.host,
            message: wished.message,
            timeout: wished.timeout,
            progress: line,
            interrupt,
        }
    }

    /// Carries out what is asked for and says what came of it.
    pub(super) async fn carry_out(
        mut self,
        wished: &Wished<'_>,
        stop: Stop,
        printer: &Printer,
    ) -> Result<Exit, Failure> {
        let line = Line::new(&self.session.providers);
        let pass = self.pass(wished, &line, stop);
        let mut outcome = line.during(printer, wish::carry_out(&pass, &wished.ask)).await.map_err(refused)?;
        outcome.failures.append(&mut self.missing);
        let (name, now) = (self.identity.name.as_str(), (self.session.host.now)());
        printer.result(
            || text::wish_outcome(name, &wished.ask, &outcome, now, printer.width()),
            || json::wish_outcome(&outcome),
        );
        Ok(Exit::of_outcome(&outcome))
    }

    /// Shows what would be done, and does nothing.
    pub(super) async fn show(self, wished: &Wished<'_>, stop: Stop, printer: &Printer) -> Result<Exit, Failure> {
        let line = Line::new(&self.session.providers);
        let pass = self.pass(wished, &line, stop);
        let planned = line.during(printer, wish::plan_only(&pass, &wished.ask)).await.map_err(refused)?;
        let failures: Vec<_> = planned.unreached.iter().chain(&self.missing).collect();
        let troubles: Vec<_> = failures.into_iter().map(Trouble::of_failure).collect();
        self.show_plan(wished, &planned.plan, &troubles, printer);
        Ok(Exit::of_plan(&planned.plan, false))
    }

    fn show_plan(&self, wished: &Wished<'_>, plan: &Plan, troubles: &[Trouble], printer: &Printer) {
        let name = self.identity.name.as_str();
        match printer.output() {
            Output::Markdown => printer.plain(&markdown::plan(name, plan)),
            _ => printer.result(
                || text::wish_plan(name, &wished.ask, plan, printer.width()),
                || json::wish_plan(name, plan, troubles),
            ),
        }
        if printer.output() != Output::Json {
            printer.troubles(troubles);
            printer.troubles(&plan.blocks.iter().map(Trouble::of_block).collect::<Vec<_>>());
        }
    }
}

/// Runs a command that only carries out.
pub(super) async fn run(common: &Common, wished: &Wished<'_>, stop: Stop, printer: &Printer) -> Result<Exit, Failure> {
    Scene::open(common, wished.reads_file, printer).await?.carry_out(wished, stop, printer).await
}

/// Loads what the file asks for. Whatever is wrong with it must not stop a rollback: it is told in one line.
fn desired(common: &Common, printer: &Printer) -> Option<Desired> {
    match session::load(common) {
        Ok(desired) => Some(desired),
        Err(failure) => {
            let why = failure.troubles.first().map(text::one_line).unwrap_or_default();
            printer.note(&format!(
                "note: what the file asks for cannot be read, so holds name only what was released: {why}"
            ));
            None
        }
    }
}

/// Describes why nothing was done.
fn refused(error: WishError) -> Failure {
    let exit = Exit::of_wish_error(&error);
    match error {
        WishError::Pass(error) => failed(error),
        WishError::Refused { kind, message, hint } => {
            let kind = match kind {
                Refusal::NotFound => "not-found",
                Refusal::Foreign => "foreign",
            };
            Failure::new(exit, Trouble::new(kind, message).with_hint(hint))
        }
    }
}
