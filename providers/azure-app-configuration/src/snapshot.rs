//! Frozen sets: immutable snapshots, and the reference that readers follow to one.
//!
//! ```text
//!   staged key-values ── freeze ──▶ snapshot ◀── reference ◀── readers
//!                                      └── kept until it is archived, and then for its retention period
//! ```

use std::collections::BTreeMap;

use azure_data_app_configuration::{
    KeyValueContent, KeyValueSelector, Precondition, Snapshot, SnapshotContent, SnapshotFilter, SnapshotStatus, Tags,
};
use repin_provider::{Applied, Error, ErrorKind, Frozen, Item, Key, Outcome, Put, Result, Version};
use serde_json::json;

use crate::AppConfiguration;
use crate::apply::unmet;
use crate::client::{Changed, Found, Look, Made};
use crate::convert::{Kept, OWNER_TAG};

/// The content type of a snapshot reference, byte for byte: readers compare it as text.
const REFERENCE_TYPE: &str =
    "application/json; profile=\"https://azconfig.io/mime-profiles/snapshot-ref\"; charset=utf-8";

/// How long a snapshot is kept once archived, in seconds: 7 days, the most that every tier allows.
const RETENTION: u64 = 7 * 24 * 60 * 60;

const GET_SNAPSHOT: &str = "GET /snapshots/{name}";

/// Returns the name of the snapshot that a key-value refers readers to; `None` if it is no reference that every reader
/// takes for one.
pub(crate) fn referred(kept: &Kept) -> Option<String> {
    if kept.content_type.as_deref() != Some(REFERENCE_TYPE) {
        return None;
    }
    let body: serde_json::Value = serde_json::from_str(&kept.value).ok()?;
    body.get("snapshot_name")?.as_str().filter(|name| !name.is_empty()).map(str::to_owned)
}

impl AppConfiguration {
    /// Makes a snapshot of everything that is staged.
    pub(crate) async fn make_snapshot(&self, name: &str) -> Result<Frozen> {
        self.reference()?;
        let content = self.snapshot_content()?;
        let ours = |snapshot: &Snapshot| snapshot.tags == content.tags;
        let begun = self.store.begin_snapshot(name, &content, ours).await?;
        // From here on it may be there, whatever else fails.
        let began = |error: Error| error.with_outcome(Outcome::Unknown);
        let made = match self.settled(begun).await.map_err(began)? {
            Made::Whole(snapshot) => snapshot,
            Made::Failed(error) => return Err(error),
            Made::Gone => {
                let message = format!("the snapshot {name} was begun and is gone");
                return Err(began(Error::new(ErrorKind::Unexpected, GET_SNAPSHOT, message)));
            }
        };
        self.contents(&made).await.map_err(began)
    }

    /// Reads a snapshot; one that failed holds nothing and never will, so it counts as none.
    pub(crate) async fn read_snapshot(&self, name: &str) -> Result<Option<Frozen>> {
        self.reference()?;
        match self.find_snapshot(name).await? {
            Some(snapshot) => self.contents(&snapshot).await.map(Some),
            None => Ok(None),
        }
    }

    /// Points the reference to a snapshot, which is made to stay first.
    pub(crate) async fn refer_to(&self, name: &str, from: Option<&Version>) -> Result<Applied> {
        let reference = self.reference()?;
        let Some(snapshot) = self.find_snapshot(name).await? else { return Err(gone(name)) };
        if snapshot.status == SnapshotStatus::Archived && self.store.change_snapshot(name, true).await? != Changed::Done
        {
            return Err(gone(name));
        }
        let put = from.map_or(Put::Create, |version| Put::Replace(version.clone()));
        let precondition = from.map_or(Precondition::Absent, |version| Precondition::Etag(version.id.clone()));
        let content = self.reference_content(name);
        match self.store.put(reference, self.names.read_label(), &content, precondition).await? {
            Some(kept) => Ok(Applied { version: Some(kept.version), buried: None }),
            None => Err(unmet(&format!("PUT /kv/{{key}} (snapshot reference {reference})"), &put)),
        }
    }

    /// Removes the reference.
    pub(crate) async fn refer_to_none(&self, from: &Version) -> Result<()> {
        self.remove(self.reference()?, self.names.read_label(), from).await
    }

    /// Archives a snapshot: it expires after its retention period.
    pub(crate) async fn archive(&self, name: &str) -> Result<()> {
        self.reference()?;
        if self.store.change_snapshot(name, false).await? != Changed::Unfinished {
            return Ok(());
        }
        // While it is being made it cannot be archived; where that failed there is nothing to let go of.
        if self.find_snapshot(name).await?.is_some() {
            self.store.change_snapshot(name, false).await?;
        }
        Ok(())
    }

