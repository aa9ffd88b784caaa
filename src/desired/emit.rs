//! Values written as YAML, so that reading gives them back. Pure.
//!
//! Block style, since people edit it; quotes wherever a text could be taken for anything else, by this program or by
//! one that still reads YAML 1.1.

use std::borrow::Cow;

use super::json;
use super::render;
use super::scalar;
use super::tree::{Data, Map, Node, Pos, Span};
use super::value;
use crate::model::desired::EntryKind;
use crate::model::printable;

/// What one more level is indented by.
const STEP: usize = 2;
/// The longest key that is written, in characters: YAML readers look so far for its colon.
const LONGEST_KEY: usize = 500;
/// Words that are text to YAML 1.2 and something else to YAML 1.1.
const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
/// Where a node stands that was read from no file.
const NOWHERE: Span = Span { file: 0, start: Pos { line: 1, column: 1 }, end: Pos { line: 1, column: 1 } };

/// A value as a file may say it.
#[derive(Debug, Clone)]
pub(crate) struct Literal {
    /// How the file means it.
    pub(crate) kind: EntryKind,
    /// The text that App Configuration then keeps.
    pub(crate) stored: String,
    node: Node,
}

/// Two are the same where the same is stored and meant by them, however each was written before.
impl PartialEq for Literal {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.stored == other.stored
    }
}

impl Literal {
    /// Makes what a file says so that a value of this kind is stored as a text that means the same as this one; nothing
    /// where no value of the kind does.
    pub(crate) fn of(kind: EntryKind, text: &str) -> Option<Self> {
        let node = match kind {
            EntryKind::Text => said(text),
            EntryKind::JsonString => said(&serde_json::from_str::<String>(text).ok()?),
            EntryKind::KeyVaultReference => {
                let node = parsed(text)?;
                let only = node.map().filter(|map| map.len() == 1)?.get("uri")?;
                said(only.node.text()?)
            }
            EntryKind::Json | EntryKind::FeatureFlag | EntryKind::AiChat | EntryKind::Ai => parsed(text)?,
        };
        // Of all types only `json` takes a null for a value.
        if !can_write(&node) || node.is_null() && kind != EntryKind::Json {
            return None;
        }
        let stored = value::from_node(kind, false, &node).ok()?.text;
        Some(Self { kind, stored, node })
    }

    /// Returns the value where it is text.
    pub(crate) fn text(&self) -> Option<&str> {
        self.node.text()
    }

    /// Returns the text that SSM then keeps: it refuses some JSON as it stands.
    pub(crate) fn stored_on_ssm(&self) -> Cow<'_, str> {
        if self.kind.is_json() { render::escape_references(&self.stored).into() } else { (&self.stored).into() }
    }

    /// Tells whether a file that does not say the type means this one by the value.
    pub(crate) fn implies_kind(&self) -> bool {
        match self.node.data {
            Data::Null => false,
            Data::Text(_) => self.kind == EntryKind::Text,
            _ => self.kind == EntryKind::Json,
        }
    }

    /// Tells whether it is a map or a list.
    pub(crate) fn is_structured(&self) -> bool {
        matches!(self.node.data, Data::Map(_) | Data::List(_))
    }

    /// Tells whether it is a number, true or false.
    pub(crate) fn is_plain_scalar(&self) -> bool {
        matches!(self.node.data, Data::Number(_) | Data::Bool(_))
    }

    /// Writes it as the value of a field that stands `indent` deep: what follows the colon, without a line end.
    pub(crate) fn after_colon(&self, indent: usize) -> String {
        let mut out = String::new();
        member(&self.node, indent, &mut out);
        out
    }
}

