//! Arriving on stores that are in use: from what they hold to a file that asks for exactly that. Pure.
//!
//! ```text
//! survey of each target ─▶ sort out ─▶ a draft a key ─▶ text ─▶ into the head of the file
//!                          (what cannot   (what is equal once,
//!                           be said)       what differs by target)
//! ```
//! The file is then loaded as any other, and what the rules refuse or what does not read back as it was found is left
//! out with the reason: this module need not know the rules.

mod draft;
mod form;
mod head;
mod names;
#[cfg(test)]
mod tests;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use repin_provider::{Key, Owner, Secret, Surveyed, TargetName};

use crate::model::compare::same_text;
use crate::model::desired::{Desired, TargetConfig};
use crate::model::problem::Problem;

pub use head::{Head, Unfit, fit};

/// What one target holds.
#[derive(Debug)]
pub struct Found {
    /// The target.
    pub target: TargetName,
    /// What it is.
    pub config: TargetConfig,
    /// Everything below its prefix.
    pub items: Vec<Surveyed>,
    /// Whether tiers, keys and descriptions are known.
    pub described: bool,
    /// The values of secrets, where they were read.
    pub secrets: BTreeMap<Key, Secret>,
}

/// How the file is to be written.
#[derive(Debug)]
pub struct Manner<'a> {
    /// The owner of what the file asks for.
    pub name: &'a Owner,
    /// All targets of the file, those that were not looked at included.
    pub targets: &'a BTreeSet<TargetName>,
    /// Whether each entry says itself that it may be taken over, since the policy does not.
    pub adopt_each: bool,
    /// The folder of long texts, as the file refers to it.
    pub values: &'a str,
    /// The folder of secrets, as the file refers to it; without one they are to be filled from the environment.
    pub secrets: Option<&'a str>,
}

/// Something that is in a store and not in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Where it is.
    pub target: TargetName,
    /// The store's name for it.
    pub native: String,
    /// Why, as a sentence without its full stop.
    pub reason: String,
}

/// A file to write beside the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Beside {
    /// Its path, as the configuration refers to it.
    pub path: String,
    /// What it holds.
    pub text: Text,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Text {
    /// May be shown.
    Plain(String),
    /// May not.
    Secret(Secret),
}

/// The entries of a file, made of what stores hold.
#[derive(Debug, Default)]
pub struct Entries {
    /// The section, from `entries:` to its last line.
    pub text: String,
    /// Files that it refers to.
    pub beside: Vec<Beside>,
    /// Environment variables that are to be filled before the file can be used, by the key of their entry.
    pub to_fill: BTreeMap<Key, String>,
    /// How many entries there are.
    pub count: usize,
    /// The keys whose targets hold something else, or do not all hold it, with what differs.
    pub differences: Vec<(Key, String)>,
    /// What is in the stores and not in the file.
    pub left_out: Vec<LeftOut>,
}

/// Why some items are left out, by target and native name.
pub type Reasons = BTreeMap<(TargetName, String), String>;

/// Makes the entries of what was found, but for what is to be left out.
pub fn entries(found: &[Found], manner: &Manner<'_>, refused: &Reasons) -> Entries {
    let mut reasons = refused.clone();
    let mut by_key: BTreeMap<&Key, Vec<draft::Held<'_>>> = BTreeMap::new();
    for one in found {
        for item in &one.items {
            let place = (one.target.clone(), item.native.clone());
            match (&item.key, reasons.get(&place), unsayable(item, &one.config, manner.name)) {
                (_, Some(_), _) => {}
                (_, None, Some(reason)) => drop(reasons.insert(place, reason)),
                (Ok(key), None, None) => by_key.entry(key).or_default().push(draft::Held { found: one, item }),
                (Err(error), None, None) => drop(reasons.insert(place, format!("the rest of its name {}", error.rule))),
            }
        }
    }
    let mut names = names::Names::default();
    let related = related(by_key.values());
    let drafts: Vec<_> =
        by_key.iter().map(|(key, held)| draft::draft(key, held, &related, manner, &mut names)).collect();
    let left_out: Vec<_> =
        reasons.into_iter().map(|((target, native), reason)| LeftOut { target, native, reason }).collect();
    Entries {
        text: text::section(&drafts, &left_out, manner),
        count: drafts.len(),
        differences: drafts.iter().filter_map(|draft| Some((draft.key.clone(), draft.differs.clone()?))).collect(),
        to_fill: drafts.iter().filter_map(|draft| Some((draft.key.clone(), draft.to_fill.clone()?))).collect(),
        beside: drafts.into_iter().flat_map(|draft| draft.beside).collect(),
        left_out,
    }
}

