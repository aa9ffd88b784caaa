//! Both stores as their readers meet them: through the vendors' clients, past what is tested.

use std::collections::BTreeMap;

use aws_credential_types::Credentials;
use aws_sdk_ssm::config::{BehaviorVersion, Region};
use aws_sdk_ssm::types::{ParameterStringFilter, ParameterType};
use azure_core::http::ClientOptions;
use azure_data_app_configuration::{
    AppConfigurationClient, AppConfigurationClientOptions, GetKeyValueOptions, KeyFilter, KeyValueContent,
    KeyValueSelector, LabelFilter, PutKeyValueOptions,
};

use crate::stage::{Forms, World};

/// The key of the snapshot reference, below the prefix.
const REFERENCE: &str = "current";
/// What nobody of ours put there.
const FOREIGN: &str = "foreign";

/// The clients of both stores, for one case.
pub(crate) struct Stores {
    ssm: aws_sdk_ssm::Client,
    azure: AppConfigurationClient,
    name: String,
    forms: Forms,
}

/// What readers meet, by cloud and key.
pub(crate) type Contents = BTreeMap<String, String>;

/// How many native versions each item has, by cloud, label and key.
pub(crate) type Versions = BTreeMap<String, usize>;

impl Stores {
    pub(crate) fn of(world: &World, name: &str, forms: Forms) -> Self {
        let credentials =
            Credentials::new(world.emulator.access_key_id(), world.emulator.secret_access_key(), None, None, "test");
        let ssm = aws_sdk_ssm::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(world.emulator.aws_endpoint())
            .credentials_provider(credentials)
            .http_client(world.aws.aws())
            .build();
        let client_options = ClientOptions { transport: Some(world.azure.azure()), ..ClientOptions::default() };
        let options = AppConfigurationClientOptions { client_options, ..AppConfigurationClientOptions::default() };
        let azure = AppConfigurationClient::from_connection_string(&world.emulator.connection_string(), Some(options));
        let ssm = aws_sdk_ssm::Client::from_conf(ssm);
        Self { ssm, azure: azure.expect("a client"), name: name.to_owned(), forms }
    }

    fn native(&self, key: &str) -> String {
        format!("/ai/{}/{key}", self.name)
    }

    /// Puts something of somebody else's beside ours.
    pub(crate) async fn put_foreign(&self) {
        let put = self.ssm.put_parameter().name(self.native(FOREIGN)).value("theirs").r#type(ParameterType::String);
        put.send().await.expect("put");
        let options = PutKeyValueOptions { label: Some("prod".to_owned()), ..PutKeyValueOptions::default() };
        let content = KeyValueContent::new("theirs".to_owned());
        self.azure.put_key_value(&format!("{}/{FOREIGN}", self.name), &content, Some(options)).await.expect("put");
    }

    /// Returns all there is to tell of what is somebody else's.
    pub(crate) async fn foreign(&self) -> String {
        let theirs = self.ssm.get_parameter().name(self.native(FOREIGN)).send().await;
        let options = GetKeyValueOptions { label: Some("prod".to_owned()), ..GetKeyValueOptions::default() };
        let there = self.azure.get_key_value(&format!("{}/{FOREIGN}", self.name), Some(options)).await;
        let parameter = theirs.ok().and_then(|theirs| theirs.parameter);
        format!("{parameter:?} {:?}", there.ok().map(|there| there.model))
    }

    /// Reads everything that readers meet on both targets.
    pub(crate) async fn contents(&self) -> Contents {
        let mut contents = self.aws_contents().await;
        contents.extend(self.azure_contents().await);
        contents
    }

    async fn aws_contents(&self) -> Contents {
        let filter = ParameterStringFilter::builder().key("Label").values("live").build().expect("whole");
        let prefix = self.native("");
        let mut pages = self
            .ssm
            .get_parameters_by_path()
            .path(&prefix)
            .recursive(true)
            .with_decryption(true)
            .set_parameter_filters((self.forms == Forms::Apart).then(|| vec![filter]))
            .into_paginator()
            .send();
        let mut contents = Contents::new();
        while let Some(page) = pages.next().await {
            for parameter in page.expect("a page").parameters.unwrap_or_default() {
                let kind = parameter.r#type().map_or("", ParameterType::as_str);
                let key = parameter.name().unwrap_or_default().trim_start_matches(&prefix);
                contents.insert(format!("ssm {key}"), format!("{} as {kind}", parameter.value().unwrap_or_default()));
            }
        }
        contents
    }

    async fn azure_contents(&self) -> Contents {
        let prefix = format!("{}/", self.name);
        let selector = match self.forms {
            Forms::Plain => {
                KeyValueSelector::new(KeyFilter::Prefix(prefix.clone()), LabelFilter::Exact("prod".to_owned()))
            }
            Forms::Apart => match self.snapshot().await {
                Some(name) => KeyValueSelector::snapshot(name),
                None => return Contents::new(),
            },
        };
        let items = self.azure.list_key_values(&selector, None).expect("a selector").collect_all().await;
        let told = items.expect("a list").into_iter().map(|item| {
            let key = item.key.trim_start_matches(&prefix).to_owned();
            (format!("azure {key}"), format!("{} as {:?}", item.value.unwrap_or_default(), item.content_type))
        });
        told.collect()
    }

    async fn snapshot(&self) -> Option<String> {
        let options = GetKeyValueOptions { label: Some("prod".to_owned()), ..GetKeyValueOptions::default() };
        let reference = self.azure.get_key_value(&format!("{}/{REFERENCE}", self.name), Some(options)).await.ok()?;
        let body: serde_json::Value = serde_json::from_str(reference.model.value.as_deref()?).expect("JSON");
        Some(body["snapshot_name"].as_str().expect("a name").to_owned())
    }

    /// Counts the native versions of everything that is ours, whatever its label. The snapshot reference is left out: it
    /// holds no content.
    pub(crate) async fn versions(&self) -> Versions {
        let mut versions = Versions::new();
        for key in ["a", "b", "c", "d", "s"] {
            let mut pages = self.ssm.get_parameter_history().name(self.native(key)).into_paginator().send();
            while let Some(Ok(page)) = pages.next().await {
                *versions.entry(format!("ssm {key}")).or_default() += page.parameters().len();
            }
        }
        let prefix = format!("{}/", self.name);
        let selector = KeyValueSelector::new(KeyFilter::Prefix(prefix.clone()), LabelFilter::Any);
        let revisions = self.azure.list_revisions(&selector, None).expect("a selector").collect_all().await;
        for revision in revisions.expect("a list") {
            let key = revision.key.trim_start_matches(&prefix);
            if key != REFERENCE && key != FOREIGN {
                *versions.entry(format!("azure {key}")).or_default() += 1;
            }
        }
        versions
    }
}
