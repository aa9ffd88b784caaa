//! Errors as AWS services answer them.

use std::borrow::Cow;

use http::StatusCode;

/// The result of an operation.
pub(crate) type Result<T> = std::result::Result<T, AwsError>;

/// A refusal: an error code that clients match on and a text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AwsError {
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: String,
    pub(crate) status: StatusCode,
}

impl AwsError {
    /// Makes a client error, which these services answer with status 400.
    pub(crate) fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), status: StatusCode::BAD_REQUEST }
    }

    /// Makes the error of a request whose members break a constraint of the service's model.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }

    /// Makes the error of one member that breaks a constraint, in the words that the services use.
    pub(crate) fn constraint(member: &str, constraint: impl AsRef<str>) -> Self {
        Self::validation(format!(
            "1 validation error detected: Value at '{member}' failed to satisfy constraint: {}",
            constraint.as_ref()
        ))
    }

    /// Makes the error of the emulator's own failure.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new("InternalServerError", message).with_status(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Sets another status.
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

/// Checks the length of a text in characters.
pub(crate) fn check_length(member: &str, text: &str, min: usize, max: usize) -> Result<()> {
    let length = text.chars().count();
    if length < min {
        Err(AwsError::constraint(member, format!("Member must have length greater than or equal to {min}")))
    } else if length > max {
        Err(AwsError::constraint(member, format!("Member must have length less than or equal to {max}")))
    } else {
        Ok(())
    }
}

/// Checks the number of members of a list.
pub(crate) fn check_count<T>(member: &str, list: &[T], min: usize, max: usize) -> Result<()> {
    if list.len() < min {
        Err(AwsError::constraint(member, format!("Member must have length greater than or equal to {min}")))
    } else if list.len() > max {
        Err(AwsError::constraint(member, format!("Member must have length less than or equal to {max}")))
    } else {
        Ok(())
    }
}

/// Returns a page size: the one asked for if it is allowed, else the largest.
pub(crate) fn page_size(asked: Option<i64>, max: usize) -> Result<usize> {
    let Some(asked) = asked else { return Ok(max) };
    match usize::try_from(asked) {
        Ok(size) if (1..=max).contains(&size) => Ok(size),
        Ok(size) if size > max => {
            Err(AwsError::constraint("maxResults", format!("Member must have value less than or equal to {max}")))
        }
        _ => Err(AwsError::constraint("maxResults", "Member must have value greater than or equal to 1")),
    }
}
