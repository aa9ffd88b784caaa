//! A transport that answers from a script and remembers what it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use azure_core::error::{Error, ErrorKind};
use azure_core::http::headers::{HeaderName, HeaderValue, Headers};
use azure_core::http::{AsyncRawResponse, Body, ClientOptions, HttpClient, Request, StatusCode, Transport};
use azure_data_app_configuration::{AppConfigurationClient, AppConfigurationClientOptions};

/// The secret of the connection strings here, in base64.
pub(crate) const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ=";

/// What the store does with one attempt.
pub(crate) enum Reply {
    /// It answers.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// It answers, and the connection breaks in the middle of the body.
    HalfAnswer(u16),
    /// The connection breaks before an answer.
    Lost,
    /// No connection can be made.
    NoConnection,
    /// It never answers.
    Hang,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new(), String::new())
    }

    pub(crate) fn json(body: impl Into<String>) -> Self {
        Self::Answer(200, Vec::new(), body.into())
    }

    pub(crate) fn header(self, name: &'static str, value: impl Into<String>) -> Self {
        let Self::Answer(status, mut headers, body) = self else { panic!("only an answer has headers") };
        headers.push((name, value.into()));
        Self::Answer(status, headers, body)
    }
}

/// One attempt as it left.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Sent {
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// The script, and the record.
#[derive(Default)]
pub(crate) struct Mock {
    replies: Mutex<VecDeque<Reply>>,
    sent: Mutex<Vec<Sent>>,
}

impl std::fmt::Debug for Mock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mock")
    }
}

impl Mock {
    pub(crate) fn new(replies: impl IntoIterator<Item = Reply>) -> Arc<Self> {
        Arc::new(Self { replies: Mutex::new(replies.into_iter().collect()), sent: Mutex::default() })
    }

    /// Returns the attempts so far. Every reply must have been used: what was not asked for would hide a mistake.
    pub(crate) fn sent(&self) -> Vec<Sent> {
        assert_eq!(self.replies.lock().unwrap().len(), 0, "replies that nobody asked for");
        self.sent.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.sent().iter().map(Sent::line).collect()
    }

    pub(crate) fn options(self: &Arc<Self>) -> AppConfigurationClientOptions {
        let client_options =
            ClientOptions { transport: Some(Transport::new(self.clone())), ..ClientOptions::default() };
        AppConfigurationClientOptions { client_options, ..AppConfigurationClientOptions::default() }
    }

    /// Returns a client with an access key.
    pub(crate) fn client(self: &Arc<Self>) -> AppConfigurationClient {
        self.client_with(self.options())
    }

    pub(crate) fn client_with(self: &Arc<Self>, options: AppConfigurationClientOptions) -> AppConfigurationClient {
        let text = format!("Endpoint=https://store.azconfig.io;Id=id-0;Secret={SECRET}");
        AppConfigurationClient::from_connection_string(&text, Some(options)).unwrap()
    }
}

#[async_trait]
impl HttpClient for Mock {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let headers = request.headers().iter().map(|(name, value)| (name.as_str().into(), value.as_str().into()));
        let Body::Bytes(body) = request.body() else { panic!("a body of bytes") };
        self.sent.lock().unwrap().push(Sent {
            method: request.method().as_str(),
            target: request.path_and_query(),
            headers: headers.collect(),
            body: String::from_utf8(body.to_vec()).unwrap(),
        });
        let reply = self.replies.lock().unwrap().pop_front().expect("an attempt that the script does not know");
        match reply {
            Reply::Answer(status, headers, body) => {
                let headers: std::collections::HashMap<_, _> = headers
                    .into_iter()
                    .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from(value)))
                    .collect();
                Ok(AsyncRawResponse::from_bytes(StatusCode::from(status), Headers::from(headers), body.into_bytes()))
            }
            Reply::HalfAnswer(status) => {
                let broken = async { Err(Error::with_message(ErrorKind::Io, "reset")) };
                let body = futures::stream::once(broken);
                Ok(AsyncRawResponse::new(StatusCode::from(status), Headers::new(), Box::pin(body)))
            }
            Reply::Lost => Err(Error::with_message(ErrorKind::Io, "reset")),
            Reply::NoConnection => Err(Error::with_message(ErrorKind::Connection, "refused")),
            Reply::Hang => std::future::pending().await,
        }
    }
}
