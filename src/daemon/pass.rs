//! One pass of the daemon: over one target, which puts back what the ledger says; or over all, which also releases.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use repin_provider::{Error, ErrorKind, Key, Owner, Provider, Revision, TargetName, Version};
use tokio::sync::watch;

use super::board::Board;
use crate::cycle::{self, Host, Pass, PassError, Providers};
use crate::model::desired::{Desired, TargetConfig};
use crate::model::outcome::{Interrupt, Outcome};
use crate::model::plan::{EntrySet, Limits};

/// Builds providers.
#[async_trait]
pub trait Connect: Send + Sync {
    /// Builds the provider of a target from credentials as they are now; sends nothing to its store.
    ///
    /// # Errors
    /// Says which credential or setting is missing.
    async fn connect(&self, owner: &Owner, config: &TargetConfig) -> Result<Arc<dyn Provider>, Error>;
}

/// What every pass depends on, as it is when the pass begins.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) desired: Arc<Desired>,
    pub(super) host: Arc<Host>,
    pub(super) connect: Arc<dyn Connect>,
    pub(super) spared: EntrySet,
    pub(super) stalled: EntrySet,
    /// Counts what is sent.
    pub(super) board: Arc<Board>,
    /// Whether nothing is written anywhere.
    pub(super) dry_run: bool,
    pub(super) interrupt: watch::Receiver<Option<Interrupt>>,
}

/// What a pass was about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Of {
    /// One target, without releasing anything.
    Target(TargetName),
    /// All of them.
    All,
}

/// Why there is no outcome.
#[derive(Debug)]
pub(super) enum Failed {
    /// These targets cannot even be asked.
    Unconnected(BTreeMap<TargetName, Error>),
    /// As any pass.
    Pass(PassError),
}

/// A pass that ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) of: Of,
    /// The desired state that it was about.
    pub(super) desired: Arc<Desired>,
    /// What it spoke through, to be used again.
    pub(super) providers: Providers,
    pub(super) result: Result<Outcome, Failed>,
    pub(super) took: Duration,
}

/// Runs a pass over the targets in scope, of which those without a provider are connected first. Of `others`, only the
/// ledgers count; one that cannot be had is left out.
pub(super) async fn run(
    scene: Scene,
    of: Of,
    mut providers: Providers,
    scope: BTreeSet<TargetName>,
    others: BTreeSet<TargetName>,
) -> Ended {
    let began = tokio::time::Instant::now();
    let missing = scope.into_iter().filter(|name| !providers.contains_key(name)).collect();
    let unconnected = connect(&scene, &mut providers, missing).await;
    let mut elsewhere = Providers::new();
    connect(&scene, &mut elsewhere, others).await;
    let result = if unconnected.is_empty() {
        run_connected(&scene, &of, &providers, &elsewhere).await.map_err(Failed::Pass)
    } else {
        Err(Failed::Unconnected(unconnected))
    };
    Ended { of, desired: scene.desired, providers, result, took: began.elapsed() }
}

async fn connect(
    scene: &Scene,
    providers: &mut Providers,
    missing: BTreeSet<TargetName>,
) -> BTreeMap<TargetName, Error> {
    let Scene { desired, connect, .. } = scene;
    let connects = missing.into_iter().filter_map(|name| {
        let config = &desired.targets.get(&name)?.config;
        Some(async move { (name, connect.connect(&desired.name, config).await) })
    });
    let mut unconnected = BTreeMap::new();
    for (name, connected) in join_all(connects).await {
        match connected {
            Ok(provider) => {
                scene.board.watch_provider(&name, &provider);
                providers.insert(name, provider);
            }
            Err(error) => drop(unconnected.insert(name, error)),
        }
    }
    unconnected
}

async fn run_connected(
    scene: &Scene,
    of: &Of,
    providers: &Providers,
    others: &Providers,
) -> Result<Outcome, PassError> {
    let pass = Pass {
        limits: Limits { repair_only: *of != Of::All, spared: Some(&scene.spared), stalled: Some(&scene.stalled) },
        ..Pass::new(&scene.desired, (providers, others), &scene.host, scene.interrupt.clone())
    };
    if !scene.dry_run {
        return cycle::reconcile(&pass).await;
    }
    let (plan, _) = cycle::plan_only(&pass).await?;
    if !plan.blocks.is_empty() {
        return Err(PassError::Blocked(Box::new(plan)));
    }
    Ok(Outcome::untried(plan))
}

/// Finds out who wrote a version, where the store says so.
pub(super) async fn who(provider: Arc<dyn Provider>, key: Key, version: Option<Version>) -> Option<Revision> {
    let version = version?;
    let history = provider.history(&key).await.ok()?;
    history.into_iter().find(|revision| revision.version.id == version.id)
}

/// Tells whether a failure means that the target cannot be had for now, rather than that it refuses something.
pub(super) fn is_away(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unreachable | ErrorKind::Throttled | ErrorKind::Denied | ErrorKind::WrongAccount)
}
