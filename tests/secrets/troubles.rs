//! What goes wrong on the way: stores that fail in every manner there is, and answers that quote what they hold.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use hyper_util::rt::TokioIo;
use repin_emulator::{Fault, FaultKind};
use tokio::net::{TcpListener, TcpStream};

use crate::outputs::{LEAKY, world};
use crate::support::disguise::assert_absent;
use crate::support::{SENTINEL, World, all_files, hand, secret_access_key};

/// Runs a command that says all it can, and looks for every secret in what it says. Returns what it ended with.
async fn run(world: &World, what: &str, args: &[&str]) -> (i32, String) {
    let mut command = world.command(args);
    let ran = command.envs(LEAKY).arg("-vvvv").output().await.expect("runs");
    let said = [ran.stdout, ran.stderr].concat();
    assert_absent(&format!("{what}: {args:?}"), &said);
    let said = String::from_utf8_lossy(&said).into_owned();
    let connection = world.emulator.connection_string();
    let azure = connection.split("Secret=").nth(1).expect("it has one");
    for credential in [secret_access_key(), azure] {
        assert!(!said.contains(credential), "{what}: {args:?} says a credential");
    }
    let code = ran.status.code().unwrap_or(-1);
    assert!(!said.contains("mistake of its own"), "{what}: {args:?}: {said}");
    (code, said)
}

/// Commands that read secrets, write them, or look at how they are kept.
const COMMANDS: [&[&str]; 5] = [
    &["plan", "-o", "json"],
    &["reconcile", "--timeout", "1s"],
    &["get", "key"],
    &["rollback", "1", "--dry-run"],
    &["doctor", "-o", "json"],
];

async fn endures(kind: FaultKind, draw: u64) {
    let data = tempfile::tempdir().expect("a folder");
    let world = world(&data).await;
    world.run(&["reconcile"]).await.expect(0);
    let aws = hand(&world).await.remove(0);
    // One secret is to be made again, the others to be read: this host has never seen them.
    aws.remove("json").await;
    world.emulator.clock().advance(std::time::Duration::from_secs(60));
    world.lose_state();
    world.faults(move |call| if kind.can_meet(call) { kind.fault(call, draw) } else { Fault::None });
    for command in COMMANDS {
        let (code, said) = run(&world, kind.name(), command).await;
        assert!([0, 1, 3, 5, 75, 77, 78].contains(&code), "{kind} {command:?}: {code}\n{said}");
    }
    let (_, said) = run(&world, kind.name(), &["get", "nothing", "--reveal"]).await;
    assert!(!said.is_empty());
    for (path, bytes) in all_files(&world.path("state")) {
        assert_absent(&path.display().to_string(), &bytes);
    }
}

/// Every kind of fault but those that are only waited out, at every request that can meet it.
#[tokio::test(flavor = "multi_thread")]
async fn slow_no_fault_of_a_store_shows_a_secret() {
    use FaultKind::{HangAfter, HangBefore, Slow, SnapshotFailed, SnapshotStuck};
    let waited_out = [HangAfter, HangBefore, Slow, SnapshotFailed, SnapshotStuck];
    let kinds = FaultKind::ALL.into_iter().filter(|kind| !waited_out.contains(kind));
    // An answer may make no sense in four ways.
    let draws = |kind| if kind == FaultKind::Malformed { 0..4 } else { 0..1 };
    let cases = kinds.flat_map(|kind| draws(kind).map(move |draw| endures(kind, draw)));
    let work = tokio::sync::Semaphore::new(4);
    futures::future::join_all(cases.map(async |case| {
        let _working = work.acquire().await.expect("never closed");
        case.await;
    }))
    .await;
}

/// Answers of Parameter Store in which the secret stands where nobody expects it.
fn answers() -> Vec<String> {
    let s = SENTINEL;
    vec![
        format!(r#"{{"Parameters":[{{"Name":"/ai/test/key","Type":"SecureString","Value":"{s}","Version":"{s}"}}]}}"#),
        format!(r#"{{"Parameters":[{{"Name":"/ai/test/key","Type":"{s}","Value":"{s}","LastModifiedDate":"{s}"}}]}}"#),
        format!(r#"{{"Parameters":[{{"Name":["{s}"],"Type":"String","Value":"{s}","Version":1}}]}}"#),
        format!(r#"{{"Parameters":"{s}","InvalidParameters":{{"{s}":1}}}}"#),
        format!(r#"{{"Parameters":[{{"Value":"{s}"#),
        format!(r#"{{"{s}"}}"#),
        format!("\"{s}\""),
        s.to_owned(),
        format!("<html>{s}</html>"),
    ]
}

/// Stands before Parameter Store, and answers some of what is asked itself. Returns where.
async fn between(store: &str, answers: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> String {
    let (store, answers) = (Arc::new(store.trim_start_matches("http://").to_owned()), Arc::new(answers));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let router = Router::new().fallback(move |request: Request| {
        let (store, answers) = (Arc::clone(&store), Arc::clone(&answers));
        async move {
            let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
            match target.and_then(|target| answers(target)) {
                Some(text) => {
                    let answer = Response::builder().header("content-type", "application/x-amz-json-1.1");
                    answer.body(Body::from(text)).expect("an answer")
                }
                None => pass_on(&store, request).await,
            }
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn pass_on(store: &str, request: Request) -> Response {
    let stream = TcpStream::connect(store).await.expect("connects");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("agreed");
    tokio::spawn(connection);
    let answer = sender.send_request(request).await.expect("answered");
    let (parts, body) = answer.into_parts();
    let body: Bytes = axum::body::to_bytes(Body::new(body), 1 << 20).await.expect("whole");
    Response::from_parts(parts, Body::from(body))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_makes_no_sense_is_not_quoted() {
    let data = tempfile::tempdir().expect("a folder");
    let world = world(&data).await;
    world.run(&["reconcile"]).await.expect(0);
    let file = std::fs::read_to_string(world.path("repin.yaml")).expect("there");
    let spoilt = ["AmazonSSM.GetParameters", "AmazonSSM.GetParameter", "AmazonSSM.GetParameterHistory"];
    for text in answers() {
        let told = text.clone();
        let url = between(&world.emulator.aws_endpoint(), move |target| {
            // The ledger is listed, by `GetParametersByPath`, and makes sense.
            spoilt.contains(&target).then(|| told.clone())
        })
        .await;
        world.write("repin.yaml", &file.replace(&world.emulator.aws_endpoint(), &url));
        world.lose_state();
        for args in [&["plan"][..], &["reconcile", "-o", "json", "--timeout", "1s"], &["get", "key"]] {
            let (code, said) = run(&world, &text, args).await;
            assert!([1, 75].contains(&code) || (args[0] == "get" && code == 0), "{text} {args:?}: {code}\n{said}");
        }
    }
}
