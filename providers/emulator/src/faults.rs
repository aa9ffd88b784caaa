//! Failures on demand: what a test can make a request meet.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::request::Parts;
use jiff::SignedDuration;
use tokio::sync::watch;

use crate::appconfig::SnapshotFailure;
pub use crate::counters::Call;

/// What a request meets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing: it is handled.
    #[default]
    None,
    /// It is refused with the service's own error format and has no effect.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// The error code: `ThrottlingException`.
        code: String,
        /// The error text.
        message: String,
        /// When to come back, in the header that the service's clients read.
        retry_after_ms: Option<u64>,
    },
    /// The connection closes without an answer; no effect.
    DropBefore,
    /// It takes effect, then the connection closes without an answer.
    DropAfter,
    /// It is never answered; no effect. Ends when the client goes.
    HangBefore,
    /// It takes effect and is never answered. Ends when the client goes.
    HangAfter,
    /// It is handled after a wait.
    Delay(Duration),
    /// It takes effect, and its answer is spoilt on the way. What is no success goes back as it is.
    Spoil(Spoil),
    /// It is handled by a service that is in an odd state for this one request.
    Odd(Oddity),
}

/// What becomes of a successful answer after the request took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoil {
    /// All headers and the first half of the body, then the connection closes.
    Half,
    /// A page of HTML in its place, as a proxy on the way may put one.
    NotJson,
    /// Every number is a text and every text a number.
    WrongTypes,
    /// Its lists have items without a member, and it has nothing else.
    MissingFields,
    /// An object without a member.
    Nothing,
    /// So many bytes that nobody asked for, in a member of their own.
    Oversized {
        /// How many.
        bytes: usize,
    },
    /// A listing ends in the middle of this page, and does not say that more follows. Other answers stay as they are.
    EndsEarly,
    /// A listing names the page that was asked for as its next page. Other answers, and the first page of an AWS
    /// listing, which has no name, stay as they are.
    RepeatsPage,
}

/// The state in which a service meets one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oddity {
    /// Parameter Store shows nothing newer than this. App Configuration does to those who send no sync token.
    Stale(Duration),
    /// The service's clock is ahead of all others (behind them, if negative): signatures are judged and the answer is
    /// dated by it.
    Skewed {
        /// How far.
        seconds: i64,
    },
    /// Every KMS key that a customer manages is disabled.
    KeysDisabled,
    /// Every KMS key that a customer manages is to be deleted in 7 days.
    KeysPendingDeletion,
    /// A snapshot whose making begins here comes to nothing.
    SnapshotFails(SnapshotFailure),
    /// A snapshot whose making begins here takes this long.
    SnapshotStays(Duration),
}

impl Oddity {
    /// Returns the state in which a request is met, which its extensions carry.
    pub(crate) fn of(parts: &Parts) -> Option<Self> {
        parts.extensions.get().copied()
    }

    /// Returns by how much the service's clock is off.
    pub(crate) fn skew(oddity: Option<Self>) -> SignedDuration {
        match oddity {
            Some(Self::Skewed { seconds }) => SignedDuration::from_secs(seconds),
            _ => SignedDuration::ZERO,
        }
    }

    /// Returns how old what is shown is.
    pub(crate) fn lag(oddity: Option<Self>) -> Option<Duration> {
        match oddity {
            Some(Self::Stale(lag)) => Some(lag),
            _ => None,
        }
    }
}

type Rule = Arc<dyn Fn(&Call) -> Fault + Send + Sync>;

/// Decides what each request meets. Nothing fails until a rule is set.
#[derive(Clone)]
pub struct Faults {
    rule: Arc<RwLock<Option<Rule>>>,
    hangs: watch::Sender<u64>,
}

impl Faults {
    /// Sets the rule for every request from now on, and forgets the hangs reached so far.
    pub fn set(&self, rule: Arc<dyn Fn(&Call) -> Fault + Send + Sync>) {
        self.replace(Some(rule));
    }

    /// Lets every request through again, and forgets the hangs reached so far.
    pub fn clear(&self) {
        self.replace(None);
    }

    /// Waits until a request hangs, at once if one did since the last [`set`](Self::set): the moment to kill a client.
    pub async fn reached(&self) {
        let mut hangs = self.hangs.subscribe();
        // Failing needs every sender gone, and `self` is one.
        let _ = hangs.wait_for(|count| *count > 0).await;
    }

    fn replace(&self, rule: Option<Rule>) {
        *self.rule.write().unwrap_or_else(PoisonError::into_inner) = rule;
        self.hangs.send_replace(0);
    }

    pub(crate) fn decide(&self, call: &Call) -> Fault {
        let rule = self.rule.read().unwrap_or_else(PoisonError::into_inner).clone();
        rule.map_or(Fault::None, |rule| rule(call))
    }

    pub(crate) fn hang_reached(&self) {
        self.hangs.send_modify(|count| *count += 1);
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self { rule: Arc::default(), hangs: watch::Sender::new(0) }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = self.rule.read().unwrap_or_else(PoisonError::into_inner).is_some();
        f.debug_struct("Faults").field("set", &set).finish_non_exhaustive()
    }
}
