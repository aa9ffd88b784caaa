//! Letting go: `forget`.

use serde_json::json;

use crate::support::{World, steps};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_let_go_of_stays_as_it_is() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  b: { value: one }\n");
    world.run(&["reconcile"]).await.expect(0);
    let done = world.json(0, &["forget", "a"]).await;
    assert_eq!((&done["outcome"], &done["release"]), (&json!("applied"), &json!(null)));
    assert_eq!(
        (&steps(&done, "aws-eu")[0]["action"], &steps(&done, "aws-eu")[0]["from"]),
        (&json!("forget"), &json!("1"))
    );
    assert_eq!(world.served("azure", "a").await["value"], "one");
    let release = &world.json(0, &["history"]).await["releases"][0];
    assert_eq!(release["restorable"], json!({ "aws-eu": true, "azure": true }), "what is not ours is not missed");
    let said = world.run(&["forget", "--all", "--purge"]).await.expect(0).stdout;
    assert!(
        said.starts_with(
            "test: let go of 1 entry on aws-eu and azure. They stay in the stores as they are; the ledger's copies of \
             them are removed\n"
        ),
        "{said}"
    );
    assert_eq!(world.json(0, &["forget", "--all"]).await["outcome"], "unchanged");
    // What the file still has is met as something that is not ours.
    world.run(&["plan"]).await.expect(5);
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_the_arguments() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    world.run(&["reconcile"]).await.expect(0);
    world.reset();
    for args in [&["forget"][..], &["forget", "a", "--all"], &["forget", "a["]] {
        assert_eq!(world.json(64, args).await["error"]["kind"], "usage", "{args:?}");
    }
    assert_eq!(world.json(64, &["forget", "nope"]).await["error"]["kind"], "not-found");
    assert_eq!(world.writes(), 0);
}
