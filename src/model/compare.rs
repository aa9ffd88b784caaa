//! When two contents are the same.

use repin_provider::{Content, Item, ReadValue, Value as StoreValue};
use serde_json::{Number, Value};

use super::desired::{Entry, EntryKind};
use super::release::ContentDigest;

/// Tells whether two texts of one kind mean the same.
///
/// JSON is compared as JSON, so that key order, spacing and `1` / `1.0` are no difference. A text that is not JSON is
/// compared byte for byte whatever the kind.
pub fn same_text(kind: EntryKind, a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    if !kind.is_json() {
        return false;
    }
    match (serde_json::from_str::<Value>(a), serde_json::from_str::<Value>(b)) {
        (Ok(a), Ok(b)) => same_json(&a, &b),
        _ => false,
    }
}

/// Tells whether two JSON values mean the same.
pub fn same_json(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => same_number(a, b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_json(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same_json(a, b)))
        }
        _ => a == b,
    }
}

/// Compares numbers by value. Integers are compared as integers: two that differ only beyond what a float can hold are
/// different.
fn same_number(a: &Number, b: &Number) -> bool {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => a == b,
        (None, None) => a.as_f64() == b.as_f64(),
        _ => false,
    }
}

/// Returns the number as an integer if that is exactly what it is, however it was written.
fn integer(number: &Number) -> Option<i128> {
    if let Some(n) = number.as_i64() {
        return Some(n.into());
    }
    if let Some(n) = number.as_u64() {
        return Some(n.into());
    }
    let float = number.as_f64()?;
    // Every integral float below 2^127 converts exactly.
    (float.fract() == 0.0 && float.abs() < 1e38).then_some(float as i128)
}

/// Returns the name of what an entry asks for, what it says about the item included; of a secret all but the value.
///
/// Values that mean the same have the same name.
pub fn content_digest(entry: &Entry) -> ContentDigest {
    let about = (entry.description.is_some() || entry.tier.is_some() || entry.tags.is_some())
        // As JSON, so that no two different lists of parts read the same.
        .then(|| serde_json::json!([entry.description, entry.tier, entry.tags]).to_string());
    let Some(text) = entry.value.plain() else { return ContentDigest::of_secret(about.as_deref()) };
    match &entry.pin {
        // Whatever the value says.
        Some(pin) => ContentDigest::of(&serde_json::json!({ "pin": pin }).to_string(), about.as_deref()),
        None => digest_of(text, entry.kind.is_json(), entry.content_type.as_deref(), about.as_deref()),
    }
}

fn digest_of(text: &str, json: bool, content_type: Option<&str>, about: Option<&str>) -> ContentDigest {
    let parsed = if json { serde_json::from_str::<Value>(text).ok() } else { None };
    let value = parsed.as_ref().map_or_else(|| text.to_owned(), canonical_json);
    ContentDigest::of(&serde_json::json!([value, content_type]).to_string(), about)
}

/// Tells whether the content type of an item was asked for by the entry that brought the content of a pin, by name or by
/// its type: it then goes with that content. One that was there before, or that somebody else set, is preserved.
pub fn brought_content_type(item: &Item, content: &ContentDigest) -> bool {
    let (Some(value), Some(content_type)) = (&item.value, item.content_type.as_deref()) else { return false };
    let is_it = |json| digest_of(value, json, Some(content_type), None) == content.core();
    is_it(true) || is_it(false)
}

/// Returns what to put so that the item holds what was read. The description of what is there stays where the store
/// keeps none with the version.
pub fn content_read(read: &ReadValue, item: Option<&Item>) -> Content {
    Content {
        value: if read.secret || item.is_some_and(|item| item.secret) {
            StoreValue::Secret(read.value.clone())
        } else {
            StoreValue::Plain(read.value.expose().to_owned())
        },
        content_type: read.content_type.clone(),
        tags: read.tags.clone().unwrap_or_default(),
        description: read.description.clone().or_else(|| item?.description.clone()),
        tier: None,
    }
}

/// Writes JSON so that two values that mean the same read the same: keys sorted, numbers by value.
pub fn canonical_json(value: &Value) -> String {
    match value {
        Value::Number(number) => match integer(number) {
            Some(integer) => integer.to_string(),
            None => number.as_f64().map_or_else(|| number.to_string(), |float| float.to_string()),
        },
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(canonical_json).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members
                .iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical_json(value)))
                .collect();
            members.sort();
            format!("{{{}}}", members.join(","))
        }
        _ => value.to_string(),
    }
}

/// Tells whether everything about an item that the entry names, other than a secret's value, is as the entry asks.
///
/// What the entry does not name (content type, tags, description) is preserved and so never a difference.
pub fn same_shape(entry: &Entry, item: &Item, content_types: bool) -> bool {
    let secret = entry.value.is_secret() == item.secret;
    let content_type = !content_types || entry.content_type.is_none() || entry.content_type == item.content_type;
    // A store that does not answer tags or descriptions with its items cannot show them as different here.
    let tags = match (&entry.tags, &item.tags) {
        (Some(wanted), Some(held)) => wanted == held,
        _ => true,
    };
    secret && content_type && tags
}

/// Tells whether an item is described as the entry asks, in a store that answers descriptions.
pub fn same_description(entry: &Entry, item: &Item) -> bool {
    entry.description.is_none() || entry.description == item.description
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_compared_as_json() {
        for (a, b) in [
            (r#"{"a":1,"b":[1,2]}"#, r#"{ "b": [1.0, 2], "a": 1 }"#),
            ("1", "1.0"),
            ("1e2", "100"),
            (r#""\u007b""#, r#""{""#),
            ("0.1", "0.10"),
            ("-0.0", "0"),
        ] {
            assert!(same_text(EntryKind::Json, a, b), "{a} {b}");
            assert_eq!(canonical(a), canonical(b));
        }
        for (a, b) in [
            (r#"{"a":1}"#, r#"{"a":1,"b":null}"#),
            ("[1,2]", "[2,1]"),
            ("1", "\"1\""),
            ("1", "true"),
            ("9007199254740993", "9007199254740992"),
            ("9007199254740993", "9007199254740992.0"),
            ("null", "0"),
        ] {
            assert!(!same_text(EntryKind::Json, a, b), "{a} {b}");
            assert_ne!(canonical(a), canonical(b));
        }
    }

    fn canonical(text: &str) -> String {
        canonical_json(&serde_json::from_str(text).expect("json"))
    }

    #[test]
    fn text_is_compared_byte_for_byte() {
        assert!(!same_text(EntryKind::Text, "1", "1.0"));
        assert!(!same_text(EntryKind::Text, "a", "a\n"));
        assert!(!same_text(EntryKind::Json, "{not json", "{ not json"));
    }
}
