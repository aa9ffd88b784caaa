//! A team's file, its hosts and both clouds, in one of the ways in which readers may be served.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use repin_emulator::{Call, Fault, Options};
use serde_json::Value;

use crate::stores::{Contents, Stores};
use crate::support::World;

/// How readers meet the targets: on AWS, on Azure.
pub(crate) type Forms = (&'static str, &'static str);

/// Every way in which readers may be served.
pub(crate) const FORMS: [Forms; 4] = [
    ("latest", "key-values"),
    ("{ label: live }", "key-values"),
    ("latest", "{ snapshot: release }"),
    ("{ label: live }", "{ snapshot: release }"),
];

/// Each way of each cloud once.
pub(crate) const TWO_FORMS: [Forms; 2] = [FORMS[0], FORMS[3]];

/// Plays a story in several ways of serving, all at once: most of its time is spent waiting for disks and stores.
pub(crate) async fn each(forms: &[Forms], story: impl AsyncFn(Scene)) {
    let plays = forms.iter().map(|forms| async { story(Scene::new(*forms).await).await });
    futures::future::join_all(plays).await;
}

/// A team with both clouds.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) stores: Stores,
    pub(crate) forms: Forms,
    /// What the variable `KEY` holds, which the file's secret comes from; `None` where it is not set.
    secret: Mutex<Option<String>>,
    /// Where the host that runs commands keeps its state.
    host: Mutex<String>,
}

impl Scene {
    pub(crate) async fn new(forms: Forms) -> Self {
        // A parameter that was deleted may be made again at once here, instead of after half a minute.
        let options =
            Options { recreate_wait: false, snapshot_provisioning: Duration::from_millis(20), ..Options::default() };
        Self::with(forms, options).await
    }

    pub(crate) async fn with(forms: Forms, options: Options) -> Self {
        let world = World::with(options).await;
        let stores = Stores::of(&world, forms);
        Self { world, stores, forms, secret: Mutex::new(Some("key 1".into())), host: Mutex::new("state".into()) }
    }

    /// Tells whether readers follow a label on AWS.
    pub(crate) fn labelled(&self) -> bool {
        self.forms.0 != "latest"
    }

    /// Tells whether readers follow a snapshot on Azure.
    pub(crate) fn snapshots(&self) -> bool {
        self.forms.1 != "key-values"
    }

    /// Writes the file.
    pub(crate) fn file(&self, entries: &str) {
        self.file_with("", entries);
    }

    /// Writes the file, with more before its entries: a policy, for example.
    pub(crate) fn file_with(&self, more: &str, entries: &str) {
        let head = self.world.head_served(self.forms.0, self.forms.1);
        self.world.write("repin.yaml", &format!("{head}{more}entries:\n{entries}"));
    }

    /// Sets the variable that the file's secret comes from.
    pub(crate) fn secret(&self, value: Option<&str>) {
        *self.secret.lock().expect("not poisoned") = value.map(str::to_owned);
    }

    /// Goes on at another host. One that never ran a command remembers nothing.
    pub(crate) fn at_host(&self, name: &str) {
        *self.host.lock().expect("not poisoned") = name.to_owned();
    }

    /// Returns a command of the program, on the host that is on.
    pub(crate) fn command(&self, args: &[&str]) -> tokio::process::Command {
        let mut command = self.world.command(args);
        if let Some(secret) = &*self.secret.lock().expect("not poisoned") {
            command.env("KEY", secret);
        }
        command.env("REPIN_STATE_DIR", self.world.path(&self.host.lock().expect("not poisoned")));
        command
    }

    /// Runs the program and returns the object that it prints.
    #[track_caller]
    pub(crate) fn run<'a>(&'a self, code: i32, args: &'a [&'a str]) -> impl Future<Output = Value> + 'a {
        let place = std::panic::Location::caller();
        async move {
            let output = self.command(&[args, &["-o", "json"]].concat()).output().await.expect("the program runs");
            let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            let told = format!("{place}: {:?} {args:?}\n{stdout}\n{stderr}", self.forms);
            assert_eq!(output.status.code(), Some(code), "{told}");
            serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {told}"))
        }
    }

    /// Runs what must be refused: with this exit code, saying this, and without a write.
    #[track_caller]
    pub(crate) fn refused<'a>(
        &'a self,
        code: i32,
        args: &'a [&'a str],
        says: &'a str,
    ) -> impl Future<Output = String> + 'a {
        let place = std::panic::Location::caller();
        async move {
            self.world.reset();
            let output = self.command(args).output().await.expect("the program runs");
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            let told =
                format!("{place}: {:?} {args:?}\n{}\n{stderr}", self.forms, String::from_utf8_lossy(&output.stdout));
            assert_eq!(output.status.code(), Some(code), "{told}");
            let folded = stderr.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(folded.contains(says), "{says:?} is not in {told}");
            assert_eq!(self.world.writes(), 0, "{told}");
            folded
        }
    }

    /// Releases these entries and returns what readers then meet.
    #[track_caller]
    pub(crate) fn release<'a>(&'a self, entries: &'a str) -> impl Future<Output = Contents> + 'a {
        let place = std::panic::Location::caller();
        async move {
            self.file(entries);
            let report = self.run(0, &["reconcile"]).await;
            assert_eq!(report["outcome"], "applied", "{place}: {report}");
            self.contents().await
        }
    }

    /// Returns what readers meet.
    pub(crate) async fn contents(&self) -> Contents {
        self.stores.contents().await
    }

    /// Asserts that one more pass finds nothing to do, and writes nothing.
    #[track_caller]
    pub(crate) fn at_rest<'a>(&'a self, code: i32) -> impl Future<Output = Value> + 'a {
        let place = std::panic::Location::caller();
        async move {
            self.world.reset();
            let report = self.run(code, &["reconcile"]).await;
            assert_eq!(self.world.writes(), 0, "{place}: {:?} {report}", self.forms);
            report
        }
    }

    /// Returns the keys that are held, from `status`.
    pub(crate) async fn held(&self) -> BTreeSet<String> {
        let status = self.run(0, &["status"]).await;
        let holds = status["holds"].as_array().expect("holds").clone();
        holds.iter().filter_map(|hold| hold["key"].as_str().map(str::to_owned)).collect()
    }

    /// Makes every request to one cloud fail: `ssm`, or `appconfig`.
    pub(crate) fn down(&self, cloud: &'static str) {
        self.world.faults(move |call| if is_of(call, cloud) { unavailable() } else { Fault::None });
    }

    /// Lets every request through again.
    pub(crate) fn up(&self) {
        self.world.emulator.faults().clear();
    }
}

/// Tells whether a request is to one cloud.
pub(crate) fn is_of(call: &Call, cloud: &str) -> bool {
    call.service == cloud || (cloud == "ssm" && matches!(call.service.as_str(), "kms" | "sts"))
}

/// What a store that is down answers.
pub(crate) fn unavailable() -> Fault {
    Fault::Refuse {
        status: 503,
        code: "ServiceUnavailable".into(),
        message: "down for a test".into(),
        retry_after_ms: Some(10),
    }
}

/// Returns the keys of a report's steps that brought something new; what a snapshot needs again is left out.
pub(crate) fn stepped(report: &Value) -> BTreeSet<String> {
    let steps = report["steps"].as_array().expect("steps").iter().filter(|step| step["reason"] != "renewed");
    steps.filter_map(|step| step["key"].as_str().map(str::to_owned)).collect()
}

/// Makes a set of keys.
pub(crate) fn keys<const N: usize>(keys: [&str; N]) -> BTreeSet<String> {
    keys.map(str::to_owned).into()
}
