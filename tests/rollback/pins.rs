//! Native versions that an operator or the file names, and entries that are let go of.

use std::time::Duration;

use serde_json::{Value, json};

use crate::scene::{FORMS, Scene, each, keys, stepped};
use crate::story::{entries, of, three_releases};
use crate::support::hand;

/// Returns the native version that a release gave to a key on a target.
async fn version(scene: &Scene, target: &str, key: &str, release: u64) -> String {
    let history = scene.run(0, &["history", key]).await;
    let versions = history["versions"].as_array().expect("versions");
    let of = |v: &&Value| v["target"] == target && v["release"] == release;
    let found = versions.iter().find(of).unwrap_or_else(|| panic!("{history}"));
    found["version"].as_str().expect("a version").to_owned()
}

fn config(release: u8) -> String {
    format!("model: m{release}, temperature: 0.{release}")
}

/// Pinned by hand on each cloud: edits and drift change nothing, until it is unpinned.
#[tokio::test(flavor = "multi_thread")]
async fn a_pin_by_hand_outlives_edits_until_it_is_lifted() {
    each(&FORMS, async |scene| {
        let forms = scene.forms;
        let releases = three_releases(&scene).await;
        let etag = version(&scene, "azure", "chat/config", 2).await;
        let pin = ["pin", "chat/config", "--target", "aws-eu", "--version", "1", "-m", "last good one"];
        let report = scene.run(0, &pin).await;
        assert_eq!((&report["release"], &report["outcome"]), (&json!(4), &json!("applied")), "{report}");
        scene.run(0, &["pin", "chat/config", "--target", "azure", "--version", &etag]).await;
        let mut expected = releases[2].clone();
        expected.insert("aws chat/config".into(), releases[0]["aws chat/config"].clone());
        expected.insert("azure chat/config".into(), releases[1]["azure chat/config"].clone());
        assert_eq!(scene.contents().await, expected, "{forms:?}");

        // Neither the file nor an edit of it counts, on any host.
        scene.at_host("elsewhere");
        scene.at_rest(6).await;
        scene.file(&entries(3).replace(&config(3), &config(7)));
        scene.at_rest(6).await;
        assert_eq!(scene.contents().await, expected, "{forms:?}");
        // Somebody else's change goes back to the pin.
        if !scene.labelled() {
            hand(&scene.world).await[0].overwrite("chat/config", "theirs").await;
            let mended = scene.run(0, &["reconcile"]).await;
            assert_eq!((&mended["release"], stepped(&mended)), (&Value::Null, keys(["chat/config"])), "{mended}");
            assert_eq!(scene.contents().await, expected, "{forms:?}");
        }
        for target in ["aws-eu", "azure"] {
            assert_eq!(scene.run(0, &["unpin", "chat/config", "--target", target]).await["release"], Value::Null);
        }
        assert_eq!(scene.contents().await, expected, "unpinning alone serves nothing");
        assert_eq!(stepped(&scene.run(0, &["reconcile"]).await), keys(["chat/config"]), "{forms:?}");
        assert!(scene.contents().await["aws chat/config"].contains("m7"), "{forms:?}");
        assert_eq!(scene.at_rest(0).await["outcome"], "unchanged");
    })
    .await;
}

/// A time names the revision that App Configuration had then.
#[tokio::test(flavor = "multi_thread")]
async fn a_pin_to_a_time() {
    each(&[FORMS[0], FORMS[2]], async |scene| {
        let forms = scene.forms;
        scene.release(&entries(1)).await;
        let second = scene.release(&entries(2)).await;
        // The store shows dates of whole seconds.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let then = jiff::Timestamp::now().to_string();
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let third = scene.release(&entries(3)).await;
        scene.run(0, &["pin", "chat/config", "--target", "azure", "--version", &then]).await;
        let mut expected = third.clone();
        expected.insert("azure chat/config".into(), second["azure chat/config"].clone());
        assert_eq!(scene.contents().await, expected, "{forms:?}");
        let before = ["pin", "chat/config", "--target", "azure", "--version", "2001-01-01T00:00:00Z"];
        scene.refused(64, &before, "tells of no version").await;
    })
    .await;
}