/// Writes a text as a value on one line.
pub(crate) fn text(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

/// Writes a text as a key: a colon of its own would be hard to tell from the one behind it.
pub(crate) fn key(text: &str) -> String {
    if is_plain(text) && !text.contains(':') { text.to_owned() } else { quoted(text) }
}

fn said(text: &str) -> Node {
    Node { span: NOWHERE, data: Data::Text(text.to_owned()) }
}

fn parsed(text: &str) -> Option<Node> {
    let mut issues = Vec::new();
    let node = json::parse(text, 0, &mut issues).ok()?;
    issues.is_empty().then_some(node)
}

fn can_write(node: &Node) -> bool {
    match &node.data {
        Data::List(items) => items.iter().all(can_write),
        Data::Map(map) => {
            map.iter().all(|(name, member)| name.chars().count() <= LONGEST_KEY && can_write(&member.node))
        }
        _ => true,
    }
}

/// Writes what follows a colon.
fn member(node: &Node, indent: usize, out: &mut String) {
    match &node.data {
        Data::Map(map) if !map.is_empty() => {
            out.push('\n');
            members(map, indent + STEP, out);
        }
        Data::List(items) if !items.is_empty() => {
            out.push('\n');
            list(items, indent + STEP, out);
        }
        Data::Text(text) => match block(text, indent + STEP) {
            Some(block) => {
                out.push(' ');
                out.push_str(&block);
            }
            None => {
                out.push(' ');
                out.push_str(&self::text(text));
            }
        },
        _ => {
            out.push(' ');
            out.push_str(&scalar(node));
        }
    }
}

/// Writes the members of a map, the first where a line begins.
fn members(map: &Map, indent: usize, out: &mut String) {
    for (n, (name, one)) in map.iter().enumerate() {
        if n > 0 {
            out.push('\n');
        }
        push_blanks(indent, out);
        out.push_str(&key(name));
        out.push(':');
        member(&one.node, indent, out);
    }
}

fn list(items: &[Node], indent: usize, out: &mut String) {
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            out.push('\n');
        }
        push_blanks(indent, out);
        out.push('-');
        match &item.data {
            // On lines of its own: where the first member stands beside the dash, the others are easily misread.
            Data::Map(map) if !map.is_empty() => {
                out.push('\n');
                members(map, indent + STEP, out);
            }
            Data::List(_) | Data::Map(_) | Data::Text(_) => member(item, indent, out),
            _ => {
                out.push(' ');
                out.push_str(&scalar(item));
            }
        }
    }
}

fn push_blanks(count: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', count));
}

/// Writes anything that needs no lines of its own.
fn scalar(node: &Node) -> String {
    match &node.data {
        Data::Null => "null".to_owned(),
        Data::Bool(value) => value.to_string(),
        Data::Number(number) => number.json.to_string(),
        Data::Text(text) => self::text(text),
        Data::List(_) => "[]".to_owned(),
        Data::Map(_) => "{}".to_owned(),
    }
}

/// Writes a text of several lines as a literal block, where that keeps each byte of it.
fn block(text: &str, indent: usize) -> Option<String> {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let fits = text.contains('\n')
        && !body.is_empty()
        && !body.ends_with('\n')
        && !body.starts_with([' ', '\t', '\n'])
        && text.chars().all(|c| c == '\n' || c == '\t' || is_printable(c))
        // A line of nothing but blanks, or one that ends with them, is not kept by every editor.
        && body.lines().all(|line| !line.ends_with([' ', '\t']));
    if !fits {
        return None;
    }
    let mut out = if text.ends_with('\n') { "|" } else { "|-" }.to_owned();
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            push_blanks(indent, &mut out);
            out.push_str(line);
        }
    }
    Some(out)
}

/// Tells whether a text means itself without quotes, wherever it stands in a block.
fn is_plain(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c.is_alphabetic() || c == '/' || c == '_');
    let fits = |c: char| c.is_alphanumeric() || " _-./@+=()".contains(c);
    let colons = text.match_indices(':').all(|(at, _)| {
        let next = text[at + 1..].chars().next();
        next.is_some_and(|next| next != ' ' && fits(next))
    });
    starts
        && colons
        && text.chars().all(|c| fits(c) || c == ':')
        && !text.ends_with(' ')
        && !WORDS.contains(&text.to_lowercase().as_str())
        && matches!(scalar::resolve(text), Data::Text(_))
}

/// Writes a text in double quotes, in ASCII where a character could be taken for a line end or for nothing.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_printable(c) {
            out.push(c);
        } else {
            let mut units = [0; 2];
            match c.encode_utf16(&mut units) {
                [unit] => out.push_str(&format!("\\u{unit:04x}")),
                _ => out.push_str(&format!("\\U{:08x}", u32::from(c))),
            }
        }
    }
    out
}

