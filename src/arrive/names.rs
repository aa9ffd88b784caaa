//! Names of what is written beside the file: files of long texts and of secrets, environment variables. Pure.

use std::collections::BTreeSet;

/// The longest name of a folder or a file that is made of a part of a key, in bytes.
const LONGEST: usize = 100;

/// Names that are given out, no two the same, not even where capitals do not count.
#[derive(Debug, Default)]
pub(super) struct Names {
    files: BTreeSet<String>,
    /// Folders on the way to files, which no file may be.
    folders: BTreeSet<String>,
    variables: BTreeSet<String>,
}

impl Names {
    /// Returns a path in a folder for what a key holds.
    pub(super) fn file(&mut self, folder: &str, key: &str, mark: Option<&str>, extension: &str) -> String {
        let parts: Vec<_> = key.split('/').map(part).collect();
        let mark = mark.map(|mark| format!(".{mark}")).unwrap_or_default();
        let flat = part(&parts.join("_"));
        let numbered = |n: usize| match n {
            1 => format!("{folder}/{}{mark}.{extension}", parts.join("/")),
            // Not below the folders of the key: one of them may have the name of a file.
            n => format!("{folder}/{flat}-{n}{mark}.{extension}"),
        };
        let path = (1..).map(numbered).find(|path| self.is_free(path)).expect("one of endless many is free");
        let lower = path.to_lowercase();
        self.folders.extend(lower.match_indices('/').map(|(at, _)| lower[..at].to_owned()));
        self.files.insert(lower);
        path
    }

    fn is_free(&self, path: &str) -> bool {
        let lower = path.to_lowercase();
        let above = |at: usize| self.files.contains(&lower[..at]);
        !self.files.contains(&lower)
            && !self.folders.contains(&lower)
            && !lower.match_indices('/').any(|(at, _)| above(at))
    }

    /// Returns an environment variable for a secret: one that no program reads by itself.
    pub(super) fn variable(&mut self, key: &str) -> String {
        let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let stem: String = key.chars().map(letter).collect();
        let numbered = |n: usize| if n == 1 { format!("SECRET_{stem}") } else { format!("SECRET_{stem}_{n}") };
        let name =
            (1..).map(numbered).find(|name| !self.variables.contains(name)).expect("one of endless many is free");
        self.variables.insert(name.clone());
        name
    }
}

/// Makes a name of a part of a key that every file system takes and no shell minds.
fn part(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let mut name: String = text.chars().map(|c| if fits(c) { c } else { '_' }).take(LONGEST).collect();
    // Hidden files are passed over by people, and `..` leads elsewhere.
    if name.is_empty() || name.starts_with(['.', '-']) {
        name.insert(0, '_');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_where_their_key_says() {
        let mut names = Names::default();
        for (key, path) in [
            ("prompts/system", "values/prompts/system.txt"),
            ("prompts/System", "values/prompts_System-2.txt"),
            ("prompts:system", "values/prompts_system.txt"),
            ("a", "values/a.txt"),
            ("a.txt/b", "values/a.txt_b-2.txt"),
            ("../../etc/passwd", "values/_../_../etc/passwd.txt"),
            (".hidden/-x/é", "values/_.hidden/_-x/_.txt"),
        ] {
            assert_eq!(names.file("values", key, None, "txt"), path);
        }
        assert_eq!(names.file("values", "p", Some("aws-eu"), "json"), "values/p.aws-eu.json");
        assert!(part(&"x".repeat(500)).len() <= LONGEST);
    }

    #[test]
    fn variables_are_their_own() {
        let mut names = Names::default();
        assert_eq!(names.variable("chat/api-key"), "SECRET_CHAT_API_KEY");
        assert_eq!(names.variable("chat/api_key"), "SECRET_CHAT_API_KEY_2");
        assert_eq!(names.variable("7é"), "SECRET_7_");
    }
}
