//! Who asks, where and when; and what is to be kept.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::{AwsError, Result};
use crate::counters::Counters;
use crate::faults::Oddity;
use crate::persist::Change;

/// One account in one region: data of different places never meet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) account: String,
    pub(crate) region: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}

/// A row as it is kept: the thing and its place.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row<T> {
    pub(crate) place: Place,
    pub(crate) item: T,
}

/// What an operation knows about its request, and where it notes what is to be kept.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) place: Place,
    /// The caller's ARN.
    pub(crate) caller: String,
    pub(crate) now: Timestamp,
    pub(crate) counters: &'a Counters,
    pub(crate) behaviour: Behaviour,
    /// The state that the services are in for this request alone.
    pub(crate) oddity: Option<Oddity>,
    pub(crate) changes: Vec<Change>,
}

/// Switches that make the emulator as awkward as the services can be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Behaviour {
    /// Whether a deleted name is refused for 30 s.
    pub(crate) recreate_wait: bool,
    /// Whether listings answer short and empty pages before the last.
    pub(crate) short_pages: bool,
    /// How far reads lag behind writes.
    pub(crate) read_lag: Option<Duration>,
}

impl Context<'_> {
    /// Returns the time up to which reads see writes.
    pub(crate) fn seen_until(&self) -> Timestamp {
        match Oddity::lag(self.oddity).or(self.behaviour.read_lag) {
            Some(lag) => self.now.checked_sub(lag).unwrap_or(Timestamp::MIN),
            None => Timestamp::MAX,
        }
    }

    /// Notes a row to be written.
    pub(crate) fn keep<T: Serialize>(&mut self, table: &'static str, key: String, item: &T) -> Result<()> {
        let row = Row { place: self.place.clone(), item };
        let change = Change::put(table, key, &row).map_err(|error| AwsError::internal(error.to_string()))?;
        self.changes.push(change);
        Ok(())
    }

    /// Notes a row to be deleted.
    pub(crate) fn drop_row(&mut self, table: &'static str, key: String) {
        self.changes.push(Change::delete(table, key));
    }
}
