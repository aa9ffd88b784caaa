//! Over a real socket: what is signed must be what the transport sends, and a closed socket must be a lost answer.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::BTreeMap;

use azure_core::credentials::Secret;
use azure_core::hmac::hmac_sha256;
use azure_data_app_configuration::{AppConfigurationClient, ErrorKind, KeyValueContent, Outcome, PutKeyValueOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ=";

fn client(listener: &TcpListener) -> AppConfigurationClient {
    let address = listener.local_addr().unwrap();
    let text = format!("Endpoint=http://{address};Id=id-0;Secret={SECRET}");
    AppConfigurationClient::from_connection_string(&text, None).unwrap()
}

/// Reads one request: its first line, its headers in lower case, its body.
async fn read_request(socket: &mut TcpStream) -> (String, BTreeMap<String, String>, String) {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let count = socket.read(&mut chunk).await.unwrap();
        assert_ne!(count, 0, "the request ended early");
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8(bytes.clone()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let mut lines = head.split("\r\n");
        let line = lines.next().unwrap().to_owned();
        let headers: BTreeMap<_, _> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        if body.len() == length {
            return (line, headers, body.to_owned());
        }
    }
}

#[tokio::test]
async fn the_signature_covers_what_is_on_the_wire() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(&listener);
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let request = read_request(&mut socket).await;
        let body = r#"{"key":"k","etag":"e1"}"#;
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        socket.write_all(answer.as_bytes()).await.unwrap();
        request
    });
    let key = "a/b%c?d#e\\f+g h*,ü.";
    let options = PutKeyValueOptions { label: Some("l +/&=".into()), ..PutKeyValueOptions::default() };
    client.put_key_value(key, &KeyValueContent::new("wört"), Some(options)).await.unwrap();

    let (line, headers, body) = server.await.unwrap();
    let target = "/kv/a%2Fb%25c%3Fd%23e%5Cf%2Bg%20h%2A%2C%C3%BC.?api-version=2024-09-01&label=l%20%2B%2F%26%3D";
    assert_eq!(line, format!("PUT {target} HTTP/1.1"));
    assert_eq!(body, r#"{"value":"wört","content_type":null,"tags":{}}"#);
    let signed = ["x-ms-date", "host", "x-ms-content-sha256"].map(|name| headers[name].as_str()).join(";");
    let expected = hmac_sha256(&format!("PUT\n{target}\n{signed}"), &Secret::new(SECRET)).unwrap();
    assert!(headers["authorization"].ends_with(&format!("&Signature={expected}")), "{headers:?}");
}

#[tokio::test]
async fn a_socket_closed_without_an_answer_is_a_lost_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(&listener);
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_request(&mut socket).await;
        drop(socket);
        // Whoever comes again comes in vain: a repeated write would be accepted here.
        tokio::time::timeout(std::time::Duration::from_millis(700), listener.accept()).await.is_ok()
    });
    let error = client.put_key_value("a", &KeyValueContent::new("v"), None).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Interrupted, Outcome::Unknown));
    assert!(!server.await.unwrap(), "the write was repeated");
}

#[tokio::test]
async fn a_closed_port_is_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(&listener);
    drop(listener);
    let error = client.put_key_value("a", &KeyValueContent::new("v"), None).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Connection, Outcome::NotDone));
}
