//! How long it can be gone back: many releases, versions that a store forgets, and copies.

use serde_json::Value;

use crate::scene::{FORMS, Scene};

/// Returns the numbers that `history` lists, newest first.
async fn listed(scene: &Scene) -> Vec<u64> {
    let history = scene.run(0, &["history"]).await;
    let releases = history["releases"].as_array().expect("releases");
    releases.iter().filter_map(|release| release["release"].as_u64()).collect()
}

/// What is folded away is listed still.
#[tokio::test(flavor = "multi_thread")]
async fn folded_releases_are_listed() {
    let scene = Scene::new(FORMS[0]).await;
    for n in 1..=8 {
        scene.file_with(
            "policy: { keep_releases: 3 }\n",
            &format!("  often: {{ value: at {n} }}\n  never: {{ value: x }}\n"),
        );
        assert_eq!(scene.run(0, &["reconcile"]).await["outcome"], Value::from("applied"));
    }
    assert_eq!(listed(&scene).await, (1..=8).rev().collect::<Vec<u64>>());
}
