//! Somebody without repin: fills both stores through the vendors' clients, and looks at all that they show.

use std::collections::BTreeMap;

use aws_credential_types::Credentials;
use aws_sdk_ssm::config::{BehaviorVersion, Region};
use aws_sdk_ssm::types::{ParameterType, ResourceTypeForTagging, Tag};
use azure_data_app_configuration::{
    AppConfigurationClient, KeyFilter, KeyValueContent, KeyValueSelector, LabelFilter, PutKeyValueOptions,
};

use crate::support::World;

/// Where the ledgers are.
const LEDGERS: [&str; 2] = ["/repin/", ".repin/"];

/// The clients of both stores.
pub(crate) struct Bystander {
    ssm: aws_sdk_ssm::Client,
    azure: AppConfigurationClient,
}

/// All that a store shows of each item: values, versions, dates, tags.
pub(crate) type Shown = BTreeMap<String, String>;

impl Bystander {
    pub(crate) fn of(world: &World) -> Self {
        let (id, secret) = (world.emulator.access_key_id(), world.emulator.secret_access_key());
        let config = aws_sdk_ssm::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(world.emulator.aws_endpoint())
            .credentials_provider(Credentials::new(id, secret, None, None, "test"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        let azure = AppConfigurationClient::from_connection_string(&world.emulator.connection_string(), None);
        Self { ssm: aws_sdk_ssm::Client::from_conf(config), azure: azure.expect("a client") }
    }

    /// Puts a parameter of a type under its whole name.
    pub(crate) async fn parameter(&self, name: &str, value: &str, kind: ParameterType) {
        let key = (kind == ParameterType::SecureString).then_some("alias/ai-config");
        let put = self.ssm.put_parameter().name(name).value(value).r#type(kind).overwrite(true);
        put.set_key_id(key.map(str::to_owned)).send().await.expect("put");
    }

    /// Gives a version of a parameter a label.
    pub(crate) async fn label(&self, name: &str, version: i64, label: &str) {
        let labelled = self.ssm.label_parameter_version().name(name).parameter_version(version).labels(label);
        labelled.send().await.expect("labelled");
    }

    /// Puts a key-value with a content type under the label of the file.
    pub(crate) async fn key_value(&self, key: &str, value: &str, content_type: Option<&str>) {
        let mut content = KeyValueContent::new(value);
        content.content_type = content_type.map(str::to_owned);
        let options = PutKeyValueOptions { label: Some("prod".to_owned()), ..PutKeyValueOptions::default() };
        self.azure.put_key_value(key, &content, Some(options)).await.expect("put");
    }

    /// Puts a plain text under a key of the file, on both.
    pub(crate) async fn text(&self, key: &str, value: &str) {
        self.parameter(&format!("/ai/test/{key}"), value, ParameterType::String).await;
        self.key_value(&format!("test/{key}"), value, None).await;
    }

    /// Returns what a parameter is stored as, and its value.
    pub(crate) async fn stored(&self, name: &str) -> (String, String) {
        let answer = self.ssm.get_parameter().name(name).with_decryption(true).send().await.expect("there");
        let parameter = answer.parameter.expect("a parameter");
        let kind = parameter.r#type().map(|kind| kind.as_str().to_owned()).unwrap_or_default();
        (kind, parameter.value.unwrap_or_default())
    }

    /// Returns all that both stores show, but for the ledgers.
    pub(crate) async fn shown(&self) -> Shown {
        let mut shown = Shown::new();
        let mut pages = self.ssm.describe_parameters().into_paginator().send();
        while let Some(page) = pages.next().await {
            for about in page.expect("a page").parameters.unwrap_or_default() {
                let name = about.name().unwrap_or_default().to_owned();
                let history = self.ssm.get_parameter_history().name(&name).send().await.expect("a history");
                shown.insert(name.clone(), format!("{about:?} {:?} {:?}", history.parameters, self.tags(&name).await));
            }
        }
        let every = KeyValueSelector::new(KeyFilter::Any, LabelFilter::Any);
        let items = self.azure.list_key_values(&every, None).expect("a selector").collect_all().await.expect("a list");
        shown.extend(items.into_iter().map(|item| (format!("{} {:?}", item.key, item.label), format!("{item:?}"))));
        shown.retain(|name, _| !LEDGERS.iter().any(|ledger| name.starts_with(ledger)));
        shown
    }

    async fn tags(&self, name: &str) -> Vec<Tag> {
        let asked =
            self.ssm.list_tags_for_resource().resource_type(ResourceTypeForTagging::Parameter).resource_id(name);
        asked.send().await.expect("tags").tag_list.unwrap_or_default()
    }
}
