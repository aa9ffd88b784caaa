//! What was buried in Parameter Store comes back by the command that the report names.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use repin_emulator::Fault;
use serde_json::json;

use crate::support::{World, hand};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_named_command_serves_what_was_buried() {
    let world = World::new().await;
    world.entries("  a: { targets: [aws-eu], value: one }\n");
    world.run(&["reconcile"]).await.expect(0);
    world.entries("  a: { targets: [aws-eu], value: two }\n");
    // While our put is at the store's door somebody else's goes first.
    let (somebody, came) = (Arc::new(hand(&world).await.remove(0)), AtomicBool::new(false));
    let runtime = tokio::runtime::Handle::current();
    world.faults(move |call| {
        let put = call.operation == "PutParameter" && call.name.as_deref() == Some("/ai/test/a");
        if put && !came.swap(true, Ordering::SeqCst) {
            tokio::task::block_in_place(|| runtime.block_on(somebody.overwrite("a", "theirs")));
        }
        Fault::None
    });
    let ran = world.run(&["reconcile"]).await.expect(5);
    let told = format!("{}{}", ran.stdout, ran.stderr);
    assert!(told.contains("version 2") && told.contains("ours, 3"), "both versions: {told}");
    let command = told.split_once("repin pin ").and_then(|(_, rest)| rest.split_once(" serves")).expect(&told).0;
    let words: Vec<&str> = std::iter::once("pin").chain(command.split_whitespace()).collect();
    world.run(&words).await.expect(0);
    assert_eq!(world.served("aws-eu", "a").await["value"], "theirs");
    // And it stays until somebody says otherwise.
    assert_eq!(world.json(6, &["reconcile"]).await["outcome"], json!("held"));
    world.run(&["unpin", "a"]).await.expect(0);
    world.run(&["reconcile"]).await.expect(0);
    assert_eq!(world.served("aws-eu", "a").await["value"], "two");
}
