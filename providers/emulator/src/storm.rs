//! Faults drawn by a seed: the same requests in the same order meet the same faults.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::appconfig::SnapshotFailure;
use crate::counters::Call;
use crate::faults::{Fault, Oddity, Spoil};
use crate::spoil::is_listing;

/// How large an oversized answer is, in bytes, beside what was asked for.
const OVERSIZED: usize = 20 << 20;
/// How long a stuck snapshot is being made.
const STUCK: Duration = Duration::from_secs(15 * 60);
/// How far a clock is off: more than the 15 minutes that both clouds allow.
const SKEW_SECONDS: i64 = 20 * 60;

/// Kinds of faults, by the names that people and tables use for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// 500 or 503; no effect.
    ServerError,
    /// The service asks for fewer requests, and App Configuration for how long: up to 2 s.
    Throttled,
    /// App Configuration's quota is used up: 429 with 2 to 5 hours to wait.
    ThrottledForHours,
    /// Parameter Store's `TooManyUpdates`.
    TooManyUpdates,
    /// The connection closes before the request took effect.
    DropBefore,
    /// The connection closes after the request took effect.
    DropAfter,
    /// No answer ever comes; no effect.
    HangBefore,
    /// No answer ever comes, and the request took effect.
    HangAfter,
    /// The answer takes 1 to 4 s.
    Slow,
    /// The answer breaks off in the middle of its body.
    HalfSent,
    /// A success whose body is something else: HTML, other types, members missing, nothing.
    Malformed,
    /// A success with 20 MB more than anybody asked for.
    Oversized,
    /// A listing ends before its end.
    EndsEarly,
    /// A listing names the same page again and again.
    RepeatsPage,
    /// A read shows what was there 1 to 10 s before.
    StaleRead,
    /// The credentials have expired.
    ExpiredCredentials,
    /// The credentials are not known any more.
    RevokedCredentials,
    /// The right is missing.
    AccessDenied,
    /// The KMS key is disabled at this moment.
    KeyDisabled,
    /// The KMS key is pending deletion at this moment.
    KeyPendingDeletion,
    /// The service's clock is 20 minutes ahead.
    ClockAhead,
    /// The service's clock is 20 minutes behind.
    ClockBehind,
    /// A snapshot stays `provisioning` for 15 minutes.
    SnapshotStuck,
    /// A snapshot comes to nothing.
    SnapshotFailed,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 24] = [
        Self::ServerError,
        Self::Throttled,
        Self::ThrottledForHours,
        Self::TooManyUpdates,
        Self::DropBefore,
        Self::DropAfter,
        Self::HangBefore,
        Self::HangAfter,
        Self::Slow,
        Self::HalfSent,
        Self::Malformed,
        Self::Oversized,
        Self::EndsEarly,
        Self::RepeatsPage,
        Self::StaleRead,
        Self::ExpiredCredentials,
        Self::RevokedCredentials,
        Self::AccessDenied,
        Self::KeyDisabled,
        Self::KeyPendingDeletion,
        Self::ClockAhead,
        Self::ClockBehind,
        Self::SnapshotStuck,
        Self::SnapshotFailed,
    ];

    /// Returns the name: `drop-after`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ServerError => "server-error",
            Self::Throttled => "throttled",
            Self::ThrottledForHours => "throttled-for-hours",
            Self::TooManyUpdates => "too-many-updates",
            Self::DropBefore => "drop-before",
            Self::DropAfter => "drop-after",
            Self::HangBefore => "hang-before",
            Self::HangAfter => "hang-after",
            Self::Slow => "slow",
            Self::HalfSent => "half-sent",
            Self::Malformed => "malformed",
            Self::Oversized => "oversized",
            Self::EndsEarly => "ends-early",
            Self::RepeatsPage => "repeats-page",
            Self::StaleRead => "stale-read",
            Self::ExpiredCredentials => "expired-credentials",
            Self::RevokedCredentials => "revoked-credentials",
            Self::AccessDenied => "access-denied",
            Self::KeyDisabled => "key-disabled",
            Self::KeyPendingDeletion => "key-pending-deletion",
            Self::ClockAhead => "clock-ahead",
            Self::ClockBehind => "clock-behind",
            Self::SnapshotStuck => "snapshot-stuck",
            Self::SnapshotFailed => "snapshot-failed",
        }
    }

    /// Tells whether a request can meet this: a throttle of Parameter Store is nothing for App Configuration.
    pub fn can_meet(self, call: &Call) -> bool {
        let (operation, service) = (call.operation.as_str(), call.service.as_str());
        match self {
            Self::ServerError
            | Self::DropBefore
            | Self::DropAfter
            | Self::HangBefore
            | Self::HangAfter
            | Self::Slow
            | Self::HalfSent
            | Self::Malformed
            | Self::Oversized => true,
            Self::Throttled => service != "identity",
            Self::ThrottledForHours => service == "appconfig",
            Self::TooManyUpdates => ["PutParameter", "LabelParameterVersion", "AddTagsToResource"].contains(&operation),
            Self::EndsEarly | Self::RepeatsPage => is_listing(operation),
            Self::StaleRead => match service {
                "ssm" => operation.starts_with("Get") && operation.contains("Parameter") || is_listing(operation),
                "appconfig" => operation.starts_with("GET /kv") || operation == "GET /revisions",
                _ => false,
            },
            Self::ExpiredCredentials | Self::RevokedCredentials | Self::ClockAhead | Self::ClockBehind => {
                service != "identity"
            }
            // Nobody can be denied to ask who he is.
            Self::AccessDenied => service != "identity" && operation != "GetCallerIdentity",
            Self::KeyDisabled | Self::KeyPendingDeletion => match service {
                "ssm" => ["PutParameter", "GetParameter", "GetParameters", "GetParameterHistory"].contains(&operation),
                "kms" => operation == "DescribeKey",
                _ => false,
            },
            Self::SnapshotStuck | Self::SnapshotFailed => operation == "PUT /snapshots/{name}",
        }
    }

    /// Makes a fault of this kind for one request; `draw` decides what the kind leaves open.
    pub fn fault(self, call: &Call, draw: u64) -> Fault {
        let draw = Draw(draw);
        match self {
            Self::ServerError => server_error(call, &draw),
            Self::Throttled => throttle(call, 20 + draw.below(1_980)),
            Self::ThrottledForHours => throttle(call, 1_000 * (7_200 + draw.below(10_800))),
            Self::TooManyUpdates => {
                let message = "There are concurrent updates for a resource that supports one update at a time.";
                refuse(400, "TooManyUpdates", message)
            }
            Self::DropBefore => Fault::DropBefore,
            Self::DropAfter => Fault::DropAfter,
            Self::HangBefore => Fault::HangBefore,
            Self::HangAfter => Fault::HangAfter,
            Self::Slow => Fault::Delay(Duration::from_millis(1_000 + draw.below(3_000))),
            Self::HalfSent => Fault::Spoil(Spoil::Half),
            Self::Malformed => {
                let all = [Spoil::NotJson, Spoil::WrongTypes, Spoil::MissingFields, Spoil::Nothing];
                Fault::Spoil(draw.of(&all))
            }
            Self::Oversized => Fault::Spoil(Spoil::Oversized { bytes: OVERSIZED }),
            Self::EndsEarly => Fault::Spoil(Spoil::EndsEarly),
            Self::RepeatsPage => Fault::Spoil(Spoil::RepeatsPage),
            Self::StaleRead => Fault::Odd(Oddity::Stale(Duration::from_millis(1_000 + draw.below(9_000)))),
            Self::ExpiredCredentials => expired(call),
            Self::RevokedCredentials => revoked(call),
            Self::AccessDenied => denied(call),
            Self::KeyDisabled => Fault::Odd(Oddity::KeysDisabled),
            Self::KeyPendingDeletion => Fault::Odd(Oddity::KeysPendingDeletion),
            Self::ClockAhead => Fault::Odd(Oddity::Skewed { seconds: SKEW_SECONDS }),
            Self::ClockBehind => Fault::Odd(Oddity::Skewed { seconds: -SKEW_SECONDS }),
            Self::SnapshotStuck => Fault::Odd(Oddity::SnapshotStays(STUCK)),
            Self::SnapshotFailed => {
                let all = [SnapshotFailure::QuotaExceeded, SnapshotFailure::Timeout, SnapshotFailure::ServerError];
                Fault::Odd(Oddity::SnapshotFails(draw.of(&all)))
            }
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that no kind of fault has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no kind of fault; there are {}", names())]
pub struct UnknownFault {
    given: String,
}

fn names() -> String {
    FaultKind::ALL.map(FaultKind::name).join(", ")
}

impl FromStr for FaultKind {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| UnknownFault { given: text.to_owned() })
    }
}

