//! Set-ups that are well.

use repin_emulator::Options;

use crate::report::{visit, visit_with};
use crate::support::{World, all_files};

const ENTRIES: &str = "  plain: { value: one }\n  \
    key: { targets: [aws-eu], secret: true, value_from: { env: TEST_SECRET } }\n";

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_well() {
    let world = World::new().await;
    world.entries(ENTRIES);
    let report = visit(&world, 0).await;
    assert_eq!(report.0["name"], "test");
    for (target, check) in [
        ("", "file"),
        ("", "entries"),
        ("", "state"),
        ("", "daemon"),
        ("aws-eu", "network"),
        ("aws-eu", "credentials"),
        ("aws-eu", "clock"),
        ("aws-eu", "account"),
        ("aws-eu", "ReadEntries"),
        ("aws-eu", "ReadLedger"),
        ("aws-eu", "List"),
        ("aws-eu", "quota"),
        ("aws-eu", "key"),
        ("azure", "network"),
        ("azure", "credentials"),
        ("azure", "clock"),
        ("azure", "rights"),
    ] {
        report.finding(target, check, "ok");
    }
    // No emulated key is rotated.
    report.warns("aws-eu", "rotation", &["never rotated"], "aws kms enable-key-rotation --key-id arn:aws:kms:");
    let writes = report.finding("aws-eu", "WriteEntries", "skip");
    assert_eq!(writes["rights"][0], "ssm:PutParameter");
    let source = report.finding("aws-eu", "credentials", "ok")["found"].as_str().unwrap();
    assert!(source.contains("AWS_ACCESS_KEY_ID"), "{source}");
    let source = report.finding("azure", "credentials", "ok")["found"].as_str().unwrap();
    assert!(source.contains("AZURE_CONNECTION"), "{source}");
    assert!(!world.path("state").exists(), "nothing is made");
}

/// What is encrypted is read only where there is something to read, and only to see whether it may be.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_shows_whether_the_key_may_be_used() {
    let world = World::new().await;
    world.entries(ENTRIES);
    let untried = visit(&world, 0).await;
    let reasons: Vec<_> = untried.checks().filter(|check| check["check"] == "UseKey").collect();
    assert!(
        reasons.iter().any(|check| check["rights"][0] == "kms:Decrypt" && check["result"] == "skip"),
        "{reasons:#?}"
    );
    assert_eq!(world.count("kms", "Decrypt (ssm)"), 0);
    world.run(&["reconcile"]).await.expect(0);
    let before = all_files(&world.path("state"));
    let tried = visit(&world, 0).await;
    assert_eq!(tried.finding("aws-eu", "UseKey", "ok")["rights"][0], "kms:Decrypt");
    assert_eq!(world.count("kms", "Decrypt (ssm)"), 1);
    assert_eq!(all_files(&world.path("state")), before, "the host remembers nothing of it");
    assert_eq!(world.run(&["plan", "--detailed-exitcode"]).await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_clouds_are_well() {
    let world = World::new().await;
    let text = format!("{}entries:\n{ENTRIES}", world.head());
    let text: String =
        text.lines().filter(|line| !line.contains("endpoint_url")).map(|line| format!("{line}\n")).collect();
    let text = text.replace(&world.emulator.azure_endpoint(), "https://contoso.azconfig.io");
    world.write("repin.yaml", &text);
    let report = visit_with(&world, 0, &["--emulate"], &[("AWS_ACCESS_KEY_ID", "")]).await;
    assert_eq!(report.0["emulated"], true);
    report.finding("aws-eu", "account", "ok");
    report.finding("azure", "rights", "ok");
    assert_eq!(world.emulator.counters().calls().len(), 0, "it was another's clouds");
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_and_modes_are_chosen() {
    let world = World::with(Options::default()).await;
    world.write(
        "repin.yaml",
        &format!("{}entries:\n{ENTRIES}", world.head_served("{ label: live }", "{ snapshot: r }")),
    );
    let report = visit_with(&world, 0, &["--target", "azure", "--mode", "plan"], &[]).await;
    assert!(report.checks().all(|check| check["target"] != "aws-eu"));
    let rights = &report.finding("azure", "rights", "ok")["rights"];
    let start = "Microsoft.AppConfiguration/configurationStores";
    assert_eq!(*rights, serde_json::json!([format!("{start}/keyValues/read"), format!("{start}/snapshots/read")]));
    assert_eq!(world.writes(), 0, "a plan needs no right to write");
    let refused = world.run(&["doctor", "--target", "nowhere"]).await.expect(64);
    assert!(refused.stderr.contains("matches no target"), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_the_verdict_first() {
    let world = World::new().await;
    world.entries(ENTRIES);
    let ran = world.run(&["doctor"]).await.expect(0);
    let first = ran.stdout.lines().next().unwrap();
    assert!(first.starts_with("test WELL ENOUGH: 1 warning"), "{first}");
    assert!(ran.stdout.contains("\nthis host\n") && ran.stdout.contains("\naws-eu\n"), "{}", ran.stdout);
    assert!(ran.stdout.lines().all(|line| line == line.trim_end()), "{}", ran.stdout);
}
