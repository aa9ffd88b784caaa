//! PURE: what keys are called in the store.

use azure_data_app_configuration::{KeyFilter, KeyValueSelector, LabelFilter, MAX_ALTERNATIVES};
use repin_provider::{DocumentName, Key, Owner};

use crate::Config;

/// Where every ledger is kept; nothing below it is ever an item.
pub(crate) const LEDGER_ROOT: &str = ".repin/";

/// The label of the ledger's key-values, so that readers of the data's label never meet them.
const LEDGER_LABEL: &str = "repin";

/// Longest filter of several keys that is sent, in bytes: some servers and proxies refuse request lines over 1 KB.
const MAX_FILTER: usize = 600;

/// One target's names.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// What every native name starts with, separator included; empty without a prefix.
    prefix: String,
    label: Option<String>,
    ledger: String,
}

impl Names {
    /// Makes the names of one target and of its ledger.
    pub(crate) fn new(config: &Config, owner: &Owner, target_id: &str) -> Self {
        let separator = &config.separator;
        // Joined by exactly one separator, whether the file's prefix ends with it or not.
        let prefix = match config.prefix.as_str() {
            "" => String::new(),
            prefix if separator.is_empty() => prefix.to_owned(),
            prefix => format!("{}{separator}", prefix.trim_end_matches(separator.as_str())),
        };
        let label = config.label.clone().filter(|label| !label.is_empty());
        Self { prefix, label, ledger: format!("{LEDGER_ROOT}{owner}/{target_id}/") }
    }

    /// Returns the store's name for a key.
    pub(crate) fn native(&self, key: &Key) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Returns the label of the data.
    pub(crate) fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// Selects everything below the prefix.
    pub(crate) fn data(&self) -> KeyValueSelector {
        let key = if self.prefix.is_empty() { KeyFilter::Any } else { KeyFilter::Prefix(self.prefix.clone()) };
        KeyValueSelector::new(key, LabelFilter::exactly(self.label()))
    }

    /// Selects one key.
    pub(crate) fn one(&self, key: &Key) -> KeyValueSelector {
        KeyValueSelector::new(KeyFilter::Exact(self.native(key)), LabelFilter::exactly(self.label()))
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
        let label = LabelFilter::exactly(self.label());
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
