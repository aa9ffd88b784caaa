//! Files that lost their entries.

use std::fs;

use crate::stage::{PATTERN, PROMPTS, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn more_deletes_than_a_pass_may_make() {
    let stage = Stage::new().await;
    let right = stage.file();
    stage.edit(PATTERN, "");
    let deletes = 2 * PROMPTS;
    let said =
        [&*format!("{deletes} items would be deleted"), "policy.max_deletes allows 10", "raise policy.max_deletes"];
    stage.refuses(1, &said).await;

    // One short of them is still too many, and so is a limit of nothing.
    let file = stage.file();
    for limit in [0, deletes - 1] {
        stage.world.write("repin.yaml", &format!("{file}policy: {{ max_deletes: {limit} }}\n"));
        stage.refuses_to(&["reconcile"], 1, &[&format!("policy.max_deletes allows {limit} ")]).await;
    }
    stage.recovers(&right).await;
    stage.world.write("repin.yaml", &format!("{file}policy: {{ max_deletes: {deletes} }}\n"));
    let done = stage.world.json(0, &["reconcile"]).await;
    assert_eq!(done["steps"].as_array().expect("steps").len(), deletes, "what was meant is done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_anything() {
    let stage = Stage::new().await;
    let right = stage.file();
    for nothing in ["", "\n\n", "# all of it is gone\n", "---\n", "null\n"] {
        stage.world.write("repin.yaml", nothing);
        stage.refuses_to(&["reconcile"], 78, &["repin.yaml:", "help: "]).await;
    }
    stage.refuses(78, &["repin.yaml:", "help: "]).await;
    stage.recovers(&right).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_entries() {
    let stage = Stage::new().await;
    let right = stage.file();
    let head = stage.world.head();
    // However many a pass may delete.
    let policy = "policy: { max_deletes: 1000 }\n";
    for entries in ["", "entries:\n", "entries: {}\n", "entries:\n  chat/config: null\n"] {
        stage.world.write("repin.yaml", &format!("{head}{policy}{entries}"));
        let said = ["the file has no entries", "Give the file its entries back", "repin forget --all"];
        stage.refuses_to(&["reconcile"], 1, &said).await;
    }
    stage.refuses(1, &["the file has no entries"]).await;
    stage.recovers(&right).await;
}

/// Wherever it ends, no cut deletes anything. The targets are left whole: half of their fields would lead elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_ends_in_the_middle() {
    let stage = Stage::new().await;
    let right = stage.file();
    let (targets, entries) = (right.find("targets:").expect("there"), right.find("entries:").expect("there"));
    for cut in (0..targets).step_by(11).chain((entries..right.len() - 3).step_by(31)) {
        stage.world.write("repin.yaml", &right[..cut]);
        let ran = stage.world.run(&["reconcile"]).await;
        assert!([1, 78].contains(&ran.code), "cut at {cut}: {ran:?}");
        stage.judge(&ran, &["error: "], &format!("cut at {cut}")).await;
    }
    stage.recovers(&right).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_without_its_folder() {
    let stage = Stage::new().await;
    let right = stage.file();
    let (folder, away) = (stage.world.path("prompts"), stage.world.path("away"));
    fs::rename(&folder, &away).expect("moved");
    stage.refuses(78, &["repin.yaml:", "there is no folder", "an unmounted folder looks like this"]).await;

    fs::create_dir(&folder).expect("made");
    stage.refuses_to(&["reconcile"], 78, &["no file matches", "an unmounted folder looks like this"]).await;

    // A folder that is there, and none of whose files is meant.
    stage.world.write("prompts/README", "no prompt");
    stage.refuses_to(&["reconcile"], 78, &["no file matches"]).await;
    fs::remove_dir_all(&folder).expect("removed");

    // A link that leads nowhere.
    std::os::unix::fs::symlink(stage.world.path("nowhere"), &folder).expect("made");
    stage.refuses_to(&["reconcile"], 78, &["there is no folder"]).await;
    fs::remove_file(&folder).expect("removed");

    fs::rename(&away, &folder).expect("moved");
    stage.recovers(&right).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlay_that_was_left_out() {
    let stage = Stage::new().await;
    let entries = stage.file().find("entries:").expect("there");
    let right = stage.file();
    let (targets, rest) = right.split_at(entries);
    stage.world.write("targets.yaml", targets);
    stage.world.write("entries.yaml", &format!("version: 1\n{rest}"));
    let both = ["-f", "targets.yaml", "-f", "entries.yaml"];
    stage.world.run(&[&["plan", "--detailed-exitcode"], &both[..]].concat()).await.expect(0);
    for alone in ["targets.yaml", "entries.yaml"] {
        let code = if alone == "targets.yaml" { 1 } else { 78 };
        let ran = stage.world.run(&["reconcile", "-f", alone]).await.expect(code);
        stage.judge(&ran, &["error: "], alone).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_is_not_set() {
    let stage = Stage::new().await;
    let mut command = stage.world.command(&["reconcile"]);
    command.env_remove("TEST_SECRET");
    let output = command.output().await.expect("the program runs");
    let ran = crate::support::Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    stage.judge(&ran.expect(78), &["TEST_SECRET"], "no variable").await;
}
