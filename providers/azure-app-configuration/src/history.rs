//! What is there and what was there, read on purpose.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use futures::{StreamExt, TryStreamExt, stream};
use repin_provider::{Error, ErrorKind, Key, ReadRequest, ReadValue, Result, Revision, Version};

use crate::AppConfiguration;
use crate::convert::{Kept, OWNER_TAG};

/// More keys than this are read by listing the prefix: whole pages of 100 are then cheaper than lists of a few keys.
const MANY: usize = 20;

/// How many lists of a few keys run at once.
const PARALLEL: usize = 4;

impl AppConfiguration {
    /// Returns every revision that the store still keeps of one key, newest first.
    pub(crate) async fn revisions(&self, key: &Key) -> Result<Vec<Revision>> {
        let mut found = Vec::new();
        self.store
            .revisions(&self.names.one(key), None, &mut |kept| {
                found.push(kept);
                ControlFlow::Continue(())
            })
            .await
            .map_err(|error| error.with_key(key))?;
        if found.is_empty() {
            let message = "it is not there, and the store keeps nothing of it";
            return Err(Error::new(ErrorKind::NotFound, "GET /revisions", message).with_key(key));
        }
        // The order of the store is not documented, and its times are in whole seconds: revisions of one second keep
        // the order that the list as a whole has.
        if found.first().map(|kept| kept.version.at) < found.last().map(|kept| kept.version.at) {
            found.reverse();
        }
        found.sort_by_key(|kept| std::cmp::Reverse(kept.version.at));
        Ok(found.into_iter().map(Kept::into_revision).collect())
    }

    /// Reads values, each key that is served once and past versions out of the revisions.
    pub(crate) async fn values(&self, requests: &[ReadRequest]) -> Result<Vec<Option<ReadValue>>> {
        let served: BTreeSet<&Key> = requests.iter().filter(|r| r.version.is_none()).map(|r| &r.key).collect();
        let mut past = Wanted::default();
        for request in requests {
            if let Some(version) = &request.version {
                past.add(&request.key, self.names.native(&request.key), version);
            }
        }
        let served = self.served(&served).await?;
        let past = self.past(past).await?;
        let find = |request: &ReadRequest| {
            let native = self.names.native(&request.key);
            match &request.version {
                None => served.get(&native),
                Some(version) => past.get(&native)?.iter().find(|kept| kept.version == *version),
            }
        };
        Ok(requests.iter().map(|request| find(request).cloned().map(Kept::into_value)).collect())
    }

    /// Reads who owns items, from the tag that each carries.
    pub(crate) async fn owners_of(&self, keys: &[Key]) -> Result<Vec<Option<String>>> {
        let served = self.served(&keys.iter().collect()).await?;
        let owner = |key| served.get(&self.names.native(key)).and_then(|kept| kept.tags.get(OWNER_TAG).cloned());
        Ok(keys.iter().map(owner).collect())
    }

    async fn served(&self, keys: &BTreeSet<&Key>) -> Result<HashMap<String, Kept>> {
        let selectors = match keys.len() {
            0 => return Ok(HashMap::new()),
            1..=MANY => self.names.groups(keys.iter().copied()),
            _ => vec![self.names.data()],
        };
        let lists = stream::iter(selectors)
            .map(|selector| async move { self.store.list(&selector, Vec::new()).await })
            .buffer_unordered(PARALLEL)
            .try_collect::<Vec<_>>()
            .await?;
        let items = lists.into_iter().flat_map(|list| list.into_items());
        Ok(items.map(|kept| (kept.key.clone(), kept)).collect())
    }

    /// Finds past versions.
    ///
    /// The revisions of a whole prefix come by the hundred, but may be many more than those that are wanted: the walk
    /// through them ends where asking for the rest by name costs no more than it did.
    async fn past(&self, mut wanted: Wanted) -> Result<HashMap<String, Vec<Kept>>> {
        if wanted.missing.len() > MANY {
            let pages = self.names.groups(wanted.missing.values().map(|(key, _)| key)).len();
            self.store.revisions(&self.names.data(), Some(pages), &mut |kept| wanted.take(kept)).await?;
        }
        let groups = self.names.groups(wanted.missing.values().map(|(key, _)| key));
        let wanted = Mutex::new(wanted);
        stream::iter(groups)
            .map(Ok)
            .try_for_each_concurrent(PARALLEL, |selector| {
                let wanted = &wanted;
                async move {
                    let mut take = |kept| wanted.lock().unwrap_or_else(PoisonError::into_inner).take(kept);
                    self.store.revisions(&selector, None, &mut take).await
                }
            })
            .await?;
        Ok(wanted.into_inner().unwrap_or_else(PoisonError::into_inner).found)
    }
}

/// Past versions that are looked for, by native name.
#[derive(Debug, Default)]
struct Wanted {
    missing: BTreeMap<String, (Key, Vec<Version>)>,
    found: HashMap<String, Vec<Kept>>,
}

impl Wanted {
    fn add(&mut self, key: &Key, native: String, version: &Version) {
        let (_, versions) = self.missing.entry(native).or_insert_with(|| (key.clone(), Vec::new()));
        if !versions.contains(version) {
            versions.push(version.clone());
        }
    }

    /// Keeps a revision if it is wanted, and breaks off once nothing is missing.
    fn take(&mut self, kept: Kept) -> ControlFlow<()> {
        if let Some((_, versions)) = self.missing.get_mut(&kept.key) {
            let before = versions.len();
            versions.retain(|version| *version != kept.version);
            let hit = versions.len() < before;
            if versions.is_empty() {
                self.missing.remove(&kept.key);
            }
            if hit {
                self.found.entry(kept.key.clone()).or_default().push(kept);
            }
        }
        if self.missing.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
