//! One decision a key: what the file asks, what the store holds, what the ledger says.

use repin_provider::{Content, Item, Key, Owner, ReadValue, Seen, Serving, Value, Version};

use super::diff;
use crate::model::compare::{
    brought_content_type, content_digest, content_read, same_description, same_shape, same_text,
};
use crate::model::desired::{Adopt, Drift, Entry, Policy};
use crate::model::hold::{HeldContent, Hold};
use crate::model::observed::FileStanding;
use crate::model::plan::{Block, BlockKind, Change, Reason, Step, StepAction};
use crate::model::release::Pin;

/// Said of what another configuration keeps.
const ANOTHERS: &str = "Is `name` right? If so, take it out of one of the two files; repin forget with the other file lets go of it there.";

/// The most differences that are said of something that is not taken over.
const SAID: usize = 3;

/// Everything about one key.
pub(super) struct KeyView<'a> {
    pub(super) key: &'a Key,
    pub(super) entry: Option<&'a Entry>,
    pub(super) seen: Option<&'a Seen>,
    pub(super) pin: Option<&'a Pin>,
    pub(super) hold: Option<&'a Hold>,
    /// Whether the file asks for a secret that the hold names; also where nobody can tell any more.
    pub(super) held_secret: bool,
    /// Whether an open record of ours may have made it.
    pub(super) may_be_ours: bool,
    /// Whether it is ours although readers meet nothing of it.
    pub(super) withdrawn: bool,
    /// The content of the pin where it is no longer served: not asked for, gone, or this.
    pub(super) pinned: Option<&'a Option<ReadValue>>,
    /// The content of the version that the file pins, where that is not served: not asked for, gone, or this.
    pub(super) file_pin: Option<&'a Option<ReadValue>>,
    pub(super) secret_matches: Option<bool>,
    /// What the next put would replace, where readers do not meet it by themselves; `None` where it was not looked at.
    pub(super) head: Option<&'a Seen>,
    pub(super) head_matches: Option<bool>,
    pub(super) native: String,
    pub(super) owner: &'a Owner,
    pub(super) policy: &'a Policy,
    pub(super) file: FileStanding,
    pub(super) serving: Serving,
    /// Whether the frozen set that the ledger names can be served again as it is.
    pub(super) set_is_there: bool,
    /// Whether the version that the pin names can be served again as it is, where readers are led to versions.
    pub(super) pin_is_there: bool,
    pub(super) content_types: bool,
    /// Whether what is served is so old among its versions that the store soon takes no put any more.
    pub(super) near_edge: bool,
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
    /// The file asks for something else and may not have it; what is done instead.
    Held(Box<Self>),
    /// It is not as it should be, and that is only told.
    Drift(Key, Version, Option<Version>),
    /// The whole pass must not run.
    Block(Box<Block>),
}

impl Decision {
    /// Tells whether it is of the file's making: a step that is no repair, or what keeps one from being taken.
    pub(super) fn releases(&self) -> bool {
        match self {
            Self::Step(step) => !step.repair,
            Self::Block(block) => matches!(block.kind, BlockKind::Foreign | BlockKind::Refused),
            _ => false,
        }
    }

    /// Tells whether it undoes what somebody else did.
    pub(super) fn corrects(&self) -> bool {
        matches!(self, Self::Step(step) if step.repair && matches!(step.reason, Reason::Drift | Reason::Missing))
    }
}

/// Decides: hold, then pin, then value.
pub(super) fn decide(view: &KeyView<'_>) -> Decision {
    with_item(view, |item| decide_content(view, item))
}

/// Decides where the file does not count: what the ledger says is kept.
pub(super) fn keep(view: &KeyView<'_>) -> Decision {
    with_item(view, |item| view.keep_pin(item))
}

/// Tells what is served other than the ledger says, and leaves it.
pub(super) fn tell(view: &KeyView<'_>) -> Decision {
    view.told(view.seen.and_then(Seen::item))
}

