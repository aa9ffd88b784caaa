//! What is known beside the stores: who did what to which key, and what may not come back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use base64::Engine as _;
use repin::exit::Exit;

use crate::gate::Sent;
use crate::play::{Checked, Report, ensure, matches};
use crate::readers::{Kept, LABEL, PREFIX, REFERENCE, REGIONS, View};
use crate::stage::{SENTINEL, Stage, key};
use crate::story::{Command, Form, Kind};

/// A target by its place in the story, and a key.
pub(crate) type Spot = (usize, String);

#[derive(Debug, Default)]
pub(crate) struct Book {
    /// What was there before and is nobody's business.
    bystanders: Vec<Vec<Kept>>,
    /// What somebody else touched.
    pub(crate) touched: BTreeSet<Spot>,
    /// What was let go of.
    pub(crate) forgotten: BTreeSet<String>,
    /// Keys that some file dropped, at some time.
    pub(crate) dropped: BTreeSet<String>,
    /// Whether anything went back: by an operator, or since a pass put back what it had served.
    pub(crate) went_back: bool,
    /// Whether a release was made while not every ledger could be read, by an operator or of some targets alone: its
    /// number may be that of another.
    pub(crate) apart: bool,
    /// What readers did not meet at some time since the first command: going back may take it from them again.
    absent: BTreeSet<Spot>,
    /// What readers meet for as long as the file asks for the same: what was rolled back.
    held: BTreeMap<Spot, Option<String>>,
    /// What each host's state was before it ran.
    states: BTreeMap<PathBuf, Vec<u8>>,
}

fn is_bystander(kept: &Kept) -> bool {
    kept.name.split('?').next().is_some_and(|name| name.ends_with("/bystander"))
}

impl Book {
    pub(crate) async fn begin(stage: &Stage) -> Self {
        let mut book = Self::default();
        for target in 0..stage.settings.targets.len() {
            book.bystanders.push(Self::bystanders(stage, target).await);
        }
        book
    }

    async fn bystanders(stage: &Stage, target: usize) -> Vec<Kept> {
        stage.readers.all(target).await.into_iter().filter(is_bystander).collect()
    }

    /// Somebody else was here.
    pub(crate) fn touch(&mut self, target: usize, key: &str) {
        self.touched.insert((target, key.to_owned()));
        self.held.remove(&(target, key.to_owned()));
    }

    /// A file asks for something else.
    pub(crate) fn edited(&mut self, key: &str, dropped: bool) {
        self.held.retain(|(_, held), _| held != key);
        if dropped {
            self.dropped.insert(key.to_owned());
        }
    }

    /// Reads what all hosts remember, to know later what was written last.
    pub(crate) fn remember_state(&mut self, stage: &Stage) {
        self.states = crate::support::all_files(stage.folder()).into_iter().collect();
    }

    /// Cuts off what a host wrote last.
    pub(crate) fn cut(&self, stage: &Stage, host: usize, at: u8) {
        let state = stage.state(host);
        if !state.is_dir() {
            return;
        }
        let mut files: Vec<_> = crate::support::all_files(&state);
        files.sort();
        let is_new = |(path, bytes): &&(PathBuf, Vec<u8>)| self.states.get(path) != Some(bytes);
        let Some((path, bytes)) = files.iter().rfind(is_new).or(files.last()) else { return };
        let length = bytes.len() * usize::from(at) / 256;
        std::fs::write(path, &bytes[..length]).expect("written");
    }

    /// Takes note of what readers met before a command.
    pub(crate) fn note_absent(&mut self, stage: &Stage, before: &[View]) {
        for (target, view) in before.iter().enumerate() {
            let keys = (0..stage.settings.kinds.len()).map(key).filter(|key| !view.contains_key(key));
            self.absent.extend(keys.map(|key| (target, key)));
        }
    }

