//! What every client of a store keeps to: how much it reads, whom it reaches without a proxy, whom it trusts.

use std::fs::File;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use crate::{Error, ErrorKind, Result};

/// The most bytes that are read of one answer. The longest that a store is known to give is a page of a hundred
/// key-values of 10 KB each, which escapes can make six times as long.
pub const MAX_ANSWER: usize = 16 << 20;

/// The largest file of authorities, in bytes: some ten times what systems trust.
const MAX_AUTHORITIES: u64 = 4 << 20;

/// Tells whether a host, as it stands in a URL, is this machine.
pub fn is_loopback(host: &str) -> bool {
    match address(host) {
        Some(address) => address.is_loopback(),
        None => {
            let name = host.trim_end_matches('.').to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

/// Tells whether a host, as it stands in a URL, is this machine or what a cloud has beside it to give it credentials:
/// no proxy leads there, and there is no TLS to speak with it.
///
/// These are link-local: 169.254.169.254 (EC2, Azure), 169.254.170.2 (ECS), 169.254.170.23 (EKS); and fd00:ec2::/32,
/// which Amazon has for the same over IPv6.
pub fn is_local(host: &str) -> bool {
    is_loopback(host)
        || match address(host) {
            Some(IpAddr::V4(address)) => Ipv4Addr::is_link_local(&address),
            Some(IpAddr::V6(address)) => {
                Ipv6Addr::is_unicast_link_local(&address) || address.segments()[..2] == [0xfd00, 0x0ec2]
            }
            None => false,
        }
}

fn address(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let address: IpAddr = bare.parse().ok()?;
    Some(address.to_canonical())
}

/// Reads the certificates of authorities, as PEM, that are to be trusted beside those of the system. Whether each can be
/// used is for the client to say.
///
/// # Errors
/// `Refused`, where the file cannot be read, is larger than 4 MB, or holds no certificate.
pub fn read_authorities(path: &Path) -> Result<Vec<u8>> {
    let refused = |why: String| {
        Error::new(ErrorKind::Refused, "connect", format!("the certificates in {}: {why}", path.display()))
            .with_hint("ca_bundle names a file with the certificates of authorities in PEM")
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| refused(error.to_string()))?;
    file.take(MAX_AUTHORITIES + 1).read_to_end(&mut bytes).map_err(|error| refused(error.to_string()))?;
    if bytes.len() as u64 > MAX_AUTHORITIES {
        return Err(refused(format!("the file has more than {MAX_AUTHORITIES} bytes")));
    }
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    if !bytes.windows(BEGIN.len()).any(|window| window == BEGIN) {
        return Err(refused("there is none".to_owned()));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_apart() {
        for loopback in ["127.0.0.1", "127.9.9.9", "localhost", "LOCALHOST", "a.localhost", "[::1]", "::ffff:127.0.0.1"]
        {
            assert!(is_loopback(loopback) && is_local(loopback), "{loopback}");
        }
        for beside in ["169.254.169.254", "169.254.170.2", "[fd00:ec2::254]", "[fd00:ec2::23]", "[fe80::1]"] {
            assert!(is_local(beside) && !is_loopback(beside), "{beside}");
        }
        for away in [
            "",
            "10.0.0.1",
            "0.0.0.0",
            "ssm.eu-west-1.amazonaws.com",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "[fd00:ec3::1]",
            "[2001:db8::1]",
            "169.255.1.1",
        ] {
            assert!(!is_local(away), "{away}");
        }
    }

    #[test]
    fn authorities_are_read_or_refused_in_one_sentence() {
        let path = std::env::temp_dir().join(format!("repin-authorities-{}", std::process::id()));
        std::fs::write(&path, "no certificate").expect("done");
        let error = read_authorities(&path).expect_err("refused");
        assert!(error.kind == ErrorKind::Refused && error.message.ends_with(": there is none"), "{error}");
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\n").expect("done");
        assert!(read_authorities(&path).is_ok());
        std::fs::remove_file(&path).expect("done");
        assert!(read_authorities(&path).expect_err("refused").message.contains("No such file"));
    }
}
