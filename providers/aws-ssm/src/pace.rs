//! Keeps requests inside the account's quota.
//!
//! Quotas are per account and region and are shared by every target of this process that lies there, so limiters are
//! too. The crates for this keep one fixed rate and a clock of their own; here the rate follows what the store says,
//! and the runtime's clock makes it testable.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

/// The store's quotas, one bucket each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Category {
    /// GetParameters, GetParametersByPath.
    Get,
    /// PutParameter, labels, descriptions and histories.
    Put,
    /// DeleteParameter.
    Delete,
    /// ListTagsForResource, AddTagsToResource and RemoveTagsFromResource.
    Tags,
}

/// Requests a second in each category, after the share was applied.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Budget {
    /// For [`Category::Get`].
    pub(crate) get: f64,
    /// For [`Category::Put`].
    pub(crate) put: f64,
    /// For [`Category::Delete`].
    pub(crate) delete: f64,
    /// For [`Category::Tags`].
    pub(crate) tags: f64,
}

/// The limiters of one account and region.
#[derive(Debug)]
pub(crate) struct Pace {
    get: Limiter,
    put: Limiter,
    delete: Limiter,
    tags: Limiter,
}

type Shared = Mutex<HashMap<String, Weak<Pace>>>;

static PACES: LazyLock<Shared> = LazyLock::new(Mutex::default);

impl Pace {
    /// Returns the limiters for a place and a budget, shared with every target that names the same.
    pub(crate) fn shared(place: &str, budget: Budget) -> Arc<Self> {
        let name = format!("{place} {budget:?}");
        let mut paces = PACES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pace) = paces.get(&name).and_then(Weak::upgrade) {
            return pace;
        }
        paces.retain(|_, pace| pace.strong_count() > 0);
        let pace = Arc::new(Self::new(budget));
        paces.insert(name, Arc::downgrade(&pace));
        pace
    }

    fn new(budget: Budget) -> Self {
        Self {
            get: Limiter::new(budget.get),
            put: Limiter::new(budget.put),
            delete: Limiter::new(budget.delete),
            tags: Limiter::new(budget.tags),
        }
    }

    /// Waits until one more request fits.
    pub(crate) async fn wait(&self, category: Category) {
        let turn = self.limiter(category).reserve(Instant::now());
        tokio::time::sleep_until(turn).await;
    }

    /// Slows down after the store asked for it.
    pub(crate) fn throttled(&self, category: Category) {
        self.limiter(category).slow_down(Instant::now());
    }

    fn limiter(&self, category: Category) -> &Limiter {
        match category {
            Category::Get => &self.get,
            Category::Put => &self.put,
            Category::Delete => &self.delete,
            Category::Tags => &self.tags,
        }
    }
}

/// What one throttle leaves of the rate.
const SLOWER: f64 = 0.7;
/// The least share of the rate that throttles leave.
const SLOWEST: f64 = 0.1;
/// The share of the rate that comes back each second.
const RECOVERY: f64 = 0.02;
/// Throttles closer than this have one cause, and slow down once.
const ONE_CAUSE: Duration = Duration::from_secs(1);

/// Gives out turns at a steady rate, first come, first served (the generic cell rate algorithm).
#[derive(Debug)]
struct Limiter {
    rate: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When the next turn is due if nobody was idle.
    next: Option<Instant>,
    /// The share of the rate in use, and when that was last set.
    share: f64,
    changed: Option<Instant>,
    throttled: Option<Instant>,
}

impl Limiter {
    fn new(rate: f64) -> Self {
        Self { rate, state: Mutex::new(State { next: None, share: 1.0, changed: None, throttled: None }) }
    }

    /// Takes the next turn and returns when it is due.
    ///
    /// After idling, a tenth of a second's worth may go at once: enough for a small pass not to wait, and little
    /// beside the quota that other programs of the account use too.
    fn reserve(&self, now: Instant) -> Instant {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.recover(now);
        let rate = self.rate * state.share;
        let interval = Duration::from_secs_f64(1.0 / rate);
        let burst = (rate / 10.0).floor().max(1.0);
        let earliest = now.checked_sub(interval.mul_f64(burst - 1.0)).unwrap_or(now);
        let due = state.next.map_or(earliest, |next| next.max(earliest));
        state.next = Some(due + interval);
        due
    }

    fn slow_down(&self, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.throttled.is_some_and(|last| now.duration_since(last) < ONE_CAUSE) {
            return;
        }
        state.recover(now);
        state.throttled = Some(now);
        state.share = (state.share * SLOWER).max(SLOWEST);
    }
}

impl State {
    fn recover(&mut self, now: Instant) {
        if let Some(changed) = self.changed {
            let seconds = now.saturating_duration_since(changed).as_secs_f64();
            self.share = (self.share + RECOVERY * seconds).min(1.0);
        }
        self.changed = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget { get: 40.0, put: 3.0, delete: 3.0, tags: 5.0 };

    #[tokio::test(start_paused = true)]
    async fn writes_keep_to_three_a_second() {
        let pace = Pace::new(BUDGET);
        let start = Instant::now();
        for _ in 0..31 {
            pace.wait(Category::Put).await;
        }
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(9_990) && took < Duration::from_millis(10_100), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_pass_does_not_wait() {
        let pace = Pace::new(BUDGET);
        let start = Instant::now();
        for _ in 0..4 {
            pace.wait(Category::Get).await;
        }
        pace.wait(Category::Put).await;
        assert!(start.elapsed() < Duration::from_millis(101), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttle_slows_down_for_a_while() {
        let limiter = Limiter::new(10.0);
        let now = Instant::now();
        let first = limiter.reserve(now);
        limiter.slow_down(now);
        limiter.slow_down(now);
        let second = limiter.reserve(now);
        let third = limiter.reserve(now);
        assert_eq!(second - first, Duration::from_millis(100), "already given out");
        assert!((third - second).as_secs_f64() > 0.14, "once, not twice: {:?}", third - second);
        assert!((third - second).as_secs_f64() < 0.15);
        let later = now + Duration::from_secs(60);
        let fourth = limiter.reserve(later);
        assert_eq!(limiter.reserve(later) - fourth, Duration::from_millis(100), "recovered");
    }

    #[test]
    fn targets_of_one_account_share() {
        let one = Pace::shared("111122223333/eu-west-1", BUDGET);
        assert!(Arc::ptr_eq(&one, &Pace::shared("111122223333/eu-west-1", BUDGET)));
        assert!(!Arc::ptr_eq(&one, &Pace::shared("111122223333/eu-west-2", BUDGET)));
    }
}
