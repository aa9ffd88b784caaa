#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may fail by panicking"))]

mod auth;
mod clients;
mod error;
mod filter;
mod models;
mod options;
mod pager;
mod problem;
mod response;
mod retry;
mod sync_token;
mod user_agent;

pub use clients::{AppConfigurationClient, Operation};
pub use error::{Error, ErrorKind, Outcome, Result};
pub use filter::{Field, KeyFilter, KeyValueSelector, LabelFilter, MAX_ALTERNATIVES, TagFilter, escape_filter};
pub use models::{
    CompositionType, Conditional, KeyName, KeyValue, KeyValueContent, LabelName, NextLink, NotModified, OperationError,
    OperationState, OperationStatus, Page, PageHead, Snapshot, SnapshotContent, SnapshotFilter, SnapshotStatus, Tags,
};
pub use options::{
    AppConfigurationClientOptions, DEFAULT_API_VERSION, DeleteKeyValueOptions, GetKeyValueOptions, GetSnapshotOptions,
    ListNamesOptions, ListOptions, LockOptions, PageOptions, Precondition, PutKeyValueOptions, SnapshotOptions,
    SnapshotWaitOptions, UpdateSnapshotOptions,
};
pub use pager::{PageStream, Pager};
pub use problem::Problem;
pub use response::{Response, ResponseMeta};
pub use retry::RetryOptions;
