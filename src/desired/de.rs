//! A `serde::Deserializer` over the tree, so that the types in `file.rs` alone say what a file may hold.
//!
//! It differs from an ordinary one in what it says: every error has a place and plain words, and unknown fields are
//! collected instead of stopping at the first. No error quotes a value that might be a secret.

use std::cell::RefCell;
use std::fmt;

use indexmap::map;
use serde::de::{DeserializeOwned, DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor, value};
use serde::forward_to_deserialize_any;

use super::nearest::{did_you_mean, suggest};
use super::problem::Issue;
use super::tree::{Data, Map, Member, Node, NumberValue, Span};

/// Decodes a node. `place` is where a missing field is reported.
///
/// Unknown fields are reported and passed over; `None` means that something else is wrong, which is reported too.
pub(super) fn decode<T: DeserializeOwned>(node: &Node, place: Span, issues: &mut Vec<Issue>) -> Option<T> {
    let unknown = RefCell::new(Vec::new());
    let decoded = T::deserialize(De { node, unknown: &unknown });
    let mut unknown = unknown.into_inner();
    let is_explained =
        |error: &DeError| error.missing.is_some_and(|field| unknown.iter().any(|issue| suggests(issue, field)));
    let decoded = decoded.map_err(|error| (is_explained(&error), error));
    issues.append(&mut unknown);
    match decoded {
        Ok(value) => Some(value),
        // The misspelt field says it already.
        Err((true, _)) => None,
        Err((false, error)) => {
            issues.push(Issue::at(error.span.unwrap_or(place), error.message).maybe_hint(error.hint));
            None
        }
    }
}

/// Tells whether an unknown field was probably meant to be this one.
fn suggests(issue: &Issue, field: &str) -> bool {
    issue.hint.as_deref() == Some(&did_you_mean(field))
}

/// What is wrong with a node.
#[derive(Debug)]
struct DeError {
    /// The field that is missing, if that is what is wrong.
    missing: Option<&'static str>,
    message: String,
    hint: Option<String>,
    span: Option<Span>,
}

impl DeError {
    fn new(message: impl Into<String>) -> Self {
        Self { missing: None, message: message.into(), hint: None, span: None }
    }

    fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// Gives the error a place unless it has a nearer one.
    fn or_at(mut self, span: Span) -> Self {
        self.span.get_or_insert(span);
        self
    }
}

impl fmt::Display for DeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DeError {}

impl serde::de::Error for DeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(_: serde::de::Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        Self::new(format!("expected {expected}"))
    }

    fn invalid_value(_: serde::de::Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        Self::new(format!("the number does not fit: expected {expected}"))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("unknown value `{variant}`")).hint(suggest(variant, expected.iter().copied()))
    }

    fn missing_field(field: &'static str) -> Self {
        Self { missing: Some(field), ..Self::new(format!("missing field `{field}`")) }
    }
}

#[derive(Clone, Copy)]
struct De<'a> {
    node: &'a Node,
    unknown: &'a RefCell<Vec<Issue>>,
}

impl De<'_> {
    fn expected(self, wanted: &str) -> DeError {
        let error = DeError::new(format!("expected {wanted}, found {}", self.node.describe())).or_at(self.node.span);
        let mistyped = matches!(self.node.data, Data::Number(_) | Data::Bool(_)) && wanted == "text";
        error.hint(mistyped.then(|| "put it in quotes".to_owned()))
    }
}

