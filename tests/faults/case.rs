//! One fault in one command, and what the command does without it.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use repin_emulator::{Call, Fault, FaultKind};

use crate::command::Command;
use crate::judge::{Judged, Seen, judge};
use crate::stage::{AZURE, Cloud, Forms, Ran, SSM, Scene, World, cloud_of};
use crate::stores::{Contents, Versions};

/// Of so many pairs one is drawn, another one with each seed.
const SAMPLES: u64 = 12;
/// What is waited for the claim of somebody who may still be at work.
const CLAIM: Duration = Duration::from_secs(130);
/// How long a daemon meets the fault.
const DAEMON_MEETS: Duration = Duration::from_secs(5 * 60);
/// How long it takes at most to be done afterwards: it may have been told to wait for hours.
const DAEMON_RECOVERS: Duration = Duration::from_secs(12 * 60 * 60);

/// One fault in one command.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) kind: FaultKind,
    pub(crate) command: Command,
    pub(crate) forms: Forms,
    pub(crate) cloud: Cloud,
    /// Which of the requests that can meet it is the first to do so, from 0.
    pub(crate) first: u64,
    /// Whether all later ones meet it too.
    pub(crate) lasts: bool,
    draw: u64,
}

/// What a command does when nothing fails.
pub(crate) struct Expected {
    pub(crate) ran: Ran,
    /// What readers meet before the command, right after it, and in the end.
    pub(crate) after: Contents,
    pub(crate) end: End,
    /// The end without the command.
    pub(crate) without: End,
    calls: Vec<Call>,
}

/// What there is in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) contents: Contents,
    pub(crate) versions: Versions,
}

impl End {
    /// Returns what of it is on one cloud.
    pub(crate) fn on(&self, cloud: Cloud) -> Self {
        let is_there = |item: &String| item.split(' ').next() == Some(cloud);
        let contents = self.contents.iter().filter(|(item, _)| is_there(item));
        let versions = self.versions.iter().filter(|(item, _)| is_there(item));
        Self {
            contents: contents.map(|(item, held)| (item.clone(), held.clone())).collect(),
            versions: versions.map(|(item, count)| (item.clone(), *count)).collect(),
        }
    }
}

/// Returns every command with every way of serving.
pub(crate) fn pairs() -> Vec<(Command, Forms)> {
    Command::ALL.into_iter().flat_map(|command| Forms::BOTH.map(|forms| (command, forms))).collect()
}

/// Draws the cases.
pub(crate) fn all_cases(seed: u64, draws: Option<u64>, usual: &BTreeMap<(Command, Forms), Expected>) -> Vec<Case> {
    let only = std::env::var("REPIN_FAULT_ONLY").ok();
    let mut cases = Vec::new();
    for kind in FaultKind::ALL {
        for command in Command::ALL {
            for cloud in [SSM, AZURE] {
                let is_sampled = hash((kind, command, cloud, "sample")) % SAMPLES == seed % SAMPLES;
                let is_asked = match &only {
                    Some(only) => *only == format!("{kind}:{}", command.name()),
                    None => draws.is_some() || is_sampled,
                };
                if !is_asked {
                    continue;
                }
                for n in 0..draws.unwrap_or(1) {
                    cases.extend(Case::draw(kind, command, cloud, hash((seed, kind, command, cloud, n)), usual));
                }
            }
        }
    }
    cases
}

fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

impl Case {
    /// Draws which request meets the fault; `None` where none can.
    fn draw(
        kind: FaultKind,
        command: Command,
        cloud: Cloud,
        draw: u64,
        usual: &BTreeMap<(Command, Forms), Expected>,
    ) -> Option<Self> {
        let count = |forms| {
            let calls = usual[&(command, forms)].calls.iter();
            calls.filter(|call| cloud_of(call) == cloud && kind.can_meet(call)).count() as u64
        };
        let mut forms = Forms::BOTH;
        if draw & 1 == 1 {
            forms.reverse();
        }
        let forms = forms.into_iter().find(|forms| count(*forms) > 0)?;
        // A daemon looks at one target while the other one's waits last: it does not always come to the last of them.
        let certain = if command == Command::Daemon { count(forms).div_ceil(2) } else { count(forms) };
        let first = (draw >> 8) % certain;
        Some(Self { kind, command, forms, cloud, first, lasts: draw & 2 == 2, draw })
    }