/// Returns the pairs of targets that have a key in common: of others it says nothing that one has what the other lacks.
fn related<'a, 'f: 'a>(held: impl Iterator<Item = &'a Vec<draft::Held<'f>>>) -> draft::Related<'a> {
    let mut pairs = BTreeSet::new();
    for one in held {
        for a in one {
            pairs.extend(one.iter().map(|b| (&a.found.target, &b.found.target)));
        }
    }
    pairs
}

/// Says why an item cannot be in a file whatever it holds.
fn unsayable(item: &Surveyed, config: &TargetConfig, name: &Owner) -> Option<String> {
    if let Some(Some(owner)) = item.item.owner.as_ref().filter(|owner| owner.as_deref() != Some(name.as_str())) {
        return Some(format!("it belongs to {owner:?}, as its tag repin:owner says"));
    }
    if let Some(special) = item.special.first() {
        return Some(format!("it {special}, which a file cannot say and a change would lose"));
    }
    if item.key.as_ref().is_ok_and(|key| key.as_str().contains('*')) {
        return Some("a file takes `*` in a key for a pattern".to_owned());
    }
    let TargetConfig::AwsSsm(config) = config else { return None };
    let foreign = |key: &&String| account_of(key).is_some_and(|account| account != config.account);
    let key = item.kms_key.as_ref().filter(foreign)?;
    Some(format!("it is encrypted under a key of another account, {key}"))
}

/// Returns the account in an ARN.
fn account_of(arn: &str) -> Option<&str> {
    arn.strip_prefix("arn:")?.split(':').nth(3).filter(|account| !account.is_empty())
}

/// Sorts what is wrong with a file that was made: what is about an item, for the next try to leave out, and the rest.
pub fn blame(found: &[Found], problems: Vec<Problem>) -> (Reasons, Vec<Problem>) {
    let (mut about, mut others) = (Reasons::new(), Vec::new());
    for problem in problems {
        let is_key = |item: &&Surveyed| item.key.as_ref().is_ok_and(|key| Some(key.as_str()) == problem.key.as_deref());
        let is_target = |one: &&Found| problem.target.as_deref().is_none_or(|target| target == one.target.as_str());
        let before = about.len();
        for one in found.iter().filter(is_target) {
            let blamed = one.items.iter().filter(is_key);
            about.extend(blamed.map(|item| ((one.target.clone(), item.native.clone()), reason(&problem))));
        }
        if about.len() == before {
            others.push(problem);
        }
    }
    (about, others)
}

/// Returns what is wrong, without what whoever reads it there knows.
fn reason(problem: &Problem) -> String {
    let known = problem.target.as_deref().zip(problem.key.as_deref());
    let known = known.map(|(target, key)| format!("{target} cannot hold `{key}`: ")).unwrap_or_default();
    problem.message.strip_prefix(&known).unwrap_or(&problem.message).to_owned()
}

/// Says what does not read back as it was found, for the next try to leave out.
pub fn unlike(found: &[Found], desired: &Desired, refused: &Reasons) -> Reasons {
    let mut unlike = Reasons::new();
    for one in found {
        let Some(target) = desired.targets.get(&one.target) else { continue };
        for item in &one.items {
            let place = (one.target.clone(), item.native.clone());
            let Ok(key) = &item.key else { continue };
            let Some(entry) = target.entries.get(key).filter(|_| !refused.contains_key(&place)) else { continue };
            let value = match &item.item.value {
                Some(held) => entry.value.plain().is_some_and(|wanted| same_text(entry.kind, wanted, held)),
                None => {
                    entry.value.is_secret() && one.secrets.get(key).is_none_or(|held| held.is(entry.value.expose()))
                }
            };
            let ours = matches!(one.config, TargetConfig::AwsSsm(_));
            if !value || !ours && entry.content_type != item.item.content_type {
                unlike.insert(place, "what a file says of it does not read back as it is".to_owned());
            }
        }
    }
    unlike
}
