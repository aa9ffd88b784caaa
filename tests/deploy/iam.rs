//! `repin iam`: every command is played, and what it asked of the clouds is held against what is granted.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use repin_emulator::Options;

use crate::rights::{Ledger, Right};
use crate::support::{World, hand};

const FILE: &str = "  plain: { value: one, tags: { team: ml } }\n  \
    config: { type: ai-chat, value: { model: m, temperature: 0.2 } }\n";
const SECRETS: &str = "  key: { targets: [aws-eu], secret: true, value_from: { file: secret } }\n  \
    big: { targets: [aws-eu], tier: advanced, secret: true, value_from: { file: secret } }\n";

/// A team whose rights are watched.
struct Watch {
    world: World,
    rights: Ledger,
    forms: (&'static str, &'static str),
}

impl Watch {
    async fn new(forms: (&'static str, &'static str)) -> Self {
        let options =
            Options { recreate_wait: false, snapshot_provisioning: Duration::from_millis(20), ..Options::default() };
        let world = World::with(options).await;
        world.write("repin.yaml", &world.head_served(forms.0, forms.1));
        let rights = Ledger::of(&world).await;
        Self { world, rights, forms }
    }

    fn file(&self, entries: &str) {
        self.file_with("", entries);
    }

    fn file_with(&self, policy: &str, entries: &str) {
        let head = self.world.head_served(self.forms.0, self.forms.1);
        self.world.write("repin.yaml", &format!("{head}{policy}entries:\n{entries}"));
    }

    /// Runs a command that must need no more than a mode grants.
    async fn run(&mut self, mode: &str, code: i32, args: &[&str]) {
        self.world.reset();
        let ran = self.world.run(args).await.expect(code);
        let refused = self.rights.mode(mode).judge(&self.world);
        assert!(refused.is_empty(), "{:?} {mode} {args:?}: {refused:#?}\n{}", self.forms, ran.stderr);
    }

    /// The same on a host that remembers nothing: it reads what others need not.
    async fn anew(&mut self, mode: &str, code: i32, args: &[&str]) {
        self.world.lose_state();
        self.run(mode, code, args).await;
    }

    /// Has the doctor try each right of a mode, or say that it does not. What only a doctor needs counts as unused.
    async fn examine(&mut self, mode: &str) {
        let used = self.rights.mode(mode).used();
        self.run(mode, 0, &["doctor", "--mode", mode]).await;
        self.rights.mode(mode).unuse(used);
        let report = self.world.json(0, &["doctor", "--mode", mode]).await;
        let checks = report["checks"].as_array().expect("checks");
        let rights = checks.iter().flat_map(|check| check["rights"].as_array().expect("rights"));
        let named: BTreeSet<_> = rights.map(|right| right.as_str().expect("text").to_owned()).collect();
        let granted: BTreeSet<_> = self.rights.mode(mode).granted().into_iter().map(|(_, action)| action).collect();
        assert_eq!(named, granted, "{:?} {mode}", self.forms);
    }

    /// Edits something behind the program's back.
    async fn tamper(&self, key: &str) {
        for store in hand(&self.world).await {
            store.overwrite(key, "tampered").await;
        }
    }

    /// Looks at everything there is.
    async fn look(&mut self, mode: &str) {
        for args in [
            &["plan"][..],
            &["reconcile", "--dry-run"],
            &["status"],
            &["history"],
            &["history", "plain"],
            &["show", "2"],
            &["diff", "1", "2"],
            &["diff", "1"],
            &["get", "plain"],
            &["rollback", "--dry-run"],
        ] {
            self.anew(mode, 0, args).await;
        }
    }

    /// Releases, edits, prunes, goes back and is left alone, as long as it takes for each right to be needed.
    async fn play(&mut self) {
        self.world.write("secret", "first");
        self.file(&format!("{FILE}{SECRETS}"));
        self.anew("plan", 0, &["plan"]).await;
        self.anew("apply", 0, &["reconcile"]).await;
        for mode in ["plan", "apply", "rollback"] {
            self.examine(mode).await;
        }
        self.world.write("secret", "second");
        let edited = FILE.replace("one, tags: { team: ml }", "two, tags: { cost: a }");
        self.file(&format!("{edited}{SECRETS}  new: {{ value: x }}\n"));
        self.run("apply", 0, &["reconcile"]).await;
        self.look("plan").await;
        self.anew("plan", 0, &["get", "key", "--reveal"]).await;
        self.anew("plan", 0, &["plan"]).await;
        self.run("plan", 0, &["plan"]).await;
        self.operate().await;
        self.tamper("config").await;
        self.anew("plan", 0, &["plan"]).await;
        self.anew("apply", 0, &["reconcile"]).await;
        self.pin_to_a_time().await;
        self.grow_old().await;
        if self.forms.0 == "latest" {
            self.serve().await;
        }
    }

