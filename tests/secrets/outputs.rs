//! What commands say, by every form and level of output, and what they leave on disk.

use std::time::Duration;

use repin_emulator::Fault;

use crate::support::disguise::{assert_absent, disguise_in, disguises};
use crate::support::{SENTINEL, World, all_files, hand};

const ENTRIES: &str = "  a: { value: one }
  key: { targets: [aws-eu], secret: true, value_from: { env: TEST_SECRET } }
  json: { targets: [aws-eu], secret: true, type: json-string, value_from: { env: TEST_SECRET } }
  mounted: { targets: [aws-eu], secret: true, value_from: { file: secret.txt }, trim: true }
";

/// What would have the SDKs and our logs say all there is to say.
pub(crate) const LEAKY: [(&str, &str); 3] =
    [("LOG_SENSITIVE_BODIES", "true"), ("LOG_SIGNABLE_BODY", "true"), ("RUST_LOG", "trace")];

/// The crates of ours, which alone may say more than that something happened.
const OURS: [&str; 4] = ["repin", "repin_aws_ssm", "repin_azure_app_configuration", "azure_data_app_configuration"];

#[test]
fn the_search_finds_what_it_looks_for() {
    for (name, needle) in disguises() {
        let text = [b"before ".as_slice(), &needle, b" after"].concat();
        assert!(disguise_in(&text).is_some(), "{name}");
        assert!(disguise_in(&text.to_ascii_uppercase()).is_some(), "{name}, shouted");
    }
    assert_eq!(disguise_in(b"nothing to see"), None);
}

pub(crate) async fn world(data: &tempfile::TempDir) -> World {
    let options = repin_emulator::Options { dir: Some(data.path().to_owned()), ..Default::default() };
    let world = World::with(options).await;
    world.write("secret.txt", &format!("{SENTINEL}\n"));
    world.entries(ENTRIES);
    world
}

