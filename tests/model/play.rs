//! Plays a story on the stage and in the model, and compares the two after every turn.

use std::collections::{BTreeMap, BTreeSet};

use repin::cycle::PassError;
use repin::cycle::wish::{Ask, WishError};
use repin::model::outcome::{Outcome, StepResult};
use repin::model::plan::BlockKind;
use repin::model::release::{Cause, State};
use repin::plan::orders::Order;
use repin::timeline;

use crate::model::{self, Content, Expect, Hold, Items, Model, Standing};
use crate::stage::{Clouds, Scene, key};
use crate::story::{At, Back, Foul, GLOBS, KEYS, Op, Says, Trouble, Turn, Who};

/// What every file has at the beginning.
const FIRST: [&str; 3] = [KEYS[0], KEYS[1], KEYS[3]];

/// In one of so many stories something lies beside ours that is not ours.
const BYSTANDERS: u64 = 4;

/// What is wrong.
pub(crate) type Wrong = String;

type Checked = Result<(), Wrong>;

macro_rules! ensure {
    ($test:expr, $($text:tt)+) => {
        if !$test {
            return Err(format!($($text)+));
        }
    };
}

/// Plays a story to its end.
pub(crate) async fn play(clouds: &Clouds, story: &[Turn]) -> Checked {
    let mut player = Player::begin(clouds).await?;
    for (n, turn) in story.iter().enumerate() {
        player.turn(turn).await.map_err(|wrong| format!("turn {n}, {turn:?}: {wrong}"))?;
    }
    player.end().await.map_err(|wrong| format!("at the end: {wrong}"))
}

struct Player<'a> {
    scene: Scene<'a>,
    label: bool,
    snapshot: bool,
    model: Model,
    /// The sets that readers were led to, with what they hold.
    sets: Vec<(String, Items)>,
    /// Whether a process died.
    died: bool,
    /// Keys of which somebody else made versions.
    fouled: BTreeSet<&'static str>,
    /// The writes to each target and what the model said of it when it was last compared.
    checked: BTreeMap<At, (u64, model::Target)>,
}

/// What became of something.
enum Came {
    Done(Box<Outcome>),
    Refused(String),
    /// The process died.
    Died,
}

impl Came {
    fn of_pass(result: Result<Outcome, PassError>) -> Self {
        match result {
            Ok(outcome) => Self::Done(Box::new(outcome)),
            Err(PassError::Blocked(plan)) => Self::Refused(format!("{:?}", plan.blocks)),
            Err(error) => Self::Refused(format!("{error:?}")),
        }
    }

    fn of_wish(result: Result<Outcome, WishError>) -> Self {
        match result {
            Ok(outcome) => Self::Done(Box::new(outcome)),
            Err(WishError::Pass(error)) => Self::of_pass(Err(error)),
            Err(refused) => Self::Refused(format!("{refused:?}")),
        }
    }

    fn release(&self) -> Option<u64> {
        if let Self::Done(outcome) = self { outcome.release } else { None }
    }
}

impl<'a> Player<'a> {
    async fn begin(clouds: &'a Clouds) -> Result<Self, Wrong> {
        let forms = clouds.forms();
        let scene = clouds.scene().await;
        let mut model = Model::new(forms);
        for host in &mut model.hosts {
            host.file = FIRST.map(|key| (key, Says { aws: 0, azure: 0 })).into();
        }
        let mut player = Self {
            scene,
            label: forms.label,
            snapshot: forms.snapshot,
            model,
            sets: Vec::new(),
            died: false,
            fouled: BTreeSet::new(),
            checked: BTreeMap::new(),
        };
        if player.scene.number.is_multiple_of(BYSTANDERS) {
            player.scene.make_bystanders().await;
        }
        player.first_release().await.map_err(|wrong| format!("at the beginning: {wrong}"))?;
        Ok(player)
    }

