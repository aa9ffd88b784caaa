//! Somebody at the consoles of both clouds: writes past repin, through the vendors' clients, and remembers what.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use aws_credential_types::Credentials;
use aws_sdk_ssm::config::{BehaviorVersion, Region};
use aws_sdk_ssm::types::ParameterType;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use azure_core::http::{ClientOptions, Transport};
use azure_data_app_configuration::{
    AppConfigurationClient, AppConfigurationClientOptions, DeleteKeyValueOptions, GetKeyValueOptions, KeyFilter,
    KeyValue, KeyValueContent, KeyValueSelector, LabelFilter, LockOptions, PutKeyValueOptions,
};
use repin_emulator::credentials::SECRET_ACCESS_KEY;

use crate::stage::Forms;

/// The label that readers of App Configuration select, and the one of Parameter Store.
const READ: &str = "prod";
const LIVE: &str = "live";

/// A store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cloud {
    Aws,
    Azure,
}

impl Cloud {
    pub(crate) const BOTH: [Self; 2] = [Self::Aws, Self::Azure];

    /// Returns the name of the target there.
    pub(crate) fn target(self) -> &'static str {
        match self {
            Self::Aws => "aws-eu",
            Self::Azure => "azure",
        }
    }
}

/// What somebody does to an item on both clouds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// Puts another text over it, or makes it where it is not.
    Edit,
    /// Removes it.
    Delete,
    /// Removes it and makes it anew.
    Recreate,
    /// Forbids writes to it (App Configuration), and leads readers to its first version (Parameter Store).
    Lead,
}

/// A text that somebody wrote.
#[derive(Debug, Clone)]
pub(crate) struct Wrote {
    pub(crate) cloud: Cloud,
    pub(crate) key: String,
    /// The store's name for it.
    pub(crate) version: String,
    pub(crate) text: String,
}

/// The clients, and what was written with them.
pub(crate) struct Console {
    ssm: aws_sdk_ssm::Client,
    azure: AppConfigurationClient,
    place: String,
    forms: Forms,
    texts: Cell<u32>,
    wrote: RefCell<Vec<Wrote>>,
    locked: RefCell<Vec<String>>,
}

impl Console {
    pub(crate) fn new(
        aws: SharedHttpClient,
        azure: Transport,
        aws_endpoint: &str,
        access_key: &str,
        connection: &str,
        place: &str,
        forms: Forms,
    ) -> Self {
        let ssm = aws_sdk_ssm::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(aws_endpoint)
            .credentials_provider(Credentials::new(access_key, SECRET_ACCESS_KEY, None, None, "console"))
            .http_client(aws)
            .build();
        let options = AppConfigurationClientOptions {
            client_options: ClientOptions { transport: Some(azure), ..ClientOptions::default() },
            ..AppConfigurationClientOptions::default()
        };
        let azure = AppConfigurationClient::from_connection_string(connection, Some(options)).expect("a client");
        Self {
            ssm: aws_sdk_ssm::Client::from_conf(ssm),
            azure,
            place: place.to_owned(),
            forms,
            texts: Cell::new(0),
            wrote: RefCell::default(),
            locked: RefCell::default(),
        }
    }

    pub(crate) fn labelled(&self) -> bool {
        self.forms.0 != "latest"
    }

    pub(crate) fn snapshots(&self) -> bool {
        self.forms.1 != "key-values"
    }

    fn parameter(&self, key: &str) -> String {
        format!("/{}/{key}", self.place)
    }

    fn key_value(&self, key: &str) -> String {
        format!("{}/{key}", self.place)
    }

    /// The label that repin writes key-values under: staging where readers follow a snapshot.
    pub(crate) fn staged(&self) -> String {
        if self.snapshots() { format!("~staging~{READ}~{}/release", self.place) } else { READ.to_owned() }
    }

    /// Does something to an item on both clouds.
    pub(crate) async fn act(&self, act: Act, key: &str) {
        match act {
            Act::Edit => {
                self.edit(Cloud::Aws, key).await;
                self.edit(Cloud::Azure, key).await;
            }
            Act::Delete => {
                self.delete(Cloud::Aws, key).await;
                self.delete(Cloud::Azure, key).await;
            }
            Act::Recreate => {
                for cloud in Cloud::BOTH {
                    self.delete(cloud, key).await;
                    self.edit(cloud, key).await;
                }
            }
            Act::Lead => {
                self.lead(key).await;
                self.lock(key).await;
            }
        }
    }

    fn text(&self) -> String {
        self.texts.set(self.texts.get() + 1);
        format!("hand {}", self.texts.get())
    }

