//! A screen as a picture: SVG, a box for each run of cells that look alike.

use std::fmt::Write as _;

use vt100::{Cell, Color, Screen};

/// The colours of a terminal.
pub(crate) struct Theme {
    pub(crate) name: &'static str,
    ground: &'static str,
    text: &'static str,
    /// Black, red, green, yellow, blue, magenta, cyan, white.
    colours: [&'static str; 8],
}

/// Colours that terminals come with, on a dark ground and on a light one.
pub(crate) const THEMES: [Theme; 2] = [
    Theme {
        name: "dark",
        ground: "#1e1e1e",
        text: "#cccccc",
        colours: ["#000000", "#cd3131", "#0dbc79", "#e5e510", "#2472c8", "#bc3fbc", "#11a8cd", "#e5e5e5"],
    },
    Theme {
        name: "light",
        ground: "#ffffff",
        text: "#333333",
        colours: ["#000000", "#cd3131", "#107c10", "#949800", "#0451a5", "#bc05bc", "#0598bc", "#555555"],
    },
];

const WIDTH: f32 = 8.4;
const HEIGHT: f32 = 18.0;

#[derive(PartialEq)]
struct Look {
    colour: &'static str,
    bold: bool,
    dim: bool,
}

impl Theme {
    fn look(&self, cell: &Cell) -> Look {
        let colour = match cell.fgcolor() {
            Color::Idx(n) => self.colours[usize::from(n % 8)],
            Color::Default | Color::Rgb(..) => self.text,
        };
        Look { colour, bold: cell.bold(), dim: cell.dim() }
    }

    /// Draws the rows of a screen that are in use, under the command that filled it.
    pub(crate) fn draw(&self, screen: &Screen, columns: u16, rows: u16, command: &str) -> String {
        let (width, height) = (f32::from(columns) * WIDTH + 20.0, f32::from(rows + 1) * HEIGHT + 20.0);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\">\n<rect width=\"100%\" height=\"100%\" \
             fill=\"{}\"/>\n<g font-family=\"DejaVu Sans Mono, monospace\" font-size=\"14\" xml:space=\"preserve\">\n",
            self.ground
        );
        let prompt = Look { colour: self.colours[4], bold: true, dim: false };
        run(&mut svg, 0, 0, &format!("$ {command}"), &prompt);
        for row in 0..rows {
            self.row(&mut svg, screen, columns, row);
        }
        svg + "</g>\n</svg>\n"
    }

    fn row(&self, svg: &mut String, screen: &Screen, columns: u16, row: u16) {
        let (mut text, mut start, mut look) = (String::new(), 0, None);
        for column in 0..columns {
            let cell = screen.cell(row, column).expect("inside");
            let of_cell = self.look(cell);
            if look.as_ref() != Some(&of_cell) {
                if let Some(look) = look.replace(of_cell) {
                    run(svg, start, row + 1, &text, &look);
                }
                (text, start) = (String::new(), column);
            }
            if !cell.is_wide_continuation() {
                text.push_str(if cell.has_contents() { cell.contents() } else { " " });
            }
        }
        if let Some(look) = look {
            run(svg, start, row + 1, &text, &look);
        }
    }
}

fn run(svg: &mut String, column: u16, row: u16, text: &str, look: &Look) {
    let text = text.trim_end();
    if text.is_empty() {
        return;
    }
    let (x, y) = (f32::from(column) * WIDTH + 10.0, (f32::from(row) + 1.0) * HEIGHT + 6.0);
    let weight = if look.bold { " font-weight=\"bold\"" } else { "" };
    let dim = if look.dim { " opacity=\"0.6\"" } else { "" };
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{}\"{weight}{dim}>{text}</text>", look.colour);
}
