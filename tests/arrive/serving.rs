//! `init --from` where readers follow a label or a snapshot: the file asks for what they meet.

use aws_sdk_ssm::types::ParameterType;

use crate::bystander::Bystander;
use crate::support::{World, steps};

fn file(world: &World) -> String {
    std::fs::read_to_string(world.path("repin.yaml")).expect("a file")
}

#[tokio::test(flavor = "multi_thread")]
async fn where_readers_follow_a_label_it_is_what_the_label_names() {
    let world = World::new().await;
    world.write("repin.yaml", &world.head_served("{ label: live }", "key-values"));
    let others = Bystander::of(&world);
    others.parameter("/ai/test/met", "old", ParameterType::String).await;
    others.label("/ai/test/met", 1, "live").await;
    others.parameter("/ai/test/met", "new", ParameterType::String).await;
    others.parameter("/ai/test/unmet", "waits", ParameterType::String).await;
    world.run(&["init", "--from", "aws-eu"]).await.expect(0);
    let text = file(&world);
    assert!(text.contains("  met:\n    targets: [aws-eu]\n    value: old\n"), "{text}");
    assert!(text.contains("readers do not meet it yet; the first release serves it\n  unmet:\n"), "{text}");

    let planned = world.json(0, &["plan"]).await;
    let actions: Vec<_> =
        steps(&planned, "aws-eu").iter().map(|step| (step["key"].clone(), step["action"].clone())).collect();
    assert_eq!(actions, [("met".into(), "adopt".into()), ("unmet".into(), "create".into())]);
    world.run(&["reconcile"]).await.expect(0);
    assert_eq!(others.stored("/ai/test/met:live").await.1, "old");
    assert_eq!(others.stored("/ai/test/met").await.1, "new", "what somebody put since is still there");
    assert_eq!(others.stored("/ai/test/unmet:live").await.1, "waits");
    assert_eq!(others.stored("/ai/test/unmet:1").await.1, "waits", "it was not put once more");
    world.json(0, &["plan", "--detailed-exitcode"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_readers_follow_a_snapshot_it_is_what_the_snapshot_holds() {
    let world = World::new().await;
    let head = world.head_served("latest", "{ snapshot: release }");
    world.write("repin.yaml", &head);
    let others = Bystander::of(&world);
    others.key_value("test/chat/model", "m", None).await;
    let before = others.shown().await;
    world.run(&["init", "--from", "azure"]).await.expect(0);
    assert!(file(&world).contains("readers do not meet it yet"), "{}", file(&world));
    world.run(&["reconcile"]).await.expect(0);
    let after = others.shown().await;
    assert!(before.iter().all(|(name, shown)| after.get(name) == Some(shown)), "what was there is as it was");
    assert_eq!(world.served("azure", "chat/model").await["value"], "m");

    // Once there is a snapshot it counts, whatever is staged or stands beside it.
    others.key_value("test/chat/model", "of others", None).await;
    world.write("repin.yaml", &head);
    world.run(&["init", "--from", "azure"]).await.expect(0);
    assert!(file(&world).contains("  chat/model:\n    targets: [azure]\n    value: m\n"), "{}", file(&world));
    world.json(0, &["plan", "--detailed-exitcode"]).await;
}