    async fn turn(&mut self, turn: &Turn) -> Checked {
        let trouble = turn.trouble;
        if let Trouble::CutOff(at) = trouble
            && self.model.hides(at)
        {
            return Ok(());
        }
        match turn.op {
            Op::Edit { who, key, says } => self.edit(who, KEYS[key], says),
            Op::Copy { from } => self.model.hosts[1 - from].file = self.model.hosts[from].file.clone(),
            Op::Replace { host } => {
                self.model.hosts[host].newest.clear();
                self.scene.replace(host).await;
            }
            Op::Reconcile { host, older } => self.reconcile(host, older, trouble).await?,
            Op::Rollback { host, to, glob, blind } => {
                self.roll_back((host, blind), to, glob.map(|glob| GLOBS[glob]), trouble).await?;
            }
            Op::Pin { host, key, at, version } => self.pin(host, KEYS[key], at, version, trouble).await?,
            Op::Unpin { host, key } => {
                let order = Order::Unpin { key: crate::stage::key(KEYS[key]) };
                let unpin = |hold| Hold { pinned: false, ..hold };
                self.order(host, order, Some(KEYS[key]), trouble, (unpin, false)).await?;
            }
            Op::Hold { host, glob } => {
                let order = Order::Hold { glob: GLOBS[glob].to_owned() };
                let hold = |hold| Hold { by_hand: true, ..hold };
                self.order(host, order, Some(GLOBS[glob]), trouble, (hold, true)).await?;
            }
            Op::Resume { host, glob } => {
                let glob = glob.map(|glob| GLOBS[glob]);
                let order = Order::Resume { glob: glob.map(str::to_owned) };
                let resume = |hold: Hold| Hold { pinned: hold.pinned, ..Hold::default() };
                self.order(host, order, glob, trouble, (resume, false)).await?;
            }
            Op::Forget { host, key } => self.forget(host, KEYS[key], trouble).await?,
            Op::Foul { at, key, how } => self.foul(at, KEYS[key], how).await?,
        }
        Ok(())
    }

    async fn first_release(&mut self) -> Checked {
        let came = Came::of_pass(self.scene.reconcile(0, &self.model.hosts[0].file, false).await);
        let expected = self.model.reconcile(0, false, 1);
        ensure!(came.release() == Some(1), "{expected:?} was expected, and it made {:?}", came.release());
        if let Some(set) = if self.snapshot { self.scene.set().await } else { None } {
            self.sets.push((set, self.model.target(At::Azure).shows()));
        }
        Ok(())
    }

    fn edit(&mut self, who: Who, key: &'static str, says: Option<Says>) {
        for (n, host) in self.model.hosts.iter_mut().enumerate() {
            if who == Who::Everybody || who == Who::Host(n) {
                match says {
                    Some(says) => drop(host.file.insert(key, says)),
                    None => drop(host.file.remove(key)),
                }
            }
        }
    }

