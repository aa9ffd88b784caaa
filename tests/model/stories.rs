//! Stories that went wrong once, told in as few turns as it took.

use crate::play::play;
use crate::stage::{Clouds, Forms};
use crate::story::{At, Back, Foul, Op, Says, Trouble, Turn, Who, ok};

const ALL_FORMS: [Forms; 4] = [
    Forms { label: false, snapshot: false },
    Forms { label: true, snapshot: false },
    Forms { label: false, snapshot: true },
    Forms { label: true, snapshot: true },
];

/// Plays one story in every pair of serve forms.
fn tell(story: &[Turn]) {
    for forms in ALL_FORMS {
        tell_in(forms, &[story]);
    }
}

/// Plays stories in one pair of serve forms.
fn tell_in(forms: Forms, stories: &[&[Turn]]) {
    crate::runtime().block_on(async {
        let clouds = Clouds::start(forms).await;
        for story in stories {
            let told = play(&clouds, story).await;
            told.unwrap_or_else(|wrong| panic!("{forms:?}: {story:#?}: {wrong}"));
        }
    });
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

/// A label that somebody moved off a secret is moved back: no version is made of what is there.
#[test]
fn a_label_is_led_back_to_a_secret() {
    let foul = ok(Op::Foul { at: At::Aws, key: 3, how: Foul::Change(0) });
    tell(&[foul, ok(Op::Forget { host: 0, key: 1 }), reconcile()]);
}

/// A pruned secret that comes back from a copy on a host whose file is older stays, whatever the newer file says.
#[test]
fn a_secret_from_a_copy_is_held() {
    let back = Op::Rollback { host: 1, to: Back::Release(1), glob: None, blind: false };
    let drop = ok(Op::Edit { who: Who::Host(0), key: 3, says: None });
    tell(&[drop, reconcile(), ok(back), reconcile()]);
}

/// Readers who were led to another snapshot are led back, even where all that is ours is the same in both.
#[test]
fn a_reference_is_led_back() {
    let drop = ok(Op::Edit { who: Who::Everybody, key: 1, says: None });
    tell(&[drop, reconcile(), ok(Op::Foul { at: At::Azure, key: 0, how: Foul::Lead(2) }), reconcile()]);
}

/// A pin by hand outlives a rollback that brings back the same content under another version.
#[test]
fn a_pin_outlives_a_rollback_to_the_same() {
    let pin = ok(Op::Pin { host: 0, key: 3, at: At::Azure, version: 0 });
    let foul = ok(Op::Foul { at: At::Azure, key: 3, how: Foul::Change(0) });
    tell(&[pin, edit(0, 1), foul, reconcile(), ok(back(1))]);
}

/// What a rollback took from readers before it died is still ours, and can come back.
#[test]
fn what_a_dead_rollback_took_can_come_back() {
    let story = |call| {
        let dies = Trouble::Dies { call, lands: true, then: 0 };
        let resume = ok(Op::Resume { host: 0, glob: None });
        vec![edit(2, 0), reconcile(), Turn { op: back(1), trouble: dies }, edit(2, 1), resume, reconcile()]
    };
    let stories: Vec<_> = (1..20).map(story).collect();
    let stories: Vec<_> = stories.iter().map(Vec::as_slice).collect();
    tell_in(ALL_FORMS[1], &stories);
}

/// What was taken from readers stays ours: a run that leads them back to it and dies is gone on with.
#[test]
fn a_run_that_leads_readers_back_and_dies_is_gone_on_with() {
    for (forms, call) in [(ALL_FORMS[1], 11), (ALL_FORMS[1], 12), (ALL_FORMS[3], 11)] {
        let dies = Trouble::Dies { call, lands: true, then: 0 };
        let drop = ok(Op::Edit { who: Who::Host(1), key: 1, says: None });
        let other = ok(Op::Reconcile { host: 1, older: false });
        let dying = Turn { op: Op::Reconcile { host: 0, older: false }, trouble: dies };
        tell_in(forms, &[&[edit(1, 1), drop, other, dying]]);
    }
}
