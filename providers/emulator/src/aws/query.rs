//! The query protocol: a form goes in, XML comes out. Only STS speaks it here.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use url::form_urlencoded;
use uuid::Uuid;

use super::error::{AwsError, Result};
use super::json11::stamp;
use super::sigv4::SignatureError;

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// A request's form.
#[derive(Debug)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// Parses a body.
    pub(crate) fn parse(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    /// Returns a field.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns a field that must be there.
    pub(crate) fn require(&self, name: &str) -> Result<&str> {
        self.get(name).filter(|value| !value.is_empty()).ok_or_else(|| {
            AwsError::new("ValidationError", format!("1 validation error detected: {name} must not be null"))
        })
    }
}

/// An XML element: text, or more elements.
#[derive(Debug)]
pub(crate) enum Xml {
    Text(String),
    Elements(Vec<(&'static str, Xml)>),
}

impl Xml {
    /// Makes a text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Text(text) => escape(text, out),
            Self::Elements(elements) => {
                for (name, element) in elements {
                    out.push_str(&format!("<{name}>"));
                    element.write(out);
                    out.push_str(&format!("</{name}>"));
                }
            }
        }
    }
}

/// Writes an answer of one operation.
pub(crate) fn answer(operation: &str, result: &Result<Xml>) -> Response {
    let result = match result {
        Ok(result) => result,
        Err(error) => return refuse(error),
    };
    let mut inner = String::new();
    result.write(&mut inner);
    respond(StatusCode::OK, |id| {
        format!(
            "<{operation}Response xmlns=\"{NAMESPACE}\"><{operation}Result>{inner}</{operation}Result>\
             <ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{operation}Response>"
        )
    })
}

/// Writes an error.
pub(crate) fn refuse(error: &AwsError) -> Response {
    let (mut code, mut message) = (String::new(), String::new());
    escape(&error.code, &mut code);
    escape(&error.message, &mut message);
    let fault = if error.status.is_server_error() { "Receiver" } else { "Sender" };
    respond(error.status, |id| {
        format!(
            "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>{fault}</Type><Code>{code}</Code>\
             <Message>{message}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>"
        )
    })
}

/// Returns the code and status that the query protocol gives a signature that does not hold.
pub(crate) fn signature_error(error: SignatureError) -> AwsError {
    let (code, message, status) = match error {
        SignatureError::Missing => {
            ("MissingAuthenticationToken", "Request is missing Authentication Token".to_owned(), StatusCode::FORBIDDEN)
        }
        SignatureError::Incomplete(what) => ("IncompleteSignature", what, StatusCode::BAD_REQUEST),
        SignatureError::UnknownKey => (
            "InvalidClientTokenId",
            "The security token included in the request is invalid.".to_owned(),
            StatusCode::FORBIDDEN,
        ),
        SignatureError::Expired => {
            ("ExpiredToken", "The security token included in the request is expired".to_owned(), StatusCode::FORBIDDEN)
        }
        SignatureError::Mismatch => (
            "SignatureDoesNotMatch",
            "The signature of the request is not the one calculated here. Check the secret access key.".to_owned(),
            StatusCode::FORBIDDEN,
        ),
        SignatureError::Skewed(text) => ("SignatureDoesNotMatch", text, StatusCode::FORBIDDEN),
    };
    AwsError::new(code, message).with_status(status)
}

fn respond(status: StatusCode, body: impl FnOnce(&str) -> String) -> Response {
    let id = Uuid::new_v4().to_string();
    let mut response = (status, body(&id)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    stamp(&mut response);
    response
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML 1.0 cannot hold other control characters, not even escaped.
            c if c.is_control() && !matches!(c, '\n' | '\r' | '\t') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xml_is_escaped() {
        let xml = Xml::Elements(vec![("A", Xml::text("a<b>&\"\u{1}"))]);
        let mut out = String::new();
        xml.write(&mut out);
        assert_eq!(out, "<A>a&lt;b&gt;&amp;&quot;\u{fffd}</A>");
    }

    #[test]
    fn forms_are_decoded() {
        let form = Form::parse(b"Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx+y");
        assert_eq!(form.get("RoleArn"), Some("arn:aws:iam::1:role/x y"));
        assert!(form.require("RoleSessionName").is_err());
    }
}
