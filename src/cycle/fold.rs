//! After a pass: folding old releases away, and letting go of what only they needed.

use std::collections::BTreeSet;

use repin_provider::{Action, Key, Observe, Owner, Provider, Seen, View, Write};

use crate::model::release::{CopyName, Ledger, State};
use crate::record::copies;
use crate::record::host::TargetMemory;
use crate::record::ledger::{self, LedgerError};

/// Records beside releases (repairs, holds) that may stand in a log before it is folded.
const OTHERS: usize = 200;

/// Returns the place in the log up to which records are to be folded away; `None` while that is not due. Twice as many
/// releases as are kept may stand there, so that folding is rare.
fn due(ledger: &Ledger, keep: u32) -> Option<u64> {
    let keep = usize::try_from(keep.max(1)).ok()?;
    let left = || ledger.records.iter().filter(|record| record.seq > ledger.base_seq);
    let releases: Vec<u64> = left()
        .filter(|record| record.header.release.is_some() && record.state != State::Abandoned)
        .map(|record| record.seq)
        .collect();
    if ledger.open().is_some() || (releases.len() <= 2 * keep && left().count() <= 2 * keep + OTHERS) {
        return None;
    }
    // What the last release that is folded away had is what the base says, so that it is kept too.
    let first_kept = releases.len().checked_sub(keep)?;
    let seq = releases.get(first_kept)? - 1;
    (seq > ledger.base_seq).then_some(seq)
}

/// Folds one target's log if that is due. What fails is tried again after a later pass: nothing depends on it.
pub(super) async fn fold(owner: &Owner, provider: &dyn Provider, memory: &mut TargetMemory, keep: u32) {
    let Some(ledger) = ledger::remembered(owner, &memory.ledger) else { return };
    let Some(seq) = due(&ledger, keep) else { return };
    if let Err(error) = fold_to(owner, provider, memory, &ledger, seq).await {
        tracing::warn!(%error, "old releases could not be folded away; the next release tries again");
    }
}

async fn fold_to(
    owner: &Owner,
    provider: &dyn Provider,
    memory: &mut TargetMemory,
    ledger: &Ledger,
    seq: u64,
) -> Result<(), LedgerError> {
    let needed = Needed::from(ledger, seq);
    let lost = ledger.up_to(seq).withdrawn;
    let unneeded: BTreeSet<Key> = lost.keys().filter(|key| !needed.keys.contains(key)).cloned().collect();
    let written = ledger::fold_away(provider, owner, ledger, seq, &memory.ledger).await?;
    memory.ledger.learn(written);
    remove_withdrawn(owner, provider, &unneeded).await?;
    for set in sets(ledger, |at| at <= seq).difference(&needed.sets) {
        provider.retire_frozen(set).await?;
    }
    let old: BTreeSet<CopyName> = ledger.up_to(seq).copies.difference(&needed.copies).cloned().collect();
    copies::remove(provider, &old).await?;
    tracing::info!(up_to = seq, "old releases were folded away");
    Ok(())
}

/// What the releases that are kept need.
struct Needed {
    keys: BTreeSet<Key>,
    copies: BTreeSet<CopyName>,
    sets: BTreeSet<String>,
}

impl Needed {
    fn from(ledger: &Ledger, seq: u64) -> Self {
        let mut then = ledger.up_to(seq);
        let mut needed = Self { keys: BTreeSet::new(), copies: BTreeSet::new(), sets: sets(ledger, |at| at > seq) };
        needed.sets.extend(then.set.iter().map(|set| set.name.clone()));
        needed.take(&then);
        for record in ledger.records.iter().filter(|record| record.seq > seq) {
            then.apply(record);
            needed.take(&then);
        }
        // A hold names secrets by the version that holds them.
        let held = ledger.holds.iter().flat_map(|(key, hold)| hold.contents.iter().map(move |content| (key, content)));
        needed.copies.extend(held.filter_map(|(key, content)| Some(CopyName::of(key, &content.version()?))));
        needed.keys.extend(ledger.holds.keys().cloned());
        needed
    }

    fn take(&mut self, then: &Ledger) {
        self.keys.extend(then.pins.keys().cloned());
        self.copies.extend(then.pins.iter().map(|(key, pin)| CopyName::of(key, &pin.version)));
    }
}

fn sets(ledger: &Ledger, within: impl Fn(u64) -> bool) -> BTreeSet<String> {
    let records = ledger.records.iter().filter(|record| record.seq > ledger.base_seq && within(record.seq));
    records.filter_map(|record| Some(record.set.as_ref()?.name.clone())).collect()
}

/// Deletes items that readers meet no more and that no kept release needs. One that carries another owner's tag, or that
/// somebody serves again, is left as it is.
async fn remove_withdrawn(owner: &Owner, provider: &dyn Provider, unneeded: &BTreeSet<Key>) -> Result<(), LedgerError> {
    if unneeded.is_empty() {
        return Ok(());
    }
    let keys: Vec<Key> = unneeded.iter().cloned().collect();
    let owners = provider.owners(&keys).await?;
    let newest = provider.observe(Observe { keys: keys.clone(), view: View::Newest, ..Observe::default() }).await?;
    let served = provider.observe(Observe { keys: keys.clone(), ..Observe::default() }).await?;
    for (key, _) in keys.iter().zip(owners).filter(|(_, tag)| tag.as_deref() == Some(owner.as_str())) {
        let (Some(Seen::Present(item)), Some(Seen::Absent)) = (newest.items.get(key), served.items.get(key)) else {
            continue;
        };
        tracing::debug!(%key, "no kept release needs it any more");
        let write = Write { key: key.clone(), action: Action::Delete(item.version.clone()) };
        provider.apply(&write).await?;
    }
    Ok(())
}
