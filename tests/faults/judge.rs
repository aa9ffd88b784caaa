//! What is right and what is wrong about what a command did.

use std::fmt;

use repin_emulator::{Call, FaultKind};
use serde_json::Value;

use crate::case::{Case, End, Expected};
use crate::command::Command;
use crate::stage::{AZURE, Ran, SSM};
use crate::stores::Contents;

/// What was seen of a case.
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) injected: u64,
    pub(crate) ran: Ran,
    pub(crate) calls: Vec<Call>,
    pub(crate) before: Contents,
    pub(crate) after: Contents,
    pub(crate) settled: Result<u32, String>,
    pub(crate) end: End,
    pub(crate) is_foreign_untouched: bool,
}

/// What is to be said of a case.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) exit: u8,
    pub(crate) injected: u64,
    /// How many contents are not there in the end that should be, or are there and should not.
    pub(crate) lost: u64,
    pub(crate) wrong: Vec<String>,
    ran: Ran,
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for wrong in &self.wrong {
            writeln!(f, "- {wrong}")?;
        }
        write!(f, "exit {}\n{}{}", self.exit, self.ran.stdout, self.ran.stderr)
    }
}

impl Ran {
    /// Calls the case what all are called.
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.stdout = self.stdout.replace(name, "case");
        self.stderr = self.stderr.replace(name, "case");
        self
    }
}

/// Judges a case by what the command does when nothing fails.
pub(crate) fn judge(case: &Case, usual: &Expected, seen: Seen) -> Judged {
    let mut wrong = Vec::new();
    let mut claim = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    let code = seen.ran.code;
    let ran = seen.ran.clone().named(&seen.name);
    let is_done = code == usual.ran.code;
    claim(seen.injected > 0, "no request met the fault".to_owned());
    // What is not seen cannot be lifted, which is said.
    let is_not_seen = code == 64 && shows_less(case.kind) && case.command.is_repeated();
    claim(is_done || is_not_seen || [1, 3, 5, 75, 77].contains(&code), format!("exit {code}"));
    if [1, 64, 75, 77].contains(&code) {
        let before = &seen.before;
        claim(seen.after == *before, format!("exit {code}, and served is {:?} after {before:?}", seen.after));
    }
    if is_done && !case.command.looks() && !shows_less(case.kind) {
        let (after, usual) = (&seen.after, &usual.after);
        claim(after == usual, format!("it says that it is done, and served is {after:?} instead of {usual:?}"));
    }
    if case.command.looks() {
        let writes = || seen.calls.iter().filter(|call| is_write(call)).map(|call| call.operation.as_str());
        claim(writes().next().is_none(), format!("a look writes: {:?}", writes().collect::<Vec<_>>()));
    }
    if is_done && case.command.looks() && !shows_less(case.kind) {
        let (told, usually) = (told(&ran), told(&usual.ran));
        claim(told == usually, format!("it tells\n{told}\ninstead of\n{usually}"));
    }
    claim(seen.is_foreign_untouched, "what is somebody else's was touched".to_owned());
    if let Err(left) = &seen.settled {
        claim(false, format!("three passes without a fault are not enough: {left}"));
    }
    let lost = if shows_less(case.kind) && case.command.is_repeated() {
        // What is cut short in secret may hide from an order what it is about: it takes effect where it was seen, and
        // says where that was.
        let line = is_done.then(|| ran.stdout.lines().next().unwrap_or_default());
        judge_each_cloud(line, usual, &seen.end, &mut claim)
    } else {
        let is_effective = !shows_less(case.kind) && (is_done || code == 3 || case.command.is_repeated());
        let took_effect = is_effective || seen.end.contents == usual.end.contents;
        judge_end(if took_effect { &usual.end } else { &usual.without }, &seen.end, &mut claim)
    };
    if !is_done && !is_not_seen {
        let text = format!("{}{}", ran.stdout, ran.stderr);
        claim(names_cause(&text), "no sentence names the cause".to_owned());
        claim(!text.contains("bug"), "it calls itself a bug".to_owned());
    }
    if case.command != Command::Get {
        claim(!format!("{}{}", ran.stdout, ran.stderr).contains("s3cret"), "a secret is shown".to_owned());
    }
    Judged { exit: code, injected: seen.injected, lost, wrong, ran: seen.ran }
}

/// Judges the end of an order cloud by cloud: each is as if the order had been given there, or as if it had not; and what
/// the command says in its first line, where it says that it is done, names no target without effect.
fn judge_each_cloud(line: Option<&str>, usual: &Expected, end: &End, claim: &mut impl FnMut(bool, String)) -> u64 {
    [(SSM, "aws-eu"), (AZURE, "azure")]
        .map(|(cloud, target)| {
            let [end, with, without] = [end, &usual.end, &usual.without].map(|end| end.on(cloud));
            let took_effect = end.contents == with.contents;
            let is_named = line.is_some_and(|line| line.contains(target));
            claim(took_effect || !is_named, format!("{target} is named as done in {line:?}"));
            judge_end(if took_effect { &with } else { &without }, &end, claim)
        })
        .into_iter()
        .sum()
}

/// Judges the end by what there should be. Returns how much is lost.
fn judge_end(expected: &End, end: &End, claim: &mut impl FnMut(bool, String)) -> u64 {
    let keys = expected.contents.keys().chain(end.contents.keys()).collect::<std::collections::BTreeSet<_>>();
    let lost: Vec<_> = keys.into_iter().filter(|key| expected.contents.get(*key) != end.contents.get(*key)).collect();
    claim(lost.is_empty(), format!("in the end {lost:?} are {:?} instead of {:?}", end.contents, expected.contents));
    let more = end.versions.iter().filter(|(item, count)| *count > expected.versions.get(*item).unwrap_or(&0));
    let more: Vec<_> = more.collect();
    claim(more.is_empty(), format!("more native versions than changes: {more:?} beyond {:?}", expected.versions));
    lost.len() as u64
}

/// Tells whether a store that meets this shows less than there is, in a way that nobody can notice in one look.
fn shows_less(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::StaleRead | FaultKind::EndsEarly)
}

fn is_write(call: &Call) -> bool {
    let verbs = ["Put", "Delete", "Label", "Unlabel", "Add", "Remove", "PUT", "DELETE", "PATCH"];
    verbs.iter().any(|verb| call.operation.starts_with(verb))
}

/// Tells whether a text says in words what went wrong, and where.
fn names_cause(text: &str) -> bool {
    let where_it_was = ["aws-eu", "azure", "127.0.0.1"];
    where_it_was.iter().any(|place| text.contains(place)) && text.split_whitespace().count() > 5
}

/// Returns what a look tells, without what differs from one time to the next.
fn told(ran: &Ran) -> String {
    match serde_json::from_str(&ran.stdout) {
        Ok(mut told) => {
            forget_details(&mut told);
            format!("{told:#}")
        }
        Err(_) => ran.stdout.clone(),
    }
}

fn forget_details(told: &mut Value) {
    const DETAILS: [&str; 12] = [
        "at",
        "version",
        "from",
        "to",
        "last_pass",
        "restorable_until",
        "seconds",
        "cost",
        "actor",
        "changed",
        "last_change",
        "expires",
    ];
    match told {
        Value::Object(members) => {
            members.retain(|name, _| !DETAILS.contains(&name.as_str()));
            members.values_mut().for_each(forget_details);
        }
        Value::Array(list) => list.iter_mut().for_each(forget_details),
        _ => {}
    }
}
