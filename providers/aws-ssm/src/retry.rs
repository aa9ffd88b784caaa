//! Which failed attempts the SDK may repeat by itself.
//!
//! Reads follow the SDK's own rules. A write is repeated only when the store said that it did nothing: anything else
//! (a lost answer, a timeout, a 5xx) may have made a version, and a blind second attempt would make another.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use aws_sdk_kms::operation::describe_key::DescribeKeyError;
use aws_sdk_ssm::operation::add_tags_to_resource::AddTagsToResourceError;
use aws_sdk_ssm::operation::delete_parameter::DeleteParameterError;
use aws_sdk_ssm::operation::get_parameter_history::GetParameterHistoryError;
use aws_sdk_ssm::operation::get_parameters::GetParametersError;
use aws_sdk_ssm::operation::get_parameters_by_path::GetParametersByPathError;
use aws_sdk_ssm::operation::get_service_setting::GetServiceSettingError;
use aws_sdk_ssm::operation::label_parameter_version::LabelParameterVersionError;
use aws_sdk_ssm::operation::list_tags_for_resource::ListTagsForResourceError;
use aws_sdk_ssm::operation::put_parameter::PutParameterError;
use aws_sdk_ssm::operation::remove_tags_from_resource::RemoveTagsFromResourceError;
use aws_sdk_ssm::operation::unlabel_parameter_version::UnlabelParameterVersionError;
use aws_sdk_sts::operation::get_caller_identity::GetCallerIdentityError;
use aws_smithy_runtime_api::client::interceptors::context::{Error, InterceptorContext};
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction, RetryClassifierPriority};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::ErrorKind;

/// The codes with which AWS services ask for fewer requests.
const THROTTLES: [&str; 10] = [
    "ThrottlingException",
    "Throttling",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "SlowDown",
];

/// The code for two writes of one parameter at once, which the SDK does not repeat.
pub(crate) const TOO_MANY_UPDATES: &str = "TooManyUpdates";

/// The shortest wait before a write is repeated after [`TOO_MANY_UPDATES`]: sooner, it is refused again.
const UPDATES_WAIT: Duration = Duration::from_secs(1);

/// Tells whether a code asks for fewer requests.
pub(crate) fn is_throttle(code: &str) -> bool {
    THROTTLES.contains(&code)
}

/// Tells whether a code may mean that the request was signed with a wrong clock, and was turned away at the door. The
/// SDK repeats it, under a corrected clock, only where it saw that the clocks differ.
fn is_clock_skew(code: &str) -> bool {
    matches!(
        code,
        "AccessDeniedException"
            | "AuthFailure"
            | "InvalidSignatureException"
            | "RequestTimeTooSkewed"
            | "SignatureDoesNotMatch"
    )
}

/// Lets the SDK repeat a write only after a definitive refusal.
#[derive(Debug)]
pub(crate) struct Writes;

impl ClassifyRetry for Writes {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        self.classify_retry_v2(context, &RetryAction::NoActionIndicated)
    }

    fn classify_retry_v2(&self, context: &InterceptorContext, previous: &RetryAction) -> RetryAction {
        let failure = match context.output_or_error() {
            None | Some(Ok(_)) => return RetryAction::NoActionIndicated,
            Some(Err(failure)) => failure,
        };
        let answer = failure.as_operation_error().and_then(code_of);
        // A code in a 5xx is no promise that nothing was done.
        let refused = context.response().is_some_and(|response| response.status().is_client_error());
        let code = answer.filter(|_| refused);
        if previous.should_retry() && code.is_some_and(is_clock_skew) {
            return RetryAction::NoActionIndicated;
        }
        action(code, spread())
    }

    fn name(&self) -> &'static str {
        "RefusalsOnly"
    }

    /// Last: what it forbids nobody may allow again, and what it tolerates others have decided before.
    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }
}

