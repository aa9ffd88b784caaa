//! Text for people. Styles are written as escape codes; the stream that prints them drops them where it must.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anstyle::Style;
use repin_provider::{Key, RequestCounts, TargetName, Version};
use unicode_width::UnicodeWidthStr as _;

pub use super::screen::status;
use super::table::{Cell, Table, columns};
pub use super::wish::{wish_outcome, wish_plan};
use super::words::{
    self, BAD, BEHIND, CHANGED, FAINT, GOOD, Mark, STRONG, counted, glyph, intent, line, short, styled, when, wrap,
};
use super::{Trouble, way_out};
use crate::difference::{Content, Difference, Differs};
use crate::exit;
use crate::history::{KeyVersion, Release, ReleaseTarget, TargetHistory};
use crate::model::observed::FileStanding;
use crate::model::outcome::{Outcome, StepOutcome, StepResult, Verdict};
use crate::model::plan::{Change, Plan, Reason, StepAction};
use crate::model::printable;
use crate::model::problem::Location;
use crate::model::release::{RowAction, State};

/// The most characters of an old and a new value together that are shown side by side.
const ONE_LINE: usize = 60;

/// Describes a plan. Tables are fit into `width` columns, here and below.
pub fn plan(name: &str, plan: &Plan, width: usize) -> String {
    let mut out = String::new();
    line(&mut out, &styled(STRONG, &words::heading(name, plan)));
    out.push_str(&steps(plan, width));
    held_lines(&mut out, plan, width);
    drift_lines(&mut out, plan);
    for foreign in words::foreign_lines(name, plan) {
        line(&mut out, &styled(FAINT, &foreign));
    }
    if plan.file == FileStanding::Behind {
        line(&mut out, &styled(BAD, &wrap(BEHIND, width)));
    }
    let summary = match plan.blocks.len() as u64 {
        0 => words::plan_summary(plan),
        n => styled(BAD, &format!("Refused for {}: nothing is written.", counted(n, "reason"))),
    };
    line(&mut out, &wrap(&summary, width));
    out
}

/// Writes the steps of a plan as a table.
pub(super) fn steps(plan: &Plan, width: usize) -> String {
    let targets: Vec<_> = plan.targets.keys().collect();
    let mut table = Table::new(&targets);
    for ((_, key), steps) in &words::rows(plan) {
        let cells = steps.iter().map(|(target, step)| (*target, intent(step))).collect();
        let marks: BTreeSet<_> = steps.iter().map(|(_, step)| Mark::of(step)).collect();
        let notes = notes(steps.iter().map(|(target, step)| (*target, step.changes.as_slice(), Some(step.reason))));
        table.row(glyph(&marks), key.as_str(), cells, notes);
    }
    table.finish(width)
}

fn held_lines(out: &mut String, plan: &Plan, width: usize) {
    for held in words::held_lines(plan) {
        line(out, &styled(CHANGED, &wrap(&held, width)));
    }
}

fn drift_lines(out: &mut String, plan: &Plan) {
    for drifted in words::drift_lines(plan) {
        line(out, &styled(CHANGED, &format!("! {drifted}")));
    }
}

/// Describes what a pass did.
pub fn outcome(name: &str, outcome: &Outcome, width: usize) -> String {
    let mut out = String::new();
    let verdict = exit::verdict(outcome);
    if verdict == Verdict::Unchanged {
        drift_lines(&mut out, &outcome.plan);
        line(&mut out, &format!("{name}: unchanged, {}.", words::all_equal(&outcome.plan.summary(), &outcome.plan)));
        return out;
    }
    out.push_str(&results(outcome, width));
    held_lines(&mut out, &outcome.plan, width);
    drift_lines(&mut out, &outcome.plan);
    for failure in &outcome.failures {
        out.push_str(&trouble(&Trouble::of_failure(failure)));
    }
    if outcome.plan.file == FileStanding::Behind {
        line(&mut out, &styled(BAD, &wrap(BEHIND, width)));
    }
    line(&mut out, &wrap(&outcome_summary(name, outcome, verdict), width));
    out
}

