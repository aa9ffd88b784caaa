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
    let said =
        format!("(pid {})", std::fs::read_to_string(world.path("state/test/daemon.lock")).expect("there").trim());
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
    // Twice the beat of the watchdog, so that it is fed although nothing happens.
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    let said = heard(&socket);
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
    assert_eq!(daemon.stop().await.0, 143);
    assert!(heard(&socket).contains("STOPPING=1\n"));
}

async fn get(address: &str, path: &str) -> String {
    use tokio::io::AsyncReadExt as _;
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connects");
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_status_are_told_over_http() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  b: { value: two }\n");
    let daemon = Running::launch(&world, &["--interval", SOON, "--listen", "127.0.0.1:0"]);
    daemon.until_said("release 1 is served").await;
    crate::support::hand(&world).await[0].overwrite("a", "tampered").await;
    daemon.until_said("drift was put back: a").await;
    let log = daemon.log();
    let address = log.split("answering on http://").nth(1).and_then(|rest| rest.lines().next()).expect("an address");
    assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200"));
    assert!(get(address, "/readyz").await.ends_with("ready\n"));
    assert!(get(address, "/v1/status").await.contains("\"daemon\":{"));
    let answer = get(address, "/metrics").await;
    let (head, text) = answer.split_once("\r\n\r\n").expect("a body");
    assert!(head.contains("application/openmetrics-text; version=1.0.0"), "{head}");
    for line in [
        "repin_target_up{target=\"azure\"} 1",
        "repin_target_release{target=\"aws-eu\"} 1",
        "repin_drift_corrected_total{target=\"aws-eu\"} 1",
        "repin_file_valid 1",
        "repin_release_waiting 0",
        "repin_passes_total{pass=\"release\",target=\"all\",result=\"good\"} 1",
        "repin_requests_total{target=\"aws-eu\",operation=\"PutParameter\"} ",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line} in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    assert!(!text.contains("tampered"), "{text}");
    // Every metric is documented where they are made, and nothing else is.
    let source = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/daemon/metrics.rs")).expect("there");
    let told: std::collections::BTreeSet<String> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .map(|name| name.trim_end_matches("_bucket").trim_end_matches("_sum").trim_end_matches("_count").to_owned())
        .collect();
    let documented = source.lines().filter_map(|line| line.strip_prefix("//! | `")?.split('`').next());
    assert_eq!(told, documented.map(str::to_owned).collect());
    world.entries("  a: { valeu: one }\n");
    daemon.until_said("the last good one stays in force").await;
    assert!(get(address, "/metrics").await.contains("repin_file_valid 0\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_cannot_be_had_is_said_before_anything_is_done() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = taken.local_addr().expect("an address").to_string();
    let said = world.run(&["daemon", "--listen", &address]).await.expect(1).stderr;
    assert!(said.contains(&address), "{said}");
    let said = world.run(&["daemon", "--listen", "0.0.0.0:0"]).await.expect(64).stderr;
    assert!(said.contains("--listen-public"), "{said}");
    assert_eq!(world.emulator.counters().total("ssm") + world.emulator.counters().total("appconfig"), 0);
}
