//! A pass that breaks off after it has done something says what it did: exit 3, never a code that says that nothing was.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use repin_emulator::{Call, Fault};
use serde_json::Value;

use crate::scene::{Scene, TWO_FORMS, each};
use crate::story::three_releases;

/// Tells whether a request to App Configuration changes something.
fn is_write(call: &Call) -> bool {
    call.service == "appconfig" && !call.operation.starts_with("GET")
}

/// Lets a rollback through to one cloud only.
async fn half_a_rollback(scene: &Scene) {
    scene.down("appconfig");
    scene.run(3, &["rollback", "1", "--timeout", "1s"]).await;
    scene.up();
    scene.at_host("another");
}

/// Counts how many writes to App Configuration a command makes, up to the moment at which all of release 4 is recorded.
async fn writes_of_the_rest(forms: (&'static str, &'static str)) -> u64 {
    let scene = Scene::new(forms).await;
    three_releases(&scene).await;
    half_a_rollback(&scene).await;
    scene.world.reset();
    scene.run(0, &["reconcile"]).await;
    scene.world.emulator.counters().calls().iter().filter(|call| is_write(call)).count() as u64
}

/// Denies the reads of these services once App Configuration has seen so many writes.
fn deny_after(scene: &Scene, writes: u64, services: &'static [&'static str]) {
    let seen = Arc::new(AtomicU64::new(0));
    scene.world.faults(move |call| {
        if is_write(call) {
            seen.fetch_add(1, Ordering::SeqCst);
        }
        let is_read = ["GET", "Get", "List", "Describe"].iter().any(|verb| call.operation.starts_with(verb));
        if !is_read || !services.contains(&call.service.as_str()) || seen.load(Ordering::SeqCst) < writes {
            return Fault::None;
        }
        let is_aws = call.service == "ssm";
        Fault::Refuse {
            status: if is_aws { 400 } else { 403 },
            code: if is_aws { "AccessDeniedException" } else { "Forbidden" }.into(),
            message: "not any more".into(),
            retry_after_ms: None,
        }
    });
}

fn tells_of_release_4(report: &Value) {
    assert_eq!(report["release"], 4, "{report}");
    assert_eq!(report["outcome"], "partial", "{report}");
    let steps = report["steps"].as_array().expect("steps");
    assert!(steps.iter().any(|step| step["target"] == "azure" && step["result"] == "applied"), "{report}");
}

/// The first round finishes what an operator wished, and the look for the second is denied.
#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_cannot_look_again_tells_what_it_finished() {
    each(&TWO_FORMS, async |scene| {
        let writes = writes_of_the_rest(scene.forms).await;
        let releases = three_releases(&scene).await;
        half_a_rollback(&scene).await;
        deny_after(&scene, writes, &["appconfig"]);
        let report = scene.run(3, &["reconcile"]).await;
        scene.up();
        tells_of_release_4(&report);
        assert_eq!(scene.contents().await, releases[0], "{:?}", scene.forms);
        scene.at_rest(6).await;
    })
    .await;
}

/// The same where one wish is finished before the next, which then cannot look anywhere. What goes back as a whole would
/// have left the first alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_wish_that_cannot_look_again_tells_what_was_finished_before_it() {
    each(&TWO_FORMS, async |scene| {
        let writes = writes_of_the_rest(scene.forms).await;
        let releases = three_releases(&scene).await;
        half_a_rollback(&scene).await;
        deny_after(&scene, writes, &["appconfig", "ssm"]);
        let report = scene.run(3, &["rollback", "3", "--key", "chat/prompt", "--timeout", "1s"]).await;
        scene.up();
        tells_of_release_4(&report);
        assert_eq!(scene.contents().await, releases[0], "{:?}", scene.forms);
        scene.at_rest(6).await;
    })
    .await;
}
