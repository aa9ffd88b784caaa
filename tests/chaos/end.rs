//! When the faults have stopped: what was begun comes to its end in few passes, and everything is as the ledgers say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use repin::exit::Exit;
use repin::model::observed::FileStanding;
use repin::model::plan::BlockKind;
use repin::model::release::{Header, Ledger, State};
use repin::timeline::{Back, Timeline};
use repin_provider::Value;

use crate::book::{Book, Spot};
use crate::play::{Checked, Player, Report, Wrong, ensure};
use crate::readers::{Kept, PREFIX, View};
use crate::stage::{Stage, key};
use crate::story::{Command, Form, Kind};

/// How often each host looks at what there is to do.
const ROUNDS: usize = 4;

/// Another process's claim may be open: it is taken over when nothing moved under it for two minutes.
const CLAIM: Duration = Duration::from_secs(130);

/// What became of one pass after the faults.
enum Round {
    Quiet,
    Wrote,
    /// Somebody else destroyed what was to be served, or changed what only they may change.
    Stuck,
}

/// Lets the hosts come to an end, and looks at what there is then.
pub(crate) async fn settle(player: &mut Player) -> Checked {
    player.stage.readers.unlock().await;
    tokio::time::sleep(CLAIM).await;
    player.look().await;
    let mut stuck = false;
    let mut newest = None;
    let mut log = String::new();
    let mut told = BTreeSet::new();
    for round in 1.. {
        told.clear();
        let mut quiet = true;
        for host in 0..player.stage.hosts() {
            let report = player.run_calmly(host, &Command::plain()).await?;
            log.push_str(&format!("\n  {}", report.said));
            told.extend(drifted(player, &report));
            match judge(player, &report).await? {
                Round::Quiet => {}
                Round::Wrote => quiet = false,
                Round::Stuck => stuck = true,
            }
            if is_current(&report) {
                newest = Some(host);
            }
        }
        if quiet {
            break;
        }
        ensure!(round < ROUNDS, "there is still something to do after {ROUNDS} passes of each host:{log}");
    }
    player.tally.stuck += u64::from(stuck);
    let ledgers = player.stage.ledgers().await;
    check_numbers(&ledgers, player.book.apart)?;
    player.book.check_bystanders(&player.stage).await?;
    player.book.check_kept(&player.stage).await?;
    if stuck {
        return Ok(());
    }
    for (target, ledger) in ledgers.iter().enumerate() {
        check_ledger(player, (target, ledger), newest, &told)?;
    }
    check_versions(player).await
}

/// Lists what a pass tells to be other than it should be, and cannot put back: what a rollback brought back is gone for
/// good where somebody destroyed it.
fn drifted(player: &Player, report: &Report) -> BTreeSet<Spot> {
    let Some(outcome) = &report.outcome else { return BTreeSet::new() };
    let names = player.stage.targets();
    let of = |n: usize| outcome.plan.targets.get(&names[n]).into_iter().flat_map(|target| &target.drift);
    (0..names.len()).flat_map(|n| of(n).map(move |drift| (n, drift.key.to_string()))).collect()
}

fn is_current(report: &Report) -> bool {
    let released = |outcome: &repin::model::outcome::Outcome| {
        outcome.plan.file == FileStanding::Current || outcome.release.is_some()
    };
    report.outcome.as_deref().is_some_and(released)
}

async fn judge(player: &mut Player, report: &Report) -> Result<Round, Wrong> {
    let wrong = |why: &str| Err(format!("{why}: host {} -> {}", report.host, report.said));
    if !report.blocks.is_empty() {
        let touched = !player.book.touched.is_empty();
        let foreign = report.foreign.clone();
        if !foreign.is_empty() {
            let is_theirs =
                |spot: &(usize, String)| player.book.touched.contains(spot) || player.book.forgotten.contains(&spot.1);
            if !foreign.iter().all(is_theirs) {
                return wrong("what is ours is taken for somebody else's");
            }
            // What a snapshot has stays in it.
            let stays = |(target, _): &(usize, String)| player.stage.settings.targets[*target] == Form::Snapshot;
            if foreign.iter().any(stays) {
                return Ok(Round::Stuck);
            }
            for (target, key) in foreign {
                player.stage.readers.remove(target, &key).await;
            }
            // A name is free again after a while.
            tokio::time::sleep(CLAIM).await;
            player.look().await;
            return Ok(Round::Wrote);
        }
        let refused = report.blocks.iter().all(|kind| *kind == BlockKind::Refused);
        return if refused && touched { Ok(Round::Stuck) } else { wrong("it may not run") };
    }
    let (Some(outcome), Some(exit)) = (&report.outcome, report.exit) else {
        return wrong("it failed though nothing is in its way");
    };
    let behind = exit == Exit::Conflict && outcome.plan.file == FileStanding::Behind;
    if matches!(exit, Exit::Done | Exit::Held) || behind {
        return Ok(if report.sent.is_empty() { Round::Quiet } else { Round::Wrote });
    }
    wrong("it came to no end though nothing is in its way")
}

