//! Wire types to the contract's and back. Pure.

use std::collections::BTreeMap;

use aws_sdk_ssm::types::{Parameter, ParameterHistory, ParameterTier, ParameterType, Tag};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use jiff::Timestamp;
use repin_provider::{Content, Item, Key, Owner, ReadValue, Revision, Secret, Tier, Version};

use crate::memory::Form;

/// The tag that names the owner of a parameter, written in the create itself.
pub const OWNER_TAG: &str = "repin:owner";

/// Names that one GetParameters takes, and parameters on one page of GetParametersByPath.
pub(crate) const BATCH: usize = 10;

/// Joins a prefix and a key by exactly one slash.
pub(crate) fn join(prefix: &str, key: &str) -> String {
    format!("{}/{key}", prefix.trim_end_matches('/'))
}

/// Tells whether a name lies below a path.
pub(crate) fn is_below(path: &str, name: &str) -> bool {
    name.strip_prefix(path.trim_end_matches('/')).is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'))
}

/// Returns a store's date, to the nearest millisecond.
///
/// On the wire it is a fraction of seconds, which binary floating point often holds a little too small: cutting it off
/// would be a millisecond early.
pub(crate) fn timestamp(date: &DateTime) -> Option<Timestamp> {
    let millisecond = (date.as_nanos() + 500_000).div_euclid(1_000_000);
    Timestamp::from_millisecond(i64::try_from(millisecond).ok()?).ok()
}

/// Parses an HTTP `Date` header.
pub(crate) fn http_date(text: &str) -> Option<Timestamp> {
    DateTime::from_str(text, Format::HttpDate).ok().as_ref().and_then(timestamp)
}

/// Makes a version of a number and a date.
pub(crate) fn version(number: i64, date: Option<&DateTime>) -> Version {
    Version::new(number.to_string(), date.and_then(timestamp))
}

/// Returns a version's number; `None` for a version that no SSM parameter ever had.
pub(crate) fn number(version: &Version) -> Option<i64> {
    version.id.parse().ok().filter(|number| *number > 0)
}

