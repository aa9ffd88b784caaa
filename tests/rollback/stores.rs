//! Both stores as their readers meet them: through the vendors' clients, past what is tested.

use std::collections::BTreeMap;

use aws_credential_types::Credentials;
use aws_sdk_ssm::config::{BehaviorVersion, Region};
use aws_sdk_ssm::types::{Parameter, ParameterStringFilter, ParameterType};
use azure_data_app_configuration::{
    AppConfigurationClient, GetKeyValueOptions, KeyFilter, KeyValue, KeyValueSelector, LabelFilter,
};

use crate::scene::Forms;
use crate::support::World;

/// Where the file puts things.
const AWS_PREFIX: &str = "/ai/test/";
const AZURE_PREFIX: &str = "test/";
const AZURE_LABEL: &str = "prod";
/// The label that readers of Parameter Store follow, where they follow one.
const LABEL: &str = "live";
/// The key of the snapshot reference, where readers follow one.
const REFERENCE: &str = "test/release";

/// The clients of both stores.
pub(crate) struct Stores {
    pub(crate) ssm: aws_sdk_ssm::Client,
    pub(crate) kms: aws_sdk_kms::Client,
    pub(crate) azure: AppConfigurationClient,
    forms: Forms,
}

/// What readers meet, by place: `aws chat/config` or `azure chat/config`.
pub(crate) type Contents = BTreeMap<String, String>;

impl Stores {
    pub(crate) fn of(world: &World, forms: Forms) -> Self {
        let credentials =
            Credentials::new(world.emulator.access_key_id(), world.emulator.secret_access_key(), None, None, "test");
        let http = aws_smithy_http_client::Builder::new().build_http();
        let region = || Region::new("eu-west-1");
        let ssm = aws_sdk_ssm::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(region())
            .endpoint_url(world.emulator.aws_endpoint())
            .credentials_provider(credentials.clone())
            .http_client(http.clone())
            .build();
        let kms = aws_sdk_kms::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(region())
            .endpoint_url(world.emulator.aws_endpoint())
            .credentials_provider(credentials)
            .http_client(http)
            .build();
        let azure = AppConfigurationClient::from_connection_string(&world.emulator.connection_string(), None);
        Self {
            ssm: aws_sdk_ssm::Client::from_conf(ssm),
            kms: aws_sdk_kms::Client::from_conf(kms),
            azure: azure.expect("a client"),
            forms,
        }
    }

    /// Reads everything that readers meet on both targets: values, types, content types, tags.
    pub(crate) async fn contents(&self) -> Contents {
        let mut contents = self.aws_contents().await;
        contents.extend(self.azure_contents().await);
        contents
    }

    /// Reads what readers of Parameter Store meet.
    pub(crate) async fn aws_contents(&self) -> Contents {
        let labelled = self.forms.0 != "latest";
        let filter = ParameterStringFilter::builder().key("Label").values(LABEL).build().expect("whole");
        let mut pages = self
            .ssm
            .get_parameters_by_path()
            .path(AWS_PREFIX)
            .recursive(true)
            .with_decryption(true)
            .set_parameter_filters(labelled.then(|| vec![filter]))
            .into_paginator()
            .send();
        let mut contents = Contents::new();
        while let Some(page) = pages.next().await {
            let parameters = page.expect("a page").parameters.unwrap_or_default();
            contents.extend(parameters.into_iter().map(|parameter| {
                let key = parameter.name().unwrap_or_default().trim_start_matches(AWS_PREFIX);
                let kind = parameter.r#type().map_or("", ParameterType::as_str);
                (format!("aws {key}"), format!("{} as {kind}", parameter.value().unwrap_or_default()))
            }));
        }
        contents
    }

    /// Reads what readers of App Configuration meet.
    pub(crate) async fn azure_contents(&self) -> Contents {
        let told = |item: KeyValue| {
            let key = item.key.trim_start_matches(AZURE_PREFIX);
            let tags: Vec<_> = item.tags.iter().filter(|(name, _)| !name.starts_with("repin")).collect();
            let kind = item.content_type.clone().unwrap_or_default();
            (format!("azure {key}"), format!("{} as {kind} {tags:?}", item.value.clone().unwrap_or_default()))
        };
        self.key_values().await.into_iter().map(told).collect()
    }

