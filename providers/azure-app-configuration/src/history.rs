//! What is there and what was there, read on purpose.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use azure_core::time::OffsetDateTime;
use azure_data_app_configuration::KeyValueSelector;
use futures::{StreamExt, TryStreamExt, stream};
use repin_provider::{Error, ErrorKind, Key, ReadRequest, ReadValue, Result, Revision, Version};

use crate::AppConfiguration;
use crate::convert::{Kept, OWNER_TAG};

/// How many lists of a few keys run at once.
const PARALLEL: usize = 4;

impl AppConfiguration {
    /// Returns every revision that the store still keeps of one key, newest first.
    pub(crate) async fn revisions(&self, key: &Key) -> Result<Vec<Revision>> {
        let mut found = Vec::new();
        self.store
            .revisions(&self.names.one(key), &mut |kept| {
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

    /// Reads values: what is served, and past versions.
    pub(crate) async fn values(&self, requests: &[ReadRequest]) -> Result<Vec<Option<ReadValue>>> {
        let (mut served, mut past) = (Wanted::default(), Wanted::default());
        for request in requests {
            let native = self.names.native(&request.key);
            match &request.version {
                None => served.add(&request.key, native),
                Some(version) => past.add_version(&request.key, native, version),
            }
        }
        let served =
            if self.names.reference().is_some() { self.frozen(served).await? } else { self.now(served).await? };
        let past = self.past(past).await?;
        let find = |request: &ReadRequest| {
            let native = self.names.native(&request.key);
            match &request.version {
                None => served.get(&native)?.first(),
                Some(version) => past.get(&native)?.iter().find(|kept| kept.version == *version),
            }
        };
        Ok(requests.iter().map(|request| find(request).cloned().map(Kept::into_value)).collect())
    }

    /// Reads who owns what was put, from the tag that each item carries.
    pub(crate) async fn owners_of(&self, keys: &[Key]) -> Result<Vec<Option<String>>> {
        let mut wanted = Wanted::default();
        for key in keys {
            wanted.add(key, self.names.native(key));
        }
        let found = self.now(wanted).await?;
        let owner = |key| found.get(&self.names.native(key))?.first()?.tags.get(OWNER_TAG).cloned();
        Ok(keys.iter().map(owner).collect())
    }

    /// Finds what readers find in the snapshot that they follow.
    async fn frozen(&self, mut wanted: Wanted) -> Result<Taken> {
        if !wanted.missing.is_empty() {
            for kept in self.served().await? {
                if wanted.take(kept).is_break() {
                    break;
                }
            }
        }
        Ok(wanted.found)
    }

    /// Finds what was put last.
    async fn now(&self, mut wanted: Wanted) -> Result<Taken> {
        self.seek(&mut wanted, None).await?;
        Ok(wanted.found)
    }

    /// Finds past versions.
    ///
    /// Versions that belong together were all current at the time of the newest of them, so a look back at that moment
    /// finds them for what a look at the present costs. Any other is looked for among all revisions of its key.
    async fn past(&self, mut wanted: Wanted) -> Result<Taken> {
        if let Some(at) = wanted.newest() {
            match self.seek(&mut wanted, Some(at)).await {
                // How a store answers a look further back than it keeps revisions is not documented.
                Err(error) if error.kind == ErrorKind::Refused => {}
                other => other?,
            }
        }
        let groups = self.names.groups(wanted.keys());
        let shared = Mutex::new(&mut wanted);
        stream::iter(groups)
            .map(Ok)
            .try_for_each_concurrent(PARALLEL, |selector| {
                let shared = &shared;
                async move { self.store.revisions(&selector, &mut |kept| take(shared, kept)).await }
            })
            .await?;
        Ok(wanted.found)
    }

    /// Takes what is wanted out of what is there, or what was there at one moment.
    ///
    /// The whole prefix comes by the hundred but may hold much more than what is wanted, and how much is not known
    /// before its end. So the walk through it ends where asking for the rest by name costs no more than it did; with the
    /// wanted keys spread evenly that is never more than the whole prefix, nor more than a request for each key.
    async fn seek(&self, wanted: &mut Wanted, at: Option<OffsetDateTime>) -> Result<()> {
        let groups = self.names.groups(wanted.keys()).len();
        if groups > 1 {
            let everything = KeyValueSelector { accept_datetime: at, ..self.names.data() };
            if self.store.walk(&everything, groups, &mut |kept| wanted.take(kept)).await? {
                return Ok(());
            }
        }
        let groups = self.names.groups(wanted.keys());
        let shared = Mutex::new(wanted);
        stream::iter(groups)
            .map(|group| KeyValueSelector { accept_datetime: at, ..group })
            .map(Ok)
            .try_for_each_concurrent(PARALLEL, |selector| {
                let shared = &shared;
                async move { self.store.walk(&selector, usize::MAX, &mut |kept| take(shared, kept)).await.map(|_| ()) }
            })
            .await
    }
}

/// Key-values that were found, by native name.
type Taken = HashMap<String, Vec<Kept>>;

/// Key-values that are looked for, by native name.
#[derive(Debug, Default)]
struct Wanted {
    missing: BTreeMap<String, Missing>,
    found: Taken,
}

#[derive(Debug)]
struct Missing {
    key: Key,
    /// The versions wanted; none named means whichever is there.
    versions: Vec<Version>,
}

impl Wanted {
    fn add(&mut self, key: &Key, native: String) {
        self.missing.entry(native).or_insert_with(|| Missing { key: key.clone(), versions: Vec::new() });
    }

    fn add_version(&mut self, key: &Key, native: String, version: &Version) {
        let missing = self.missing.entry(native).or_insert_with(|| Missing { key: key.clone(), versions: Vec::new() });
        if !missing.versions.contains(version) {
            missing.versions.push(version.clone());
        }
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        self.missing.values().map(|missing| &missing.key)
    }

    /// Returns the moment at which the newest of the versions was there: the second after it was written, since a look
    /// back shows what is older than the moment that it names, and names whole seconds.
    fn newest(&self) -> Option<OffsetDateTime> {
        let versions = self.missing.values().flat_map(|missing| &missing.versions);
        let second = versions.filter_map(|version| version.at).max()?.as_second() + 1;
        OffsetDateTime::from_unix_timestamp(second).ok()
    }

    /// Keeps a key-value if it is wanted, and breaks off once nothing is missing.
    fn take(&mut self, kept: Kept) -> ControlFlow<()> {
        if let Some(missing) = self.missing.get_mut(&kept.key) {
            let before = missing.versions.len();
            missing.versions.retain(|version| *version != kept.version);
            let hit = before == 0 || missing.versions.len() < before;
            if missing.versions.is_empty() {
                self.missing.remove(&kept.key);
            }
            if hit {
                self.found.entry(kept.key.clone()).or_default().push(kept);
            }
        }
        if self.missing.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Takes a key-value out of one of several lists that run at once.
fn take(shared: &Mutex<&mut Wanted>, kept: Kept) -> ControlFlow<()> {
    shared.lock().unwrap_or_else(PoisonError::into_inner).take(kept)
}
