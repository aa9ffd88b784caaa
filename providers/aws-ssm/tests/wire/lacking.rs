//! Successes that lack what makes them one: what they leave out is neither missing nor done.

use repin_provider::{
    DocumentName, ErrorKind, Observe, Outcome, Provider, ReadDocuments, ReadRequest, Version, WriteDocument,
};
use serde_json::json;

use crate::script::{Script, ok};
use crate::{create, found, key, parameter, plain};

#[tokio::test]
async fn a_document_that_is_not_answered_is_not_missing() {
    let names = || vec![DocumentName::new("head"), DocumentName::new("r/1")];
    let head = parameter("/repin/assistant-prod/t1/head", 3, "String");
    for answer in [ok(json!({})), found(&[head])] {
        let target = Script::new([answer]).target().await;
        let read = target.read_documents(ReadDocuments::Named { names: names(), resume: None }).await;
        assert_eq!(read.unwrap_err().kind, ErrorKind::Unexpected);
    }
    let target = Script::new([ok(json!({}))]).target().await;
    assert_eq!(target.read_documents(ReadDocuments::All).await.unwrap_err().kind, ErrorKind::Unexpected);
    let target = Script::new([ok(json!({}))]).target().await;
    assert_eq!(target.read_secret_documents(&names()).await.unwrap_err().kind, ErrorKind::Unexpected);
}

#[tokio::test]
async fn a_value_or_a_listing_that_is_not_answered_is_not_missing() {
    let target = Script::new([ok(json!({}))]).target().await;
    let read = target.read(&[ReadRequest { key: key("chat/config"), version: None }]).await;
    assert_eq!(read.unwrap_err().kind, ErrorKind::Unexpected);
    let target = Script::new([ok(json!({ "NextToken": "n" }))]).target().await;
    let census = target.observe(Observe { keys: vec![key("chat/config")], census: true, ..Observe::default() }).await;
    assert_eq!(census.unwrap_err().kind, ErrorKind::Unexpected);
}

#[tokio::test]
async fn a_put_without_a_version_may_have_been_done() {
    let target = Script::new([ok(json!({}))]).target().await;
    let error = target.apply(&create(plain())).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::Unexpected, Outcome::Unknown));
    let (name, body) = (DocumentName::new("r/1"), "{}".to_owned());
    let expected = Version::new("7", None);
    for document in [
        WriteDocument::Create { name: name.clone(), body: body.clone() },
        WriteDocument::Replace { name, body, expected },
    ] {
        let target = Script::new([ok(json!({}))]).target().await;
        let error = target.write_document(&document).await.unwrap_err();
        assert_eq!((error.kind, error.outcome), (ErrorKind::Unexpected, Outcome::Unknown));
    }
}
