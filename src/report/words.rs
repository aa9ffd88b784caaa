//! Phrases and styles that text and Markdown share.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use repin_provider::{Key, TargetName, Version};
use unicode_width::UnicodeWidthStr as _;

use crate::model::plan::{Held, Plan, PlannedRelease, Step, StepAction, Summary};
use crate::model::printable;
use crate::status::TargetStatus;

pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const CHANGED: Style = AnsiColor::Yellow.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default();
pub(super) const FAINT: Style = Style::new().dimmed();
pub(crate) const STRONG: Style = Style::new().bold();

/// Characters of an etag that are shown; enough to tell two apart by eye.
pub(super) const SHORT_ETAG: usize = 8;

/// The longest word that a line may begin with as its label: `held    chat/config: ...`.
const LABEL: usize = 8;

/// The steps of a plan by key: what makes and changes first, what removes last.
pub(super) type Rows<'a> = BTreeMap<(bool, &'a Key), Vec<(&'a TargetName, &'a Step)>>;

/// Puts the steps of all targets that are about one key together.
pub(super) fn rows(plan: &Plan) -> Rows<'_> {
    let mut rows = Rows::new();
    for (target, planned) in &plan.targets {
        for step in &planned.steps {
            rows.entry((removes(step.action), &step.key)).or_default().push((target, step));
        }
    }
    rows
}

/// Tells whether readers meet nothing any more after a step.
pub(super) fn removes(action: StepAction) -> bool {
    matches!(action, StepAction::Delete | StepAction::Withdraw)
}

