//! Every kind of fault at some request of every command, on either cloud: what is said about it, and what is left once
//! it is over.
//!
//! In this process, under a clock that runs ahead; the commands are those of the program, carried out as a daemon does
//! for its peers. Which request meets the fault, and whether later ones do too, is drawn from `REPIN_FAULT_SEED`
//! (default 1); `REPIN_FAULT_DRAWS` is how often that is done for each pair (default: once for every twelfth pair,
//! others with each seed). `REPIN_FAULT_ONLY=FAULT:COMMAND` plays that pair alone, `REPIN_FAULT_TABLE=PATH` writes the table
//! into that page, which is `tests/faults/README.md` (`tests/run faults`).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "the table is there to be read")]

mod case;
mod command;
mod judge;
#[path = "../support/page.rs"]
mod page;
mod stage;
mod stores;
mod table;
#[path = "../support/wire.rs"]
mod wire;

use std::collections::BTreeMap;
use std::sync::Mutex;

use repin_emulator::FaultKind;

use self::case::{Case, Expected, all_cases, pairs};
use self::command::Command;
use self::stage::{World, play};
use self::table::Table;

/// Reads a number from the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Does something with each of some things, several at a time, each in a world of its own.
fn each<T: Send, R: Send>(things: Vec<T>, work: impl AsyncFn(&World, T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    let (open, done) = (Mutex::new(things.into_iter().enumerate()), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            // The futures of whole commands are large where nothing is optimized.
            let thread = std::thread::Builder::new().stack_size(64 << 20);
            let works = thread.spawn_scoped(scope, || {
                play(async || {
                    let world = World::start().await;
                    loop {
                        let next = open.lock().unwrap().next();
                        let Some((n, thing)) = next else { break };
                        let result = work(&world, thing).await;
                        done.lock().unwrap().insert(n, result);
                    }
                });
            });
            works.expect("a thread");
        }
    });
    done.into_inner().unwrap().into_values().collect()
}

#[test]
fn slow_each_fault_in_each_command() {
    let seed = number("REPIN_FAULT_SEED").unwrap_or(1);
    let pairs = pairs();
    let usual = each(pairs.clone(), async |world, (command, forms)| Expected::of(world, command, forms).await);
    let usual: BTreeMap<_, _> = pairs.into_iter().zip(usual).collect();
    let cases = all_cases(seed, number("REPIN_FAULT_DRAWS"), &usual);
    let results = each(cases, async |world, case: Case| {
        let judged = case.play(world, &usual[&(case.command, case.forms)]).await;
        (case, judged)
    });
    let table = Table::of(&results);
    println!("{table}");
    if let Some(path) = std::env::var_os("REPIN_FAULT_TABLE") {
        page::rewrite(path.as_ref(), "faults", &table.markdown(seed, number("REPIN_FAULT_DRAWS").unwrap_or(0)));
    }
    let wrong: Vec<_> = results.iter().filter(|(_, judged)| !judged.wrong.is_empty()).collect();
    for (case, judged) in &wrong {
        println!("\n{case}\n{judged}");
    }
    assert!(wrong.is_empty(), "{} of {} cases went wrong", wrong.len(), results.len());
}

/// A fault or a command that is added has to be played too before the page can say what comes of it.
#[test]
fn the_page_has_every_fault_and_every_command() {
    let text = std::fs::read_to_string(page::FAULTS).unwrap();
    let kinds = FaultKind::ALL.map(FaultKind::name);
    let faults = page::part(&text, "faults");
    let head = faults.lines().find(|line| line.starts_with("| fault")).expect("a table");
    let commands = Command::ALL.map(Command::name);
    assert_eq!(head, format!("| fault | cases | met | lost | {} |", commands.join(" | ")));
    let rows = page::rows(faults);
    assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), kinds, "one row for each, in their order");
    for row in &rows {
        let [cases, met, lost] = [1, 2, 3].map(|cell| row[cell].parse::<u64>().expect("a number"));
        assert!(met >= cases && cases > 0 && lost == 0, "{row:?}");
    }
    for (n, command) in commands.iter().enumerate() {
        assert!(rows.iter().any(|row| row[4 + n] != "-"), "{command} met nothing");
    }
    let chaos = page::rows(page::part(&text, "chaos"));
    assert_eq!(chaos.iter().map(|row| row[0]).collect::<Vec<_>>(), kinds, "one row for each, in their order");
    for row in &chaos {
        row[1].parse::<u64>().expect("a number");
    }
}