/// A seeded source of faults.
///
/// What the n-th request meets depends on the seed, on n and on what it asks for, and on nothing else. Clones are one
/// storm.
#[derive(Debug, Clone)]
pub struct Storm(Arc<State>);

#[derive(Debug)]
struct State {
    seed: u64,
    share: f64,
    kinds: Vec<FaultKind>,
    requests: AtomicU64,
    met: Mutex<BTreeMap<(FaultKind, String), u64>>,
}

impl Storm {
    /// Makes a storm in which a share of all requests, from 0 to 1, meets a fault of one of these kinds. A request that
    /// none of them can meet meets nothing.
    pub fn new(seed: u64, share: f64, kinds: impl IntoIterator<Item = FaultKind>) -> Self {
        let (requests, met) = (AtomicU64::new(0), Mutex::default());
        Self(Arc::new(State { seed, share, kinds: kinds.into_iter().collect(), requests, met }))
    }

    /// Returns what decides what each request meets, for [`Faults::set`](crate::Faults::set).
    pub fn rule(&self) -> Arc<dyn Fn(&Call) -> Fault + Send + Sync> {
        let storm = self.clone();
        Arc::new(move |call| storm.meet(call))
    }

    /// Returns which faults were met, by the operation that met them, and how often.
    pub fn met(&self) -> BTreeMap<(FaultKind, String), u64> {
        self.0.met.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn meet(&self, call: &Call) -> Fault {
        let state = &*self.0;
        let n = state.requests.fetch_add(1, Ordering::Relaxed);
        let draws = [0, 1, 2].map(|which| Draw(scramble(state.seed ^ scramble(3 * n + which))));
        if draws[0].share() >= state.share {
            return Fault::None;
        }
        let possible: Vec<FaultKind> = state.kinds.iter().copied().filter(|kind| kind.can_meet(call)).collect();
        if possible.is_empty() {
            return Fault::None;
        }
        let kind = draws[1].of(&possible);
        let mut met = state.met.lock().unwrap_or_else(PoisonError::into_inner);
        *met.entry((kind, call.operation.clone())).or_default() += 1;
        kind.fault(call, draws[2].0)
    }
}

/// A number drawn evenly from all there are.
#[derive(Debug, Clone, Copy)]
struct Draw(u64);

impl Draw {
    /// Returns a number from 0 up to, and without, 1.
    fn share(self) -> f64 {
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Returns a number from 0 up to, and without, this one.
    fn below(self, end: u64) -> u64 {
        self.0 % end
    }

    /// Returns one of several; there must be one.
    fn of<T: Copy>(self, all: &[T]) -> T {
        all[(self.0 % all.len() as u64) as usize]
    }
}

/// Scatters a number over all 64 bits: the step and the finish of SplitMix64 (Steele, Lea and Flood, 2014).
fn scramble(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn refuse(status: u16, code: &str, message: &str) -> Fault {
    Fault::Refuse { status, code: code.to_owned(), message: message.to_owned(), retry_after_ms: None }
}

fn is_azure(call: &Call) -> bool {
    call.service == "appconfig"
}

fn server_error(call: &Call, draw: &Draw) -> Fault {
    match (is_azure(call), draw.of(&[500, 503])) {
        (true, status) => refuse(status, "server-error", "The store failed"),
        (false, 500) => refuse(500, "InternalServerError", "An internal error occurred."),
        (false, status) => refuse(status, "ServiceUnavailable", "The service is unavailable."),
    }
}

fn throttle(call: &Call, millis: u64) -> Fault {
    if is_azure(call) {
        return Fault::Refuse {
            status: 429,
            code: "too-many-requests".to_owned(),
            message: "Too many requests".to_owned(),
            retry_after_ms: Some(millis),
        };
    }
    refuse(400, if call.service == "sts" { "Throttling" } else { "ThrottlingException" }, "Rate exceeded")
}

fn expired(call: &Call) -> Fault {
    const MESSAGE: &str = "The security token included in the request is expired";
    match call.service.as_str() {
        "appconfig" => refuse(401, "", "The access token has expired"),
        "sts" => refuse(403, "ExpiredToken", MESSAGE),
        _ => refuse(400, "ExpiredTokenException", MESSAGE),
    }
}

fn revoked(call: &Call) -> Fault {
    const MESSAGE: &str = "The security token included in the request is invalid.";
    match call.service.as_str() {
        "appconfig" => refuse(401, "", "Invalid Credential"),
        "sts" => refuse(403, "InvalidClientTokenId", MESSAGE),
        _ => refuse(400, "UnrecognizedClientException", MESSAGE),
    }
}

fn denied(call: &Call) -> Fault {
    let Call { service, operation, .. } = call;
    let message = format!(
        "User: arn:aws:iam::000000000000:user/emulator is not authorized to perform: {service}:{operation} because no \
         identity-based policy allows the {service}:{operation} action"
    );
    match service.as_str() {
        "appconfig" => refuse(403, "", ""),
        "sts" => refuse(403, "AccessDenied", &message),
        _ => refuse(400, "AccessDeniedException", &message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(service: &str, operation: &str) -> Call {
        Call { index: 1, service: service.to_owned(), operation: operation.to_owned(), name: None }
    }

    #[test]
    fn the_same_requests_meet_the_same_faults() {
        let asked = [call("ssm", "PutParameter"), call("appconfig", "GET /kv"), call("kms", "DescribeKey")];
        let faults = |seed| {
            let rule = Storm::new(seed, 0.5, FaultKind::ALL).rule();
            (0..300).map(|n| rule(&asked[n % 3])).collect::<Vec<_>>()
        };
        assert_eq!(faults(7), faults(7));
        assert_ne!(faults(7), faults(8));
    }

    #[test]
    fn the_share_of_requests_that_meet_something_is_kept() {
        let storm = Storm::new(3, 0.2, [FaultKind::DropAfter, FaultKind::SnapshotFailed]);
        let rule = storm.rule();
        let put = call("ssm", "PutParameter");
        let met = (0..5_000).filter(|_| rule(&put) != Fault::None).count();
        assert!((900..1_100).contains(&met), "{met}");
        // Nothing that makes no sense is drawn for it, and all is counted.
        assert_eq!(storm.met(), BTreeMap::from([((FaultKind::DropAfter, "PutParameter".to_owned()), met as u64)]));
        let still = Storm::new(3, 1.0, [FaultKind::SnapshotFailed]);
        assert_eq!(still.rule()(&put), Fault::None);
    }

    #[test]
    fn every_kind_has_a_name_and_something_that_can_meet_it() {
        let calls = [
            call("ssm", "PutParameter"),
            call("ssm", "GetParametersByPath"),
            call("appconfig", "GET /kv"),
            call("appconfig", "PUT /snapshots/{name}"),
        ];
        for kind in FaultKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            let meets = calls.iter().find(|call| kind.can_meet(call)).unwrap();
            assert_ne!(kind.fault(meets, 11), Fault::None);
        }
        assert!("drop".parse::<FaultKind>().unwrap_err().to_string().contains("drop-before, drop-after"));
    }
}
