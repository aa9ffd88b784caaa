//! What others do to our entries is put back, as a repair and not as a release.

use serde_json::json;

use crate::support::{World, steps};

/// Writes past the ledger: another owner of the same places, which is to the stores what a person at the console is.
async fn edit_by_hand(world: &World, key: &str, value: &str) {
    let provider = crate::support::hand(world).await;
    for store in provider {
        store.overwrite(key, value).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_edit_is_put_back_without_a_release() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  b: { value: { x: 1 } }\n");
    world.run(&["reconcile"]).await.expect(0);
    edit_by_hand(&world, "a", "tampered").await;
    world.json(2, &["plan", "--detailed-exitcode"]).await;
    let repaired = world.json(0, &["reconcile"]).await;
    assert_eq!((&repaired["release"], &repaired["outcome"]), (&json!(null), &json!("applied")));
    for target in ["aws-eu", "azure"] {
        let steps = steps(&repaired, target);
        assert_eq!(steps.len(), 1);
        assert_eq!((&steps[0]["key"], &steps[0]["reason"]), (&json!("a"), &json!("drift")));
        assert_eq!(world.served(target, "a").await["value"], "one");
    }
    let history = world.json(0, &["history"]).await;
    assert_eq!(history["releases"].as_array().expect("releases").len(), 1, "a repair makes no release");
    world.run(&["plan", "--detailed-exitcode"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_beside_an_edit_is_told_apart_from_it() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  b: { value: two }\n");
    world.run(&["reconcile"]).await.expect(0);
    edit_by_hand(&world, "a", "tampered").await;
    world.entries("  a: { value: one }\n  b: { value: three }\n");
    let planned = world.json(2, &["plan", "--detailed-exitcode"]).await;
    let reasons: Vec<_> = steps(&planned, "aws-eu").iter().map(|s| (s["key"].clone(), s["reason"].clone())).collect();
    assert_eq!(reasons, [(json!("a"), json!("drift")), (json!("b"), json!("changed"))]);
    world.run(&["reconcile"]).await.expect(0);
    assert_eq!(world.served("aws-eu", "a").await["value"], "one");
    assert_eq!(world.served("azure", "b").await["value"], "three");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_equal_value_written_by_hand_is_accepted_without_a_write() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    world.run(&["reconcile"]).await.expect(0);
    edit_by_hand(&world, "a", "other").await;
    edit_by_hand(&world, "a", "one").await;
    let before = world.served("aws-eu", "a").await["version"].clone();
    let accepted = world.json(0, &["reconcile"]).await;
    assert_eq!(steps(&accepted, "aws-eu")[0]["action"], "pin");
    assert_eq!(world.served("aws-eu", "a").await["version"], before);
    world.run(&["plan", "--detailed-exitcode"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_only_told_where_the_policy_says_so() {
    let world = World::new().await;
    let file = |entries: &str| format!("{}policy: {{ drift: report }}\nentries:\n{entries}", world.head());
    world.write("repin.yaml", &file("  a: { value: one }\n"));
    world.run(&["reconcile"]).await.expect(0);
    edit_by_hand(&world, "a", "tampered").await;
    let planned = world.json(2, &["plan", "--detailed-exitcode"]).await;
    assert_eq!(planned["drift"].as_array().expect("drift").len(), 2);
    world.run(&["reconcile"]).await.expect(0);
    assert_eq!(world.served("aws-eu", "a").await["value"], "tampered");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_file_corrects_drift_and_releases_nothing() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  b: { value: two }\n");
    world.run(&["reconcile"]).await.expect(0);
    world.entries("  a: { value: new }\n  b: { value: two }\n");
    world.run(&["reconcile"]).await.expect(0);
    // Another host, which still has the first file and knows nothing.
    world.lose_state();
    world.entries("  a: { value: one }\n  b: { value: two }\n");
    edit_by_hand(&world, "a", "tampered").await;
    let behind = world.json(5, &["reconcile"]).await;
    assert_eq!((&behind["outcome"], &behind["release"]), (&json!("behind"), &json!(null)));
    for target in ["aws-eu", "azure"] {
        assert_eq!(world.served(target, "a").await["value"], "new", "put back to what was released");
    }
    world.run(&["reconcile"]).await.expect(5);
    let released = world.json(0, &["reconcile", "--allow-older"]).await;
    assert_eq!(released["release"], 3);
    assert_eq!(world.served("azure", "a").await["value"], "one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_the_newest_here_may_go_back() {
    let world = World::new().await;
    for value in ["one", "two", "one"] {
        world.entries(&format!("  a: {{ value: {value} }}\n"));
        world.run(&["reconcile"]).await.expect(0);
        assert_eq!(world.served("aws-eu", "a").await["value"], value);
    }
}
