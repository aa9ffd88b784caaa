//! Frozen sets: immutable snapshots, and the reference that readers follow to one.

use repin_provider::{Applied, Error, ErrorKind, Frozen, Result, Version};

use crate::AppConfiguration;

impl AppConfiguration {
    pub(crate) async fn make_snapshot(&self, name: &str) -> Result<Frozen> {
        Err(unbuilt(name))
    }

    pub(crate) async fn read_snapshot(&self, name: &str) -> Result<Option<Frozen>> {
        Err(unbuilt(name))
    }

    pub(crate) async fn refer_to(&self, name: &str, _from: Option<&Version>) -> Result<Applied> {
        Err(unbuilt(name))
    }

    pub(crate) async fn archive(&self, name: &str) -> Result<()> {
        Err(unbuilt(name))
    }
}

fn unbuilt(name: &str) -> Error {
    Error::new(ErrorKind::Refused, "snapshot", format!("{name}: snapshots are not served yet"))
}
