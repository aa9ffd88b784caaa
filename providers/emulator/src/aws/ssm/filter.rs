//! Filters of listings.

use serde::Deserialize;

use super::name::Name;
use super::parameter::{Version, View};
use crate::aws::error::{AwsError, Result, check_count};

/// Values of one filter.
const MAX_VALUES: usize = 50;

/// One filter as requests write it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Filter {
    pub(super) key: String,
    pub(super) option: Option<String>,
    pub(super) values: Option<Vec<String>>,
}

/// The older form of DescribeParameters: names match by their beginning.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OldFilter {
    key: String,
    values: Vec<String>,
}

impl From<&OldFilter> for Filter {
    fn from(old: &OldFilter) -> Self {
        let option = if old.key == "Name" { "BeginsWith" } else { "Equals" };
        Self { key: old.key.clone(), option: Some(option.to_owned()), values: Some(old.values.clone()) }
    }
}

/// What a filter compares with, and how.
#[derive(Debug)]
struct Sought {
    option: Match,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    Equals,
    BeginsWith,
    Contains,
}

impl Sought {
    /// Reads a filter whose values may be any text.
    fn parse(filter: &Filter, options: &[Match]) -> Result<Self> {
        let option = match filter.option.as_deref() {
            None | Some("Equals") => Match::Equals,
            Some("BeginsWith") => Match::BeginsWith,
            Some("Contains") => Match::Contains,
            Some(other) => return Err(invalid_option(&filter.key, other)),
        };
        if !options.contains(&option) {
            return Err(invalid_option(&filter.key, filter.option.as_deref().unwrap_or_default()));
        }
        Ok(Self { option, values: values(filter)?.to_vec() })
    }

    /// Reads a filter whose values can only be one of these.
    fn parse_known(filter: &Filter, known: &[&str]) -> Result<Self> {
        let sought = Self::parse(filter, BEGINNING)?;
        match sought.values.iter().find(|value| !known.contains(&value.as_str())) {
            Some(other) => Err(invalid_option(&filter.key, other)),
            None => Ok(sought),
        }
    }

    fn finds(&self, text: &str) -> bool {
        self.values.iter().any(|value| match self.option {
            Match::Equals => text == value,
            Match::BeginsWith => text.starts_with(value.as_str()),
            Match::Contains => text.contains(value.as_str()),
        })
    }
}

/// What every filter can do but `Label`, which is exact, and `Path`, which has options of its own.
const BEGINNING: &[Match] = &[Match::Equals, Match::BeginsWith];
const TYPES: &[&str] = &["String", "StringList", "SecureString"];
const TIERS: &[&str] = &["Standard", "Advanced", "Intelligent-Tiering"];

/// Refuses filters that no operation knows, and one filter given twice.
fn check(filters: &[Filter]) -> Result<()> {
    for (index, filter) in filters.iter().enumerate() {
        let tag = filter.key.strip_prefix("tag:").is_some_and(|tag| !tag.is_empty());
        if !tag && !matches!(&*filter.key, "Name" | "Type" | "KeyId" | "Path" | "Label" | "Tier" | "DataType") {
            // The model has a pattern for keys, which is checked before the operation looks at them.
            return Err(AwsError::constraint(
                &format!("parameterFilters.{}.member.key", index + 1),
                "Member must satisfy regular expression pattern: tag:.+|Name|Type|KeyId|Path|Label|Tier|DataType",
            ));
        }
        if filters[..index].iter().any(|earlier| earlier.key == filter.key) {
            return Err(AwsError::new(
                "InvalidFilterKey",
                format!("The filter {} is there twice; a request can have each filter once.", filter.key),
            ));
        }
    }
    Ok(())
}

