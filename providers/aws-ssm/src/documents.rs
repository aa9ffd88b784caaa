//! The ledger's documents: parameters of type String below the ledger's prefix.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_ssm::types::{ParameterTier, ParameterType};
use repin_provider::{
    Document, DocumentName, Documents, Error, ErrorKind, Item, Outcome, ReadDocuments, Result, Secret, Version,
    WriteDocument,
};

use crate::connect::{MAX_DOCUMENT, Ssm};
use crate::convert;
use crate::count::StoreClock;
use crate::error::Call;
use crate::observe::Answer;
use crate::pace::Category;

impl Ssm {
    pub(crate) async fn find_documents(&self, request: ReadDocuments) -> Result<Documents> {
        let clock = StoreClock::default();
        let (items, all) = match request {
            ReadDocuments::Named { names, .. } => (self.named_documents(names, &clock).await?, false),
            ReadDocuments::All => (self.all_documents(&clock).await?, true),
        };
        let found = items.into_iter().map(|(path, item)| self.document(path, item)).collect::<Result<_>>()?;
        Ok(Documents { found, all, at: clock.earliest(), resume: None })
    }

    async fn named_documents(&self, names: Vec<DocumentName>, clock: &StoreClock) -> Result<HashMap<String, Item>> {
        let paths: BTreeSet<String> = names.iter().map(|name| self.document_path(name)).collect();
        let mut answer = Answer::default();
        self.ask(&mut answer, paths.iter(), clock).await?;
        Ok(answer.found)
    }

    async fn all_documents(&self, clock: &StoreClock) -> Result<HashMap<String, Item>> {
        let listed = self.client.list(&self.ledger, clock).await?;
        let understand = |parameter| self.understand("GetParametersByPath", parameter, convert::item);
        listed.into_iter().map(understand).collect()
    }

    fn document(&self, path: String, item: Item) -> Result<(DocumentName, Document)> {
        let name = path.strip_prefix(&self.ledger).and_then(|rest| rest.strip_prefix('/'));
        match (name, item.value) {
            (Some(name), Some(body)) => Ok((DocumentName::new(name), Document { body, version: item.version })),
            _ => {
                let message = "it lies in the ledger and is no document of ours";
                Err(self.client.call("GetParameters", None, &path).error(ErrorKind::Unexpected, message))
            }
        }
    }

    pub(crate) async fn secret_documents(&self, names: &[DocumentName]) -> Result<Vec<Option<Secret>>> {
        Ok(names.iter().map(|_| None).collect())
    }

    fn document_path(&self, name: &DocumentName) -> String {
        convert::join(&self.ledger, name.as_str())
    }

    pub(crate) async fn put_document(&self, write: &WriteDocument) -> Result<Option<Version>> {
        match write {
            WriteDocument::Create { name, body } => {
                let version = self.send_document(name, body, false).await?;
                Ok(Some(convert::version(version, None)))
            }
            WriteDocument::Replace { name, body, expected } => {
                self.replace_document(name, body, expected).await.map(Some)
            }
            WriteDocument::CreateSecret { name, .. } => {
                let path = self.document_path(name);
                let call = self.client.call("PutParameter", None, &path);
                Err(call.error(ErrorKind::Refused, "secret documents are not kept yet"))
            }
            WriteDocument::Delete { name } => {
                self.delete_document(name).await?;
                Ok(None)
            }
        }
    }

    async fn replace_document(&self, name: &DocumentName, body: &str, expected: &Version) -> Result<Version> {
        let got = self.send_document(name, body, true).await?;
        if convert::number(expected).is_some_and(|number| number + 1 == got) {
            return Ok(convert::version(got, None));
        }
        let path = self.document_path(name);
        let message = format!("expected to replace version {expected}, but the write became version {got}");
        let conflict = self.client.call("PutParameter", None, &path).error(ErrorKind::Conflict, message);
        // It was written: a reader now meets it, so it is not for the caller to count as never done.
        Err(conflict.with_outcome(Outcome::Unknown))
    }

    async fn send_document(&self, name: &DocumentName, body: &str, overwrite: bool) -> Result<i64> {
        let path = self.document_path(name);
        let call = Call { writes: true, value: Some(body), ..self.client.call("PutParameter", None, &path) };
        check_body(&call, body)?;
        self.client.turn(Category::Put).await;
        let answer = self
            .client
            .writes()
            .put_parameter()
            .name(&path)
            .value(body)
            .r#type(ParameterType::String)
            .tier(ParameterTier::Standard)
            .overwrite(overwrite)
            .send()
            .await
            .map_err(|error| call.failed(error))?;
        self.memory.put(&path, answer.version, false, None);
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