    /// Guarantee 1: nothing is written but what is owned, where it should be; no delete but what was dropped, or what was
    /// not there at the time that a command goes back to.
    pub(crate) fn check_sent(&self, stage: &Stage, command: &Command, sent: &[Sent]) -> Checked {
        // A release that was not served in full before the file changed is made up for by the next one, and going back
        // from that takes away what it made up for, although no file dropped it.
        let went_back = self.went_back || matches!(command, Command::Release { .. } | Command::Steps { .. });
        let asked: BTreeSet<String> = (0..stage.settings.kinds.len()).map(key).collect();
        for write in sent {
            let Sent { store, operation, about } = write;
            let ours = if store == "azure" {
                self.is_ours_azure(about, &asked)
            } else {
                let ours = about.strip_prefix(&format!("/{PREFIX}/")).is_some_and(|key| asked.contains(key));
                let region = REGIONS.iter().position(|region| region == store);
                region.is_some_and(|n| stage.settings.targets.get(n).is_some_and(|form| form.is_aws()))
                    && (ours || about.starts_with("/repin/chaos/"))
            };
            ensure!(ours, "guarantee 1: {write:?} is not ours to write");
            let is_data = about.contains(PREFIX) && !about.contains("staging");
            if is_data && (operation.starts_with("DELETE") || operation.starts_with("DeleteParameter")) {
                let key = about.rsplit_once(&format!("{PREFIX}/")).map_or("", |(_, key)| key);
                let key = key.split('?').next().unwrap_or_default().replace("%2F", "/");
                let dropped = self.dropped.contains(&key);
                let was_absent = self.was_absent(stage, store, &key);
                ensure!(went_back || dropped, "guarantee 1: {write:?}, and no file dropped {key}");
                ensure!(was_absent || dropped, "guarantee 1: {write:?}, and {key} was never not there");
                ensure!(went_back || stage.settings.prune, "guarantee 1: {write:?}, and nothing is to be pruned");
            }
        }
        Ok(())
    }

    fn was_absent(&self, stage: &Stage, store: &str, key: &str) -> bool {
        let is_there = |n: usize, form: &Form| match form.is_aws() {
            true => REGIONS.get(n).is_some_and(|region| *region == store),
            false => store == "azure",
        };
        let spots = stage.settings.targets.iter().enumerate().filter(|(n, form)| is_there(*n, form));
        spots.map(|(n, _)| (n, key.to_owned())).any(|spot| self.absent.contains(&spot) || self.touched.contains(&spot))
    }

    fn is_ours_azure(&self, about: &str, asked: &BTreeSet<String>) -> bool {
        let (path, query) = about.split_once('?').unwrap_or((about, ""));
        let path = path.replace("%2F", "/").replace("%2f", "/");
        if let Some(key) = path.strip_prefix("/kv/") {
            let label = query.split('&').find_map(|part| part.strip_prefix("label=")).unwrap_or_default();
            let label = label.replace("%7E", "~").replace("%2F", "/");
            let ours =
                key.strip_prefix(&format!("{PREFIX}/")).is_some_and(|key| asked.contains(key) || key == REFERENCE);
            return key.starts_with(".repin/chaos/") || (ours && (label == LABEL || label.starts_with("~staging")));
        }
        path.starts_with("/snapshots/")
    }

    /// Guarantee 11, of what was said.
    pub(crate) fn check_said(&self, said: &str) -> Checked {
        ensure!(!shows_secret(said.as_bytes()), "guarantee 11: a secret is told");
        Ok(())
    }

    /// Guarantee 11, of what is kept: state directories, and ledgers but for the copies that are encrypted there.
    pub(crate) async fn check_kept(&self, stage: &Stage) -> Checked {
        for (path, bytes) in crate::support::all_files(stage.folder()) {
            ensure!(!shows_secret(&bytes), "guarantee 11: {} has a secret", path.display());
        }
        for target in 0..stage.settings.targets.len() {
            for kept in stage.readers.all(target).await {
                let encrypted = kept.rest.contains("SecureString");
                ensure!(encrypted || !shows_secret(kept.text.as_bytes()), "guarantee 11: {} has a secret", kept.name);
                ensure!(!shows_secret(kept.rest.as_bytes()), "guarantee 11: {} tells a secret", kept.name);
            }
        }
        Ok(())
    }

