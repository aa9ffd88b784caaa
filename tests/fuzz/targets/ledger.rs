//! The ledger: every kind of document, as a store answers it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jiff::Timestamp;
use repin::history::{Source, releases, versions};
use repin::model::release::CopyName;
use repin::record::copies;
use repin::record::ledger::{KnownDocuments, load, remembered};
use repin_provider::{
    AnswerCounts, Applied, Capabilities, Document, DocumentName, Documents, Error, ErrorKind, Frozen, Identity, Key,
    Needs, Observation, Observe, Owner, Place, Provider, ReadDocuments, ReadRequest, ReadValue, RequestCounts, Result,
    Revision, Secret, Serving, TargetName, Version, Write, WriteDocument,
};
use serde_json::Value;

use super::{SEPARATOR, block_on, text};

/// Members that hold packed JSON. Where one holds an object instead, it is packed here: no fuzzer learns to deflate.
const PACKED: [&str; 3] = ["intent", "done", "state"];

/// Reads a ledger whose documents are the parts of the input, each with its name on a line of its own before it. The same
/// is read again as a host does that knows it, and what was understood is looked at in every way.
pub(crate) fn ledger(bytes: &[u8]) -> bool {
    let text = text(bytes);
    let version = Version::new("1", Timestamp::from_second(1_790_000_000).ok());
    let documents = text.split(SEPARATOR).take(40).filter_map(|part| part.trim_start().split_once('\n'));
    let documents: BTreeMap<_, _> = documents
        .map(|(name, body)| (DocumentName::new(name), Document { body: packed(body), version: version.clone() }))
        .collect();
    let store = Store::new(documents);
    block_on(read(&store))
}

async fn read(store: &Store) -> bool {
    let owner = Owner::parse("test").expect("valid");
    let mut known = KnownDocuments::default();
    let names = store.documents.keys().filter_map(|name| name.as_str().strip_prefix("copy/")?.strip_suffix("-0"));
    let names = names.filter_map(|name| serde_json::from_value::<CopyName>(name.into()).ok()).collect();
    let _ = copies::read(store, &names).await.map_err(|error| error.to_string());
    let loaded = match load(store, &owner, &mut known).await {
        Ok(loaded) => loaded,
        Err(error) => return error.to_string().is_empty(),
    };
    let again = load(store, &owner, &mut known).await.expect("what is understood once is understood again");
    assert_eq!(again.ledger.last_seq(), loaded.ledger.last_seq());
    assert!(remembered(&owner, &known).is_some());
    let target = TargetName::parse("aws").expect("valid");
    let source = Source { target: &target, ledger: &loaded.ledger, capabilities: &store.capabilities };
    let now = Timestamp::from_second(1_795_000_000).expect("in range");
    let listed = releases(&[source], now);
    let _ = repin::report::text::history("test", &listed, 80);
    let _ = repin::report::json::history(&listed);
    for key in loaded.ledger.known_keys().iter().take(3) {
        let versions =
            versions(&Source { target: &target, ledger: &loaded.ledger, capabilities: &store.capabilities }, key, now);
        let _ = repin::report::text::key_history(key.as_str(), &[versions], 80);
    }
    for release in listed.iter().take(3) {
        let _ = loaded.ledger.at(release.number);
        let _ = loaded.ledger.effective(release.number);
        let _ = repin::report::text::release("test", release, 80);
    }
    let _ = loaded.ledger.up_to(loaded.ledger.last_seq() / 2);
    let _ = (loaded.ledger.highest_release(), loaded.ledger.newest_release());
    !listed.is_empty()
}

fn packed(body: &str) -> String {
    let Ok(Value::Object(mut document)) = serde_json::from_str::<Value>(body) else { return body.to_owned() };
    for name in PACKED {
        if let Some(member @ Value::Object(_)) = document.get_mut(name) {
            let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
            deflate.write_all(member.to_string().as_bytes()).expect("memory takes all");
            *member = STANDARD_NO_PAD.encode(deflate.finish().expect("memory takes all")).into();
        }
    }
    Value::Object(document).to_string()
}

/// A store that holds documents and nothing else.
#[derive(Debug)]
struct Store {
    place: Place,
    capabilities: Capabilities,
    documents: BTreeMap<DocumentName, Document>,
}

impl Store {
    fn new(documents: BTreeMap<DocumentName, Document>) -> Self {
        let capabilities = Capabilities {
            provider: "aws-ssm",
            serving: Serving::AtOnce,
            serve: "latest".to_owned(),
            compare_and_swap: false,
            secrets: true,
            content_types: false,
            describes: false,
            dates_on_write: false,
            read_batch: 10,
            page: 10,
            max_document: 4096,
            versions_kept: Some(100),
            versions_kept_for: Some(Duration::from_secs(7 * 86_400)),
            parallel_writes: 1,
            rates: None,
            settle: Duration::from_secs(1),
            read_lag: Duration::ZERO,
        };
        Self { place: Place::parse("nowhere").expect("valid"), capabilities, documents }
    }
}

fn nothing<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Unexpected, "look", "there is nothing but documents"))
}

#[async_trait]
impl Provider for Store {
    fn place(&self) -> &Place {
        &self.place
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
    fn endpoint(&self) -> String {
        "nowhere".to_owned()
    }
    fn native_name(&self, key: &Key) -> String {
        key.to_string()
    }
    async fn preflight(&self, _: Needs) -> Result<Identity> {
        nothing()
    }
    async fn observe(&self, _: Observe) -> Result<Observation> {
        nothing()
    }
    async fn read(&self, _: &[ReadRequest]) -> Result<Vec<Option<ReadValue>>> {
        nothing()
    }
    async fn owners(&self, _: &[Key]) -> Result<Vec<Option<String>>> {
        nothing()
    }
    async fn history(&self, _: &Key) -> Result<Vec<Revision>> {
        nothing()
    }
    async fn apply(&self, _: &Write) -> Result<Applied> {
        nothing()
    }
    async fn read_documents(&self, request: ReadDocuments) -> Result<Documents> {
        let (found, all) = match request {
            ReadDocuments::All | ReadDocuments::Of(_) => (self.documents.clone(), true),
            ReadDocuments::Named { names, .. } => {
                let named = names.into_iter().filter_map(|name| self.documents.get_key_value(&name));
                (named.map(|(name, document)| (name.clone(), document.clone())).collect(), false)
            }
        };
        Ok(Documents { found, all, at: None, resume: None })
    }
    async fn read_secret_documents(&self, names: &[DocumentName]) -> Result<Vec<Option<Secret>>> {
        let body = |name| self.documents.get(name).map(|document| Secret::new(document.body.clone()));
        Ok(names.iter().map(body).collect())
    }
    async fn freeze(&self, _: &str) -> Result<Frozen> {
        nothing()
    }
    async fn read_frozen(&self, _: &str) -> Result<Option<Frozen>> {
        nothing()
    }
    async fn serve_frozen(&self, _: &str, _: Option<&Version>) -> Result<Applied> {
        nothing()
    }
    async fn withdraw_frozen(&self, _: &Version) -> Result<()> {
        nothing()
    }
    async fn retire_frozen(&self, _: &str) -> Result<()> {
        nothing()
    }
    async fn write_document(&self, _: &WriteDocument) -> Result<Option<Version>> {
        nothing()
    }
    fn requests(&self) -> RequestCounts {
        RequestCounts::new()
    }
    fn answers(&self) -> AnswerCounts {
        AnswerCounts::new()
    }
}
