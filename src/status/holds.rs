//! What is held, and whether the file asks for what a hold forbids. Told from the ledgers and the file alone: nothing is
//! read or decrypted for it.

use globset::{Glob, GlobSet, GlobSetBuilder};
use repin_provider::{Key, TargetName};

use super::Look;
use crate::model::compare::content_digest;
use crate::model::desired::{Desired, Entry};
use crate::model::hold::{HeldContent, Hold};
use crate::model::release::{Ledger, Row, RowAction};

/// One entry that is held, on the targets where it is held alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldKey {
    /// The key.
    pub key: Key,
    /// What put it there.
    pub kind: HoldKind,
    /// The release that was the newest when it was made: the rollback or the pin itself, or the one before `repin hold`.
    pub since: u64,
    /// What the operator said.
    pub reason: Option<String>,
    /// Where.
    pub targets: Vec<TargetName>,
    /// Whether the file asks for what is held; `None` where the file cannot be read as a whole.
    pub blocks: Option<bool>,
    /// The newest release that had what the file asks for, where it is held.
    pub asks_for: Option<u64>,
}

/// What put a hold there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HoldKind {
    /// A rollback.
    Rollback,
    /// `repin hold`.
    Hand,
    /// `repin pin`.
    Pin,
}

impl HoldKind {
    /// Returns what counts first of a hold.
    pub fn of(hold: &Hold) -> Self {
        match (hold.pinned, hold.by_hand) {
            (true, _) => Self::Pin,
            (false, true) => Self::Hand,
            (false, false) => Self::Rollback,
        }
    }
}

impl HeldKey {
    /// Tells whether somebody should know of it first of all: it keeps the file from being served, or may do so.
    pub fn counts(&self) -> bool {
        self.kind != HoldKind::Rollback || self.blocks != Some(false)
    }
}

/// Lists what is held, by key.
pub(super) fn held(looks: &[Look], desired: Option<&Desired>) -> Vec<HeldKey> {
    let forgotten = desired.map(forgotten);
    let mut held: Vec<HeldKey> = Vec::new();
    for look in looks {
        let Some(ledger) = &look.ledger else { continue };
        for (key, hold) in &ledger.holds {
            let asks = desired.zip(forgotten.as_ref()).map(|(desired, forgotten)| {
                let entries = desired.targets.get(&look.target).map(|target| &target.entries);
                let lets_go = !desired.policy.prune || forgotten.is_match(key.as_str());
                Asks { entry: entries.and_then(|entries| entries.get(key)), lets_go }
            });
            let blocks = asks.as_ref().map(|asks| asks.are_held(key, hold, ledger));
            let asks_for =
                asks.filter(|_| blocks == Some(true)).and_then(|asks| asks.newest_release(key, hold, ledger));
            let (kind, since, reason) = (HoldKind::of(hold), hold.since, hold.reason.clone());
            let one =
                HeldKey { key: key.clone(), kind, since, reason, targets: vec![look.target.clone()], blocks, asks_for };
            match held.iter_mut().find(|other| HeldKey { targets: one.targets.clone(), ..(*other).clone() } == one) {
                Some(alike) => alike.targets.extend(one.targets),
                None => held.push(one),
            }
        }
    }
    held.sort_by(|a, b| a.key.cmp(&b.key));
    held
}

fn forgotten(desired: &Desired) -> GlobSet {
    let globs = desired.forget.iter().filter_map(|pattern| Glob::new(pattern).ok());
    let mut set = GlobSetBuilder::new();
    globs.for_each(|glob| {
        set.add(glob);
    });
    set.build().unwrap_or_default()
}

/// What the file asks for one key on one target.
struct Asks<'a> {
    entry: Option<&'a Entry>,
    /// Whether what the file does not have stays as it is.
    lets_go: bool,
}

impl Asks<'_> {
    /// Tells whether the file asks for something else than what is served and may not have it. Of a secret nobody can
    /// tell without decrypting it, and it counts as held.
    fn are_held(&self, key: &Key, hold: &Hold, ledger: &Ledger) -> bool {
        let served = ledger.pins.get(key);
        let is_served = match (self.entry, served) {
            (Some(entry), Some(pin)) => {
                pin.content.as_ref().is_some_and(|content| content.names_value() && *content == content_digest(entry))
            }
            (None, Some(_)) => self.lets_go,
            (entry, None) => entry.is_none(),
        };
        if is_served {
            return false;
        }
        hold.by_hand || hold.pinned || hold.contents.iter().any(|content| self.is_for(content))
    }

    fn is_for(&self, content: &HeldContent) -> bool {
        match (self.entry, content) {
            (None, HeldContent::Absent) => true,
            (Some(entry), HeldContent::Secret(..)) => entry.value.is_secret() && entry.pin.is_none(),
            (Some(entry), HeldContent::Plain(digest)) => {
                !(entry.value.is_secret() && entry.pin.is_none()) && content_digest(entry).core() == *digest
            }
            _ => false,
        }
    }

    /// Returns the newest release that had what the file asks for.
    fn newest_release(&self, key: &Key, hold: &Hold, ledger: &Ledger) -> Option<u64> {
        let asked: Vec<_> = hold.contents.iter().filter(|content| self.is_for(content)).collect();
        let had = |row: &Row| row.key == *key && asked.contains(&&content_of(row));
        ledger.records.iter().rev().find(|record| record.rows.iter().any(had))?.header.release
    }
}

fn content_of(row: &Row) -> HeldContent {
    match (row.action, &row.content, row.restores.as_ref().or(row.to.as_ref())) {
        (RowAction::Delete | RowAction::Withdraw, ..) | (_, None, None) => HeldContent::Absent,
        (_, Some(content), _) if content.names_value() => HeldContent::Plain(content.core()),
        (_, _, Some(version)) => HeldContent::secret(version),
        (_, Some(content), None) => HeldContent::Plain(content.core()),
    }
}

/// Groups what is held alike, so that one sentence says it; by the first key of each.
pub fn alike(holds: &[HeldKey]) -> Vec<(&HeldKey, Vec<&Key>)> {
    let mut groups: Vec<(&HeldKey, Vec<&Key>)> = Vec::new();
    for held in holds {
        match groups.iter_mut().find(|(other, _)| are_alike(other, held)) {
            Some((_, keys)) if keys.last() == Some(&&held.key) => {}
            Some((_, keys)) => keys.push(&held.key),
            None => groups.push((held, vec![&held.key])),
        }
    }
    groups
}

fn are_alike(a: &HeldKey, b: &HeldKey) -> bool {
    (a.kind, a.since, &a.reason) == (b.kind, b.since, &b.reason)
        && match a.kind {
            HoldKind::Rollback => (a.blocks, a.asks_for) == (b.blocks, b.asks_for),
            HoldKind::Hand => true,
            // A pin is lifted by key and target.
            HoldKind::Pin => (&a.key, &a.targets) == (&b.key, &b.targets),
        }
}
