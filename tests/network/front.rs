//! Places that speak TLS in front of the emulator, with certificates that a test makes.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

/// Somebody who issues certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key.
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
}

/// What is on a certificate.
#[derive(Clone, Copy)]
pub(crate) struct Paper<'a> {
    /// Names and addresses.
    pub(crate) names: &'a [&'a str],
    /// From and to the first of January of these years.
    pub(crate) years: (i32, i32),
}

impl Paper<'_> {
    fn params(self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "a test");
        params.subject_alt_names = self.names.iter().map(|name| name_of(name)).collect();
        let (from, to) = self.years;
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        params
    }

    /// Makes a certificate that nobody vouches for.
    pub(crate) fn self_signed(self) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = self.params().self_signed(&key).expect("a certificate");
        Identity { certificate: certificate.der().clone(), key: key.serialize_der().into() }
    }
}

fn name_of(name: &str) -> SanType {
    match name.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(name.try_into().expect("ASCII")),
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "an authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Returns its certificate, which clients are to trust.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// Issues a certificate.
    pub(crate) fn issue(&self, paper: Paper<'_>) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = paper.params().signed_by(&key, &self.issuer).expect("a certificate");
        Identity { certificate: certificate.der().clone(), key: key.serialize_der().into() }
    }
}

/// Carries what comes over TLS on to a plain place: `http://HOST:PORT`. Returns where it listens.
pub(crate) async fn front(identity: &Identity, behind: &str) -> String {
    let chain = vec![identity.certificate.clone()];
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, identity.key.clone_key().into())
        .expect("they belong together");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let behind = behind.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let Ok(mut session) = acceptor.accept(stream).await else { return };
                let Ok(mut store) = TcpStream::connect(behind).await else { return };
                let _ = copy_bidirectional(&mut session, &mut store).await;
            });
        }
    });
    address
}
