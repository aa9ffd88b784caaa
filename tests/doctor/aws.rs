//! What is broken about a target in Parameter Store.

use std::sync::Arc;

use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};
use repin_emulator::{Fault, Options, credentials};

use crate::report::{visit, visit_with};
use crate::support::World;

const ENTRIES: &str = "  plain: { value: one }\n";
const OTHER: &str = "999900001111";

async fn world() -> World {
    let world = World::new().await;
    world.entries(ENTRIES);
    world
}

/// Writes the file with something in it exchanged.
fn exchange(world: &World, from: &str, to: &str) {
    let text = format!("{}entries:\n{ENTRIES}", world.head());
    assert!(text.contains(from), "{text}");
    world.write("repin.yaml", &text.replace(from, to));
}

fn refuse(code: &str, message: &str) -> Fault {
    Fault::Refuse { status: 400, code: code.into(), message: message.into(), retry_after_ms: None }
}

fn kms(world: &World) -> aws_sdk_kms::Client {
    let credentials =
        Credentials::new(world.emulator.access_key_id(), world.emulator.secret_access_key(), None, None, "test");
    let config = aws_sdk_kms::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(world.emulator.aws_endpoint())
        .credentials_provider(credentials)
        .http_client(repin_aws_ssm::http_client());
    aws_sdk_kms::Client::from_conf(config.build())
}

async fn key_id(kms: &aws_sdk_kms::Client) -> String {
    let described = kms.describe_key().key_id("alias/ai-config").send().await.unwrap();
    described.key_metadata.unwrap().key_id
}