/// The file names a version: a number on one cloud, an etag on the other, whatever the value says.
#[tokio::test(flavor = "multi_thread")]
async fn a_pin_in_the_file() {
    each(&FORMS, async |scene| {
        let forms = scene.forms;
        let releases = three_releases(&scene).await;
        let etag = version(&scene, "azure", "chat/config", 2).await;
        let pinned = |model: u8| {
            let with = format!("{} }}, pin: {{ aws-eu: 1, azure: {etag} }} }}", config(model));
            entries(3).replace(&format!("{} }} }}", config(3)), &with)
        };
        let contents = scene.release(&pinned(3)).await;
        let mut expected = releases[2].clone();
        expected.insert("aws chat/config".into(), releases[0]["aws chat/config"].clone());
        expected.insert("azure chat/config".into(), releases[1]["azure chat/config"].clone());
        assert_eq!(contents, expected, "{forms:?}");
        scene.at_host("elsewhere");
        assert_eq!(scene.at_rest(0).await["outcome"], "unchanged");
        // Another value beside the pin changes nothing.
        scene.file(&pinned(8));
        let report = scene.run(0, &["reconcile"]).await;
        assert_eq!(scene.contents().await, expected, "{forms:?} {report}");
        // Without the pin the value counts.
        assert!(scene.release(&entries(3).replace(&config(3), &config(8))).await["aws chat/config"].contains("m8"));
    })
    .await;
}

/// A version that the store does not have (any more) is said before anything is written.
#[tokio::test(flavor = "multi_thread")]
async fn a_pin_in_the_file_to_what_is_gone() {
    each(&FORMS, async |scene| {
        scene.release(&entries(1)).await;
        for (pin, names) in [("aws-eu: 77", "77"), ("azure: nOsUcHeTaG", "nOsUcHeTaG")] {
            let with = format!("{} }}, pin: {{ {pin} }} }}", config(1));
            scene.file(&entries(1).replace("prompt 1", "prompt 9").replace(&format!("{} }} }}", config(1)), &with));
            for args in [&["plan"][..], &["reconcile"]] {
                scene.refused(1, args, names).await;
            }
        }
    })
    .await;
}

/// What is let go of stays in the stores as it is, and is met again as somebody else's.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_let_go_of_stays_as_it_is() {
    each(&FORMS, async |scene| {
        let forms = scene.forms;
        let releases = three_releases(&scene).await;
        let before = scene.stores.versions("chat/prompt").await;
        let report = scene.run(0, &["forget", "chat/prompt"]).await;
        assert_eq!((&report["release"], scene.contents().await), (&Value::Null, releases[2].clone()), "{forms:?}");
        assert_eq!(scene.stores.versions("chat/prompt").await, before, "{forms:?}");
        // The file still asks for it.
        scene.refused(5, &["reconcile"], "is there already and is not in the ledger").await;
        // Out of the file it is left alone, by releases and by rollbacks.
        let without = |model: u8| -> String {
            let lines = entries(3).replace(&config(3), &config(model));
            lines.lines().filter(|line| !line.contains("chat/prompt")).map(|line| format!("{line}\n")).collect()
        };
        let contents = scene.release(&without(6)).await;
        assert_eq!(of(&contents, "chat/prompt"), of(&releases[2], "chat/prompt"), "{forms:?}");
        scene.run(0, &["rollback", "1"]).await;
        let mut expected = releases[0].clone();
        expected.extend(of(&releases[2], "chat/prompt"));
        assert_eq!(scene.contents().await, expected, "{forms:?}");
    })
    .await;
}

/// Letting go of everything leaves nothing that a pass or a rollback would touch; purging takes the copies along.
#[tokio::test(flavor = "multi_thread")]
async fn everything_is_let_go_of_and_the_copies_with_it() {
    let scene = Scene::new(FORMS[0]).await;
    let entries = "  kept: { value: x }\n  key: { targets: [aws-eu], secret: true, value_from: { env: KEY } }\n";
    scene.release(entries).await;
    let left = scene.release("  kept: { value: x }\n").await;
    let copies = || async {
        let mut pages =
            scene.stores.ssm.get_parameters_by_path().path("/repin").recursive(true).into_paginator().send();
        let mut found = 0;
        while let Some(page) = pages.next().await {
            let page = page.expect("a page");
            found += page.parameters().iter().filter(|p| p.name().is_some_and(|name| name.contains("/copy/"))).count();
        }
        found
    };
    assert_eq!(copies().await, 1, "of the secret, whose parameter is gone");
    scene.run(0, &["forget", "--all"]).await;
    assert_eq!((copies().await, scene.contents().await), (1, left.clone()));
    scene.file("  other: { value: y }\n");
    scene.run(0, &["reconcile"]).await;
    assert_eq!(of(&scene.contents().await, "kept"), of(&left, "kept"), "it is nobody's to prune");
    scene.run(0, &["forget", "--all", "--purge"]).await;
    assert_eq!(copies().await, 0);
    assert_eq!(of(&scene.contents().await, "kept"), of(&left, "kept"));
}
