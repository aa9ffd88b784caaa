//! What a service manager and an operator may expect: how it refuses to start, and how it stops.

use std::time::{Duration, Instant};

use repin_emulator::Fault;
use rustix::process::Signal;
use serde_json::json;

use crate::running::{NEVER, Running, SOON, releases};
use crate::support::World;

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_cannot_be_had_is_said_before_anything_is_done() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = taken.local_addr().expect("an address").to_string();
    let said = world.run(&["daemon", "--listen", &address]).await.expect(1).stderr;
    assert!(said.contains(&address) && said.contains("Choose another address"), "{said}");
    for public in ["0.0.0.0:0", "[::]:0", "192.0.2.7:9187"] {
        let said = world.run(&["daemon", "--listen", public]).await.expect(64).stderr;
        assert!(said.contains("--listen-public"), "{said}");
    }
    let said = world.run(&["daemon", "--listen", "localhost:9187"]).await.expect(64).stderr;
    assert!(said.contains("unix:/run/repin/http.sock"), "{said}");
    let file = world.write("not-a-socket", "somebody's");
    let unix = format!("unix:{}", file.display());
    let said = world.run(&["daemon", "--listen", &unix]).await.expect(1).stderr;
    assert!(said.contains(&unix), "{said}");
    assert_eq!(std::fs::read_to_string(file).expect("still there"), "somebody's");
    let error = world.json(1, &["daemon", "--listen", &address]).await["error"].clone();
    assert_eq!(error["kind"], "listen");
    assert_eq!(world.emulator.counters().total("ssm") + world.emulator.counters().total("appconfig"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_is_told_who_the_first_is() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let socket = format!("unix:{}", world.path("http.sock").display());
    let first = Running::launch(&world, &["--interval", NEVER, "--listen", &socket]);
    first.until_said("release 1 is served").await;
    let said =
        format!("(pid {})", std::fs::read_to_string(world.path("state/test/daemon.lock")).expect("there").trim());
    // That it also wants the same address is the lesser matter.
    let second = world.run(&["daemon", "--listen", &socket]).await.expect(1);
    assert!(second.stderr.contains("another daemon for test works with"), "{}", second.stderr);
    assert!(second.stderr.contains(&said), "{}", second.stderr);
    let elsewhere = world.path("elsewhere");
    let elsewhere = elsewhere.to_str().expect("text");
    let third = world.run(&["daemon", "--listen", &socket, "--state-dir", elsewhere]).await.expect(1);
    assert!(third.stderr.contains("another process answers there"), "{}", third.stderr);
    assert!(first.ask("/live").await.starts_with("HTTP/1.0 200"), "it was not disturbed");
    assert_eq!(first.stop().await.0, 0);
    assert!(!world.path("http.sock").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_that_cannot_be_used_is_said_at_the_start() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    world.write("state", "a file where a folder should be");
    let said = world.run(&["daemon"]).await.expect(1).stderr;
    assert!(said.contains("the state directory cannot be written to") && said.contains("--state-dir"), "{said}");
    assert_eq!(world.emulator.counters().total("ssm") + world.emulator.counters().total("appconfig"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_that_is_lost_later_stops_nothing() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let daemon = Running::start(&world, SOON).await;
    daemon.until_said("release 1 is served").await;
    std::fs::rename(world.path("state"), world.path("lost")).expect("moved");
    world.write("state", "a file where a folder should be");
    crate::support::hand(&world).await[1].overwrite("a", "tampered").await;
    daemon.until_said("drift was put back: a").await;
    world.entries("  a: { value: two }\n");
    daemon.until_said("release 2 is served: 1 on aws-eu, 1 on azure").await;
    crate::running::several_passes().await;
    assert_eq!(daemon.said("cannot be written to any more"), 1, "once: {}", daemon.log());
    assert_eq!(daemon.stop().await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_the_middle_leaves_everything_recorded() {
    let world = World::new().await;
    let entries = |value: &str| (0..40).map(|n| format!("  k{n}: {{ value: {value} }}\n")).collect::<String>();
    world.entries(&entries("one"));
    let daemon = Running::start(&world, NEVER).await;
    daemon.until_said("release 1 is served").await;
    world.faults(
        |call| {
            if call.operation == "PutParameter" { Fault::Delay(Duration::from_millis(100)) } else { Fault::None }
        },
    );
    world.entries(&entries("two"));
    let puts = world.count("ssm", "PutParameter");
    daemon.until("it is at work", async || world.count("ssm", "PutParameter") > puts + 3).await;
    let (code, log) = daemon.stop().await;
    assert_eq!(code, 0, "{log}");
    world.emulator.faults().clear();
    let status = world.json(0, &["status"]).await;
    assert_eq!(status["verdict"], json!(["partial"]), "{log}");
    // The next start goes on with it: no other release is made.
    let daemon = Running::start(&world, NEVER).await;
    daemon.until("all is served", async || daemon.status().await["verdict"] == json!(["ok"])).await;
    assert_eq!(releases(&world).await, [2, 1]);
    assert_eq!(world.served("aws-eu", "k39").await["value"], "two");
}

/// Starts a daemon and has one of its calls hang.
async fn hanging(world: &World) -> Running {
    world.entries("  a: { value: one }\n");
    let daemon = Running::start(world, NEVER).await;
    daemon.until_said("release 1 is served").await;
    world.faults(|call| match call.operation.as_str() {
        "PutParameter" => Fault::HangAfter,
        _ => Fault::None,
    });
    world.entries("  a: { value: two }\n");
    world.emulator.faults().reached().await;
    daemon
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_stops_at_once() {
    let world = World::new().await;
    let daemon = hanging(&world).await;
    daemon.signal(Signal::TERM);
    daemon.until_said("once more to stop at once").await;
    let began = Instant::now();
    let (code, log) = daemon.stop().await;
    assert_eq!(code, 143, "{log}");
    // The first alone would take half a minute.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_is_told_from_a_stop() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let daemon = Running::start(&world, NEVER).await;
    daemon.signal(Signal::INT);
    assert_eq!(daemon.ended().await.0, 130);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_a_call_that_hangs_is_left_after_a_set_time() {
    let world = World::new().await;
    let daemon = hanging(&world).await;
    let began = Instant::now();
    let (code, log) = daemon.stop().await;
    assert_eq!(code, 0, "{log}");
    assert!(began.elapsed() < Duration::from_secs(45), "{:?}", began.elapsed());
    world.emulator.faults().clear();
    // What was begun is known, and the call that took effect is not repeated.
    world.reset();
    let daemon = Running::start(&world, NEVER).await;
    daemon.until("all is served", async || daemon.status().await["verdict"] == json!(["ok"])).await;
    assert_eq!(releases(&world).await, [2, 1]);
    assert_eq!(world.served("aws-eu", "a").await["value"], "two");
    assert_eq!(crate::support::hand(&world).await[0].versions("a").await, 2);
}
