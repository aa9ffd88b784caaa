//! What must not be done is not done, and the report says so.

use repin_emulator::Fault;
use serde_json::json;

use crate::support::{World, hand, steps};

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_key_with_a_wanted_name_stops_the_pass() {
    let world = World::new().await;
    for store in hand(&world).await {
        store.overwrite("b", "theirs").await;
    }
    world.entries("  a: { value: one }\n  b: { value: two }\n");
    world.reset();
    let refused = world.json(5, &["reconcile"]).await;
    assert_eq!(refused["error"]["kind"], "foreign");
    assert_eq!(refused["error"]["key"], "b");
    assert_eq!(world.writes(), 0, "nothing touched, on neither store");
    world.json(5, &["plan"]).await;
    for target in ["aws-eu", "azure"] {
        assert_eq!(world.served(target, "b").await["value"], "theirs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_items_are_counted_and_left_alone() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    world.run(&["reconcile"]).await.expect(0);
    for store in hand(&world).await {
        store.overwrite("theirs/x", "1").await;
        store.overwrite("theirs/y", "2").await;
    }
    let planned = world.json(0, &["plan", "--detailed-exitcode"]).await;
    assert_eq!(planned["foreign"], json!({"aws-eu": 2, "azure": 2}));
    world.entries("  b: { value: one }\n");
    world.run(&["reconcile"]).await.expect(0);
    assert_eq!(world.served("aws-eu", "theirs/x").await["value"], "1");
    assert_eq!(world.served("azure", "theirs/y").await["value"], "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_store_unreachable_means_nothing_is_written_to_the_other() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let endpoint = world.emulator.aws_endpoint();
    // A port that nothing listens on.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let dead = format!("http://{}", listener.local_addr().expect("bound"));
    drop(listener);
    let file = std::fs::read_to_string(world.path("repin.yaml")).expect("written");
    world.write("repin.yaml", &file.replace(&endpoint, &dead));
    let failed = world.run(&["reconcile"]).await.expect(75);
    assert!(failed.stderr.contains("aws-eu") && failed.stderr.contains(&dead), "{}", failed.stderr);
    assert_eq!(world.writes(), 0);

    let azure = world.emulator.azure_endpoint();
    world.write("repin.yaml", &file.replace(&azure, &dead));
    let mut command = world.command(&["reconcile", "-o", "json"]);
    command.env("AZURE_CONNECTION", world.emulator.connection_string().replace(&azure, &dead));
    let output = command.output().await.expect("runs");
    assert_eq!(output.status.code(), Some(75));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("json");
    assert_eq!((&report["error"]["target"], &report["error"]["kind"]), (&json!("azure"), &json!("unreachable")));
    assert!(report["error"]["message"].as_str().expect("text").contains(&dead), "{report}");
    assert_eq!(world.writes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_account_writes_nothing() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let file = std::fs::read_to_string(world.path("repin.yaml")).expect("written");
    world.write("repin.yaml", &file.replace("\"111122223333\"", "\"999988887777\""));
    let refused = world.json(5, &["reconcile"]).await;
    assert_eq!(refused["outcome"], "conflict");
    let error = &refused["errors"][0];
    assert_eq!((&error["kind"], &error["target"]), (&json!("wrong-account"), &json!("aws-eu")));
    let message = error["message"].as_str().expect("text");
    assert!(message.contains("999988887777") && message.contains("111122223333"), "{message}");
    assert_eq!(world.writes(), 0);
    let planned = world.json(5, &["plan"]).await;
    assert_eq!(planned["error"]["kind"], "wrong-account", "a plan says it too");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_refused_are_told_as_such() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let mut command = world.command(&["reconcile", "-o", "json"]);
    command.env("AWS_SECRET_ACCESS_KEY", "not-the-right-one");
    let output = command.output().await.expect("runs");
    assert_eq!(output.status.code(), Some(77), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(world.writes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_encrypt_stops_the_pass_before_any_write() {
    let world = World::new().await;
    let file = format!(
        "{}entries:\n  k: {{ targets: [aws-eu], secret: true, value_from: {{ env: TEST_SECRET }} }}\n  a: {{ value: one }}\n",
        world.head()
    );
    world.write("repin.yaml", &file.replace("alias/ai-config", "alias/nowhere"));
    let refused = world.json(1, &["reconcile"]).await;
    let error = &refused["errors"][0];
    assert_eq!(error["kind"], "key-unusable");
    assert!(error["message"].as_str().expect("text").contains("alias/nowhere"), "{error}");
    assert_eq!(world.writes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_entry_refused_by_a_store_leaves_the_rest_served() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  b: { value: two }\n  c: { value: three }\n");
    world.faults(|call| {
        let refused = call.operation == "PutParameter" && call.name.as_deref().is_some_and(|name| name.ends_with("/b"));
        if refused {
            Fault::Refuse {
                status: 400,
                code: "ValidationException".into(),
                message: "not like this".into(),
                retry_after_ms: None,
            }
        } else {
            Fault::None
        }
    });
    let partial = world.json(3, &["reconcile"]).await;
    assert_eq!((&partial["outcome"], &partial["release"]), (&json!("partial"), &json!(1)));
    let results: Vec<_> = steps(&partial, "aws-eu").iter().map(|s| (s["key"].clone(), s["result"].clone())).collect();
    let expected = [("a", "applied"), ("b", "refused"), ("c", "applied")].map(|(k, r)| (json!(k), json!(r)));
    assert_eq!(results, expected);
    assert!(steps(&partial, "azure").iter().all(|step| step["result"] == "applied"));
    let history = world.json(0, &["history"]).await;
    assert_eq!(history["releases"][0]["targets"]["aws-eu"], "partial");

    world.emulator.faults().clear();
    let finished = world.json(0, &["reconcile"]).await;
    assert_eq!(finished["release"], 1, "the same release goes on");
    assert_eq!(finished["steps"].as_array().expect("steps").len(), 1);
    world.run(&["plan", "--detailed-exitcode"]).await.expect(0);
    let history = world.json(0, &["history"]).await;
    assert_eq!(history["releases"].as_array().expect("releases").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_have_a_brake() {
    let world = World::new().await;
    let many: String = (0..12).map(|n| format!("  k{n}: {{ targets: [azure], value: v }}\n")).collect();
    world.entries(&format!("  stay: {{ value: v }}\n{many}"));
    world.run(&["reconcile"]).await.expect(0);
    world.entries("  stay: { value: v }\n");
    world.reset();
    let refused = world.json(1, &["reconcile"]).await;
    assert_eq!(refused["error"]["kind"], "too-many-deletes");
    assert_eq!(world.writes(), 0);
    let raised = format!("{}policy: {{ max_deletes: 12 }}\nentries:\n  stay: {{ value: v }}\n", world.head());
    world.write("repin.yaml", &raised);
    world.run(&["reconcile"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn prune_off_keeps_what_the_file_dropped() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  b: { value: two }\n");
    world.run(&["reconcile"]).await.expect(0);
    world
        .write("repin.yaml", &format!("{}policy: {{ prune: false }}\nentries:\n  a: {{ value: one }}\n", world.head()));
    world.run(&["reconcile"]).await.expect(0);
    assert_eq!(world.served("azure", "b").await["value"], "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_does_not_become_plain_text() {
    let world = World::new().await;
    world.entries("  a: { targets: [aws-eu], secret: true, value_from: { env: TEST_SECRET } }\n");
    world.run(&["reconcile"]).await.expect(0);
    world.entries("  a: { targets: [aws-eu], value: plain }\n");
    world.reset();
    let refused = world.json(1, &["reconcile"]).await;
    assert_eq!(refused["error"]["kind"], "refused");
    assert_eq!(world.writes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_and_wrong_files_have_their_codes() {
    let world = World::new().await;
    world.run(&["reconcile", "--nonsense"]).await.expect(64);
    world.run(&["get"]).await.expect(64);
    world.run(&["show", "not-a-number"]).await.expect(64);
    world.run(&["--help"]).await.expect(0);
    world.run(&["--version"]).await.expect(0);
    world.write("repin.yaml", "version: 1\nname: x\ntargts: {}\n");
    let wrong = world.run(&["validate"]).await.expect(78);
    assert!(wrong.stderr.contains("repin.yaml:3:1") && wrong.stderr.contains("targets"), "{}", wrong.stderr);
    world.run(&["reconcile"]).await.expect(78);
    world.run(&["plan", "-f", "missing.yaml"]).await.expect(78);
    assert_eq!(world.writes(), 0);
}

/// A broken entry or a missing variable must not stop looking back.
#[tokio::test(flavor = "multi_thread")]
async fn history_needs_only_name_and_targets() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    world.run(&["reconcile"]).await.expect(0);
    world.entries("  a: { value: one }\n  b: { secret: true, value_from: { env: NOT_SET } }\n  c: { valu: 1 }\n");
    world.run(&["reconcile"]).await.expect(78);
    world.run(&["history"]).await.expect(0);
    world.run(&["show", "1"]).await.expect(0);
    world.run(&["show", "7"]).await.expect(1);
    world.run(&["history", "never/was"]).await.expect(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forgotten_stays_in_the_stores() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  tmp/x: { value: two }\n");
    world.run(&["reconcile"]).await.expect(0);
    let forgetful = format!("{}forget: [\"tmp/*\"]\nentries:\n  a: {{ value: one }}\n", world.head());
    world.write("repin.yaml", &forgetful);
    let report = world.json(0, &["reconcile"]).await;
    assert!(report["steps"].as_array().expect("steps").iter().all(|step| step["action"] == "forget"), "{report}");
    assert_eq!(world.served("aws-eu", "tmp/x").await["value"], "two");
    world.run(&["plan", "--detailed-exitcode"]).await.expect(0);
    // What was let go of is foreign from now on.
    world.entries("  a: { value: one }\n  tmp/x: { value: three }\n");
    world.run(&["reconcile"]).await.expect(5);
    assert_eq!(world.served("azure", "tmp/x").await["value"], "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_left_the_file_is_orphaned_not_pruned() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    world.run(&["reconcile"]).await.expect(0);
    let file = std::fs::read_to_string(world.path("repin.yaml")).expect("written");
    let azure = file.find("  azure:").expect("there");
    let entries = file.find("entries:").expect("there");
    world.write("repin.yaml", &format!("{}{}", &file[..azure], &file[entries..]));
    let planned = world.json(0, &["plan"]).await;
    assert_eq!(planned["orphaned"], json!(["azure"]));
    world.write("repin.yaml", &file);
    assert_eq!(world.served("azure", "a").await["value"], "one");
}

#[tokio::test(flavor = "multi_thread")]
async fn adopting_takes_over_what_is_equal_without_a_write() {
    let world = World::new().await;
    for store in hand(&world).await {
        store.overwrite("free", "one").await;
    }
    // Written by hand through another owner: its tag says so, and another owner's is refused whatever adopt says.
    world.entries("  free: { value: one, adopt: always }\n");
    let refused = world.json(5, &["reconcile"]).await;
    assert!(refused["error"]["message"].as_str().expect("text").contains("somebody-else"), "{refused}");
}
