//! Where results and errors go.

use std::io::{self, IsTerminal as _, Write};
use std::path::Path;

use anstream::{AutoStream, ColorChoice};
use serde_json::Value;

use super::args::{Color, Common, Output};
use super::{plan_file, progress};
use crate::control::Line;
use crate::daemon::control::Lines;
use crate::model::printable;
use crate::report::words::fit;
use crate::report::{Trouble, json, text};

/// Writes results to stdout and, in text, errors to stderr.
#[derive(Debug)]
pub(super) struct Printer {
    output: Output,
    emulated: bool,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    /// The streams of this process.
    Own(ColorChoice),
    /// Those of a peer of the daemon, whose own printer decides about colour.
    Peer { lines: Lines, width: Option<usize>, progress: bool },
}

impl Printer {
    pub(super) fn new(common: &Common) -> Self {
        let color = match common.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        Self { output: common.output, emulated: common.emulate.is_some(), sink: Sink::Own(color) }
    }

    /// Makes one that writes to a peer of the daemon, whose stdout is so wide.
    pub(super) fn for_peer(common: &Common, lines: Lines, width: Option<usize>, progress: bool) -> Self {
        let sink = Sink::Peer { lines, width, progress };
        Self { output: common.output, emulated: common.emulate.is_some(), sink }
    }

    /// Returns the form that was asked for.
    pub(super) fn output(&self) -> Output {
        self.output
    }

    /// Returns how wide tables may be: as the terminal is; a file or a pipe has no edge.
    pub(super) fn width(&self) -> usize {
        self.columns().unwrap_or(usize::MAX)
    }

    /// Returns how many columns the terminal has; `None` where stdout is none.
    pub(super) fn columns(&self) -> Option<usize> {
        match &self.sink {
            Sink::Own(_) => terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0)),
            Sink::Peer { width, .. } => *width,
        }
    }

    /// Tells whether somebody may be looking at how far a command is.
    pub(super) fn shows_progress(&self) -> bool {
        if self.output != Output::Text {
            return false;
        }
        match &self.sink {
            Sink::Own(_) => {
                let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
                !dumb && io::stderr().is_terminal()
            }
            Sink::Peer { progress, .. } => *progress,
        }
    }

    /// Shows how far a command is, over what was shown before; an empty text clears it.
    pub(super) fn progress(&self, text: &str) {
        match &self.sink {
            Sink::Own(_) => progress::draw(&printable::line(text)),
            Sink::Peer { .. } => self.say(Line::Progress(text.to_owned())),
        }
    }

    /// Writes a file of the operator's, readable by them alone.
    pub(super) fn save(&self, path: &Path, text: &str) -> io::Result<()> {
        match &self.sink {
            Sink::Own(_) => plan_file::write(path, text),
            Sink::Peer { .. } => {
                self.say(Line::Save(text.to_owned()));
                Ok(())
            }
        }
    }

    /// Writes a result in the form that was asked for; what people read is fit into the terminal.
    pub(super) fn result(&self, as_text: impl FnOnce() -> String, as_json: impl FnOnce() -> Value) {
        match self.output {
            Output::Text => self.out(&fit(&as_text(), self.width())),
            Output::Markdown | Output::Json => self.as_it_is(as_text, as_json),
        }
    }

    /// Writes a result in the form that was asked for, each line as it is: values are copied from the screen.
    pub(super) fn as_it_is(&self, as_text: impl FnOnce() -> String, as_json: impl FnOnce() -> Value) {
        match self.output {
            Output::Text | Output::Markdown => self.out(&as_text()),
            Output::Json => self.json(as_json()),
        }
    }

    /// Writes a result that has one form only.
    pub(super) fn plain(&self, text: &str) {
        self.out(text);
    }

    /// Writes what went wrong: one object on stdout for programs, sentences on stderr for people.
    pub(super) fn troubles(&self, troubles: &[Trouble]) {
        match self.output {
            Output::Json => self.json(json::error(troubles)),
            Output::Text | Output::Markdown => self.err(&text::troubles(troubles)),
        }
    }

    /// Writes something for people beside the result.
    pub(super) fn note(&self, text: &str) {
        self.err(&format!("{text}\n"));
    }

    fn json(&self, fields: Value) {
        self.out(&printable::json(&format!("{}\n", json::object(self.emulated, fields))));
    }

    /// A reader that went away (`repin history | head`) is no failure. Whatever the text was put together from, no code but
    /// our own styles reaches the terminal.
    fn out(&self, text: &str) {
        let text = &*printable::screen(text);
        let Sink::Own(color) = self.sink else { return self.say(Line::Stdout(text.to_owned())) };
        progress::make_way();
        let mut stream = AutoStream::new(io::stdout(), color);
        let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
    }

    /// Writes to stderr.
    pub(super) fn err(&self, text: &str) {
        let text = &*printable::screen(text);
        let Sink::Own(color) = self.sink else { return self.say(Line::Stderr(text.to_owned())) };
        let width = terminal_size::terminal_size_of(io::stderr()).map_or(usize::MAX, |(width, _)| usize::from(width.0));
        let text = &*fit(text, width);
        progress::make_way();
        let mut stream = AutoStream::new(io::stderr(), color);
        let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
    }

    /// A peer that went away is no failure either.
    fn say(&self, line: Line) {
        if let Sink::Peer { lines, .. } = &self.sink {
            let _ = lines.send(line);
        }
    }
}

/// Writes a mistake in the arguments to stderr. It quotes them, and whatever they were put together from.
pub(super) fn usage(error: &clap::Error) {
    let text = error.render();
    let mut stream = AutoStream::auto(io::stderr());
    let shown = match stream.current_choice() {
        ColorChoice::Never => text.to_string(),
        _ => text.ansi().to_string(),
    };
    let _ = stream.write_all(printable::screen(&shown).as_bytes());
}

/// Writes a mistake in the arguments as the error object of every other failure.
pub(super) fn usage_as_json(error: &clap::Error) {
    let text = error.render().to_string();
    let mut paragraphs = text.trim().splitn(2, "\n\n");
    let message = paragraphs.next().unwrap_or_default().trim_start_matches("error: ").replace("\n  ", " ");
    let mut trouble = Trouble::new("usage", message);
    trouble.hint = paragraphs.next().map(|rest| rest.split_whitespace().collect::<Vec<_>>().join(" "));
    let mut stream = io::stdout();
    let object = json::object(false, json::error(&[trouble])).to_string();
    let _ = writeln!(stream, "{}", printable::json(&object));
}
