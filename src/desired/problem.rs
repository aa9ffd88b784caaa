//! What is wrong with a file, said so that it can be mended.

use std::fmt;

use super::source::Sources;
use super::tree::Span;
pub use crate::model::problem::{Excerpt, Location, Problem};

/// The most problems that are told: nobody mends more of them before looking again.
const SHOWN: usize = 200;

/// The most characters that are said of one: names may be as long as the file.
const LONGEST: usize = 2000;

/// A file that cannot be used. Holds every problem that was found, in the order of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// What is wrong; never empty.
    pub problems: Vec<Problem>,
}

impl Invalid {
    /// The kind that machines are told.
    pub const KIND: &'static str = "invalid";
}

impl std::error::Error for Invalid {}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// A problem on its way: with a span instead of a rendered place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Issue {
    pub(super) message: String,
    pub(super) hint: Option<String>,
    pub(super) span: Option<Span>,
    pub(super) target: Option<Box<str>>,
    pub(super) key: Option<Box<str>>,
    /// Whether the line may be shown at all.
    pub(super) quotable: bool,
}

impl Issue {
    /// Makes an issue about a place.
    pub(super) fn at(span: Span, message: impl Into<String>) -> Self {
        Self { span: Some(span), ..Self::nowhere(message) }
    }

    /// Makes an issue about no place in particular.
    pub(super) fn nowhere(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, span: None, target: None, key: None, quotable: true }
    }

    /// Says what to do about it.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says what to do about it, if anything is known.
    #[must_use]
    pub(super) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// Names the entry.
    #[must_use]
    pub(super) fn key(mut self, key: &str) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Names the target.
    #[must_use]
    pub(super) fn target(mut self, target: &str) -> Self {
        self.target = Some(target.into());
        self
    }

    /// Keeps the line from being shown, for a text that was not understood and may hold anything.
    #[must_use]
    pub(super) fn unquotable(mut self) -> Self {
        self.quotable = false;
        self
    }
}

/// Turns issues into what the caller gets: in order, each once, with places rendered.
pub(super) fn finish(mut issues: Vec<Issue>, sources: &Sources) -> Vec<Problem> {
    issues.sort_by_key(|issue| issue.span);
    let mut problems: Vec<Problem> = Vec::new();
    let count = issues.len();
    for (n, issue) in issues.into_iter().enumerate() {
        if problems.len() == SHOWN {
            let message = format!("and up to {} more problems, which are not shown", count - n);
            problems.push(render(Issue::nowhere(message), sources));
            break;
        }
        let problem = render(issue, sources);
        // One mistake seen through several targets is still one mistake.
        let seen = |other: &Problem| other.message == problem.message && other.location == problem.location;
        if !problems.iter().rev().take_while(|other| other.location == problem.location).any(seen) {
            problems.push(problem);
        }
    }
    problems
}

fn render(issue: Issue, sources: &Sources) -> Problem {
    let Issue { message, hint, span, target, key, quotable } = issue;
    let (message, hint) = (cut(message), hint.map(cut));
    let location = span.map(|span| {
        Box::new(Location {
            file: sources.path(span.file).to_owned(),
            line: span.start.line,
            column: span.start.column,
            excerpt: if quotable { sources.excerpt(span) } else { None },
        })
    });
    Problem { message, hint, location, target: target.map(String::from), key: key.map(|key| cut(key.into())) }
}

/// Cuts a text that quotes a name of any length.
fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
    text
}
