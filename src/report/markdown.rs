//! A plan as Markdown for a pull request. A secret is not in it, and no value can leave its place.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use repin_provider::{Key, TargetName};

use super::words::{self, Mark, glyph, intent};
use crate::model::observed::FileStanding;
use crate::model::plan::{Change, Plan, Step};
use crate::model::printable;

/// The most rows of the table and the most folded values: hosts cut longer comments off.
const LISTED: usize = 200;

/// Describes a plan.
pub fn plan(name: &str, plan: &Plan) -> String {
    let mut out = format!("### repin: {}\n\n**{}**\n", escape(&words::heading(name, plan)), verdict(plan));
    blocks(&mut out, plan);
    table(&mut out, plan);
    details(&mut out, plan);
    for held in words::held_lines(plan) {
        let _ = write!(out, "\n- held: {}\n", escape(&held));
    }
    for told in words::drift_lines(plan) {
        let _ = write!(out, "\n- drift: {}\n", escape(&told));
    }
    for foreign in words::foreign_lines(name, plan) {
        let _ = write!(out, "\n- {}\n", escape(&foreign));
    }
    if plan.has_changes() {
        let _ = write!(out, "\n{}\n", escape(&words::plan_summary(plan)));
    }
    out
}

fn verdict(plan: &Plan) -> String {
    if !plan.blocks.is_empty() {
        return format!("Refused: nothing would be done, for {}.", words::counted(plan.blocks.len() as u64, "reason"));
    }
    if plan.file == FileStanding::Behind {
        return escape(words::BEHIND);
    }
    match (plan.has_changes(), &plan.release) {
        (false, _) => escape(&words::plan_summary(plan)),
        (true, Some(_)) => format!("{}.", words::counts(plan)),
        (true, None) => format!("Repair only: {}.", words::counts(plan)),
    }
}

fn blocks(out: &mut String, plan: &Plan) {
    for block in &plan.blocks {
        let place = block.target.as_ref().map(|target| format!("{target}: ")).unwrap_or_default();
        let _ = write!(out, "\n- {}", escape(&format!("{place}{}. {}", block.message, block.hint)));
    }
    if !plan.blocks.is_empty() {
        out.push('\n');
    }
}

fn table(out: &mut String, plan: &Plan) {
    let rows = words::rows(plan);
    if rows.is_empty() {
        return;
    }
    let targets: Vec<_> = plan.targets.keys().collect();
    let heads: String = targets.iter().map(|target| format!(" {} |", code(target.as_str()))).collect();
    let _ = write!(out, "\n| | key |{heads}\n|-|-|{}\n", "-|".repeat(targets.len()));
    for ((_, key), steps) in rows.iter().take(LISTED) {
        let marks: BTreeSet<_> = steps.iter().map(|(_, step)| Mark::of(step)).collect();
        let cells: BTreeMap<_, _> = steps.iter().map(|(target, step)| (*target, intent(step).0)).collect();
        let cells: String = targets
            .iter()
            .map(|target| format!(" {} |", cells.get(*target).map(|cell| escape(cell)).unwrap_or_default()))
            .collect();
        let _ = writeln!(out, "| {} | {} |{cells}", code(&glyph(&marks).0.to_string()), code(key.as_str()));
    }
    more(out, rows.len());
}

fn more(out: &mut String, len: usize) {
    if len > LISTED {
        let _ = write!(out, "\n… and {} more; `repin plan` lists all.\n", len - LISTED);
    }
}

fn details(out: &mut String, plan: &Plan) {
    let rows = words::rows(plan);
    let changed = rows.iter().filter(|(_, steps)| steps.iter().any(|(_, step)| !step.changes.is_empty()));
    for ((_, key), steps) in changed.take(LISTED) {
        detail(out, key, steps);
    }
}

fn detail(out: &mut String, key: &Key, steps: &[(&TargetName, &Step)]) {
    let same = steps.windows(2).all(|pair| pair[0].1.changes == pair[1].1.changes);
    let shown = if same { &steps[..1] } else { steps };
    let mut lines = Vec::new();
    for (target, step) in shown {
        let place = if same { String::new() } else { format!("{target} ") };
        for change in &step.changes {
            lines.extend(change_lines(&place, change));
        }
    }
    let fence = "`".repeat(longest_ticks(lines.iter().map(String::as_str)).max(2) + 1);
    let _ = write!(
        out,
        "\n<details><summary><code>{}</code></summary>\n\n{fence}diff\n{}\n{fence}\n\n</details>\n",
        escape(key.as_str()),
        lines.join("\n")
    );
}

fn change_lines(place: &str, change: &Change) -> Vec<String> {
    let path = one_line(&change.path);
    match (&change.from, &change.to) {
        (None, None) if change.path == "value" => vec![format!("! {place}value differs (secret)")],
        (None, None) => vec![format!("! {place}{path}")],
        (from, to) => {
            let side = |glyph, text: &String| format!("{glyph} {place}{path}: {}", one_line(text));
            from.iter().map(|text| side('-', text)).chain(to.iter().map(|text| side('+', text))).collect()
        }
    }
}

/// A line of a fenced block ends only where we end it, and reads as what it is.
fn one_line(text: &str) -> Cow<'_, str> {
    printable::line(text)
}

fn longest_ticks<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.flat_map(|text| text.split(|c| c != '`')).map(str::len).max().unwrap_or(0)
}

/// Writes a text as code that stays in its table cell.
fn code(text: &str) -> String {
    let text = one_line(text).replace('|', "\\|");
    let ticks = longest_ticks(std::iter::once(text.as_str()));
    let fence = "`".repeat(ticks + 1);
    if ticks == 0 { format!("{fence}{text}{fence}") } else { format!("{fence} {text} {fence}") }
}

/// Writes a text so that nothing in it means anything to Markdown or HTML, or names anybody.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in one_line(text).chars() {
        match c {
            '&' | '<' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '@' | '\\' | '$' | '"' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_stays_in_its_cell() {
        assert_eq!(code("chat/config"), "`chat/config`");
        assert_eq!(code("a|b\nc"), "`a\\|b\\nc`");
        assert_eq!(code("a``b`"), "``` a``b` ```");
        assert_eq!(code("a\u{202e}b\u{2028}"), "`a\\u{202e}b\\u{2028}`");
    }

    #[test]
    fn text_means_nothing_to_markdown() {
        assert_eq!(escape("@ops <b> [a](b) a_b"), "&#64;ops &#60;b> &#91;a&#93;(b) a&#95;b");
    }

    #[test]
    fn a_value_cannot_end_the_fence() {
        let change = Change { path: "value".into(), from: Some("```\nx".into()), to: None };
        let lines = change_lines("", &change);
        assert_eq!(lines, ["- value: ```\\nx"]);
        assert_eq!(longest_ticks(lines.iter().map(String::as_str)), 3);
    }

    #[test]
    fn a_secret_only_differs() {
        let secret = Change { path: "value".into(), from: None, to: None };
        assert_eq!(change_lines("aws ", &secret), ["! aws value differs (secret)"]);
    }
}
