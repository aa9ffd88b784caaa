//! From targets to providers, the embedded clouds included.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use repin_aws_ssm::Ssm;
use repin_azure_app_configuration::{AppConfiguration, SecretSource};
use repin_emulator::{Emulator, KmsKey, credentials};
use repin_provider::limit::Share;
use repin_provider::{Error, Owner, Provider, Secret, TargetName};

use super::Failure;
use crate::desired;
use crate::exit::Exit;
use crate::model::desired::TargetConfig;
use crate::model::release::TargetId;
use crate::report::Trouble;

/// The largest file that a connection string is read from, in bytes.
const MAX_CONNECTION: u64 = 64 << 10;

/// Starts both clouds inside this process, with the accounts and the keys that the targets name.
pub(super) async fn start_emulator(
    dir: &Path,
    targets: &BTreeMap<TargetName, TargetConfig>,
) -> Result<Emulator, Failure> {
    let aws = || {
        targets.values().filter_map(|config| match config {
            TargetConfig::AwsSsm(config) => Some(config),
            TargetConfig::AzureAppConfiguration(_) => None,
        })
    };
    let options = repin_emulator::Options {
        dir: Some(dir.to_owned()),
        accounts: aws().map(|config| config.account.clone()).collect(),
        kms_keys: aws()
            .filter_map(|config| {
                let (account, region) = (config.account.clone(), config.region.clone());
                Some(KmsKey { account, region, key: config.kms_key.clone()? })
            })
            .collect(),
        ..Default::default()
    };
    Emulator::start(options).await.map_err(|error| {
        let message = format!("the embedded clouds cannot start in {}: {error}", dir.display());
        let hint = "Stop what else has this folder open, or name another with --emulate=DIR.";
        Failure::new(Exit::Failed, Trouble::new("emulator", message).with_hint(hint))
    })
}

/// Builds the provider of one target for a command, which may use all of a quota; sends nothing.
pub(super) async fn provider(
    owner: &Owner,
    config: &TargetConfig,
    emulator: Option<&Emulator>,
) -> Result<Arc<dyn Provider>, Error> {
    provider_with_share(owner, config, emulator, Share::WHOLE).await
}

/// The same, where the file does not say which part of a quota to use.
pub(super) async fn provider_with_share(
    owner: &Owner,
    config: &TargetConfig,
    emulator: Option<&Emulator>,
    share: Share,
) -> Result<Arc<dyn Provider>, Error> {
    let id = TargetId::of(&config.place());
    match config {
        TargetConfig::AwsSsm(config) => Ok(Arc::new(aws_ssm(owner, &id, config, emulator, share).await?)),
        TargetConfig::AzureAppConfiguration(config) => {
            Ok(Arc::new(app_configuration(owner, &id, config, emulator, share)?))
        }
    }
}

/// Builds a target in Parameter Store.
pub(super) async fn aws_ssm(
    owner: &Owner,
    id: &TargetId,
    config: &repin_aws_ssm::Config,
    emulator: Option<&Emulator>,
    share: Share,
) -> Result<Ssm, Error> {
    let mut config = config.clone();
    let mut options = repin_aws_ssm::Options { share, ..repin_aws_ssm::Options::new(owner.clone(), id.as_str()) };
    if let Some(emulator) = emulator {
        config.endpoint_url = Some(emulator.aws_endpoint());
        config.profile = None;
        config.assume_role = None;
        let secret = Secret::new(credentials::SECRET_ACCESS_KEY.to_owned());
        options.credentials = Some((credentials::access_key_id(&config.account), secret));
    }
    repin_aws_ssm::connect(&config, options).await
}

/// Builds a target in App Configuration.
pub(super) fn app_configuration(
    owner: &Owner,
    id: &TargetId,
    config: &repin_azure_app_configuration::Config,
    emulator: Option<&Emulator>,
    share: Share,
) -> Result<AppConfiguration, Error> {
    use repin_azure_app_configuration::Options;
    let mut options = Options { share, ..Options::new(owner.clone(), id.as_str()) };
    match emulator {
        Some(emulator) => {
            let endpoint = emulator.azure_endpoint();
            options.connection_string = Some(Secret::new(emulated_store(&endpoint, &config.endpoint)));
            options.endpoint_override = Some(endpoint);
        }
        None => options.connection_string = config.connection_string.as_ref().map(read_source).transpose()?,
    }
    repin_azure_app_configuration::connect(config, options)
}

/// Returns the connection string of the embedded store that stands for a real one.
fn emulated_store(endpoint: &str, real: &str) -> String {
    let store = real.trim_end_matches('/');
    let store = store.strip_prefix("https://").or_else(|| store.strip_prefix("http://")).unwrap_or(store);
    format!("Endpoint={endpoint};Id={store};Secret={}", credentials::APPCONFIG_SECRET)
}

fn read_source(source: &SecretSource) -> Result<Secret, Error> {
    use repin_provider::ErrorKind::Denied;
    let (text, from) = match source {
        SecretSource::Env(name) => {
            let text = std::env::var(name).map_err(|_| format!("the environment variable {name} is not set"));
            (text, format!("environment variable {name}"))
        }
        SecretSource::File(path) => {
            let text = desired::read_text(path, MAX_CONNECTION).map_err(|why| format!("{}: {why}", path.display()));
            (text, path.display().to_string())
        }
    };
    let text = text.map_err(|why| Error::new(Denied, "connection_string", why))?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    if text.is_empty() {
        return Err(Error::new(Denied, "connection_string", format!("{from} is empty")));
    }
    Ok(Secret::new(text.to_owned()))
}
