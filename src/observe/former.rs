//! Whose an item is that has an owner's tag: the tag stays when an owner lets go of it, since taking it off would be a
//! write. The ledger of that owner, at the same place, tells.

use std::collections::{BTreeMap, BTreeSet};

use repin_provider::{Error, Item, Key, Owner, Provider, Seen};

use crate::model::desired::{Adopt, Target};
use crate::model::release::Ledger;
use crate::record::ledger;

/// The most owners that are asked for one item, each of which handed it to the next.
const MOST: usize = 8;

/// Corrects the owners of items that the file may take over: nobody's where whoever the tag names has let go of it, and
/// the heir's where it was handed over.
pub(super) async fn ask(
    me: &Owner,
    target: &Target,
    provider: &dyn Provider,
    own: &Ledger,
    items: &mut BTreeMap<Key, Seen>,
) -> Result<(), Error> {
    let adopts = |key: &Key| target.entries.get(key).is_some_and(|entry| entry.adopt != Adopt::Never);
    let there = items.iter_mut().filter_map(|(key, seen)| match seen {
        Seen::Present(item) if adopts(key) => Some((key, item)),
        _ => None,
    });
    correct(me, provider, own, there).await
}

/// Does so for some items that may be taken over. What the ledger of `me` has is left as it is.
///
/// # Errors
/// Fails where a ledger cannot be read for another reason than a missing right.
pub async fn correct<'a>(
    me: &Owner,
    provider: &dyn Provider,
    own: &Ledger,
    items: impl Iterator<Item = (&'a Key, &'a mut Item)>,
) -> Result<(), Error> {
    let mut ledgers = Ledgers { provider, read: BTreeMap::new() };
    for (key, item) in items {
        if own.pins.contains_key(key) || own.withdrawn.contains_key(key) {
            continue;
        }
        let tagged = item.owner.clone().flatten().and_then(|name| Owner::parse(&name).ok());
        let others = tagged.filter(|owner| owner != me);
        match (others, own.let_go(key)) {
            // We gave it away ourselves, whatever the tag says.
            (None, Some(Some(heir))) => {
                if let Whose::Of(owner) = ledgers.follow(me, heir, true, key).await? {
                    item.owner = Some(Some(owner.to_string()));
                }
            }
            (None, _) => {}
            (Some(owner), _) => {
                item.owner = Some(match ledgers.follow(me, &owner, false, key).await? {
                    Whose::Of(owner) => Some(owner.to_string()),
                    Whose::Free => None,
                });
            }
        }
    }
    Ok(())
}

/// Whose something is.
#[derive(Debug, PartialEq, Eq)]
enum Whose {
    Of(Owner),
    Free,
}

/// The ledgers of other owners at one place, each read once.
struct Ledgers<'a> {
    provider: &'a dyn Provider,
    /// `None` for one that is not there or may not be read.
    read: BTreeMap<Owner, Option<Ledger>>,
}

impl Ledgers<'_> {
    /// Follows a key from an owner to whom it was handed on.
    async fn follow(&mut self, me: &Owner, from: &Owner, reserved: bool, key: &Key) -> Result<Whose, Error> {
        let (mut owner, mut reserved) = (from.clone(), reserved);
        let mut asked = BTreeSet::new();
        while owner != *me && asked.insert(owner.clone()) && asked.len() <= MOST {
            if !self.read.contains_key(&owner) {
                let read = ledger::of_another(self.provider, &owner).await?;
                self.read.insert(owner.clone(), read);
            }
            match whose(&owner, self.read.get(&owner).and_then(Option::as_ref), reserved, key) {
                Step::Ends(whose) => return Ok(whose),
                Step::GoesOn(heir) => (owner, reserved) = (heir, true),
            }
        }
        Ok(if owner == *me { Whose::Free } else { Whose::Of(owner) })
    }
}

/// What one ledger says of a key.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Ends(Whose),
    GoesOn(Owner),
}

fn whose(owner: &Owner, ledger: Option<&Ledger>, reserved: bool, key: &Key) -> Step {
    let theirs = Step::Ends(Whose::Of(owner.clone()));
    // What cannot be read does not let go of anything.
    let Some(ledger) = ledger else { return theirs };
    if ledger.pins.contains_key(key) || ledger.withdrawn.contains_key(key) {
        return theirs;
    }
    match ledger.let_go(key) {
        Some(Some(heir)) => Step::GoesOn(heir.clone()),
        Some(None) => Step::Ends(Whose::Free),
        None if reserved || ledger.may_have_made(key) => theirs,
        // Their own ledger knows nothing of it (any more), and that is what makes something an owner's.
        None => Step::Ends(Whose::Free),
    }
}
