//! What an operator wishes, carried out: going back, pinning, holding, resuming, letting go.
//!
//! None of these needs more of the file than its name and its targets, and none waits for a target that cannot be
//! reached: a rollback is recorded where it can be, and whoever reaches the others finishes it there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use repin_provider::limit::urgently;
use repin_provider::{Error, ErrorKind, Key, Owner, Provider, RequestCounts, TargetName, Version};
use tokio::sync::watch;

use super::broken::Broken;
use super::{ANEW, FIRST_WAIT, Host, LONGEST_WAIT, PassError, blocked, pause, requests, sent};
use crate::execute::{self, Executed, NotExecuted};
use crate::model::desired::Desired;
use crate::model::observed::Observed;
use crate::model::outcome::{Interrupt, Outcome, Progress, StepResult, TargetFailure};
use crate::model::plan::{BlockKind, Plan, TargetPlan};
use crate::model::release::{Ledger, TargetId};
use crate::model::way::{self, Goal};
use crate::observe::{self, ObserveError, Reached};
use crate::plan::orders::{self, Order};
use crate::plan::restore::{self, Wish};
use crate::record::copies;
use crate::record::host::TargetMemory;
use crate::record::ledger::{self, LedgerError};
use crate::timeline::{self, Back, Timeline};

/// What an operator asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// Serve an earlier release again.
    Rollback {
        /// Which one.
        to: Back,
        /// The glob of the keys that it is about; `None` for all.
        keys: Option<String>,
    },
    /// Serve one version of one key.
    Pin {
        /// The key.
        key: Key,
        /// The store's own name for the version, or a time that names one.
        version: String,
    },
    /// Say something in the ledgers.
    Order {
        /// What.
        order: Order,
        /// Whether the copies that the ledger keeps of what is let go of are removed too.
        purge: bool,
    },
}

impl Ask {
    /// Returns who alone may take over what is let go of.
    fn heir(&self) -> Option<&Owner> {
        match self {
            Self::Order { order: Order::Forget { heir, .. }, .. } => heir.as_ref(),
            _ => None,
        }
    }

    /// Tells whether it decides anew about everything that an earlier wish was about.
    fn supersedes(&self) -> bool {
        matches!(self, Self::Rollback { keys: None, .. })
    }
}

/// A pass for an operator.
pub struct WishPass<'a> {
    /// The owner of everything that is written.
    pub owner: &'a Owner,
    /// The providers of the targets in scope that can be asked.
    pub providers: &'a BTreeMap<TargetName, Arc<dyn Provider>>,
    /// The providers of the file's other targets: their ledgers know release numbers, and wishes that are not finished.
    pub others: &'a BTreeMap<TargetName, Arc<dyn Provider>>,
    /// The targets in scope that cannot even be asked, with why in words.
    pub unconnected: &'a BTreeMap<TargetName, TargetId>,
    /// Every target of the file.
    pub configured: &'a BTreeMap<TargetId, TargetName>,
    /// Whether the operator named the targets.
    pub scoped: bool,
    /// What the file asks for, where it can be read as a whole.
    pub desired: Option<&'a Desired>,
    /// The process and its surroundings.
    pub host: &'a Host,
    /// What the operator says about it.
    pub message: Option<&'a str>,
    /// How long to try again what may pass.
    pub timeout: Duration,
    /// Hears what is done.
    pub progress: &'a dyn Progress,
    /// Says when to stop.
    pub interrupt: watch::Receiver<Option<Interrupt>>,
}

/// Why nothing was done.
#[derive(Debug)]
pub enum WishError {
    /// As any pass.
    Pass(PassError),
    /// What is asked for makes no sense, or cannot be had.
    Refused {
        /// What kind of reason it is.
        kind: Refusal,
        /// What is wrong, as a sentence.
        message: String,
        /// What to do about it, as a sentence.
        hint: String,
    },
}

