//! What changes inside a value, for people.

use repin_provider::Item;
use serde_json::Value as Json;

use crate::model::compare::same_json;
use crate::model::desired::Entry;
use crate::model::plan::Change;
use crate::model::printable;

/// The most characters of a value that a change shows.
const SHOWN: usize = 80;

/// Characters shown before the place where two long texts begin to differ.
const CONTEXT: usize = 16;

/// The most changes listed for one value.
const LISTED: usize = 20;

/// Lists what an entry changes about an item. A secret shows only that it differs, unless it is known to be the same.
pub(super) fn changes(entry: &Entry, item: &Item, content_types: bool, same_secret: bool) -> Vec<Change> {
    let mut changes = Vec::new();
    if entry.value.is_secret() && item.secret && same_secret {
        // Only what is said about it changes.
    } else if entry.value.is_secret() || item.secret {
        changes.push(Change { path: "value".to_owned(), from: None, to: None });
        if entry.value.is_secret() != item.secret {
            let name = |secret: bool| Some(if secret { "SecureString" } else { "String" }.to_owned());
            changes.push(change("type", name(item.secret), name(entry.value.is_secret())));
        }
    } else if let (Some(wanted), Some(held)) = (entry.value.plain(), item.value.as_deref()) {
        values(held, wanted, entry.kind.is_json(), &mut changes);
    }
    if content_types && entry.content_type.is_some() && entry.content_type != item.content_type {
        changes.push(change("content type", item.content_type.clone(), entry.content_type.clone()));
    }
    if let (Some(wanted), Some(held)) = (&entry.tags, &item.tags)
        && wanted != held
    {
        changes.push(change("tags", Some(format!("{held:?}")), Some(format!("{wanted:?}"))));
    }
    if entry.description.is_some() && item.description.is_some() && entry.description != item.description {
        changes.push(change("description", item.description.clone(), entry.description.clone()));
    }
    if changes.is_empty() && (entry.description.is_some() || entry.tier.is_some() || entry.tags.is_some()) {
        changes.push(Change { path: "description, tier or tags".to_owned(), from: None, to: None });
    }
    shorten_list(&mut changes);
    changes
}

/// Lists what differs between two values of a key whose entry is not known: as JSON where both are JSON. Empty where
/// they mean the same.
pub fn value_changes(from: &str, to: &str) -> Vec<Change> {
    let mut changes = Vec::new();
    values(from, to, true, &mut changes);
    shorten_list(&mut changes);
    changes
}

fn shorten_list(changes: &mut Vec<Change>) {
    if changes.len() > LISTED {
        let more = changes.len() - LISTED;
        changes.truncate(LISTED);
        changes.push(Change { path: format!("and {more} more"), from: None, to: None });
    }
}

fn values(held: &str, wanted: &str, json: bool, changes: &mut Vec<Change>) {
    if held == wanted {
        return;
    }
    if json && let (Ok(held), Ok(wanted)) = (serde_json::from_str(held), serde_json::from_str(wanted)) {
        return match (&held, &wanted) {
            // A prompt stored as one JSON string reads as the text that it is.
            (Json::String(held), Json::String(wanted)) => texts(held, wanted, changes),
            _ => json_paths("", &held, &wanted, changes),
        };
    }
    texts(held, wanted, changes);
}

fn texts(held: &str, wanted: &str, changes: &mut Vec<Change>) {
    if !held.contains('\n') && !wanted.contains('\n') {
        return changes.push(change("value", Some(held.to_owned()), Some(wanted.to_owned())));
    }
    lines(held, wanted, changes);
}

fn json_paths(path: &str, held: &Json, wanted: &Json, changes: &mut Vec<Change>) {
    if same_json(held, wanted) {
        return;
    }
    match (held, wanted) {
        (Json::Object(held), Json::Object(wanted)) => {
            let added = wanted.keys().filter(|key| !held.contains_key(*key));
            for key in held.keys().chain(added) {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                json_member(&path, held.get(key), wanted.get(key), changes);
            }
        }
        (Json::Array(held), Json::Array(wanted)) => {
            for n in 0..held.len().max(wanted.len()) {
                json_member(&format!("{path}[{n}]"), held.get(n), wanted.get(n), changes);
            }
        }
        _ => json_member(if path.is_empty() { "value" } else { path }, Some(held), Some(wanted), changes),
    }
}

fn json_member(path: &str, held: Option<&Json>, wanted: Option<&Json>, changes: &mut Vec<Change>) {
    match (held, wanted) {
        (Some(held), Some(wanted))
            if held.is_object() && wanted.is_object() || held.is_array() && wanted.is_array() =>
        {
            json_paths(path, held, wanted, changes);
        }
        (Some(held), Some(wanted)) if same_json(held, wanted) => {}
        _ => changes.push(change(path, held.map(Json::to_string), wanted.map(Json::to_string))),
    }
}

