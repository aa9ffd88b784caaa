//! The cost budget, counted at the emulator with 1,000 entries on each target.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::support::World;

const N: u64 = 1000;

/// A file of N entries of which the first `changed` are different.
fn entries(changed: u64) -> String {
    let mut text = String::new();
    for n in 0..N {
        let value = if n < changed { "new" } else { "old" };
        writeln!(text, "  team-{}/prompt-{n:04}: {{ value: {{ text: {value}, n: {n} }} }}", n % 9).expect("memory");
    }
    text
}

fn counts(world: &World, service: &str) -> BTreeMap<String, u64> {
    let all = world.emulator.counters().snapshot();
    all.into_iter().filter(|((s, _), _)| s == service).map(|((_, operation), n)| (operation, n)).collect()
}

/// Requests of one service, without those that only a first pass makes.
fn total(world: &World, service: &str) -> u64 {
    counts(world, service).values().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn unchanged_and_changed_passes_stay_within_the_budget() {
    let world = World::new().await;
    world.entries(&entries(0));
    world.json(0, &["reconcile"]).await;

    // The pass after a release reads the pages that changed; the one after that reads none of them anew.
    for _ in 0..2 {
        world.reset();
        let report = world.json(0, &["reconcile"]).await;
        assert_eq!(report["outcome"], "unchanged");
        let ssm = counts(&world, "ssm");
        assert_eq!(ssm.keys().collect::<Vec<_>>(), ["GetParameters"], "the Get category only");
        assert!(ssm["GetParameters"] <= N.div_ceil(10) + 1, "{ssm:?}");
        assert_eq!((total(&world, "kms"), total(&world, "sts")), (0, 0));
        let azure = counts(&world, "appconfig");
        assert!(azure.values().sum::<u64>() <= N.div_ceil(100) + 2, "{azure:?}");
        assert_eq!(reported(&report, "aws-eu"), total(&world, "ssm"), "what is reported is what left the process");
        assert_eq!(reported(&report, "azure"), total(&world, "appconfig"));
    }
    // Of an unchanged store every page is answered without a body.
    world.reset();
    world.json(0, &["reconcile"]).await;
    let not_modified = world.emulator.counters().count_status("appconfig", "GET /kv", 304);
    assert_eq!(not_modified, total(&world, "appconfig"), "all conditional, all unchanged");

    let mut changed = 0;
    for k in [10_u64, 250] {
        changed += k;
        world.entries(&entries(changed));
        world.reset();
        let report = world.json(0, &["reconcile"]).await;
        // Those changed before are unchanged now.
        assert_eq!(report["steps"].as_array().expect("steps").len() as u64, 2 * k);
        let (ssm, azure) = (counts(&world, "ssm"), counts(&world, "appconfig"));
        let ledger = 2 + k.div_ceil(100);
        let reads = N.div_ceil(10) + 1 + k.div_ceil(10);
        assert!(ssm["GetParameters"] <= reads, "K={k}: {ssm:?}");
        assert!(ssm["PutParameter"] <= k + ledger, "K={k}: {ssm:?}");
        // Who we are is asked before the first write; with it the pass is still within its row.
        let all = total(&world, "ssm") + total(&world, "sts") + total(&world, "kms");
        assert!(all <= reads + k + ledger, "K={k}: {ssm:?}");
        assert!(azure["PUT /kv/{key}"] <= k + ledger, "K={k}: {azure:?}");
        assert!(azure.values().sum::<u64>() <= N.div_ceil(100) + 2 + k + ledger, "K={k}: {azure:?}");
    }
}

fn reported(report: &serde_json::Value, target: &str) -> u64 {
    report["requests"][target].as_object().expect("counts").values().map(|n| n.as_u64().expect("a number")).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_pass_on_a_host_decrypts_each_secret_once_and_the_next_none() {
    let world = World::new().await;
    let secrets: String = (0..12)
        .map(|n| format!("  key-{n}: {{ targets: [aws-eu], secret: true, value_from: {{ env: TEST_SECRET }} }}\n"))
        .collect();
    world.entries(&secrets);
    world.run(&["reconcile"]).await.expect(0);
    world.reset();
    world.run(&["reconcile"]).await.expect(0);
    assert_eq!(total(&world, "kms"), 0, "what this host put it need not read");
    world.lose_state();
    world.reset();
    world.run(&["reconcile"]).await.expect(0);
    let kms = counts(&world, "kms");
    assert_eq!(kms.values().sum::<u64>(), 12, "{kms:?}");
    world.reset();
    world.run(&["reconcile"]).await.expect(0);
    assert_eq!(total(&world, "kms"), 0);
}
