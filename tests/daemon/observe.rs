//! What the daemon answers to those who ask over `--listen`.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::running::{Running, SOON};
use crate::support::World;

async fn get(address: &str, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connects");
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_status_are_told_over_http() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  b: { value: two }\n");
    let daemon = Running::launch(&world, &["--interval", SOON, "--listen", "127.0.0.1:0"]);
    daemon.until_said("release 1 is served").await;
    crate::support::hand(&world).await[0].overwrite("a", "tampered").await;
    daemon.until_said("drift was put back: a").await;
    let log = daemon.log();
    let address = log.split("answering on http://").nth(1).and_then(|rest| rest.lines().next()).expect("an address");
    assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200"));
    assert!(get(address, "/readyz").await.ends_with("ready\n"));
    assert!(get(address, "/v1/status").await.contains("\"daemon\":{"));
    let answer = get(address, "/metrics").await;
    let (head, text) = answer.split_once("\r\n\r\n").expect("a body");
    assert!(head.contains("application/openmetrics-text; version=1.0.0"), "{head}");
    for line in [
        "repin_target_up{target=\"azure\"} 1",
        "repin_target_release{target=\"aws-eu\"} 1",
        "repin_drift_corrected_total{target=\"aws-eu\"} 1",
        "repin_file_valid 1",
        "repin_release_waiting 0",
        "repin_passes_total{pass=\"release\",target=\"all\",result=\"good\"} 1",
        "repin_requests_total{target=\"aws-eu\",operation=\"PutParameter\"} ",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line} in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    assert!(!text.contains("tampered"), "{text}");
    // Every metric is documented where they are made, and nothing else is.
    let source = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/daemon/metrics.rs")).expect("there");
    let told: std::collections::BTreeSet<String> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .map(|name| name.trim_end_matches("_bucket").trim_end_matches("_sum").trim_end_matches("_count").to_owned())
        .collect();
    let documented = source.lines().filter_map(|line| line.strip_prefix("//! | `")?.split('`').next());
    assert_eq!(told, documented.map(str::to_owned).collect());
    world.entries("  a: { valeu: one }\n");
    daemon.until_said("the last good one stays in force").await;
    assert!(get(address, "/metrics").await.contains("repin_file_valid 0\n"));
}
