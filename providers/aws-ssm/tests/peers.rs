//! The suite that every provider runs, against emulators that other people wrote and against a live account.
//!
//! The emulators are programs of their own, so these tests run only where somebody started one: `tests/run` does, and
//! says where it listens. What such a program gets wrong about the service is a deviation with its reason.
//!
//! `tests/run live` runs the suite against an account, signed in by the usual AWS credential chain. Every case has a
//! path of its own below `/repin-live/<run>`, which is deleted when the suite is over, also after a failure.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what is wanted")]
#![expect(clippy::print_stdout, reason = "the report is counted by whoever started the peer")]

use std::collections::hash_map::RandomState;
use std::env;
use std::hash::{BuildHasher, Hasher};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_sdk_kms::types::KeyUsageType;
use futures::FutureExt;
use repin_aws_ssm::{Config, Options, Serve, Ssm, connect};
use repin_provider::conformance::{self, Arena, Deviation, Setup};
use repin_provider::{Owner, Secret};
use serde_json::json;

const REGION: &str = "eu-west-1";
const KEY: &str = "alias/repin-conformance";
/// Where the peer listens.
const ENDPOINT: &str = "REPIN_PEER_ENDPOINT";
/// The account that the peer says its callers are of.
const ACCOUNT: &str = "REPIN_PEER_ACCOUNT";
/// Peers look at neither.
const CREDENTIALS: (&str, &str) = ("AKIAPEER000000000000", "peer");

struct Peer {
    endpoint: String,
    account: String,
    /// Sets this run apart from earlier ones against the same process.
    run: u64,
    serve: Serve,
    deviations: Vec<Deviation>,
}

impl Peer {
    async fn connect(serve: Serve, deviations: Vec<Deviation>) -> Self {
        let named = |name: &str| env::var(name).unwrap_or_else(|_| panic!("{name} is not set: tests/run sets it"));
        let run = RandomState::new().build_hasher().finish();
        let peer = Self { endpoint: named(ENDPOINT), account: named(ACCOUNT), run, serve, deviations };
        peer.ensure_key().await;
        peer
    }

    /// Makes the key of the suite, unless an earlier run did.
    async fn ensure_key(&self) {
        let credentials = Credentials::new(CREDENTIALS.0, CREDENTIALS.1, None, None, "an administrator");
        let config = aws_sdk_kms::Config::builder()
            .behavior_version(aws_config::BehaviorVersion::v2026_01_12())
            .region(aws_config::Region::new(REGION))
            .endpoint_url(&self.endpoint)
            .credentials_provider(credentials)
            .build();
        let kms = aws_sdk_kms::Client::from_conf(config);
        if kms.describe_key().key_id(KEY).send().await.is_err() {
            // Said although it is the default: moto describes only what was said.
            let create = kms.create_key().key_usage(KeyUsageType::EncryptDecrypt);
            let key = create.send().await.unwrap().key_metadata.unwrap();
            kms.create_alias().alias_name(KEY).target_key_id(key.key_id).send().await.unwrap();
        }
    }

    async fn host(&self, case: &str, owner: &Owner) -> Result<Ssm, String> {
        let config: Config = serde_json::from_value(json!({
            "account": self.account,
            "region": REGION,
            "prefix": format!("/conformance/{:x}/{case}", self.run),
            "ledger_prefix": format!("/ledger/{:x}/{case}", self.run),
            "kms_key": KEY,
            "serve": self.serve,
            "endpoint_url": self.endpoint,
        }))
        .unwrap();
        let mut options = Options::new(owner.clone(), "t1");
        options.credentials = Some((CREDENTIALS.0.to_owned(), Secret::new(CREDENTIALS.1.to_owned())));
        connect(&config, options).await.map_err(|error| error.to_string())
    }
}

#[async_trait]
impl Setup for Peer {
    async fn open(&self, case: &str) -> Result<Arena, String> {
        let (owner, other) = (Owner::parse("assistant").unwrap(), Owner::parse("stranger").unwrap());
        let provider = Arc::new(self.host(case, &owner).await?);
        let peer = Arc::new(self.host(case, &owner).await?);
        let stranger = Arc::new(self.host(case, &other).await?);
        Ok(Arena::new(provider, peer, stranger, owner))
    }

    fn deviations(&self) -> Vec<Deviation> {
        self.deviations.clone()
    }
}