/// Writes what became of each step as a table.
pub(super) fn results(outcome: &Outcome, width: usize) -> String {
    // Where nothing was tried the reason is what matters; repin plan shows what would have been done.
    if outcome.steps.iter().all(|step| step.result == StepResult::Skipped) {
        return String::new();
    }
    let targets: Vec<_> = outcome.plan.targets.keys().collect();
    let planned = |step: &StepOutcome| {
        let steps = outcome.plan.targets.get(&step.target).map(|planned| planned.steps.as_slice()).unwrap_or_default();
        steps.iter().find(|planned| planned.key == step.key)
    };
    let changes = |step: &StepOutcome| planned(step).map(|step| step.changes.as_slice()).unwrap_or_default();
    let mark = |step: &StepOutcome| planned(step).map_or_else(|| Mark::of_action(step.action), Mark::of);
    let mut rows: BTreeMap<(bool, &Key), Vec<&StepOutcome>> = BTreeMap::new();
    for step in &outcome.steps {
        rows.entry((words::removes(step.action), &step.key)).or_default().push(step);
    }
    let mut table = Table::new(&targets);
    for ((_, key), steps) in &rows {
        let cells = steps.iter().map(|step| (&step.target, result(step))).collect();
        let marks: BTreeSet<_> = steps.iter().map(|step| mark(step)).collect();
        let mut notes = notes(steps.iter().map(|step| (&step.target, changes(step), Some(step.reason))));
        notes.extend(steps.iter().flat_map(|step| troubles_of(step)));
        table.row(glyph(&marks), key.as_str(), cells, notes);
    }
    table.finish(width)
}

fn outcome_summary(name: &str, outcome: &Outcome, verdict: Verdict) -> String {
    let what = match (outcome.release, &outcome.plan.release) {
        (Some(release), _) => format!("release {release}"),
        (None, Some(_)) => "no release,".to_owned(),
        (None, None) => "repair".to_owned(),
    };
    let count = |result| outcome.steps.iter().filter(|step| step.result == result).count() as u64;
    let (word, style, rest) = match verdict {
        Verdict::Applied => ("served", GOOD, String::new()),
        Verdict::Partial => {
            ("PARTIAL", CHANGED, ". What is left is recorded, and any host's next repin reconcile goes on".to_owned())
        }
        Verdict::Conflict if count(StepResult::Applied) > 0 || outcome.failures.is_empty() => {
            ("CONFLICT", BAD, ". Somebody else wrote; run it again to plan from what is there".to_owned())
        }
        Verdict::Conflict => ("CONFLICT", BAD, ". Nothing was written".to_owned()),
        Verdict::Failed if outcome.undone => {
            ("PUT BACK", BAD, ". Not everything could be served, and what had been is put back".to_owned())
        }
        Verdict::Failed => ("FAILED", BAD, ". Nothing new is served".to_owned()),
        Verdict::Behind => ("BEHIND", BAD, String::new()),
        Verdict::Held => {
            let held = words::may_not_change(outcome.plan.summary().held);
            return format!("{name}: {}, {held}; nothing else is to be done.", styled(CHANGED, "HELD"));
        }
        Verdict::Unchanged => ("unchanged", GOOD, String::new()),
    };
    format!("{name}: {what} {}: {}{rest}", styled(style, word), numbers(outcome))
}

/// Counts what became of steps, and the requests that it took.
pub(super) fn numbers(outcome: &Outcome) -> String {
    let count = |result| outcome.steps.iter().filter(|step| step.result == result).count() as u64;
    let mut numbers = vec![format!("{} applied", count(StepResult::Applied))];
    for (result, word) in [
        (StepResult::Unchanged, "as wanted already"),
        (StepResult::Pending, "pending"),
        (StepResult::Refused, "refused"),
        (StepResult::Failed, "failed"),
        (StepResult::Skipped, "not tried"),
    ] {
        if count(result) > 0 {
            numbers.push(format!("{} {word}", count(result)));
        }
    }
    let unchanged = outcome.plan.summary().unchanged;
    if unchanged > 0 {
        numbers.push(format!("{unchanged} unchanged"));
    }
    format!("{}; {}", numbers.join(", "), requests(outcome))
}

/// Counts the requests that were sent.
pub(super) fn requests(outcome: &Outcome) -> String {
    let each = |(target, counts): (&TargetName, &RequestCounts)| {
        format!("{target} {}", counted(counts.values().sum(), "request"))
    };
    outcome.requests.iter().map(each).collect::<Vec<_>>().join(", ")
}

