//! What differs between two releases, or between one and what is served now. Pure but for [`read`].

use std::collections::{BTreeMap, BTreeSet};

use repin_provider::{Key, Observe, Provider, ReadRequest, ReadValue, Result, Seen, TargetName, Version};

use crate::model::plan::{Change, StepAction};
use crate::model::release::{Ledger, Pin};
use crate::plan::value_changes;

/// What differs, by target.
#[derive(Debug)]
pub struct Difference {
    /// The release to start from.
    pub from: u64,
    /// The release to compare with; `None` for what is served now.
    pub to: Option<u64>,
    /// By target, by key.
    pub targets: BTreeMap<TargetName, Vec<Differs>>,
}

/// One key that is at another version.
#[derive(Debug)]
pub struct Differs {
    /// The key.
    pub key: Key,
    /// Its version on the one side; `None` where it is not there.
    pub from: Option<Version>,
    /// Its version on the other side; `None` where it is not there.
    pub to: Option<Version>,
    /// What that means for its content.
    pub content: Content,
}

/// What another version means for the content.
#[derive(Debug, PartialEq)]
pub enum Content {
    /// It is there on one side only.
    OneSided,
    /// It is a secret, which is not looked into.
    Secret,
    /// It is the same.
    Same,
    /// A side can no longer be read back.
    Gone,
    /// It differs in this.
    Changes(Vec<Change>),
}

impl Differs {
    /// Returns what leads from the one side to the other.
    pub fn action(&self) -> StepAction {
        match (&self.from, &self.to) {
            (None, _) => StepAction::Create,
            (_, None) => StepAction::Delete,
            _ => StepAction::Update,
        }
    }
}

/// Compares one target, reading the values that may be shown.
///
/// # Errors
/// Fails where the store does.
pub async fn read(provider: &dyn Provider, ledger: &Ledger, from: u64, to: Option<u64>) -> Result<Vec<Differs>> {
    let then = ledger.at(from).pins;
    let later = to.map_or_else(|| ledger.pins.clone(), |release| ledger.at(release).pins);
    let old = versions(&then);
    let keys: BTreeSet<_> = old.keys().chain(ledger.pins.keys()).cloned().collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    // Says what is served and, without decrypting anything, what is a secret.
    let keys = keys.into_iter().collect();
    let seen = provider.observe(Observe { keys, census: false, ..Observe::default() }).await?.items;
    let new = match to {
        Some(_) => versions(&later),
        None => served(&seen)?,
    };
    let mut differ = differing(&old, &new);
    let is_secret = |key: &Key| seen.get(key).and_then(Seen::item).is_some_and(|item| item.secret);
    let (mut requests, mut asked) = (Vec::new(), Vec::new());
    for (n, differs) in differ.iter_mut().enumerate() {
        if let (Some(from), Some(to)) = (&differs.from, &differs.to) {
            if have_one_origin(then.get(&differs.key), later.get(&differs.key), to) {
                differs.content = Content::Same;
            } else if is_secret(&differs.key) {
                differs.content = Content::Secret;
            } else {
                asked.push(n);
                let request =
                    |version: &Version| ReadRequest { key: differs.key.clone(), version: Some(version.clone()) };
                requests.extend([request(from), request(to)]);
            }
        }
    }
    let values = if requests.is_empty() { Vec::new() } else { provider.read(&requests).await? };
    for (n, pair) in asked.into_iter().zip(values.chunks(2)) {
        differ[n].content = content(pair);
    }
    Ok(differ)
}

fn versions(pins: &BTreeMap<Key, Pin>) -> BTreeMap<Key, Version> {
    pins.iter().map(|(key, pin)| (key.clone(), pin.version.clone())).collect()
}

/// Tells whether one side brought the content of the other back, secret or not.
fn have_one_origin(from: Option<&Pin>, to: Option<&Pin>, served: &Version) -> bool {
    from.zip(to).is_some_and(|(from, to)| from.origin == to.origin && to.version == *served)
}