/// Runs a command and looks through all that it says. Returns what it ended with, and what it said to stderr.
async fn quiet(world: &World, args: &[&str]) -> (i32, String) {
    let ran = world.command(args).envs(LEAKY).output().await.expect("runs");
    assert_absent(&format!("stdout of {args:?}"), &ran.stdout);
    assert_absent(&format!("stderr of {args:?}"), &ran.stderr);
    let stderr = String::from_utf8_lossy(&ran.stderr).into_owned();
    for line in stderr.lines() {
        let level = ["TRACE ", "DEBUG "].iter().find_map(|level| line.split_once(level));
        if let Some((before, rest)) = level
            && !before.contains('"')
        {
            let target = rest.split([':', ' ']).find(|word| !word.is_empty()).unwrap_or_default();
            assert!(OURS.contains(&target) || rest.contains(": repin"), "{args:?}: {line}");
        }
    }
    (ran.status.code().unwrap_or(-1), stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_leaves_by_any_door() {
    let data = tempfile::tempdir().expect("a folder");
    let world = world(&data).await;
    let commands: &[&[&str]] = &[
        &["validate"],
        &["plan", "--out", "saved.json"],
        &["reconcile", "-m", "with secrets"],
        &["get", "key"],
        &["status"],
        &["history"],
        &["history", "key"],
        &["show", "1"],
        &["diff", "1"],
        &["iam", "--mode", "apply"],
        &["iam", "--mode", "plan"],
        &["doctor"],
        &["pin", "key", "--target", "aws-eu", "--version", "1", "-m", "by hand"],
        &["unpin", "key"],
        &["get", "json"],
        &["reconcile", "--dry-run"],
        &["rollback", "1", "--dry-run"],
        &["hold", "key", "-m", "wait"],
        &["resume", "--all"],
    ];
    let forms: &[&[&str]] =
        &[&["-vvvv", "-o", "text"], &["-vvvv", "-o", "json", "--log-format", "json"], &["-v", "-o", "json"]];
    for form in forms {
        for command in commands {
            let (code, said) = quiet(&world, &[command, *form].concat()).await;
            assert!([0, 2].contains(&code), "{command:?} {form:?}: {code}\n{said}");
        }
        // So that the next round has something to write: the secrets are put again.
        let aws = hand(&world).await.remove(0);
        aws.remove("key").await;
        aws.remove("json").await;
        world.emulator.clock().advance(Duration::from_secs(60));
    }
    quiet(&world, &["reconcile", "-vv"]).await;
    for (command, expected) in [
        (&["get", "nothing", "--reveal"][..], 1),
        (&["get", "key", "--reveal", "--target", "nowhere"], 64),
        (&["rollback", "99"], 64),
        (&["pin", "key", "--target", "aws-eu", "--version", "99"], 1),
        (&["diff", "1", "2"], 0),
        (&["rollback", "1"], 0),
        (&["forget", "mounted"], 0),
        (&["reconcile"], 5),
        (&["forget", "--all", "--purge"], 0),
    ] {
        let (code, said) = quiet(&world, &[command, &["-vvvv"]].concat()).await;
        assert_eq!(code, expected, "{command:?}\n{said}");
    }
    let saved = std::fs::read(world.path("saved.json")).expect("saved");
    assert_absent("the saved plan", &saved);
    assert!(String::from_utf8_lossy(&saved).contains("env:TEST_SECRET"));
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

/// A store that quotes what it was sent, refuses, breaks off or makes no sense must not make us say it.
#[tokio::test(flavor = "multi_thread")]
async fn no_error_quotes_a_secret() {
    let data = tempfile::tempdir().expect("a folder");
    let world = world(&data).await;
    let refuse = |status: u16, code: &'static str| {
        move |call: &repin_emulator::Call| match call.operation.as_str() {
            "PutParameter" if call.name.as_deref().is_some_and(|name| name.ends_with("/key")) => Fault::Refuse {
                status,
                code: code.into(),
                message: format!("the value {SENTINEL} of the request is not what it should be"),
                retry_after_ms: None,
            },
            _ => Fault::None,
        }
    };
    for (code, form) in [
        ("ValidationException", &["-vvvv"][..]),
        ("ThrottlingException", &["-vvvv", "-o", "json"]),
        ("AccessDeniedException", &["-vvvv", "--log-format", "json"]),
        ("InvalidKeyId", &["-o", "json"]),
    ] {
        world.faults(refuse(400, code));
        let (exit, said) = quiet(&world, &[&["reconcile", "--timeout", "1s"], form].concat()).await;
        assert_ne!(exit, 0, "{code}: {said}");
        world.emulator.faults().clear();
    }
    quiet(&world, &["reconcile"]).await;
    for (name, entry) in [
        ("literal", format!("{{ targets: [aws-eu], secret: true, value: {SENTINEL} }}")),
        ("wrong type", "{ targets: [aws-eu], secret: true, type: json, value_from: { env: TEST_SECRET } }".to_owned()),
        ("wrong store", "{ targets: [azure], secret: true, value_from: { env: TEST_SECRET } }".to_owned()),
        ("value as a name", format!("{{ targets: [aws-eu], secret: true, value_from: {{ env: \"{SENTINEL}\" }} }}")),
    ] {
        world.entries(&format!("  key: {entry}\n"));
        for output in ["text", "json"] {
            let ran = world.command(&["validate", "-o", output, "-vvvv"]).output().await.expect("runs");
            assert_eq!(ran.status.code(), Some(78), "{name}");
            assert_absent(&format!("{name}, {output}"), &[ran.stdout, ran.stderr].concat());
        }
    }
    let large = format!("{}{SENTINEL}", "x".repeat(9000));
    world.write("large.txt", &large);
    world.entries("  key: { targets: [aws-eu], secret: true, value_from: { file: large.txt } }\n");
    let (exit, said) = quiet(&world, &["reconcile", "-vvvv"]).await;
    assert_eq!(exit, 78, "{said}");
}