fn with_item<'a>(view: &KeyView<'a>, decide: impl FnOnce(Option<&'a Item>) -> Decision) -> Decision {
    let item = match view.seen {
        Some(Seen::Present(item)) => Some(item),
        Some(Seen::Absent) => None,
        Some(Seen::Unreadable(why)) => return view.unreadable(why),
        None => return view.unreadable("it was not looked at"),
    };
    match decide(item) {
        // It stays as it is, and would soon stand in the way of every put.
        Decision::Unchanged if view.near_edge => view.renew(item),
        Decision::Held(instead) if view.near_edge && matches!(*instead, Decision::Unchanged) => {
            Decision::Held(Box::new(view.renew(item)))
        }
        decision => decision,
    }
}

fn decide_content(view: &KeyView<'_>, item: Option<&Item>) -> Decision {
    if let Some(Seen::Unreadable(why)) = view.head {
        return view.unreadable(why);
    }
    if view.file == FileStanding::Behind {
        return view.keep_pin(item);
    }
    if view.hold.is_some_and(|hold| view.is_held(hold, item)) {
        return Decision::Held(Box::new(view.keep_pin(item)));
    }
    match (view.entry, item) {
        (Some(entry), item) if entry.pin.is_some() => view.serve_pin(entry, item),
        (Some(entry), None) => view.make(entry),
        (Some(entry), Some(item)) if view.pin.is_none() => view.meet(entry, item),
        (Some(entry), Some(item)) => view.compare(entry, item),
        (None, item) => view.drop(item),
    }
}

