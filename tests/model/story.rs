//! Stories: what people, hosts and accidents do, one after the other.

use proptest::prelude::*;

/// The keys of every story. The first is never dropped, so that no file is ever empty.
pub(crate) const KEYS: [&str; 4] = ["a", "b", "c/x", "s"];

/// The globs that operators use.
pub(crate) const GLOBS: [&str; 6] = ["*", "a", "b", "{a,b}", "c/*", "s"];

/// How many values a key takes.
const VALUES: u8 = 3;

/// One of the two targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum At {
    Aws,
    Azure,
}

impl At {
    pub(crate) const BOTH: [Self; 2] = [Self::Aws, Self::Azure];

    /// The name of the target in the file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws-eu",
            Self::Azure => "azure",
        }
    }
}

/// What a file says about one key: which value on each target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Says {
    pub(crate) aws: u8,
    pub(crate) azure: u8,
}

/// Whose file is edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Everybody,
    Host(usize),
}

/// Where a rollback goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Back {
    /// To one of the releases that there are, counted from the newest.
    Release(usize),
    Steps(u32),
}

/// What somebody else does to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foul {
    /// Changes what readers meet.
    Change(u8),
    /// Takes it away.
    Delete,
    /// Leads readers to an earlier version: a label moved, a reference to an older set.
    Lead(usize),
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Op {
    /// A file is edited; `None` drops the key.
    Edit {
        who: Who,
        key: usize,
        says: Option<Says>,
    },
    /// The other host gets this host's file.
    Copy {
        from: usize,
    },
    /// A host forgets all that it remembers.
    Replace {
        host: usize,
    },
    Reconcile {
        host: usize,
        older: bool,
    },
    /// `blind`: the file cannot be read as a whole.
    Rollback {
        host: usize,
        to: Back,
        glob: Option<usize>,
        blind: bool,
    },
    /// One of the versions that the store has, counted from the newest.
    Pin {
        host: usize,
        key: usize,
        at: At,
        version: usize,
    },
    Unpin {
        host: usize,
        key: usize,
    },
    Hold {
        host: usize,
        glob: usize,
    },
    /// `None` for all.
    Resume {
        host: usize,
        glob: Option<usize>,
    },
    Forget {
        host: usize,
        key: usize,
    },
    Foul {
        at: At,
        key: usize,
        how: Foul,
    },
}

/// What gets in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// One target does not answer.
    CutOff(At),
    /// The process dies at this call, before or after it takes effect; this host goes on.
    Dies {
        call: u64,
        lands: bool,
        then: usize,
    },
}

/// Something that happens, and what gets in its way.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) op: Op,
    pub(crate) trouble: Trouble,
}

impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.trouble {
            Trouble::None => write!(f, "ok(Op::{:?})", self.op),
            trouble => write!(f, "Turn {{ op: Op::{:?}, trouble: Trouble::{trouble:?} }}", self.op),
        }
    }
}

/// Makes a turn that nothing gets in the way of.
pub(crate) fn ok(op: Op) -> Turn {
    Turn { op, trouble: Trouble::None }
}

fn says() -> impl Strategy<Value = Says> {
    prop_oneof![
        4 => (0..VALUES).prop_map(|value| Says { aws: value, azure: value }),
        1 => (0..VALUES, 0..VALUES).prop_map(|(aws, azure)| Says { aws, azure }),
    ]
}

fn edit() -> impl Strategy<Value = Op> {
    let who = prop_oneof![4 => Just(Who::Everybody), 1 => (0..2usize).prop_map(Who::Host)];
    let change = prop_oneof![4 => says().prop_map(Some), 1 => Just(None)];
    (who, 0..KEYS.len(), change, says()).prop_map(|(who, key, change, instead)| {
        let says = if key == 0 { change.or(Some(instead)) } else { change };
        Op::Edit { who, key, says }
    })
}

fn at() -> impl Strategy<Value = At> {
    prop_oneof![Just(At::Aws), Just(At::Azure)]
}

fn rollback() -> impl Strategy<Value = Op> {
    let to = prop_oneof![(0..6usize).prop_map(Back::Release), (1..4u32).prop_map(Back::Steps)];
    let glob = proptest::option::weighted(0.3, 1..GLOBS.len());
    (0..2usize, to, glob, proptest::bool::weighted(0.15)).prop_map(|(host, to, glob, blind)| Op::Rollback {
        host,
        to,
        glob,
        blind,
    })
}

fn op() -> impl Strategy<Value = Op> {
    let host = || 0..2usize;
    let key = || 0..KEYS.len();
    let foul = prop_oneof![
        3 => (0..VALUES).prop_map(Foul::Change),
        2 => Just(Foul::Delete),
        2 => (0..3usize).prop_map(Foul::Lead),
    ];
    prop_oneof![
        8 => edit(),
        1 => (host()).prop_map(|from| Op::Copy { from }),
        1 => (host()).prop_map(|host| Op::Replace { host }),
        9 => (host(), proptest::bool::weighted(0.1)).prop_map(|(host, older)| Op::Reconcile { host, older }),
        6 => rollback(),
        2 => (host(), key(), at(), 0..4usize).prop_map(|(host, key, at, version)| Op::Pin { host, key, at, version }),
        1 => (host(), key()).prop_map(|(host, key)| Op::Unpin { host, key }),
        1 => (host(), 0..GLOBS.len()).prop_map(|(host, glob)| Op::Hold { host, glob }),
        2 => (host(), proptest::option::of(0..GLOBS.len())).prop_map(|(host, glob)| Op::Resume { host, glob }),
        1 => (host(), 1..KEYS.len()).prop_map(|(host, key)| Op::Forget { host, key }),
        3 => (at(), key(), foul).prop_map(|(at, key, how)| Op::Foul { at, key, how }),
    ]
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        12 => Just(Trouble::None),
        1 => at().prop_map(Trouble::CutOff),
        2 => (1..30u64, any::<bool>(), 0..2usize).prop_map(|(call, lands, then)| Trouble::Dies { call, lands, then }),
    ]
}

/// Stories of some turns.
pub(crate) fn stories() -> impl Strategy<Value = Vec<Turn>> {
    let turn = (op(), trouble()).prop_map(|(op, trouble)| Turn { op, trouble });
    proptest::collection::vec(turn, 1..8)
}
