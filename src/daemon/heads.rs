//! What the daemon knows of each target's ledger between two passes: a few numbers. The ledger itself is remembered on
//! disk; reading ten thousand pins for each of these numbers would take as long as the pass.

use std::cell::RefCell;
use std::collections::BTreeMap;

use jiff::Timestamp;
use repin_provider::TargetName;

use crate::record::host::MemoryState;

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
    known: RefCell<BTreeMap<TargetName, (MemoryState, Option<Head>)>>,
}

impl Heads {
    /// Returns what is known of a target's ledger, and reads it where it was not read since it was written, or where time
    /// has made it another. A ledger that this host remembers nowhere is not read at all.
    pub(super) fn of(
        &self,
        target: &TargetName,
        state: Option<MemoryState>,
        now: Timestamp,
        read: impl FnOnce() -> Option<Head>,
    ) -> Option<Head> {
        let state = state?;
        let holds = |head: &Option<Head>| head.is_none_or(|head| head.restorable_until.is_none_or(|until| now < until));
        let known = self.known.borrow().get(target).copied();
        if let Some((_, head)) = known.filter(|(known, head)| *known == state && holds(head)) {
            return head;
        }
        let head = read();
        self.known.borrow_mut().insert(target.clone(), (state, head));
        head
    }

    /// Forgets everything: what a target is called may be another place now.
    pub(super) fn forget_all(&self) {
        self.known.borrow_mut().clear();
    }
}

#[cfg(test)]
mod tests {
    use repin_provider::{Owner, Place};

    use super::*;
    use crate::model::release::TargetId;
    use crate::record::host::{HostMemory, TargetMemory};

    #[test]
    fn a_ledger_is_read_once_until_it_is_written_or_time_passes() {
        let dir = tempfile::tempdir().expect("a folder");
        let memory = HostMemory::open(dir.path(), &Owner::parse("a").expect("valid"));
        let id = TargetId::of(&Place::parse("p").expect("valid"));
        let (heads, target) = (Heads::default(), TargetName::parse("aws").expect("valid"));
        let at = |second| Timestamp::from_second(second).expect("a time");
        let head = |release| Some(Head { release, entries: 1, restorable_until: Some(at(100)) });
        let ask = |second, release| heads.of(&target, memory.state_of(&id), at(second), || head(release));
        assert_eq!(ask(0, 1), None, "nothing is remembered");
        memory.remember_target(&id, &TargetMemory::default());
        assert_eq!(ask(0, 1), head(1));
        assert_eq!(ask(99, 2), head(1));
        assert_eq!(ask(100, 2), head(2), "one release less can be restored");
        let resume = repin_provider::Resume(serde_json::json!("etag"));
        memory.remember_target(&id, &TargetMemory { resume: Some(resume), ..TargetMemory::default() });
        assert_eq!(ask(0, 3), head(3));
        heads.forget_all();
        assert_eq!(ask(0, 4), head(4));
    }
}
