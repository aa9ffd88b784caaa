//! The rows in which the stores are kept.

use std::collections::BTreeMap;

use super::model::{Change, Revision, Snapshot, Store};
use crate::persist::{Change as Row, Persist, PersistError};

/// One row a revision, deletions included; what a store holds follows from them.
const REVISIONS: &str = "appconfig-revisions";
const SNAPSHOTS: &str = "appconfig-snapshots";

/// Reads every store back.
pub(crate) fn load(persist: &Persist) -> Result<BTreeMap<String, Store>, PersistError> {
    let mut stores: BTreeMap<String, Store> = BTreeMap::new();
    // Rows come ordered by key, so each store's revisions by number.
    for (key, revision) in persist.load_all::<Revision>(REVISIONS)? {
        stores.entry(store_of(&key)).or_default().apply(Change::Write(Box::new(revision)));
    }
    for (key, snapshot) in persist.load_all::<Snapshot>(SNAPSHOTS)? {
        stores.entry(store_of(&key)).or_default().apply(Change::Keep(Box::new(snapshot)));
    }
    Ok(stores)
}

/// Makes the row of a revision.
pub(crate) fn put_revision(store: &str, revision: &Revision) -> Result<Row, PersistError> {
    Row::put(REVISIONS, revision_key(store, revision.seq), revision)
}

/// Deletes the row of a revision.
pub(crate) fn delete_revision(store: &str, seq: u64) -> Row {
    Row::delete(REVISIONS, revision_key(store, seq))
}

/// Makes the row of a snapshot.
pub(crate) fn put_snapshot(store: &str, snapshot: &Snapshot) -> Result<Row, PersistError> {
    Row::put(SNAPSHOTS, snapshot_key(store, &snapshot.name), snapshot)
}

/// Deletes the row of a snapshot.
pub(crate) fn delete_snapshot(store: &str, name: &str) -> Row {
    Row::delete(SNAPSHOTS, snapshot_key(store, name))
}

/// Names of stores hold no slash; the number is padded so that text order is number order.
fn revision_key(store: &str, seq: u64) -> String {
    format!("{store}/{seq:020}")
}

fn snapshot_key(store: &str, name: &str) -> String {
    format!("{store}/{name}")
}

fn store_of(key: &str) -> String {
    key.split_once('/').map_or(key, |(store, _)| store).to_owned()
}
