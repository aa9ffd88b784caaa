//! One pass: observe, plan, check, execute, record, remember.

mod broken;
mod fold;
pub mod wish;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use repin_provider::limit::urgently;
use repin_provider::{ErrorKind, Provider, RequestCounts, TargetName, Value};
use tokio::sync::watch;

use self::broken::Broken;
use crate::execute::{self, Executed, NotExecuted};
use crate::model::desired::Desired;
use crate::model::observed::{FileStanding, Observed};
use crate::model::outcome::{Interrupt, Outcome, Progress, StepOutcome, StepResult, TargetFailure};
use crate::model::plan::{BlockKind, Limits, Plan};
use crate::model::release::{Cause, Header, Ledger, Runner, State, TargetId};
use crate::observe::{self, ObserveError, Seeing};
use crate::plan::{self, Finding};
use crate::record::host::{HostMemory, KnownSecret, TargetMemory};
use crate::record::ledger;
use crate::saved::{SavedPlan, Stale};

/// How often a pass goes on with what is left when something had to be done first.
const ROUNDS: u32 = 4;
/// How often a pass begins anew because another run was first, and the waits between.
const ANEW: u32 = 8;
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// The running process and its surroundings, injected so that tests decide them.
pub struct Host {
    /// What this host remembers.
    pub memory: HostMemory,
    /// This process.
    pub runner: Runner,
    /// Tells whether a process is known to be gone.
    pub is_gone: Box<dyn Fn(&Runner) -> bool + Send + Sync>,
    /// Who asks: `user@host`.
    pub actor: String,
    /// This host's clock.
    pub now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    /// Makes a name that nothing else has.
    pub nonce: Box<dyn Fn() -> String + Send + Sync>,
}

/// The providers of some targets.
pub type Providers = BTreeMap<TargetName, Arc<dyn Provider>>;

/// One pass.
pub struct Pass<'a> {
    /// What the file asks for.
    pub desired: &'a Desired,
    /// The providers of the targets in scope.
    pub providers: &'a Providers,
    /// The providers of the file's other targets: their ledgers know release numbers too.
    pub others: &'a Providers,
    /// The process and its surroundings.
    pub host: &'a Host,
    /// What the operator says about it.
    pub message: Option<&'a str>,
    /// Whether an older file may be released again.
    pub allow_older: bool,
    /// How long to try again what may pass.
    pub timeout: Duration,
    /// Whether what is served already is put back where the rest cannot be served.
    pub atomic: bool,
    /// What is left alone although it could be done.
    pub limits: Limits<'a>,
    /// The plan that was agreed on: any other is not carried out.
    pub saved: Option<&'a SavedPlan>,
    /// Hears what is done.
    pub progress: &'a dyn Progress,
    /// Says when to stop.
    pub interrupt: watch::Receiver<Option<Interrupt>>,
}

/// How long a pass tries again what may pass, unless somebody says otherwise; what is left then is recorded, and a later
/// pass goes on.
const TIMEOUT: Duration = Duration::from_secs(120);

impl<'a> Pass<'a> {
    /// Describes a pass over targets that releases what the file asks for, and leaves out what only few want. The second
    /// of the pair are the providers of the file's other targets.
    pub fn new(
        desired: &'a Desired,
        (providers, others): (&'a Providers, &'a Providers),
        host: &'a Host,
        interrupt: watch::Receiver<Option<Interrupt>>,
    ) -> Self {
        Self {
            desired,
            providers,
            others,
            host,
            message: None,
            allow_older: false,
            timeout: TIMEOUT,
            atomic: false,
            limits: Limits::default(),
            saved: None,
            progress: &(),
            interrupt,
        }
    }
}

impl Pass<'_> {
    /// Names it in logs.
    fn kind(&self) -> &'static str {
        if self.limits.repair_only { "repair" } else { "release" }
    }
}

