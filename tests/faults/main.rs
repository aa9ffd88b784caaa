//! Every kind of fault at some request of every command, on either cloud: what is said about it, and what is left once
//! it is over.
//!
//! In this process, under a clock that runs ahead; the commands are those of the program, carried out as a daemon does
//! for its peers. Which request meets the fault, and whether later ones do too, is drawn from `REPIN_FAULT_SEED`
//! (default 1); `REPIN_FAULT_DRAWS` is how often that is done for each pair (default: once for every twelfth pair,
//! others with each seed). `REPIN_FAULT_ONLY=FAULT:COMMAND` plays that pair alone, `REPIN_FAULT_TABLE=PATH` writes the table
//! there as Markdown.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "the table is there to be read")]

mod case;
mod command;
mod judge;
mod stage;
mod stores;
mod table;
#[path = "../support/wire.rs"]
mod wire;

use std::collections::BTreeMap;
use std::sync::Mutex;

use self::case::{Case, Expected, all_cases, pairs};
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
        std::fs::write(path, table.markdown()).expect("written");
    }
    let wrong: Vec<_> = results.iter().filter(|(_, judged)| !judged.wrong.is_empty()).collect();
    for (case, judged) in &wrong {
        println!("\n{case}\n{judged}");
    }
    assert!(wrong.is_empty(), "{} of {} cases went wrong", wrong.len(), results.len());
}
