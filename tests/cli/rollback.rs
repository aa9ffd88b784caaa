//! Going back: what people and programs read of it, before, after, and when a cloud is down.

use repin_emulator::Fault;
use serde_json::{Value, json};

use super::screens::without_cost;
use crate::support::{World, steps};

fn entries(temperature: &str, prompt: &str) -> String {
    format!(
        "  chat: {{ value: {{ model: m, t: {temperature} }} }}\n  prompt: {{ value: {prompt} }}\n  same: {{ value: x }}\n"
    )
}

/// Three releases of two entries, on one target so that versions are numbers.
async fn three_releases_on_aws() -> World {
    let world = World::new().await;
    for (n, prompt) in ["one", "two", "three"].into_iter().enumerate() {
        world.aws_only(&entries(&format!("0.{n}"), prompt));
        world.screen(0, &["reconcile"]).await;
    }
    world
}

async fn two_releases() -> World {
    let world = World::new().await;
    for (t, prompt) in [("0.1", "one"), ("0.2", "two")] {
        world.entries(&entries(t, prompt));
        world.run(&["reconcile"]).await.expect(0);
    }
    world
}

/// Takes out when it was.
fn without_time(text: &str) -> String {
    let line = |line: &str| match line.split_once(" restored at ") {
        Some((before, after)) => format!("{before} restored at TIME{}\n", &after["2026-11-22 03:12:09Z".len()..]),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_and_on_again_as_people_read_it() {
    let world = three_releases_on_aws().await;
    insta::assert_snapshot!(without_cost(&world.screen(0, &["rollback", "1", "--dry-run"]).await), @r"
    test: release 4, back to release 1
              aws-eu
    ~ chat    3 -> new
        t: 0.2 -> 0.0
    ~ prompt  3 -> new
        value: three -> one
    repin diff 1 shows what differs inside the values.
    held then: chat, prompt. The file may not bring back what was taken back: give them another content there, or run repin resume KEY
    Release 4: 0 create, 2 change, 0 delete
    ");
    insta::assert_snapshot!(without_time(&world.screen(0, &["rollback", "1", "-m", "refusals up"]).await), @r"
    test: what release 1 had is served again, as release 4
              aws-eu
    ~ chat    3 -> 4
        t: 0.2 -> 0.0
    ~ prompt  3 -> 4
        value: three -> one
    The stores were restored at TIME; readers follow at their own refresh.
    held now: chat, prompt. The file may not bring back what was taken back: give them another content there, or run repin resume KEY
    2 applied; aws-eu 9 requests
    ");
    insta::assert_snapshot!(without_cost(&world.screen(6, &["reconcile"]).await), @r#"
    chat stays at release 1 on aws-eu: release 4 took back what the file still asks for ("refusals up"); give it another content, or repin resume chat
    prompt stays at release 1 on aws-eu: release 4 took back what the file still asks for ("refusals up"); give it another content, or repin resume prompt
    test: HELD, 2 entries may not change for now; nothing else is to be done.
    "#);
    insta::assert_snapshot!(world.screen(0, &["plan"]).await, @r#"
    test
    chat stays at release 1 on aws-eu: release 4 took back what the file still asks for ("refusals up"); give it another content, or repin resume chat
    prompt stays at release 1 on aws-eu: release 4 took back what the file still asks for ("refusals up"); give it another content, or repin resume prompt
    Held: 2 entries may not change for now; nothing else is to be done.
    "#);
    insta::assert_snapshot!(world.screen(0, &["plan", "-o", "markdown"]).await, @r"
    ### repin: test

    **Held: 2 entries may not change for now; nothing else is to be done.**

    - held: chat stays at release 1 on aws-eu: release 4 took back what the file still asks for (&#34;refusals up&#34;); give it another content, or repin resume chat

    - held: prompt stays at release 1 on aws-eu: release 4 took back what the file still asks for (&#34;refusals up&#34;); give it another content, or repin resume prompt
    ");
    world.screen(6, &["plan", "--detailed-exitcode"]).await;
    let status = world.screen(0, &["status"]).await;
    assert!(status.starts_with("test  HELD   rollback 3 -> 1, ") && status.contains(" \"refusals up\"\n"), "{status}");
    assert!(status.contains("\naws-eu  1       synced  ok "), "{status}");
    let rest = status.split_once("\nheld ").map(|(_, rest)| format!("held {rest}")).expect("what is held");
    insta::assert_snapshot!(rest, @r"
    held    chat, prompt: the file still has 3's content
    next    held: edit them, or repin resume --all (serves 3 again)
    file    this host's file is release 3 (current)
    ");
    world.aws_only(&entries("0.7", "three"));
    insta::assert_snapshot!(without_cost(&world.screen(0, &["plan"]).await), @r#"
    test: release 5
            aws-eu
    ~ chat  4 -> new
        t: 0.0 -> 0.7
    chat changes, prompt stays at 1 (held)
    prompt stays at release 1 on aws-eu: release 4 took back what the file still asks for ("refusals up"); give it another content, or repin resume prompt
    Release 5: 0 create, 1 change, 0 delete, 1 held
    "#);
    insta::assert_snapshot!(without_cost(&world.screen(0, &["reconcile"]).await), @r#"
            aws-eu
    ~ chat  4 -> 5
        t: 0.0 -> 0.7
    chat changes, prompt stays at 1 (held)
    prompt stays at release 1 on aws-eu: release 4 took back what the file still asks for ("refusals up"); give it another content, or repin resume prompt
    test: release 5 served: 1 applied, 2 unchanged
    "#);
    insta::assert_snapshot!(world.screen(0, &["resume", "--all", "--dry-run"]).await, @r"
    test: 1 entry would be resumed: prompt
    ");
    insta::assert_snapshot!(without_cost(&world.screen(0, &["resume", "--all"]).await), @r"
    test: 1 entry resumed on aws-eu: prompt. The next pass of any host releases what the file asks for
    aws-eu 3 requests
    ");
    insta::assert_snapshot!(without_cost(&world.screen(0, &["reconcile"]).await), @r"
              aws-eu
    ~ prompt  4 -> 5
        value: one -> three
    test: release 6 served: 1 applied, 2 unchanged
    ");
    let history = world.screen(0, &["history"]).await;
    let rollback = history.lines().find(|line| line.starts_with("   4 ")).expect("the rollback");
    assert!(
        rollback.contains("  rollback to 1  ") && rollback.ends_with("  aws-eu           \"refusals up\""),
        "{history}"
    );
    let shown = world.screen(0, &["show", "4"]).await;
    assert!(shown.starts_with("test: release 4\nrollback to release 1, 20"), "{shown}");
    insta::assert_snapshot!(world.screen(0, &["diff", "1", "4"]).await, @r"
    test: release 1 -> release 4
              aws-eu
    ~ chat    1 -> 4
        the same content under another version
    ~ prompt  1 -> 4
        the same content under another version
    2 entries differ.
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_that_moves_is_a_re_pin() {
    let world = World::new().await;
    for value in ["one", "two"] {
        world.aws_served("{ label: live }", &format!("  a: {{ value: {value} }}\n  {value}: {{ value: x }}\n"));
        world.screen(0, &["reconcile"]).await;
    }
    insta::assert_snapshot!(without_cost(&world.screen(0, &["rollback", "--dry-run"]).await), @r"
    test: release 3, back to release 1
           aws-eu
    ^ a    2 -> 1
    + one  at 1
    - two  1 taken from readers
    repin diff 1 shows what differs inside the values.
    held then: a, one, two. The file may not bring back what was taken back: give them another content there, or run repin resume KEY
    Release 3: 1 create, 0 change, 1 delete, 1 re-pin
    ");
    insta::assert_snapshot!(without_time(&world.screen(0, &["rollback"]).await), @r"
    test: what release 1 had is served again, as release 3
           aws-eu
    ^ a    2 -> 1
    + one  1
    - two  deleted
    The stores were restored at TIME; readers follow at their own refresh.
    held now: a, one, two. The file may not bring back what was taken back: give them another content there, or run repin resume KEY
    3 applied; aws-eu 8 requests
    ");
    let shown = world.screen(0, &["show", "3"]).await;
    assert!(shown.contains("\n^ a    2 -> 1\n"), "{shown}");
    let done = world.json(0, &["rollback", "2"]).await;
    let actions: Vec<_> = steps(&done, "aws-eu").iter().map(|step| (&step["key"], &step["action"])).collect();
    let (update, create, delete) = (json!("update"), json!("create"), json!("delete"));
    assert_eq!(actions, [(&json!("a"), &update), (&json!("two"), &create), (&json!("one"), &delete)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_as_programs_read_it() {
    let world = two_releases().await;
    world.reset();
    let plan = world.json(0, &["rollback", "1", "--dry-run"]).await;
    assert_eq!((world.writes(), &plan["release"], &plan["restores"]), (0, &json!(3), &json!(1)));
    assert_eq!(plan["holds"].as_array().map(Vec::len), Some(4), "{plan}");
    let done = world.json(0, &["rollback", "-m", "refusals up"]).await;
    assert_eq!((&done["release"], &done["restores"], &done["outcome"]), (&json!(3), &json!(1), &json!("applied")));
    let step = steps(&done, "aws-eu")[0];
    assert_eq!(
        (&step["key"], &step["action"], &step["reason"]),
        (&json!("chat"), &json!("update"), &json!("rolled-back"))
    );
    assert_eq!((&step["from"], &step["version"], &step["result"]), (&json!("2"), &json!("3"), &json!("applied")));
    let hold = &done["holds"][0];
    assert_eq!(
        (&hold["key"], &hold["held"], &hold["kind"], &hold["since_release"], &hold["reason"]),
        (&json!("chat"), &json!(true), &json!("rollback"), &json!(3), &json!("refusals up"))
    );
    assert!(done["requests"]["azure"].is_object() && done.get("errors").is_none(), "{done}");
    let held = world.json(6, &["reconcile"]).await;
    assert_eq!((&held["outcome"], &held["release"], &held["steps"]), (&json!("held"), &json!(null), &json!([])));
    let plan = world.json(0, &["plan"]).await;
    assert_eq!((plan["held"].as_array().map(Vec::len), &plan["summary"]["held"]), (Some(4), &json!(2)));
    let held = &plan["held"][0];
    assert_eq!(
        (&held["target"], &held["key"], &held["since_release"], &held["serves"], &held["reason"], &held["kind"]),
        (&json!("aws-eu"), &json!("chat"), &json!(3), &json!(1), &json!("refusals up"), &json!("rollback"))
    );
    assert!(held["message"].as_str().expect("a sentence").contains("repin resume chat"), "{held}");
    let status = world.json(0, &["status"]).await;
    assert_eq!(
        (&status["file"], &status["release"], &status["verdict"]),
        (&json!("held"), &json!(3), &json!(["held"]))
    );
    assert_eq!(status["targets"][0]["release"], 1);
    let hold = &status["holds"][0];
    assert_eq!(
        (&hold["key"], &hold["since_release"], &hold["reason"]),
        (&json!("chat"), &json!(3), &json!("refusals up"))
    );
    assert_eq!((&hold["blocks"], &hold["asks_for"]), (&json!(true), &json!(2)));
    let release = &world.json(0, &["history"]).await["releases"][0];
    assert_eq!(
        (&release["kind"], &release["restores"], &release["current"]),
        (&json!("rollback"), &json!(1), &json!(true))
    );
    assert_eq!(release["restorable"], json!({ "aws-eu": true, "azure": true }));
    let again = world.json(0, &["rollback", "1"]).await;
    assert_eq!((&again["outcome"], &again["release"]), (&json!("unchanged"), &json!(null)), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_is_down_keeps_no_other_waiting() {
    let world = two_releases().await;
    world.faults(|call| if call.service == "appconfig" { Fault::DropBefore } else { Fault::None });
    let said = world.run(&["rollback", "1", "-m", "down"]).await.expect(3).stdout;
    assert!(
        said.starts_with(
            "test: PARTIAL, what release 1 had is served again on aws-eu, not yet on azure, as release 3\n"
        ),
        "{said}"
    );
    let pending = said.lines().find(|line| line.starts_with("azure: pending (")).expect("the target that is down");
    assert!(pending.ends_with("); any host's next pass finishes it"), "{pending}");
    let status = world.json(75, &["status"]).await;
    assert_eq!(status["verdict"], json!(["partial", "held", "unreachable"]));
    let target =
        |status: &Value, n: usize| (status["targets"][n]["release"].clone(), status["targets"][n]["sync"].clone());
    assert_eq!((target(&status, 0), target(&status, 1)), ((json!(1), json!("synced")), (json!(2), json!("pending"))));
    let shown = world.run(&["status"]).await.expect(75).stdout;
    assert!(shown.contains("  <- still serving 2\n"), "{shown}");
    assert!(
        shown.contains("next    azure: release 3 once it can be reached, by any host's repin reconcile\n"),
        "{shown}"
    );
    world.emulator.faults().clear();
    world.lose_state();
    let status = world.json(0, &["status"]).await;
    assert_eq!((target(&status, 1), &status["verdict"]), ((json!(2), json!("pending")), &json!(["partial", "held"])));
    let plan = world.run(&["plan"]).await.expect(0).stdout;
    let heading = "test: goes on with release 3, back to release 1; what the file asks comes after it\n";
    assert!(plan.starts_with(heading), "{plan}");
    let finished = world.json(0, &["reconcile"]).await;
    assert_eq!((&finished["release"], &finished["outcome"]), (&json!(3), &json!("applied")), "{finished}");
    assert!(steps(&finished, "aws-eu").is_empty() && steps(&finished, "azure").len() == 2, "{finished}");
    let status = world.json(0, &["status"]).await;
    assert_eq!((target(&status, 1), &status["verdict"]), ((json!(1), json!("synced")), &json!(["held"])));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_target_lacks_on_this_host_keeps_no_other_waiting() {
    let world = two_releases().await;
    let run = async |args: &[&str]| {
        let args = [args, &["-o", "json"]].concat();
        let output = world.command(&args).env_remove("AZURE_CONNECTION").output().await.expect("runs");
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).expect("JSON"))
    };
    let (code, plan) = run(&["rollback", "1", "--dry-run"]).await;
    assert_eq!((code, &plan["unreached"][0]["target"]), (Some(0), &json!("azure")), "{plan}");
    let (code, done) = run(&["rollback", "1"]).await;
    assert_eq!((code, &done["outcome"], &done["errors"][0]["kind"]), (Some(3), &json!("partial"), &json!("denied")));
    assert!(steps(&done, "azure").is_empty() && steps(&done, "aws-eu").len() == 2, "{done}");
    let (code, none) = run(&["rollback", "1", "--target", "azure"]).await;
    assert_eq!((code, &none["error"]["target"]), (Some(77), &json!("azure")));
    world.run(&["reconcile"]).await.expect(0);
    assert_eq!(world.json(0, &["status"]).await["targets"][1]["release"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_where_no_target_answers() {
    let world = two_releases().await;
    world.faults(|_| Fault::DropBefore);
    let said = world.json(75, &["rollback", "1"]).await;
    assert_eq!(said["error"]["kind"], "unreachable", "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_does_not_stop_it() {
    let world = two_releases().await;
    world.entries("  chat: { value: 1, nonsense: 1 }\n  key: { secret: true, value_from: { env: NOT_SET } }\n");
    let done = world.run(&["rollback", "1"]).await.expect(0);
    let note = done.stderr.lines().next().expect("a note");
    assert!(note.starts_with("note: what the file asks for cannot be read, ") && note.contains("nonsense"), "{note}");
    assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
    assert_eq!(world.json(0, &["status"]).await["file"], json!(null));
    let shown = world.run(&["status"]).await.expect(0).stdout;
    assert!(shown.starts_with("test  HELD   rollback 2 -> 1"), "{shown}");
    assert!(shown.contains("held    chat, prompt: what release 3 took back may not come back\n"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn some_keys_only() {
    let world = two_releases().await;
    let done = world.json(0, &["rollback", "1", "--key", "pro*"]).await;
    assert!(done["steps"].as_array().expect("steps").iter().all(|step| step["key"] == "prompt"), "{done}");
    let status = world.run(&["status"]).await.expect(0).stdout;
    assert!(status.starts_with("test  HELD   rollback of pro* 2 -> 1, "), "{status}");
    assert!(status.contains("\naws-eu  3       synced"), "a part of a release is not that release: {status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_the_arguments() {
    let world = two_releases().await;
    world.reset();
    for args in [
        &["rollback", "1", "--steps", "2"][..],
        &["rollback", "1", "--at", "2026-01-01T00:00Z"],
        &["rollback", "--steps", "1", "--at", "2026-01-01T00:00Z"],
        &["rollback", "--steps", "0"],
        &["rollback", "one"],
        &["rollback", "--at", "yesterday"],
        &["rollback", "--key", "a["],
    ] {
        let said = world.json(64, args).await;
        assert_eq!(said["error"]["kind"], "usage", "{args:?}: {said}");
    }
    assert_eq!(world.emulator.counters().total("ssm"), 0);
    for (args, message) in [
        (&["rollback", "9"][..], "there is no release 9"),
        (&["rollback", "--steps", "2"], "there are only 1 steps back from here"),
        (&["rollback", "--at", "2001-01-01"], "no release was served at 2001-01-01T00:00:00Z"),
        (&["rollback", "1", "--key", "nope"], "\"nope\" matches no key that repin has served"),
    ] {
        let error = world.json(64, args).await["error"].clone();
        assert_eq!((&error["kind"], &error["message"]), (&json!("not-found"), &json!(message)));
        assert!(error["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{error}");
    }
    assert_eq!(world.writes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_served_puts_back_what_was() {
    let world = two_releases().await;
    world.entries(&entries("0.9", "nine"));
    world.faults(|call| {
        let refused =
            call.operation == "PUT /kv/{key}" && call.name.as_deref().is_some_and(|name| name.ends_with("/prompt"));
        if !refused {
            return Fault::None;
        }
        let (code, message) = ("BadRequest".to_owned(), "not like this".to_owned());
        Fault::Refuse { status: 400, code, message, retry_after_ms: None }
    });
    let said = world.run(&["reconcile", "--atomic"]).await.expect(4).stdout;
    assert!(said.contains("PUT BACK: ") && said.contains("what had been is put back"), "{said}");
    assert_eq!(world.served("aws-eu", "prompt").await["value"], "two");
    world.emulator.faults().clear();
    assert_eq!(world.json(0, &["reconcile"]).await["outcome"], "applied");
}