    fn note(&self, cloud: Cloud, key: &str, version: String, text: String) {
        let mut wrote = self.wrote.borrow_mut();
        // What the same hand wrote before was replaced on purpose.
        wrote.retain(|earlier| (earlier.cloud, earlier.key.as_str()) != (cloud, key));
        wrote.push(Wrote { cloud, key: key.to_owned(), version, text });
    }

    /// Puts a text that nobody has written before.
    pub(crate) async fn edit(&self, cloud: Cloud, key: &str) {
        let text = self.text();
        self.put(cloud, key, &text).await;
    }

    /// Puts a text.
    pub(crate) async fn put(&self, cloud: Cloud, key: &str, text: &str) {
        let version = match cloud {
            Cloud::Aws => {
                let put = self.ssm.put_parameter().name(self.parameter(key)).value(text).overwrite(true);
                let answer = put.r#type(ParameterType::String).send().await.expect("put");
                if self.labelled() {
                    self.label(key, answer.version).await;
                }
                answer.version.to_string()
            }
            Cloud::Azure => {
                let options = PutKeyValueOptions { label: Some(self.staged()), ..PutKeyValueOptions::default() };
                let content = KeyValueContent::new(text);
                let answer = self.azure.put_key_value(&self.key_value(key), &content, Some(options)).await;
                answer.expect("put").into_model().etag.expect("an etag")
            }
        };
        self.note(cloud, key, version, text.to_owned());
    }

    /// Removes an item, where it is there. What was written to it before was removed on purpose.
    pub(crate) async fn delete(&self, cloud: Cloud, key: &str) {
        match cloud {
            Cloud::Aws => {
                let sent = self.ssm.delete_parameter().name(self.parameter(key)).send().await;
                let gone = |error: &aws_sdk_ssm::error::SdkError<_>| {
                    error.as_service_error().is_some_and(
                        aws_sdk_ssm::operation::delete_parameter::DeleteParameterError::is_parameter_not_found,
                    )
                };
                assert!(sent.as_ref().err().is_none_or(gone), "{sent:?}");
            }
            Cloud::Azure => {
                let options = DeleteKeyValueOptions { label: Some(self.staged()), ..DeleteKeyValueOptions::default() };
                self.azure.delete_key_value(&self.key_value(key), Some(options)).await.expect("deleted");
            }
        }
        self.wrote.borrow_mut().retain(|wrote| (wrote.cloud, wrote.key.as_str()) != (cloud, key));
    }

    async fn label(&self, key: &str, version: i64) {
        let label = self.ssm.label_parameter_version().name(self.parameter(key)).labels(LIVE);
        label.parameter_version(version).send().await.expect("labelled");
    }

    /// Leads readers of Parameter Store to the first version of a key, where they follow a label.
    pub(crate) async fn lead(&self, key: &str) {
        let oldest = self.parameters(key).await.into_iter().next();
        if let (true, Some((version, _))) = (self.labelled(), oldest) {
            self.label(key, version).await;
        }
    }

    /// Forbids writes to a key-value, where it is there.
    pub(crate) async fn lock(&self, key: &str) {
        if self.current(key, &self.staged()).await.is_none() {
            return;
        }
        let options = LockOptions { label: Some(self.staged()), ..LockOptions::default() };
        self.azure.lock_key_value(&self.key_value(key), Some(options)).await.expect("locked");
        self.locked.borrow_mut().push(key.to_owned());
    }

    /// Allows again what was forbidden.
    pub(crate) async fn unlock(&self) {
        for key in self.locked.take() {
            if self.current(&key, &self.staged()).await.is_some() {
                let options = LockOptions { label: Some(self.staged()), ..LockOptions::default() };
                self.azure.unlock_key_value(&self.key_value(&key), Some(options)).await.expect("unlocked");
            }
        }
    }

    /// Returns what was written and not removed by the same hand.
    pub(crate) fn wrote(&self) -> Vec<Wrote> {
        self.wrote.borrow().clone()
    }

    /// Lists the versions of a parameter with their texts, oldest first.
    pub(crate) async fn parameters(&self, key: &str) -> Vec<(i64, String)> {
        let mut pages = self.ssm.get_parameter_history().name(self.parameter(key)).into_paginator().send();
        let mut versions = Vec::new();
        while let Some(page) = pages.next().await {
            match page {
                Ok(page) => versions.extend(
                    page.parameters().iter().map(|one| (one.version(), one.value().unwrap_or_default().to_owned())),
                ),
                Err(error) if error.as_service_error().is_some_and(|error| error.is_parameter_not_found()) => break,
                Err(error) => panic!("{error:?}"),
            }
        }
        versions
    }

