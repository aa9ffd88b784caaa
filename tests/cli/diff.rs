//! Two releases, or one against what is served now.

use serde_json::{Value, json};

use crate::support::{SENTINEL, World, hand};

fn entry<'a>(diff: &'a Value, target: &str, key: &str) -> &'a Value {
    let entries = diff["entries"].as_array().expect("entries");
    entries.iter().find(|entry| entry["target"] == target && entry["key"] == key).unwrap_or(&Value::Null)
}

async fn world_with_two_releases() -> World {
    let world = World::new().await;
    let secret = "  key: { targets: [\"aws-*\"], secret: true, value_from: { env: TEST_SECRET } }\n";
    world.entries(&format!("  chat: {{ value: {{ model: a, t: 0.2 }} }}\n  old: {{ value: x }}\n{secret}"));
    world.run(&["reconcile"]).await.expect(0);
    world.entries(&format!("  chat: {{ value: {{ model: a, t: 0.3 }} }}\n  new: {{ value: x }}\n{secret}"));
    let changed = world.command(&["reconcile"]).env("TEST_SECRET", format!("{SENTINEL}2")).output().await;
    assert_eq!(changed.expect("runs").status.code(), Some(0));
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn two_releases() {
    let world = world_with_two_releases().await;
    world.reset();
    let diff = world.json(0, &["diff", "1", "2"]).await;
    assert_eq!((&diff["from"], &diff["to"]), (&json!(1), &json!(2)));
    let chat = entry(&diff, "aws-eu", "chat");
    assert_eq!((&chat["from"], &chat["to"], &chat["action"]), (&json!("1"), &json!("2"), &json!("update")));
    assert_eq!(chat["changes"], json!([{ "path": "t", "from": "0.2", "to": "0.3" }]));
    assert_eq!(entry(&diff, "azure", "chat")["changes"], chat["changes"]);
    assert_eq!(entry(&diff, "aws-eu", "old")["action"], "delete");
    assert_eq!(entry(&diff, "azure", "new")["action"], "create");
    let secret = entry(&diff, "aws-eu", "key");
    assert_eq!((&secret["content"], &secret["changes"]), (&json!("secret"), &json!(null)));
    assert!(!diff.to_string().contains(SENTINEL));
    assert_eq!((world.writes(), world.count("kms", "Decrypt")), (0, 0));
    let text = world.run(&["diff", "1", "2"]).await.expect(0).stdout;
    assert!(text.starts_with("test: release 1 -> release 2\n"), "{text}");
    assert!(text.contains("    t: 0.2 -> 0.3\n") && text.contains("value differs (secret)\n"), "{text}");
    assert!(text.ends_with("4 entries differ.\n") && !text.contains(SENTINEL), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_and_what_is_served_now() {
    let world = world_with_two_releases().await;
    assert_eq!(world.json(0, &["diff", "2"]).await["entries"], json!([]));
    assert!(world.run(&["diff", "2"]).await.expect(0).stdout.ends_with("Nothing differs.\n"));
    hand(&world).await[1].overwrite("chat", "{\"t\":0.30,\"model\":\"a\"}").await;
    hand(&world).await[0].overwrite("chat", "{\"t\":1,\"model\":\"a\"}").await;
    let diff = world.json(0, &["diff", "2"]).await;
    assert_eq!(entry(&diff, "azure", "chat")["content"], "same");
    assert_eq!(entry(&diff, "aws-eu", "chat")["changes"], json!([{ "path": "t", "from": "0.3", "to": "1" }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_that_are_not_there() {
    let world = world_with_two_releases().await;
    for args in [&["diff", "7"][..], &["diff", "1", "7"], &["show", "7"]] {
        let said = world.json(1, args).await;
        assert_eq!(said["error"]["hint"], "The ledger has 1 to 2.", "{said}");
    }
    world.run(&["diff"]).await.expect(64);
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_that_are_kept_no_more() {
    let world = World::new().await;
    let head = world.head();
    for n in 1..=6 {
        world.write("repin.yaml", &format!("{head}policy: {{ keep_releases: 2 }}\nentries:\n  a: {{ value: v{n} }}\n"));
        world.run(&["reconcile"]).await.expect(0);
    }
    let error = &world.json(1, &["diff", "1", "6"]).await["error"];
    assert_eq!((&error["kind"], &error["message"]), (&json!("gone"), &json!("what release 1 had is known no more")));
    assert_eq!(world.json(0, &["diff", "5", "6"]).await["entries"].as_array().map(Vec::len), Some(2));
    let history = world.json(0, &["history"]).await;
    let restorable = |n: usize| &history["releases"][6 - n]["restorable"]["aws-eu"];
    assert_eq!((restorable(1), restorable(5), restorable(6)), (&json!(false), &json!(true), &json!(true)));
    let shown = world.run(&["show", "1"]).await.expect(0).stdout;
    assert!(shown.contains("\nWhat it did is known no more: policy.keep_releases says how many"), "{shown}");
    let text = world.run(&["history"]).await.expect(0).stdout;
    assert!(text.lines().last().is_some_and(|line| line.ends_with("  -        aws-eu, azure  gone")), "{text}");
    // The last version before what is kept can still be had.
    let versions = world.json(0, &["history", "a"]).await;
    let aws = versions["versions"].as_array().expect("versions").iter().filter(|version| version["target"] == "aws-eu");
    let aws: Vec<_> = aws.map(|version| (version["release"].as_u64(), version["restorable"].as_bool())).collect();
    assert!(aws.len() > 2 && aws.iter().all(|(_, restorable)| *restorable == Some(true)), "{versions}");
}