/// Kinds of reasons not to do what an operator asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such release, time, key or hold.
    NotFound,
    /// It belongs to somebody else.
    Foreign,
}

impl From<PassError> for WishError {
    fn from(error: PassError) -> Self {
        Self::Pass(error)
    }
}

pub(crate) fn not_found(message: impl Into<String>, hint: impl Into<String>) -> WishError {
    WishError::Refused { kind: Refusal::NotFound, message: message.into(), hint: hint.into() }
}

/// A plan for an operator, and what could not be reached.
pub struct WishPlan {
    /// The plan.
    pub plan: Plan,
    /// What it was made from.
    pub observed: Observed,
    /// Targets that could not be reached.
    pub unreached: Vec<TargetFailure>,
    memories: BTreeMap<TargetName, TargetMemory>,
}

/// Plans what an operator asks for and writes nothing anywhere.
///
/// # Errors
/// Says why there is no plan. A plan that may not run is returned, with its blocks.
pub async fn plan_only(pass: &WishPass<'_>, ask: &Ask) -> Result<WishPlan, WishError> {
    let look = look(pass).await?;
    plan(pass, ask, look).await
}

/// What the ledgers say.
struct Look {
    observed: Observed,
    memories: BTreeMap<TargetName, TargetMemory>,
    /// Targets that are meant and could not be reached.
    unreached: BTreeMap<TargetId, TargetName>,
    failures: Vec<TargetFailure>,
    /// The ledgers of targets that this is not meant for, and of those that could not be reached as this host last read
    /// them.
    elsewhere: BTreeMap<TargetId, Ledger>,
    /// Whether a wish made before this one is not finished on a target in scope.
    unfinished: bool,
}

async fn look(pass: &WishPass<'_>) -> Result<Look, WishError> {
    let reach = |providers| observe::reach(pass.owner, providers, &pass.host.memory, pass.host.is_gone.as_ref());
    let others = async {
        // Leaving a target out may be why the scope is what it is: it is not waited for.
        tokio::time::timeout(execute::OTHERS_ANSWER, reach(pass.others)).await.map(|reached| reached.seeing.observed)
    };
    let (mut reached, others) = tokio::join!(reach(pass.providers), others);
    let others = others.unwrap_or_default();
    if let Some(settle) = unheard(&reached, &others).keys().filter_map(|name| settle(pass, name)).max() {
        pause(&pass.interrupt, settle).await?;
        reached = reach(pass.providers).await;
        for (name, release) in unheard(&reached, &others) {
            give_up_unheard(pass, &mut reached, name, release);
        }
    }
    let (reached, unreached) = unreached(pass, reached)?;
    let (observed, memories) = (reached.seeing.observed, reached.seeing.memories);
    let mut all = observed.clone();
    all.targets.extend(others.targets);
    let unfinished = way::unfinished_ways(&all).keys().any(|name| observed.targets.contains_key(name));
    let mut known: BTreeMap<TargetId, Ledger> =
        all.targets.into_values().map(|state| (state.id, state.ledger)).collect();
    for id in pass.configured.keys().chain(unreached.keys()) {
        if !known.contains_key(id)
            && let Some(ledger) = ledger::remembered(pass.owner, &pass.host.memory.target(id).ledger)
        {
            known.insert(id.clone(), ledger);
        }
    }
    let seen = |id: &TargetId| observed.targets.values().any(|state| state.id == *id);
    let elsewhere = known.into_iter().filter(|(id, _)| !seen(id)).collect();
    let failures = reached.unreached.into_values().filter_map(as_failure).collect();
    Ok(Look { observed, memories, unreached, failures, elsewhere, unfinished })
}

/// Lists the reached targets whose ledger says less than that of another.
fn unheard(reached: &Reached, others: &Observed) -> BTreeMap<TargetName, u64> {
    let mut all = reached.seeing.observed.clone();
    all.targets.extend(others.targets.clone());
    let mut unheard = observe::unheard(&all);
    unheard.retain(|name, _| reached.seeing.observed.targets.contains_key(name));
    unheard
}

