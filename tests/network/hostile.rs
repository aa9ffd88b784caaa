//! Stores that are none: they send elsewhere, or say too much.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::World;

/// The most that is read of one answer, and what the system keeps of it on its way.
const MOST: u64 = (16 << 20) + (16 << 20);

/// Answers everybody the same way. Returns where.
async fn serve<F: Future<Output = ()> + Send>(
    answer: impl Fn(TcpStream) -> F + Send + Sync + Clone + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut head = vec![0; 16 << 10];
                if stream.read(&mut head).await.is_ok_and(|read| read > 0) {
                    answer(stream).await;
                }
            });
        }
    });
    url
}

/// Runs a command whose stores are at another place.
async fn run(world: &World, url: &str, args: &[&str]) -> (i32, String) {
    let head = world.head().replace(&world.emulator.aws_endpoint(), url).replace(&world.emulator.azure_endpoint(), url);
    world.write("repin.yaml", &format!("{head}entries:\n  a: {{ value: one }}\n"));
    let string = world.emulator.connection_string().replace(&world.emulator.azure_endpoint(), url);
    let ran = world.command(args).env("AZURE_CONNECTION", string).output().await.expect("runs");
    (ran.status.code().unwrap_or(-1), String::from_utf8_lossy(&ran.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirection_is_not_followed() {
    let world = World::new().await;
    let visited = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&visited);
    let elsewhere = serve(move |_stream| {
        count.fetch_add(1, Ordering::SeqCst);
        async {}
    })
    .await;
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let answered = Arc::new(AtomicU64::new(0));
        let (to, count) = (elsewhere.clone(), Arc::clone(&answered));
        let url = serve(move |mut stream| {
            let text =
                format!("HTTP/1.1 {status}\r\nlocation: {to}/kv\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            count.fetch_add(1, Ordering::SeqCst);
            async move { drop(stream.write_all(text.as_bytes()).await) }
        })
        .await;
        let (exit, said) = run(&world, &url, &["plan"]).await;
        assert!(exit == 1 || exit == 75, "{status}: {exit} {said}");
        assert!(answered.load(Ordering::SeqCst) >= 2, "both targets asked");
    }
    assert_eq!(visited.load(Ordering::SeqCst), 0, "nobody went there");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_end_is_not_kept() {
    let world = World::new().await;
    let longest = Arc::new(AtomicU64::new(0));
    let most = Arc::clone(&longest);
    let url = serve(move |mut stream| {
        let most = Arc::clone(&most);
        async move {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
            let part = [b"10000\r\n".as_slice(), &vec![b' '; 0x10000], b"\r\n"].concat();
            let mut sent = 0;
            if stream.write_all(head.as_bytes()).await.is_ok() {
                // A gigabyte, where nobody stops it.
                while sent < 1 << 30 && stream.write_all(&part).await.is_ok() {
                    sent += part.len() as u64;
                }
            }
            most.fetch_max(sent, Ordering::SeqCst);
        }
    })
    .await;
    let (exit, said) = run(&world, &url, &["plan"]).await;
    assert!(exit == 1 || exit == 75, "{exit}: {said}");
    let longest = longest.load(Ordering::SeqCst);
    assert!((1 << 20..MOST).contains(&longest), "{longest} bytes of one answer were taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_leaves_this_machine_only_where_it_is_allowed() {
    let world = World::new().await;
    let entries = "entries:\n  a: { value: one }\n";
    let aws = world.emulator.aws_endpoint();
    let without = world.head().replace(&format!("    endpoint_url: {aws}\n"), "");
    world.write("repin.yaml", &format!("{without}{entries}"));
    // Not in the file, where it would be refused: named by the environment, behind its back.
    let mut child = world.command(&["plan", "--target", "aws-eu"]);
    let ran = child.env("AWS_ENDPOINT_URL", "http://192.0.2.1:9").output().await.expect("runs");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains("http://192.0.2.1:9 is plain http, and leads away from this machine"), "{said}");
    let allowed = world.head().replace(&aws, "http://192.0.2.1:9");
    world.write("repin.yaml", &format!("{allowed}{entries}"));
    let refused = world.run(&["validate"]).await.expect(78);
    assert!(refused.stderr.contains("plain http is allowed only to this machine itself"), "{}", refused.stderr);
    let allowed = allowed.replace("    endpoint_url:", "    allow_http: true\n    endpoint_url:");
    world.write("repin.yaml", &format!("{allowed}{entries}"));
    world.run(&["validate"]).await.expect(0);
}
