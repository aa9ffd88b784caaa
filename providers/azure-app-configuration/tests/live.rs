//! The suite that every provider runs, against a live App Configuration store.
//!
//! `tests/run live` runs it and names the variables. Every case has a prefix of its own below `repin-live/<run>/`. When
//! the suite is over, also after a failure, everything below it is deleted, and so are the ledgers of the run's owners;
//! the store keeps what was deleted in its revisions for as long as its tier says.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what is wanted")]
#![expect(clippy::print_stdout, reason = "the report is read by whoever started the run")]

use std::collections::hash_map::RandomState;
use std::env;
use std::hash::{BuildHasher, Hasher};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_data_app_configuration::{
    AppConfigurationClient, DeleteKeyValueOptions, KeyFilter, KeyValueSelector, LabelFilter,
};
use futures::FutureExt;
use repin_azure_app_configuration::{Config, Options, connect};
use repin_provider::conformance::{self, Arena, Setup};
use repin_provider::{Owner, Provider, Secret};
use serde_json::json;

/// The connection string of a store whose data may be read and written.
const CONNECTION: &str = "REPIN_LIVE_AZURE_CONNECTION";
/// The root of what this suite writes; anything else in the store is left alone.
const ROOT: &str = "repin-live";
/// How long a host may wait to see what another wrote; the service promises no bound.
const PATIENCE: Duration = Duration::from_secs(10);

struct Live {
    connection: String,
    endpoint: String,
    /// Sets this run apart from others on the same store: 16 hexadecimal digits.
    run: String,
}

impl Live {
    fn new() -> Self {
        let connection = env::var(CONNECTION).unwrap_or_else(|_| panic!("{CONNECTION} is not set"));
        let endpoint = connection.split(';').find_map(|part| part.strip_prefix("Endpoint="));
        let endpoint = endpoint.unwrap_or_else(|| panic!("{CONNECTION} names no endpoint")).to_owned();
        let run = format!("{:016x}", RandomState::new().build_hasher().finish());
        Self { connection, endpoint, run }
    }

    /// Returns an owner of this run alone, whose ledger nobody else has.
    fn owner(&self, role: &str) -> Owner {
        Owner::parse(&format!("{ROOT}-{role}-{}", self.run)).unwrap()
    }

    fn host(&self, case: &str, owner: &Owner) -> Result<Arc<dyn Provider>, String> {
        let settings = json!({
            "endpoint": self.endpoint,
            "prefix": format!("{ROOT}/{}/{case}", self.run),
            "label": ROOT,
        });
        let config: Config = serde_json::from_value(settings).map_err(|error| error.to_string())?;
        let connection_string = Some(Secret::new(self.connection.clone()));
        let options = Options { connection_string, ..Options::new(owner.clone(), case) };
        connect(&config, options).map(|provider| Arc::new(provider) as _).map_err(|error| error.to_string())
    }

    /// Deletes everything below the places of this run and returns how many key-values that were.
    async fn clean(&self) -> usize {
        let client = AppConfigurationClient::from_connection_string(&self.connection, None).unwrap();
        let data = format!("{ROOT}/{}/", self.run);
        let ledgers = ["suite", "stranger"].map(|role| format!(".repin/{}/", self.owner(role)));
        let mut deleted = 0;
        for prefix in [data].into_iter().chain(ledgers) {
            let selector = KeyValueSelector::new(KeyFilter::Prefix(prefix), LabelFilter::Any);
            for item in client.list_key_values(&selector, None).unwrap().collect_all().await.unwrap() {
                let options = DeleteKeyValueOptions { label: item.label, ..Default::default() };
                client.delete_key_value(&item.key, Some(options)).await.unwrap();
                deleted += 1;
            }
        }
        deleted
    }
}

#[async_trait]
impl Setup for Live {
    async fn open(&self, case: &str) -> Result<Arena, String> {
        let (owner, other) = (self.owner("suite"), self.owner("stranger"));
        let (provider, peer) = (self.host(case, &owner)?, self.host(case, &owner)?);
        Ok(Arena::new(provider, peer, self.host(case, &other)?, owner))
    }

    fn odd_keys(&self) -> Vec<String> {
        ["sp ace", "a*b", "a,b", "a\\b", "a+b", "q?x=1&y#z", "ü/世界/🚀", "a=b|c^d`e~"].map(str::to_owned).to_vec()
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }
}

#[tokio::test]
#[ignore = "needs a live store: tests/run live"]
async fn live_azure() {
    let live = Live::new();
    println!("everything is below {ROOT}/{} of {}", live.run, live.endpoint);
    let outcome = AssertUnwindSafe(conformance::run(&live)).catch_unwind().await;
    println!("deleted {} key-values", live.clean().await);
    let report = outcome.unwrap_or_else(|panic| resume_unwind(panic));
    println!("{report}");
    report.assert();
}
