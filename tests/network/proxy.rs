//! Proxies: those that the environment names lead to the clouds, and never to this machine.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::front::{Authority, Paper, front};
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

/// A proxy that leads to one of two places: the hosts of AWS, and everybody else. Returns its URL.
async fn tunnel(aws: String, azure: String) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (notes, aws, azure) = (Arc::clone(&notes), aws.clone(), azure.clone());
            tokio::spawn(async move {
                let mut head = Vec::new();
                // Byte by byte: what follows the empty line is not the proxy's.
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { return };
                    head.push(byte);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let line = head.lines().next().unwrap_or_default().to_owned();
                let to = if line.contains(".amazonaws.com:443 ") { aws } else { azure };
                notes.lock().expect("whole").push(line);
                let Ok(mut store) = TcpStream::connect(to).await else { return };
                if stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.is_ok() {
                    let _ = copy_bidirectional(&mut stream, &mut store).await;
                }
            });
        }
    });
    (url, asked)
}

/// Through the proxy TLS is spoken with the store itself: its certificate is asked for, and the proxy sees no request.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_goes_through_a_tunnel() {
    const NAMES: &[&str] = &["ssm.eu-west-1.amazonaws.com", "sts.eu-west-1.amazonaws.com", "store.invalid"];
    let (world, authority) = (World::new().await, Authority::new());
    world.write("authority.pem", authority.pem());
    world.write("repin.yaml", &AWAY.replace("prefix:", "ca_bundle: authority.pem, prefix:"));
    let string = world.emulator.connection_string();
    let string = string.replace(&world.emulator.azure_endpoint(), "https://store.invalid");
    let run = async |url: &str, args: &[&str]| {
        let mut child = world.command(args);
        let ran = child.env("AZURE_CONNECTION", &string).env("HTTPS_PROXY", url).output().await.expect("runs");
        (ran.status.code(), String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned())
    };
    let leads_to = async |names| {
        let identity = authority.issue(Paper { names, years: (2020, 2999) });
        let aws = front(&identity, &world.emulator.aws_endpoint()).await;
        tunnel(aws, front(&identity, &world.emulator.azure_endpoint()).await).await
    };
    let (url, asked) = leads_to(NAMES).await;
    let (exit, said) = run(&url, &["reconcile"]).await;
    assert_eq!(exit, Some(0), "{said}");
    let (exit, said) = run(&url, &["get", "a"]).await;
    assert!(exit == Some(0) && said.matches("one").count() == 2, "{said}");
    let asked = asked.lock().expect("whole").clone();
    for name in NAMES {
        assert!(asked.contains(&format!("CONNECT {name}:443 HTTP/1.1")), "{name} in {asked:?}");
    }
    // A proxy that leads to somebody else.
    let before = world.emulator.counters().total("ssm") + world.emulator.counters().total("appconfig");
    let (url, _) = leads_to(&["other.invalid"]).await;
    let (exit, said) = run(&url, &["reconcile"]).await;
    assert!(exit == Some(75) && said.matches("certificate not valid for name").count() >= 2, "{exit:?} {said}");
    assert_eq!(world.emulator.counters().total("ssm") + world.emulator.counters().total("appconfig"), before);
}