impl<'de> serde::Deserializer<'de> for De<'_> {
    type Error = DeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        let visited = match &self.node.data {
            Data::Null => visitor.visit_unit(),
            Data::Bool(value) => visitor.visit_bool(*value),
            Data::Text(text) => visitor.visit_str(text),
            Data::List(items) => visitor.visit_seq(Items { rest: items.iter(), unknown: self.unknown }),
            Data::Map(map) => visitor.visit_map(Members::of(map, self.unknown)),
            Data::Number(number) => match number.value {
                NumberValue::Integer(value) => match (u64::try_from(value), i64::try_from(value)) {
                    (Ok(value), _) => visitor.visit_u64(value),
                    (_, Ok(value)) => visitor.visit_i64(value),
                    _ => Err(DeError::new("the number is too large")),
                },
                NumberValue::Float(value) => visitor.visit_f64(value),
                NumberValue::TooLarge => Err(DeError::new("the number is too large")),
                NumberValue::NotFinite => Err(DeError::new("expected a finite number")),
            },
        };
        visited.map_err(|error| error.or_at(self.node.span))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match self.node.data {
            Data::Bool(_) => self.deserialize_any(visitor),
            _ => Err(self.expected("`true` or `false`")),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match &self.node.data {
            Data::Number(number) if matches!(number.value, NumberValue::Integer(value) if value >= 0) => {
                self.deserialize_any(visitor)
            }
            Data::Number(_) => Err(DeError::new("expected a whole number, 0 or more").or_at(self.node.span)),
            _ => Err(self.expected("a whole number, 0 or more")),
        }
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match self.node.data {
            Data::Number(_) => self.deserialize_any(visitor),
            _ => Err(self.expected("a number")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match self.node.data {
            Data::Text(_) => self.deserialize_any(visitor),
            _ => Err(self.expected("text")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match self.node.data {
            Data::List(_) => self.deserialize_any(visitor),
            _ => {
                let error = self.expected("a list");
                let single = matches!(self.node.data, Data::Text(_));
                Err(error.hint(single.then(|| "put it in brackets: [ ... ]".to_owned())))
            }
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match self.node.data {
            Data::Map(_) => self.deserialize_any(visitor),
            _ => Err(self.expected("a map")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        let Data::Map(map) = &self.node.data else { return Err(self.expected("a map")) };
        for (name, member) in map.iter().filter(|(name, _)| !fields.contains(&name.as_str())) {
            self.unknown.borrow_mut().push(unknown_field(name, member.key, fields));
        }
        let members = Members { known: Some(fields), ..Members::of(map, self.unknown) };
        visitor.visit_map(members).map_err(|error| match error.missing.is_some() {
            // A map's own span begins at its first key, which is not what is missing.
            true => error,
            false => error.or_at(self.node.span),
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        match &self.node.data {
            // Text where a source of a value belongs may be the value.
            Data::Text(_) if matches!(name, "ValueFrom" | "SecretSource") => {
                Err(self.expected(&format!("a map with one of {}", listed(variants))))
            }
            Data::Text(text) => visitor
                .visit_enum(Choice { name: text, member: None, unknown: self.unknown })
                .map_err(|error| error.or_at(self.node.span)),
            Data::Map(map) => match map.first() {
                Some((chosen, member)) if map.len() == 1 => {
                    if !variants.contains(&chosen.as_str()) {
                        let issue = unknown_field(chosen, member.key, variants);
                        return Err(DeError::new(issue.message).hint(issue.hint).or_at(member.key));
                    }
                    visitor.visit_enum(Choice { name: chosen, member: Some(member), unknown: self.unknown })
                }
                _ => {
                    let message = format!("expected exactly one of {}, found {}", listed(variants), map.len());
                    Err(DeError::new(message).or_at(self.node.span))
                }
            },
            _ => Err(self.expected(&format!("one of {}", listed(variants)))),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}

/// Says that a field is not known here.
pub(super) fn unknown_field(name: &str, key: Span, known: &[&str]) -> Issue {
    Issue::at(key, format!("unknown field `{name}`")).maybe_hint(suggest(name, known.iter().copied()))
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

struct Items<'a> {
    rest: std::slice::Iter<'a, Node>,
    unknown: &'a RefCell<Vec<Issue>>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = DeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DeError> {
        self.rest.next().map(|node| seed.deserialize(De { node, unknown: self.unknown })).transpose()
    }
}

struct Members<'a> {
    rest: map::Iter<'a, String, Member>,
    /// The fields of a struct; others are passed over.
    known: Option<&'static [&'static str]>,
    member: Option<&'a Member>,
    unknown: &'a RefCell<Vec<Issue>>,
}

impl<'a> Members<'a> {
    fn of(map: &'a Map, unknown: &'a RefCell<Vec<Issue>>) -> Self {
        Self { rest: map.iter(), known: None, member: None, unknown }
    }
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = DeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DeError> {
        let known = self.known;
        let Some((name, member)) =
            self.rest.by_ref().find(|(name, _)| known.is_none_or(|known| known.contains(&name.as_str())))
        else {
            return Ok(None);
        };
        self.member = Some(member);
        let key = value::StrDeserializer::new(name.as_str());
        seed.deserialize(key).map(Some).map_err(|error: DeError| error.or_at(member.key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DeError> {
        let member = self.member.take().expect("serde asks for a key first");
        let place = member.key;
        seed.deserialize(De { node: &member.node, unknown: self.unknown }).map_err(|error| error.or_at(place))
    }
}

struct Choice<'a> {
    name: &'a str,
    member: Option<&'a Member>,
    unknown: &'a RefCell<Vec<Issue>>,
}

impl<'de> EnumAccess<'de> for Choice<'_> {
    type Error = DeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), DeError> {
        let variant = seed.deserialize(value::StrDeserializer::<DeError>::new(self.name))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Choice<'_> {
    type Error = DeError;

    fn unit_variant(self) -> Result<(), DeError> {
        match self.member {
            None => Ok(()),
            Some(member) => {
                Err(DeError::new(format!("`{}` takes nothing; write it as a word", self.name)).or_at(member.key))
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, DeError> {
        match self.member {
            Some(member) => seed.deserialize(De { node: &member.node, unknown: self.unknown }),
            None => Err(DeError::new(format!("`{0}` needs something: {{ {0}: ... }}", self.name))),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, DeError> {
        Err(DeError::new(format!("`{}` cannot be written in a file", self.name)))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, DeError> {
        Err(DeError::new(format!("`{}` cannot be written in a file", self.name)))
    }
}
