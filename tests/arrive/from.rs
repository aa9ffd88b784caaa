//! `init --from`: a file that asks for what is there.

use std::os::unix::fs::PermissionsExt as _;

use aws_sdk_ssm::types::ParameterType;
use repin_emulator::Fault;
use serde_json::{Value, json};

use crate::bystander::Bystander;
use crate::support::{SENTINEL, World, all_files, steps};

const CHAT: &str = r#"application/json; profile="https://azconfig.io/mime-profiles/ai/chat-completion""#;

/// What it makes of what [`world`] holds.
const ENTRIES: &str = "\
entries:
  # azure: written with other blanks; it stays so until the value changes
  chat/config:
    type: ai-chat
    value:
      model: m
      stop:
        - x
  # another value on aws-eu than on azure
  chat/endpoint:
    per_target:
      aws-eu:
        value: https://aws.example.com
      azure:
        value: https://azure.example.com
  limits/rpm:
    value: \"120\"
  # only on aws-eu
  # aws-eu: a StringList, and stays one
  lists/regions:
    targets: [aws-eu]
    value: \"eu,us\"
  prompts/system:
    value_from: { file: values/prompts/system.txt }
";

/// A world whose file says where its targets are, and whose stores hold a little of everything.
async fn world() -> (World, Bystander) {
    let world = World::new().await;
    world.write("repin.yaml", &world.head());
    let others = Bystander::of(&world);
    others.text("limits/rpm", "120").await;
    others.parameter("/ai/test/chat/config", r#"{"model":"m","stop":["x"]}"#, ParameterType::String).await;
    others.key_value("test/chat/config", r#"{ "model": "m", "stop": ["x"] }"#, Some(CHAT)).await;
    others.parameter("/ai/test/chat/endpoint", "https://aws.example.com", ParameterType::String).await;
    others.key_value("test/chat/endpoint", "https://azure.example.com", None).await;
    others.parameter("/ai/test/lists/regions", "eu,us", ParameterType::StringList).await;
    others.text("prompts/system", "Be kind.\n\nAnswer in {language}.\n").await;
    (world, others)
}

fn file(world: &World) -> String {
    std::fs::read_to_string(world.path("repin.yaml")).expect("a file")
}

/// Asserts that a pass has nothing to write, and that what it takes over stays as it is.
async fn assert_taken_over(world: &World, others: &Bystander) -> Value {
    let before = others.shown().await;
    let planned = world.json(0, &["plan"]).await;
    let actions = planned["steps"].as_array().expect("steps").iter().all(|step| step["action"] == "adopt");
    assert!(actions, "{planned}");
    let done = world.json(0, &["reconcile"]).await;
    assert_eq!(others.shown().await, before);
    world.json(0, &["plan", "--detailed-exitcode"]).await;
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_equal_is_said_once_and_what_differs_by_target() {
    let (world, others) = world().await;
    let before = others.shown().await;
    world.reset();
    let made = world.json(0, &["init", "--from", "*"]).await;
    assert_eq!(world.writes(), 0);
    assert_eq!(others.shown().await, before);
    assert_eq!(made["entries"], 5);
    assert_eq!(made["left_out"], json!([]));
    let differences: Vec<_> =
        made["differences"].as_array().expect("a list").iter().map(|one| one["key"].as_str().expect("text")).collect();
    assert_eq!(differences, ["chat/endpoint", "lists/regions"]);
    let text = file(&world);
    assert!(text.starts_with(&world.head()), "what stood there stays: {text}");
    assert_eq!(text[text.find("entries:\n").expect("entries")..], *ENTRIES);
    let prompt = std::fs::read_to_string(world.path("values/prompts/system.txt")).expect("a file");
    assert_eq!(prompt, "Be kind.\n\nAnswer in {language}.\n");
    let done = assert_taken_over(&world, &others).await;
    assert_eq!((steps(&done, "aws-eu").len(), steps(&done, "azure").len()), (5, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_stays_a_list_when_it_changes() {
    let (world, others) = world().await;
    world.run(&["init", "--from", "aws-eu"]).await.expect(0);
    assert_taken_over(&world, &others).await;
    let changed = file(&world).replace("\"eu,us\"", "\"eu,us,ap\"");
    world.write("repin.yaml", &changed);
    world.run(&["reconcile"]).await.expect(0);
    let list = others.stored("/ai/test/lists/regions").await;
    assert_eq!(list, ("StringList".to_owned(), "eu,us,ap".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_references_to_be_filled_or_files_of_their_own() {
    let (world, others) = world().await;
    others.parameter("/ai/test/chat/api-key", SENTINEL, ParameterType::SecureString).await;
    let head = file(&world);
    let made = world.json(0, &["init", "--from", "aws-eu", "azure"]).await;
    assert_eq!(made["to_fill"], json!([{ "key": "chat/api-key", "env": "SECRET_CHAT_API_KEY" }]));
    assert!(
        !made["requests"]["aws-eu"].as_object().expect("counts").contains_key("GetParameters"),
        "none is decrypted"
    );
    let refused = world.run(&["validate"]).await.expect(78);
    assert!(refused.stderr.contains("SECRET_CHAT_API_KEY"), "{}", refused.stderr);
    let output = world.command(&["plan"]).env("SECRET_CHAT_API_KEY", SENTINEL).output().await.expect("runs");
    assert_eq!(output.status.code(), Some(0));

    world.write("repin.yaml", &head);
    let ran = world.run(&["init", "--from", "*", "--secrets", "sealed/keys"]).await.expect(0);
    assert!(!ran.stdout.contains(SENTINEL) && !ran.stderr.contains(SENTINEL));
    let kept: Vec<_> =
        all_files(world.dir.path()).into_iter().filter(|(_, bytes)| bytes == SENTINEL.as_bytes()).collect();
    let [(path, _)] = kept.as_slice() else { panic!("{kept:?}") };
    assert_eq!(path, &world.path("sealed/keys/chat/api-key.secret"));
    assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o600);
    assert_eq!(world.path("sealed/keys").metadata().expect("there").permissions().mode() & 0o777, 0o700);
    let ignored = std::fs::read_to_string(world.path("sealed/keys/.gitignore")).expect("there");
    assert!(ignored.lines().any(|line| line == "*"));
    let traces = all_files(world.dir.path()).into_iter().filter(|(other, _)| other != path);
    let leaked: Vec<_> =
        traces.filter(|(_, bytes)| String::from_utf8_lossy(bytes).contains(SENTINEL)).map(|(other, _)| other).collect();
    assert!(leaked.is_empty(), "{leaked:?}");
    assert_taken_over(&world, &others).await;

    world.write("repin.yaml", &head);
    let again = world.run(&["init", "--from", "*", "--secrets", "sealed/keys"]).await.expect(64);
    assert!(again.stderr.contains("is there already"), "{}", again.stderr);
    assert_eq!(file(&world), head);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_file_cannot_say_is_named_and_left_alone() {
    let (world, others) = world().await;
    for (key, value) in [("empty", ""), ("star*", "x"), ("a//b", "x"), ("end/", "x")] {
        others.key_value(&format!("test/{key}"), value, None).await;
    }
    let made = world.json(0, &["init", "--from", "*"]).await;
    let left: Vec<_> = made["left_out"].as_array().expect("a list").iter().map(|one| one["native"].clone()).collect();
    assert_eq!(left, ["test/a//b", "test/empty", "test/end/", "test/star*"]);
    for name in left {
        assert!(file(&world).contains(name.as_str().expect("text")), "{name} stands in a comment");
    }
    assert_taken_over(&world, &others).await;
    let planned = world.json(0, &["plan", "--foreign"]).await;
    assert_eq!(planned["foreign"]["azure"], 4);
    let mut names: Vec<_> = planned["foreign_names"]["azure"].as_array().expect("a list").clone();
    names.sort_by_key(|name| name.to_string());
    assert_eq!(names, ["test/a//b", "test/empty", "test/end/", "test/star*"]);
    let text = world.run(&["plan", "--foreign"]).await.expect(0).stdout;
    assert!(text.contains("foreign  azure  test/star*\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_starter_file_can_be_filled_and_entries_are_not_written_over() {
    let world = World::new().await;
    let emulated = |args: &[&'static str]| [args, &["--emulate=clouds", "-f", "fresh.yaml"]].concat();
    world.run(&["init", "-f", "fresh.yaml"]).await.expect(0);
    let made = world.json(0, &emulated(&["init", "--from", "*"])).await;
    assert_eq!(made["entries"], 0);
    let text = std::fs::read_to_string(world.path("fresh.yaml")).expect("there");
    assert!(text.contains("# whose") || text.contains("# Owns everything"), "its comments stay: {text}");
    assert!(text.contains("adopt: equal") && text.ends_with("entries: {}\n"), "{text}");
    world.run(&emulated(&["validate"])).await.expect(0);

    world.entries("  mine: { value: 1 }\n");
    let before = file(&world);
    let refused = world.run(&["init", "--from", "*"]).await.expect(64);
    assert!(refused.stderr.contains("1 entry already"), "{}", refused.stderr);
    assert_eq!(file(&world), before);
    let nowhere = world.run(&["init", "--from", "*", "-f", "nowhere.yaml"]).await.expect(64);
    assert!(nowhere.stderr.contains("repin init"), "{}", nowhere.stderr);
    world.run(&["init", "--from", "gcp"]).await.expect(64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_read_leaves_the_file_as_it_was() {
    let (world, _) = world().await;
    let before = file(&world);
    world.faults(|call| match call.operation.starts_with("DescribeParameters") {
        true => Fault::Refuse {
            status: 503,
            code: "ServiceUnavailable".into(),
            message: "try later".into(),
            retry_after_ms: None,
        },
        false => Fault::None,
    });
    let failed = world.run(&["init", "--from", "*"]).await;
    assert_eq!(failed.code, 75, "{failed:?}");
    assert_eq!(file(&world), before);
    let beside: Vec<_> =
        std::fs::read_dir(world.dir.path()).expect("a folder").flatten().map(|one| one.file_name()).collect();
    assert!(!beside.iter().any(|name| name.to_string_lossy().contains("init")), "{beside:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_name_has_is_left_out_until_it_lets_go() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  b: { value: two }\n");
    world.run(&["reconcile"]).await.expect(0);
    world.write("next.yaml", &world.head().replace("name: test", "name: next"));
    let text = || std::fs::read_to_string(world.path("next.yaml")).expect("a file");
    let from = ["init", "-f", "next.yaml", "--from", "aws-eu", "azure"];
    // Said once, however often it is asked.
    for _ in 0..2 {
        world.run(&from).await.expect(0);
        assert_eq!(text().matches("it belongs to \"test\"").count(), 4, "{}", text());
    }

    world.run(&["forget", "--all"]).await.expect(0);
    let told = world.json(0, &from).await;
    assert_eq!((&told["entries"], &told["left_out"]), (&json!(2), &json!([])), "{told}");
    assert!(!text().contains("belongs to"), "{}", text());
    let planned = world.json(0, &["plan", "-f", "next.yaml"]).await;
    for target in ["aws-eu", "azure"] {
        let actions: Vec<_> = steps(&planned, target).iter().map(|step| step["action"].clone()).collect();
        assert_eq!(actions, ["adopt", "adopt"], "{planned}");
    }
}