    /// Does what operators do.
    async fn operate(&mut self) {
        self.anew("rollback", 0, &["rollback", "-m", "worse"]).await;
        self.look_as_operator().await;
        self.run("rollback", 0, &["resume", "--all"]).await;
        self.run("apply", 0, &["reconcile"]).await;
        self.anew("rollback", 0, &["hold", "config", "-m", "launch"]).await;
        self.run("rollback", 0, &["resume", "config"]).await;
        self.anew("rollback", 0, &["rollback", "1"]).await;
        self.anew("rollback", 0, &["rollback", "2"]).await;
        self.anew("rollback", 0, &["rollback", "1", "--key", "plain"]).await;
        let history = self.world.json(0, &["history", "config"]).await;
        for target in self.pinnable() {
            let versions = history["versions"].as_array().expect("versions");
            let version = versions.iter().rfind(|version| version["target"] == target).expect("one")["version"].clone();
            let version = version.as_str().expect("text");
            self.anew("rollback", 0, &["pin", "config", "--target", target, "--version", version]).await;
            self.run("rollback", 0, &["unpin", "config", "--target", target]).await;
        }
        self.run("rollback", 0, &["resume", "--all"]).await;
        self.run("apply", 0, &["reconcile"]).await;
    }

    fn pinnable(&self) -> Vec<&'static str> {
        vec!["aws-eu", "azure"]
    }

    async fn look_as_operator(&mut self) {
        for args in [&["status"][..], &["history"], &["history", "plain"], &["show", "2"], &["diff", "1"]] {
            self.anew("rollback", 0, args).await;
        }
    }

    /// Pins an entry to a time, which is looked up among its past versions.
    async fn pin_to_a_time(&mut self) {
        let now = jiff::Timestamp::now().to_string();
        self.anew("rollback", 0, &["pin", "plain", "--target", "aws-eu", "--version", &now]).await;
        self.run("rollback", 0, &["unpin", "plain", "--target", "aws-eu"]).await;
        self.run("apply", 0, &["reconcile"]).await;
    }

    /// Lets the daemon put something back, again and again, until it asks who keeps changing it.
    async fn serve(&mut self) {
        self.world.reset();
        let mut command = self.world.command(&["daemon", "--interval", "200ms"]);
        let mut daemon = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the daemon starts");
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        while self.world.count("ssm", "GetParameterHistory") == 0 {
            assert!(tokio::time::Instant::now() < deadline, "{:?}: nobody asks who changes it", self.forms);
            if self.world.served("aws-eu", "config").await["value"] != "tampered" {
                // Not on Azure: there an edit between the daemon's look and its write would be refused, ours too.
                hand(&self.world).await[0].overwrite("config", "tampered").await;
            }
        }
        daemon.kill().await.expect("stopped");
        // What the other hand and the looks needed is part of it, and no more than that.
        let refused = self.rights.mode("apply").judge(&self.world);
        assert!(refused.is_empty(), "{:?} daemon: {refused:#?}", self.forms);
        self.run("apply", 0, &["reconcile"]).await;
    }

    /// Drops entries, gives them up and meets them again; then releases until old releases are folded away.
    async fn grow_old(&mut self) {
        self.file(FILE);
        self.anew("apply", 0, &["reconcile"]).await;
        self.anew("rollback", 0, &["rollback"]).await;
        self.run("rollback", 0, &["resume", "--all"]).await;
        self.run("apply", 0, &["reconcile"]).await;
        self.run("rollback", 0, &["forget", "--all", "--purge"]).await;
        self.file(&FILE.replace("tags", "adopt: always, tags").replace("type:", "adopt: always, type:"));
        self.anew("plan", 0, &["plan"]).await;
        self.anew("apply", 0, &["reconcile"]).await;
        for n in 0..4 {
            let config = FILE.lines().nth(1).expect("a second line");
            self.file_with("policy: { keep_releases: 1 }\n", &format!("  plain: {{ value: at {n} }}\n{config}\n"));
            self.run("apply", 0, &["reconcile"]).await;
        }
    }
}

/// What no short story needs: to ask for the account's quota before many writes to a store that has one, to recover a
/// snapshot that somebody archived by hand and that a rollback leads readers to, and what the doctor alone asks.
const RARE: [(&str, &str); 7] = [
    ("plan", "kms:GetKeyRotationStatus"),
    ("apply", "kms:GetKeyRotationStatus"),
    ("rollback", "kms:GetKeyRotationStatus"),
    ("plan", "ssm:GetServiceSetting"),
    ("apply", "ssm:GetServiceSetting"),
    ("rollback", "ssm:GetServiceSetting"),
    ("rollback", "Microsoft.AppConfiguration/configurationStores/snapshots/archive/action"),
];

/// Every command in two ways of serving: with what the file grants it works, and with less it would not.
#[tokio::test(flavor = "multi_thread")]
async fn slow_what_is_granted_is_what_is_called() {
    let forms = [("latest", "key-values"), ("{ label: live }", "{ snapshot: release }")];
    let mut watches = futures::future::join_all(forms.map(async |forms| {
        let mut watch = Watch::new(forms).await;
        watch.play().await;
        watch
    }))
    .await;
    for mode in ["plan", "apply", "rollback"] {
        let used: BTreeSet<Right> = watches.iter_mut().flat_map(|watch| watch.rights.mode(mode).used()).collect();
        let granted: BTreeSet<Right> = watches.iter_mut().flat_map(|watch| watch.rights.mode(mode).granted()).collect();
        let idle: Vec<_> = granted.difference(&used).filter(|(_, action)| !RARE.contains(&(mode, action))).collect();
        assert!(idle.is_empty(), "{mode}: granted and never needed: {idle:?}");
    }
}
