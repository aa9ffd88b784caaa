//! What cannot be done is said before anything is written.

use crate::support::World;

async fn refused(world: &World, code: i32, args: &[&str], says: &str) {
    world.reset();
    let ran = world.run(args).await;
    assert_eq!(ran.code, code, "{args:?}\n{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains(says), "{args:?}: {says:?} is not in\n{}", ran.stderr);
    assert_eq!(world.writes(), 0, "{args:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_refused_before_any_write() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  b: { value: one }\n");
    refused(&world, 64, &["rollback"], "no release").await;
    world.json(0, &["reconcile"]).await;
    world.entries("  a: { value: two }\n  b: { value: one }\n");
    world.json(0, &["reconcile"]).await;
    refused(&world, 64, &["rollback", "7"], "no release 7").await;
    refused(&world, 64, &["rollback", "--at", "2001-01-01T00:00:00Z"], "no release was served").await;
    refused(&world, 64, &["rollback", "1", "--key", "nothing/*"], "matches no key").await;
    refused(&world, 64, &["rollback", "--steps", "5"], "steps back").await;
    refused(&world, 64, &["resume", "a"], "no hold").await;
    world.json(0, &["hold", "b", "-m", "why"]).await;
    refused(&world, 64, &["hold", "nothing", "-m", "why"], "matches no key").await;
    refused(&world, 64, &["unpin", "a", "--target", "aws-eu"], "not pinned").await;
    refused(&world, 64, &["forget", "nothing/*"], "matches no key").await;
    refused(&world, 5, &["pin", "elsewhere", "--target", "aws-eu", "--version", "1"], "not ours").await;
    refused(&world, 1, &["pin", "a", "--target", "aws-eu", "--version", "77"], "77").await;
}

/// Readers follow a label, and a file that says otherwise does not move them.
#[tokio::test(flavor = "multi_thread")]
async fn another_way_to_serve_is_refused_with_the_steps_to_take() {
    let world = World::new().await;
    let file = |aws: &str, value: &str| {
        let head = world.head_served(aws, "key-values");
        world.write("repin.yaml", &format!("{head}entries:\n  a: {{ value: {value} }}\n"));
    };
    for value in ["one", "two"] {
        file("{ label: live }", value);
        world.json(0, &["reconcile"]).await;
    }
    file("latest", "two");
    for args in [&["reconcile"][..], &["rollback", "1"], &["rollback", "1", "--target", "aws-eu"]] {
        refused(&world, 1, args, "served as label live").await;
    }
}
