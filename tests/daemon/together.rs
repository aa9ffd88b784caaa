//! A daemon beside other commands and other hosts.

use serde_json::json;

use crate::running::{Running, SOON, releases, several_passes};
use crate::support::{World, hand};

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_is_not_undone() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  b: { value: one }\n");
    let daemon = Running::start(&world, SOON).await;
    daemon.until_said("release 1 is served").await;
    world.entries("  a: { value: two }\n  b: { value: one }\n");
    daemon.until_said("release 2 is served").await;
    world.run(&["rollback", "-m", "refusals up"]).await.expect(0);
    several_passes().await;
    for target in ["aws-eu", "azure"] {
        assert_eq!(world.served(target, "a").await["value"], "one");
    }
    assert_eq!(releases(&world).await, [3, 2, 1]);
    assert_eq!(daemon.said("held: a stays at release 1"), 2, "once a target: {}", daemon.log());
    // What is put back now is what the rollback served.
    hand(&world).await[0].overwrite("a", "tampered").await;
    daemon.until_said("drift was put back: a").await;
    assert_eq!(world.served("aws-eu", "a").await["value"], "one");
    // Everything else goes on, and so does the entry once it asks for something new.
    world.entries("  a: { value: two }\n  b: { value: two }\n");
    daemon.until_said("release 4 is served: 1 on aws-eu, 1 on azure").await;
    assert_eq!(world.served("azure", "a").await["value"], "one");
    world.entries("  a: { value: three }\n  b: { value: two }\n");
    daemon.until_said("release 5 is served: 1 on aws-eu, 1 on azure").await;
    assert_eq!(world.served("azure", "a").await["value"], "three");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_that_could_not_reach_a_target_is_finished() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let daemon = Running::start(&world, SOON).await;
    daemon.until_said("release 1 is served").await;
    world.entries("  a: { value: two }\n");
    daemon.until_said("release 2 is served").await;
    // Another host, which has no credentials for one of the clouds.
    let mut elsewhere = world.command(&["rollback"]);
    elsewhere.env_remove("AZURE_CONNECTION").env("REPIN_STATE_DIR", world.path("elsewhere"));
    let rolled = elsewhere.output().await.expect("runs");
    assert_eq!(rolled.status.code(), Some(3), "{}", String::from_utf8_lossy(&rolled.stderr));
    daemon.until("served on both", async || daemon.status().await["verdict"][0] == "held").await;
    daemon.until("served on both", async || world.served("azure", "a").await["value"] == "one").await;
    several_passes().await;
    for target in ["aws-eu", "azure"] {
        assert_eq!(world.served(target, "a").await["value"], "one");
    }
    assert_eq!(releases(&world).await, [3, 2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_is_lifted_lets_the_file_through() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let daemon = Running::start(&world, SOON).await;
    daemon.until_said("release 1 is served").await;
    world.run(&["hold", "a", "-m", "incident"]).await.expect(0);
    world.entries("  a: { value: two }\n");
    daemon.until_said("held: a stays at release 1").await;
    several_passes().await;
    assert_eq!(world.served("azure", "a").await["value"], "one");
    world.run(&["resume", "a"]).await.expect(0);
    daemon.until_said("release 2 is served: 1 on aws-eu, 1 on azure").await;
    assert_eq!(releases(&world).await, [2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_behind_releases_nothing_and_corrects_drift() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    world.run(&["reconcile"]).await.expect(0);
    world.entries("  a: { value: two }\n");
    world.run(&["reconcile"]).await.expect(0);
    // Another host, which still has the first file and remembers nothing.
    world.lose_state();
    world.entries("  a: { value: one }\n");
    let daemon = Running::start(&world, SOON).await;
    daemon.until_said("this host's file is behind").await;
    hand(&world).await[1].overwrite("a", "tampered").await;
    daemon.until_said("drift was put back: a").await;
    several_passes().await;
    for target in ["aws-eu", "azure"] {
        assert_eq!(world.served(target, "a").await["value"], "two");
    }
    assert_eq!(daemon.said("this host's file is behind"), 1);
    assert_eq!(daemon.status().await["file"], "behind");
    world.entries("  a: { value: two }\n");
    daemon.until_said("the file is no longer behind").await;
    assert_eq!(releases(&world).await, [2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_goes_back_on_purpose_is_released() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    world.run(&["reconcile"]).await.expect(0);
    world.entries("  a: { value: two }\n");
    world.run(&["reconcile"]).await.expect(0);
    // A host that has seen none of it: its file is the newest, and then it changes.
    world.lose_state();
    let daemon = Running::start(&world, SOON).await;
    several_passes().await;
    world.entries("  a: { value: one }\n");
    daemon.until_said("release 3 is served").await;
    assert_eq!(world.served("azure", "a").await["value"], "one");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_while_nothing_changes() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  b: { value: { x: 1 } }\n");
    let daemon = Running::start(&world, SOON).await;
    daemon.until_said("release 1 is served").await;
    several_passes().await;
    let lines = daemon.log().lines().count();
    world.reset();
    several_passes().await;
    assert_eq!(world.writes(), 0);
    assert_eq!(daemon.log().lines().count(), lines, "no line where nothing happens: {}", daemon.log());
    let looks = world.emulator.counters().total("appconfig");
    assert!((6..=24).contains(&looks), "three requests a pass at most: {looks}");
    assert_eq!(daemon.status().await["verdict"], json!(["ok"]));
}
