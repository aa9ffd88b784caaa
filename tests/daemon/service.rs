//! The daemon as a service: how it starts, is asked, and stops.

use repin_emulator::Fault;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::running::{NEVER, Running, SOON};
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
    assert_eq!(code, 0, "{log}");
    assert!(!world.path("state/test/daemon.sock").exists());
    world.run(&["status", "--probe", "live"]).await.expect(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_needs_no_good_file() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let daemon = Running::start(&world, NEVER).await;
    daemon.until_said("release 1 is served").await;
    world.write("repin.yaml", "version: 1\nname: [");
    daemon.until_said("the last good one stays in force").await;
    for probe in ["live", "ready"] {
        assert_eq!(world.run(&["status", "--probe", probe]).await.expect(0).stdout, format!("{probe}\n"));
    }
    std::fs::remove_file(world.path("repin.yaml")).expect("removed");
    world.run(&["status", "--probe", "live"]).await.expect(0);
    // Without a daemon the file is to blame again.
    daemon.stop().await;
    world.run(&["status", "--probe", "live"]).await.expect(78);
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
async fn a_daemon_that_was_killed_is_followed_by_the_next() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let daemon = Running::start(&world, NEVER).await;
    daemon.until_said("release 1 is served").await;
    daemon.kill().await;
    world.entries("  a: { value: two }\n");
    let daemon = Running::start(&world, NEVER).await;
    daemon.until_said("release 2 is served").await;
    assert!(daemon.ask("/live").await.starts_with("HTTP/1.0 200"), "the socket that was left is no obstacle");
}

/// Listens as systemd does for what its services say.
fn manager(world: &World) -> std::os::unix::net::UnixDatagram {
    let socket = std::os::unix::net::UnixDatagram::bind(world.path("notify")).expect("bound");
    socket.set_nonblocking(true).expect("set");
    socket
}

/// Returns what was said to the manager since it was last asked.
fn heard(socket: &std::os::unix::net::UnixDatagram) -> String {
    let (mut all, mut buffer) = (String::new(), [0; 4096]);
    while let Ok(length) = socket.recv(&mut buffer) {
        all.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_is_told() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let socket = manager(&world);
    let environment = [("NOTIFY_SOCKET", world.path("notify")), ("WATCHDOG_USEC", "400000".into())];
    let daemon = Running::launch_with(&world, &["--interval", NEVER], &environment);
    daemon.until_said("release 1 is served").await;
    // It is fed although nothing happens.
    let (mut said, since) = (heard(&socket), std::time::Instant::now());
    while said.matches("WATCHDOG=1\n").count() < 3 && since.elapsed() < std::time::Duration::from_secs(30) {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        said.push_str(&heard(&socket));
    }
    for expected in ["READY=1\n", "WATCHDOG=1\n", "STATUS=release 1; 2 targets well\n"] {
        assert!(said.contains(expected), "{expected} in {said}");
    }
    assert!(said.matches("WATCHDOG=1\n").count() >= 3, "{said}");
    daemon.signal(rustix::process::Signal::HUP);
    daemon.until_said("SIGHUP").await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let said = heard(&socket);
    let reloading = said.find("RELOADING=1\nMONOTONIC_USEC=").unwrap_or_else(|| panic!("{said}"));
    assert!(said[reloading..].contains("READY=1\n"), "{said}");
    assert_eq!(daemon.stop().await.0, 0);
    assert!(heard(&socket).contains("STOPPING=1\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_is_told_why_there_is_no_start() {
    let world = World::new().await;
    world.entries("  a: { valeu: one }\n");
    let socket = manager(&world);
    let ended = world.command(&["daemon"]).env("NOTIFY_SOCKET", world.path("notify")).output().await.expect("runs");
    assert_eq!(ended.status.code(), Some(78));
    let said = heard(&socket);
    assert!(said.contains("STATUS=unknown field `valeu`") && !said.contains("READY"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_that_hangs_does_not_feed_the_watchdog() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let socket = manager(&world);
    let environment = [("NOTIFY_SOCKET", world.path("notify")), ("WATCHDOG_USEC", "400000".into())];
    let daemon = Running::launch_with(&world, &["--interval", NEVER], &environment);
    daemon.until_said("release 1 is served").await;
    daemon.until("fed", async || heard(&socket).contains("WATCHDOG=1\n")).await;
    // A file that takes seconds to be read, and is refused in the end: the loop waits for it, while the sockets go on
    // answering.
    let entries: String = (0..60_000).map(|n| format!("  k{n:06}: {{ value: v }}\n")).collect();
    let heavy = world.write("heavy.yaml", &format!("{}entries:\n{entries}", world.head()));
    std::fs::rename(heavy, world.path("repin.yaml")).expect("renamed");
    let (began, mut fed) = (std::time::Instant::now(), std::time::Instant::now());
    while fed.elapsed() < std::time::Duration::from_secs(1) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        if heard(&socket).contains("WATCHDOG=1\n") {
            fed = std::time::Instant::now();
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(30), "never five beats long\n{}", daemon.log());
    }
    assert!(daemon.ask("/live").await.contains("200 OK"), "it answers, and will say no after half a minute");
    // What it reads next is a good file again.
    let file = world.write("file", &format!("{}entries:\n  a: {{ value: two }}\n", world.head()));
    std::fs::rename(file, world.path("repin.yaml")).expect("renamed");
    daemon.until_said("release 2 is served").await;
    daemon.until("fed", async || heard(&socket).contains("WATCHDOG=1\n")).await;
}
