//! How the daemon meets the commands of operators: see `visit.rs` for the order of things.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::FutureExt as _;
use repin_provider::{Error, Owner, Provider, TargetName};

use super::board::Board;
use super::pass::Connect;
use super::run::{Daemon, Done};
use super::visit::{Loan, Manner, Visit, Visitor};
use crate::model::desired::{Desired, TargetConfig};
use crate::report::Trouble;

/// Has what commands send counted beside what passes send.
struct Watched {
    connect: Arc<dyn Connect>,
    board: Arc<Board>,
    desired: Arc<Desired>,
}

#[async_trait]
impl Connect for Watched {
    async fn connect(&self, owner: &Owner, config: &TargetConfig) -> Result<Arc<dyn Provider>, Error> {
        let provider = self.connect.connect(owner, config).await?;
        let place = config.place();
        if let Some((name, _)) = self.desired.targets.iter().find(|(_, target)| target.config.place() == place) {
            self.board.watch_provider(name, &provider);
        }
        Ok(provider)
    }
}

impl Daemon {
    /// Takes a command in.
    pub(super) fn receive(&mut self, visitor: Visitor) {
        let loan = self.lend();
        let Visitor { mut visit, stop, tell } = visitor;
        if !visit.admit(&loan) {
            return;
        }
        if visit.manner() == Manner::Look {
            let ended = visit.begin(loan, stop.subscribe());
            let number = self.visits.look(stop);
            self.work.push(ended.map(move |()| Done::Visit(number)).boxed_local());
            return;
        }
        let scope = self.scope_of(visit.as_ref());
        let mut stopped = stop.subscribe();
        self.visits.queue(Visitor { visit, stop, tell }, scope, self.now());
        // The loop turns when one that waits is stopped, so that it hears of it at once.
        let nudge = async move {
            let _ = stopped.wait_for(Option::is_some).await;
            Done::Nudge
        };
        self.work.push(nudge.boxed_local());
    }

    /// Lets commands begin whose turn it is.
    pub(super) fn begin_visits(&mut self) {
        let now = self.now();
        if let Some((number, visit, stop)) = self.visits.turn(&self.at_work, now) {
            // It may have waited, and the file is not what it was.
            let ended = visit.begin(self.lend(), stop.subscribe());
            self.work.push(ended.map(move |()| Done::Visit(number)).boxed_local());
        }
        self.schedule.bar(self.visits.barred());
    }

    /// Goes on after a command: what it left is looked at, and released, at once.
    pub(super) fn visited(&mut self, number: u64) {
        let Some(scope) = self.visits.ended(number) else { return };
        self.note_releases(&scope);
        let now = self.now();
        self.schedule.notice(now);
        self.schedule.look_again(&scope, now);
    }

    fn scope_of(&self, visit: &dyn Visit) -> BTreeSet<TargetName> {
        self.desired.targets.keys().filter(|name| visit.is_about(name)).cloned().collect()
    }

    /// Reads the file afresh, as a command of its own would; what the daemon goes by is not changed by that, since a
    /// file in the middle of an edit is not to be released.
    fn lend(&self) -> Loan {
        let asks = (self.load)().map_err(|invalid| invalid.problems.into_iter().map(Trouble::of_problem).collect());
        let asks = asks.and_then(|desired| match self.is_other(&desired) {
            Some(trouble) => Err(vec![trouble]),
            None => Ok(Arc::new(desired)),
        });
        let last_good = Arc::clone(&self.desired);
        let connect = Watched {
            connect: Arc::clone(&self.connect),
            board: Arc::clone(&self.board),
            desired: asks.as_ref().unwrap_or(&last_good).clone(),
        };
        Loan { asks, last_good, connect: Arc::new(connect), dry_run: self.dry_run }
    }

    /// Has those who ask told the newest releases, before a pass has seen them.
    fn note_releases(&self, scope: &BTreeSet<TargetName>) {
        let newest: Vec<_> = scope.iter().map(|name| (name, self.newest_release(name))).collect();
        let mut board = self.board.lock();
        for (name, release) in newest {
            if let Some(known) = board.targets.get_mut(name) {
                known.release = known.release.max(release);
            }
        }
    }
}
