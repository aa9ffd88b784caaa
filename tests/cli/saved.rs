//! Saved plans: applied elsewhere, or refused once stale.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::support::{Ran, SENTINEL, World, hand};

const ENTRIES: &str = "  chat: { type: ai-chat, value: { model: a, t: 0.2 } }
  prompt: { type: json-string, value_from: { file: prompt.md }, trim: true }
  text: { value: \"a\\nb\" }
  key: { targets: [\"aws-*\"], secret: true, value_from: { file: secret.txt }, trim: true }
  env: { targets: [\"aws-*\"], secret: true, value_from: { env: TEST_SECRET } }
";

async fn world() -> World {
    let world = World::new().await;
    world.write("prompt.md", "Say {{name}}\n");
    world.write("secret.txt", &format!("{SENTINEL}-file\n"));
    world.entries(ENTRIES);
    world
}

impl World {
    async fn save(&self) -> Ran {
        self.run(&["plan", "--out", "release.plan"]).await.expect(0)
    }

    /// Applies the plan as another host would: elsewhere, with a state of its own and without the file.
    async fn apply_elsewhere(&self, args: &[&str]) -> Ran {
        let elsewhere = self.path("elsewhere");
        std::fs::create_dir_all(&elsewhere).expect("made");
        let plan = self.path("release.plan");
        let plan = plan.to_str().expect("text");
        let output = self
            .command(&[&["reconcile", "--plan", plan, "-o", "json"], args].concat())
            .current_dir(&elsewhere)
            .env_remove("REPIN_FILE")
            .env("REPIN_STATE_DIR", elsewhere.join("state"))
            .output()
            .await
            .expect("runs");
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Applies the plan and expects it refused as stale, with nothing written.
    #[track_caller]
    fn refused<'a>(&'a self, args: &'a [&'a str], why: &'a str) -> impl Future<Output = Value> + 'a {
        let place = std::panic::Location::caller();
        async move {
            self.reset();
            let said = self.apply_elsewhere(args).await;
            assert_eq!(said.code, 5, "{place}: {said:?}");
            let error = said.json()["error"].clone();
            assert_eq!(error["kind"], "stale", "{place}: {error}");
            assert!(error["message"].as_str().expect("text").contains(why), "{place}: {error}");
            assert_eq!(self.writes(), 0, "{place}");
            error
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_plan_is_applied_on_another_host_without_the_file() {
    let world = world().await;
    let saved = world.save().await;
    assert!(saved.stderr.contains("repin reconcile --plan release.plan"), "{}", saved.stderr);
    let path = world.path("release.plan");
    assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&path).expect("text");
    assert!(!text.contains(SENTINEL), "a secret is only referred to");
    assert!(text.contains("\"secret\": \"env:TEST_SECRET\""), "{text}");
    let reference = format!("\"secret\": \"file:{}\"", world.path("secret.txt").display());
    assert!(text.contains(&reference), "{text}");

    // Neither the file nor what plain values were read from is there any more.
    std::fs::remove_file(world.path("repin.yaml")).expect("removed");
    std::fs::remove_file(world.path("prompt.md")).expect("removed");
    let dry = world.apply_elsewhere(&["--dry-run"]).await.expect(0).json();
    assert_eq!(dry["summary"]["create"], 8);
    let applied = world.apply_elsewhere(&["-m", "approved"]).await.expect(0).json();
    assert_eq!((&applied["release"], &applied["outcome"]), (&json!(1), &json!("applied")));

    // The host that planned sees its own file served: the same release, nothing left to do.
    world.write("prompt.md", "Say {{name}}\n");
    world.entries(ENTRIES);
    assert_eq!(world.json(0, &["reconcile"]).await["outcome"], "unchanged");
    assert_eq!(world.json(0, &["status"]).await["file"], "current");
    assert_eq!(world.served("aws-eu", "key").await["value"], format!("{SENTINEL}-file"));
    assert_eq!(world.served("aws-eu", "env").await["value"], SENTINEL);
    assert_eq!(world.json(0, &["history"]).await["releases"][0]["message"], "approved");
}

#[tokio::test(flavor = "multi_thread")]
async fn applied_twice_it_is_stale() {
    let world = world().await;
    world.save().await;
    world.apply_elsewhere(&[]).await.expect(0);
    let error = world.refused(&[], "release 1 was recorded since the plan was made").await;
    assert_eq!(error["target"], "aws-eu");
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_after_a_change_in_a_store() {
    let world = world().await;
    world.run(&["reconcile"]).await.expect(0);
    world.entries(&ENTRIES.replace("0.2", "0.3"));
    world.save().await;
    hand(&world).await[1].overwrite("chat", "{}").await;
    let error = world.refused(&[], "the plan was to change it at version").await;
    assert_eq!((&error["target"], &error["key"]), (&json!("azure"), &json!("chat")));

    world.save().await;
    hand(&world).await[0].remove("text").await;
    let error = world.refused(&[], "now it would be to create it").await;
    assert_eq!((&error["target"], &error["key"]), (&json!("aws-eu"), &json!("text")));
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_after_a_change_in_the_file_or_in_a_secret() {
    let world = world().await;
    world.run(&["reconcile"]).await.expect(0);
    world.entries(&ENTRIES.replace("0.2", "0.3"));
    world.save().await;
    let file = world.path("repin.yaml");
    let file = file.to_str().expect("text");
    world.write("secret.txt", "rotated\n");
    let error = world.refused(&["-f", file], "now it would be to change it").await;
    assert_eq!(error["key"], "key", "{error}");
    world.write("secret.txt", &format!("{SENTINEL}-file\n"));
    world.entries(&ENTRIES.replace("0.2", "0.4"));
    world.refused(&["-f", file], "the file asks for something else").await;
    world.entries(&ENTRIES.replace("0.2", "0.3"));
    world.apply_elsewhere(&["-f", file]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_after_a_change_in_the_ledger() {
    let world = world().await;
    world.run(&["reconcile"]).await.expect(0);
    world.entries(&ENTRIES.replace("0.2", "0.3"));
    world.save().await;
    // A release of something else on one target: neither steps nor versions of the plan change.
    let other = world.write("other.yaml", &format!("{}entries:\n{ENTRIES}  more: {{ value: x }}\n", world.head()));
    let other = other.to_str().expect("text");
    world.run(&["reconcile", "-f", other, "--target", "azure"]).await.expect(0);
    let error = world.refused(&[], "release 2 was recorded since the plan was made, by ").await;
    assert_eq!(error["target"], "azure");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_of_some_targets_is_applied_to_those() {
    let world = world().await;
    world.run(&["plan", "--target", "azure", "--out", "release.plan"]).await.expect(0);
    world.reset();
    let applied = world.apply_elsewhere(&[]).await.expect(0).json();
    assert_eq!(applied["steps"].as_array().expect("steps").len(), 3);
    assert_eq!(world.emulator.counters().total("ssm"), 0);
    world.apply_elsewhere(&["--target", "azure"]).await.expect(64);
    world.apply_elsewhere(&["--allow-older"]).await.expect(64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_released_again_on_purpose_needs_no_second_permission() {
    let world = world().await;
    world.run(&["reconcile"]).await.expect(0);
    world.entries(&ENTRIES.replace("0.2", "0.3"));
    world.run(&["reconcile"]).await.expect(0);
    world.entries(ENTRIES);
    // This host saw the newer file; the one that applies never did.
    world.save().await;
    assert_eq!(world.apply_elsewhere(&[]).await.expect(0).json()["release"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_with_nothing_to_do_stays_good_until_there_is_something() {
    let world = world().await;
    world.run(&["reconcile"]).await.expect(0);
    world.save().await;
    world.reset();
    assert_eq!(world.apply_elsewhere(&[]).await.expect(0).json()["outcome"], "unchanged");
    assert_eq!(world.writes(), 0);
    hand(&world).await[0].overwrite("text", "other").await;
    world.refused(&[], "now it would be to change it at version 2 too").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_may_not_run_is_not_saved() {
    let world = world().await;
    hand(&world).await[0].overwrite("text", "theirs").await;
    let said = world.run(&["plan", "--out", "release.plan"]).await.expect(5);
    assert!(said.stderr.contains("Not saved"), "{}", said.stderr);
    assert!(!world.path("release.plan").exists());
    world.run(&["plan", "--target", "azure", "--out", "no/such/folder/x"]).await.expect(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_plan_of_ours_says_so() {
    let world = world().await;
    world.save().await;
    let text = std::fs::read_to_string(world.path("release.plan")).expect("text");
    let mut newer: Value = serde_json::from_str(&text).expect("JSON");
    newer["format"] = json!(2);
    // Laid out another way it is still the same plan.
    let compact = serde_json::from_str::<Value>(&text).expect("JSON").to_string();
    world.write("release.plan", &compact);
    world.apply_elsewhere(&["--dry-run"]).await.expect(0);
    for (damaged, why) in [
        (text.replace("0.2", "0.9"), "was changed or damaged after it was written"),
        (text[..text.len() / 2].to_owned(), "it is not JSON"),
        (newer.to_string(), "was written by a newer repin (plan format 2"),
        ("{}".to_owned(), "it has no format"),
        ("{\"format\":1}".to_owned(), "it has no plan"),
        (String::new(), "it is not JSON"),
    ] {
        world.write("release.plan", &damaged);
        let said = world.apply_elsewhere(&[]).await.expect(78).json();
        assert_eq!(said["error"]["kind"], "plan-file");
        assert!(said["error"]["message"].as_str().expect("text").contains(why), "{said}");
    }
    std::fs::remove_file(world.path("release.plan")).expect("removed");
    world.apply_elsewhere(&[]).await.expect(78);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_not_here_stops_it_before_anything_is_done() {
    let world = world().await;
    world.save().await;
    std::fs::remove_file(world.path("secret.txt")).expect("removed");
    let plan = world.path("release.plan");
    world.reset();
    let output = world
        .command(&["reconcile", "-o", "json", "--plan", plan.to_str().expect("text")])
        .env_remove("TEST_SECRET")
        .output()
        .await
        .expect("runs");
    assert_eq!(output.status.code(), Some(78));
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let keys: Vec<_> = said["errors"].as_array().expect("errors").iter().map(|error| error["key"].clone()).collect();
    assert_eq!(keys, [json!("env"), json!("key")], "{said}");
    assert_eq!(world.emulator.counters().total("ssm") + world.emulator.counters().total("appconfig"), 0);
}
