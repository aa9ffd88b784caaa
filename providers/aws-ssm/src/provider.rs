//! The contract's trait, for this store.

use async_trait::async_trait;
use repin_provider::{
    Applied, Capabilities, Documents, Identity, Key, Needs, Observation, Observe, Place, Provider, ReadDocuments,
    ReadRequest, ReadValue, RequestCounts, Result, Revision, Version, Write, WriteDocument,
};

use crate::Ssm;

#[async_trait]
impl Provider for Ssm {
    fn place(&self) -> &Place {
        &self.place
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn endpoint(&self) -> String {
        self.client.endpoints().ssm.clone()
    }

    fn native_name(&self, key: &Key) -> String {
        self.name_of(key)
    }

    async fn preflight(&self, needs: Needs) -> Result<Identity> {
        self.check(needs).await
    }

    async fn observe(&self, request: Observe) -> Result<Observation> {
        self.observe_keys(request).await
    }

    async fn read(&self, requests: &[ReadRequest]) -> Result<Vec<Option<ReadValue>>> {
        self.read_values(requests).await
    }

    async fn owners(&self, keys: &[Key]) -> Result<Vec<Option<String>>> {
        self.owner_tags(keys).await
    }

    async fn history(&self, key: &Key) -> Result<Vec<Revision>> {
        self.past_versions(key).await
    }

    async fn apply(&self, write: &Write) -> Result<Applied> {
        self.apply_write(write).await
    }

    async fn read_documents(&self, request: ReadDocuments) -> Result<Documents> {
        self.find_documents(request).await
    }

    async fn write_document(&self, write: &WriteDocument) -> Result<Option<Version>> {
        self.put_document(write).await
    }

    fn requests(&self) -> RequestCounts {
        self.client.counts().snapshot()
    }
}
