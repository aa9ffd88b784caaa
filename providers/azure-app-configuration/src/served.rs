//! What readers find behind a snapshot reference.
//!
//! A pass in which nothing changed asks for the reference and for the snapshot's status, both on condition that they
//! changed, and for nothing else: what a snapshot holds never does.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use repin_provider::{Key, Observation, Observe, Reference, Result, Resume, Seen};
use serde::{Deserialize, Serialize};

use crate::AppConfiguration;
use crate::audit::FLAGS;
use crate::client::{Found, Look, PageKept};
use crate::convert::{Kept, OWNER_TAG};
use crate::names::is_ledger;
use crate::snapshot::{is_kept, is_readable, referred};

/// What one look leaves for the next; kept as text, as [`Remembered`](crate::observe::Remembered) is.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Memory {
    /// Where it was looked; what is remembered of another place is of no use.
    scope: String,
    reference: Option<Kept>,
    set: Option<SetKept>,
    /// The pages of the last census.
    around: Vec<PageKept>,
    /// Whether anything differs from what was remembered.
    #[serde(skip)]
    changed: bool,
}

/// A snapshot that was read.
#[derive(Debug, Serialize, Deserialize)]
struct SetKept {
    name: String,
    /// When it was made: once it has expired, another may have its name.
    created: Option<Timestamp>,
    /// The etag of a snapshot that is ready; any other status is asked for each time, since it may pass by itself.
    etag: Option<String>,
    items: Vec<Kept>,
}

impl Memory {
    fn decode(resume: Option<&Resume>, scope: &str) -> Self {
        resume
            .and_then(|resume| serde_json::from_str::<Self>(resume.0.as_str()?).ok())
            .filter(|memory| memory.scope == scope)
            .unwrap_or_else(|| Self { scope: scope.to_owned(), changed: true, ..Self::default() })
    }

    fn encode(&self) -> Option<Resume> {
        serde_json::to_string(self).ok().map(|text| Resume(text.into()))
    }
}

impl AppConfiguration {
    /// Looks at the reference and at the snapshot that it names.
    pub(crate) async fn look_behind(&self, reference: &str, request: Observe) -> Result<Observation> {
        let scope = format!("{}/behind {reference}", self.place);
        let mut memory = Memory::decode(request.resume.as_ref(), &scope);
        let at = self.look_at_reference(reference, &mut memory).await?;
        let kept = match memory.reference.as_ref().and_then(referred) {
            Some(name) => self.look_at_set(name, &mut memory).await?,
            None => {
                memory.changed |= memory.set.take().is_some();
                false
            }
        };
        let mut foreign: Option<BTreeSet<String>> = match request.census {
            true => Some(self.look_around(reference, &mut memory).await?),
            false => None,
        };
        let resume = if memory.changed { memory.encode() } else { request.resume };

        let mut wanted: HashMap<String, Key> =
            request.keys.iter().map(|key| (self.names.native(key), key.clone())).collect();
        let mut items: BTreeMap<Key, Seen> = request.keys.into_iter().map(|key| (key, Seen::Absent)).collect();
        for captured in memory.set.into_iter().flat_map(|set| set.items) {
            if let Some(key) = wanted.remove(&captured.key) {
                items.insert(key, Seen::Present(captured.into_item()));
            } else if let Some(foreign) = &mut foreign
                && self.names.key(&captured.key).is_some()
                && !is_ledger(&captured.key)
            {
                foreign.insert(captured.key);
            }
        }
        let foreign = foreign.map(Vec::from_iter);
        let reference = memory.reference.map(|there| Reference {
            set: referred(&there),
            owner: there.tags.get(OWNER_TAG).cloned(),
            version: there.version,
            kept,
        });
        Ok(Observation { items, foreign, reference, at, resume })
    }

    /// Brings the remembered reference up to date, and returns the store's clock.
    async fn look_at_reference(&self, reference: &str, memory: &mut Memory) -> Result<Option<Timestamp>> {
        let etag = memory.reference.as_ref().map(|kept| kept.version.id.as_str());
        let Look { found, at } = self.store.look(reference, self.names.read_label(), etag).await?;
        let now = match found {
            Found::Unchanged => return Ok(at),
            Found::Now(kept) => Some(kept),
            Found::Gone => None,
        };
        memory.changed |= memory.reference != now;
        memory.reference = now;
        Ok(at)
    }

    /// Brings the remembered snapshot up to date, and tells whether it will stay.
    async fn look_at_set(&self, name: String, memory: &mut Memory) -> Result<bool> {
        let old = memory.set.take_if(|set| set.name == name);
        let etag = old.as_ref().and_then(|set| set.etag.as_deref());
        let snapshot = match self.store.look_at_snapshot(&name, etag).await?.found {
            Found::Unchanged => {
                memory.set = old;
                return Ok(true);
            }
            // Until it can be read, readers find nothing behind the reference.
            Found::Now(snapshot) if !is_readable(&snapshot) => None,
            Found::Now(snapshot) => Some(snapshot),
            Found::Gone => None,
        };
        memory.changed = true;
        let Some(snapshot) = snapshot else {
            memory.set = None;
            return Ok(false);
        };
        let created = snapshot.created.and_then(crate::convert::timestamp);
        let items = match old {
            Some(old) if old.created.is_some() && old.created == created => old.items,
            _ => self.captured(&snapshot).await?,
        };
        let kept = is_kept(&snapshot);
        let etag = snapshot.etag.filter(|_| kept);
        memory.set = Some(SetKept { name, created, etag, items });
        Ok(kept)
    }

    /// Lists what else is under the label that readers select: they meet it beside what the snapshot holds.
    async fn look_around(&self, reference: &str, memory: &mut Memory) -> Result<BTreeSet<String>> {
        let remembered = std::mem::take(&mut memory.around);
        let listing = self.store.list(&self.names.surroundings(), remembered).await?;
        memory.changed |= listing.changed;
        let other = |name: &str| name != reference && !is_ledger(name) && !name.starts_with(FLAGS);
        let names = listing.pages.iter().flat_map(|page| &page.items).map(|kept| &kept.key);
        let foreign = names.filter(|name| other(name)).cloned().collect();
        memory.around = listing.pages;
        Ok(foreign)
    }
}
