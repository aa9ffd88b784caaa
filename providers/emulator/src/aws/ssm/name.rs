//! Parameter names and how requests refer to them.

use serde::{Deserialize, Serialize};

use crate::aws::context::Place;
use crate::aws::error::{AwsError, Result};

/// The longest ARN, which is what bounds a name.
const MAX_ARN: usize = 1_011;

/// Levels of hierarchy, the name itself included.
const MAX_LEVELS: usize = 15;

/// A name as the store tells parameters apart: with a leading slash, since `foo` and `/foo` share one ARN.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Name(String);

/// Which version a request means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selector {
    Version(u64),
    Label(String),
}

/// A parameter as a read names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) name: Name,
    pub(crate) selector: Option<Selector>,
    /// The selector as it was written, with its colon.
    pub(crate) written: Option<String>,
}

impl Name {
    /// Returns the ARN: `arn:aws:ssm:REGION:ACCOUNT:parameter/a/b`.
    pub(crate) fn arn(&self, place: &Place) -> String {
        format!("{}{}", arn_prefix(place), self.0)
    }

    /// Returns the name with its leading slash.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns what follows a path that ends with a slash.
    pub(crate) fn below<'a>(&'a self, path: &str) -> Option<&'a str> {
        self.0.strip_prefix(path)
    }

    /// Returns where the names below a path begin, in their order. Not itself a name.
    pub(crate) fn bound(path: &str) -> Self {
        Self(path.to_owned())
    }

    /// Takes a plain name that a put gives, and checks every rule for new names.
    ///
    /// Spaces around it are dropped, as the service does. Returns the name as it is shown, too.
    pub(crate) fn parse_new(text: &str, place: &Place) -> Result<(Self, String)> {
        let shown = text.trim_matches(' ');
        let name = Self::parse_plain(shown)?;
        check_reserved(&name)?;
        if arn_prefix(place).len() + name.0.len() > MAX_ARN {
            return Err(AwsError::constraint(
                "name",
                format!("Member must have an ARN of at most {MAX_ARN} characters"),
            ));
        }
        let levels = name.0.split('/').count() - 1;
        if levels > MAX_LEVELS {
            return Err(AwsError::new(
                "HierarchyLevelLimitExceededException",
                format!("A parameter name can have at most {MAX_LEVELS} levels; this one has {levels}"),
            ));
        }
        Ok((name, shown.to_owned()))
    }

    /// Takes a plain name or the ARN of one in this account and region, without a selector.
    pub(crate) fn parse_bare(text: &str, place: &Place) -> Result<Self> {
        let reference = Reference::parse(text, place)?;
        match reference.selector {
            None => Ok(reference.name),
            Some(_) => Err(AwsError::validation("a version or label cannot be selected here")),
        }
    }

    fn parse_plain(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(AwsError::constraint("name", "Member must have length greater than or equal to 1"));
        }
        if text.contains('/') && !text.starts_with('/') {
            return Err(AwsError::validation(format!(
                "Parameter name must be a fully qualified name: with a slash in it, {text} must start with one"
            )));
        }
        let canonical = if text.starts_with('/') { text.to_owned() } else { format!("/{text}") };
        let fits = |segment: &str| {
            !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        };
        if canonical[1..].split('/').all(fits) { Ok(Self(canonical)) } else { Err(bad_name()) }
    }
}

impl Reference {
    /// Takes `name`, `name:3`, `name:label`, or an ARN in place of the name.
    pub(crate) fn parse(text: &str, place: &Place) -> Result<Self> {
        let text = text.trim_matches(' ');
        let (base, selector) = if text.starts_with("arn:") {
            let rest = text.strip_prefix(&arn_prefix(place)).ok_or_else(|| {
                AwsError::new(
                    "AccessDeniedException",
                    format!("{text} is in another account or region, or no parameter"),
                )
            })?;
            split_selector(rest)
        } else {
            split_selector(text)
        };
        let name = Name::parse_plain(base)?;
        let selected = match selector {
            None => None,
            Some(text) if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() => {
                // A number beyond any version names none, as any unknown version does.
                Some(Selector::Version(text.parse().unwrap_or(u64::MAX)))
            }
            Some(text) => Some(Selector::Label(text.to_owned())),
        };
        Ok(Self { name, selector: selected, written: selector.map(|text| format!(":{text}")) })
    }
}

