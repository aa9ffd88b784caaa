//! Failures on demand: what a test can make a request meet.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;

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