impl KeyView<'_> {
    /// Tells whether the file asks for something that it may not have for now.
    fn is_held(&self, hold: &Hold, item: Option<&Item>) -> bool {
        let asks_for_served = match (self.entry, self.pin) {
            (Some(entry), Some(pin)) => self.asks_for_content_of(entry, pin, item),
            (None, Some(_)) => self.forgotten || !self.policy.prune,
            (entry, None) => entry.is_none(),
        };
        if hold.by_hand || hold.pinned {
            return !asks_for_served || self.describes_anew();
        }
        if asks_for_served {
            return false;
        }
        match self.entry {
            None => hold.contents.contains(&HeldContent::Absent),
            Some(entry) if entry.value.is_secret() && entry.pin.is_none() => self.held_secret,
            Some(entry) => hold.contents.contains(&HeldContent::Plain(content_digest(entry).core())),
        }
    }

    /// The file wants it and readers meet nothing.
    fn make(&self, entry: &Entry) -> Decision {
        let missing = self.pin.is_some();
        let repair = missing && self.asks_for_pin(entry);
        if repair && self.policy.drift == Drift::Report {
            return self.told(None);
        }
        let reason = if missing { Reason::Missing } else { Reason::New };
        match (self.head.and_then(Seen::item), self.pin) {
            (_, Some(pin)) if repair && self.can_serve_again() => self.serve_again(pin, None, reason),
            (Some(head), None) if !self.withdrawn => self.meet(entry, head),
            (Some(head), _) => self.put_over(entry, None, head, reason, false),
            (None, _) => {
                let content = content(entry, None);
                let mut decision = self.step(StepAction::Create, reason, None, Some(content), repair, Vec::new());
                self.note_origin(&mut decision, repair);
                decision
            }
        }
    }

    /// The file wants it, and something is there that the ledger does not know.
    fn meet(&self, entry: &Entry, item: &Item) -> Decision {
        let equal = self.equal(entry, item);
        // What was taken from readers stayed ours: the ledger says so, whatever the tags say.
        let ours = self.withdrawn || item.is_owned_by(self.owner);
        if (self.may_be_ours || self.withdrawn) && ours {
            // Made by a run of ours that died before it could say so.
            return if equal {
                self.accept(StepAction::Pin, Reason::Equal, item, false)
            } else {
                self.change(entry, item, Reason::Changed, false)
            };
        }
        if let Some(Some(other)) = &item.owner
            && !ours
        {
            return self.foreign(&format!("{} belongs to {other:?}", self.native), ANOTHERS);
        }
        match entry.adopt {
            Adopt::Never => self.foreign(
                &format!("{} is there already and is not in the ledger of {}", self.native, self.owner),
                "Are `name` and the target's place right? Choose another key, or take it over with adopt: equal or adopt: always on \
                 this entry.",
            ),
            Adopt::Equal if !equal => self.foreign(
                &format!("{} is there already and holds something else: {}", self.native, self.unlike(entry, item)),
                "Make the file ask for what it holds, or overwrite it with adopt: always on this entry.",
            ),
            Adopt::Equal | Adopt::Always if equal => self.accept(StepAction::Adopt, Reason::Adopted, item, false),
            Adopt::Equal | Adopt::Always => self.change(entry, item, Reason::Adopted, false),
        }
    }

    /// Says which version is there, and what the file asks for in its place.
    fn unlike(&self, entry: &Entry, item: &Item) -> String {
        let changes = diff::changes(entry, item, self.content_types, self.secret_matches == Some(true));
        let shown =
            |text: &Option<String>| text.as_deref().map_or_else(|| "nothing".to_owned(), |text| format!("{text:?}"));
        let told = changes.iter().take(SAID).map(|change| match (&change.from, &change.to) {
            (None, None) => format!("another {}", change.path),
            (from, to) => format!("{} is {} there and {} in the file", change.path, shown(from), shown(to)),
        });
        let mut told = vec![format!("version {}", item.version)].into_iter().chain(told).collect::<Vec<_>>();
        if let Some(at) = item.version.at {
            told[0].push_str(&format!(" of {at:.0}"));
        }
        if changes.len() > SAID {
            told.push(format!("and {} more", changes.len() - SAID));
        }
        told.join(", ")
    }

    /// The file wants it, and it is ours.
    fn compare(&self, entry: &Entry, item: &Item) -> Decision {
        let Some(pin) = self.pin else { return Decision::Nothing };
        let served_pin = item.version == pin.version;
        match (served_pin, self.equal(entry, item)) {
            (true, true) if self.describes_otherwise(entry, pin) => self.change(entry, item, Reason::Changed, false),
            (true, true) => Decision::Unchanged,
            (true, false) => self.change(entry, item, Reason::Changed, false),
            // Whoever wrote it, it is what is wanted.
            (false, true) => self.accept(StepAction::Pin, Reason::Equal, item, self.asks_for_pin(entry)),
            (false, false) if !self.asks_for_pin(entry) => self.change(entry, item, Reason::Changed, false),
            (false, false) if self.policy.drift == Drift::Report => self.told(Some(item)),
            (false, false) if self.can_serve_again() => self.serve_again(pin, Some(item), Reason::Drift),
            (false, false) => self.change(entry, item, Reason::Drift, true),
        }
    }

    /// The file names a native version, whatever the value says.
    fn serve_pin(&self, entry: &Entry, item: Option<&Item>) -> Decision {
        let wanted = match self.file_pin {
            None => return self.keep_pin(item),
            Some(None) => return self.no_such_version(entry),
            Some(Some(wanted)) => wanted,
        };
        let there = item.or(self.head.and_then(Seen::item));
        if let Some(there) = there
            && self.pin.is_none()
            && !self.withdrawn
            && !(self.may_be_ours && there.is_owned_by(self.owner))
        {
            return self.foreign(
                &format!("{} is there already and is not in the ledger of {}", self.native, self.owner),
                "Take it over first, with adopt: equal or adopt: always and without a pin.",
            );
        }
        if let Some(item) = item.filter(|item| item.version == wanted.version) {
            return self.accept(StepAction::Pin, Reason::Pinned, item, false);
        }
        let action = if item.is_some() { StepAction::Update } else { StepAction::Create };
        let content = (self.serving != Serving::Apart).then(|| content_read(wanted, item));
        let mut decision = self.step(action, Reason::Pinned, item, content, false, Vec::new());
        if let Decision::Step(step) = &mut decision {
            step.to = (self.serving == Serving::Apart).then(|| wanted.version.clone());
            step.restores = Some(wanted.version.clone());
        }
        decision
    }

    /// The file does not want it.
    fn drop(&self, item: Option<&Item>) -> Decision {
        if self.pin.is_none() {
            // Meant to be made by a run that died, and dropped from the file since.
            return match item {
                Some(item) if self.may_be_ours && (self.withdrawn || item.is_owned_by(self.owner)) => self.remove(item),
                _ => Decision::Nothing,
            };
        }
        match item {
            _ if self.forgotten => self.step(StepAction::Forget, Reason::Forgotten, None, None, false, Vec::new()),
            Some(item) if self.policy.prune => self.remove(item),
            // It stays ours, and so it stays what it is.
            Some(_) => self.keep_pin(item),
            // Readers meet it no more, and it is still there: it can come back.
            None if self.head.and_then(Seen::item).is_some() => {
                self.step(StepAction::Withdraw, Reason::Dropped, None, None, false, Vec::new())
            }
            None => self.step(StepAction::Delete, Reason::Dropped, None, None, false, Vec::new()),
        }
    }

    /// The file does not count: what the ledger says is kept.
    fn keep_pin(&self, item: Option<&Item>) -> Decision {
        let Some(pin) = self.pin else { return Decision::Nothing };
        if item.is_some_and(|item| item.version == pin.version) {
            return Decision::Unchanged;
        }
        if self.policy.drift == Drift::Report {
            return self.told(item);
        }
        let reason = if item.is_some() { Reason::Drift } else { Reason::Missing };
        if self.can_serve_again() {
            return self.serve_again(pin, item, reason);
        }
        let Some(Some(pinned)) = self.pinned else { return self.told(item) };
        let action = if item.is_some() { StepAction::Update } else { StepAction::Create };
        let mut decision = self.step(action, reason, item, Some(content_read(pinned, item)), true, Vec::new());
        if let Decision::Step(step) = &mut decision {
            // What is put back is what the pin held, whatever the file says.
            step.digest = pin.content.clone();
            step.restores = Some(pin.origin.clone());
            if self.serving == Serving::Apart {
                step.base = self.head.and_then(Seen::item).map(|head| head.version.clone());
            }
        }
        decision
    }

    /// Tells whether what the pin names can be served again as it is, without a put.
    fn can_serve_again(&self) -> bool {
        match self.serving {
            Serving::AtOnce => false,
            Serving::Apart => self.pin_is_there,
            Serving::Together => self.set_is_there,
        }
    }

    /// Tells whether the entry says something else about the item than what was released, in a store that does not
    /// answer descriptions, tags and tiers with its items: there the ledger is all that tells.
    fn describes_otherwise(&self, entry: &Entry, pin: &Pin) -> bool {
        let names_something = entry.description.is_some() || entry.tier.is_some() || entry.tags.is_some();
        let released = || pin.content.as_ref().is_some_and(|released| content_digest(entry) != *released);
        !self.describes && names_something && released()
    }

    /// Tells whether the entry says something else about the item than what was released.
    fn describes_anew(&self) -> bool {
        let released = self.pin.and_then(|pin| pin.content.as_ref());
        self.entry.zip(released).is_some_and(|(entry, released)| content_digest(entry) != *released)
    }

    /// Tells whether the item holds what the entry asks for.
    fn equal(&self, entry: &Entry, item: &Item) -> bool {
        let is_head = self.head.and_then(Seen::item).is_some_and(|head| head.version == item.version);
        let is_served = self.seen.and_then(Seen::item).is_some_and(|served| served.version == item.version);
        let value = match (&entry.value, &item.value) {
            (Value::Plain(wanted), Some(held)) => same_text(entry.kind, wanted, held),
            (Value::Secret(_), _) if is_head && !is_served => self.head_matches == Some(true),
            (Value::Secret(_), _) => self.secret_matches == Some(true),
            (Value::Plain(_), None) => false,
        };
        let described = !self.describes || same_description(entry, item);
        let typed = entry.content_type.is_some() || self.kept_content_type(item) == item.content_type;
        value && described && typed && same_shape(entry, item, self.content_types)
    }

    /// Returns the content type that an item keeps where the file names none: not the one that it has from an entry of
    /// another type.
    fn kept_content_type(&self, item: &Item) -> Option<String> {
        let content = self.pin.and_then(|pin| pin.content.as_ref());
        let brought = content.is_some_and(|content| brought_content_type(item, content));
        item.content_type.clone().filter(|_| !brought)
    }

    /// Returns what to put: what the entry names, and what it does not name as it is.
    fn content(&self, entry: &Entry, item: &Item) -> Content {
        let content_type = entry.content_type.clone().or_else(|| self.kept_content_type(item));
        Content { content_type, ..content(entry, Some(item)) }
    }

    /// Tells whether the entry still asks for what the pin holds, so that putting it back is a repair and no release.
    ///
    /// The ledger names the contents of pins. Of a secret it does not: there the pin was read back to compare, or the
    /// file is the one that was released.
    fn asks_for_pin(&self, entry: &Entry) -> bool {
        if let Some(pinned) = self.pin.and_then(|pin| pin.content.as_ref()).filter(|digest| digest.names_value()) {
            return *pinned == content_digest(entry);
        }
        match self.pinned {
            Some(Some(pinned)) => same_text(entry.kind, entry.value.expose(), pinned.value.expose()),
            Some(None) | None => self.file == FileStanding::Current && self.hold.is_none(),
        }
    }

    /// Tells whether the entry asks for the content of the pin, whatever it says about the item.
    fn asks_for_content_of(&self, entry: &Entry, pin: &Pin, item: Option<&Item>) -> bool {
        match &pin.content {
            Some(content) if content.names_value() => content.core() == content_digest(entry).core(),
            _ if !entry.value.is_secret() || entry.pin.is_some() => false,
            _ if item.is_some_and(|item| item.version == pin.version) => self.secret_matches == Some(true),
            _ => self.asks_for_pin(entry),
        }
    }

    /// What is there is to be another content: the file asks for it, or, as a repair, the pin held it.
    fn change(&self, entry: &Entry, item: &Item, reason: Reason, repair: bool) -> Decision {
        match self.head.and_then(Seen::item) {
            Some(head) if self.serving == Serving::Apart => {
                let served = self.seen.and_then(Seen::item);
                self.put_over(entry, served, head, reason, repair)
            }
            _ => self.update(entry, item, reason, repair),
        }
    }

    /// Puts over the newest version and serves that, or serves it as it is where it holds what is wanted: a run that
    /// died may have put it.
    fn put_over(&self, entry: &Entry, served: Option<&Item>, head: &Item, reason: Reason, repair: bool) -> Decision {
        let ready = self.equal(entry, head) && !self.pin.is_some_and(|pin| self.describes_otherwise(entry, pin));
        let mut decision = self.update(entry, served.unwrap_or(head), reason, repair);
        if let Decision::Step(step) = &mut decision {
            step.from = served.map(|item| item.version.clone());
            step.base = Some(head.version.clone());
            if served.is_none() {
                step.action = StepAction::Create;
                step.changes.clear();
            }
            if ready {
                step.content = None;
                step.to = Some(head.version.clone());
            }
        }
        decision
    }

    /// Puts what is served once more and serves that: a version that readers are led to is never dropped by the store,
    /// which refuses the put that would need its place.
    fn renew(&self, item: Option<&Item>) -> Decision {
        let (Some(pin), Some(item), Some(head)) = (self.pin, item, self.head.and_then(Seen::item)) else {
            return Decision::Unchanged;
        };
        let content = match (self.pinned, &item.value) {
            (Some(Some(read)), _) => content_read(read, Some(item)),
            (_, Some(value)) => Content {
                value: Value::Plain(value.clone()),
                content_type: item.content_type.clone(),
                tags: item.tags.clone().unwrap_or_default(),
                description: item.description.clone(),
                tier: None,
            },
            _ => return Decision::Unchanged,
        };
        let mut decision = self.step(StepAction::Update, Reason::Renewed, Some(item), Some(content), true, Vec::new());
        if let Decision::Step(step) = &mut decision {
            step.base = Some(head.version.clone());
            step.digest = pin.content.clone();
            step.restores = Some(pin.origin.clone());
        }
        decision
    }

    /// Serves what the pin names once more, without a put.
    fn serve_again(&self, pin: &Pin, item: Option<&Item>, reason: Reason) -> Decision {
        let action = if item.is_some() { StepAction::Update } else { StepAction::Create };
        let mut decision = self.step(action, reason, item, None, true, Vec::new());
        if let Decision::Step(step) = &mut decision {
            step.to = Some(pin.version.clone());
            step.digest = pin.content.clone();
            step.restores = Some(pin.origin.clone());
        }
        decision
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
        let mut changes = diff::changes(entry, item, self.content_types, self.secret_matches == Some(true));
        if entry.content_type.is_none() && self.content_types && self.kept_content_type(item) != item.content_type {
            changes.push(Change { path: "content type".to_owned(), from: item.content_type.clone(), to: None });
        }
        let content = self.content(entry, item);
        let mut decision = self.step(StepAction::Update, reason, Some(item), Some(content), repair, changes);
        self.note_origin(&mut decision, repair);
        decision
    }

    /// What is put back is the content of the pin.
    fn note_origin(&self, decision: &mut Decision, repair: bool) {
        if let (Decision::Step(step), true) = (decision, repair) {
            step.restores = self.pin.map(|pin| pin.origin.clone());
        }
    }

    /// Takes what is there as it is. Where readers do not meet it yet, they are led to it.
    fn accept(&self, action: StepAction, reason: Reason, item: &Item, repair: bool) -> Decision {
        let served = self.seen.and_then(Seen::item);
        let unmet = served.is_none();
        let action = if unmet { StepAction::Create } else { action };
        let mut decision = self.step(action, reason, Some(item), None, repair, Vec::new());
        if let Decision::Step(step) = &mut decision {
            step.from = self.pin.map(|pin| pin.version.clone()).filter(|_| !unmet);
            step.to = Some(item.version.clone());
        }
        self.note_origin(&mut decision, repair);
        decision
    }

    fn remove(&self, item: &Item) -> Decision {
        let action = if self.serving == Serving::Apart { StepAction::Withdraw } else { StepAction::Delete };
        self.step(action, Reason::Dropped, Some(item), None, false, Vec::new())
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
            base: None,
            content,
            restores: None,
            digest: match action {
                StepAction::Delete | StepAction::Withdraw | StepAction::Forget => None,
                _ => self.entry.map(content_digest),
            },
            repair,
            changes,
        }))
    }

    fn no_such_version(&self, entry: &Entry) -> Decision {
        let pin = entry.pin.as_deref().unwrap_or_default();
        Decision::Block(Box::new(Block {
            kind: BlockKind::Refused,
            target: None,
            key: Some(self.key.clone()),
            message: format!(
                "the file pins {} to version {pin}, which the store does not keep (any more)",
                self.native
            ),
            hint: "repin history KEY lists the versions that there are; choose one, or drop the pin.".to_owned(),
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
