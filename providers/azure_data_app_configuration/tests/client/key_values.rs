//! Reading, writing and listing against a scripted transport.

use crate::mock::{Mock, Reply, SECRET};
use azure_core::time::parse_rfc3339;
use azure_data_app_configuration::{
    AppConfigurationClient, AppConfigurationClientOptions, Conditional, DeleteKeyValueOptions, ErrorKind, Field,
    GetKeyValueOptions, KeyFilter, KeyValueContent, KeyValueSelector, LabelFilter, NextLink, Outcome, PageOptions,
    Precondition, PutKeyValueOptions, TagFilter,
};
use futures::TryStreamExt;

const ITEM: &str =
    r#"{"etag":"e1","key":"a/b","label":"prod","value":"v","content_type":null,"tags":{},"locked":false}"#;

#[tokio::test]
async fn a_read_is_signed_named_and_exact() {
    let mock = Mock::new([Reply::json(ITEM).header("date", "Sat, 21 Nov 2026 22:00:00 GMT").header("etag", "\"e1\"")]);
    let options = GetKeyValueOptions {
        label: Some("prod,1".into()),
        select: vec![Field::Key, Field::Value],
        accept_datetime: Some(parse_rfc3339("2026-11-21T23:30:00+02:00").unwrap()),
        ..GetKeyValueOptions::default()
    };
    let response = mock.client().get_key_value("a/b ü", Some(options)).await.unwrap();
    assert_eq!(response.model.value.as_deref(), Some("v"));
    assert_eq!(response.meta.date, Some(parse_rfc3339("2026-11-21T22:00:00Z").unwrap()));
    assert_eq!(response.meta.etag.as_deref(), Some("e1"));

    let [sent] = &mock.sent()[..] else { panic!("one attempt") };
    assert_eq!(
        sent.line(),
        "GET /kv/a%2Fb%20%C3%BC?$select=key%2Cvalue&api-version=2024-09-01&label=prod%2C1",
        "one key has one exact label, which is not a filter"
    );
    assert!(sent.header("authorization").unwrap().starts_with("HMAC-SHA256 Credential=id-0&"));
    assert!(sent.header("user-agent").unwrap().starts_with("repin-azure-app-configuration/"));
    assert_eq!(sent.header("accept-datetime"), Some("Sat, 21 Nov 2026 21:30:00 GMT"));
    assert_eq!(sent.header("sync-token"), None);
}

#[tokio::test]
async fn clones_share_sync_tokens_even_those_of_failures() {
    let mock = Mock::new([
        Reply::status(404).header("sync-token", "zAJw6V16=MzoyMQ==;sn=21"),
        Reply::json(ITEM).header("sync-token", "zAJw6V16=MzoyMA==;sn=20,b=MQ==;sn=1"),
        Reply::json(ITEM),
    ]);
    let client = mock.client();
    client.get_key_value("a", None).await.unwrap_err();
    client.clone().get_key_value("a", None).await.unwrap();
    client.add_sync_token("b=Mg==;sn=2");
    client.get_key_value("a", None).await.unwrap();
    let tokens: Vec<_> = mock.sent().iter().map(|sent| sent.header("sync-token").map(str::to_owned)).collect();
    assert_eq!(tokens, [None, Some("zAJw6V16=MzoyMQ==".into()), Some("b=Mg==,zAJw6V16=MzoyMQ==".into())]);
}

#[tokio::test]
async fn an_unchanged_item_is_no_error() {
    let mock = Mock::new([Reply::status(304), Reply::json(ITEM)]);
    let client = mock.client();
    assert!(client.get_key_value_if_changed("a", "e1", None).await.unwrap().is_not_modified());
    let changed = client.get_key_value_if_changed("a", "e0", None).await.unwrap().modified().unwrap();
    assert_eq!(changed.model.etag.as_deref(), Some("e1"));
    assert_eq!(mock.sent()[0].header("if-none-match"), Some("\"e1\""));
}

#[tokio::test]
async fn a_304_that_was_not_asked_for_is_an_error() {
    let mock = Mock::new([Reply::status(304)]);
    let error = mock.client().get_key_value("a", None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedResponse);
}

