//! Rollbacks that do not get through at once: a cloud that is down, a process that dies, another host at work.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use repin_emulator::{Call, Fault};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::scene::{FORMS, Forms, Scene, TWO_FORMS, is_of, unavailable};
use crate::stores::Contents;
use crate::story::{entries, three_releases};

const PREFIXES: [(&str, &str, &str); 2] = [("ssm", "aws ", "aws-eu"), ("appconfig", "azure ", "azure")];

/// Returns what readers meet where one cloud has gone back and the other has not.
fn mixed(back: &Contents, ahead: &Contents, down: &str) -> Contents {
    let on = |contents: &Contents, is_down: bool| -> Contents {
        let of = |place: &str| place.starts_with(down) == is_down;
        contents.iter().filter(|(place, _)| of(place)).map(|(place, held)| (place.clone(), held.clone())).collect()
    };
    on(back, false).into_iter().chain(on(ahead, true)).collect()
}

/// Asserts that all of release 4 is served, as one release, and that nothing is left to do.
async fn finished(scene: &Scene, releases: &[Contents], case: &str) {
    assert_eq!(scene.contents().await, releases[0], "{:?} {case}", scene.forms);
    let newest = scene.run(0, &["history"]).await["releases"][0].clone();
    assert_eq!((&newest["release"], &newest["restores"]), (&json!(4), &json!(1)), "{case}: {newest}");
    assert_eq!(newest["targets"], json!({ "aws-eu": "done", "azure": "done" }), "{:?} {case}", scene.forms);
    scene.at_rest(6).await;
}

/// Tells how a target stands, from `status`.
fn sync(status: &Value, target: &str) -> Value {
    let targets = status["targets"].as_array().expect("targets");
    targets.iter().find(|found| found["target"] == target).expect("there")["sync"].clone()
}

/// The other cloud serves the old release at once, nobody undoes it meanwhile, and any host finishes it.
#[tokio::test(flavor = "multi_thread")]
async fn one_cloud_is_down() {
    let cases = TWO_FORMS.iter().flat_map(|forms| PREFIXES.map(|cloud| is_down(*forms, cloud)));
    futures::future::join_all(cases).await;
}

async fn is_down(forms: Forms, (cloud, prefix, target): (&'static str, &str, &str)) {
    let scene = Scene::new(forms).await;
    let releases = three_releases(&scene).await;
    let other = if target == "azure" { "aws-eu" } else { "azure" };
    let half = mixed(&releases[0], &releases[2], prefix);
    scene.down(cloud);
    let report = scene.run(3, &["rollback", "1", "-m", "refusals up", "--timeout", "2s"]).await;
    assert_eq!((&report["release"], &report["outcome"]), (&json!(4), &json!("partial")), "{report}");
    let status = scene.command(&["status", "-o", "json"]).output().await.expect("runs");
    let status: Value = serde_json::from_slice(&status.stdout).expect("an object");
    assert_eq!((sync(&status, other), sync(&status, target)), (json!("synced"), json!("pending")), "{status}");
    // A host that hears of it only now, while the other cloud is still down.
    scene.at_host("second");
    let held = scene.run(6, &["reconcile", "--target", other]).await;
    assert_eq!(held["outcome"], "held", "{held}");
    scene.up();
    assert_eq!(scene.contents().await, half, "{forms:?} without {target}");
    let pending = scene.run(0, &["status"]).await;
    assert_eq!((sync(&pending, other), sync(&pending, target)), (json!("synced"), json!("pending")), "{pending}");

    scene.at_host("third");
    scene.run(0, &["reconcile"]).await;
    finished(&scene, &releases, target).await;
}

/// A cloud goes away at any of its writes: at the claim, between the values, at the record.
#[tokio::test(flavor = "multi_thread")]
async fn one_cloud_goes_down_in_the_middle() {
    let cases = TWO_FORMS.iter().flat_map(|forms| PREFIXES.map(|cloud| (*forms, cloud)));
    let cases = cases.flat_map(|(forms, (cloud, _, target))| {
        let most = [Left::Requests(1), Left::Writes(0), Left::Writes(3), Left::Writes(1)];
        // Each answer of Parameter Store that is lost is waited for ten seconds, some of them one after the other.
        let most = if (forms.0, cloud) == ("latest", "ssm") { &most[..3] } else { &most[..] };
        most.iter().map(move |left| goes_down_after(forms, cloud, target, *left)).collect::<Vec<_>>()
    });
    futures::future::join_all(cases).await;
}

/// A cloud that swallows requests is waited for no longer than people wait: the other one goes back meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn one_cloud_never_answers() {
    let cases = PREFIXES.map(|(cloud, prefix, target)| swallows(cloud, prefix, target));
    futures::future::join_all(cases).await;
}

