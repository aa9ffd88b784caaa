use jiff::{SignedDuration, Timestamp};

use crate::harness::{Answer, Bench, VERSION, sign};

const TARGET: &str = "/kv?api-version=1.0&key=a*";

fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Sends a signed GET with some of its headers changed; `None` takes a header away.
async fn send_with(bench: &Bench, date: &str, changes: &[(&'static str, Option<&str>)]) -> Answer {
    let mut headers = sign("contoso", "GET", TARGET, date, "");
    for (name, value) in changes {
        headers.retain(|(found, _)| found != name);
        headers.extend(value.map(|value| (*name, value.to_owned())));
    }
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    bench.send_raw("GET", TARGET, &headers, "").await
}

fn refused(answer: &Answer, why: &str) {
    assert_eq!(answer.status, 401);
    assert_eq!(answer.text, "");
    let expected = format!("HMAC-SHA256 error=\"invalid_token\" error_description=\"{why}\", Bearer");
    assert_eq!(answer.header("www-authenticate"), Some(expected.as_str()));
}

#[tokio::test]
async fn the_dates_of_every_client_are_accepted() {
    let bench = Bench::new();
    let now = Timestamp::now();
    for format in ["%a, %d %b %Y %H:%M:%S GMT", "%b, %d %Y %H:%M:%S.%6f GMT", "%Y-%m-%dT%H:%M:%SZ"] {
        let answer = send_with(&bench, &now.strftime(format).to_string(), &[]).await;
        assert_eq!(answer.status, 200, "{format}: {answer:?}");
    }
}

#[tokio::test]
async fn requests_outside_the_window_are_refused() {
    let bench = Bench::new();
    for minutes in [-16, 16] {
        let date = http_date(Timestamp::now() + SignedDuration::from_mins(minutes));
        refused(&send_with(&bench, &date, &[]).await, "The access token has expired");
    }
    for minutes in [-14, 14] {
        let date = http_date(Timestamp::now() + SignedDuration::from_mins(minutes));
        assert_eq!(send_with(&bench, &date, &[]).await.status, 200);
    }
    refused(&send_with(&bench, "yesterday", &[]).await, "Invalid access token date");
    bench.clock.set_skew(20 * 60 * 1_000);
    refused(&send_with(&bench, &http_date(Timestamp::now()), &[]).await, "The access token has expired");
}

#[tokio::test]
async fn every_part_of_a_signature_counts() {
    let bench = Bench::new();
    let date = http_date(Timestamp::now());
    let good = sign("contoso", "GET", TARGET, &date, "").pop().unwrap().1;
    let nothing = send_with(&bench, &date, &[("authorization", None)]).await;
    assert_eq!((nothing.status.as_u16(), nothing.header("www-authenticate")), (401, Some("HMAC-SHA256, Bearer")));
    let changed = async |value: String| send_with(&bench, &date, &[("authorization", Some(value.as_str()))]).await;
    refused(&changed(good.replace("Signature=", "Signature=AA")).await, "Invalid Signature");
    refused(&changed(good.replace("contoso", "con/toso")).await, "Invalid Credential");
    refused(&changed(good.replace(";host", "")).await, "host is required as a signed header");
    refused(&changed(good.replace("x-ms-date;", "")).await, "x-ms-date is required as a signed header");
    refused(&changed(good.split("&Signature").next().unwrap().into()).await, "Signature is required");
    assert_eq!(changed(good.replace('&', ",")).await.status, 200, "old clients separate by commas");
    refused(&send_with(&bench, &date, &[("host", Some("elsewhere"))]).await, "Invalid Signature");
    let bearer = send_with(&bench, &date, &[("authorization", Some("Bearer abc"))]).await;
    let challenge = bearer.header("www-authenticate").unwrap();
    assert!(bearer.status == 401 && challenge.contains("Bearer error=\"invalid_token\""), "{challenge}");
}

#[tokio::test]
async fn the_target_is_signed_as_it_was_sent() {
    let bench = Bench::new();
    let date = http_date(Timestamp::now());
    for target in ["/kv/a:b%20c*,d?api-version=1.0&label=%00", "/kv?key=a%2F%2A&$Select=key&api-version=1.0"] {
        let headers = sign("contoso", "GET", target, &date, "");
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_ne!(bench.send_raw("GET", target, &headers, "").await.status, 401, "{target}");
        let other = target.replace("%2F", "/").replace("%20", "+");
        refused(&bench.send_raw("GET", &other, &headers, "").await, "Invalid Signature");
    }
}

#[tokio::test]
async fn the_body_is_what_was_signed() {
    let bench = Bench::new();
    let target = format!("/kv/k?{VERSION}");
    let headers = sign("contoso", "PUT", &target, &http_date(Timestamp::now()), r#"{"value":"1"}"#);
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    refused(&bench.send_raw("PUT", &target, &headers, r#"{"value":"2"}"#).await, "Invalid request content hash");
    assert_eq!(bench.send_raw("PUT", &target, &headers, r#"{"value":"1"}"#).await.status, 200);
}

#[tokio::test]
async fn read_only_keys_read() {
    let bench = Bench::new();
    bench.put("k", r#"{"value":"1"}"#).await;
    let reader = bench.caller("contoso:ro");
    assert_eq!(reader.get(&format!("/kv/k?{VERSION}")).await.json()["value"], "1");
    let refused = reader.put("k", r#"{"value":"2"}"#).await;
    assert_eq!((refused.status.as_u16(), refused.text.as_str()), (403, ""));
}

#[tokio::test]
async fn stores_are_apart() {
    let bench = Bench::new();
    bench.put("k", r#"{"value":"1"}"#).await;
    let other = bench.caller("fabrikam");
    assert_eq!(other.get(&format!("/kv/k?{VERSION}")).await.status, 404);
    other.put("k", r#"{"value":"2"}"#).await;
    assert_eq!(bench.get(&format!("/kv/k?{VERSION}")).await.json()["value"], "1");
}

#[tokio::test]
async fn only_accepted_hosts_are_served() {
    let bench = Bench::with(|options| options.hosts = vec!["contoso.example:443".into()]);
    refused(&bench.get(TARGET).await, "Invalid Credential");
}
