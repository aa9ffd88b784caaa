//! Figures that a run writes into a page, between two marks, and that a test reads there.
#![allow(dead_code, reason = "each of the test binaries uses a part of it")]

use std::path::Path;

/// The page with what was injected, how often, and what was lost.
pub(crate) const FAULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/README.md");

fn marks(part: &str) -> (String, String) {
    (format!("<!-- {part}: written by the run below -->\n"), format!("<!-- end of {part} -->\n"))
}

/// Returns what stands between the marks of a part.
#[track_caller]
pub(crate) fn part<'a>(page: &'a str, part: &str) -> &'a str {
    let (begin, end) = marks(part);
    let after = page.split_once(&begin).unwrap_or_else(|| panic!("no {begin:?}")).1;
    after.split_once(&end).unwrap_or_else(|| panic!("no {end:?}")).0
}

/// Writes a part of a page anew, and leaves the others as they are.
pub(crate) fn rewrite(path: &Path, name: &str, text: &str) {
    let page = std::fs::read_to_string(path).expect("the page is there");
    let (begin, end) = marks(name);
    let old = format!("{begin}{}{end}", part(&page, name));
    std::fs::write(path, page.replace(&old, &format!("{begin}{text}{end}"))).expect("written");
}

/// Returns the cells of each row of a Markdown table, its head left out.
pub(crate) fn rows(table: &str) -> Vec<Vec<&str>> {
    let lines = table.lines().filter(|line| line.starts_with('|')).skip(2);
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}
