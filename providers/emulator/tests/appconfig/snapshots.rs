use repin_emulator::appconfig::SnapshotFailure;
use serde_json::{Value, json};

use crate::harness::{Answer, Bench, HOST, VERSION};

async fn create(bench: &Bench, name: &str, body: &Value) -> Answer {
    bench.send("PUT", &format!("/snapshots/{name}?{VERSION}"), &[], &body.to_string()).await
}

async fn patch(bench: &Bench, name: &str, status: &str, headers: &[(&str, &str)]) -> Answer {
    let mut all = vec![("content-type", "application/merge-patch+json")];
    all.extend(headers);
    let body = json!({ "status": status }).to_string();
    bench.send("PATCH", &format!("/snapshots/{name}?{VERSION}"), &all, &body).await
}

async fn status(bench: &Bench, name: &str) -> String {
    let snapshot = bench.get(&format!("/snapshots/{name}?{VERSION}")).await;
    snapshot.json()["status"].as_str().unwrap().to_owned()
}

fn everything() -> Value {
    json!({ "filters": [{ "key": "*" }], "retention_period": 3600 })
}

#[tokio::test]
async fn a_snapshot_is_made_and_read() {
    let bench = Bench::new();
    bench.put("k", r#"{"value":"1"}"#).await;
    let body = json!({
        "filters": [{ "key": "*", "label": null, "tags": [] }], "retention_period": 3600, "tags": { "by": "test" }
    });
    let created = create(&bench, "rel%201", &body).await;
    assert_eq!(created.status, 201, "{created:?}");
    let operation = created.header("operation-location").unwrap().to_owned();
    assert_eq!(operation, format!("http://{HOST}/operations?snapshot=rel%201&{VERSION}"));
    assert_eq!(created.header("link"), Some("</kv?snapshot=rel%201&api-version=2024-09-01>; rel=\"items\""));
    assert_eq!(
        created.json(),
        json!({
            "etag": created.etag().trim_matches('"'), "name": "rel 1", "status": "provisioning",
            "filters": [{ "key": "*", "label": null, "tags": [] }], "composition_type": "key",
            "created": "2026-11-21T12:00:00+00:00", "size": 2, "items_count": 1, "tags": { "by": "test" },
            "retention_period": 3600,
        })
    );
    let target = operation.strip_prefix(&format!("http://{HOST}")).unwrap();
    let running = bench.get(target).await;
    assert_eq!(running.json(), json!({ "id": "rel 1", "status": "Running", "error": null }));
    assert_eq!(running.header("retry-after"), Some("1"));
    let items = format!("/kv?snapshot=rel%201&{VERSION}");
    assert_eq!(bench.get(&items).await.column("key"), [json!(null); 0]);
    bench.advance(2);
    assert_eq!(bench.get(target).await.json()["status"], "Succeeded");
    bench.put("k", r#"{"value":"2"}"#).await;
    let frozen = bench.get(&items).await;
    assert_eq!(frozen.column("value"), ["1"]);
    let unchanged = bench.send("GET", &items, &[("if-none-match", &frozen.etag())], "").await;
    assert_eq!(unchanged.status, 304);
}

#[tokio::test]
async fn composition_decides_what_is_the_same() {
    let bench = Bench::new();
    for label in ["", "dev", "prod"] {
        bench.send("PUT", &format!("/kv/k?{VERSION}&label={label}"), &[], &json!({ "value": label }).to_string()).await;
    }
    let filters = json!([{ "key": "k" }, { "key": "k", "label": "dev" }, { "key": "*", "label": "prod" }]);
    create(&bench, "one", &json!({ "filters": filters })).await;
    create(&bench, "all", &json!({ "filters": [{ "key": "*", "label": "*" }], "composition_type": "key_label" })).await;
    bench.advance(2);
    assert_eq!(bench.get(&format!("/kv?snapshot=one&{VERSION}")).await.column("value"), ["prod"]);
    assert_eq!(bench.get(&format!("/kv?snapshot=all&{VERSION}")).await.column("value"), ["", "dev", "prod"]);
}

#[tokio::test]
async fn a_snapshot_is_archived_recovered_and_gone() {
    let bench = Bench::new();
    create(&bench, "s", &everything()).await;
    let early = patch(&bench, "s", "archived", &[]).await;
    assert_eq!(
        (early.status.as_u16(), &early.json()["type"]),
        (409, &json!("https://azconfig.io/errors/invalid-state"))
    );
    bench.advance(2);
    assert_eq!(patch(&bench, "s", "archived", &[("if-match", "\"other\"")]).await.status, 412);
    let archived = patch(&bench, "s", "archived", &[]).await.json();
    assert_eq!((&archived["status"], &archived["expires"]), (&json!("archived"), &json!("2026-11-21T13:00:02+00:00")));
    assert_eq!(patch(&bench, "s", "archived", &[]).await.json(), archived, "again is no change");
    let recovered = patch(&bench, "s", "ready", &[]).await.json();
    assert_eq!((&recovered["status"], recovered.get("expires")), (&json!("ready"), None));
    bench.advance(30 * 24 * 3_600);
    assert_eq!(status(&bench, "s").await, "ready", "what is ready never expires");
    patch(&bench, "s", "archived", &[]).await;
    let taken = create(&bench, "s", &everything()).await;
    assert_eq!(
        (taken.status.as_u16(), &taken.json()["type"]),
        (409, &json!("https://azconfig.io/errors/already-exists"))
    );
    bench.advance(3_599);
    assert_eq!(bench.get(&format!("/kv?snapshot=s&{VERSION}")).await.status, 200);
    bench.advance(1);
    assert_eq!(bench.get(&format!("/snapshots/s?{VERSION}")).await.status, 404);
    assert_eq!(create(&bench, "s", &everything()).await.status, 201, "the name is free again");
}

#[tokio::test]
async fn snapshots_fail() {
    let bench = Bench::new();
    bench.put("k", r#"{"value":"1"}"#).await;
    bench.app.fail_next_snapshot(SnapshotFailure::ServerError);
    assert_eq!(create(&bench, "bad", &json!({ "filters": [] })).await.status, 400, "a refusal spends no failure");
    create(&bench, "s", &everything()).await;
    create(&bench, "t", &everything()).await;
    assert_eq!(status(&bench, "s").await, "provisioning");
    bench.advance(2);
    let operation = bench.get(&format!("/operations?snapshot=s&{VERSION}")).await.json();
    assert_eq!((&operation["status"], &operation["error"]["code"]), (&json!("Failed"), &json!("ServerError")));
    assert_eq!((status(&bench, "s").await, status(&bench, "t").await), ("failed".into(), "ready".into()));
    assert_eq!(bench.get(&format!("/kv?snapshot=s&{VERSION}")).await.column("key"), [json!(null); 0]);
    assert_eq!(patch(&bench, "s", "archived", &[]).await.status, 409);
}

#[tokio::test]
async fn requests_are_checked() {
    let bench = Bench::new();
    let cases = [
        (json!({ "filters": [{ "key": "*", "label": "*" }] }), "filters"),
        (json!({ "filters": [{ "key": "*" }, { "key": "*" }, { "key": "*" }, { "key": "*" }] }), "filters"),
        (json!({ "filters": [{ "key": "a*b" }] }), "filters"),
        (json!({ "filters": [{ "key": "*" }], "retention_period": 3599 }), "retention_period"),
        (json!({ "filters": [{ "key": "*" }], "composition_type": "other" }), "body"),
        (json!({}), "body"),
    ];
    for (body, name) in cases {
        let refused = create(&bench, "s", &body).await;
        assert_eq!((refused.status.as_u16(), &refused.json()["name"]), (400, &json!(name)), "{body}");
    }
    assert_eq!(patch(&bench, "none", "ready", &[]).await.status, 404);
    assert_eq!(patch(&bench, "none", "failed", &[]).await.status, 400);
    assert_eq!(bench.get(&format!("/kv?snapshot=none&{VERSION}")).await.status, 404);
    assert_eq!(bench.get(&format!("/kv?snapshot=none&key=a&{VERSION}")).await.status, 400);
    assert_eq!(bench.get(&format!("/operations?snapshot=none&{VERSION}")).await.status, 404);
}

#[tokio::test]
async fn snapshots_are_listed_by_name_and_status() {
    let bench = Bench::new();
    for name in ["b", "a1", "a2"] {
        create(&bench, name, &everything()).await;
    }
    bench.advance(2);
    patch(&bench, "a2", "archived", &[]).await;
    let names = async |query: &str| bench.get(&format!("/snapshots?{VERSION}{query}")).await.column("name");
    assert_eq!(names("").await, ["a1", "a2", "b"]);
    assert_eq!(names("&name=a*&status=*").await, ["a1", "a2"]);
    assert_eq!(names("&status=archived,failed").await, ["a2"]);
    assert_eq!(bench.get(&format!("/snapshots?{VERSION}&status=gone")).await.status, 400);
    let etag = bench.get(&format!("/snapshots/b?{VERSION}")).await.etag();
    let unchanged = bench.send("GET", &format!("/snapshots/b?{VERSION}"), &[("if-none-match", &etag)], "").await;
    assert_eq!(unchanged.status, 304);
}
