//! What a file says under one key: once where the targets hold the same, by target where they do not. Pure.

use std::collections::BTreeSet;

use repin_provider::{Key, Secret, Surveyed, TargetName, Tier};

use super::form::{forms, is_exact};
use super::names::Names;
use super::{Beside, Found, Manner, Text};
use crate::desired;
use crate::desired::emit::Literal;
use crate::model::desired::{EntryKind, TargetConfig};
use crate::model::printable;

/// The longest text that stands in the file itself, in characters.
const LONG: usize = 200;
/// The largest value of a standard parameter, in bytes.
const MAX_STANDARD: usize = 4096;

/// What one target holds under a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held<'a> {
    pub(super) found: &'a Found,
    pub(super) item: &'a Surveyed,
}

impl Held<'_> {
    fn is_ssm(&self) -> bool {
        matches!(self.found.config, TargetConfig::AwsSsm(_))
    }

    fn value(&self) -> &str {
        self.item.item.value.as_deref().unwrap_or_default()
    }

    fn secret(&self) -> Option<&Secret> {
        self.found.secrets.get(self.item.key.as_ref().ok()?)
    }

    fn target(&self) -> &TargetName {
        &self.found.target
    }
}

/// One entry, ready to be written.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) key: Key,
    /// Comments above it.
    pub(super) notes: Vec<String>,
    /// The targets that hold it, where not all of the file's do.
    pub(super) targets: Option<Vec<TargetName>>,
    /// What it says for all of them.
    pub(super) base: Fields,
    /// What it says for some of them.
    pub(super) layers: Vec<(Vec<TargetName>, Fields)>,
    /// What differs between the targets.
    pub(super) differs: Option<String>,
    /// The environment variable that is to be filled.
    pub(super) to_fill: Option<String>,
    /// The files that it refers to.
    pub(super) beside: Vec<Beside>,
}

/// Fields of an entry, or of one of its layers.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Fields {
    pub(super) source: Option<Source>,
    pub(super) content_type: Option<String>,
    pub(super) tier: Option<Tier>,
    pub(super) description: Option<String>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Source {
    /// It stands in the file.
    Inline(Literal),
    /// It stands in a file of its own.
    File(EntryKind, String),
    /// It is a secret, and in a file of its own.
    SecretFile(String),
    /// It is a secret, and to be filled.
    Variable(String),
}

/// Pairs of targets that have a key in common.
pub(super) type Related<'a> = BTreeSet<(&'a TargetName, &'a TargetName)>;

/// What some targets hold the same of.
#[derive(Debug)]
enum What {
    Plain(Literal),
    Secret(Option<Secret>),
}

