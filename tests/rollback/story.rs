//! Three releases, back to the first, an edit of one entry, and on again: in every way that readers may be served.

use serde_json::Value;

use crate::support::{World, steps};

/// How readers meet each target.
const FORMS: [(&str, &str); 4] = [
    ("latest", "key-values"),
    ("{ label: live }", "key-values"),
    ("latest", "{ snapshot: release }"),
    ("{ label: live }", "{ snapshot: release }"),
];

/// The entries of each release: a JSON value, a text, a secret on AWS, one that comes late and one that goes.
fn entries(release: u8) -> String {
    let late = if release >= 2 { "  late: { value: here }\n" } else { "" };
    let early = if release < 3 { "  early: { value: still }\n" } else { "" };
    let tags = if release == 2 { ", tags: { team: b }" } else { ", tags: { team: a }" };
    format!(
        "  chat/config: {{ type: ai-chat, value: {{ model: m{release}, temperature: 0.{release} }} }}\n  \
           chat/prompt: {{ value: \"prompt {release}\"{tags} }}\n  \
           chat/key: {{ targets: [aws-eu], secret: true, value_from: {{ env: KEY }} }}\n  \
           same: {{ value: always }}\n{late}{early}"
    )
}

struct Story {
    world: World,
    forms: (&'static str, &'static str),
    /// Whether each command runs on a host that remembers nothing.
    forgetful: bool,
}

impl Story {
    async fn new(forms: (&'static str, &'static str), forgetful: bool) -> Self {
        Self { world: World::new().await, forms, forgetful }
    }

    fn file(&self, entries: &str) {
        let head = self.world.head_served(self.forms.0, self.forms.1);
        self.world.write("repin.yaml", &format!("{head}entries:\n{entries}"));
    }

    async fn run(&self, code: i32, secret: &str, args: &[&str]) -> Value {
        if self.forgetful {
            self.world.lose_state();
        }
        let args = [args, &["-o", "json"]].concat();
        let mut command = self.world.command(&args);
        command.env("KEY", secret);
        let output = command.output().await.expect("the program runs");
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let told = format!("{:?} forgetful: {} {args:?}\n{stdout}\n{stderr}", self.forms, self.forgetful);
        assert_eq!(output.status.code(), Some(code), "{told}");
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {told}"))
    }

    /// Returns what both targets serve for every key, without versions.
    async fn served(&self) -> Vec<(String, Value, Value)> {
        let mut served = Vec::new();
        for key in ["chat/config", "chat/prompt", "chat/key", "same", "late", "early"] {
            let ran = self.world.run(&["get", key, "--reveal", "-o", "json"]).await;
            let targets = if ran.code == 0 { ran.json()["targets"].clone() } else { Value::Null };
            for target in targets.as_array().into_iter().flatten() {
                let place = format!("{key} on {}", target["target"].as_str().expect("a name"));
                served.push((place, target["value"].clone(), target["content_type"].clone()));
            }
        }
        served
    }
}