fn by_label() -> Serve {
    Serve::Label("live".into())
}

async fn run(serve: Serve, deviations: Vec<Deviation>) {
    let report = conformance::run(&Peer::connect(serve, deviations).await).await;
    println!("{report}");
    report.assert();
}

#[tokio::test]
#[ignore = "needs a moto server: tests/run interop starts one"]
async fn moto() {
    run(Serve::Latest, Vec::new()).await;
    run(by_label(), Vec::new()).await;
}

#[tokio::test]
#[ignore = "needs ministack: tests/run interop starts one"]
async fn ministack() {
    let reason = "ministack knows no UnlabelParameterVersion";
    let cases = ["a_withdrawn_item_is_hidden_and_kept", "withdrawing_what_is_not_served_changes_nothing"];
    run(Serve::Latest, Vec::new()).await;
    run(by_label(), cases.map(|case| Deviation { case, reason }).into()).await;
}

/// The root of what the suite writes to a live account; anything else there is left alone.
const LIVE_ROOT: &str = "/repin-live";
/// How long reads of a live account may lag: a second or more was reported, nothing is promised.
const LIVE_PATIENCE: Duration = Duration::from_secs(20);
/// How many parameters one deletion takes.
const DELETIONS: usize = 10;

/// A live account, region and KMS key.
struct Live {
    account: String,
    region: String,
    kms_key: String,
    /// The path that is this run's alone.
    path: String,
}

impl Live {
    fn new() -> Self {
        let named = |name: &str| env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
        Self {
            account: named("REPIN_LIVE_AWS_ACCOUNT"),
            region: named("REPIN_LIVE_AWS_REGION"),
            kms_key: named("REPIN_LIVE_KMS_KEY"),
            path: format!("{LIVE_ROOT}/{:016x}", RandomState::new().build_hasher().finish()),
        }
    }

    async fn host(&self, case: &str, owner: &Owner) -> Result<Ssm, String> {
        let config: Config = serde_json::from_value(json!({
            "account": self.account,
            "region": self.region,
            "prefix": format!("{}/data/{case}", self.path),
            "ledger_prefix": format!("{}/ledger/{case}", self.path),
            "kms_key": self.kms_key,
        }))
        .unwrap();
        connect(&config, Options::new(owner.clone(), "t1")).await.map_err(|error| error.to_string())
    }

    /// Deletes everything below the path of this run and returns how many parameters that were.
    async fn clean(&self) -> usize {
        let config = aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12())
            .region(aws_config::Region::new(self.region.clone()))
            .http_client(repin_aws_ssm::http_client())
            // Thirty in a row exceed the quota of deletions, and what is left behind stays in somebody's account.
            .retry_config(aws_config::retry::RetryConfig::standard().with_max_attempts(10))
            .load()
            .await;
        let ssm = aws_sdk_ssm::Client::new(&config);
        let mut names = Vec::new();
        let mut pages = ssm.get_parameters_by_path().path(&self.path).recursive(true).into_paginator().send();
        while let Some(page) = pages.next().await {
            names.extend(page.unwrap().parameters.unwrap_or_default().into_iter().filter_map(|one| one.name));
        }
        for batch in names.chunks(DELETIONS) {
            ssm.delete_parameters().set_names(Some(batch.to_vec())).send().await.unwrap();
        }
        names.len()
    }
}

#[async_trait]
impl Setup for Live {
    async fn open(&self, case: &str) -> Result<Arena, String> {
        let (owner, other) = (Owner::parse("assistant").unwrap(), Owner::parse("stranger").unwrap());
        let provider = Arc::new(self.host(case, &owner).await?);
        let peer = Arc::new(self.host(case, &owner).await?);
        let stranger = Arc::new(self.host(case, &other).await?);
        Ok(Arena::new(provider, peer, stranger, owner))
    }

    fn patience(&self) -> Duration {
        LIVE_PATIENCE
    }
}

#[tokio::test]
#[ignore = "needs a live account: tests/run live"]
async fn live_aws() {
    let live = Live::new();
    println!("everything is below {} of account {} in {}", live.path, live.account, live.region);
    let outcome = AssertUnwindSafe(conformance::run(&live)).catch_unwind().await;
    println!("deleted {} parameters", live.clean().await);
    let report = outcome.unwrap_or_else(|panic| resume_unwind(panic));
    println!("{report}");
    report.assert();
}
