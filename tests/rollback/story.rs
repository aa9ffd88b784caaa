//! Three releases, back to the first, an edit of one entry, and on again: in every way that readers may be served.

use repin_emulator::Options;
use serde_json::Value;

use crate::scene::{FORMS, Forms, Scene, each, keys, stepped};
use crate::stores::Contents;
use crate::support::steps;

/// The entries of each release: a JSON value, a text, a secret on AWS, one that comes late and one that goes.
pub(crate) fn entries(release: u8) -> String {
    let late = if release >= 2 { "  late: { value: here }\n" } else { "" };
    let early = if release < 3 { "  early: { value: still }\n" } else { "" };
    let tags = if release == 2 { ", tags: { team: b }" } else { ", tags: { team: a }" };
    format!(
        "  chat/config: {{ type: ai-chat, value: {{ model: m{release}, temperature: 0.{release} }} }}\n  \
           chat/prompt: {{ value: \"prompt {release}\"{tags} }}\n  \
           chat/key: {{ targets: [aws-eu], secret: true, value_from: {{ env: KEY }} }}\n  \
           same: {{ value: always }}\n{late}{early}"
    )
}

/// Makes the three releases, and returns what readers meet after each.
pub(crate) async fn three_releases(scene: &Scene) -> Vec<Contents> {
    let mut releases = Vec::new();
    for release in 1..=3 {
        scene.secret(Some(&format!("key {release}")));
        releases.push(scene.release(&entries(release)).await);
    }
    releases
}

/// Returns what readers meet of one key, or of those that begin so.
pub(crate) fn of(contents: &Contents, key: &str) -> Contents {
    let is_of = |place: &str| place.split_once(' ').is_some_and(|(_, found)| found.starts_with(key));
    contents.iter().filter(|(place, _)| is_of(place)).map(|(place, held)| (place.clone(), held.clone())).collect()
}

/// Each release is recognised again by what it serves, in all four ways, with and without what the host remembers.
async fn story(forms: Forms, forgetful: bool) {
    let scene = Scene::new(forms).await;
    let mut hosts = 0;
    let mut move_on = || {
        if forgetful {
            hosts += 1;
            scene.at_host(&format!("host-{hosts}"));
        }
    };
    let mut releases = Vec::new();
    for release in 1..=3 {
        move_on();
        scene.secret(Some(&format!("key {release}")));
        releases.push(scene.release(&entries(release)).await);
    }
    assert_ne!(releases[0], releases[2]);

    move_on();
    let report = scene.run(0, &["rollback", "1", "-m", "refusals up"]).await;
    assert_eq!((report["release"].as_u64(), report["outcome"].as_str()), (Some(4), Some("applied")), "{report}");
    assert_eq!(scene.contents().await, releases[0], "{forms:?} forgetful: {forgetful}");

    // The daemon does not fight it.
    for _ in 0..2 {
        move_on();
        assert_eq!(scene.at_rest(6).await["outcome"], "held");
    }
    assert_eq!(scene.contents().await, releases[0]);
    move_on();
    assert_eq!(scene.run(0, &["status"]).await["file"], "held");
    assert_eq!(scene.held().await, keys(["chat/config", "chat/key", "chat/prompt", "early", "late"]));

    // Twice is once.
    move_on();
    scene.world.reset();
    let again = scene.run(0, &["rollback", "1"]).await;
    assert_eq!((again["outcome"].as_str(), scene.world.writes()), (Some("unchanged"), 0), "{again}");

    // An edit of one held entry releases that entry alone.
    move_on();
    scene.file(&entries(3).replace("m3", "m4"));
    let edited = scene.run(0, &["reconcile"]).await;
    assert_eq!(stepped(&edited), keys(["chat/config"]), "{edited}");
    for (place, held) in scene.contents().await {
        let changed = place.ends_with("chat/config");
        assert!(if changed { held.contains("m4") } else { releases[0].get(&place) == Some(&held) }, "{place}: {held}");
    }

    // On again.
    move_on();
    assert_eq!(scene.run(0, &["resume", "--all"]).await["release"], Value::Null);
    move_on();
    scene.run(0, &["reconcile"]).await;
    let newest: Contents = releases[2].iter().map(|(place, held)| (place.clone(), held.replace("m3", "m4"))).collect();
    assert_eq!(scene.contents().await, newest);
    move_on();
    assert_eq!(scene.at_rest(0).await["outcome"], "unchanged");
}

#[tokio::test(flavor = "multi_thread")]
async fn latest_and_key_values() {
    story(FORMS[0], false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn label_and_key_values() {
    story(FORMS[1], false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn latest_and_snapshot() {
    story(FORMS[2], false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn label_and_snapshot() {
    story(FORMS[3], false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_hosts_that_remember_nothing() {
    futures::future::join_all(FORMS.map(|forms| story(forms, true))).await;
}

/// Parameter Store refuses the name of a parameter that was just deleted for half a minute: that is waited out.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_just_pruned_comes_back_once_its_name_is_free() {
    let scene = Scene::with(FORMS[0], Options::default()).await;
    let both = scene.release("  kept: { value: x }\n  gone: { targets: [aws-eu], value: y }\n").await;
    scene.release("  kept: { value: x }\n").await;
    let report = scene.run(0, &["rollback", "1"]).await;
    assert_eq!(report["outcome"], "applied");
    assert_eq!(scene.contents().await, both);
}

/// Back is back, however often: further each time, and never forward.
#[tokio::test(flavor = "multi_thread")]
async fn steps_go_further_back_and_a_rollback_can_be_rolled_back() {
    each(&FORMS, async |scene| {
        let forms = scene.forms;
        let releases = three_releases(&scene).await;
        scene.run(0, &["rollback"]).await;
        assert_eq!(scene.contents().await, releases[1], "{forms:?}");
        scene.run(0, &["rollback", "--steps", "1"]).await;
        assert_eq!(scene.contents().await, releases[0], "{forms:?}");
        scene.refused(64, &["rollback"], "no earlier release").await;
        // To a release that was itself a rollback, and to the one that it went back from.
        scene.run(0, &["rollback", "4"]).await;
        assert_eq!(scene.contents().await, releases[1], "{forms:?}");
        let report = scene.run(0, &["rollback", "3"]).await;
        assert_eq!(scene.contents().await, releases[2], "{forms:?}");
        assert_eq!(report["release"], 7);
        // What the file asks is what is served: nothing is held. Of a secret nobody knows whether it is where only a
        // label was moved.
        let held = if scene.labelled() { keys(["chat/key"]) } else { keys([]) };
        assert_eq!(scene.held().await, held, "{forms:?}");
        assert_eq!(scene.at_rest(0).await["outcome"], "unchanged", "{forms:?}");
    })
    .await;
}

/// One key goes back, the others stay.
#[tokio::test(flavor = "multi_thread")]
async fn one_key_alone() {
    each(&FORMS, async |scene| {
        let forms = scene.forms;
        let releases = three_releases(&scene).await;
        let report = scene.run(0, &["rollback", "1", "--key", "chat/pro*"]).await;
        assert_eq!(steps(&report, "azure").len(), 1, "{forms:?} {report}");
        let mut expected = releases[2].clone();
        expected.extend(of(&releases[0], "chat/prompt"));
        assert_eq!(scene.contents().await, expected, "{forms:?}");
        assert_eq!(scene.at_rest(6).await["outcome"], "held", "{forms:?}");
    })
    .await;
}