/// Returns the item, or `None` where the store's answer lacks a name or a version.
pub(crate) fn item(parameter: Parameter) -> Option<(String, Item)> {
    let version = parameter_version(&parameter)?;
    let secret = is_secret(parameter.r#type.as_ref());
    let item = Item {
        version,
        value: parameter.value.filter(|_| !secret),
        secret,
        native_type: parameter.r#type.map(|native| native.as_str().to_owned()),
        content_type: None,
        tags: None,
        description: None,
        owner: None,
        locked: false,
    };
    Some((parameter.name?, item))
}

/// Returns the value that was read, or `None` where the store's answer lacks a part of it.
pub(crate) fn read_value(parameter: Parameter) -> Option<(String, ReadValue)> {
    let version = parameter_version(&parameter)?;
    let value = ReadValue {
        version,
        value: Secret::new(parameter.value?),
        secret: is_secret(parameter.r#type.as_ref()),
        content_type: None,
        tags: None,
        description: None,
    };
    Some((parameter.name?, value))
}

/// Returns one past content.
pub(crate) fn revision(history: ParameterHistory) -> Revision {
    let secret = is_secret(history.r#type.as_ref());
    Revision {
        version: version(history.version, history.last_modified_date.as_ref()),
        value: history.value.filter(|_| !secret),
        secret,
        content_type: None,
        tags: None,
        by: history.last_modified_user,
        labels: history.labels.unwrap_or_default(),
    }
}

fn parameter_version(parameter: &Parameter) -> Option<Version> {
    (parameter.version > 0).then(|| version(parameter.version, parameter.last_modified_date.as_ref()))
}

fn is_secret(native: Option<&ParameterType>) -> bool {
    native == Some(&ParameterType::SecureString)
}

/// Returns the tags of a create: the content's and the owner's.
pub(crate) fn tags(content: &Content, owner: &Owner) -> Vec<Tag> {
    let mut all: BTreeMap<&str, &str> =
        content.tags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    all.insert(OWNER_TAG, owner.as_str());
    all.into_iter()
        .map(|(name, value)| Tag::builder().key(name).value(value).build().expect("key and value are set"))
        .collect()
}

/// Returns the type that a value is stored as.
pub(crate) fn native_type(form: Form) -> ParameterType {
    match form {
        Form::String => ParameterType::String,
        Form::List => ParameterType::StringList,
        Form::Secret => ParameterType::SecureString,
    }
}

/// Returns the wire's name of a tier.
pub(crate) fn native_tier(tier: Tier) -> ParameterTier {
    match tier {
        Tier::Standard => ParameterTier::Standard,
        Tier::Advanced => ParameterTier::Advanced,
    }
}

/// Which version of a parameter to read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Pick {
    /// The latest.
    Newest,
    /// The one that carries a label.
    Labelled(String),
    /// The one of this number.
    Number(i64),
}

impl Pick {
    /// Picks what readers read: the labelled version where they follow a label.
    pub(crate) fn served(label: Option<&str>) -> Self {
        label.map_or(Self::Newest, |label| Self::Labelled(label.to_owned()))
    }

    /// Returns what follows the name in a request, and what the store's answer repeats as the selector.
    fn suffix(&self) -> String {
        match self {
            Self::Newest => String::new(),
            Self::Labelled(label) => format!(":{label}"),
            Self::Number(number) => format!(":{number}"),
        }
    }

    /// Returns the text that GetParameters takes for a name.
    pub(crate) fn of(&self, name: &str) -> String {
        format!("{name}{}", self.suffix())
    }

    /// Tells whether a parameter that the store answered is what was picked, and not some other version of it. The
    /// service repeats the selector; an emulator that does not is believed, since no call holds a name twice.
    pub(crate) fn fits(&self, parameter: &Parameter) -> bool {
        parameter.selector().is_none_or(|selector| selector == self.suffix())
    }
}

/// One thing to read: a name, and which version of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Selector {
    /// The parameter's full name.
    pub(crate) name: String,
    /// Which version.
    pub(crate) pick: Pick,
    /// The key, for messages.
    pub(crate) key: Key,
}

impl Selector {
    /// Returns the text that GetParameters takes.
    pub(crate) fn text(&self) -> String {
        self.pick.of(&self.name)
    }
}

/// Sorts selectors into calls: each at most once, at most ten a call, and no name twice in a call, since the store does
/// not say what it makes of that.
pub(crate) fn calls(mut selectors: Vec<Selector>) -> Vec<Vec<Selector>> {
    selectors.sort();
    selectors.dedup();
    let mut rounds: Vec<Vec<Selector>> = Vec::new();
    let mut round = 0;
    let mut last: Option<String> = None;
    for selector in selectors {
        round = if last.as_ref() == Some(&selector.name) { round + 1 } else { 0 };
        last = Some(selector.name.clone());
        if rounds.len() == round {
            rounds.push(Vec::new());
        }
        rounds[round].push(selector);
    }
    rounds.iter().flat_map(|round| round.chunks(BATCH)).map(<[Selector]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use repin_provider::Value;

    fn selector(name: &str, pick: Pick) -> Selector {
        Selector { name: name.into(), pick, key: Key::parse(name.trim_start_matches('/')).unwrap() }
    }

    #[test]
    fn prefix_and_key_are_joined_by_one_slash() {
        assert_eq!(join("/ai/prod", "chat/config"), "/ai/prod/chat/config");
        assert_eq!(join("/ai/prod/", "chat"), "/ai/prod/chat");
        assert_eq!(join("/", "chat"), "/chat");
    }

    #[test]
    fn below_means_a_whole_segment() {
        assert!(is_below("/ai", "/ai/x") && is_below("/ai/", "/ai/x") && is_below("/", "/x"));
        assert!(!is_below("/ai", "/ai") && !is_below("/ai", "/aix") && !is_below("/ai", "/ai/"));
    }

    #[test]
    fn dates_are_kept_to_the_millisecond() {
        let version = version(7, Some(&DateTime::from_secs_f64(1_700_000_000.123)));
        assert_eq!(version.id, "7");
        assert_eq!(version.at.unwrap().as_millisecond(), 1_700_000_000_123);
        assert_eq!(http_date("Tue, 14 Nov 2023 22:13:20 GMT").unwrap().as_second(), 1_700_000_000);
        assert_eq!(http_date("yesterday"), None);
    }

    #[test]
    fn only_numbers_name_versions() {
        assert_eq!(number(&Version::new("12", None)), Some(12));
        for other in ["", "0", "-1", "etag", "1.5"] {
            assert_eq!(number(&Version::new(other, None)), None, "{other}");
        }
    }

    #[test]
    fn ciphertext_is_not_a_value() {
        let parameter = |native| Parameter::builder().name("/a").version(2).r#type(native).value("AQICAH").build();
        let (name, secret) = item(parameter(ParameterType::SecureString)).unwrap();
        assert_eq!((name.as_str(), secret.secret, secret.value), ("/a", true, None));
        let (_, plain) = item(parameter(ParameterType::StringList)).unwrap();
        assert_eq!((plain.value.as_deref(), plain.native_type.as_deref()), (Some("AQICAH"), Some("StringList")));
        assert!(item(Parameter::builder().name("/a").value("x").build()).is_none(), "no version");
    }

    #[test]
    fn the_owner_tag_cannot_be_overridden() {
        let content = Content {
            value: Value::Plain("x".into()),
            content_type: None,
            tags: [(OWNER_TAG.to_owned(), "other".to_owned()), ("team".to_owned(), "ml".to_owned())].into(),
            description: None,
            tier: None,
        };
        let tags = tags(&content, &Owner::parse("mine").unwrap());
        let pairs: Vec<_> = tags.iter().map(|tag| (tag.key(), tag.value())).collect();
        assert_eq!(pairs, [(OWNER_TAG, "mine"), ("team", "ml")]);
    }

    #[test]
    fn an_answer_is_of_the_version_that_was_asked_for() {
        let live = Pick::served(Some("live"));
        assert_eq!([live.of("/a"), Pick::served(None).of("/a")], ["/a:live", "/a"]);
        let answered = |selector: Option<&str>| {
            Parameter::builder().name("/a").version(2).set_selector(selector.map(str::to_owned)).build()
        };
        for (pick, selector) in [(Pick::Newest, None), (live.clone(), Some(":live")), (Pick::Number(7), Some(":7"))] {
            assert!(pick.fits(&answered(selector)), "{pick:?}");
        }
        assert!(live.fits(&answered(None)));
        assert!(!live.fits(&answered(Some(":LIVE"))) && !live.fits(&answered(Some(":2"))), "another label, a number");
        assert!(!Pick::Newest.fits(&answered(Some(":live"))));
    }

    #[test]
    fn no_call_holds_a_name_twice() {
        let mut selectors: Vec<_> = (0..12).map(|i| selector(&format!("/p{i:02}"), Pick::Newest)).collect();
        selectors.extend([3, 4, 3].map(|number| selector("/p00", Pick::Number(number))));
        let calls = calls(selectors);
        assert_eq!(calls.iter().map(Vec::len).collect::<Vec<_>>(), [10, 2, 1, 1]);
        for call in &calls {
            let mut names: Vec<_> = call.iter().map(|selector| &selector.name).collect();
            names.dedup();
            assert_eq!(names.len(), call.len());
        }
        assert_eq!(calls[2][0].text(), "/p00:3");
    }
}
