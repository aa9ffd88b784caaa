//! Interceptors: what left the process, what was throttled, and the store's clock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use jiff::Timestamp;
use repin_provider::RequestCounts;

use crate::convert;

/// Requests by AWS's name of the operation, shared by every client of one target.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts(Arc<Mutex<RequestCounts>>);

impl Counts {
    /// Returns what was counted so far.
    pub(crate) fn snapshot(&self) -> RequestCounts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, operation: &str) {
        let mut counts: std::sync::MutexGuard<'_, BTreeMap<String, u64>> =
            self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(operation) {
            Some(count) => *count += 1,
            None => {
                counts.insert(operation.to_owned(), 1);
            }
        }
    }
}

/// Runs once for each attempt, since it hooks in after the retry loop and just before the connector.
#[dyn_dispatch_hint]
impl Intercept for Counts {
    fn name(&self) -> &'static str {
        "CountRequests"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(metadata) = config.load::<Metadata>() {
            self.add(metadata.name());
        }
        Ok(())
    }
}

/// The store's clock as the `Date` headers of some answers gave it: the earliest, so that whoever reasons about how
/// old the whole is errs on the safe side. To the second.
#[derive(Debug, Clone)]
pub(crate) struct StoreClock(Arc<AtomicI64>);

impl Default for StoreClock {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(i64::MAX)))
    }
}

impl StoreClock {
    /// Returns the time, if any answer said it.
    pub(crate) fn earliest(&self) -> Option<Timestamp> {
        match self.0.load(Ordering::Relaxed) {
            i64::MAX => None,
            millisecond => Timestamp::from_millisecond(millisecond).ok(),
        }
    }
}

#[dyn_dispatch_hint]
impl Intercept for StoreClock {
    fn name(&self) -> &'static str {
        "ReadStoreClock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(at) = context.response().headers().get("date").and_then(convert::http_date) {
            self.0.fetch_min(at.as_millisecond(), Ordering::Relaxed);
        }
        Ok(())
    }
}
