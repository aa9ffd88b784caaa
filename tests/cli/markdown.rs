//! A plan for a pull request.

use crate::support::{SENTINEL, World, steps};

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_as_markdown() {
    let world = World::new().await;
    world.entries(
        "  chat: { value: { model: gpt-4o, temperature: 0.2 } }\n  gone: { value: x }\n  same: { value: x }\n",
    );
    world.run(&["reconcile"]).await.expect(0);
    world.entries(
        "  chat: { value: { model: gpt-4o, temperature: 0.1, note: \"```\\n| <b> @ops\" } }\n  same: { value: x }
  \"a|b\": { targets: [azure], value: x }
  secret/key: { targets: [\"aws-*\"], secret: true, value_from: { env: TEST_SECRET } }\n",
    );
    let shown = world.run(&["plan", "-o", "markdown"]).await.expect(0);
    insta::assert_snapshot!(without_etags(&shown.stdout, &world.json(0, &["plan"]).await), @r#"
    ### repin: test: release 2

    **2 create, 2 change, 2 delete.**

    | | key | `aws-eu` | `azure` |
    |-|-|-|-|
    | `+` | `a\|b` |  | new |
    | `~` | `chat` | 1 -> new | ETAG -> new |
    | `+` | `secret/key` | new |  |
    | `-` | `gone` | 1 deleted | ETAG deleted |

    <details><summary><code>chat</code></summary>

    ````diff
    - temperature: 0.2
    + temperature: 0.1
    + note: "```\n| <b> @ops"
    ````

    </details>

    Release 2: 2 create, 2 change, 2 delete; aws-eu 3 reads 6 writes, azure 2 reads 5 writes
    "#);
    assert!(!shown.stdout.contains(SENTINEL));
    world.run(&["history", "-o", "markdown"]).await.expect(64);
    world.run(&["reconcile", "-o", "markdown"]).await.expect(64);
    let dry = world.run(&["reconcile", "--dry-run", "-o", "markdown"]).await.expect(0);
    assert_eq!(dry.stdout, shown.stdout);
}

/// Etags are random: each that the plan names becomes the same word.
fn without_etags(text: &str, plan: &serde_json::Value) -> String {
    let etags = steps(plan, "azure").into_iter().filter_map(|step| step["from"].as_str());
    etags.fold(text.to_owned(), |text, etag| text.replace(&etag[..8].replace('_', "&#95;"), "ETAG"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_plan_says_why_and_what_is_not_ours() {
    let world = World::new().await;
    crate::support::hand(&world).await[0].overwrite("theirs", "x").await;
    crate::support::hand(&world).await[0].overwrite("taken", "x").await;
    world.entries("  taken: { value: y }\n");
    let shown = world.run(&["plan", "-o", "markdown"]).await.expect(5).stdout;
    assert!(shown.contains("**Refused: nothing would be done, for 1 reason.**"), "{shown}");
    assert!(shown.contains("/ai/test/taken is there already"), "{shown}");
    assert!(shown.contains("1 item below its prefix not of test, never touched"), "{shown}");
}
