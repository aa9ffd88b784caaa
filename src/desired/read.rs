//! All reading of files that the desired state does.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use repin_provider::Secret;
use rustix::fs::OFlags;
use secrecy::zeroize::{Zeroize as _, Zeroizing};

use super::pattern::Pattern;

/// The largest configuration file in bytes: ten times what a hundred thousand entries, which no store holds more of, need
/// to be named.
const MAX_FILE: u64 = 16 << 20;
/// The largest file that a value is read from, in bytes. No store holds a hundredth of it.
const MAX_VALUE: u64 = 1 << 20;
/// How often a file is read that changes meanwhile.
const READS: usize = 5;
/// The most files and folders that one pattern looks at.
const MAX_VISITED: usize = 100_000;
/// The deepest folder that a pattern looks into.
const MAX_DEPTH: usize = 64;

/// Reads a configuration file.
///
/// # Errors
/// Says what is wrong, fit to stand after the file's name.
pub(super) fn read_file(path: &Path) -> Result<String, String> {
    let bytes = read_bounded(path, MAX_FILE)?;
    let text = String::from_utf8(bytes).map_err(|_| "not UTF-8 text".to_owned())?;
    // A byte order mark says nothing in UTF-8 and confuses columns.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// Reads a small text that stands in a file of its own: a connection string, a saved plan.
///
/// # Errors
/// Says what is wrong, fit to stand after the file's name.
pub(crate) fn read_text(path: &Path, max: u64) -> Result<String, String> {
    let bytes = Zeroizing::new(read_bounded(path, max)?);
    std::str::from_utf8(&bytes).map(str::to_owned).map_err(|_| "it is not UTF-8 text".to_owned())
}

/// Reads a file whole, or not at all.
fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>, String> {
    for _ in 0..READS {
        let file = open_regular(path)?;
        let before = state(&file)?;
        if before.0 > max {
            return Err(format!("it has more than {max} bytes"));
        }
        let mut bytes = read_open(&file, before.0, max)?;
        // A file that is cut off and written anew reads as a valid one without half of its entries.
        if state(&file)? == before {
            return Ok(bytes);
        }
        bytes.zeroize();
    }
    Err("it changes while it is read".to_owned())
}

/// Opens a regular file, and nothing that could keep the reader waiting or do something on its own: a pipe waits for a
/// writer, and some devices act on being opened.
///
/// # Errors
/// Says what is wrong, fit to stand after the file's name.
fn open_regular(path: &Path) -> Result<File, String> {
    check_regular(&fs::metadata(path).map_err(|error| plain(&error))?)?;
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|error| plain(&error))?;
    // Another one may have its name by now.
    check_regular(&file.metadata().map_err(|error| plain(&error))?)?;
    Ok(file)
}

fn check_regular(metadata: &Metadata) -> Result<(), String> {
    match metadata {
        folder if folder.is_dir() => Err("it is a folder".to_owned()),
        file if file.is_file() => Ok(()),
        _ => Err("it is no regular file; pipes, sockets and devices are not read".to_owned()),
    }
}

/// Returns what tells one state of a file from another: its size, and when its content and its inode changed.
fn state(file: &File) -> Result<(u64, [i64; 4]), String> {
    let at = file.metadata().map_err(|error| plain(&error))?;
    Ok((at.len(), [at.mtime(), at.mtime_nsec(), at.ctime(), at.ctime_nsec()]))
}

fn read_open(file: &File, size: u64, max: u64) -> Result<Vec<u8>, String> {
    // One more than there is, so that reading to the end finds the end, and does not move what it read.
    let mut bytes = Vec::with_capacity(usize::try_from(size.min(max) + 1).unwrap_or_default());
    let mut file = file.take(max + 1);
    loop {
        let room = bytes.capacity();
        match file.by_ref().take((room - bytes.len()) as u64).read_to_end(&mut bytes) {
            Ok(_) if bytes.len() < room => return Ok(bytes),
            Ok(_) => grow(&mut bytes),
            Err(error) => {
                bytes.zeroize();
                return Err(plain(&error));
            }
        }
    }
}

