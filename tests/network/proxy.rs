//! Proxies: those that the environment names lead to the clouds, and never to this machine.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{ACCOUNT, World};

/// A proxy that notes where it is asked to lead, and leads nowhere. Returns its URL.
async fn proxy() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let notes = Arc::clone(&notes);
            tokio::spawn(async move {
                let mut head = vec![0; 8 << 10];
                let read = stream.read(&mut head).await.unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..read]).into_owned();
                notes.lock().expect("whole").push(head.lines().next().unwrap_or_default().to_owned());
                let _ =
                    stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
            });
        }
    });
    (url, asked)
}

const AWAY: &str = "version: 1\nname: test\ntargets:\n  aws-eu: { provider: aws-ssm, account: \"111122223333\", region: \
                    eu-west-1, prefix: /ai/test }\n  azure: { provider: azure-app-configuration, endpoint: \
                    \"https://store.invalid\", prefix: test, connection_string: { env: AZURE_CONNECTION } }\nentries:\n  \
                    a: { value: one }\n";

#[tokio::test(flavor = "multi_thread")]
async fn both_clouds_are_reached_through_the_proxy() {
    let world = World::new().await;
    assert!(AWAY.contains(ACCOUNT));
    world.write("repin.yaml", AWAY);
    let string = "Endpoint=https://store.invalid;Id=id;Secret=c2VjcmV0";
    for command in [&["plan"][..], &["rollback", "1"]] {
        let (url, asked) = proxy().await;
        let mut child = world.command(command);
        child.env("AZURE_CONNECTION", string).env("HTTPS_PROXY", &url).env("NO_PROXY", "other.invalid");
        let ran = child.output().await.expect("runs");
        assert_ne!(ran.status.code(), Some(0));
        let asked = asked.lock().expect("whole").clone();
        for host in ["ssm.eu-west-1.amazonaws.com:443", "store.invalid:443"] {
            let line = format!("CONNECT {host} HTTP/1.1");
            assert!(asked.contains(&line), "{command:?}: {line} in {asked:?}");
        }
        assert!(asked.iter().all(|line| line.starts_with("CONNECT ")), "nothing in the clear: {asked:?}");
    }
    let (url, asked) = proxy().await;
    let mut child = world.command(&["plan", "--target", "azure"]);
    child.env("AZURE_CONNECTION", string).env("HTTPS_PROXY", &url).env("NO_PROXY", "store.invalid");
    assert_ne!(child.output().await.expect("runs").status.code(), Some(0));
    let asked = asked.lock().expect("whole").clone();
    assert!(!asked.iter().any(|line| line.contains("store.invalid")), "NO_PROXY names it: {asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn this_machine_is_never_reached_through_a_proxy() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let (url, asked) = proxy().await;
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"] {
        let ran = world.command(&["reconcile"]).env(name, &url).output().await.expect("runs");
        assert_eq!(ran.status.code(), Some(0), "{name}: {}", String::from_utf8_lossy(&ran.stderr));
    }
    assert!(asked.lock().expect("whole").is_empty());
}
