//! A folder of this host that nobody else may read or change.
//!
//! What is in it tells no secret, but a keyed hash of each beside the key, and what the next pass believes. The folder
//! that it lies in may be anybody's, as an `emptyDir` volume is root's and open to all: what somebody else put in its
//! place is not used.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// What others may have of the folder: the group may pass through it, for the socket that can be in it.
const FOLDER: u32 = 0o7750;
/// What others may have of a file in it: nothing.
const FILE: u32 = 0o600;
/// Stays whoever made it: somebody may have it locked.
pub const LOCK: &str = "daemon.lock";

/// Makes a folder where there is none, and sees to it that it and the files in it are this user's alone. What was open
/// to others is closed, and said.
///
/// # Errors
/// Fails where the folder belongs to somebody else, or cannot be closed to others.
pub fn claim(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let user = rustix::process::geteuid().as_raw();
    let is_ours = |found: &Metadata| user == 0 || found.uid() == user;
    // A link may be root's, as the one that systemd makes to the folder of a dynamic user.
    let link = fs::symlink_metadata(dir)?;
    if !is_ours(&link) && link.uid() != 0 {
        return Err(refused("it is a link that another user made"));
    }
    let folder = fs::metadata(dir)?;
    if !is_ours(&folder) {
        return Err(refused(&format!("it belongs to another user (uid {})", folder.uid())));
    }
    let mut closed = close(dir, &folder, FOLDER)?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let Some(found) = there(fs::symlink_metadata(entry.path()))? else { continue };
        if !is_ours(&found) && entry.file_name() != LOCK {
            // Of no use to us, and maybe made to mislead us: what is remembered can be found out again.
            if !found.is_dir() {
                there(fs::remove_file(entry.path()))?;
                closed = true;
            }
        } else if found.is_file() && is_ours(&found) {
            closed |= close(&entry.path(), &found, FILE)?;
        }
    }
    if closed {
        tracing::warn!(dir = %dir.display(), "the state directory was open to other users, and no longer is");
    }
    Ok(())
}

/// Takes from others what they may not have. Tells whether there was anything to take.
fn close(path: &Path, found: &Metadata, most: u32) -> io::Result<bool> {
    let mode = found.permissions().mode() & 0o7777;
    // The owner's own rights are none of our business.
    let left = mode & (most | 0o700);
    if left == mode {
        return Ok(false);
    }
    let changed = match there(fs::set_permissions(path, Permissions::from_mode(left))) {
        Ok(None) => return Ok(false),
        Ok(Some(())) => there(fs::metadata(path))?.map_or(left, |now| now.permissions().mode() & 0o7777),
        Err(error) => return Err(error),
    };
    if changed & !left == 0 {
        return Ok(true);
    }
    // As on file systems that know no owners.
    Err(refused(&format!("others may use it (mode {mode:o}), and its file system does not let that be changed")))
}

/// Takes what is gone for nothing: another process of ours may be at work here.
fn there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).expect("there").permissions().mode() & 0o7777
    }

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
    }

    #[test]
    fn what_is_open_is_closed_and_stays_closed() {
        let parent = tempfile::tempdir().expect("a folder");
        set(parent.path(), 0o777);
        let dir = parent.path().join("state/a");
        claim(&dir).expect("made");
        assert_eq!((mode(&dir), mode(dir.parent().expect("inside"))), (0o700, 0o700));
        // As a volume with an fsGroup is each time it is mounted.
        fs::write(dir.join("host.key"), "k").expect("written");
        let socket = dir.join("daemon.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
        set(&socket, 0o660);
        set(&dir.join("host.key"), 0o664);
        set(&dir, 0o2777);
        claim(&dir).expect("closed");
        assert_eq!((mode(&dir), mode(&dir.join("host.key"))), (0o2750, 0o600));
        assert_eq!(mode(&socket), 0o660, "the group is let in to the socket");
        claim(&dir).expect("as it was");
        set(&dir, 0o750);
        claim(&dir).expect("the group may pass");
        assert_eq!(mode(&dir), 0o750);
    }

    #[test]
    fn a_file_in_its_place_is_an_error() {
        let parent = tempfile::tempdir().expect("a folder");
        let dir = parent.path().join("a");
        fs::write(&dir, "x").expect("written");
        assert!(claim(&dir).is_err());
    }

    /// Runs as another user where it may; only root can have files of two users.
    #[test]
    fn what_belongs_to_others_is_not_used() {
        let parent = tempfile::tempdir().expect("a folder");
        let dir = parent.path().join("a");
        claim(&dir).expect("made");
        if chown(&dir, Some(4_000_001), None).is_err() {
            let home = fs::metadata("/").expect("a root").uid();
            assert_ne!(home, rustix::process::geteuid().as_raw());
            let error = claim(Path::new("/")).expect_err("root's");
            assert!(error.to_string().starts_with("it belongs to another user"), "{error}");
            return;
        }
        // What root finds is right, whoever it belongs to: an operator with sudo beside a service.
        claim(&dir).expect("root may");
        symlink(&dir, parent.path().join("link")).expect("linked");
        claim(&parent.path().join("link")).expect("through a link");
    }
}