async fn swallows(cloud: &'static str, prefix: &str, target: &str) {
    let scene = Scene::new(FORMS[3]).await;
    let releases = three_releases(&scene).await;
    scene.world.faults(move |call| if is_of(call, cloud) { Fault::HangBefore } else { Fault::None });
    let silent = std::process::Stdio::null;
    let mut rollback = scene.command(&["rollback", "1", "--timeout", "1s"]);
    let mut rollback = rollback.stdout(silent()).stderr(silent()).spawn().expect("runs");
    let half = mixed(&releases[0], &releases[2], prefix);
    let back = async {
        loop {
            // What hangs is not asked.
            let (now, then) = match cloud {
                "ssm" => (scene.stores.azure_contents().await, "azure "),
                _ => (scene.stores.aws_contents().await, "aws "),
            };
            if half
                .iter()
                .filter(|(place, _)| place.starts_with(then))
                .all(|(place, held)| now.get(place) == Some(held))
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    // Three attempts of ten seconds each are not waited for.
    tokio::time::timeout(Duration::from_secs(25), back).await.expect("the other cloud goes back");
    assert_eq!(rollback.wait().await.expect("ends").code(), Some(3), "without {target}");
    scene.up();
    scene.run(0, &["reconcile"]).await;
    finished(&scene, &releases, target).await;
}

/// What a cloud still answers before it goes away.
#[derive(Debug, Clone, Copy)]
enum Left {
    /// So many requests: the first reads the ledger.
    Requests(u64),
    /// So many writes, and every read before the next.
    Writes(u64),
}

async fn goes_down_after(forms: Forms, cloud: &'static str, target: &str, left: Left) {
    let case = format!("{target} down after {left:?}");
    let scene = Scene::new(forms).await;
    // The waits are long and happen at the same time; what is work is done by a few at a time.
    static WORK: Semaphore = Semaphore::const_new(3);
    let working = WORK.acquire().await.expect("never closed");
    let releases = three_releases(&scene).await;
    drop(working);
    let answered = AtomicU64::new(0);
    scene.world.faults(move |call| {
        if !is_of(call, cloud) {
            return Fault::None;
        }
        let (counts, most) = match left {
            Left::Requests(most) => (true, most),
            Left::Writes(most) => (is_write(call), most),
        };
        // Once one was refused everything is.
        let before = answered.fetch_add(u64::from(counts), Ordering::Relaxed);
        if before + u64::from(counts) > most { unavailable() } else { Fault::None }
    });
    let ran = scene.command(&["rollback", "1", "--timeout", "1s", "-o", "json"]).output().await.expect("runs");
    let told = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{forms:?} {case}: {told}");
    scene.up();
    scene.at_host("second");
    let done = scene.command(&["reconcile"]).output().await.expect("runs");
    assert!(matches!(done.status.code(), Some(0 | 6)), "{forms:?} {case}: {done:?}");
    finished(&scene, &releases, &case).await;
}

fn is_write(call: &Call) -> bool {
    ["Put", "PUT", "Delete", "DELETE", "Label", "Unlabel", "PATCH"].iter().any(|verb| call.operation.starts_with(verb))
}

/// How many processes are killed at the same time, each in clouds of its own.
const AT_ONCE: usize = 6;

const BEFORE: &str = "  a: { value: one }\n  b: { value: { x: 1 } }\n  gone: { value: old }\n  \
                        key: { targets: [aws-eu], secret: true, value_from: { env: KEY } }\n";
const AFTER: &str = "  a: { value: two }\n  b: { value: { x: 1 } }\n  fresh: { value: new }\n  \
                       key: { targets: [aws-eu], secret: true, value_from: { env: KEY } }\n";

/// Kills a rollback at its n-th request; tells whether it got that far, and whether it had claimed its release by then.
async fn kill_at(scene: &Scene, n: u64, after: bool) -> (bool, bool) {
    scene.world.reset();
    scene.world.faults(move |call| match (call.index == n, after) {
        (true, false) => Fault::HangBefore,
        (true, true) => Fault::HangAfter,
        _ => Fault::None,
    });
    let mut command = scene.command(&["rollback", "1"]);
    let mut child =
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("runs");
    let killed = tokio::select! {
        () = scene.world.emulator.faults().reached() => true,
        _ = child.wait() => false,
    };
    let _ = child.kill().await;
    scene.up();
    let claims = |call: &Call| is_write(call) && call.name.as_deref().is_some_and(|name| name.contains("/log/"));
    let calls = scene.world.emulator.counters().calls();
    let claimed = calls.iter().filter(|call| claims(call)).any(|call| call.index < n || (after && call.index == n));
    (killed, claimed)
}

/// What the stores keep of each key: as many native versions as there were contents, and no more.
async fn versions(scene: &Scene) -> Vec<usize> {
    let mut versions = Vec::new();
    for key in ["a", "b", "key"] {
        versions.push(scene.stores.versions(key).await.len());
    }
    versions.push(scene.stores.revisions("a").await);
    versions.push(scene.stores.revisions("b").await);
    versions.push(scene.stores.snapshots().await);
    versions
}

/// How many native versions a rollback makes of each of these.
fn made(forms: Forms) -> Vec<usize> {
    let put = |serves_at_once: bool| usize::from(serves_at_once);
    let (aws, azure) = (put(forms.0 == "latest"), put(forms.1 == "key-values"));
    vec![aws, 0, aws, azure, 0, 0]
}

/// Kills at every request until the rollback no longer gets that far.
async fn killed_everywhere(forms: Forms, after: bool) {
    for n in (1..200).step_by(AT_ONCE) {
        let cases = (n..n + AT_ONCE as u64).map(|n| killed_at(forms, n, after));
        if !futures::future::join_all(cases).await.into_iter().all(|killed| killed) {
            assert!(n > 1, "a rollback has more than {AT_ONCE} requests");
            return;
        }
    }
    panic!("a rollback of this size has fewer requests");
}

/// Kills one rollback at one request, lets another pass come, and checks what is served then. Tells whether the
/// rollback got that far.
async fn killed_at(forms: Forms, n: u64, after: bool) -> bool {
    let case = format!("{forms:?} killed {} request {n}", if after { "after" } else { "before" });
    let scene = Scene::new(forms).await;
    let first = scene.release(BEFORE).await;
    scene.secret(Some("key 2"));
    let second = scene.release(AFTER).await;
    let before = versions(&scene).await;
    let (killed, claimed) = kill_at(&scene, n, after).await;
    if n.is_multiple_of(2) {
        scene.at_host("second");
    }
    let ran = scene.command(&["reconcile", "-o", "json"]).output().await.expect("runs");
    let told = String::from_utf8_lossy(&ran.stdout).into_owned();
    let made: Vec<usize> = before.iter().zip(made(forms)).map(|(had, made)| had + made).collect();
    if claimed {
        assert!(matches!(ran.status.code(), Some(0 | 6)), "{case}: {told}");
        assert_eq!(scene.contents().await, first, "{case}: {told}");
        assert_eq!(versions(&scene).await, made, "{case}: {told}");
        scene.at_rest(6).await;
    } else {
        assert_eq!(ran.status.code(), Some(0), "{case}: {told}");
        assert_eq!((scene.contents().await, versions(&scene).await), (second, before), "{case}: {told}");
        scene.at_rest(0).await;
    }
    killed
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_a_request_took_effect() {
    killed_everywhere(FORMS[0], false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_a_request_took_effect() {
    killed_everywhere(FORMS[0], true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_a_name_was_moved() {
    killed_everywhere(FORMS[3], false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_a_name_was_moved() {
    killed_everywhere(FORMS[3], true).await;
}

/// Served together or not at all: what was served is put back where the other cloud refuses.
#[tokio::test(flavor = "multi_thread")]
async fn one_target_fails_and_the_other_is_put_back() {
    let cases = FORMS.iter().flat_map(|forms| PREFIXES.map(|(cloud, _, target)| is_put_back(*forms, cloud, target)));
    futures::future::join_all(cases).await;
}

async fn is_put_back(forms: Forms, cloud: &'static str, target: &str) {
    let scene = Scene::new(forms).await;
    scene.release(&entries(1)).await;
    let second = scene.release(&entries(2)).await;
    scene.secret(Some("key 3"));
    scene.file(&entries(3));
    let (labelled, snapshots) = (scene.labelled(), scene.snapshots());
    scene.world.faults(move |call| {
        let data = call.name.as_deref().is_some_and(|name| name.starts_with("/ai/test") || name.starts_with("test/"));
        let serves = match cloud {
            "ssm" if labelled => call.operation == "LabelParameterVersion",
            "appconfig" if snapshots => call.name.as_deref() == Some("test/release") && is_write(call),
            _ => data && is_write(call),
        };
        if is_of(call, cloud) && serves { refusal() } else { Fault::None }
    });
    let report = scene.run(4, &["reconcile", "--atomic", "--timeout", "2s"]).await;
    assert_ne!(report["outcome"], "applied", "{report}");
    scene.up();
    assert_eq!(scene.contents().await, second, "{forms:?} without {target}");
    scene.at_host("elsewhere");
    assert_eq!(scene.run(0, &["reconcile"]).await["outcome"], "applied", "{forms:?} without {target}");
    let third = scene.contents().await;
    assert!(third["aws chat/prompt"].contains("prompt 3") && third["azure chat/prompt"].contains("prompt 3"));
    assert!(third["aws chat/key"].contains("key 3") && !third.contains_key("azure early"), "{third:?}");
    assert_eq!(scene.at_rest(0).await["outcome"], "unchanged");
}

/// What a store answers that refuses a content.
fn refusal() -> Fault {
    Fault::Refuse {
        status: 400,
        code: "ValidationException".into(),
        message: "refused for a test".into(),
        retry_after_ms: None,
    }
}

/// A rollback and a release at the same moment: one comes after the other, and what is served is what the last one says.
#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_races_a_release() {
    let races = TWO_FORMS.map(|forms| async move {
        let mut last = Vec::new();
        for round in 0..4 {
            last.push(race(forms, round).await);
        }
        last
    });
    let last = futures::future::join_all(races).await.concat();
    assert!(["rollback", "reconcile"].iter().all(|kind| last.iter().any(|last| last == kind)), "{last:?}");
}

/// Lets a release and a rollback begin, the one a little after the other, and returns which came last.
async fn race(forms: Forms, round: u64) -> String {
    let entries =
        |value: &str| format!("  a: {{ value: {value} }}\n  b: {{ value: {value} }}\n  c: {{ value: {value} }}\n");
    let scene = Scene::new(forms).await;
    let first = scene.release(&entries("one")).await;
    scene.release(&entries("two")).await;
    // Whoever goes back has not heard of the new file.
    std::fs::copy(scene.world.path("repin.yaml"), scene.world.path("older.yaml")).expect("copied");
    scene.file(&entries("three"));
    let mut release = scene.command(&["reconcile", "-o", "json"]);
    scene.at_host("second");
    let mut rollback = scene.command(&["rollback", "1", "-f", "older.yaml", "-o", "json"]);
    let lag = |later: bool| Duration::from_millis(if later { 25 * (round / 2) } else { 0 });
    let (release, rollback) = tokio::join!(
        async {
            tokio::time::sleep(lag(round.is_multiple_of(2))).await;
            release.output().await.expect("runs")
        },
        async {
            tokio::time::sleep(lag(!round.is_multiple_of(2))).await;
            rollback.output().await.expect("runs")
        }
    );
    let told = format!("{forms:?} round {round}: {release:?}\n{rollback:?}");
    assert_eq!((release.status.code(), rollback.status.code()), (Some(0), Some(0)), "{told}");
    let history = scene.run(0, &["history"]).await;
    let done = history["releases"].as_array().expect("releases").iter().filter(|release| {
        release["targets"].as_object().is_some_and(|targets| targets.values().all(|state| state == "done"))
    });
    let last = done.max_by_key(|release| release["release"].as_u64()).expect("releases")["kind"].clone();
    let contents = scene.contents().await;
    if last == "rollback" {
        assert_eq!(contents, first, "{told}");
        scene.at_rest(6).await;
    } else {
        assert!(contents.values().all(|held| held.starts_with("three")), "{contents:?} {told}");
        scene.at_rest(0).await;
    }
    last.as_str().expect("a kind").to_owned()
}
