//! How long it can be gone back: many releases, versions that a store forgets, and copies.

use std::collections::BTreeSet;
use std::time::Duration;

use repin_emulator::Fault;
use serde_json::{Value, json};

use crate::scene::{FORMS, Scene, TWO_FORMS};
use crate::stores::Contents;

/// How many versions of a parameter Parameter Store keeps.
const KEPT: u64 = 100;
/// Releases of the long story: so many that versions are lost.
const MANY: u64 = 130;
/// Longer than App Configuration keeps what was replaced.
const EIGHT_DAYS: Duration = Duration::from_secs(8 * 24 * 60 * 60);

/// Releases one entry and a secret that change each time beside one that never does.
async fn release(scene: &Scene, keep: u32, n: u64) {
    scene.secret(Some(&format!("key {n}")));
    let entries = format!(
        "  often: {{ value: at {n} }}\n  never: {{ value: x }}\n  \
         key: {{ targets: [aws-eu], secret: true, value_from: {{ env: KEY }} }}\n"
    );
    scene.file_with(&format!("policy: {{ keep_releases: {keep} }}\n"), &entries);
    let report = scene.run(0, &["reconcile"]).await;
    assert_eq!(report["outcome"], "applied", "{n}: {report}");
}

/// Asserts that readers meet what a release had.
async fn serves(scene: &Scene, n: u64) {
    let often = |on: &str, kind: &str| (format!("{on} often"), format!("at {n} as {kind}"));
    let never = |on: &str, kind: &str| (format!("{on} never"), format!("x as {kind}"));
    let mut expected: Contents = [
        often("aws", "String"),
        never("aws", "String"),
        ("aws key".to_owned(), format!("key {n} as SecureString")),
        often("azure", "text/plain []"),
        never("azure", "text/plain []"),
    ]
    .into();
    let contents = scene.contents().await;
    for (place, held) in &mut expected {
        // What kind of text a plain text is, is no matter here.
        if place.starts_with("azure")
            && let (Some(value), Some(there)) = (held.split(" as ").next(), contents.get(place))
            && there.starts_with(&format!("{value} as "))
        {
            held.clone_from(there);
        }
    }
    assert_eq!(contents, expected, "{:?} {n}", scene.forms);
}

/// Returns the releases that `history` lists, newest first.
async fn releases(scene: &Scene) -> Vec<Value> {
    scene.run(0, &["history"]).await["releases"].as_array().expect("releases").clone()
}

fn numbers<'a>(releases: impl IntoIterator<Item = &'a Value>) -> Vec<u64> {
    releases.into_iter().filter_map(|release| release["release"].as_u64()).collect()
}

/// Returns the releases that a target can serve again.
fn restorable(releases: &[Value], target: &str) -> BTreeSet<u64> {
    numbers(releases.iter().filter(|release| release["restorable"][target] == true)).into_iter().collect()
}

/// Returns the number that a refusal names after these words.
fn named(refusal: &str, words: &str) -> u64 {
    let (_, rest) = refusal.split_once(words).unwrap_or_else(|| panic!("{words:?} is not in {refusal}"));
    rest.trim().chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("a number")
}

