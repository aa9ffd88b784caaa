//! Snapshots against a scripted transport and a paused clock.

use std::time::Duration;

use crate::mock::{Mock, Reply};
use azure_data_app_configuration::{
    ErrorKind, GetSnapshotOptions, KeyFilter, LabelFilter, Outcome, Precondition, SnapshotContent, SnapshotFilter,
    SnapshotStatus, SnapshotWaitOptions, UpdateSnapshotOptions,
};
use tokio::time::Instant;

fn snapshot(status: &str) -> String {
    format!(r#"{{"name":"app-7","status":"{status}","filters":[{{"key":"app/*","label":"r7"}}],"etag":"s1"}}"#)
}

fn operation(status: &str) -> Reply {
    Reply::json(format!(r#"{{"id":"1","status":"{status}","error":null}}"#))
}

fn begun() -> Reply {
    Reply::Answer(201, Vec::new(), snapshot("provisioning"))
}

fn content() -> SnapshotContent {
    let label = LabelFilter::Exact("r7".into());
    let filter = SnapshotFilter::new(&KeyFilter::Prefix("app/".into()), &label, &[]).unwrap();
    SnapshotContent { retention_period: Some(604_800), ..SnapshotContent::new(vec![filter]) }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_is_awaited_at_the_pace_of_the_store() {
    let mock = Mock::new([
        begun(),
        operation("NotStarted").header("retry-after", "10"),
        operation("Running"),
        operation("Succeeded"),
        Reply::json(snapshot("ready")),
    ]);
    let start = Instant::now();
    let made = mock.client().create_snapshot("app-7", &content(), None).await.unwrap();
    assert_eq!((made.model.status, made.model.etag.as_deref()), (SnapshotStatus::Ready, Some("s1")));
    assert_eq!(start.elapsed(), Duration::from_secs(11));
    let sent = mock.sent();
    assert_eq!(sent[0].line(), "PUT /snapshots/app-7?api-version=2024-09-01");
    assert_eq!(
        sent[0].body,
        r#"{"filters":[{"key":"app/*","label":"r7"}],"composition_type":"key","retention_period":604800}"#
    );
    assert_eq!(sent[1].line(), "GET /operations?api-version=2024-09-01&snapshot=app-7");
    assert_eq!(sent[4].line(), "GET /snapshots/app-7?api-version=2024-09-01");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_fails_says_why() {
    let failed = r#"{"id":"1","status":"Failed","error":{"code":"QuotaExceeded","message":"too large"}}"#;
    let mock = Mock::new([begun(), Reply::json(failed)]);
    let error = mock.client().create_snapshot("app-7", &content(), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SnapshotFailed);
    assert!(error.to_string().contains("QuotaExceeded: too large"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn waiting_comes_to_an_end() {
    let mock = Mock::new([begun(), operation("Running"), operation("Running"), operation("Running")]);
    let options = SnapshotWaitOptions {
        poll_interval: Some(Duration::from_secs(2)),
        timeout: Some(Duration::from_secs(3)),
        ..SnapshotWaitOptions::default()
    };
    let start = Instant::now();
    let error = mock.client().create_snapshot("app-7", &content(), Some(options)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WaitTimeout);
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    assert_eq!(mock.sent().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_operation_is_read_from_the_snapshot() {
    let mock = Mock::new([
        Reply::status(404),
        Reply::json(snapshot("provisioning")),
        Reply::status(404),
        Reply::json(snapshot("ready")),
    ]);
    let made = mock.client().wait_for_snapshot("app-7", None).await.unwrap();
    assert_eq!(made.model.status, SnapshotStatus::Ready);

    let mock = Mock::new([Reply::status(404), Reply::json(snapshot("failed"))]);
    let error = mock.client().wait_for_snapshot("app-7", None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SnapshotFailed);

    let mock = Mock::new([Reply::status(404), Reply::status(404)]);
    let error = mock.client().wait_for_snapshot("app-7", None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(mock.sent().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_taken_name_and_a_lost_answer_are_told_apart() {
    let taken = r#"{"type":"https://azconfig.io/errors/already-exists","name":"app-7"}"#;
    let mock = Mock::new([Reply::Answer(409, Vec::new(), taken.into()), Reply::Lost]);
    let client = mock.client();
    let error = client.begin_create_snapshot("app-7", &content(), None).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::AlreadyExists, Outcome::NotDone));
    let error = client.begin_create_snapshot("app-7", &content(), None).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Interrupted, Outcome::Unknown));
    assert_eq!(mock.sent().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn archive_recover_and_list() {
    let mock = Mock::new([
        Reply::json(snapshot("archived")),
        Reply::json(snapshot("ready")),
        Reply::json(format!(r#"{{"items":[{}]}}"#, snapshot("ready"))),
        operation("Running"),
    ]);
    let client = mock.client();
    let options = UpdateSnapshotOptions {
        precondition: Some(Precondition::Etag("s1".into())),
        ..UpdateSnapshotOptions::default()
    };
    let archived = client.archive_snapshot("app-7", Some(options)).await.unwrap();
    assert_eq!(archived.model.status, SnapshotStatus::Archived);
    client.recover_snapshot("app-7", None).await.unwrap();
    let statuses = [SnapshotStatus::Ready, SnapshotStatus::Archived];
    let listed = client.list_snapshots(&KeyFilter::Prefix("app-".into()), &statuses, None).unwrap();
    assert_eq!(listed.collect_all().await.unwrap()[0].name, "app-7");
    client.get_snapshot_operation("app-7", None).await.unwrap();

    let sent = mock.sent();
    assert_eq!((sent[0].method, sent[0].body.as_str()), ("PATCH", r#"{"status":"archived"}"#));
    assert_eq!(sent[0].header("content-type"), Some("application/merge-patch+json"));
    assert_eq!(sent[0].header("if-match"), Some("\"s1\""));
    assert_eq!(sent[1].body, r#"{"status":"ready"}"#);
    assert_eq!(sent[2].target, "/snapshots?api-version=2024-09-01&name=app-%2A&status=ready%2Carchived");
}

#[tokio::test]
async fn a_snapshot_is_read_only_if_its_status_changed() {
    let mock = Mock::new([Reply::Answer(304, Vec::new(), String::new()), Reply::json(snapshot("archived"))]);
    let client = mock.client();
    assert!(client.get_snapshot_if_changed("app-7", "s1", None).await.unwrap().is_not_modified());
    let changed = client.get_snapshot_if_changed("app-7", "s0", None).await.unwrap().modified().unwrap();
    assert_eq!(changed.model.status, SnapshotStatus::Archived);
    let sent = mock.sent();
    assert_eq!(sent[0].line(), "GET /snapshots/app-7?api-version=2024-09-01");
    assert_eq!(sent[0].header("if-none-match"), Some("\"s1\""));
    let both = GetSnapshotOptions { precondition: Some(Precondition::Present), ..Default::default() };
    let error = client.get_snapshot_if_changed("app-7", "s1", Some(both)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
