use serde_json::json;

use crate::harness::{Answer, Bench, VERSION};

async fn fill(bench: &Bench, count: usize) {
    for index in 0..count {
        bench.put(&format!("k{index:03}"), r#"{"value":"1"}"#).await;
    }
}

/// Walks every page as clients do, by the link of the header.
async fn walk(bench: &Bench, first: &str) -> Vec<Answer> {
    let mut pages = vec![bench.get(first).await];
    while let Some(next) = pages.last().and_then(next_link) {
        assert!(pages.len() < 20, "the pages have no end");
        pages.push(bench.get(&next).await);
    }
    pages
}

fn next_link(page: &Answer) -> Option<String> {
    let link = page.header("link")?;
    Some(link.strip_prefix('<')?.split_once(">; rel=\"next\"")?.0.to_owned())
}

fn column(pages: &[Answer], field: &str) -> Vec<String> {
    let values = pages.iter().flat_map(|page| page.column(field));
    values.map(|value| value.as_str().unwrap_or("(none)").to_owned()).collect()
}

#[tokio::test]
async fn pages_hold_a_hundred_items() {
    let bench = Bench::new();
    fill(&bench, 250).await;
    let pages = walk(&bench, &format!("/kv?key=k*&{VERSION}&%24Select=key")).await;
    assert_eq!(pages.iter().map(|page| page.column("key").len()).collect::<Vec<_>>(), [100, 100, 50]);
    let keys = column(&pages, "key");
    assert!(keys.is_sorted() && keys.len() == 250);
    let next = next_link(&pages[0]).unwrap();
    assert_eq!(pages[0].json()["@nextLink"], json!(next));
    assert!(next.starts_with("/kv?api-version=2024-09-01&key=k%2A&$select=key&after="), "{next}");
    assert_eq!(pages[2].json().get("@nextLink"), None);
    assert_eq!(pages[0].json()["items"][0], json!({ "key": "k000" }));
}

#[tokio::test]
async fn an_unchanged_page_is_304_with_its_link() {
    let bench = Bench::new();
    fill(&bench, 101).await;
    let target = format!("/kv?{VERSION}");
    let first = bench.get(&target).await;
    assert_eq!(first.etag(), format!("\"{}\"", first.json()["etag"].as_str().unwrap()));
    let unchanged = bench.send("GET", &target, &[("if-none-match", &first.etag())], "").await;
    assert_eq!((unchanged.status.as_u16(), unchanged.text.as_str(), unchanged.header("etag")), (304, "", None));
    assert_eq!(next_link(&unchanged), next_link(&first));
    let head = bench.send("HEAD", &target, &[("if-none-match", &first.etag())], "").await;
    assert_eq!(head.status, 304);
    assert_eq!(bench.send("GET", &target, &[("if-match", "\"other\"")], "").await.status, 412);
    bench.put("k050", r#"{"value":"2"}"#).await;
    assert_eq!(bench.send("GET", &target, &[("if-none-match", &first.etag())], "").await.status, 200);
}

#[tokio::test]
async fn the_first_version_has_no_page_etags() {
    let bench = Bench::new();
    fill(&bench, 1).await;
    let page = bench.get("/kv?api-version=1.0").await;
    assert_eq!((page.header("etag"), page.json().get("etag")), (None, None));
    assert_eq!(bench.get("/snapshots?api-version=1.0").await.status, 404);
}

#[tokio::test]
async fn filters_choose_keys_and_labels() {
    let bench = Bench::new();
    for (key, label) in [("app/a", ""), ("app/a", "prod"), ("app/b", "dev"), ("web*", "prod")] {
        let target = format!("/kv/{key}?{VERSION}&label={label}");
        bench.send("PUT", &target, &[], r#"{"value":"1","tags":{"t":"1"}}"#).await;
    }
    let found = async |query: &str| {
        let page = bench.get(&format!("/kv?{VERSION}&{query}")).await;
        let names = page.column("key").into_iter().zip(page.column("label"));
        names
            .map(|(key, label)| format!("{}|{}", key.as_str().unwrap(), label.as_str().unwrap_or("-")))
            .collect::<Vec<_>>()
    };
    assert_eq!(found("key=app/*").await, ["app/a|-", "app/a|prod", "app/b|dev"]);
    assert_eq!(found("key=app%2Fa&label=%00").await, ["app/a|-"]);
    assert_eq!(found("label=%00,dev").await, ["app/a|-", "app/b|dev"]);
    assert_eq!(found("label=*&key=web%5C*").await, ["web*|prod"]);
    assert_eq!(found("label=p*").await, ["app/a|prod", "web*|prod"]);
    assert_eq!(found("tags=t%3D1&label=dev").await, ["app/b|dev"]);
    assert_eq!(found("tags=t%3D1&tags=u%3D1").await, [""; 0]);
}

#[tokio::test]
async fn malformed_filters_are_named() {
    let bench = Bench::new();
    for (query, name) in [("key=a*b", "key"), ("label=1,2,3,4,5,6", "label"), ("tags=x", "tags"), ("after=x", "after")]
    {
        let refused = bench.get(&format!("/kv?{VERSION}&{query}")).await;
        assert_eq!((refused.status.as_u16(), &refused.json()["name"]), (400, &json!(name)), "{query}");
    }
    let position = bench.get(&format!("/kv?{VERSION}&key=a*b")).await.json();
    assert_eq!(position["detail"], "key(2): Invalid character");
}

#[tokio::test]
async fn revisions_are_a_history() {
    let bench = Bench::new();
    for value in ["1", "2"] {
        bench.put("k", &json!({ "value": value }).to_string()).await;
        bench.advance(1);
    }
    bench.send("DELETE", &format!("/kv/k?{VERSION}"), &[], "").await;
    let history = bench.get(&format!("/revisions?{VERSION}&key=k&label=%00")).await;
    assert_eq!(history.column("value"), ["2", "1"]);
    assert_eq!(history.header("content-type"), Some("application/vnd.microsoft.appconfig.kvset+json; charset=utf-8"));
    assert_eq!(bench.get(&format!("/revisions?{VERSION}&key=*k*")).await.column("value"), ["2", "1"]);
    bench.advance(7 * 24 * 3_600);
    assert_eq!(bench.get(&format!("/revisions?{VERSION}&key=k")).await.column("value"), [json!(null); 0]);
}

#[tokio::test]
async fn revisions_have_pages_too() {
    let bench = Bench::new();
    for value in 0..205 {
        bench.put("k", &json!({ "value": value.to_string() }).to_string()).await;
    }
    bench.put("z", r#"{"value":"last"}"#).await;
    let pages = walk(&bench, &format!("/revisions?{VERSION}")).await;
    let values = column(&pages, "value");
    let expected: Vec<_> = (0..205).rev().map(|value: i32| value.to_string()).chain(["last".into()]).collect();
    assert_eq!(values, expected);
}

#[tokio::test]
async fn time_travel_in_the_formats_of_every_client() {
    let bench = Bench::new();
    bench.put("k", r#"{"value":"1"}"#).await;
    bench.advance(60);
    bench.put("k", r#"{"value":"2"}"#).await;
    bench.advance(60);
    for date in ["2026-11-21 12:00:30", "2026-11-21T12:00:30.000Z", "Sat, 21 Nov 2026 12:00:30 GMT"] {
        let then = [("accept-datetime", date)];
        let item = bench.send("GET", &format!("/kv/k?{VERSION}"), &then, "").await;
        assert_eq!(item.json()["value"], "1", "{date}");
        assert_eq!(item.header("memento-datetime"), Some("Sat, 21 Nov 2026 12:00:30 GMT"));
        assert_eq!(item.header("link"), Some("</kv/k?api-version=2024-09-01>; rel=\"original\""));
        assert_eq!(bench.send("GET", &format!("/kv?{VERSION}"), &then, "").await.column("value"), ["1"]);
        assert_eq!(bench.send("GET", &format!("/revisions?{VERSION}"), &then, "").await.column("value"), ["1"]);
    }
    let before = [("accept-datetime", "2026-11-21T11:00:00Z")];
    assert_eq!(bench.send("GET", &format!("/kv/k?{VERSION}"), &before, "").await.status, 404);
    assert_eq!(bench.send("GET", &format!("/keys?{VERSION}"), &before, "").await.column("name"), [json!(null); 0]);
    assert_eq!(bench.send("GET", &format!("/kv/k?{VERSION}"), &[("accept-datetime", "soon")], "").await.status, 400);
}

#[tokio::test]
async fn names_are_listed_once() {
    let bench = Bench::new();
    for (key, label) in [("b", "prod"), ("a", ""), ("a", "prod")] {
        bench.send("PUT", &format!("/kv/{key}?{VERSION}&label={label}"), &[], r#"{"value":"1"}"#).await;
    }
    assert_eq!(bench.get(&format!("/keys?{VERSION}")).await.column("name"), ["a", "b"]);
    assert_eq!(bench.get(&format!("/labels?{VERSION}")).await.column("name"), [json!(null), json!("prod")]);
    assert_eq!(bench.get(&format!("/labels?{VERSION}&name=p*")).await.column("name"), ["prod"]);
    assert_eq!(bench.get(&format!("/labels?{VERSION}&name=%00")).await.column("name"), [json!(null)]);
    fill(&bench, 120).await;
    let keys = column(&walk(&bench, &format!("/keys?{VERSION}")).await, "name");
    assert!(keys.is_sorted() && keys.len() == 122);
}
