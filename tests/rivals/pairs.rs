//! Two hosts of one team at the same moment, whichever of them stands still when.

use crate::console::{Cloud, Console};
use crate::human::{AFTER, BEFORE, texts};
use crate::judge;
use crate::stage::{Clouds, FORMS, Forms, Site, interleave, play};

/// A run that finds another one at work says so, and has done nothing.
const AT_WORK: u8 = 5;

/// Lets a second process act while a first one stands before each of its requests.
fn sweep(forms: Forms, story: impl AsyncFn(&Clouds, Forms, u64) -> bool) {
    play(async || {
        let clouds = Clouds::start().await;
        let mut moment = 1;
        while story(&clouds, forms, moment).await {
            moment += 1;
        }
        assert!(moment > 8, "a pass has more requests than that");
    });
}

/// Asserts that each native version was made once: `a` twice, `c` once.
async fn each_version_once(console: &Console, told: &str) {
    let of = |versions: Vec<(i64, String)>| versions.into_iter().map(|(_, text)| text).collect::<Vec<_>>();
    assert_eq!(of(console.parameters("a").await), ["a1", "a2"], "{told}");
    assert_eq!(of(console.parameters("c").await), ["c2"], "{told}");
    for (key, expected) in [("a", &["a2", "a1"][..]), ("c", &["c2"])] {
        let texts: Vec<String> = console.revisions(key).await.into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, expected, "{told}: {key}");
    }
}

/// Asserts that each ledger tells of so many releases that were served, of which the last is done.
async fn recorded(site: &Site<'_>, served: usize, told: &str) {
    use repin::model::release::State;
    for cloud in Cloud::BOTH {
        let ledger = site.ledger(cloud.target()).await;
        let releases = ledger.records.iter().filter(|record| record.header.release.is_some());
        let states: Vec<State> =
            releases.map(|record| record.state).filter(|state| *state != State::Abandoned).collect();
        assert_eq!(states, vec![State::Done; served], "{told}: {cloud:?}");
    }
}

/// One file on two hosts: one release, and each native version once.
async fn one_file(clouds: &Clouds, forms: Forms, moment: u64) -> bool {
    let told = format!("{forms:?} before request {moment}");
    let story = clouds.story(forms);
    let (first, second) = (story.host("first", "team").await, story.host("second", "team").await);
    first.reconcile(BEFORE).await.expect(0);
    let mut beside = None;
    let act = async { beside = Some(second.reconcile(AFTER).await) };
    let (ran, met) = interleave(&first.gate, moment, first.reconcile(AFTER), act).await;
    assert_eq!(ran.exit, 0, "{told}: {ran:#?} {beside:#?}");
    if let Some(beside) = beside {
        assert!([0, AT_WORK].contains(&beside.exit), "{told}: {beside:#?}");
    }
    second.reconcile(AFTER).await.expect(0);
    each_version_once(&story.console(), &told).await;
    recorded(&first, 2, &told).await;
    judge::all_conditional(&first, &told);
    met
}

#[test]
fn slow_one_file_on_two_hosts_makes_one_release() {
    sweep(FORMS[0], one_file);
}

#[test]
fn slow_one_file_on_two_hosts_makes_one_set() {
    sweep(FORMS[1], async |clouds, forms, moment| {
        let told = format!("{forms:?} before request {moment}");
        let story = clouds.story(forms);
        let (first, second) = (story.host("first", "team").await, story.host("second", "team").await);
        first.reconcile(BEFORE).await.expect(0);
        let (ran, met) = interleave(&first.gate, moment, first.reconcile(AFTER), second.reconcile(AFTER)).await;
        assert_eq!(ran.exit, 0, "{told}: {ran:#?}");
        second.reconcile(AFTER).await.expect(0);
        each_version_once(&story.console(), &told).await;
        recorded(&first, 2, &told).await;
        met
    });
}

/// A rollback begins while a release of the same file stands anywhere: in the end it holds.
async fn goes_back(clouds: &Clouds, forms: Forms, moment: u64) -> bool {
    let told = format!("{forms:?} before request {moment}");
    let story = clouds.story(forms);
    let (host, operator) = (story.host("host", "team").await, story.host("operator", "team").await);
    host.reconcile(BEFORE).await.expect(0);
    let mut rolled = None;
    let act = async { rolled = Some(operator.rollback(AFTER, 1).await) };
    let (released, met) = interleave(&host.gate, moment, host.reconcile(AFTER), act).await;
    assert!([0, 6].contains(&released.exit), "{told}: {released:#?}");
    // Nobody takes over a run that is alive: the operator is told, and asks again.
    let exit = rolled.as_ref().map_or(AT_WORK, |rolled| rolled.exit);
    assert!([0, AT_WORK].contains(&exit), "{told}: {rolled:#?}");
    if exit == AT_WORK {
        operator.rollback(AFTER, 1).await.expect(0);
    }
    for site in [&host, &operator] {
        let pass = site.reconcile(AFTER).await;
        assert_eq!(pass.exit, 6, "{told}: {pass:#?}\n{released:#?}\n{rolled:#?}");
    }
    for cloud in Cloud::BOTH {
        let served = story.console().served(cloud).await;
        assert_eq!(served, texts(&[("a", "a1"), ("b", "b1"), ("d", "d1")]), "{told}: {cloud:?}");
        let ledger = operator.ledger(cloud.target()).await;
        let last = ledger.records.iter().rev().find(|record| record.header.release.is_some()).unwrap();
        assert_eq!(last.header.restores, Some(1), "{told}: {cloud:?} {last:#?}");
    }
    met
}

#[test]
fn slow_a_rollback_during_a_release_holds() {
    sweep(FORMS[0], goes_back);
}

#[test]
fn slow_a_rollback_of_labels_and_sets_during_a_release_holds() {
    sweep(FORMS[1], goes_back);
}

/// A release begins while a rollback stands anywhere: the rollback holds.
#[test]
fn slow_a_release_during_a_rollback_waits_for_it() {
    sweep(FORMS[0], async |clouds, forms, moment| {
        let told = format!("{forms:?} before request {moment}");
        let story = clouds.story(forms);
        let (host, operator) = (story.host("host", "team").await, story.host("operator", "team").await);
        host.reconcile(BEFORE).await.expect(0);
        host.reconcile(AFTER).await.expect(0);
        let mut passed = None;
        let act = async { passed = Some(host.reconcile(AFTER).await) };
        let (rolled, met) = interleave(&operator.gate, moment, operator.rollback(AFTER, 1), act).await;
        assert_eq!(rolled.exit, 0, "{told}: {rolled:#?} {passed:#?}");
        assert_eq!(host.reconcile(AFTER).await.exit, 6, "{told}");
        for cloud in Cloud::BOTH {
            let served = story.console().served(cloud).await;
            assert_eq!(served, texts(&[("a", "a1"), ("b", "b1"), ("d", "d1")]), "{told}: {cloud:?} {passed:#?}");
        }
        met
    });
}
