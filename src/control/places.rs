//! Where the sockets of daemons are: `<folder>/<name>/daemon.sock`.
//!
//! ```text
//! listens in   $RUNTIME_DIRECTORY (systemd), else $XDG_RUNTIME_DIR/repin, else the state directory
//! looked for   in the state directory, then in these, then in /run/repin and /run/repin-* (instances of a service)
//! ```
//! With `--emulate` only the state directory counts: such a daemon speaks to no real store.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use repin_provider::Owner;

/// What the socket is called in the folder of its name.
pub const SOCKET: &str = "daemon.sock";
/// Where services have their runtime directories.
const RUN: &str = "/run";
/// The longest path of a socket in bytes (unix(7): `sun_path` has 108, the last one a NUL).
const MAX_PATH: usize = 107;

/// What the environment says about places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    state_dir: PathBuf,
    runtime: Vec<PathBuf>,
    services: Option<PathBuf>,
}

/// A socket that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The name that its daemon works for.
    pub name: Owner,
    /// The socket.
    pub path: PathBuf,
}

impl Places {
    /// Reads the environment.
    pub fn new(state_dir: PathBuf, emulated: bool) -> Self {
        Self::from(state_dir, emulated, |name| std::env::var_os(name))
    }

    fn from(state_dir: PathBuf, emulated: bool, env: impl Fn(&str) -> Option<OsString>) -> Self {
        if emulated {
            return Self { state_dir, runtime: Vec::new(), services: None };
        }
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        // systemd may name several, colon-separated; the first is ours.
        let systemd = set("RUNTIME_DIRECTORY").and_then(|dirs| std::env::split_paths(&dirs).next());
        let user = set("XDG_RUNTIME_DIR").map(|dir| PathBuf::from(dir).join("repin"));
        let runtime = systemd.into_iter().chain(user).filter(|dir| dir.is_absolute()).collect();
        Self { state_dir, runtime, services: Some(PathBuf::from(RUN)) }
    }

    /// Lists where a daemon listens, the first that can be had.
    pub fn to_listen(&self, name: &Owner) -> Vec<PathBuf> {
        let folders = self.runtime.first().into_iter().chain([&self.state_dir]);
        folders.map(|folder| socket(folder, name)).collect()
    }

    /// Lists where a daemon for a name may listen, whether or not anything is there.
    pub fn of(&self, name: &Owner) -> Vec<PathBuf> {
        let sockets = self.folders().map(|folder| socket(&folder, name));
        sockets.filter(|path| check_length(path).is_ok()).collect()
    }

    /// Tells whether there may be any socket at all.
    pub fn may_have_any(&self) -> bool {
        let is_barred =
            |folder: &PathBuf| fs::read_dir(folder).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
        !self.all().is_empty() || self.folders().any(|folder| is_barred(&folder))
    }

    /// Lists the sockets that are there, each once. Folders that may not be looked into are left out.
    pub fn all(&self) -> Vec<Found> {
        let mut found: Vec<Found> = Vec::new();
        for folder in self.folders() {
            let names = list(&folder).into_iter().filter_map(|name| Owner::parse(name.to_str()?).ok());
            for name in names {
                let path = socket(&folder, &name);
                let is_known = found.iter().any(|known| known.path == path);
                if !is_known && check_length(&path).is_ok() && path.exists() {
                    found.push(Found { name, path });
                }
            }
        }
        found
    }

    fn folders(&self) -> impl Iterator<Item = PathBuf> {
        let services = self.services.iter().flat_map(|run| {
            let instances = list(run).into_iter().filter(|name| name.as_bytes().starts_with(b"repin-"));
            let instances: Vec<_> = instances.map(|name| run.join(name)).collect();
            std::iter::once(run.join("repin")).chain(instances)
        });
        std::iter::once(self.state_dir.clone()).chain(self.runtime.clone()).chain(services)
    }
}

/// Fails where a path is too long for a socket.
///
/// # Errors
/// Says how long it is and may be.
pub fn check_length(path: &Path) -> io::Result<()> {
    let length = path.as_os_str().as_bytes().len();
    if length <= MAX_PATH {
        return Ok(());
    }
    let message = format!("the path of a socket has at most {MAX_PATH} bytes, and this one has {length}");
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

fn socket(folder: &Path, name: &Owner) -> PathBuf {
    folder.join(name.as_str()).join(SOCKET)
}

/// Lists the names in a folder, in order; none where it may not be looked into.
fn list(folder: &Path) -> Vec<OsString> {
    let mut names: Vec<_> =
        fs::read_dir(folder).map(|entries| entries.flatten().map(|e| e.file_name()).collect()).unwrap_or_default();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Owner {
        Owner::parse("a").expect("valid")
    }

    fn places(env: &[(&str, &str)]) -> Places {
        let value = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
        Places::from("/state".into(), false, value)
    }

    fn paths(list: &[&str]) -> Vec<PathBuf> {
        list.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn a_daemon_listens_where_it_is_told_to() {
        let beside = "/state/a/daemon.sock";
        assert_eq!(places(&[]).to_listen(&name()), paths(&[beside]));
        let user = ("XDG_RUNTIME_DIR", "/run/user/7");
        assert_eq!(places(&[user]).to_listen(&name()), paths(&["/run/user/7/repin/a/daemon.sock", beside]));
        let both = places(&[("RUNTIME_DIRECTORY", "/run/repin:/run/other"), user]);
        assert_eq!(both.to_listen(&name()), paths(&["/run/repin/a/daemon.sock", beside]));
        let odd = places(&[("RUNTIME_DIRECTORY", "repin"), ("XDG_RUNTIME_DIR", "")]);
        assert_eq!(odd.to_listen(&name()), paths(&[beside]));
    }

    #[test]
    fn an_emulated_one_is_found_only_beside_its_state() {
        let places = Places::from("/state".into(), true, |_| Some("/run/user/7".into()));
        assert_eq!(places.of(&name()), paths(&["/state/a/daemon.sock"]));
        assert_eq!(places.to_listen(&name()), paths(&["/state/a/daemon.sock"]));
    }

    #[test]
    fn sockets_of_services_are_found() {
        let dir = tempfile::tempdir().expect("a folder");
        let put = |path: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("inside")).expect("made");
            fs::write(&path, "").expect("written");
            path
        };
        let (one, two) = (put("repin/a/daemon.sock"), put("repin-b/b/daemon.sock"));
        put("other/a/daemon.sock");
        put("repin/a-file");
        let places =
            Places { state_dir: dir.path().join("none"), runtime: vec![], services: Some(dir.path().to_owned()) };
        let found: Vec<_> = places.all().into_iter().map(|found| found.path).collect();
        assert_eq!(found, [one.clone(), two]);
        assert!(places.of(&name()).contains(&one));
    }

    #[test]
    fn a_path_that_is_too_long_is_said_to_be() {
        assert!(check_length(Path::new(&"x".repeat(107))).is_ok());
        let error = check_length(Path::new(&"x".repeat(108))).expect_err("too long");
        assert_eq!(error.to_string(), "the path of a socket has at most 107 bytes, and this one has 108");
    }
}
