//! What people read: plans, outcomes and releases as text, on one target so that versions are numbers.

use crate::support::{SENTINEL, World};

const FIRST: &str = "  chat: { value: { model: gpt-4o, temperature: 0.2 } }
  gone: { value: x }
  key: { secret: true, value_from: { env: TEST_SECRET } }
  prompt: { value: \"one\\ntwo\\n\" }
";
const SECOND: &str = "  chat: { value: { model: gpt-4o, temperature: 0.1, stop: [a] } }
  key: { secret: true, value_from: { env: OTHER } }
  new: { value: x }
  prompt: { value: \"one\\n2\\n\" }
";

impl World {
    pub(crate) fn aws_only(&self, entries: &str) {
        self.aws_served("latest", entries);
    }

    pub(crate) fn aws_served(&self, serve: &str, entries: &str) {
        let head = self.head_served(serve, "key-values");
        let head = &head[..head.find("  azure:").expect("after the other target")];
        self.write("repin.yaml", &format!("{head}entries:\n{entries}"));
    }

    pub(crate) async fn screen(&self, code: i32, args: &[&str]) -> String {
        let output = self.command(args).env("OTHER", format!("{SENTINEL}2")).output().await.expect("runs");
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!text.contains(SENTINEL), "{text}");
        assert!(text.lines().all(|line| line == line.trim_end()), "{text:?}");
        text
    }
}

/// Cuts off what depends on how requests are batched.
pub(crate) fn without_cost(text: &str) -> String {
    text.lines().map(|line| line.split("; aws-eu ").next().unwrap_or_default().to_owned() + "\n").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_an_outcome_and_a_release() {
    let world = World::new().await;
    world.aws_only(FIRST);
    world.screen(0, &["reconcile"]).await;
    assert_eq!(world.screen(0, &["plan"]).await, "test\nNothing to do: 4 entries on 1 target as the file asks.\n",);
    world.aws_only(SECOND);
    insta::assert_snapshot!(without_cost(&world.screen(0, &["plan"]).await), @r#"
    test: release 2
              aws-eu
    ~ chat    1 -> new
        temperature: 0.2 -> 0.1
        stop: + ["a"]
    ~ key     1 -> new
        value differs (secret)
    + new     new
    ~ prompt  1 -> new
        line 2: two -> 2
    - gone    1 deleted
    Release 2: 1 create, 3 change, 1 delete
    "#);
    insta::assert_snapshot!(without_cost(&world.screen(0, &["reconcile", "-m", "warmer"]).await), @r#"
              aws-eu
    ~ chat    1 -> 2
        temperature: 0.2 -> 0.1
        stop: + ["a"]
    ~ key     1 -> 2
        value differs (secret)
    + new     1
    ~ prompt  1 -> 2
        line 2: two -> 2
    - gone    deleted
    test: release 2 served: 5 applied
    "#);
    let shown = world.screen(0, &["show", "2"]).await;
    let (who, rest) = shown.split_once("\"warmer\"\n").expect("the message");
    assert!(who.starts_with("test: release 2, current\nreconcile, 20"), "{shown}");
    insta::assert_snapshot!(rest, @r#"
              aws-eu
    ~ chat    1 -> 2
    - gone    deleted
    ~ key     1 -> 2
    + new     1
    ~ prompt  1 -> 2
    It can be restored on every target.
    "#);
    let history = world.screen(0, &["history"]).await;
    let lines: Vec<_> = history.lines().collect();
    assert!(
        lines[0].starts_with("   2  20") && lines[0].ends_with("  5 entries  aws-eu  current  \"warmer\""),
        "{history}"
    );
    assert!(lines[1].starts_with("   1  20") && lines[1].ends_with("  4 entries  aws-eu"), "{history}");
    let versions = world.screen(0, &["history", "gone"]).await;
    assert!(versions.starts_with("gone on aws-eu\n  removed  20"), "{versions}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_plan_tells_why_on_stderr() {
    let world = World::new().await;
    crate::support::hand(&world).await[0].overwrite("chat", "theirs").await;
    world.aws_only(FIRST);
    for command in ["plan", "reconcile"] {
        let ran = world.run(&[command]).await.expect(5);
        assert!(!ran.stdout.contains("error"), "{}", ran.stdout);
        assert!(!ran.stdout.contains("Nothing to do"), "{}", ran.stdout);
        let (said, hint) = ran.stderr.trim_end().split_once("\n  ").expect("an error and the way out");
        assert!(
            said.starts_with("error: aws-eu: /ai/test/chat is there already and is not in the ledger of test"),
            "{said}"
        );
        let way = "Are `name` and the target's place right? Choose another key, or take it over with adopt: equal or adopt: \
                   always on this entry.";
        assert_eq!(hint, way);
    }
}
