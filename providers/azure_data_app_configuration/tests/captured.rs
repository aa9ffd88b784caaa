//! Every operation once, for somebody who listens: `tests/run` compares what is sent with what the official Python client
//! sends for the same operations.
//!
//! Before each operation its name is posted to the listener, which stands in front of a store.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::env;
use std::io::{Read, Write};
use std::net::TcpStream;

use azure_core::time::OffsetDateTime;
use azure_data_app_configuration::{
    AppConfigurationClient, AppConfigurationClientOptions, Conditional, DeleteKeyValueOptions, Field,
    GetKeyValueOptions, KeyFilter, KeyValueContent, KeyValueSelector, LabelFilter, ListNamesOptions, LockOptions,
    PageOptions, Precondition, PutKeyValueOptions, SnapshotContent, SnapshotFilter, TagFilter, UpdateSnapshotOptions,
};
use futures::TryStreamExt;

/// Where the listener is, as a connection string.
const CONNECTION: &str = "REPIN_CAPTURE_CONNECTION";
const KEY: &str = "app/a:b c";

struct Session {
    client: AppConfigurationClient,
    /// Host and port of the listener.
    listener: String,
}

impl Session {
    fn open() -> Self {
        let text = env::var(CONNECTION).unwrap_or_else(|_| panic!("{CONNECTION} is not set: tests/run sets it"));
        let options = AppConfigurationClientOptions { api_version: "2026-04-01".to_owned(), ..Default::default() };
        let client = AppConfigurationClient::from_connection_string(&text, Some(options)).unwrap();
        let listener = client.endpoint().authority().to_owned();
        Self { client, listener }
    }

    /// Says which operation comes next.
    fn begin(&self, operation: &str) {
        let mut stream = TcpStream::connect(&self.listener).unwrap();
        let path = operation.replace(' ', "%20");
        write!(stream, "POST /_operation/{path} HTTP/1.0\r\nhost: {}\r\ncontent-length: 0\r\n\r\n", self.listener)
            .unwrap();
        stream.read_to_string(&mut String::new()).unwrap();
    }

    async fn put(&self, content: KeyValueContent, precondition: Option<Precondition>) -> String {
        let options = PutKeyValueOptions { label: prod(), precondition, ..Default::default() };
        self.client.put_key_value(KEY, &content, Some(options)).await.unwrap().model.etag.unwrap().to_string()
    }

    async fn key_values(&self) {
        self.begin("add");
        let mut content = KeyValueContent::new("one");
        content.content_type = Some("text/plain".to_owned());
        content.tags = [("team".to_owned(), Some("ml".to_owned()))].into_iter().collect();
        content.description = Some("what it is for".to_owned());
        let first = self.put(content, Some(Precondition::Absent)).await;
        self.begin("set");
        let second = self.put(KeyValueContent::new("two"), None).await;
        self.begin("set if unchanged");
        let third = self.put(KeyValueContent::new("three"), Some(Precondition::Etag(second))).await;
        self.begin("set without a label");
        self.client.put_key_value(KEY, &KeyValueContent::new("null label"), None).await.unwrap();

        self.begin("get");
        self.client.get_key_value(KEY, Some(get(None))).await.unwrap();
        self.begin("get without a label");
        self.client.get_key_value(KEY, None).await.unwrap();
        self.begin("get if changed");
        self.client.get_key_value_if_changed(KEY, &first, Some(get(None))).await.unwrap();
        self.begin("get then");
        let at = OffsetDateTime::from_unix_timestamp(4_000_000_000).unwrap();
        self.client.get_key_value(KEY, Some(get(Some(at)))).await.unwrap();

        self.begin("lock");
        self.client.lock_key_value(KEY, Some(lock())).await.unwrap();
        self.begin("unlock");
        let unlocked = self.client.unlock_key_value(KEY, Some(lock())).await.unwrap().model.etag.unwrap().to_string();
        assert_ne!(unlocked, third, "a lock is a write");
        self.begin("delete if unchanged");
        let options = DeleteKeyValueOptions {
            label: prod(),
            precondition: Some(Precondition::Etag(unlocked)),
            ..Default::default()
        };
        self.client.delete_key_value(KEY, Some(options)).await.unwrap();
        self.begin("delete");
        let options = DeleteKeyValueOptions { label: prod(), ..Default::default() };
        self.client.delete_key_value(KEY, Some(options)).await.unwrap();
    }

