//! Keeps requests inside the account's quotas, which are per account, region and category, and shared by every target
//! of this process that lies there.
//!
//! | category | operations | default | high throughput |
//! |-|-|-|-|
//! | get | GetParameters | 40 with the next | 1,000 |
//! | by path | GetParametersByPath | 40 with the one before | 100 |
//! | put | PutParameter, LabelParameterVersion, UnlabelParameterVersion, GetParameterHistory, DescribeParameters | 3 together | 10 together |
//! | delete | DeleteParameter | 3 | 5 |
//! | tags | ListTagsForResource, AddTagsToResource, RemoveTagsFromResource, GetServiceSetting | not published | not raised |
//!
//! Requests a second; from "Managing Parameter Store throughput" in the user guide of Systems Manager.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use repin_provider::limit::{Draw, Limiter, Seat, Share};
use repin_provider::{Pace as Standing, Rates as Allowed};
use tokio::time::Instant;

use crate::config::Rates;

/// The store's quotas, one bucket each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Category {
    Get,
    /// Draws on the quota of [`Category::Get`] too, which is what binds at the default setting.
    Path,
    Put,
    Delete,
    Tags,
}

impl Category {
    /// Returns the category of an operation of the store; none for other services.
    pub(crate) fn of(operation: &str) -> Option<Self> {
        Some(match operation {
            "GetParameters" => Self::Get,
            "GetParametersByPath" => Self::Path,
            "PutParameter"
            | "LabelParameterVersion"
            | "UnlabelParameterVersion"
            | "GetParameterHistory"
            | "DescribeParameters" => Self::Put,
            "DeleteParameter" => Self::Delete,
            "ListTagsForResource" | "AddTagsToResource" | "RemoveTagsFromResource" | "GetServiceSetting" => Self::Tags,
            _ => return None,
        })
    }
}

/// Requests a second in each category, of everybody who uses the account.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Quotas {
    get: f64,
    path: f64,
    put: f64,
    delete: f64,
    tags: f64,
}

/// A guess, since none is published; a throttle lowers it.
const TAGS: f64 = 5.0;
/// At the default throughput setting.
const DEFAULT: Quotas = Quotas { get: 40.0, path: 40.0, put: 3.0, delete: 3.0, tags: TAGS };
/// With high throughput, which the account pays for.
const HIGH: Quotas = Quotas { get: 1_000.0, path: 100.0, put: 10.0, delete: 5.0, tags: TAGS };

impl Quotas {
    /// Returns the documented quotas, but for those that the file gives.
    fn new(given: Option<&Rates>, high: bool) -> Self {
        let documented = if high { HIGH } else { DEFAULT };
        let Some(given) = given else { return documented };
        Self {
            get: given.get.unwrap_or(documented.get),
            path: given.get.unwrap_or(documented.path),
            put: given.put.unwrap_or(documented.put),
            delete: given.delete.unwrap_or(documented.delete),
            tags: documented.tags,
        }
    }

    fn all(self) -> [f64; 5] {
        [self.get, self.path, self.put, self.delete, self.tags]
    }
}

/// The account's throughput setting is asked for where the writes ahead take longer than this without it: to know it
/// costs a request, and changes little for a small pass.
const WORTH_ASKING: f64 = 20.0;
/// How long the answer is believed. The setting is changed by hand, and rarely.
const BELIEVED: Duration = Duration::from_secs(3600);

/// What is known of one account in one region.
#[derive(Debug, Default)]
struct Account(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    asked: Option<Instant>,
    high: bool,
    paces: Vec<Weak<Pace>>,
}

/// For as long as the process runs, so that the setting is asked for once an hour at most. There are as many as files
/// have named.
static ACCOUNTS: LazyLock<Mutex<HashMap<String, Arc<Account>>>> = LazyLock::new(Mutex::default);

