//! Interceptors: what left the process, what came back, and the store's clock.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use jiff::Timestamp;
use repin_provider::Tally;
use tracing::Span;

use crate::convert;

/// Counts each attempt of every client of one target, by AWS's name of the operation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts(Tally);

impl Deref for Counts {
    type Target = Tally;

    fn deref(&self) -> &Tally {
        &self.0
    }
}

/// An attempt that left the process.
#[derive(Debug)]
struct Sent {
    operation: String,
    span: Span,
    at: Instant,
}

impl Storable for Sent {
    type Storer = StoreReplace<Self>;
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
        let Some(operation) = config.load::<Metadata>().map(|metadata| metadata.name().to_owned()) else {
            return Ok(());
        };
        self.sent(&operation);
        let span = tracing::debug_span!("request", operation);
        config.interceptor_state().store_put(Sent { operation, span, at: Instant::now() });
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(Sent { operation, span, at }) = config.load::<Sent>() else { return Ok(()) };
        let status = context.response().map(|response| response.status().as_u16());
        self.answered(operation, status);
        span.in_scope(|| tracing::debug!(status, seconds = at.elapsed().as_secs_f64(), "answered"));
        // An attempt that fails before it is sent must not count this one again.
        config.interceptor_state().unset::<Sent>();
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
