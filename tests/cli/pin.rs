//! One entry by hand: `pin` and `unpin`.

use serde_json::json;

use crate::support::World;

async fn two_versions() -> World {
    let world = World::new().await;
    for value in ["one", "two"] {
        world.entries(&format!("  a: {{ value: {value} }}\n"));
        world.run(&["reconcile"]).await.expect(0);
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn pinned_until_it_is_unpinned() {
    let world = two_versions().await;
    let said = world.run(&["pin", "a", "--target", "aws-eu", "--version", "1", "-m", "try"]).await.expect(0).stdout;
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(
        lines[..4],
        [
            "test: a is pinned on aws-eu (release 3), until repin unpin a --target aws-eu",
            "     aws-eu",
            "~ a  2 -> 3",
            "    value: two -> one"
        ],
        "{said}"
    );
    assert!(lines[4].ends_with("; readers follow at their own refresh."), "{said}");
    assert_eq!(world.served("aws-eu", "a").await["value"], "one");
    assert_eq!(world.served("azure", "a").await["value"], "two");
    let held = world.run(&["reconcile"]).await.expect(6).stdout;
    assert!(
        held.starts_with(
            "a stays at release 3 on aws-eu: pinned by hand since release 3 (\"try\"); repin unpin a --target aws-eu \
             lets the file count again\n"
        ),
        "{held}"
    );
    let status = world.run(&["status"]).await.expect(0).stdout;
    assert!(status.contains("held    a: pinned on aws-eu since release 3 \"try\"\n"), "{status}");
    assert!(status.contains("next    pinned: repin unpin a --target aws-eu\n"), "{status}");
    let release = &world.json(0, &["history"]).await["releases"][0];
    assert_eq!((&release["kind"], &release["release"]), (&json!("pin"), &json!(3)));
    // Resuming is for holds.
    world.run(&["resume", "--all"]).await.expect(0);
    world.run(&["reconcile"]).await.expect(6);
    let said = world.run(&["unpin", "a", "--target", "aws-eu"]).await.expect(0).stdout;
    assert!(said.starts_with("test: a is unpinned on aws-eu. What the file says counts"), "{said}");
    world.run(&["reconcile"]).await.expect(0);
    assert_eq!(world.served("aws-eu", "a").await["value"], "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_pinned() {
    let world = two_versions().await;
    world.reset();
    for (code, kind, args) in [
        (64, "usage", &["pin", "a", "--version", "1"][..]),
        (64, "usage", &["pin", "a", "--target", "aws-eu"]),
        (64, "usage", &["pin", "/a", "--target", "aws-eu", "--version", "1"]),
        (5, "foreign", &["pin", "theirs", "--target", "aws-eu", "--version", "1"]),
        (1, "refused", &["pin", "a", "--target", "aws-eu", "--version", "7"]),
        // An etag may begin with a hyphen.
        (1, "refused", &["pin", "a", "--target", "azure", "--version", "-zXbmsPf"]),
        (64, "not-found", &["unpin", "a", "--target", "aws-eu"]),
    ] {
        let error = world.json(code, args).await["error"].clone();
        assert_eq!(error["kind"], kind, "{args:?}: {error}");
        assert!(error["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{args:?}: {error}");
    }
    assert_eq!(world.writes(), 0);
}