/// More releases than a store has room for versions: nothing blocks, and what is gone is said before it is tried.
async fn many_releases(scene: &Scene) {
    for n in 1..=MANY {
        release(scene, 200, n).await;
    }
    let oldest = MANY - KEPT + 1;
    assert_eq!(scene.stores.versions("often").await, (oldest as i64..=MANY as i64).collect::<Vec<_>>());
    assert_eq!(scene.stores.versions("never").await, [1], "{:?}", scene.forms);
    let listed = releases(scene).await;
    assert_eq!(numbers(&listed), (1..=MANY).rev().collect::<Vec<u64>>());
    assert_eq!(restorable(&listed, "aws-eu"), (oldest..=MANY).collect(), "{:?}", scene.forms);
    assert_eq!(restorable(&listed, "azure"), (1..=MANY).collect());

    scene.at_host("elsewhere");
    let gone = (oldest - 1).to_string();
    let said = scene.refused(1, &["rollback", &gone], "cannot be had back on aws-eu").await;
    assert_eq!(named(&said, "The oldest release that aws-eu can serve again is"), oldest, "{said}");
    serves(scene, MANY).await;

    // The very last version before the end: the next put takes its place.
    scene.run(0, &["rollback", &oldest.to_string()]).await;
    serves(scene, oldest).await;
    scene.at_rest(6).await;
    release(scene, 200, MANY + 2).await;
    serves(scene, MANY + 2).await;
    assert_eq!(scene.at_rest(0).await["outcome"], "unchanged");
    assert_eq!(scene.stores.versions("never").await, [1], "{:?}", scene.forms);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_releases_where_the_newest_is_read() {
    many_releases(&Scene::new(FORMS[0]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_releases_where_a_label_is_followed() {
    let scene = Scene::new(FORMS[1]).await;
    many_releases(&scene).await;
    renewed_in_time(&scene).await;
}

/// What readers are led to is renewed before its age stands in the way of every put, others' puts included.
async fn renewed_in_time(scene: &Scene) {
    let versions = scene.stores.versions("often").await;
    let newest = *versions.last().expect("versions");
    // Release n put version n, until the first rollback.
    let old = u64::try_from(newest).expect("positive") - 95;
    scene.run(0, &["rollback", &old.to_string()]).await;
    assert_eq!(scene.stores.versions("often").await, versions, "the label alone is moved");
    serves(scene, old).await;
    for n in 0..2 {
        scene.stores.put("often", &format!("foreign {n}")).await;
    }
    serves(scene, old).await;
    scene.at_host("third");
    let report = scene.run(0, &["reconcile"]).await;
    let renewed: Vec<_> = report["steps"].as_array().expect("steps").iter().collect();
    assert!(renewed.iter().all(|step| step["target"] == "aws-eu" && step["reason"] == "renewed"), "{report}");
    serves(scene, old).await;
    scene.at_rest(6).await;
    // There is room again.
    for n in 0..20 {
        scene.stores.put("often", &format!("foreign {n}")).await;
    }
    serves(scene, old).await;
    scene.at_rest(6).await;
    release(scene, 200, 999).await;
    // What the hold names of the secret is lost in part: whether this was one of these nobody can tell, and it stays.
    let held = scene.run(6, &["reconcile"]).await["held"].clone();
    let held: BTreeSet<_> = held.as_array().expect("holds").iter().filter_map(|held| held["key"].as_str()).collect();
    assert_eq!(held, ["key"].into());
    scene.run(0, &["resume", "key"]).await;
    scene.run(0, &["reconcile"]).await;
    serves(scene, 999).await;
}

/// Kills a rollback at its first request of this kind to the key; it is carried out before, or never.
async fn dies_at(scene: &Scene, operation: &'static str, carried_out: bool) {
    scene.world.faults(move |call| {
        let meant = call.operation == operation && call.name.as_deref() == Some("/ai/test/often");
        match (meant, carried_out) {
            (true, true) => Fault::HangAfter,
            (true, false) => Fault::HangBefore,
            (false, _) => Fault::None,
        }
    });
    let silent = std::process::Stdio::null;
    let mut rollback = scene.command(&["rollback", "1"]);
    let mut rollback = rollback.stdout(silent()).stderr(silent()).spawn().expect("runs");
    tokio::select! {
        () = scene.world.emulator.faults().reached() => {}
        ended = rollback.wait() => panic!("{:?} {operation}: {ended:?}", scene.forms),
    }
    rollback.kill().await.expect("killed");
    scene.up();
}

/// Putting the oldest version once more drops it. A run that dies then leaves a copy to go on from, and what it put is
/// not put again.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loses_no_version_that_its_own_put_drops() {
    let cases = [
        (FORMS[0], "PutParameter", true),
        (FORMS[1], "PutParameter", false),
        (FORMS[1], "PutParameter", true),
        (FORMS[1], "LabelParameterVersion", false),
    ];
    let plays = cases.map(|(forms, operation, carried_out)| async move {
        let case = format!("{forms:?} {operation} {carried_out}");
        let scene = Scene::new(forms).await;
        let first = scene.release("  often: { value: first }\n").await;
        for n in 2..KEPT {
            scene.stores.put("often", &format!("foreign {n}")).await;
        }
        scene.release("  often: { value: second }\n").await;
        let kept = KEPT as i64;
        assert_eq!(scene.stores.versions("often").await, (1..=kept).collect::<Vec<_>>(), "{case}");
        dies_at(&scene, operation, carried_out).await;
        scene.at_host("second");
        scene.run(0, &["reconcile"]).await;
        assert_eq!(scene.contents().await, first, "{case}");
        assert_eq!(scene.stores.versions("often").await, (2..=kept + 1).collect::<Vec<_>>(), "{case}: one put");
        scene.at_rest(6).await;
    });
    futures::future::join_all(plays).await;
}

/// Others may put so much that what readers are led to is the oldest version: the store takes no put then. Nothing else
/// is kept waiting, and it is said.
#[tokio::test(flavor = "multi_thread")]
async fn what_takes_no_put_any_more_keeps_nothing_else_waiting() {
    let scene = Scene::new(FORMS[1]).await;
    scene.release("  often: { value: first }\n  other: { value: x }\n").await;
    for n in 2..=KEPT {
        scene.stores.put("often", &format!("foreign {n}")).await;
    }
    let entries = "  often: { value: first }\n  other: { value: y }\n";
    let contents = scene.release(entries).await;
    assert_eq!(contents["aws other"], "y as String");
    assert_eq!(contents["aws often"], "first as String");
}

/// Counts the documents of the ledgers that hold records of the log.
async fn records(scene: &Scene) -> usize {
    let pages = scene.stores.ssm.get_parameters_by_path().path("/repin").recursive(true).into_paginator();
    let mut pages = pages.send();
    let mut count = 0;
    while let Some(page) = pages.next().await {
        let page = page.expect("a page");
        count +=
            page.parameters().iter().filter(|found| found.name().is_some_and(|name| name.contains("/log/"))).count();
    }
    count
}

/// What is folded away is listed still, everybody reads the same, and nobody goes back there.
#[tokio::test(flavor = "multi_thread")]
async fn old_releases_are_folded_away() {
    const KEEP: u32 = 3;
    const RELEASES: u64 = 20;
    crate::scene::each(&TWO_FORMS, async |scene| {
        let forms = scene.forms;
        for n in 1..=RELEASES {
            release(&scene, KEEP, n).await;
            let logged = records(&scene).await;
            assert!((1..=2 * KEEP as usize + 1).contains(&logged), "{forms:?}: {logged} records after {n}");
        }
        let listed = releases(&scene).await;
        assert_eq!(numbers(&listed), (1..=RELEASES).rev().collect::<Vec<u64>>(), "{forms:?}");
        let kept = restorable(&listed, "aws-eu");
        assert_eq!(kept, restorable(&listed, "azure"), "{forms:?}");
        assert!(kept.len() >= KEEP as usize, "{forms:?}: {kept:?}");
        let oldest = *kept.first().expect("some");
        assert_eq!(kept, (oldest..=RELEASES).collect(), "{forms:?}");

        // Where nothing is remembered it reads the same.
        scene.at_host("elsewhere");
        assert_eq!(releases(&scene).await, listed, "{forms:?}");
        for folded in [1, oldest - 1] {
            let folded = folded.to_string();
            let said = scene.refused(64, &["rollback", &folded], &format!("release {folded} is not kept")).await;
            assert_eq!(named(&said, "The oldest that can be had back is"), oldest, "{said}");
        }
        scene.run(0, &["rollback", &oldest.to_string()]).await;
        serves(&scene, oldest).await;
        scene.at_host("third");
        scene.at_rest(6).await;
    })
    .await;
}

/// One entry in its content of a release, with what else App Configuration keeps of it.
fn with_tags(n: u64) -> String {
    format!(
        "  a: {{ type: json, value: {{ n: {n} }}, targets: [azure], tags: {{ n: \"{n}\" }} }}\n  b: {{ value: x }}\n"
    )
}

/// App Configuration forgets what was replaced seven days after it was written. What is that old when it is replaced is
/// copied first, so that the release before can be had back; what was replaced earlier cannot.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_older_than_the_stores_memory_is_copied() {
    let scene = Scene::new(FORMS[0]).await;
    scene.release(&with_tags(1)).await;
    let second = scene.release(&with_tags(2)).await;
    assert_eq!(scene.stores.revisions("a").await, 2);
    scene.world.emulator.clock().advance(EIGHT_DAYS);
    let third = scene.release(&with_tags(3)).await;
    assert_ne!(second, third);
    assert_eq!(scene.stores.revisions("a").await, 1, "the store has forgotten the others");

    scene.at_host("elsewhere");
    let said = scene.refused(1, &["rollback", "1"], "cannot be had back on azure").await;
    assert_eq!(named(&said, "The oldest release that azure can serve again is"), 2, "{said}");
    assert_eq!(scene.contents().await, third);
    scene.run(0, &["rollback", "2"]).await;
    assert_eq!(scene.contents().await, second);
    scene.at_rest(6).await;
    // And again when that is old: the third was put, and replaced, within its seven days.
    scene.world.emulator.clock().advance(EIGHT_DAYS);
    scene.refused(1, &["rollback", "3"], "cannot be had back on azure").await;
    let fifth = scene.release(&with_tags(5)).await;
    scene.at_host("third");
    for (release, then) in [("2", &second), ("4", &second), ("5", &fifth), ("2", &second)] {
        scene.run(0, &["rollback", release]).await;
        assert_eq!(scene.contents().await, *then, "rollback {release}");
    }
}

/// A snapshot is kept for as long as a release needs it, whatever the store forgets of the key-values.
#[tokio::test(flavor = "multi_thread")]
async fn snapshots_outlive_the_stores_memory() {
    let scene = Scene::new(FORMS[2]).await;
    let first = scene.release(&with_tags(1)).await;
    scene.release(&with_tags(2)).await;
    scene.world.emulator.clock().advance(EIGHT_DAYS);
    let third = scene.release(&with_tags(3)).await;
    scene.at_host("elsewhere");
    scene.run(0, &["rollback", "1"]).await;
    assert_eq!(scene.contents().await, first);
    scene.world.emulator.clock().advance(EIGHT_DAYS);
    scene.run(0, &["rollback", "3"]).await;
    assert_eq!(scene.contents().await, third);
    assert_eq!(scene.at_rest(0).await["outcome"], json!("unchanged"));
}
