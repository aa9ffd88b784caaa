//! One decision a key: what the file asks, what the store holds, what the ledger says.

use repin_provider::{Content, Item, Key, Owner, ReadValue, Seen, Value, Version};

use super::diff;
use crate::model::compare::{content_digest, same_description, same_shape, same_text};
use crate::model::desired::{Adopt, Drift, Entry, Policy};
use crate::model::observed::FileStanding;
use crate::model::plan::{Block, BlockKind, Change, Reason, Step, StepAction};
use crate::model::release::Pin;

/// Everything about one key.
pub(super) struct KeyView<'a> {
    pub(super) key: &'a Key,
    pub(super) entry: Option<&'a Entry>,
    pub(super) seen: Option<&'a Seen>,
    pub(super) pin: Option<&'a Pin>,
    /// Whether an open record of ours may have made it.
    pub(super) may_be_ours: bool,
    /// The content of the pin where it is no longer served: not asked for, gone, or this.
    pub(super) pinned: Option<&'a Option<ReadValue>>,
    pub(super) secret_matches: Option<bool>,
    pub(super) native: String,
    pub(super) owner: &'a Owner,
    pub(super) policy: &'a Policy,
    pub(super) file: FileStanding,
    pub(super) content_types: bool,
    /// Whether the store answers descriptions.
    pub(super) describes: bool,
    /// Whether the file lets go of it.
    pub(super) forgotten: bool,
}

/// What to do about one key.
pub(super) enum Decision {
    /// It is none of our business.
    Nothing,
    /// It is as it should be.
    Unchanged,
    /// Something is to be done.
    Step(Box<Step>),
    /// It is not as it should be, and that is only told.
    Drift(Key, Version, Option<Version>),
    /// The whole pass must not run.
    Block(Box<Block>),
}

/// Decides.
pub(super) fn decide(view: &KeyView<'_>) -> Decision {
    let item = match view.seen {
        Some(Seen::Present(item)) => Some(item),
        Some(Seen::Absent) => None,
        Some(Seen::Unreadable(why)) => return view.unreadable(why),
        None => return view.unreadable("it was not looked at"),
    };
    if view.file == FileStanding::Behind {
        return view.keep_pin(item);
    }
    if view.entry.is_some_and(|entry| entry.pin.is_some()) {
        return view.unpinnable();
    }
    match (view.entry, item) {
        (Some(entry), None) => view.make(entry),
        (Some(entry), Some(item)) if view.pin.is_none() => view.meet(entry, item),
        (Some(entry), Some(item)) => view.compare(entry, item),
        (None, item) => view.drop(item),
    }
}