/// Why a pass did nothing.
#[derive(Debug)]
pub enum PassError {
    /// Targets that could not be observed.
    Unobserved(Vec<ObserveError>),
    /// A plan that may not run.
    Blocked(Box<Plan>),
    /// A plan that is wrong.
    Wrong(Vec<Finding>),
    /// Targets that could not be written to as they are: another account, a key that cannot be used.
    Unfit(Vec<TargetFailure>),
    /// What there is to do is not what the saved plan says.
    Stale(Stale),
    /// Other runs were first, again and again.
    Raced(TargetName),
    /// A signal came before anything was done.
    Interrupted(Interrupt),
}

/// Plans a pass and writes nothing anywhere. Returns the plan and what it was made from.
///
/// # Errors
/// Says why there is no plan. A plan that may not run is returned, with its blocks.
#[tracing::instrument(level = "debug", name = "pass", skip_all, fields(owner = %pass.desired.name, kind = "plan"))]
pub async fn plan_only(pass: &Pass<'_>) -> Result<(Plan, Observed), PassError> {
    let elsewhere = elsewhere(pass).await;
    let Seeing { mut observed, mut memories } = look(pass, true, &elsewhere).await?;
    let mut plan = make_plan(pass, &observed, elsewhere.highest)?;
    if blocked(&plan) == Some(BlockKind::Foreign) {
        Seeing { observed, memories } = look(pass, true, &elsewhere).await?;
        plan = make_plan(pass, &observed, elsewhere.highest)?;
    }
    remember(pass, memories, &[], &plan);
    if plan.blocks.is_empty() {
        refuse_stale(pass, &plan, &observed)?;
        // What would stop the pass for certain is said now. A right that only planning lacks is not one of these.
        let mut failures = execute::preflight(pass.providers, &plan).await;
        for (name, state) in &mut observed.targets {
            // Much to write is worth asking what the account allows.
            if let Some(provider) = pass.providers.get(name) {
                state.capabilities = observe::capabilities(provider.as_ref());
            }
        }
        plan::reprice(&mut plan, &observed);
        failures.retain(|f| matches!(f.error.kind, ErrorKind::WrongAccount | ErrorKind::KeyUnusable));
        if !failures.is_empty() {
            return Err(PassError::Unfit(failures));
        }
    }
    Ok((plan, observed))
}

/// What the rounds of a pass did before the one that runs.
#[derive(Default)]
struct Earlier {
    /// The plan of the last of them, and what came of all.
    executed: Option<(Plan, Executed)>,
    recorded: BTreeSet<TargetName>,
    release: Option<u64>,
}

/// Makes the stores equal to the file.
///
/// # Errors
/// Says why nothing was done. Whatever was tried is an [`Outcome`].
#[tracing::instrument(level = "debug", name = "pass", skip_all, fields(owner = %pass.desired.name, kind = pass.kind()))]
pub async fn reconcile(pass: &Pass<'_>) -> Result<Outcome, PassError> {
    let before = requests(pass.providers);
    let mut earlier = Earlier::default();
    let error = match go_round(pass, &before, &mut earlier).await {
        Ok(outcome) => return Ok(outcome),
        Err(error) => error,
    };
    let (Some((plan, mut executed)), Some(any)) = (earlier.executed, pass.providers.keys().next()) else {
        return Err(error);
    };
    // An error would say that nothing was done.
    Broken::of(error, any).end(&mut executed);
    let outcome = outcome(pass, plan, executed, &before);
    Ok(Outcome { release: earlier.release, recorded: earlier.recorded, ..outcome })
}

