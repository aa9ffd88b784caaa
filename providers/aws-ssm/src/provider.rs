//! The contract's trait, for this store.

use async_trait::async_trait;
use repin_provider::{
    AnswerCounts, Applied, Capabilities, DocumentName, Documents, Error, ErrorKind, Frozen, Identity, Key, Needs,
    Observation, Observe, Pace, Place, Provider, ReadDocuments, ReadRequest, ReadValue, RequestCounts, Result,
    Revision, Secret, Version, Write, WriteDocument,
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

    async fn read_secret_documents(&self, names: &[DocumentName]) -> Result<Vec<Option<Secret>>> {
        self.secret_documents(names).await
    }

    /// Refused: parameters are served one by one.
    async fn freeze(&self, name: &str) -> Result<Frozen> {
        Err(self.not_together("freeze", name))
    }

    /// Refused: parameters are served one by one.
    async fn read_frozen(&self, name: &str) -> Result<Option<Frozen>> {
        Err(self.not_together("read_frozen", name))
    }

    /// Refused: parameters are served one by one.
    async fn serve_frozen(&self, name: &str, _from: Option<&Version>) -> Result<Applied> {
        Err(self.not_together("serve_frozen", name))
    }

    /// Refused: parameters are served one by one.
    async fn withdraw_frozen(&self, from: &Version) -> Result<()> {
        Err(self.not_together("withdraw_frozen", &from.id))
    }

    /// Refused: parameters are served one by one.
    async fn retire_frozen(&self, name: &str) -> Result<()> {
        Err(self.not_together("retire_frozen", name))
    }

    async fn write_document(&self, write: &WriteDocument) -> Result<Option<Version>> {
        self.put_document(write).await
    }

    fn requests(&self) -> RequestCounts {
        self.client.counts().requests()
    }

    fn throttles(&self) -> RequestCounts {
        self.client.counts().throttles()
    }

    fn pace(&self) -> Option<Pace> {
        self.client.pace().map(|pace| pace.standing())
    }

    fn answers(&self) -> AnswerCounts {
        self.client.counts().answers()
    }
}

impl Ssm {
    fn not_together(&self, operation: &'static str, name: &str) -> Error {
        let message = format!("parameters are served one by one, and there is no set {name:?} of them");
        Error::new(ErrorKind::Refused, operation, message)
    }
}