    /// Guarantee 1: what is not ours is as it was, byte for byte.
    pub(crate) async fn check_bystanders(&self, stage: &Stage) -> Checked {
        for (target, before) in self.bystanders.iter().enumerate() {
            let now = Self::bystanders(stage, target).await;
            ensure!(!before.is_empty() && now == *before, "guarantee 1: {before:?} was not ours and is {now:?}");
        }
        Ok(())
    }

    /// Takes note of what a command did.
    pub(crate) fn after(&mut self, stage: &Stage, report: &Report, alone: bool, views: &[View]) {
        let done = report.exit == Some(Exit::Done) && report.outcome.is_some();
        let planned = report.outcome.as_ref().and_then(|outcome| outcome.plan.release.as_ref());
        self.apart |= planned.is_some_and(|release| !release.unreached.is_empty());
        match &report.command {
            Command::Release { glob, .. } | Command::Steps { glob, .. } => {
                let changed = report.exit.is_none() || report.outcome.is_some();
                self.went_back |= changed;
                if changed {
                    self.lift(*glob);
                }
                if done && alone {
                    self.hold(stage, *glob, views);
                }
            }
            Command::Resume { glob } => self.lift(*glob),
            Command::Pin { key: n, .. } | Command::Unpin { key: n } => {
                self.went_back = true;
                self.lift(Some(&key(n % stage.settings.kinds.len())));
            }
            Command::Forget { key: n } => {
                let key = key(n % stage.settings.kinds.len());
                self.lift(Some(&key));
                self.forgotten.insert(key);
            }
            Command::Reconcile { .. } | Command::Hold { .. } => {}
        }
    }

    fn lift(&mut self, glob: Option<&str>) {
        self.held.retain(|(_, key), _| !matches(glob, key));
    }

    /// What a rollback brought back stays until the file asks for something else.
    fn hold(&mut self, stage: &Stage, glob: Option<&str>, views: &[View]) {
        let files: Vec<_> = (0..stage.hosts()).map(|host| stage.file(host)).collect();
        for (n, kind) in stage.settings.kinds.iter().enumerate() {
            // Another host's file may ask for what was never released; and a rollback reads no secret's source.
            let alike = files.iter().all(|file| file.get(&n) == files[0].get(&n));
            if !alike || *kind == Kind::Secret || !matches(glob, &key(n)) || self.forgotten.contains(&key(n)) {
                continue;
            }
            for (target, view) in views.iter().enumerate() {
                let spot = (target, key(n));
                if !self.touched.contains(&spot) {
                    let text = view.get(&spot.1).map(|shown| shown.text.clone());
                    self.held.insert(spot, text);
                }
            }
        }
    }

    /// Guarantee 2.
    pub(crate) fn check_holds(&self, views: &[View]) -> Checked {
        for ((target, key), held) in &self.held {
            let shown = views[*target].get(key).map(|shown| &shown.text);
            ensure!(
                shown == held.as_ref(),
                "guarantee 2: {key} of target {target} was rolled back to {held:?} and is {shown:?}"
            );
        }
        Ok(())
    }
}

/// Tells whether a secret is to be found, in one of the ways in which it may be written.
fn shows_secret(bytes: &[u8]) -> bool {
    let hex: String = SENTINEL.bytes().map(|byte| format!("{byte:02x}")).collect();
    // Whatever its place among other bytes, two of three ways to cut it into threes are the whole of it.
    let base64 = |skip: usize| {
        let cut = &SENTINEL.as_bytes()[skip..];
        base64::engine::general_purpose::STANDARD_NO_PAD.encode(&cut[..cut.len() / 3 * 3])
    };
    let ways = [SENTINEL.to_owned(), hex, base64(0), base64(1), base64(2)];
    ways.iter().any(|way| bytes.windows(way.len()).any(|window| window == way.as_bytes()))
}
