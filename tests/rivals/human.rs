//! Somebody at the console at each moment of a pass and of a rollback.

use std::collections::BTreeMap;

use crate::console::{Act, Cloud};
use crate::judge;
use crate::stage::{Clouds, FORMS, Forms, Ran, Site, interleave, play};

/// The file before, and after: `a` changes, `b` goes, `c` comes, `d` stays.
pub(crate) const BEFORE: &str = "  a: { value: a1 }\n  b: { value: b1 }\n  d: { value: d1 }\n";
pub(crate) const AFTER: &str = "  a: { value: a2 }\n  c: { value: c2 }\n  d: { value: d1 }\n";

/// More requests than any pass here sends.
const MOST: u64 = 80;

pub(crate) fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
}

/// What a sweep interrupts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Reconcile,
    Rollback,
}

/// Acts on one key before each request of one piece of work, and judges what came of it.
fn sweep(work: Work, forms: Forms, act: Act, key: &str) {
    play(async || {
        let clouds = Clouds::start().await;
        for moment in 1.. {
            if !disturbed(&clouds, work, forms, act, key, moment).await {
                assert!(moment > 8, "the work has more requests than that");
                return;
            }
            assert!(moment < MOST, "the work ends");
        }
    });
}

/// Plays one story. Tells whether the work got as far as that moment.
async fn disturbed(clouds: &Clouds, work: Work, forms: Forms, act: Act, key: &str, moment: u64) -> bool {
    let told = format!("{work:?} {forms:?} {act:?} {key} before request {moment}");
    let story = clouds.story(forms);
    let (site, console) = (story.host("here", "team").await, story.console());
    site.reconcile(BEFORE).await.expect(0);
    if work == Work::Rollback {
        site.reconcile(AFTER).await.expect(0);
    }
    let run = async {
        match work {
            Work::Reconcile => site.reconcile(AFTER).await,
            Work::Rollback => site.rollback(AFTER, 1).await,
        }
    };
    let (first, met) = interleave(&site.gate, moment, run, console.act(act, key)).await;
    judge::told_truly(&first, &told);
    let mut ran = vec![first];
    console.unlock().await;
    let last = settle(&site, AFTER, &mut ran, &told).await;
    judge::nothing_lost(&site, &console, &ran, &told).await;
    judge::all_conditional(&site, &told);
    let expected = match work {
        Work::Reconcile => texts(&[("a", "a2"), ("c", "c2"), ("d", "d1")]),
        Work::Rollback => texts(&[("a", "a1"), ("b", "b1"), ("d", "d1")]),
    };
    for cloud in Cloud::BOTH {
        let mut served = console.served(cloud).await;
        // What somebody makes after it was pruned is theirs.
        served.retain(|key, text| expected.contains_key(key) || !text.starts_with("hand"));
        assert_eq!(served, expected, "{told}: {cloud:?}\n{ran:#?}");
    }
    assert_eq!(last, if work == Work::Rollback { 6 } else { 0 }, "{told}: {ran:#?}");
    met
}

/// Makes passes until one has nothing to do, and returns what that one ended with.
pub(crate) async fn settle(site: &Site<'_>, entries: &str, ran: &mut Vec<Ran>, told: &str) -> u8 {
    for _ in 0..5 {
        let pass = site.reconcile(entries).await;
        judge::told_truly(&pass, told);
        let idle = pass.outcome.as_ref().is_some_and(|outcome| outcome.steps.is_empty() && outcome.failures.is_empty());
        let exit = pass.exit;
        ran.push(pass);
        if idle {
            return exit;
        }
    }
    panic!("{told}: no rest after five passes: {ran:#?}");
}

macro_rules! sweeps {
    ($($name:ident: $work:ident, $forms:expr, $act:ident, $key:expr;)*) => {
        $(#[test]
        fn $name() {
            sweep(Work::$work, $forms, Act::$act, $key);
        })*
    };
}

sweeps! {
    slow_edits_what_a_pass_changes: Reconcile, FORMS[0], Edit, "a";
    slow_edits_what_a_pass_prunes: Reconcile, FORMS[0], Edit, "b";
    slow_deletes_what_a_pass_changes: Reconcile, FORMS[0], Delete, "a";
    slow_makes_anew_what_a_pass_changes: Reconcile, FORMS[0], Recreate, "a";
    slow_locks_what_a_pass_changes: Reconcile, FORMS[0], Lead, "a";
    slow_edits_what_a_pass_prepares: Reconcile, FORMS[1], Edit, "a";
    slow_leads_readers_elsewhere_in_a_pass: Reconcile, FORMS[1], Lead, "a";
    slow_edits_what_goes_back: Rollback, FORMS[0], Edit, "a";
    slow_leads_readers_elsewhere_in_a_rollback: Rollback, FORMS[1], Lead, "a";
}

/// A set could not be made, so that the release was burnt; what was put for a label meanwhile stood in the next one's way.
#[test]
fn what_a_burnt_release_had_put_is_not_foreign() {
    play(async || {
        let clouds = Clouds::start().await;
        assert!(disturbed(&clouds, Work::Reconcile, FORMS[1], Act::Lead, "a", 1).await);
    });
}
