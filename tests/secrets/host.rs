//! What a host keeps to itself: the memory of the process, and the state directory.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::World;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

fn set(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_dumps_no_memory_and_has_no_switch_that_leaks() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let mut command = world.command(&["daemon", "--interval", "1h"]);
    command.env("LOG_SENSITIVE_BODIES", "true").env("LOG_SIGNABLE_BODY", "true");
    let mut daemon = command.spawn().expect("starts");
    let proc = format!("/proc/{}", daemon.id().expect("it runs"));
    let since = Instant::now();
    while !world.path("state/test/daemon.lock").exists() {
        assert!(since.elapsed() < Duration::from_secs(30), "it does not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let limits = fs::read_to_string(format!("{proc}/limits")).expect("readable");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    // What is not dumpable is root's (proc(5)); as root all of it is.
    assert_eq!(fs::metadata(format!("{proc}/stat")).expect("there").uid(), 0);
    if let Ok(environment) = fs::read(format!("{proc}/environ")) {
        let text = String::from_utf8_lossy(&environment);
        assert!(!text.contains("LOG_SENSITIVE_BODIES") && !text.contains("LOG_SIGNABLE_BODY"), "{text}");
    }
    daemon.start_kill().expect("killed");
    daemon.wait().await.expect("gone");
}

/// What ends a process in the middle of its work, as an abort over a mistake would, leaves nothing of its memory.
#[tokio::test(flavor = "multi_thread")]
async fn an_abort_leaves_no_core() {
    use std::os::unix::process::ExitStatusExt as _;
    let world = World::new().await;
    world.entries("  key: { targets: [aws-eu], secret: true, value_from: { env: TEST_SECRET } }\n");
    let daemon = world.command(&["daemon", "--interval", "1h"]);
    let (program, args) = (daemon.as_std().get_program(), daemon.as_std().get_args());
    let environment = daemon.as_std().get_envs().filter_map(|(name, value)| Some((name, value?)));
    // As on a host that wants every core it can get.
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", "ulimit -c unlimited; exec \"$0\" \"$@\""]).arg(program).args(args).env_clear().envs(environment);
    let mut daemon = shell.current_dir(world.dir.path()).kill_on_drop(true).spawn().expect("starts");
    let since = Instant::now();
    while !world.path("state/test/daemon.lock").exists() {
        assert!(since.elapsed() < Duration::from_secs(30), "it does not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pid = i32::try_from(daemon.id().expect("it runs")).expect("a pid");
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::ABORT).expect("ours");
    let status = daemon.wait().await.expect("gone");
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
    let left = fs::read_dir(world.dir.path()).expect("a folder").flatten().map(|entry| entry.file_name());
    assert!(!left.into_iter().any(|name| name.to_string_lossy().starts_with("core")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_that_is_open_is_closed_with_a_sentence() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    world.run(&["reconcile"]).await.expect(0);
    let (state, own) = (world.path("state"), world.path("state/test"));
    assert_eq!((mode(&state), mode(&own)), (0o700, 0o700));
    // An emptyDir volume is root's and open to all, and an fsGroup opens what is in it at each mount.
    set(&state, 0o777);
    set(&own, 0o777);
    set(&own.join("host.key"), 0o664);
    let ran = world.run(&["status"]).await.expect(0);
    assert!(ran.stderr.contains("was open to other users, and no longer is"), "{}", ran.stderr);
    assert_eq!((mode(&state), mode(&own), mode(&own.join("host.key"))), (0o777, 0o750, 0o600));
    assert!(!world.run(&["status"]).await.expect(0).stderr.contains("was open"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_of_somebody_else_is_not_used() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    // Root may use anybody's, so the command runs as nobody; others use what is root's.
    let state = if rustix::process::geteuid().is_root() {
        let folder = world.path("state/test");
        fs::create_dir_all(&folder).expect("made");
        set(world.dir.path(), 0o755);
        world.path("state")
    } else {
        return;
    };
    let can_run = std::process::Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", env!("CARGO_BIN_EXE_repin"), "--version"])
        .output()
        .is_ok_and(|ran| ran.status.success());
    if !can_run {
        return;
    }
    let ran = world
        .command(&["status", "--state-dir", state.to_str().expect("text")])
        .uid(65534)
        .output()
        .await
        .expect("runs");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(said.contains("it belongs to another user (uid 0)"), "{said}");
    assert_eq!(ran.status.code(), Some(0), "looking needs no state: {said}");
    let ran = world.command(&["daemon", "--interval", "1h"]).uid(65534).output().await.expect("runs");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(said.contains("the state directory cannot be used") && ran.status.code() == Some(1), "{said}");
}