/// Tells whether a character stands for itself in every YAML reader and for something in every editor.
fn is_printable(c: char) -> bool {
    !printable::is_odd(c) && u32::from(c) & 0xfffe != 0xfffe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::super::yaml;
    use super::*;

    /// What a file says that has this value two levels deep.
    fn read_back(literal: &Literal) -> Node {
        let file = format!("entries:\n  a:\n    value:{}\n", literal.after_colon(4));
        let mut issues = Vec::new();
        let root = yaml::parse(&file, 0, &[], &mut issues).unwrap_or_else(|issue| panic!("{}: {file}", issue.message));
        assert!(issues.is_empty(), "{file}");
        assert!(!file.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')), "{file:?}");
        let member = |node: &Node, name: &str| node.get(name).unwrap_or_else(|| panic!("{file}")).node.clone();
        member(&member(&member(&root, "entries"), "a"), "value")
    }

    fn check(kind: EntryKind, text: &str) {
        let literal = Literal::of(kind, text).unwrap_or_else(|| panic!("{kind:?} {text:?}"));
        let again =
            value::from_node(kind, false, &read_back(&literal)).unwrap_or_else(|issue| panic!("{}", issue.message));
        assert_eq!(again.text, literal.stored, "{text:?}");
    }

    #[test]
    fn texts_are_read_back_byte_for_byte() {
        for text in [
            "",
            " ",
            "plain",
            "gpt-4o",
            "https://example.com/v1",
            "a: b",
            "a:",
            "# no",
            "a #b",
            "yes",
            "NO",
            "true",
            "~",
            "null",
            "12",
            "012",
            "0x1f",
            "1e3",
            ".5",
            "-",
            "- a",
            "?",
            "? a",
            "[a]",
            "{a}",
            "a, b",
            "*a",
            "&a",
            "!a",
            "%a",
            "@a",
            "`a",
            "|",
            ">",
            "'",
            "\"",
            "\\",
            "a\tb",
            "\t",
            "a ",
            "a\r\nb",
            "\n",
            "\n\n",
            "a\n",
            "a\n\n",
            "a\nb",
            "a\nb\n",
            "a\n\nb\n",
            "a\n  b\n",
            "  a\nb",
            "a \nb",
            "a\n \nb",
            "---",
            "...",
            "a\n---\nb",
            "é",
            "日本",
            "🦀",
            "\u{85}",
            "\u{a0}",
            "\u{2028}",
            "\u{feff}x",
            "\u{0}\u{1}\u{7f}",
            "\u{fffe}",
            "\u{1fffe}",
            "=",
            "<<",
            "2024-01-01",
            "12:30:45",
            "\u{200b}",
            "\u{202e}abc",
            "x\u{1b}[31m",
        ] {
            check(EntryKind::Text, text);
            check(EntryKind::JsonString, &serde_json::Value::from(text).to_string());
        }
    }

    #[test]
    fn json_keeps_its_digits_and_its_order() {
        for text in [
            "{}",
            "[]",
            "null",
            "true",
            "120",
            "-0",
            "1.0",
            "1.50",
            "1e5",
            "1E-7",
            "18446744073709551615",
            r#"{"b":1,"a":2}"#,
            r#"{"a":{"b":[1,{"c":[]},[2,[3]],{}]},"d":""}"#,
            r#"{"stop":["\n","é",":","- x"],"<<":1,"null":2,"":3,"a b":4}"#,
            r#"["x",null,[],{"y":"line one\nline two\n"}]"#,
        ] {
            check(EntryKind::Json, text);
            assert_eq!(Literal::of(EntryKind::Json, text).expect("JSON").stored, text);
        }
        let spaced = Literal::of(EntryKind::Json, "{ \"a\" : [1, 2] }").expect("JSON");
        assert_eq!(spaced.stored, r#"{"a":[1,2]}"#);
        for none in ["", "{", r#"{"a":1,"a":2}"#, "99999999999999999999", "1e999"] {
            assert!(Literal::of(EntryKind::Json, none).is_none(), "{none}");
        }
    }

    #[test]
    fn types_are_recognised_by_their_shape() {
        let reference = r#"{"uri":"https://contoso.vault.azure.net/secrets/openai"}"#;
        let literal = Literal::of(EntryKind::KeyVaultReference, reference).expect("a reference");
        assert_eq!(literal.text(), Some("https://contoso.vault.azure.net/secrets/openai"));
        assert_eq!(literal.stored, reference);
        for other in [r#"{"uri":"https://contoso.vault.azure.net/keys/x"}"#, r#"{"uri":"x","y":1}"#, "[]", "x"] {
            assert!(Literal::of(EntryKind::KeyVaultReference, other).is_none(), "{other}");
        }
        assert!(Literal::of(EntryKind::FeatureFlag, r#"{"enabled":true}"#).is_none(), "it has no id");
        assert!(Literal::of(EntryKind::AiChat, "[1]").is_none());
        assert!(Literal::of(EntryKind::Ai, "null").is_none() && Literal::of(EntryKind::Json, "null").is_some());
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let text = prop_oneof![".{0,12}", "[ \\n\\t:#'\"a-]{0,10}"];
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            text.prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::Array),
                prop::collection::vec((".{0,8}", inner), 0..5)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn any_value_is_read_back(value in any_json()) {
            check(EntryKind::Json, &value.to_string());
        }

        #[test]
        fn any_text_is_read_back(text in "(?s).{0,40}") {
            check(EntryKind::Text, &text);
        }
    }
}
