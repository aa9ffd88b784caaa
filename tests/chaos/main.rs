//! Chaos from a seed: random configurations, edits, releases, rollbacks, crashes, rivals and faults, in this process and
//! under a clock that runs ahead. Then the faults stop, and the guarantees are looked at.
//!
//! `REPIN_CHAOS_SEED=N` plays one seed and tells its story (`REPIN_CHAOS_SHRINKS=0`: as it was drawn); `REPIN_CHAOS_SEEDS=N` plays so many, from
//! `REPIN_CHAOS_FROM` on, and prints what they met (`tests/run chaos N`); `REPIN_CHAOS_TABLE=PATH` writes that into a page
//! too, which is `tests/faults/README.md`.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(clippy::print_stdout, reason = "figures are there to be read")]

mod book;
mod end;
mod found;
mod gate;
mod honest;
mod mortal;
#[path = "../support/page.rs"]
mod page;
mod play;
mod readers;
mod stage;
mod storm;
mod story;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/wire.rs"]
mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::play::{Tally, Wrong};
use crate::story::Story;

/// How many seeds are played unless told otherwise.
const SEEDS: u64 = 500;

/// Seeds whose finding is not mended yet: they are told to be left out, and `REPIN_CHAOS_SEED` plays them all the same.
const OPEN: [u64; 0] = [];

/// How many smaller stories are tried before a failing one is told.
const SHRINKS: u64 = 300;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Plays one story on a runtime of its own, whose clock runs ahead whenever nothing else is to be done.
fn play(story: &Story) -> Result<Tally, Wrong> {
    // Waits are spread by this generator, in the product and in the AWS SDK.
    fastrand::seed(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let run = || runtime.expect("a runtime").block_on(play::play(story));
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        Err(format!("a panic: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("without words")))
    })
}

/// Makes a failing story as small as it gets.
fn shrink(story: Story, wrong: Wrong) -> (Story, Wrong) {
    let (mut story, mut wrong) = (story, wrong);
    let mut left = number("REPIN_CHAOS_SHRINKS").unwrap_or(SHRINKS);
    'again: loop {
        for smaller in story.smaller() {
            if left == 0 {
                return (story, wrong);
            }
            left -= 1;
            if let Err(still) = play(&smaller) {
                (story, wrong) = (smaller, still);
                continue 'again;
            }
        }
        return (story, wrong);
    }
}

fn play_seed(seed: u64) -> Tally {
    let story = Story::draw(seed);
    play(&story).unwrap_or_else(|first| {
        let (story, wrong) = shrink(story, first.clone());
        panic!("seed {seed}: {wrong}\n\nin {story:#?}\n\nas drawn: {first}\n\nREPIN_CHAOS_SEED={seed} plays it again");
    })
}

/// Plays every seed of a share, all threads of this process together taking them one by one.
fn play_seeds(seeds: std::ops::Range<u64>, threads: usize) -> (Tally, Vec<String>) {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let (mut tally, mut lost) = (Tally::default(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= seeds.end {
                return (tally, lost);
            }
            if OPEN.contains(&seed) {
                println!("seed {seed} is left out: what it found is not mended yet");
                continue;
            }
            match catch_unwind(|| play_seed(seed)) {
                Ok(played) => tally.add(&played),
                Err(panic) => lost.push(panic.downcast_ref::<String>().cloned().unwrap_or_default()),
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = (Tally::default(), Vec::new());
        for thread in threads {
            let (tally, mut lost) = thread.join().expect("it catches its panics");
            all.0.add(&tally);
            all.1.append(&mut lost);
        }
        all
    })
}

fn print(tally: &Tally, seeds: u64, lost: usize) {
    println!(
        "{seeds} seeds: {} runs, {} crashes, {} rivals' acts, {} ended stuck",
        tally.runs, tally.crashes, tally.deeds, tally.stuck
    );
    println!("{:<24} {:>9}", "fault", "met");
    for (kind, met) in &tally.faults {
        println!("{kind:<24} {met:>9}");
    }
    println!("{:<24} {:>9}", "exit code", "seen");
    for (exit, seen) in &tally.exits {
        println!("{exit:<24} {seen:>9}");
    }
    println!("lost: {lost}");
}

/// Writes what a page says of a run: what it was, what it met and what was lost.
fn markdown(tally: &Tally, seeds: &std::ops::Range<u64>, left_out: usize, lost: usize) -> String {
    let (from, count) = (seeds.start, seeds.end - seeds.start);
    let met: u64 = tally.faults.values().sum();
    let exits: Vec<_> = tally.exits.iter().map(|(exit, seen)| format!("{exit} {seen} times")).collect();
    let mut text = format!(
        "{count} seeds from {from} on, {left_out} of them left out: {} runs of commands and daemons, {} crashes, {} acts of \
         rivals, {met} requests that met a fault. Stories with something lost or untrue: {lost}. Exit codes: {}.\n\n    \
         REPIN_CHAOS_FROM={from} tests/run chaos {count}\n\n| fault | met |\n|-|-:|\n",
        tally.runs,
        tally.crashes,
        tally.deeds,
        exits.join(", "),
    );
    for kind in repin_emulator::FaultKind::ALL {
        text.push_str(&format!("| {kind} | {} |\n", tally.faults.get(kind.name()).unwrap_or(&0)));
    }
    text
}

/// What `tests/run` plays is played in two parts, which may run side by side.
fn part(nth: u64) {
    if let Some(seed) = number("REPIN_CHAOS_SEED") {
        if nth == 0 {
            println!("{:#?}", Story::draw(seed));
            play_seed(seed);
        }
        return;
    }
    let told = number("REPIN_CHAOS_SEEDS");
    if told.is_some() && nth > 0 {
        return;
    }
    let from = number("REPIN_CHAOS_FROM").unwrap_or(0);
    let (seeds, threads) = match told {
        Some(seeds) => (from..from + seeds, std::thread::available_parallelism().map_or(1, usize::from)),
        None => (from + nth * SEEDS / 2..from + (nth + 1) * SEEDS / 2, 1),
    };
    let (began, count) = (Instant::now(), seeds.end - seeds.start);
    let (tally, lost) = play_seeds(seeds.clone(), threads);
    print(&tally, count, lost.len());
    if let Some(path) = std::env::var_os("REPIN_CHAOS_TABLE").filter(|_| nth == 0) {
        let left_out = OPEN.iter().filter(|seed| seeds.contains(seed)).count();
        page::rewrite(path.as_ref(), "chaos", &markdown(&tally, &seeds, left_out, lost.len()));
    }
    println!("{:.1} s", began.elapsed().as_secs_f64());
    for story in &lost {
        println!("\n{story}");
    }
    assert!(lost.is_empty(), "{} of {count} seeds", lost.len());
}

#[test]
fn slow_the_first_half_of_the_seeds() {
    part(0);
}

#[test]
fn slow_the_second_half_of_the_seeds() {
    part(1);
}

/// A seed that fails has to fail again.
#[test]
fn a_seed_is_played_the_same_twice() {
    for seed in 0..6 {
        let story = Story::draw(seed);
        assert_eq!(play(&story), play(&story), "seed {seed}");
    }
}
