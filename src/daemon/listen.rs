//! Where `--listen` takes connections: a TCP address or a Unix socket, and who may speak over the former.

use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener, UnixStream};

/// The longest path of a Unix socket, in bytes (unix(7): `sun_path` has 108, the last one a NUL).
const MAX_PATH: usize = 107;
/// How long one who has a socket may take to be noticed.
const IS_THERE: Duration = Duration::from_secs(1);

/// An address to answer on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An IP address and a port; port 0 takes a free one.
    Tcp(SocketAddr),
    /// The absolute path of a Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// Tells whether only this host can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix("unix:").or_else(|| text.starts_with('/').then_some(text));
        let Some(path) = path else {
            return text.parse().map(Self::Tcp).map_err(|_| {
                format!("{text:?} is no address; write 127.0.0.1:9187, [::1]:9187 or unix:/run/repin/http.sock")
            });
        };
        let path = PathBuf::from(path);
        if !path.is_absolute() {
            return Err(format!("{} does not begin with /: a socket has an absolute path", path.display()));
        }
        let length = path.as_os_str().as_bytes().len();
        if length > MAX_PATH {
            return Err(format!("the path of a socket has at most {MAX_PATH} bytes, and this one has {length}"));
        }
        Ok(Self::Unix(path))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// An address that was taken. The file of a Unix socket goes when this is dropped.
#[derive(Debug)]
pub struct Listener {
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener, Unlink),
}

/// Removes a file when dropped.
#[derive(Debug)]
pub(super) struct Unlink(PathBuf);

impl Drop for Unlink {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Takes an address. A Unix socket is for its owner and their group (0660); one that nobody answers on any more is
    /// replaced.
    ///
    /// # Errors
    /// Fails where somebody else has it, or nobody can have it.
    pub async fn bind(address: &Address) -> io::Result<Self> {
        let kind = match address {
            Address::Tcp(address) => Kind::Tcp(TcpListener::bind(address).await?),
            Address::Unix(path) => Kind::Unix(bind_unix(path).await?, Unlink(path.clone())),
        };
        Ok(Self { kind })
    }

    /// Returns where it answers: the port as well where a free one was asked for.
    ///
    /// # Errors
    /// Fails where the system does not say.
    pub fn address(&self) -> io::Result<Address> {
        match &self.kind {
            Kind::Tcp(listener) => listener.local_addr().map(Address::Tcp),
            Kind::Unix(_, file) => Ok(Address::Unix(file.0.clone())),
        }
    }
}

async fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    if let Ok(found) = fs::symlink_metadata(path) {
        if !found.file_type().is_socket() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket is there"));
        }
        // Only one that nobody listens on refuses; whatever else happens, somebody may have it.
        let answer = tokio::time::timeout(IS_THERE, UnixStream::connect(path)).await;
        if !matches!(answer, Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused) {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process answers there"));
        }
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Tells whether a `Host` names this host by an address or as `localhost`.
///
/// A page in a browser on this host can have its own name lead to loopback and then read what is answered there (DNS
/// rebinding); the browser says that name, and cannot say an address instead.
pub(super) fn is_local_host(host: &str) -> bool {
    if host.parse::<SocketAddr>().is_ok() {
        return true;
    }
    let (name, port) = match host.rsplit_once(':') {
        // A colon inside brackets belongs to the address.
        Some((name, port)) if !port.ends_with(']') => (name, port),
        _ => (host, ""),
    };
    let is_address = || match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(inner) => inner.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()),
        None => name.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4()),
    };
    port.bytes().all(|byte| byte.is_ascii_digit()) && (name.eq_ignore_ascii_case("localhost") || is_address())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        let unix = |path: &str| Ok(Address::Unix(path.into()));
        assert_eq!("127.0.0.1:9187".parse(), Ok(Address::Tcp(([127, 0, 0, 1], 9187).into())));
        assert_eq!("unix:/run/repin/http.sock".parse::<Address>(), unix("/run/repin/http.sock"));
        assert_eq!("/run/repin/http.sock".parse::<Address>(), unix("/run/repin/http.sock"));
        for wrong in ["", "9187", "localhost:9187", "unix:http.sock", "unix:", "127.0.0.1", ":9187"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
        assert!(format!("/{}", "x".repeat(106)).parse::<Address>().is_ok());
        let long = format!("/{}", "x".repeat(107)).parse::<Address>();
        assert_eq!(long, Err("the path of a socket has at most 107 bytes, and this one has 108".to_owned()));
    }

    #[test]
    fn only_this_host_is_local() {
        for (address, is_local) in
            [("127.0.0.1:1", true), ("[::1]:1", true), ("/s", true), ("0.0.0.0:1", false), ("10.0.0.7:1", false)]
        {
            assert_eq!(address.parse::<Address>().map(|address| address.is_local()), Ok(is_local), "{address}");
        }
    }

    #[test]
    fn names_of_other_hosts_are_not_ours() {
        for ours in ["localhost", "LOCALHOST:9187", "127.0.0.1", "127.0.0.1:9187", "[::1]", "[::1]:9187", "10.1.2.3:80"]
        {
            assert!(is_local_host(ours), "{ours}");
        }
        for other in [
            "",
            "evil.example",
            "evil.example:9187",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "::1",
            "localhost:x",
            "[evil]",
            "127.0.0.1:80:90",
            "evil.example@127.0.0.1",
        ] {
            assert!(!is_local_host(other), "{other}");
        }
    }

    #[tokio::test]
    async fn a_live_socket_is_left_and_a_dead_one_replaced() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("http.sock");
        let address = Address::Unix(path.clone());
        let first = Listener::bind(&address).await.expect("free");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o660);
        let error = Listener::bind(&address).await.expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert!(!path.exists());
        // What a process that was killed leaves.
        drop(std::os::unix::net::UnixListener::bind(&path).expect("bound"));
        assert!(path.exists());
        drop(Listener::bind(&address).await.expect("replaced"));
        fs::write(&path, "somebody's").expect("written");
        let error = Listener::bind(&address).await.expect_err("not ours to remove");
        assert_eq!((error.kind(), fs::read(&path).ok()), (io::ErrorKind::AlreadyExists, Some(b"somebody's".to_vec())));
    }
}
