//! The store's own name for one past content.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One native version: opaque to the engine, native underneath.
///
/// SSM: the version number, with the date that tells two incarnations of one name apart, since numbers start again at
/// 1 when a parameter is re-created. App Configuration: the etag of a revision, with the time that orders it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Version {
    /// The store's name for it: `7`, or an etag without quotes.
    pub id: String,
    /// When the store says it was written, in milliseconds. A put to SSM does not answer it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl Version {
    /// Makes a version.
    pub fn new(id: impl Into<String>, at: Option<Timestamp>) -> Self {
        Self { id: id.into(), at }
    }
}

/// Two versions are the same when their ids are and no known dates differ.
///
/// Dates are compared to the millisecond, which is what SSM gives.
impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        let dates_agree = match (self.at, other.at) {
            (Some(a), Some(b)) => a.as_millisecond() == b.as_millisecond(),
            _ => true,
        };
        self.id == other.id && dates_agree
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_tells_incarnations_apart() {
        let at = |ms| Some(Timestamp::from_millisecond(ms).expect("in range"));
        assert_eq!(Version::new("1", at(5)), Version::new("1", None));
        assert_eq!(Version::new("1", at(5)), Version::new("1", at(5)));
        assert_ne!(Version::new("1", at(5)), Version::new("1", at(6)));
        assert_ne!(Version::new("1", at(5)), Version::new("2", at(5)));
    }
}