/// Makes room in another place and leaves nothing in the old one: a file may grow while it is read.
fn grow(bytes: &mut Vec<u8>) {
    let mut larger = Vec::with_capacity(bytes.capacity() * 2 + 64);
    larger.extend_from_slice(bytes);
    bytes.zeroize();
    *bytes = larger;
}

fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "reading it is not permitted".to_owned(),
        _ => error.to_string(),
    }
}

/// Reads the files that values come from, each once, so that one pass sees one content of it.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// Kept as secrets, since any may be one.
    read: HashMap<PathBuf, Result<Rc<Secret>, String>>,
    folders: BTreeSet<PathBuf>,
}

impl Values {
    /// Returns the text of a file.
    ///
    /// # Errors
    /// Says what is wrong, fit to stand after the file's name.
    pub(super) fn file(&mut self, path: &Path) -> Result<Rc<Secret>, String> {
        if let Some(known) = self.read.get(path) {
            return known.clone();
        }
        let read = read_bounded(path, MAX_VALUE).and_then(|bytes| {
            // Any of them may be a secret.
            let bytes = Zeroizing::new(bytes);
            let text = std::str::from_utf8(&bytes).map_err(|_| "it is not UTF-8 text".to_owned())?;
            Ok(Rc::new(Secret::of(text)))
        });
        self.read.insert(path.to_owned(), read.clone());
        read
    }

    /// Returns each file below `base` that a pattern matches, with what the `*` of the key stands for, in order.
    ///
    /// # Errors
    /// Says what is wrong; a folder that cannot be read is never taken for an empty one.
    pub(super) fn files(&mut self, base: &Path, pattern: &Pattern) -> Result<Vec<(String, PathBuf)>, String> {
        let mut walk = Walk { base, pattern, found: Vec::new(), visited: 0, within: Vec::new() };
        let start = pattern.folder();
        self.folders.insert(base.join(&start));
        walk.folder(&start)?;
        walk.found.sort();
        Ok(walk.found)
    }

    /// Returns every path that was looked at: files, and the folders in which patterns look.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.read.keys().chain(&self.folders).map(PathBuf::as_path)
    }
}

struct Walk<'a> {
    base: &'a Path,
    pattern: &'a Pattern,
    found: Vec<(String, PathBuf)>,
    visited: usize,
    /// The folders that we are inside of, by their real names: a link back to one of them ends the descent.
    within: Vec<PathBuf>,
}

impl Walk<'_> {
    fn folder(&mut self, relative: &Path) -> Result<(), String> {
        let path = self.base.join(relative);
        let path = if path.as_os_str().is_empty() { PathBuf::from(".") } else { path };
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => format!("there is no folder {}", path.display()),
            _ => format!("cannot read the folder {}: {error}", path.display()),
        };
        let real = fs::canonicalize(&path).map_err(failed)?;
        if self.within.contains(&real) {
            return Ok(());
        }
        if self.within.len() >= MAX_DEPTH {
            return Err(format!("folders nest deeper than {MAX_DEPTH} levels below {}", self.base.display()));
        }
        self.within.push(real);
        for entry in fs::read_dir(&path).map_err(failed)? {
            self.visit(relative, &entry.map_err(failed)?)?;
        }
        self.within.pop();
        Ok(())
    }

    fn visit(&mut self, folder: &Path, entry: &fs::DirEntry) -> Result<(), String> {
        self.visited += 1;
        if self.visited > MAX_VISITED {
            return Err(format!("more than {MAX_VISITED} files below {}", self.base.display()));
        }
        let name = entry.file_name();
        if self.pattern.skips(&name.to_string_lossy()) {
            return Ok(());
        }
        let relative = folder.join(&name);
        // Follows links: mounted volumes are made of them.
        let metadata = fs::metadata(entry.path());
        match metadata {
            Ok(metadata) if metadata.is_dir() => self.folder(&relative),
            _ => {
                if let Some(capture) = self.pattern.capture(&relative) {
                    self.found.push((capture.to_owned(), self.base.join(&relative)));
                }
                Ok(())
            }
        }
    }
}
