//! The clients: each scenario does what a program would, with what its environment gives it, and reports in one line.

use std::sync::Arc;

use aws_config::BehaviorVersion;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ssm::error::ProvideErrorMetadata;
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::http::{AsyncRawResponse, ClientOptions, HttpClient, Request, Transport, Url, new_http_client};
use azure_data_app_configuration::{
    AppConfigurationClient, AppConfigurationClientOptions, KeyFilter, KeyValueContent, LabelFilter, RetryOptions,
    SnapshotContent, SnapshotFilter,
};
use azure_identity::{
    ClientSecretCredential, ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId,
    WorkloadIdentityCredential,
};
use repin_emulator::credentials::{ENTRA_CLIENT_SECRET, ENTRA_READER_ID, ENTRA_TENANT_ID};

use crate::{ENDPOINT, SCENARIO};

/// What a report begins with.
pub(crate) const REPORT: &str = "REPORT ";

/// Plays the scenario that the environment names; without one there is nothing to play.
#[tokio::test]
async fn scenario() {
    let Ok(scenario) = std::env::var(SCENARIO) else { return };
    let endpoint = std::env::var(ENDPOINT).unwrap();
    let report = match scenario.as_str() {
        "azure-connection-string" => {
            put_and_get(&AppConfigurationClient::from_connection_string(&endpoint, Some(options())).unwrap()).await
        }
        "azure-snapshot" => {
            snapshot(&AppConfigurationClient::from_connection_string(&endpoint, Some(options())).unwrap()).await
        }
        "azure-client-secret" => with(&endpoint, client_secret()).await,
        "azure-workload-identity" => with(&endpoint, WorkloadIdentityCredential::new(None).unwrap()).await,
        "azure-app-service" => with(&endpoint, ManagedIdentityCredential::new(None).unwrap()).await,
        "azure-virtual-machine" => with(&endpoint, virtual_machine()).await,
        "aws" => aws().await,
        "aws-assume-role" => aws_assume_role().await,
        other => panic!("no such scenario: {other}"),
    };
    write_report(&report);
}

#[expect(clippy::print_stdout, reason = "the process that started this one reads it")]
fn write_report(report: &str) {
    println!("{REPORT}{report}");
}

/// Each call is one request.
fn options() -> AppConfigurationClientOptions {
    AppConfigurationClientOptions { retry: RetryOptions::none(), ..Default::default() }
}

async fn with(endpoint: &str, credential: Arc<dyn TokenCredential>) -> String {
    put_and_get(&AppConfigurationClient::new(endpoint, credential, Some(options())).unwrap()).await
}

/// Writes and reads one key-value.
async fn put_and_get(client: &AppConfigurationClient) -> String {
    let put = match client.put_key_value("chat/model", &KeyValueContent::new("gpt-4o"), None).await {
        Ok(_) => "ok".to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    };
    if put == "Connection" {
        return format!("put: {put}");
    }
    let get = match client.get_key_value("chat/model", None).await {
        Ok(found) => found.model.value.unwrap_or_default(),
        Err(error) => format!("{:?}", error.kind()),
    };
    format!("put: {put}, get: {get}")
}

/// Makes a snapshot and waits for it, which follows an absolute address that the service answers.
async fn snapshot(client: &AppConfigurationClient) -> String {
    let content = SnapshotContent::new(vec![SnapshotFilter::new(&KeyFilter::Any, &LabelFilter::Null, &[]).unwrap()]);
    match client.create_snapshot("release", &content, None).await {
        Ok(made) => format!("{:?}", made.model.status),
        Err(error) => error.to_string(),
    }
}

fn client_secret() -> Arc<ClientSecretCredential> {
    let client = std::env::var("AZURE_CLIENT_ID").unwrap();
    let secret = std::env::var("AZURE_CLIENT_SECRET").unwrap_or_else(|_| ENTRA_CLIENT_SECRET.to_owned());
    ClientSecretCredential::new(ENTRA_TENANT_ID, client, Secret::new(secret), None).unwrap()
}

/// Sends what is for the metadata service of a virtual machine, whose address is fixed, to another endpoint.
#[derive(Debug)]
struct Redirect {
    to: Url,
    inner: Arc<dyn HttpClient>,
}

#[async_trait::async_trait]
impl HttpClient for Redirect {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let mut request = request.clone();
        assert_eq!(request.url().host_str(), Some("169.254.169.254"));
        let mut url = self.to.clone();
        url.set_path(request.url().path());
        url.set_query(request.url().query());
        *request.url_mut() = url;
        self.inner.execute_request(&request).await
    }
}

fn virtual_machine() -> Arc<ManagedIdentityCredential> {
    let to = std::env::var("AZURE_AUTHORITY_HOST").unwrap().parse().unwrap();
    let transport = Transport::new(Arc::new(Redirect { to, inner: new_http_client(None) }));
    let options = ManagedIdentityCredentialOptions {
        user_assigned_id: Some(UserAssignedId::ClientId(ENTRA_READER_ID.to_owned())),
        client_options: ClientOptions { transport: Some(transport), ..Default::default() },
    };
    ManagedIdentityCredential::new(Some(options)).unwrap()
}

/// Says who one is, and writes and reads one parameter.
async fn aws() -> String {
    report_aws(&aws_config::load_defaults(BehaviorVersion::latest()).await).await
}

async fn aws_assume_role() -> String {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let role = aws_config::sts::AssumeRoleProvider::builder("arn:aws:iam::111122223333:role/deploy")
        .session_name("ci")
        .configure(&config)
        .build()
        .await;
    report_aws(&config.into_builder().credentials_provider(SharedCredentialsProvider::new(role)).build()).await
}

async fn report_aws(config: &aws_config::SdkConfig) -> String {
    let identity = match aws_sdk_sts::Client::new(config).get_caller_identity().send().await {
        Ok(identity) => identity.arn().unwrap_or_default().to_owned(),
        Err(error) => {
            return format!("{:?}: {}", error.code(), aws_smithy_types::error::display::DisplayErrorContext(&error));
        }
    };
    let ssm = aws_sdk_ssm::Client::new(config);
    let put = ssm.put_parameter().name("/a").value("1").r#type(aws_sdk_ssm::types::ParameterType::String);
    let version = put.overwrite(true).send().await.map_or(0, |put| put.version());
    format!("{identity}, version {version}")
}