/// One release is the same everywhere, and no number is of two; where it could not but be, who names it is asked which.
fn check_numbers(ledgers: &[Ledger], apart: bool) -> Checked {
    let timeline = Timeline::new(ledgers.iter(), std::iter::empty());
    let mut known: BTreeMap<u64, Header> = BTreeMap::new();
    for record in ledgers.iter().flat_map(|ledger| &ledger.records) {
        let Some(number) = record.header.release.filter(|_| record.state != State::Abandoned) else { continue };
        let header = known.entry(number).or_insert_with(|| record.header.clone());
        if apart && *header != record.header {
            let meant = timeline.resolve(&Back::Release(number), None);
            ensure!(meant.is_err(), "release {number} is two things, and nobody is asked which");
            continue;
        }
        ensure!(*header == record.header, "release {number} is two things: {header:?} and {:?}", record.header);
    }
    Ok(())
}

/// Compares what one target serves with its ledger and with the newest file.
fn check_ledger(
    player: &Player,
    (target, ledger): (usize, &Ledger),
    newest: Option<usize>,
    told: &BTreeSet<Spot>,
) -> Checked {
    let Player { stage, book, views, .. } = player;
    let (name, view) = (&stage.targets()[target], &views[target]);
    ensure!(ledger.open().is_none(), "guarantee 9: {name} has an open record: {:?}", ledger.open());
    let is_theirs = |key: &str| {
        let spot = (target, key.to_owned());
        book.touched.contains(&spot) && (!stage.settings.corrects || told.contains(&spot))
    };
    for (key, pin) in ledger.pins.iter().filter(|(key, _)| !is_theirs(key.as_str())) {
        let served = view.get(key.as_str()).map(|shown| shown.version.as_str());
        ensure!(
            served == Some(pin.version.id.as_str()),
            "{key} of {name} is pinned to {} and serves {served:?}",
            pin.version
        );
    }
    let is_known = |key: &str| {
        let spot = (target, key.to_owned());
        ledger.pins.keys().any(|pinned| pinned.as_str() == key)
            || book.touched.contains(&spot)
            || book.forgotten.contains(key)
            || key == "bystander"
    };
    if let Some(lost) = view.keys().find(|key| !is_known(key)) {
        return Err(format!("{lost} of {name} is served, and no ledger knows it"));
    }
    newest.map_or(Ok(()), |host| check_file(stage, book, target, ledger, view, host))
}

fn check_file(stage: &Stage, book: &Book, target: usize, ledger: &Ledger, view: &View, host: usize) -> Checked {
    let (name, desired) = (&stage.targets()[target], stage.desired(host));
    let free = |key: &str| {
        let held = ledger.holds.keys().any(|held| held.as_str() == key);
        !held && (stage.settings.corrects || !book.touched.contains(&(target, key.to_owned())))
    };
    let entries = &desired.targets[name].entries;
    for (key, entry) in entries.iter().filter(|(key, _)| free(key.as_str())) {
        let wanted = match &entry.value {
            Value::Plain(text) => text.as_str(),
            Value::Secret(secret) => secret.expose(),
        };
        let shown = view.get(key.as_str()).map(|shown| shown.text.as_str());
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        let equal = shown.is_some_and(|shown| shown == wanted || (entry.kind.is_json() && json(shown) == json(wanted)));
        ensure!(equal, "{key} of {name} is {shown:?}, and host {host}'s file asks for {wanted:?}");
    }
    let dropped =
        |key: &&repin_provider::Key| stage.settings.prune && !entries.contains_key(*key) && free(key.as_str());
    if let Some(key) = ledger.pins.keys().find(dropped) {
        return Err(format!("{key} of {name} is still ours, and host {host}'s file dropped it"));
    }
    Ok(())
}

/// Guarantee 8: an intended change makes one native version. Two versions that follow each other and hold the same are
/// one too many, unless something may have come in between that is not to be seen any more.
async fn check_versions(player: &Player) -> Checked {
    let Player { stage, book, .. } = player;
    for (target, form) in stage.settings.targets.iter().enumerate() {
        if *form == Form::Snapshot {
            continue;
        }
        let all = stage.readers.all(target).await;
        for (n, kind) in stage.settings.kinds.iter().enumerate() {
            let key = key(n);
            let plain = !matches!(kind, Kind::Described);
            let steady =
                !book.dropped.contains(&key) && !book.went_back && !book.touched.contains(&(target, key.clone()));
            if plain && steady && !book.forgotten.contains(&key) {
                check_key(&all, *form, &key)?;
            }
        }
    }
    Ok(())
}

fn check_key(all: &[Kept], form: Form, key: &str) -> Checked {
    let name = if form.is_aws() { format!("/{PREFIX}/{key}") } else { format!("{PREFIX}/{key}?prod") };
    let versions: Vec<&Kept> = all.iter().filter(|kept| kept.name == name).collect();
    let twice: BTreeSet<_> =
        versions.windows(2).filter(|pair| pair[0].text == pair[1].text).map(|pair| &pair[0].version).collect();
    ensure!(twice.is_empty(), "guarantee 8: {name} has the same twice: {versions:?}");
    Ok(())
}
