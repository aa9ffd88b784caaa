//! `repin iam`: every command is played, and what it asked of the clouds is held against what is granted.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use repin_emulator::Options;

use crate::rights::{Ledger, Right};
use crate::support::{World, hand};

const FILE: &str = "  plain: { value: one, tags: { team: ml } }\n  \
    config: { type: ai-chat, value: { model: m, temperature: 0.2 } }\n  \
    key: { targets: [aws-eu], secret: true, value_from: { env: TEST_SECRET } }\n";

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
        let head = self.world.head_served(self.forms.0, self.forms.1);
        let policy = "policy: { keep_releases: 1 }\n";
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
        self.file(FILE);
        self.anew("plan", 0, &["plan"]).await;
        self.anew("apply", 0, &["reconcile"]).await;
        self.file(
            &format!("{FILE}  new: {{ value: x }}\n").replace("one, tags: { team: ml }", "two, tags: { cost: a }"),
        );
        self.run("apply", 0, &["reconcile"]).await;
        self.look("plan").await;
        self.anew("plan", 0, &["get", "plain", "--reveal"]).await;
        self.operate().await;
        self.tamper("config").await;
        self.anew("plan", 0, &["plan"]).await;
        self.anew("apply", 0, &["reconcile"]).await;
        self.tamper("config").await;
        self.serve().await;
        self.grow_old().await;
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

    /// Lets the daemon put something back.
    async fn serve(&mut self) {
        self.world.reset();
        let mut command = self.world.command(&["daemon", "--interval", "200ms"]);
        let mut daemon = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the daemon starts");
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        while self.world.run(&["plan", "--detailed-exitcode"]).await.code != 0 {
            assert!(tokio::time::Instant::now() < deadline, "{:?}: nothing is put back", self.forms);
        }
        daemon.kill().await.expect("stopped");
        let refused = self.rights.mode("apply").judge(&self.world);
        assert!(refused.is_empty(), "{:?} daemon: {refused:#?}", self.forms);
    }

    /// Releases until old ones are folded away, and drops what only they needed.
    async fn grow_old(&mut self) {
        self.file("  plain: { value: last }\n  big: { targets: [aws-eu], tier: advanced, secret: true, value_from: { env: TEST_SECRET } }\n");
        self.anew("apply", 0, &["reconcile"]).await;
        for n in 0..4 {
            self.file(&format!("  plain: {{ value: at {n} }}\n"));
            self.run("apply", 0, &["reconcile"]).await;
        }
        self.run("rollback", 0, &["forget", "--all", "--purge"]).await;
        self.file("  plain: { value: at 3, adopt: equal }\n");
        self.anew("apply", 0, &["reconcile"]).await;
    }
}

/// Tells whether a right is one that only rare days need, which no short story has.
fn is_rare(right: &Right, mode: &str) -> bool {
    let _ = mode;
    right.1.is_empty()
}

async fn no_more_and_no_less(forms: (&'static str, &'static str)) {
    let mut watch = Watch::new(forms).await;
    watch.play().await;
    for mode in ["plan", "apply", "rollback"] {
        let idle: BTreeSet<Right> =
            watch.rights.mode(mode).unused().into_iter().filter(|right| !is_rare(right, mode)).collect();
        assert!(idle.is_empty(), "{forms:?} {mode}: granted and never needed: {idle:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_granted_is_what_is_called() {
    no_more_and_no_less(("latest", "key-values")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_granted_is_what_is_called_where_readers_follow_pointers() {
    no_more_and_no_less(("{ label: live }", "{ snapshot: release }")).await;
}
