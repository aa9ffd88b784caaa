//! The files that were read, for pointing into them.

use std::path::{Path, PathBuf};

use super::problem::Excerpt;
use super::tree::{Data, Node, Pos, Span};

/// Fields whose values may be shown in an error. Any other value might be a secret that was put in the wrong place.
const SHOWN: [&str; 28] = [
    "version",
    "name",
    "provider",
    "account",
    "region",
    "prefix",
    "kms_key",
    "serve",
    "label",
    "snapshot",
    "latest",
    "profile",
    "tier",
    "ledger_prefix",
    "separator",
    "credential",
    "revision_retention",
    "type",
    "secret",
    "trim",
    "targets",
    "adopt",
    "drift",
    "prune",
    "max_deletes",
    "keep_releases",
    "files",
    "forget",
];

/// The longest line that is shown, in characters.
const LONGEST: usize = 120;

/// Every file of a configuration, by the index that spans carry.
#[derive(Debug, Default)]
pub(super) struct Sources {
    files: Vec<Source>,
}

#[derive(Debug)]
struct Source {
    path: PathBuf,
    text: String,
    /// Byte offsets at which lines begin.
    lines: Vec<usize>,
    /// Where values stand that are not shown; sorted, disjoint.
    masked: Vec<Span>,
}

impl Sources {
    /// Adds a file and returns its index.
    pub(super) fn add(&mut self, path: &Path) -> u32 {
        self.files.push(Source { path: path.to_owned(), text: String::new(), lines: Vec::new(), masked: Vec::new() });
        u32::try_from(self.files.len() - 1).expect("fewer files than memory")
    }

    /// Keeps the text of a file and what in it must not be shown.
    pub(super) fn keep(&mut self, file: u32, text: String, root: &Node) {
        let source = &mut self.files[file as usize];
        source.lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        source.text = text;
        mask(root, false, &mut source.masked);
        source.masked.sort_unstable();
        source.masked.dedup();
    }

    /// Returns the path of a file as it was named.
    pub(super) fn path(&self, file: u32) -> &Path {
        &self.files[file as usize].path
    }

    /// Returns the folder that relative paths in a file start from.
    pub(super) fn folder(&self, file: u32) -> &Path {
        self.path(file).parent().unwrap_or(Path::new(""))
    }

    /// Returns the paths of all files.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|source| source.path.as_path())
    }

    /// Returns the line of a place with its values masked.
    pub(super) fn excerpt(&self, span: Span) -> Option<Excerpt> {
        let source = &self.files[span.file as usize];
        let line = source.line(span.start.line)?;
        if line.chars().count() > LONGEST {
            return None;
        }
        excerpt(line, span, source.masked_on(span.start.line))
    }
}

impl Source {
    fn line(&self, number: u32) -> Option<&str> {
        let index = (number as usize).checked_sub(1)?;
        let start = *self.lines.get(index)?;
        let end = self.lines.get(index + 1).copied().unwrap_or(self.text.len());
        Some(self.text[start..end].trim_end_matches(['\n', '\r']))
    }

    fn masked_on(&self, line: u32) -> &[Span] {
        let from = self.masked.partition_point(|span| span.end.line < line);
        let to = self.masked.partition_point(|span| span.start.line <= line);
        self.masked.get(from..to).unwrap_or_default()
    }
}

fn excerpt(line: &str, span: Span, masked: &[Span]) -> Option<Excerpt> {
    let row = span.start.line;
    // A quoted value's span covers the blanks behind it.
    let masked: Vec<_> = masked.iter().map(|mask| without_blanks(line, row, *mask)).collect();
    let span = without_blanks(line, row, span);
    let hidden = |column: u32| masked.iter().find(|span| covers(span, Pos { line: row, column }));
    let mut text = String::new();
    let mut offset = None;
    let mut length = 0_usize;
    let mut last_hidden = None;
    for (column, c) in (1_u32..).zip(line.chars()) {
        let here = hidden(column);
        let shown = here.is_none() || here != last_hidden;
        last_hidden = here;
        if column >= span.start.column && offset.is_none() {
            offset = Some(if shown { text.chars().count() } else { text.chars().count().saturating_sub(1) });
        }
        let pointed = column >= span.start.column && (span.end.line > row || column < span.end.column);
        if shown {
            text.push(if here.is_some() {
                '…'
            } else if c == '\t' {
                ' '
            } else {
                c
            });
            length += usize::from(pointed);
        }
    }
    let offset = offset.unwrap_or_else(|| text.chars().count());
    (!text.trim().is_empty()).then(|| Excerpt { text: text.trim_end().to_owned(), offset, length: length.max(1) })
}

fn without_blanks(line: &str, row: u32, mut span: Span) -> Span {
    if span.start.line == row && span.end.line == row {
        let end = (span.end.column as usize).saturating_sub(1);
        let blanks = line.chars().take(end).collect::<Vec<_>>().iter().rev().take_while(|c| c.is_whitespace()).count();
        let shorter = span.end.column.saturating_sub(u32::try_from(blanks).unwrap_or(0));
        span.end.column = shorter.max(span.start.column);
    }
    span
}

fn covers(span: &Span, pos: Pos) -> bool {
    span.start <= pos && pos < span.end
}

/// Collects the scalars below a node that are not the value of a field that may be shown.
fn mask(node: &Node, shown: bool, out: &mut Vec<Span>) {
    match &node.data {
        Data::List(items) => items.iter().for_each(|item| mask(item, shown, out)),
        Data::Map(map) => {
            for (name, member) in map {
                mask(&member.node, SHOWN.contains(&name.as_str()), out);
            }
        }
        // An author's `value: 5` is as secret as `value: "5"`.
        Data::Bool(_) | Data::Number(_) | Data::Text(_) if !shown => out.push(node.span),
        Data::Null | Data::Bool(_) | Data::Number(_) | Data::Text(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: (u32, u32), end: (u32, u32)) -> Span {
        let pos = |(line, column)| Pos { line, column };
        Span { file: 0, start: pos(start), end: pos(end) }
    }

    #[test]
    fn values_are_masked_and_carets_follow() {
        let line = "  a: { value: hunter2, vale: x }";
        let shown = excerpt(line, span((1, 24), (1, 28)), &[span((1, 15), (1, 22))]).expect("has text");
        assert_eq!(shown.to_string(), "  |   a: { value: …, vale: x }\n  |                  ^^^^");
    }

    #[test]
    fn a_place_inside_a_masked_value_points_at_the_mask() {
        let value = span((1, 4), (1, 11));
        let shown = excerpt("a: hunter2", value, &[value]).expect("has text");
        assert_eq!(shown.to_string(), "  | a: …\n  |    ^");
    }

    #[test]
    fn a_line_inside_a_longer_value_shows_nothing_of_it() {
        let shown = excerpt("hunter2", span((2, 1), (2, 1)), &[span((1, 4), (3, 1))]).expect("has text");
        assert_eq!(shown.text, "…");
    }
}
