//! Topics of `repin help`: one page each, for the screen and for `man`.
//!
//! A page is a text with its title in the first line. A line that begins with a blank is a row and stays as it is; any
//! other is a paragraph, broken where the terminal ends.

use std::borrow::Cow;
use std::fmt::Write as _;

use clap_mangen::roff::{Roff, bold, roman};

use crate::exit::Exit;
use crate::report::words::{STRONG, fill, styled};

/// The widest that a page is written: lines longer than this are hard to follow.
const WIDEST: usize = 80;

/// Stands in a page for the table of exit codes.
const EXIT_CODES: &str = "{exit codes}";

/// Something that more than one command is about.
#[derive(Debug)]
pub(super) struct Topic {
    /// What `repin help` calls it.
    pub(super) name: &'static str,
    text: &'static str,
}

const TOPICS: [Topic; 5] = [
    Topic { name: "serve", text: include_str!("topics/serve.txt") },
    Topic { name: "holds", text: include_str!("topics/holds.txt") },
    Topic { name: "retention", text: include_str!("topics/retention.txt") },
    Topic { name: "quotas", text: include_str!("topics/quotas.txt") },
    Topic { name: "exit-codes", text: include_str!("topics/exit-codes.txt") },
];

/// Returns the topic of this name.
pub(super) fn find(name: &str) -> Option<&'static Topic> {
    TOPICS.iter().find(|topic| topic.name == name)
}

/// Returns all topics.
pub(super) fn all() -> &'static [Topic] {
    &TOPICS
}

/// Returns their names.
pub(super) fn names() -> impl Iterator<Item = &'static str> + Clone {
    TOPICS.iter().map(|topic| topic.name)
}

/// Returns how wide a page is, from the terminal's columns; without a terminal COLUMNS says it, as it does for `--help`.
pub(super) fn width(columns: Option<usize>) -> usize {
    let told = || std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    columns.or_else(told).unwrap_or(WIDEST).min(WIDEST)
}

/// Returns what stands below the options on the main page.
pub(super) fn main_page() -> String {
    let mut page = "Exit codes:\n".to_owned();
    for exit in Exit::ALL {
        let _ = writeln!(page, "  {:>3}  {}", exit.code(), exit.meaning());
    }
    page.push_str("\nTopics, each with repin help TOPIC:\n");
    for topic in all() {
        let _ = writeln!(page, "  {:<12}{}", topic.name, topic.title());
    }
    page + "
Where to start:
  repin init                  write a starter file
  repin plan --emulate        plan on embedded clouds: no account needed
  repin reconcile --emulate   release it there
  repin status --emulate      see how it stands"
}

/// Lists every exit code with what to do then.
fn exit_codes() -> String {
    let rows = Exit::ALL.map(|exit| {
        let way = exit.way_on().map(|way| format!("\n       -> {way}")).unwrap_or_default();
        format!("  {:>3}  {}{way}", exit.code(), exit.meaning())
    });
    rows.join("\n")
}

impl Topic {
    /// Returns what it is about, in a line.
    pub(super) fn title(&self) -> &'static str {
        self.text.lines().next().unwrap_or_default()
    }

    fn body(&self) -> Cow<'static, str> {
        let body = self.text.split_once("\n\n").map_or("", |(_, body)| body);
        if body.contains(EXIT_CODES) { body.replace(EXIT_CODES, &exit_codes()).into() } else { body.into() }
    }

    /// Writes the page for a screen.
    pub(super) fn screen(&self, width: usize) -> String {
        let mut out = format!("{}\n\n", styled(STRONG, self.title()));
        for line in self.body().lines() {
            let lines = if is_row(line) { vec![line.to_owned()] } else { fill(line, width) };
            out.push_str(&lines.join("\n"));
            out.push('\n');
        }
        out
    }

    /// Returns the file of the manual page.
    pub(super) fn file(&self) -> String {
        format!("repin-{}.7", self.name)
    }

    /// Writes the manual page.
    pub(super) fn manual(&self) -> String {
        let name = format!("repin-{}", self.name);
        let mut page = Roff::new();
        page.control("TH", [name.as_str(), "7", "", concat!("repin ", env!("CARGO_PKG_VERSION")), ""]);
        page.control("SH", ["NAME"]);
        page.text([roman(format!("{name} - {}", lower(self.title())))]);
        page.control("SH", ["DESCRIPTION"]);
        let mut rows = false;
        for line in self.body().lines() {
            if is_row(line) != rows && !line.is_empty() {
                rows = !rows;
                page.control(if rows { "nf" } else { "fi" }, []);
            }
            match line {
                "" => page.control("PP", []),
                line if line.ends_with(':') => page.text([bold(line)]),
                line => page.text([roman(line)]),
            };
        }
        if rows {
            page.control("fi", []);
        }
        page.control("SH", ["SEE ALSO"]);
        page.text([bold("repin"), roman("(1)")]);
        page.render()
    }
}

fn is_row(line: &str) -> bool {
    line.starts_with(' ')
}

/// Begins a title as `man` lists it.
fn lower(title: &str) -> String {
    let mut letters = title.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;

    use super::*;

    #[test]
    fn a_page_is_a_screen() {
        for topic in all() {
            let page = strip_str(&topic.screen(WIDEST)).to_string();
            let lines: Vec<_> = page.lines().collect();
            assert!(lines.len() <= 45, "{}: {} lines", topic.name, lines.len());
            let wide: Vec<_> = lines.iter().filter(|line| line.chars().count() > WIDEST).collect();
            assert!(wide.is_empty(), "{}: {wide:#?}", topic.name);
            assert!(page.contains("\nExamples:\n  repin "), "{page}");
            assert!(!page.contains(EXIT_CODES), "{page}");
        }
    }

    #[test]
    fn paragraphs_end_where_the_terminal_does() {
        for topic in all() {
            let narrow = strip_str(&topic.screen(50)).to_string();
            let prose = narrow.lines().filter(|line| !is_row(line));
            let wide: Vec<_> = prose.filter(|line| line.chars().count() > 50).collect();
            assert!(wide.is_empty(), "{wide:#?}");
        }
    }

    #[test]
    fn every_exit_code_is_explained_where_it_is_listed() {
        let page = find("exit-codes").expect("a topic").screen(WIDEST);
        for exit in Exit::ALL {
            let row = format!("\n  {:>3}  {}\n", exit.code(), exit.meaning());
            assert!(page.contains(&row), "{row:?}\n{page}");
            assert!(main_page().contains(&row), "{row:?}");
            let way = exit.way_on().map(|way| format!("{row}       -> {way}\n"));
            assert!(way.is_none_or(|way| page.contains(&way)), "{exit:?}\n{page}");
        }
    }
}