fn lines(held: &str, wanted: &str, changes: &mut Vec<Change>) {
    let diff = similar::TextDiff::from_lines(held, wanted);
    for op in diff.ops().iter().filter(|op| op.tag() != similar::DiffTag::Equal) {
        let text = |lines: Vec<&str>| (!lines.is_empty()).then(|| lines.concat().trim_end_matches('\n').to_owned());
        let old = text(held.split_inclusive('\n').skip(op.old_range().start).take(op.old_range().len()).collect());
        let new = text(wanted.split_inclusive('\n').skip(op.new_range().start).take(op.new_range().len()).collect());
        if old == new {
            changes.push(change("final newline", Some(newline(held)), Some(newline(wanted))));
        } else {
            changes.push(change(&format!("line {}", op.new_range().start + 1), old, new));
        }
    }
}

fn newline(text: &str) -> String {
    if text.ends_with('\n') { "yes" } else { "no" }.to_owned()
}

fn change(path: &str, from: Option<String>, to: Option<String>) -> Change {
    let start = match (&from, &to) {
        (Some(from), Some(to)) => window(from, to),
        _ => 0,
    };
    Change {
        // Inside a value the names of members are as free as the values.
        path: printable::line(path).into_owned(),
        from: from.map(|text| shorten(&text, start)),
        to: to.map(|text| shorten(&text, start)),
    }
}

/// Returns where to begin showing two long texts, in characters: a little before they differ.
fn window(from: &str, to: &str) -> usize {
    let same = from.chars().zip(to.chars()).take_while(|(a, b)| a == b).count();
    if same < SHOWN / 2 { 0 } else { same - CONTEXT }
}

/// Cuts a text for the screen and shows what is odd in it escaped, so that a value cannot steer a terminal.
fn shorten(text: &str, start: usize) -> String {
    let mut shown = if start > 0 { "…".to_owned() } else { String::new() };
    let cut: String = text.chars().skip(start).take(SHOWN).collect();
    shown.push_str(&printable::line(&cut));
    if text.chars().nth(start + SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(held: &str, wanted: &str, json: bool) -> Vec<String> {
        let mut changes = Vec::new();
        values(held, wanted, json, &mut changes);
        let text = |side: Option<String>| side.unwrap_or_else(|| "-".into());
        changes.into_iter().map(|c| format!("{}: {} -> {}", c.path, text(c.from), text(c.to))).collect()
    }

    #[test]
    fn json_shows_paths() {
        let held = r#"{"model":"gpt-4o","stop":["a","b"],"deep":{"x":1,"y":2}}"#;
        let wanted = r#"{"deep":{"y":2.0,"x":3},"model":"gpt-4o","stop":["a"],"seed":7}"#;
        assert_eq!(shown(held, wanted, true), ["stop[1]: \"b\" -> -", "deep.x: 1 -> 3", "seed: - -> 7"]);
        assert_eq!(shown("1", "2", true), ["value: 1 -> 2"]);
        assert_eq!(shown("[1]", "{}", true), ["value: [1] -> {}"]);
    }

    #[test]
    fn text_shows_lines() {
        assert_eq!(shown("a\nb\nc\n", "a\nB\nc\n", false), ["line 2: b -> B"]);
        assert_eq!(shown("a\nb", "a\nb\n", false), ["final newline: no -> yes"]);
        assert_eq!(shown("a", "b", false), ["value: a -> b"]);
    }

    #[test]
    fn a_prompt_in_a_json_string_shows_its_lines() {
        let json = |text: &str| serde_json::to_string(text).expect("text");
        let (held, wanted) = (json("one\ntwo\nthree\n"), json("one\n2\nthree\n"));
        assert_eq!(shown(&held, &wanted, true), ["line 2: two -> 2"]);
    }

    #[test]
    fn long_texts_are_shown_where_they_differ() {
        let long = "x".repeat(300);
        let [change] = &shown(&format!("{long}a tail"), &format!("{long}b tail"), false)[..] else { panic!("one") };
        assert_eq!(change, "value: …xxxxxxxxxxxxxxxxa tail -> …xxxxxxxxxxxxxxxxb tail");
    }

    #[test]
    fn terminal_escapes_are_shown_escaped() {
        assert_eq!(shown("a", "\u{1b}[2Jb\u{202e}", false), ["value: a -> \\u{1b}[2Jb\\u{202e}"]);
        assert_eq!(shown("{}", r#"{"\u001b[8m\u200bx":1}"#, true), ["\\u{1b}[8m\\u{200b}x: - -> 1"]);
    }
}
