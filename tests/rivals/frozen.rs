//! Sets of App Configuration: archived between making and serving, and readers led elsewhere meanwhile.

use crate::console::{Cloud, Console};
use crate::human::{AFTER, BEFORE, settle, texts};
use crate::stage::{Clouds, FORMS, interleave, play};

/// Somebody acts on sets before each request of a pass; in the end readers meet what the file asks, in a set that stays.
fn sweep(act: impl AsyncFn(&Console)) {
    play(async || {
        let clouds = Clouds::start().await;
        for moment in 1.. {
            let told = format!("before request {moment}");
            let story = clouds.story(FORMS[1]);
            let (site, console) = (story.host("here", "team").await, story.console());
            site.reconcile(BEFORE).await.expect(0);
            let (first, met) = interleave(&site.gate, moment, site.reconcile(AFTER), act(&console)).await;
            assert!([0, 1, 3, 5].contains(&first.exit), "{told}: {first:#?}");
            let mut ran = vec![first];
            let last = settle(&site, AFTER, &mut ran, &told).await;
            for cloud in Cloud::BOTH {
                let served = console.served(cloud).await;
                assert_eq!(served, texts(&[("a", "a2"), ("c", "c2"), ("d", "d1")]), "{told}: {cloud:?} {ran:#?}");
            }
            assert_eq!(last, 0, "{told}: {ran:#?}");
            if !met {
                assert!(moment > 8, "a pass has more requests than that");
                return;
            }
        }
    });
}

#[test]
fn slow_a_set_is_archived_between_making_and_serving() {
    sweep(async |console| {
        for name in console.all_snapshots().await {
            console.archive(&name).await;
        }
    });
}

#[test]
fn slow_readers_are_led_to_another_set_meanwhile() {
    sweep(async |console| {
        if let Some(first) = console.all_snapshots().await.first() {
            console.refer(first).await;
        }
    });
}
