//! Hours with one of the stores gone, and hosts that do not agree.

use std::time::Duration;

use repin_emulator::Fault;
use repin_provider::{Action, Content, Key, Observe, Provider, Put, ReadRequest, Value, Write};
use serde_json::json;

use crate::scene::{Daemon, MINUTE, Scene, health, play};

const HOUR: Duration = Duration::from_secs(60 * 60);
/// How far a wait may be off, and what a pass takes.
const LATE: f64 = 1.2;

fn key(text: &str) -> Key {
    Key::parse(text).expect("valid")
}

async fn served(provider: &dyn Provider, name: &str) -> Option<String> {
    let read = provider.read(&[ReadRequest { key: key(name), version: None }]).await.expect("read");
    Some(read.into_iter().next()??.value.expose().to_owned())
}

/// Changes an entry by hand, past the ledger.
async fn overwrite(provider: &dyn Provider, name: &str, text: &str) {
    let seen = provider.observe(Observe { keys: vec![key(name)], ..Observe::default() }).await.expect("observed");
    let item = seen.items[&key(name)].item().expect("there").clone();
    let content = Content {
        value: Value::Plain(text.to_owned()),
        content_type: item.content_type,
        tags: Default::default(),
        description: None,
        tier: None,
    };
    let action = Action::Put(content, Put::Replace(item.version));
    provider.apply(&Write { key: key(name), action }).await.expect("written");
}

/// Waits until a target serves something, and returns how long that took.
async fn until_served(scene: &Scene, provider: &dyn Provider, name: &str, text: &str) -> Duration {
    let since = tokio::time::Instant::now();
    scene.until(text, async || served(provider, name).await.as_deref() == Some(text)).await;
    since.elapsed()
}

#[test]
fn six_hours_without_one_store_keep_the_other_nothing_waiting() {
    play(async || {
        let scene = Scene::new("  a: { value: one }\n  b: { value: one }\n").await;
        let azure = scene.somebody_else("azure").await;
        let aws = scene.somebody_else("aws-eu").await;
        scene
            .with_daemon(MINUTE, async |board| {
                scene.until_said("release 1 is served").await;
                let down = |call: &repin_emulator::Call| match call.service.as_str() {
                    "ssm" => Fault::DropBefore,
                    _ => Fault::None,
                };
                scene.emulator.faults().set(std::sync::Arc::new(down));
                scene.until_said("unreachable: aws-eu").await;
                scene.write("  a: { value: two }\n  b: { value: one }\n");
                scene.until_said("release 2 waits for aws-eu, unreachable since ").await;
                let looks = scene.azure.looks();
                for hour in 0..6 {
                    overwrite(azure.as_ref(), "b", &format!("tampered {hour}")).await;
                    let took = until_served(&scene, azure.as_ref(), "b", "one").await;
                    assert!(took <= MINUTE.mul_f64(LATE), "within an interval: {took:?}");
                    tokio::time::sleep(HOUR).await;
                }
                let looks = scene.azure.looks() - looks;
                assert!((340..=380).contains(&looks), "one an interval, as always: {looks}");
                assert_eq!((health(&board, "aws-eu"), health(&board, "azure")), (json!("unreachable"), json!("ok")));
                let said =
                    [scene.said("unreachable: aws-eu"), scene.said("release 2 waits"), scene.said("put back: b")];
                assert_eq!(said, [1, 1, 6], "each thing once: {}", scene.log());
                assert_eq!(served(azure.as_ref(), "a").await.as_deref(), Some("one"), "a release waits for all");
                scene.emulator.faults().clear();
                let took = until_served(&scene, aws.as_ref(), "a", "two").await;
                assert!(took <= MINUTE.mul_f64(LATE), "retried once a minute at least: {took:?}");
                scene.until_said("release 2 is served: 1 on aws-eu, 1 on azure").await;
            })
            .await;
    });
}

