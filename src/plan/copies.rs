//! What the ledger must copy before a store loses it.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use repin_provider::{Content, Item, Seen, Serving, Value, Version};

use crate::model::compare::content_read;
use crate::model::observed::{Found, TargetState};
use crate::model::plan::{Step, StepAction};
use crate::model::release::CopyName;
use crate::model::retention::is_dropped_soon;

/// A revision that is this close to its end when it is replaced is copied too: it may be gone before anybody could want
/// it back.
const MARGIN: SignedDuration = SignedDuration::from_hours(24);

/// Lists the copies that are due before these steps.
pub(super) fn of(steps: &[Step], state: &TargetState) -> Vec<(CopyName, Content)> {
    let mut copies: Vec<_> = steps.iter().filter(|step| step.writes()).flat_map(|step| dropped(step, state)).collect();
    // Elsewhere nothing is replaced that readers could be led back to.
    let at_once = state.capabilities.serving == Serving::AtOnce;
    for step in steps.iter().filter(|step| at_once && step.writes()) {
        if step.action == StepAction::Delete && state.capabilities.versions_kept.is_some() {
            // The history goes with the item.
            let past = state.past.get(&step.key).into_iter().flatten();
            copies.extend(past.filter_map(|past| match &past.found {
                Found::Kept(Some(read)) => Some((CopyName::of(&step.key, &past.version), content_read(read, None))),
                _ => None,
            }));
        } else if let Some(item) = state.items.get(&step.key).and_then(Seen::item)
            && is_old(&item.version, state)
            && let Some(content) = content_of(item)
        {
            copies.push((CopyName::of(&step.key, &item.version), content));
        }
    }
    let mut seen = BTreeSet::new();
    copies.retain(|(name, _)| !state.ledger.copies.contains(name) && seen.insert(name.clone()));
    copies
}

/// Lists what a put brings back and drops: a run that dies in between leaves nothing else to go on from.
fn dropped<'a>(step: &'a Step, state: &'a TargetState) -> impl Iterator<Item = (CopyName, Content)> + 'a {
    let past = state.past.get(&step.key).into_iter().flatten().filter(|_| step.content.is_some());
    past.filter_map(|past| match &past.found {
        Found::Kept(Some(read)) if is_dropped_soon(&state.ledger, &state.capabilities, &step.key, &past.version) => {
            Some((CopyName::of(&step.key, &past.version), content_read(read, None)))
        }
        _ => None,
    })
}

/// Tells whether a version is gone, or soon is, once it is replaced: its age counts from when it was written.
fn is_old(version: &Version, state: &TargetState) -> bool {
    let (Some(kept), Some(at), Some(now)) = (state.capabilities.versions_kept_for, version.at, state.at) else {
        return false;
    };
    let kept = SignedDuration::try_from(kept).unwrap_or(SignedDuration::MAX);
    now.duration_since(at) >= kept.saturating_sub(MARGIN)
}

fn content_of(item: &Item) -> Option<Content> {
    Some(Content {
        value: Value::Plain(item.value.clone()?),
        content_type: item.content_type.clone(),
        tags: item.tags.clone().unwrap_or_default(),
        description: item.description.clone(),
        tier: None,
    })
}
