//! This host: the state directory, and whether a daemon works with it. Nothing stays behind.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use repin_provider::Owner;
use rustix::fs::{Access, access, statvfs};

use super::Sheet;
use crate::control::client::{self, Reached};
use crate::control::places::Places;
use crate::exit::Exit;

/// The room that a host's memory is never short of, in bytes.
const ROOM: u64 = 64 << 20;

/// What others may not do in it. The group may look for the socket.
const OTHERS: u32 = 0o027;

/// Looks at the state directory for a name.
pub fn state(sheet: &mut Sheet, dir: &Path, name: &Owner) {
    let own = dir.join(name.as_str());
    let (there, room) = match usable(&own) {
        Ok(found) => found,
        Err(error) => {
            let found = format!("{} cannot be written to: {error}", own.display());
            let mend = "Name one that this user may write to with --state-dir; in a unit StateDirectory=repin makes one, in \
                        a container an empty volume will do.";
            sheet.fail("state", Exit::Failed, found, mend);
            return;
        }
    };
    let shown = format!("{}{}", own.display(), if there == own { "" } else { " (made at the first pass)" });
    let mode = if there == own { fs::metadata(&own).map(|found| found.mode() & 0o777).unwrap_or_default() } else { 0 };
    if mode & OTHERS != 0 {
        let mend = format!("chmod 700 {}; the next pass does it too.", own.display());
        sheet.warn("state", format!("{shown}: others of this host may look into it (mode {mode:03o})"), &mend);
    } else if room < ROOM {
        let found = format!("{shown}: {} MB are free", room >> 20);
        sheet.warn("state", found, "Make room there, or name another with --state-dir.");
    } else {
        sheet.ok("state", format!("{shown}: can be written to, {} free", size(room)));
    }
}

/// Returns the folder itself, or the one it would be made in, and the bytes that are free there.
fn usable(own: &Path) -> io::Result<(PathBuf, u64)> {
    let there = own.ancestors().find(|path| path.symlink_metadata().is_ok() || path.as_os_str().is_empty());
    let there = there.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !fs::metadata(there)?.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, format!("{} is no folder", there.display())));
    }
    access(there, Access::WRITE_OK | Access::EXEC_OK)?;
    if there == own {
        let (owner, user) = (fs::metadata(own)?.uid(), rustix::process::geteuid());
        if !user.is_root() && owner != user.as_raw() {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("it belongs to another user (uid {owner})"),
            ));
        }
        // A full disk or a spent quota shows only by writing.
        let mut file = tempfile::Builder::new().prefix(".doctor-").tempfile_in(own)?;
        io::Write::write_all(&mut file, b"doctor\n")?;
        file.as_file().sync_data()?;
    }
    let stat = statvfs(there)?;
    Ok((there.to_owned(), stat.f_bavail.saturating_mul(stat.f_frsize)))
}

fn size(bytes: u64) -> String {
    match bytes >> 30 {
        0 => format!("{} MB", bytes >> 20),
        gigabytes => format!("{gigabytes} GB"),
    }
}

/// Looks for a daemon of this host for a name: by its socket, else by its lock.
pub async fn daemon(sheet: &mut Sheet, dir: &Path, places: &Places, name: &Owner) {
    let lock = dir.join(name.as_str()).join("daemon.lock");
    let pid = fs::read_to_string(&lock).ok().and_then(|text| text.trim().parse::<u32>().ok());
    let who = pid.filter(|pid| is_there(*pid)).map(|pid| format!(" (pid {pid})")).unwrap_or_default();
    for path in places.of(name) {
        match client::reach(&path).await {
            Reached::Daemon(_) => {
                let found = format!("one for {name} runs here{who}, and answers at {}", path.display());
                let mend = "That is well if it is the service. Another one with the same state directory does not start \
                            beside it: stop it first. It has its own credentials, and these findings are about those of \
                            this command.";
                sheet.warn("daemon", found, mend);
                return;
            }
            Reached::Forbidden => {
                let found = format!("one for {name} may listen at {}, and not to this user", path.display());
                sheet.warn("daemon", found, "Run this as its user, or as one of its group.");
                return;
            }
            Reached::Nobody => {}
        }
    }
    if pid.is_some_and(is_there) && is_locked(&lock) {
        let found = format!("one for {name}{who} works with {} and does not answer", lock.with_file_name("").display());
        sheet.warn("daemon", found, "Look at its log, and start it anew; until then only --direct works.");
        return;
    }
    sheet.ok("daemon", format!("none for {name} runs here"));
}

/// Tells whether somebody has the lock. Asked only where its process is there: a daemon that starts in this very moment
/// must not meet us.
fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn is_there(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Mark;

    fn looked(dir: &Path) -> super::super::Finding {
        let mut sheet = Sheet::new(None);
        state(&mut sheet, dir, &Owner::parse("a").expect("valid"));
        sheet.finish().remove(0)
    }

    #[test]
    fn a_folder_that_is_not_there_yet_can_be_made() {
        let dir = tempfile::tempdir().expect("a folder");
        let found = looked(&dir.path().join("deep/er"));
        assert_eq!(found.mark, Mark::Ok, "{found:?}");
        assert!(found.found.contains("made at the first pass"), "{found:?}");
        assert!(!dir.path().join("deep").exists(), "nothing was made");
    }

    #[test]
    fn what_is_no_folder_cannot_be_written_to() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("file"), "").expect("written");
        assert_eq!(looked(&dir.path().join("file")).mark, Mark::Fail(Exit::Failed));
        assert_eq!(looked(&dir.path().join("file/below")).mark, Mark::Fail(Exit::Failed));
    }

    #[test]
    fn nothing_is_left_and_others_may_not_look() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("a folder");
        let own = dir.path().join("a");
        fs::create_dir(&own).expect("made");
        fs::set_permissions(&own, fs::Permissions::from_mode(0o755)).expect("set");
        let found = looked(dir.path());
        assert_eq!((found.mark, found.found.contains("mode 755")), (Mark::Warn, true), "{found:?}");
        fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).expect("set");
        assert_eq!(looked(dir.path()).mark, Mark::Ok);
        assert_eq!(fs::read_dir(&own).expect("there").count(), 0);
    }
}
