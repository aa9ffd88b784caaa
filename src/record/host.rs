//! What a host remembers between runs, in its state directory. Losing any of it loses nothing but speed.
//!
//! ```text
//! <state dir>/<name>/host.key          keys the fingerprints of secrets; never leaves the host
//! <state dir>/<name>/file              the file's digests when it was last the newest, and about to be
//! <state dir>/<name>/<target id>.json  one target: the ledger, page etags, fingerprints of secrets
//! <state dir>/<name>/<target id>.pass  when a pass last left it as the file asks
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use rand::RngExt as _;
use repin_provider::{Key, Owner, Resume, Secret, Version};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::ledger::KnownDocuments;
use super::private;
use crate::model::desired::FileDigest;
use crate::model::release::{Runner, TargetId};

/// How many files are remembered that were about to be the newest.
const FILES_REMEMBERED: usize = 16;

/// A keyed hash of a secret, good only on the host that made it, after the name of that host's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

/// A secret that was read once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownSecret {
    /// The version that was read.
    pub version: Version,
    /// What it held.
    pub fingerprint: Fingerprint,
}

/// What this host remembers of one target.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetMemory {
    /// The ledger.
    pub ledger: KnownDocuments,
    /// What the provider wants to remember.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
    /// Secrets whose value at a version is known by fingerprint.
    #[serde(default)]
    pub secrets: BTreeMap<Key, KnownSecret>,
    /// Secrets that holds name, by the version that holds them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub held: BTreeMap<Key, Vec<KnownSecret>>,
    /// When a pass of this host last left the target as its file asks, by this host's clock. Kept in a file of its own:
    /// it is another after each pass, and the rest, which may be megabytes, is usually not.
    #[serde(skip)]
    pub last_pass: Option<Timestamp>,
}

/// One state of what is remembered of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryState((u64, i64, i64));

/// The memory of this host for one name. `Debug` prints no key.
pub struct HostMemory {
    dir: Option<PathBuf>,
    key: [u8; 32],
    /// Whether the last write failed, and that was said.
    unwritten: AtomicBool,
}