fn troubles_of(step: &StepOutcome) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(buried) = &step.buried {
        let ours = step.to.as_ref().map_or("?".to_owned(), short);
        notes.extend(collision(step, &short(buried), &ours));
    }
    if let Some(error) = &step.error {
        let shown = Trouble::of_error(error);
        notes.push(styled(BAD, &format!("{}: {}", step.target, shown.message)));
        notes.extend(shown.hint.map(|hint| format!("{}: {hint}", step.target)));
    }
    notes
}

/// Says whom a write met in a store that cannot make it conditional, and how to serve theirs after all.
fn collision(step: &StepOutcome, theirs: &str, ours: &str) -> Vec<String> {
    let (target, key) = (&step.target, &step.key);
    let number = |text: &str| text.parse::<u64>().ok();
    if number(theirs) >= number(ours) {
        let what = format!("{target}: somebody else deleted it after version {theirs}; ours made it anew as {ours}");
        return vec![styled(BAD, &what)];
    }
    let what = format!(
        "{target}: somebody else wrote version {theirs} just before ours, {ours}; theirs is still in the store's history"
    );
    vec![styled(BAD, &what), format!("{target}: repin pin {key} --target {target} --version {theirs} serves theirs")]
}

/// Lists releases, newest first. Where a row would be wider than `width`, what a release was for stands below it.
pub fn history(name: &str, releases: &[Release], width: usize) -> String {
    let mut out = String::new();
    if releases.is_empty() {
        line(&mut out, &format!("{name} has no release yet."));
    }
    let all: BTreeSet<_> = releases.iter().flat_map(|release| release.targets.keys()).collect();
    let rows: Vec<_> = releases.iter().map(|release| history_row(release, &all)).collect();
    folded_columns(&mut out, &rows, &[5, 7], "      ", width);
    out
}

/// Lays rows out in columns. Where they would be wider than `width`, those that are named go into a line of their own.
fn folded_columns(out: &mut String, rows: &[Vec<Cell>], below: &[usize], indent: &str, width: usize) {
    let whole = columns(rows);
    let is_wide = |row: &String| anstream::adapter::strip_str(row.trim_end()).to_string().width() > width;
    if !whole.iter().any(is_wide) {
        return whole.iter().for_each(|row| line(out, row));
    }
    let pick = |wanted: bool| -> Vec<Vec<Cell>> {
        let of = |row: &Vec<Cell>| {
            row.iter().enumerate().filter(|(n, _)| below.contains(n) == wanted).map(|(_, cell)| cell.clone()).collect()
        };
        rows.iter().map(of).collect()
    };
    for (head, rest) in columns(&pick(false)).iter().zip(pick(true)) {
        line(out, head);
        let rest: Vec<_> = rest.into_iter().filter(|(text, _)| !text.is_empty()).collect();
        columns(&[rest]).iter().filter(|rest| !rest.is_empty()).for_each(|rest| line(out, &format!("{indent}{rest}")));
    }
}

fn history_row(release: &Release, all: &BTreeSet<&TargetName>) -> Vec<Cell> {
    let touched: BTreeSet<_> = release.targets.values().flat_map(|of| of.rows.iter().map(|row| &row.key)).collect();
    let done = release.targets.values().all(|of| of.state == State::Done);
    let folded = release.targets.values().any(|of| of.folded);
    let targets = match release.targets.len() {
        n if n > 2 && n == all.len() && done => format!("all {n} targets"),
        _ => {
            let targets = release.targets.iter().map(|(name, of)| format!("{name}{}", note(of.state)));
            targets.collect::<Vec<_>>().join(", ")
        }
    };
    let message = release.message.as_ref().map(|text| format!("{text:?}")).unwrap_or_default();
    let plain = |text: String| (text, Style::new());
    vec![
        (format!("{:>4}", release.number), STRONG),
        plain(when(release.at)),
        plain(cause(release, "")),
        plain(release.actor.clone()),
        plain(if folded { "-".to_owned() } else { counted(touched.len() as u64, "entry") }),
        plain(targets),
        standing(release),
        plain(message),
    ]
}

/// Says whether a release is the newest, and whether it can be served again.
fn standing(release: &Release) -> Cell {
    let served = release.targets.values().filter(|of| of.state != State::Abandoned);
    let gone = served.filter(|of| !of.restorable).count();
    match (release.current, gone) {
        (true, _) => ("current".to_owned(), GOOD),
        (false, 0) => (String::new(), Style::new()),
        (false, n) if n == release.targets.len() => ("gone".to_owned(), FAINT),
        (false, _) => ("partly gone".to_owned(), FAINT),
    }
}

