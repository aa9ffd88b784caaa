//! `repin status`: how the configuration stands, verdict first.

use std::collections::BTreeMap;

use futures::future::join_all;
use repin_provider::{Error, Key, Observe, Owner, Provider, Seen, TargetName};

use super::args::{Common, Probe, StatusArgs};
use super::print::Printer;
use super::session::{self, Session};
use super::{Failure, probe};
use crate::control::places::Places;
use crate::exit::Exit;
use crate::model::release::{Ledger, TargetId};
use crate::observe::patience;
use crate::record::host::{HostMemory, TargetMemory};
use crate::record::ledger::{self, LedgerError};
use crate::report::{Trouble, json, text};
use crate::status::{Look, Status};

pub(super) async fn run(common: &Common, args: &StatusArgs, printer: &Printer) -> Result<Exit, Failure> {
    if let Some(what) = args.probe {
        return ask_daemon(common, what, printer).await;
    }
    let identity = session::load_identity(common)?;
    let mut session = Session::open(common, &identity.name, &identity.targets, printer).await?;
    let unconnected = session.take_unconnected();
    let memory = &session.host.memory;
    let reads = session.providers.iter().map(|(target, provider)| {
        (target, read_ledger(&identity.name, TargetId::of(provider.place()), provider.as_ref(), memory))
    });
    let mut reads = patience::each(reads).await;
    let looks = session.providers.iter().map(|(target, provider)| {
        let silent = || Err(patience::silent(provider.as_ref(), "read the ledger").into());
        look(&identity.name, target, provider.as_ref(), memory, reads.remove(target).unwrap_or_else(silent))
    });
    let mut looked = join_all(looks).await;
    for (target, failure) in unconnected {
        let Some(config) = identity.targets.get(&target) else { continue };
        let look = from_memory(&identity.name, &target, TargetId::of(&config.place()), memory).0;
        looked.push((look, Some(failure)));
    }
    looked.sort_by(|(a, _), (b, _)| a.target.cmp(&b.target));
    let (mut exit, mut troubles, mut looks) = (Exit::Done, Vec::new(), Vec::new());
    for (mut look, failure) in looked {
        if let Some(failure) = failure {
            exit = exit.max(failure.exit);
            look.failure = failure.troubles.first().map(|trouble| trouble.kind);
            troubles.extend(failure.troubles.into_iter().map(|trouble| (look.target.clone(), trouble)));
        }
        looks.push(look);
    }
    // A broken entry must not keep the status from being shown.
    let desired = session::load(common).ok();
    let status = Status::new(looks, desired.as_ref(), &memory.newest_files());
    let (name, now) = (identity.name.as_str(), (session.host.now)());
    printer.result(|| text::status(name, &status, now), || json::status(name, &status, &troubles));
    troubles.iter().for_each(|(_, trouble)| printer.note(text::trouble(trouble).trim_end()));
    Ok(exit)
}

async fn ask_daemon(common: &Common, what: Probe, printer: &Printer) -> Result<Exit, Failure> {
    let places = Places::new(session::state_dir(common), common.emulate.is_some());
    let name = match session::load_identity(common) {
        Ok(identity) => identity.name,
        // A daemon goes on while its file is broken or gone: then nobody may start it again for that.
        Err(failure) => only_daemon(&places).ok_or(failure)?,
    };
    let answer = probe::ask(&places, &name, what).await?;
    printer.result(
        || format!("{answer}\n"),
        || serde_json::json!({ "name": name.as_str(), "probe": what.word(), "answer": answer }),
    );
    Ok(Exit::Done)
}

/// Returns whose daemon runs on this host, if there is just one.
fn only_daemon(places: &Places) -> Option<Owner> {
    let mut names = places.all().into_iter().map(|found| found.name);
    let first = names.next()?;
    names.all(|name| name == first).then_some(first)
}

/// Returns what this host knows of a target without asking it, and the memory itself.
fn from_memory(name: &Owner, target: &TargetName, id: TargetId, memory: &HostMemory) -> (Look, TargetMemory) {
    let known = memory.target(&id);
    let ledger = ledger::remembered(name, &known.ledger);
    let look = Look { target: target.clone(), id, ledger, items: None, failure: None, last_pass: known.last_pass };
    (look, known)
}

/// Reads a target's ledger.
async fn read_ledger(
    name: &Owner,
    id: TargetId,
    provider: &dyn Provider,
    memory: &HostMemory,
) -> Result<(Ledger, TargetMemory), LedgerError> {
    let mut known = memory.target(&id);
    let loaded = ledger::load(provider, name, &mut known.ledger).await?;
    Ok((loaded.ledger, known))
}

/// Looks at one target: its ledger was read, and what it serves for each key that the ledger knows is asked for.
async fn look(
    name: &Owner,
    target: &TargetName,
    provider: &dyn Provider,
    memory: &HostMemory,
    read: Result<(Ledger, TargetMemory), LedgerError>,
) -> (Look, Option<Failure>) {
    let (mut look, _) = from_memory(name, target, TargetId::of(provider.place()), memory);
    let asked = match read {
        Ok((ledger, mut known)) => match items(provider, &ledger, &mut known).await {
            Ok(items) => {
                memory.remember_target(&look.id, &known);
                (look.ledger, look.items) = (Some(ledger), Some(items));
                Ok(())
            }
            Err(error) => {
                look.ledger = Some(ledger);
                Err(error.into())
            }
        },
        Err(error) => Err(error),
    };
    match asked {
        Ok(()) => (look, None),
        Err(error) => {
            let trouble = Trouble::of_ledger(&error).with_target(target);
            (look, Some(Failure::new(Exit::of_ledger(&error), trouble)))
        }
    }
}

/// Asks what a target serves for each key that its ledger knows.
async fn items(
    provider: &dyn Provider,
    ledger: &Ledger,
    known: &mut TargetMemory,
) -> Result<BTreeMap<Key, Seen>, Error> {
    let keys: Vec<_> = ledger.pins.keys().cloned().collect();
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let seen =
        provider.observe(Observe { keys, census: false, resume: known.resume.take(), ..Observe::default() }).await?;
    known.resume = seen.resume;
    Ok(seen.items)
}
