//! Whether an endpoint can be reached: its name, a connection, TLS. Sends no request.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use repin_provider::network;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};
use url::{Host, Url};

/// How long a name may take to be found, a connection to be made, and TLS to be agreed on: each.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// In the clear.
    Plain,
    /// Over TLS that was verified; with the time at which the server's certificate ends, where it can be read.
    Tls(Option<Timestamp>),
    /// Requests go through the proxy that this variable of the environment names, which was not tried.
    Proxied(&'static str),
}

/// Why nothing was reached.
#[derive(Debug)]
pub enum Unreached {
    /// It is no URL with a host.
    Nowhere,
    /// The name leads to no address.
    Name(io::Error),
    /// No address takes a connection; with the last one tried.
    Connection(SocketAddr, io::Error),
    /// The server does not prove who it is, or does not speak TLS as it is spoken today.
    Tls(io::Error),
    /// This machine trusts nobody: it has no certificates of authorities.
    NoRoots,
}

/// What servers prove who they are by, as for every request: the roots of this machine, or those that SSL_CERT_FILE names,
/// and beside them a target's own.
#[derive(Clone)]
pub struct Trust(Option<Arc<ClientConfig>>);

impl Trust {
    /// Loads the roots, and beside them authorities as PEM. What cannot be read of these is for the clients to refuse.
    pub fn load(beside: &[u8]) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(beside).flatten());
        if roots.is_empty() {
            return Self(None);
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        Self(versions.ok().map(|builder| Arc::new(builder.with_root_certificates(roots).with_no_client_auth())))
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Trust").field(&self.0.is_some()).finish()
    }
}

/// Tries to reach an endpoint: a URL, or a host that speaks TLS.
///
/// # Errors
/// Says how far it got.
pub async fn reach(endpoint: &str, trust: &Trust) -> Result<Reached, Unreached> {
    let url = parse(endpoint).ok_or(Unreached::Nowhere)?;
    let host = url.host().ok_or(Unreached::Nowhere)?;
    if let Some(proxy) =
        proxy(&host, url.scheme() == "http", |name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    {
        return Ok(Reached::Proxied(proxy));
    }
    let port = url.port_or_known_default().ok_or(Unreached::Nowhere)?;
    let stream = connect(&host, port).await?;
    if url.scheme() == "http" {
        return Ok(Reached::Plain);
    }
    let name = url.host_str().map(|host| host.trim_matches(['[', ']']).to_owned()).unwrap_or_default();
    let name = ServerName::try_from(name).map_err(|_| Unreached::Nowhere)?;
    let config = trust.0.clone().ok_or(Unreached::NoRoots)?;
    let agreed = timeout(PATIENCE, TlsConnector::from(config).connect(name, stream)).await;
    let stream = agreed.unwrap_or_else(|_| Err(silence())).map_err(Unreached::Tls)?;
    let (_, session) = stream.get_ref();
    Ok(Reached::Tls(session.peer_certificates().and_then(|chain| chain.first()).and_then(ends)))
}

fn parse(endpoint: &str) -> Option<Url> {
    if endpoint.contains("://") { Url::parse(endpoint).ok() } else { Url::parse(&format!("https://{endpoint}")).ok() }
}

async fn connect(host: &Host<&str>, port: u16) -> Result<TcpStream, Unreached> {
    let addresses: Vec<SocketAddr> = match host {
        Host::Ipv4(address) => vec![(*address, port).into()],
        Host::Ipv6(address) => vec![(*address, port).into()],
        Host::Domain(name) => {
            let found = timeout(PATIENCE, lookup_host((*name, port))).await;
            found.unwrap_or_else(|_| Err(silence())).map_err(Unreached::Name)?.collect()
        }
    };
    let mut failed = Unreached::Name(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    for address in addresses {
        match timeout(PATIENCE, TcpStream::connect(address)).await.unwrap_or_else(|_| Err(silence())) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = Unreached::Connection(address, error),
        }
    }
    Err(failed)
}

fn silence() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", PATIENCE.as_secs()))
}

/// Returns when a certificate ends.
fn ends(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Timestamp::from_second(parsed.validity().not_after.timestamp()).ok()
}

/// Returns the variable that names the proxy for requests to a host, if there is one. Nothing goes through a proxy to this
/// machine, or to what a cloud has beside it.
fn proxy(host: &Host<&str>, is_plain: bool, env: impl Fn(&str) -> Option<String>) -> Option<&'static str> {
    let host = host.to_string();
    if network::is_local(&host) {
        return None;
    }
    let variables = match is_plain {
        true => ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"],
        false => ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"],
    };
    let named = variables.into_iter().find(|name| env(name).is_some())?;
    let direct = env("NO_PROXY").or_else(|| env("no_proxy")).unwrap_or_default();
    let covers = |part: &str| {
        let part = part.trim().trim_start_matches('.');
        part == "*" || (!part.is_empty() && (host == part || host.ends_with(&format!(".{part}"))))
    };
    (!direct.split(',').any(covers)).then_some(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_for_those_that_are_not_named() {
        let host = Host::Domain("ssm.eu-west-1.amazonaws.com");
        let with = |direct: &'static str| {
            move |name: &str| match name {
                "https_proxy" => Some("http://proxy:3128".to_owned()),
                "NO_PROXY" => Some(direct.to_owned()),
                _ => None,
            }
        };
        assert_eq!(proxy(&host, false, with("")), Some("https_proxy"));
        assert_eq!(proxy(&host, false, with("example.com, aws.com")), Some("https_proxy"));
        for direct in ["*", "amazonaws.com", "x, .amazonaws.com", "ssm.eu-west-1.amazonaws.com"] {
            assert_eq!(proxy(&host, false, with(direct)), None, "{direct}");
        }
        assert_eq!(proxy(&Host::Domain("localhost"), false, with("")), None);
        assert_eq!(proxy(&host, true, with("")), None, "it is for TLS");
        assert_eq!(proxy(&host, false, |_| None), None);
    }

    #[tokio::test]
    async fn each_step_fails_by_its_own_name() {
        let trust = Trust(None);
        assert!(matches!(reach("https://", &trust).await, Err(Unreached::Nowhere)));
        // Too long for a label of DNS, so that nobody is asked.
        let name = format!("https://{}.invalid", "a".repeat(64));
        assert!(matches!(reach(&name, &trust).await, Err(Unreached::Name(_) | Unreached::Nowhere)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        assert_eq!(reach(&format!("http://{address}"), &trust).await.expect("reached"), Reached::Plain);
        assert!(matches!(reach(&format!("https://{address}"), &trust).await, Err(Unreached::NoRoots)));
        // A port that nobody is given.
        assert!(matches!(reach("http://127.0.0.1:1", &trust).await, Err(Unreached::Connection(..))));
    }
}
