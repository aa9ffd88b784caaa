//! Everything that both stores hold, through the vendors' clients: what is ours, what is not, and the ledgers.

use std::collections::BTreeMap;

use aws_credential_types::Credentials;
use aws_sdk_ssm::config::{BehaviorVersion, Region};
use aws_sdk_ssm::types::{ParameterMetadata, ResourceTypeForTagging};
use azure_data_app_configuration::{AppConfigurationClient, KeyFilter, KeyValueSelector, LabelFilter};

use crate::support::{World, secret_access_key};

/// What a store has to tell of each thing in it, by cloud and name.
pub(crate) type Whole = BTreeMap<String, String>;

/// Reads everything: each version of each parameter with its labels, dates and tags, and each revision of each key-value
/// with its etag.
pub(crate) async fn whole(world: &World) -> Whole {
    let mut whole = parameters(world).await;
    whole.extend(key_values(world).await);
    whole
}

/// Asserts that nothing is different, and says what is where something is.
#[track_caller]
pub(crate) fn assert_same(before: &Whole, after: &Whole, what: &str) {
    let names = before.keys().chain(after.keys());
    let other: BTreeMap<_, _> = names
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| (name, (before.get(name), after.get(name))))
        .collect();
    assert!(other.is_empty(), "{what}: {other:#?}");
}

/// Asserts that everything that was there is there as it was; more may have come.
#[track_caller]
pub(crate) fn assert_kept(before: &Whole, after: &Whole, what: &str) {
    let kept = after.iter().filter(|(name, _)| before.contains_key(*name));
    assert_same(before, &kept.map(|(name, told)| (name.clone(), told.clone())).collect(), what);
}

async fn parameters(world: &World) -> Whole {
    let credentials = Credentials::new(world.emulator.access_key_id(), secret_access_key(), None, None, "everything");
    let config = aws_sdk_ssm::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(world.emulator.aws_endpoint())
        .credentials_provider(credentials)
        .build();
    let ssm = aws_sdk_ssm::Client::from_conf(config);
    let mut whole = Whole::new();
    let mut pages = ssm.describe_parameters().into_paginator().send();
    while let Some(page) = pages.next().await {
        for found in page.expect("a listing").parameters() {
            let name = found.name().expect("a name");
            let told = format!("{}\n{}", versions(&ssm, name).await, described(&ssm, found).await);
            whole.insert(format!("aws {name}"), told);
        }
    }
    whole
}

async fn versions(ssm: &aws_sdk_ssm::Client, name: &str) -> String {
    let mut told = String::new();
    let history = ssm.get_parameter_history().name(name).with_decryption(true);
    let mut pages = history.into_paginator().send();
    while let Some(page) = pages.next().await {
        page.expect("a history").parameters().iter().for_each(|version| told += &format!("{version:?}\n"));
    }
    told
}

async fn described(ssm: &aws_sdk_ssm::Client, found: &ParameterMetadata) -> String {
    let name = found.name().expect("a name");
    let tags = ssm.list_tags_for_resource().resource_type(ResourceTypeForTagging::Parameter).resource_id(name);
    let tags = tags.send().await.expect("tags");
    let mut tags: Vec<_> = tags.tag_list().iter().map(|tag| format!("{tag:?}")).collect();
    tags.sort();
    format!("{found:?} {tags:?}")
}

async fn key_values(world: &World) -> Whole {
    let azure = AppConfigurationClient::from_connection_string(&world.emulator.connection_string(), None);
    let azure = azure.expect("a client");
    let everything = KeyValueSelector::new(KeyFilter::Any, LabelFilter::Any);
    let items = azure.list_key_values(&everything, None).expect("a selector").collect_all().await.expect("a listing");
    let revisions =
        azure.list_revisions(&everything, None).expect("a selector").collect_all().await.expect("a listing");
    let mut whole = Whole::new();
    let at = |key: &str, label: &Option<String>| format!("azure {key} {label:?}");
    for item in &items {
        whole.insert(at(&item.key, &item.label), format!("{item:?}\n"));
    }
    for revision in &revisions {
        // Revisions of what is gone are there too.
        *whole.entry(at(&revision.key, &revision.label)).or_default() += &format!("{revision:?}\n");
    }
    whole
}
