//! Parameter Store: 40 reads and 3 writes a second.

use repin::model::outcome::StepResult;
use repin_emulator::Rates;
use repin_provider::TargetName;
use repin_provider::limit::Share;

use crate::stage::{Ran, Stage, documented, entries, play};
use crate::support::{ACCOUNT, secret_access_key};

/// Nothing is known but what is documented.
const DOCUMENTED: &str = "{}";

/// Asserts that every step was done, and that each parameter was made once.
fn assert_whole(stage: &Stage, ran: &Ran, steps: usize) {
    let applied = ran.outcome.steps.iter().filter(|step| step.result == StepResult::Applied);
    assert_eq!(applied.count(), steps, "{:?}", ran.outcome.failures);
    assert!(ran.outcome.failures.is_empty(), "{:?}", ran.outcome.failures);
    assert!(ran.outcome.steps.iter().all(|step| step.buried.is_none()), "nothing was written twice");
    assert_eq!(ran.throttles, stage.throttled("ssm", "PutParameter") + stage.throttled("ssm", "GetParameters"));
}

#[test]
fn a_bulk_release_goes_at_the_quotas_speed_and_is_hardly_ever_throttled() {
    play(async || {
        let stage = Stage::new(documented()).await;
        // One that is given is not asked for: the account's throughput setting.
        let site = stage.host("bulk", &[("aws", stage.aws("/ai", "{ put: 3 }"))], &entries(300, "one"));
        let ran = site.reconcile().await;
        assert_whole(&stage, &ran, 300);
        // A claim, which has parts, the puts and the record, at three a second; the reads are a few seconds more.
        let sent = stage.emulator.counters().count("ssm", "PutParameter") as f64;
        assert!((302.0..320.0).contains(&sent), "{sent}");
        assert!(ran.seconds >= sent / 3.0 - 1.0, "{ran:?}");
        assert!(ran.seconds <= 1.2 * sent / 3.0, "{} s for {sent} puts", ran.seconds);
        assert!(ran.throttles <= 3, "{}", ran.throttles);
        assert_eq!(stage.emulator.counters().count("ssm", "GetServiceSetting"), 0);
    });
}

#[test]
fn half_of_the_quota_takes_twice_as_long() {
    play(async || {
        let stage = Stage::new(documented()).await;
        let site = stage.host("half", &[("aws", stage.aws("/ai", "{ put: 3 }"))], &entries(60, "one"));
        let ran = site.reconcile_with(Share::HALF).await;
        assert_whole(&stage, &ran, 60);
        assert_eq!(ran.throttles, 0);
        assert!((40.0..48.0).contains(&ran.seconds), "62 writes at one and a half a second: {} s", ran.seconds);
    });
}

#[test]
fn an_account_with_high_throughput_is_recognised_where_there_is_much_to_write() {
    play(async || {
        let stage = Stage::new(documented()).await;
        raise_throughput(&stage).await;
        let site = stage.host("high", &[("aws", stage.aws("/ai", DOCUMENTED))], &entries(40, "one"));
        let ran = site.reconcile().await;
        assert_eq!(stage.emulator.counters().count("ssm", "GetServiceSetting"), 0, "a small pass costs what it did");
        assert!((13.0..16.0).contains(&ran.seconds), "42 writes at three a second: {} s", ran.seconds);
        site.write(&[("aws", stage.aws("/ai", DOCUMENTED))], &entries(300, "one"));
        let aws = TargetName::parse("aws").unwrap();
        let planned = site.plan().await.unwrap().targets[&aws].cost;
        assert_eq!(planned.seconds, planned.writes as f64 / 10.0, "the forecast knows: {planned:?}");
        let ran = site.reconcile().await;
        assert_whole(&stage, &ran, 260);
        assert_eq!(stage.emulator.counters().count("ssm", "GetServiceSetting"), 1, "and is asked for once an hour");
        assert!((25.0..32.0).contains(&ran.seconds), "262 writes at ten a second: {} s", ran.seconds);
        assert!(ran.throttles <= 3, "{}", ran.throttles);
    });
}

