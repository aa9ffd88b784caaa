//! Stories that went wrong once, told in as few turns as it took.

use crate::play::play;
use crate::stage::{Clouds, Forms};
use crate::story::{At, Back, Op, Says, Trouble, Turn, Who, ok};

const ALL_FORMS: [Forms; 4] = [
    Forms { label: false, snapshot: false },
    Forms { label: true, snapshot: false },
    Forms { label: false, snapshot: true },
    Forms { label: true, snapshot: true },
];

/// Plays one story in every pair of serve forms.
fn tell(story: &[Turn]) {
    let runtime = crate::runtime();
    for forms in ALL_FORMS {
        let told = runtime.block_on(async { play(&Clouds::start(forms).await, story).await });
        told.unwrap_or_else(|wrong| panic!("{forms:?}: {wrong}"));
    }
}

fn edit(key: usize, value: u8) -> Turn {
    ok(Op::Edit { who: Who::Everybody, key, says: Some(Says { aws: value, azure: value }) })
}

fn reconcile() -> Turn {
    ok(Op::Reconcile { host: 0, older: false })
}

fn back(nth: usize) -> Op {
    Op::Rollback { host: 0, to: Back::Release(nth), glob: None, blind: false }
}

/// A rollback that one target has not heard of and that changes nothing there is done with at the next pass, and holds
/// nothing that a later file asks for.
#[test]
fn a_rollback_to_nothing_new_is_done_with() {
    let cut_off = Turn { op: back(0), trouble: Trouble::CutOff(At::Aws) };
    tell(&[cut_off, reconcile(), edit(0, 1), reconcile()]);
}

/// A pin on a target that has not heard of a rollback does not make it forget that.
#[test]
fn a_pin_does_not_undo_a_pending_rollback() {
    let cut_off = Turn { op: back(1), trouble: Trouble::CutOff(At::Azure) };
    let pin = ok(Op::Pin { host: 0, key: 0, at: At::Azure, version: 0 });
    tell(&[edit(2, 1), reconcile(), cut_off, pin, reconcile()]);
}

/// Going back and forth with a secret leaves nothing to do the second time.
#[test]
fn there_and_back_again_with_a_secret() {
    tell(&[edit(3, 1), reconcile(), ok(back(5)), ok(back(4))]);
}

/// Going back over a create twice is no mistake.
#[test]
fn back_over_a_create_twice() {
    let back = Op::Rollback { host: 0, to: Back::Release(1), glob: Some(4), blind: false };
    tell(&[edit(2, 0), reconcile(), ok(back)]);
}