fn served(seen: &BTreeMap<Key, Seen>) -> Result<BTreeMap<Key, Version>> {
    let mut served = BTreeMap::new();
    for (key, seen) in seen {
        match seen {
            Seen::Present(item) => {
                served.insert(key.clone(), item.version.clone());
            }
            Seen::Absent => {}
            Seen::Unreadable(why) => {
                let kind = repin_provider::ErrorKind::Unreachable;
                return Err(repin_provider::Error::new(kind, "observe", why).with_key(key));
            }
        }
    }
    Ok(served)
}

fn differing(old: &BTreeMap<Key, Version>, new: &BTreeMap<Key, Version>) -> Vec<Differs> {
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .filter(|key| old.get(*key) != new.get(*key))
        .map(|key| Differs {
            key: key.clone(),
            from: old.get(key).cloned(),
            to: new.get(key).cloned(),
            content: Content::OneSided,
        })
        .collect()
}

fn content(pair: &[Option<ReadValue>]) -> Content {
    let [Some(from), Some(to)] = pair else { return Content::Gone };
    if from.secret || to.secret {
        return Content::Secret;
    }
    let mut changes = value_changes(from.value.expose(), to.value.expose());
    if from.content_type != to.content_type {
        let (from, to) = (from.content_type.clone(), to.content_type.clone());
        changes.push(Change { path: "content type".to_owned(), from, to });
    }
    if changes.is_empty() { Content::Same } else { Content::Changes(changes) }
}

#[cfg(test)]
mod tests {
    use repin_provider::Secret;

    use super::*;

    fn value(text: &str, secret: bool) -> Option<ReadValue> {
        Some(ReadValue {
            version: Version::new("1", None),
            value: Secret::new(text.to_owned()),
            secret,
            content_type: None,
            tags: None,
            description: None,
        })
    }

    #[test]
    fn a_secret_is_never_looked_into() {
        assert_eq!(content(&[value("hunter2", true), value("hunter3", true)]), Content::Secret);
        assert_eq!(content(&[value("plain", false), value("hunter3", true)]), Content::Secret);
    }

    #[test]
    fn content_is_compared_as_json_where_it_is_json() {
        assert_eq!(content(&[value("{\"a\":1,\"b\":2}", false), value("{\"b\":2.0,\"a\":1}", false)]), Content::Same);
        let change = Change { path: "a".into(), from: Some("1".into()), to: Some("2".into()) };
        let differ = content(&[value("{\"a\":1}", false), value("{\"a\":2}", false)]);
        assert_eq!(differ, Content::Changes(vec![change]));
        assert_eq!(content(&[None, value("x", false)]), Content::Gone);
    }

    #[test]
    fn what_was_brought_back_is_the_same_without_being_read() {
        let pin = |version: &str, origin: &str| Pin {
            version: Version::new(version, None),
            release: None,
            content: None,
            origin: Version::new(origin, None),
        };
        let served = Version::new("3", None);
        assert!(have_one_origin(Some(&pin("1", "1")), Some(&pin("3", "1")), &served));
        assert!(!have_one_origin(Some(&pin("2", "2")), Some(&pin("3", "1")), &served));
        let drifted = Version::new("4", None);
        assert!(!have_one_origin(Some(&pin("1", "1")), Some(&pin("3", "1")), &drifted), "somebody wrote over it");
    }

    #[test]
    fn keys_are_listed_where_their_versions_differ() {
        let key = |text: &str| Key::parse(text).expect("valid");
        let side = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (key(k), Version::new(*v, None))).collect();
        let differ =
            differing(&side(&[("a", "1"), ("b", "1"), ("c", "1")]), &side(&[("a", "1"), ("b", "2"), ("d", "1")]));
        let shown: Vec<_> = differ.iter().map(|d| (d.key.as_str(), d.action())).collect();
        assert_eq!(shown, [("b", StepAction::Update), ("c", StepAction::Delete), ("d", StepAction::Create)]);
    }
}
