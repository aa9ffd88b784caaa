//! The process is killed at each request of a pass in turn, before and after the request takes effect, with the state
//! directory kept and with it lost. The next pass ends right, with one native version for each change.
//!
//! Between two requests a pass changes nothing that outlives it but its state directory, so that killing at every
//! request, in both ways, is killing at every await that matters.

use repin_emulator::Fault;
use serde_json::json;

use crate::support::World;

const BEFORE: &str = "  a: { value: one }
  b: { value: { x: 1 } }
  gone: { value: old }
  key: { targets: [aws-eu], secret: true, value_from: { env: TEST_SECRET } }
";
const AFTER: &str = "  a: { value: two }
  b: { value: { x: 1 } }
  fresh: { value: new }
  key: { targets: [aws-eu], secret: true, value_from: { env: OTHER_SECRET } }
  rotated: { targets: [aws-eu], secret: true, value_from: { env: OTHER_SECRET } }
";

async fn reconcile(world: &World) -> crate::support::Ran {
    let mut command = world.command(&["reconcile", "-o", "json"]);
    command.env("OTHER_SECRET", "rotated-value");
    let output = command.output().await.expect("runs");
    crate::support::Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Kills a pass at its n-th request; tells whether it got that far.
async fn kill_at(world: &World, n: u64, after: bool) -> bool {
    world.reset();
    world.faults(move |call| match (call.index == n, after) {
        (true, false) => Fault::HangBefore,
        (true, true) => Fault::HangAfter,
        _ => Fault::None,
    });
    let mut command = world.command(&["reconcile"]);
    command.env("OTHER_SECRET", "rotated-value").stdout(std::process::Stdio::null());
    command.stderr(std::process::Stdio::null());
    let mut child = command.spawn().expect("runs");
    let killed = tokio::select! {
        () = world.emulator.faults().reached() => true,
        _ = child.wait() => false,
    };
    let _ = child.kill().await;
    world.emulator.faults().clear();
    killed
}

async fn versions(world: &World, target: usize, key: &str) -> usize {
    crate::support::hand(world).await[target].versions(key).await
}

async fn check(world: &World, case: &str) {
    let ended = reconcile(world).await;
    assert_eq!(ended.code, 0, "{case}: {ended:?}");
    for target in ["aws-eu", "azure"] {
        assert_eq!(world.served(target, "a").await["value"], "two", "{case}");
        assert_eq!(world.served(target, "fresh").await["value"], "new", "{case}");
    }
    for key in ["key", "rotated"] {
        assert_eq!(world.served("aws-eu", key).await["value"], "rotated-value", "{case}");
    }
    world.run(&["get", "gone"]).await.expect(1);
    // One native version for each change, and none for what did not change.
    for target in [0, 1] {
        assert_eq!(versions(world, target, "a").await, 2, "{case}: a on {target}");
        assert_eq!(versions(world, target, "b").await, 1, "{case}: b on {target}");
        assert_eq!(versions(world, target, "fresh").await, 1, "{case}: fresh on {target}");
    }
    assert_eq!(versions(world, 0, "key").await, 2, "{case}: key");
    assert_eq!(versions(world, 0, "rotated").await, 1, "{case}: rotated");
    world.reset();
    let again = reconcile(world).await;
    assert_eq!((again.code, &again.json()["outcome"]), (0, &json!("unchanged")), "{case}: {again:?}");
    assert_eq!(world.writes(), 0, "{case}");
    let history = world.json(0, &["history"]).await;
    let done = |r: &&serde_json::Value| r["targets"].as_object().expect("t").values().any(|state| state == "done");
    let releases = history["releases"].as_array().expect("releases");
    assert_eq!(releases.iter().filter(done).count(), 2, "{case}: {history}");
}

/// Kills at every request until the pass no longer gets that far; returns at how many it was killed.
async fn kill_everywhere(after: bool, lose_state: bool) -> u64 {
    for n in 1..200 {
        let world = World::new().await;
        world.entries(BEFORE);
        world.run(&["reconcile"]).await.expect(0);
        world.entries(AFTER);
        let killed = kill_at(&world, n, after).await;
        if lose_state {
            world.lose_state();
        }
        check(&world, &format!("killed {} request {n}", if after { "after" } else { "before" })).await;
        if !killed {
            return n - 1;
        }
    }
    panic!("a pass of this size has fewer requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_a_request_takes_effect() {
    assert!(kill_everywhere(false, false).await > 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_a_request_takes_effect_and_the_state_lost() {
    assert!(kill_everywhere(false, true).await > 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_a_request_took_effect() {
    assert!(kill_everywhere(true, false).await > 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_a_request_took_effect_and_the_state_lost() {
    assert!(kill_everywhere(true, true).await > 15);
}

/// Killed while the very first pass makes everything.
#[tokio::test(flavor = "multi_thread")]
async fn killed_during_the_first_release() {
    for after in [false, true] {
        for n in 1..200 {
            let world = World::new().await;
            world.entries(AFTER);
            let killed = kill_at(&world, n, after).await;
            world.lose_state();
            let ended = reconcile(&world).await;
            assert_eq!(ended.code, 0, "killed at {n}, after {after}: {ended:?}");
            for key in ["a", "b", "fresh"] {
                assert_eq!((versions(&world, 0, key).await, versions(&world, 1, key).await), (1, 1), "at {n}");
            }
            if !killed {
                break;
            }
        }
    }
}

/// Killed, and then the file changes before the next pass: what was done is kept, what was not is not done.
#[tokio::test(flavor = "multi_thread")]
async fn killed_and_then_another_edit() {
    for n in [6_u64, 10, 14, 18, 22] {
        let world = World::new().await;
        world.entries(BEFORE);
        world.run(&["reconcile"]).await.expect(0);
        world.entries(AFTER);
        kill_at(&world, n, true).await;
        world.entries(&AFTER.replace("value: two", "value: three"));
        let ended = reconcile(&world).await;
        assert_eq!(ended.code, 0, "{n}: {ended:?}");
        for target in ["aws-eu", "azure"] {
            assert_eq!(world.served(target, "a").await["value"], "three", "{n}");
            assert_eq!(world.served(target, "fresh").await["value"], "new", "{n}");
        }
        let again = reconcile(&world).await;
        assert_eq!(again.json()["outcome"], "unchanged", "{n}");
    }
}
