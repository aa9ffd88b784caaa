//! What readers of AI chat configurations may not understand. Pure.
//!
//! The schema is App Configuration's `AIChatConfiguration` 1.0.0, which names every field that it knows. Models learn
//! new ones faster than it does, and the store checks nothing; so what deviates is stored as it stands and only told.

use super::nearest::{did_you_mean, nearest};
use super::problem::Issue;
use super::tree::{Data, Map, Node, NumberValue};

/// What a field holds.
#[derive(Debug, Clone, Copy)]
enum Rule {
    Text,
    /// Text of at most so many characters.
    ShortText(usize),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    TextOrNull,
    Bool,
    /// A whole number between two.
    Whole(i64, i64),
    /// A number between two.
    Number(f64, f64),
    /// A text, up to so many of them, or null.
    Texts(usize),
    /// A map of these fields.
    Fields(&'static Shape),
    /// A list of maps of these fields.
    ListOf(&'static Shape),
}

/// The fields of a map.
#[derive(Debug)]
struct Shape {
    fields: &'static [(&'static str, Rule)],
    required: &'static [&'static str],
}

const MESSAGE: Shape = Shape {
    fields: &[
        ("role", Rule::OneOf(&["system", "user", "assistant", "function", "tool"])),
        ("content", Rule::TextOrNull),
        ("name", Rule::Text),
    ],
    required: &["role", "content"],
};

const RESPONSE_FORMAT: Shape = Shape { fields: &[("type", Rule::OneOf(&["text", "json_object"]))], required: &[] };

const CONFIGURATION: Shape = Shape {
    fields: &[
        ("model", Rule::Text),
        ("messages", Rule::ListOf(&MESSAGE)),
        ("max_tokens", Rule::Whole(1, 32_768)),
        ("temperature", Rule::Number(0.0, 2.0)),
        ("top_p", Rule::Number(0.0, 1.0)),
        ("frequency_penalty", Rule::Number(-2.0, 2.0)),
        ("presence_penalty", Rule::Number(-2.0, 2.0)),
        ("stop", Rule::Texts(4)),
        ("response_format", Rule::Fields(&RESPONSE_FORMAT)),
        ("stream", Rule::Bool),
        ("user", Rule::ShortText(256)),
        ("seed", Rule::Whole(i64::MIN, i64::MAX)),
    ],
    required: &["model"],
};

/// Returns where a configuration deviates from the schema. No message shows a value.
pub(super) fn advise(node: &Node) -> Vec<Issue> {
    let mut found = Vec::new();
    if let Some(map) = node.map() {
        check_shape(node, map, &CONFIGURATION, "", &mut found);
    }
    found
}

fn check_shape(node: &Node, map: &Map, shape: &Shape, path: &str, found: &mut Vec<Issue>) {
    for name in shape.required.iter().filter(|name| !map.contains_key(**name)) {
        let message = format!("the AI chat schema asks for `{path}{name}`");
        found.push(Issue::at(node.span, message).hint("it is stored as it stands, and readers may miss the field"));
    }
    for (name, member) in map {
        match shape.fields.iter().find(|(field, _)| field == name) {
            Some((_, rule)) => check(&member.node, *rule, &format!("{path}{name}"), found),
            None => {
                let near = nearest(name, shape.fields.iter().map(|(field, _)| *field)).map(did_you_mean);
                let otherwise = "it is stored as it stands, and readers that keep to the schema refuse or ignore it";
                found.push(
                    Issue::at(member.key, format!("the AI chat schema does not know `{path}{name}`"))
                        .hint(near.unwrap_or_else(|| otherwise.to_owned())),
                );
            }
        }
    }
}

fn check(node: &Node, rule: Rule, path: &str, found: &mut Vec<Issue>) {
    match (rule, &node.data) {
        (Rule::Fields(shape), Data::Map(map)) => check_shape(node, map, shape, &format!("{path}."), found),
        (Rule::ListOf(shape), Data::List(items)) => {
            for item in items {
                check(item, Rule::Fields(shape), &format!("{path}[]"), found);
            }
        }
        _ if fits(node, rule) => {}
        _ => {
            let message = format!("the AI chat schema wants {} for `{path}`", wanted(rule));
            found.push(Issue::at(node.span, message).hint("it is stored as it stands, and readers may refuse it"));
        }
    }
}

