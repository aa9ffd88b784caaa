//! PURE: what keys are called in the store.

use azure_data_app_configuration::{KeyFilter, KeyValueSelector, LabelFilter, MAX_ALTERNATIVES};
use repin_provider::{DocumentName, Key, Owner};

use crate::{Config, Serve};

/// Where every ledger is kept; nothing below it is ever an item.
pub(crate) const LEDGER_ROOT: &str = ".repin/";

/// The label of the ledger's key-values, so that readers of the data's label never meet them.
const LEDGER_LABEL: &str = "repin";

/// What the label of staged key-values begins with. Nothing else may be under such a label: a snapshot takes in all of it
/// that is below its target's prefix.
pub(crate) const STAGING: &str = "~staging";

/// Longest filter of several keys that is sent, in bytes: some servers and proxies refuse request lines over 1 KB.
const MAX_FILTER: usize = 600;

/// Returns what every native name starts with: the prefix, joined by exactly one separator whether the file's prefix
/// ends with it or not. Empty without a prefix.
pub(crate) fn joined_prefix(config: &Config) -> String {
    let separator = &config.separator;
    match config.prefix.as_str() {
        "" => String::new(),
        prefix if separator.is_empty() => prefix.to_owned(),
        prefix => format!("{}{separator}", prefix.trim_end_matches(separator.as_str())),
    }
}

/// Returns the label that puts go to: the one that readers select, or a staging label of the target's own where readers
/// follow a reference to a snapshot.
///
/// It begins with what no reader's label does, since readers may select labels by how they begin; and it holds the name
/// of the reference, so that targets whose prefixes lie within one another do not stage into each other's snapshots.
/// What filters reserve is left out of it: a snapshot takes no label that could be several, and whether one with escapes
/// passes for such is not documented.
pub(crate) fn written_label(config: &Config) -> Option<String> {
    let label = config.label.as_deref().filter(|label| !label.is_empty());
    match reference_name(config) {
        None => label.map(str::to_owned),
        Some(reference) => {
            let reference = reference.replace(['*', ',', '\\'], "-");
            Some(format!("{STAGING}~{}~{reference}", label.unwrap_or_default()))
        }
    }
}

/// Returns the store's name of the snapshot reference, where there is one.
pub(crate) fn reference_name(config: &Config) -> Option<String> {
    match &config.serve {
        Serve::KeyValues => None,
        Serve::Snapshot(key) => Some(format!("{}{key}", joined_prefix(config))),
    }
}

/// One target's names.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// What every native name starts with, separator included; empty without a prefix.
    prefix: String,
    /// The label that readers select.
    read: Option<String>,
    /// The label that puts go to.
    written: Option<String>,
    reference: Option<String>,
    ledger: String,
}

impl Names {
    /// Makes the names of one target and of its ledger.
    pub(crate) fn new(config: &Config, owner: &Owner, target_id: &str) -> Self {
        Self {
            prefix: joined_prefix(config),
            read: config.label.clone().filter(|label| !label.is_empty()),
            written: written_label(config),
            reference: reference_name(config),
            ledger: format!("{LEDGER_ROOT}{owner}/{target_id}/"),
        }
    }

    /// Returns the store's name for a key.
    pub(crate) fn native(&self, key: &Key) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Returns the key that a native name stands for; `None` outside the prefix, and for what could be no entry.
    pub(crate) fn key(&self, native: &str) -> Option<Key> {
        Key::parse(native.strip_prefix(&self.prefix)?).ok()
    }

    /// Returns what every native name starts with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns the label that puts go to.
    pub(crate) fn written_label(&self) -> Option<&str> {
        self.written.as_deref()
    }

    /// Returns the label that readers select; the reference is under it.
    pub(crate) fn read_label(&self) -> Option<&str> {
        self.read.as_deref()
    }

