//! What the daemon knows of each target's ledger between two passes: a few numbers. The ledger itself is remembered on
//! disk; reading ten thousand pins for each of these numbers would take longer than the pass.

use std::cell::RefCell;
use std::collections::BTreeMap;

use jiff::Timestamp;
use repin_provider::TargetName;

/// What is known of one ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// The newest release.
    pub(super) release: u64,
    /// The entries that are pinned.
    pub(super) entries: usize,
    /// When the first of the kept releases can no longer be restored, where one ends by age.
    pub(super) restorable_until: Option<Timestamp>,
}

/// What is known of the ledgers, read when it is first asked for.
#[derive(Debug, Default)]
pub(super) struct Heads {
    known: RefCell<BTreeMap<TargetName, Option<Head>>>,
}

impl Heads {
    /// Returns what is known of a target's ledger, and reads it where nothing is.
    pub(super) fn of(&self, target: &TargetName, read: impl FnOnce() -> Option<Head>) -> Option<Head> {
        let known = self.known.borrow().get(target).copied();
        known.unwrap_or_else(|| {
            let head = read();
            self.known.borrow_mut().insert(target.clone(), head);
            head
        })
    }

    /// Forgets everything: a ledger may have been read or written since.
    pub(super) fn forget_all(&self) {
        self.known.borrow_mut().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_is_read_once_until_it_may_have_changed() {
        let (heads, target) = (Heads::default(), TargetName::parse("aws").expect("valid"));
        let head = |release| Some(Head { release, entries: 1, restorable_until: None });
        assert_eq!(heads.of(&target, || head(1)), head(1));
        assert_eq!(heads.of(&target, || head(2)), head(1));
        heads.forget_all();
        assert_eq!(heads.of(&target, || head(2)), head(2));
        heads.forget_all();
        assert_eq!(heads.of(&target, || None), None, "never read here");
        assert_eq!(heads.of(&target, || head(3)), None);
    }
}
