//! Targets are independent: one that cannot be had keeps no other waiting.

use repin_emulator::Fault;
use serde_json::json;

use crate::running::{NEVER, Running, SOON, releases, several_passes};
use crate::support::{World, hand};

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_put_back_on_one_target_while_the_other_is_down() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  b: { value: two }\n");
    let daemon = Running::start(&world, SOON).await;
    daemon.until_said("release 1 is served").await;
    world.faults(|call| if call.service == "ssm" { Fault::DropBefore } else { Fault::None });
    daemon.until_said("unreachable: aws-eu").await;
    // An edit that cannot be released everywhere, and drift of an edited entry and of another one.
    world.entries("  a: { value: three }\n  b: { value: two }\n");
    daemon.until_said("release 2 waits for aws-eu, unreachable since ").await;
    assert!(daemon.log().contains("; without it: repin reconcile --target azure"), "{}", daemon.log());
    hand(&world).await[1].overwrite("a", "tampered").await;
    hand(&world).await[1].remove("b").await;
    // A pass may come between the two.
    let is_back = async || {
        let log = daemon.log();
        log.contains("put back: a, b") || (log.contains("put back: a") && log.contains("put back: b"))
    };
    daemon.until("both are put back", is_back).await;
    several_passes().await;
    assert_eq!(daemon.said("release 2 waits"), 1, "once: {}", daemon.log());
    let status = daemon.status().await;
    assert_eq!(status["daemon"]["targets"]["aws-eu"]["health"], "unreachable");
    assert_eq!(status["daemon"]["targets"]["azure"]["health"], "ok");
    assert!(status["daemon"]["release"]["waits"].as_str().expect("text").starts_with("release 2 waits for aws-eu"));
    assert_eq!(daemon.said("release 2 is served"), 0);
    world.emulator.faults().clear();
    daemon.until_said("release 2 is served: 1 on aws-eu, 1 on azure").await;
    for target in ["aws-eu", "azure"] {
        assert_eq!(world.served(target, "a").await["value"], "three");
        assert_eq!(world.served(target, "b").await["value"], "two");
    }
    assert_eq!(releases(&world).await, [2, 1]);
    let status = daemon.status().await;
    assert_eq!((&status["verdict"], &status["daemon"]["release"]["waits"]), (&json!(["ok"]), &json!(null)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_waits_however_readers_meet_it() {
    let world = World::new().await;
    let head = world.head_served("{ label: live }", "{ snapshot: config }");
    let file = |value: &str| {
        world.write("repin.yaml", &format!("{head}entries:\n  a: {{ value: {value} }}\n  b: {{ value: two }}\n"));
    };
    file("one");
    let daemon = Running::start(&world, SOON).await;
    daemon.until_said("release 1 is served").await;
    for (release, down) in [(2, "appconfig"), (3, "ssm")] {
        world.faults(move |call| if call.service == down { Fault::DropBefore } else { Fault::None });
        let name = if down == "ssm" { "aws-eu" } else { "azure" };
        daemon.until("told", async || daemon.said(&format!("unreachable: {name}")) == 1).await;
        file(&format!("new-{release}"));
        daemon.until_said(&format!("release {release} waits for {name}, unreachable since ")).await;
        world.reset();
        several_passes().await;
        assert_eq!(world.writes(), 0, "the target that is there is left as it is");
        world.emulator.faults().clear();
        daemon.until_said(&format!("release {release} is served")).await;
    }
    several_passes().await;
    world.reset();
    several_passes().await;
    assert_eq!(world.writes(), 0);
    assert_eq!(daemon.status().await["verdict"], json!(["ok"]));
    assert_eq!(releases(&world).await, [3, 2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_never_answers_delays_no_other() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let daemon = Running::start(&world, SOON).await;
    daemon.until_said("release 1 is served").await;
    world.faults(|call| if call.service == "ssm" { Fault::HangBefore } else { Fault::None });
    world.emulator.faults().reached().await;
    let azure = hand(&world).await.remove(1);
    for n in 0..2 {
        azure.overwrite("a", &format!("tampered {n}")).await;
        daemon.until("put back", async || world_serves_one(&world).await).await;
    }
    assert_eq!(daemon.said("unreachable"), 0, "its one call still hangs: {}", daemon.log());
}

async fn world_serves_one(world: &World) -> bool {
    let got = world.json(0, &["get", "a", "--target", "azure"]).await;
    got["targets"][0]["value"] == "one"
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_come_back_need_no_restart() {
    let world = World::new().await;
    let right = world.emulator.connection_string();
    let wrong = format!("{}Secret=d3Jvbmc=", right.split("Secret=").next().expect("a part"));
    world.write("connection", &wrong);
    let head = world.head().replace("{ env: AZURE_CONNECTION }", "{ file: connection }");
    world.write("repin.yaml", &format!("{head}entries:\n  a: {{ value: one }}\n"));
    let daemon = Running::launch(&world, &["--interval", SOON]);
    daemon.until_said("denied: azure").await;
    daemon.until_said("release 1 waits for azure, denied since ").await;
    assert!(daemon.ask("/ready").await.starts_with("HTTP/1.0 503"));
    assert!(daemon.ask("/live").await.starts_with("HTTP/1.0 200"), "no store makes a live daemon dead");
    std::fs::remove_file(world.path("connection")).expect("removed");
    several_passes().await;
    world.write("connection", &right);
    daemon.until_said("release 1 is served: 1 on aws-eu, 1 on azure").await;
    assert!(daemon.ask("/ready").await.starts_with("HTTP/1.0 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_was_served_in_part_goes_on() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  b: { value: one }\n");
    let daemon = Running::start(&world, SOON).await;
    daemon.until_said("release 1 is served").await;
    world.faults(|call| {
        let refused =
            call.operation == "PUT /kv/{key}" && call.name.as_deref().is_some_and(|name| name.ends_with("/b"));
        if !refused {
            return Fault::None;
        }
        let (code, message) = ("BadRequest".to_owned(), "not like this".to_owned());
        Fault::Refuse { status: 400, code, message, retry_after_ms: None }
    });
    world.entries("  a: { value: two }\n  b: { value: two }\n");
    daemon.until_said("release 2 is served in part: 2 on aws-eu, 1 on azure").await;
    world.emulator.faults().clear();
    daemon.until("all is served", async || daemon.status().await["verdict"] == json!(["ok"])).await;
    assert_eq!(world.served("azure", "b").await["value"], "two");
    assert_eq!(releases(&world).await, [2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_somebody_insists_on_is_fought_ever_more_rarely() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  b: { value: one }\n");
    let daemon = Running::start(&world, SOON).await;
    daemon.until_said("release 1 is served").await;
    let aws = hand(&world).await.remove(0);
    let began = std::time::Instant::now();
    let mut edits = 0;
    while began.elapsed() < std::time::Duration::from_secs(8) {
        if world.json(0, &["get", "a", "--target", "aws-eu"]).await["targets"][0]["value"] == "one" {
            edits += 1;
            aws.overwrite("a", &format!("mine {edits}")).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let corrected = daemon.said("drift was put back: a");
    // At full speed about one in 400 ms; three, and then after 0.6, 1.2, 2.4 and 4.8 s.
    assert!((4..=8).contains(&corrected), "{corrected}\n{}", daemon.log());
    daemon.until_said("somebody else keeps changing a").await;
    daemon.until_said("a was changed to version ").await;
    let contested = daemon.status().await["daemon"]["contested"].clone();
    assert_eq!((&contested[0]["key"], &contested[0]["target"]), (&json!("a"), &json!("aws-eu")));
    assert!(contested[0]["by"].as_str().is_some_and(|by| by.contains("arn:aws")), "{contested}");
    // Nothing else is slowed down.
    hand(&world).await[0].overwrite("b", "tampered").await;
    daemon.until_said("drift was put back: b").await;
    // What the file asks for now is another matter.
    world.entries("  a: { value: two }\n  b: { value: one }\n");
    daemon.until_said("release 2 is served").await;
    assert_eq!(world.served("aws-eu", "a").await["value"], "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_it_would_do_and_writes_nothing() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    world.reset();
    let daemon = Running::launch(&world, &["--interval", SOON, "--dry-run"]);
    daemon.until_said("would release, if this were no dry run: a").await;
    several_passes().await;
    assert_eq!(daemon.said("would release"), 2, "once a target: {}", daemon.log());
    assert_eq!(world.writes(), 0);
    world.run(&["reconcile", "--direct"]).await.expect(0);
    daemon.until("said for both", async || daemon.said("there is nothing to release any more") == 2).await;
    hand(&world).await[1].overwrite("a", "tampered").await;
    world.reset();
    daemon.until_said("would put back, if this were no dry run: a").await;
    let status = daemon.status().await;
    assert_eq!((&status["verdict"], &status["daemon"]["dry_run"]), (&json!(["drifted"]), &json!(true)));
    world.entries("  a: { value: two }\n");
    daemon.until("said for both", async || daemon.said("would release") == 4).await;
    assert_eq!(world.writes(), 0);
    assert_eq!(daemon.stop().await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_targets_that_are_named_are_its_business() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let daemon = Running::launch(&world, &["--interval", NEVER, "--target", "az*"]);
    daemon.until_said("release 1 is served: 1 on azure").await;
    world.entries("  a: { value: two }\n");
    daemon.until_said("release 2 is served: 1 on azure").await;
    assert_eq!(world.count("ssm", "PutParameter"), 0);
}
