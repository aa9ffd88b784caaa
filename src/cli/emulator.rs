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
        Failure::new(Exit::Failed, Trouble::new("emulator", format!("the emulator cannot start: {error}")))
    })?;
    printer.result(|| exports(&emulator), || object(&emulator));
    // Serving until a signal is what was asked for, so a signal is no failure.
    let _ = interrupt.wait_for(Option::is_some).await;
    emulator.shutdown().await;
    Ok(Exit::Done)
}

fn exports(emulator: &Emulator) -> String {
    format!(
        "export AWS_ENDPOINT_URL={}\nexport AWS_REGION={}\nexport AWS_DEFAULT_REGION={}\nexport AWS_ACCESS_KEY_ID={}\n\
         export AWS_SECRET_ACCESS_KEY={}\nexport AZURE_APPCONFIG_ENDPOINT={}\n\
         export AZURE_APPCONFIG_CONNECTION_STRING='{}'\n",
        emulator.aws_endpoint(),
        emulator.region(),
        emulator.region(),
        emulator.access_key_id(),
        emulator.secret_access_key(),
        emulator.azure_endpoint(),
        emulator.connection_string(),
    )
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
    })
}