fn settle(pass: &WishPass<'_>, name: &TargetName) -> Option<Duration> {
    pass.providers.get(name).map(|provider| provider.capabilities().settle)
}

/// Takes a target out whose ledger goes on saying less than another's: what it does not say would be left undone, and
/// told as nothing to do.
fn give_up_unheard(pass: &WishPass<'_>, reached: &mut Reached, target: TargetName, release: u64) {
    reached.seeing.observed.targets.remove(&target);
    reached.seeing.memories.remove(&target);
    let message = format!("its ledger lacks release {release}, which the ledger of another target says it has");
    let error = Error::new(ErrorKind::Unreachable, "read the ledger", message)
        .with_hint("What the store answers is old or cut off; run it again, or name the other targets with --target.");
    let endpoint = pass.providers.get(&target).map(|provider| provider.endpoint()).unwrap_or_default();
    let error = ObserveError { target: target.clone(), endpoint, error: LedgerError::Store(error) };
    reached.unreached.insert(target, error);
}

async fn plan(pass: &WishPass<'_>, ask: &Ask, look: Look) -> Result<WishPlan, WishError> {
    let Look { mut observed, memories, mut unreached, mut failures, elsewhere, .. } = look;
    let plan = match ask {
        Ask::Order { order, .. } => {
            let plan = orders::plan(order, pass.message, pass.desired, &observed);
            if let Err(refusal) = refuse_empty_order(order, &plan, &observed, pass.desired) {
                // What is asked for may be known where nobody could look.
                return Err(if failures.is_empty() { refusal } else { PassError::Unfit(failures).into() });
            }
            plan
        }
        Ask::Rollback { .. } | Ask::Pin { .. } => {
            let goal = goal(pass, ask, &observed, &unreached, &elsewhere).await?;
            let number = 1 + highest(&observed, &elsewhere);
            if let Err(errors) = observe::observe_wish(&goal, pass.providers, &mut observed).await {
                failures.extend(give_up(&mut observed, &mut unreached, errors)?);
            }
            let newest = restore::is_newest(&observed, pass.desired);
            let wish = Wish { goal, asks: pass.desired, newest, reason: pass.message, number, unreached };
            restore::plan(&wish, &observed)
        }
    };
    let findings = crate::plan::check(&plan, None, &observed);
    if !findings.is_empty() {
        return Err(PassError::Wrong(findings).into());
    }
    Ok(WishPlan { plan, observed, unreached: failures, memories })
}

/// Takes targets out that stopped answering after their ledger had been read: they keep no other from going back. Where
/// none is left, or one answered that it cannot give what is asked for, nothing is done.
fn give_up(
    observed: &mut Observed,
    unreached: &mut BTreeMap<TargetId, TargetName>,
    errors: Vec<ObserveError>,
) -> Result<Vec<TargetFailure>, PassError> {
    let is_lost = |error: &ObserveError| {
        matches!(&error.error, LedgerError::Store(store)
            if matches!(store.kind, ErrorKind::Unreachable | ErrorKind::Throttled))
    };
    if errors.len() >= observed.targets.len() || !errors.iter().all(is_lost) {
        return Err(PassError::Unobserved(errors));
    }
    for error in &errors {
        if let Some(state) = observed.targets.remove(&error.target) {
            unreached.insert(state.id, error.target.clone());
        }
    }
    Ok(errors.into_iter().filter_map(as_failure).collect())
}

/// Carries out what an operator asks for, before everything else that this process has to send.
///
/// # Errors
/// Says why nothing was done. Whatever was tried is an [`Outcome`].
#[tracing::instrument(level = "debug", name = "pass", skip_all, fields(owner = %pass.owner, kind = "wish"))]
pub async fn carry_out(pass: &WishPass<'_>, ask: &Ask) -> Result<Outcome, WishError> {
    urgently(carry_out_now(pass, ask)).await
}

