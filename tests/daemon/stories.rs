//! What happens around a daemon in an ordinary month.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use repin_emulator::Fault;
use serde_json::json;

use crate::running::{NEVER, Running, SOON, releases, several_passes};
use crate::support::World;

/// How much slower than on an idle machine everything may be where all tests run at once.
const SLACK: u32 = 10;
/// From the event of the file to the first request, and from the last answer to having served, on an idle machine.
const OWN_TIME: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_served_soon() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  b: { value: one }\n");
    let daemon = Running::start(&world, NEVER).await;
    daemon.until_said("release 1 is served").await;
    let mut reactions = Vec::new();
    for n in 2..=6 {
        let arrivals = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&arrivals);
        world.faults(move |_| {
            seen.lock().unwrap().push(Instant::now());
            Fault::None
        });
        let new =
            world.write("new", &format!("{}entries:\n  a: {{ value: v{n} }}\n  b: {{ value: v{n} }}\n", world.head()));
        let event = Instant::now();
        std::fs::rename(new, world.path("repin.yaml")).expect("renamed");
        daemon.until_said(&format!("release {n} is served")).await;
        let arrivals = arrivals.lock().unwrap().clone();
        let first = arrivals.first().expect("requests were sent").duration_since(event);
        let last = arrivals.last().expect("requests were sent").duration_since(event);
        println!("first request {first:?}, last of {} {last:?} after the event", arrivals.len());
        reactions.push(first);
    }
    reactions.sort_unstable();
    // The file is left to rest for a moment before it is read: less would be to read it half-way through a checkout.
    assert!(reactions[0] >= Duration::from_millis(100), "{reactions:?}");
    assert!(reactions[0] < OWN_TIME, "the fastest of five: {reactions:?}");
    assert!(reactions[4] < OWN_TIME * SLACK, "{reactions:?}");
    for target in ["aws-eu", "azure"] {
        assert_eq!(world.served(target, "b").await["value"], "v6");
    }
}

fn git(folder: &Path, args: &[&str]) {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=Ana", "-c", "user.email=ana@example.com", "-c", "commit.gpgsign=false"]);
    git.args(args).current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    let done = git.output().expect("git is there");
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Writes one commit of a repository: a file that refers to twenty others, all of which say which commit this is.
fn commit(world: &World, version: &str) {
    for n in 0..20 {
        world.write(&format!("work/prompts/p{n}.md"), &format!("prompt {n} of {version}"));
    }
    world.write(&format!("work/prompts/only-{version}.md"), "comes and goes");
    let entries =
        format!("  model: {{ value: {version} }}\n  prompts/*: {{ value_from: {{ files: \"prompts/**/*.md\" }} }}\n");
    world.write("work/repin.yaml", &format!("{}entries:\n{entries}", world.head()));
    git(&world.path("work"), &["add", "-A"]);
    git(&world.path("work"), &["commit", "-q", "-m", version]);
    git(&world.path("work"), &["tag", version]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_of_another_commit_is_one_release() {
    let world = World::new().await;
    std::fs::create_dir(world.path("work")).expect("made");
    git(&world.path("work"), &["init", "-q"]);
    commit(&world, "v1");
    std::fs::remove_file(world.path("work/prompts/only-v1.md")).expect("removed");
    commit(&world, "v2");
    git(&world.path("work"), &["checkout", "-q", "v1"]);
    let environment = [("REPIN_FILE", world.path("work/repin.yaml"))];
    let daemon = Running::launch_with(&world, &["--interval", NEVER], &environment);
    daemon.until_said("release 1 is served: 22 on aws-eu, 22 on azure").await;
    git(&world.path("work"), &["checkout", "-q", "v2"]);
    daemon.until_said("release 2 is served: 23 on aws-eu, 23 on azure").await;
    several_passes().await;
    std::fs::copy(world.path("work/repin.yaml"), world.path("repin.yaml")).expect("copied");
    assert_eq!(releases(&world).await, [2, 1]);
    for target in ["aws-eu", "azure"] {
        assert_eq!(world.served(target, "prompts/p19").await["value"], "prompt 19 of v2");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_on_another_host_stands() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  b: { value: one }\n");
    let daemon = Running::start(&world, SOON).await;
    daemon.until_said("release 1 is served").await;
    world.entries("  a: { value: two }\n  b: { value: one }\n");
    daemon.until_said("release 2 is served").await;
    let mut elsewhere = world.command(&["rollback", "-m", "refusals up"]);
    let rolled = elsewhere.env("REPIN_STATE_DIR", world.path("elsewhere")).output().await.expect("runs");
    assert_eq!(rolled.status.code(), Some(0), "{}", String::from_utf8_lossy(&rolled.stderr));
    daemon.until("noticed", async || daemon.said("held: a stays at release 1") == 2).await;
    world.reset();
    several_passes().await;
    assert_eq!(world.writes(), 0, "{}", daemon.log());
    for target in ["aws-eu", "azure"] {
        assert_eq!(world.served(target, "a").await["value"], "one");
    }
    assert_eq!(daemon.status().await["verdict"], json!(["held"]));
    // What is not held goes on.
    world.entries("  a: { value: two }\n  b: { value: two }\n");
    daemon.until_said("release 4 is served: 1 on aws-eu, 1 on azure").await;
}