/// Says why a release was made, and what it brought back.
fn cause(release: &Release, noun: &str) -> String {
    match release.restores {
        Some(restores) => format!("{} to {noun}{restores}", release.cause),
        None => release.cause.to_string(),
    }
}

fn note(state: State) -> &'static str {
    match state {
        State::Done => "",
        State::Claimed => " (running or interrupted)",
        State::Partial => " (partial)",
        State::Abandoned => " (abandoned)",
    }
}

/// Describes one release.
pub fn release(name: &str, release: &Release, width: usize) -> String {
    let mut out = String::new();
    let current = if release.current { ", current" } else { "" };
    line(&mut out, &styled(STRONG, &format!("{name}: release {}{current}", release.number)));
    line(
        &mut out,
        &format!("{}, {} by {}", cause(release, "release "), when(release.at), printable::line(&release.actor)),
    );
    if let Some(message) = &release.message {
        line(&mut out, &format!("{message:?}"));
    }
    let targets: Vec<_> = release.targets.keys().collect();
    let mut table = Table::new(&targets);
    let keys: BTreeSet<_> = release.targets.values().flat_map(|of| of.rows.iter().map(|row| &row.key)).collect();
    for key in keys {
        let mut cells = Vec::new();
        let mut marks = BTreeSet::new();
        for (target, of) in &release.targets {
            let Some(row) = of.rows.iter().find(|row| row.key == *key) else { continue };
            marks.insert(match row.action {
                RowAction::Create => Mark::Create,
                // A version that was there already, and not put again.
                RowAction::Update if row.restores.is_some() && row.restores == row.to => Mark::Repin,
                RowAction::Update => Mark::Change,
                RowAction::Delete | RowAction::Withdraw => Mark::Delete,
                RowAction::Pin | RowAction::Adopt | RowAction::Forget => Mark::Repin,
            });
            let cell = match (row.applied, of.state.is_open()) {
                (true, _) => arrow(row.from.as_ref(), row.to.as_ref()),
                (false, true) => "pending".to_owned(),
                (false, false) => "not done".to_owned(),
            };
            cells.push((target, (cell, if row.applied { Style::new() } else { CHANGED })));
        }
        table.row(glyph(&marks), key.as_str(), cells, Vec::new());
    }
    out.push_str(&table.finish(width));
    if release.targets.values().any(|of| of.folded) {
        line(&mut out, "What it did is known no more: policy.keep_releases says how many are kept in full.");
    }
    let whole = |of: &ReleaseTarget| of.restorable && of.state == State::Done;
    if release.targets.values().all(whole) {
        line(&mut out, "It can be restored on every target.");
        return out;
    }
    for (target, of) in &release.targets {
        let restorable = if of.restorable { "can be restored" } else { "can no longer be restored as a whole" };
        line(&mut out, &format!("{target}{}: {restorable}", note(of.state)));
    }
    out
}

/// Describes what differs between two releases, or between one and what is served now.
pub fn difference(name: &str, difference: &Difference, width: usize) -> String {
    let mut out = String::new();
    let to = difference.to.map_or("what is served now".to_owned(), |release| format!("release {release}"));
    line(&mut out, &styled(STRONG, &format!("{name}: release {} -> {to}", difference.from)));
    let targets: Vec<_> = difference.targets.keys().collect();
    let keys: BTreeSet<_> = difference.targets.values().flatten().map(|differs| &differs.key).collect();
    let mut table = Table::new(&targets);
    for key in &keys {
        let here = difference
            .targets
            .iter()
            .filter_map(|(target, differ)| Some((target, differ.iter().find(|differs| differs.key == **key)?)));
        let here: Vec<_> = here.collect();
        let marks = here.iter().map(|(_, differs)| Mark::of_action(differs.action())).collect();
        let cells =
            here.iter().map(|(target, d)| (*target, (arrow(d.from.as_ref(), d.to.as_ref()), Style::new()))).collect();
        let changes: Vec<_> = here.iter().map(|(target, differs)| (*target, difference_changes(differs))).collect();
        let notes = notes(changes.iter().map(|(target, changes)| (*target, changes.as_slice(), None)));
        table.row(glyph(&marks), key.as_str(), cells, notes);
    }
    out.push_str(&table.finish(width));
    let verdict = match keys.len() {
        0 => "Nothing differs.".to_owned(),
        1 => "1 entry differs.".to_owned(),
        n => format!("{n} entries differ."),
    };
    line(&mut out, &verdict);
    out
}

