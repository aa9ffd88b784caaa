//! The starter file, and the schema beside it.

use crate::support::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_starter_file_is_valid_as_it_is_and_can_be_tried_at_once() {
    let world = World::new().await;
    let said = world.command(&["init"]).env_remove("REPIN_FILE").output().await.expect("runs");
    assert_eq!(said.status.code(), Some(0));
    let path = world.path("repin.yaml");
    let text = std::fs::read_to_string(&path).expect("written");
    assert!(text.starts_with("# yaml-language-server: $schema=repin.schema.json\n"));
    world.run(&["validate"]).await.expect(0);
    world.run(&["reconcile", "--emulate"]).await.expect(0);
    let got = world.json(0, &["get", "prompts/system", "--emulate"]).await;
    assert_eq!(got["targets"].as_array().expect("targets").len(), 2);

    let schema: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(world.path("repin.schema.json")).expect("written"))
            .expect("JSON");
    let printed: serde_json::Value =
        serde_json::from_str(&world.run(&["schema"]).await.expect(0).stdout).expect("JSON");
    assert_eq!(schema, printed);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_over() {
    let world = World::new().await;
    let path = world.write("mine.yaml", "mine");
    let path = path.to_str().expect("text");
    assert_eq!(world.json(1, &["init", "-f", path]).await["error"]["kind"], "exists");
    assert_eq!(std::fs::read_to_string(path).expect("there"), "mine");
    assert!(!world.path("repin.schema.json").exists());
    world.write("repin.schema.json", "kept");
    let new = world.path("new.yaml");
    world.run(&["init", "-f", new.to_str().expect("text")]).await.expect(0);
    assert_eq!(std::fs::read_to_string(world.path("repin.schema.json")).expect("there"), "kept");
    world.run(&["init", "-f", "x.json"]).await.expect(64);
    world.run(&["init", "-f", "no/such/folder/x.yaml"]).await.expect(1);
}

/// Each line of the starter that is commented out as an example is one that works.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_commented_out_works_too() {
    let world = World::new().await;
    let new = world.path("new.yaml");
    world.run(&["init", "-f", new.to_str().expect("text")]).await.expect(0);
    let text = std::fs::read_to_string(&new).expect("written");
    let (prose, file) = text.split_once("version: 1").expect("a version");
    let is_example = |rest: &str| rest.split_whitespace().next().is_some_and(|word| word.ends_with(':'));
    let uncommented: String = file
        .lines()
        .map(|line| match line.split_once("# ").filter(|(before, _)| before.trim().is_empty()) {
            Some((indent, rest)) if is_example(rest) => format!("{indent}{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let uncommented = format!("{prose}version: 1{uncommented}");
    assert!(uncommented.contains("\n    kms_key: alias/ai-config"), "{uncommented}");
    world.write("new.yaml", &uncommented);
    world.write("prompts/rag/answer.md", "Answer {{question}}");
    let output =
        world.command(&["validate", "-f", new.to_str().expect("text")]).env("CHAT_API_KEY", "x").output().await;
    let output = output.expect("runs");
    assert_eq!(output.status.code(), Some(0), "{}\n{uncommented}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("aws-eu 6 entries"), "{output:?}");
}
