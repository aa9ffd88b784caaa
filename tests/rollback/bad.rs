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
    refused(&world, 64, &["unpin", "a", "--target", "aws-eu"], "not pinned").await;
    refused(&world, 64, &["forget", "nothing/*"], "matches no key").await;
    refused(&world, 5, &["pin", "elsewhere", "--target", "aws-eu", "--version", "1"], "not ours").await;
    refused(&world, 1, &["pin", "a", "--target", "aws-eu", "--version", "77"], "77").await;
}