    pub(crate) async fn play(&self, world: &World, usual: &Expected) -> Judged {
        let scene = world.scene(self.forms);
        scene.stores.put_foreign().await;
        let foreign = scene.stores.foreign().await;
        let words = self.command.prepare(&scene).await;
        let before = scene.stores.contents().await;
        world.emulator.counters().reset();
        let injected = self.unleash(world);
        let ran = match self.command {
            Command::Daemon => daemon(&scene, &usual.end.contents).await,
            _ => run(&scene, &words).await,
        };
        world.emulator.faults().clear();
        let calls = world.emulator.counters().calls();
        let after = scene.stores.contents().await;
        if self.command.is_repeated() && ran.code != usual.ran.code {
            // As it says: where it could not be recorded it is to be run again.
            run(&scene, &words).await;
        }
        self.command.edit_after(&scene);
        let settled = settle(&scene).await;
        let seen = Seen {
            name: scene.name.clone(),
            injected: injected.load(Ordering::SeqCst),
            ran,
            calls,
            before,
            after,
            settled,
            end: End { contents: scene.stores.contents().await, versions: scene.stores.versions().await },
            is_foreign_untouched: foreign == scene.stores.foreign().await,
        };
        judge(self, usual, seen)
    }

    /// Lets requests meet the fault from now on, and counts those that do.
    fn unleash(&self, world: &World) -> Arc<AtomicU64> {
        let (possible, injected) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
        let (case, counted) = (self.clone(), injected.clone());
        world.emulator.faults().set(Arc::new(move |call| {
            if cloud_of(call) != case.cloud || !case.kind.can_meet(call) {
                return Fault::None;
            }
            let n = possible.fetch_add(1, Ordering::SeqCst);
            if n == case.first || (case.lasts && n > case.first) {
                counted.fetch_add(1, Ordering::SeqCst);
                case.kind.fault(call, case.draw >> 4)
            } else {
                Fault::None
            }
        }));
        injected
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, command, forms, cloud, first, lasts, .. } = self;
        let how_long = if *lasts { "and all later ones" } else { "alone" };
        write!(f, "{kind} in {} on {cloud} ({forms:?}), request {first} that can meet it {how_long}", command.name())
    }
}

impl Expected {
    /// Finds out.
    pub(crate) async fn of(world: &World, command: Command, forms: Forms) -> Self {
        let scene = world.scene(forms);
        scene.stores.put_foreign().await;
        let words = command.prepare(&scene).await;
        world.emulator.counters().reset();
        let ran = match command {
            Command::Daemon => {
                scene.with_daemon(async || tokio::time::sleep(DAEMON_MEETS).await).await;
                Ran { code: 0, stdout: String::new(), stderr: String::new() }
            }
            _ => run(&scene, &words).await,
        };
        let calls = world.emulator.counters().calls();
        let after = scene.stores.contents().await;
        command.edit_after(&scene);
        let end = end(&scene).await;
        let without = if command.looks() {
            end.clone()
        } else {
            let scene = world.scene(forms);
            scene.stores.put_foreign().await;
            command.prepare(&scene).await;
            command.edit_after(&scene);
            self::end(&scene).await
        };
        Self { ran: ran.named(&scene.name), after, end, without, calls }
    }
}

async fn run(scene: &Scene<'_>, words: &[String]) -> Ran {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    scene.run(&words).await
}

async fn end(scene: &Scene<'_>) -> End {
    settle(scene).await.expect("nothing fails");
    End { contents: scene.stores.contents().await, versions: scene.stores.versions().await }
}

/// Makes passes until nothing is left to do; says how many, or what the last one said.
async fn settle(scene: &Scene<'_>) -> Result<u32, String> {
    let mut told = String::new();
    for pass in 1..=3 {
        if pass > 1 {
            tokio::time::sleep(CLAIM).await;
        }
        let ran = scene.run(&["reconcile"]).await;
        let left = scene.run(&["plan", "--detailed-exitcode"]).await;
        if [0, 6].contains(&left.code) {
            return Ok(pass);
        }
        told =
            format!("{}\n{}{}\nleft: {}\n{}{}", ran.code, ran.stdout, ran.stderr, left.code, left.stdout, left.stderr);
    }
    Err(told)
}

/// Lets a daemon meet the fault for a while, and then waits until it is done.
async fn daemon(scene: &Scene<'_>, end: &Contents) -> Ran {
    let done = scene
        .with_daemon(async || {
            tokio::time::sleep(DAEMON_MEETS).await;
            scene.world.emulator.faults().clear();
            let began = tokio::time::Instant::now();
            let mut wait = Duration::from_secs(60);
            while began.elapsed() < DAEMON_RECOVERS {
                if scene.stores.contents().await == *end {
                    return true;
                }
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            false
        })
        .await;
    Ran { code: if done { 0 } else { 1 }, stdout: String::new(), stderr: String::new() }
}
