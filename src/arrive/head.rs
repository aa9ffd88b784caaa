//! The part of a file that its author wrote, and how entries are put into it. Pure.

use super::text::{LEFT_OUT, LEFT_OUT_ROW};
use crate::desired::outline::{self, Outline, Policy};
use crate::model::desired::Adopt;

/// What a policy says from now on, and why.
const ADOPT: &str = "adopt: equal";
const WHY: &str = "# take over what holds just this already, and touch nothing else";

/// Why entries cannot be put into a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// It is no YAML, or its sections do not each begin a line.
    Unreadable,
    /// It has entries of its own.
    HasEntries(usize),
}

/// A file without its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    before: String,
    after: String,
    /// Whether each entry has to say that it may be taken over, since the policy cannot be made to.
    pub adopt_each: bool,
}

impl Head {
    /// Puts a section of entries where it belongs.
    pub fn with(&self, section: &str) -> String {
        format!("{}{section}{}", self.before, self.after)
    }
}

/// Takes a file apart, and makes its policy take over what is equal. Entries that are the starter's `examples`, to the
/// letter, count as none.
///
/// # Errors
/// Says why the file is not fit for it.
pub fn fit(text: &str, adopt: Adopt, examples: &str) -> Result<Head, Unfit> {
    let Outline { entries, count, adopt: said } = outline::outline(text).ok_or(Unfit::Unreadable)?;
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let from = entries.map_or(lines.len(), |lines| lines.first);
    let mut until = entries.map_or(lines.len(), |lines| lines.last + 1).min(lines.len());
    if count > 0 {
        if lines[from..].concat().trim_end() != examples.trim_end() {
            return Err(Unfit::HasEntries(count));
        }
        until = lines.len();
    }
    let (adopt_each, policy) = match (adopt, said) {
        (Adopt::Equal | Adopt::Always, _) => (false, String::new()),
        (Adopt::Never, Policy::Nowhere) => (false, format!("policy:\n  {ADOPT}  {WHY}\n\n")),
        (Adopt::Never, Policy::Empty) => (true, String::new()),
        (Adopt::Never, Policy::Said((line, start), (_, end))) => {
            lines[line] = say(&lines[line], start, end);
            (false, String::new())
        }
        (Adopt::Never, Policy::Before((line, column), in_braces)) => {
            lines[line] = say_before(&lines[line], column, in_braces);
            (false, String::new())
        }
    };
    let mut before = lines[..from].concat();
    if !before.is_empty() && !before.ends_with('\n') {
        before.push('\n');
    }
    if entries.is_none() && !before.is_empty() && !before.ends_with("\n\n") {
        before.push('\n');
    }
    before.push_str(&policy);
    Ok(Head { before, after: without_left_out(&lines[until..]), adopt_each })
}

/// Takes out what an earlier run said of what it left out: it is said anew.
fn without_left_out(lines: &[String]) -> String {
    let mut kept = String::new();
    let mut lines = lines.iter().peekable();
    while let Some(line) = lines.next() {
        if line.trim_end() != LEFT_OUT {
            kept.push_str(line);
            continue;
        }
        if kept == "\n" || kept.ends_with("\n\n") {
            kept.pop();
        }
        while lines.next_if(|line| line.starts_with(LEFT_OUT_ROW)).is_some() {}
    }
    if kept.trim().is_empty() { String::new() } else { kept }
}

fn split(line: &str, column: usize) -> (&str, &str) {
    line.split_at(line.char_indices().nth(column).map_or(line.len(), |(at, _)| at))
}

/// Says it in place of what stands there, and explains it in place of the comment that explained that.
fn say(line: &str, start: usize, end: usize) -> String {
    let (before, (_, rest)) = (split(line, start).0, split(line, end));
    match rest.find('#').filter(|at| rest[..*at].trim().is_empty()) {
        Some(at) => format!("{before}equal{}{WHY}\n", &rest[..at]),
        None => format!("{before}equal{rest}"),
    }
}

/// Says it before another field.
fn say_before(line: &str, column: usize, in_braces: bool) -> String {
    let (before, rest) = split(line, column);
    if in_braces { format!("{before}{ADOPT}, {rest}") } else { format!("{before}{ADOPT}  {WHY}\n{before}{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(text: &str) -> String {
        fit(text, Adopt::Never, "entries:\n  example: { value: 1 }\n").expect("fit").with("entries:\n  a: {}\n")
    }

    #[test]
    fn the_authors_part_stays() {
        let head = "# mine\nversion: 1\nname: x # why\n";
        let policy = format!("policy:\n  adopt: equal  {WHY}\n\n");
        for (rest, after) in [
            ("", ""),
            ("entries:\n", ""),
            ("entries: {}\n", ""),
            ("entries: {}\n# more\nforget: [a]\n", "# more\nforget: [a]\n"),
            ("entries:\n  example: { value: 1 }\n", ""),
        ] {
            let blank = if rest.is_empty() { "\n" } else { "" };
            assert_eq!(
                put(&format!("{head}{rest}")),
                format!("{head}{blank}{policy}entries:\n  a: {{}}\n{after}"),
                "{rest}"
            );
        }
        assert_eq!(put("version: 1"), format!("version: 1\n\n{policy}entries:\n  a: {{}}\n"));
    }

    #[test]
    fn the_policy_comes_to_take_over_what_is_equal() {
        for (before, after) in [
            (
                "policy:\n  prune: true\n  adopt: never   # refuse\nentries:\n",
                format!("policy:\n  prune: true\n  adopt: equal   {WHY}\n"),
            ),
            ("policy: { adopt: never, prune: true }\nentries:\n", "policy: { adopt: equal, prune: true }\n".to_owned()),
            ("policy: { prune: true }\nentries:\n", "policy: { adopt: equal, prune: true }\n".to_owned()),
            ("policy:\n  prune: true\nentries:\n", format!("policy:\n  adopt: equal  {WHY}\n  prune: true\n")),
        ] {
            assert_eq!(put(before), format!("{after}entries:\n  a: {{}}\n"));
        }
        let empty = fit("policy: {}\nentries: {}\n", Adopt::Never, "").expect("fit");
        assert!(empty.adopt_each && empty.with("") == "policy: {}\n");
        let set = fit("policy: { adopt: always }\nentries: {}\n", Adopt::Always, "").expect("fit");
        assert!(!set.adopt_each && set.with("") == "policy: { adopt: always }\n");
    }

    #[test]
    fn what_was_left_out_before_is_said_anew() {
        let head = "version: 1\npolicy: { adopt: equal }\n";
        let said = format!("\n{LEFT_OUT}\n{LEFT_OUT_ROW}aws-eu  /a: why\n{LEFT_OUT_ROW}azure  b: why\n");
        for (after, kept) in [("", ""), ("\n# mine\n", "\n# mine\n"), ("forget: [a]\n", "forget: [a]\n")] {
            for text in [format!("{said}{after}"), format!("{said}{said}{after}")] {
                let head = fit(&format!("{head}entries: {{}}\n{text}"), Adopt::Equal, "x").expect("fit");
                assert_eq!(head.after, kept, "{text}");
            }
        }
    }

    #[test]
    fn entries_of_somebody_are_not_replaced() {
        assert_eq!(fit("entries:\n  a: { value: 1 }\n", Adopt::Never, "x"), Err(Unfit::HasEntries(1)));
        assert_eq!(fit("{ entries: {} }", Adopt::Never, "x"), Err(Unfit::Unreadable));
    }
}
