//! kill -9 at random moments of a daemon at work: the next one ends where an undisturbed one would have.
//!
//! `REPIN_KILLS` kills another number of times in all.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::RngExt as _;

use crate::running::{NEVER, Running};
use crate::support::{SENTINEL, World, hand};

/// How often is killed in all.
const KILLS: u32 = 200;
/// Daemons that are killed side by side, each with clouds of its own.
const WORLDS: u32 = 8;
/// The most kills between two looks at what came of them.
const IN_A_ROW: u32 = 8;
/// How long a daemon that has nothing more to ask is left alone before it is killed all the same.
const PATIENCE: Duration = Duration::from_secs(1);

/// The entries that edits change; the secret is on one target only.
const KEYS: [&str; 4] = ["a", "b", "c", "token"];

/// How often each entry was changed; its value says so.
type Edition = BTreeMap<&'static str, u32>;

fn entries(edition: &Edition) -> String {
    let entry = |(key, change): (&&str, &u32)| match *key {
        "token" => format!("  {key}: {{ targets: [aws-eu], secret: true, value_from: {{ file: token-{change} }} }}\n"),
        _ => format!("  {key}: {{ value: {} }}\n", value(key, *change)),
    };
    edition.iter().map(entry).collect()
}

fn value(key: &str, change: u32) -> String {
    if key == "token" { format!("{SENTINEL}-{change}") } else { format!("{key}-{change}") }
}

/// Changes some entries, at least one, and what the file asks for with it.
fn edit(world: &World, edition: &mut Edition) {
    let always = KEYS[rand::rng().random_range(0..KEYS.len())];
    for (key, change) in edition.iter_mut() {
        if *key == always || rand::rng().random_bool(0.3) {
            *change += 1;
        }
    }
    let token = edition["token"];
    world.write(&format!("token-{token}"), &value("token", token));
    // As an editor does it: what is read is the old file or the new one.
    let new = world.write("repin.yaml.new", &format!("{}entries:\n{}", world.head(), entries(edition)));
    std::fs::rename(new, world.path("repin.yaml")).expect("renamed");
}

fn requests(world: &World) -> u64 {
    world.emulator.counters().snapshot().values().sum()
}

/// Kills a daemon at a random moment: some requests from now, and up to a few milliseconds later.
async fn kill(world: &World, daemon: Running) {
    let (until, later) = (rand::rng().random_range(0..25), rand::rng().random_range(0..4000));
    let (before, since) = (requests(world), Instant::now());
    while requests(world) < before + until && since.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_micros(later)).await;
    daemon.kill().await;
}

/// Lets a daemon go on until it has nothing more to do, then compares everything with what an undisturbed one leaves.
async fn check(world: &World, daemon: &Running, edition: &Edition) {
    let current = async || {
        let status = daemon.status().await;
        status["verdict"] == serde_json::json!(["ok"]) && status["file"] == "current"
    };
    daemon.until("all is served", current).await;
    let hands = hand(world).await;
    for (key, change) in edition {
        for (hand, target) in hands.iter().zip(["aws-eu", "azure"]) {
            if *key == "token" && target == "azure" {
                continue;
            }
            let case = format!("{key} on {target} after {edition:?}\n{}", daemon.log());
            assert_eq!(hand.versions(key).await, *change as usize, "one native version for each change: {case}");
            assert_eq!(world.served(target, key).await["value"], value(key, *change), "{case}");
        }
    }
    world.reset();
    // Another host, which knows the ledgers alone, finds nothing to do.
    let elsewhere = world.path("elsewhere");
    let mut plan = world.command(&["plan", "--detailed-exitcode"]);
    let plan = plan.env("REPIN_STATE_DIR", &elsewhere).output().await.expect("runs");
    assert_eq!(plan.status.code(), Some(0), "{}\n{}", String::from_utf8_lossy(&plan.stdout), daemon.log());
    std::fs::remove_dir_all(&elsewhere).expect("removed");
    assert_eq!(world.writes(), 0, "{}", daemon.log());
}

/// Kills daemons of one world, one after the other.
async fn kill_often(times: u32) {
    let world = World::new().await;
    let mut edition: Edition = KEYS.map(|key| (key, 0)).into();
    KEYS.iter().for_each(|key| *edition.get_mut(key).expect("there") += 1);
    world.write("token-1", &value("token", 1));
    world.entries(&entries(&edition));
    let mut daemon = Running::start(&world, NEVER).await;
    check(&world, &daemon, &edition).await;
    let mut left = times;
    while left > 0 {
        edit(&world, &mut edition);
        let row = rand::rng().random_range(1..=IN_A_ROW).min(left);
        for n in 0..row {
            kill(&world, daemon).await;
            if rand::rng().random_bool(0.1) {
                world.lose_state();
            }
            daemon = Running::launch(&world, &["--interval", NEVER]);
            if n + 1 == row {
                daemon.until("ready", async || daemon.ask("/ready").await.starts_with("HTTP/1.0 200")).await;
            }
        }
        left -= row;
        check(&world, &daemon, &edition).await;
    }
    assert_eq!(daemon.stop().await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_two_hundred_kills_leave_what_no_kill_leaves() {
    let kills = std::env::var("REPIN_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let began = Instant::now();
    futures::future::join_all((0..WORLDS).map(|n| kill_often((kills + n) / WORLDS))).await;
    println!("{kills} kills in {:.1} s", began.elapsed().as_secs_f64());
}
