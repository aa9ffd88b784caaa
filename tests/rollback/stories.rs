//! Going back where something is held already, was edited, deleted or pruned meanwhile, or cannot be read.

use serde_json::{Value, json};

use crate::scene::{FORMS, Scene, each, keys, stepped};
use crate::story::{entries, of, three_releases};

/// One entry was taken back before, alone; going back further takes it further, and what it is held for adds up.
#[tokio::test(flavor = "multi_thread")]
async fn back_where_one_entry_went_back_before() {
    each(&FORMS, async |scene| {
        let forms = scene.forms;
        let releases = three_releases(&scene).await;
        scene.run(0, &["rollback", "2", "--key", "chat/config"]).await;
        assert_eq!(scene.held().await, keys(["chat/config"]), "{forms:?}");
        scene.run(0, &["rollback", "1"]).await;
        assert_eq!(scene.contents().await, releases[0], "{forms:?}");
        // What either of the two took back stays away, and so does what the file asks now.
        let at = |model: &str| entries(3).replace("model: m3, temperature: 0.3", model);
        for bad in ["model: m3, temperature: 0.3", "model: m2, temperature: 0.2"] {
            scene.file(&at(bad));
            scene.at_rest(6).await;
        }
        scene.file(&at("model: m9, temperature: 0.9"));
        assert_eq!(stepped(&scene.run(0, &["reconcile"]).await), keys(["chat/config"]), "{forms:?}");
        assert!(!scene.held().await.contains("chat/config"), "{forms:?}");
    })
    .await;
}

/// A hold by hand outlives a rollback and every edit, until it is resumed.
#[tokio::test(flavor = "multi_thread")]
async fn back_where_an_entry_is_held_by_hand() {
    each(&FORMS, async |scene| {
        let forms = scene.forms;
        let releases = three_releases(&scene).await;
        let report = scene.run(0, &["hold", "{same,chat/prompt}", "-m", "frozen for the launch"]).await;
        assert_eq!(report["release"], Value::Null);
        scene.run(0, &["rollback", "1"]).await;
        assert_eq!(scene.contents().await, releases[0], "{forms:?}");
        scene.file(&entries(3).replace("always", "edited").replace("prompt 3", "prompt 9"));
        scene.at_rest(6).await;
        scene.run(0, &["resume", "{same,chat/prompt}"]).await;
        let report = scene.run(0, &["reconcile"]).await;
        assert_eq!(stepped(&report), keys(["same", "chat/prompt"]), "{forms:?}");
        assert!(scene.contents().await["aws same"].starts_with("edited"), "{forms:?}");
    })
    .await;
}