async fn carry_out_now(pass: &WishPass<'_>, ask: &Ask) -> Result<Outcome, WishError> {
    let before = requests(pass.providers);
    let mut earlier = Earlier::default();
    let error = match attempt(pass, ask, &before, &mut earlier).await {
        Ok(outcome) => return Ok(outcome),
        Err(error) => error,
    };
    let raced = earlier.said.as_ref().map(|said| said.raced.clone());
    let (Some(Finished { plan, mut executed, recorded }), Some(any)) = (earlier.done(), pass.providers.keys().next())
    else {
        return Err(error);
    };
    // An error would say that nothing was done.
    broken(error, raced.as_ref(), any).end(&mut executed);
    Ok(Outcome { recorded, ..outcome(pass, plan, executed, &before) })
}

/// Says why what was begun did not go on.
fn broken(error: WishError, raced: Option<&TargetName>, any: &TargetName) -> Broken {
    match (error, raced) {
        (WishError::Pass(PassError::Raced(_)), Some(raced)) => raced_again(raced),
        (WishError::Pass(PassError::Blocked(plan)), Some(raced)) if blocked(&plan) == Some(BlockKind::Running) => {
            raced_again(raced)
        }
        (WishError::Pass(error), _) => Broken::of(error, any),
        (WishError::Refused { kind, message, hint }, _) => {
            let kind = match kind {
                Refusal::NotFound => ErrorKind::NotFound,
                Refusal::Foreign => ErrorKind::Conflict,
            };
            Broken::one(any, Error::new(kind, "plan", message).with_hint(hint))
        }
    }
}

/// An order was said, but not where other runs were.
fn raced_again(raced: &TargetName) -> Broken {
    let message = "other runs were first each time, or what the store shows of the ledger is old or cut off";
    let error = Error::new(ErrorKind::Unreachable, "claim", message).with_hint("Run it again for this target.");
    Broken::one(raced, error)
}

/// What was done before what is asked for could be done as a whole.
#[derive(Default)]
struct Earlier {
    finished: Option<Finished>,
    said: Option<Said>,
}

impl Earlier {
    /// Returns it together, if it is anything.
    fn done(self) -> Option<Finished> {
        let said = self.said.filter(|said| said.is_over || !said.done.is_empty());
        match (self.finished, said.map(Said::told)) {
            (Some(Finished { executed, mut recorded, .. }), Some(mut said)) => {
                recorded.append(&mut said.recorded);
                Some(Finished { executed: said.executed.after(Some(executed)), recorded, ..said })
            }
            (finished, said) => said.or(finished),
        }
    }
}

/// What was left of an earlier wish, carried out.
struct Finished {
    plan: Plan,
    executed: Executed,
    recorded: BTreeSet<TargetName>,
}