impl fmt::Debug for HostMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostMemory").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl HostMemory {
    /// Opens the memory for a name below the state directory, making it where it is not there.
    ///
    /// A state directory that cannot be used, or may be another user's, is no reason to stop: the memory then lasts as
    /// long as the process.
    pub fn open(state_dir: &Path, owner: &Owner) -> Self {
        let dir = state_dir.join(owner.as_str());
        let opened = private::claim(&dir).and_then(|()| load_key(&dir));
        match opened {
            Ok(key) => Self { dir: Some(dir), key, unwritten: AtomicBool::new(false) },
            Err(error) => {
                tracing::warn!(
                    %error,
                    dir = %dir.display(),
                    "the state directory cannot be used; going on without, at the price of more requests"
                );
                Self::forgetful()
            }
        }
    }

    /// Makes a memory that lasts as long as the process.
    pub fn forgetful() -> Self {
        Self { dir: None, key: rand::rng().random(), unwritten: AtomicBool::new(false) }
    }

    /// Returns a secret's fingerprint.
    pub fn fingerprint(&self, secret: &Secret) -> Fingerprint {
        Fingerprint(format!("{}.{}", self.key_name(), hex::encode(self.keyed(secret.expose().as_bytes()))))
    }

    /// Names the key, so that a fingerprint which another one made is known to tell nothing.
    fn key_name(&self) -> String {
        hex::encode(&self.keyed(b"the name of this key")[..4])
    }

    fn keyed(&self, bytes: &[u8]) -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("any length is a key");
        mac.update(bytes);
        mac.finalize().into_bytes().to_vec()
    }

    /// Returns what is remembered of a target; nothing where that cannot be read.
    pub fn target(&self, id: &TargetId) -> TargetMemory {
        let known = self.read(&format!("{id}.json")).and_then(|text| serde_json::from_str(&text).ok());
        let known = known.map(|known| self.comparable(known));
        let last_pass = self.read(&format!("{id}.pass")).and_then(|text| text.trim().parse().ok());
        known.map_or_else(TargetMemory::default, |known| TargetMemory { last_pass, ..known })
    }

    /// Leaves out what was learnt of secrets under a key that is lost: compared with it, each would be another secret.
    fn comparable(&self, mut known: TargetMemory) -> TargetMemory {
        let name = format!("{}.", self.key_name());
        let is_ours = |secret: &KnownSecret| secret.fingerprint.0.starts_with(&name);
        known.secrets.retain(|_, secret| is_ours(secret));
        for held in known.held.values_mut() {
            held.retain(is_ours);
        }
        known
    }

    /// Returns what is remembered of a target's ledger alone; nothing where that cannot be read.
    pub fn ledger(&self, id: &TargetId) -> KnownDocuments {
        #[derive(Deserialize)]
        struct Only {
            ledger: KnownDocuments,
        }
        let known = self.read(&format!("{id}.json")).and_then(|text| serde_json::from_str::<Only>(&text).ok());
        known.map(|known| known.ledger).unwrap_or_default()
    }

    /// Tells one state of what is remembered of a target from another, without reading it; `None` where nothing is.
    pub fn state_of(&self, id: &TargetId) -> Option<MemoryState> {
        let found = std::fs::metadata(self.dir.as_ref()?.join(format!("{id}.json"))).ok()?;
        // It is always written anew, under another inode or at another time.
        Some(MemoryState((found.ino(), found.ctime(), found.ctime_nsec())))
    }

    /// Remembers a target.
    pub fn remember_target(&self, id: &TargetId, memory: &TargetMemory) {
        match serde_json::to_string(memory) {
            // An unchanged target is the usual case, and writing it down again would wear the disk for nothing.
            Ok(text) if self.read(&format!("{id}.json")).as_ref() == Some(&text) => {}
            Ok(text) => self.write(&format!("{id}.json"), &text),
            Err(error) => tracing::warn!(%error, "what is known of a target cannot be written down"),
        }
        if let Some(at) = memory.last_pass {
            self.write(&format!("{id}.pass"), &format!("{at}\n"));
        }
    }

    /// Returns the digests that this host's file had when it was last the newest, and each time since that it was about
    /// to be.
    pub fn newest_files(&self) -> Vec<FileDigest> {
        let text = self.read("file").unwrap_or_default();
        text.lines().filter(|line| !line.is_empty()).map(|line| FileDigest(line.to_owned())).collect()
    }

    /// Remembers that this host's file is the newest.
    pub fn remember_newest_file(&self, digest: &FileDigest) {
        self.write_newest(std::slice::from_ref(digest));
    }

    /// Remembers that this host's file is about to be the newest: a run that dies half-way must not make the next file
    /// look like an old one.
    pub fn remember_attempt(&self, digest: &FileDigest) {
        let mut files = self.newest_files();
        if !files.contains(digest) {
            files.push(digest.clone());
        }
        // The oldest goes; runs that die one after the other, each with another file, are few.
        let from = files.len().saturating_sub(FILES_REMEMBERED);
        self.write_newest(&files[from..]);
    }

    fn write_newest(&self, files: &[FileDigest]) {
        if self.newest_files() != files {
            let lines: String = files.iter().map(|digest| format!("{}\n", digest.0)).collect();
            self.write("file", &lines);
        }
    }

    fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.dir.as_ref()?.join(name)).ok()
    }

    fn write(&self, name: &str, text: &str) {
        let Some(dir) = &self.dir else { return };
        let written = replace_file(&dir.join(name), text.as_bytes());
        // A disk that is full stays so for many passes, and is said once.
        let was_unwritten = self.unwritten.swap(written.is_err(), Ordering::Relaxed);
        match written {
            Err(error) if !was_unwritten => tracing::warn!(
                %error,
                dir = %dir.display(),
                "the state directory cannot be written to any more; going on, at the price of more requests"
            ),
            Ok(()) if was_unwritten => {
                tracing::warn!(dir = %dir.display(), "the state directory can be written to again");
            }
            _ => {}
        }
    }
}

