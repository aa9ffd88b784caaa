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

/// The filters of GetParametersByPath: `Type`, `KeyId` and `Label`, each by equality.
#[derive(Debug)]
pub(super) struct ByPath(Vec<(PathKey, Vec<String>)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PathKey {
    Type,
    KeyId,
    Label,
}

impl ByPath {
    pub(super) fn parse(filters: &[Filter]) -> Result<Self> {
        let parse = |filter: &Filter| {
            let key = match filter.key.as_str() {
                "Type" => PathKey::Type,
                "KeyId" => PathKey::KeyId,
                "Label" => PathKey::Label,
                other => return Err(invalid_key(other)),
            };
            equals_only(filter)?;
            Ok((key, values(filter)?.to_vec()))
        };
        filters.iter().map(parse).collect::<Result<_>>().map(Self)
    }

    /// Returns the version that passes: with a label the labelled one, else the latest.
    pub(super) fn select<'a>(&self, view: View<'a>) -> Option<&'a Version> {
        let labels = self.0.iter().find(|(key, _)| *key == PathKey::Label).map(|(_, labels)| labels);
        let version = match labels {
            Some(labels) => labels.iter().find_map(|label| view.labelled(label))?,
            None => view.latest(),
        };
        let passes = self.0.iter().all(|(key, values)| match key {
            PathKey::Type => values.contains(&version.kind.to_string()),
            PathKey::KeyId => version.key_id.as_ref().is_some_and(|key| values.contains(key)),
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
    Name(NameOption, Vec<String>),
    Path {
        recursive: bool,
        paths: Vec<String>,
    },
    Type(Vec<String>),
    KeyId(Vec<String>),
    Tier(Vec<String>),
    DataType(Vec<String>),
    /// No values: the tag is there.
    Tag(String, Vec<String>),
}

#[derive(Debug)]
enum NameOption {
    Equals,
    BeginsWith,
    Contains,
}

impl Describe {
    pub(super) fn parse(filters: &[Filter]) -> Result<Self> {
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
            equals_only(filter)?;
            let values = filter.values.as_deref().unwrap_or_default();
            check_count("values", values, 0, MAX_VALUES)?;
            return Ok(Self::Tag(tag.to_owned(), values.to_vec()));
        }
        let given = || values(filter).map(<[String]>::to_vec);
        let equals = || equals_only(filter).and_then(|()| given());
        match filter.key.as_str() {
            "Name" => {
                let option = match filter.option.as_deref() {
                    None | Some("Equals") => NameOption::Equals,
                    Some("BeginsWith") => NameOption::BeginsWith,
                    Some("Contains") => NameOption::Contains,
                    Some(other) => return Err(invalid_option(&filter.key, other)),
                };
                Ok(Self::Name(option, given()?))
            }
            "Path" => {
                let recursive = match filter.option.as_deref() {
                    None | Some("OneLevel") => false,
                    Some("Recursive") => true,
                    Some(other) => return Err(invalid_option(&filter.key, other)),
                };
                let paths = given()?;
                if let Some(bad) = paths.iter().find(|path| !path.starts_with('/')) {
                    return Err(invalid_value(&filter.key, bad));
                }
                Ok(Self::Path { recursive, paths })
            }
            "Type" => Ok(Self::Type(equals()?)),
            "KeyId" => Ok(Self::KeyId(equals()?)),
            "Tier" => Ok(Self::Tier(equals()?)),
            "DataType" => Ok(Self::DataType(equals()?)),
            other => Err(invalid_key(other)),
        }
    }

    fn passes(&self, name: &Name, view: View<'_>) -> bool {
        let (parameter, latest) = (view.parameter, view.latest());
        match self {
            Self::Name(option, values) => values.iter().any(|value| match option {
                NameOption::Equals => parameter.shown == *value || name.as_str() == value,
                NameOption::BeginsWith => parameter.shown.starts_with(value) || name.as_str().starts_with(value),
                NameOption::Contains => parameter.shown.contains(value),
            }),
            Self::Path { recursive, paths } => paths.iter().any(|path| {
                let folder = if path.ends_with('/') { path.clone() } else { format!("{path}/") };
                name.below(&folder).is_some_and(|rest| *recursive || !rest.contains('/'))
            }),
            Self::Type(values) => values.contains(&latest.kind.to_string()),
            Self::KeyId(values) => latest.key_id.as_ref().is_some_and(|key| values.contains(key)),
            Self::Tier(values) => values.contains(&latest.tier.to_string()),
            Self::DataType(values) => values.contains(&latest.data_type),
            Self::Tag(key, values) => {
                parameter.tags.get(key).is_some_and(|value| values.is_empty() || values.contains(value))
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

fn equals_only(filter: &Filter) -> Result<()> {
    match filter.option.as_deref() {
        None | Some("Equals") => Ok(()),
        Some(other) => Err(invalid_option(&filter.key, other)),
    }
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
