//! Tables: keys down and targets across, and plain columns.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anstyle::Style;
use repin_provider::TargetName;
use unicode_width::UnicodeWidthStr as _;

use super::words::{FAINT, line, styled};
use crate::model::printable;

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
        let cells = self.targets.iter().map(|target| shown(by_target.remove(target).unwrap_or_default())).collect();
        self.rows.push(Row { glyph, key: printable::line(key).into_owned(), cells, notes });
    }

    /// Writes the table. Where it would be wider than `width`, the cells of a key go below it, like targets together.
    pub(super) fn finish(self, width: usize) -> String {
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
        let stacked = 2 + keys + widths.iter().map(|width| width + 2).sum::<usize>() > width;
        if !stacked {
            line(&mut out, &self.head(keys, &widths));
        }
        for row in &self.rows {
            let glyph = styled(row.glyph.1, &row.glyph.0.to_string());
            if stacked {
                line(&mut out, &format!("{glyph} {}", row.key));
                self.below(row).iter().for_each(|cells| line(&mut out, &format!("    {cells}")));
            } else {
                line(&mut out, &format!("{glyph} {}{}", row.key, beside(row, keys, &widths)));
            }
            for note in &row.notes {
                line(&mut out, &format!("    {}", note.replace('\n', "\n      ")));
            }
        }
        out
    }

    fn head(&self, keys: usize, widths: &[usize]) -> String {
        let heads: String = self
            .targets
            .iter()
            .zip(widths)
            .map(|(target, width)| format!("  {}", pad(target.as_str(), *width)))
            .collect();
        styled(FAINT, format!("  {}{heads}", " ".repeat(keys)).trim_end())
    }

    /// Says each cell once, with the targets that have it.
    fn below(&self, row: &Row) -> Vec<String> {
        let mut cells: Vec<(&Cell, Vec<&str>)> = Vec::new();
        for (target, cell) in self.targets.iter().zip(&row.cells).filter(|(_, cell)| !cell.0.is_empty()) {
            match cells.iter_mut().find(|(like, _)| *like == cell) {
                Some((_, targets)) => targets.push(target.as_str()),
                None => cells.push((cell, vec![target.as_str()])),
            }
        }
        cells
            .iter()
            .map(|((text, style), targets)| format!("{} on {}", styled(*style, text), targets.join(", ")))
            .collect()
    }
}

/// Writes the cells beside their key.
fn beside(row: &Row, keys: usize, widths: &[usize]) -> String {
    let mut cells = String::new();
    // Spaces go before a text and not after it, so that no line ends in blanks.
    let mut gap = keys - row.key.width();
    for ((text, style), width) in row.cells.iter().zip(widths) {
        if !text.is_empty() {
            let _ = write!(cells, "{}{}", " ".repeat(gap + 2), styled(*style, text));
            gap = 0;
        } else {
            gap += 2;
        }
        gap += width - text.width();
    }
    cells
}

/// Escapes what others wrote into a cell: actors, versions.
fn shown((text, style): Cell) -> Cell {
    (printable::line(&text).into_owned(), style)
}

/// Lays rows out in columns, two blanks between them; the last column ends where its text ends.
pub(super) fn columns(rows: &[Vec<Cell>]) -> Vec<String> {
    let rows: Vec<Vec<Cell>> = rows.iter().map(|row| row.iter().cloned().map(shown).collect()).collect();
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| Some(row.get(column)?.0.width())).max().unwrap_or(0);
    let widths: Vec<_> = (0..count).map(width).collect();
    rows.iter()
        .map(|row| {
            let mut text = String::new();
            let mut gap = 0;
            for ((cell, style), width) in row.iter().zip(&widths) {
                if !cell.is_empty() {
                    let _ = write!(text, "{}{}", " ".repeat(gap), styled(*style, cell));
                    gap = 0;
                }
                gap += width - cell.width() + 2;
            }
            text
        })
        .collect()
}

fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(width: usize) -> String {
        let names: Vec<_> =
            ["aws-eu", "aws-us", "azure"].into_iter().map(|name| TargetName::parse(name).expect("valid")).collect();
        let mut table = Table::new(&names.iter().collect::<Vec<_>>());
        let cell = |text: &str| (text.to_owned(), Style::new());
        let all = vec![(&names[0], cell("1 -> 2")), (&names[1], cell("1 -> 2")), (&names[2], cell("ab -> cd"))];
        table.row(('~', Style::new()), "chat/config", all, vec!["t: 0.1 -> 0.2".into()]);
        table.row(('+', Style::new()), "new", vec![(&names[2], cell("new"))], Vec::new());
        anstream::adapter::strip_str(&table.finish(width)).to_string()
    }

    #[test]
    fn cells_stand_beside_their_key_where_they_fit() {
        let wide = "               aws-eu  aws-us  azure
~ chat/config  1 -> 2  1 -> 2  ab -> cd
    t: 0.1 -> 0.2
+ new                          new
";
        assert_eq!(shown(39), wide);
        assert_eq!(shown(usize::MAX), wide);
    }

    #[test]
    fn cells_stand_below_their_key_where_they_do_not_fit() {
        let narrow = "~ chat/config
    1 -> 2 on aws-eu, aws-us
    ab -> cd on azure
    t: 0.1 -> 0.2
+ new
    new on azure
";
        assert_eq!(shown(38), narrow);
    }

    #[test]
    fn columns_line_up_and_no_line_ends_in_blanks() {
        let row = |cells: [&str; 3]| cells.map(|cell| (cell.to_owned(), Style::new())).to_vec();
        let lines = columns(&[row(["a", "bbb", "c"]), row(["aaa", "", "c"]), row(["a", "b", ""])]);
        let lines: Vec<_> = lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        assert_eq!(lines, ["a    bbb  c", "aaa       c", "a    b"]);
    }
}
