//! The screen of `repin status`: verdict first, then the targets, then what is next.

use std::collections::BTreeSet;

use anstyle::Style;
use jiff::Timestamp;
use repin_provider::Key;

use super::table::{Cell, columns};
use super::words::{
    BAD, CHANGED, FAINT, GOOD, STRONG, ago, clock, counted, health, line, listed, named, short, styled,
};
use crate::model::observed::FileStanding;
use crate::model::plan::Drifted;
use crate::model::printable;
use crate::status::{self, File, HeldKey, HoldKind, Status, Sync, TargetStatus, Word, alike};

/// The most drifted keys that are listed for one target.
const LISTED: usize = 10;

/// Describes how a configuration stands.
pub fn status(name: &str, status: &Status, now: Timestamp) -> String {
    let mut out = String::new();
    line(&mut out, &verdict(name, status, now));
    targets(&mut out, status, now);
    labelled(&mut out, "held", &held(status));
    labelled(&mut out, "drift", &status.targets.iter().flat_map(drift).collect::<Vec<_>>());
    labelled(&mut out, "next", &next(status));
    labelled(&mut out, "file", &[file(status)]);
    out
}

/// Writes lines with what they are about before the first.
fn labelled(out: &mut String, label: &str, lines: &[String]) {
    for (n, text) in lines.iter().enumerate() {
        let label = if n == 0 { label } else { "" };
        line(out, &format!("{}  {text}", styled(FAINT, &format!("{label:<6}"))));
    }
}

/// Says what is held, and what the file has to do with it.
fn held(status: &Status) -> Vec<String> {
    let group = |(held, keys): &(&HeldKey, Vec<&Key>)| {
        let keys = named(keys.iter().copied());
        let since = held.since;
        let why = held.reason.as_ref().map(|reason| format!(" {reason:?}")).unwrap_or_default();
        match (held.kind, held.blocks, held.asks_for) {
            (HoldKind::Pin, ..) => format!("{keys}: pinned on {} since release {since}{why}", targets_of(held)),
            (HoldKind::Hand, ..) => format!("{keys}: by hand since release {since}{why}"),
            (HoldKind::Rollback, Some(true), Some(had)) => format!("{keys}: the file still has {had}'s content"),
            (HoldKind::Rollback, Some(true), None) => format!("{keys}: the file still has what was taken back"),
            (HoldKind::Rollback, Some(false), _) => format!("{keys}: the file asks for what is not held"),
            (HoldKind::Rollback, None, _) => format!("{keys}: what release {since} took back may not come back"),
        }
    };
    alike(&status.holds).iter().map(group).collect()
}

fn targets_of(held: &HeldKey) -> String {
    listed(&held.targets.iter().map(|target| target.as_str()).collect::<Vec<_>>())
}

/// Says how holds end.
fn ways_out(status: &Status) -> Vec<String> {
    let of = |kind| status.holds.iter().filter(move |held| held.kind == kind && held.counts());
    let mut ways = Vec::new();
    let releases: BTreeSet<_> = of(HoldKind::Rollback).map(|held| held.asks_for).collect();
    match (releases.len(), releases.first()) {
        (0, _) => {}
        (1, Some(Some(had))) => ways.push(format!("held: edit them, or repin resume --all (serves {had} again)")),
        _ => ways.push("held: edit them, or repin resume --all (serves what the file asks for)".to_owned()),
    }
    if of(HoldKind::Hand).next().is_some() {
        ways.push("held by hand: repin resume KEY lets the file's changes through".to_owned());
    }
    for held in of(HoldKind::Pin) {
        let (key, targets) = (&held.key, &held.targets);
        ways.extend(targets.iter().map(|target| format!("pinned: repin unpin {key} --target {target}")));
    }
    ways
}

fn verdict(name: &str, status: &Status, now: Timestamp) -> String {
    let words: Vec<_> = status.verdict().into_iter().map(word).collect();
    let style = words.iter().map(|(_, style)| *style).next().unwrap_or_default();
    let words: Vec<_> = words.into_iter().map(|(word, _)| word).collect();
    let newest = match &status.newest {
        Some(header) => {
            let message = header.message.as_ref().map(|text| format!(" {text:?}")).unwrap_or_default();
            let what = status::describe(header, status.previous);
            format!("   {what}, {}, {}{message}", clock(now, header.at), printable::line(&header.actor))
        }
        None => String::new(),
    };
    format!("{}  {}{newest}", styled(STRONG, name), styled(style.bold(), &words.join(", ")))
}

fn word(word: Word) -> (&'static str, Style) {
    match word {
        Word::Ok => ("OK", GOOD),
        Word::Empty => ("NO RELEASE YET", CHANGED),
        Word::Held => ("HELD", CHANGED),
        Word::Partial => ("PARTIAL", CHANGED),
        Word::Drifted => ("DRIFTED", CHANGED),
        Word::Unreachable => ("UNREACHABLE", BAD),
        Word::Behind => ("BEHIND", BAD),
        Word::Changed => ("CHANGED", CHANGED),
    }
}

