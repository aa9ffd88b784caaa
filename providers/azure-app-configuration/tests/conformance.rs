//! The suite that every provider runs, against the in-tree emulator over loopback.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use repin_azure_app_configuration::{Config, Options, connect};
use repin_emulator::Emulator;
use repin_provider::conformance::{Arena, Setup, run};
use repin_provider::{Owner, Provider, Secret};
use serde_json::json;

/// How the place of a case looks.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// A prefix of its own in one store, under a label.
    Shared,
    /// A store of its own, without prefix or label.
    Whole,
    /// A prefix in one store, served as a snapshot.
    Frozen,
    /// A store of its own, without prefix or label, served as a snapshot.
    WholeFrozen,
}

struct Emulated {
    emulator: Emulator,
    shape: Shape,
    lag: Duration,
}

impl Emulated {
    fn provider(&self, case: &str, owner: &Owner) -> Result<Arc<dyn Provider>, String> {
        let (settings, store) = match self.shape {
            Shape::Shared => (json!({ "prefix": case, "label": "prod" }), "shared"),
            Shape::Whole => (json!({}), case),
            Shape::Frozen => {
                (json!({ "prefix": case, "label": "prod", "serve": { "snapshot": "served/release" } }), "shared")
            }
            Shape::WholeFrozen => (json!({ "serve": { "snapshot": "release" } }), case),
        };
        let mut settings = settings;
        settings["endpoint"] = self.emulator.azure_endpoint().into();
        let config: Config = serde_json::from_value(settings).map_err(|error| error.to_string())?;
        let options = Options {
            connection_string: Some(Secret::new(self.emulator.connection_string_of(store))),
            ..Options::new(owner.clone(), case)
        };
        connect(&config, options).map(|provider| Arc::new(provider) as _).map_err(|error| error.to_string())
    }
}

#[async_trait]
impl Setup for Emulated {
    async fn open(&self, case: &str) -> Result<Arena, String> {
        let [ours, theirs] = ["suite", "stranger"].map(|name| Owner::parse(name).unwrap());
        let (provider, peer) = (self.provider(case, &ours)?, self.provider(case, &ours)?);
        Ok(Arena::new(provider, peer, self.provider(case, &theirs)?, ours))
    }

    fn patience(&self) -> Duration {
        self.lag * 10
    }

    fn odd_keys(&self) -> Vec<String> {
        // `..` and `%` are what this store cannot hold; a key of dots and slashes would be read as a path.
        [
            "sp ace",
            "a*b",
            "a,b",
            "a\\b",
            "a+b",
            "q?x=1&y#z",
            "ü/世界/🚀",
            "semi;colon:'\"",
            "{curly}[square]",
            "a=b|c^d`e~",
        ]
        .map(str::to_owned)
        .to_vec()
    }
}

async fn conforms(shape: Shape, lag: Duration) {
    let stale_reads = (!lag.is_zero()).then_some(lag);
    let snapshot_provisioning = Duration::from_millis(20);
    let options = repin_emulator::Options { stale_reads, snapshot_provisioning, ..Default::default() };
    let setup = Emulated { emulator: Emulator::start(options).await.unwrap(), shape, lag };
    run(&setup).await.assert();
    setup.emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prefix_in_a_shared_store_conforms() {
    conforms(Shape::Shared, Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_store_conforms() {
    conforms(Shape::Whole, Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prefix_served_as_a_snapshot_conforms() {
    conforms(Shape::Frozen, Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_store_served_as_a_snapshot_conforms() {
    conforms(Shape::WholeFrozen, Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_in_a_store_whose_reads_lag_conforms() {
    conforms(Shape::Frozen, Duration::from_millis(150)).await;
}

/// Whoever wrote sends its sync token and reads its own writes; the other host waits for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_whose_reads_lag_conforms() {
    conforms(Shape::Shared, Duration::from_millis(150)).await;
}
