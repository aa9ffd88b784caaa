//! Snapshots.

use std::time::Duration;

use azure_core::http::{Context, Method};

use super::AppConfigurationClient;
use super::call::{conditional, parse};
use super::lists::List;
use crate::error::{Error, ErrorKind, Result};
use crate::filter::KeyFilter;
use crate::models::{
    Conditional, OperationState, OperationStatus, Snapshot, SnapshotContent, SnapshotStatus, SnapshotUpdate,
};
use crate::options::{GetSnapshotOptions, ListOptions, SnapshotOptions, SnapshotWaitOptions, UpdateSnapshotOptions};
use crate::pager::Pager;
use crate::response::{Response, ResponseMeta};
use crate::retry::{retry_after, sleep};

const SNAPSHOTS: &str = "snapshots";
const SNAPSHOT_JSON: &str = "application/vnd.microsoft.appconfig.snapshot+json";
const MERGE_PATCH_JSON: &str = "application/merge-patch+json";
const WAIT: &str = "GET /operations";
const DEFAULT_POLL: Duration = Duration::from_secs(1);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(300);

impl AppConfigurationClient {
    /// Makes a snapshot and waits until it is ready. Nothing can delete a snapshot: it can only be archived.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken, even by an archived snapshot; `SnapshotFailed` if the store gave it up,
    /// for example above 1 MB; `WaitTimeout` if it is not ready in time. After an
    /// [`Unknown`](crate::Outcome::Unknown) outcome the snapshot may be there: read it before making another.
    pub async fn create_snapshot(
        &self,
        name: &str,
        content: &SnapshotContent,
        options: Option<SnapshotWaitOptions<'_>>,
    ) -> Result<Response<Snapshot>> {
        let options = options.unwrap_or_default();
        self.put_snapshot(name, content, &options.method_options.context).await?;
        self.wait_for_snapshot(name, Some(options)).await
    }

    /// Begins to make a snapshot and returns it as it is now, which is usually `provisioning`.
    ///
    /// # Errors
    /// As [`create_snapshot`](Self::create_snapshot).
    pub async fn begin_create_snapshot(
        &self,
        name: &str,
        content: &SnapshotContent,
        options: Option<SnapshotOptions<'_>>,
    ) -> Result<Response<Snapshot>> {
        self.put_snapshot(name, content, &options.unwrap_or_default().method_options.context).await
    }

