//! Two hosts at the same moment.

use repin_emulator::Fault;
use serde_json::json;

use crate::support::{World, steps};

/// Two hosts with one file: one release is made, each native version once, and both end well.
#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_with_one_file_make_one_release() {
    for round in 0..6 {
        let world = World::new().await;
        world.entries("  a: { value: one }\n  b: { value: { x: 1 } }\n  c: { value: three }\n");
        let other = world.path("other-state");
        let mut second = world.command(&["reconcile", "-o", "json"]);
        second.env("REPIN_STATE_DIR", &other);
        let (first, second) = tokio::join!(world.run(&["reconcile", "-o", "json"]), async {
            tokio::time::sleep(std::time::Duration::from_millis(round * 12)).await;
            second.output().await.expect("runs")
        });
        let second: serde_json::Value = serde_json::from_slice(&second.stdout).expect("json");
        let outcomes = [first.json()["outcome"].clone(), second["outcome"].clone()];
        let applied = outcomes.iter().filter(|outcome| **outcome == json!("applied")).count();
        let unchanged = outcomes.iter().filter(|outcome| **outcome == json!("unchanged")).count();
        assert_eq!((applied, unchanged), (1, 1), "round {round}: {first:?} {second}");
        for key in ["a", "b", "c"] {
            assert_eq!(world.served("aws-eu", key).await["version"], "1", "round {round}");
        }
        let history = world.json(0, &["history"]).await;
        let made: Vec<_> = history["releases"].as_array().expect("releases").iter().collect();
        let done = |r: &&&serde_json::Value| r["targets"].as_object().expect("t").values().all(|state| state == "done");
        assert_eq!(made.iter().filter(done).count(), 1, "round {round}: {history}");
    }
}

/// Two hosts with different files: both are released, one after the other; neither mixes into the other.
#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_with_two_files_make_two_releases() {
    let world = World::new().await;
    let head = world.head();
    world.write("one.yaml", &format!("{head}entries:\n  a: {{ value: one }}\n  b: {{ value: one }}\n"));
    world.write("two.yaml", &format!("{head}entries:\n  a: {{ value: two }}\n  b: {{ value: two }}\n"));
    let mut second = world.command(&["reconcile", "-f", "two.yaml", "-o", "json"]);
    second.env("REPIN_STATE_DIR", world.path("other-state"));
    let (first, second) = tokio::join!(world.run(&["reconcile", "-f", "one.yaml", "-o", "json"]), second.output());
    assert_eq!((first.code, second.expect("runs").status.code()), (0, Some(0)), "{first:?}");
    std::fs::copy(world.path("one.yaml"), world.path("repin.yaml")).expect("copied");
    let history = world.json(0, &["history"]).await;
    let newest = history["releases"][0]["release"].as_u64().expect("a number");
    assert!(newest >= 2, "{history}");
    let a = world.served("aws-eu", "a").await["value"].clone();
    for target in ["aws-eu", "azure"] {
        for key in ["a", "b"] {
            assert_eq!(world.served(target, key).await["value"], a, "all of one release");
        }
    }
}

/// A run that is still alive is not taken over: the second waits, then says who is at work.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_at_work_is_left_at_work() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  b: { value: two }\n");
    world.faults(|call| {
        let held = call.operation == "PutParameter" && call.name.as_deref().is_some_and(|name| name.ends_with("/b"));
        if held { Fault::HangBefore } else { Fault::None }
    });
    let mut first = world.command(&["reconcile"]).spawn().expect("runs");
    world.emulator.faults().reached().await;
    let mut second = world.command(&["reconcile", "-o", "json"]);
    second.env("REPIN_STATE_DIR", world.path("other-state"));
    let second = second.output().await.expect("runs");
    let report: serde_json::Value = serde_json::from_slice(&second.stdout).expect("json");
    assert_eq!((second.status.code(), &report["error"]["kind"]), (Some(5), &json!("running")), "{report}");
    // Once it is gone its work is taken over at once.
    first.kill().await.expect("killed");
    world.emulator.faults().clear();
    let finished = world.json(0, &["reconcile"]).await;
    assert_eq!(finished["release"], 1);
    assert_eq!(steps(&finished, "aws-eu").iter().filter(|step| step["key"] == "b").count(), 1);
}

/// SSM has no compare-and-swap: a write between our look and our put is noticed, and both versions are named.
#[tokio::test(flavor = "multi_thread")]
async fn a_buried_edit_on_ssm_is_reported() {
    let world = World::new().await;
    world.entries("  a: { targets: [aws-eu], value: one }\n");
    world.run(&["reconcile"]).await.expect(0);
    world.entries("  a: { targets: [aws-eu], value: two }\n");
    // Our put waits at the store while somebody else writes.
    let arrived = std::sync::Arc::new(tokio::sync::Notify::new());
    let arrives = std::sync::Arc::clone(&arrived);
    world.faults(move |call| {
        if call.operation != "PutParameter" || call.name.as_deref() != Some("/ai/test/a") {
            return Fault::None;
        }
        arrives.notify_one();
        Fault::Delay(std::time::Duration::from_secs(5))
    });
    let child = world.command(&["reconcile", "-o", "json"]).stdout(std::process::Stdio::piped()).spawn().expect("runs");
    tokio::time::timeout(std::time::Duration::from_secs(30), arrived.notified()).await.expect("it puts");
    world.emulator.faults().clear();
    let hand = crate::support::hand(&world).await.remove(0);
    hand.overwrite("a", "theirs").await;
    let output = child.wait_with_output().await.expect("ends");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("json");
    assert_eq!((output.status.code(), &report["outcome"]), (Some(5), &json!("conflict")), "{report}");
    let step = &report["steps"][0];
    assert_eq!((&step["buried"], &step["to"]), (&json!("2"), &json!("3")), "{report}");
    assert_eq!(world.served("aws-eu", "a").await["value"], "two");
}
