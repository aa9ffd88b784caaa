//! `repin history [KEY]`: what the ledgers say.

use std::collections::BTreeMap;
use std::sync::Arc;

use repin_provider::{Key, Provider, TargetName};

use super::Failure;
use super::args::{Common, HistoryArgs};
use super::print::Printer;
use super::session::{self, Session};
use crate::exit::Exit;
use crate::history::{self, Release, Source};
use crate::model::release::{Ledger, State, TargetId};
use crate::observe::patience;
use crate::record::ledger::{self, LedgerError};
use crate::report::{Trouble, json, text};

/// The ledgers that could be read.
pub(super) struct Ledgers {
    pub(super) name: repin_provider::Owner,
    read: BTreeMap<TargetName, (Ledger, Arc<dyn Provider>)>,
    /// What could not be read; said beside the result.
    troubles: Vec<Trouble>,
    exit: Exit,
    /// Kept open for as long as the ledgers are looked at.
    session: Session,
}

impl Ledgers {
    /// Reads the ledger of every target in scope.
    pub(super) async fn read(common: &Common, printer: &Printer) -> Result<Self, Failure> {
        let identity = session::load_identity(common)?;
        let session = Session::open(common, &identity.name, &identity.targets, printer).await?;
        let mut ledgers =
            Self { name: identity.name, read: BTreeMap::new(), troubles: Vec::new(), exit: Exit::Done, session };
        for failure in ledgers.session.take_unconnected().into_values() {
            ledgers.exit = ledgers.exit.max(failure.exit);
            ledgers.troubles.extend(failure.troubles);
        }
        let (name, memory) = (ledgers.name.clone(), &ledgers.session.host.memory);
        let read = async |provider: &Arc<dyn Provider>| {
            let id = TargetId::of(provider.place());
            let mut known = memory.target(&id);
            let loaded = ledger::load(provider.as_ref(), &name, &mut known.ledger).await?;
            memory.remember_target(&id, &known);
            Ok::<_, LedgerError>((loaded.ledger, Arc::clone(provider)))
        };
        let providers = &ledgers.session.providers;
        let mut answers = patience::each(providers.iter().map(|(target, provider)| (target, read(provider)))).await;
        let mut failed = Vec::new();
        for (target, provider) in providers {
            let silent = || Err(patience::silent(provider.as_ref(), "read the ledger").into());
            match answers.remove(target).unwrap_or_else(silent) {
                Ok(read) => drop(ledgers.read.insert(target.clone(), read)),
                Err(error) => {
                    failed.push((Exit::of_ledger(&error), Trouble::of_ledger(&error).with_target(target)));
                }
            }
        }
        failed.into_iter().for_each(|(exit, trouble)| ledgers.failed(exit, trouble));
        if ledgers.read.is_empty() {
            return Err(ledgers.into_failure());
        }
        Ok(ledgers)
    }

    /// Returns what was read.
    pub(super) fn sources(&self) -> Vec<Source<'_>> {
        self.read
            .iter()
            .map(|(target, (ledger, provider))| Source { target, ledger, capabilities: provider.capabilities() })
            .collect()
    }

    /// Returns each target whose ledger was read.
    pub(super) fn each(&self) -> impl Iterator<Item = (&TargetName, &Ledger, &dyn Provider)> {
        self.read.iter().map(|(target, (ledger, provider))| (target, ledger, provider.as_ref()))
    }

    /// Returns one release.
    pub(super) fn find(&self, number: u64) -> Result<Release, Failure> {
        let mut releases = history::releases(&self.sources(), self.now());
        // What nobody was served is not meant where another release has its number.
        let served = |release: &Release| release.targets.values().any(|of| of.state != State::Abandoned);
        let named: Vec<_> = (0..releases.len()).filter(|n| releases[*n].number == number).collect();
        let live: Vec<_> = named.iter().copied().filter(|n| served(&releases[*n])).collect();
        if let [one, other, ..] = live[..] {
            let told = |n: usize| format!("a {} by {}", releases[n].cause, releases[n].actor);
            let message = format!("there are two releases {number}: {}, and {}", told(one), told(other));
            let trouble = Trouble::new("not-found", message).with_hint("Say which with --target.");
            return Err(Failure::new(Exit::Failed, trouble));
        }
        if let Some(n) = live.first().or(named.first()) {
            return Ok(releases.swap_remove(*n));
        }
        let known = match (releases.last(), releases.first()) {
            (Some(oldest), Some(newest)) => format!("The ledger has {} to {}.", oldest.number, newest.number),
            _ => "There is no release yet.".to_owned(),
        };
        let trouble = Trouble::new("not-found", format!("there is no release {number}")).with_hint(known);
        Err(Failure::new(Exit::Failed, trouble))
    }

    /// Notes what could not be read.
    pub(super) fn failed(&mut self, exit: Exit, trouble: Trouble) {
        self.exit = self.exit.max(exit);
        self.troubles.push(trouble);
    }

    /// Gives up with what could not be read.
    pub(super) fn into_failure(self) -> Failure {
        Failure { exit: self.exit, troubles: self.troubles }
    }

    /// Returns this host's clock.
    pub(super) fn now(&self) -> jiff::Timestamp {
        (self.session.host.now)()
    }

    /// Says what could not be read.
    pub(super) fn finish(&self, printer: &Printer) -> Exit {
        self.troubles.iter().for_each(|trouble| printer.note(text::trouble(trouble).trim_end()));
        self.exit
    }
}

pub(super) async fn run(common: &Common, args: &HistoryArgs, printer: &Printer) -> Result<Exit, Failure> {
    let key = args.key.as_deref().map(Key::parse).transpose();
    let key = key.map_err(|error| Failure::usage(error.to_string(), "Write it as the file does."))?;
    let ledgers = Ledgers::read(common, printer).await?;
    let (sources, now) = (ledgers.sources(), ledgers.now());
    match key {
        None => {
            let releases = history::releases(&sources, now);
            printer.result(
                || text::history(ledgers.name.as_str(), &releases, printer.width()),
                || json::history(&releases),
            );
        }
        Some(key) => {
            let targets: Vec<_> = sources.iter().map(|source| history::versions(source, &key, now)).collect();
            if targets.iter().all(|target| target.versions.is_empty()) {
                let trouble = Trouble::new("not-found", format!("no release ever touched {key}"))
                    .with_hint("repin history lists the releases, repin show N what each touched.");
                return Err(Failure::new(Exit::Failed, trouble));
            }
            printer.result(
                || text::key_history(key.as_str(), &targets, printer.width()),
                || json::key_history(key.as_str(), &targets),
            );
        }
    }
    Ok(ledgers.finish(printer))
}
