//! What this process saw of each parameter lately: hints that save requests and tell a late read from a change.
//!
//! Losing it loses nothing but speed; nothing here is believed beyond the store's lag.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use repin_provider::{Item, Tier, Version};
use tokio::time::Instant;

use crate::convert;

/// How long after a delete the name must not be created again: the store still cleans up.
const CLEAN_UP: Duration = Duration::from_secs(30);

/// What is remembered of parameters, by full name. `Debug` says how many, not which.
pub(crate) struct Memory {
    known: Mutex<HashMap<Name, Known>>,
    hashing: RandomState,
    /// How long reads may lag behind writes; zero on loopback.
    lag: Duration,
}

/// Stands for a full name: 128 bits that depend on the process too, so that no two names share them, by chance or by
/// somebody's doing. Ten thousand names of their own, made in the midst of a pass and kept for months, would keep what the
/// pass took from being given back.
type Name = [u64; 2];

/// Small, since a daemon has one for each of ten thousand parameters: what few of them have is elsewhere.
#[derive(Debug, Default)]
struct Known {
    form: Option<Form>,
    tier: Option<Tier>,
    did: Option<Box<Did>>,
}

/// What a parameter is stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    String,
    /// Somebody else's: its readers split the value at commas.
    List,
    Secret,
}

impl Form {
    pub(crate) fn of(item: &Item) -> Self {
        match item.native_type.as_deref() {
            _ if item.secret => Self::Secret,
            Some("StringList") => Self::List,
            _ => Self::String,
        }
    }
}

/// What we did to a parameter last.
#[derive(Debug, Default)]
struct Did {
    wrote: Option<(Wrote, Instant)>,
    /// The version that we moved the label to; an inner `None` where we took it off.
    labelled: Option<(Option<i64>, Instant)>,
}

impl Known {
    fn wrote(&self) -> Option<(Wrote, Instant)> {
        self.did.as_ref()?.wrote
    }

    fn labelled(&self) -> Option<(Option<i64>, Instant)> {
        self.did.as_ref()?.labelled
    }

    fn did(&mut self) -> &mut Did {
        self.did.get_or_insert_default()
    }
}

#[derive(Debug, Clone, Copy)]
enum Wrote {
    Version(i64),
    /// Deleted, when it was at this version.
    Delete(Option<i64>),
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("Memory").field("known", &known).field("lag", &self.lag).finish()
    }
}

impl Memory {
    /// Makes an empty memory for a store whose reads lag this long.
    pub(crate) fn new(lag: Duration) -> Self {
        Self { known: Mutex::default(), hashing: RandomState::new(), lag }
    }

    fn with<T>(&self, name: &str, change: impl FnOnce(&mut Known) -> T) -> T {
        let name = [0_u8, 1].map(|half| self.hashing.hash_one((half, name)));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        change(known.entry(name).or_default())
    }

    /// Remembers an item that the store showed.
    pub(crate) fn saw(&self, name: &str, item: &Item) {
        self.with(name, |known| known.form = Some(Form::of(item)));
    }

    /// Remembers a put: the version it made, and what it was stored as.
    pub(crate) fn put(&self, name: &str, number: i64, form: Form, tier: Option<Tier>) {
        self.with(name, |known| {
            known.form = Some(form);
            known.tier = tier.or(known.tier);
            known.did().wrote = Some((Wrote::Version(number), Instant::now()));
        });
    }

    /// Remembers a delete.
    pub(crate) fn deleted(&self, name: &str, at: Option<i64>) {
        self.with(name, |known| {
            let now = Instant::now();
            let did = Did { wrote: Some((Wrote::Delete(at), now)), labelled: Some((None, now)) };
            *known = Known { did: Some(Box::new(did)), ..Known::default() };
        });
    }

    /// Remembers where we moved the label to; `None` after it was taken off.
    pub(crate) fn labelled(&self, name: &str, number: Option<i64>) {
        self.with(name, |known| known.did().labelled = Some((number, Instant::now())));
    }

    /// Returns what the parameter is stored as, if that is known.
    pub(crate) fn form(&self, name: &str) -> Option<Form> {
        self.with(name, |known| known.form)
    }

    /// Returns the tier that an earlier put answered.
    pub(crate) fn tier(&self, name: &str) -> Option<Tier> {
        self.with(name, |known| known.tier)
    }

