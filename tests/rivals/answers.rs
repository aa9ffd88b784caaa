//! Answers that are lost, with and without somebody else who writes before anybody looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use repin_emulator::{Call, Fault};

use crate::console::{Act, Cloud, Console};
use crate::human::{AFTER, BEFORE, texts};
use crate::judge;
use crate::stage::{Clouds, FORMS, Ran, Site, play};

fn puts_a(call: &Call, service: &str) -> bool {
    let put = ["PutParameter", "PUT /kv/{key}"].contains(&call.operation.as_str());
    call.service == service && put && call.name.as_deref().is_some_and(|name| name.ends_with("/a"))
}

/// Makes a pass in which the first put of `a` takes effect on both clouds and is never answered.
async fn unanswered(clouds: &Clouds, site: &Site<'_>, console: &Console, act: Option<Act>) -> Ran {
    let lost = [AtomicBool::new(false), AtomicBool::new(false)];
    clouds.faults().set(Arc::new(move |call: &Call| {
        let at = ["ssm", "appconfig"].iter().position(|service| puts_a(call, service));
        if at.is_some_and(|at| !lost[at].swap(true, Ordering::SeqCst)) { Fault::DropAfter } else { Fault::None }
    }));
    let look = async {
        // Whoever lost an answer waits before looking: there is time enough to come between.
        if let Some(act) = act {
            while console.parameters("a").await.len() < 2 {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            console.act(act, "a").await;
        }
    };
    let (ran, ()) = tokio::join!(site.reconcile(AFTER), look);
    clouds.faults().clear();
    ran
}

#[test]
fn a_write_with_a_lost_answer_is_made_once() {
    play(async || {
        let clouds = Clouds::start().await;
        let story = clouds.story(FORMS[0]);
        let (site, console) = (story.host("here", "team").await, story.console());
        site.reconcile(BEFORE).await.expect(0);
        unanswered(&clouds, &site, &console, None).await.expect(0);
        let made: Vec<String> = console.parameters("a").await.into_iter().map(|(_, text)| text).collect();
        assert_eq!(made, ["a1", "a2"]);
        let made: Vec<String> = console.revisions("a").await.into_iter().map(|(_, text)| text).collect();
        assert_eq!(made, ["a2", "a1"]);
        let next = site.reconcile(AFTER).await.expect(0);
        assert!(next.outcome.is_some_and(|outcome| outcome.steps.is_empty()), "nothing is left");
    });
}

#[test]
fn somebody_edits_after_a_lost_answer() {
    play(async || {
        let clouds = Clouds::start().await;
        for act in [Act::Edit, Act::Recreate] {
            let told = format!("{act:?} after a lost answer");
            let story = clouds.story(FORMS[0]);
            let (site, console) = (story.host("here", "team").await, story.console());
            site.reconcile(BEFORE).await.expect(0);
            let mut ran = vec![unanswered(&clouds, &site, &console, Some(act)).await];
            judge::told_truly(&ran[0], &told);
            for _ in 0..3 {
                ran.push(site.reconcile(AFTER).await);
            }
            judge::nothing_lost(&site, &console, &ran, &told).await;
            for cloud in Cloud::BOTH {
                let served = console.served(cloud).await;
                assert_eq!(served, texts(&[("a", "a2"), ("c", "c2"), ("d", "d1")]), "{told}: {cloud:?} {ran:#?}");
            }
        }
    });
}

/// Readers are led to another set, the answer to that is lost, and then the store refuses everything for as long as the
/// pass has patience. That a later request was refused says nothing about the lost one: the pass does not claim that
/// nothing moved.
#[test]
fn readers_may_have_been_led_on_when_the_answer_is_lost() {
    play(async || {
        let clouds = Clouds::start().await;
        let story = clouds.story(FORMS[1]);
        let (site, console) = (story.host("here", "team").await, story.console());
        let text = |value: &str| format!("  a: {{ targets: [azure], value: {value} }}\n");
        site.reconcile(&text("a1")).await.expect(0);
        let lost = AtomicBool::new(false);
        clouds.faults().set(Arc::new(move |call: &Call| {
            let leads = call.operation == "PUT /kv/{key}"
                && call.name.as_deref().is_some_and(|name| name.ends_with("/release"));
            match (lost.load(Ordering::SeqCst), leads) {
                (true, _) => {
                    Fault::Refuse { status: 403, code: "Forbidden".into(), message: "".into(), retry_after_ms: None }
                }
                (false, true) => {
                    lost.store(true, Ordering::SeqCst);
                    Fault::DropAfter
                }
                (false, false) => Fault::None,
            }
        }));
        let ran = site.reconcile(&text("a2")).await;
        clouds.faults().clear();
        assert_eq!(console.served(Cloud::Azure).await, texts(&[("a", "a2")]), "the lost write took effect");
        ran.expect(3);
        // What is left open is taken over when nothing has moved for a while.
        tokio::time::sleep(std::time::Duration::from_secs(130)).await;
        site.reconcile(&text("a2")).await.expect(0);
        assert_eq!(console.served(Cloud::Azure).await, texts(&[("a", "a2")]));
    });
}
