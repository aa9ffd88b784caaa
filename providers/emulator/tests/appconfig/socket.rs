use std::sync::Arc;

use jiff::Timestamp;
use repin_emulator::credentials::APPCONFIG_ID;
use repin_emulator::{Emulator, Fault, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{VERSION, sign_for};

/// Sends one request over a connection of its own and returns whatever comes before it closes.
async fn talk(emulator: &Emulator, method: &str, target: &str, body: &str) -> String {
    let endpoint = emulator.azure_endpoint();
    let host = endpoint.strip_prefix("http://").unwrap();
    let date = Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let mut request = format!("{method} {target} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in sign_for(host, APPCONFIG_ID, method, target, &date, body) {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(body);
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A connection that is cut may also be reset: what had come until then is the answer.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn answers_go_over_the_wire_as_they_are() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let written = talk(&emulator, "PUT", &format!("/kv/a:b*/c%2Fd?{VERSION}"), r#"{"value":"1"}"#).await;
    assert!(written.starts_with("HTTP/1.1 200 OK\r\n"), "{written}");
    assert!(written.contains(r#""key":"a:b*/c/d""#), "{written}");
    let head = talk(&emulator, "HEAD", &format!("/kv?{VERSION}"), "").await;
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    assert_eq!(head.matches("\r\ndate: ").count(), 1, "{head}");
    assert_eq!(head.matches("\r\nsync-token: ").count(), 1, "{head}");
    assert_eq!(emulator.counters().count("appconfig", "PUT /kv/{key}"), 1);
    assert_eq!(emulator.counters().calls()[0].name.as_deref(), Some("a:b*/c/d"));
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_lost_answer_has_had_its_effect() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    emulator.faults().set(Arc::new(|call| match call.index {
        1 => Fault::DropBefore,
        2 => Fault::DropAfter,
        _ => Fault::None,
    }));
    let target = format!("/kv/k?{VERSION}");
    assert_eq!(talk(&emulator, "PUT", &target, r#"{"value":"1"}"#).await, "");
    assert_eq!(talk(&emulator, "PUT", &target, r#"{"value":"2"}"#).await, "");
    let history = talk(&emulator, "GET", &format!("/revisions?{VERSION}"), "").await;
    assert!(history.contains(r#""value":"2""#) && !history.contains(r#""value":"1""#), "{history}");
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_refusal_is_the_services_own() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    emulator.faults().set(Arc::new(|_| Fault::Refuse {
        status: 429,
        code: "too-many-requests".into(),
        message: "Too many".into(),
        retry_after_ms: Some(250),
    }));
    let answer = talk(&emulator, "GET", &format!("/kv?{VERSION}"), "").await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(answer.contains("\r\nretry-after-ms: 250\r\n") && answer.contains("\r\nsync-token: "), "{answer}");
    assert!(answer.contains("https://azconfig.io/errors/too-many-requests"), "{answer}");
    emulator.shutdown().await;
}
