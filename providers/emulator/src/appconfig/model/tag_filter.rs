//! The `tags` filter: `name=value`, all of which must hold.

use std::collections::BTreeMap;

/// How many tag filters a request may carry (documented limit).
const MAX_TAG_FILTERS: usize = 5;

/// One `name=value`; no value asks for a tag whose value is null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TagFilter {
    name: String,
    value: Option<String>,
}

impl TagFilter {
    /// Parses all tag filters of a request.
    ///
    /// # Errors
    ///
    /// A sentence about the filter that is not `name=value`, or about there being more than five.
    pub(crate) fn parse_all<'a>(filters: impl IntoIterator<Item = &'a str>) -> Result<Vec<Self>, String> {
        let filters = filters.into_iter().map(Self::parse).collect::<Result<Vec<_>, _>>()?;
        match filters.len() {
            0..=MAX_TAG_FILTERS => Ok(filters),
            _ => Err(format!("Too many tag filters. Maximum supported is {MAX_TAG_FILTERS}")),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut parts = split_escaped(text)?.into_iter();
        let (Some(name), Some(value), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err("A tag filter is name=value, with '=' inside either escaped".into());
        };
        if name.trim().is_empty() || name == "\0" {
            return Err("A tag filter needs the name of a tag".into());
        }
        Ok(Self { name, value: (value != "\0").then_some(value) })
    }

    /// Reports whether these tags have exactly this one.
    pub(crate) fn matches(&self, tags: &BTreeMap<String, Option<String>>) -> bool {
        tags.get(&self.name).is_some_and(|value| *value == self.value)
    }
}

/// Splits at each `=` that no backslash precedes, and resolves the escapes.
fn split_escaped(text: &str) -> Result<Vec<String>, String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        let char = match char {
            '=' => {
                parts.push(String::new());
                continue;
            }
            '*' | ',' => return Err(format!("'{char}' is reserved: escape it")),
            '\\' => chars.next().ok_or("A backslash escapes the character after it")?,
            plain => plain,
        };
        parts.last_mut().expect("there is always a current part").push(char);
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags() -> BTreeMap<String, Option<String>> {
        BTreeMap::from([
            ("env".to_owned(), Some("prod".to_owned())),
            ("empty".to_owned(), Some(String::new())),
            ("none".to_owned(), None),
            ("a=b".to_owned(), Some("c,d".to_owned())),
        ])
    }

    #[test]
    fn exact_matches_only() {
        let cases = [
            ("env=prod", true),
            ("env=pro", false),
            ("empty=", true),
            ("none=", false),
            ("none=\0", true),
            ("none=\\0", false),
            ("empty=\0", false),
            ("a\\=b=c\\,d", true),
            ("absent=\0", false),
        ];
        for (text, expected) in cases {
            assert_eq!(TagFilter::parse(text).unwrap().matches(&tags()), expected, "{text:?}");
        }
    }

    #[test]
    fn malformed_filters_are_refused() {
        for text in ["", "env", "=v", "a=b=c", "a=b*", "a=b,c", "a=b\\"] {
            assert!(TagFilter::parse(text).is_err(), "{text:?}");
        }
        assert!(TagFilter::parse_all(["a=1"; 5]).is_ok());
        assert!(TagFilter::parse_all(["a=1"; 6]).is_err());
    }
}
