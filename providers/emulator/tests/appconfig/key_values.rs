use serde_json::json;

use crate::harness::{Bench, VERSION};

async fn put_if(bench: &Bench, header: (&str, &str), body: &str) -> crate::harness::Answer {
    bench.send("PUT", &format!("/kv/k?{VERSION}"), &[header], body).await
}

#[tokio::test]
async fn a_put_replaces_the_whole_item() {
    let bench = Bench::new();
    let body = r#"{"key":"other","label":"other","value":"v","content_type":"text/plain","tags":{"a":"b","n":null}}"#;
    let target = format!("/kv/a%2Fb?{VERSION}&label=prod");
    let media = [("content-type", "application/vnd.microsoft.appconfig.kv+json")];
    let created = bench.send("PUT", &target, &media, body).await;
    assert_eq!(created.status, 200);
    let item = created.json();
    assert_eq!(
        item,
        json!({
            "etag": item["etag"], "key": "a/b", "label": "prod", "content_type": "text/plain", "value": "v",
            "tags": {"a": "b", "n": null}, "locked": false, "last_modified": "2026-11-21T12:00:00+00:00",
        })
    );
    assert_eq!(created.etag(), format!("\"{}\"", item["etag"].as_str().unwrap()));
    assert_eq!(created.header("last-modified"), Some("Sat, 21 Nov 2026 12:00:00 GMT"));
    assert_eq!(created.header("content-type"), Some("application/vnd.microsoft.appconfig.kv+json; charset=utf-8"));
    let replaced = bench.send("PUT", &target, &media, r#"{"value":"v"}"#).await.json();
    assert_eq!((&replaced["content_type"], &replaced["tags"]), (&json!(null), &json!({})));
    assert_eq!(bench.get(&format!("/kv/a/b?{VERSION}&label=prod")).await.json(), replaced);
    assert_eq!(bench.get(&format!("/kv/a/b?{VERSION}")).await.status, 404, "no label is another item");
}

#[tokio::test]
async fn an_equal_put_keeps_the_etag() {
    let bench = Bench::new();
    let first = bench.put("k", r#"{"value":"1"}"#).await;
    bench.advance(60);
    let again = bench.put("k", r#"{"value":"1"}"#).await;
    assert_eq!((again.status.as_u16(), again.json()), (200, first.json()));
    let revisions = bench.get(&format!("/revisions?{VERSION}&key=k")).await;
    assert_eq!(revisions.json()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn no_label_has_three_spellings() {
    let bench = Bench::new();
    bench.put("k", r#"{"value":"1"}"#).await;
    for label in ["", "&label=", "&label=%00"] {
        let answer = bench.get(&format!("/kv/k?{VERSION}{label}")).await;
        assert_eq!(answer.json()["label"], json!(null), "{label:?}");
    }
}

#[tokio::test]
async fn writes_are_conditional() {
    let bench = Bench::new();
    assert_eq!(put_if(&bench, ("if-match", "*"), r#"{"value":"1"}"#).await.status, 412);
    let created = put_if(&bench, ("if-none-match", "*"), r#"{"value":"1"}"#).await;
    assert_eq!(created.status, 200);
    let taken = put_if(&bench, ("if-none-match", "*"), r#"{"value":"1"}"#).await;
    assert_eq!((taken.status.as_u16(), taken.text.as_str()), (412, ""));
    let changed = put_if(&bench, ("if-match", &created.etag()), r#"{"value":"2"}"#).await;
    assert_eq!(changed.json()["value"], "2");
    assert_eq!(put_if(&bench, ("if-match", &created.etag()), r#"{"value":"3"}"#).await.status, 412);
    let target = format!("/kv/k?{VERSION}");
    assert_eq!(bench.send("DELETE", &target, &[("if-match", &created.etag())], "").await.status, 412);
    let deleted = bench.send("DELETE", &target, &[("if-match", &changed.etag())], "").await;
    assert_eq!((deleted.status.as_u16(), &deleted.json()["value"]), (200, &json!("2")));
    let nothing = bench.send("DELETE", &target, &[], "").await;
    assert_eq!((nothing.status.as_u16(), nothing.text.as_str()), (204, ""));
}

#[tokio::test]
async fn reads_are_conditional() {
    let bench = Bench::new();
    let etag = bench.put("k", r#"{"value":"1"}"#).await.etag();
    let target = format!("/kv/k?{VERSION}");
    let unchanged = bench.send("GET", &target, &[("if-none-match", &etag)], "").await;
    assert_eq!((unchanged.status.as_u16(), unchanged.text.as_str(), unchanged.header("etag")), (304, "", None));
    assert_eq!(bench.send("GET", &target, &[("if-none-match", "\"other\"")], "").await.status, 200);
    assert_eq!(bench.send("GET", &target, &[("if-match", "\"other\"")], "").await.status, 412);
    assert_eq!(bench.send("GET", &format!("/kv/no?{VERSION}"), &[("if-none-match", &etag)], "").await.status, 404);
    let head = bench.send("HEAD", &target, &[], "").await;
    assert_eq!((head.status.as_u16(), head.text.as_str(), head.etag()), (200, "", etag));
}

#[tokio::test]
async fn locked_items_are_read_only() {
    let bench = Bench::new();
    let before = bench.put("k", r#"{"value":"1"}"#).await.etag();
    let lock = format!("/locks/k?{VERSION}");
    let locked = bench.send("PUT", &lock, &[], "").await;
    assert_eq!((locked.status.as_u16(), &locked.json()["locked"]), (200, &json!(true)));
    assert_ne!(locked.etag(), before);
    let refused = bench.put("k", r#"{"value":"2"}"#).await;
    assert_eq!(refused.status, 409);
    assert_eq!(refused.header("content-type"), Some("application/problem+json; charset=utf-8"));
    let problem = refused.json();
    assert_eq!((&problem["type"], &problem["name"]), (&json!("https://azconfig.io/errors/key-locked"), &json!("k")));
    assert_eq!(bench.send("DELETE", &format!("/kv/k?{VERSION}"), &[], "").await.status, 409);
    assert_eq!(put_if(&bench, ("if-match", "\"x\""), "{}").await.status, 412, "the condition comes first");
    assert_eq!(bench.send("DELETE", &lock, &[], "").await.json()["locked"], json!(false));
    assert_eq!(bench.put("k", r#"{"value":"2"}"#).await.status, 200);
    assert_eq!(bench.send("PUT", &format!("/locks/none?{VERSION}"), &[], "").await.status, 404);
}

#[tokio::test]
async fn what_cannot_be_stored_is_refused() {
    let bench = Bench::new();
    let name = |answer: crate::harness::Answer| {
        assert_eq!(answer.status, 400, "{answer:?}");
        let problem = answer.json();
        assert_eq!(problem["type"], "https://azconfig.io/errors/invalid-argument");
        problem["name"].as_str().unwrap().to_owned()
    };
    assert_eq!(name(bench.put("a%25b", r#"{"value":"1"}"#).await), "key");
    assert_eq!(name(bench.put(&"k".repeat(257), r#"{"value":"1"}"#).await), "key");
    assert_eq!(name(bench.put("k", r#"{"value":1}"#).await), "body");
    assert_eq!(name(bench.put("k", "").await), "body");
    assert_eq!(name(bench.put("k", r#"{"tags":{"":"v"}}"#).await), "tags");
    assert_eq!(name(bench.send("GET", "/kv/k", &[], "").await), "api-version");
    let xml = [("content-type", "application/xml")];
    assert_eq!(bench.send("PUT", &format!("/kv/k?{VERSION}"), &xml, "<a/>").await.status, 415);
    let large = json!({ "value": "v".repeat(10 * 1024) }).to_string();
    assert_eq!(bench.put("k", &large).await.status, 413);
    assert_eq!(bench.get(&format!("/kv/k?{VERSION}")).await.status, 404, "nothing was stored");
}

#[tokio::test]
async fn unknown_methods_and_paths() {
    let bench = Bench::new();
    let post = bench.send("POST", &format!("/kv/k?{VERSION}"), &[], "").await;
    assert_eq!((post.status.as_u16(), post.header("allow")), (405, Some("GET, HEAD, PUT, DELETE")));
    assert_eq!(bench.send("PUT", &format!("/keys?{VERSION}"), &[], "").await.status, 405);
    assert_eq!(bench.get(&format!("/nowhere?{VERSION}")).await.status, 404);
}

#[tokio::test]
async fn descriptions_need_the_newest_version() {
    let bench = Bench::new();
    let target = "/kv/k?api-version=2026-04-01";
    let item = bench.send("PUT", target, &[], r#"{"value":"1","description":"why"}"#).await.json();
    assert_eq!(item["description"], "why");
    assert_eq!(bench.get(&format!("/kv/k?{VERSION}")).await.json().get("description"), None);
}

#[tokio::test]
async fn selected_fields_and_tags_of_one_item() {
    let bench = Bench::new();
    bench.put("k", r#"{"value":"1","tags":{"a":"b"}}"#).await;
    let only = bench.get(&format!("/kv/k?{VERSION}&%24select=key,label")).await;
    assert_eq!(only.json(), json!({ "key": "k", "label": null }));
    assert_eq!(bench.get(&format!("/kv/k?{VERSION}&%24select=")).await.json()["value"], "1");
    assert_eq!(bench.get(&format!("/kv/k?{VERSION}&$Select=colour")).await.status, 400);
    assert_eq!(bench.get(&format!("/kv/k?{VERSION}&tags=a%3Db")).await.status, 200);
    assert_eq!(bench.get(&format!("/kv/k?{VERSION}&tags=a%3Dc")).await.status, 404);
    assert_eq!(bench.get("/kv/k?api-version=2023-11-01&tags=a%3Db").await.status, 400, "came with 2024-09-01");
}

#[tokio::test]
async fn operations_are_counted_by_their_documented_paths() {
    let bench = Bench::new();
    bench.put("a/b", r#"{"value":"1"}"#).await;
    bench.get(&format!("/kv/a/b?{VERSION}")).await;
    bench.get(&format!("/kv/none?{VERSION}")).await;
    bench.get(&format!("/kv?{VERSION}")).await;
    let count = |operation| bench.counters.count("appconfig", operation);
    assert_eq!((count("PUT /kv/{key}"), count("GET /kv/{key}"), count("GET /kv")), (1, 2, 1));
    assert_eq!(bench.counters.count_status("appconfig", "GET /kv/{key}", 404), 1);
}
