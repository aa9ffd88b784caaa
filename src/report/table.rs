//! Keys down, targets across.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anstyle::Style;
use repin_provider::TargetName;
use unicode_width::UnicodeWidthStr as _;

use super::words::{FAINT, line, styled};

/// A cell: its text and how it looks.
pub(super) type Cell = (String, Style);

/// Keys down, targets across.
pub(super) struct Table<'a> {
    targets: Vec<&'a TargetName>,
    rows: Vec<Row>,
}

struct Row {
    glyph: (char, Style),
    key: String,
    cells: Vec<Cell>,
    notes: Vec<String>,
}

impl<'a> Table<'a> {
    pub(super) fn new(targets: &[&'a TargetName]) -> Self {
        Self { targets: targets.to_vec(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, glyph: (char, Style), key: &str, cells: Vec<(&TargetName, Cell)>, notes: Vec<String>) {
        let mut by_target: BTreeMap<&TargetName, Cell> = cells.into_iter().collect();
        let cells = self.targets.iter().map(|target| by_target.remove(target).unwrap_or_default()).collect();
        self.rows.push(Row { glyph, key: key.to_owned(), cells, notes });
    }

    pub(super) fn finish(self) -> String {
        let mut out = String::new();
        if self.rows.is_empty() {
            return out;
        }
        let keys = self.rows.iter().map(|row| row.key.width()).max().unwrap_or(0);
        let widths: Vec<_> = self
            .targets
            .iter()
            .enumerate()
            .map(|(n, target)| {
                let cells = self.rows.iter().map(|row| row.cells[n].0.width()).max().unwrap_or(0);
                cells.max(target.as_str().width())
            })
            .collect();
        let heads: String = self
            .targets
            .iter()
            .zip(&widths)
            .map(|(target, width)| format!("  {}", pad(target.as_str(), *width)))
            .collect();
        line(&mut out, &styled(FAINT, format!("  {}{heads}", " ".repeat(keys)).trim_end()));
        for row in &self.rows {
            let (glyph, style) = row.glyph;
            let mut cells = String::new();
            // Spaces go before a text and not after it, so that no line ends in blanks.
            let mut gap = keys - row.key.width();
            for ((text, style), width) in row.cells.iter().zip(&widths) {
                if !text.is_empty() {
                    let _ = write!(cells, "{}{}", " ".repeat(gap + 2), styled(*style, text));
                    gap = 0;
                } else {
                    gap += 2;
                }
                gap += width - text.width();
            }
            line(&mut out, &format!("{} {}{cells}", styled(style, &glyph.to_string()), row.key));
            for note in &row.notes {
                line(&mut out, &format!("    {}", note.replace('\n', "\n      ")));
            }
        }
        out
    }
}

fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}
