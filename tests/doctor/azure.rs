//! What is broken about a target in App Configuration.

use repin_emulator::credentials::{
    APPCONFIG_SECRET, ENTRA_CLIENT_ID, ENTRA_CLIENT_SECRET, ENTRA_READER_ID, ENTRA_STRANGER_ID, ENTRA_TENANT_ID,
};
use repin_emulator::{Fault, Options};

use crate::report::{Report, visit, visit_with};
use crate::support::World;

const ENTRIES: &str = "  plain: { targets: [azure], value: one }\n";

async fn world() -> World {
    let world = World::new().await;
    world.entries(ENTRIES);
    world
}

/// A world of which all is over TLS, with a target that signs in with Entra ID.
async fn entra() -> World {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { tls: true, dir: Some(dir.keep()), ..Options::default() };
    let world = World::with(options).await;
    let head = world.head_served("latest", "{ snapshot: release }");
    let head = head.replace("connection_string: { env: AZURE_CONNECTION }", "credential: client-secret");
    world.write("repin.yaml", &format!("{head}entries:\n{ENTRIES}"));
    world
}

async fn visit_as(world: &World, code: i32, application: &str) -> Report {
    let authority = world.emulator.ca_certificate_path().unwrap().display().to_string();
    let env = [
        ("SSL_CERT_FILE", authority.as_str()),
        ("AZURE_AUTHORITY_HOST", &world.emulator.identity_endpoint()),
        ("AZURE_TENANT_ID", ENTRA_TENANT_ID),
        ("AZURE_CLIENT_ID", application),
        ("AZURE_CLIENT_SECRET", ENTRA_CLIENT_SECRET),
    ];
    visit_with(world, code, &["--target", "azure"], &env).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_is_well() {
    let world = entra().await;
    let report = visit_as(&world, 0, ENTRA_CLIENT_ID).await;
    let signed = report.finding("azure", "credentials", "ok")["found"].as_str().unwrap();
    assert!(signed.contains("client secret, good for"), "{signed}");
    let network = report.finding("azure", "network", "ok")["found"].as_str().unwrap();
    assert!(network.contains("over TLS; certificate, good for"), "{network}");
    let allowed = report.finding("azure", "rights", "ok")["found"].as_str().unwrap();
    for right in ["keyValues/write", "keyValues/delete", "snapshots/read", "snapshots/archive/action"] {
        assert!(allowed.contains(right), "{allowed}");
    }
    report.finding("azure", "snapshots/write", "skip");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_only() {
    let world = entra().await;
    let report = visit_as(&world, 77, ENTRA_READER_ID).await;
    for right in ["keyValues/write", "keyValues/delete", "snapshots/archive/action"] {
        report.fails("azure", right, &["is not allowed", "403"], "App Configuration Data Owner");
    }
    report.fails_nowhere_else("azure", 3);
    assert_eq!(report.finding("azure", "rights", "ok")["rights"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_role_at_all() {
    let world = entra().await;
    let report = visit_as(&world, 77, ENTRA_STRANGER_ID).await;
    report.finding("azure", "credentials", "ok");
    report.fails("azure", "keyValues/read", &["403"], "Assign a role that allows Microsoft.AppConfiguration");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_signed_in() {
    let world = entra().await;
    let authority = world.emulator.ca_certificate_path().unwrap().display().to_string();
    let report = visit_with(&world, 77, &["--target", "azure"], &[("SSL_CERT_FILE", &authority)]).await;
    report.fails("azure", "credentials", &["not set: AZURE_CLIENT_ID"], "AZURE_TENANT_ID");
    report.fails_nowhere_else("azure", 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_that_is_not_trusted() {
    let world = entra().await;
    world.entries(ENTRIES);
    let report = visit(&world, 75).await;
    for target in ["aws-eu", "azure"] {
        report.fails(target, "network", &["TLS is not trusted"], "SSL_CERT_FILE");
        report.fails_nowhere_else(target, 1);
    }
}

/// A target's own authorities count as they do for its requests.
#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_the_file_names() {
    let world = entra().await;
    let authority = world.emulator.ca_certificate_path().unwrap().display().to_string();
    let head = world.head().replace("    prefix:", &format!("    ca_bundle: {authority}\n    prefix:"));
    world.write("repin.yaml", &format!("{head}entries:\n{ENTRIES}"));
    let report = visit(&world, 0).await;
    for target in ["aws-eu", "azure"] {
        let found = report.finding(target, "network", "ok")["found"].as_str().unwrap();
        assert!(found.contains("over TLS"), "{found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_access_key() {
    let world = world().await;
    let connection = world.emulator.connection_string_of("emulator:ro");
    let report = visit_with(&world, 77, &[], &[("AZURE_CONNECTION", &connection)]).await;
    report.fails("azure", "keyValues/write", &["403"], "read-write access key");
    visit_with(&world, 0, &["--mode", "plan"], &[("AZURE_CONNECTION", &connection)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_connection_string() {
    let world = world().await;
    let wrong = world.emulator.connection_string().replace(APPCONFIG_SECRET, "b2Ygc29tZWJvZHkgZWxzZQ==");
    let report = visit_with(&world, 77, &[], &[("AZURE_CONNECTION", &wrong)]).await;
    report.fails(
        "azure",
        "credentials",
        &["variable AZURE_CONNECTION", "401", "Invalid Signature"],
        "az appconfig credential list",
    );
    report.fails_nowhere_else("azure", 1);
    let elsewhere = "Endpoint=https://other.azconfig.io;Id=a;Secret=b2Ygc29tZWJvZHk=";
    let report = visit_with(&world, 1, &[], &[("AZURE_CONNECTION", elsewhere)]).await;
    report.fails("azure", "settings", &["other.azconfig.io"], "same store");
}

/// A revoked key, and any key of a store that has them disabled, are answered alike.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_access_key() {
    let world = world().await;
    world.faults(|call| match call.service.as_str() {
        "appconfig" => Fault::Refuse {
            status: 401,
            code: "unauthorized".into(),
            message: "Invalid Credential".into(),
            retry_after_ms: None,
        },
        _ => Fault::None,
    });
    let report = visit(&world, 77).await;
    report.fails("azure", "credentials", &["Invalid Credential"], "Where access keys are disabled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_not_there() {
    let world = world().await;
    // Longer than a name may be, so that nobody is asked for it.
    let gone = format!("https://{}.azconfig.io", "a".repeat(64));
    let text = std::fs::read_to_string(world.path("repin.yaml")).unwrap();
    let text = text.replace(&world.emulator.azure_endpoint(), &gone);
    world.write("repin.yaml", &text.replace("connection_string: { env: AZURE_CONNECTION }", "credential: azure-cli"));
    let report = visit(&world, 75).await;
    report.fails("azure", "network", &[&gone, "the name leads nowhere"], "a store that was deleted has no name");
    report.fails_nowhere_else("azure", 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_quota() {
    let world = world().await;
    world.faults(|call| match call.service.as_str() {
        "appconfig" => Fault::Refuse {
            status: 429,
            code: "too-many-requests".into(),
            message: "Total Requests".into(),
            retry_after_ms: Some(3_600_000),
        },
        _ => Fault::None,
    });
    let report = visit(&world, 75).await;
    report.fails("azure", "keyValues/read", &["1 h"], "quota");
    report.fails_nowhere_else("azure", 1);
    report.finding("azure", "credentials", "skip");
}
