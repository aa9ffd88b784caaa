//! One entry for each file of a folder: a key with one `*`, and the glob that says which files.

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

/// Characters that mean something in a glob.
const META: [char; 5] = ['*', '?', '[', '{', '\\'];

/// A parsed `files` glob.
///
/// ```text
/// prompts/**/*.md      prompts/rag/answer.md
/// ────────▔▔▔▔▔───     ────────▔▔▔▔▔▔▔▔▔▔───
/// start        end     what the `*` of the key stands for
/// ```
#[derive(Debug)]
pub(super) struct Pattern {
    matcher: GlobMatcher,
    /// The literal text before the first wildcard.
    start: String,
    /// The literal text after the last one.
    end: String,
    /// Whether the glob asks for hidden files by name.
    hidden: bool,
}

impl Pattern {
    /// Parses a glob of relative paths with `/` between folders.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix("./").unwrap_or(text);
        let Some(first) = text.find(META) else {
            return Err("it has no wildcard; one file is named with `file`".to_owned());
        };
        let glob = GlobBuilder::new(text).literal_separator(true).build().map_err(|error| error.kind().to_string())?;
        let last = text.rfind(['*', '?', ']', '}', '\\']).map_or(text.len(), |at| at + 1);
        let hidden = text.split('/').any(|segment| segment.starts_with('.') && segment != "..");
        Ok(Self {
            matcher: glob.compile_matcher(),
            start: text[..first].to_owned(),
            end: text[last.max(first)..].to_owned(),
            hidden,
        })
    }

    /// Returns the folder in which to begin looking, relative as the glob is.
    pub(super) fn folder(&self) -> PathBuf {
        match self.start.rfind('/') {
            Some(at) => PathBuf::from(&self.start[..=at]),
            None => PathBuf::new(),
        }
    }

    /// Tells whether a file or folder of this name is passed over.
    ///
    /// Hidden names are, as shells do: a mounted volume keeps every file a second time below `..data`.
    pub(super) fn skips(&self, name: &str) -> bool {
        name.starts_with('.') && !self.hidden
    }

    /// Returns what the `*` of the key stands for, where a path matches.
    pub(super) fn capture<'p>(&self, path: &'p Path) -> Option<&'p str> {
        if !self.matcher.is_match(path) {
            return None;
        }
        path.to_str()?.strip_prefix(&self.start)?.strip_suffix(&self.end).filter(|capture| !capture.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(glob: &str, path: &str) -> Option<String> {
        Pattern::parse(glob).expect("valid").capture(Path::new(path)).map(str::to_owned)
    }

    #[test]
    fn the_wildcards_are_what_the_star_stands_for() {
        assert_eq!(capture("prompts/**/*.md", "prompts/rag/answer.md").as_deref(), Some("rag/answer"));
        assert_eq!(capture("prompts/**/*.md", "prompts/answer.md").as_deref(), Some("answer"));
        assert_eq!(capture("./prompts/*.md", "prompts/a.b.md").as_deref(), Some("a.b"));
        assert_eq!(capture("prompts/*.md", "prompts/rag/answer.md"), None);
        assert_eq!(capture("*/prompt.txt", "chat/prompt.txt").as_deref(), Some("chat"));
        assert_eq!(capture("p/{a,b}.md", "p/a.md").as_deref(), Some("a"));
        assert_eq!(capture("../shared/*", "../shared/x").as_deref(), Some("x"));
    }

    #[test]
    fn looking_begins_in_the_literal_folder() {
        for (glob, folder) in
            [("prompts/**/*.md", "prompts/"), ("*.md", ""), ("a/b-*/c", "a/"), ("/etc/p/*", "/etc/p/")]
        {
            assert_eq!(Pattern::parse(glob).expect("valid").folder(), Path::new(folder), "{glob}");
        }
        assert!(Pattern::parse("prompts/a.md").is_err());
        assert!(Pattern::parse("prompts/[a.md").is_err());
    }

    #[test]
    fn hidden_names_are_passed_over_unless_named() {
        assert!(Pattern::parse("p/*").expect("valid").skips("..data"));
        assert!(!Pattern::parse("p/.hidden/*").expect("valid").skips(".hidden"));
        assert!(!Pattern::parse("../p/*").expect("valid").skips("x"));
        assert!(Pattern::parse("../p/*").expect("valid").skips(".x"));
    }
}
