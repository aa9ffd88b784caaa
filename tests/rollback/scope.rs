//! Commands that name their targets, beside a rollback that has not reached all of them.

use serde_json::json;

use crate::scene::{Scene, TWO_FORMS};
use crate::story::three_releases;

/// A pass over the one target that has not heard of a rollback hears of it from the other's ledger, and finishes it
/// instead of releasing what the file asks for.
#[tokio::test(flavor = "multi_thread")]
async fn a_pass_over_the_target_that_was_down_finishes_the_rollback() {
    let cases = TWO_FORMS.iter().flat_map(|forms| {
        [("ssm", "aws-eu"), ("appconfig", "azure")].map(|(cloud, target)| async move {
            let scene = Scene::new(*forms).await;
            let releases = three_releases(&scene).await;
            scene.down(cloud);
            scene.run(3, &["rollback", "1", "--timeout", "2s"]).await;
            scene.up();
            scene.at_host("second");
            let planned = scene.run(0, &["plan", "--target", target]).await;
            assert_eq!(planned["release"], 4, "{planned}");
            let finished = scene.run(0, &["reconcile", "--target", target]).await;
            assert_eq!((&finished["release"], &finished["outcome"]), (&json!(4), &json!("applied")), "{finished}");
            assert_eq!(scene.contents().await, releases[0], "{forms:?} {target}");
            scene.at_rest(6).await;
        })
    });
    futures::future::join_all(cases).await;
}
