//! A transport that plays a script: each request takes the next answer, and is kept to be looked at.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use repin_aws_ssm::{Config, Options, Ssm, connect};
use repin_provider::{Owner, Secret};
use serde_json::{Value, json};

/// What happens to one request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The service answers with this status and body.
    Says(u16, String),
    /// The connection breaks after the request was sent.
    Lost,
    /// Nothing ever comes back.
    Silent,
}

/// An answer of success.
pub(crate) fn ok(body: Value) -> Answer {
    Answer::Says(200, body.to_string())
}

/// A refusal with a code and a text.
pub(crate) fn no(status: u16, code: &str, message: &str) -> Answer {
    Answer::Says(status, json!({ "__type": code, "message": message }).to_string())
}

/// One request as it left: the operation and the body.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) operation: String,
    pub(crate) body: Value,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl Script {
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let script = Self::default();
        script.answers.lock().unwrap().extend(answers);
        script
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    fn client(&self) -> SharedHttpClient {
        let connector = SharedHttpConnector::new(self.clone());
        http_client_fn(move |_, _| connector.clone())
    }

    /// Connects a target to the script.
    pub(crate) async fn target(&self) -> Ssm {
        self.target_with(|_| {}, |_| {}).await
    }

    /// The same, with other settings.
    pub(crate) async fn target_with(
        &self,
        settings: impl FnOnce(&mut Config),
        options: impl FnOnce(&mut Options),
    ) -> Ssm {
        let mut config: Config = serde_json::from_value(json!({
            "account": "111122223333",
            "region": "eu-west-1",
            "prefix": "/ai/prod",
            "kms_key": "alias/ai-config",
            "endpoint_url": "http://127.0.0.1:9",
        }))
        .unwrap();
        settings(&mut config);
        let mut given = Options::new(Owner::parse("assistant-prod").unwrap(), "t1");
        given.credentials = Some(("AKIDEXAMPLE".to_owned(), Secret::new("shh-the-secret-key".to_owned())));
        given.attempt_timeout = Duration::from_secs(5);
        given.http_client = Some(self.client());
        options(&mut given);
        connect(&config, given).await.unwrap()
    }
}

impl HttpConnector for Script {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or("sts.Query");
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or(Value::Null);
        self.sent.lock().unwrap().push(Sent { operation, body });
        match self.answers.lock().unwrap().pop_front().expect("the script has an answer for each request") {
            Answer::Says(status, body) => HttpConnectorFuture::ready(Ok(response(status, body))),
            Answer::Lost => HttpConnectorFuture::ready(Err(ConnectorError::io("connection reset by peer".into()))),
            Answer::Silent => HttpConnectorFuture::new(std::future::pending()),
        }
    }
}

fn response(status: u16, body: String) -> HttpResponse {
    let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
    response.headers_mut().insert("content-type", "application/x-amz-json-1.1");
    response.headers_mut().insert("date", "Tue, 14 Nov 2023 22:13:20 GMT");
    response
}
