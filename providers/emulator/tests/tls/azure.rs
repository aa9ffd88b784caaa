use std::sync::Arc;
use std::time::Duration;

use repin_emulator::Fault;
use repin_emulator::credentials::{
    ENTRA_CLIENT_ID, ENTRA_READER_ID, ENTRA_STRANGER_ID, ENTRA_TENANT_ID, IDENTITY_HEADER,
};

use crate::Stage;

const TOKEN: &str = "POST /{tenant}/oauth2/v2.0/token";

#[tokio::test]
async fn access_keys_work_over_tls() {
    let stage = Stage::new().await;
    let connection = stage.emulator.connection_string();
    assert_eq!(stage.run("azure-connection-string", connection.clone()).await, "put: ok, get: gpt-4o");
    assert_eq!(stage.run("azure-snapshot", connection).await, "Ready");
    assert_eq!(stage.emulator.counters().count("appconfig", "GET /operations"), 2);
}

#[tokio::test]
async fn a_client_secret_opens_the_store_as_far_as_the_role_goes() {
    let stage = Stage::new().await.set("AZURE_CLIENT_ID", ENTRA_CLIENT_ID.to_owned());
    let endpoint = stage.emulator.azure_endpoint();
    assert_eq!(stage.run("azure-client-secret", endpoint.clone()).await, "put: ok, get: gpt-4o");
    assert_eq!(stage.emulator.counters().count_status("identity", TOKEN, 200), 1);
    let stage = stage.set("AZURE_CLIENT_ID", ENTRA_READER_ID.to_owned());
    assert_eq!(stage.run("azure-client-secret", endpoint.clone()).await, "put: Forbidden, get: gpt-4o");
    let stage = stage.set("AZURE_CLIENT_ID", ENTRA_STRANGER_ID.to_owned());
    assert_eq!(stage.run("azure-client-secret", endpoint.clone()).await, "put: Forbidden, get: Forbidden");
    let stage = stage.set("AZURE_CLIENT_SECRET", "wrong".to_owned());
    assert_eq!(stage.run("azure-client-secret", endpoint).await, "put: Credential, get: Credential");
    assert_eq!(stage.emulator.counters().count_status("identity", TOKEN, 401), 2);
}

#[tokio::test]
async fn workload_identity_exchanges_a_pods_token() {
    let stage = Stage::new().await;
    let endpoint = stage.emulator.azure_endpoint();
    let path = stage.file("token", &stage.emulator.service_account_token("api://AzureADTokenExchange"));
    let stage = stage
        .set("AZURE_TENANT_ID", ENTRA_TENANT_ID.to_owned())
        .set("AZURE_CLIENT_ID", ENTRA_CLIENT_ID.to_owned())
        .set("AZURE_FEDERATED_TOKEN_FILE", path.display().to_string());
    assert_eq!(stage.run("azure-workload-identity", endpoint.clone()).await, "put: ok, get: gpt-4o");
    stage.emulator.clock().advance(Duration::from_secs(3_601));
    assert_eq!(stage.run("azure-workload-identity", endpoint.clone()).await, "put: Credential, get: Credential");
    stage.file("token", &stage.emulator.service_account_token("sts.amazonaws.com"));
    assert_eq!(stage.run("azure-workload-identity", endpoint).await, "put: Credential, get: Credential");
}

#[tokio::test]
async fn managed_identities_need_no_secret() {
    let stage = Stage::new().await;
    let endpoint = stage.emulator.azure_endpoint();
    assert_eq!(stage.run("azure-virtual-machine", endpoint.clone()).await, "put: Forbidden, get: NotFound");
    assert_eq!(stage.emulator.counters().count("identity", "GET /metadata/identity/oauth2/token"), 1);
    let msi = format!("{}/msi/token", stage.emulator.identity_endpoint());
    let stage = stage.set("IDENTITY_ENDPOINT", msi).set("IDENTITY_HEADER", IDENTITY_HEADER.to_owned());
    assert_eq!(stage.run("azure-app-service", endpoint.clone()).await, "put: ok, get: gpt-4o");
    let stage = stage.set("IDENTITY_HEADER", "wrong".to_owned());
    assert_eq!(stage.run("azure-app-service", endpoint).await, "put: Credential, get: Credential");
}

#[tokio::test]
async fn an_authority_that_is_down_is_a_fault_too() {
    let stage = Stage::new().await.set("AZURE_CLIENT_ID", ENTRA_CLIENT_ID.to_owned());
    stage.emulator.faults().set(Arc::new(|call| match call.service.as_str() {
        "identity" if call.name.as_deref() == Some(ENTRA_CLIENT_ID) => Fault::Refuse {
            status: 400,
            code: "temporarily_unavailable".into(),
            message: "AADSTS90006: try again later".into(),
            retry_after_ms: None,
        },
        _ => Fault::None,
    }));
    let endpoint = stage.emulator.azure_endpoint();
    assert_eq!(stage.run("azure-client-secret", endpoint.clone()).await, "put: Credential, get: Credential");
    assert_eq!(stage.emulator.counters().total("appconfig"), 0);
    stage.emulator.faults().clear();
    assert_eq!(stage.run("azure-client-secret", endpoint).await, "put: ok, get: gpt-4o");
}
