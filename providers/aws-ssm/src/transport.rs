//! The HTTP client below the SDK's clients.
//!
//! ```text
//! request ─▶ plain http to another host?  refused, unless the target allows it
//!         ─▶ this machine, or a cloud's service for credentials?  straight there
//!         ─▶ else through the proxy that HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY name
//! answer  ─▶ read up to a limit; a redirection is an answer like others and never followed
//! ```
//! TLS is always verified: against what the system trusts, or `SSL_CERT_FILE` and `SSL_CERT_DIR` in its place, and
//! against the target's own authorities beside these.

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;
use repin_provider::network::{self, MAX_ANSWER};
use repin_provider::{Error, ErrorKind, Result};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use url::Url;

/// How far requests go.
#[derive(Debug, Clone)]
pub(crate) enum Reach {
    /// Anywhere.
    World {
        /// The certificates, as PEM, of authorities that are trusted beside the system's.
        authorities: Option<Vec<u8>>,
        /// Whether plain http may leave this machine.
        allow_http: bool,
    },
    /// To this machine alone, without TLS, so that no roots of trust need to be loaded.
    Plain,
}

/// Makes an HTTP client as the SDK would, to be shared by the clients of all services and targets: one pool of
/// connections and one set of trusted roots.
pub fn http_client() -> SharedHttpClient {
    client(Reach::World { authorities: None, allow_http: false })
}

/// Makes an HTTP client for a reach. What is trusted has been [checked](check_authorities).
pub(crate) fn client(reach: Reach) -> SharedHttpClient {
    let (context, allow_http) = match reach {
        Reach::World { authorities, allow_http } => (Some(trust(authorities)), allow_http),
        Reach::Plain => (None, false),
    };
    let through = |proxied: bool| {
        let context = context.clone();
        Builder::new().build_with_connector_fn(move |settings, components| {
            connector(context.as_ref(), proxied, settings.cloned(), components)
        })
    };
    SharedHttpClient::new(Guard { world: through(true), local: through(false), allow_http })
}

fn trust(authorities: Option<Vec<u8>>) -> TlsContext {
    let store = authorities.into_iter().fold(TrustStore::default(), TrustStore::with_pem_certificate);
    TlsContext::builder().with_trust_store(store).build().expect("a context with nothing but roots is whole")
}

/// Checks that authorities can be used: the SDK would panic over one that cannot.
///
/// # Errors
/// `Refused`, where a part is no certificate of an authority.
pub(crate) fn check_authorities(pem: &[u8]) -> Result<()> {
    let refused = |why: String| Error::new(ErrorKind::Refused, "connect", format!("ca_bundle: {why}"));
    for (number, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
        let certificate = certificate.map_err(|error| refused(format!("part {} is no PEM: {error}", number + 1)))?;
        webpki::anchor_from_trusted_cert(&certificate)
            .map_err(|error| refused(format!("certificate {} cannot be used: {error}", number + 1)))?;
    }
    Ok(())
}

fn connector(
    context: Option<&TlsContext>,
    proxied: bool,
    settings: Option<HttpConnectorSettings>,
    components: Option<&RuntimeComponents>,
) -> Connector {
    let mut builder = ConnectorBuilder::default();
    builder.set_connector_settings(settings);
    builder.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
    builder.set_proxy_config(Some(if proxied { ProxyConfig::from_env() } else { ProxyConfig::disabled() }));
    match context {
        None => builder.build_http(),
        Some(context) => {
            builder.tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc)).tls_context(context.clone()).build()
        }
    }
}

/// Looks at where requests go, and bounds what comes back.
///
/// Makes connectors when a request needs one: the inner clients would make one, with its own copy of the trusted roots,
/// for each service client that is built, and throw it away.
#[derive(Debug)]
struct Guard {
    world: SharedHttpClient,
    local: SharedHttpClient,
    allow_http: bool,
}

impl HttpClient for Guard {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Guarded {
            world: self.world.clone(),
            local: self.local.clone(),
            allow_http: self.allow_http,
            settings: settings.clone(),
            components: components.clone(),
        })
    }
}

#[derive(Debug)]
struct Guarded {
    world: SharedHttpClient,
    local: SharedHttpClient,
    allow_http: bool,
    settings: HttpConnectorSettings,
    components: RuntimeComponents,
}

impl HttpConnector for Guarded {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Ok(url) = Url::parse(request.uri()) else {
            return HttpConnectorFuture::ready(Err(ConnectorError::user("a request to what is no URL".into())));
        };
        let is_local = network::is_local(url.host_str().unwrap_or_default());
        if url.scheme() != "https" && !is_local && !self.allow_http {
            return HttpConnectorFuture::ready(Err(ConnectorError::user(plain_http(&url).into())));
        }
        let client = if is_local { &self.local } else { &self.world };
        let answer = client.http_connector(&self.settings, &self.components).call(request);
        HttpConnectorFuture::new(async move { answer.await.map(limited) })
    }
}

/// Says why nothing is sent to a URL.
pub(crate) fn plain_http(url: &Url) -> String {
    format!("{} is plain http, and leads away from this machine", url.origin().ascii_serialization())
}

fn limited(answer: HttpResponse) -> HttpResponse {
    answer.map(|body| SdkBody::from_body_1_x(Limited::new(body, MAX_ANSWER)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused_before_the_sdk_sees_it() {
        let pem = |body: &str| format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n").into_bytes();
        let error = check_authorities(&pem("AAAA")).unwrap_err();
        assert!(error.message.starts_with("ca_bundle: certificate 1 cannot be used"), "{error}");
        let error = check_authorities(&pem("!")).unwrap_err();
        assert!(error.message.starts_with("ca_bundle: part 1 is no PEM"), "{error}");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let both = [made.cert.pem().into_bytes(), pem("AAAA")].concat();
        assert!(check_authorities(&both).unwrap_err().message.contains("certificate 2"));
        check_authorities(made.cert.pem().as_bytes()).unwrap();
    }
}