impl KeyView<'_> {
    /// The file wants it and the store does not hold it.
    fn make(&self, entry: &Entry) -> Decision {
        let missing = self.pin.is_some();
        let repair = missing && self.asks_for_pin(entry);
        if repair && self.policy.drift == Drift::Report {
            return self.told(None);
        }
        let reason = if missing { Reason::Missing } else { Reason::New };
        self.step(StepAction::Create, reason, None, Some(content(entry, None)), repair, Vec::new())
    }

    /// The file wants it, and something is there that the ledger does not know.
    fn meet(&self, entry: &Entry, item: &Item) -> Decision {
        let equal = self.equal(entry, item);
        let ours = item.is_owned_by(self.owner);
        if self.may_be_ours && ours {
            // Made by a run of ours that died before it could say so.
            return if equal {
                self.accept(StepAction::Pin, Reason::Equal, item, false)
            } else {
                self.update(entry, item, Reason::Changed, false)
            };
        }
        if let Some(Some(other)) = &item.owner
            && !ours
        {
            return self.foreign(&format!("{} belongs to {other:?}", self.native), "Take it out of one of the files.");
        }
        match entry.adopt {
            Adopt::Never => self.foreign(
                &format!("{} is there already and is not in the ledger of {}", self.native, self.owner),
                "Choose another key, or take it over with adopt: equal or adopt: always on this entry.",
            ),
            Adopt::Equal if !equal => self.foreign(
                &format!("{} is there already and holds something else", self.native),
                "Make the file ask for what it holds, or overwrite it with adopt: always on this entry.",
            ),
            Adopt::Equal | Adopt::Always if equal => self.accept(StepAction::Adopt, Reason::Adopted, item, false),
            Adopt::Equal | Adopt::Always => self.update(entry, item, Reason::Adopted, false),
        }
    }

    /// The file wants it, and it is ours.
    fn compare(&self, entry: &Entry, item: &Item) -> Decision {
        let Some(pin) = self.pin else { return Decision::Nothing };
        let served_pin = item.version == pin.version;
        match (served_pin, self.equal(entry, item)) {
            (true, true) if self.describes_otherwise(entry, pin) => self.update(entry, item, Reason::Changed, false),
            (true, true) => Decision::Unchanged,
            (true, false) => self.update(entry, item, Reason::Changed, false),
            // Whoever wrote it, it is what is wanted.
            (false, true) => self.accept(StepAction::Pin, Reason::Equal, item, self.asks_for_pin(entry)),
            (false, false) if !self.asks_for_pin(entry) => self.update(entry, item, Reason::Changed, false),
            (false, false) if self.policy.drift == Drift::Report => self.told(Some(item)),
            (false, false) => self.update(entry, item, Reason::Drift, true),
        }
    }

    /// The file does not want it.
    fn drop(&self, item: Option<&Item>) -> Decision {
        if self.pin.is_none() {
            // Meant to be made by a run that died, and dropped from the file since.
            return match item {
                Some(item) if self.may_be_ours && item.is_owned_by(self.owner) => self.remove(item),
                _ => Decision::Nothing,
            };
        }
        match item {
            _ if self.forgotten => self.step(StepAction::Forget, Reason::Forgotten, None, None, false, Vec::new()),
            Some(item) if self.policy.prune => self.remove(item),
            Some(_) => Decision::Unchanged,
            None => self.step(StepAction::Delete, Reason::Dropped, None, None, false, Vec::new()),
        }
    }

    /// The file does not count: what the ledger says is kept.
    fn keep_pin(&self, item: Option<&Item>) -> Decision {
        let Some(pin) = self.pin else { return Decision::Nothing };
        if item.is_some_and(|item| item.version == pin.version) {
            return Decision::Unchanged;
        }
        let (Drift::Correct, Some(Some(pinned))) = (self.policy.drift, self.pinned) else {
            return self.told(item);
        };
        let content = Content {
            value: if pinned.secret {
                Value::Secret(pinned.value.clone())
            } else {
                Value::Plain(pinned.value.expose().to_owned())
            },
            content_type: pinned.content_type.clone(),
            tags: pinned.tags.clone().unwrap_or_default(),
            description: item.and_then(|item| item.description.clone()),
            tier: None,
        };
        let (action, reason) = match item {
            Some(_) => (StepAction::Update, Reason::Drift),
            None => (StepAction::Create, Reason::Missing),
        };
        let mut decision = self.step(action, reason, item, Some(content), true, Vec::new());
        if let Decision::Step(step) = &mut decision {
            // What is put back is what the pin held, whatever the file says.
            step.digest = pin.content.clone();
        }
        decision
    }

    /// Tells whether the entry says something else about the item than what was released, in a store that does not
    /// answer descriptions and tiers with its items: there the ledger is all that tells.
    fn describes_otherwise(&self, entry: &Entry, pin: &Pin) -> bool {
        let names_something = entry.description.is_some() || entry.tier.is_some();
        let released = pin.content.as_ref().is_some_and(|released| content_digest(entry).as_ref() != Some(released));
        !self.describes && names_something && released
    }

    /// Tells whether the item holds what the entry asks for.
    fn equal(&self, entry: &Entry, item: &Item) -> bool {
        let value = match (&entry.value, &item.value) {
            (Value::Plain(wanted), Some(held)) => same_text(entry.kind, wanted, held),
            (Value::Secret(_), _) => self.secret_matches == Some(true),
            (Value::Plain(_), None) => false,
        };
        let described = !self.describes || same_description(entry, item);
        value && described && same_shape(entry, item, self.content_types)
    }

    /// Tells whether the entry still asks for what the pin holds, so that putting it back is a repair and no release.
    ///
    /// The ledger names the contents of pins. Of a secret it does not: there the pin was read back to compare, or the
    /// file is the one that was released.
    fn asks_for_pin(&self, entry: &Entry) -> bool {
        if let (Some(pinned), Some(asked)) = (self.pin.and_then(|pin| pin.content.as_ref()), content_digest(entry)) {
            return *pinned == asked;
        }
        match self.pinned {
            Some(Some(pinned)) => same_text(entry.kind, entry.value.expose(), pinned.value.expose()),
            Some(None) | None => self.file == FileStanding::Current,
        }
    }

    fn update(&self, entry: &Entry, item: &Item, reason: Reason, repair: bool) -> Decision {
        if item.secret && !entry.value.is_secret() {
            return Decision::Block(Box::new(Block {
                kind: BlockKind::Refused,
                target: None,
                key: Some(self.key.clone()),
                message: format!("{} is a SecureString, and the file would make it plain text", self.native),
                hint: "Keep secret: true, or drop the entry, let it be pruned and add it again.".to_owned(),
            }));
        }
        let changes = diff::changes(entry, item, self.content_types);
        self.step(StepAction::Update, reason, Some(item), Some(content(entry, Some(item))), repair, changes)
    }

    fn accept(&self, action: StepAction, reason: Reason, item: &Item, repair: bool) -> Decision {
        let mut decision = self.step(action, reason, Some(item), None, repair, Vec::new());
        if let Decision::Step(step) = &mut decision {
            step.from = self.pin.map(|pin| pin.version.clone());
            step.to = Some(item.version.clone());
        }
        decision
    }

    fn remove(&self, item: &Item) -> Decision {
        self.step(StepAction::Delete, Reason::Dropped, Some(item), None, false, Vec::new())
    }

    fn told(&self, item: Option<&Item>) -> Decision {
        match self.pin {
            Some(pin) => Decision::Drift(self.key.clone(), pin.version.clone(), item.map(|item| item.version.clone())),
            None => Decision::Nothing,
        }
    }

    fn step(
        &self,
        action: StepAction,
        reason: Reason,
        item: Option<&Item>,
        content: Option<Content>,
        repair: bool,
        changes: Vec<Change>,
    ) -> Decision {
        Decision::Step(Box::new(Step {
            key: self.key.clone(),
            native: self.native.clone(),
            action,
            reason,
            from: item.map(|item| item.version.clone()),
            to: None,
            content,
            digest: if action == StepAction::Delete { None } else { self.entry.and_then(content_digest) },
            repair,
            changes,
        }))
    }

    /// Serving the value although the file asks for a native version would be the very thing that a pin forbids.
    fn unpinnable(&self) -> Decision {
        Decision::Block(Box::new(Block {
            kind: BlockKind::Refused,
            target: None,
            key: Some(self.key.clone()),
            message: "pin is not built yet; nothing was done".to_owned(),
            hint: "Leave pin out and give the entry the value that it should have.".to_owned(),
        }))
    }

    fn foreign(&self, message: &str, hint: &str) -> Decision {
        Decision::Block(Box::new(Block {
            kind: BlockKind::Foreign,
            target: None,
            key: Some(self.key.clone()),
            message: message.to_owned(),
            hint: hint.to_owned(),
        }))
    }

    fn unreadable(&self, why: &str) -> Decision {
        if self.entry.is_none() && self.pin.is_none() {
            return Decision::Nothing;
        }
        Decision::Block(Box::new(Block {
            kind: BlockKind::Unreadable,
            target: None,
            key: Some(self.key.clone()),
            message: format!("{} could not be read: {why}", self.native),
            hint: "What cannot be read is not taken for absent; try again.".to_owned(),
        }))
    }
}

/// Returns what to put: what the entry names, and what it does not name as it is.
fn content(entry: &Entry, item: Option<&Item>) -> Content {
    Content {
        value: entry.value.clone(),
        content_type: entry.content_type.clone().or_else(|| item?.content_type.clone()),
        tags: entry.tags.clone().or_else(|| item?.tags.clone()).unwrap_or_default(),
        description: entry.description.clone().or_else(|| item?.description.clone()),
        tier: entry.tier,
    }
}