    /// Returns the store's name of the snapshot reference that readers follow, where there is one.
    pub(crate) fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }

    /// Selects everything below the prefix where puts go.
    pub(crate) fn data(&self) -> KeyValueSelector {
        KeyValueSelector::new(self.below(), LabelFilter::exactly(self.written_label()))
    }

    /// Selects everything below the prefix where readers look.
    pub(crate) fn surroundings(&self) -> KeyValueSelector {
        KeyValueSelector::new(self.below(), LabelFilter::exactly(self.read_label()))
    }

    /// Returns the filter for all keys below the prefix.
    fn below(&self) -> KeyFilter {
        if self.prefix.is_empty() { KeyFilter::Any } else { KeyFilter::Prefix(self.prefix.clone()) }
    }

    /// Returns what a snapshot takes in: everything that is put.
    pub(crate) fn frozen(&self) -> (KeyFilter, LabelFilter) {
        (self.below(), LabelFilter::exactly(self.written_label()))
    }

    /// Selects one key.
    pub(crate) fn one(&self, key: &Key) -> KeyValueSelector {
        KeyValueSelector::new(KeyFilter::Exact(self.native(key)), LabelFilter::exactly(self.written_label()))
    }

    /// Selects these keys with as few lists as the filter grammar and the length of a request allow.
    pub(crate) fn groups<'a>(&self, keys: impl IntoIterator<Item = &'a Key>) -> Vec<KeyValueSelector> {
        let mut groups: Vec<Vec<String>> = Vec::new();
        let mut length = 0;
        for native in keys.into_iter().map(|key| self.native(key)) {
            length += sent_length(&native);
            match groups.last_mut() {
                Some(group) if group.len() < MAX_ALTERNATIVES && length <= MAX_FILTER => group.push(native),
                _ => {
                    length = sent_length(&native);
                    groups.push(vec![native]);
                }
            }
        }
        let label = LabelFilter::exactly(self.written_label());
        groups.into_iter().map(|group| KeyValueSelector::new(KeyFilter::OneOf(group), label.clone())).collect()
    }

    /// Returns the key-value that holds a document.
    pub(crate) fn document(&self, name: &DocumentName) -> String {
        format!("{}{name}", self.ledger)
    }

    /// Returns the document that a key-value of the ledger holds.
    pub(crate) fn document_name(&self, native: &str) -> Option<DocumentName> {
        native.strip_prefix(&self.ledger).filter(|name| !name.is_empty()).map(DocumentName::new)
    }

    /// Returns the label of the ledger.
    pub(crate) fn ledger_label(&self) -> &'static str {
        LEDGER_LABEL
    }

    /// Returns the names of the same target as another owner would have them.
    pub(crate) fn of(&self, owner: &Owner) -> Self {
        let target_id = self.ledger.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        Self { ledger: format!("{LEDGER_ROOT}{owner}/{target_id}/"), ..self.clone() }
    }

    /// Selects every document of this target's ledger.
    pub(crate) fn ledger(&self) -> KeyValueSelector {
        KeyValueSelector::new(KeyFilter::Prefix(self.ledger.clone()), LabelFilter::Exact(LEDGER_LABEL.to_owned()))
    }
}

/// Returns how long a name is at most in a query: three bytes for each that is not plain, and a comma.
fn sent_length(native: &str) -> usize {
    native.bytes().map(|byte| if byte.is_ascii_alphanumeric() { 1 } else { 3 }).sum::<usize>() + 3
}

