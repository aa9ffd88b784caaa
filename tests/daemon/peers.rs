//! Peers on the control socket that break off, hang, or send what nobody asked for; and a daemon that breaks off.

use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use repin_emulator::{Call, Fault};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::control::{finish, operator};
use crate::running::{NEVER, Running, SOON, releases};
use crate::support::{World, hand};

fn entries(value: &str) -> String {
    (0..40).map(|n| format!("  k{n:02}: {{ value: {value} }}\n")).collect()
}

/// A daemon that serves release 2 of forty entries, and stores that take their time from now on.
async fn slow(world: &World, interval: &str) -> Running {
    world.entries(&entries("one"));
    let daemon = Running::start(world, interval).await;
    daemon.until_said("release 1 is served").await;
    world.entries(&entries("two"));
    daemon.until_said("release 2 is served").await;
    let slow = Fault::Delay(Duration::from_millis(300));
    world.faults(move |call| if call.operation == "PutParameter" { slow.clone() } else { Fault::None });
    world.reset();
    daemon
}

/// Has whatever writes take more than a minute for all entries, until something else writes the first one again.
fn stall_the_first(world: &World) {
    let firsts = AtomicU64::new(0);
    world.faults(move |call| {
        let Some(name) = call.name.as_ref().filter(|_| call.operation == "PutParameter") else { return Fault::None };
        let is_first = name.ends_with("/test/k00");
        let before = firsts.fetch_add(u64::from(is_first), Ordering::SeqCst);
        let stalls = before == 1 && !is_first && name.starts_with("/ai/");
        if stalls { Fault::Delay(Duration::from_secs(2)) } else { Fault::None }
    });
    world.reset();
}

/// Waits until the first entry is written.
async fn until_stalled(world: &World, daemon: &Running) {
    let is_first =
        |call: Call| call.operation == "PutParameter" && call.name.is_some_and(|name| name.ends_with("/test/k00"));
    daemon.until("it is at work", async || world.emulator.counters().calls().into_iter().any(is_first)).await;
}

/// Waits until a command writes.
async fn until_at_work(world: &World, daemon: &Running) {
    daemon.until("it is at work", async || world.count("ssm", "PutParameter") > 4).await;
}

async fn all_serve(world: &World, value: &str) {
    for target in ["aws-eu", "azure"] {
        for key in ["k00", "k20", "k39"] {
            assert_eq!(world.served(target, key).await["value"], value, "{target} {key}");
        }
    }
}

/// Presses Ctrl-C.
fn interrupt(child: &tokio::process::Child) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).expect("it runs");
    let pid = rustix::process::Pid::from_raw(pid).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("sent");
}

async fn post(world: &World, head: &str, body: &[u8]) -> UnixStream {
    let mut stream = UnixStream::connect(world.path("state/test/daemon.sock")).await.expect("there");
    // One that is hung up on in the middle of it has been answered.
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body).await;
    stream
}

async fn answer(mut stream: UnixStream) -> String {
    let mut said = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut said)).await.expect("it is over");
    String::from_utf8_lossy(&said).into_owned()
}

