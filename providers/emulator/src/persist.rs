//! Where the stores' data is kept.
//!
//! redb, because its commits are atomic and on disk when they return, whatever kills the process next, and because it
//! locks its file: two emulators on one folder would each believe their own copy.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use redb::backends::InMemoryBackend;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition, TableError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Memory for redb's cache: the models keep their data in memory themselves and read only at the start.
const CACHE_BYTES: usize = 4 << 20;

/// How often, and how long each time, closing waits for others: five seconds in all.
const CLOSE_ATTEMPTS: u32 = 1_000;
const CLOSE_WAIT: Duration = Duration::from_millis(5);

/// A keeper of JSON rows in named tables.
#[derive(Clone)]
pub struct Persist {
    database: Arc<Database>,
    dir: Option<PathBuf>,
}

/// One row to write.
#[derive(Debug, Clone)]
pub enum Change {
    /// Write a row, replacing what is there.
    Put {
        /// The table.
        table: &'static str,
        /// The row's key.
        key: String,
        /// The row.
        json: Vec<u8>,
    },
    /// Delete a row; not being there is fine.
    Delete {
        /// The table.
        table: &'static str,
        /// The row's key.
        key: String,
    },
}

impl Change {
    /// Makes a put of a value.
    ///
    /// # Errors
    /// A value that JSON cannot hold, such as a map with keys that are not text.
    pub fn put<T: Serialize>(table: &'static str, key: impl Into<String>, value: &T) -> Result<Self, PersistError> {
        let json = serde_json::to_vec(value).map_err(|source| PersistError::Row { table: table.to_owned(), source })?;
        Ok(Self::Put { table, key: key.into(), json })
    }

    /// Makes a delete.
    pub fn delete(table: &'static str, key: impl Into<String>) -> Self {
        Self::Delete { table, key: key.into() }
    }
}

