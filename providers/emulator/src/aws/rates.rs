//! Token buckets: the services' request quotas, where a test wants them.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::context::Place;
use super::error::{AwsError, Result};

/// Requests a second that Parameter Store allows, by category, for each account and region.
///
/// A second's worth may come at once. The defaults are the documented ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// GetParameter, GetParameters and GetParametersByPath together.
    pub get: f64,
    /// PutParameter, labels, DescribeParameters and GetParameterHistory together.
    pub put: f64,
    /// DeleteParameter and DeleteParameters together.
    pub delete: f64,
}

impl Default for Rates {
    fn default() -> Self {
        Self { get: 40.0, put: 3.0, delete: 3.0 }
    }
}

/// What shares one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Category {
    Get,
    /// With higher throughput each of these three has a quota of its own.
    GetMany,
    GetByPath,
    Put,
    Delete,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Timestamp,
}

/// The buckets of every account and region.
#[derive(Debug)]
pub(crate) struct Limiter {
    rates: Rates,
    buckets: BTreeMap<(Place, Category), Bucket>,
}

impl Limiter {
    pub(crate) fn new(rates: Rates) -> Self {
        Self { rates, buckets: BTreeMap::new() }
    }

    /// Takes a token for one request, or refuses it.
    pub(crate) fn admit(
        &mut self,
        place: &Place,
        operation: &str,
        high_throughput: bool,
        now: Timestamp,
    ) -> Result<()> {
        let Some((category, rate)) = self.quota(operation, high_throughput) else { return Ok(()) };
        let capacity = rate.max(1.0);
        let bucket =
            self.buckets.entry((place.clone(), category)).or_insert_with(|| Bucket { tokens: capacity, at: now });
        let elapsed = now.duration_since(bucket.at).as_secs_f64().max(0.0);
        bucket.tokens = (bucket.tokens + elapsed * rate).min(capacity);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            return Err(AwsError::new("ThrottlingException", "Rate exceeded"));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }

    /// Returns the bucket of an operation and its rate; none where no quota is published.
    fn quota(&self, operation: &str, high_throughput: bool) -> Option<(Category, f64)> {
        let quota = match (operation, high_throughput) {
            ("GetParameter", true) => (Category::Get, 10_000.0),
            ("GetParameters", true) => (Category::GetMany, 1_000.0),
            ("GetParametersByPath", true) => (Category::GetByPath, 100.0),
            ("GetParameter" | "GetParameters" | "GetParametersByPath", false) => (Category::Get, self.rates.get),
            (
                "PutParameter"
                | "LabelParameterVersion"
                | "UnlabelParameterVersion"
                | "DescribeParameters"
                | "GetParameterHistory",
                high,
            ) => (Category::Put, if high { 10.0 } else { self.rates.put }),
            ("DeleteParameter" | "DeleteParameters", high) => {
                (Category::Delete, if high { 5.0 } else { self.rates.delete })
            }
            _ => return None,
        };
        Some(quota)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(region: &str) -> Place {
        Place { account: "111122223333".into(), region: region.into() }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    #[test]
    fn a_second_of_puts_passes_then_they_are_throttled() {
        let mut limiter = Limiter::new(Rates::default());
        let mut put = |region, ms| limiter.admit(&place(region), "PutParameter", false, at(ms));
        for _ in 0..3 {
            assert_eq!(put("a", 0), Ok(()));
        }
        assert_eq!(put("a", 100).unwrap_err().code, "ThrottlingException");
        assert_eq!(put("b", 100), Ok(()), "another region has its own bucket");
        assert_eq!(put("a", 500), Ok(()));
    }

    #[test]
    fn categories_are_shared_and_settings_raise_them() {
        let mut limiter = Limiter::new(Rates { get: 1.0, put: 1.0, delete: 1.0 });
        assert_eq!(limiter.admit(&place("a"), "DescribeParameters", false, at(0)), Ok(()));
        assert!(limiter.admit(&place("a"), "LabelParameterVersion", false, at(0)).is_err());
        assert_eq!(limiter.admit(&place("a"), "GetParameters", false, at(0)), Ok(()));
        assert!(limiter.admit(&place("a"), "GetParametersByPath", false, at(0)).is_err());
        assert_eq!(limiter.admit(&place("a"), "GetParametersByPath", true, at(0)), Ok(()));
        assert_eq!(limiter.admit(&place("a"), "AddTagsToResource", false, at(0)), Ok(()));
    }
}
