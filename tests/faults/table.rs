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
            cell.exits.insert(judged.exit);
        }
        table
    }

    /// Writes one row for each fault: how often it was met, what was lost, and with what each command ended.
    pub(crate) fn markdown(&self) -> String {
        let names = Command::ALL.map(Command::name).join(" | ");
        let mut text = format!("| fault | cases | met | lost | {names} |\n|-|-:|-:|-:|{}\n", "-|".repeat(14));
        for (kind, cells) in &self.0 {
            let sum = |of: fn(&Cell) -> u64| cells.values().map(of).sum::<u64>();
            let exits = Command::ALL.map(|command| cells.get(&command).map(Cell::exits).unwrap_or_default());
            let (cases, met, lost) = (sum(|cell| cell.cases), sum(|cell| cell.injected), sum(|cell| cell.lost));
            text.push_str(&format!("| {kind} | {cases} | {met} | {lost} | {} |\n", exits.join(" | ")));
        }
        text
    }
}

impl Cell {
    fn exits(&self) -> String {
        self.exits.iter().map(u8::to_string).collect::<Vec<_>>().join(" ")
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
