//! App Configuration: 300 reads and 60 writes a second, and so many an hour.

use repin::model::outcome::StepResult;

use crate::stage::{Stage, documented, entries, play};

#[test]
fn a_bulk_release_goes_at_the_stores_speed() {
    play(async || {
        let stage = Stage::new(documented()).await;
        let site = stage.host("bulk", &[("azure", stage.azure("{}"))], &entries(900, "one"));
        let ran = site.reconcile().await;
        let applied = ran.outcome.steps.iter().filter(|step| step.result == StepResult::Applied);
        assert_eq!(applied.count(), 900, "{:?}", ran.outcome.failures);
        assert!((14.5..18.0).contains(&ran.seconds), "900 writes at sixty a second: {} s", ran.seconds);
        assert!(ran.throttles <= 3, "{}", ran.throttles);
        assert_eq!(ran.throttles, stage.throttled("appconfig", "PUT /kv/{key}"));
    });
}

#[test]
fn an_hours_quota_is_spread_once_it_is_used_up() {
    play(async || {
        let stage = Stage::new(documented()).await;
        let site = stage.host("hour", &[("azure", stage.azure("{ hourly: 60 }"))], &entries(90, "one"));
        let ran = site.reconcile().await;
        let applied = ran.outcome.steps.iter().filter(|step| step.result == StepResult::Applied);
        assert_eq!(applied.count(), 90, "{:?}", ran.outcome.failures);
        let sent = stage.emulator.counters().total("appconfig") as f64;
        // The first sixty at once, and then one a minute.
        let least = (sent - 62.0) * 60.0;
        assert!(ran.seconds >= least && ran.seconds <= 1.1 * least + 120.0, "{sent} requests, {} s", ran.seconds);
    });
}
