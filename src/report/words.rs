//! Phrases and styles that text and Markdown share.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use repin_provider::{Key, TargetName, Version};
use unicode_width::UnicodeWidthStr as _;

use crate::model::plan::{Plan, Step, StepAction, Summary};
use crate::status::TargetStatus;

pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const CHANGED: Style = AnsiColor::Yellow.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default();
pub(super) const FAINT: Style = Style::new().dimmed();
pub(super) const STRONG: Style = Style::new().bold();

/// Characters of an etag that are shown; enough to tell two apart by eye.
pub(super) const SHORT_ETAG: usize = 8;

/// The steps of a plan by key: what makes and changes first, what removes last.
pub(super) type Rows<'a> = BTreeMap<(bool, &'a Key), Vec<(&'a TargetName, &'a Step)>>;

/// Puts the steps of all targets that are about one key together.
pub(super) fn rows(plan: &Plan) -> Rows<'_> {
    let mut rows = Rows::new();
    for (target, planned) in &plan.targets {
        for step in &planned.steps {
            rows.entry((step.action == StepAction::Delete, &step.key)).or_default().push((target, step));
        }
    }
    rows
}

/// Says what a plan is about.
pub(super) fn heading(name: &str, plan: &Plan) -> String {
    match &plan.release {
        Some(release) if release.continues.is_some() => format!("{name}: goes on with release {}", release.number),
        Some(release) => format!("{name}: release {}", release.number),
        None if plan.has_changes() => format!("{name}: repair, no release"),
        None => name.to_owned(),
    }
}

/// Said where a host's file has been superseded.
pub(super) const BEHIND: &str = "This file is one that a newer release has superseded: it releases nothing. Update it, or release \
                      it on purpose with repin reconcile --allow-older.";

/// Says what serves something other than its pin and is left so.
pub(super) fn drift_lines(plan: &Plan) -> Vec<String> {
    let drifted = plan.targets.iter().flat_map(|(target, planned)| planned.drift.iter().map(move |d| (target, d)));
    let drifted = drifted.map(|(target, d)| {
        let served = d.served.as_ref().map_or("nothing".to_owned(), |v| format!("version {}", short(v)));
        format!("{} on {target} serves {served}, its pin is {}", d.key, short(&d.pin))
    });
    let orphaned = plan.orphaned.values().map(|target| {
        format!("{target} was a target of earlier releases and is not in the file: left as it is, never pruned")
    });
    drifted.chain(orphaned).collect()
}

/// Says how much below the prefixes is not ours.
pub(super) fn foreign_lines(name: &str, plan: &Plan) -> Vec<String> {
    let foreign =
        plan.targets.iter().filter_map(|(target, planned)| Some((target, planned.foreign.filter(|n| *n > 0)?)));
    foreign
        .map(|(target, n)| format!("{target}: {} below its prefix not of {name}, never touched", counted(n, "item")))
        .collect()
}

/// Says in one line what a plan does and costs.
pub(super) fn plan_summary(plan: &Plan) -> String {
    let summary = plan.summary();
    if !plan.has_changes() {
        return format!("Nothing to do: {}.", all_equal(&summary, plan));
    }
    let costs: Vec<_> = plan
        .targets
        .iter()
        .map(|(name, target)| {
            format!("{name} {} {}", counted(target.cost.reads, "read"), counted(target.cost.writes, "write"))
        })
        .collect();
    let seconds = plan.targets.values().map(|target| target.cost.seconds).fold(0.0, f64::max);
    let time = if seconds > 0.0 { format!(", about {} s", seconds.ceil()) } else { String::new() };
    let what = match &plan.release {
        Some(release) => format!("Release {}", release.number),
        None => "Repair".to_owned(),
    };
    format!("{what}: {}; {}{time}", counts(&summary), costs.join(", "))
}

pub(super) fn counts(summary: &Summary) -> String {
    let mut text = format!("{} create, {} change, {} delete", summary.create, summary.update, summary.delete);
    if summary.pin > 0 {
        let _ = write!(text, ", {} re-pin", summary.pin);
    }
    text
}

pub(super) fn all_equal(summary: &Summary, plan: &Plan) -> String {
    let targets = plan.targets.len() as u64;
    format!("{} on {} as the file asks", counted(summary.unchanged, "entry"), counted(targets, "target"))
}