fn difference_changes(differs: &Differs) -> Vec<Change> {
    let told = |path: &str| vec![Change { path: path.to_owned(), from: None, to: None }];
    match &differs.content {
        Content::OneSided => Vec::new(),
        Content::Secret => told("value"),
        Content::Same => told("the same content under another version"),
        Content::Gone => told("the store no longer keeps the older content"),
        Content::Changes(changes) => changes.clone(),
    }
}

/// Describes the versions of one key. Where a row would be wider than `width`, long versions stand below it.
pub fn key_history(key: &str, targets: &[TargetHistory], width: usize) -> String {
    let mut out = String::new();
    for target in targets {
        line(&mut out, &styled(STRONG, &format!("{key} on {}", target.target)));
        if target.versions.is_empty() {
            line(&mut out, "  never released here");
        }
        let rows: Vec<_> = target.versions.iter().map(version_row).collect();
        let mut listed = String::new();
        folded_columns(&mut listed, &rows, &[0], "  ", width.saturating_sub(2));
        listed.lines().for_each(|row| line(&mut out, &format!("  {row}")));
    }
    out
}

fn version_row(version: &KeyVersion) -> Vec<Cell> {
    let native = version.version.as_ref().map_or("removed".to_owned(), |v| v.id.clone());
    let at = version.version.as_ref().and_then(|v| v.at).unwrap_or(version.released_at);
    let release = version.release.map_or("repair".to_owned(), |release| format!("release {release}"));
    let until = match (version.current, version.restorable, version.restorable_until) {
        (true, ..) => ("served now".to_owned(), GOOD),
        (_, false, _) => ("gone".to_owned(), FAINT),
        (_, true, Some(until)) => (format!("restorable until {}", when(until)), Style::new()),
        (_, true, None) => ("restorable".to_owned(), Style::new()),
    };
    vec![(native, Style::new()), (when(at), Style::new()), (release, Style::new()), until]
}

/// The most troubles alike that are told one by one.
const ALIKE: usize = 10;

/// Describes what went wrong. What is to be done about several alike is said once, below them.
pub fn troubles(troubles: &[Trouble]) -> String {
    let mut out = String::new();
    let alike = |a: &Trouble, b: &Trouble| {
        (a.kind, &a.hint) == (b.kind, &b.hint) && a.location.is_none() && b.location.is_none()
    };
    for group in troubles.chunk_by(alike) {
        let (shown, more) = group.split_at(group.len().min(ALIKE));
        let (last, others) = shown.split_last().expect("a group has one at least");
        others.iter().for_each(|one| out.push_str(&said(one)));
        if more.is_empty() {
            out.push_str(&trouble(last));
            continue;
        }
        let rest = Trouble::new(last.kind, format!("and {} more like these", more.len()));
        out.push_str(&said(last));
        out.push_str(&trouble(&Trouble { hint: last.hint.clone(), ..rest }));
    }
    out
}

/// Describes one thing that went wrong, with what to do about it.
pub fn trouble(trouble: &Trouble) -> String {
    let mut out = said(trouble);
    let hint = match (&trouble.hint, &trouble.location) {
        (Some(hint), Some(_)) => Some(format!("help: {hint}")),
        (Some(hint), None) => Some(sentence(hint)),
        (None, Some(_)) => None,
        (None, None) => way_out(trouble.kind).map(str::to_owned),
    };
    if let Some(hint) = hint {
        let _ = writeln!(out, "  {}", printable::lines(&hint).replace('\n', "\n  "));
    }
    out
}

/// Says what is wrong, and where.
fn said(trouble: &Trouble) -> String {
    let place = match (&trouble.location, &trouble.target, &trouble.key) {
        (Some(location), ..) => located(location),
        (None, Some(target), Some(key)) if !trouble.message.contains(key.as_str()) => format!("{target}: {key}: "),
        (None, Some(target), _) => format!("{target}: "),
        (None, None, Some(key)) if !trouble.message.contains(key.as_str()) => format!("{key}: "),
        (None, None, _) => String::new(),
    };
    let said = format!("{place}{}", trouble.message);
    // What goes on in another line is indented, so that no text of others can look like a trouble or a result of its own.
    let mut out = format!("{}: {}\n", styled(BAD, "error"), printable::lines(&said).replace('\n', "\n  "));
    if let Some(excerpt) = trouble.location.as_ref().and_then(|location| location.excerpt.as_ref()) {
        let _ = writeln!(out, "{}", printable::lines(&excerpt.to_string()));
    }
    out
}

