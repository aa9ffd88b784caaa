//! `repin diff A [B]`: what differs between two releases, or between one and what is served now.

use std::collections::BTreeMap;

use futures::future::join_all;
use repin_provider::TargetName;

use super::Failure;
use super::args::{Common, DiffArgs};
use super::history::Ledgers;
use super::print::Printer;
use crate::difference::{self, Difference};
use crate::exit::Exit;
use crate::model::release::Ledger;
use crate::report::{Trouble, json, text};

pub(super) async fn run(common: &Common, args: &DiffArgs, printer: &Printer) -> Result<Exit, Failure> {
    let mut ledgers = Ledgers::read(common, printer).await?;
    for release in std::iter::once(args.from).chain(args.to) {
        ledgers.find(release)?;
    }
    let mut failed: Vec<_> = ledgers.each().filter_map(|(target, ledger, _)| forgotten(args, target, ledger)).collect();
    let known = ledgers.each().filter(|(target, ledger, _)| forgotten(args, target, ledger).is_none());
    let reads = known.map(async |(target, ledger, provider)| {
        (target.clone(), difference::read(provider, ledger, args.from, args.to).await)
    });
    let mut targets = BTreeMap::new();
    for (target, read) in join_all(reads).await {
        match read {
            Ok(differ) => {
                targets.insert(target, differ);
            }
            Err(error) => failed.push((Exit::of_error(&error), Trouble::of_error(&error).with_target(&target))),
        }
    }
    for (exit, trouble) in failed {
        ledgers.failed(exit, trouble);
    }
    if targets.is_empty() {
        return Err(ledgers.into_failure());
    }
    let difference = Difference { from: args.from, to: args.to, targets };
    let name = ledgers.name.as_str();
    printer.result(|| text::difference(name, &difference, printer.width()), || json::difference(name, &difference));
    Ok(ledgers.finish(printer))
}

/// Says which of the releases is so old that a target's ledger tells no more what it had.
fn forgotten(args: &DiffArgs, target: &TargetName, ledger: &Ledger) -> Option<(Exit, Trouble)> {
    let release = std::iter::once(args.from).chain(args.to).find(|release| ledger.is_folded(*release))?;
    let trouble = Trouble::new("gone", format!("what release {release} had is known no more"))
        .with_target(target)
        .with_hint("policy.keep_releases says how many releases are kept in full.");
    Some((Exit::Failed, trouble))
}
