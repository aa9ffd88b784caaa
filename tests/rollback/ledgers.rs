//! Ledgers that cannot be understood, and keys that cannot be used: said clearly, and nothing is written.

use aws_sdk_ssm::types::ParameterType;
use azure_data_app_configuration::{KeyFilter, KeyValueContent, KeyValueSelector, LabelFilter, PutKeyValueOptions};

use repin_emulator::Fault;

use crate::scene::{FORMS, Scene, TWO_FORMS, each, keys};
use crate::story::three_releases;

/// The document of the second record of a log.
const RECORD: &str = "/log/00000002";

/// Writes a text over the second record of the ledger on one cloud, as it never should be; returns what was there.
async fn overwrite(scene: &Scene, target: &str, text: &str) -> String {
    if target == "aws-eu" {
        let ssm = &scene.stores.ssm;
        let mut pages = ssm.get_parameters_by_path().path("/repin").recursive(true).into_paginator().send();
        let mut found = None;
        while let Some(page) = pages.next().await {
            let page = page.expect("a page");
            found = found.or(page.parameters().iter().find(|p| p.name().is_some_and(|n| n.ends_with(RECORD))).cloned());
        }
        let found = found.expect("a record");
        let put = ssm.put_parameter().set_name(found.name).value(text).overwrite(true);
        put.r#type(ParameterType::String).send().await.expect("put");
        return found.value.expect("a text");
    }
    let azure = &scene.stores.azure;
    let selector = KeyValueSelector::new(KeyFilter::Prefix(".repin/".into()), LabelFilter::Any);
    let documents = azure.list_key_values(&selector, None).expect("a selector").collect_all().await.expect("a list");
    let found = documents.into_iter().find(|found| found.key.ends_with(RECORD)).expect("a record");
    let mut content = KeyValueContent::new(text);
    (content.tags, content.content_type) = (found.tags, found.content_type);
    let options = PutKeyValueOptions { label: found.label, ..PutKeyValueOptions::default() };
    azure.put_key_value(&found.key, &content, Some(options)).await.expect("put");
    found.value.expect("a text")
}

/// Nothing goes back, and nothing is released, over a ledger that nobody understands.
#[tokio::test(flavor = "multi_thread")]
async fn over_a_ledger_that_makes_no_sense_nothing_is_done() {
    each(&TWO_FORMS, async |scene| {
        let releases = three_releases(&scene).await;
        for target in ["aws-eu", "azure"] {
            for (text, says) in [
                ("{\"repin\":1,", "does not read as a record"),
                ("{\"repin\":7,\"new\":true}", "was written by a newer repin"),
            ] {
                let was = overwrite(&scene, target, text).await;
                scene.at_host(&format!("{target} {says}"));
                for args in [
                    &["rollback", "1"][..],
                    &["rollback", "1", "--dry-run"],
                    &["reconcile"],
                    &["hold", "same", "-m", "why"],
                    &["resume", "--all"],
                    &["forget", "--all"],
                    &["pin", "same", "--target", target, "--version", "1"],
                    &["unpin", "same"],
                ] {
                    scene.refused(1, args, says).await;
                }
                overwrite(&scene, target, &was).await;
            }
        }
        assert_eq!(scene.contents().await, releases[2]);
        // Whole again, it is understood again.
        scene.run(0, &["rollback", "1"]).await;
        assert_eq!(scene.contents().await, releases[0]);
    })
    .await;
}

/// A ledger that may not be read, or that nobody answers for, stops whatever would be written, and the code says which.
#[tokio::test(flavor = "multi_thread")]
async fn over_a_ledger_that_cannot_be_read_nothing_is_done() {
    let cases = [(403, "AccessDeniedException", 77), (503, "ServiceUnavailable", 75)];
    futures::future::join_all(cases.map(async |(status, code, exit)| {
        let scene = Scene::new(FORMS[0]).await;
        let releases = three_releases(&scene).await;
        scene.run(0, &["hold", "same", "-m", "why"]).await;
        // What the host remembers is no ledger either.
        for host in ["state", "another"] {
            scene.at_host(host);
            let status = if status == 403 { [400, 403] } else { [status; 2] };
            scene.world.faults(move |call| Fault::Refuse {
                status: status[usize::from(call.service == "appconfig")],
                code: code.into(),
                message: "for a test".into(),
                retry_after_ms: Some(10),
            });
            for args in [
                &["rollback", "1", "--timeout", "1s"][..],
                &["hold", "late", "-m", "why"],
                &["resume", "--all"],
                &["unpin", "same"],
                &["forget", "--all"],
            ] {
                let said = scene.refused(exit, args, "for a test").await;
                assert!(said.contains("aws-eu") && said.contains("azure"), "{args:?}: {said}");
            }
            scene.up();
        }
        assert_eq!(scene.contents().await, releases[2]);
        assert_eq!(scene.held().await, keys(["same"]));
    }))
    .await;
}

/// What is encrypted under a key that cannot be used cannot be put again; where a label is moved nobody needs the key.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_be_used() {
    each(&FORMS, async |scene| {
        let releases = three_releases(&scene).await;
        scene.stores.set_key_enabled(false).await;
        if scene.labelled() {
            let report = scene.run(0, &["rollback", "1"]).await;
            assert_eq!(report["outcome"], "applied", "{report}");
            scene.stores.set_key_enabled(true).await;
        } else {
            let said = scene.refused(1, &["rollback", "1"], "is disabled").await;
            assert!(said.contains("chat/key") && said.contains("Enable the KMS key"), "{said}");
            scene.stores.set_key_enabled(true).await;
            assert_eq!(scene.contents().await, releases[2], "{:?}", scene.forms);
            scene.run(0, &["rollback", "1"]).await;
        }
        assert_eq!(scene.contents().await, releases[0], "{:?}", scene.forms);
    })
    .await;
}