/// Writes a hint as a sentence, however the provider that gives it begins.
fn sentence(hint: &str) -> String {
    let mut letters = hint.chars();
    match letters.next() {
        Some(first) if first.is_lowercase() && !hint.starts_with("repin ") => {
            let end = if hint.ends_with(['.', '?', '!']) { "" } else { "." };
            first.to_uppercase().chain(letters).collect::<String>() + end
        }
        _ => hint.to_owned(),
    }
}

/// Describes one thing that went wrong in one line, without what to do about it.
pub fn one_line(trouble: &Trouble) -> String {
    let place = trouble.location.as_ref().map(|location| located(location)).unwrap_or_default();
    printable::line(&format!("{place}{}", trouble.message.replace('\n', " "))).into_owned()
}

fn located(location: &Location) -> String {
    let file = location.file.display();
    match location.line {
        0 => format!("{file}: "),
        line => format!("{file}:{line}:{}: ", location.column),
    }
}

fn result(step: &StepOutcome) -> (String, Style) {
    match step.result {
        StepResult::Applied | StepResult::Unchanged if words::removes(step.action) => ("deleted".to_owned(), BAD),
        StepResult::Applied | StepResult::Unchanged if step.action == StepAction::Forget => {
            ("let go of".to_owned(), Style::new())
        }
        StepResult::Applied => (arrow(step.from.as_ref(), step.to.as_ref()), GOOD),
        StepResult::Unchanged => (format!("at {}", step.to.as_ref().map(short).unwrap_or_default()), Style::new()),
        StepResult::Pending => ("pending".to_owned(), CHANGED),
        StepResult::Skipped => ("not tried".to_owned(), FAINT),
        StepResult::Refused => ("refused".to_owned(), BAD),
        StepResult::Failed => ("failed".to_owned(), BAD),
    }
}

fn arrow(from: Option<&Version>, to: Option<&Version>) -> String {
    match (from, to) {
        (None, Some(to)) => short(to),
        (Some(from), Some(to)) => format!("{} -> {}", short(from), short(to)),
        (_, None) => "deleted".to_owned(),
    }
}

/// Changes under a key: once where all targets have the same, by target where not.
fn notes<'a>(steps: impl Iterator<Item = (&'a TargetName, &'a [Change], Option<Reason>)>) -> Vec<String> {
    let steps: Vec<_> = steps.collect();
    let same = steps.windows(2).all(|pair| pair[0].1 == pair[1].1);
    let mut notes = Vec::new();
    for (n, (target, changes, reason)) in steps.iter().enumerate() {
        let place = if same { String::new() } else { format!("{target}: ") };
        if !same || n == 0 {
            notes.extend(changes.iter().map(|change| format!("{place}{}", change_text(change))));
        }
        if let Some(reason @ (Reason::Drift | Reason::Missing | Reason::Equal | Reason::Adopted)) = reason {
            notes.push(format!("{target}: {reason}"));
        }
    }
    notes
}

/// Writes a change in one line where it is short, else the old and the new below the path.
fn change_text(change: &Change) -> String {
    match (&change.from, &change.to) {
        (None, None) if change.path == "value" => "value differs (secret)".to_owned(),
        (None, None) => change.path.clone(),
        (None, Some(to)) => format!("{}: {}", change.path, styled(GOOD, &format!("+ {to}"))),
        (Some(from), None) => format!("{}: {}", change.path, styled(BAD, &format!("- {from}"))),
        (Some(from), Some(to)) if from.width() + to.width() <= ONE_LINE => {
            format!("{}: {} -> {}", change.path, styled(BAD, from), styled(GOOD, to))
        }
        (Some(from), Some(to)) => {
            let (from, to) = (styled(BAD, &format!("- {from}")), styled(GOOD, &format!("+ {to}")));
            format!("{}:\n{from}\n{to}", change.path)
        }
    }
}
