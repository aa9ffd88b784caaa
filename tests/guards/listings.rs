//! Listings that say less than the store holds: nothing that could not be read is taken for absent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use repin_emulator::{Call, Fault, Spoil};

use crate::stage::{PATTERN, Stage};

/// Tells whether a request reads from a store; finding out who we are is none of it.
fn reads(call: &Call, service: &str) -> bool {
    let verbs = ["GetParameter", "DescribeParameters", "GET /kv", "GET /revisions", "GET /snapshots"];
    call.service == service && verbs.iter().any(|verb| call.operation.starts_with(verb))
}

/// Lets the reads of a service meet something from the n-th on, and returns how many there were.
fn spoil(stage: &Stage, what: &Fault, service: &'static str, from: u64) -> Arc<AtomicU64> {
    let count = Arc::new(AtomicU64::new(0));
    let (counted, what) = (Arc::clone(&count), what.clone());
    stage.world.faults(move |call| match reads(call, service) {
        true if counted.fetch_add(1, Ordering::SeqCst) + 1 >= from => what.clone(),
        _ => Fault::None,
    });
    count
}

/// A store whose reads meet something from the n-th on, with something to prune and with nothing to do, on a host that
/// has seen it and on one that has not: the pass ends with one of these codes and names the target, and both stores are as
/// they were.
async fn refuses(what: Fault, service: &'static str, from: u64, codes: &[i32]) {
    let stage = Stage::new().await;
    let right = stage.file();
    let smaller = right.replace(PATTERN, "").replace("entries:", "policy: { max_deletes: 1000 }\nentries:");
    let target = if service == "ssm" { "aws-eu" } else { "azure" };
    for (file, lost) in [(&right, true), (&smaller, false), (&smaller, true)] {
        let prunes = *file == smaller;
        let case = format!("{what:?} on {service} from read {from}, something to prune: {prunes}, state lost: {lost}");
        stage.world.write("repin.yaml", file);
        if lost {
            stage.world.lose_state();
        }
        let met = spoil(&stage, &what, service, from);
        let ran = stage.world.run(&["reconcile", "--timeout", "1s"]).await;
        stage.world.emulator.faults().clear();
        assert!(met.load(Ordering::SeqCst) >= from, "{case}: no read met it: {ran:?}");
        assert!(codes.contains(&ran.code), "{case}: {ran:?}");
        stage.judge(&ran, &["error: ", target], &case).await;
    }
    stage.recovers(&right).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_answers_that_are_not_what_was_asked_for() {
    for how in [Spoil::NotJson, Spoil::WrongTypes, Spoil::MissingFields, Spoil::Nothing, Spoil::Half] {
        for service in ["ssm", "appconfig"] {
            refuses(Fault::Spoil(how), service, 1, &[1, 75]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_that_go_round_in_a_circle() {
    refuses(Fault::Spoil(Spoil::RepeatsPage), "appconfig", 1, &[1, 75]).await;
}

/// What was listed before the failure is not taken for all that there is.
#[tokio::test(flavor = "multi_thread")]
async fn slow_listings_that_fail_on_their_way() {
    for service in ["ssm", "appconfig"] {
        for (status, code, exits) in [
            (500, "InternalServerError", &[1, 75][..]),
            (403, "AccessDeniedException", &[77]),
            (400, "ThrottlingException", &[75]),
        ] {
            // App Configuration says by the status what Parameter Store says by the code.
            let status = if service == "appconfig" && status == 400 { 429 } else { status };
            let status = if service == "ssm" && status == 403 { 400 } else { status };
            let message = "not now".to_owned();
            let fault = Fault::Refuse { status, code: code.to_owned(), message, retry_after_ms: None };
            refuses(fault, service, 2, exits).await;
        }
    }
}

/// A listing that ends early looks like a whole one. What it leaves out of the entries is asked for by name, or refused by
/// the store where it would be made anew; what it leaves out of the ledger is not ours then: the pass stops.
#[tokio::test(flavor = "multi_thread")]
async fn listings_that_end_early() {
    for service in ["ssm", "appconfig"] {
        let stage = Stage::new().await;
        let right = stage.file();
        for lost in [false, true] {
            if lost {
                stage.world.lose_state();
            }
            let met = spoil(&stage, &Fault::Spoil(Spoil::EndsEarly), service, 1);
            let ran = stage.world.run(&["reconcile", "--timeout", "1s"]).await;
            stage.world.emulator.faults().clear();
            let case = format!("{service}, state lost: {lost}: {ran:?}");
            assert!(met.load(Ordering::SeqCst) > 0, "no listing: {case}");
            match ran.code {
                0 => assert!(ran.stdout.contains("unchanged"), "{case}"),
                5 => assert!(ran.stderr.contains("is there already"), "{case}"),
                _ => panic!("{case}"),
            }
            stage.judge(&ran, &[], &case).await;
        }
        stage.recovers(&right).await;
    }
}
