//! The stores past what is tested: as their readers meet them, and as somebody else writes to them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_credential_types::Credentials;
use aws_sdk_ssm::config::retry::RetryConfig;
use aws_sdk_ssm::config::{BehaviorVersion, Region};
use aws_sdk_ssm::types::{ParameterStringFilter, ParameterType};
use azure_core::http::ClientOptions;
use azure_data_app_configuration::{
    AppConfigurationClient, AppConfigurationClientOptions, DeleteKeyValueOptions, GetKeyValueOptions, KeyFilter,
    KeyValue, KeyValueContent, KeyValueSelector, LabelFilter, LockOptions, PutKeyValueOptions,
};
use repin_emulator::Emulator;

use crate::story::{Deed, Form};
use crate::wire::Wire;

/// The label that readers of App Configuration select.
pub(crate) const LABEL: &str = "prod";
/// The label that readers of Parameter Store follow, where they follow one.
const LIVE: &str = "live";
/// What every name begins with.
pub(crate) const PREFIX: &str = "ai/chaos";
/// The key of the reference to snapshots, below the prefix.
pub(crate) const REFERENCE: &str = "current";
/// The regions of the targets in Parameter Store.
pub(crate) const REGIONS: [&str; 2] = ["eu-west-1", "us-east-1"];

/// What readers meet under one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) text: String,
    pub(crate) secret: bool,
    pub(crate) content_type: Option<String>,
    pub(crate) version: String,
}

/// What readers of one target meet, by key.
pub(crate) type View = BTreeMap<String, Shown>;

/// One item or past content of one, as the store tells everything about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) text: String,
    /// Type or content type, labels or tags, dates.
    pub(crate) rest: String,
}

/// Somebody who reads and writes past the ledger.
pub(crate) struct Readers {
    forms: Vec<Form>,
    keys: Vec<String>,
    ssm: Vec<aws_sdk_ssm::Client>,
    azure: AppConfigurationClient,
    /// While it is not zero, no request meets a fault.
    calm: Arc<AtomicUsize>,
    written: AtomicU64,
    locked: Mutex<Vec<String>>,
    /// What was touched, by target and key.
    touched: Mutex<Vec<(usize, String)>>,
}

/// Ends a calm.
struct Calm<'a>(&'a AtomicUsize);

