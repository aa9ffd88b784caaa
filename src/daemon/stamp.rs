//! Tells, without reading it, whether what the desired state was read from is as it was.
//!
//! Reading ten thousand entries again each interval would be most of what an idle daemon does. A file that is written,
//! renamed over or reached through another link has another inode or other times.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Times of files advance in ticks of some milliseconds: what was changed so lately may be changed again within the same
/// one, and is read each time.
const TICK: Duration = Duration::from_secs(2);
/// The most files that are looked at; where there are more, all is read.
const MAX_FILES: usize = 30_000;

/// What was seen of all files and folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    files: Vec<Seen>,
}

/// What tells one state of a file or folder from another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// Nobody sets this one at will.
    changed: (i64, i64),
}

impl Stamp {
    /// Looks at files, and at everything in folders. Returns nothing where that would not tell: something is not there,
    /// or was changed just now.
    pub(super) fn of(sources: &[PathBuf]) -> Option<Self> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let settled = i64::try_from(now.saturating_sub(TICK).as_secs()).ok()?;
        let mut stamp = Self { files: Vec::with_capacity(sources.len()) };
        let mut folders = BTreeSet::new();
        for source in sources {
            stamp.look(source, settled, &mut folders)?;
        }
        Some(stamp)
    }

    fn look(&mut self, path: &Path, settled: i64, folders: &mut BTreeSet<(u64, u64)>) -> Option<()> {
        let found = fs::metadata(path).ok()?;
        let changed = (found.ctime(), found.ctime_nsec());
        if changed.0 >= settled || self.files.len() == MAX_FILES {
            return None;
        }
        self.files.push(Seen {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed,
        });
        // A link may lead back to where it is.
        if !found.is_dir() || !folders.insert((found.dev(), found.ino())) {
            return Some(());
        }
        let mut inside: Vec<_> = fs::read_dir(path).ok()?.collect::<Result<_, _>>().ok()?;
        inside.sort_by_key(fs::DirEntry::file_name);
        inside.iter().try_for_each(|entry| self.look(&entry.path(), settled, folders))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Looks as if a while had passed since the last change.
    fn later(sources: &[PathBuf]) -> Option<Stamp> {
        let mut stamp = Stamp { files: Vec::new() };
        let mut folders = BTreeSet::new();
        sources.iter().try_for_each(|source| stamp.look(source, i64::MAX, &mut folders))?;
        Some(stamp)
    }

    #[test]
    fn every_change_shows() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = |name: &str| dir.path().join(name);
        fs::create_dir_all(path("prompts/deep")).expect("made");
        fs::write(path("prompts/deep/a.md"), "one").expect("written");
        fs::write(path("v1"), "same").expect("written");
        fs::write(path("v2"), "same").expect("written");
        symlink("v1", path("repin.yaml")).expect("linked");
        symlink("..", path("prompts/loop")).expect("linked");
        let sources = [path("repin.yaml"), path("prompts")];
        let before = later(&sources);
        assert!(before.is_some());
        assert_eq!(later(&sources), before, "nothing changed");
        fs::write(path("prompts/deep/a.md"), "two!").expect("written");
        let edited = later(&sources);
        assert_ne!(edited, before);
        fs::write(path("prompts/deep/b.md"), "").expect("written");
        let added = later(&sources);
        assert_ne!(added, edited);
        fs::remove_file(path("repin.yaml")).expect("removed");
        assert_eq!(later(&sources), None, "what is not there cannot be compared");
        symlink("v2", path("repin.yaml")).expect("linked");
        assert_ne!(later(&sources), added, "another file of the same size and content");
    }

    #[test]
    fn what_was_changed_just_now_is_not_trusted() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("repin.yaml");
        fs::write(&file, "one").expect("written");
        assert_eq!(Stamp::of(&[file]), None);
    }
}