pub(super) fn intent(step: &Step) -> (String, Style) {
    let from = step.from.as_ref().map(short).unwrap_or_default();
    match (step.action, step.repair) {
        (StepAction::Create | StepAction::Update, _) if step.content.is_none() => {
            (format!("{from} -> {}", step.to.as_ref().map(short).unwrap_or_default()), CHANGED)
        }
        (StepAction::Create, false) => ("new".to_owned(), GOOD),
        (StepAction::Create, true) => ("put back".to_owned(), CHANGED),
        (StepAction::Update, false) => (format!("{from} -> new"), CHANGED),
        (StepAction::Update, true) => (format!("{from} put back"), CHANGED),
        (StepAction::Withdraw, _) => (format!("{from} taken from readers"), BAD),
        (StepAction::Delete, _) if step.from.is_none() => ("gone already".to_owned(), FAINT),
        (StepAction::Delete, _) => (format!("{from} deleted"), BAD),
        (StepAction::Forget, _) => ("let go of".to_owned(), Style::new()),
        (StepAction::Adopt | StepAction::Pin, _) => {
            (format!("at {}", step.to.as_ref().map(short).unwrap_or_default()), Style::new())
        }
    }
}

pub(super) fn glyph(actions: &BTreeSet<StepAction>) -> (char, Style) {
    let mut actions = actions.iter();
    match (actions.next(), actions.next()) {
        (Some(StepAction::Create), None) => ('+', GOOD),
        (Some(StepAction::Delete | StepAction::Withdraw), None) => ('-', BAD),
        (Some(StepAction::Pin | StepAction::Adopt | StepAction::Forget), None) => ('^', CHANGED),
        _ => ('~', CHANGED),
    }
}

/// Returns a version as people read it: a number whole, an etag by its beginning.
pub(crate) fn short(version: &Version) -> String {
    if version.id.len() <= SHORT_ETAG { version.id.clone() } else { version.id.chars().take(SHORT_ETAG).collect() }
}

pub(super) fn when(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// Writes a number with its noun: `1 read`, `3 reads`, `2 entries`.
pub(crate) fn counted(n: u64, noun: &str) -> String {
    match (n, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{n} {stem}ies"),
        (_, None) => format!("{n} {noun}s"),
    }
}

pub(super) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

pub(super) fn line(out: &mut String, text: &str) {
    out.push_str(text.trim_end());
    out.push('\n');
}

/// Says in one word how a target was to reach.
pub(super) fn health(target: &TargetStatus) -> &'static str {
    target.failure.unwrap_or("ok")
}

/// Breaks a long line between words; what goes on is indented.
pub(super) fn wrap(text: &str, width: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        let wide = anstream::adapter::strip_str(word).to_string().width();
        if used > 0 && used + 1 + wide > width {
            out.push_str("\n  ");
            used = 2;
        } else if !out.is_empty() {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += wide;
    }
    out
}

/// Says how long ago something was, in its largest unit.
pub(super) fn ago(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// Says when, in UTC: the time alone for something of the same day.
pub(super) fn clock(now: Timestamp, then: Timestamp) -> String {
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    let format = if day(now) == day(then) { "%H:%MZ" } else { "%Y-%m-%d %H:%MZ" };
    then.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_break_between_words() {
        assert_eq!(wrap("one two three four", 9), "one two\n  three\n  four");
        assert_eq!(wrap("one two", usize::MAX), "one two");
        let styled = format!("a {} c", styled(GOOD, "bb"));
        assert_eq!(wrap(&styled, 6), styled, "escape codes take no room");
    }

    #[test]
    fn numbers_and_times_read_well() {
        assert_eq!(
            (counted(1, "entry"), counted(2, "entry"), counted(0, "read")),
            ("1 entry".into(), "2 entries".into(), "0 reads".into())
        );
        let at = |seconds| Timestamp::from_second(seconds).expect("in range");
        let shown: Vec<_> =
            [5, 65, 7300, 200_000].into_iter().map(|then| ago(at(200_000 + then), at(200_000))).collect();
        assert_eq!(shown, ["5 s ago", "1 min ago", "2 h ago", "2 d ago"]);
        assert_eq!(ago(at(0), at(5)), "0 s ago", "a clock that is ahead");
        assert_eq!(clock(at(86_400), at(86_700)), "00:05Z");
        assert_eq!(clock(at(86_400), at(300)), "1970-01-01 00:05Z");
    }
}