#[tokio::test]
async fn a_put_carries_its_precondition_and_its_refusal_is_typed() {
    let locked = r#"{"type":"https://azconfig.io/errors/key-locked","title":"The key is read-only","name":"a"}"#;
    let mock = Mock::new([
        Reply::json(ITEM),
        Reply::status(412),
        Reply::Answer(409, vec![("content-type", "application/problem+json".into())], locked.into()),
    ]);
    let client = mock.client();
    let content = KeyValueContent::new("v");
    let put = |precondition| {
        let options = PutKeyValueOptions {
            label: Some("prod".into()),
            precondition: Some(precondition),
            ..PutKeyValueOptions::default()
        };
        client.put_key_value("a/b", &content, Some(options))
    };
    assert_eq!(put(Precondition::Absent).await.unwrap().model.etag.as_deref(), Some("e1"));
    let error = put(Precondition::Etag("e0".into())).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::PreconditionFailed, Outcome::NotDone));
    assert_eq!(error.operation(), "PUT /kv/{key}");
    let error = put(Precondition::Present).await.unwrap_err();
    assert_eq!((error.kind(), error.problem().unwrap().kind()), (ErrorKind::Locked, Some("key-locked")));

    let sent = mock.sent();
    assert_eq!(sent[0].line(), "PUT /kv/a%2Fb?api-version=2024-09-01&label=prod");
    assert_eq!(sent[0].body, r#"{"value":"v","content_type":null,"tags":{}}"#);
    assert_eq!(sent[0].header("content-type"), Some("application/vnd.microsoft.appconfig.kv+json"));
    assert_eq!((sent[0].header("if-none-match"), sent[0].header("if-match")), (Some("*"), None));
    assert_eq!((sent[1].header("if-none-match"), sent[1].header("if-match")), (None, Some("\"e0\"")));
    assert_eq!(sent[2].header("if-match"), Some("*"));
}

#[tokio::test]
async fn what_cannot_be_right_is_not_sent() {
    let mock = Mock::new([]);
    let client = mock.client();
    let mut described = KeyValueContent::new("v");
    described.description = Some("d".into());
    let quoted = Precondition::Etag("\"e\"".into());
    let options = || PutKeyValueOptions { precondition: Some(quoted.clone()), ..PutKeyValueOptions::default() };
    let reading =
        |precondition| GetKeyValueOptions { precondition: Some(precondition), ..GetKeyValueOptions::default() };
    let content = KeyValueContent::new("v");
    let errors = [
        client.put_key_value("a", &described, None).await.unwrap_err(),
        client.put_key_value("a", &content, Some(options())).await.unwrap_err(),
        client.put_key_value("..", &content, None).await.unwrap_err(),
        client.get_key_value("", None).await.unwrap_err(),
        client.get_key_value("a", Some(reading(Precondition::Absent))).await.unwrap_err(),
        client.check_key_value("a", None, Some(reading(Precondition::NotEtag("e".into())))).await.unwrap_err(),
        client.get_key_value_if_changed("a", "e", Some(reading(Precondition::Present))).await.unwrap_err(),
        client.list_key_values(&KeyValueSelector::snapshot(""), None).unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::InvalidInput, Outcome::NotDone), "{error}");
    }
    assert!(mock.sent().is_empty());
}

