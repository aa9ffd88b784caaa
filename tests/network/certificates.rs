//! Stores that do not prove who they are: nothing is sent to them, and people are told why.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::front::{Authority, Identity, Paper, front};
use crate::support::World;

/// A certificate that is good for years to come.
const GOOD: Paper<'_> = Paper { names: &["127.0.0.1", "localhost"], years: (2020, 2999) };

/// Writes a file whose stores are at these places, and returns the connection string for the second.
fn write(world: &World, aws: &str, azure: &str, bundle: &str) -> String {
    let (aws, azure) = (format!("https://{aws}"), format!("https://{azure}"));
    let head = world.head().replace(&world.emulator.aws_endpoint(), &aws);
    let head =
        head.replace(&world.emulator.azure_endpoint(), &azure).replace("    prefix:", &format!("{bundle}    prefix:"));
    world.write("repin.yaml", &format!("{head}entries:\n  a: {{ value: one }}\n"));
    world.emulator.connection_string().replace(&world.emulator.azure_endpoint(), &azure)
}

async fn run(world: &World, connection: &str, args: &[&str]) -> (i32, String) {
    let ran = world.command(args).env("AZURE_CONNECTION", connection).output().await.expect("runs");
    (ran.status.code().unwrap_or(-1), String::from_utf8_lossy(&ran.stderr).into_owned())
}

/// Asserts that both targets are refused with these words in one sentence each, by whatever command, and asked nothing.
async fn assert_refused(world: &World, connection: &str, words: &str) {
    for args in [&["plan"][..], &["reconcile"], &["rollback", "1", "--timeout", "1s"], &["reconcile", "-o", "json"]] {
        let (exit, said) = run(world, connection, args).await;
        assert_eq!(exit, 75, "{args:?}: {said}");
        if args.contains(&"json") {
            continue;
        }
        let told: Vec<_> = said.split("\n").filter(|line| line.starts_with("error: ")).collect();
        assert!(told.len() == 2 && told.iter().all(|error| error.contains(words)), "{args:?}: {words:?} in {said}");
        assert!(told[0].contains("aws-eu") && told[1].contains("azure"), "{said}");
        let folded = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let way_out = if words.starts_with("peer") { "TLS 1.2 or newer is needed" } else { "with ca_bundle or" };
        assert!(folded.contains(way_out), "{args:?}: {said}");
    }
    assert_eq!(world.emulator.counters().total("ssm") + world.emulator.counters().total("appconfig"), 0, "{words}");
    assert_eq!(world.emulator.counters().total("sts"), 0, "{words}");
}

/// Has both clouds show a certificate to the program, which trusts an authority.
async fn shown(world: &World, identity: &Identity, authority: Option<&Authority>) -> String {
    let bundle = authority.map_or("", |authority| {
        world.write("authority.pem", authority.pem());
        "    ca_bundle: authority.pem\n"
    });
    let aws = front(identity, &world.emulator.aws_endpoint()).await;
    let azure = front(identity, &world.emulator.azure_endpoint()).await;
    write(world, &aws, &azure, bundle)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_certificate_is_believed() {
    let (world, authority) = (World::new().await, Authority::new());
    let connection = shown(&world, &authority.issue(GOOD), Some(&authority)).await;
    let (exit, said) = run(&world, &connection, &["reconcile"]).await;
    assert_eq!(exit, 0, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_of_now_or_of_somebody_else_is_refused() {
    let cases = [
        (Paper { years: (2020, 2021), ..GOOD }, "certificate expired"),
        (Paper { years: (2998, 2999), ..GOOD }, "certificate not valid yet"),
        (Paper { names: &["store.example"], ..GOOD }, "certificate not valid for name \"127.0.0.1\""),
    ];
    futures::future::join_all(cases.map(async |(paper, words)| {
        let (world, authority) = (World::new().await, Authority::new());
        let connection = shown(&world, &authority.issue(paper), Some(&authority)).await;
        assert_refused(&world, &connection, words).await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_nobody_vouches_for_is_refused() {
    let world = World::new().await;
    // By itself, and by an authority that the file does not name.
    for identity in [GOOD.self_signed(), Authority::new().issue(GOOD)] {
        let connection = shown(&world, &identity, None).await;
        assert_refused(&world, &connection, "UnknownIssuer").await;
    }
    let (identity, authority) = (GOOD.self_signed(), Authority::new());
    let connection = shown(&world, &identity, Some(&authority)).await;
    assert_refused(&world, &connection, "UnknownIssuer").await;
}

/// Agrees to TLS 1.1, whatever is offered, and notes what kinds of records come back. Returns where it listens.
async fn outdated(kinds: Arc<Mutex<BTreeSet<u8>>>) -> String {
    // A handshake record of version 3.2 with a ServerHello of 3.2: no session, ECDHE-RSA-AES256-SHA, no compression.
    let head = [&[0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2][..], &[7; 32], &[0, 0xc0, 0x14, 0]].concat();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (hello, kinds) = (head.clone(), Arc::clone(&kinds));
            tokio::spawn(async move {
                let mut is_greeted = false;
                let mut record = [0; 5];
                while stream.read_exact(&mut record).await.is_ok() {
                    kinds.lock().expect("whole").insert(record[0]);
                    let mut body = vec![0; usize::from(u16::from_be_bytes([record[3], record[4]]))];
                    let is_read = stream.read_exact(&mut body).await.is_ok();
                    if !is_read || (!is_greeted && stream.write_all(&hello).await.is_err()) {
                        break;
                    }
                    is_greeted = true;
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_of_old_is_not_spoken() {
    let world = World::new().await;
    let kinds = Arc::default();
    let (aws, azure) = (outdated(Arc::clone(&kinds)).await, outdated(Arc::clone(&kinds)).await);
    let connection = write(&world, &aws, &azure, "");
    assert_refused(&world, &connection, "peer is incompatible").await;
    // What came was a greeting and an alert, and no request.
    assert_eq!(*kinds.lock().expect("whole"), BTreeSet::from([0x15, 0x16]));
}
