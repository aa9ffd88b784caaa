//! Names for what is random, so that transcripts are the same every time.

use regex_lite::{Captures, Regex};

/// The longest run of one character that is written out.
const LONGEST_RUN: usize = 64;

/// What is random, and where it stands: the first group of each pattern.
const RANDOM: [(&str, &str); 14] = [
    ("jwt", r"(eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)"),
    ("uuid", r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"),
    ("etag", r#""etag":"([^"<]+)""#),
    ("etag", r#"etag: "([^"<]+)""#),
    ("token", r#""NextToken":"([^"]+)""#),
    ("token", r"[?&]after=([A-Za-z0-9_-]+)"),
    ("data-key", r#""CiphertextBlob":"[^"]+","Plaintext":"([^"]+)""#),
    ("ciphertext", r"([A-Za-z0-9+/]{100,}={0,2})"),
    ("key-id", r#""AccessKeyId":"([^"]+)""#),
    ("secret", r#""SecretAccessKey":"([^"]+)""#),
    ("session", r#""Token":"([^"]+)""#),
    ("key-id", r"<AccessKeyId>([^<]+)</AccessKeyId>"),
    ("secret", r"<SecretAccessKey>([^<]+)</SecretAccessKey>"),
    ("session", r"<SessionToken>([^<]+)</SessionToken>"),
];

/// The names given so far.
#[derive(Debug)]
pub(crate) struct Masks {
    patterns: Vec<(&'static str, Regex)>,
    runs: Regex,
    /// Name and what it stands for.
    known: Vec<(String, String)>,
}

impl Masks {
    pub(crate) fn new() -> Self {
        let patterns = RANDOM.iter().map(|(kind, pattern)| (*kind, Regex::new(pattern).unwrap())).collect();
        Self { patterns, runs: Regex::new(r"<(.)\*(\d+)>").unwrap(), known: Vec::new() }
    }

    /// Replaces what is random by its name, and long runs of one character by their length.
    pub(crate) fn hide(&mut self, text: &str) -> String {
        let mut text = fold(text);
        for (kind, pattern) in &self.patterns {
            let known = &mut self.known;
            text = pattern
                .replace_all(&text, |found: &Captures<'_>| {
                    let (whole, value) =
                        (found.get(0).expect("there is a match"), found.get(1).expect("each pattern has a group"));
                    let (start, end) = (value.start() - whole.start(), value.end() - whole.start());
                    format!("{}{}{}", &found[0][..start], name(known, kind, value.as_str()), &found[0][end..])
                })
                .into_owned();
        }
        text
    }

    /// Replaces names by what they stand for.
    pub(crate) fn show(&self, text: &str) -> String {
        let runs = |run: &Captures<'_>| run[1].repeat(run[2].parse().unwrap());
        let mut text = self.runs.replace_all(text, runs).into_owned();
        for (name, value) in &self.known {
            text = text.replace(name, value);
        }
        text
    }

    /// Returns what the newest name of a kind stands for.
    pub(crate) fn newest(&self, kind: &str) -> Option<&str> {
        let of_kind = |name: &str| name.strip_prefix('<').is_some_and(|name| name.starts_with(&format!("{kind}-")));
        self.known.iter().rev().find(|(name, _)| of_kind(name)).map(|(_, value)| value.as_str())
    }
}

fn name(known: &mut Vec<(String, String)>, kind: &str, value: &str) -> String {
    if let Some((name, _)) = known.iter().find(|(_, seen)| seen == value) {
        return name.clone();
    }
    let prefix = format!("<{kind}-");
    let number = known.iter().filter(|(name, _)| name.starts_with(&prefix)).count() + 1;
    let name = format!("{prefix}{number}>");
    known.push((name.clone(), value.to_owned()));
    name
}

fn fold(text: &str) -> String {
    let mut folded = String::new();
    let mut rest = text.chars().peekable();
    while let Some(first) = rest.next() {
        let mut length = 1;
        while rest.next_if_eq(&first).is_some() {
            length += 1;
        }
        match length {
            1..=LONGEST_RUN => folded.extend(std::iter::repeat_n(first, length)),
            _ => folded.push_str(&format!("<{first}*{length}>")),
        }
    }
    folded
}

#[test]
fn names_lead_back() {
    let mut masks = Masks::new();
    let text = format!(r#"{{"etag":"e1","NextToken":"t","v":"{}"}}"#, "x".repeat(100));
    let hidden = masks.hide(&text);
    assert_eq!(hidden, r#"{"etag":"<etag-1>","NextToken":"<token-1>","v":"<x*100>"}"#);
    assert_eq!(masks.show(&hidden), text);
    assert_eq!(masks.hide(r#"{"etag":"e2"} {"etag":"e1"}"#), r#"{"etag":"<etag-2>"} {"etag":"<etag-1>"}"#);
}
