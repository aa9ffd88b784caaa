//! What a daemon lends to a command that came over its socket: its file, its credentials, its memory.

use std::fmt;
use std::sync::Arc;

use super::Failure;
use crate::daemon::Connect;
use crate::daemon::visit::Loan;
use crate::exit::Exit;
use crate::model::desired::{Desired, Identity};
use crate::report::Trouble;

/// What is lent. A command that has it reads no file, no variable and no credential of its own.
pub(super) struct Lent {
    asks: Result<Arc<Desired>, Vec<Trouble>>,
    identity: Identity,
    /// Builds providers.
    pub(super) connect: Arc<dyn Connect>,
    /// Who asks: `user@host`.
    pub(super) actor: String,
    /// The content of the saved plan that the peer named.
    pub(super) plan: Option<String>,
}

impl Lent {
    /// Takes what a daemon lends, for somebody.
    pub(super) fn new(loan: Loan, actor: String, plan: Option<String>) -> Self {
        // A broken entry must not stop a rollback: the name and the targets were good before.
        let known = loan.asks.as_ref().unwrap_or(&loan.last_good);
        let identity = Identity {
            name: known.name.clone(),
            targets: known.targets.iter().map(|(name, target)| (name.clone(), target.config.clone())).collect(),
            policy: known.policy.clone(),
        };
        Self { asks: loan.asks, identity, connect: loan.connect, actor, plan }
    }

    /// Returns what the file asks for.
    pub(super) fn desired(&self) -> Result<Desired, Failure> {
        match &self.asks {
            Ok(desired) => Ok(Desired::clone(desired)),
            Err(troubles) => Err(Failure { exit: Exit::Invalid, troubles: troubles.clone() }),
        }
    }

    /// Returns the name and the targets.
    pub(super) fn identity(&self) -> Identity {
        self.identity.clone()
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent").field("actor", &self.actor).finish_non_exhaustive()
    }
}
