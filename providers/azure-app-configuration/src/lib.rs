#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may fail by panicking"))]

mod apply;
mod audit;
mod client;
mod config;
mod connect;
mod convert;
mod count;
mod credential;
mod documents;
mod error;
mod examine;
mod history;
mod names;
mod observe;
mod pace;
mod served;
mod snapshot;
mod survey;
mod transport;

use async_trait::async_trait;
use repin_provider::{
    AnswerCounts, Applied, Capabilities, DocumentName, Documents, Frozen, Identity, Key, Needs, Observation, Observe,
    Owner, Pace, Place, Provider, ReadDocuments, ReadRequest, ReadValue, RequestCounts, Result, Revision, Secret,
    Version, Write, WriteDocument,
};

pub use audit::{audit, audit_settings, audit_total, size};
pub use config::*;
pub use connect::{Options, connect};
pub use examine::{Looked, SignedIn};

/// One target in an App Configuration store.
#[derive(Debug)]
pub struct AppConfiguration {
    store: client::Store,
    /// What gives access tokens; `None` with a connection string.
    chain: Option<std::sync::Arc<credential::Chain>>,
    names: names::Names,
    owner: Owner,
    place: Place,
    capabilities: Capabilities,
}

#[async_trait]
impl Provider for AppConfiguration {
    fn place(&self) -> &Place {
        &self.place
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn endpoint(&self) -> String {
        self.store.context.endpoint.clone()
    }

    fn native_name(&self, key: &Key) -> String {
        self.names.native(key)
    }

    /// Sends nothing: the endpoint is the account, and there is no key of ours to check.
    async fn preflight(&self, _needs: Needs) -> Result<Identity> {
        Ok(Identity { account: None, principal: None })
    }

    async fn observe(&self, request: Observe) -> Result<Observation> {
        self.look(request).await
    }

    async fn read(&self, requests: &[ReadRequest]) -> Result<Vec<Option<ReadValue>>> {
        self.values(requests).await
    }

    async fn owners(&self, keys: &[Key]) -> Result<Vec<Option<String>>> {
        self.owners_of(keys).await
    }

    async fn history(&self, key: &Key) -> Result<Vec<Revision>> {
        self.revisions(key).await
    }

    async fn apply(&self, write: &Write) -> Result<Applied> {
        self.write(write).await
    }

    async fn read_documents(&self, request: ReadDocuments) -> Result<Documents> {
        self.ledger(request).await
    }

    /// Refused: App Configuration keeps no secrets.
    async fn read_secret_documents(&self, _names: &[DocumentName]) -> Result<Vec<Option<Secret>>> {
        Err(documents::no_secrets())
    }

    async fn freeze(&self, name: &str) -> Result<Frozen> {
        self.make_snapshot(name).await
    }

    async fn read_frozen(&self, name: &str) -> Result<Option<Frozen>> {
        self.read_snapshot(name).await
    }

    async fn serve_frozen(&self, name: &str, from: Option<&Version>) -> Result<Applied> {
        self.refer_to(name, from).await
    }

    async fn withdraw_frozen(&self, from: &Version) -> Result<()> {
        self.refer_to_none(from).await
    }

    async fn retire_frozen(&self, name: &str) -> Result<()> {
        self.archive(name).await
    }

    async fn write_document(&self, write: &WriteDocument) -> Result<Option<Version>> {
        self.record(write).await
    }

    fn requests(&self) -> RequestCounts {
        self.store.counter.requests()
    }

    fn throttles(&self) -> RequestCounts {
        self.store.counter.throttles()
    }

    fn pace(&self) -> Option<Pace> {
        self.store.pace.as_ref().map(|pace| pace.standing())
    }

    fn answers(&self) -> AnswerCounts {
        self.store.counter.answers()
    }
}

#[cfg(test)]
mod tests {
    use crate::Config;

    /// A target without prefix or label.
    pub(crate) fn config(endpoint: &str) -> Config {
        serde_json::from_value(serde_json::json!({ "endpoint": endpoint })).unwrap()
    }
}
