//! What is there now.

use std::collections::{BTreeMap, HashMap};

use repin_provider::{Key, Observation, Observe, Result, Resume, Seen, View};
use serde::{Deserialize, Serialize};

use crate::AppConfiguration;
use crate::client::PageKept;
use crate::names::is_ledger;

/// What one listing leaves for the next.
///
/// Kept as text: the engine holds it between two passes, and a tree of values is ten times as large.
#[derive(Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// What was listed; pages of another place are of no use.
    scope: String,
    pages: Vec<PageKept>,
}

impl Remembered {
    /// Writes down what was listed.
    pub(crate) fn encode(scope: String, pages: &[PageKept]) -> Option<Resume> {
        #[derive(Serialize)]
        struct Borrowed<'a> {
            scope: String,
            pages: &'a [PageKept],
        }
        serde_json::to_string(&Borrowed { scope, pages }).ok().map(|text| Resume(text.into()))
    }

    /// Reads what was written down; nothing where it is of another place or another version of this program.
    pub(crate) fn decode(resume: Option<&Resume>, scope: &str) -> Vec<PageKept> {
        resume
            .and_then(|resume| resume.0.as_str())
            .and_then(|text| serde_json::from_str::<Self>(text).ok())
            .filter(|remembered| remembered.scope == scope)
            .map(|remembered| remembered.pages)
            .unwrap_or_default()
    }
}

impl AppConfiguration {
    /// Looks at what readers meet or at what a put would replace, which is the same where puts are served at once.
    pub(crate) async fn look(&self, request: Observe) -> Result<Observation> {
        match (self.names.reference(), request.view) {
            (Some(reference), View::Served) => self.look_behind(reference, request).await,
            (Some(_), View::Newest) | (None, _) => self.look_at_all(request).await,
        }
    }

    /// Lists everything below the prefix. The census comes for free: foreign items are on the same pages.
    async fn look_at_all(&self, request: Observe) -> Result<Observation> {
        let selector = self.names.data();
        let scope = format!("{}/{selector:?}", self.place);
        let remembered = Remembered::decode(request.resume.as_ref(), &scope);
        let listing = self.store.list(&selector, remembered).await?;
        let resume = if listing.changed { Remembered::encode(scope, &listing.pages) } else { request.resume };
        let at = listing.at;

        let mut wanted: HashMap<String, Key> =
            request.keys.iter().map(|key| (self.names.native(key), key.clone())).collect();
        // The listing came to its end, or we would not be here, and a page that was cut off is not to be told from a short
        // one. Most that is not in it is not there: a create that finds it all the same is refused.
        let mut items: BTreeMap<Key, Seen> = request.keys.into_iter().map(|key| (key, Seen::Absent)).collect();
        let mut foreign = Vec::new();
        for kept in listing.into_items() {
            if let Some(key) = wanted.remove(&kept.key) {
                items.insert(key, Seen::Present(kept.into_item()));
            } else if !is_ledger(&kept.key) {
                foreign.push(kept.key);
            }
        }
        for (native, key) in wanted.into_iter().filter(|(_, key)| request.surely.contains(key)) {
            if let Some(kept) = self.store.get(&native, self.names.read_label()).await? {
                items.insert(key, Seen::Present(kept.into_item()));
            }
        }
        Ok(Observation { items, foreign: Some(foreign), reference: None, at, resume })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ones_own_memory_is_used() {
        let pages = vec![PageKept { etag: Some("e".into()), items: Vec::new() }];
        let resume = Remembered::encode("here".into(), &pages).expect("serializable");
        assert_eq!(Remembered::decode(Some(&resume), "here"), pages);
        assert!(Remembered::decode(Some(&resume), "there").is_empty());
        assert!(Remembered::decode(Some(&Resume(serde_json::json!({"pages": 1}))), "here").is_empty());
        assert!(Remembered::decode(Some(&Resume("[".into())), "here").is_empty());
        assert!(Remembered::decode(None, "here").is_empty());
    }
}