fn split_selector(text: &str) -> (&str, Option<&str>) {
    match text.split_once(':') {
        Some((base, selector)) => (base, Some(selector)),
        None => (text, None),
    }
}

/// Everything before the name's leading slash.
fn arn_prefix(place: &Place) -> String {
    format!("arn:aws:ssm:{}:{}:parameter", place.region, place.account)
}

/// Refuses names whose first level begins with `aws` or `ssm` in any case.
fn check_reserved(name: &Name) -> Result<()> {
    let lower = name.0.to_ascii_lowercase();
    let first = lower[1..].split('/').next().unwrap_or_default();
    if first.starts_with("aws") && lower[1..].contains('/') {
        return Err(AwsError::new(
            "AccessDeniedException",
            format!("No access to reserved parameter name: {}.", name.0),
        ));
    }
    if first.starts_with("aws") || first.starts_with("ssm") { Err(bad_name()) } else { Ok(()) }
}

/// The service answers reserved prefixes and bad characters with one and the same text.
fn bad_name() -> AwsError {
    AwsError::validation(
        "Parameter name: can't be prefixed with \"ssm\" (case-insensitive). If formed as a path, it can consist of \
         sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following \
         3 symbols .-_",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { account: "111122223333".into(), region: "eu-west-1".into() }
    }

    fn code(text: &str) -> String {
        Name::parse_new(text, &place()).unwrap_err().code.into_owned()
    }

    #[test]
    fn foo_and_slash_foo_are_one() {
        let (plain, shown) = Name::parse_new(" foo ", &place()).unwrap();
        assert_eq!((plain.as_str(), shown.as_str()), ("/foo", "foo"));
        assert_eq!(plain, Name::parse_new("/foo", &place()).unwrap().0);
        assert_eq!(plain.arn(&place()), "arn:aws:ssm:eu-west-1:111122223333:parameter/foo");
    }

    #[test]
    fn rules_for_new_names() {
        for bad in ["", "a/b", "/a//b", "/a/", "/", "/a b", "/ä", "a:1", "ssm", "SSM-x", "awsome", "/ssmx/a"] {
            assert_eq!(code(bad), "ValidationException", "{bad:?}");
        }
        assert_eq!(code("/aws/service/x"), "AccessDeniedException");
        assert!(Name::parse_new("/my/aws/ssm", &place()).is_ok());
        assert!(Name::parse_new(&"/a".repeat(15), &place()).is_ok());
        assert_eq!(code(&"/a".repeat(16)), "HierarchyLevelLimitExceededException");
    }

    #[test]
    fn the_arn_bounds_the_length() {
        let room = MAX_ARN - arn_prefix(&place()).len() - 1;
        assert!(Name::parse_new(&"x".repeat(room), &place()).is_ok());
        assert_eq!(code(&"x".repeat(room + 1)), "ValidationException");
    }

    #[test]
    fn references_select() {
        let parse = |text: &str| Reference::parse(text, &place()).unwrap();
        assert_eq!(parse("/a/b:7").selector, Some(Selector::Version(7)));
        assert_eq!(parse("/a:live").selector, Some(Selector::Label("live".into())));
        let by_arn = parse("arn:aws:ssm:eu-west-1:111122223333:parameter/a/b:live");
        assert_eq!((by_arn.name.as_str(), by_arn.written.as_deref()), ("/a/b", Some(":live")));
        let elsewhere = Reference::parse("arn:aws:ssm:eu-west-2:111122223333:parameter/a", &place());
        assert_eq!(elsewhere.unwrap_err().code, "AccessDeniedException");
        assert!(Name::parse_bare("/a:7", &place()).is_err());
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_text_is_a_reference_or_refused(text in "(arn:aws:ssm:eu-west-1:111122223333:parameter)?[/a:0. é]{0,20}") {
            if let Ok(reference) = Reference::parse(&text, &place()) {
                let written = reference.written.unwrap_or_default();
                let name = reference.name.as_str();
                let end = format!("{}{written}", &name[1..]);
                proptest::prop_assert!(text.trim_matches(' ').ends_with(&end));
                proptest::prop_assert!(!name.contains("//") && !name.ends_with('/'));
            }
        }
    }
}
