//! TLS for the listeners: a certificate authority of the emulator's own, and a certificate for loopback.
//!
//! The authority is made once for each folder, so that clients trust it once; the server's certificate is made anew at
//! every start. The authority is good for loopback names only: whoever trusts it trusts nobody else with it.

use std::fs;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{Span, Timestamp, civil::Date, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints, SanType,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

use crate::persist::{create_private_dir, create_private_file};

/// The authority's certificate, in the emulator's folder. Clients are to trust it.
const CERTIFICATE_FILE: &str = "ca.pem";

/// The authority's key, beside it.
const KEY_FILE: &str = "ca.key";

/// How long the authority is good for, in years.
const AUTHORITY_YEARS: i32 = 10;

/// How long a server's certificate is good for, in days: no platform's verifier wants it shorter.
const SERVER_DAYS: i32 = 397;

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of the authority cannot be read or written.
    #[error("cannot read or write {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key or certificate cannot be made or read.
    #[error("cannot make or read a certificate")]
    Certificate(#[from] rcgen::Error),
    /// The TLS library does not want the certificate.
    #[error("cannot serve TLS")]
    Serve(#[from] rustls::Error),
}

/// What listeners need to serve TLS, and clients to trust them.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    /// The authority's certificate, PEM.
    pub(crate) authority: String,
    /// Where it is, if there is a folder.
    pub(crate) path: Option<PathBuf>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Tls {
    /// Takes the authority of a folder, making it the first time; a passing one where there is no folder.
    pub(crate) fn open(dir: Option<&Path>) -> Result<Self, TlsError> {
        let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
        let params = authority_params(today);
        let (key, authority) = match dir {
            Some(dir) => open_authority(dir, &params)?,
            None => make_authority(&params)?,
        };
        let (chain, key) = make_server(&Issuer::from_params(&params, key), today)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let path = dir.map(|dir| dir.join(CERTIFICATE_FILE));
        // Clients may work in another folder.
        let path = path.map(|path| std::path::absolute(&path).unwrap_or(path));
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), authority, path })
    }
}

/// Describes the authority. Its name and key are what issued certificates depend on, so the name never changes.
fn authority_params(today: Date) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "repin emulator, this machine only");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![
            GeneralSubtree::DnsName("localhost".to_owned()),
            GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([127, 0, 0, 0], 8)),
            GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix(Ipv6Addr::LOCALHOST.octets(), 128)),
        ],
        excluded_subtrees: Vec::new(),
    });
    set_validity(&mut params, today, Span::new().years(AUTHORITY_YEARS));
    params
}

fn make_authority(params: &CertificateParams) -> Result<(KeyPair, String), TlsError> {
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?.pem();
    Ok((key, certificate))
}

/// Reads the authority, or makes it where either half is missing: an old half is of no use to anybody.
fn open_authority(dir: &Path, params: &CertificateParams) -> Result<(KeyPair, String), TlsError> {
    let (certificate_path, key_path) = (dir.join(CERTIFICATE_FILE), dir.join(KEY_FILE));
    if let (Some(certificate), Some(key)) = (read(&certificate_path)?, read(&key_path)?) {
        return Ok((KeyPair::from_pem(&key)?, certificate));
    }
    let (key, certificate) = make_authority(params)?;
    create_private_dir(dir).map_err(|source| TlsError::File { path: dir.to_owned(), source })?;
    write(&key_path, &key.serialize_pem())?;
    write(&certificate_path, &certificate)?;
    Ok((key, certificate))
}

fn read(path: &Path) -> Result<Option<String>, TlsError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TlsError::File { path: path.to_owned(), source }),
    }
}

/// Writes a file beside its place and renames it there, so that a kill leaves all of it or nothing.
fn write(path: &Path, text: &str) -> Result<(), TlsError> {
    let temporary = path.with_extension("new");
    let written = create_private_file(&temporary).and_then(|()| {
        let mut file = fs::OpenOptions::new().write(true).truncate(true).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    written.map_err(|source| TlsError::File { path: path.to_owned(), source })
}

/// Makes the certificate of the listeners: every name and address of loopback that clients use.
fn make_server(
    issuer: &Issuer<'_, KeyPair>,
    today: Date,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, "localhost");
    for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        params.subject_alt_names.push(SanType::IpAddress(address));
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, today, Span::new().days(SERVER_DAYS));
    let certificate = params.signed_by(&key, issuer)?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    Ok((vec![certificate.der().clone()], key.into()))
}

/// Sets when a certificate is good: from yesterday, since not every clock agrees on today.
fn set_validity(params: &mut CertificateParams, today: Date, time: Span) {
    let ymd = |date: Date| {
        let part = |part: i8| u8::try_from(part).expect("months and days are positive");
        rcgen::date_time_ymd(date.year().into(), part(date.month()), part(date.day()))
    };
    params.not_before = ymd(today.saturating_sub(Span::new().days(1)));
    params.not_after = ymd(today.saturating_add(time));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_made_once_a_folder() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("new");
        let first = Tls::open(Some(&dir)).unwrap();
        let second = Tls::open(Some(&dir)).unwrap();
        assert_eq!(first.authority, second.authority);
        assert_eq!(fs::read_to_string(first.path.unwrap()).unwrap(), first.authority);
        fs::remove_file(dir.join(KEY_FILE)).unwrap();
        assert_ne!(Tls::open(Some(&dir)).unwrap().authority, second.authority);
        assert_ne!(Tls::open(None).unwrap().authority, Tls::open(None).unwrap().authority);
    }

    #[cfg(unix)]
    #[test]
    fn its_key_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        Tls::open(Some(dir.path())).unwrap();
        let mode = fs::metadata(dir.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_key_is_no_reason_to_make_another() {
        let dir = tempfile::tempdir().unwrap();
        Tls::open(Some(dir.path())).unwrap();
        fs::write(dir.path().join(KEY_FILE), "junk").unwrap();
        assert!(matches!(Tls::open(Some(dir.path())), Err(TlsError::Certificate(_))));
    }
}