    /// Tells whether an answer is older than our own last write: the store's lag, and no change by somebody else.
    ///
    /// Beyond the lag the store is believed whatever it says.
    pub(crate) fn is_stale(&self, name: &str, version: Option<&Version>) -> bool {
        let shown = version.and_then(convert::number);
        self.with(name, |known| match known.wrote() {
            Some((_, at)) if at.elapsed() >= self.lag => false,
            Some((Wrote::Version(ours), _)) => shown.is_none_or(|number| number < ours),
            Some((Wrote::Delete(Some(gone)), _)) => shown.is_some_and(|number| number >= gone),
            Some((Wrote::Delete(None), _)) | None => false,
        })
    }

    /// Tells whether an answer about the label may be older than our own last move of it. Moves have no order that an
    /// answer would show, so any other version than ours counts as late until the lag has passed.
    pub(crate) fn is_label_stale(&self, name: &str, version: Option<&Version>) -> bool {
        let shown = version.and_then(convert::number);
        self.with(name, |known| match known.labelled() {
            Some((ours, at)) => at.elapsed() < self.lag && shown != ours,
            None => false,
        })
    }

    /// Tells whether our own last write made this version, so lately that the store may not show it yet.
    pub(crate) fn put_lately(&self, name: &str, number: i64) -> bool {
        self.with(name, |known| match known.wrote() {
            Some((Wrote::Version(ours), at)) => ours == number && at.elapsed() < self.lag,
            Some((Wrote::Delete(_), _)) | None => false,
        })
    }

    /// Returns how long to wait before asking again for what was answered late: a fraction of the lag, so that asking
    /// stays bounded.
    pub(crate) fn again(&self) -> Duration {
        (self.lag / 20).max(Duration::from_millis(5))
    }

    /// Returns how long to wait before this name may be created again.
    pub(crate) fn clean_up(&self, name: &str) -> Duration {
        self.with(name, |known| match known.wrote() {
            Some((Wrote::Delete(_), at)) => CLEAN_UP.saturating_sub(at.elapsed()),
            _ => Duration::ZERO,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(number: i64, secret: bool) -> Item {
        Item {
            version: convert::version(number, None),
            value: None,
            secret,
            native_type: None,
            content_type: None,
            tags: None,
            description: None,
            owner: None,
            locked: false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_older_than_our_write_is_stale_for_a_while() {
        let memory = Memory::new(Duration::from_secs(10));
        assert!(!memory.is_stale("/a", None));
        memory.put("/a", 7, Form::String, None);
        assert!(memory.is_stale("/a", None));
        assert!(memory.is_stale("/a", Some(&Version::new("6", None))));
        assert!(!memory.is_stale("/a", Some(&Version::new("7", None))));
        assert!(!memory.is_stale("/a", Some(&Version::new("8", None))));
        assert!(memory.put_lately("/a", 7) && !memory.put_lately("/a", 6));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(!memory.is_stale("/a", None) && !memory.put_lately("/a", 7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_label_is_late_until_it_is_where_we_moved_it() {
        let memory = Memory::new(Duration::from_secs(10));
        let (three, seven) = (Version::new("3", None), Version::new("7", None));
        memory.put("/a", 7, Form::String, None);
        assert!(!memory.is_label_stale("/a", Some(&three)), "a put moves no label");
        assert!(!memory.is_label_stale("/a", None));
        memory.labelled("/a", Some(3));
        assert!(memory.is_label_stale("/a", None) && memory.is_label_stale("/a", Some(&seven)));
        assert!(!memory.is_label_stale("/a", Some(&three)), "back is no less right than forward");
        assert!(memory.is_stale("/a", Some(&three)), "the newest is still the put");
        memory.labelled("/a", None);
        assert!(memory.is_label_stale("/a", Some(&three)) && !memory.is_label_stale("/a", None));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(!memory.is_label_stale("/a", Some(&three)));
        memory.deleted("/a", Some(7));
        assert!(memory.is_label_stale("/a", Some(&three)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deleted_name_rests_before_it_is_created_again() {
        let memory = Memory::new(Duration::from_secs(10));
        memory.saw("/a", &item(3, true));
        memory.deleted("/a", Some(3));
        assert_eq!(memory.form("/a"), None);
        assert!(memory.is_stale("/a", Some(&Version::new("3", None))));
        assert!(!memory.is_stale("/a", Some(&Version::new("1", None))), "a new incarnation");
        assert_eq!(memory.clean_up("/a"), Duration::from_secs(30));
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(memory.clean_up("/a"), Duration::ZERO);
    }
}
