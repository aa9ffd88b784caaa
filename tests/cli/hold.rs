//! Who may change what for now: `hold` and `resume`.

use repin_emulator::Fault;
use serde_json::json;

use super::screens::without_cost;
use crate::support::World;

async fn released() -> World {
    let world = World::new().await;
    world.aws_only("  a: { value: one }\n  b: { value: one }\n");
    world.screen(0, &["reconcile"]).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn held_by_hand_and_resumed() {
    let world = released().await;
    let held = world.screen(0, &["hold", "*", "-m", "launch"]).await;
    insta::assert_snapshot!(without_requests(&held), @r#"
    test: 2 entries held on aws-eu: a, b
    The file's changes of them wait on every host until repin resume "*"
    "#);
    let again = world.screen(0, &["hold", "a", "-m", "launch"]).await;
    insta::assert_snapshot!(without_requests(&again), @r"
    test: unchanged, it is held already.
    ");
    // What is said about an entry is held as its value is.
    world.aws_only("  a: { value: one, description: new }\n  b: { value: one, tags: { team: search } }\n");
    world.reset();
    assert_eq!(world.json(6, &["reconcile"]).await["held"].as_array().map(Vec::len), Some(2));
    assert_eq!(world.writes(), 0);
    world.aws_only("  a: { value: two }\n  b: { value: one }\n");
    insta::assert_snapshot!(world.screen(6, &["reconcile"]).await, @r#"
    a stays at release 1 on aws-eu: held since release 1 ("launch"); repin resume a lets the file's changes through
    test: HELD, 1 entry may not change for now; nothing else is to be done.
    "#);
    let status = world.screen(0, &["status"]).await;
    assert!(status.starts_with("test  HELD, CHANGED   "), "{status}");
    assert!(status.contains("\nheld    a, b: by hand since release 1 \"launch\"\n"), "{status}");
    assert!(status.contains("\nnext    held by hand: repin resume KEY lets the file's changes through\n"), "{status}");
    insta::assert_snapshot!(world.screen(0, &["resume", "a", "--dry-run"]).await, @r"
    test: 1 entry would be resumed: a
    ");
    insta::assert_snapshot!(without_requests(&world.screen(0, &["resume", "a"]).await), @r"
    test: 1 entry resumed on aws-eu: a. The next pass of any host releases what the file asks for
    ");
    let served = world.screen(0, &["reconcile"]).await;
    assert!(without_cost(&served).ends_with("test: release 2 served: 1 applied, 1 unchanged\n"), "{served}");
    world.screen(0, &["resume", "--all"]).await;
    insta::assert_snapshot!(without_requests(&world.screen(0, &["resume", "--all"]).await), @r"
    test: unchanged, nothing is held.
    ");
}

/// Cuts off the last line, which counts requests.
fn without_requests(text: &str) -> String {
    let (kept, last) = text.trim_end().rsplit_once('\n').expect("two lines");
    assert!(last.contains("aws-eu") && last.contains("request"), "{text}");
    format!("{kept}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn as_programs_read_it() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  new: { value: one }\n");
    let done = world.json(0, &["hold", "new", "-m", "not yet"]).await;
    assert_eq!((&done["release"], &done["outcome"], &done["steps"]), (&json!(null), &json!("applied"), &json!([])));
    assert_eq!(done["holds"][0]["target"], "aws-eu");
    assert_eq!(
        (&done["holds"][0]["key"], &done["holds"][0]["kind"], &done["holds"][0]["reason"]),
        (&json!("new"), &json!("hand"), &json!("not yet"))
    );
    let plan = world.json(0, &["plan"]).await;
    assert_eq!((&plan["held"][0]["kind"], &plan["summary"]["create"]), (&json!("hand"), &json!(2)), "{plan}");
    let lifted = world.json(0, &["resume", "new"]).await;
    assert_eq!((&lifted["outcome"], &lifted["holds"][0]["held"]), (&json!("applied"), &json!(false)));
    let none = world.json(64, &["resume", "new"]).await;
    assert_eq!((&none["error"]["kind"], &none["error"]["hint"]), (&json!("not-found"), &json!("Nothing is held.")));
    assert_eq!(world.json(0, &["resume", "--all"]).await["outcome"], "unchanged");
    assert_eq!(world.json(0, &["history"]).await["releases"], json!([]), "holding makes no release");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_down_has_not_heard_of_it() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    world.run(&["reconcile"]).await.expect(0);
    world.faults(|call| if call.service == "appconfig" { Fault::DropBefore } else { Fault::None });
    let said = world.run(&["hold", "a", "-m", "why"]).await.expect(3).stdout;
    assert!(said.starts_with("test: PARTIAL, 1 entry held on aws-eu: a\n"), "{said}");
    let other = said.lines().find(|line| line.starts_with("azure: not recorded there (")).expect("the other target");
    assert!(other.ends_with("); run it again once it can be"), "{other}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_the_arguments() {
    let world = released().await;
    world.reset();
    for args in
        [&["hold", "a"][..], &["hold", "-m", "x"], &["hold", "a", "-m", ""], &["resume"], &["resume", "a", "--all"]]
    {
        assert_eq!(world.json(64, args).await["error"]["kind"], "usage", "{args:?}");
    }
    assert_eq!(world.json(64, &["hold", "nope", "-m", "x"]).await["error"]["kind"], "not-found");
    assert_eq!(world.writes(), 0);
    let from_env = world.command(&["hold", "a"]).env("REPIN_MESSAGE", "from CI").output().await.expect("runs");
    assert_eq!(from_env.status.code(), Some(0));
    assert_eq!(world.json(0, &["status"]).await["holds"][0]["reason"], "from CI");
}