impl Drop for Calm<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Readers {
    pub(crate) fn new(
        emulator: &Emulator,
        (aws, azure): (&Wire, &Wire),
        connection: &str,
        forms: &[Form],
        keys: Vec<String>,
        calm: Arc<AtomicUsize>,
    ) -> Self {
        let client = |region: &'static str| {
            let credentials =
                Credentials::new(emulator.access_key_id(), emulator.secret_access_key(), None, None, "chaos");
            let config = aws_sdk_ssm::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new(region))
                .endpoint_url(crate::stage::AWS_ENDPOINT)
                .credentials_provider(credentials)
                .retry_config(RetryConfig::standard().with_max_attempts(50))
                .http_client(aws.aws())
                .build();
            aws_sdk_ssm::Client::from_conf(config)
        };
        let options = AppConfigurationClientOptions {
            client_options: ClientOptions { transport: Some(azure.azure()), ..ClientOptions::default() },
            retry: azure_data_app_configuration::RetryOptions { max_retries: 50, ..Default::default() },
            ..AppConfigurationClientOptions::default()
        };
        let azure = AppConfigurationClient::from_connection_string(connection, Some(options)).expect("a client");
        Self {
            forms: forms.to_vec(),
            keys,
            ssm: REGIONS.map(client).into(),
            azure,
            calm,
            written: AtomicU64::new(0),
            locked: Mutex::default(),
            touched: Mutex::default(),
        }
    }

    fn calm(&self) -> Calm<'_> {
        self.calm.fetch_add(1, Ordering::SeqCst);
        Calm(&self.calm)
    }

    /// Returns what was touched since the last time.
    pub(crate) fn take_touched(&self) -> Vec<(usize, String)> {
        std::mem::take(&mut self.touched.lock().unwrap())
    }

    /// Reads what readers of a target meet.
    pub(crate) async fn view(&self, target: usize) -> View {
        let _calm = self.calm();
        match self.forms[target] {
            Form::Latest => self.parameters(target, None).await,
            Form::Label => self.parameters(target, Some(LIVE)).await,
            Form::KeyValues => self.key_values().await,
            Form::Snapshot => self.snapshot().await,
        }
    }

    async fn parameters(&self, target: usize, label: Option<&str>) -> View {
        let filter =
            label.map(|label| ParameterStringFilter::builder().key("Label").values(label).build().expect("whole"));
        let mut pages = self.ssm[target]
            .get_parameters_by_path()
            .path(format!("/{PREFIX}/"))
            .recursive(true)
            .with_decryption(true)
            .set_parameter_filters(filter.map(|filter| vec![filter]))
            .into_paginator()
            .send();
        let mut view = View::new();
        while let Some(page) = pages.next().await {
            for parameter in page.expect("a page").parameters.unwrap_or_default() {
                let key = parameter.name().expect("a name").trim_start_matches(&format!("/{PREFIX}/")).to_owned();
                view.insert(
                    key,
                    Shown {
                        text: parameter.value().unwrap_or_default().to_owned(),
                        secret: parameter.r#type() == Some(&ParameterType::SecureString),
                        content_type: None,
                        version: parameter.version().to_string(),
                    },
                );
            }
        }
        view
    }

    fn shown(items: Vec<KeyValue>) -> View {
        let below = |item: KeyValue| {
            let key = item.key.strip_prefix(&format!("{PREFIX}/"))?.to_owned();
            let text = item.value.unwrap_or_default();
            let version = item.etag.unwrap_or_default();
            Some((key, Shown { text, secret: false, content_type: item.content_type, version }))
        };
        items.into_iter().filter_map(below).filter(|(key, _)| key != REFERENCE).collect()
    }

    async fn key_values(&self) -> View {
        let all = KeyFilter::Prefix(format!("{PREFIX}/"));
        let selector = KeyValueSelector::new(all, LabelFilter::Exact(LABEL.to_owned()));
        let list = self.azure.list_key_values(&selector, None).expect("a selector");
        Self::shown(list.collect_all().await.expect("a list"))
    }

    async fn snapshot(&self) -> View {
        let Some(name) = self.set().await else { return View::new() };
        let list = self.azure.list_key_values(&KeyValueSelector::snapshot(name), None).expect("a selector");
        Self::shown(list.collect_all().await.unwrap_or_default())
    }

    /// Returns the snapshot that the reference names.
    pub(crate) async fn set(&self) -> Option<String> {
        let options = GetKeyValueOptions { label: Some(LABEL.to_owned()), ..GetKeyValueOptions::default() };
        let reference = self.azure.get_key_value(&format!("{PREFIX}/{REFERENCE}"), Some(options)).await.ok()?;
        let body: serde_json::Value = serde_json::from_str(reference.into_model().value.as_deref()?).ok()?;
        Some(body["snapshot_name"].as_str()?.to_owned())
    }

    /// Lists everything that a target's store has, past contents included: items, ledgers, and what is not ours.
    pub(crate) async fn all(&self, target: usize) -> Vec<Kept> {
        let _calm = self.calm();
        if self.forms[target].is_aws() { self.all_parameters(target).await } else { self.all_key_values().await }
    }

    async fn all_parameters(&self, target: usize) -> Vec<Kept> {
        let ssm = &self.ssm[target];
        let mut pages = ssm.get_parameters_by_path().path("/").recursive(true).into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            let parameters = page.expect("a page").parameters.unwrap_or_default();
            names.extend(parameters.into_iter().filter_map(|parameter| parameter.name));
        }
        let mut kept = Vec::new();
        for name in names {
            let mut pages = ssm.get_parameter_history().name(&name).with_decryption(true).into_paginator().send();
            while let Some(Ok(page)) = pages.next().await {
                kept.extend(page.parameters.unwrap_or_default().into_iter().map(|version| Kept {
                    name: name.clone(),
                    version: version.version().to_string(),
                    text: version.value().unwrap_or_default().to_owned(),
                    rest: format!(
                        "{:?} {:?} {:?} {:?} {:?} {:?}",
                        version.r#type(),
                        version.labels(),
                        version.description(),
                        version.last_modified_date(),
                        version.tier(),
                        version.key_id()
                    ),
                }));
            }
        }
        kept
    }

    async fn all_key_values(&self) -> Vec<Kept> {
        let selector = KeyValueSelector::new(KeyFilter::Any, LabelFilter::Any);
        let list = self.azure.list_revisions(&selector, None).expect("a selector");
        let told = |item: KeyValue| Kept {
            name: format!("{}?{}", item.key, item.label.as_deref().unwrap_or_default()),
            version: item.etag.clone().unwrap_or_default(),
            text: item.value.clone().unwrap_or_default(),
            rest: format!("{:?} {:?} {:?}", item.content_type, item.tags, item.last_modified),
        };
        list.collect_all().await.expect("a list").into_iter().map(told).collect()
    }

    /// Puts something beside what is ours, which nobody asks for.
    pub(crate) async fn make_bystander(&self, target: usize) {
        let _calm = self.calm();
        self.put(target, "bystander", "not ours").await;
    }

    async fn put(&self, target: usize, key: &str, text: &str) {
        if self.forms[target].is_aws() {
            let put = self.ssm[target].put_parameter().name(format!("/{PREFIX}/{key}")).value(text).overwrite(true);
            let put = if key == "bystander" { put.r#type(ParameterType::String) } else { put };
            if put.clone().send().await.is_err() {
                // It is new, or the name is not free yet.
                let _ = put.r#type(ParameterType::String).send().await;
            }
        } else {
            let options = PutKeyValueOptions { label: Some(LABEL.to_owned()), ..PutKeyValueOptions::default() };
            let content = KeyValueContent::new(text);
            let _ = self.azure.put_key_value(&format!("{PREFIX}/{key}"), &content, Some(options)).await;
        }
    }

    async fn delete(&self, target: usize, key: &str) {
        if self.forms[target].is_aws() {
            let _ = self.ssm[target].delete_parameter().name(format!("/{PREFIX}/{key}")).send().await;
        } else {
            let options = DeleteKeyValueOptions { label: Some(LABEL.to_owned()), ..DeleteKeyValueOptions::default() };
            let _ = self.azure.delete_key_value(&format!("{PREFIX}/{key}"), Some(options)).await;
        }
    }

    /// Makes room where something stands that is not ours.
    pub(crate) async fn remove(&self, target: usize, key: &str) {
        let _calm = self.calm();
        self.delete(target, key).await;
        self.touched.lock().unwrap().push((target, key.to_owned()));
    }

    /// Somebody else does something.
    pub(crate) async fn act(&self, target: usize, key: usize, deed: Deed) {
        let target = target % self.forms.len();
        let key = self.keys[key % self.keys.len()].clone();
        let _calm = self.calm();
        let text = format!("somebody else's {}", self.written.fetch_add(1, Ordering::SeqCst));
        match deed {
            Deed::Change => self.put(target, &key, &text).await,
            Deed::Delete => self.delete(target, &key).await,
            Deed::Recreate => {
                self.delete(target, &key).await;
                self.put(target, &key, &text).await;
            }
            Deed::Label if self.forms[target].is_aws() => {
                let label = if self.forms[target] == Form::Label { LIVE } else { "theirs" };
                let name = format!("/{PREFIX}/{key}");
                let _ = self.ssm[target].label_parameter_version().name(name).labels(label).send().await;
            }
            Deed::Lock if !self.forms[target].is_aws() => {
                let name = format!("{PREFIX}/{key}");
                let options = LockOptions { label: Some(LABEL.to_owned()), ..LockOptions::default() };
                if self.azure.lock_key_value(&name, Some(options)).await.is_ok() {
                    self.locked.lock().unwrap().push(name);
                }
            }
            Deed::Label | Deed::Lock => return,
        }
        self.touched.lock().unwrap().push((target, key));
    }

    /// Takes every lock off again.
    pub(crate) async fn unlock(&self) {
        let _calm = self.calm();
        let locked = std::mem::take(&mut *self.locked.lock().unwrap());
        for name in locked {
            let options = LockOptions { label: Some(LABEL.to_owned()), ..LockOptions::default() };
            let _ = self.azure.unlock_key_value(&name, Some(options)).await;
        }
    }
}
