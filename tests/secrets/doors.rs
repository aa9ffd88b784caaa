//! What the daemon says: over its control socket, in both directions, and over HTTP.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use crate::support::disguise::assert_absent;
use crate::support::{SENTINEL, World};

/// Carries bytes between whoever comes to a socket and another one, and keeps them.
fn record(at: PathBuf, to: PathBuf) -> Arc<Mutex<Vec<u8>>> {
    std::fs::create_dir_all(at.parent().expect("inside")).expect("made");
    let listener = UnixListener::bind(at).expect("bound");
    let kept = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&kept);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(daemon) = UnixStream::connect(&to).await else { continue };
            let ((mut from, mut back), (mut answer, mut ask)) = (client.into_split(), daemon.into_split());
            let (said, heard) = (Arc::clone(&all), Arc::clone(&all));
            tokio::spawn(async move { carry(&mut from, &mut ask, &said).await });
            tokio::spawn(async move { carry(&mut answer, &mut back, &heard).await });
        }
    });
    kept
}

async fn carry(
    from: &mut (impl tokio::io::AsyncRead + Unpin),
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
    kept: &Mutex<Vec<u8>>,
) {
    let mut part = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut part).await {
        kept.lock().expect("whole").extend_from_slice(&part[..read]);
        if to.write_all(&part[..read]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

async fn ask(socket: &PathBuf, path: &str) -> Vec<u8> {
    let mut stream = UnixStream::connect(socket).await.expect("connects");
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await.expect("said");
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await.expect("ends").expect("read");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_daemon_says_has_no_secret() {
    let world = World::new().await;
    world
        .entries("  a: { value: one }\n  key: { targets: [aws-eu], secret: true, value_from: { env: TEST_SECRET } }\n");
    let mut daemon = world.command(&["daemon", "--interval", "1h", "-vvvv"]);
    let log = std::fs::File::create(world.path("log")).expect("made");
    let mut daemon = daemon.stderr(log).spawn().expect("starts");
    let socket = world.path("state/test/daemon.sock");
    let since = Instant::now();
    // Ready is sooner: the look at each target comes before the release.
    let is_served = || std::fs::read_to_string(world.path("log")).is_ok_and(|log| log.contains("release 1 is served"));
    while !is_served() {
        assert!(since.elapsed() < Duration::from_secs(30), "nothing is served");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let kept = record(world.path("operator/test/daemon.sock"), socket.clone());
    let operator = world.path("operator");
    let operator = operator.to_str().expect("text");
    for command in [
        &["plan"][..],
        &["get", "key"],
        &["status", "-o", "json"],
        &["history", "key"],
        &["hold", "key", "-m", "wait"],
        &["resume", "--all"],
        &["pin", "key", "--target", "aws-eu", "--version", "1", "-m", "by hand"],
        &["unpin", "key"],
        &["reconcile"],
        &["show", "1"],
        &["diff", "1"],
        &["rollback", "1", "--dry-run"],
    ] {
        world.run(&[command, &["--state-dir", operator, "-vvvv"]].concat()).await.expect(0);
    }
    let said = kept.lock().expect("whole").clone();
    assert!(String::from_utf8_lossy(&said).contains("/v1/command"), "the commands went through it");
    assert_absent("what went over the control socket", &said);
    for path in ["/v1/command", "/v1/cancel", "/v1/nothing"] {
        assert_absent(path, &ask(&socket, path).await);
    }
    for path in ["/metrics", "/v1/status", "/ready", "/live"] {
        let answer = ask(&socket, path).await;
        assert_absent(path, &answer);
        let head = String::from_utf8_lossy(&answer).to_lowercase();
        assert!(head.contains("x-content-type-options: nosniff") && !head.contains("access-control"), "{head}");
    }
    assert_absent("the daemon's log", &std::fs::read(world.path("log")).expect("a log"));
    // It does have it, and says it where it is asked to.
    let revealed =
        world.run(&["get", "key", "--reveal", "--target", "aws-eu", "--state-dir", operator]).await.expect(0);
    assert!(revealed.stdout.contains(SENTINEL));
    daemon.start_kill().expect("killed");
    daemon.wait().await.expect("gone");
}