/// Looks, plans and carries out, as often as there is more to do once something is done.
async fn go_round(
    pass: &Pass<'_>,
    before: &BTreeMap<TargetName, RequestCounts>,
    earlier: &mut Earlier,
) -> Result<Outcome, PassError> {
    let mut wait = FIRST_WAIT;
    let mut attempt = 0;
    let mut rounds = 0;
    loop {
        attempt += 1;
        let elsewhere = elsewhere(pass).await;
        let Seeing { observed, memories } = look(pass, false, &elsewhere).await?;
        let plan = make_plan(pass, &observed, elsewhere.highest)?;
        let blocked = blocked(&plan);
        if blocked.is_none() {
            refuse_stale(pass, &plan, &observed)?;
            if plan.is_stalled(&pass.limits) {
                remember(pass, memories, &[], &plan);
                let Earlier { executed, recorded, release } = std::mem::take(earlier);
                let untried = execute::untried(&plan).after(executed.map(|(_, executed)| executed));
                let outcome = outcome(pass, plan, untried, before);
                return Ok(Outcome { release, recorded, stalled: true, ..outcome });
            }
        }
        let raced = match blocked {
            Some(BlockKind::Running) if attempt < ANEW => None,
            Some(BlockKind::Foreign) if attempt == 1 => None,
            Some(_) => return Err(PassError::Blocked(Box::new(plan))),
            None => match carry_out(pass, &plan, &observed).await {
                Ok(mut executed) => {
                    earlier.recorded.append(&mut executed.recorded());
                    let mut memories = memories;
                    for (name, documents) in std::mem::take(&mut executed.documents) {
                        memories.entry(name).or_default().ledger.learn(documents);
                    }
                    note_good_passes(pass, &mut memories, &executed);
                    fold_old(pass, &mut memories, &executed).await;
                    remember(pass, memories, &executed.steps, &plan);
                    rounds += 1;
                    let more = plan.then_more && executed.is_whole() && rounds < ROUNDS;
                    let executed = executed.after(earlier.executed.take().map(|(_, executed)| executed));
                    if more {
                        // What an operator wished is done; now to what the file asks.
                        let number = plan.release.as_ref().map(|release| release.number);
                        earlier.release = number.or(earlier.release);
                        earlier.executed = Some((plan, executed));
                        continue;
                    }
                    let Earlier { recorded, release, .. } = std::mem::take(earlier);
                    let outcome = outcome(pass, plan, executed, before);
                    return Ok(Outcome { release: outcome.release.or(release), recorded, ..outcome });
                }
                Err(NotExecuted::Raced { target, .. }) => Some(target),
            },
        };
        if let (Some(target), true) = (raced, attempt >= ANEW) {
            return Err(PassError::Raced(target));
        }
        pause(&pass.interrupt, wait).await?;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// What the ledgers of targets out of scope say that matters here.
#[derive(Default)]
struct Elsewhere {
    /// The highest release number, so that none is made twice.
    highest: u64,
    /// Rollbacks that targets in scope may not have heard of.
    rollbacks: Vec<Header>,
}

impl Elsewhere {
    fn of(ledger: &Ledger) -> Self {
        let served = ledger.records.iter().filter(|record| record.state != State::Abandoned);
        let rollbacks = served.filter(|record| record.header.cause == Cause::Rollback);
        Self { highest: ledger.highest_release(), rollbacks: rollbacks.map(|record| record.header.clone()).collect() }
    }
}

/// Asks the ledgers of targets out of scope. One that does not answer soon counts as this host last read it: leaving it
/// out may be why the scope is what it is.
async fn elsewhere(pass: &Pass<'_>) -> Elsewhere {
    let asks = pass.others.iter().map(|(name, provider)| async move {
        let id = TargetId::of(provider.place());
        let mut memory = pass.host.memory.target(&id);
        let owner = &pass.desired.name;
        let load = ledger::load(provider.as_ref(), owner, &mut memory.ledger);
        match tokio::time::timeout(execute::OTHERS_ANSWER, load).await {
            Ok(Ok(loaded)) => {
                pass.host.memory.remember_target(&id, &memory);
                Elsewhere::of(&loaded.ledger)
            }
            _ => {
                tracing::info!(target_name = %name, "does not answer; its releases are those last seen here");
                let known = pass.host.memory.target(&id).ledger;
                ledger::remembered(owner, &known).map_or_else(Elsewhere::default, |ledger| Elsewhere::of(&ledger))
            }
        }
    });
    let mut all = Elsewhere::default();
    for one in join_all(asks).await {
        all.highest = all.highest.max(one.highest);
        all.rollbacks.extend(one.rollbacks);
    }
    all
}

async fn look(pass: &Pass<'_>, census: bool, elsewhere: &Elsewhere) -> Result<Seeing, PassError> {
    let request = observe::Request {
        desired: pass.desired,
        providers: pass.providers,
        memory: &pass.host.memory,
        census,
        allow_older: pass.allow_older,
        repair_only: pass.limits.repair_only,
        rollbacks_elsewhere: &elsewhere.rollbacks,
        is_gone: pass.host.is_gone.as_ref(),
    };
    let mut interrupt = pass.interrupt.clone();
    tokio::select! {
        seen = observe::observe(&request) => seen.map_err(PassError::Unobserved),
        Ok(signal) = interrupt.wait_for(Option::is_some) => {
            Err(PassError::Interrupted(signal.unwrap_or(Interrupt::Interrupted)))
        }
    }
}

fn make_plan(pass: &Pass<'_>, observed: &Observed, highest_elsewhere: u64) -> Result<Plan, PassError> {
    let newest = pass.host.memory.newest_files();
    let input = plan::Input {
        desired: pass.desired,
        observed,
        newest_here: &newest,
        allow_older: pass.allow_older,
        highest_elsewhere,
        limits: pass.limits,
    };
    let plan = plan::plan(input);
    let findings = plan::check(&plan, Some(pass.desired), observed);
    if findings.is_empty() { Ok(plan) } else { Err(PassError::Wrong(findings)) }
}

/// Compares a plan with the one that was agreed on, if one was.
fn refuse_stale(pass: &Pass<'_>, plan: &Plan, observed: &Observed) -> Result<(), PassError> {
    pass.saved.map_or(Ok(()), |saved| saved.agrees(plan, observed)).map_err(PassError::Stale)
}

/// Returns what kind of block counts. A run at work passes by itself, and what it makes may look foreign until its claim
/// is read: the ledger is read before the items, and a run may begin between the two. So a run at work counts first, and
/// what is foreign is looked at twice.
fn blocked(plan: &Plan) -> Option<BlockKind> {
    let kinds = || plan.blocks.iter().map(|block| block.kind);
    let of = |kind| kinds().find(|found| *found == kind);
    of(BlockKind::Running).or_else(|| kinds().find(|kind| *kind != BlockKind::Foreign)).or_else(|| kinds().next())
}

async fn carry_out(pass: &Pass<'_>, plan: &Plan, observed: &Observed) -> Result<Executed, NotExecuted> {
    if plan.release.as_ref().is_some_and(|release| release.file.is_some()) {
        pass.host.memory.remember_attempt(&pass.desired.digest);
    }
    let context = execute::Context {
        heir: None,
        providers: pass.providers,
        others: pass.others,
        memory: &pass.host.memory,
        owner: &pass.desired.name,
        actor: &pass.host.actor,
        message: pass.message,
        runner: &pass.host.runner,
        now: (pass.host.now)(),
        nonce: (pass.host.nonce)(),
        timeout: pass.timeout,
        atomic: pass.atomic,
        progress: pass.progress,
        interrupt: pass.interrupt.clone(),
    };
    let executing = execute::execute(&context, plan, observed);
    // To finish what an operator wished is as urgent as it was to them.
    if plan.is_wish() { urgently(executing).await } else { executing.await }
}

/// Waits about so long, or ends with the signal that comes meanwhile. Two runs that gave way to each other wait
/// differently.
async fn pause(interrupt: &watch::Receiver<Option<Interrupt>>, wait: Duration) -> Result<(), PassError> {
    let mut interrupt = interrupt.clone();
    tokio::select! {
        () = tokio::time::sleep(wait.mul_f64(0.75 + fastrand::f64() / 2.0)) => Ok(()),
        Ok(signal) = interrupt.wait_for(Option::is_some) => {
            Err(PassError::Interrupted(signal.unwrap_or(Interrupt::Interrupted)))
        }
    }
}

/// Folds the logs that this pass has made longer.
async fn fold_old(pass: &Pass<'_>, memories: &mut BTreeMap<TargetName, TargetMemory>, executed: &Executed) {
    if !executed.is_whole() || executed.steps.is_empty() {
        return;
    }
    let owner = &pass.desired.name;
    let folds = memories.iter_mut().filter_map(|(name, memory)| {
        let provider = pass.providers.get(name)?;
        Some(fold::fold(owner, provider.as_ref(), memory, pass.desired.policy.keep_releases))
    });
    join_all(folds).await;
}

/// Notes when each target was last left as the file asks.
fn note_good_passes(pass: &Pass<'_>, memories: &mut BTreeMap<TargetName, TargetMemory>, executed: &Executed) {
    let done = |result| matches!(result, StepResult::Applied | StepResult::Unchanged);
    for (name, memory) in memories {
        let steps_done = executed.steps.iter().all(|step| step.target != *name || done(step.result));
        if steps_done && executed.failures.iter().all(|failure| failure.target != *name) {
            memory.last_pass = Some((pass.host.now)());
        }
    }
}

/// Writes down what this host learnt. A secret that was just put need not be read back to be known.
fn remember(pass: &Pass<'_>, mut memories: BTreeMap<TargetName, TargetMemory>, steps: &[StepOutcome], plan: &Plan) {
    for step in steps.iter().filter(|step| step.result == StepResult::Applied) {
        let Some(memory) = memories.get_mut(&step.target) else { continue };
        let planned = plan.targets.get(&step.target).and_then(|target| target.steps.iter().find(|s| s.key == step.key));
        // What was put counts, which is not what the file asks for where that is held.
        match (planned.and_then(|step| step.content.as_ref()).map(|content| &content.value), &step.to) {
            (Some(Value::Secret(secret)), Some(version)) => {
                let fingerprint = pass.host.memory.fingerprint(secret);
                memory.secrets.insert(step.key.clone(), KnownSecret { version: version.clone(), fingerprint });
            }
            _ => {
                memory.secrets.remove(&step.key);
            }
        }
    }
    for (name, memory) in &memories {
        if let Some(target) = plan.targets.get(name) {
            pass.host.memory.remember_target(&target.id, memory);
        }
    }
    if pass.limits.repair_only {
        // How the file stands is known only to a pass that looks at all ledgers.
        return;
    }
    let served = steps.iter().any(|step| matches!(step.result, StepResult::Applied | StepResult::Unchanged));
    let released = plan.release.as_ref().is_some_and(|release| release.file.is_some());
    if (plan.file == FileStanding::Current && !plan.is_wish()) || (released && served) {
        pass.host.memory.remember_newest_file(&pass.desired.digest);
    }
}

fn sent(
    providers: &BTreeMap<TargetName, Arc<dyn Provider>>,
    before: &BTreeMap<TargetName, RequestCounts>,
) -> BTreeMap<TargetName, RequestCounts> {
    let mut requests = requests(providers);
    for (name, counts) in &mut requests {
        for (operation, count) in counts.iter_mut() {
            *count -= before.get(name).and_then(|before| before.get(operation)).copied().unwrap_or(0);
        }
        counts.retain(|_, count| *count > 0);
    }
    requests
}

fn outcome(pass: &Pass<'_>, plan: Plan, executed: Executed, before: &BTreeMap<TargetName, RequestCounts>) -> Outcome {
    let requests = sent(pass.providers, before);
    let released = executed.steps.iter().any(|step| step.result != StepResult::Skipped);
    Outcome {
        release: plan.release.as_ref().filter(|_| released).map(|release| release.number),
        steps: executed.steps,
        failures: executed.failures,
        requests,
        interrupted: executed.interrupted,
        undone: executed.undone,
        ..Outcome::untried(plan)
    }
}

fn requests(providers: &BTreeMap<TargetName, Arc<dyn Provider>>) -> BTreeMap<TargetName, RequestCounts> {
    providers.iter().map(|(name, provider)| (name.clone(), provider.requests())).collect()
}
