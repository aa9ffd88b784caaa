//! Faults drawn from a seed, counted by kind.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use repin_emulator::{Call, Fault, FaultKind};

type Rule = Arc<dyn Fn(&Call) -> Fault + Send + Sync>;

/// How often each kind of fault was met.
pub(crate) type Met = BTreeMap<String, u64>;

/// Makes the rule of a run. What a call meets depends on what it is about and on how often that was asked, not on what
/// else is going on, so that a story with less in it meets the same.
pub(crate) fn rule(
    seed: u64,
    (per_mille, kinds): (u32, Vec<FaultKind>),
    calm: Arc<AtomicUsize>,
    met: Arc<Mutex<Met>>,
) -> Rule {
    let counts: Mutex<BTreeMap<_, u64>> = Mutex::default();
    Arc::new(move |call| {
        if calm.load(Ordering::SeqCst) > 0 {
            return Fault::None;
        }
        let about = (call.service.clone(), call.operation.clone(), call.name.clone());
        let nth = {
            let mut counts = counts.lock().unwrap();
            let count = counts.entry(about.clone()).or_default();
            *count += 1;
            *count
        };
        let mut hasher = DefaultHasher::new();
        (seed, about, nth).hash(&mut hasher);
        let mut rng = fastrand::Rng::with_seed(hasher.finish());
        let possible: Vec<FaultKind> = kinds.iter().copied().filter(|kind| kind.can_meet(call)).collect();
        if rng.u32(..1000) >= per_mille || possible.is_empty() {
            return Fault::None;
        }
        let kind = possible[rng.usize(..possible.len())];
        *met.lock().unwrap().entry(kind.name().to_owned()).or_default() += 1;
        kind.fault(call, rng.u64(..))
    })
}
