//! The table of faults and commands.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use repin_emulator::FaultKind;

use crate::case::Case;
use crate::command::Command;
use crate::judge::Judged;

/// What came of all cases.
#[derive(Default)]
pub(crate) struct Table(BTreeMap<FaultKind, BTreeMap<Command, Cell>>);

/// What came of one kind of fault in one command.
#[derive(Default)]
struct Cell {
    cases: u64,
    injected: u64,
    lost: u64,
    wrong: u64,
    exits: BTreeSet<u8>,
}

impl Table {
    pub(crate) fn of(results: &[(Case, Judged)]) -> Self {
        let mut table = Self::default();
        for (case, judged) in results {
            let cell = table.0.entry(case.kind).or_default().entry(case.command).or_default();
            cell.cases += 1;
            cell.injected += judged.injected;
            cell.lost += judged.lost;
            cell.wrong += u64::from(!judged.wrong.is_empty());
            cell.exits.insert(judged.exit);
        }
        table
    }

    fn sum(&self, of: impl Fn(&Cell) -> u64) -> u64 {
        self.0.values().flat_map(BTreeMap::values).map(of).sum()
    }

    /// Writes what was played, by which command, and one row for each fault: how often it was met, what was lost, and with
    /// what each command ended.
    pub(crate) fn markdown(&self, seed: u64, draws: u64) -> String {
        let (cases, met) = (self.sum(|cell| cell.cases), self.sum(|cell| cell.injected));
        let (lost, wrong) = (self.sum(|cell| cell.lost), self.sum(|cell| cell.wrong));
        let names = Command::ALL.map(Command::name).join(" | ");
        let mut text = format!(
            "{cases} cases, in which {met} requests met a fault. Contents lost: {lost}. Cases with anything else that is \
             wrong: {wrong}.\n\n    REPIN_FAULT_SEED={seed} tests/run faults {draws}\n\n| fault | cases | met | lost | {names} \
             |\n|-|-:|-:|-:|{}\n",
            "-|".repeat(Command::ALL.len())
        );
        for (kind, cells) in &self.0 {
            let sum = |of: fn(&Cell) -> u64| cells.values().map(of).sum::<u64>();
            let told = Command::ALL.map(|command| cells.get(&command).map_or_else(|| "-".to_owned(), Cell::told));
            let (cases, met, lost) = (sum(|cell| cell.cases), sum(|cell| cell.injected), sum(|cell| cell.lost));
            text.push_str(&format!("| {kind} | {cases} | {met} | {lost} | {} |\n", told.join(" | ")));
        }
        text
    }
}

impl Cell {
    fn exits(&self) -> String {
        self.exits.iter().map(u8::to_string).collect::<Vec<_>>().join(" ")
    }

    fn told(&self) -> String {
        format!("{}: {}", self.injected, self.exits())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:22} {:10} {:>5} {:>8} {:>4} exits seen", "fault", "command", "cases", "injected", "lost")?;
        for (kind, cells) in &self.0 {
            for (command, cell) in cells {
                let Cell { cases, injected, lost, .. } = cell;
                let (name, exits) = (command.name(), cell.exits());
                writeln!(f, "{kind:22} {name:10} {cases:>5} {injected:>8} {lost:>4} {exits}")?;
            }
        }
        Ok(())
    }
}
