//! The ledger's documents: parameters below the ledger's prefix, of type String, or SecureString for those that keep a
//! secret.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_ssm::types::ParameterTier;
use repin_provider::{
    Document, DocumentName, Documents, Error, ErrorKind, Item, Outcome, Owner, ReadDocuments, Result, Secret, Version,
    WriteDocument,
};

use crate::apply::check_version;
use crate::connect::{MAX_DOCUMENT, Ssm};
use crate::convert::{self, BATCH, Pick};
use crate::count::StoreClock;
use crate::error::Call;
use crate::memory::Form;
use crate::observe::{Answer, Picks, UNNAMED};
use crate::pace::Category;

/// What a document holds.
#[derive(Debug, Clone, Copy)]
enum Body<'a> {
    Plain(&'a str),
    /// Kept as a SecureString under the target's key.
    Secret(&'a Secret),
}

impl Ssm {
    pub(crate) async fn find_documents(&self, request: ReadDocuments) -> Result<Documents> {
        let clock = StoreClock::default();
        let mut ledger = self.ledger.clone();
        let (items, all) = match request {
            ReadDocuments::Named { names, .. } => (self.named_documents(names, &clock).await?, false),
            ReadDocuments::All => (self.all_documents(&ledger, &clock).await?, true),
            ReadDocuments::Of(owner) => {
                ledger = self.ledger_of(&owner);
                (self.all_documents(&ledger, &clock).await?, true)
            }
        };
        // Kept secrets lie here too, and are no documents that a reader without the key could use.
        let plain = items.into_iter().filter(|(_, item)| !item.secret);
        let found = plain.map(|(path, item)| self.document(&ledger, path, item)).collect::<Result<_>>()?;
        Ok(Documents { found, all, at: clock.earliest(), resume: None })
    }

    async fn named_documents(&self, names: Vec<DocumentName>, clock: &StoreClock) -> Result<HashMap<String, Item>> {
        let paths: Picks = names.iter().map(|name| (self.document_path(name), Pick::Newest)).collect();
        let mut answer = Answer::default();
        self.ask(&mut answer, &paths, clock).await?;
        match paths.keys().find(|path| !answer.is_about(path)) {
            // A ledger that only looks empty would be begun anew.
            Some(path) => Err(self.client.call("GetParameters", None, path).error(ErrorKind::Unexpected, UNNAMED)),
            None => Ok(answer.found),
        }
    }

    async fn all_documents(&self, ledger: &str, clock: &StoreClock) -> Result<HashMap<String, Item>> {
        let listed = self.client.list(ledger, clock).await?;
        let understand = |parameter| self.understand("GetParametersByPath", parameter, convert::item);
        listed.into_iter().map(understand).collect()
    }

    /// Returns the path of another owner's ledger at the same place.
    fn ledger_of(&self, owner: &Owner) -> String {
        let target_id = self.ledger.rsplit('/').next().unwrap_or_default();
        convert::join(&convert::join(&self.config.ledger_prefix, owner.as_str()), target_id)
    }

    fn document(&self, ledger: &str, path: String, item: Item) -> Result<(DocumentName, Document)> {
        let name = path.strip_prefix(ledger).and_then(|rest| rest.strip_prefix('/'));
        match (name, item.value) {
            (Some(name), Some(body)) => Ok((DocumentName::new(name), Document { body, version: item.version })),
            _ => {
                let message = "it lies in the ledger and is no document of ours";
                Err(self.client.call("GetParameters", None, &path).error(ErrorKind::Unexpected, message))
            }
        }
    }

    pub(crate) async fn secret_documents(&self, names: &[DocumentName]) -> Result<Vec<Option<Secret>>> {
        let paths: Vec<String> = names.iter().map(|name| self.document_path(name)).collect();
        let mut found = HashMap::new();
        let mut open: BTreeSet<String> = paths.iter().cloned().collect();
        while !open.is_empty() {
            let wanted: Vec<String> = std::mem::take(&mut open).into_iter().collect();
            for batch in wanted.chunks(BATCH) {
                found.extend(self.read_secrets(batch).await?);
            }
            let version = |path: &String| found.get(path).map(|(version, _)| version);
            open = wanted.into_iter().filter(|path| self.memory.is_stale(path, version(path))).collect();
            if !open.is_empty() {
                found.retain(|path, _| !open.contains(path));
                tokio::time::sleep(self.memory.again()).await;
            }
        }
        Ok(paths.iter().map(|path| found.get(path).map(|(_, body)| body.clone())).collect())
    }

    /// Reads up to ten documents, decrypting them. One that cannot be decrypted fails the store's whole answer, so each
    /// is then read by itself to name it.
    async fn read_secrets(&self, paths: &[String]) -> Result<HashMap<String, (Version, Secret)>> {
        match self.read_secrets_together(paths).await {
            Err(error) if paths.len() > 1 && matches!(error.kind, ErrorKind::KeyUnusable | ErrorKind::Denied) => {
                tracing::debug!(%error, "reading one by one to find the document at fault");
                let mut found = HashMap::new();
                for path in paths {
                    found.extend(self.read_secrets_together(std::slice::from_ref(path)).await?);
                }
                Ok(found)
            }
            other => other,
        }
    }

    async fn read_secrets_together(&self, paths: &[String]) -> Result<HashMap<String, (Version, Secret)>> {
        let clock = StoreClock::default();
        let (parameters, missing) = self.client.get_parameters(paths.to_vec(), true, None, &clock).await?;
        self.check_named(paths.len(), parameters.len() + missing.len())?;
        let understand = |parameter| {
            let (path, read) = self.understand("GetParameters", parameter, convert::read_value)?;
            Ok((path, (read.version, read.value)))
        };
        parameters.into_iter().map(understand).collect()
    }

    fn document_path(&self, name: &DocumentName) -> String {
        convert::join(&self.ledger, name.as_str())
    }

    pub(crate) async fn put_document(&self, write: &WriteDocument) -> Result<Option<Version>> {
        match write {
            WriteDocument::Create { name, body } => {
                let version = self.send_document(name, Body::Plain(body), false).await?;
                Ok(Some(convert::version(version, None)))
            }
            WriteDocument::Replace { name, body, expected } => {
                self.replace_document(name, body, expected).await.map(Some)
            }
            WriteDocument::CreateSecret { name, body } => {
                let version = self.send_document(name, Body::Secret(body), false).await?;
                Ok(Some(convert::version(version, None)))
            }
            WriteDocument::Delete { name } => {
                self.delete_document(name).await?;
                Ok(None)
            }
        }
    }

    async fn replace_document(&self, name: &DocumentName, body: &str, expected: &Version) -> Result<Version> {
        let got = self.send_document(name, Body::Plain(body), true).await?;
        if convert::number(expected).is_some_and(|number| number + 1 == got) {
            return Ok(convert::version(got, None));
        }
        let path = self.document_path(name);
        let message = format!("expected to replace version {expected}, but the write became version {got}");
        let conflict = self.client.call("PutParameter", None, &path).error(ErrorKind::Conflict, message);
        // It was written: a reader now meets it, so it is not for the caller to count as never done.
        Err(conflict.with_outcome(Outcome::Unknown))
    }

    async fn send_document(&self, name: &DocumentName, body: Body<'_>, overwrite: bool) -> Result<i64> {
        let path = self.document_path(name);
        let (text, secret) = match body {
            Body::Plain(text) => (text, false),
            Body::Secret(secret) => (secret.expose(), true),
        };
        let call = Call { writes: true, value: Some(text), ..self.client.call("PutParameter", None, &path) };
        check_body(&call, text)?;
        let kms_key = if secret { Some(self.kms_key(&call)?) } else { None };
        self.client.turn(Category::Put).await;
        let form = if secret { Form::Secret } else { Form::String };
        let answer = self
            .client
            .writes()
            .put_parameter()
            .name(&path)
            .value(text)
            .r#type(convert::native_type(form))
            .set_key_id(kms_key)
            .tier(ParameterTier::Standard)
            .overwrite(overwrite)
            .send()
            .await
            .map_err(|error| call.failed(error))?;
        check_version(&call, answer.version)?;
        self.memory.put(&path, answer.version, form, None);
        Ok(answer.version)
    }

    async fn delete_document(&self, name: &DocumentName) -> Result<()> {
        let path = self.document_path(name);
        let call = Call { writes: true, ..self.client.call("DeleteParameter", None, &path) };
        self.client.turn(Category::Delete).await;
        let sent = self.client.writes().delete_parameter().name(&path).send().await;
        match sent.map_err(|error| call.failed(error)) {
            Err(error) if error.kind != ErrorKind::NotFound => Err(error),
            _ => {
                self.memory.deleted(&path, None);
                Ok(())
            }
        }
    }
}

/// Refuses what the store would refuse, and `{{`, which it takes for a reference.
fn check_body(call: &Call<'_>, body: &str) -> std::result::Result<(), Error> {
    let problem = if body.is_empty() {
        "a document must not be empty".to_owned()
    } else if body.len() > MAX_DOCUMENT {
        format!("the document has {} bytes, and the store takes {MAX_DOCUMENT}", body.len())
    } else if body.contains("{{") {
        "a document must not hold \"{{\", which the store takes for a reference".to_owned()
    } else {
        return Ok(());
    };
    Err(call.error(ErrorKind::Refused, problem))
}
