//! The filter grammar of the lists: any, exact, prefix, or up to five alternatives.

use azure_core::time::OffsetDateTime;

use crate::error::{Error, Result};

/// The most alternatives that one filter takes, and the most tag filters of one list.
pub const MAX_ALTERNATIVES: usize = 5;

/// How a filter spells "no label" and a tag without a value.
const NULL: &str = "\0";

/// Escapes the reserved characters of the filter grammar, `*`, `,` and `\`, so that the text matches itself.
///
/// ```
/// assert_eq!(azure_data_app_configuration::escape_filter(r"a*b,c\d"), r"a\*b\,c\\d");
/// ```
pub fn escape_filter(text: &str) -> String {
    escape(text, &['*', ',', '\\'])
}

fn escape(text: &str, reserved: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if reserved.contains(&character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// Which keys; also which names, for the lists of keys and snapshots. Texts are plain: they are escaped here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum KeyFilter {
    /// Every key.
    #[default]
    Any,
    /// This key.
    Exact(String),
    /// Every key that begins so.
    Prefix(String),
    /// These keys, at most [`MAX_ALTERNATIVES`].
    OneOf(Vec<String>),
}

impl KeyFilter {
    /// Returns the filter as the store reads it.
    ///
    /// # Errors
    /// `InvalidInput` for an empty key, no alternatives or too many.
    pub fn to_filter(&self) -> Result<String> {
        match self {
            Self::Any => Ok("*".to_owned()),
            Self::Exact(key) => exact("key", key),
            Self::Prefix(prefix) => Ok(format!("{}*", escape_filter(prefix))),
            Self::OneOf(keys) => alternatives("key", keys.iter().map(|key| exact("key", key))),
        }
    }
}

/// Which labels. Texts are plain: they are escaped here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LabelFilter {
    /// Every label, and none.
    #[default]
    Any,
    /// No label.
    Null,
    /// This label.
    Exact(String),
    /// Every label that begins so.
    Prefix(String),
    /// These labels, at most [`MAX_ALTERNATIVES`]; `None` is no label.
    OneOf(Vec<Option<String>>),
}

impl LabelFilter {
    /// Returns the filter that matches exactly this label, or exactly no label.
    pub fn exactly(label: Option<&str>) -> Self {
        label.map_or(Self::Null, |label| Self::Exact(label.to_owned()))
    }

    /// Returns the filter as the store reads it.
    ///
    /// # Errors
    /// `InvalidInput` for an empty label, no alternatives or too many.
    pub fn to_filter(&self) -> Result<String> {
        match self {
            // Left out, a label means "any" in one list and "none" in another: always say which.
            Self::Any => Ok("*".to_owned()),
            Self::Null => Ok(NULL.to_owned()),
            Self::Exact(label) => exact("label", label),
            Self::Prefix(prefix) => Ok(format!("{}*", escape_filter(prefix))),
            Self::OneOf(labels) => alternatives(
                "label",
                labels.iter().map(|label| label.as_deref().map_or(Ok(NULL.to_owned()), |label| exact("label", label))),
            ),
        }
    }
}

/// One tag that must match exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagFilter {
    /// The tag's name.
    pub name: String,
    /// Its value; `None` where the tag has none.
    pub value: Option<String>,
}

impl TagFilter {
    /// Returns a filter for a tag with this value.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: Some(value.into()) }
    }

    /// Returns the filter as the store reads it: `name=value`.
    pub fn to_filter(&self) -> String {
        const RESERVED: &[char] = &['*', ',', '\\', '='];
        let value = self.value.as_deref().map_or(NULL.to_owned(), |value| escape(value, RESERVED));
        format!("{}={value}", escape(&self.name, RESERVED))
    }
}

fn exact(what: &str, text: &str) -> Result<String> {
    if text.is_empty() {
        return Err(Error::invalid_input(format!("a {what} filter must not be empty")));
    }
    Ok(escape_filter(text))
}

fn alternatives(what: &str, texts: impl ExactSizeIterator<Item = Result<String>>) -> Result<String> {
    if texts.len() == 0 || texts.len() > MAX_ALTERNATIVES {
        let count = texts.len();
        return Err(Error::invalid_input(format!(
            "a {what} filter takes 1 to {MAX_ALTERNATIVES} alternatives, not {count}"
        )));
    }
    Ok(texts.collect::<Result<Vec<_>>>()?.join(","))
}

/// A member of a key-value, for answers that hold less than all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// `key`
    Key,
    /// `label`
    Label,
    /// `value`
    Value,
    /// `content_type`
    ContentType,
    /// `tags`
    Tags,
    /// `locked`
    Locked,
    /// `last_modified`
    LastModified,
    /// `etag`
    Etag,
    /// `description`, from api-version `2026-04-01`
    Description,
}

impl Field {
    /// Returns the name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Label => "label",
            Self::Value => "value",
            Self::ContentType => "content_type",
            Self::Tags => "tags",
            Self::Locked => "locked",
            Self::LastModified => "last_modified",
            Self::Etag => "etag",
            Self::Description => "description",
        }
    }
}

/// Which key-values a list returns, and how much of each.
#[derive(Debug, Clone, Default)]
pub struct KeyValueSelector {
    /// Which keys.
    pub key: KeyFilter,
    /// Which labels.
    pub label: LabelFilter,
    /// Tags that must all match; at most [`MAX_ALTERNATIVES`]. Needs api-version `2023-11-01`.
    pub tags: Vec<TagFilter>,
    /// Which members to return; empty returns all of them.
    pub select: Vec<Field>,
    /// Show the store as it was then, as far back as revisions are kept. Whole seconds; not with a snapshot.
    pub accept_datetime: Option<OffsetDateTime>,
    /// List this snapshot instead of what is stored now. The filters must then be left at "any".
    pub snapshot: Option<String>,
}

