//! From a value as the author meant it to the text that a store keeps. Pure.

use super::problem::Issue;
use super::tree::{Data, Node, Number, NumberValue};

/// Writes a value as compact JSON: keys in the author's order, numbers as written.
///
/// # Errors
/// Returns the place of a number that JSON readers could not keep.
pub(super) fn json(node: &Node) -> Result<String, Issue> {
    let mut out = String::new();
    write(node, &mut out, &|number: &Number| number.json.to_string(), false)?;
    Ok(out)
}

/// Writes a value so that two texts are equal exactly where the values are equal as JSON: keys sorted, `1.0` as `1`.
///
/// # Errors
/// Returns the place of a number that JSON readers could not keep.
pub(super) fn canonical(node: &Node) -> Result<String, Issue> {
    let mut out = String::new();
    write(node, &mut out, &canonical_number, true)?;
    Ok(out)
}

/// Writes text as one JSON string.
pub(super) fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Breaks `{{` in JSON, which SSM would take for a reference, by an escape that parses back equal.
///
/// In compact JSON two braces can only meet inside a string, and an escape between them is never itself escaped.
pub(super) fn escape_references(json: &str) -> String {
    json.replace("{{", "{\\u007b")
}

fn write(node: &Node, out: &mut String, number: &dyn Fn(&Number) -> String, sorted: bool) -> Result<(), Issue> {
    match &node.data {
        Data::Null => out.push_str("null"),
        Data::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Data::Text(text) => out.push_str(&json_string(text)),
        Data::Number(value) => {
            check(value, node)?;
            out.push_str(&number(value));
        }
        Data::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out, number, sorted)?;
            }
            out.push(']');
        }
        Data::Map(map) => {
            let mut members: Vec<_> = map.iter().collect();
            if sorted {
                members.sort_unstable_by_key(|(name, _)| *name);
            }
            out.push('{');
            for (index, (name, member)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&json_string(name));
                out.push(':');
                write(&member.node, out, number, sorted)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn check(number: &Number, node: &Node) -> Result<(), Issue> {
    match number.value {
        NumberValue::Integer(_) | NumberValue::Float(_) => Ok(()),
        NumberValue::TooLarge => Err(Issue::at(node.span, "the number is larger than JSON readers keep exactly")
            .hint("write it as text: put it in quotes")),
        NumberValue::NotFinite => {
            Err(Issue::at(node.span, "JSON has no infinity and no not-a-number")
                .hint("write it as text: put it in quotes"))
        }
    }
}

fn canonical_number(number: &Number) -> String {
    /// Beyond this not every whole number is a float.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.value {
        NumberValue::Integer(value) => value.to_string(),
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
        NumberValue::Float(value) if value.fract() == 0.0 && value.abs() < EXACT => (value as i64).to_string(),
        NumberValue::Float(value) => serde_json::Value::from(value).to_string(),
        NumberValue::TooLarge | NumberValue::NotFinite => number.json.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::parse;
    use super::*;

    fn node(text: &str) -> Node {
        parse(text, 0, &mut Vec::new()).expect("valid")
    }

    #[test]
    fn json_keeps_the_authors_order_and_digits() {
        let text = r#"{ "b": [1, 1.0, 1e2, null], "a": "x\ty" }"#;
        assert_eq!(json(&node(text)).expect("finite"), r#"{"b":[1,1.0,1e2,null],"a":"x\ty"}"#);
    }

    #[test]
    fn equal_values_have_one_canonical_text() {
        let one = canonical(&node(r#"{"b": 1.0, "a": [100, -0.0]}"#)).expect("finite");
        let other = canonical(&node(r#"{"a":[1e2,0],"b":1}"#)).expect("finite");
        assert_eq!(one, other);
        assert_ne!(one, canonical(&node(r#"{"a":[1e2,0],"b":"1"}"#)).expect("finite"));
        assert_ne!(canonical(&node("0.1")).expect("finite"), canonical(&node("0.10000000000000002")).expect("finite"));
    }

    #[test]
    fn references_are_broken_and_parse_back() {
        for text in ["{{user}}", "{{{x}}}", "\\{{{{a", "plain", "{", "{{"] {
            let json = json_string(text);
            let escaped = escape_references(&json);
            assert!(!escaped.contains("{{"), "{escaped}");
            assert_eq!(serde_json::from_str::<String>(&escaped).expect("still JSON"), text);
        }
        let nested = r#"{"a":{"b":{"{{c":1}}}"#;
        let escaped = escape_references(nested);
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&escaped).expect("still JSON"),
            serde_json::from_str::<serde_json::Value>(nested).expect("JSON")
        );
    }
}
