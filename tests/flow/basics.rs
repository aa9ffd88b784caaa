//! A file becomes what the stores hold, and nothing more is written than has to be.

use serde_json::json;

use crate::support::{World, steps};

const ENTRIES: &str = "  chat/config: { type: ai-chat, value: { model: gpt-4o, temperature: 0.2, stop: [a, b] } }
  chat/endpoint:
    per_target:
      \"aws-*\": { value: \"https://aws.example\" }
      azure: { value: \"https://azure.example\" }
  chat/key: { targets: [\"aws-*\"], secret: true, value_from: { env: TEST_SECRET } }
  limits/rpm: { value: 120 }
  prompts/a: { type: json-string, value: \"Say {{name}}\\n\" }
";

#[tokio::test(flavor = "multi_thread")]
async fn create_then_nothing_then_one_edit_then_a_drop() {
    let world = World::new().await;
    world.entries(ENTRIES);
    let planned = world.json(2, &["plan", "--detailed-exitcode"]).await;
    assert_eq!(planned["summary"], json!({"create": 9, "update": 0, "delete": 0, "pin": 0, "unchanged": 0, "held": 0}));
    assert_eq!(world.writes(), 0, "a plan writes nothing anywhere");

    let made = world.json(0, &["reconcile", "-m", "first"]).await;
    assert_eq!((&made["release"], &made["outcome"]), (&json!(1), &json!("applied")));
    assert_eq!(steps(&made, "aws-eu").len(), 5);
    assert_eq!(steps(&made, "azure").len(), 4);
    assert!(made["steps"].as_array().expect("steps").iter().all(|step| step["result"] == "applied"), "{made}");
    world.json(0, &["plan", "--detailed-exitcode"]).await;

    world.reset();
    let again = world.json(0, &["reconcile"]).await;
    assert_eq!((&again["release"], &again["outcome"]), (&json!(null), &json!("unchanged")));
    assert_eq!(world.writes(), 0, "nothing changed, nothing written");

    // One value held by both targets: one write of an entry on each, beside claim and record.
    world.entries(&ENTRIES.replace("value: 120", "value: 130"));
    world.reset();
    let edited = world.json(0, &["reconcile"]).await;
    assert_eq!(edited["release"], 2);
    for target in ["aws-eu", "azure"] {
        let steps = steps(&edited, target);
        assert_eq!(steps.len(), 1, "{edited}");
        assert_eq!((&steps[0]["key"], &steps[0]["action"]), (&json!("limits/rpm"), &json!("update")));
    }
    assert_eq!((world.count("ssm", "PutParameter"), world.count("appconfig", "PUT /kv/{key}")), (3, 3));
    assert_eq!(world.served("aws-eu", "limits/rpm").await["value"], "130");
    assert_eq!(world.served("azure", "limits/rpm").await["value"], "130");

    // A dropped entry is pruned.
    let without: String =
        ENTRIES.lines().filter(|line| !line.contains("limits/rpm")).map(|l| format!("{l}\n")).collect();
    world.entries(&without);
    world.json(2, &["plan", "--detailed-exitcode"]).await;
    let pruned = world.json(0, &["reconcile"]).await;
    assert!(pruned["steps"].as_array().expect("steps").iter().all(|step| step["action"] == "delete"), "{pruned}");
    world.json(1, &["get", "limits/rpm"]).await;
    world.json(0, &["plan", "--detailed-exitcode"]).await;

    let history = world.json(0, &["history"]).await;
    let releases: Vec<_> = history["releases"].as_array().expect("releases").iter().collect();
    assert_eq!(releases.iter().map(|r| r["release"].as_u64()).collect::<Vec<_>>(), [Some(3), Some(2), Some(1)]);
    assert_eq!(releases[2]["message"], "first");
    assert_eq!(releases[0]["current"], true);
    let shown = world.json(0, &["show", "2"]).await;
    assert_eq!(shown["steps"].as_array().expect("steps").len(), 2);
    let versions = world.json(0, &["history", "limits/rpm"]).await;
    assert_eq!(versions["versions"].as_array().expect("versions").len(), 6, "made, changed, removed, on two targets");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_value_that_means_the_same_is_no_change() {
    let world = World::new().await;
    world.entries("  a: { value: { x: 1, y: [1, 2.5], z: \"t\" } }\n  n: { value: 1 }\n");
    world.run(&["reconcile"]).await.expect(0);
    for same in [
        "  a: { value: { z: \"t\", y: [1.0, 2.5], x: 1.0 } }\n  n: { value: 1.0 }\n",
        "  a:\n    type: json\n    value:\n      y: [ 1,   2.50 ]\n      z: t\n      x: 1\n  n: { value: 1 }\n",
    ] {
        world.entries(same);
        world.reset();
        world.run(&["plan", "--detailed-exitcode"]).await.expect(0);
        assert_eq!(world.json(0, &["reconcile"]).await["outcome"], "unchanged");
        assert_eq!(world.writes(), 0);
    }
    world.entries("  a: { value: { x: 1, y: [2.5, 1], z: \"t\" } }\n  n: { value: 1 }\n");
    world.run(&["plan", "--detailed-exitcode"]).await.expect(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_exactly_what_the_contract_says() {
    let world = World::new().await;
    world.entries(
        "  chat: { type: ai-chat, value: { model: gpt-4o, a: { z: 1, b: 2 } } }
  prompt: { type: json-string, value: \"Say {{name}}\\n\" }
  text: { value: \"a, b\\n\" }
  flag: { value: true }
",
    );
    world.run(&["reconcile"]).await.expect(0);
    let aws = world.served("aws-eu", "chat").await;
    assert_eq!((&aws["native"], &aws["version"]), (&json!("/ai/test/chat"), &json!("1")));
    assert_eq!(aws["value"], r#"{"model":"gpt-4o","a":{"z":1,"b":2}}"#);
    let azure = world.served("azure", "chat").await;
    assert_eq!(
        azure["content_type"],
        r#"application/json; profile="https://azconfig.io/mime-profiles/ai/chat-completion""#
    );
    assert_eq!(azure["native"], "test/chat");
    let prompt = world.served("aws-eu", "prompt").await["value"].as_str().expect("text").to_owned();
    assert!(!prompt.contains("{{"), "SSM refuses double braces: {prompt}");
    assert_eq!(serde_json::from_str::<String>(&prompt).expect("one JSON string"), "Say {{name}}\n");
    assert_eq!(world.served("azure", "text").await["value"], "a, b\n");
    assert_eq!(world.served("aws-eu", "flag").await["value"], "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn target_limits_a_pass_to_some_targets() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let azure = world.json(0, &["reconcile", "--target", "az*"]).await;
    assert!(steps(&azure, "aws-eu").is_empty());
    let ssm = world.emulator.counters().total("ssm");
    let looks = (world.count("ssm", "GetParametersByPath"), world.count("ssm", "GetParameters"));
    assert_eq!((ssm, looks), (2, (1, 1)), "only its ledger: for the numbers, and for whoever took this one meanwhile");
    let both = world.json(0, &["reconcile"]).await;
    assert_eq!((steps(&both, "aws-eu").len(), steps(&both, "azure").len(), &both["release"]), (1, 0, &json!(2)));
    world.run(&["reconcile", "--target", "gcp"]).await.expect(64);
    // A number is made once, whatever was looked at.
    for (target, value, number) in [("aws-eu", "two", 3), ("azure", "three", 4), ("aws-eu", "four", 5)] {
        world.entries(&format!("  a: {{ value: {value} }}\n"));
        let made = world.json(0, &["reconcile", "--target", target]).await;
        assert_eq!(made["release"], number, "{made}");
    }
}

/// A content type goes with the content that brought it: readers must not take a text for what it was before.
#[tokio::test(flavor = "multi_thread")]
async fn another_type_leaves_no_content_type_behind() {
    let world = World::new().await;
    let reference = "{ type: key-vault-reference, value: \"https://contoso.vault.azure.net/secrets/openai/1\" }";
    let entry = |text: &str| {
        world.entries(&format!("  v: {{ targets: [azure], per_target: {{ azure: {text} }} }}\n"));
    };
    let kept = [
        (reference, Some("application/vnd.microsoft.appconfig.keyvaultref+json;charset=utf-8")),
        ("{ value: plain }", None),
        ("{ value: { a: 1 } }", Some("application/json")),
        ("{ type: text, value: '{\"a\":1}' }", None),
        ("{ value: one, content_type: text/x-prompt }", Some("text/x-prompt")),
        ("{ value: one }", None),
    ];
    for (n, (text, content_type)) in kept.into_iter().enumerate() {
        entry(text);
        assert_eq!(world.json(0, &["reconcile"]).await["release"], n as u64 + 1, "{text}");
        assert_eq!(world.served("azure", "v").await["content_type"].as_str(), content_type, "{text}");
        assert_eq!(world.json(0, &["reconcile"]).await["outcome"], "unchanged", "{text}");
    }
}

/// Tags are no part of a parameter's versions: they are made equal beside it, and the owner's stays.
#[tokio::test(flavor = "multi_thread")]
async fn new_tags_alone_are_a_change() {
    let world = World::new().await;
    let key = "  k: { targets: [aws-eu], secret: true, value_from: { env: TEST_SECRET }, tags: {%} }\n";
    let file = |tags: &str| {
        let entries = format!("  a: {{ value: one, tags: {{{tags}}} }}\n{}", key.replace('%', tags));
        world.entries(&entries);
    };
    file("team: ml, stage: one");
    world.json(0, &["reconcile"]).await;
    file("team: search, cost: c7");
    let planned = world.json(0, &["plan"]).await;
    assert_eq!(planned["summary"]["update"], 3, "{planned}");
    let text = world.run(&["plan"]).await.expect(0).stdout;
    assert!(text.contains("tags"), "{text}");
    world.reset();
    let report = world.json(0, &["reconcile"]).await;
    assert_eq!((report["release"].as_u64(), steps(&report, "aws-eu").len()), (Some(2), 2), "{report}");
    // One request each: `stage` goes, `cost` comes and `team` changes.
    let sent = |operation| world.count("ssm", operation);
    assert_eq!((sent("RemoveTagsFromResource"), sent("AddTagsToResource")), (2, 2));
    let azure = world.served("azure", "a").await;
    assert_eq!(azure["version"].as_str().map(str::is_empty), Some(false), "{azure}");
    world.reset();
    assert_eq!(world.json(0, &["reconcile"]).await["outcome"], "unchanged");
    assert_eq!(world.writes(), 0);
}

/// Parameter Store does not answer descriptions with its values: the ledger tells what was released.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_description_alone_is_a_change() {
    let world = World::new().await;
    world.entries("  a: { value: one, description: first }\n  b: { value: two }\n");
    world.run(&["reconcile"]).await.expect(0);
    world.run(&["plan", "--detailed-exitcode"]).await.expect(0);
    world.entries("  a: { value: one, description: second }\n  b: { value: two }\n");
    let changed = world.json(0, &["reconcile"]).await;
    assert_eq!((steps(&changed, "aws-eu").len(), steps(&changed, "azure").len()), (1, 1), "{changed}");
    assert_eq!(world.served("aws-eu", "a").await["version"], "2");
    world.run(&["plan", "--detailed-exitcode"]).await.expect(0);
}