    /// Sets the trouble up, runs, and clears it away.
    async fn meet(&mut self, host: usize, trouble: Trouble, run: impl AsyncFnOnce(&Scene<'a>) -> Came) -> Came {
        match trouble {
            Trouble::None => {}
            Trouble::CutOff(at) => self.scene.cut_off(Some(at)),
            Trouble::Dies { call, lands, .. } => self.scene.fate.die_at(call, lands),
        }
        self.scene.take_writes();
        let came = tokio::select! {
            came = run(&self.scene) => came,
            () = self.scene.fate.died() => Came::Died,
        };
        self.scene.cut_off(None);
        self.scene.fate.relent();
        if matches!(came, Came::Died) {
            self.died = true;
            self.scene.restart(host).await;
        }
        came
    }

    async fn reconcile(&mut self, host: usize, older: bool, trouble: Trouble) -> Checked {
        let file = self.model.hosts[host].file.clone();
        let came =
            self.meet(host, trouble, async |scene| Came::of_pass(scene.reconcile(host, &file, older).await)).await;
        if let (Came::Died, Trouble::Dies { then, .. }) = (&came, trouble) {
            // Whoever goes on has the same file, old as it may be, unless it is for nobody to release.
            let behind = self.model.standing(host, older) == Standing::Behind;
            if self.scene.remembers(host, &file) {
                self.model.hosts[host].newest.push(file.clone());
            }
            let then = if behind { host } else { then };
            self.model.hosts[then].file = file;
            return Box::pin(self.recover(then, older || !behind, |_, _| Ok(()))).await;
        }
        if let Trouble::CutOff(at) = trouble {
            ensure!(matches!(came, Came::Refused(_)), "it went on without {at:?}");
            ensure!(self.scene.take_writes() == 0, "it wrote although {at:?} could not be looked at");
            return self.check().await;
        }
        let mut next = self.model.clone();
        let expected = next.reconcile(host, older, came.release().unwrap_or(0));
        self.compare(&came, &expected)?;
        self.model = next;
        self.check().await
    }

    /// A pass after a pass writes nothing.
    async fn nothing_left(&mut self, host: usize) -> Checked {
        self.scene.take_writes();
        let again = Came::of_pass(self.scene.reconcile(host, &self.model.hosts[host].file, false).await);
        let writes = self.scene.take_writes();
        ensure!(writes == 0 && again.release().is_none(), "a pass after a pass wrote {writes} times");
        Ok(())
    }

    /// A pass of a host after a run died. `done` tells the model what the run had done, if the ledgers tell of it.
    async fn recover(
        &mut self,
        host: usize,
        older: bool,
        done: impl FnOnce(&mut Model, Option<u64>) -> Checked,
    ) -> Checked {
        let file = self.model.hosts[host].file.clone();
        let came = Came::of_pass(self.scene.reconcile(host, &file, older).await);
        let made = self.made_since().await;
        let mut next = self.model.clone();
        done(&mut next, made.iter().find(|(_, cause)| *cause != Cause::Reconcile).map(|(number, _)| *number))?;
        let number = made.iter().find(|(_, cause)| *cause == Cause::Reconcile).map(|(number, _)| *number);
        let expected = next.reconcile(host, older, number.unwrap_or(0));
        let about = format!("after a death, with {made:?}");
        match (&came, &expected) {
            (Came::Refused(_), Expect::Refused(_)) => {}
            (Came::Refused(why), _) if !self.may_be_gone(why) => return Err(format!("{about}: refused: {why}")),
            (Came::Refused(_), _) => {
                // What was to be served again is gone, and nothing goes on until somebody decides.
                return Err(format!("{about}: stuck"));
            }
            (Came::Done(outcome), _) => {
                whole(outcome).map_err(|wrong| format!("{about}: {wrong}"))?;
                ensure!((expected == Expect::Release) == number.is_some(), "{about}: {expected:?} was expected");
            }
            (Came::Died, _) => return Err("it died without a reason".into()),
        }
        self.model = next;
        self.check().await.map_err(|wrong| format!("{about}: {wrong}"))?;
        if matches!(came, Came::Done(_)) {
            self.nothing_left(host).await.map_err(|wrong| format!("{about}: {wrong}"))?;
        }
        Ok(())
    }

    /// Lists the releases in the ledgers that the model does not know yet.
    async fn made_since(&self) -> Vec<(u64, Cause)> {
        let known = self.model.releases().first().copied().unwrap_or(0);
        let mut made = Vec::new();
        for at in At::BOTH {
            for record in self.scene.ledger(at).await.records {
                if let Some(number) = record.header.release.filter(|number| *number > known)
                    && record.state != State::Abandoned
                {
                    made.push((number, record.header.cause));
                }
            }
        }
        made
    }

    fn compare(&self, came: &Came, expected: &Expect) -> Checked {
        match (came, expected) {
            (Came::Refused(_), Expect::Refused(_)) => Ok(()),
            (Came::Refused(why), _) => Err(format!("refused: {why}")),
            (Came::Died, _) => Err("it died without a reason".into()),
            (Came::Done(outcome), _) => {
                ensure!(
                    !matches!(expected, Expect::Refused(_)),
                    "it went through, and was to be refused: {expected:?}"
                );
                let newest = self.model.releases().first().copied().unwrap_or(0);
                match (expected, outcome.release) {
                    (Expect::Release, Some(number)) => ensure!(number > newest, "{number} is taken"),
                    (Expect::None, None) | (Expect::Perhaps, _) => {}
                    (_, release) => return Err(format!("release {release:?}, and {expected:?} was expected")),
                }
                Ok(())
            }
        }
    }

    /// Tells whether something was refused because somebody else destroyed what was to be served again.
    fn may_be_gone(&self, why: &str) -> bool {
        let lost = self.model.targets.values().any(|target| !target.lost.is_empty());
        lost && why.contains(&format!("{:?}", BlockKind::Refused))
            && (why.contains("gone") || why.contains("does not keep"))
    }

    async fn roll_back(
        &mut self,
        (host, blind): (usize, bool),
        to: Back,
        glob: Option<&'static str>,
        trouble: Trouble,
    ) -> Checked {
        let releases = self.model.releases();
        let (back, number) = match to {
            Back::Release(nth) => {
                let number = releases[nth % releases.len()];
                (timeline::Back::Release(number), Some(number))
            }
            Back::Steps(steps) => (timeline::Back::Steps(steps), self.model.steps_back(steps, glob)),
        };
        // Whoever finishes what a dead run began can read the file.
        let blind = blind && !matches!(trouble, Trouble::Dies { .. });
        let ask = Ask::Rollback { to: back, keys: glob.map(str::to_owned) };
        let file = self.model.hosts[host].file.clone();
        let read = (!blind).then_some(&file);
        let came =
            self.meet(host, trouble, async |scene| Came::of_wish(scene.wish(host, read, None, &ask).await)).await;
        let cut_off = if let Trouble::CutOff(at) = trouble { Some(at) } else { None };
        let model = |model: &mut Model, made: u64| match number {
            Some(number) => model.roll_back((host, blind), number, glob, cut_off, made),
            None => Expect::Refused("there are not so many steps"),
        };
        if let (Came::Died, Trouble::Dies { then, .. }) = (&came, trouble) {
            self.model.hosts[then].file = file;
            return self.recover(then, false, |next, made| all_or_nothing(next, made, model)).await;
        }
        let mut next = self.model.clone();
        let expected = model(&mut next, came.release().unwrap_or(0));
        if let Came::Refused(why) = &came
            && self.may_be_gone(why)
        {
            return self.check().await;
        }
        self.compare(&came, &expected)?;
        if let Came::Done(outcome) = &came {
            ensure!(cut_off.is_some() || whole(outcome).is_ok(), "{}", whole(outcome).unwrap_err());
            if outcome.release.is_none() && expected == Expect::Perhaps {
                next = self.finished((host, blind), glob.is_some(), cut_off);
            }
            self.model = next;
        } else {
            self.model = self.finished((host, blind), glob.is_some(), cut_off);
        }
        self.check().await?;
        if let (Came::Done(_), Some(number), None) = (&came, number, cut_off) {
            self.once_is_enough((host, blind), number, glob).await?;
        }
        Ok(())
    }

    /// What is left of a wish that came to nothing: what was due before it.
    fn finished(&self, by: (usize, bool), any: bool, cut_off: Option<At>) -> Model {
        let mut model = self.model.clone();
        if any {
            model.finish_owed(by, |at| cut_off != Some(at));
        }
        model
    }

    /// A rollback to the same release again changes nothing.
    async fn once_is_enough(&mut self, (host, blind): (usize, bool), number: u64, glob: Option<&str>) -> Checked {
        let ask = Ask::Rollback { to: timeline::Back::Release(number), keys: glob.map(str::to_owned) };
        self.scene.take_writes();
        let file = (!blind).then_some(&self.model.hosts[host].file);
        let again = Came::of_wish(self.scene.wish(host, file, None, &ask).await);
        let writes = self.scene.take_writes();
        ensure!(matches!(again, Came::Done(_)), "the same rollback again was refused");
        ensure!(writes == 0 && again.release().is_none(), "the same rollback again wrote {writes} times");
        Ok(())
    }

    async fn pin(&mut self, host: usize, name: &'static str, at: At, nth: usize, trouble: Trouble) -> Checked {
        let versions = self.scene.versions(at, name).await;
        if !self.model.target(at).pins.contains_key(name) || versions.is_empty() {
            return Ok(());
        }
        let (version, content) = versions[nth % versions.len()].clone();
        let ask = Ask::Pin { key: key(name), version: version.id };
        let file = self.model.hosts[host].file.clone();
        let came = self
            .meet(host, trouble, async |scene| Came::of_wish(scene.wish(host, Some(&file), Some(at), &ask).await))
            .await;
        let model = |model: &mut Model, made: u64| model.pin(host, at, name, content.clone(), made);
        match (trouble, &came) {
            (Trouble::Dies { then, .. }, Came::Died) => {
                self.model.hosts[then].file = file;
                return self.recover(then, false, |next, made| all_or_nothing(next, made, model)).await;
            }
            (Trouble::CutOff(cut), _) if cut == at => {
                ensure!(matches!(came, Came::Refused(_)), "it went on without {at:?}");
                return self.check().await;
            }
            (_, Came::Refused(why)) if self.may_be_gone(why) => return self.check().await,
            _ => {}
        }
        let mut next = self.model.clone();
        let expected = model(&mut next, came.release().unwrap_or(0));
        self.compare(&came, &expected)?;
        if let Came::Done(outcome) = &came {
            whole(outcome)?;
            if outcome.release.is_none() {
                next = self.model.clone();
                next.finish_owed((host, false), |target| target == at);
            }
            self.model = next;
        }
        self.check().await
    }

    async fn order(
        &mut self,
        host: usize,
        order: Order,
        glob: Option<&str>,
        trouble: Trouble,
        (change, makes): (impl Fn(Hold) -> Hold, bool),
    ) -> Checked {
        let file = self.model.hosts[host].file.clone();
        let cut_off = if let Trouble::CutOff(at) = trouble { Some(at) } else { None };
        let any = self.model.order(host, glob, cut_off, change, makes);
        self.say(host, Some(&file), order, trouble, any).await
    }

    /// Gives an order; one that died is given again.
    async fn say(
        &mut self,
        host: usize,
        file: Option<&model::File>,
        order: Order,
        trouble: Trouble,
        any: bool,
    ) -> Checked {
        let ask = Ask::Order { order, purge: false };
        let came =
            self.meet(host, trouble, async |scene| Came::of_wish(scene.wish(host, file, None, &ask).await)).await;
        match came {
            Came::Died => {
                // It may have been done already, and then there is nothing left to match.
                let again = Came::of_wish(self.scene.wish(host, file, None, &ask).await);
                ensure!(any || !matches!(again, Came::Died), "it died without a reason");
            }
            Came::Refused(why) => ensure!(!any, "refused: {why}"),
            Came::Done(outcome) => ensure!(outcome.release.is_none(), "an order made a release"),
        }
        self.check().await
    }

    async fn forget(&mut self, host: usize, name: &'static str, trouble: Trouble) -> Checked {
        if self.snapshot {
            return Ok(());
        }
        // Whoever forgets a key takes it out of the file first.
        self.edit(Who::Everybody, name, None);
        let cut_off = if let Trouble::CutOff(at) = trouble { Some(at) } else { None };
        let any = self.model.forget(host, name, cut_off);
        let file = self.model.hosts[host].file.clone();
        self.say(host, Some(&file), Order::Forget { glob: Some(name.to_owned()), heir: None }, trouble, any).await
    }

    /// Somebody else writes.
    async fn foul(&mut self, at: At, name: &'static str, how: Foul) -> Checked {
        let together = self.snapshot && at == At::Azure;
        let shown = self.model.target(at).shows();
        let owned = self.model.target(at).pins.contains_key(name) && shown.contains_key(name);
        let target = self.model.targets.get_mut(&at).expect("both are there");
        self.fouled.insert(name);
        match how {
            Foul::Change(value) if owned => {
                // Sometimes what some file asks for, sometimes not.
                let content = model::content(name, at, value + 2);
                self.scene.other_changes(at, name, &content).await;
                if !together {
                    drifts(target, name, Some(content));
                }
            }
            Foul::Delete if owned => {
                self.scene.other_deletes(at, name).await;
                if !together {
                    drifts(target, name, None);
                }
                if at == At::Aws {
                    target.lost.insert(name);
                }
            }
            Foul::Lead(nth) if together && !self.sets.is_empty() => {
                let (set, items) = &self.sets[nth % self.sets.len()];
                self.scene.other_refers(set).await;
                for key in KEYS {
                    drifts(target, key, items.get(key).cloned());
                }
            }
            Foul::Lead(nth) if self.label && at == At::Aws && owned => {
                let versions = self.scene.versions(at, name).await;
                let (version, content) = versions[nth % versions.len()].clone();
                self.scene.other_leads(name, version).await;
                drifts(target, name, Some(content));
            }
            _ => {}
        }
        self.check().await
    }

    /// Compares what readers meet and what the ledgers say with the model.
    async fn check(&mut self) -> Checked {
        for at in At::BOTH {
            let now = (self.scene.written(at), self.model.target(at).clone());
            if self.checked.get(&at) == Some(&now) {
                // Nobody wrote, and the model says what it said.
                continue;
            }
            let (shown, target) = (self.scene.shown(at).await, &now.1);
            let expected = target.shows();
            ensure!(shown == expected, "{at:?} shows\n  {shown:?}\nand should show\n  {expected:?}");
            let ledger = self.scene.watched(at).await;
            let owned: Vec<_> = ledger.pins.keys().map(|key| key.as_str()).collect();
            let pins: Vec<_> = target.pins.keys().copied().collect();
            ensure!(owned == pins, "{at:?} owns {owned:?}, and should {pins:?}");
            for by_hand in [true, false] {
                let is = |hand: bool, pinned: bool| if by_hand { hand } else { pinned };
                let held = ledger.holds.iter().filter(|(_, hold)| is(hold.by_hand, hold.pinned));
                let held: Vec<_> = held.map(|(key, _)| key.as_str()).collect();
                let should = target.holds.iter().filter(|(_, hold)| is(hold.by_hand, hold.pinned));
                let should: Vec<_> = should.map(|(key, _)| *key).collect();
                let what = if by_hand { "held" } else { "pinned" };
                ensure!(held == should, "{at:?} has {what} {held:?}, and should {should:?}");
            }
            self.checked.insert(at, now);
        }
        if self.snapshot
            && let Some(set) = self.scene.set().await
            && !self.sets.iter().any(|(known, _)| *known == set)
        {
            self.sets.push((set, self.model.target(At::Azure).shows()));
        }
        Ok(())
    }

    /// One intended change makes one native version, whoever died while making it.
    async fn no_version_is_made_twice(&self) -> Checked {
        // Two versions of a secret may hold the same: nobody reads one only to find out.
        for key in KEYS.into_iter().filter(|key| *key != "s" && !self.fouled.contains(key)) {
            let texts = self.scene.texts(key).await;
            ensure!(texts.windows(2).all(|pair| pair[0] != pair[1]), "{key} was put twice: {texts:?}");
        }
        Ok(())
    }

    /// The last look: a pass of each file brings everything to rest, and everybody knows the same.
    async fn end(&mut self) -> Checked {
        for host in 0..2 {
            if host == 0 || self.model.hosts[0].file != self.model.hosts[1].file {
                let before = At::BOTH.map(|at| self.scene.written(at));
                self.reconcile(host, false, Trouble::None).await.map_err(|wrong| format!("host {host}: {wrong}"))?;
                if before != At::BOTH.map(|at| self.scene.written(at)) {
                    self.nothing_left(host).await?;
                }
            }
        }
        if self.died {
            self.no_version_is_made_twice().await?;
        }
        for at in At::BOTH {
            let (empty, known) = (self.scene.ledger(at).await, self.scene.ledger_of(0, at).await);
            ensure!(known == empty, "a host knows another ledger of {at:?} than one that knows nothing");
            let untouched = !self.scene.number.is_multiple_of(BYSTANDERS) || self.scene.bystander(at).await;
            ensure!(untouched, "{at:?}: somebody else's item was touched");
        }
        Ok(())
    }
}

/// A wish that died happened on all targets or on none.
fn all_or_nothing(next: &mut Model, made: Option<u64>, model: impl FnOnce(&mut Model, u64) -> Expect) -> Checked {
    if let Some(made) = made {
        let expected = model(next, made);
        ensure!(!matches!(expected, Expect::Refused(_)), "it was begun, and was to be refused: {expected:?}");
    }
    Ok(())
}

fn drifts(target: &mut model::Target, key: &'static str, instead: Option<Content>) {
    if target.pins.get(key) == instead.as_ref() {
        target.drift.remove(key);
    } else {
        target.drift.insert(key, instead);
    }
}

fn whole(outcome: &Outcome) -> Checked {
    let done = |result| matches!(result, StepResult::Applied | StepResult::Unchanged);
    let open: Vec<_> = outcome.steps.iter().filter(|step| !done(step.result)).collect();
    ensure!(open.is_empty() && outcome.failures.is_empty(), "not done: {open:#?} {:?}", outcome.failures);
    Ok(())
}