    /// Waits until a snapshot that was begun is ready, and returns it.
    ///
    /// # Errors
    /// `NotFound` if there is none, `SnapshotFailed`, `WaitTimeout`.
    pub async fn wait_for_snapshot(
        &self,
        name: &str,
        options: Option<SnapshotWaitOptions<'_>>,
    ) -> Result<Response<Snapshot>> {
        let options = options.unwrap_or_default();
        let context = &options.method_options.context;
        let timeout = options.timeout.unwrap_or(DEFAULT_TIMEOUT);
        let mut waited = Duration::ZERO;
        loop {
            let asked = match self.operation(name, context).await {
                Ok((response, _)) if is_over(&response.model)? => return self.read_snapshot(name, context).await,
                Ok((_, asked)) => asked,
                // The store may have forgotten the operation; the snapshot itself still says how it went.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    let snapshot = self.read_snapshot(name, context).await?;
                    if is_made(&snapshot.model)? {
                        return Ok(snapshot);
                    }
                    None
                }
                Err(error) => return Err(error),
            };
            if waited >= timeout {
                let message = format!("the snapshot was not ready after waiting for {waited:?}");
                return Err(Error::new(ErrorKind::WaitTimeout, WAIT, message));
            }
            let asked = asked.map(|asked| asked.min(self.inner.retry.max_retry_after));
            let wait = options.poll_interval.or(asked).unwrap_or(DEFAULT_POLL).min(timeout - waited);
            // Also with an interval of zero the loop must come to its end.
            let wait = wait.max(Duration::from_millis(1));
            sleep(wait).await;
            waited += wait;
        }
    }

    /// Asks how far the making of a snapshot is.
    ///
    /// # Errors
    /// `NotFound` if the store knows of none.
    pub async fn get_snapshot_operation(
        &self,
        name: &str,
        options: Option<SnapshotOptions<'_>>,
    ) -> Result<Response<OperationStatus>> {
        let options = options.unwrap_or_default();
        Ok(self.operation(name, &options.method_options.context).await?.0)
    }

    /// Reads one snapshot. [`list_key_values`](Self::list_key_values) reads what it holds.
    ///
    /// # Errors
    /// `NotFound` if there is none or it has expired.
    pub async fn get_snapshot(
        &self,
        name: &str,
        options: Option<GetSnapshotOptions<'_>>,
    ) -> Result<Response<Snapshot>> {
        let options = options.unwrap_or_default();
        let call = self
            .call("GET /snapshots/{name}", Method::Get, SNAPSHOTS, Some(name), None)?
            .accept("snapshot")
            .precondition(options.precondition.as_ref())?;
        self.fetch(call, &options.method_options.context).await
    }

    /// Reads one snapshot unless it still has this etag, given without quotes. What it holds never changes; what may is
    /// its status.
    ///
    /// # Errors
    /// As [`get_snapshot`](Self::get_snapshot). The options must not hold a precondition.
    pub async fn get_snapshot_if_changed(
        &self,
        name: &str,
        etag: &str,
        options: Option<GetSnapshotOptions<'_>>,
    ) -> Result<Conditional<Response<Snapshot>>> {
        const OPERATION: &str = "GET /snapshots/{name}";
        let options = options.unwrap_or_default();
        if options.precondition.is_some() {
            return Err(Error::invalid_input("a read that is conditional on a change takes no further precondition"));
        }
        let call = self
            .call(OPERATION, Method::Get, SNAPSHOTS, Some(name), None)?
            .accept("snapshot")
            .if_changed_since(Some(etag))?;
        let response = self.send(call, &options.method_options.context).await?;
        Ok(match conditional(response) {
            Conditional::NotModified(unchanged) => Conditional::NotModified(unchanged),
            Conditional::Modified(response) => Conditional::Modified(Response {
                model: parse(OPERATION, &response)?,
                meta: ResponseMeta::new(&response),
            }),
        })
    }

    /// Lists snapshots by name and status; no status lists all of them.
    ///
    /// # Errors
    /// `InvalidInput` at once for a filter that cannot be spelled; the list itself yields the other errors.
    pub fn list_snapshots(
        &self,
        filter: &KeyFilter,
        statuses: &[SnapshotStatus],
        options: Option<ListOptions<'_>>,
    ) -> Result<Pager<Snapshot>> {
        let statuses: Vec<_> = statuses.iter().map(SnapshotStatus::as_str).collect();
        let status = if statuses.is_empty() { "*".to_owned() } else { statuses.join(",") };
        let list = List {
            operation: "GET /snapshots",
            resource: SNAPSHOTS,
            accept: "snapshotset",
            query: vec![("name", filter.to_filter()?), ("status", status)],
            accept_datetime: None,
        };
        Ok(self.pager(list, options.unwrap_or_default()))
    }

    /// Archives a ready snapshot: from now on it expires after its retention period. Archiving again changes nothing.
    ///
    /// # Errors
    /// `NotFound`, `PreconditionFailed`, `InvalidState` while it is being made or after that failed.
    pub async fn archive_snapshot(
        &self,
        name: &str,
        options: Option<UpdateSnapshotOptions<'_>>,
    ) -> Result<Response<Snapshot>> {
        self.update_snapshot(name, SnapshotStatus::Archived, options.unwrap_or_default()).await
    }

    /// Makes an archived snapshot ready again, so that it no longer expires.
    ///
    /// # Errors
    /// As [`archive_snapshot`](Self::archive_snapshot).
    pub async fn recover_snapshot(
        &self,
        name: &str,
        options: Option<UpdateSnapshotOptions<'_>>,
    ) -> Result<Response<Snapshot>> {
        self.update_snapshot(name, SnapshotStatus::Ready, options.unwrap_or_default()).await
    }

    async fn put_snapshot(
        &self,
        name: &str,
        content: &SnapshotContent,
        context: &Context<'_>,
    ) -> Result<Response<Snapshot>> {
        content.check()?;
        self.check_description(content.description.as_deref())?;
        let call = self
            .call("PUT /snapshots/{name}", Method::Put, SNAPSHOTS, Some(name), None)?
            .accept("snapshot")
            .json(SNAPSHOT_JSON, content)?;
        self.fetch(call, context).await
    }

    async fn read_snapshot(&self, name: &str, context: &Context<'_>) -> Result<Response<Snapshot>> {
        let method_options = azure_core::http::ClientMethodOptions { context: context.to_borrowed() };
        self.get_snapshot(name, Some(GetSnapshotOptions { method_options, ..GetSnapshotOptions::default() })).await
    }

    async fn update_snapshot(
        &self,
        name: &str,
        status: SnapshotStatus,
        options: UpdateSnapshotOptions<'_>,
    ) -> Result<Response<Snapshot>> {
        let call = self
            .call("PATCH /snapshots/{name}", Method::Patch, SNAPSHOTS, Some(name), None)?
            .accept("snapshot")
            .precondition(options.precondition.as_ref())?
            .json(MERGE_PATCH_JSON, &SnapshotUpdate { status })?;
        self.fetch(call, &options.method_options.context).await
    }

    /// Reads an operation, and how long the store asks to wait before looking again.
    async fn operation(
        &self,
        name: &str,
        context: &Context<'_>,
    ) -> Result<(Response<OperationStatus>, Option<Duration>)> {
        let call = self.call(WAIT, Method::Get, "operations", None, [("snapshot", name.to_owned())])?;
        let response = self.send(call, context).await?;
        let asked = retry_after(response.headers());
        Ok((Response { model: parse(WAIT, &response)?, meta: ResponseMeta::new(&response) }, asked))
    }
}

/// Tells whether an operation came to its end, and fails if that was a bad one.
fn is_over(operation: &OperationStatus) -> Result<bool> {
    match operation.status {
        OperationState::Succeeded => Ok(true),
        OperationState::Failed | OperationState::Canceled => {
            let error = operation.error.as_ref();
            let code = error.and_then(|error| error.code.as_deref()).unwrap_or("no code");
            let message = error.and_then(|error| error.message.as_deref()).unwrap_or("no message");
            let text = format!("making the snapshot {}: {code}: {message}", operation.status);
            Err(Error::new(ErrorKind::SnapshotFailed, WAIT, text))
        }
        OperationState::NotStarted | OperationState::Running | OperationState::Other(_) => Ok(false),
    }
}

/// Tells whether a snapshot can be read, and fails if it never will.
fn is_made(snapshot: &Snapshot) -> Result<bool> {
    match snapshot.status {
        SnapshotStatus::Ready | SnapshotStatus::Archived => Ok(true),
        SnapshotStatus::Failed => Err(Error::new(ErrorKind::SnapshotFailed, WAIT, "making the snapshot failed")),
        SnapshotStatus::Provisioning | SnapshotStatus::Other(_) => Ok(false),
    }
}
