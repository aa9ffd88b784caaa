//! What a rollback costs, counted at the emulator.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::scene::{FORMS, Forms, Scene};

/// A file of `n` entries of which the first `changed` are different.
fn entries(n: u64, changed: u64) -> String {
    let mut text = String::new();
    for at in 0..n {
        let value = if at < changed { "new" } else { "old" };
        writeln!(text, "  team-{}/prompt-{at:04}: {{ value: {{ text: {value}, n: {at} }} }}", at % 9).expect("memory");
    }
    text
}

/// Requests of one service since the last reset, by operation.
fn counts(scene: &Scene, service: &str) -> BTreeMap<String, u64> {
    let all = scene.world.emulator.counters().snapshot();
    all.into_iter().filter(|((of, _), _)| of == service).map(|((_, operation), n)| (operation, n)).collect()
}

/// Rolls one release of `changed` entries back, and returns what that cost on each service.
async fn rolled_back(forms: Forms, n: u64, changed: u64) -> [BTreeMap<String, u64>; 4] {
    let scene = Scene::new(forms).await;
    let first = scene.release(&entries(n, 0)).await;
    scene.release(&entries(n, changed)).await;
    scene.world.reset();
    scene.run(0, &["rollback"]).await;
    let cost = ["ssm", "appconfig", "kms", "sts"].map(|service| counts(&scene, service));
    assert_eq!(scene.contents().await, first, "{forms:?}");
    cost
}

/// Where readers follow a label nothing is read that is encrypted, nothing is encrypted, and no version is made.
#[tokio::test(flavor = "multi_thread")]
async fn a_label_moves_without_values() {
    let [ssm, _, kms, _] = rolled_back(FORMS[3], 12, 3).await;
    assert!(kms.is_empty(), "{kms:?}");
    assert_eq!(ssm["LabelParameterVersion"], 3, "{ssm:?}");
}
