//! Plays a story, and says what is wrong as soon as something is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use globset::Glob;
use repin::cycle::PassError;
use repin::cycle::wish::{Ask, WishError};
use repin::exit::Exit;
use repin::model::outcome::Outcome;
use repin::model::plan::BlockKind;
use repin::model::release::Ledger;
use repin::plan::orders::Order;
use repin::report::json;
use repin::timeline::Back;
use repin_provider::Key;

use crate::book::Book;
use crate::gate::Sent;
use crate::readers::View;
use crate::stage::{Came, File, Fortune, Stage, key};
use crate::storm::{self, Met};
use crate::story::{Act, Command, Story, Turn};
use crate::{end, honest};

/// What is wrong: the guarantee's number first.
pub(crate) type Wrong = String;
pub(crate) type Checked = Result<(), Wrong>;

macro_rules! ensure {
    ($test:expr, $($text:tt)+) => {
        if !$test {
            return Err(format!($($text)+));
        }
    };
}
pub(crate) use ensure;

/// More requests than any run may take, faults and all.
const MOST_REQUESTS: u64 = 3_000;

/// What happened, in figures.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Tally {
    pub(crate) faults: Met,
    pub(crate) crashes: u64,
    pub(crate) deeds: u64,
    pub(crate) runs: u64,
    pub(crate) exits: BTreeMap<u8, u64>,
    /// Stories at whose end something stood in the way that somebody else had done.
    pub(crate) stuck: u64,
    /// Names what happened in its order, to compare two runs.
    pub(crate) trace: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        for (kind, count) in &other.faults {
            *self.faults.entry(kind.clone()).or_default() += count;
        }
        for (exit, count) in &other.exits {
            *self.exits.entry(*exit).or_default() += count;
        }
        self.crashes += other.crashes;
        self.deeds += other.deeds;
        self.runs += other.runs;
        self.stuck += other.stuck;
    }
}

/// What became of one command.
pub(crate) struct Report {
    pub(crate) host: usize,
    pub(crate) command: Command,
    /// Nothing where it died.
    pub(crate) exit: Option<Exit>,
    pub(crate) outcome: Option<Box<Outcome>>,
    /// Everything it said.
    pub(crate) said: String,
    /// Why it may not run, where that is why it did not.
    pub(crate) blocks: Vec<BlockKind>,
    /// What it takes for somebody else's.
    pub(crate) foreign: Vec<(usize, String)>,
    pub(crate) sent: Vec<Sent>,
    pub(crate) calls: u64,
    pub(crate) endless: bool,
}

pub(crate) struct Player {
    pub(crate) stage: Stage,
    pub(crate) book: Book,
    pub(crate) tally: Tally,
    pub(crate) views: Vec<View>,
    met: Arc<Mutex<Met>>,
}

/// Plays a story to its end.
pub(crate) async fn play(story: &Story) -> Result<Tally, Wrong> {
    let mut player = Player::begin(story).await;
    for (n, turn) in story.turns.iter().enumerate() {
        player.turn(turn).await.map_err(|wrong| format!("turn {n}: {wrong}"))?;
    }
    end::settle(&mut player).await.map_err(|wrong| format!("at the end: {wrong}"))?;
    player.tally.faults = player.met.lock().unwrap().clone();
    player.tally.trace = player.trace();
    Ok(player.tally)
}

impl Player {
    async fn begin(story: &Story) -> Self {
        let stage = Stage::new(&story.settings).await;
        for target in 0..stage.settings.targets.len() {
            stage.readers.make_bystander(target).await;
        }
        tokio::time::sleep(Duration::from_secs(stage.settings.lag + 1)).await;
        let book = Book::begin(&stage).await;
        let views = vec![View::new(); stage.settings.targets.len()];
        let mut player = Self { stage, book, tally: Tally::default(), views, met: Arc::default() };
        player.look().await;
        player
    }