    async fn lists(&self) {
        let selector =
            KeyValueSelector::new(KeyFilter::Prefix("app/".to_owned()), LabelFilter::Exact("prod".to_owned()));
        self.begin("list");
        self.all(&selector).await;
        self.begin("list without a label");
        self.all(&KeyValueSelector { label: LabelFilter::Null, ..selector.clone() }).await;
        self.begin("list odd names");
        let odd = KeyFilter::OneOf(vec!["a*b".to_owned(), "c,d".to_owned(), "e\\f".to_owned()]);
        self.all(&KeyValueSelector::new(odd, LabelFilter::Exact("a b+c&d".to_owned()))).await;
        self.begin("list some fields");
        self.all(&KeyValueSelector { select: vec![Field::Key, Field::Label, Field::Locked], ..selector.clone() }).await;
        self.begin("list by tags");
        let tags = vec![TagFilter::new("team", "ml"), TagFilter::new("stage", "a b")];
        self.all(&KeyValueSelector { tags, ..selector.clone() }).await;
        self.begin("list then");
        let at = OffsetDateTime::from_unix_timestamp(4_000_000_000).unwrap();
        self.all(&KeyValueSelector { accept_datetime: Some(at), ..selector.clone() }).await;
        self.begin("poll");
        let Conditional::Modified(page) = self.client.list_key_values_page(&selector, None, None).await.unwrap() else {
            panic!("nothing was said that could be unchanged");
        };
        let options = PageOptions { if_none_match: page.etag, ..Default::default() };
        let polled = self.client.list_key_values_page(&selector, None, Some(options)).await.unwrap();
        assert!(matches!(polled, Conditional::NotModified(_)));
        self.begin("check");
        self.client.check_key_values_page(&selector, None, None).await.unwrap();
        self.begin("revisions");
        self.client.list_revisions(&selector, None).unwrap().try_collect::<Vec<_>>().await.unwrap();
        self.begin("labels");
        let labels = LabelFilter::Prefix("pro".to_owned());
        let options = ListNamesOptions::default();
        self.client.list_labels(&labels, Some(options)).unwrap().try_collect::<Vec<_>>().await.unwrap();
    }

    async fn all(&self, selector: &KeyValueSelector) {
        self.client.list_key_values(selector, None).unwrap().try_collect::<Vec<_>>().await.unwrap();
    }

    async fn snapshots(&self) {
        self.begin("create a snapshot");
        let keys = KeyFilter::Prefix("app/".to_owned());
        let filter = SnapshotFilter::new(&keys, &LabelFilter::Exact("prod".to_owned()), &[]).unwrap();
        let mut content = SnapshotContent::new(vec![filter]);
        content.retention_period = Some(3600);
        content.tags = [("release".to_owned(), Some("1".to_owned()))].into_iter().collect();
        content.description = Some("the first".to_owned());
        self.client.create_snapshot("release 1", &content, None).await.unwrap();
        self.begin("get a snapshot");
        let etag = self.client.get_snapshot("release 1", None).await.unwrap().model.etag.unwrap().to_string();
        self.begin("list a snapshot");
        self.all(&KeyValueSelector::snapshot("release 1")).await;
        self.begin("archive");
        let options = UpdateSnapshotOptions { precondition: Some(Precondition::Etag(etag)), ..Default::default() };
        self.client.archive_snapshot("release 1", Some(options)).await.unwrap();
        self.begin("recover");
        self.client.recover_snapshot("release 1", None).await.unwrap();
    }
}

fn prod() -> Option<String> {
    Some("prod".to_owned())
}

fn get(at: Option<OffsetDateTime>) -> GetKeyValueOptions<'static> {
    GetKeyValueOptions { label: prod(), accept_datetime: at, ..Default::default() }
}

fn lock() -> LockOptions<'static> {
    LockOptions { label: prod(), ..Default::default() }
}

#[tokio::test]
#[ignore = "needs somebody who listens: tests/run interop does"]
async fn every_operation_once() {
    let session = Session::open();
    session.key_values().await;
    session.lists().await;
    session.snapshots().await;
}
