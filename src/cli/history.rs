//! `repin history [KEY]`: what the ledgers say.

use std::collections::BTreeMap;
use std::sync::Arc;

use repin_provider::{Key, Provider, TargetName};

use super::Failure;
use super::args::{Common, HistoryArgs};
use super::print::Printer;
use super::session::{self, Session};
use crate::exit::Exit;
use crate::history::{self, Source};
use crate::model::release::{Ledger, TargetId};
use crate::record::ledger;
use crate::report::{Trouble, json, text};

/// The ledgers that could be read.
pub(super) struct Ledgers {
    pub(super) name: repin_provider::Owner,
    read: BTreeMap<TargetName, (Ledger, Arc<dyn Provider>)>,
    /// What could not be read; said beside the result.
    pub(super) troubles: Vec<Trouble>,
    pub(super) exit: Exit,
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
        for (target, provider) in &ledgers.session.providers {
            let id = TargetId::of(provider.place());
            let mut memory = ledgers.session.host.memory.target(&id);
            match ledger::load(provider.as_ref(), &ledgers.name, &mut memory.ledger).await {
                Ok(loaded) => {
                    ledgers.session.host.memory.remember_target(&id, &memory);
                    ledgers.read.insert(target.clone(), (loaded.ledger, provider.clone()));
                }
                Err(error) => {
                    ledgers.exit = ledgers.exit.max(Exit::of_ledger(&error));
                    ledgers.troubles.push(Trouble::of_ledger(&error).with_target(target));
                }
            }
        }
        if ledgers.read.is_empty() {
            return Err(Failure { exit: ledgers.exit, troubles: ledgers.troubles });
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
            printer.result(|| text::history(ledgers.name.as_str(), &releases), || json::history(&releases));
        }
        Some(key) => {
            let targets: Vec<_> = sources.iter().map(|source| history::versions(source, &key, now)).collect();
            if targets.iter().all(|target| target.versions.is_empty()) {
                let trouble = Trouble::new("not-found", format!("no release ever touched {key}"))
                    .with_hint("repin history lists the releases, repin show N what each touched.");
                return Err(Failure::new(Exit::Failed, trouble));
            }
            printer.result(|| text::key_history(key.as_str(), &targets), || json::key_history(key.as_str(), &targets));
        }
    }
    Ok(ledgers.finish(printer))
}