#[tokio::test(flavor = "multi_thread")]
async fn no_credentials() {
    let world = world().await;
    let report = visit_with(&world, 77, &[], &[("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")]).await;
    report.fails("aws-eu", "credentials", &["no credentials"], "Set AWS credentials in the environment");
    report.fails_nowhere_else("aws-eu", 1);
    let rights = report.finding("aws-eu", "rights", "skip")["rights"].as_array().unwrap();
    assert!(rights.contains(&"ssm:PutParameter".into()), "{rights:?}");
    assert_eq!(world.emulator.counters().total("ssm"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_credentials() {
    let world = world().await;
    world.faults(|call| match call.service.as_str() {
        "sts" | "ssm" | "kms" => refuse("ExpiredToken", "The security token included in the request is expired"),
        _ => Fault::None,
    });
    let report = visit(&world, 77).await;
    report.fails("aws-eu", "credentials", &["AWS_ACCESS_KEY_ID", "ExpiredToken"], "fetch new credentials");
    report.fails_nowhere_else("aws-eu", 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_key_of_another() {
    let world = world().await;
    let report = visit_with(&world, 77, &[], &[("AWS_SECRET_ACCESS_KEY", "of-another-key")]).await;
    report.fails("aws-eu", "credentials", &["SignatureDoesNotMatch"], "does not belong to the access key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_account() {
    let world = World::with(Options { accounts: vec![OTHER.into()], ..Options::default() }).await;
    world.entries(ENTRIES);
    let id = credentials::access_key_id(OTHER);
    let report = visit_with(&world, 5, &[], &[("AWS_ACCESS_KEY_ID", &id)]).await;
    report.fails("aws-eu", "account", &[OTHER, "111122223333"], "`profile` or `assume_role`");
    report.fails_nowhere_else("aws-eu", 1);
    assert_eq!(world.emulator.counters().total("ssm"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_assumed() {
    let world = world().await;
    exchange(&world, "    region:", "    assume_role: { arn: \"arn:aws:iam::111122223333:role/repin\" }\n    region:");
    let report = visit(&world, 0).await;
    let found = report.finding("aws-eu", "credentials", "ok");
    assert!(found["found"].as_str().unwrap().contains("role/repin assumed with them, good for"), "{found}");
    assert_eq!(found["rights"][0], "sts:AssumeRole");
    world.faults(|call| match call.operation.as_str() {
        "AssumeRole" => refuse("AccessDenied", "User: u is not authorized to perform: sts:AssumeRole"),
        _ => Fault::None,
    });
    let report = visit(&world, 77).await;
    report.fails("aws-eu", "credentials", &["AssumeRole", "AccessDenied"], "Allow sts:AssumeRole");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_endpoint() {
    let world = world().await;
    // A port that nobody is given.
    let closed = "http://127.0.0.1:1";
    exchange(&world, &world.emulator.aws_endpoint(), closed);
    let report = visit(&world, 75).await;
    report.fails("aws-eu", "network", &["ssm", closed, "no connection"], "firewalls");
    report.fails_nowhere_else("aws-eu", 1);
    report.finding("azure", "rights", "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_name() {
    let world = world().await;
    // Longer than a name may be, so that nobody is asked for it.
    let nowhere = format!("https://{}.invalid", "a".repeat(64));
    exchange(&world, &world.emulator.aws_endpoint(), &nowhere);
    let report = visit(&world, 75).await;
    report.fails("aws-eu", "network", &[&nowhere, "the name leads nowhere"], "DNS");
    report.fails_nowhere_else("aws-eu", 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skewed_clock() {
    let world = world().await;
    world.emulator.clock().set_skew(20 * 60 * 1000);
    let report = visit(&world, 77).await;
    for target in ["aws-eu", "azure"] {
        report.fails(target, "clock", &["20 min behind"], "NTP");
        report.fails_nowhere_else(target, 1);
        report.finding(target, "credentials", "skip");
        report.finding(target, "rights", "skip");
    }
    world.emulator.clock().set_skew(-2 * 60 * 1000);
    let report = visit(&world, 0).await;
    report.warns("aws-eu", "clock", &["2 min ahead of"], "timedatectl");
    report.finding("aws-eu", "ReadEntries", "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_key() {
    let world = world().await;
    let kms = kms(&world);
    kms.disable_key().key_id(key_id(&kms).await).send().await.unwrap();
    let report = visit(&world, 1).await;
    report.fails("aws-eu", "key", &["alias/ai-config is Disabled"], "Enable the key");
    report.fails_nowhere_else("aws-eu", 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_deleted_soon() {
    let world = world().await;
    let kms = kms(&world);
    kms.schedule_key_deletion().key_id(key_id(&kms).await).pending_window_in_days(7).send().await.unwrap();
    let report = visit(&world, 1).await;
    report.fails("aws-eu", "key", &["alias/ai-config is PendingDeletion", "gone on"], "Cancel the key's deletion");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_alias() {
    let world = world().await;
    exchange(&world, "alias/ai-config", "alias/nobody");
    let report = visit(&world, 1).await;
    report.fails("aws-eu", "key", &["alias/nobody", "NotFoundException"], "Check `kms_key`");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_aws() {
    let world = world().await;
    exchange(&world, "alias/ai-config", "alias/aws/ssm");
    visit(&world, 0).await.warns("aws-eu", "key", &["AWS's own"], "`kms_key`");
}

/// Refuses what IAM would, of one operation on names that begin so.
fn deny(world: &World, operation: &'static str, start: &'static str) {
    world.emulator.faults().set(Arc::new(move |call| {
        let name = call.name.clone().unwrap_or_default();
        if call.operation == operation && name.starts_with(start) {
            let message = format!("User: u is not authorized to perform: {operation} on resource: {name}");
            return refuse("AccessDeniedException", &message);
        }
        Fault::None
    }));
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_reads() {
    let world = world().await;
    let arn = "arn:aws:ssm:eu-west-1:111122223333:parameter/ai/test/*";
    for operation in ["GetParameters", "GetParameterHistory", "ListTagsForResource"] {
        deny(&world, operation, "/ai/test");
        let report = visit(&world, 77).await;
        let right = format!("ssm:{operation}");
        report.fails(
            "aws-eu",
            "ReadEntries",
            &[&format!("{right} is not allowed on /ai/test/*")],
            &format!("Allow {right} on {arn}"),
        );
        assert_eq!(report.finding("aws-eu", "ReadEntries", "fail")["rights"][0], right.as_str());
        report.fails_nowhere_else("aws-eu", 1);
        report.finding("aws-eu", "ReadLedger", "ok");
    }
    deny(&world, "GetParametersByPath", "/ai/test");
    visit(&world, 77).await.fails("aws-eu", "List", &["/ai/test"], "ssm:GetParametersByPath");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_ledger() {
    let world = world().await;
    deny(&world, "GetParameters", "/repin/");
    let report = visit(&world, 77).await;
    let arn = "arn:aws:ssm:eu-west-1:111122223333:parameter/repin/test/";
    report.fails("aws-eu", "ReadLedger", &["ssm:GetParameters is not allowed on /repin/test/"], arn);
    report.finding("aws-eu", "ReadEntries", "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_key() {
    let world = world().await;
    deny(&world, "DescribeKey", "alias/");
    let report = visit(&world, 77).await;
    report.fails("aws-eu", "DescribeKey", &["kms:DescribeKey is not allowed"], "repin iam --mode apply");
    // What is only good to know stops nothing.
    deny(&world, "GetKeyRotationStatus", "arn:");
    visit(&world, 0).await.warns(
        "aws-eu",
        "DescribeKey",
        &["kms:GetKeyRotationStatus"],
        "Allow kms:GetKeyRotationStatus",
    );
    deny(&world, "GetServiceSetting", "/ssm/");
    visit(&world, 0).await.warns("aws-eu", "ReadThroughput", &["ssm:GetServiceSetting"], "servicesetting/ssm");
}

/// The first throttle ends the visit: it must not make it worse.
#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_account() {
    let world = world().await;
    world.faults(|call| match call.service.as_str() {
        "ssm" => refuse("ThrottlingException", "Rate exceeded"),
        _ => Fault::None,
    });
    let report = visit(&world, 75).await;
    report.fails("aws-eu", "ReadEntries", &["ThrottlingException"], "Try again later");
    report.fails_nowhere_else("aws-eu", 1);
    report.finding("aws-eu", "ReadLedger", "skip");
}
