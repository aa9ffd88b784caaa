//! What a file says, as a tree that remembers where each part stands.

use indexmap::IndexMap;

/// A place in a text: line and column from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Pos {
    pub(super) line: u32,
    pub(super) column: u32,
}

/// A stretch of one file; `end` is exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Span {
    /// Index into [`Sources`](super::source::Sources).
    pub(super) file: u32,
    pub(super) start: Pos,
    pub(super) end: Pos,
}

impl Span {
    /// Tells whether `other` begins inside this stretch.
    pub(super) fn holds(&self, other: &Self) -> bool {
        self.file == other.file && self.start <= other.start && other.start < self.end
    }
}

/// One value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) data: Data,
}

/// A value as the author meant it.
#[derive(Debug, Clone)]
pub(super) enum Data {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Map),
}

/// The members of a map in the author's order.
pub(super) type Map = IndexMap<String, Member>;

/// One member of a map.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// Where its key stands.
    pub(super) key: Span,
    pub(super) node: Node,
}

/// A number, with the JSON text that means it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Number {
    pub(super) value: NumberValue,
    /// The author's own digits where they are JSON, else the same number in JSON.
    pub(super) json: Box<str>,
}

/// What a number is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum NumberValue {
    /// Within `i64::MIN..=u64::MAX`.
    Integer(i128),
    /// Finite.
    Float(f64),
    /// Beyond what JSON readers keep exactly (integers) or at all (floats).
    TooLarge,
    /// `.inf` or `.nan`, which JSON does not have.
    NotFinite,
}

impl Number {
    /// Reads a number in JSON's grammar.
    pub(super) fn from_json(text: &str) -> Self {
        let value = if text.bytes().all(|b| b == b'-' || b.is_ascii_digit()) {
            text.parse().ok().filter(|value| is_exact(*value)).map(NumberValue::Integer)
        } else {
            text.parse().ok().filter(|value: &f64| value.is_finite()).map(NumberValue::Float)
        };
        Self { value: value.unwrap_or(NumberValue::TooLarge), json: text.into() }
    }

    /// Makes an integer that was written in another notation than JSON's.
    pub(super) fn integer(value: Option<i128>) -> Self {
        match value.filter(|value| is_exact(*value)) {
            Some(value) => Self { value: NumberValue::Integer(value), json: value.to_string().into() },
            None => Self { value: NumberValue::TooLarge, json: "".into() },
        }
    }

    /// Makes a float that was written in another notation than JSON's.
    pub(super) fn float(value: f64) -> Self {
        match serde_json::Number::from_f64(value) {
            Some(number) => Self { value: NumberValue::Float(value), json: number.to_string().into() },
            None => Self { value: NumberValue::TooLarge, json: "".into() },
        }
    }

    /// Makes an infinity or a not-a-number.
    pub(super) fn not_finite() -> Self {
        Self { value: NumberValue::NotFinite, json: "".into() }
    }
}

fn is_exact(value: i128) -> bool {
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value)
}

impl Node {
    /// Returns the members where this is a map.
    pub(super) fn map(&self) -> Option<&Map> {
        match &self.data {
            Data::Map(map) => Some(map),
            _ => None,
        }
    }

    /// Returns a member of a map.
    pub(super) fn get(&self, name: &str) -> Option<&Member> {
        self.map()?.get(name)
    }

    /// Returns the text where this is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Tells whether this is null.
    pub(super) fn is_null(&self) -> bool {
        matches!(self.data, Data::Null)
    }

    /// Says in plain words what this is, never what it holds.
    pub(super) fn describe(&self) -> &'static str {
        match self.data {
            Data::Null => "nothing (null)",
            Data::Bool(_) => "true or false",
            Data::Number(_) => "a number",
            Data::Text(_) => "text",
            Data::List(_) => "a list",
            Data::Map(_) => "a map",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_what_the_author_wrote() {
        assert_eq!(Number::from_json("1.0").json.as_ref(), "1.0");
        assert_eq!(Number::from_json("1e3").value, NumberValue::Float(1000.0));
        assert_eq!(Number::from_json("18446744073709551615").value, NumberValue::Integer(u64::MAX.into()));
        assert_eq!(Number::from_json("18446744073709551616").value, NumberValue::TooLarge);
        assert_eq!(Number::from_json("-9223372036854775809").value, NumberValue::TooLarge);
        assert_eq!(Number::from_json("1e999").value, NumberValue::TooLarge);
        assert_eq!(Number::float(0.5).json.as_ref(), "0.5");
    }
}
