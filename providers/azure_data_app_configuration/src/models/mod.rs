//! What the store holds and answers.

mod key_value;
mod lenient;
mod page;
mod snapshot;

pub use key_value::{KeyName, KeyValue, KeyValueContent, LabelName, Tags};
pub(crate) use page::ListBody;
pub use page::{Conditional, NextLink, NotModified, Page, PageHead};
pub(crate) use snapshot::SnapshotUpdate;
pub use snapshot::{
    CompositionType, OperationError, OperationState, OperationStatus, Snapshot, SnapshotContent, SnapshotFilter,
    SnapshotStatus,
};
