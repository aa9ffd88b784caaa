//! The daemon as a service: how it starts, is asked, and stops.

use repin_emulator::Fault;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::running::{NEVER, Running, SOON, releases};
use crate::support::World;

#[tokio::test(flavor = "multi_thread")]
async fn probes_are_answered() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let daemon = Running::start(&world, NEVER).await;
    daemon.until_said("release 1 is served").await;
    world.reset();
    assert_eq!(world.run(&["status", "--probe", "live"]).await.expect(0).stdout, "live\n");
    assert_eq!(world.run(&["status", "--probe", "ready"]).await.expect(0).stdout, "ready\n");
    let status = daemon.status().await;
    assert_eq!((&status["name"], &status["release"], &status["file"]), (&json!("test"), &json!(1), &json!("current")));
    assert_eq!(status["targets"].as_array().expect("targets").len(), 2);
    assert_eq!(world.emulator.counters().total("ssm") + world.emulator.counters().total("appconfig"), 0);
    assert!(daemon.ask("/nothing").await.starts_with("HTTP/1.0 404"));
    let (code, log) = daemon.stop().await;
    assert_eq!(code, 143, "{log}");
    assert!(!world.path("state/test/daemon.sock").exists());
    world.run(&["status", "--probe", "live"]).await.expect(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_pass_is_waited_for() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    world.faults(|call| if call.service == "ssm" { Fault::DropBefore } else { Fault::None });
    let daemon = Running::launch(&world, &["--interval", SOON]);
    daemon.until_said("unreachable: aws-eu").await;
    let no = world.run(&["status", "--probe", "ready"]).await.expect(1);
    assert!(no.stderr.contains("not ready: no good pass yet: aws-eu (unreachable: "), "{}", no.stderr);
    world.run(&["status", "--probe", "live"]).await.expect(0);
    world.emulator.faults().clear();
    daemon.until_said("release 1 is served").await;
    world.run(&["status", "--probe", "ready"]).await.expect(0);
    // Ready once is ready from then on: a store that goes away later is no reason to send nobody here.
    world.faults(|call| if call.service == "ssm" { Fault::DropBefore } else { Fault::None });
    daemon.until("told again", async || daemon.said("unreachable: aws-eu") == 2).await;
    world.run(&["status", "--probe", "ready"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_says_nothing_or_nonsense_keeps_nobody_waiting() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let daemon = Running::start(&world, SOON).await;
    daemon.until_said("release 1 is served").await;
    let mut kept = Vec::new();
    for _ in 0..8 {
        let mut stream = tokio::net::UnixStream::connect(world.path("state/test/daemon.sock")).await.expect("there");
        stream.write_all(b"\x00\xff what").await.expect("sent");
        kept.push(stream);
    }
    world.run(&["status", "--probe", "live"]).await.expect(0);
    world.entries("  a: { value: two }\n");
    daemon.until_said("release 2 is served").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_is_told_who_the_first_is() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let first = Running::start(&world, NEVER).await;
    let second = world.run(&["daemon"]).await.expect(1);
    let said = format!("(pid {})", std::fs::read_to_string(world.path("state/test/daemon.lock")).expect("there").trim());
    assert!(second.stderr.contains("another daemon for test works with") && second.stderr.contains(&said));
    assert!(first.ask("/live").await.starts_with("HTTP/1.0 200"), "it was not disturbed");
    drop(first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_that_cannot_be_used_stops_nothing() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    world.write("state", "a file where a folder should be");
    let daemon = Running::launch(&world, &["--interval", SOON]);
    daemon.until_said("release 1 is served").await;
    daemon.until_said("no lock can be kept").await;
    daemon.until_said("there is no socket").await;
    assert_eq!(daemon.stop().await.0, 143);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_the_middle_leaves_everything_recorded() {
    let world = World::new().await;
    let entries = |value: &str| (0..40).map(|n| format!("  k{n}: {{ value: {value} }}\n")).collect::<String>();
    world.entries(&entries("one"));
    let daemon = Running::start(&world, NEVER).await;
    daemon.until_said("release 1 is served").await;
    world.faults(|call| {
        if call.operation == "PutParameter" { Fault::Delay(std::time::Duration::from_millis(100)) } else { Fault::None }
    });
    world.entries(&entries("two"));
    let puts = world.count("ssm", "PutParameter");
    daemon.until("it is at work", async || world.count("ssm", "PutParameter") > puts + 3).await;
    let (code, log) = daemon.stop().await;
    assert_eq!(code, 143, "{log}");
    world.emulator.faults().clear();
    let status = world.json(0, &["status"]).await;
    assert_eq!(status["verdict"], json!(["partial"]), "{log}");
    // The next start goes on with it: no other release is made.
    let daemon = Running::start(&world, NEVER).await;
    daemon.until("all is served", async || daemon.status().await["verdict"] == json!(["ok"])).await;
    assert_eq!(releases(&world).await, [2, 1]);
    assert_eq!(world.served("aws-eu", "k39").await["value"], "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_was_killed_is_followed_by_the_next() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let daemon = Running::start(&world, NEVER).await;
    daemon.until_said("release 1 is served").await;
    daemon.signal(rustix::process::Signal::KILL);
    drop(daemon);
    world.entries("  a: { value: two }\n");
    let daemon = Running::start(&world, NEVER).await;
    daemon.until_said("release 2 is served").await;
    assert!(daemon.ask("/live").await.starts_with("HTTP/1.0 200"), "the socket that was left is no obstacle");
}
