//! What seeds found once, told in as few turns as it took.

use repin_emulator::FaultKind;

use crate::story::{Act, Command, Death, Deed, Form, Kind, Rival, Settings, Story, Turn};

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

fn edit(key: usize, value: Option<u8>) -> Turn {
    Turn::plain(Act::Edit { host: None, key, value }, 1)
}

fn foul(key: usize, deed: Deed) -> Turn {
    Turn::plain(Act::Foul { target: 0, key, deed }, 1)
}

fn tell(story: &Story) {
    crate::play(story).unwrap_or_else(|wrong| panic!("{wrong}\n\nin {story:#?}"));
}

/// A version that was put for readers to be led to later is ours, although the run died and the file has changed since.
#[test]
fn what_was_put_unseen_is_ours_after_an_edit() {
    for (call, lands) in (6..18).flat_map(|call| [(call, true), (call, false)]) {
        let dying = Turn { death: Some(Death::Call { call, lands }), ..reconcile() };
        tell(&Story {
            settings: settings(&[Form::Label, Form::Label], &[Kind::Text, Kind::Text, Kind::Secret]),
            turns: vec![dying, edit(1, Some(1)), reconcile()],
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
    let (foul, edit) = (foul(0, Deed::Recreate), edit(1, Some(1)));
    for turns in [vec![reconcile(), foul.clone(), reconcile()], vec![reconcile(), foul, edit, reconcile()]] {
        tell(&Story { settings: settings(&[Form::Label], &[Kind::Text, Kind::Text]), turns });
    }
}

/// The same where a run has put over it and died: the newest version is ours then, and the one of the old number below it
/// is somebody else's still.
#[test]
fn a_parameter_made_anew_and_put_over_is_not_taken_for_the_old_one() {
    for (call, lands) in (4..14).flat_map(|call| [(call, true), (call, false)]) {
        let dying = Turn { death: Some(Death::Call { call, lands }), ..reconcile() };
        tell(&Story {
            settings: settings(&[Form::Label], &[Kind::Text, Kind::Text]),
            turns: vec![reconcile(), foul(0, Deed::Recreate), edit(1, Some(1)), dying, reconcile()],
        });
    }
}

/// A label that was led to somebody else's parameter, made anew in between, is led to what is put over it.
#[test]
fn a_parameter_made_anew_in_between_is_put_over() {
    for call in 1..16 {
        let rival = Some(Rival { call, target: 0, key: 0, deed: Deed::Recreate });
        tell(&Story {
            settings: settings(&[Form::Label], &[Kind::Text, Kind::Text]),
            turns: vec![reconcile(), edit(0, Some(1)), Turn { rival, ..reconcile() }, reconcile()],
        });
    }
}

/// What the file drops and may not be pruned stays ours, and is put back where somebody changes it.
#[test]
fn what_is_dropped_and_kept_is_put_back() {
    for form in [Form::Latest, Form::Label, Form::KeyValues, Form::Snapshot] {
        for kind in [Kind::Text, Kind::Secret] {
            let settings = Settings { prune: false, ..settings(&[form], &[kind, Kind::Text]) };
            let turns = vec![reconcile(), edit(0, None), reconcile(), foul(0, Deed::Change), reconcile()];
            tell(&Story { settings, turns });
        }
    }
}

/// What was destroyed with its history cannot be put back, where the file may not have what it asks for instead: it is
/// told.
#[test]
fn what_was_rolled_back_and_destroyed_is_told() {
    for form in [Form::Latest, Form::Label] {
        let back = Turn::plain(Act::Run { host: 0, command: Command::Release { nth: 0, glob: None } }, 1);
        let turns = vec![reconcile(), edit(0, Some(2)), back, foul(0, Deed::Delete), reconcile()];
        tell(&Story { settings: settings(&[form], &[Kind::Text, Kind::Text]), turns });
    }
}

/// Whoever lets go of something says so in every ledger, or that it did not: what the first store shows may be older than
/// what the other has.
#[test]
fn what_is_let_go_of_is_let_go_of_everywhere() {
    let forget = Act::Run { host: 0, command: Command::Forget { key: 0 } };
    for seed in 0..3 {
        for form in [Form::KeyValues, Form::Snapshot] {
            for kind in [FaultKind::StaleRead, FaultKind::EndsEarly] {
                let faults = vec![kind];
                let settings = Settings { faults, ..settings(&[Form::Latest, form], &[Kind::Text, Kind::Text]) };
                let forget = Turn { storm: 1000, ..Turn::plain(forget.clone(), seed) };
                tell(&Story { settings, turns: vec![reconcile(), forget, reconcile()] });
            }
        }
    }
}

/// A hold that is in one ledger is told to be, although the listing of another goes on being cut off.
#[test]
fn a_hold_that_is_recorded_is_told() {
    let hold = Act::Run { host: 0, command: Command::Hold { glob: "k0*" } };
    for (seed, storm) in (0..4).flat_map(|seed| [(seed, 500), (seed, 1000)]) {
        let settings = Settings {
            faults: vec![FaultKind::EndsEarly],
            ..settings(&[Form::Latest, Form::KeyValues], &[Kind::Text, Kind::Text])
        };
        let hold = Turn { storm, ..Turn::plain(hold.clone(), seed) };
        let turns = vec![reconcile(), edit(0, Some(1)), reconcile(), Turn::plain(Act::Lose { host: 0 }, 1), hold];
        tell(&Story { settings, turns });
    }
}

/// A listing that is cut off does not make what the file dropped somebody else's: it is asked for by name.
#[test]
fn what_a_listing_lacks_is_asked_for_before_it_is_let_go_of() {
    for seed in 0..4 {
        let faults = vec![FaultKind::EndsEarly];
        let settings = Settings { faults, ..settings(&[Form::KeyValues], &[Kind::Text; 6]) };
        let prune = Turn { storm: 1000, ..Turn::plain(Act::Run { host: 0, command: Command::plain() }, seed) };
        let turns = vec![reconcile(), edit(3, None), edit(4, None), prune, reconcile()];
        tell(&Story { settings, turns });
    }
}

/// An order, or a way back, finds what a run that died had served, and closes it as served: it stays ours.
#[test]
fn what_a_dead_run_had_served_is_ours_to_whoever_comes_first() {
    let hold = Command::Hold { glob: "*1" };
    let commands = [hold, Command::Steps { steps: 1, glob: None }, Command::Release { nth: 0, glob: None }];
    for (command, call) in commands.into_iter().flat_map(|command| (14..24).map(move |call| (command.clone(), call))) {
        let dying = Turn { death: Some(Death::Call { call, lands: true }), ..reconcile() };
        let after = Turn::plain(Act::Run { host: 0, command }, 1);
        let kinds = [Kind::Text, Kind::Text, Kind::Text, Kind::Text];
        tell(&Story { settings: settings(&[Form::Label, Form::KeyValues], &kinds), turns: vec![dying, after] });
    }
}

/// What was let go of is left where the next set takes it from, also where a hold keeps the file from having it again.
#[test]
fn what_is_let_go_of_stays_staged_under_a_hold() {
    let run = |command| Turn::plain(Act::Run { host: 0, command }, 1);
    let (forget, hold) = (run(Command::Forget { key: 1 }), run(Command::Hold { glob: "*1" }));
    let turns = vec![reconcile(), edit(0, Some(3)), forget, hold, reconcile()];
    tell(&Story { settings: settings(&[Form::Snapshot], &[Kind::Text, Kind::Text]), turns });
}

/// Two hosts that release to different targets at the same moment have no ledger in common, and make two releases.
#[test]
fn releases_to_different_targets_at_the_same_moment_are_two() {
    let only = |target| Command::Reconcile { older: false, atomic: false, only: Some(target) };
    for (first, other) in (0..8).flat_map(|seed| [(seed, Form::Snapshot), (seed, Form::Label)]) {
        let settings = Settings { hosts: 2, ..settings(&[Form::Latest, other], &[Kind::Text]) };
        let both = Turn::plain(Act::Both { commands: [only(0), only(1)] }, first);
        tell(&Story { settings, turns: vec![both] });
    }
}

/// A set that readers never met before is taken from them again, where the other store cannot serve its part: what is told
/// to be put back is.
#[test]
fn the_first_set_is_put_back() {
    let atomic = Act::Run { host: 0, command: Command::Reconcile { older: false, atomic: true, only: None } };
    // With these the set is served, and one of the parameters is not.
    let denied = [(Form::Latest, 41), (Form::Latest, 44), (Form::Label, 29), (Form::Label, 38), (Form::Label, 43)];
    for (form, seed) in denied {
        let faults = vec![FaultKind::AccessDenied];
        let settings = Settings { faults, ..settings(&[form, Form::Snapshot], &[Kind::Text, Kind::Text]) };
        let atomic = Turn { storm: 100, ..Turn::plain(atomic.clone(), seed) };
        tell(&Story { settings, turns: vec![atomic, reconcile()] });
    }
}

/// What a release took out of what is staged, and could not take from readers, is in the next set again where it was let go
/// of since.
#[test]
fn what_is_let_go_of_is_staged_again() {
    let run = |command| Turn::plain(Act::Run { host: 0, command }, 1);
    let dying = |call| Turn { death: Some(Death::Call { call, lands: true }), ..reconcile() };
    for call in 6..16 {
        let turns = vec![reconcile(), edit(0, None), dying(call), run(Command::Forget { key: 0 }), edit(1, Some(1))];
        tell(&Story { settings: settings(&[Form::Snapshot], &[Kind::Text, Kind::Text]), turns });
    }
}

/// A pass that finishes a way back looks again for what the file asks, where reads show its own record late: it is not taken
/// for another run's.
#[test]
fn a_late_read_of_the_own_record_is_no_other_run() {
    for (form, call) in [Form::Latest, Form::Label].into_iter().flat_map(|form| (5..11).map(move |call| (form, call))) {
        let back = Act::Run { host: 0, command: Command::Steps { steps: 1, glob: None } };
        let back = Turn { death: Some(Death::Call { call, lands: true }), ..Turn::plain(back, 1) };
        let settings = Settings { lag: 4, ..settings(&[form], &[Kind::Text, Kind::Text]) };
        tell(&Story { settings, turns: vec![reconcile(), edit(1, Some(1)), reconcile(), back] });
    }
}

/// A parameter that somebody makes anew while its first version is being labelled has the number that the pin has, and
/// what it holds is put over.
#[test]
fn what_is_made_anew_while_it_is_labelled_is_put_over() {
    for call in 8..20 {
        let rival = Some(Rival { call, target: 0, key: 1, deed: Deed::Recreate });
        let turns = vec![Turn { rival, ..reconcile() }, reconcile()];
        tell(&Story { settings: settings(&[Form::Label], &[Kind::Text, Kind::Text]), turns });
    }
}

/// A release that was not served in full before the file changed is made up for by the next one, and going back from that
/// takes away what it made up for.
#[test]
fn what_a_later_release_made_up_for_is_taken_back() {
    let back = Turn::plain(Act::Run { host: 0, command: Command::Steps { steps: 1, glob: None } }, 1);
    for seed in 0..12 {
        let faults = vec![FaultKind::AccessDenied];
        let settings = Settings { faults, ..settings(&[Form::Latest], &[Kind::Text; 4]) };
        let denied = Turn { storm: 250, seed, ..reconcile() };
        let turns = vec![denied, edit(0, Some(1)), reconcile(), back.clone()];
        tell(&Story { settings, turns });
    }
}

/// What a run has just written itself is not undone since a read lags behind: the rest of a way back is done once, and
/// then what the file asks.
#[test]
fn what_was_just_recorded_is_not_taken_for_open() {
    let faults = vec![FaultKind::AccessDenied];
    let settings = Settings { hosts: 2, lag: 5, faults, ..settings(&[Form::Latest, Form::Latest], &[Kind::Text; 5]) };
    let run = |command| Turn::plain(Act::Run { host: 1, command }, 10_514_679_370_636_828_064);
    let denied = Turn { storm: 9, ..run(Command::Steps { steps: 1, glob: None }) };
    tell(&Story { settings, turns: vec![reconcile(), edit(4, Some(3)), run(Command::plain()), denied] });
}

/// A hold that is in one ledger is told to be, although another run turns out to be at work in the other.
#[test]
fn a_hold_beside_a_run_at_work_is_told() {
    let faults = vec![FaultKind::EndsEarly, FaultKind::ClockBehind];
    let settings = Settings { hosts: 2, faults, ..settings(&[Form::Label, Form::KeyValues], &[Kind::Text]) };
    let begun = Turn { storm: 12, seed: 11_404_196_734_919_438_502, ..reconcile() };
    let hold = Act::Run { host: 1, command: Command::Hold { glob: "k0*" } };
    let hold = Turn { storm: 79, ..Turn::plain(hold, 9_970_312_217_299_965_382) };
    tell(&Story { settings, turns: vec![begun, hold] });
}
