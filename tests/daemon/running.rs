//! A daemon that runs beside a test.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Child;

use crate::support::World;

/// How long anything is waited for; on a busy machine a start alone may take seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// An interval that no test lives to see.
pub(crate) const NEVER: &str = "1h";
/// An interval that is over soon.
pub(crate) const SOON: &str = "300ms";

/// A running daemon. It is killed where a test drops it.
pub(crate) struct Running {
    child: Child,
    log: Arc<Mutex<String>>,
    socket: PathBuf,
}

impl Running {
    /// Starts one and waits until every target has had a good pass.
    pub(crate) async fn start(world: &World, interval: &str) -> Self {
        let daemon = Self::launch(world, &["--interval", interval]);
        daemon.until("ready", async || daemon.ask("/ready").await.starts_with("HTTP/1.0 200")).await;
        daemon
    }

    /// Starts one.
    pub(crate) fn launch(world: &World, args: &[&str]) -> Self {
        Self::launch_with(world, args, &[])
    }

    /// Starts one with more in its environment.
    pub(crate) fn launch_with(world: &World, args: &[&str], environment: &[(&str, PathBuf)]) -> Self {
        let mut command = world.command(&[&["daemon"], args].concat());
        command.envs(environment.iter().cloned());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the daemon starts");
        let log = Arc::new(Mutex::new(String::new()));
        let (stderr, kept) = (child.stderr.take().expect("piped"), Arc::clone(&log));
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let mut log = kept.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { child, log, socket: world.path("state/test/daemon.sock") }
    }

    /// Returns what it has said so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Counts the lines that say something.
    pub(crate) fn said(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    /// Waits until something is so.
    pub(crate) async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let since = Instant::now();
        while !is_so().await {
            assert!(since.elapsed() < PATIENCE, "not so after {PATIENCE:?}: {what}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until it has said something.
    pub(crate) async fn until_said(&self, text: &str) {
        self.until(text, async || self.log().contains(text)).await;
    }

    /// Asks something over the socket, and returns the whole answer; empty where nobody answers.
    pub(crate) async fn ask(&self, path: &str) -> String {
        let Ok(mut stream) = tokio::net::UnixStream::connect(&self.socket).await else { return String::new() };
        let request = format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n");
        let mut answer = String::new();
        let _ = stream.write_all(request.as_bytes()).await;
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    /// Returns the status that it tells.
    pub(crate) async fn status(&self) -> Value {
        let answer = self.ask("/v1/status").await;
        let body = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}\n{}", self.log())).1;
        serde_json::from_str(body).expect("JSON")
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).expect("it runs");
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).expect("a process"), signal).expect("sent");
    }

    /// Kills it, and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("killed");
    }

    /// Stops it with SIGTERM and returns what it ends with.
    pub(crate) async fn stop(self) -> (i32, String) {
        self.signal(rustix::process::Signal::TERM);
        self.ended().await
    }

    /// Waits until it has ended, and returns with what.
    pub(crate) async fn ended(mut self) -> (i32, String) {
        // It may take half a minute to leave a call that hangs.
        let status =
            tokio::time::timeout(PATIENCE * 2, self.child.wait()).await.expect("it stops").expect("waited for");
        (status.code().unwrap_or(-1), self.log())
    }
}

/// Waits as long as several quick intervals.
pub(crate) async fn several_passes() {
    tokio::time::sleep(Duration::from_millis(2000)).await;
}

/// Returns the numbers of all releases, newest first.
pub(crate) async fn releases(world: &World) -> Vec<u64> {
    let history = world.json(0, &["history"]).await;
    history["releases"].as_array().expect("releases").iter().filter_map(|r| r["release"].as_u64()).collect()
}