impl Account {
    fn shared(place: &str) -> Arc<Self> {
        let mut accounts = ACCOUNTS.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(accounts.entry(place.to_owned()).or_default())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One target's seats at the limiters of its account and region.
#[derive(Debug)]
pub(crate) struct Pace {
    account: Arc<Account>,
    given: Option<Rates>,
    share: Share,
    get: Seat,
    path: Seat,
    put: Seat,
    delete: Seat,
    tags: Seat,
}

impl Pace {
    /// Takes seats in a place: an account and region behind an endpoint. Rates and shares must be
    /// [positive](Self::is_positive).
    pub(crate) fn join(place: &str, given: Option<Rates>, share: Share) -> Arc<Self> {
        let account = Account::shared(place);
        let mut known = account.lock();
        let quotas = Quotas::new(given.as_ref(), known.high);
        let seat = |name: &str, quota| Limiter::shared(&format!("{place} {name}")).join(Draw::of(quota, share));
        let pace = Arc::new(Self {
            account: Arc::clone(&account),
            given,
            share,
            get: seat("get", quotas.get),
            path: seat("path", quotas.path),
            put: seat("put", quotas.put),
            delete: seat("delete", quotas.delete),
            tags: seat("tags", quotas.tags),
        });
        known.paces.retain(|pace| pace.strong_count() > 0);
        known.paces.push(Arc::downgrade(&pace));
        drop(known);
        pace
    }

    /// Tells whether rates and a share let anything through.
    pub(crate) fn is_positive(given: Option<&Rates>, share: Share) -> bool {
        let shares = [share.ordinary, share.urgent];
        Quotas::new(given, false).all().into_iter().chain(shares).all(|rate| rate.is_finite() && rate > 0.0)
    }

    /// Waits until one more request fits.
    pub(crate) async fn wait(&self, category: Category) {
        if category == Category::Path {
            self.path.wait().await;
        }
        self.seat(category).wait().await;
    }

    /// Counts a request that the SDK repeated without waiting.
    pub(crate) fn spend(&self, category: Category) {
        if category == Category::Path {
            self.path.spend();
        }
        self.seat(category).spend();
    }

    /// Slows down after the store asked for it.
    pub(crate) fn throttled(&self, category: Category) {
        self.seat(category).throttled(None);
    }

    /// Returns the seat that binds at the default setting.
    fn seat(&self, category: Category) -> &Seat {
        match category {
            Category::Get | Category::Path => &self.get,
            Category::Put => &self.put,
            Category::Delete => &self.delete,
            Category::Tags => &self.tags,
        }
    }

    /// Returns how requests are let through right now.
    pub(crate) fn standing(&self) -> Standing {
        let seats = [&self.get, &self.path, &self.put, &self.delete, &self.tags];
        Standing {
            allowed: Allowed { reads: self.get.allowed(), writes: self.put.allowed(), hourly: None },
            reads: self.get.rate(),
            writes: self.put.rate(),
            waiting: seats.into_iter().map(Seat::waiting).sum(),
            held: None,
        }
    }

    /// Tells whether the account's throughput setting matters for so many writes and is not known, and takes it as
    /// being asked for from now on.
    pub(crate) fn asks_for_setting(&self, writes: u64) -> bool {
        let is_given = self.given.is_some_and(|given| given.put.is_some());
        let mut known = self.account.lock();
        let is_known = known.asked.is_some_and(|asked| asked.elapsed() < BELIEVED);
        let asks = !is_given && !is_known && writes as f64 / self.put.allowed() > WORTH_ASKING;
        if asks {
            known.asked = Some(Instant::now());
        }
        asks
    }

    /// Takes in the account's throughput setting, for every target there; `None` where it could not be had, and may be
    /// asked for again.
    pub(crate) fn learn_setting(&self, high: Option<bool>) {
        let mut known = self.account.lock();
        let Some(high) = high else {
            known.asked = None;
            return;
        };
        known.high = high;
        known.paces.iter().filter_map(Weak::upgrade).for_each(|pace| pace.apply(high));
    }

    fn apply(&self, high: bool) {
        let quotas = Quotas::new(self.given.as_ref(), high);
        let seats = [&self.get, &self.path, &self.put, &self.delete, &self.tags];
        seats.into_iter().zip(quotas.all()).for_each(|(seat, quota)| seat.set(Draw::of(quota, self.share)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(rate: f64) -> Option<Rates> {
        Some(Rates { get: None, put: Some(rate), delete: None })
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_pass_does_not_wait() {
        let pace = Pace::join("pace-test/small", None, Share::WHOLE);
        let start = Instant::now();
        for _ in 0..4 {
            pace.wait(Category::Get).await;
        }
        pace.wait(Category::Put).await;
        assert!(start.elapsed() < Duration::from_millis(101), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn listings_draw_on_the_reads() {
        let pace = Pace::join("pace-test/listings", None, Share::HALF);
        let start = Instant::now();
        for _ in 0..51 {
            pace.wait(Category::Path).await;
            pace.wait(Category::Get).await;
        }
        // A hundred and two at twenty a second, of which two go at once.
        let took = start.elapsed().as_secs_f64();
        assert!((took - 5.0).abs() < 0.1, "{took}");
    }

    #[test]
    fn targets_of_one_account_share_and_other_regions_do_not() {
        let one = Pace::join("pace-test/111122223333/eu-west-1", put(10.0), Share::WHOLE);
        let other = Pace::join("pace-test/111122223333/eu-west-1", put(4.0), Share::WHOLE);
        let elsewhere = Pace::join("pace-test/111122223333/eu-west-2", put(10.0), Share::WHOLE);
        assert_eq!(one.standing().allowed.writes, 4.0, "one quota has one rate: the least that was given");
        other.throttled(Category::Put);
        assert!(one.standing().writes < 3.0);
        assert_eq!(elsewhere.standing().writes, 10.0);
        drop(other);
        assert_eq!(one.standing().allowed.writes, 10.0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_setting_is_asked_for_once_an_hour_and_only_where_it_matters() {
        let place = "pace-test/setting";
        let (one, other) = (Pace::join(place, None, Share::HALF), Pace::join(place, None, Share::HALF));
        assert!(!one.asks_for_setting(30), "over within 20 s");
        assert!(one.asks_for_setting(31));
        assert!(!other.asks_for_setting(1000), "it is being asked for");
        one.learn_setting(Some(true));
        let allowed = other.standing().allowed;
        assert_eq!((allowed.reads, allowed.writes), (500.0, 5.0), "for every target there");
        assert_eq!(Pace::join(place, None, Share::WHOLE).standing().allowed.writes, 5.0, "and for those that come");
        tokio::time::advance(Duration::from_secs(3599)).await;
        assert!(!one.asks_for_setting(1000));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(one.asks_for_setting(1000));
        one.learn_setting(None);
        assert!(one.asks_for_setting(1000), "it could not be had");
        one.learn_setting(Some(false));
        assert_eq!(one.standing().allowed.writes, 1.5);
    }

    #[test]
    fn what_the_file_gives_is_not_asked_for_and_stays() {
        let pace = Pace::join("pace-test/given", put(1.0), Share::WHOLE);
        assert!(!pace.asks_for_setting(1_000_000));
        pace.learn_setting(Some(true));
        let allowed = pace.standing().allowed;
        assert_eq!((allowed.reads, allowed.writes), (1_000.0, 1.0));
    }

    #[test]
    fn every_request_to_the_store_counts_against_something() {
        for operation in
            ["GetParameters", "GetParametersByPath", "PutParameter", "DeleteParameter", "AddTagsToResource"]
        {
            assert!(Category::of(operation).is_some(), "{operation}");
        }
        assert_eq!(Category::of("GetCallerIdentity"), None);
    }

    #[test]
    fn nothing_goes_at_a_rate_of_nothing() {
        assert!(Pace::is_positive(None, Share::HALF));
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(!Pace::is_positive(put(bad).as_ref(), Share::WHOLE), "{bad}");
            assert!(!Pace::is_positive(None, Share::all(bad)), "{bad}");
        }
    }
}
