//! The HTTP client below the SDK's clients.

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

/// How far requests go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Anywhere: TLS, and the proxy that the environment names.
    World,
    /// To this machine, never through a proxy; credentials may come from elsewhere.
    Local,
    /// To this machine alone, so that no roots of trust need to be loaded.
    Plain,
}

/// Makes an HTTP client as the SDK would, to be shared by the clients of all services and targets: one pool of
/// connections and one set of trusted roots.
pub fn http_client() -> SharedHttpClient {
    client(Reach::World)
}

/// Makes an HTTP client for a reach.
pub(crate) fn client(reach: Reach) -> SharedHttpClient {
    let inner = Builder::new()
        .build_with_connector_fn(move |settings, components| connector(reach, settings.cloned(), components));
    SharedHttpClient::new(OnDemand(inner))
}

fn connector(
    reach: Reach,
    settings: Option<HttpConnectorSettings>,
    components: Option<&RuntimeComponents>,
) -> Connector {
    let mut builder = ConnectorBuilder::default();
    builder.set_connector_settings(settings);
    builder.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
    builder.set_proxy_config(Some(match reach {
        Reach::World => ProxyConfig::from_env(),
        Reach::Local | Reach::Plain => ProxyConfig::disabled(),
    }));
    match reach {
        Reach::Plain => builder.build_http(),
        Reach::World | Reach::Local => builder.tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc)).build(),
    }
}

/// Makes connectors when a request needs one.
///
/// The inner client makes one, with its own copy of the trusted roots, for each service client that is built, and
/// throws it away: four times in a target, before its first request.
#[derive(Debug)]
struct OnDemand(SharedHttpClient);

impl HttpClient for OnDemand {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        self.0.http_connector(settings, components)
    }
}
