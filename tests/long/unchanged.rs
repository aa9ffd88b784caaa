//! Nothing changes, for a long time: the daemon sends what the budget allows and leaves everything as it is.

use std::time::{Duration, Instant};

use crate::is_full;
use crate::scene::{MINUTE, Scene, play};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How much more memory may be in use at the end than half-way; the log of the stores, which is bounded, and what an
/// allocator does by itself are less.
const GROWTH_KB: u64 = 6 * 1024;

/// What a long run came to.
#[derive(Debug)]
struct Ran {
    /// Looks at each store.
    looks: [u64; 2],
    /// Requests to each store.
    requests: [u64; 2],
    /// Memory half-way and at the end, in kB.
    memory_kb: [u64; 2],
}

fn entries(count: usize) -> String {
    let entry =
        |n| format!("  chat/service-{n:05}/config: {{ value: {{ model: gpt-4o, temperature: 0.2, seat: {n} }} }}\n");
    (0..count).map(entry).collect()
}

/// Returns the memory that this process has for itself, in kB.
fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a Linux system");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("the kernel tells");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Releases some entries, then lets time pass while nothing changes.
async fn run(count: usize, interval: Duration, passes: u32) -> Ran {
    let scene = Scene::new(&entries(count)).await;
    let began = Instant::now();
    let ran = scene
        .with_daemon(interval, async |_| {
            scene.until_said("release 1 is served").await;
            // The first looks still learn something.
            tokio::time::sleep(interval * 3).await;
            let lines = scene.lines();
            let looks = [scene.aws.looks(), scene.azure.looks()];
            scene.emulator.counters().reset();
            tokio::time::sleep(interval * (passes / 2)).await;
            let memory = resident_kb();
            tokio::time::sleep(interval * (passes - passes / 2)).await;
            assert_eq!(scene.writes(), 0);
            assert_eq!(scene.lines(), lines, "no line where nothing happens: {}", scene.log());
            let counters = scene.emulator.counters();
            Ran {
                looks: [scene.aws.looks() - looks[0], scene.azure.looks() - looks[1]],
                requests: [counters.total("ssm"), counters.total("appconfig")],
                memory_kb: [memory, resident_kb()],
            }
        })
        .await;
    println!("{count} entries, {passes} intervals of {interval:?}: {ran:?}, {:.1} s", began.elapsed().as_secs_f64());
    let entries = u64::try_from(count).expect("few");
    let budget = [entries.div_ceil(10) + 1, entries.div_ceil(100) + 2];
    for ((looks, requests), budget) in ran.looks.into_iter().zip(ran.requests).zip(budget) {
        // A wait may be off by a tenth, either way, and on the average is not.
        let (looks, passes) = (looks as f64, f64::from(passes));
        assert!((looks - passes).abs() <= 2.0 + passes * 0.02 + passes.sqrt(), "a look an interval: {ran:?}");
        let per_look = requests as f64 / looks;
        assert!(per_look <= budget as f64 + 0.5, "{per_look} requests a look, the budget is {budget}: {ran:?}");
        assert!(per_look >= budget as f64 - 1.5, "{per_look} requests a look cannot see everything: {ran:?}");
    }
    assert!(ran.memory_kb[1] < ran.memory_kb[0] + GROWTH_KB, "memory grows: {ran:?}");
    ran
}

#[test]
fn slow_thirty_days_of_nothing() {
    let interval = if is_full() { MINUTE } else { MINUTE * 360 };
    let passes = 30 * DAY.as_secs() / interval.as_secs();
    play(async || run(200, interval, u32::try_from(passes).expect("few")).await);
}

#[test]
fn slow_two_hundred_passes_of_many_entries() {
    let count = if is_full() { 10_000 } else { 100 };
    play(async || run(count, MINUTE, 200).await);
}