/// Tells whether a native name belongs to a ledger, ours or another's.
pub(crate) fn is_ledger(native: &str) -> bool {
    native.starts_with(LEDGER_ROOT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(prefix: &str, separator: &str, label: Option<&str>) -> Names {
        let config = Config {
            prefix: prefix.to_owned(),
            separator: separator.to_owned(),
            label: label.map(str::to_owned),
            ..crate::tests::config("https://contoso-ai.azconfig.io")
        };
        Names::new(&config, &Owner::parse("assistant-prod").expect("valid"), "t1")
    }

    fn key(text: &str) -> Key {
        Key::parse(text).expect("valid")
    }

    #[test]
    fn prefix_and_key_are_joined_by_one_separator() {
        for (prefix, separator, native) in [
            ("assistant", "/", "assistant/chat/config"),
            ("assistant/", "/", "assistant/chat/config"),
            ("assistant", ":", "assistant:chat/config"),
            ("assistant", "", "assistantchat/config"),
            ("", "/", "chat/config"),
        ] {
            assert_eq!(names(prefix, separator, None).native(&key("chat/config")), native);
        }
    }

    #[test]
    fn a_listing_never_reaches_a_neighbour() {
        let selector = names("assistant", "/", Some("prod")).data();
        assert_eq!(selector.key, KeyFilter::Prefix("assistant/".into()));
        assert_eq!(selector.label, LabelFilter::Exact("prod".into()));
        let selector = names("", "/", Some("")).data();
        assert_eq!((selector.key, selector.label), (KeyFilter::Any, LabelFilter::Null));
    }

    #[test]
    fn what_is_staged_is_apart_from_what_is_read() {
        let none = "~staging~~assistant/release";
        for (label, staged) in [(Some("prod"), "~staging~prod~assistant/release"), (None, none), (Some(""), none)] {
            let config = Config {
                prefix: "assistant/".to_owned(),
                label: label.map(str::to_owned),
                serve: Serve::Snapshot("release".to_owned()),
                ..crate::tests::config("https://contoso-ai.azconfig.io")
            };
            let names = Names::new(&config, &Owner::parse("me").expect("valid"), "t1");
            assert_eq!(names.written_label(), Some(staged));
            assert_eq!(names.read_label(), label.filter(|label| !label.is_empty()));
            assert_eq!(names.reference(), Some("assistant/release"));
            assert_eq!(names.data().label, LabelFilter::Exact(staged.into()));
            assert_eq!(names.surroundings().label, LabelFilter::exactly(names.read_label()));
            assert_eq!(names.one(&key("a")).label, LabelFilter::Exact(staged.into()));
            assert_eq!(names.groups(&[key("a")])[0].label, LabelFilter::Exact(staged.into()));
        }
        let names = names("assistant", "/", Some("prod"));
        assert_eq!((names.reference(), names.written_label()), (None, names.read_label()));
    }

    #[test]
    fn native_names_lead_back_to_keys() {
        let names = names("assistant", "/", None);
        assert_eq!(names.key("assistant/chat/config"), Some(key("chat/config")));
        for other in ["assistant/", "assistants/a", "assistant//a", "chat/config"] {
            assert_eq!(names.key(other), None, "{other}");
        }
    }

    #[test]
    fn keys_are_asked_for_five_at_a_time() {
        let names = names("p", "/", None);
        let keys: Vec<_> = (0..12).map(|i| key(&format!("k{i}"))).collect();
        let sizes = |keys: &[Key]| -> Vec<usize> {
            let groups = names.groups(keys);
            groups.iter().map(|group| if let KeyFilter::OneOf(keys) = &group.key { keys.len() } else { 0 }).collect()
        };
        assert_eq!(sizes(&keys), [5, 5, 2]);
        assert_eq!(names.groups(&keys)[2].key, KeyFilter::OneOf(vec!["p/k10".into(), "p/k11".into()]));
        let long: Vec<_> = (0..3).map(|i| key(&format!("{}{i}", "ü".repeat(100)))).collect();
        assert_eq!(sizes(&long), [1, 1, 1]);
        assert_eq!(sizes(&[]), [0; 0]);
    }

    #[test]
    fn documents_have_names_of_their_own() {
        let names = names("", "/", None);
        let native = names.document(&DocumentName::new("r/000001"));
        assert_eq!(native, ".repin/assistant-prod/t1/r/000001");
        assert!(is_ledger(&native) && !is_ledger(".repindex/a"));
        assert_eq!(names.document_name(&native), Some(DocumentName::new("r/000001")));
        assert_eq!(names.document_name(".repin/assistant-prod/t2/head"), None);
    }
}
