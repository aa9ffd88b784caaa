//! Files that name another place, or another owner, than the one that was meant.

use crate::stage::Stage;

/// Another place is another target: nothing there is ours, and what was at the first one stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_or_a_label_with_a_slip() {
    for (right, slip) in
        [("prefix: /ai/test", "prefix: /ai/tset"), ("prefix: test", "prefix: tset"), ("label: prod", "label: pord")]
    {
        let stage = Stage::new().await;
        stage.edit(right, slip);
        let target = if right.contains("/ai") { "aws-eu" } else { "azure" };
        let planned = stage.world.json(0, &["plan"]).await;
        assert_eq!(planned["summary"]["delete"], 0, "{slip}: {planned}");
        assert_eq!(planned["orphaned"], serde_json::json!([target]), "{slip}");
        let said = stage.world.run(&["plan"]).await.expect(0).stdout;
        assert!(said.contains(&format!("! {target} was ")) && said.contains("never pruned"), "{slip}: {said}");
        for lost in [false, true] {
            if lost {
                stage.world.lose_state();
            }
            let ran = stage.world.run(&["reconcile"]).await.expect(0);
            assert!(!ran.stdout.contains("deleted"), "{slip}: {}", ran.stdout);
            stage.assert_all_kept(slip).await;
        }
        // Led back, it finds everything as it was.
        stage.edit(slip, right);
        let back = stage.world.json(0, &["plan", "--detailed-exitcode"]).await;
        assert_eq!(back["summary"]["delete"], 0, "{slip}: {back}");
        stage.world.run(&["reconcile"]).await.expect(0);
        stage.assert_all_kept(slip).await;
    }
}

/// A prefix that is somebody else's already: wanted names are taken, and the pass stops before anything is written.
#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_that_is_somebody_elses() {
    let stage = Stage::new().await;
    stage.edit("name: test", "name: tset");
    stage
        .refuses(5, &["is there already", "not in the ledger of tset", "Are `name` and the target's place right?"])
        .await;
}

/// Without a target nothing is pruned there either.
#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_gone_from_the_file() {
    let stage = Stage::new().await;
    let file = stage.file();
    let (azure, entries) = (file.find("  azure:").expect("there"), file.find("entries:").expect("there"));
    let without =
        format!("{}{}", &file[..azure], file[entries..].replace("  on/azure: { targets: [azure], value: x }\n", ""));
    stage.world.write("repin.yaml", &without);
    let said = stage.world.run(&["reconcile"]).await.expect(0).stdout;
    assert!(said.contains("azure was a target of earlier releases") && said.contains("never pruned"), "{said}");
    stage.assert_all_kept("a target less").await;
}

/// Another account is another place too, and what is found there is not ours.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_a_slip() {
    let stage = Stage::new().await;
    stage.edit("account: \"111122223333\"", "account: \"111122223334\"");
    stage.refuses(5, &["is there already", "the target's place right?"]).await;
}
