use std::path::Path;

use repin_emulator::Persist;
use serde_json::json;

use crate::harness::{Bench, VERSION};

fn open(dir: &Path) -> Bench {
    Bench::with(|options| options.persist = Persist::open(dir, "azure.redb").unwrap())
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let bench = open(dir.path());
    bench.put("k", r#"{"value":"1"}"#).await;
    bench.put("k", r#"{"value":"2"}"#).await;
    bench.put("gone", r#"{"value":"1"}"#).await;
    bench.send("DELETE", &format!("/kv/gone?{VERSION}"), &[], "").await;
    bench.send("PUT", &format!("/snapshots/s?{VERSION}"), &[], r#"{"filters":[{"key":"*"}]}"#).await;
    bench.caller("fabrikam").put("k", r#"{"value":"other"}"#).await;
    let before = bench.get(&format!("/kv?{VERSION}")).await;
    drop(bench);

    let bench = open(dir.path());
    bench.advance(2);
    let after = bench.get(&format!("/kv?{VERSION}")).await;
    assert_eq!(after.json(), before.json(), "etags too");
    assert_eq!(after.header("sync-token"), before.header("sync-token"), "numbers go on");
    assert_eq!(bench.get(&format!("/revisions?{VERSION}")).await.column("value"), ["1", "2", "1"]);
    assert_eq!(bench.get(&format!("/kv?snapshot=s&{VERSION}")).await.column("value"), ["2"]);
    let other = bench.caller("fabrikam").get(&format!("/kv/k?{VERSION}")).await;
    assert_eq!(other.json()["value"], json!("other"));
}

#[tokio::test]
async fn expired_rows_are_cleared_away_by_the_next_write() {
    let dir = tempfile::tempdir().unwrap();
    let bench = open(dir.path());
    bench.put("k", r#"{"value":"1"}"#).await;
    bench.put("k", r#"{"value":"2"}"#).await;
    bench.advance(8 * 24 * 3_600);
    bench.put("k", r#"{"value":"3"}"#).await;
    drop(bench);
    let persist = Persist::open(dir.path(), "azure.redb").unwrap();
    let rows = persist.load_all::<serde_json::Value>("appconfig-revisions").unwrap();
    let values: Vec<_> = rows.iter().map(|(_, row)| row["item"]["content"]["value"].as_str().unwrap()).collect();
    assert_eq!(values, ["2", "3"], "the one that was current until now goes with the write after");
}