/// Says what a plan is about.
pub(super) fn heading(name: &str, plan: &Plan) -> String {
    match &plan.release {
        Some(release) if release.continues.is_some() && plan.is_wish() => {
            let back = release.restores.map(|restores| format!(", back to release {restores}")).unwrap_or_default();
            format!("{name}: goes on with release {}{back}; what the file asks comes after it", release.number)
        }
        Some(release) if release.continues.is_some() => format!("{name}: goes on with release {}", release.number),
        Some(PlannedRelease { number, restores: Some(restores), .. }) => {
            format!("{name}: release {number}, back to release {restores}")
        }
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
    let orphaned = plan.orphaned.values().map(|target| match plan.targets.contains_key(target) {
        true => format!(
            "{target} was at another place in earlier releases: what is there is left as it is, never pruned, and stays \
             ours until repin forget with the file of then"
        ),
        false => format!("{target} was a target of earlier releases and is not in the file: left as it is, never pruned"),
    });
    drifted.chain(orphaned).collect()
}

/// The most entries that are named one by one.
pub(super) const NAMED: usize = 10;

/// Says what the file would change and may not, and what an operator should know beside it.
pub(super) fn held_lines(plan: &Plan) -> Vec<String> {
    let mut groups: Vec<(&Held, Vec<&str>)> = Vec::new();
    for held in &plan.held {
        let alike = |other: &Held| {
            let (a, b) = (&other.hold, &held.hold);
            // A pin is lifted by target. Contents differ by target even where the file says the same.
            (&other.key, other.serves, a.since, &a.reason, a.by_hand)
                == (&held.key, held.serves, b.since, &b.reason, b.by_hand)
                && !(a.pinned || b.pinned)
        };
        match groups.iter_mut().find(|(other, _)| alike(other)) {
            Some((_, targets)) => targets.push(held.target.as_str()),
            None => groups.push((held, vec![held.target.as_str()])),
        }
    }
    groups.sort_by_key(|(held, _)| &held.key);
    let more = groups.len().saturating_sub(NAMED);
    let named = groups.iter().take(NAMED).map(|(held, targets)| held.sentence_on(&listed(targets)));
    let rest = (more > 0).then(|| format!("and {more} more, which repin status and -o json list"));
    plan.notes.iter().cloned().chain(named).chain(rest).collect()
}

/// Lists things as a sentence does: `a`, `a and b`, `a, b and c`.
pub(super) fn listed<T: AsRef<str>>(things: &[T]) -> String {
    let texts: Vec<_> = things.iter().map(AsRef::as_ref).collect();
    match texts.split_last() {
        None => String::new(),
        Some((only, [])) => (*only).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// Lists keys, the first of them where they are many.
pub(super) fn named<'a>(keys: impl Iterator<Item = &'a Key>) -> String {
    let keys: BTreeSet<_> = keys.map(Key::as_str).collect();
    let rest = keys.len().saturating_sub(NAMED);
    let shown: Vec<_> = keys.into_iter().take(NAMED).collect();
    if rest > 0 { format!("{} and {rest} more", shown.join(", ")) } else { shown.join(", ") }
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
        return match summary.held {
            0 => format!("Nothing to do: {}.", all_equal(&summary, plan)),
            n => format!("Held: {}; nothing else is to be done.", may_not_change(n)),
        };
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
    format!("{what}: {}; {}{time}", counts(plan), costs.join(", "))
}

/// Counts what a plan does. Where a label or a reference moves to what is there already, it is a re-pin to people.
pub(super) fn counts(plan: &Plan) -> String {
    let summary = plan.summary();
    let steps = plan.targets.values().flat_map(|target| &target.steps);
    let moved = steps.filter(|step| step.action == StepAction::Update && Mark::of(step) == Mark::Repin).count() as u64;
    let (change, pin) = (summary.update - moved, summary.pin + moved);
    let mut text = format!("{} create, {change} change, {} delete", summary.create, summary.delete);
    if pin > 0 {
        let _ = write!(text, ", {pin} re-pin");
    }
    if summary.held > 0 {
        let _ = write!(text, ", {} held", summary.held);
    }
    text
}

pub(super) fn all_equal(summary: &Summary, plan: &Plan) -> String {
    let targets = plan.targets.len() as u64;
    format!("{} on {} as the file asks", counted(summary.unchanged, "entry"), counted(targets, "target"))
}

/// Says how many entries are held.
pub(super) fn may_not_change(n: u64) -> String {
    format!("{} may not change for now", counted(n, "entry"))
}

pub(super) fn intent(step: &Step) -> (String, Style) {
    let from = step.from.as_ref().map(short).unwrap_or_default();
    match (step.action, step.repair) {
        (StepAction::Create | StepAction::Update, _) if step.content.is_none() => {
            let to = step.to.as_ref().map(short).unwrap_or_default();
            (if step.from.is_some() { format!("{from} -> {to}") } else { format!("at {to}") }, CHANGED)
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

/// What a step means to readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    Create,
    Change,
    Delete,
    Repin,
}

impl Mark {
    pub(super) fn of(step: &Step) -> Self {
        match step.action {
            // A label or a reference moves to a version that is there already.
            StepAction::Update if step.content.is_none() && step.to.is_some() => Self::Repin,
            action => Self::of_action(action),
        }
    }

    pub(super) fn of_action(action: StepAction) -> Self {
        match action {
            StepAction::Create => Self::Create,
            StepAction::Update => Self::Change,
            StepAction::Delete | StepAction::Withdraw => Self::Delete,
            StepAction::Pin | StepAction::Adopt | StepAction::Forget => Self::Repin,
        }
    }
}

pub(super) fn glyph(marks: &BTreeSet<Mark>) -> (char, Style) {
    let mut marks = marks.iter();
    match (marks.next(), marks.next()) {
        (Some(Mark::Create), None) => ('+', GOOD),
        (Some(Mark::Delete), None) => ('-', BAD),
        (Some(Mark::Repin), None) => ('^', CHANGED),
        _ => ('~', CHANGED),
    }
}

/// Returns a version as people read it: a number whole, an etag by its beginning.
pub(crate) fn short(version: &Version) -> String {
    let id: String = version.id.chars().take(SHORT_ETAG).collect();
    printable::line(&id).into_owned()
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

pub(crate) fn styled(style: Style, text: &str) -> String {
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

/// Breaks a sentence into lines; what has no blanks, an ARN or a URL, is never broken.
pub(crate) fn fill(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(last) if last.width() + 1 + word.width() <= width => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
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

/// Breaks every line of a screen that is wider than the terminal, between words. What goes on stands below its text: under
/// what follows a label, else a little to the right. What has no blanks is never broken, nor is an excerpt of a file.
pub(crate) fn fit(text: &str, width: usize) -> Cow<'_, str> {
    let is_wide = |line: &str| visible(line) > width;
    if !text.lines().any(is_wide) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 64);
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        if is_wide(line) && !line.trim_start().starts_with('|') {
            break_line(&mut out, line, width);
        } else {
            out.push_str(line);
        }
        out.push_str(end);
    }
    Cow::Owned(out)
}

fn visible(text: &str) -> usize {
    if text.contains('\u{1b}') { anstream::adapter::strip_str(text).to_string().width() } else { text.width() }
}

fn break_line(out: &mut String, line: &str, width: usize) {
    let indent = hanging(line).min(width / 2);
    let lead = line.len() - line.trim_start_matches(' ').len();
    let _ = write!(out, "{:lead$}", "");
    let (mut used, mut blanks, mut is_empty) = (lead, 0, true);
    for word in line[lead..].split(' ') {
        let wide = visible(word);
        if word.is_empty() {
            blanks += 1;
            continue;
        }
        if !is_empty && used + blanks + wide > width {
            let _ = write!(out, "\n{:indent$}", "");
            used = indent;
        } else {
            let _ = write!(out, "{:blanks$}", "");
            used += blanks;
        }
        out.push_str(word);
        (used, blanks, is_empty) = (used + wide, 1, false);
    }
}

/// Returns where a line goes on.
fn hanging(line: &str) -> usize {
    let plain = anstream::adapter::strip_str(line).to_string();
    let lead = plain.len() - plain.trim_start_matches(' ').len();
    let label = plain[lead..].find("  ").filter(|end| *end <= LABEL && !plain[lead..lead + end].contains(' '));
    let Some(label) = label else { return lead + 2 };
    let rest = &plain[lead + label..];
    lead + plain[lead..lead + label].width() + (rest.len() - rest.trim_start_matches(' ').len())
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
    fn a_screen_fits_into_the_terminal() {
        let text = "held    chat/config: the file still has it\n  one two three four five six\nshort\n  | an excerpt of a file\n";
        let narrow = "held    chat/config:\n        the file\n        still has it\n  one two three four\n    five six\nshort\n  | an \
                      excerpt of a file\n";
        assert_eq!(fit(text, 20), narrow);
        assert_eq!(fit(text, 80), text);
        assert!(matches!(fit(text, usize::MAX), Cow::Borrowed(_)));
        let long = format!("a {} b", "x".repeat(30));
        assert_eq!(fit(&long, 20), format!("a\n  {}\n  b", "x".repeat(30)), "what has no blanks is not broken");
        let styled = format!("{}\n", styled(CHANGED, "one two three four"));
        assert_eq!(anstream::adapter::strip_str(&fit(&styled, 10)).to_string(), "one two\n  three\n  four\n");
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
