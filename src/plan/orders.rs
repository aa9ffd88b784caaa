//! Orders that write nothing but the ledger: holding, resuming, unpinning, letting go.

use std::collections::{BTreeMap, BTreeSet};

use repin_provider::{Key, Owner, TargetName};

use super::{cost, globs, running};
use crate::model::desired::Desired;
use crate::model::hold::Hold;
use crate::model::observed::{FileStanding, Observed};
use crate::model::plan::{Plan, Reason, Step, StepAction, TargetPlan};
use crate::model::release::{Cause, CopyName, Ledger};

/// What an operator orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// The file may not change these for now.
    Hold {
        /// Which keys.
        glob: String,
    },
    /// The file may change these again.
    Resume {
        /// Which keys; `None` for all.
        glob: Option<String>,
    },
    /// The file's value counts again for this key.
    Unpin {
        /// The key.
        key: Key,
    },
    /// These are ours no more and stay in the stores.
    Forget {
        /// Which keys; `None` for all.
        glob: Option<String>,
        /// Who alone may take them over; `None` for anybody.
        heir: Option<Owner>,
    },
}

impl Order {
    fn cause(&self) -> Cause {
        match self {
            Self::Hold { .. } => Cause::Hold,
            Self::Resume { .. } => Cause::Resume,
            Self::Unpin { .. } => Cause::Unpin,
            Self::Forget { .. } => Cause::Forget,
        }
    }

    /// Tells whether it is about a key.
    pub fn matches(&self, key: &Key) -> bool {
        match self {
            Self::Hold { glob } | Self::Resume { glob: Some(glob) } | Self::Forget { glob: Some(glob), .. } => {
                globs(std::slice::from_ref(glob)).is_match(key.as_str())
            }
            Self::Resume { glob: None } | Self::Forget { glob: None, .. } => true,
            Self::Unpin { key: wanted } => key == wanted,
        }
    }
}

/// Plans an order. `reason` is what the operator says about it; `asks` what the file asks for, where it can be read.
pub fn plan(order: &Order, reason: Option<&str>, asks: Option<&Desired>, observed: &Observed) -> Plan {
    let mut blocks = Vec::new();
    let mut targets = BTreeMap::new();
    let newest = observed.targets.values().map(|state| state.ledger.highest_release()).max().unwrap_or(0);
    for (name, state) in &observed.targets {
        let mut planned = TargetPlan::new(state.id.clone());
        let mut ledger = state.ledger.clone();
        match state.ledger.open() {
            Some(record) if !state.takeover => blocks.push(running(name, record)),
            Some(record) => {
                let closed = observed.closed(state, record, &record.owner);
                ledger = state.ledger.with(closed.clone());
                planned.close = Some(closed);
            }
            None => {}
        }
        match order {
            Order::Forget { .. } => planned.steps = forget(order, &ledger),
            _ => planned.holds = holds(order, reason, asks, name, &ledger, newest),
        }
        if !planned.records() {
            // Nothing to say here: what is open is for a pass to close.
            planned.close = None;
        }
        planned.cost = cost(&planned, 0, state);
        targets.insert(name.clone(), planned);
    }
    Plan {
        release: None,
        targets,
        orphaned: BTreeMap::new(),
        blocks,
        file: FileStanding::Current,
        held: Vec::new(),
        notes: Vec::new(),
        cause: order.cause(),
        then_more: false,
    }
}

fn holds(
    order: &Order,
    reason: Option<&str>,
    asks: Option<&Desired>,
    target: &TargetName,
    ledger: &Ledger,
    newest: u64,
) -> BTreeMap<Key, Option<Hold>> {
    let asked = asks.and_then(|desired| desired.targets.get(target)).into_iter().flat_map(|t| t.entries.keys());
    let known: BTreeSet<&Key> = ledger.pins.keys().chain(ledger.holds.keys()).chain(asked).collect();
    let mut changed = BTreeMap::new();
    for key in known.into_iter().filter(|key| order.matches(key)) {
        let before = ledger.holds.get(key);
        let after = match (order, before) {
            (Order::Hold { .. }, Some(before)) if before.by_hand => continue,
            (Order::Hold { .. }, before) => Some(Hold {
                since: newest,
                reason: reason.map(str::to_owned),
                by_hand: true,
                ..before.cloned().unwrap_or_default()
            }),
            (Order::Resume { .. }, Some(before)) => before.resumed(),
            (Order::Unpin { .. }, Some(before)) => before.unpinned(),
            (_, None) | (Order::Forget { .. }, _) => continue,
        };
        if after.as_ref() != before {
            changed.insert(key.clone(), after);
        }
    }
    changed
}

fn forget(order: &Order, ledger: &Ledger) -> Vec<Step> {
    let ours = ledger.pins.keys().chain(ledger.withdrawn.keys());
    let keys: BTreeSet<&Key> = ours.filter(|key| order.matches(key)).collect();
    let step = |key: &Key| Step {
        key: key.clone(),
        native: key.to_string(),
        action: StepAction::Forget,
        reason: Reason::Forgotten,
        from: ledger.pins.get(key).map(|pin| pin.version.clone()),
        to: None,
        base: None,
        content: None,
        restores: None,
        digest: None,
        repair: true,
        changes: Vec::new(),
    };
    keys.into_iter().map(step).collect()
}

/// Lists the copies that the ledger keeps of what an order lets go of.
pub fn copies_of(order: &Order, ledger: &Ledger) -> BTreeSet<CopyName> {
    let rows = ledger.records.iter().flat_map(|record| &record.rows).filter(|row| order.matches(&row.key));
    let versions = rows.flat_map(|row| [&row.from, &row.to].into_iter().flatten().map(|v| CopyName::of(&row.key, v)));
    versions.filter(|name| ledger.copies.contains(name)).collect()
}
