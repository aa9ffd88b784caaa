//! What must be so after any rivalry, whoever came first.

use std::collections::BTreeSet;

use repin::model::outcome::{Outcome, StepResult};

use crate::console::{Cloud, Console, Wrote};
use crate::stage::{Ran, Site};

/// Versions of a key that passes knew of when they wrote over them: what they planned from, and what they noticed.
fn accounted(ran: &[Ran], cloud: Cloud, key: &str) -> BTreeSet<String> {
    let outcomes = || ran.iter().filter_map(|ran| ran.outcome.as_ref());
    let steps = outcomes().flat_map(|outcome| &outcome.steps);
    let of = |target: &str, step: &str| target == cloud.target() && step == key;
    let steps = steps.filter(|step| of(step.target.as_str(), step.key.as_str()));
    let mut known: BTreeSet<String> =
        steps.flat_map(|step| [&step.from, &step.buried]).flatten().map(|version| version.id.clone()).collect();
    for plan in outcomes().flat_map(|outcome| &outcome.plan.targets).filter(|(name, _)| name.as_str() == cloud.target())
    {
        let bases = plan.1.steps.iter().filter(|step| step.key.as_str() == key).filter_map(|step| step.base.clone());
        let leftovers =
            plan.1.leftovers.iter().filter(|(left, _)| left.as_str() == key).map(|(_, version)| version.clone());
        known.extend(bases.chain(leftovers).map(|version| version.id));
    }
    known
}

/// No text that somebody wrote is lost: it is still there, or it was seen (or noticed) and is still to be had.
///
/// Parameter Store deletes whatever is there, and its history. What is written after the look that directly precedes the
/// delete is beyond anybody's means; it is the only exception.
pub(crate) async fn nothing_lost(site: &Site<'_>, console: &Console, ran: &[Ran], told: &str) {
    for wrote in console.wrote() {
        if wrote.cloud == Cloud::Aws && site.gate.stopped_a_delete(&wrote.key) {
            continue;
        }
        let Wrote { cloud, key, version, text } = &wrote;
        let is_there = match cloud {
            Cloud::Aws => console.get(key).await.is_some_and(|(there, _)| there.to_string() == *version),
            Cloud::Azure => {
                let current = console.current(key, &console.staged()).await;
                current.and_then(|there| there.etag).is_some_and(|etag| etag == *version)
            }
        };
        if is_there {
            continue;
        }
        let known = accounted(ran, *cloud, key);
        assert!(known.contains(version), "{told}: {wrote:?} was written over by who knew only of {known:?}\n{ran:#?}");
        let kept = match cloud {
            Cloud::Aws => console.parameters(key).await.iter().any(|(_, kept)| kept == text),
            Cloud::Azure => console.revisions(key).await.iter().any(|(etag, _)| etag == version),
        };
        assert!(kept || removed(ran, &wrote), "{told}: {wrote:?} is gone for good\n{ran:#?}");
    }
}

/// Tells whether a pass removed exactly what somebody wrote, on purpose: the file does not ask for the key.
fn removed(ran: &[Ran], wrote: &Wrote) -> bool {
    let steps = ran.iter().filter_map(|ran| ran.outcome.as_ref()).flat_map(|outcome| &outcome.steps);
    steps.filter(|step| step.result == StepResult::Applied && step.to.is_none()).any(|step| {
        step.key.as_str() == wrote.key
            && step.target.as_str() == wrote.cloud.target()
            && step.from.as_ref().is_some_and(|from| from.id == wrote.version)
    })
}

/// Whoever buried a version says so: both versions, and a conflict as the end.
pub(crate) fn told_truly(ran: &Ran, told: &str) {
    let Some(outcome) = &ran.outcome else { return };
    for step in buried(outcome) {
        assert_eq!(ran.exit, 5, "{told}: {ran:#?}");
        let ours = step.to.as_ref().map(|version| version.id.clone()).unwrap_or_default();
        let theirs = step.buried.as_ref().map(|version| version.id.clone()).unwrap_or_default();
        assert!(ran.report.contains(&ours) && ran.report.contains(&theirs), "{told}: {}", ran.report);
    }
}

fn buried(outcome: &Outcome) -> impl Iterator<Item = &repin::model::outcome::StepOutcome> {
    outcome.steps.iter().filter(|step| step.buried.is_some())
}

/// Every write to App Configuration says what it expects to replace.
pub(crate) fn all_conditional(site: &Site<'_>, told: &str) {
    assert_eq!(site.gate.careless(), Vec::<String>::new(), "{told}");
}