    fn trace(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        for call in self.stage.emulator.counters().calls() {
            (call.service, call.operation).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Reads what readers meet now.
    pub(crate) async fn look(&mut self) {
        if self.stage.settings.lag > 0 {
            tokio::time::sleep(Duration::from_secs(self.stage.settings.lag + 1)).await;
        }
        for target in 0..self.views.len() {
            self.views[target] = self.stage.readers.view(target).await;
        }
    }

    async fn turn(&mut self, turn: &Turn) -> Checked {
        let hosts = self.stage.hosts();
        match &turn.act {
            Act::Edit { host, key, value } => self.edit(*host, *key, *value),
            Act::Copy { from } => {
                let file = self.stage.file(from % hosts);
                (0..hosts).for_each(|host| self.write(host, file.clone()));
            }
            Act::Revert { host, edits } => {
                let file = self.stage.earlier(host % hosts, *edits);
                self.write(host % hosts, file);
            }
            Act::Run { host, command } => return self.run(&[(host % hosts, command)], turn).await,
            Act::Both { commands: [first, second] } => {
                let both = [(0, first), (1 % hosts, second)];
                return self.run(&both[..hosts], turn).await;
            }
            Act::Lose { host } => self.stage.lose(host % hosts),
            Act::Cut { host, at } => self.book.cut(&self.stage, host % hosts, *at),
            Act::Foul { target, key, deed } => {
                self.tally.deeds += 1;
                self.stage.readers.act(*target, *key, *deed).await;
                self.note_touched();
                self.look().await;
            }
            Act::Wait { seconds } => tokio::time::sleep(Duration::from_secs(*seconds)).await,
        }
        Ok(())
    }

    fn note_touched(&mut self) -> bool {
        let touched = self.stage.readers.take_touched();
        let any = !touched.is_empty();
        touched.into_iter().for_each(|(target, key)| self.book.touch(target, &key));
        any
    }

    fn edit(&mut self, host: Option<usize>, key: usize, value: Option<u8>) {
        let key = key % self.stage.settings.kinds.len();
        for n in (0..self.stage.hosts()).filter(|n| host.is_none_or(|host| host == *n)) {
            let mut file = self.stage.file(n);
            match value {
                Some(value) => drop(file.insert(key, value)),
                None => drop(file.remove(&key)),
            }
            self.write(n, file);
        }
    }

    fn write(&mut self, host: usize, file: File) {
        let before = self.stage.file(host);
        let all: BTreeSet<usize> = before.keys().chain(file.keys()).copied().collect();
        for n in all.into_iter().filter(|n| before.get(n) != file.get(n)) {
            self.book.edited(&key(n), !file.contains_key(&n));
        }
        self.stage.write(host, file);
    }

    /// Runs one command, or two at once, and checks what came of it.
    async fn run(&mut self, commands: &[(usize, &Command)], turn: &Turn) -> Checked {
        let fortune = Fortune { seed: turn.seed, death: turn.death, rival: turn.rival };
        let ledgers = self.stage.ledgers().await;
        if turn.storm > 0 {
            let (calm, met) = (Arc::clone(&self.stage.calm), Arc::clone(&self.met));
            let kinds = self.stage.settings.faults.clone();
            self.stage.emulator.faults().set(storm::rule(turn.seed, (turn.storm, kinds), calm, met));
        }
        self.book.remember_state(&self.stage);
        // Whoever looks whether another made the same number meanwhile may be answered what was before.
        let blind = turn.storm > 0 || self.stage.settings.lag > 0;
        let scoped = |command: &Command| matches!(command, Command::Reconcile { only: Some(_), .. });
        self.book.apart |= blind && commands.iter().any(|(_, command)| scoped(command));
        let quiet = Fortune { death: None, rival: None, seed: turn.seed ^ 1 };
        let reports = match commands {
            [(first, one), (second, other)] => {
                let (one, other) = futures::join!(
                    command(&self.stage, *first, one, &fortune, &ledgers),
                    command(&self.stage, *second, other, &quiet, &ledgers)
                );
                vec![one, other]
            }
            _ => vec![command(&self.stage, commands[0].0, commands[0].1, &fortune, &ledgers).await],
        };
        self.stage.emulator.faults().clear();
        let rivalled = self.note_touched();
        let before = self.views.clone();
        self.look().await;
        for report in &reports {
            self.count(report);
            let alone = reports.len() == 1 && !rivalled;
            let told = format!("host {} {:?} -> {}", report.host, report.command, report.said);
            self.check(report, alone, &before).map_err(|wrong| format!("{wrong}\n  {told}"))?;
        }
        if let ([report], false) = (reports.as_slice(), rivalled) {
            self.check_order(report, &ledgers).await?;
        }
        if rivalled {
            self.tally.deeds += 1;
        }
        Ok(())
    }

    /// Checks that an order is in the ledgers as it was told to be.
    async fn check_order(&self, report: &Report, before: &[Ledger]) -> Checked {
        let orders = |command: &Command| {
            matches!(
                command,
                Command::Hold { .. } | Command::Resume { .. } | Command::Unpin { .. } | Command::Forget { .. }
            )
        };
        if report.exit.is_none() || !orders(&report.command) {
            return Ok(());
        }
        let after = self.stage.ledgers().await;
        honest::check_order(&self.stage, report, before, &after)
            .map_err(|wrong| format!("{wrong}\n  host {} {:?} -> {}", report.host, report.command, report.said))
    }

    pub(crate) fn count(&mut self, report: &Report) {
        self.tally.runs += 1;
        match report.exit {
            Some(exit) => *self.tally.exits.entry(exit.code()).or_default() += 1,
            None => self.tally.crashes += 1,
        }
    }

    /// Checks what one command did; `alone` where nobody else was at it.
    pub(crate) fn check(&mut self, report: &Report, alone: bool, before: &[View]) -> Checked {
        ensure!(!report.endless, "it did not end within six hours");
        ensure!(report.calls <= MOST_REQUESTS, "guarantee 12: {} requests", report.calls);
        // It may have put back what it had served itself.
        self.book.went_back |= matches!(report.command, Command::Reconcile { atomic: true, .. });
        self.book.note_absent(&self.stage, before);
        self.book.check_sent(&self.stage, &report.command, &report.sent)?;
        self.book.check_said(&report.said)?;
        if alone {
            honest::check(&self.stage, &self.book, report, before, &self.views)?;
        }
        self.book.after(&self.stage, report, alone, &self.views);
        self.book.check_holds(&self.views)
    }

    /// Runs one command while nothing gets in its way.
    pub(crate) async fn run_calmly(&mut self, host: usize, what: &Command) -> Result<Report, Wrong> {
        let ledgers = self.stage.ledgers().await;
        let report = command(&self.stage, host, what, &Fortune::default(), &ledgers).await;
        let before = self.views.clone();
        self.look().await;
        self.count(&report);
        let told = format!("host {} {:?} -> {}", report.host, report.command, report.said);
        self.check(&report, true, &before).map_err(|wrong| format!("{wrong}\n  {told}"))?;
        Ok(report)
    }
}

/// Tells whether a glob is about a key; none is about all.
pub(crate) fn matches(glob: Option<&str>, key: &str) -> bool {
    glob.is_none_or(|glob| Glob::new(glob).expect("a glob").compile_matcher().is_match(key))
}

/// Carries out one command of a host.
async fn command(stage: &Stage, host: usize, command: &Command, fortune: &Fortune, ledgers: &[Ledger]) -> Report {
    let gate = stage.gate(fortune);
    let report = Report {
        host,
        command: command.clone(),
        exit: None,
        outcome: None,
        said: String::new(),
        blocks: Vec::new(),
        foreign: Vec::new(),
        sent: Vec::new(),
        calls: 0,
        endless: false,
    };
    let mut report = match command {
        Command::Reconcile { older, atomic, only } => {
            match stage.reconcile(host, &gate, fortune, (*older, *atomic, *only)).await {
                Came::Refused(error) => refused(stage, report, WishError::Pass(error)),
                Came::Ended(outcome) => ended(report, outcome, false),
                came => unfinished(report, matches!(came, Came::Endless)),
            }
        }
        command => {
            let (ask, only) = ask(command, stage, ledgers);
            match stage.wish(host, &gate, fortune, (&ask, only)).await {
                Came::Refused(error) => refused(stage, report, error),
                Came::Ended(outcome) => ended(report, outcome, true),
                came => unfinished(report, matches!(came, Came::Endless)),
            }
        }
    };
    report.sent = gate.sent();
    report.calls = gate.calls();
    report
}

fn ended(report: Report, outcome: Box<Outcome>, wish: bool) -> Report {
    let exit = Exit::of_outcome(&outcome);
    let told = if wish { json::wish_outcome(&outcome) } else { json::outcome(&outcome) };
    let said = format!("exit {}: {told} {:?}", exit.code(), outcome.failures);
    Report { exit: Some(exit), said, outcome: Some(outcome), ..report }
}

fn refused(stage: &Stage, report: Report, error: WishError) -> Report {
    let exit = Exit::of_wish_error(&error);
    let blocks = match &error {
        WishError::Pass(PassError::Blocked(plan)) => plan.blocks.as_slice(),
        _ => &[],
    };
    let said = match blocks.is_empty() {
        true => format!("exit {}: {error:?}", exit.code()),
        false => format!("exit {}: {blocks:?}", exit.code()),
    };
    let foreign = blocks.iter().filter(|block| block.kind == BlockKind::Foreign);
    let foreign = foreign.filter_map(|block| {
        let target = stage.targets().iter().position(|name| Some(name) == block.target.as_ref())?;
        Some((target, block.key.as_ref()?.to_string()))
    });
    let (foreign, blocks) = (foreign.collect(), blocks.iter().map(|block| block.kind).collect());
    Report { exit: Some(exit), said, blocks, foreign, ..report }
}

fn unfinished(report: Report, endless: bool) -> Report {
    Report { endless, said: if endless { "never ended" } else { "died" }.to_owned(), ..report }
}

fn ask(command: &Command, stage: &Stage, ledgers: &[Ledger]) -> (Ask, Option<usize>) {
    let order = |order| (Ask::Order { order, purge: false }, None);
    let parse = |n: usize| Key::parse(&key(n % stage.settings.kinds.len())).expect("valid");
    match command {
        Command::Reconcile { .. } => unreachable!("it is no wish"),
        Command::Release { nth, glob } => {
            let newest = ledgers.iter().map(Ledger::highest_release).max().unwrap_or(0);
            let to = Back::Release(newest.saturating_sub(*nth));
            (Ask::Rollback { to, keys: glob.map(str::to_owned) }, None)
        }
        Command::Steps { steps, glob } => {
            (Ask::Rollback { to: Back::Steps(*steps), keys: glob.map(str::to_owned) }, None)
        }
        Command::Hold { glob } => order(Order::Hold { glob: (*glob).to_owned() }),
        Command::Resume { glob } => order(Order::Resume { glob: glob.map(str::to_owned) }),
        Command::Unpin { key } => order(Order::Unpin { key: parse(*key) }),
        Command::Forget { key: n } => {
            order(Order::Forget { glob: Some(key(n % stage.settings.kinds.len())), heir: None })
        }
        Command::Pin { target, key, back } => {
            let target = target % stage.settings.targets.len();
            let key = parse(*key);
            let rows = ledgers[target].records.iter().flat_map(|record| &record.rows).filter(|row| row.key == key);
            let versions: Vec<String> = rows.filter_map(|row| Some(row.to.as_ref()?.id.clone())).collect();
            let back = usize::try_from(*back).expect("small");
            let version = versions.iter().rev().nth(back).cloned().unwrap_or_else(|| "1".to_owned());
            (Ask::Pin { key, version }, Some(target))
        }
    }
}