/// Has the account pay for more throughput.
async fn raise_throughput(stage: &Stage) {
    let credentials =
        aws_sdk_ssm::config::Credentials::new(stage.emulator.access_key_id(), secret_access_key(), None, None, "test");
    let config = aws_sdk_ssm::Config::builder()
        .behavior_version_latest()
        .region(aws_sdk_ssm::config::Region::new("eu-west-1"))
        .endpoint_url(stage.emulator.aws_endpoint())
        .http_client(stage.aws_client())
        .credentials_provider(credentials)
        .build();
    let id = format!("arn:aws:ssm:eu-west-1:{ACCOUNT}:servicesetting/ssm/parameter-store/high-throughput-enabled");
    let client = aws_sdk_ssm::Client::from_conf(config);
    client.update_service_setting().setting_id(id).setting_value("true").send().await.expect("the setting is taken");
}

#[test]
fn who_knows_nothing_of_the_quota_is_slowed_down_and_loses_nothing() {
    play(async || {
        let stage = Stage::new(documented()).await;
        // As if the account's quota were a hundred times what it is.
        let site = stage.host("hasty", &[("aws", stage.aws("/ai", "{ get: 4000, put: 300 }"))], &entries(150, "one"));
        let ran = site.reconcile().await;
        assert_whole(&stage, &ran, 150);
        let throttles = stage.throttled("ssm", "PutParameter");
        assert!(throttles > 0, "the quota was met");
        // At first nearly everything is refused; a rate that stayed there would have each put refused a dozen times.
        assert!(throttles < 3 * 150, "{throttles}");
        assert!(ran.seconds < 3.0 * 152.0 / 3.0, "{} s", ran.seconds);
    });
}

#[test]
fn two_targets_of_one_account_share_its_quota() {
    play(async || {
        let stage = Stage::new(documented()).await;
        let targets = [("one", stage.aws("/one", "{ put: 3 }")), ("two", stage.aws("/two", "{ put: 3 }"))];
        let site = stage.host("shared", &targets, &entries(60, "one"));
        let ran = site.reconcile().await;
        assert_whole(&stage, &ran, 120);
        assert!((40.0..47.0).contains(&ran.seconds), "124 writes at three a second: {} s", ran.seconds);
        assert!(ran.throttles <= 3, "each at the whole quota would be throttled all the time: {}", ran.throttles);
    });
}

#[test]
fn a_rollback_goes_before_a_bulk_release_that_waits() {
    play(async || {
        let stage = Stage::new(documented()).await;
        let small = stage.host("small", &[("aws", stage.aws("/small", "{ put: 3 }"))], &entries(10, "good"));
        small.reconcile().await;
        small.write(&[("aws", stage.aws("/small", "{ put: 3 }"))], &entries(10, "bad"));
        small.reconcile().await;
        let bulk = stage.host("bulk", &[("aws", stage.aws("/bulk", "{ put: 3 }"))], &entries(300, "one"));
        let going_back = async {
            tokio::time::sleep(std::time::Duration::from_secs(30)).await;
            small.rollback(1, Share::HALF).await
        };
        let (bulk, back) = futures::future::join(bulk.reconcile_with(Share::HALF), going_back).await;
        assert_whole_but_for_counts(&bulk, 300);
        assert_whole_but_for_counts(&back, 10);
        // Twelve writes at the whole rate of three a second, and some reads; in line they would take half a minute.
        assert!(back.seconds < 7.0, "{} s", back.seconds);
        assert!(bulk.seconds > 200.0, "the bulk keeps to half of the rate all the same: {} s", bulk.seconds);
    });
}

fn assert_whole_but_for_counts(ran: &Ran, steps: usize) {
    let applied = ran.outcome.steps.iter().filter(|step| step.result == StepResult::Applied);
    assert_eq!(applied.count(), steps, "{:?}", ran.outcome.failures);
}

#[test]
fn a_quota_that_others_use_up_is_left_to_them_and_taken_again() {
    play(async || {
        // The store takes one a second where three are documented: somebody else has the rest.
        let rates = Rates { put: 1.0, ..Rates::default() };
        let stage = Stage::new(repin_emulator::Options { rates: Some(rates), ..documented() }).await;
        let site = stage.host("others", &[("aws", stage.aws("/ai", "{ put: 3 }"))], &entries(100, "one"));
        let ran = site.reconcile().await;
        assert_whole(&stage, &ran, 100);
        assert!(ran.seconds < 1.6 * 102.0, "{} s", ran.seconds);
        // Twice too many went out at first; afterwards a few, each time that the rate had come back too far.
        assert!(ran.throttles < 100, "{}", ran.throttles);
    });
}