fn load_key(dir: &Path) -> io::Result<[u8; 32]> {
    let path = dir.join("host.key");
    match std::fs::read(&path) {
        Ok(bytes) if bytes.len() == 32 => Ok(bytes.try_into().expect("32 bytes")),
        Ok(_) => new_key(&path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => new_key(&path),
        Err(error) => Err(error),
    }
}

fn new_key(path: &Path) -> io::Result<[u8; 32]> {
    let key: [u8; 32] = rand::rng().random();
    replace_file(path, &key)?;
    Ok(key)
}

/// Writes a file so that a crash leaves the old or the new one, readable by its owner alone.
fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().expect("a file in the state directory");
    let mut options = std::fs::OpenOptions::new();
    options.mode(0o600);
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .make_in(dir, |path| options.write(true).create_new(true).open(path))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Describes this process, so that others can tell whether it is gone.
pub fn runner() -> Runner {
    let pid = std::process::id();
    Runner {
        host: whoami::hostname().unwrap_or_else(|_| "unknown".to_owned()),
        boot: proc_text("/proc/sys/kernel/random/boot_id"),
        pid_namespace: namespace_of("self"),
        pid,
        started: started(&proc_text("/proc/self/stat")).unwrap_or(0),
    }
}

/// Tells whether a process is known to be gone: it ran under this boot and in this pid namespace, and nothing with its
/// pid and start time is there. Anything else is not known.
pub fn is_gone(runner: &Runner) -> bool {
    let boot = proc_text("/proc/sys/kernel/random/boot_id");
    if boot.is_empty() || boot != runner.boot || namespace_of("self") != runner.pid_namespace {
        return false;
    }
    if runner.started == 0 {
        return false;
    }
    match std::fs::read_to_string(format!("/proc/{}/stat", runner.pid)) {
        Ok(stat) => started(&stat) != Some(runner.started),
        // Under hidepid another user's process looks the same as none; the kernel tells them apart.
        Err(error) => error.kind() == io::ErrorKind::NotFound && !exists(runner.pid),
    }
}

/// Tells whether there is a process of this number, whoever it belongs to.
fn exists(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else { return true };
    rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

fn proc_text(path: &str) -> String {
    std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn namespace_of(process: &str) -> String {
    let link = std::fs::read_link(format!("/proc/{process}/ns/pid"));
    link.map(|target| target.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Returns when a process started, in clock ticks since boot: field 22 of its `/proc/<pid>/stat` (proc(5)).
///
/// A zombie is gone: it does nothing any more.
fn started(stat: &str) -> Option<u64> {
    // The second field is the name in parentheses and may itself hold spaces and parentheses.
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner::parse("a").expect("valid")
    }

    #[test]
    fn fingerprints_are_good_on_one_host_only() {
        let dir = tempfile::tempdir().expect("a folder");
        let secret = Secret::new("s3cret".into());
        let first = HostMemory::open(dir.path(), &owner());
        let printed = format!("{first:?}");
        let key = hex::encode(first.key);
        assert!(!printed.contains(&format!("{:?}", first.key)) && !printed.contains(&key), "{printed}");
        let again = HostMemory::open(dir.path(), &owner());
        assert_eq!(first.fingerprint(&secret), again.fingerprint(&secret));
        assert_ne!(first.fingerprint(&secret), first.fingerprint(&Secret::new("other".into())));
        assert_ne!(first.fingerprint(&secret), HostMemory::forgetful().fingerprint(&secret));
    }

    /// A host that lost its key alone reads its secrets again: none of them is taken for another one and put once more.
    #[test]
    fn a_lost_key_takes_what_it_made_with_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let memory = HostMemory::open(dir.path(), &owner());
        let id = TargetId::of(&repin_provider::Place::parse("p").expect("valid"));
        let fingerprint = memory.fingerprint(&Secret::new("s3cret".into()));
        let secret = KnownSecret { version: Version::new("1", None), fingerprint };
        let mut known = TargetMemory::default();
        let key = Key::parse("k").expect("valid");
        known.secrets.insert(key.clone(), secret.clone());
        known.held.insert(key.clone(), vec![secret]);
        memory.remember_target(&id, &known);
        assert_eq!(HostMemory::open(dir.path(), &owner()).target(&id), known);
        std::fs::write(dir.path().join("a").join("host.key"), "cut off").expect("written");
        let later = HostMemory::open(dir.path(), &owner()).target(&id);
        assert!(later.secrets.is_empty() && later.held[&key].is_empty(), "{later:?}");
    }

    #[test]
    fn files_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a folder");
        let memory = HostMemory::open(dir.path(), &owner());
        memory.remember_newest_file(&FileDigest("abc".into()));
        assert_eq!(memory.newest_files(), [FileDigest("abc".into())]);
        for attempt in ["d", "e"] {
            memory.remember_attempt(&FileDigest(attempt.into()));
        }
        let digests = |text: &[&str]| text.iter().map(|d| FileDigest((*d).into())).collect::<Vec<_>>();
        assert_eq!(memory.newest_files(), digests(&["abc", "d", "e"]));
        memory.remember_newest_file(&FileDigest("e".into()));
        assert_eq!(memory.newest_files(), digests(&["e"]));
        let folder = dir.path().join("a");
        assert_eq!(folder.metadata().expect("there").permissions().mode() & 0o777, 0o700);
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let mode = entry.expect("an entry").metadata().expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_pass_that_changes_nothing_writes_down_only_its_time() {
        let dir = tempfile::tempdir().expect("a folder");
        let memory = HostMemory::open(dir.path(), &owner());
        let id = TargetId::of(&repin_provider::Place::parse("p").expect("valid"));
        let at = |second| Timestamp::from_second(second).expect("a time");
        let ledger = serde_json::from_str(r#"{"whole":true,"documents":{}}"#).expect("readable");
        let mut known = TargetMemory { ledger, last_pass: Some(at(1)), ..TargetMemory::default() };
        let file = dir.path().join("a").join(format!("{id}.json"));
        let inode = || file.metadata().expect("there").ino();
        memory.remember_target(&id, &known);
        let (before, state) = (inode(), memory.state_of(&id));
        assert!(state.is_some());
        known.last_pass = Some(at(2));
        memory.remember_target(&id, &known);
        assert_eq!(memory.state_of(&id), state);
        assert_eq!(inode(), before, "the file is the one that was written first");
        assert_eq!(memory.target(&id), known);
        assert_eq!(memory.ledger(&id), known.ledger);
        known.resume = Some(Resume(serde_json::json!("etag")));
        memory.remember_target(&id, &known);
        assert_ne!(memory.state_of(&id), state);
        assert_eq!(memory.target(&id), known);
    }

    #[test]
    fn a_damaged_memory_is_no_memory() {
        let dir = tempfile::tempdir().expect("a folder");
        let memory = HostMemory::open(dir.path(), &owner());
        let place = repin_provider::Place::parse("p").expect("valid");
        let id = TargetId::of(&place);
        std::fs::write(dir.path().join("a").join(format!("{id}.json")), "{\"ledger\":").expect("written");
        assert_eq!(memory.target(&id), TargetMemory::default());
    }

    #[test]
    fn this_process_is_not_gone_and_an_ended_one_is() {
        let own = runner();
        assert!(!is_gone(&own));
        let mut child = std::process::Command::new("true").spawn().expect("true runs");
        let ended = Runner { pid: child.id(), started: 1, ..own.clone() };
        child.wait().expect("ended");
        assert!(is_gone(&ended));
        assert!(!is_gone(&Runner { boot: "another".into(), ..ended }), "another machine's is not known");
    }
}
