//! `repin status`: how the configuration stands, verdict first.

use futures::future::join_all;
use repin_provider::{Observe, Owner, Provider, TargetName};

use super::args::{Common, Probe, StatusArgs};
use super::print::Printer;
use super::session::{self, Session};
use super::{Failure, probe};
use crate::exit::Exit;
use crate::model::release::TargetId;
use crate::record::host::HostMemory;
use crate::record::ledger::{self, LedgerError};
use crate::report::{Trouble, json, text};
use crate::status::{Look, Status};

pub(super) async fn run(common: &Common, args: &StatusArgs, printer: &Printer) -> Result<Exit, Failure> {
    let identity = session::load_identity(common)?;
    if let Some(what) = args.probe {
        return ask_daemon(common, &identity.name, what, printer).await;
    }
    let session = Session::open(common, &identity.name, &identity.targets, printer).await?;
    let memory = &session.host.memory;
    let looks =
        session.providers.iter().map(|(target, provider)| look(&identity.name, target, provider.as_ref(), memory));
    let (looks, failures): (Vec<_>, Vec<_>) = join_all(looks).await.into_iter().unzip();
    // A broken entry must not keep the status from being shown.
    let desired = session::load(common).ok();
    let digest = desired.as_ref().map(|desired| &desired.digest);
    let status = Status::new(looks, digest, &memory.newest_files());
    let failures: Vec<_> = failures.into_iter().flatten().collect();
    let troubles: Vec<_> = failures
        .iter()
        .map(|(target, error)| (target.clone(), Trouble::of_ledger(error).with_target(target)))
        .collect();
    let (name, now) = (identity.name.as_str(), (session.host.now)());
    printer.result(|| text::status(name, &status, now), || json::status(name, &status, &troubles));
    troubles.iter().for_each(|(_, trouble)| printer.note(text::trouble(trouble).trim_end()));
    Ok(failures.iter().map(|(_, error)| Exit::of_ledger(error)).max().unwrap_or(Exit::Done))
}

async fn ask_daemon(common: &Common, name: &Owner, what: Probe, printer: &Printer) -> Result<Exit, Failure> {
    let answer = probe::ask(&session::state_dir(common), name, what).await?;
    printer.result(
        || format!("{answer}\n"),
        || serde_json::json!({ "name": name, "probe": what.word(), "answer": answer }),
    );
    Ok(Exit::Done)
}

/// Looks at one target: its ledger, then what it serves for each key that the ledger knows.
async fn look(
    name: &Owner,
    target: &TargetName,
    provider: &dyn Provider,
    memory: &HostMemory,
) -> (Look, Option<(TargetName, LedgerError)>) {
    let id = TargetId::of(provider.place());
    let mut known = memory.target(&id);
    let last_pass = known.last_pass;
    let remembered = ledger::remembered(name, &known.ledger);
    let mut look = Look { target: target.clone(), id, ledger: remembered, items: None, failure: None, last_pass };
    let failure = async {
        let loaded = ledger::load(provider, name, &mut known.ledger).await?;
        let keys: Vec<_> = loaded.ledger.pins.keys().cloned().collect();
        look.ledger = Some(loaded.ledger);
        look.items = Some(Default::default());
        if !keys.is_empty() {
            look.items = None;
            let seen = provider.observe(Observe { keys, census: false, resume: known.resume.take() }).await?;
            known.resume = seen.resume;
            look.items = Some(seen.items);
        }
        Ok::<_, LedgerError>(())
    }
    .await
    .err();
    match &failure {
        None => memory.remember_target(&look.id, &known),
        Some(LedgerError::Store(error)) => look.failure = Some(error.kind),
        Some(LedgerError::Corrupt { .. } | LedgerError::Raced(_)) => {
            look.failure = Some(repin_provider::ErrorKind::Unexpected);
        }
    }
    (look, failure.map(|error| (target.clone(), error)))
}
