//! Commands through the daemon's socket: what an operator without any credentials can do, and how it looks.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::running::{NEVER, Running, SOON, releases};
use crate::support::{ACCOUNT, Ran, SENTINEL, World, hand};

/// Entries of all kinds: on both targets, of one, and a secret.
const ENTRIES: &str = "  a: { value: one }\n  b: { value: { x: 1 } }\n  \
                       key: { targets: [aws-eu], secret: true, value_from: { env: TEST_SECRET } }\n";

/// Makes a command of somebody on the host who has the file and nothing else.
pub(crate) fn operator(world: &World, args: &[&str]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_repin"));
    command
        .args(args)
        .env_clear()
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("REPIN_FILE", world.path("repin.yaml"))
        .env("REPIN_STATE_DIR", world.path("state"))
        .current_dir(world.dir.path())
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    command
}

pub(crate) async fn finish(mut command: tokio::process::Command) -> Ran {
    let output = command.output().await.expect("the program runs");
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

async fn operate(world: &World, args: &[&str]) -> Ran {
    finish(operator(world, args)).await
}

/// Drops what differs from one moment to the next: times, and how many requests it took.
fn lasting(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            for passing in ["last_pass", "requests", "age_seconds"] {
                fields.shift_remove(passing);
            }
            fields.values_mut().for_each(|field| *field = lasting(field.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = lasting(item.take())),
        _ => {}
    }
    value
}

/// Drops how long ago something was.
fn without_ages(text: &str) -> String {
    let words: Vec<_> = text.split(' ').collect();
    let is_age = |at: usize| words.get(at + 2).is_some_and(|word| word.starts_with("ago"));
    let kept = words.iter().enumerate().map(|(at, word)| if is_age(at) { "N" } else { word });
    kept.collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_is_the_same_without_credentials() {
    let world = World::new().await;
    world.entries(ENTRIES);
    let daemon = Running::start(&world, NEVER).await;
    daemon.until_said("release 1 is served").await;
    world.entries(&ENTRIES.replace("one", "two"));
    daemon.until_said("release 2 is served").await;
    world.run(&["hold", "b", "-m", "frozen"]).await.expect(0);
    hand(&world).await[0].overwrite("a", "tampered").await;
    for args in [
        &["status"][..],
        &["status", "--target", "aws-*"],
        &["history"],
        &["history", "a"],
        &["history", "nothing"],
        &["show", "2"],
        &["show", "99"],
        &["diff", "1", "2"],
        &["diff", "1"],
        &["get", "a"],
        &["get", "key"],
        &["get", "nothing"],
        &["plan"],
        &["plan", "--detailed-exitcode"],
        &["plan", "--target", "nowhere"],
        &["reconcile", "--dry-run"],
        &["rollback", "--dry-run"],
        &["rollback", "99", "--dry-run"],
        &["resume", "--all", "--dry-run"],
    ] {
        let direct = world.run(&[args, &["--direct"]].concat()).await;
        let through = operate(&world, args).await;
        assert_eq!(through.code, direct.code, "{args:?}: {through:?} {direct:?}");
        assert_eq!(without_ages(&through.stdout), without_ages(&direct.stdout), "{args:?}");
        assert_eq!(through.stderr, direct.stderr, "{args:?}");
        let direct = world.run(&[args, &["--direct", "-o", "json"]].concat()).await;
        let through = operate(&world, &[args, &["-o", "json"]].concat()).await;
        assert_eq!(through.code, direct.code, "{args:?}");
        assert_eq!(lasting(through.json()), lasting(direct.json()), "{args:?}");
        assert_eq!(through.stderr, direct.stderr, "{args:?}");
    }
    let direct = world.run(&["plan", "-o", "markdown", "--direct"]).await.expect(0);
    assert_eq!(operate(&world, &["plan", "-o", "markdown"]).await.expect(0).stdout, direct.stdout);
    // The tests run as the daemon's own user, who could read it anyway.
    assert!(operate(&world, &["get", "key", "--reveal"]).await.expect(0).stdout.contains(SENTINEL));
    assert!(!daemon.log().contains(SENTINEL));
}

/// What a command that changes something did, apart from what no two runs have in common.
fn deed(said: &Value) -> Value {
    let steps = said["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    let steps: Vec<_> =
        steps.iter().map(|s| json!([s["target"], s["key"], s["action"], s["reason"], s["result"]])).collect();
    json!({ "outcome": said["outcome"], "release": said["release"], "error": said["error"], "steps": steps })
}

#[tokio::test(flavor = "multi_thread")]
async fn changing_is_the_same_without_credentials() {
    let with_daemon = World::new().await;
    let alone = World::new().await;
    for world in [&with_daemon, &alone] {
        world.entries("  a: { value: one }\n  b: { value: one }\n");
        world.run(&["reconcile"]).await.expect(0);
        world.entries("  a: { value: two }\n  b: { value: two }\n");
        world.run(&["reconcile"]).await.expect(0);
    }
    let daemon = Running::start(&with_daemon, NEVER).await;
    for args in [
        &["reconcile"][..],
        &["hold", "a", "-m", "frozen"],
        &["hold", "nothing", "-m", "frozen"],
        &["resume", "a"],
        &["resume", "a"],
        &["pin", "a", "--version", "1"],
        &["pin", "a", "--target", "aws-eu", "--version", "1", "-m", "last good one"],
        &["unpin", "b"],
        &["rollback", "-m", "refusals up"],
        &["rollback"],
        &["reconcile"],
        &["forget", "nothing"],
        &["forget", "b"],
    ] {
        let args = [args, &["-o", "json"]].concat();
        let through = operate(&with_daemon, &args).await;
        let direct = alone.run(&args).await;
        assert_eq!(through.code, direct.code, "{args:?}\n{through:?}\n{direct:?}\n{}", daemon.log());
        assert_eq!(deed(&through.json()), deed(&direct.json()), "{args:?}");
    }
    assert!(daemon.log().contains("rollback by "), "{}", daemon.log());
    let records = async |world: &World| {
        let history = world.json(0, &["history", "--direct"]).await;
        let each = history["releases"].as_array().expect("releases").clone().into_iter();
        each.map(|r| json!([r["release"], r["kind"], r["message"], r["restores"], r["actor"]])).collect::<Vec<_>>()
    };
    assert_eq!(records(&with_daemon).await, records(&alone).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asked_is_recorded_and_not_whom_they_asked() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let daemon = Running::launch_with(&world, &["--interval", NEVER], &[("SUDO_USER", "keeper".into())]);
    daemon.until_said("release 1 is served").await;
    world.entries("  a: { value: two }\n");
    daemon.until_said("release 2 is served").await;
    operate(&world, &["rollback"]).await.expect(0);
    let mut behind = operator(&world, &["rollback", "2", "-m", "not that bad"]);
    finish({
        behind.env("SUDO_USER", "ana");
        behind
    })
    .await
    .expect(0);
    let history = operate(&world, &["history", "-o", "json"]).await.expect(0).json();
    let actors: Vec<_> = history["releases"].as_array().expect("releases").iter().map(|r| &r["actor"]).collect();
    let user = whoami();
    // Only root can stand in for somebody.
    let stands_in = if user == "root" { "ana" } else { user.as_str() };
    let names: Vec<_> =
        actors.iter().filter_map(|actor| actor.as_str()?.split_once('@')).map(|(name, _)| name).collect();
    assert_eq!(names, [stands_in, &user, "keeper", "keeper"], "{history}");
}

/// The name of the user that the tests run as.
fn whoami() -> String {
    let ran = std::process::Command::new("id").arg("-un").output().expect("id runs");
    String::from_utf8_lossy(&ran.stdout).trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn direct_goes_round_it() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let daemon = Running::start(&world, NEVER).await;
    daemon.until_said("release 1 is served").await;
    operate(&world, &["history"]).await.expect(0);
    operate(&world, &["history", "--direct"]).await.expect(77);
    world.run(&["history", "--direct"]).await.expect(0);
    // The embedded clouds are others than the daemon's.
    let said = operate(&world, &["history", "--emulate"]).await.expect(64).stderr;
    assert!(said.contains("the daemon speaks to the real clouds") && said.contains("--direct"), "{said}");
    daemon.kill().await;
    operate(&world, &["history"]).await.expect(77);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_the_environment_is_the_operators() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let daemon = Running::launch_with(&world, &["--interval", NEVER], &[("REPIN_MESSAGE", "of the daemon".into())]);
    daemon.until_said("release 1 is served").await;
    let mut hold = operator(&world, &["hold", "a"]);
    hold.env("REPIN_MESSAGE", "of the operator");
    finish(hold).await.expect(0);
    let status = operate(&world, &["status", "-o", "json"]).await.expect(0).json();
    assert_eq!(status["holds"][0]["reason"], "of the operator", "{status}");
    operate(&world, &["resume", "a"]).await.expect(0);
    let said = operate(&world, &["hold", "a"]).await.expect(64);
    assert!(said.stderr.contains("--message"), "{}", said.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_ones_own_says_which_daemon_and_must_mean_the_same() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  s: { targets: [aws-eu], secret: true, value_from: { env: TEST_SECRET } }\n");
    let daemon = Running::start(&world, NEVER).await;
    daemon.until_said("release 1 is served").await;
    let daemons = world.path("repin.yaml");
    let text = std::fs::read_to_string(&daemons).expect("there");
    let run = async |text: &str, args: &[&str]| {
        let own = world.write("own/mine.yaml", text);
        let mut command = operator(&world, args);
        command.env("REPIN_FILE", own);
        finish(command).await
    };
    // The same in other words, the secret by reference.
    let same = text.replace("value: one", "value:   'one'");
    run(&same, &["plan"]).await.expect(0);
    run(&same, &["reconcile"]).await.expect(0);
    let other = text.replace("value: one", "value: two");
    for args in [&["plan"][..], &["reconcile"], &["reconcile", "--dry-run"]] {
        let said = run(&other, args).await.expect(64).stderr;
        for part in ["own/mine.yaml", daemons.to_str().expect("text"), "does not ask for the same", "--direct"] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }
    // Going back needs only the name and the targets.
    run(&other, &["rollback", "--dry-run", "1"]).await.expect(0);
    let elsewhere = text.replace("prefix: /ai/test", "prefix: /ai/other");
    for args in [&["status"][..], &["rollback", "1"], &["reconcile"]] {
        let said = run(&elsewhere, args).await.expect(64).stderr;
        assert!(said.contains("aws-eu is not at the same place") && said.contains("--direct"), "{said}");
    }
    run(&elsewhere, &["status", "--target", "azure"]).await.expect(0);
    let more = text.replace("  azure:\n", "  aws-us:\n    provider: aws-ssm\n    account: \"ACCOUNT\"\n    region: us-east-1\n    prefix: /ai/test\n  azure:\n");
    let said = run(&more.replace("ACCOUNT", ACCOUNT), &["status"]).await.expect(64).stderr;
    assert!(said.contains("aws-us is not at the same place"), "{said}");
    // Another name is none of this daemon's business.
    let strangers = run(&text.replace("name: test", "name: other"), &["history"]).await;
    assert_eq!(strangers.code, 77, "{strangers:?}");
    assert_eq!(releases(&world).await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_file_the_only_daemon_is_meant() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let daemon = Running::start(&world, NEVER).await;
    daemon.until_said("release 1 is served").await;
    std::fs::create_dir(world.path("empty")).expect("made");
    let without = async |args: &[&str]| {
        let mut command = operator(&world, args);
        command.env_remove("REPIN_FILE").current_dir(world.path("empty"));
        finish(command).await
    };
    assert!(without(&["history"]).await.expect(0).stdout.contains("reconcile"));
    assert!(without(&["reconcile"]).await.expect(0).stdout.contains("unchanged"));
    let text = std::fs::read_to_string(world.path("repin.yaml")).expect("there");
    let second = world.write(
        "second.yaml",
        &text
            .replace("name: test", "name: second")
            .replace("/ai/test", "/ai/second")
            .replace("prefix: test", "prefix: second"),
    );
    let other = Running::launch_with(&world, &["--interval", NEVER], &[("REPIN_FILE", second)]);
    other.until_said("release 1 is served").await;
    let said = without(&["history"]).await.expect(64).stderr;
    assert!(said.contains("second, test") && said.contains("-f FILE"), "{said}");
    drop(other);
    daemon.kill().await;
    let said = without(&["history"]).await.expect(64).stderr;
    assert!(said.contains("no file was given") && said.contains("repin init"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_acts_within_a_second_and_the_board_knows() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let daemon = Running::start(&world, NEVER).await;
    daemon.until_said("release 1 is served").await;
    world.entries("  a: { value: two }\n");
    daemon.until_said("release 2 is served").await;
    // A second on a machine that does nothing else; this one may be busy.
    let since = Instant::now();
    operate(&world, &["rollback", "-m", "refusals up"]).await.expect(0);
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    let status = daemon.status().await;
    assert_eq!((&status["release"], &status["verdict"]), (&json!(3), &json!(["held"])), "{status}");
    for target in ["aws-eu", "azure"] {
        assert_eq!(world.served(target, "a").await["value"], "one");
    }
    // What is lifted is released at once, though the next interval is far away.
    operate(&world, &["resume", "--all"]).await.expect(0);
    daemon.until_said("release 4 is served").await;
    assert_eq!(world.served("azure", "a").await["value"], "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_only_watches_changes_nothing_for_anybody() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    world.run(&["reconcile"]).await.expect(0);
    let daemon = Running::launch(&world, &["--interval", NEVER, "--dry-run"]);
    daemon.until("ready", async || daemon.ask("/ready").await.starts_with("HTTP/1.0 200")).await;
    world.reset();
    for args in [
        &["reconcile"][..],
        &["rollback", "1"],
        &["hold", "a", "-m", "x"],
        &["resume", "--all"],
        &["pin", "a", "--target", "aws-eu", "--version", "1"],
        &["unpin", "a"],
        &["forget", "a"],
    ] {
        let said = operate(&world, args).await.expect(64).stderr;
        assert!(said.contains("only watches (--dry-run)") && said.contains("--direct"), "{args:?}: {said}");
    }
    operate(&world, &["plan"]).await.expect(0);
    operate(&world, &["rollback", "1", "--dry-run"]).await.expect(0);
    assert_eq!(world.writes(), 0);
    world.run(&["hold", "a", "-m", "x", "--direct"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_plan_is_written_here_and_applied_there() {
    let world = World::new().await;
    world.entries(ENTRIES);
    let daemon = Running::start(&world, NEVER).await;
    daemon.until_said("release 1 is served").await;
    hand(&world).await[0].overwrite("a", "tampered").await;
    let said = operate(&world, &["plan", "--out", "my.plan"]).await.expect(0);
    assert!(said.stderr.contains("Saved; apply it with: repin reconcile --plan my.plan"), "{}", said.stderr);
    let plan = world.path("my.plan");
    assert_eq!(std::fs::metadata(&plan).expect("there").permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&plan).expect("there");
    assert!(!text.contains(SENTINEL));
    operate(&world, &["plan", "--out", "no/such/folder/plan"]).await.expect(1);
    // What somebody else makes of a plan decides no content.
    std::fs::write(world.path("forged.plan"), text.replace("\"one\"", "\"forged\"")).expect("written");
    operate(&world, &["reconcile", "--plan", "forged.plan"]).await;
    operate(&world, &["reconcile", "--plan", "my.plan"]).await.expect(0);
    assert_eq!(world.served("aws-eu", "a").await["value"], "one");
    operate(&world, &["reconcile", "--plan", "my.plan"]).await.expect(5);
    // The plan of a file that is no longer the daemon's is stale.
    world.entries(&ENTRIES.replace("one", "two"));
    daemon.until_said("release 2 is served").await;
    let said = operate(&world, &["reconcile", "--plan", "my.plan"]).await.expect(5).stderr;
    assert!(said.contains("asks for something else"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_are_both_heard() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  b: { value: one }\n  c: { value: one }\n");
    let daemon = Running::start(&world, SOON).await;
    daemon.until_said("release 1 is served").await;
    let hold = async |key: &str| operate(&world, &["hold", key, "-m", "mine"]).await.expect(0);
    tokio::join!(hold("a"), hold("b"), hold("c"), async { operate(&world, &["status"]).await.expect(0) });
    let status = operate(&world, &["status", "-o", "json"]).await.expect(0).json();
    let mut held: Vec<_> = status["holds"].as_array().expect("holds").iter().map(|hold| hold["key"].clone()).collect();
    held.sort_by_key(ToString::to_string);
    assert_eq!(held, ["a", "b", "c"], "{status}\n{}", daemon.log());
}

/// What a user may do who may open the socket, and is neither root nor the daemon's. Only root can become somebody else:
/// elsewhere this shows no more than that the daemon's own user may do it.
#[tokio::test(flavor = "multi_thread")]
async fn others_of_the_group_do_all_but_reveal_secrets() {
    let world = World::new().await;
    world.entries(ENTRIES);
    let daemon = Running::start(&world, NEVER).await;
    daemon.until_said("release 1 is served").await;
    let is_root = whoami() == "root" && others_may_run_it();
    let other = async |args: &[&str]| {
        let mut command = operator(&world, args);
        command.env_remove("REPIN_FILE").env("SUDO_USER", "ana").current_dir("/");
        if is_root {
            command.uid(65_534).gid(65_534);
        }
        finish(command).await
    };
    if !is_root {
        other(&["get", "key", "--reveal"]).await.expect(0);
        return;
    }
    let open =
        |path: &str, mode| std::fs::set_permissions(world.path(path), Permissions::from_mode(mode)).expect("set");
    for folder in [".", "state"] {
        open(folder, 0o755);
    }
    // What the group may pass through stays so, and what others may is closed again.
    std::os::unix::fs::chown(world.path("state/test"), None, Some(65_534)).expect("root may");
    open("state/test", 0o750);
    let said = other(&["history"]).await.expect(64).stderr;
    assert!(said.contains("no file was given"), "not of its group: {said}");
    open("state/test/daemon.sock", 0o666);
    other(&["get", "key"]).await.expect(0);
    let said = other(&["get", "key", "--reveal"]).await.expect(77);
    assert!(said.stderr.contains("to root and to its own user only") && !said.stdout.contains(SENTINEL), "{said:?}");
    other(&["hold", "a", "-m", "mine"]).await.expect(0);
    other(&["rollback", "1", "-m", "mine"]).await.expect(0);
    assert!(daemon.log().contains("hold by ") && !daemon.log().contains("hold by ana@"), "{}", daemon.log());
}

/// Tells whether another user gets at the program at all: where it was built may be closed to them.
fn others_may_run_it() -> bool {
    use std::os::unix::process::CommandExt as _;
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_repin"));
    let command = command.arg("--version").uid(65_534).gid(65_534).current_dir("/").stdout(std::process::Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_in_the_runtime_directory_for_the_group() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let (run, socket) = (world.path("run"), world.path("run/test/daemon.sock"));
    let here = [("RUNTIME_DIRECTORY", run.clone())];
    let daemon = Running::launch_with(&world, &["--interval", NEVER], &here);
    daemon.until_said("release 1 is served").await;
    assert_eq!((mode(&world.path("run/test")), mode(&socket)), (0o750, 0o660));
    assert!(!world.path("state/test/daemon.sock").exists());
    let elsewhere = async |args: &[&str]| {
        let mut command = operator(&world, args);
        command.env("REPIN_STATE_DIR", world.path("mine")).env("RUNTIME_DIRECTORY", &run);
        finish(command).await
    };
    elsewhere(&["history"]).await.expect(0);
    assert_eq!(elsewhere(&["status", "--probe", "live"]).await.expect(0).stdout, "live\n");
    // Another daemon, which cannot have it, does no harm to it.
    let state = world.path("other");
    let other =
        Running::launch_with(&world, &["--interval", NEVER, "--state-dir", state.to_str().expect("text")], &here);
    other.until_said("the control socket cannot be here").await;
    other.until("beside its state", async || state.join("test/daemon.sock").exists()).await;
    elsewhere(&["history"]).await.expect(0);
    drop(other);
    // One that was killed leaves its socket, which is no obstacle to the next, nor to anybody who asks.
    daemon.kill().await;
    assert!(socket.exists());
    elsewhere(&["history"]).await.expect(77);
    let daemon = Running::launch_with(&world, &["--interval", NEVER], &here);
    daemon.until("there again", async || elsewhere(&["history"]).await.code == 0).await;
    daemon.stop().await;
    assert!(!socket.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_too_long_is_said_and_the_next_is_taken() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let long = [("XDG_RUNTIME_DIR", world.path(&"x".repeat(120)))];
    let daemon = Running::launch_with(&world, &["--interval", NEVER], &long);
    daemon.until_said("at most 107 bytes").await;
    daemon.until("beside the state", async || daemon.ask("/live").await.starts_with("HTTP/1.0 200")).await;
}
