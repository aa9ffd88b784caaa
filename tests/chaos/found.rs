//! What seeds found once, told in as few turns as it took.

use crate::story::{Act, Command, Death, Form, Kind, Settings, Story, Turn};

fn settings(targets: &[Form], kinds: &[Kind]) -> Settings {
    Settings {
        targets: targets.to_vec(),
        hosts: 1,
        kinds: kinds.to_vec(),
        prune: true,
        corrects: true,
        adopt: "never",
        keep_releases: 20,
        resident: false,
        quotas: false,
        lag: 0,
        short_pages: false,
        provisioning: 0,
        recreate_wait: false,
        faults: Vec::new(),
    }
}

fn reconcile() -> Turn {
    Turn::plain(Act::Run { host: 0, command: Command::plain() }, 1)
}

fn tell(story: &Story) {
    crate::play(story).unwrap_or_else(|wrong| panic!("{wrong}\n\nin {story:#?}"));
}

/// A version that was put for readers to be led to later is ours, although the run died and the file has changed since.
#[test]
fn what_was_put_unseen_is_ours_after_an_edit() {
    for (call, lands) in (6..18).flat_map(|call| [(call, true), (call, false)]) {
        let dying = Turn { death: Some(Death::Call { call, lands }), ..reconcile() };
        let edit = Turn::plain(Act::Edit { host: None, key: 1, value: Some(1) }, 1);
        tell(&Story {
            settings: settings(&[Form::Label, Form::Label], &[Kind::Text, Kind::Text, Kind::Secret]),
            turns: vec![dying, edit, reconcile()],
        });
    }
}

/// A host whose key is cut off reads its secrets again, and puts none of them once more.
#[test]
fn a_cut_key_puts_no_secret_again() {
    for at in [0, 128, 255] {
        let turns = vec![reconcile(), Turn::plain(Act::Cut { host: 0, at }, 1), reconcile()];
        let kinds = [Kind::Secret, Kind::Secret, Kind::Text];
        tell(&Story { settings: settings(&[Form::Latest, Form::KeyValues], &kinds), turns });
    }
}

/// A label is not led to the version of a number that somebody else's parameter has now: what the file asks for is put.
#[test]
fn a_parameter_made_anew_is_not_taken_for_the_old_one() {
    use crate::story::Deed;
    let foul = Turn::plain(Act::Foul { target: 0, key: 0, deed: Deed::Recreate }, 1);
    let edit = Turn::plain(Act::Edit { host: None, key: 1, value: Some(1) }, 1);
    for turns in [vec![reconcile(), foul.clone(), reconcile()], vec![reconcile(), foul, edit, reconcile()]] {
        tell(&Story { settings: settings(&[Form::Label], &[Kind::Text, Kind::Text]), turns });
    }
}