#[tokio::test]
async fn a_newer_api_version_takes_descriptions() {
    let mock = Mock::new([Reply::json(ITEM)]);
    let options = AppConfigurationClientOptions { api_version: "2026-04-01".into(), ..mock.options() };
    let mut content = KeyValueContent::new("v");
    content.description = Some("why".into());
    mock.client_with(options).put_key_value("a", &content, None).await.unwrap();
    assert_eq!(mock.lines(), ["PUT /kv/a?api-version=2026-04-01"]);
    assert!(mock.sent()[0].body.contains(r#""description":"why""#));
}

#[tokio::test]
async fn a_delete_says_what_there_was() {
    let mock = Mock::new([Reply::json(ITEM), Reply::status(204)]);
    let client = mock.client();
    let options = DeleteKeyValueOptions { precondition: Some(Precondition::Etag("e1".into())), ..Default::default() };
    assert_eq!(client.delete_key_value("a", Some(options)).await.unwrap().model.unwrap().key, "a/b");
    assert_eq!(client.delete_key_value("a", None).await.unwrap().model, None);
    assert_eq!(mock.sent()[0].header("if-match"), Some("\"e1\""));
}

#[tokio::test]
async fn locks_have_a_place_of_their_own() {
    let mock = Mock::new([Reply::json(ITEM), Reply::json(ITEM)]);
    let client = mock.client();
    client.lock_key_value("a/b", None).await.unwrap();
    client.unlock_key_value("a/b", None).await.unwrap();
    assert_eq!(mock.lines(), ["PUT /locks/a%2Fb?api-version=2024-09-01", "DELETE /locks/a%2Fb?api-version=2024-09-01"]);
}

fn selector() -> KeyValueSelector {
    KeyValueSelector {
        tags: vec![TagFilter::new("owner", "x=y")],
        accept_datetime: Some(parse_rfc3339("2026-11-21T22:00:00Z").unwrap()),
        ..KeyValueSelector::new(KeyFilter::Prefix("app/".into()), LabelFilter::Null)
    }
}

#[tokio::test]
async fn a_list_follows_its_links() {
    let mock = Mock::new([
        Reply::json(r#"{"items":[{"key":"app/1"},{"key":"app/2"}],"etag":"p1","@nextLink":"/kv?x=1&after=Mg%3D%3D"}"#),
        Reply::json(r#"{"items":[],"etag":"p2","@nextLink":"/kv?x=1&after=Mw%3D%3D"}"#),
        Reply::json(r#"{"items":[{"key":"app/3"}],"etag":"p3"}"#),
    ]);
    let items: Vec<_> = mock.client().list_key_values(&selector(), None).unwrap().try_collect().await.unwrap();
    assert_eq!(items.iter().map(|item| item.key.as_str()).collect::<Vec<_>>(), ["app/1", "app/2", "app/3"]);
    assert_eq!(
        mock.lines(),
        [
            "GET /kv?api-version=2024-09-01&key=app%2F%2A&label=%00&tags=owner%3Dx%5C%3Dy",
            "GET /kv?x=1&after=Mg%3D%3D",
            "GET /kv?x=1&after=Mw%3D%3D",
        ]
    );
    for sent in mock.sent() {
        assert_eq!(sent.header("accept-datetime"), Some("Sat, 21 Nov 2026 22:00:00 GMT"), "every page is of one time");
    }
}

#[tokio::test]
async fn a_list_ends_at_a_link_that_leads_away_or_in_a_circle() {
    for link in ["https://evil.example/kv", "//evil.example/kv"] {
        let mock = Mock::new([Reply::json(format!(r#"{{"items":[],"@nextLink":"{link}"}}"#))]);
        let error = mock.client().list_key_values(&selector(), None).unwrap().collect_all().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedResponse);
        assert_eq!(mock.sent().len(), 1, "nothing was sent to {link}");
    }
    let page = r#"{"items":[],"@nextLink":"/kv?after=1"}"#;
    let mock = Mock::new([Reply::json(page), Reply::json(page)]);
    let error = mock.client().list_key_values(&selector(), None).unwrap().collect_all().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedResponse);
}

#[tokio::test]
async fn an_unchanged_page_leads_on() {
    let mock = Mock::new([
        Reply::status(304).header("link", "</kv?api-version=2024-09-01&after=Mg%3D%3D>; rel=\"next\""),
        Reply::json(r#"{"items":[{"key":"app/3","etag":"e9"}],"etag":"p9"}"#),
    ]);
    let client = mock.client();
    let page = |next: Option<NextLink>, etag: &str| {
        let options = PageOptions { if_none_match: Some(etag.to_owned()), ..PageOptions::default() };
        let client = client.clone();
        async move { client.list_key_values_page(&selector(), next.as_ref(), Some(options)).await.unwrap() }
    };
    let Conditional::NotModified(unchanged) = page(None, "p1").await else { panic!("a 304") };
    let changed = page(unchanged.next, "p2").await.modified().unwrap();
    assert_eq!((changed.etag.as_deref(), changed.next), (Some("p9"), None));
    let sent = mock.sent();
    assert_eq!(sent[1].line(), "GET /kv?api-version=2024-09-01&after=Mg%3D%3D");
    assert_eq!((sent[0].header("if-none-match"), sent[1].header("if-none-match")), (Some("\"p1\""), Some("\"p2\"")));
}

#[tokio::test]
async fn a_check_reads_the_headers_only() {
    let mock = Mock::new([
        Reply::status(200).header("etag", "\"p1\"").header("link", "</kv?after=1>; rel=\"next\""),
        Reply::status(304),
        Reply::status(200).header("etag", "\"e1\""),
    ]);
    let client = mock.client();
    let head = client.check_key_values_page(&selector(), None, None).await.unwrap().modified().unwrap();
    assert_eq!(head.etag.as_deref(), Some("p1"));
    let options = PageOptions { if_none_match: Some("p2".into()), ..PageOptions::default() };
    let next = client.check_key_values_page(&selector(), head.next.as_ref(), Some(options)).await.unwrap();
    assert!(next.is_not_modified());
    let item = client.check_key_value("a", None, None).await.unwrap().modified().unwrap();
    assert_eq!(item.etag.as_deref(), Some("e1"));
    assert_eq!(mock.lines()[1..], ["HEAD /kv?after=1", "HEAD /kv/a?api-version=2024-09-01"]);
}

#[tokio::test]
async fn revisions_keys_and_labels() {
    let mock = Mock::new([
        Reply::json(r#"{"items":[{"key":"a","etag":"e2"},{"key":"a","etag":"e1"}]}"#),
        Reply::json(r#"{"items":[{"name":"a"}]}"#),
        Reply::json(r#"{"items":[{"name":null},{"name":"prod"}]}"#),
    ]);
    let client = mock.client();
    let one = KeyValueSelector::new(KeyFilter::Exact("a".into()), LabelFilter::exactly(None));
    let revisions = client.list_revisions(&one, None).unwrap().collect_all().await.unwrap();
    assert_eq!(revisions.iter().filter_map(|item| item.etag.as_deref()).collect::<Vec<_>>(), ["e2", "e1"]);
    let keys = client.list_keys(&KeyFilter::Any, None).unwrap().collect_all().await.unwrap();
    assert_eq!(keys[0].name, "a");
    let labels = client.list_labels(&LabelFilter::Any, None).unwrap().collect_all().await.unwrap();
    assert_eq!(labels.iter().map(|label| label.name.as_deref()).collect::<Vec<_>>(), [None, Some("prod")]);
    assert_eq!(
        mock.lines(),
        [
            "GET /revisions?api-version=2024-09-01&key=a&label=%00",
            "GET /keys?api-version=2024-09-01&name=%2A",
            "GET /labels?api-version=2024-09-01&name=%2A",
        ]
    );
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_does_not_show_it() {
    let mock = Mock::new([Reply::json(r#"{"key":"a","value":"hunter2","locked":"hunter2"}"#)]);
    let error = mock.client().put_key_value("a", &KeyValueContent::new("v"), None).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::UnexpectedResponse, Outcome::Unknown));
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
}

#[test]
fn plain_http_is_for_loopback() {
    let client = |endpoint: &str, allow_http| {
        let text = format!("Endpoint={endpoint};Id=id-0;Secret={SECRET}");
        let options = AppConfigurationClientOptions { allow_http, ..AppConfigurationClientOptions::default() };
        AppConfigurationClient::from_connection_string(&text, Some(options))
    };
    assert!(client("http://127.0.0.1:8483", false).is_ok());
    assert!(client("http://store.example", true).is_ok());
    assert_eq!(client("http://store.example", false).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(!format!("{:?}", client("https://store.azconfig.io", false).unwrap()).contains("id-0"));
}

#[tokio::test]
async fn a_list_without_items_is_no_empty_list() {
    let mock = Mock::new([Reply::json("{}"), Reply::json(r#"{"items":[]}"#)]);
    let client = mock.client();
    let list = || client.list_key_values(&KeyValueSelector::default(), None).unwrap();
    assert_eq!(list().collect_all().await.unwrap_err().kind(), ErrorKind::UnexpectedResponse);
    assert_eq!(list().collect_all().await.unwrap(), []);
}

#[tokio::test]
async fn pages_that_lead_round_end_with_an_error() {
    let page = |next: &str| {
        Reply::json(format!(r#"{{"items":[{ITEM}],"@nextLink":"/kv?api-version=2024-09-01&after={next}"}}"#))
    };
    let mock = Mock::new([page("a"), page("b"), page("a")]);
    let list = mock.client().list_key_values(&KeyValueSelector::default(), None).unwrap();
    assert_eq!(list.collect_all().await.unwrap_err().kind(), ErrorKind::UnexpectedResponse);
}
