//! Two teams that want one key, and items that change while they are taken over.

use crate::console::{Act, Cloud};
use crate::human::texts;
use crate::judge;
use crate::stage::{Clouds, FORMS, interleave, play};

/// The second is refused whatever its file says about adopting, and told whose it is.
#[test]
fn what_another_owner_has_is_refused_whatever_adopt_says() {
    play(async || {
        let clouds = Clouds::start().await;
        for adopt in ["never", "equal", "always"] {
            let story = clouds.story(FORMS[0]);
            let (one, two) = (story.host("here", "one").await, story.host("there", "two").await);
            one.reconcile("  a: { value: ones }\n").await.expect(0);
            // Equal to what is there, and not.
            for value in ["ones", "twos"] {
                let entry = format!("  a: {{ value: {value}, adopt: {adopt} }}\n");
                let refused = two.reconcile(&entry).await.expect(5);
                let says = if adopt == "never" { "is there already" } else { "belongs to" };
                assert!(refused.report.contains("belongs to") || refused.report.contains(says), "{}", refused.report);
                assert!(refused.outcome.is_none(), "nothing was tried: {refused:#?}");
            }
            let console = story.console();
            for cloud in Cloud::BOTH {
                assert_eq!(console.served(cloud).await, texts(&[("a", "ones")]), "{adopt}");
            }
            assert_eq!((console.parameters("a").await.len(), console.revisions("a").await.len()), (1, 1));
            one.reconcile("  a: { value: ones }\n").await.expect(0);
        }
    });
}

/// Both make it at the same instant: one has it, whole; the other is told, whenever it stood still.
#[test]
fn slow_two_owners_make_one_key_at_the_same_instant() {
    play(async || {
        let clouds = Clouds::start().await;
        for moment in 1.. {
            let told = format!("before request {moment}");
            let story = clouds.story(FORMS[0]);
            let (one, two) = (story.host("here", "one").await, story.host("there", "two").await);
            let mut second = None;
            let act = async { second = Some(two.reconcile("  a: { value: twos, adopt: always }\n").await) };
            let run = one.reconcile("  a: { value: ones, adopt: always }\n");
            let (first, met) = interleave(&one.gate, moment, run, act).await;
            let Some(second) = second else {
                assert!(moment > 8, "a pass has more requests than that");
                return;
            };
            let console = story.console();
            for cloud in Cloud::BOTH {
                let served = console.served(cloud).await["a"].clone();
                let versions = match cloud {
                    Cloud::Aws => console.parameters("a").await.len(),
                    Cloud::Azure => console.revisions("a").await.len(),
                };
                assert_eq!(versions, 1, "{told}: {cloud:?} {first:#?} {second:#?}");
                assert!(["ones", "twos"].contains(&served.as_str()), "{told}: {served}");
            }
            let mut exits = [first.exit, second.exit];
            exits.sort_unstable();
            assert_eq!(exits, [0, 5], "{told}: {first:#?} {second:#?}");
            assert!(met);
        }
    });
}

/// Somebody edits an item at each moment of its being taken over.
fn changes_while_it_is_adopted(adopt: &str, act: Act) {
    play(async || {
        let clouds = Clouds::start().await;
        let entry = format!("  a: {{ value: wanted, adopt: {adopt} }}\n");
        for moment in 1.. {
            let told = format!("adopt {adopt}, {act:?} before request {moment}");
            let story = clouds.story(FORMS[0]);
            let (site, console) = (story.host("here", "team").await, story.console());
            let held = if adopt == "equal" { "wanted" } else { "theirs" };
            console.put(Cloud::Aws, "a", held).await;
            console.put(Cloud::Azure, "a", held).await;
            let (first, met) = interleave(&site.gate, moment, site.reconcile(&entry), console.act(act, "a")).await;
            judge::told_truly(&first, &told);
            let mut ran = vec![first];
            for _ in 0..2 {
                ran.push(site.reconcile(&entry).await);
            }
            judge::nothing_lost(&site, &console, &ran, &told).await;
            judge::all_conditional(&site, &told);
            for cloud in Cloud::BOTH {
                let ours = site.ledger(cloud.target()).await.pins.keys().any(|key| key.as_str() == "a");
                let served = console.served(cloud).await["a"].clone();
                // Ours and as the file asks, or theirs and untouched.
                assert_eq!(ours, served == "wanted", "{told}: {cloud:?} serves {served}\n{ran:#?}");
                assert!(ours || adopt == "equal", "{told}: {cloud:?} {ran:#?}");
            }
            if !met {
                assert!(moment > 6, "a pass has more requests than that");
                return;
            }
        }
    });
}

#[test]
fn slow_edited_while_it_is_adopted_as_it_is() {
    changes_while_it_is_adopted("equal", Act::Edit);
}

#[test]
fn slow_edited_while_it_is_adopted_and_overwritten() {
    changes_while_it_is_adopted("always", Act::Edit);
}
