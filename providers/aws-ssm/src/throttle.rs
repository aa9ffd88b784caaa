//! An interceptor: what the store answered by asking for fewer requests, and what the SDK repeats by itself.

use std::sync::Arc;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use crate::count::Counts;
use crate::pace::{Category, Pace};
use crate::retry;

/// Tells the counters and the pacing of each attempt that was throttled, and the pacing of each that did not wait for
/// its turn.
///
/// A call waits before it is made. It cannot wait again before the SDK repeats it, since an interceptor must not wait
/// and the SDK counts all that comes later as part of the attempt, which has a timeout. So a repetition, which comes
/// after a wait of the SDK's own, takes its turn in arrears: others wait the longer.
#[derive(Debug, Clone)]
pub(crate) struct Throttled {
    pub(crate) counts: Counts,
    pub(crate) pace: Option<Arc<Pace>>,
}

impl Throttled {
    fn paced(&self, operation: &str) -> Option<(&Pace, Category)> {
        Some((self.pace.as_deref()?, Category::of(operation)?))
    }
}

#[dyn_dispatch_hint]
impl Intercept for Throttled {
    fn name(&self) -> &'static str {
        "NoticeThrottles"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let is_repeated = config.load::<RequestAttempts>().is_some_and(|attempts| attempts.attempts() > 1);
        if is_repeated
            && let Some(metadata) = config.load::<Metadata>()
            && let Some((pace, category)) = self.paced(metadata.name())
        {
            pace.spend(category);
        }
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(Err(failure)) = context.output_or_error() else { return Ok(()) };
        let Some(metadata) = config.load::<Metadata>() else { return Ok(()) };
        let code = failure.as_operation_error().and_then(retry::code_of);
        if code.is_some_and(|code| retry::is_throttle(code) || code == retry::TOO_MANY_UPDATES) {
            tracing::debug!(operation = metadata.name(), code, "the store asks for fewer requests");
            self.counts.throttled(metadata.name());
            if let Some((pace, category)) = self.paced(metadata.name()) {
                pace.throttled(category);
            }
        }
        Ok(())
    }
}
