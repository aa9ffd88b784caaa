//! No secret in any output, log, state or store file.

use base64::Engine as _;

use crate::support::{SENTINEL, World, all_files};

/// The ways in which a value could be written.
fn disguises() -> Vec<(&'static str, Vec<u8>)> {
    let bytes = SENTINEL.as_bytes();
    let decimal = bytes.iter().map(u8::to_string).collect::<Vec<_>>();
    let base64 = |text: &[u8]| base64::engine::general_purpose::STANDARD_NO_PAD.encode(text);
    // A value inside something longer starts at any of three places of a base64 group; the middle is then the same.
    let inner = |shift: usize| {
        let padded = [vec![b'x'; shift], bytes.to_vec()].concat();
        let text = base64(&padded);
        text[shift + 3..text.len() - 4].to_owned()
    };
    vec![
        ("text", bytes.to_vec()),
        ("base64", inner(0).into_bytes()),
        ("base64 +1", inner(1).into_bytes()),
        ("base64 +2", inner(2).into_bytes()),
        ("hex", hex::encode(bytes).into_bytes()),
        ("HEX", hex::encode_upper(bytes).into_bytes()),
        ("decimal bytes", decimal.join(", ").into_bytes()),
        ("decimal bytes, tight", decimal.join(",").into_bytes()),
        ("percent", SENTINEL.replace('~', "%7E").into_bytes()),
        ("JSON string", SENTINEL.replace('~', "\\u007e").into_bytes()),
    ]
}

#[track_caller]
fn assert_absent(what: &str, haystack: &[u8]) {
    for (name, needle) in disguises() {
        let found = haystack.windows(needle.len()).any(|window| window == needle);
        assert!(!found, "the secret as {name} in {what}");
    }
}

#[test]
fn the_search_finds_what_it_looks_for() {
    for (name, needle) in disguises() {
        let mut text = b"before ".to_vec();
        text.extend(&needle);
        assert!(std::panic::catch_unwind(|| assert_absent("a probe", &text)).is_err(), "{name}");
    }
    assert_absent("nothing", b"nothing to see");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_leaves_by_any_door() {
    let data = tempfile::tempdir().expect("a folder");
    let options = repin_emulator::Options { dir: Some(data.path().to_owned()), ..Default::default() };
    let world = World::with(options).await;
    let entries = "  a: { value: one }
  key: { targets: [aws-eu], secret: true, value_from: { env: TEST_SECRET } }
  mounted: { targets: [aws-eu], secret: true, value_from: { file: secret.txt }, trim: true }
";
    world.write("secret.txt", &format!("{SENTINEL}\n"));
    world.entries(entries);
    let leaky = [("LOG_SENSITIVE_BODIES", "true"), ("LOG_SIGNABLE_BODY", "true"), ("RUST_LOG", "trace")];
    let mut outputs = 0;
    let commands: &[&[&str]] = &[
        &["validate"],
        &["plan"],
        &["reconcile", "-m", "with secrets"],
        &["reconcile"],
        &["get", "key"],
        &["history"],
        &["history", "key"],
        &["show", "1"],
        &["reconcile", "--dry-run"],
    ];
    for output in ["text", "json"] {
        for format in ["text", "json"] {
            for command in commands {
                let mut child = world.command(command);
                child.args(["-vvv", "--log-format", format, "-o", output]).envs(leaky);
                let ran = child.output().await.expect("runs");
                assert_eq!(ran.status.code(), Some(0), "{command:?} {}", String::from_utf8_lossy(&ran.stderr));
                assert_absent(&format!("stdout of {command:?}"), &ran.stdout);
                assert_absent(&format!("stderr of {command:?}"), &ran.stderr);
                outputs += 1;
            }
        }
        // So that the second round has something to write: the secret is put again.
        let hand = crate::support::hand(&world).await.remove(0);
        hand.remove("key").await;
        world.emulator.clock().advance(std::time::Duration::from_secs(60));
    }
    assert_eq!(outputs, 36);
    refused_put(&world).await;
    world.run(&["get", "key", "--reveal"]).await;
    for (path, bytes) in all_files(&world.path("state")) {
        assert_absent(&path.display().to_string(), &bytes);
    }
    for (path, bytes) in all_files(data.path()) {
        assert_absent(&format!("the emulator's {}", path.display()), &bytes);
    }
    let revealed = world.run(&["get", "mounted", "--reveal", "--target", "aws-eu"]).await.expect(0);
    assert!(revealed.stdout.contains(SENTINEL), "revealing is asked for and works");
}

/// A store that quotes the value in its error must not make us say it.
async fn refused_put(world: &World) {
    world.entries("  other: { targets: [aws-eu], secret: true, value_from: { env: TEST_SECRET } }\n");
    world.faults(|call| {
        let put = call.operation == "PutParameter" && call.name.as_deref().is_some_and(|name| name.ends_with("/other"));
        if put {
            repin_emulator::Fault::Refuse {
                status: 400,
                code: "ValidationException".into(),
                message: format!("the value {SENTINEL} does not satisfy the constraint"),
                retry_after_ms: None,
            }
        } else {
            repin_emulator::Fault::None
        }
    });
    let mut child = world.command(&["reconcile", "-vvv"]);
    let ran = child.output().await.expect("runs");
    assert_ne!(ran.status.code(), Some(0));
    assert_absent("stdout of a refused put", &ran.stdout);
    assert_absent("stderr of a refused put", &ran.stderr);
    world.emulator.faults().clear();
}