/// Goes back on another host, whose file asks for just what is brought back: other hosts' files are newer.
async fn back_with_another_file(scene: Scene, file: String) {
    let forms = scene.forms;
    let releases = three_releases(&scene).await;
    scene.at_host("elsewhere");
    scene.file(&file);
    scene.secret(Some("key 2"));
    scene.run(0, &["rollback", "-m", "refusals up"]).await;
    assert_eq!(scene.contents().await, releases[1], "{forms:?}");
    scene.at_host("state");
    scene.file(&entries(3));
    scene.secret(Some("key 3"));
    scene.at_rest(6).await;
    assert_eq!(scene.contents().await, releases[1], "{forms:?}");
    scene.run(0, &["resume", "--all"]).await;
    scene.run(0, &["reconcile"]).await;
    assert_eq!(scene.contents().await, releases[2], "{forms:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn back_on_a_host_whose_file_is_older() {
    each(&FORMS, async |scene| back_with_another_file(scene, entries(2)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn back_on_a_host_whose_file_was_never_released() {
    each(&FORMS, async |scene| back_with_another_file(scene, entries(2) + "  more: { value: new }\n").await).await;
}

/// The file may go back to an older value that was never taken back, and then on to one that was.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_returns_to_an_older_good_value() {
    each(&FORMS, async |scene| {
        let forms = scene.forms;
        let releases = three_releases(&scene).await;
        scene.run(0, &["rollback", "2"]).await;
        let config = |model: u8| format!("model: m{model}, temperature: 0.{model}");
        scene.file(&entries(3).replace(&config(3), &config(1)));
        assert_eq!(stepped(&scene.run(0, &["reconcile"]).await), keys(["chat/config"]), "{forms:?}");
        assert_eq!(of(&scene.contents().await, "chat/config"), of(&releases[0], "chat/config"), "{forms:?}");
        // Another content was released, so that the bad one is a change like any other.
        scene.file(&entries(3));
        assert_eq!(stepped(&scene.run(0, &["reconcile"]).await), keys(["chat/config"]), "{forms:?}");
        assert_eq!(of(&scene.contents().await, "chat/config"), of(&releases[2], "chat/config"), "{forms:?}");
    })
    .await;
}

/// An entry that the file drops while it is held is pruned, and one that is away already is away.
#[tokio::test(flavor = "multi_thread")]
async fn a_held_entry_is_deleted_from_the_file() {
    each(&FORMS, async |scene| {
        let forms = scene.forms;
        let releases = three_releases(&scene).await;
        scene.run(0, &["rollback", "1"]).await;
        let left: String = entries(3)
            .lines()
            .filter(|line| !line.contains("chat/prompt") && !line.contains("late"))
            .map(|line| format!("{line}\n"))
            .collect();
        scene.file(&left);
        let report = scene.run(0, &["reconcile"]).await;
        assert_eq!(stepped(&report), keys(["chat/prompt"]), "{forms:?}");
        let mut expected = releases[0].clone();
        expected.retain(|place, _| !place.ends_with("chat/prompt"));
        assert_eq!(scene.contents().await, expected, "{forms:?}");
        scene.at_rest(6).await;
    })
    .await;
}

/// What was pruned comes back as it was: a secret as a secret, and where a label is followed without any put.
#[tokio::test(flavor = "multi_thread")]
async fn a_pruned_entry_comes_back() {
    const KEPT: &str = "  kept: { value: x }\n";
    each(&FORMS, async |scene| {
        let forms = scene.forms;
        let first = scene
            .release(&format!(
                "{KEPT}  gone: {{ type: json, value: {{ a: 1 }}, tags: {{ team: a }} }}\n  \
                 key: {{ targets: [aws-eu], secret: true, value_from: {{ env: KEY }} }}\n"
            ))
            .await;
        let without = scene.release(KEPT).await;
        assert!(of(&without, "gone").is_empty() && of(&without, "key").is_empty(), "{forms:?}");
        // Nobody reads the variable any more.
        scene.secret(None);
        scene.at_host("elsewhere");
        scene.world.reset();
        scene.run(0, &["rollback", "1"]).await;
        assert_eq!(scene.contents().await, first, "{forms:?}");
        assert!(first["aws key"].ends_with("as SecureString"));
        if scene.labelled() {
            let ledger = scene.world.count("ssm", "PutParameter") - 2;
            assert_eq!(ledger, 0, "{forms:?}: only the claim and the record are put");
            assert_eq!(scene.stores.versions("key").await, [1], "{forms:?}");
        }
        scene.at_rest(6).await;
        // And goes again.
        scene.run(0, &["rollback", "2"]).await;
        assert_eq!(scene.contents().await, without, "{forms:?}");
        assert_eq!(scene.at_rest(0).await["outcome"], "unchanged");
    })
    .await;
}

/// Version numbers start again when a parameter is made anew: a pin of the first life never means a version of the
/// second.
#[tokio::test(flavor = "multi_thread")]
async fn each_life_of_a_parameter_has_versions_of_its_own() {
    let scene = Scene::new(FORMS[0]).await;
    let with = |value: &str| format!("  kept: {{ value: x }}\n  again: {{ targets: [aws-eu], value: {value} }}\n");
    let one = scene.release(&with("one")).await;
    let none = scene.release("  kept: { value: x }\n").await;
    let three = scene.release(&with("three")).await;
    assert_eq!(scene.stores.versions("again").await, [1], "the numbers began again");
    for (release, then) in
        [("1", &one), ("3", &three), ("2", &none), ("3", &three), ("1", &one), ("2", &none), ("1", &one)]
    {
        scene.run(0, &["rollback", release]).await;
        assert_eq!(scene.contents().await, *then, "rollback {release}");
        scene.at_host(&format!("after {release}"));
    }
    let history = scene.run(0, &["history", "again"]).await;
    let current = history["versions"].as_array().expect("versions").iter().filter(|v| v["current"] == true);
    assert_eq!(current.count(), 1, "{history}");
}

/// A missing variable and a broken entry stop no rollback.
#[tokio::test(flavor = "multi_thread")]
async fn back_with_a_file_that_cannot_be_read() {
    each(&FORMS, async |scene| {
        let forms = scene.forms;
        let releases = three_releases(&scene).await;
        scene.secret(None);
        scene.file(&format!("{}  broken: {{ type: nonsense, value: 1 }}\n", entries(3)));
        scene.at_host("elsewhere");
        scene.run(78, &["reconcile"]).await;
        scene.run(0, &["rollback", "1"]).await;
        assert_eq!(scene.contents().await, releases[0], "{forms:?}");
        for args in [&["status"][..], &["history"], &["show", "4"]] {
            scene.run(0, args).await;
        }
        // Mended, the file does not undo it: what it asks for was released after release 1.
        scene.secret(Some("key 3"));
        scene.file(&entries(3));
        scene.at_rest(6).await;
        assert_eq!(scene.contents().await, releases[0], "{forms:?}");
    })
    .await;
}

/// A rehearsal writes nothing and shows the steps that are then taken.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_what_is_then_done() {
    each(&FORMS, async |scene| {
        let forms = scene.forms;
        let releases = three_releases(&scene).await;
        let steps = |report: &Value| -> Vec<Value> {
            let of = |step: &Value| json!([step["target"], step["key"], step["native"], step["action"], step["from"]]);
            report["steps"].as_array().expect("steps").iter().map(of).collect()
        };
        scene.world.reset();
        let shown = scene.run(0, &["rollback", "--steps", "2", "--dry-run"]).await;
        assert_eq!(scene.world.writes(), 0, "{forms:?}");
        assert_eq!(scene.contents().await, releases[2], "{forms:?}");
        let done = scene.run(0, &["rollback", "--steps", "2"]).await;
        assert_eq!((steps(&shown), &shown["release"]), (steps(&done), &done["release"]), "{forms:?}");
        assert!(!steps(&done).is_empty());
        assert_eq!(scene.contents().await, releases[0], "{forms:?}");
    })
    .await;
}

/// Back to what was served at a time.
#[tokio::test(flavor = "multi_thread")]
async fn back_to_a_time() {
    each(&FORMS, async |scene| {
        let forms = scene.forms;
        scene.release(&entries(1)).await;
        let second = scene.release(&entries(2)).await;
        let then = jiff::Timestamp::now().to_string();
        scene.release(&entries(3)).await;
        let report = scene.run(0, &["rollback", "--at", &then]).await;
        assert_eq!(report["release"], 4);
        assert_eq!(scene.contents().await, second, "{forms:?}");
        let history = scene.run(0, &["history"]).await;
        assert_eq!(history["releases"][0]["restores"], 2, "{history}");
    })
    .await;
}