/// Why data could not be kept or read back.
#[derive(Debug, thiserror::Error)]
pub enum PersistError {
    /// Another process has the file open.
    #[error("{} is in use by another emulator", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The folder or file cannot be made or opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A row makes no sense.
    #[error("a row of table {table} cannot be read or written")]
    Row {
        /// The table.
        table: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A KMS key that is to be there cannot be made.
    #[error("cannot make the KMS key {key}: {why}")]
    Key {
        /// The key as it was given.
        key: String,
        /// Why.
        why: String,
    },
    /// The database failed.
    #[error("the database failed")]
    Database(#[source] Box<redb::Error>),
}

impl PersistError {
    fn database(error: impl Into<redb::Error>) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

impl Persist {
    /// Keeps everything in memory; gone with the last clone.
    ///
    /// # Errors
    /// None in practice: memory for an empty database.
    pub fn in_memory() -> Result<Self, PersistError> {
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create_with_backend(InMemoryBackend::new())
            .map_err(PersistError::database)?;
        Ok(Self { database: Arc::new(database), dir: None })
    }

    /// Opens or creates a file in a folder, which is created too, both for this user only.
    ///
    /// # Errors
    /// [`PersistError::InUse`] where another process (or this one) has it open.
    pub fn open(dir: &Path, file_name: &str) -> Result<Self, PersistError> {
        create_private_dir(dir).map_err(|source| PersistError::Open { path: dir.to_owned(), source })?;
        let path = dir.join(file_name);
        create_private_file(&path).map_err(|source| PersistError::Open { path: path.clone(), source })?;
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(&path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => PersistError::InUse { path },
            other => PersistError::database(other),
        })?;
        Ok(Self { database: Arc::new(database), dir: Some(dir.to_owned()) })
    }

    /// Lets go of the data and waits until everybody else has, so that the file can be opened again.
    ///
    /// A request may outlive its aborted connection on a blocking thread, for as long as its commit takes.
    pub(crate) async fn close(self) {
        for _ in 0..CLOSE_ATTEMPTS {
            if Arc::strong_count(&self.database) == 1 {
                return;
            }
            tokio::time::sleep(CLOSE_WAIT).await;
        }
        tracing::warn!("the emulator's data is still in use");
    }

    /// Returns the folder, where there is one.
    pub fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    /// Returns every row of a table, ordered by key; none where the table was never written.
    ///
    /// # Errors
    /// A row that is not what the caller expects, or a failing disk.
    pub fn load_all<T: DeserializeOwned>(&self, table: &str) -> Result<Vec<(String, T)>, PersistError> {
        let read = self.database.begin_read().map_err(PersistError::database)?;
        let rows = match read.open_table(definition(table)) {
            Ok(rows) => rows,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(PersistError::database(error)),
        };
        let mut found = Vec::new();
        for row in rows.iter().map_err(PersistError::database)? {
            let (key, json) = row.map_err(PersistError::database)?;
            let value = serde_json::from_slice(json.value())
                .map_err(|source| PersistError::Row { table: table.to_owned(), source })?;
            found.push((key.value().to_owned(), value));
        }
        Ok(found)
    }

    /// Writes all of the changes or none, in order. On disk when it returns, where there is a disk.
    ///
    /// # Errors
    /// A failing or full disk.
    pub fn commit(&self, changes: &[Change]) -> Result<(), PersistError> {
        if changes.is_empty() {
            return Ok(());
        }
        let write = self.database.begin_write().map_err(PersistError::database)?;
        for change in changes {
            match change {
                Change::Put { table, key, json } => {
                    let mut rows = write.open_table(definition(table)).map_err(PersistError::database)?;
                    rows.insert(key.as_str(), json.as_slice()).map_err(PersistError::database)?;
                }
                Change::Delete { table, key } => {
                    let mut rows = write.open_table(definition(table)).map_err(PersistError::database)?;
                    rows.remove(key.as_str()).map_err(PersistError::database)?;
                }
            }
        }
        write.commit().map_err(PersistError::database)
    }
}

impl std::fmt::Debug for Persist {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Persist").field("dir", &self.dir).finish_non_exhaustive()
    }
}

fn definition(table: &str) -> TableDefinition<'_, &'static str, &'static [u8]> {
    TableDefinition::new(table)
}

/// Creates a folder for this user only, unless it is there.
pub(crate) fn create_private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Creates a file for this user only, unless it is there; its content is left alone.
pub(crate) fn create_private_file(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: u64) -> Change {
        Change::put("numbers", key, &value).unwrap()
    }

    #[test]
    fn rows_come_back_in_order_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let store = Persist::open(dir.path(), "a.redb").unwrap();
        store.commit(&[put("b", 2), put("a", 1), put("c", 3), Change::delete("numbers", "c")]).unwrap();
        drop(store);
        let store = Persist::open(dir.path(), "a.redb").unwrap();
        let rows: Vec<(String, u64)> = store.load_all("numbers").unwrap();
        assert_eq!(rows, [("a".to_owned(), 1), ("b".to_owned(), 2)]);
        assert!(store.load_all::<u64>("never written").unwrap().is_empty());
    }

    #[test]
    fn a_file_has_one_user() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Persist::open(dir.path(), "a.redb").unwrap();
        let second = Persist::open(dir.path(), "a.redb").unwrap_err();
        assert!(matches!(second, PersistError::InUse { .. }), "{second}");
    }

    #[cfg(unix)]
    #[test]
    fn files_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("new");
        let _store = Persist::open(&dir, "a.redb").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir), mode(&dir.join("a.redb"))), (0o700, 0o600));
    }

    #[test]
    fn memory_keeps_rows_too() {
        let store = Persist::in_memory().unwrap();
        store.commit(&[put("a", 1)]).unwrap();
        assert_eq!(store.load_all::<u64>("numbers").unwrap(), [("a".to_owned(), 1)]);
    }
}