/// Each release is recognised again by what it serves, in all four ways, with and without what the host remembers.
async fn story(forms: (&'static str, &'static str), forgetful: bool) {
    let story = Story::new(forms, forgetful).await;
    let mut releases = Vec::new();
    for release in 1..=3 {
        story.file(&entries(release));
        let report = story.run(0, &format!("key {release}"), &["reconcile"]).await;
        assert_eq!(report["release"], u64::from(release));
        releases.push(story.served().await);
    }
    assert_ne!(releases[0], releases[2]);

    let report = story.run(0, "key 3", &["rollback", "1", "-m", "refusals up"]).await;
    assert_eq!((report["release"].as_u64(), report["outcome"].as_str()), (Some(4), Some("applied")), "{report}");
    assert_eq!(story.served().await, releases[0], "{forms:?} forgetful: {forgetful}");

    // The daemon does not fight it.
    for _ in 0..2 {
        story.world.reset();
        let report = story.run(6, "key 3", &["reconcile"]).await;
        assert_eq!(report["outcome"], "held", "{report}");
        assert_eq!(story.world.writes(), 0, "{forms:?} forgetful: {forgetful}");
    }
    assert_eq!(story.served().await, releases[0]);
    let status = story.run(0, "key 3", &["status"]).await;
    assert_eq!(status["file"], "held", "{status}");
    let held: Vec<_> =
        status["holds"].as_array().expect("holds").iter().filter_map(|hold| hold["key"].as_str()).collect();
    assert!(held.contains(&"chat/config") && held.contains(&"late") && !held.contains(&"same"), "{held:?}");

    // Twice is once.
    story.world.reset();
    let again = story.run(0, "key 3", &["rollback", "1"]).await;
    assert_eq!((again["outcome"].as_str(), story.world.writes()), (Some("unchanged"), 0), "{again}");

    // An edit of one held entry releases that entry alone.
    story.file(&entries(3).replace("m3", "m4"));
    let edited = story.run(0, "key 3", &["reconcile"]).await;
    // What else is staged for the next snapshot changes for nobody.
    let changed = edited["steps"].as_array().expect("steps").iter().filter(|step| step["reason"] != "renewed");
    let keys: std::collections::BTreeSet<_> = changed.filter_map(|step| step["key"].as_str()).collect();
    assert_eq!(keys, ["chat/config"].into(), "{edited}");
    for (place, value, _) in story.served().await {
        if place.starts_with("chat/config") {
            assert!(value.to_string().contains("m4"), "{place}: {value}");
        } else {
            assert!(releases[0].iter().any(|(then, had, _)| *then == place && *had == value), "{place}: {value}");
        }
    }

    // On again.
    let resumed = story.run(0, "key 3", &["resume", "--all"]).await;
    assert_eq!(resumed["release"], Value::Null);
    story.run(0, "key 3", &["reconcile"]).await;
    let newest = story.served().await;
    for ((place, value, kind), (then, had, typed)) in newest.iter().zip(&releases[2]) {
        assert_eq!((place, kind), (then, typed));
        assert!(value == had || place.starts_with("chat/config"), "{place}: {value} {had}");
    }
    story.world.reset();
    assert_eq!(story.run(0, "key 3", &["reconcile"]).await["outcome"], "unchanged");
    assert_eq!(story.world.writes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn latest_and_key_values() {
    story(FORMS[0], false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn label_and_key_values() {
    story(FORMS[1], false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn latest_and_snapshot() {
    story(FORMS[2], false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn label_and_snapshot() {
    story(FORMS[3], false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_hosts_that_remember_nothing() {
    for forms in FORMS {
        story(forms, true).await;
    }
}

/// Back is back, however often: further each time, and never forward.
#[tokio::test(flavor = "multi_thread")]
async fn steps_go_further_back_and_a_rollback_can_be_rolled_back() {
    for forms in FORMS {
        let story = Story::new(forms, false).await;
        let mut releases = Vec::new();
        for release in 1..=3 {
            story.file(&entries(release));
            story.run(0, &format!("key {release}"), &["reconcile"]).await;
            releases.push(story.served().await);
        }
        story.run(0, "key 3", &["rollback"]).await;
        assert_eq!(story.served().await, releases[1], "{forms:?}");
        story.run(0, "key 3", &["rollback", "--steps", "1"]).await;
        assert_eq!(story.served().await, releases[0], "{forms:?}");
        story.run(64, "key 3", &["rollback"]).await;
        // To a release that was itself a rollback, and to the one that it went back from.
        story.run(0, "key 3", &["rollback", "4"]).await;
        assert_eq!(story.served().await, releases[1], "{forms:?}");
        let report = story.run(0, "key 3", &["rollback", "3"]).await;
        assert_eq!(story.served().await, releases[2], "{forms:?}");
        assert_eq!(report["release"], 7);
        // What the file asks is what is served: nothing is held.
        let status = story.run(0, "key 3", &["status"]).await;
        assert_eq!(status["holds"].as_array().map(Vec::len), Some(0), "{status}");
        assert_eq!(story.run(0, "key 3", &["reconcile"]).await["outcome"], "unchanged", "{forms:?}");
    }
}

/// One key goes back, the others stay.
#[tokio::test(flavor = "multi_thread")]
async fn one_key_alone() {
    for forms in FORMS {
        let story = Story::new(forms, false).await;
        for release in 1..=3 {
            story.file(&entries(release));
            story.run(0, &format!("key {release}"), &["reconcile"]).await;
        }
        let before = story.served().await;
        let report = story.run(0, "key 3", &["rollback", "1", "--key", "chat/pro*"]).await;
        assert_eq!(steps(&report, "azure").len(), 1, "{forms:?} {report}");
        for (place, value, _) in story.served().await {
            if place.starts_with("chat/prompt") {
                assert!(value.to_string().contains("prompt 1"), "{forms:?} {place}: {value}");
            } else {
                assert!(before.iter().any(|(then, had, _)| *then == place && *had == value), "{place}: {value}");
            }
        }
        assert_eq!(story.run(6, "key 3", &["reconcile"]).await["outcome"], "held", "{forms:?}");
    }
}