    /// Returns every key-value that readers find behind the reference.
    pub(crate) async fn served(&self) -> Result<Vec<Kept>> {
        let Some(there) = self.store.get(self.reference()?, self.names.read_label()).await? else {
            return Ok(Vec::new());
        };
        let Some(name) = referred(&there) else { return Ok(Vec::new()) };
        match self.store.look_at_snapshot(&name, None).await? {
            Look { found: Found::Now(snapshot), .. } if is_readable(&snapshot) => self.captured(&snapshot).await,
            _ => Ok(Vec::new()),
        }
    }

    /// Lists the key-values of a snapshot that is made.
    pub(crate) async fn captured(&self, snapshot: &Snapshot) -> Result<Vec<Kept>> {
        let listing = self.store.list(&KeyValueSelector::snapshot(&snapshot.name), Vec::new()).await?;
        let items: Vec<_> = listing.into_items().collect();
        // One that expired or is not finished is listed as empty rather than refused.
        match snapshot.items_count {
            Some(count) if (items.len() as u64) < count => {
                let message = format!(
                    "the snapshot {} holds {count} key-values, and only {} of them are listed",
                    snapshot.name,
                    items.len()
                );
                Err(Error::new(ErrorKind::Unexpected, "GET /kv", message))
            }
            _ => Ok(items),
        }
    }

    async fn contents(&self, snapshot: &Snapshot) -> Result<Frozen> {
        let items = self.captured(snapshot).await?;
        let keyed = |kept: Kept| Some((self.names.key(&kept.key)?, kept.into_item()));
        let items: BTreeMap<Key, Item> = items.into_iter().filter_map(keyed).collect();
        Ok(Frozen { name: snapshot.name.clone(), items, kept: is_kept(snapshot) })
    }

    /// Looks for a snapshot and waits until it is made; `None` if there is none or making it failed.
    async fn find_snapshot(&self, name: &str) -> Result<Option<Box<Snapshot>>> {
        match self.store.look_at_snapshot(name, None).await?.found {
            Found::Now(snapshot) if snapshot.status == SnapshotStatus::Failed => Ok(None),
            Found::Now(snapshot) => match self.settled(snapshot).await? {
                Made::Whole(snapshot) => Ok(Some(snapshot)),
                Made::Failed(_) | Made::Gone => Ok(None),
            },
            Found::Gone | Found::Unchanged => Ok(None),
        }
    }

    /// Waits until a snapshot is made.
    async fn settled(&self, snapshot: Snapshot) -> Result<Made> {
        if is_readable(&snapshot) {
            Ok(Made::Whole(Box::new(snapshot)))
        } else {
            self.store.await_snapshot(&snapshot.name).await
        }
    }

    /// Returns the name of the reference, if readers follow one.
    fn reference(&self) -> Result<&str> {
        self.names.reference().ok_or_else(|| {
            Error::new(ErrorKind::Refused, "snapshot", "this target serves its key-values, not a snapshot of them")
        })
    }

    fn snapshot_content(&self) -> Result<SnapshotContent> {
        let (key, label) = self.names.frozen();
        let filter = SnapshotFilter::new(&key, &label, &[]).map_err(|error| self.store.context.error(error, None))?;
        let mut content = SnapshotContent::new(vec![filter]);
        content.retention_period = Some(RETENTION);
        content.tags = self.owner_tags();
        Ok(content)
    }

    fn reference_content(&self, name: &str) -> KeyValueContent {
        let mut content = KeyValueContent::new(json!({ "snapshot_name": name }).to_string());
        content.content_type = Some(REFERENCE_TYPE.to_owned());
        content.tags = self.owner_tags();
        content
    }

    fn owner_tags(&self) -> Tags {
        Tags::from([(OWNER_TAG.to_owned(), Some(self.owner.as_str().to_owned()))])
    }
}

/// Tells whether what a snapshot holds can be listed.
pub(crate) fn is_readable(snapshot: &Snapshot) -> bool {
    matches!(snapshot.status, SnapshotStatus::Ready | SnapshotStatus::Archived)
}

/// Tells whether a snapshot will stay.
pub(crate) fn is_kept(snapshot: &Snapshot) -> bool {
    snapshot.status == SnapshotStatus::Ready
}

fn gone(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, GET_SNAPSHOT, format!("there is no snapshot {name} any more")).with_hint(
        "an archived snapshot expires after 7 days, and one that failed never was: make another of the same contents",
    )
}
