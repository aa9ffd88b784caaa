//! `repin emulator`: both stores on loopback for other programs.

use repin_emulator::{Emulator, KmsKey, credentials};
use serde_json::json;

use super::Failure;
use super::args::EmulatorArgs;
use super::print::Printer;
use super::session::Stop;
use crate::exit::Exit;
use crate::report::Trouble;

pub(super) async fn run(args: &EmulatorArgs, mut interrupt: Stop, printer: &Printer) -> Result<Exit, Failure> {
    let options = repin_emulator::Options {
        dir: args.dir.clone(),
        aws: args.aws,
        azure: args.azure,
        identity: args.identity,
        tls: args.tls,
        account: args.account.clone(),
        kms_keys: args
            .kms_keys
            .iter()
            .map(|key| KmsKey {
                account: args.account.clone(),
                region: credentials::DEFAULT_REGION.to_owned(),
                key: key.clone(),
            })
            .collect(),
        ..Default::default()
    };
    let emulator = Emulator::start(options).await.map_err(|error| {
        let hint = "Stop what else has its folder open or its addresses, or name others with --dir, --aws and --azure.";
        let trouble = Trouble::new("emulator", format!("the emulator cannot start: {error}"));
        Failure::new(Exit::Failed, trouble.with_hint(hint))
    })?;
    printer.result(|| exports(&emulator), || object(&emulator));
    // Serving until a signal is what was asked for, so a signal is no failure.
    let _ = interrupt.wait_for(Option::is_some).await;
    emulator.shutdown().await;
    Ok(Exit::Done)
}

fn exports(emulator: &Emulator) -> String {
    let mut text = String::new();
    let mut export = |name: &str, value: &str| text.push_str(&format!("export {name}={}\n", quoted(value)));
    export("AWS_ENDPOINT_URL", &emulator.aws_endpoint());
    export("AWS_REGION", emulator.region());
    export("AWS_DEFAULT_REGION", emulator.region());
    export("AWS_ACCESS_KEY_ID", &emulator.access_key_id());
    export("AWS_SECRET_ACCESS_KEY", emulator.secret_access_key());
    export("AZURE_APPCONFIG_ENDPOINT", &emulator.azure_endpoint());
    export("AZURE_APPCONFIG_CONNECTION_STRING", &emulator.connection_string());
    if let Some(authority) = emulator.ca_certificate_path() {
        let authority = authority.display().to_string();
        // Each kind of client has its own name for it. All but Node's trust nothing else from then on.
        for name in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"] {
            export(name, &authority);
        }
        // No client sends a secret to an authority without TLS.
        export("AZURE_AUTHORITY_HOST", &emulator.identity_endpoint());
        export("AZURE_TENANT_ID", credentials::ENTRA_TENANT_ID);
        export("AZURE_CLIENT_ID", credentials::ENTRA_CLIENT_ID);
        export("AZURE_CLIENT_SECRET", credentials::ENTRA_CLIENT_SECRET);
    }
    text
}

/// Quotes a value for a shell where it needs it.
fn quoted(value: &str) -> String {
    let plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:~@+,".contains(&byte));
    if plain { value.to_owned() } else { format!("'{}'", value.replace('\'', r"'\''")) }
}

fn object(emulator: &Emulator) -> serde_json::Value {
    json!({
        "aws": {
            "endpoint_url": emulator.aws_endpoint(),
            "region": emulator.region(),
            "access_key_id": emulator.access_key_id(),
            "secret_access_key": emulator.secret_access_key(),
        },
        "azure": {
            "endpoint": emulator.azure_endpoint(),
            "connection_string": emulator.connection_string(),
        },
        "identity": {
            "endpoint": emulator.identity_endpoint(),
            "tenant_id": credentials::ENTRA_TENANT_ID,
            "client_id": credentials::ENTRA_CLIENT_ID,
            "reader_client_id": credentials::ENTRA_READER_ID,
            "client_secret": credentials::ENTRA_CLIENT_SECRET,
            "identity_header": credentials::IDENTITY_HEADER,
            "container_token": credentials::CONTAINER_TOKEN,
        },
        "ca_certificate": emulator.ca_certificate_path(),
    })
}
