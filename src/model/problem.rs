//! One thing about a file that people should know, with the place where it stands.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// One thing that is wrong, or that may not be what was meant. Holds no value of any entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What is wrong, lower-case, without the place.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Where it stands; `None` where no file says it (no file was given, for example).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Box<Location>>,
    /// The target it is about, if one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The key of the entry it is about, if one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Location {
    /// The file as it was named.
    pub file: PathBuf,
    /// The line, from 1; 0 where it is about the file as a whole.
    pub line: u32,
    /// The column in characters, from 1; 0 where it is about the file as a whole.
    pub column: u32,
    /// The line itself, values masked; `None` where it could show one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<Excerpt>,
}

/// One line of a file in which every value that might be a secret is replaced by `…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    /// The line without its end, a blank for each tab.
    pub text: String,
    /// How many characters stand before the place.
    pub offset: usize,
    /// How many characters the place covers, at least 1.
    pub length: usize,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.location.as_deref() {
            Some(Location { file, line: 0, .. }) => write!(f, "{}: ", file.display())?,
            Some(Location { file, line, column, .. }) => write!(f, "{}:{line}:{column}: ", file.display())?,
            None => {}
        }
        f.write_str(&self.message)?;
        if let Some(excerpt) = self.location.as_ref().and_then(|location| location.excerpt.as_ref()) {
            write!(f, "\n{excerpt}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  help: {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indent = " ".repeat(self.offset);
        let carets = "^".repeat(self.length);
        write!(f, "  | {}\n  | {indent}{carets}", self.text)
    }
}
