//! What readers see while releases and rollbacks are made: they poll both stores all the way through.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use repin_emulator::appconfig::SnapshotFailure;
use repin_emulator::{Call, Fault};

use crate::scene::{FORMS, Forms, Scene, each};
use crate::stores::{Contents, Stores};

const N: usize = 24;

/// Entries that all change with each release.
fn entries(release: u8) -> String {
    let mut text = String::new();
    for n in 0..N {
        writeln!(text, "  entry-{n:02}: {{ value: release {release} }}").expect("memory");
    }
    text
}

/// A reader that polls both stores until it is stopped.
struct Reader {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Seen>,
}

/// Everything that a reader saw, in order, without what it saw again at once.
#[derive(Default)]
struct Seen {
    aws: Vec<Contents>,
    azure: Vec<Contents>,
}

impl Reader {
    fn start(scene: &Scene) -> Self {
        let (stop, stores) = (Arc::new(AtomicBool::new(false)), Stores::of(&scene.world, scene.forms));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut seen = Seen::default();
            loop {
                // What there is at the end is seen too.
                let last = stopped.load(Ordering::Relaxed);
                let (aws, azure) = tokio::join!(poll(&stores), stores.azure_contents());
                push(&mut seen.aws, aws);
                push(&mut seen.azure, azure);
                if last {
                    return seen;
                }
            }
        });
        Self { stop, task }
    }

    async fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("the reader reads on")
    }
}

/// Reads each parameter by its name, or by its name and the label, as services do.
async fn poll(stores: &Stores) -> Contents {
    let names: Vec<String> = (0..N).map(|n| format!("entry-{n:02}")).collect();
    let asks = names.iter().map(async |name| {
        let value = stores.read(name).await.and_then(|parameter| parameter.value);
        (name.clone(), value.unwrap_or_default())
    });
    futures::future::join_all(asks).await.into_iter().collect()
}

fn push(seen: &mut Vec<Contents>, contents: Contents) {
    if seen.last() != Some(&contents) {
        seen.push(contents);
    }
}

/// Returns the releases that some contents are of.
fn releases(contents: &Contents) -> BTreeSet<String> {
    contents.values().filter_map(|held| held.split_whitespace().nth(1)).map(str::to_owned).collect()
}

/// Asserts that each entry goes from one release to the next and never back, and is never missing.
fn goes_on_only(seen: &[Contents], from: &str, to: &str) {
    let mut last: BTreeMap<&String, &str> = BTreeMap::new();
    for contents in seen {
        assert_eq!(contents.len(), N, "{contents:?}");
        for (place, held) in contents {
            let release = held.split_whitespace().nth(1).unwrap_or_else(|| panic!("{place} was missing"));
            let before = last.insert(place, release).unwrap_or(from);
            assert!(release == before || (before == from && release == to), "{place}: {release} after {before}");
        }
    }
    assert_eq!(releases(seen.last().expect("something was seen")), [to.to_owned()].into());
}

/// Slows writes, so that a reader looks between any two: on a busy machine a poll of all entries takes long.
fn slow(scene: &Scene) {
    scene.world.faults(|call| if writes(call) { Fault::Delay(Duration::from_millis(200)) } else { Fault::None });
}

fn writes(call: &Call) -> bool {
    ["Put", "PUT", "Delete", "DELETE", "Label", "Unlabel"].iter().any(|verb| call.operation.starts_with(verb))
}

/// Through a release and a rollback: each entry changes once, and behind a snapshot all of them at once.
#[tokio::test(flavor = "multi_thread")]
async fn readers_poll_through_a_release_and_a_rollback() {
    each(&FORMS, async |scene| {
        let forms = scene.forms;
        scene.release(&entries(1)).await;
        slow(&scene);
        for (from, to) in [("1", "2"), ("2", "1")] {
            let reader = Reader::start(&scene);
            if to == "2" {
                scene.release(&entries(2)).await;
            } else {
                scene.run(0, &["rollback", "1"]).await;
            }
            let seen = reader.stop().await;
            goes_on_only(&seen.aws, from, to);
            goes_on_only(&seen.azure, from, to);
            let mixtures = |seen: &[Contents]| seen.iter().filter(|contents| releases(contents).len() > 1).count();
            assert!(mixtures(&seen.aws) > 0, "{forms:?}: parameters change one by one, and the reader sees it");
            if scene.snapshots() {
                assert_eq!((mixtures(&seen.azure), seen.azure.len()), (0, 2), "{forms:?}: whole releases only");
            } else {
                assert!(mixtures(&seen.azure) > 0, "{forms:?}: key-values change one by one, and the reader sees it");
            }
        }
    })
    .await;
}

/// Puts that fail, in the ways of serving in which readers do not see puts.
fn spoils(forms: Forms) -> Vec<&'static str> {
    let mut spoils = Vec::new();
    if forms.0 != "latest" {
        spoils.push("a parameter");
    }
    if forms.1 != "key-values" {
        spoils.extend(["a staged key-value", "the snapshot"]);
    }
    spoils
}

fn spoil(scene: &Scene, what: &'static str) {
    if what == "the snapshot" {
        scene.world.emulator.fail_next_snapshot(SnapshotFailure::QuotaExceeded);
        return;
    }
    scene.world.faults(move |call| {
        let put = matches!(call.operation.as_str(), "PutParameter" | "PUT /kv/{key}");
        let service = if what == "a parameter" { "ssm" } else { "appconfig" };
        if put && call.service == service && call.name.as_deref().is_some_and(|name| name.contains("entry-13")) {
            Fault::Refuse {
                status: 400,
                code: "ValidationException".into(),
                message: "spoiled for a test".into(),
                retry_after_ms: None,
            }
        } else {
            Fault::None
        }
    });
}

/// What cannot be prepared everywhere is seen nowhere, and the next pass goes on as if nothing had been.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_cannot_be_prepared_is_never_seen() {
    each(&FORMS[1..], async |scene| {
        let forms = scene.forms;
        let first = scene.release(&entries(1)).await;
        for what in spoils(forms) {
            scene.file(&entries(2));
            spoil(&scene, what);
            let reader = Reader::start(&scene);
            let report = scene.run(1, &["reconcile", "--timeout", "2s"]).await;
            let seen = reader.stop().await;
            assert_eq!(report["outcome"], "failed", "{forms:?} {what}: {report}");
            assert_eq!((seen.aws.len(), seen.azure.len()), (1, 1), "{forms:?} {what}");
            scene.world.emulator.faults().clear();
            assert_eq!(scene.contents().await, first, "{forms:?} {what}");
            // Nothing of it is served by a pass that has the old file again, either.
            scene.file(&entries(1));
            scene.run(0, &["reconcile"]).await;
            assert_eq!(scene.contents().await, first, "{forms:?} {what}");
            let second = scene.release(&entries(2)).await;
            assert_eq!(releases(&second), ["2".to_owned()].into(), "{forms:?} {what}");
            scene.file(&entries(1));
            scene.run(0, &["reconcile"]).await;
            assert_eq!(scene.contents().await, first, "{forms:?} {what}");
        }
    })
    .await;
}