/// Returns what to do about a code that came with a 4xx; `None` stands for every other failure.
fn action(code: Option<&str>, spread: f64) -> RetryAction {
    match code {
        Some(TOO_MANY_UPDATES) => RetryAction::retryable_error_with_explicit_delay(
            ErrorKind::ThrottlingError,
            UPDATES_WAIT.mul_f64(1.0 + spread),
        ),
        Some(code) if is_throttle(code) => RetryAction::throttling_error(),
        _ => RetryAction::RetryForbidden,
    }
}

/// Spreads hosts that were refused together: from 0 to 1.
fn spread() -> f64 {
    fastrand::f64()
}

/// Returns the code of a service's answer.
pub(crate) fn code_of(error: &Error) -> Option<&str> {
    code_as::<PutParameterError>(error)
        .or_else(|| code_as::<GetParametersError>(error))
        .or_else(|| code_as::<GetParametersByPathError>(error))
        .or_else(|| code_as::<LabelParameterVersionError>(error))
        .or_else(|| code_as::<UnlabelParameterVersionError>(error))
        .or_else(|| code_as::<GetParameterHistoryError>(error))
        .or_else(|| code_as::<DeleteParameterError>(error))
        .or_else(|| code_as::<ListTagsForResourceError>(error))
        .or_else(|| code_as::<AddTagsToResourceError>(error))
        .or_else(|| code_as::<RemoveTagsFromResourceError>(error))
        .or_else(|| code_as::<GetServiceSettingError>(error))
        .or_else(|| code_as::<DescribeKeyError>(error))
        .or_else(|| code_as::<GetCallerIdentityError>(error))
}

fn code_as<E>(error: &Error) -> Option<&str>
where
    E: ProvideErrorMetadata + StdError + fmt::Debug + Send + Sync + 'static,
{
    error.downcast_ref::<E>().and_then(ProvideErrorMetadata::code)
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::interceptors::context::Input;
    use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, OrchestratorError};
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    #[test]
    fn only_refusals_are_repeated() {
        for code in THROTTLES {
            assert_eq!(action(Some(code), 0.0), RetryAction::throttling_error(), "{code}");
        }
        for code in [None, Some("InternalServerError"), Some("ParameterAlreadyExists"), Some("ValidationException")] {
            assert_eq!(action(code, 0.0), RetryAction::RetryForbidden, "{code:?}");
        }
    }

    /// What a classifier says of a put that was answered with a status and a code.
    fn verdict(status: u16, code: &str, previous: &RetryAction) -> RetryAction {
        let error = PutParameterError::generic(ErrorMetadata::builder().code(code).build());
        let mut context = InterceptorContext::new(Input::doesnt_matter());
        context.set_response(HttpResponse::new(status.try_into().unwrap(), SdkBody::empty()));
        context.set_output_or_error(Err(OrchestratorError::operation(Error::erase(error))));
        Writes.classify_retry_v2(&context, previous)
    }

    #[test]
    fn a_wrong_clock_may_be_corrected() {
        let (corrected, none) = (RetryAction::server_error(), RetryAction::NoActionIndicated);
        let code = "InvalidSignatureException";
        assert_eq!(verdict(400, code, &corrected), RetryAction::NoActionIndicated);
        assert_eq!(verdict(400, code, &none), RetryAction::RetryForbidden, "the clocks agree");
        assert_eq!(verdict(500, code, &corrected), RetryAction::RetryForbidden, "not turned away at the door");
        assert_eq!(verdict(400, "ValidationException", &corrected), RetryAction::RetryForbidden);
    }

    #[test]
    fn too_many_updates_waits_a_second_or_two() {
        for (spread, wait) in [(0.0, 1000), (0.5, 1500), (0.99, 1990)] {
            let expected = RetryAction::retryable_error_with_explicit_delay(
                ErrorKind::ThrottlingError,
                Duration::from_millis(wait),
            );
            assert_eq!(action(Some(TOO_MANY_UPDATES), spread), expected);
        }
    }
}
