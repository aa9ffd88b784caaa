//! One emulated store, and what tests do to it.

use std::collections::BTreeMap;
use std::time::Duration;

use azure_data_app_configuration::{AppConfigurationClient, KeyValueContent, PutKeyValueOptions};
use repin_azure_app_configuration::{AppConfiguration, Config, Options, connect};
use repin_emulator::Emulator;
use repin_provider::{
    Action, Content, Key, Observation, Observe, Owner, Provider, Put, Resume, Secret, Value, Version, Write,
};
use serde_json::json;

pub(crate) struct Store {
    pub(crate) emulator: Emulator,
    /// Somebody else with full rights.
    pub(crate) other: AppConfigurationClient,
}

impl Store {
    pub(crate) async fn start(options: repin_emulator::Options) -> Self {
        let emulator = Emulator::start(options).await.unwrap();
        let other = AppConfigurationClient::from_connection_string(&emulator.connection_string(), None).unwrap();
        Self { emulator, other }
    }

    pub(crate) fn provider(&self, label: Option<&str>) -> AppConfiguration {
        self.serving(label, json!("key-values"))
    }

    pub(crate) fn serving(&self, label: Option<&str>, serve: serde_json::Value) -> AppConfiguration {
        let settings = json!({
            "endpoint": self.emulator.azure_endpoint(), "prefix": "app", "label": label, "serve": serve
        });
        let config: Config = serde_json::from_value(settings).unwrap();
        let options = Options {
            connection_string: Some(Secret::new(self.emulator.connection_string())),
            attempt_timeout: Duration::from_secs(5),
            ..Options::new(Owner::parse("me").unwrap(), "t1")
        };
        connect(&config, options).unwrap()
    }

    pub(crate) async fn plant(&self, native: &str, label: Option<&str>, value: &str) {
        let options = PutKeyValueOptions { label: label.map(str::to_owned), ..Default::default() };
        self.other.put_key_value(native, &KeyValueContent::new(value), Some(options)).await.unwrap();
    }
}

pub(crate) fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

pub(crate) fn put(text: &str, value: &str, put: Put) -> Write {
    let content = Content {
        value: Value::Plain(value.to_owned()),
        content_type: None,
        tags: BTreeMap::new(),
        description: None,
        tier: None,
    };
    Write { key: key(text), action: Action::Put(content, put) }
}

pub(crate) async fn create(provider: &AppConfiguration, text: &str, value: &str) -> Version {
    provider.apply(&put(text, value, Put::Create)).await.unwrap().version.unwrap()
}

pub(crate) async fn look(provider: &AppConfiguration, keys: &[&str], resume: Option<Resume>) -> Observation {
    let keys = keys.iter().map(|text| key(text)).collect();
    provider.observe(Observe { keys, census: false, resume, ..Observe::default() }).await.unwrap()
}
