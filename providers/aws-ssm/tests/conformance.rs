//! The suite that every provider runs, against the in-tree emulator.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what is wanted")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use repin_aws_ssm::{Config, Options, Serve, Ssm, connect};
use repin_emulator::{Emulator, KmsKey};
use repin_provider::conformance::{self, Arena, Setup};
use repin_provider::{Owner, Secret};
use serde_json::json;

const REGION: &str = "eu-west-1";
const KEY: &str = "alias/ai-config";

struct Emulated {
    emulator: Emulator,
    serve: Serve,
    /// How far reads lag behind writes.
    lag: Duration,
}

impl Emulated {
    async fn start(lag: Duration, serve: Serve) -> Self {
        let defaults = repin_emulator::Options::default();
        let kms_keys = vec![KmsKey { account: defaults.account.clone(), region: REGION.into(), key: KEY.into() }];
        let ssm_read_lag = Some(lag).filter(|lag| !lag.is_zero());
        let options = repin_emulator::Options { kms_keys, ssm_read_lag, ..defaults };
        Self { emulator: Emulator::start(options).await.unwrap(), serve, lag }
    }

    /// Connects a host of an owner to a prefix of the case's own.
    async fn host(&self, case: &str, owner: &Owner) -> Ssm {
        let config: Config = serde_json::from_value(json!({
            "account": self.emulator.account(),
            "region": REGION,
            "prefix": format!("/conformance/{case}"),
            "ledger_prefix": format!("/ledger/{case}"),
            "kms_key": KEY,
            "serve": self.serve,
            "endpoint_url": self.emulator.aws_endpoint(),
        }))
        .unwrap();
        let mut options = Options::new(owner.clone(), "t1");
        options.read_lag = Some(self.lag * 4);
        let secret = Secret::new(self.emulator.secret_access_key().to_owned());
        options.credentials = Some((self.emulator.access_key_id(), secret));
        connect(&config, options).await.unwrap()
    }
}

#[async_trait]
impl Setup for Emulated {
    async fn open(&self, case: &str) -> Result<Arena, String> {
        let (owner, other) = (Owner::parse("assistant").unwrap(), Owner::parse("stranger").unwrap());
        let provider = Arc::new(self.host(case, &owner).await);
        let peer = Arc::new(self.host(case, &owner).await);
        let stranger = Arc::new(self.host(case, &other).await);
        Ok(Arena::new(provider, peer, stranger, owner))
    }

    fn patience(&self) -> Duration {
        self.lag * 10
    }
}

fn by_label() -> Serve {
    Serve::Label("live".into())
}

async fn keeps_its_promises(lag: Duration, serve: Serve) {
    conformance::run(&Emulated::start(lag, serve).await).await.assert();
}

#[tokio::test]
async fn keeps_every_promise_of_a_provider() {
    keeps_its_promises(Duration::ZERO, Serve::Latest).await;
}

#[tokio::test]
async fn keeps_them_where_reads_lag() {
    keeps_its_promises(Duration::from_millis(40), Serve::Latest).await;
}

#[tokio::test]
async fn keeps_them_where_a_label_is_served() {
    keeps_its_promises(Duration::ZERO, by_label()).await;
}

#[tokio::test]
async fn keeps_them_where_a_label_is_served_and_reads_lag() {
    keeps_its_promises(Duration::from_millis(40), by_label()).await;
}

#[tokio::test]
async fn its_counts_are_the_stores_counts() {
    let setup = Emulated::start(Duration::ZERO, Serve::Latest).await;
    let arena = setup.open("counts").await.unwrap();
    arena
        .provider
        .preflight(repin_provider::Needs { encrypt: true, ..repin_provider::Needs::default() })
        .await
        .unwrap();
    let counted: u64 = arena.provider.requests().values().sum();
    assert_eq!(counted, 2);
    let mut theirs: Vec<String> = setup.emulator.counters().calls().iter().map(|call| call.operation.clone()).collect();
    theirs.sort();
    assert_eq!(theirs, arena.provider.requests().into_keys().collect::<Vec<_>>());
}
