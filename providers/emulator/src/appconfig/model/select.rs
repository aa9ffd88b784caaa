//! Which key-values a listing or a snapshot is about.

use super::{Id, KeyValue, TagFilter, TextFilter};

/// The filters over key, label and tags; all of them must pass.
#[derive(Clone, Debug)]
pub(crate) struct KeyValueFilter {
    pub(crate) key: TextFilter,
    pub(crate) label: TextFilter,
    pub(crate) tags: Vec<TagFilter>,
}

impl KeyValueFilter {
    /// Reports whether the key and the label pass.
    pub(crate) fn names(&self, id: &Id) -> bool {
        self.key.matches(Some(&id.key)) && self.label.matches(id.label.as_deref())
    }

    /// Reports whether the tags pass.
    pub(crate) fn tagged(&self, item: &KeyValue) -> bool {
        self.tags.iter().all(|tag| tag.matches(&item.content.tags))
    }
}