    /// Returns the version and text of a parameter that a name leads to, such as `a` or `a:live`.
    pub(crate) async fn get(&self, name: &str) -> Option<(i64, String)> {
        match self.ssm.get_parameter().name(self.parameter(name)).send().await {
            Ok(answer) => answer.parameter.map(|one| (one.version(), one.value().unwrap_or_default().to_owned())),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_parameter_not_found()) => None,
            Err(error) if error.as_service_error().is_some_and(|e| e.is_parameter_version_not_found()) => None,
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Returns a key-value.
    pub(crate) async fn current(&self, key: &str, label: &str) -> Option<KeyValue> {
        let options = GetKeyValueOptions { label: Some(label.to_owned()), ..GetKeyValueOptions::default() };
        self.azure.get_key_value(&self.key_value(key), Some(options)).await.ok().map(|answer| answer.into_model())
    }

    /// Lists the revisions of a key-value as etags and texts, newest first.
    pub(crate) async fn revisions(&self, key: &str) -> Vec<(String, String)> {
        let (key, label) = (KeyFilter::Exact(self.key_value(key)), LabelFilter::Exact(self.staged()));
        let pager = self.azure.list_revisions(&KeyValueSelector::new(key, label), None).expect("a selector");
        let revisions = pager.collect_all().await.expect("a list");
        revisions.into_iter().map(|one| (one.etag.unwrap_or_default(), one.value.unwrap_or_default())).collect()
    }

    /// Returns the snapshot that the reference names.
    pub(crate) async fn snapshot(&self) -> Option<String> {
        let reference = self.current("release", READ).await?;
        let body: serde_json::Value = serde_json::from_str(reference.value.as_deref()?).ok()?;
        Some(body["snapshot_name"].as_str()?.to_owned())
    }

    /// Leads readers of App Configuration to another snapshot, as somebody does who has the key-value open in a form.
    pub(crate) async fn refer(&self, snapshot: &str) {
        let there = self.current("release", READ).await.expect("a reference");
        let content = KeyValueContent {
            content_type: there.content_type,
            ..KeyValueContent::new(serde_json::json!({ "snapshot_name": snapshot }).to_string())
        };
        let options = PutKeyValueOptions { label: Some(READ.to_owned()), ..PutKeyValueOptions::default() };
        self.azure.put_key_value(&self.key_value("release"), &content, Some(options)).await.expect("put");
    }

    /// Lists the snapshots of this story, oldest first.
    pub(crate) async fn all_snapshots(&self) -> Vec<String> {
        let pager = self.azure.list_snapshots(&KeyFilter::Any, &[], None).expect("a selector");
        let mut all = pager.collect_all().await.expect("a list");
        all.sort_by_key(|snapshot| snapshot.created);
        let ours = |name: &String| name.contains(&format!("repin-{}-", self.place));
        all.into_iter().map(|snapshot| snapshot.name).filter(ours).collect()
    }

    /// Archives a snapshot.
    pub(crate) async fn archive(&self, name: &str) {
        self.azure.archive_snapshot(name, None).await.expect("archived");
    }

    /// Returns what readers meet: texts by key, on one cloud.
    pub(crate) async fn served(&self, cloud: Cloud) -> BTreeMap<String, String> {
        match cloud {
            Cloud::Aws => {
                let mut served = BTreeMap::new();
                for key in ["a", "b", "c", "d"] {
                    let name = if self.labelled() { format!("{key}:{LIVE}") } else { key.to_owned() };
                    if let Some((_, text)) = self.get(&name).await {
                        served.insert(key.to_owned(), text);
                    }
                }
                served
            }
            Cloud::Azure => {
                let selector = match (self.snapshots(), self.snapshot().await) {
                    (true, Some(snapshot)) => KeyValueSelector::snapshot(snapshot),
                    (true, None) => return BTreeMap::new(),
                    (false, _) => {
                        let below = KeyFilter::Prefix(format!("{}/", self.place));
                        KeyValueSelector::new(below, LabelFilter::Exact(READ.to_owned()))
                    }
                };
                let pager = self.azure.list_key_values(&selector, None).expect("a selector");
                let all = pager.collect_all().await.expect("a list");
                let prefix = format!("{}/", self.place);
                let text =
                    |one: KeyValue| (one.key.trim_start_matches(&prefix).to_owned(), one.value.unwrap_or_default());
                all.into_iter().map(text).collect()
            }
        }
    }
}
