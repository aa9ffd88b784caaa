//! Notices that the file, or anything that it refers to, may have changed.
//!
//! Folders are watched, not files: an editor writes beside the file and renames over it, `git` replaces it, and a mounted
//! volume swaps a link somewhere on the way to it:
//!
//! ```text
//! /etc/repin/repin.yaml -> ..data/repin.yaml      watched: /etc/repin            for "repin.yaml", "..data"
//! /etc/repin/..data     -> ..2026_11_22           watched: /etc/repin/..2026_…   for "repin.yaml"
//! ```
//! An event only says that it is time to look; what changed is found by reading. One that is missed costs an interval.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

/// The most links that are followed on the way to one file; the kernel stops at as many.
const MAX_LINKS: u32 = 40;
/// The most folders that are watched below those in which patterns look.
const MAX_FOLDERS: usize = 10_000;

/// Watches what the desired state was read from.
#[derive(Debug)]
pub struct Watch {
    /// `None` where the system offers no events.
    watcher: Option<RecommendedWatcher>,
    interest: Arc<Mutex<Interest>>,
    /// The folders that are watched, and which folder each was: another one may have its name by now.
    watched: BTreeMap<PathBuf, Option<(u64, u64)>>,
    events: mpsc::Receiver<()>,
}

/// Which names in which folders matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Interest {
    folders: BTreeMap<PathBuf, Names>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Names {
    These(BTreeSet<OsString>),
    Any,
}

impl Watch {
    /// Watches nothing yet.
    pub fn new() -> Self {
        let interest = Arc::new(Mutex::new(Interest::default()));
        // One that waits to be taken stands for all.
        let (tell, events) = mpsc::channel(1);
        let wanted = Arc::clone(&interest);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let matters = match &event {
                Ok(event) => lock(&wanted).meets(event),
                Err(_) => true,
            };
            if matters {
                let _ = tell.try_send(());
            }
        });
        let watcher = watcher.inspect_err(without_events).ok();
        Self { watcher, interest, watched: BTreeMap::new(), events }
    }

    /// Watches the way to each of these from now on, and nothing else. Returns whether anything is watched that was not
    /// before: it may have changed since it was read.
    pub fn set(&mut self, sources: &[PathBuf]) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        let interest = Interest::of(sources);
        let wanted: BTreeMap<_, _> = interest.folders.keys().map(|path| (path.clone(), identity(path))).collect();
        *lock(&self.interest) = interest;
        for (path, is) in &self.watched {
            if wanted.get(path) != Some(is) {
                // It may be gone already, and its watch with it.
                let _ = watcher.unwatch(path);
            }
        }
        let mut grew = false;
        self.watched.retain(|path, is| wanted.get(path) == Some(is));
        for (path, is) in wanted.into_iter().filter(|(_, is)| is.is_some()) {
            if self.watched.contains_key(&path) {
                continue;
            }
            match watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    grew = true;
                    self.watched.insert(path, is);
                }
                Err(error) => without_events(&error),
            }
        }
        grew
    }

    /// Waits until something may have changed.
    pub async fn changed(&mut self) {
        if self.events.recv().await.is_none() {
            // There is no watcher that could tell.
            std::future::pending::<()>().await;
        }
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}

fn without_events(error: &notify::Error) {
    tracing::warn!(%error, "a folder cannot be watched; changes there are noticed at the next interval");
}

fn lock(interest: &Mutex<Interest>) -> std::sync::MutexGuard<'_, Interest> {
    interest.lock().unwrap_or_else(PoisonError::into_inner)
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

impl Interest {
    fn of(sources: &[PathBuf]) -> Self {
        let mut interest = Self::default();
        for source in sources {
            let Ok(path) = std::path::absolute(source) else { continue };
            let real = interest.follow(&path);
            interest.look_into(&real);
        }
        interest
    }

    /// Tells whether an event may be about what was read. Reading itself makes events too.
    fn meets(&self, event: &Event) -> bool {
        if matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)) {
            return false;
        }
        event.need_rescan() || event.paths.iter().any(|path| self.covers(path))
    }

    fn covers(&self, path: &Path) -> bool {
        let names = path.parent().and_then(|folder| self.folders.get(folder));
        match (names, path.file_name()) {
            (Some(Names::Any), _) => true,
            (Some(Names::These(names)), Some(name)) => names.contains(name),
            _ => false,
        }
    }

    fn add(&mut self, folder: &Path, name: &OsStr) {
        let names = self.folders.entry(folder.to_owned()).or_insert_with(|| Names::These(BTreeSet::new()));
        if let Names::These(names) = names {
            names.insert(name.to_owned());
        }
    }

    /// Takes in every link on the way to a file, and the file itself. Returns where it really is.
    fn follow(&mut self, path: &Path) -> PathBuf {
        let mut at = PathBuf::from("/");
        let mut links = 0;
        let mut rest: VecDeque<OsString> = parts(path).collect();
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&name);
            match fs::read_link(&next) {
                Ok(target) if links < MAX_LINKS => {
                    links += 1;
                    self.add(&at, &name);
                    if target.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    parts(&target).rev().for_each(|part| rest.push_front(part));
                }
                _ => {
                    // A folder on the way that is replaced as a whole is noticed at the interval; one that is not there
                    // yet would never be.
                    if rest.is_empty() || !next.exists() {
                        self.add(&at, &name);
                    }
                    at = next;
                }
            }
        }
        at
    }

    /// Takes in a folder in which a pattern looks, with all below it but hidden folders: `.git` is never at rest, and
    /// what a mounted volume hides is reached through its links.
    fn look_into(&mut self, folder: &Path) {
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            if self.folders.len() >= MAX_FOLDERS || self.folders.get(&folder) == Some(&Names::Any) {
                continue;
            }
            self.folders.insert(folder, Names::Any);
            for entry in entries.flatten().filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b".")) {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                    Ok(kind) if kind.is_symlink() => folders.push(self.follow(&entry.path())),
                    _ => {}
                }
            }
        }
    }
}

fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = fs::canonicalize(dir.path()).expect("there");
        (dir, path)
    }

    async fn is_told(watch: &mut Watch) -> bool {
        tokio::time::timeout(Duration::from_secs(5), watch.changed()).await.is_ok()
    }

    async fn is_quiet(watch: &mut Watch) -> bool {
        // What is told late belongs to what was done before.
        while tokio::time::timeout(Duration::from_millis(200), watch.changed()).await.is_ok() {}
        tokio::time::timeout(Duration::from_millis(200), watch.changed()).await.is_err()
    }

    #[test]
    fn every_link_on_the_way_matters() {
        let (_keep, dir) = folder();
        fs::create_dir_all(dir.join("mount/..v1")).expect("made");
        fs::write(dir.join("mount/..v1/repin.yaml"), "").expect("written");
        symlink("..v1", dir.join("mount/..data")).expect("linked");
        symlink("..data/repin.yaml", dir.join("mount/repin.yaml")).expect("linked");
        let interest = Interest::of(&[dir.join("mount/repin.yaml")]);
        for path in ["mount/repin.yaml", "mount/..data", "mount/..v1/repin.yaml"] {
            assert!(interest.covers(&dir.join(path)), "{path}: {interest:?}");
        }
        for path in ["mount/other.yaml", "mount", "mount/..v1/other"] {
            assert!(!interest.covers(&dir.join(path)), "{path}: {interest:?}");
        }
    }

    #[test]
    fn folders_of_patterns_matter_whole_and_without_what_is_hidden() {
        let (_keep, dir) = folder();
        for path in ["prompts/rag/deep", "prompts/.git", "elsewhere"] {
            fs::create_dir_all(dir.join(path)).expect("made");
        }
        symlink(dir.join("elsewhere"), dir.join("prompts/linked")).expect("linked");
        symlink("..", dir.join("prompts/rag/loop")).expect("linked");
        let interest = Interest::of(&[dir.join("prompts")]);
        for path in ["prompts/new.md", "prompts/rag/deep/a.md", "elsewhere/b.md"] {
            assert!(interest.covers(&dir.join(path)), "{path}: {interest:?}");
        }
        assert!(!interest.covers(&dir.join("prompts/.git/index")));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn renames_and_swaps_are_told_and_reading_is_not() {
        let (_keep, dir) = folder();
        let file = dir.join("repin.yaml");
        fs::write(&file, "one").expect("written");
        let mut watch = Watch::new();
        assert!(watch.set(std::slice::from_ref(&file)));
        assert!(!watch.set(std::slice::from_ref(&file)), "nothing new is watched");
        fs::read_to_string(&file).expect("read");
        fs::write(dir.join("other"), "noise").expect("written");
        assert!(is_quiet(&mut watch).await);
        fs::write(dir.join(".new"), "two").expect("written");
        fs::rename(dir.join(".new"), &file).expect("renamed");
        assert!(is_told(&mut watch).await);
        assert!(is_quiet(&mut watch).await);
        fs::remove_file(&file).expect("removed");
        assert!(is_told(&mut watch).await);
        assert!(is_quiet(&mut watch).await);
        fs::write(&file, "three").expect("written");
        assert!(is_told(&mut watch).await);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_folder_of_the_same_name_is_another_folder() {
        let (_keep, dir) = folder();
        let prompts = dir.join("prompts");
        fs::create_dir(&prompts).expect("made");
        let sources = [dir.join("repin.yaml"), prompts.clone()];
        let mut watch = Watch::new();
        watch.set(&sources);
        fs::rename(&prompts, dir.join("old")).expect("renamed");
        fs::create_dir(&prompts).expect("made");
        assert!(is_told(&mut watch).await);
        assert!(watch.set(&sources), "it is watched anew");
        assert!(is_quiet(&mut watch).await);
        fs::write(prompts.join("a.md"), "text").expect("written");
        assert!(is_told(&mut watch).await);
    }
}