/// Carries out what is asked for, after what was asked for earlier and is not finished.
async fn attempt(
    pass: &WishPass<'_>,
    ask: &Ask,
    before: &BTreeMap<TargetName, RequestCounts>,
    earlier: &mut Earlier,
) -> Result<Outcome, WishError> {
    let mut wait = FIRST_WAIT;
    for attempt in 1.. {
        let look = look(pass).await?;
        if attempt == 1 && look.unfinished && !ask.supersedes() {
            // What somebody wished before comes before it. What cannot be finished stays for a pass to tell.
            earlier.finished = finish(pass).await;
            if earlier.finished.is_some() {
                continue;
            }
        }
        let WishPlan { plan, observed, unreached, mut memories } =
            match (plan(pass, ask, look).await, &mut earlier.said) {
                (Ok(plan), _) => plan,
                (Err(WishError::Refused { .. }), Some(said)) => {
                    // What was said meanwhile is not there to be said again.
                    said.is_said_elsewhere();
                    return Err(PassError::Raced(said.raced.clone()).into());
                }
                (Err(error), _) => return Err(error),
            };
        if let Some(said) = &mut earlier.said {
            said.note(&plan);
        }
        let raced = match blocked(&plan) {
            Some(BlockKind::Running) if attempt < ANEW => None,
            Some(_) => return Err(PassError::Blocked(Box::new(plan)).into()),
            None => match execute(pass, ask.heir(), &plan, &observed).await {
                Ok(mut executed) => {
                    let mut recorded = executed.recorded();
                    remember(pass, &mut memories, &mut executed, &observed);
                    let (plan, mut executed) = insist(pass, plan, executed).await;
                    if let Ask::Order { order, purge: true } = ask {
                        executed.failures.extend(purge(pass, order, &observed).await);
                    }
                    if let Some(mut finished) = earlier.finished.take() {
                        recorded.append(&mut finished.recorded);
                        executed = executed.after(Some(finished.executed));
                    }
                    executed.failures.extend(unreached);
                    return Ok(Outcome { recorded, ..outcome(pass, plan, executed, before) });
                }
                Err(NotExecuted::Raced { target, said }) => Some((target, said)),
            },
        };
        if let Some((target, mut done)) = raced {
            if let Ask::Order { .. } = ask {
                let said = Said { plan, raced: target.clone(), done: BTreeSet::new(), is_over: false };
                earlier.said.get_or_insert(said).done.append(&mut done);
            }
            if attempt >= ANEW {
                return Err(PassError::Raced(target).into());
            }
        }
        pause(&pass.interrupt, wait).await?;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
    unreachable!("the loop ends by returning")
}

/// An order that was said in some ledgers when another run was first in one. It is said there again; should that never
/// come to pass, it was said in some all the same.
struct Said {
    /// What there was to say.
    plan: Plan,
    /// Where another run was first.
    raced: TargetName,
    /// Where it was said.
    done: BTreeSet<TargetName>,
    /// Whether nothing is left to say as far as anybody sees.
    is_over: bool,
}

impl Said {
    /// Takes note of what there is to say later: what is not there any more was said.
    fn note(&mut self, later: &Plan) {
        let says = |plan: &Plan, name: &TargetName| plan.targets.get(name).is_some_and(TargetPlan::records);
        let names = self.plan.targets.keys().filter(|name| says(&self.plan, name) && later.targets.contains_key(*name));
        self.done.extend(names.filter(|name| !says(later, name)).cloned());
    }

    /// Takes note that nothing is left to say as far as anybody sees: it was said but where another run was first.
    fn is_said_elsewhere(&mut self) {
        let says = self.plan.targets.iter().filter(|(name, target)| target.records() && **name != self.raced);
        self.done = says.map(|(name, _)| name.clone()).collect();
        self.is_over = true;
    }

    /// Tells of it as far as it came.
    fn told(self) -> Finished {
        let Self { plan, done, .. } = self;
        let mut executed = execute::untried(&plan);
        for step in &mut executed.steps {
            step.result = if done.contains(&step.target) { StepResult::Unchanged } else { StepResult::Pending };
        }
        Finished { plan, executed, recorded: done }
    }
}

/// Going back goes on where somebody else wrote in between: what the ledger said was served was not, and now it is
/// looked at.
async fn insist(pass: &WishPass<'_>, plan: Plan, executed: Executed) -> (Plan, Executed) {
    let met_others = |executed: &Executed| {
        executed.steps.iter().any(|step| {
            step.result == StepResult::Failed
                && step.error.as_ref().is_some_and(|error| {
                    matches!(error.kind, ErrorKind::Conflict | ErrorKind::AlreadyExists | ErrorKind::NotFound)
                })
        })
    };
    if plan.release.is_none() || !met_others(&executed) || executed.interrupted.is_some() {
        return (plan, executed);
    }
    match finish(pass).await {
        Some(Finished { plan, executed: again, .. }) => {
            let redone: BTreeSet<_> = again.steps.iter().map(|step| (step.target.clone(), step.key.clone())).collect();
            let mut earlier = executed;
            earlier.steps.retain(|step| !redone.contains(&(step.target.clone(), step.key.clone())));
            (plan, again.after(Some(earlier)))
        }
        None => (plan, executed),
    }
}

/// Looks at what an unfinished wish needs, and carries out the rest of it.
async fn finish(pass: &WishPass<'_>) -> Option<Finished> {
    // A target may have to hear of it from the ledger of another.
    let all =
        pass.providers.iter().chain(pass.others).map(|(name, provider)| (name.clone(), provider.clone())).collect();
    let reached = observe::reach(pass.owner, &all, &pass.host.memory, pass.host.is_gone.as_ref()).await;
    let (mut observed, mut memories) = (reached.seeing.observed, reached.seeing.memories);
    observe::observe_unfinished(&all, &mut observed).await.ok()?;
    let mut plan = restore::unfinished(&observed, pass.desired).filter(|plan| plan.blocks.is_empty())?;
    plan.targets.retain(|name, _| pass.providers.contains_key(name));
    let mut executed = execute(pass, None, &plan, &observed).await.ok()?;
    let recorded = executed.recorded();
    remember(pass, &mut memories, &mut executed, &observed);
    Some(Finished { plan, executed, recorded })
}

/// Returns the targets that could not be reached and that this is meant for. Where none could be, nothing can be done;
/// where a ledger cannot be understood, nothing may be.
fn unreached(pass: &WishPass<'_>, reached: Reached) -> Result<(Reached, BTreeMap<TargetId, TargetName>), WishError> {
    let fatal = reached.unreached.values().any(|error| matches!(error.error, LedgerError::Corrupt { .. }));
    if fatal || (reached.seeing.observed.targets.is_empty() && !reached.unreached.is_empty()) {
        return Err(PassError::Unobserved(reached.unreached.into_values().collect()).into());
    }
    let names = reached.unreached.keys();
    let asked = names.filter_map(|name| Some((TargetId::of(pass.providers.get(name)?.place()), name.clone())));
    let unconnected = pass.unconnected.iter().map(|(name, id)| (id.clone(), name.clone()));
    let unreached = asked.chain(unconnected).collect();
    Ok((reached, unreached))
}

fn as_failure(error: ObserveError) -> Option<TargetFailure> {
    match error.error {
        LedgerError::Store(store) => {
            Some(TargetFailure { target: error.target, doing: "reach the target", error: store })
        }
        _ => None,
    }
}

async fn goal(
    pass: &WishPass<'_>,
    ask: &Ask,
    observed: &Observed,
    unreached: &BTreeMap<TargetId, TargetName>,
    elsewhere: &BTreeMap<TargetId, Ledger>,
) -> Result<Goal, WishError> {
    match ask {
        Ask::Rollback { to, keys } => {
            let reached = observed.targets.values().map(|state| &state.ledger);
            let timeline = Timeline::new(reached, elsewhere.values());
            let release =
                timeline.resolve(to, keys.as_deref()).map_err(|refusal| not_found(refusal.message, refusal.hint))?;
            refuse_targets(pass, observed, &timeline, release, unreached)?;
            let goal = Goal::Release { release, keys: keys.clone() };
            let matcher = goal.matcher();
            let is_about = |key: &Key| matcher.as_ref().is_none_or(|matcher| matcher.is_match(key.as_str()));
            if let Some(glob) = keys
                && !observed.targets.values().any(|state| state.ledger.known_keys().iter().any(is_about))
            {
                return Err(not_found(
                    format!("{glob:?} matches no key that repin has served"),
                    "repin history lists the releases, and repin show RELEASE their keys.",
                ));
            }
            Ok(goal)
        }
        Ask::Pin { key, version } => pin_goal(pass, key, version, observed).await,
        Ask::Order { .. } => Err(not_found("there is nothing to go back to", "")),
    }
}

async fn pin_goal(pass: &WishPass<'_>, key: &Key, version: &str, observed: &Observed) -> Result<Goal, WishError> {
    let [(name, state)] = observed.targets.iter().collect::<Vec<_>>()[..] else {
        return Err(not_found("a pin is of one target", "Name it with --target."));
    };
    let ours = state.ledger.pins.contains_key(key) || state.ledger.withdrawn.contains_key(key);
    if !ours {
        let native = pass.providers.get(name).map_or_else(|| key.to_string(), |provider| provider.native_name(key));
        return Err(WishError::Refused {
            kind: Refusal::Foreign,
            message: format!("{native} is not ours on {name}: {} does not own it", pass.owner),
            hint: "Only what this file's name owns can be pinned; repin status lists the targets.".to_owned(),
        });
    }
    let no_such = || {
        not_found(
            format!("{name} tells of no version {version} of {key}"),
            format!("repin history {key} lists the versions that there are."),
        )
    };
    let known = way::known_version(&state.ledger, key, version);
    let resolved = match (version.parse::<Timestamp>(), known) {
        (_, Some(known)) => Some(known),
        (Ok(time), None) => observe::version_at(pass.providers.get(name), key, time)
            .await
            .map_err(|error| PassError::Unobserved(vec![ObserveError::of(name, error)]))?,
        (Err(_), None) => Some(Version::new(version, None)),
    };
    Ok(Goal::Version { key: key.clone(), version: resolved.ok_or_else(no_such)? })
}

/// Refuses to go back past the beginning of a target, or over one that the file lost, unless the operator says which
/// targets are meant.
fn refuse_targets(
    pass: &WishPass<'_>,
    observed: &Observed,
    timeline: &Timeline,
    release: u64,
    unreached: &BTreeMap<TargetId, TargetName>,
) -> Result<(), WishError> {
    if pass.scoped {
        return Ok(());
    }
    let had = |ledger: &Ledger| timeline::first_release(ledger).is_none_or(|first| first <= release);
    let (with, without): (Vec<_>, Vec<_>) = observed.targets.iter().partition(|(_, state)| had(&state.ledger));
    if let Some((missing, _)) = without.first() {
        let rest: Vec<String> = with.iter().map(|(name, _)| name.to_string()).collect();
        return Err(not_found(
            format!("release {release} did not have {missing}: going back to it would empty that target"),
            format!("Say which targets are meant: --target {}.", rest.join(" --target ")),
        ));
    }
    let lost = timeline.targets_since(release).into_iter().find(|(id, _)| !pass.configured.contains_key(id));
    if let Some((_, lost)) = lost {
        let rest: Vec<String> = observed.targets.keys().chain(unreached.values()).map(TargetName::to_string).collect();
        return Err(not_found(
            format!("target {lost} took part in these releases, and the file has it no more (or elsewhere)"),
            format!("Say which targets are meant: --target {}.", rest.join(" --target ")),
        ));
    }
    Ok(())
}

/// Lists the keys that an operator may mean.
fn known<'a>(observed: &'a Observed, asks: Option<&'a Desired>) -> impl Iterator<Item = &'a Key> {
    let ledgers = observed.targets.values().map(|state| &state.ledger);
    let ours = ledgers.flat_map(|ledger| ledger.pins.keys().chain(ledger.holds.keys()));
    let asked = asks.into_iter().flat_map(|desired| desired.targets.values()).flat_map(|t| t.entries.keys());
    ours.chain(asked)
}

fn refuse_empty_order(
    order: &Order,
    plan: &Plan,
    observed: &Observed,
    asks: Option<&Desired>,
) -> Result<(), WishError> {
    if !plan.targets.values().all(|target| !target.records()) || !plan.blocks.is_empty() {
        return Ok(());
    }
    let holds = observed.targets.values().flat_map(|state| state.ledger.holds.iter());
    let list = |test: fn(&crate::model::hold::Hold) -> bool| {
        let keys: BTreeSet<&Key> = holds.clone().filter(|(_, hold)| test(hold)).map(|(key, _)| key).collect();
        keys.into_iter().map(Key::as_str).collect::<Vec<_>>().join(", ")
    };
    match order {
        Order::Resume { glob: Some(glob) } => {
            let held = list(|hold| hold.by_hand || !hold.contents.is_empty());
            let hint = if held.is_empty() { "Nothing is held.".to_owned() } else { format!("Held are: {held}.") };
            Err(not_found(format!("no hold matches {glob:?}"), hint))
        }
        Order::Unpin { key } => {
            let pinned = list(|hold| hold.pinned);
            let hint = if pinned.is_empty() {
                "Nothing is pinned by hand.".to_owned()
            } else {
                format!("Pinned by hand are: {pinned}.")
            };
            Err(not_found(format!("{key} is not pinned by hand"), hint))
        }
        Order::Forget { glob: Some(glob), .. } => {
            Err(not_found(format!("{glob:?} matches no key that repin owns"), "repin status tells what there is."))
        }
        Order::Hold { glob } if !known(observed, asks).any(|key| order.matches(key)) => Err(not_found(
            format!("{glob:?} matches no key that repin owns or the file has"),
            "repin plan lists the keys.",
        )),
        _ => Ok(()),
    }
}

/// Returns the highest release number that anybody is known to know.
fn highest(observed: &Observed, elsewhere: &BTreeMap<TargetId, Ledger>) -> u64 {
    let reached = observed.targets.values().map(|state| &state.ledger);
    reached.chain(elsewhere.values()).map(Ledger::highest_release).max().unwrap_or(0)
}

async fn execute(
    pass: &WishPass<'_>,
    heir: Option<&Owner>,
    plan: &Plan,
    observed: &Observed,
) -> Result<Executed, NotExecuted> {
    let context = execute::Context {
        providers: pass.providers,
        others: pass.others,
        memory: &pass.host.memory,
        owner: pass.owner,
        actor: &pass.host.actor,
        message: pass.message,
        heir,
        runner: &pass.host.runner,
        now: (pass.host.now)(),
        nonce: (pass.host.nonce)(),
        timeout: pass.timeout,
        atomic: false,
        progress: pass.progress,
        interrupt: pass.interrupt.clone(),
    };
    execute::execute(&context, plan, observed).await
}

async fn purge(pass: &WishPass<'_>, order: &Order, observed: &Observed) -> Vec<TargetFailure> {
    let mut failures = Vec::new();
    for (name, state) in &observed.targets {
        let Some(provider) = pass.providers.get(name) else { continue };
        let names = orders::copies_of(order, &state.ledger);
        if let Err(error) = copies::remove(provider.as_ref(), &names).await {
            failures.push(TargetFailure { target: name.clone(), doing: "remove the copies in the ledger", error });
        }
    }
    failures
}

fn remember(
    pass: &WishPass<'_>,
    memories: &mut BTreeMap<TargetName, TargetMemory>,
    executed: &mut Executed,
    observed: &Observed,
) {
    for (name, documents) in std::mem::take(&mut executed.documents) {
        memories.entry(name).or_default().ledger.learn(documents);
    }
    for step in executed.steps.iter().filter(|step| step.result == StepResult::Applied) {
        if let Some(memory) = memories.get_mut(&step.target) {
            memory.secrets.remove(&step.key);
        }
    }
    for (name, memory) in memories {
        if let Some(state) = observed.targets.get(name) {
            pass.host.memory.remember_target(&state.id, memory);
        }
    }
}

fn outcome(
    pass: &WishPass<'_>,
    plan: Plan,
    executed: Executed,
    before: &BTreeMap<TargetName, RequestCounts>,
) -> Outcome {
    Outcome {
        release: plan.release.as_ref().map(|release| release.number),
        steps: executed.steps,
        failures: executed.failures,
        requests: sent(pass.providers, before),
        interrupted: executed.interrupted,
        ..Outcome::untried(plan)
    }
}