/// Makes the entry of a key.
pub(super) fn draft(
    key: &Key,
    held: &[Held<'_>],
    related: &Related<'_>,
    manner: &Manner<'_>,
    names: &mut Names,
) -> Draft {
    let groups = groups(held);
    let mut draft = Draft {
        key: key.clone(),
        notes: Vec::new(),
        targets: (held.len() < manner.targets.len()).then(|| held.iter().map(|one| one.target().clone()).collect()),
        base: Fields::default(),
        layers: Vec::new(),
        differs: None,
        to_fill: None,
        beside: Vec::new(),
    };
    let mut own = vec![Fields::default(); held.len()];
    let mut kinds = vec![EntryKind::Text; held.len()];
    for (what, members) in &groups {
        let mark = (groups.len() > 1).then(|| held[members[0]].target().as_str());
        let source = draft.source(what, mark, manner, names);
        for member in members {
            if let What::Plain(literal) = what {
                kinds[*member] = literal.kind;
            }
            own[*member].source = Some(source.clone());
        }
    }
    for ((one, fields), kind) in held.iter().zip(&mut own).zip(&kinds) {
        fields.content_type = content_type(one, *kind);
        fields.tier = tier(one);
        fields.description = one.item.item.description.clone();
    }
    let mut differ = differences(held, &groups, related);
    let (ssm, azure): (Vec<usize>, Vec<usize>) = (0..held.len()).partition(|n| held[*n].is_ssm());
    let all: Vec<usize> = (0..held.len()).collect();
    draft.base.source = shared(&mut own, &all, |fields| &mut fields.source, None, &mut differ);
    draft.base.content_type =
        shared(&mut own, &azure, |fields| &mut fields.content_type, Some("the content types differ"), &mut differ);
    draft.base.tier = shared(&mut own, &ssm, |fields| &mut fields.tier, Some("the tiers differ"), &mut differ);
    draft.base.description =
        shared(&mut own, &all, |fields| &mut fields.description, Some("the descriptions differ"), &mut differ);
    draft.differs = (!differ.is_empty()).then(|| differ.join("; "));
    draft.layers = layers(held, own);
    draft.notes = draft.differs.clone().into_iter().collect();
    draft.notes.extend(draft.to_fill.iter().map(|name| format!("to be filled: {name}, in the environment of repin")));
    draft.notes.extend(held.iter().flat_map(|one| notes(one, &groups, held)));
    draft
}

impl Draft {
    fn source(&mut self, what: &What, mark: Option<&str>, manner: &Manner<'_>, names: &mut Names) -> Source {
        let key = self.key.as_str();
        match (what, manner.secrets) {
            (What::Plain(literal), _) => match literal.text().filter(|text| is_long(literal.kind, text)) {
                Some(text) => {
                    let path = names.file(manner.values, key, mark, extension(text));
                    self.beside.push(Beside { path: path.clone(), text: Text::Plain(text.to_owned()) });
                    Source::File(literal.kind, path)
                }
                None => Source::Inline(literal.clone()),
            },
            (What::Secret(Some(secret)), Some(folder)) => {
                let path = names.file(folder, key, mark, "secret");
                self.beside.push(Beside { path: path.clone(), text: Text::Secret(secret.clone()) });
                Source::SecretFile(path)
            }
            (What::Secret(_), _) => {
                let name = names.variable(key);
                self.to_fill = Some(name.clone());
                Source::Variable(name)
            }
        }
    }
}

/// Takes what all of some targets say the same out of their own fields; where they do not, says so.
fn shared<T: Clone + PartialEq>(
    own: &mut [Fields],
    members: &[usize],
    field: impl Fn(&mut Fields) -> &mut Option<T>,
    what: Option<&str>,
    differ: &mut Vec<String>,
) -> Option<T> {
    let first = field(&mut own[*members.first()?]).clone();
    if members.iter().all(|member| *field(&mut own[*member]) == first) {
        members.iter().for_each(|member| *field(&mut own[*member]) = None);
        return first;
    }
    differ.extend(what.map(str::to_owned));
    None
}

/// Puts targets together that say the same of their own.
fn layers(held: &[Held<'_>], own: Vec<Fields>) -> Vec<(Vec<TargetName>, Fields)> {
    let mut layers: Vec<(Vec<TargetName>, Fields)> = Vec::new();
    for (one, fields) in held.iter().zip(own).filter(|(_, fields)| *fields != Fields::default()) {
        match layers.iter_mut().find(|(_, known)| *known == fields) {
            Some((targets, _)) => targets.push(one.target().clone()),
            None => layers.push((vec![one.target().clone()], fields)),
        }
    }
    layers
}

/// Puts targets together that hold the same, as far as one value in a file can say it.
fn groups(held: &[Held<'_>]) -> Vec<(What, Vec<usize>)> {
    let (secret, plain): (Vec<usize>, Vec<usize>) = (0..held.len()).partition(|n| held[*n].item.item.secret);
    let mut groups = plain_groups(held, &plain);
    let mut secrets: Vec<(Option<Secret>, Vec<usize>)> = Vec::new();
    for n in secret {
        let value = held[n].secret().cloned();
        match secrets.iter_mut().find(|(known, _)| *known == value) {
            Some((_, members)) => members.push(n),
            None => secrets.push((value, vec![n])),
        }
    }
    groups.extend(secrets.into_iter().map(|(value, members)| (What::Secret(value), members)));
    groups
}

fn plain_groups(held: &[Held<'_>], plain: &[usize]) -> Vec<(What, Vec<usize>)> {
    let all: Vec<Vec<Literal>> = plain.iter().map(|n| forms(&held[*n].item.item, held[*n].is_ssm())).collect();
    let Some(first) = all.first() else { return Vec::new() };
    // Where there are content types they say what a text is; elsewhere that is guessed.
    let rank = |form: &Literal| {
        let mut ranks = (0, 0);
        for (n, forms) in plain.iter().zip(&all) {
            let place = forms.iter().position(|other| other == form)?;
            *(if held[*n].is_ssm() { &mut ranks.1 } else { &mut ranks.0 }) += place;
        }
        Some(ranks)
    };
    let common = first.iter().filter_map(|form| Some((rank(form)?, form))).min_by_key(|(rank, _)| *rank);
    if let Some((_, form)) = common {
        return vec![(What::Plain(form.clone()), plain.to_vec())];
    }
    let mut groups: Vec<(Literal, Vec<usize>)> = Vec::new();
    for (n, forms) in plain.iter().zip(&all) {
        match groups.iter_mut().find(|(known, _)| forms.contains(known)) {
            Some((_, members)) => members.push(*n),
            // Text always is one.
            None => groups.extend(forms.first().map(|form| (form.clone(), vec![*n]))),
        }
    }
    groups.into_iter().map(|(form, members)| (What::Plain(form), members)).collect()
}

/// Returns the content type to name, where the type does not bring what is there.
fn content_type(one: &Held<'_>, kind: EntryKind) -> Option<String> {
    if one.is_ssm() {
        return None;
    }
    let there = one.item.item.content_type.as_deref();
    match (there, desired::content_type(kind)) {
        (there, own) if there == own => None,
        (there, _) => Some(there.unwrap_or_default().to_owned()),
    }
}

/// Returns the tier to name, where the target's own is not what is there.
fn tier(one: &Held<'_>) -> Option<Tier> {
    let TargetConfig::AwsSsm(config) = &one.found.config else { return None };
    let large = (one.value().len() > MAX_STANDARD).then_some(Tier::Advanced);
    let there = one.item.tier.or(large)?;
    (there != config.tier.unwrap_or(Tier::Standard)).then_some(there)
}

fn is_long(kind: EntryKind, text: &str) -> bool {
    matches!(kind, EntryKind::Text | EntryKind::JsonString)
        && (text.chars().count() > LONG || text.chars().any(|c| c.is_control() && c != '\t'))
}

fn extension(text: &str) -> &'static str {
    let is_json = text.starts_with(['{', '[']) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    if is_json { "json" } else { "txt" }
}

fn differences(held: &[Held<'_>], groups: &[(What, Vec<usize>)], related: &Related<'_>) -> Vec<String> {
    let name = |members: &[usize]| {
        let names: Vec<_> = members.iter().map(|n| held[*n].target().as_str()).collect();
        names.join(" and ")
    };
    let mut differ = Vec::new();
    let has = |target: &TargetName| held.iter().any(|one| one.target() == target);
    if related.iter().any(|(one, other)| has(one) && !has(other)) {
        differ.push(format!("only on {}", name(&(0..held.len()).collect::<Vec<_>>())));
    }
    let secret = groups.iter().find(|(what, _)| matches!(what, What::Secret(_)));
    let plain: Vec<usize> = groups
        .iter()
        .filter(|(what, _)| matches!(what, What::Plain(_)))
        .flat_map(|(_, members)| members.clone())
        .collect();
    match secret {
        Some((_, members)) if !plain.is_empty() => {
            differ.push(format!("a secret on {}, and none on {}", name(members), name(&plain)));
        }
        _ if groups.len() > 1 => {
            let each: Vec<_> = groups.iter().map(|(_, members)| name(members)).collect();
            differ.push(format!("another value on {}", each.join(" than on ")));
        }
        _ => {}
    }
    differ
}

/// Lists what people should know of what one target holds.
fn notes(one: &Held<'_>, groups: &[(What, Vec<usize>)], held: &[Held<'_>]) -> Vec<String> {
    let target = one.target();
    let mut notes = Vec::new();
    if one.item.item.native_type.as_deref() == Some("StringList") {
        notes.push(format!("{target}: a StringList, and stays one"));
    }
    if one.item.item.locked {
        notes.push(format!("{target}: locked; the store refuses changes until somebody unlocks it"));
    }
    let is_it = |n: &usize| held[*n].target() == target;
    let form = groups.iter().find(|(_, members)| members.iter().any(is_it)).map(|(what, _)| what);
    if let Some(What::Plain(form)) = form
        && !is_exact(form, one.value(), one.is_ssm())
    {
        notes.push(format!("{target}: written with other blanks; it stays so until the value changes"));
    }
    if let (TargetConfig::AwsSsm(config), Some(there)) = (&one.found.config, &one.item.kms_key)
        && let Some(ours) = config.kms_key.as_ref().filter(|ours| *ours != there)
    {
        notes.push(format!("{target}: encrypted under {there}; the next change encrypts it under {ours}"));
    }
    if !one.item.served {
        notes.push(format!("{target}: readers do not meet it yet; the first release serves it"));
    }
    notes.into_iter().map(|note| printable::line(&note).into_owned()).collect()
}