    /// Reads the key-values that readers of App Configuration load: by key and label, or all of the snapshot that the
    /// reference names.
    pub(crate) async fn key_values(&self) -> Vec<KeyValue> {
        let selector = if self.forms.1 == "key-values" {
            let prefix = KeyFilter::Prefix(AZURE_PREFIX.to_owned());
            KeyValueSelector::new(prefix, LabelFilter::Exact(AZURE_LABEL.to_owned()))
        } else {
            match self.snapshot().await {
                Some(snapshot) => KeyValueSelector::snapshot(snapshot),
                None => return Vec::new(),
            }
        };
        let pager = self.azure.list_key_values(&selector, None).expect("a selector");
        pager.collect_all().await.expect("a list")
    }

    /// Returns the snapshot that the reference names, if it is there.
    pub(crate) async fn snapshot(&self) -> Option<String> {
        let options = GetKeyValueOptions { label: Some(AZURE_LABEL.to_owned()), ..GetKeyValueOptions::default() };
        let reference = self.azure.get_key_value(REFERENCE, Some(options)).await.ok()?.into_model();
        let body: serde_json::Value = serde_json::from_str(reference.value.as_deref()?).expect("JSON");
        Some(body["snapshot_name"].as_str().expect("a name").to_owned())
    }

    /// Returns the versions that Parameter Store has of a key, oldest first.
    pub(crate) async fn versions(&self, key: &str) -> Vec<i64> {
        let mut pages = self.ssm.get_parameter_history().name(format!("{AWS_PREFIX}{key}")).into_paginator().send();
        let mut versions = Vec::new();
        while let Some(page) = pages.next().await {
            match page {
                Ok(page) => versions.extend(page.parameters().iter().map(|version| version.version())),
                Err(error) if error.as_service_error().is_some_and(|e| e.is_parameter_not_found()) => break,
                Err(error) => panic!("{error:?}"),
            }
        }
        versions
    }

    /// Counts the revisions of a key that App Configuration has under the label that readers select.
    pub(crate) async fn revisions(&self, key: &str) -> usize {
        let key = KeyFilter::Exact(format!("{AZURE_PREFIX}{key}"));
        let selector = KeyValueSelector::new(key, LabelFilter::Exact(AZURE_LABEL.to_owned()));
        let pager = self.azure.list_revisions(&selector, None).expect("a selector");
        pager.collect_all().await.expect("a list").len()
    }

    /// Counts the snapshots that App Configuration has.
    pub(crate) async fn snapshots(&self) -> usize {
        let pager = self.azure.list_snapshots(&KeyFilter::Any, &[], None).expect("a selector");
        pager.collect_all().await.expect("a list").len()
    }

    /// Returns what a service that reads one key of Parameter Store is answered.
    pub(crate) async fn read(&self, key: &str) -> Option<Parameter> {
        if self.forms.0 == "latest" {
            self.parameter(key).await
        } else {
            self.parameter(&format!("{key}:{LABEL}")).await
        }
    }

    /// Returns what Parameter Store answers for a key, or for `key:version` and `key:label`.
    pub(crate) async fn parameter(&self, key: &str) -> Option<Parameter> {
        let get = self.ssm.get_parameter().name(format!("{AWS_PREFIX}{key}")).with_decryption(true);
        match get.send().await {
            Ok(answer) => answer.parameter,
            Err(error) if error.as_service_error().is_some_and(|e| e.is_parameter_not_found()) => None,
            Err(error) if error.as_service_error().is_some_and(|e| e.is_parameter_version_not_found()) => None,
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Puts a plain value under a key of Parameter Store, as somebody else would.
    pub(crate) async fn put(&self, key: &str, value: &str) {
        let put = self.ssm.put_parameter().name(format!("{AWS_PREFIX}{key}")).value(value).overwrite(true);
        put.r#type(ParameterType::String).send().await.expect("put");
    }

    /// Disables or enables the key that secrets are kept under.
    pub(crate) async fn set_key_enabled(&self, enabled: bool) {
        let described = self.kms.describe_key().key_id("alias/ai-config").send().await.expect("there");
        let id = described.key_metadata.expect("metadata").key_id;
        if enabled {
            self.kms.enable_key().key_id(id).send().await.expect("enabled");
        } else {
            self.kms.disable_key().key_id(id).send().await.expect("disabled");
        }
    }
}
