//! The screen of `repin status`: verdict first, then the targets, then what is next.

use anstyle::Style;
use jiff::Timestamp;

use super::table::{Cell, columns};
use super::words::{BAD, CHANGED, FAINT, GOOD, STRONG, ago, clock, counted, health, line, short, styled};
use crate::model::observed::FileStanding;
use crate::status::{self, File, Status, Sync, TargetStatus, Word};

/// The most drifted keys that are listed for one target.
const LISTED: usize = 10;

/// Describes how a configuration stands.
pub fn status(name: &str, status: &Status, now: Timestamp) -> String {
    let mut out = String::new();
    line(&mut out, &verdict(name, status, now));
    targets(&mut out, status, now);
    for target in &status.targets {
        drift(&mut out, target);
    }
    for (n, next) in next(status).iter().enumerate() {
        let label = if n == 0 { "next" } else { "" };
        line(&mut out, &format!("{}  {next}", styled(FAINT, &format!("{label:<6}"))));
    }
    line(&mut out, &format!("{}  {}", styled(FAINT, "file  "), file(status)));
    out
}

fn verdict(name: &str, status: &Status, now: Timestamp) -> String {
    let words: Vec<_> = status.verdict().into_iter().map(word).collect();
    let style = words.iter().map(|(_, style)| *style).next().unwrap_or_default();
    let words: Vec<_> = words.into_iter().map(|(word, _)| word).collect();
    let newest = match &status.newest {
        Some(header) => {
            let message = header.message.as_ref().map(|text| format!(" {text:?}")).unwrap_or_default();
            let what = status::describe(header, status.previous);
            format!("   {what}, {}, {}{message}", clock(now, header.at), header.actor)
        }
        None => String::new(),
    };
    format!("{}  {}{newest}", styled(STRONG, name), styled(style.bold(), &words.join(", ")))
}

fn word(word: Word) -> (&'static str, Style) {
    match word {
        Word::Ok => ("OK", GOOD),
        Word::Empty => ("NO RELEASE YET", CHANGED),
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

/// Says it where it is easily overlooked: a target that serves an older release than the newest.
fn still_serves(target: &TargetStatus, status: &Status) -> Option<String> {
    let newest = status.newest.as_ref()?.release?;
    let text = match (target.release, target.pending) {
        (Some(release), Some(_)) if release < newest => format!("<- still serving {release}"),
        (Some(release), None) if target.sync == Sync::Unknown => format!("<- served {release} when last seen"),
        _ => return None,
    };
    Some(styled(CHANGED, &text))
}

fn drift(out: &mut String, target: &TargetStatus) {
    for (n, drifted) in target.drift.iter().enumerate() {
        let label = if n == 0 { "drift" } else { "" };
        let text = match n {
            LISTED => format!("and {} more on {}", target.drift.len() - LISTED, target.target),
            _ => {
                let served = drifted.served.as_ref().map_or("is gone".to_owned(), |v| format!("serves {}", short(v)));
                format!("{} on {} {served}, should serve {}", drifted.key, target.target, short(&drifted.pin))
            }
        };
        line(out, &format!("{}  {text}", styled(FAINT, &format!("{label:<6}"))));
        if n == LISTED {
            break;
        }
    }
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