fn fits(node: &Node, rule: Rule) -> bool {
    let is_text = |node: &Node| node.text().is_some();
    match rule {
        Rule::Text => is_text(node),
        Rule::ShortText(most) => node.text().is_some_and(|text| text.chars().count() <= most),
        Rule::OneOf(texts) => node.text().is_some_and(|text| texts.contains(&text)),
        Rule::TextOrNull => is_text(node) || node.is_null(),
        Rule::Bool => matches!(node.data, Data::Bool(_)),
        Rule::Whole(least, most) => whole(node).is_some_and(|n| (i128::from(least)..=i128::from(most)).contains(&n)),
        Rule::Number(least, most) => number(node).is_some_and(|n| (least..=most).contains(&n)),
        Rule::Texts(most) => match &node.data {
            Data::List(items) => items.len() <= most && items.iter().all(is_text),
            _ => is_text(node) || node.is_null(),
        },
        // A map or a list would have been looked into.
        Rule::Fields(_) | Rule::ListOf(_) => false,
    }
}

/// Returns a whole number, however it is written.
fn whole(node: &Node) -> Option<i128> {
    /// Beyond this not every whole number is a float.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match &node.data {
        Data::Number(number) => match number.value {
            NumberValue::Integer(value) => Some(value),
            #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
            NumberValue::Float(value) if value.fract() == 0.0 && value.abs() < EXACT => Some(value as i128),
            _ => None,
        },
        _ => None,
    }
}

fn number(node: &Node) -> Option<f64> {
    match &node.data {
        Data::Number(number) => match number.value {
            #[expect(clippy::cast_precision_loss, reason = "the bounds that it is compared with are small")]
            NumberValue::Integer(value) => Some(value as f64),
            NumberValue::Float(value) => Some(value),
            NumberValue::TooLarge | NumberValue::NotFinite => None,
        },
        _ => None,
    }
}

fn wanted(rule: Rule) -> String {
    match rule {
        Rule::Text => "text".to_owned(),
        Rule::ShortText(most) => format!("text of at most {most} characters"),
        Rule::OneOf(texts) => format!("one of {}", texts.join(", ")),
        Rule::TextOrNull => "text or null".to_owned(),
        Rule::Bool => "true or false".to_owned(),
        Rule::Whole(i64::MIN, i64::MAX) => "a whole number of 64 bits".to_owned(),
        Rule::Whole(least, most) => format!("a whole number from {least} to {most}"),
        Rule::Number(least, most) => format!("a number from {least} to {most}"),
        Rule::Texts(most) => format!("a text, up to {most} of them, or null"),
        Rule::Fields(_) => "a map".to_owned(),
        Rule::ListOf(_) => "a list".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::parse;
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let node = parse(text, 0, &mut Vec::new()).expect("valid");
        advise(&node).into_iter().map(|issue| issue.message).collect()
    }

    #[test]
    fn what_the_schema_knows_is_not_mentioned() {
        for text in [
            r#"{"model":"gpt-4o"}"#,
            r#"{"model":"m","messages":[{"role":"system","content":"x"},{"role":"tool","content":null,"name":"t"}],
                "max_tokens":32768,"temperature":2,"top_p":0.0,"frequency_penalty":-2,"presence_penalty":2.0,
                "stop":["a","b","c","d"],"response_format":{"type":"json_object"},"stream":false,"user":"u",
                "seed":-9223372036854775808}"#,
            r#"{"model":"m","stop":"x","max_tokens":100.0,"messages":[]}"#,
            r#"{"model":"m","stop":null}"#,
        ] {
            assert_eq!(told(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn each_deviation_is_told_once() {
        for (text, wanted) in [
            ("{}", "asks for `model`"),
            (r#"{"model":7}"#, "wants text for `model`"),
            (r#"{"model":"m","max_completion_tokens":1}"#, "does not know `max_completion_tokens`"),
            (r#"{"model":"m","max_tokens":0}"#, "a whole number from 1 to 32768 for `max_tokens`"),
            (r#"{"model":"m","max_tokens":1.5}"#, "a whole number from 1"),
            (r#"{"model":"m","temperature":2.1}"#, "a number from 0 to 2 for `temperature`"),
            (r#"{"model":"m","temperature":"0.2"}"#, "a number from 0 to 2"),
            (r#"{"model":"m","stop":["a","b","c","d","e"]}"#, "up to 4 of them"),
            (r#"{"model":"m","messages":{}}"#, "a list for `messages`"),
            (r#"{"model":"m","messages":["x"]}"#, "a map for `messages[]`"),
            (r#"{"model":"m","messages":[{"role":"root","content":"x"}]}"#, "for `messages[].role`"),
            (r#"{"model":"m","messages":[{"role":"user"}]}"#, "asks for `messages[].content`"),
            (r#"{"model":"m","response_format":{"type":"xml"}}"#, "for `response_format.type`"),
            (r#"{"model":"m","seed":9223372036854775808}"#, "of 64 bits for `seed`"),
        ] {
            let told = told(text);
            assert!(told.len() == 1 && told[0].contains(wanted), "{text}: {told:?}");
        }
        let user = "u".repeat(257);
        assert_eq!(told(&format!(r#"{{"model":"m","user":"{user}"}}"#)).len(), 1);
    }
}
