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

/// What came of many seeds.
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Played {
    tally: Tally,
    /// What is told of each story in which something was lost or untrue.
    lost: Vec<String>,
}

impl Played {
    fn add(&mut self, mut other: Self) {
        self.tally.add(&other.tally);
        self.lost.append(&mut other.lost);
    }
}

/// Plays seeds one by one.
fn play_seeds(seeds: impl Iterator<Item = u64>) -> Played {
    let mut played = Played::default();
    for seed in seeds {
        if OPEN.contains(&seed) {
            println!("seed {seed} is left out: what it found is not mended yet");
            continue;
        }
        match catch_unwind(|| play_seed(seed)) {
            Ok(tally) => played.tally.add(&tally),
            Err(panic) => played.lost.push(panic.downcast_ref::<String>().cloned().unwrap_or_default()),
        }
    }
    played
}

/// Names to one of several processes which seeds are its own: `0/2` every second, from the first on.
const SHARE: &str = "REPIN_CHAOS_SHARE";

/// What a process that plays a share says its figures behind.
const FIGURES: &str = "figures: ";

fn share() -> Option<(usize, usize)> {
    let share = std::env::var(SHARE).ok()?;
    let (nth, of) = share.split_once('/')?;
    Some((nth.parse().ok()?, of.parse().ok()?))
}

/// Plays seeds on every core, in a process for each: what paces requests to an account is one for all of a process, and two
/// stories at once, each under a clock of its own, would be played differently each time.
fn play_on_all_cores() -> Played {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let start = |nth: usize| {
        let program = std::env::current_exe().expect("a program");
        let test = ["--nocapture", "--exact", "slow_the_first_half_of_the_seeds"];
        let mut command = std::process::Command::new(program);
        command.args(test).env(SHARE, format!("{nth}/{cores}")).stdout(std::process::Stdio::piped());
        command.spawn().expect("this program starts")
    };
    let children: Vec<_> = (0..cores).map(start).collect();
    let mut all = Played::default();
    for child in children {
        let said = String::from_utf8(child.wait_with_output().expect("it ends").stdout).expect("text");
        let figures = said.lines().find_map(|line| Some(line.split_once(FIGURES)?.1));
        all.add(serde_json::from_str(figures.unwrap_or_else(|| panic!("{said}"))).expect("figures"));
    }
    all
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
    let seeds = match told {
        Some(seeds) => from..from + seeds,
        None => from + nth * SEEDS / 2..from + (nth + 1) * SEEDS / 2,
    };
    if let Some((nth, of)) = share() {
        let played = play_seeds(seeds.skip(nth).step_by(of));
        println!("{FIGURES}{}", serde_json::to_string(&played).expect("figures"));
        return;
    }
    let (began, count) = (Instant::now(), seeds.end - seeds.start);
    let Played { tally, lost } = if told.is_some() { play_on_all_cores() } else { play_seeds(seeds.clone()) };
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