#[test]
fn credentials_that_expire_and_come_back_need_no_restart() {
    play(async || {
        let scene = Scene::new("  a: { value: one }\n  b: { value: one }\n").await;
        let (aws, azure) = (scene.somebody_else("aws-eu").await, scene.somebody_else("azure").await);
        scene
            .with_daemon(MINUTE, async |board| {
                scene.until_said("release 1 is served").await;
                let expired = |call: &repin_emulator::Call| match call.service.as_str() {
                    "ssm" => Fault::Refuse {
                        status: 400,
                        code: "ExpiredTokenException".to_owned(),
                        message: "The security token included in the request is expired".to_owned(),
                        retry_after_ms: None,
                    },
                    _ => Fault::None,
                };
                scene.emulator.faults().set(std::sync::Arc::new(expired));
                scene.until_said("denied: aws-eu").await;
                overwrite(azure.as_ref(), "b", "tampered").await;
                let took = until_served(&scene, azure.as_ref(), "b", "one").await;
                assert!(took <= MINUTE.mul_f64(LATE), "within an interval: {took:?}");
                scene.write("  a: { value: two }\n  b: { value: one }\n");
                scene.until_said("release 2 waits for aws-eu, denied since ").await;
                tokio::time::sleep(HOUR).await;
                assert_eq!(health(&board, "aws-eu"), json!("denied"));
                scene.emulator.faults().clear();
                let took = until_served(&scene, aws.as_ref(), "a", "two").await;
                assert!(took <= MINUTE.mul_f64(LATE), "retried once a minute at least: {took:?}");
                assert_eq!(scene.said("denied: aws-eu"), 1, "once: {}", scene.log());
                assert_eq!(health(&board, "aws-eu"), json!("ok"));
            })
            .await;
    });
}

#[test]
fn an_edit_by_hand_lasts_an_interval_at_most() {
    play(async || {
        let scene = Scene::new("  a: { value: one }\n").await;
        let (aws, azure) = (scene.somebody_else("aws-eu").await, scene.somebody_else("azure").await);
        scene
            .with_daemon(MINUTE, async |_| {
                scene.until_said("release 1 is served").await;
                for provider in [&aws, &azure] {
                    for n in 0..3 {
                        // Rarely enough to be no tug-of-war.
                        tokio::time::sleep(MINUTE * 15).await;
                        overwrite(provider.as_ref(), "a", &format!("by hand {n}")).await;
                        let took = until_served(&scene, provider.as_ref(), "a", "one").await;
                        assert!(took <= MINUTE.mul_f64(LATE), "{took:?}");
                    }
                }
                assert_eq!(scene.said("drift was put back: a"), 6);
                assert_eq!(scene.said("somebody else keeps changing"), 0);
            })
            .await;
    });
}

#[test]
fn a_host_that_is_one_commit_behind_makes_nothing_flap() {
    play(async || {
        let scene = Scene::new("  a: { value: one }\n  b: { value: one }\n").await;
        let azure = scene.somebody_else("azure").await;
        let [one, two, behind] = ["one", "two", "behind"].map(|host| Daemon { host, interval: MINUTE });
        for daemon in [&one, &two, &behind] {
            scene.write_for(daemon.host, "  a: { value: one }\n  b: { value: one }\n");
        }
        scene
            .with_daemons(&[one, two, behind], async |_| {
                scene.until_said("release 1 is served").await;
                tokio::time::sleep(MINUTE * 3).await;
                // Two of the hosts pull the next commit, one after the other.
                scene.write_for("one", "  a: { value: two }\n  b: { value: one }\n");
                scene.until_said("release 2 is served: 1 on aws-eu, 1 on azure").await;
                tokio::time::sleep(MINUTE).await;
                scene.write_for("two", "  a: { value: two }\n  b: { value: one }\n");
                scene.until_said("this host's file is behind").await;
                tokio::time::sleep(MINUTE * 3).await;
                scene.emulator.counters().reset();
                let lines = scene.lines();
                for _ in 0..30 {
                    tokio::time::sleep(MINUTE).await;
                    assert_eq!(served(azure.as_ref(), "a").await.as_deref(), Some("two"));
                }
                assert_eq!(scene.writes(), 0, "{}", scene.log());
                assert_eq!(scene.lines(), lines, "{}", scene.log());
                // All three put back what the newest release says, whoever is first.
                overwrite(azure.as_ref(), "b", "tampered").await;
                let took = until_served(&scene, azure.as_ref(), "b", "one").await;
                assert!(took <= MINUTE.mul_f64(LATE), "{took:?}");
                assert_eq!(scene.said("is served"), 2, "{}", scene.log());
                scene.write_for("behind", "  a: { value: two }\n  b: { value: one }\n");
                scene.until_said("the file is no longer behind").await;
                assert_eq!(scene.said("is served"), 2, "{}", scene.log());
            })
            .await;
    });
}
