//! JSON (RFC 8259, nothing more) to a tree.

use std::cell::Cell;
use std::fmt;

use jsonc_parser::ast::{ObjectProp, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::problem::Issue;
use super::tree::{Data, Map, Member, Node, Number, Pos, Span};
use super::yaml::{MAX_DEPTH, MAX_NODES, duplicate};

/// A text that is not JSON.
#[derive(Debug)]
pub(super) struct NotJson {
    /// What the parser says; it quotes nothing.
    pub(super) message: String,
    /// Where.
    pub(super) pos: Pos,
}

/// Parses a text. Duplicate keys go to `issues`.
///
/// # Errors
/// Returns where the text stops being JSON.
pub(super) fn parse(text: &str, file: u32, issues: &mut Vec<Issue>) -> Result<Node, NotJson> {
    // The one parser is exact about the grammar, the other knows where everything stands.
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| not_json(&error))?;
    if !has_at_most(text, MAX_NODES) {
        let pos = Pos { line: 1, column: 1 };
        return Err(NotJson { message: format!("the file holds more than {MAX_NODES} values"), pos });
    }
    let options = ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let lines = Lines::new(text);
    let parsed = parse_to_ast(text, &CollectOptions::default(), &options).map_err(|error| NotJson {
        message: error.kind().to_string().to_lowercase(),
        pos: lines.pos(error.range().start),
    })?;
    let root = parsed.value.ok_or_else(|| NotJson { message: "nothing there".into(), pos: lines.pos(0) })?;
    let mut reader = Reader { file, lines, issues, depth: 0 };
    reader.node(root)
}

/// Tells whether JSON has no more than so many values, before a tree is made of it that takes fifty times its size. Of what
/// is not JSON it says nothing.
pub(crate) fn has_at_most(text: &str, most: usize) -> bool {
    let left = Cell::new(most);
    let counted = Count(&left).deserialize(&mut serde_json::Deserializer::from_str(text));
    counted.is_ok() || left.get() > 0
}

/// Counts values as they pass.
#[derive(Clone, Copy)]
struct Count<'c>(&'c Cell<usize>);

impl<'de> DeserializeSeed<'de> for Count<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let left = self.0.get().checked_sub(1).ok_or_else(|| D::Error::custom("too many values"))?;
        self.0.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Count<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while members.next_key::<IgnoredAny>()?.is_some() {
            members.next_value_seed(self)?;
        }
        Ok(())
    }
}

fn not_json(error: &serde_json::Error) -> NotJson {
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message).to_owned();
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    NotJson { message, pos: Pos { line: number(error.line()).max(1), column: number(error.column()).max(1) } }
}

/// Where lines begin, for turning byte offsets into places.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, starts: std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect() }
    }

    fn pos(&self, offset: usize) -> Pos {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line.saturating_sub(1)];
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count()) + 1;
        Pos { line: u32::try_from(line).unwrap_or(u32::MAX), column: u32::try_from(column).unwrap_or(u32::MAX) }
    }
}

struct Reader<'t, 'i> {
    file: u32,
    lines: Lines<'t>,
    issues: &'i mut Vec<Issue>,
    depth: usize,
}

impl Reader<'_, '_> {
    fn span(&self, ranged: &impl Ranged) -> Span {
        Span { file: self.file, start: self.lines.pos(ranged.start()), end: self.lines.pos(ranged.end()) }
    }

    fn node(&mut self, value: Value<'_>) -> Result<Node, NotJson> {
        let span = self.span(&value);
        let data = match value {
            Value::NullKeyword(_) => Data::Null,
            Value::BooleanLit(lit) => Data::Bool(lit.value),
            Value::NumberLit(lit) => Data::Number(Number::from_json(lit.value)),
            Value::StringLit(lit) => Data::Text(lit.value.into_owned()),
            Value::Array(array) => {
                self.enter(span)?;
                let items = array.elements.into_iter().map(|item| self.node(item)).collect::<Result<_, _>>()?;
                self.depth -= 1;
                Data::List(items)
            }
            Value::Object(object) => {
                self.enter(span)?;
                let map = self.map(object.properties)?;
                self.depth -= 1;
                Data::Map(map)
            }
        };
        Ok(Node { span, data })
    }

    fn enter(&mut self, span: Span) -> Result<(), NotJson> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(NotJson { message: format!("nested deeper than {MAX_DEPTH} levels"), pos: span.start });
        }
        Ok(())
    }

    fn map(&mut self, properties: Vec<ObjectProp<'_>>) -> Result<Map, NotJson> {
        let mut map = Map::with_capacity(properties.len());
        for property in properties {
            let key = self.span(&property.name);
            let node = self.node(property.value)?;
            let name = property.name.into_string();
            match map.get(&name) {
                Some(Member { key: first, .. }) => self.issues.push(duplicate(&name, key, *first)),
                None => {
                    map.insert(name, Member { key, node });
                }
            }
        }
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(text: &str) -> (String, u32, u32) {
        let error = parse(text, 0, &mut Vec::new()).expect_err(text);
        (error.message, error.pos.line, error.pos.column)
    }

    #[test]
    fn only_json_is_json() {
        for text in [
            "",
            "{a: 1}",
            "{\"a\": 1,}",
            "// x\n1",
            "'a'",
            "0x1",
            "+1",
            ".5",
            "NaN",
            "[1 2]",
            "\"a\nb\"",
            "1 2",
            "\"\\x41\"",
        ] {
            fails(text);
        }
        assert_eq!(fails("{\n  \"a\": x\n}").1, 2);
    }

    #[test]
    fn depth_is_bounded() {
        let text = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        fails(&text);
        fails(&format!("{}{}", "[".repeat(MAX_DEPTH + 1), "]".repeat(MAX_DEPTH + 1)));
    }

    #[test]
    fn values_are_counted_before_they_are_kept() {
        for (text, count) in [("1", 1), ("[1,\"a\",null]", 4), (r#"{"a":{"b":[]},"c":1.5}"#, 4), ("[[[1]]]", 4)] {
            assert!(has_at_most(text, count), "{text}");
            assert!(!has_at_most(text, count - 1), "{text}");
        }
        let text = format!("[{}1]", "1,".repeat(MAX_NODES));
        assert!(fails(&text).0.contains("more than 1000000 values"));
    }

    #[test]
    fn columns_count_characters() {
        let node = parse("{\"ü\": \"x\", \"b\": 2}", 0, &mut Vec::new()).expect("valid");
        let member = node.get("b").expect("there");
        assert_eq!((member.key.start.line, member.key.start.column), (1, 12));
    }
}
