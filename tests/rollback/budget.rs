//! What going back costs, counted at the emulator with 1,000 entries on each target.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::scene::{FORMS, Forms, Scene};
use crate::support::steps;

const N: u64 = 1000;

/// A file of N entries of which the first `changed` are as this round made them.
fn entries(changed: u64) -> String {
    let mut text = String::new();
    for n in 0..N {
        let value = if n < changed { format!("round-{changed}") } else { "first".to_owned() };
        writeln!(text, "  team-{}/prompt-{n:04}: {{ value: {{ text: {value}, n: {n} }} }}", n % 9).expect("memory");
    }
    text
}

/// Requests by operation.
type Counts = BTreeMap<String, u64>;

fn counts(scene: &Scene, service: &str) -> Counts {
    let all = scene.world.emulator.counters().snapshot();
    all.into_iter().filter(|((s, _), _)| s == service).map(|((_, operation), n)| (operation, n)).collect()
}

fn of(counts: &Counts, operation: &str) -> u64 {
    counts.get(operation).copied().unwrap_or(0)
}

fn sum(counts: &Counts) -> u64 {
    counts.values().sum()
}

/// One read of the ledger, the claim and the record, and what of a long record does not fit its first document.
fn ledger(k: u64) -> u64 {
    3 + parts(k)
}

/// How many documents more a record of K changes may take. The claim writes them, and the record refers to them.
fn parts(k: u64) -> u64 {
    if k < 100 { 0 } else { k.div_ceil(100) }
}

/// Goes back over K changes, for each K, and hands the counts of SSM and App Configuration to a check.
async fn rolled_back(forms: Forms, check: impl Fn(u64, &Counts, &Counts)) {
    let scene = Scene::new(forms).await;
    let first = scene.release(&entries(0)).await;
    for k in [1, 10, 250] {
        scene.file(&entries(k));
        scene.run(0, &["reconcile"]).await;
        let (versions, snapshots) = (scene.stores.versions("team-0/prompt-0000").await, scene.stores.snapshots().await);
        scene.world.reset();
        let report = scene.run(0, &["rollback", "1"]).await;
        let (ssm, azure) = (counts(&scene, "ssm"), counts(&scene, "appconfig"));
        assert_eq!(steps(&report, "aws-eu").len() as u64, k);
        check(k, &ssm, &azure);
        // Who we are is asked once; nothing here is a secret.
        assert_eq!((sum(&counts(&scene, "sts")), counts(&scene, "kms")), (1, Counts::new()), "K={k}");
        assert_eq!(scene.contents().await, first, "K={k}");
        if scene.labelled() {
            assert_eq!(scene.stores.versions("team-0/prompt-0000").await, versions, "K={k}: no new version");
        }
        assert_eq!(scene.stores.snapshots().await, snapshots, "K={k}: no new snapshot");
    }
}

/// The old values, what stands there now, and the dates of what was put, ten a read, and K puts; min(K, ceil(N/100))
/// reads and K PUTs.
#[tokio::test(flavor = "multi_thread")]
async fn values_that_are_put_again() {
    rolled_back(FORMS[0], |k, ssm, azure| {
        assert!(sum(ssm) <= 3 * k.div_ceil(10) + k + ledger(k), "K={k}: {ssm:?}");
        assert!(of(ssm, "PutParameter") <= k + 2 + parts(k), "K={k}: {ssm:?}");
        assert!(sum(azure) <= k.min(N.div_ceil(100)) + k + ledger(k), "K={k}: {azure:?}");
        assert!(of(azure, "PUT /kv/{key}") <= k + 2 + parts(k), "K={k}: {azure:?}");
    })
    .await;
}

/// ceil(K/10) reads and K label moves; a look at the snapshot and one PUT of the reference.
#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_moved() {
    rolled_back(FORMS[3], |k, ssm, azure| {
        assert_eq!(of(ssm, "LabelParameterVersion"), k, "K={k}: {ssm:?}");
        assert!(sum(ssm) <= k.div_ceil(10) + k + ledger(k), "K={k}: {ssm:?}");
        assert!(of(ssm, "PutParameter") <= 2 + parts(k), "K={k}: the ledger's alone: {ssm:?}");
        // The claim, the record, and the reference; a reference to what is not there would serve nothing silently, so
        // that the snapshot is looked at first.
        assert!(of(azure, "PUT /kv/{key}") <= 3 + parts(k), "K={k}: {azure:?}");
        assert_eq!(of(azure, "GET /snapshots/{name}"), 1, "K={k}: {azure:?}");
        assert!(sum(azure) <= 2 + ledger(k), "K={k}: {azure:?}");
    })
    .await;
}

/// Where a label is moved nothing is decrypted, on any host: not even to tell what is held.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_not_decrypted_to_move_a_label() {
    let scene = Scene::new(FORMS[3]).await;
    let secrets = |word: &str| -> String {
        let of = |n: u64| {
            format!(
                "  key-{n:02}: {{ targets: [aws-eu], secret: true, value_from: {{ env: KEY }}, description: {word} }}\n"
            )
        };
        (0..25).map(of).collect()
    };
    let first = scene.release(&secrets("a")).await;
    scene.secret(Some("key 2"));
    scene.release(&secrets("b")).await;
    for host in ["state", "elsewhere"] {
        scene.at_host(host);
        scene.world.reset();
        let release = if host == "state" { "1" } else { "2" };
        let report = scene.run(0, &["rollback", release]).await;
        assert_eq!(steps(&report, "aws-eu").len(), 25);
        assert_eq!(counts(&scene, "kms"), Counts::new(), "{host}: no Encrypt, Decrypt, GenerateDataKey");
        let ssm = counts(&scene, "ssm");
        assert!(of(&ssm, "PutParameter") <= 3, "{host}: the ledger's alone: {ssm:?}");
        assert_eq!(scene.stores.versions("key-00").await, [1, 2], "{host}");
        if host == "state" {
            assert_eq!(scene.contents().await, first);
        }
    }
}
