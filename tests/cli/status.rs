//! How everything stands, and what probes say.

use repin_emulator::Fault;
use serde_json::{Value, json};

use crate::support::{World, hand};

fn target<'a>(status: &'a Value, name: &str) -> &'a Value {
    let targets = status["targets"].as_array().expect("targets");
    targets.iter().find(|target| target["target"] == name).expect("the target is listed")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_screen_of_a_release_that_is_served() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let empty = world.run(&["status"]).await.expect(0);
    assert!(empty.stdout.starts_with("test  NO RELEASE YET\n"), "{}", empty.stdout);
    world.run(&["reconcile", "-m", "first"]).await.expect(0);
    let shown = world.run(&["status"]).await.expect(0).stdout;
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines[0].starts_with("test  OK   release 1, reconcile, ") && lines[0].ends_with(" \"first\""), "{shown}");
    assert_eq!(lines[1], "target  serves  sync    health  last good pass");
    assert!(lines[2].starts_with("aws-eu  1       synced  ok      ") && lines[2].ends_with(" s ago"), "{shown}");
    assert!(lines[3].starts_with("azure   1       synced  ok      "), "{shown}");
    assert_eq!(lines[4], "file    this host's file is release 1 (current)");
    let status = world.json(0, &["status"]).await;
    assert_eq!(status["verdict"], json!(["ok"]));
    assert_eq!((&status["name"], &status["release"], &status["file"]), (&json!("test"), &json!(1), &json!("current")));
    assert_eq!(status["holds"], json!([]));
    for name in ["aws-eu", "azure"] {
        let target = target(&status, name);
        assert_eq!(
            (&target["release"], &target["sync"], &target["health"]),
            (&json!(1), &json!("synced"), &json!("ok"))
        );
        assert!(target["last_pass"].is_string() && target["last_error"].is_null(), "{target}");
        assert_eq!(target["drift"], json!([]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_state_and_with_a_broken_file_sees_the_same() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    world.run(&["reconcile"]).await.expect(0);
    world.lose_state();
    world.entries("  a: { value: one, nonsense: 1 }\n  b: { secret: true, value_from: { env: NOT_SET } }\n");
    world.reset();
    let status = world.json(0, &["status"]).await;
    assert_eq!(status["file"], json!(null));
    assert_eq!((&target(&status, "azure")["sync"], &status["release"]), (&json!("synced"), &json!(1)));
    assert_eq!(target(&status, "azure")["last_pass"], json!(null));
    assert_eq!(world.writes(), 0);
    let shown = world.run(&["status"]).await.expect(0).stdout;
    assert!(shown.contains("next    repin validate says what is wrong with the file\n"), "{shown}");
    assert!(shown.contains("none from this host"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_named_by_key_and_target() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  b: { value: two }\n");
    world.run(&["reconcile"]).await.expect(0);
    hand(&world).await[0].overwrite("a", "other").await;
    hand(&world).await[1].remove("b").await;
    let status = world.json(0, &["status"]).await;
    assert_eq!(status["verdict"], json!(["drifted"]));
    assert_eq!(target(&status, "aws-eu")["drift"], json!([{ "key": "a", "from": "1", "to": "2" }]));
    assert_eq!(target(&status, "azure")["drift"][0]["to"], json!(null));
    let shown = world.run(&["status"]).await.expect(0).stdout;
    assert!(shown.starts_with("test  DRIFTED "), "{shown}");
    assert!(shown.contains("drift   a on aws-eu serves 2, should serve 1\n"), "{shown}");
    assert!(shown.contains("\n        b on azure is gone, should serve "), "{shown}");
    world.run(&["reconcile"]).await.expect(0);
    assert_eq!(world.json(0, &["status"]).await["verdict"], json!(["ok"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_not_reached_is_shown_with_what_it_served() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    world.run(&["reconcile"]).await.expect(0);
    world.faults(|call| if call.service == "appconfig" { Fault::DropBefore } else { Fault::None });
    let status = world.json(75, &["status"]).await;
    assert_eq!(status["verdict"], json!(["unreachable"]));
    let azure = target(&status, "azure");
    assert_eq!(
        (&azure["release"], &azure["sync"], &azure["health"]),
        (&json!(1), &json!("unknown"), &json!("unreachable"))
    );
    assert_eq!(azure["last_error"]["kind"], "unreachable");
    assert_eq!(target(&status, "aws-eu")["sync"], "synced");
    let shown = world.run(&["status"]).await.expect(75);
    assert!(shown.stdout.contains("<- served 1 when last seen"), "{}", shown.stdout);
    assert!(shown.stderr.contains("azure: "), "{}", shown.stderr);
    // One that swallows requests keeps nobody waiting for all of its time limits: what is known is shown.
    world.faults(|call| if call.service == "appconfig" { Fault::HangBefore } else { Fault::None });
    for command in ["status", "history"] {
        world.reset();
        let told = world.run(&[command]).await.expect(75).stderr;
        assert!(told.contains("has not answered, and others have"), "{told}");
        assert_eq!(world.count("appconfig", "GET /kv"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changed_and_one_that_is_behind() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    world.run(&["reconcile"]).await.expect(0);
    world.entries("  a: { value: two }\n");
    assert_eq!(world.json(0, &["status"]).await["file"], "changed");
    world.run(&["reconcile"]).await.expect(0);
    world.entries("  a: { value: one }\n");
    world.lose_state();
    let status = world.json(0, &["status"]).await;
    assert_eq!((&status["file"], &status["verdict"]), (&json!("behind"), &json!(["behind"])));
    let shown = world.run(&["status"]).await.expect(0).stdout;
    assert!(shown.contains("file    this host's file is release 1, superseded by 2 (behind)\n"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_asks_the_daemon_and_nothing_else() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    for what in ["live", "ready"] {
        let said = world.json(1, &["status", "--probe", what]).await;
        assert_eq!(said["error"]["kind"], "probe");
        assert!(said["error"]["message"].as_str().expect("text").contains("no daemon for test"), "{said}");
    }
    std::fs::create_dir_all(world.path("state/test")).expect("made");
    let listener = tokio::net::UnixListener::bind(world.path("state/test/daemon.sock")).expect("bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 256];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let live = request[..read].starts_with(b"GET /live HTTP/1.0\r\n");
            let answer = if live { "200 OK\r\n\r\nturning" } else { "503 Unavailable\r\n\r\nno good pass yet" };
            let _ = stream.write_all(format!("HTTP/1.0 {answer}").as_bytes()).await;
        }
    });
    assert_eq!(world.run(&["status", "--probe", "live"]).await.expect(0).stdout, "turning\n");
    let no = world.run(&["status", "--probe", "ready"]).await.expect(1);
    assert!(no.stderr.contains("not ready: no good pass yet"), "{}", no.stderr);
    assert_eq!(world.emulator.counters().total("ssm") + world.emulator.counters().total("appconfig"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_is_not_served_everywhere() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  b: { value: one }\n");
    world.run(&["reconcile"]).await.expect(0);
    world.entries("  a: { value: two }\n  b: { value: two }\n");
    world.faults(|call| {
        let refused =
            call.operation == "PUT /kv/{key}" && call.name.as_deref().is_some_and(|name| name.ends_with("/b"));
        if !refused {
            return Fault::None;
        }
        let (code, message) = ("BadRequest".to_owned(), "not like this".to_owned());
        Fault::Refuse { status: 400, code, message, retry_after_ms: None }
    });
    world.run(&["reconcile"]).await.expect(3);
    let status = world.json(0, &["status"]).await;
    assert_eq!(status["verdict"], json!(["partial"]));
    let (aws, azure) = (target(&status, "aws-eu"), target(&status, "azure"));
    assert_eq!((&aws["release"], &aws["sync"], &aws["pending"]), (&json!(2), &json!("synced"), &json!(null)));
    assert_eq!((&azure["release"], &azure["sync"], &azure["pending"]), (&json!(1), &json!("pending"), &json!(2)));
    assert_eq!(azure["drift"], json!([]), "what the release is changing is no drift");
    let shown = world.run(&["status"]).await.expect(0).stdout;
    assert!(shown.starts_with("test  PARTIAL   release 2, reconcile, "), "{shown}");
    assert!(shown.contains("  <- still serving 1\n"), "{shown}");
    assert!(
        shown.contains("next    azure: repin reconcile goes on with release 2, unless a run is at work\n"),
        "{shown}"
    );
    world.emulator.faults().clear();
    world.run(&["reconcile"]).await.expect(0);
    assert_eq!(world.json(0, &["status"]).await["verdict"], json!(["ok"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_for_one_target_does_not_hide_the_others() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    world.run(&["reconcile"]).await.expect(0);
    let run = async |args: &[&str]| {
        let args = [args, &["-o", "json"]].concat();
        let output = world.command(&args).env_remove("AZURE_CONNECTION").output().await.expect("runs");
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).expect("JSON"))
    };
    let (code, status) = run(&["status"]).await;
    let azure = target(&status, "azure");
    assert_eq!((code, &azure["health"], &azure["release"]), (Some(77), &json!("denied"), &json!(1)), "{status}");
    assert!(azure["last_error"]["message"].as_str().expect("text").contains("AZURE_CONNECTION"), "{azure}");
    assert_eq!(target(&status, "aws-eu")["sync"], "synced");
    let (code, got) = run(&["get", "a"]).await;
    assert_eq!(
        (code, &got["targets"][0]["value"], &got["errors"][0]["target"]),
        (Some(77), &json!("one"), &json!("azure"))
    );
    let (code, history) = run(&["history"]).await;
    assert_eq!((code, &history["releases"][0]["release"]), (Some(77), &json!(1)));
    // A pass looks everywhere or does nothing.
    let (code, refused) = run(&["reconcile"]).await;
    assert_eq!((code, &refused["error"]["target"]), (Some(77), &json!("azure")));
}