fn head(length: usize) -> String {
    format!("POST /v1/command HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_in_words() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let daemon = Running::start(&world, NEVER).await;
    daemon.until_said("release 1 is served").await;
    let said = async |body: &str| answer(post(&world, &head(body.len()), body.as_bytes()).await).await;
    for (body, why) in [
        ("", "EOF"),
        ("\u{0}\u{1}", "expected value"),
        ("{}", "missing field"),
        (r#"{"format":9,"argv":["repin","status"]}"#, "knows format 1"),
        (r#"{"format":1,"argv":[]}"#, ""),
        (r#"{"format":1,"argv":["repin","--help"]}"#, ""),
        (r#"{"format":1,"argv":["repin","rollback","x"]}"#, "invalid value"),
        (r#"{"format":1,"argv":["repin","hold","a[","-m","x"]}"#, "invalid value"),
        (r#"{"format":1,"argv":["repin","daemon"]}"#, "none for a daemon"),
        (r#"{"format":1,"argv":["repin","emulator"]}"#, "none for a daemon"),
        (r#"{"format":1,"argv":["repin","init"]}"#, "none for a daemon"),
        (r#"{"format":1,"argv":["repin","status","--probe","live"]}"#, "none for a daemon"),
        (r#"{"format":1,"argv":["repin","reconcile","--plan","/etc/passwd"]}"#, "sent along"),
    ] {
        let said = said(body).await;
        assert!(said.starts_with("HTTP/1.1 400") && said.contains(why), "{body}: {said}");
    }
    let line = r#"{"format":1,"argv":["repin","history","-o","json","-f","/nowhere","--state-dir","/nowhere"]}"#;
    let said = said(line).await;
    assert!(said.starts_with("HTTP/1.1 200") && said.contains(r#"{"exit":0}"#), "{said}");
    let huge = answer(post(&world, &head(64 << 20), &vec![b' '; 5 << 20]).await).await;
    assert!(huge.is_empty() || huge.starts_with("HTTP/1.1 413"), "{huge}");
    let chunked = "POST /v1/command HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut body = Vec::new();
    for _ in 0..80 {
        body.extend_from_slice(b"10000\r\n");
        body.extend(std::iter::repeat_n(b'x', 0x10000));
        body.extend_from_slice(b"\r\n");
    }
    let huge = answer(post(&world, chunked, &body).await).await;
    assert!(huge.is_empty() || huge.starts_with("HTTP/1.1 413"), "{huge}");
    let cancel = "POST /v1/cancel HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 16\r\n\r\n";
    assert!(answer(post(&world, cancel, br#"{"ticket":"abc"}"#).await).await.starts_with("HTTP/1.1 410"));
    assert_eq!(releases(&world).await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_hang_keep_nobody_waiting_for_long() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let daemon = Running::start(&world, SOON).await;
    daemon.until_said("release 1 is served").await;
    let mut kept = Vec::new();
    for n in 0..100 {
        let stream = match n % 5 {
            0 => post(&world, "", b"").await,
            1 => post(&world, "POST /v1/comm", b"").await,
            2 => post(&world, "\u{0}\u{7f} what", b"").await,
            3 => post(&world, &head(1000), b"{\"format\"").await,
            // It never reads what it asked for.
            _ => {
                let body = br#"{"format":1,"argv":["repin","history","-o","json"]}"#;
                post(&world, &head(body.len()), body).await
            }
        };
        kept.push(stream);
    }
    hand(&world).await[0].overwrite("a", "tampered").await;
    daemon.until_said("drift was put back: a").await;
    // Whoever comes next has a seat once those who hang were sent away.
    let history = finish(operator(&world, &["history"])).await.expect(0);
    assert!(history.stdout.contains("reconcile"));
    drop(kept);
    finish(operator(&world, &["rollback", "1"])).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_interrupts_hears_what_was_done() {
    let world = World::new().await;
    let daemon = slow(&world, NEVER).await;
    let mut rollback = operator(&world, &["rollback", "-o", "json"]);
    let child = rollback.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    until_at_work(&world, &daemon).await;
    // Another one, whose turn does not come before they think better of it.
    let hold = br#"{"format":1,"argv":["repin","hold","k00","-m","mine","-o","json"]}"#;
    let mut waits = post(&world, &head(hold.len()), hold).await;
    let mut said = String::new();
    while !said.contains("\"}\n") {
        let mut some = [0; 512];
        let read = waits.read(&mut some).await.expect("read");
        assert!(read > 0, "{said}");
        said.push_str(&String::from_utf8_lossy(&some[..read]));
    }
    let ticket = said.split("{\"ticket\":").nth(1).and_then(|rest| rest.split('}').next()).expect("a ticket");
    let body = format!("{{\"ticket\":{ticket}}}");
    let cancel = head(body.len()).replace("command", "cancel");
    assert!(answer(post(&world, &cancel, body.as_bytes()).await).await.starts_with("HTTP/1.1 204"));
    let said = answer(waits).await;
    assert!(said.contains("before anything was written") && said.contains("{\"exit\":130}"), "{said}");
    interrupt(&child);
    let output = child.wait_with_output().await.expect("it ends");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(130), "{stdout}");
    let said: serde_json::Value = serde_json::from_str(&stdout).expect("one object");
    assert_eq!((&said["release"], &said["outcome"]), (&json!(3), &json!("partial")), "{said}");
    // It was recorded, and the daemon goes on with it.
    world.emulator.faults().clear();
    daemon.until("finished", async || daemon.status().await["verdict"] == json!(["held"])).await;
    all_serve(&world, "one").await;
    assert_eq!(releases(&world).await, [3, 2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_is_killed_leaves_nothing_half_done() {
    let world = World::new().await;
    let daemon = slow(&world, NEVER).await;
    let mut child = operator(&world, &["rollback"]).spawn().expect("started");
    until_at_work(&world, &daemon).await;
    child.kill().await.expect("killed");
    daemon.until_said("rollback by ").await;
    world.emulator.faults().clear();
    daemon.until("finished", async || daemon.status().await["verdict"] == json!(["held"])).await;
    all_serve(&world, "one").await;
    assert_eq!(releases(&world).await, [3, 2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_dies_leaves_a_sentence() {
    let world = World::new().await;
    let daemon = slow(&world, NEVER).await;
    let mut rollback = operator(&world, &["rollback"]);
    let child = rollback.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    until_at_work(&world, &daemon).await;
    daemon.kill().await;
    let output = child.wait_with_output().await.expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("what was begun is recorded") && stderr.contains("repin status --direct"), "{stderr}");
    world.emulator.faults().clear();
    let daemon = Running::start(&world, SOON).await;
    daemon.until("finished", async || daemon.status().await["verdict"] == json!(["held"])).await;
    all_serve(&world, "one").await;
    assert_eq!(releases(&world).await, [3, 2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_stopped_lets_a_command_come_to_a_safe_end() {
    let world = World::new().await;
    let daemon = slow(&world, NEVER).await;
    let mut rollback = operator(&world, &["rollback", "-o", "json"]);
    let child = rollback.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    until_at_work(&world, &daemon).await;
    let (code, log) = daemon.stop().await;
    assert_eq!(code, 0, "{log}");
    let output = child.wait_with_output().await.expect("it ends");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(143), "{stdout}\n{log}");
    assert!(stdout.contains("\"partial\""), "{stdout}");
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_does_not_wait_for_a_release_to_end() {
    let world = World::new().await;
    let daemon = slow(&world, NEVER).await;
    stall_the_first(&world);
    world.entries(&entries("three"));
    until_stalled(&world, &daemon).await;
    finish(operator(&world, &["rollback", "1", "-m", "three is worse"])).await.expect(0);
    all_serve(&world, "one").await;
    assert_eq!(daemon.said("release 3 is served:"), 0, "{}", daemon.log());
    assert_eq!(releases(&world).await, [4, 3, 2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_comes_before_another_operators_pass() {
    let world = World::new().await;
    let daemon = slow(&world, NEVER).await;
    world.emulator.faults().clear();
    let aws = &hand(&world).await[0];
    for n in 0..40 {
        aws.overwrite(&format!("k{n:02}"), "tampered").await;
    }
    stall_the_first(&world);
    let mut pass = operator(&world, &["reconcile"]);
    let pass = pass.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    until_stalled(&world, &daemon).await;
    finish(operator(&world, &["rollback", "-m", "urgent"])).await.expect(0);
    let pass = pass.wait_with_output().await.expect("it ends");
    let stderr = String::from_utf8_lossy(&pass.stderr);
    assert_eq!(pass.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("stopped by another command"), "{stderr}");
    world.emulator.faults().clear();
    daemon.until("settled", async || daemon.status().await["verdict"] == json!(["held"])).await;
    all_serve(&world, "one").await;
}
