//! The JSON 1.1 protocol: `X-Amz-Target` names the operation, a JSON object goes each way.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use super::error::{AwsError, Result};
use super::sigv4::SignatureError;

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// Returns the service's target prefix and the operation: `AmazonSSM`, `PutParameter`.
pub(crate) fn target(headers: &HeaderMap) -> Option<(&str, &str)> {
    headers.get("x-amz-target")?.to_str().ok()?.split_once('.')
}

/// Parses a request.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data if error.to_string().starts_with("missing field") => {
            AwsError::validation(format!("1 validation error detected: {error}: Member must not be null"))
        }
        _ => AwsError::new("SerializationException", format!("the request cannot be read: {error}")),
    })
}

/// Writes an answer.
pub(crate) fn answer(result: &Result<Value>) -> Response {
    match result {
        Ok(value) => respond(value, http::StatusCode::OK),
        Err(error) => refuse(error),
    }
}

/// Writes an error.
pub(crate) fn refuse(error: &AwsError) -> Response {
    respond(&json!({ "__type": error.code, "message": error.message }), error.status)
}

fn respond(value: &Value, status: http::StatusCode) -> Response {
    let mut response = (status, value.to_string()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    stamp(&mut response);
    response
}

/// Gives an answer its request id.
pub(crate) fn stamp(response: &mut Response) {
    let id = HeaderValue::from_str(&Uuid::new_v4().to_string()).expect("a UUID is printable ASCII");
    response.headers_mut().insert("x-amzn-requestid", id);
}

/// Returns the code that these services give a signature that does not hold; all have status 400.
pub(crate) fn signature_error(error: SignatureError) -> AwsError {
    match error {
        SignatureError::Missing => AwsError::new("MissingAuthenticationTokenException", "Missing Authentication Token"),
        SignatureError::Incomplete(what) => AwsError::new("IncompleteSignatureException", what),
        SignatureError::UnknownKey => {
            AwsError::new("UnrecognizedClientException", "The security token included in the request is invalid.")
        }
        SignatureError::Expired => {
            AwsError::new("ExpiredTokenException", "The security token included in the request is expired")
        }
        SignatureError::Mismatch => AwsError::new(
            "InvalidSignatureException",
            "The signature of the request is not the one calculated here. Check the secret access key.",
        ),
        SignatureError::Skewed(text) => AwsError::new("InvalidSignatureException", text),
    }
}
