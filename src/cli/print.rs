//! Where results and errors go.

use std::io::Write;

use anstream::{AutoStream, ColorChoice};
use serde_json::Value;

use super::args::{Color, Common, Output};
use super::progress;
use crate::report::{Trouble, json, text};

/// Writes results to stdout and, in text, errors to stderr.
#[derive(Debug)]
pub(super) struct Printer {
    output: Output,
    color: ColorChoice,
    emulated: bool,
}

impl Printer {
    pub(super) fn new(common: &Common) -> Self {
        let color = match common.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        Self { output: common.output, color, emulated: common.emulate.is_some() }
    }

    /// Returns the form that was asked for.
    pub(super) fn output(&self) -> Output {
        self.output
    }

    /// Returns how wide tables may be: as the terminal is; a file or a pipe has no edge.
    pub(super) fn width(&self) -> usize {
        let width = terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
        width.unwrap_or(usize::MAX)
    }

    /// Writes a result in the form that was asked for.
    pub(super) fn result(&self, as_text: impl FnOnce() -> String, as_json: impl FnOnce() -> Value) {
        match self.output {
            Output::Text | Output::Markdown => self.out(&as_text()),
            Output::Json => self.out(&format!("{}\n", json::object(self.emulated, as_json()))),
        }
    }

    /// Writes a result that has one form only.
    pub(super) fn plain(&self, text: &str) {
        self.out(text);
    }

    /// Writes what went wrong: one object on stdout for programs, sentences on stderr for people.
    pub(super) fn troubles(&self, troubles: &[Trouble]) {
        match self.output {
            Output::Json => self.out(&format!("{}\n", json::object(self.emulated, json::error(troubles)))),
            Output::Text | Output::Markdown => troubles.iter().for_each(|trouble| self.err(&text::trouble(trouble))),
        }
    }

    /// Writes something for people beside the result.
    pub(super) fn note(&self, text: &str) {
        self.err(&format!("{text}\n"));
    }

    /// A reader that went away (`repin history | head`) is no failure.
    fn out(&self, text: &str) {
        progress::make_way();
        let mut stream = AutoStream::new(std::io::stdout(), self.color);
        let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
    }

    fn err(&self, text: &str) {
        progress::make_way();
        let mut stream = AutoStream::new(std::io::stderr(), self.color);
        let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
    }
}

/// Writes a mistake in the arguments as the error object of every other failure.
pub(super) fn usage_as_json(error: &clap::Error) {
    let text = error.render().to_string();
    let mut paragraphs = text.trim().splitn(2, "\n\n");
    let message = paragraphs.next().unwrap_or_default().trim_start_matches("error: ").replace("\n  ", " ");
    let mut trouble = Trouble::new("usage", message);
    trouble.hint = paragraphs.next().map(|rest| rest.split_whitespace().collect::<Vec<_>>().join(" "));
    let mut stream = std::io::stdout();
    let _ = writeln!(stream, "{}", json::object(false, json::error(&[trouble])));
}
