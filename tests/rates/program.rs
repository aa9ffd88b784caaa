//! What the program says of quotas and throttles.

use repin_emulator::{Call, Fault};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::stage::entries;
use crate::support::World;

/// Adds rates to one target of a file.
fn with_rates(world: &World, rates: &str, entries: &str) {
    let head = world.head().replace("    kms_key: ", &format!("    rates: {rates}\n    kms_key: "));
    world.write("repin.yaml", &format!("{head}entries:\n{entries}"));
}

fn throttled_for_an_hour() -> Fault {
    Fault::Refuse {
        status: 429,
        code: "too-many-requests".to_owned(),
        message: "the quota is used up".to_owned(),
        retry_after_ms: Some(3_600_000),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_asks_for_an_hour_is_not_waited_for() {
    let world = World::new().await;
    world.entries(&entries(3, "one"));
    world.faults(|call: &Call| if call.service == "appconfig" { throttled_for_an_hour() } else { Fault::None });
    let ran = world.run(&["reconcile", "--timeout", "30m"]).await.expect(75);
    assert!(ran.stderr.contains("asks to wait 1 h, until 20"), "{}", ran.stderr);
    assert_eq!(world.writes(), 0);

    // Half-way: what is served stays, the rest is recorded, and nobody waits for the hour.
    world.faults(|call: &Call| match call.operation.as_str() {
        "PUT /kv/{key}" if call.name.as_deref().is_some_and(|name| name.ends_with("k0001")) => throttled_for_an_hour(),
        _ => Fault::None,
    });
    let ran = world.run(&["reconcile", "--timeout", "30m"]).await.expect(3);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.contains("asks to wait 1 h, until 20"), "{said}");
    world.emulator.faults().clear();
    let report = world.json(0, &["reconcile"]).await;
    assert_eq!((report["outcome"].as_str(), report["release"].as_u64()), (Some("applied"), Some(1)), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_forecasts_what_the_quotas_make_of_it() {
    let world = World::new().await;
    with_rates(&world, "{ get: 400, put: 4 }", &entries(30, "one"));
    let report = world.json(0, &["plan"]).await;
    let cost = &report["cost"]["aws-eu"];
    assert_eq!(cost["seconds"].as_f64(), cost["writes"].as_f64().map(|writes| writes / 4.0), "{report}");
    assert_eq!(report["cost"]["azure"]["seconds"], 0.0, "no quota on loopback");
    let text = world.run(&["plan"]).await.expect(0).stdout;
    assert!(text.contains(", about 8 s"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_told_of_a_long_wait_with_its_end() {
    let world = World::new().await;
    with_rates(&world, "{ get: 400, put: 2 }", &entries(1200, "one"));
    let mut child = world.command(&["reconcile"]).stderr(std::process::Stdio::piped()).spawn().expect("starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let deadline = std::time::Duration::from_secs(60);
    let line = tokio::time::timeout(deadline, lines.next_line()).await.expect("soon").expect("read").expect("a line");
    assert!(line.starts_with("aws-eu: ") && line.contains(" of 1,200 written, about "), "{line}");
    assert!(line.ends_with(" min left at 2 writes a second"), "{line}");
    child.kill().await.expect("killed");
}