impl KeyValueSelector {
    /// Selects keys under labels.
    pub fn new(key: KeyFilter, label: LabelFilter) -> Self {
        Self { key, label, ..Self::default() }
    }

    /// Selects the contents of a snapshot.
    pub fn snapshot(name: impl Into<String>) -> Self {
        Self { snapshot: Some(name.into()), ..Self::default() }
    }

    /// Returns the query parameters of the list.
    pub(crate) fn to_query(&self) -> Result<Vec<(&'static str, String)>> {
        let mut query = match &self.snapshot {
            Some(name) => {
                self.check_snapshot(name)?;
                vec![("snapshot", name.clone())]
            }
            None => vec![("key", self.key.to_filter()?), ("label", self.label.to_filter()?)],
        };
        if self.tags.len() > MAX_ALTERNATIVES {
            return Err(Error::invalid_input(format!("a list takes at most {MAX_ALTERNATIVES} tag filters")));
        }
        query.extend(self.tags.iter().map(|tag| ("tags", tag.to_filter())));
        query.extend(select_parameter(&self.select));
        Ok(query)
    }

    fn check_snapshot(&self, name: &str) -> Result<()> {
        let plain = self.key == KeyFilter::Any
            && self.label == LabelFilter::Any
            && self.tags.is_empty()
            && self.accept_datetime.is_none();
        if name.is_empty() {
            Err(Error::invalid_input("a snapshot name must not be empty"))
        } else if plain {
            Ok(())
        } else {
            Err(Error::invalid_input("a snapshot is listed whole: no key, label, tag or time can be combined with it"))
        }
    }
}

/// Returns the `$select` parameter, if any member is named.
pub(crate) fn select_parameter(fields: &[Field]) -> Option<(&'static str, String)> {
    let names: Vec<_> = fields.iter().map(|field| field.as_str()).collect();
    (!names.is_empty()).then(|| ("$select", names.join(",")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn reserved_characters_are_escaped_once() {
        assert_eq!(escape_filter(r"a*b,c\d"), r"a\*b\,c\\d");
        assert_eq!(escape_filter("plain/ü=?"), "plain/ü=?");
    }

    #[test]
    fn key_filters() {
        assert_eq!(KeyFilter::Any.to_filter().unwrap(), "*");
        assert_eq!(KeyFilter::Exact("a*".into()).to_filter().unwrap(), r"a\*");
        assert_eq!(KeyFilter::Prefix("app,1/".into()).to_filter().unwrap(), r"app\,1/*");
        assert_eq!(KeyFilter::Prefix(String::new()).to_filter().unwrap(), "*");
        assert_eq!(KeyFilter::OneOf(vec!["a".into(), "b,c".into()]).to_filter().unwrap(), r"a,b\,c");
    }

    #[test]
    fn label_filters_spell_null() {
        assert_eq!(LabelFilter::Null.to_filter().unwrap(), "\0");
        assert_eq!(LabelFilter::exactly(None), LabelFilter::Null);
        assert_eq!(LabelFilter::OneOf(vec![Some("prod".into()), None]).to_filter().unwrap(), "prod,\0");
    }

    #[test]
    fn empty_and_overlong_filters_are_refused() {
        let six = vec!["a".to_owned(); 6];
        for filter in [KeyFilter::Exact(String::new()), KeyFilter::OneOf(vec![]), KeyFilter::OneOf(six)] {
            assert_eq!(filter.to_filter().unwrap_err().kind(), ErrorKind::InvalidInput, "{filter:?}");
        }
        assert!(LabelFilter::Exact(String::new()).to_filter().is_err());
    }

    #[test]
    fn tag_filters_escape_the_equals_sign() {
        assert_eq!(TagFilter::new("a=b", r"c\d").to_filter(), r"a\=b=c\\d");
        assert_eq!(TagFilter::new("a", "").to_filter(), "a=");
        assert_eq!(TagFilter { name: "a".into(), value: None }.to_filter(), "a=\0");
    }

    #[test]
    fn a_snapshot_takes_no_filters() {
        let mut selector = KeyValueSelector::snapshot("s1");
        selector.select = vec![Field::Key, Field::Etag];
        let query = selector.to_query().unwrap();
        assert_eq!(query, [("snapshot", "s1".to_owned()), ("$select", "key,etag".to_owned())]);
        selector.label = LabelFilter::Null;
        assert!(selector.to_query().is_err());
    }
    /// Reads a filter as the store does: alternatives between bare commas, a backslash before what is meant as it is.
    fn alternatives_of(filter: &str) -> Vec<String> {
        let mut texts = vec![String::new()];
        let mut characters = filter.chars();
        while let Some(character) = characters.next() {
            let last = texts.last_mut().expect("never empty");
            match character {
                '\\' => last.extend(characters.next()),
                ',' => texts.push(String::new()),
                '*' => panic!("a bare wildcard in {filter:?}"),
                other => last.push(other),
            }
        }
        texts
    }

    proptest! {
        #[test]
        fn any_keys_come_out_as_they_went_in(keys in proptest::collection::vec(any::<String>(), 1..=5)) {
            let keys: Vec<String> = keys.into_iter().map(|key| format!("k{key}")).collect();
            let filter = KeyFilter::OneOf(keys.clone()).to_filter().unwrap();
            prop_assert_eq!(alternatives_of(&filter), keys);
        }
    }
}