fn targets(out: &mut String, status: &Status, now: Timestamp) {
    let head = ["target", "serves", "sync", "health", "last good pass"].map(|text| (text.to_owned(), FAINT));
    let rows: Vec<_> =
        std::iter::once(head.to_vec()).chain(status.targets.iter().map(|target| cells(target, now))).collect();
    for (n, row) in columns(&rows).iter().enumerate() {
        let served = n.checked_sub(1).and_then(|n| still_serves(&status.targets[n], status));
        let served = served.map(|text| format!("  {text}")).unwrap_or_default();
        line(out, &format!("{row}{served}"));
    }
}

fn cells(target: &TargetStatus, now: Timestamp) -> Vec<Cell> {
    let (sync, sync_style) = match target.sync {
        Sync::Synced => ("synced", GOOD),
        Sync::Drifted => ("drifted", CHANGED),
        Sync::Pending => ("pending", CHANGED),
        Sync::Unknown => ("unknown", BAD),
    };
    let health_style = if target.failure.is_some() { BAD } else { GOOD };
    vec![
        (target.target.to_string(), Style::new()),
        (target.release.map_or("-".to_owned(), |release| release.to_string()), Style::new()),
        (sync.to_owned(), sync_style),
        (health(target).to_owned(), health_style),
        (target.last_pass.map_or("none from this host".to_owned(), |at| ago(now, at)), Style::new()),
    ]
}

/// Says it where it is easily overlooked: a target that serves another release than the newest says.
fn still_serves(target: &TargetStatus, status: &Status) -> Option<String> {
    let effective = status.effective?;
    let text = match (target.release, target.pending) {
        (Some(release), Some(_)) if release != effective => format!("<- still serving {release}"),
        (Some(release), None) if target.sync == Sync::Unknown => format!("<- served {release} when last seen"),
        _ => return None,
    };
    Some(styled(CHANGED, &text))
}

fn drift(target: &TargetStatus) -> Vec<String> {
    let of = |drifted: &Drifted| {
        let served = drifted.served.as_ref().map_or("is gone".to_owned(), |v| format!("serves {}", short(v)));
        format!("{} on {} {served}, should serve {}", drifted.key, target.target, short(&drifted.pin))
    };
    let more = target.drift.len().saturating_sub(LISTED);
    let rest = (more > 0).then(|| format!("and {more} more on {}", target.target));
    target.drift.iter().take(LISTED).map(of).chain(rest).collect()
}

fn next(status: &Status) -> Vec<String> {
    let mut next = Vec::new();
    for target in &status.targets {
        let name = &target.target;
        match (target.pending, target.failure, target.drift.len()) {
            (Some(release), Some(_), _) => {
                next.push(format!("{name}: release {release} once it can be reached, by any host's repin reconcile"));
            }
            (Some(release), None, _) => {
                next.push(format!("{name}: repin reconcile goes on with release {release}, unless a run is at work"));
            }
            (None, Some(_), _) => next.push(format!("{name}: repin status again once it can be reached")),
            (None, None, 0) => {}
            (None, None, n) => {
                let keys = counted(n as u64, "entry");
                next.push(format!("{name}: repin reconcile puts {keys} back, unless policy.drift is report"));
            }
        }
    }
    next.extend(ways_out(status));
    match status.file {
        File::Stands(FileStanding::Changed, _) => next.push("repin plan shows what the file would change".to_owned()),
        File::Stands(FileStanding::Behind, _) => {
            next.push("update the file, or release it on purpose: repin reconcile --allow-older".to_owned());
        }
        File::Stands(FileStanding::Current, _) => {}
        File::Invalid => next.push("repin validate says what is wrong with the file".to_owned()),
    }
    next
}

fn file(status: &Status) -> String {
    match &status.file {
        File::Stands(FileStanding::Current, Some(release)) => {
            format!("this host's file is release {release} (current)")
        }
        File::Stands(FileStanding::Current, None) => "this host's file is current".to_owned(),
        File::Stands(FileStanding::Changed, Some(release)) => {
            format!("this host's file asks for release {release}'s content again (changed)")
        }
        File::Stands(FileStanding::Changed, None) => {
            "this host's file asks for something that was never released (changed)".to_owned()
        }
        File::Stands(FileStanding::Behind, release) => {
            let release = release.map(|release| format!("release {release}")).unwrap_or_else(|| "older".to_owned());
            let newest = status.newest.as_ref().and_then(|header| header.release);
            let newest = newest.map(|newest| format!(", superseded by {newest}")).unwrap_or_default();
            format!("this host's file is {release}{newest} (behind)")
        }
        File::Invalid => "this host's file is not valid as a whole; its name and targets were enough".to_owned(),
    }
}
