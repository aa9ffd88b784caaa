//! What is broken on this host.

use std::process::Stdio;
use std::time::Duration;

use crate::report::{visit, visit_with};
use crate::support::World;

const ENTRIES: &str = "  plain: { value: one }\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_file() {
    let world = World::new().await;
    world.write("repin.yaml", "version: 1\nname: test\ntragets: {}\n");
    let report = visit(&world, 78).await;
    report.fails("", "file", &["repin.yaml:1:1", "missing field `targets`", "1 more"], "under `targets`");
    report.finding("", "targets", "skip");
    assert!(report.0["name"].is_null());
}

/// What is broken in an entry keeps no target from being looked at.
#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_entry() {
    let world = World::new().await;
    world.entries("  plain: { valeu: one }\n");
    let report = visit(&world, 78).await;
    report.fails("", "entries", &["valeu"], "value");
    report.finding("", "file", "ok");
    report.finding("aws-eu", "ReadEntries", "ok");
    report.finding("azure", "rights", "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_variable() {
    let world = World::new().await;
    world.entries(ENTRIES);
    let report = visit_with(&world, 77, &[], &[("AZURE_CONNECTION", "")]).await;
    report.fails("azure", "settings", &["AZURE_CONNECTION is not set"], "settings");
    report.finding("aws-eu", "ReadEntries", "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file() {
    let world = World::new().await;
    let output = world.command(&["doctor"]).env_remove("REPIN_FILE").output().await.unwrap();
    assert_eq!(output.status.code(), Some(64));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unwritable_state_directory() {
    let world = World::new().await;
    world.entries(ENTRIES);
    world.write("file", "");
    // Whoever runs the tests: below a file nobody can make a folder.
    let state = world.path("file").join("state").display().to_string();
    let report = visit_with(&world, 1, &[], &[("REPIN_STATE_DIR", &state)]).await;
    report.fails("", "state", &[&state, "cannot be written to"], "--state-dir");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_daemon_runs() {
    let world = World::new().await;
    world.entries(ENTRIES);
    let mut command = world.command(&["daemon", "--dry-run"]);
    let mut daemon = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pid = daemon.id().unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while world.run(&["status", "--probe", "live"]).await.code != 0 {
        assert!(tokio::time::Instant::now() < deadline, "the daemon does not come up");
    }
    let report = visit(&world, 0).await;
    report.warns("", "daemon", &["one for test runs here", &format!("pid {pid}"), "daemon.sock"], "stop it first");
    daemon.kill().await.unwrap();
    visit(&world, 0).await.finding("", "daemon", "ok");
}

/// One that has the lock, and no socket that answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_does_not_answer() {
    let world = World::new().await;
    world.entries(ENTRIES);
    let path = world.write("state/test/daemon.lock", &format!("{}\n", std::process::id()));
    let lock = std::fs::File::open(&path).unwrap();
    lock.lock().unwrap();
    let report = visit(&world, 0).await;
    report.warns("", "daemon", &[&std::process::id().to_string(), "does not answer"], "log");
    drop(lock);
    visit(&world, 0).await.finding("", "daemon", "ok");
}