/// The filters of GetParametersByPath.
#[derive(Debug)]
pub(super) struct ByPath(Vec<(PathKey, Sought)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PathKey {
    Type,
    KeyId,
    Label,
}

impl ByPath {
    pub(super) fn parse(filters: &[Filter]) -> Result<Self> {
        let parse = |filter: &Filter| match filter.key.as_str() {
            "Type" => Ok((PathKey::Type, Sought::parse_known(filter, TYPES)?)),
            "KeyId" => Ok((PathKey::KeyId, Sought::parse(filter, BEGINNING)?)),
            "Label" => Ok((PathKey::Label, Sought::parse(filter, &[Match::Equals])?)),
            other => Err(invalid_key(other)),
        };
        check(filters)?;
        filters.iter().map(parse).collect::<Result<_>>().map(Self)
    }

    /// Returns the version that passes: with a label the labelled one, else the latest.
    pub(super) fn select<'a>(&self, view: View<'a>) -> Option<&'a Version> {
        let labels = self.0.iter().find(|(key, _)| *key == PathKey::Label).map(|(_, labels)| labels);
        let version = match labels {
            Some(labels) => labels.values.iter().find_map(|label| view.labelled(label))?,
            None => view.latest(),
        };
        let passes = self.0.iter().all(|(key, sought)| match key {
            PathKey::Type => sought.finds(&version.kind.to_string()),
            PathKey::KeyId => version.key_id.as_ref().is_some_and(|key| sought.finds(key)),
            PathKey::Label => true,
        });
        passes.then_some(version)
    }

    /// Returns a text that differs between different filters, for page tokens.
    pub(super) fn digest(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// The filters of DescribeParameters; all must pass.
#[derive(Debug)]
pub(super) struct Describe(Vec<Test>);

#[derive(Debug)]
enum Test {
    Name(Sought),
    Path {
        recursive: bool,
        paths: Vec<String>,
    },
    Type(Sought),
    KeyId(Sought),
    Tier(Sought),
    DataType(Sought),
    /// Nothing sought: the tag is there.
    Tag(String, Option<Sought>),
}

impl Describe {
    pub(super) fn parse(filters: &[Filter]) -> Result<Self> {
        check(filters)?;
        filters.iter().map(Test::parse).collect::<Result<_>>().map(Self)
    }

    pub(super) fn passes(&self, name: &Name, view: View<'_>) -> bool {
        self.0.iter().all(|test| test.passes(name, view))
    }

    /// Returns a text that differs between different filters, for page tokens.
    pub(super) fn digest(&self) -> String {
        format!("{:?}", self.0)
    }
}

impl Test {
    fn parse(filter: &Filter) -> Result<Self> {
        if let Some(tag) = filter.key.strip_prefix("tag:") {
            let given = filter.values.as_deref().is_some_and(|values| !values.is_empty());
            let sought = given.then(|| Sought::parse(filter, BEGINNING)).transpose()?;
            return Ok(Self::Tag(tag.to_owned(), sought));
        }
        match filter.key.as_str() {
            "Name" => Ok(Self::Name(Sought::parse(filter, &[Match::Equals, Match::BeginsWith, Match::Contains])?)),
            "Path" => {
                let recursive = match filter.option.as_deref() {
                    None | Some("OneLevel") => false,
                    Some("Recursive") => true,
                    Some(other) => return Err(invalid_option(&filter.key, other)),
                };
                let paths = values(filter)?.to_vec();
                if let Some(bad) = paths.iter().find(|path| !path.starts_with('/')) {
                    return Err(invalid_value(&filter.key, bad));
                }
                Ok(Self::Path { recursive, paths })
            }
            "Type" => Ok(Self::Type(Sought::parse_known(filter, TYPES)?)),
            "KeyId" => Ok(Self::KeyId(Sought::parse(filter, BEGINNING)?)),
            "Tier" => Ok(Self::Tier(Sought::parse_known(filter, TIERS)?)),
            "DataType" => Ok(Self::DataType(Sought::parse(filter, BEGINNING)?)),
            other => Err(invalid_key(other)),
        }
    }

    fn passes(&self, name: &Name, view: View<'_>) -> bool {
        let (parameter, latest) = (view.parameter, view.latest());
        match self {
            Self::Name(sought) => sought.finds(&parameter.shown) || sought.finds(name.as_str()),
            Self::Path { recursive, paths } => paths.iter().any(|path| {
                let folder = if path.ends_with('/') { path.clone() } else { format!("{path}/") };
                name.below(&folder).is_some_and(|rest| *recursive || !rest.contains('/'))
            }),
            Self::Type(sought) => sought.finds(&latest.kind.to_string()),
            Self::KeyId(sought) => latest.key_id.as_ref().is_some_and(|key| sought.finds(key)),
            Self::Tier(sought) => sought.finds(&latest.tier.to_string()),
            Self::DataType(sought) => sought.finds(&latest.data_type),
            Self::Tag(key, sought) => {
                parameter.tags.get(key).is_some_and(|value| sought.as_ref().is_none_or(|sought| sought.finds(value)))
            }
        }
    }
}

fn values(filter: &Filter) -> Result<&[String]> {
    let values = filter.values.as_deref().unwrap_or_default();
    if values.is_empty() {
        return Err(AwsError::new("InvalidFilterValue", format!("The filter {} has no values.", filter.key)));
    }
    check_count("values", values, 1, MAX_VALUES)?;
    Ok(values)
}

fn invalid_key(key: &str) -> AwsError {
    AwsError::new("InvalidFilterKey", format!("The filter key {key} is not valid here."))
}

fn invalid_option(key: &str, option: &str) -> AwsError {
    AwsError::new("InvalidFilterOption", format!("The filter option {option} is not valid for {key}."))
}

fn invalid_value(key: &str, value: &str) -> AwsError {
    AwsError::new("InvalidFilterValue", format!("The filter value {value} is not valid for {key}."))
}
