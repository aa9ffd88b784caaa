//! Signature version 4, verified for real: canonical request, signed headers, payload hash, freshness.
//!
//! Only the `Authorization` header form; presigned queries and chunked payloads are S3's.

use std::collections::BTreeMap;

use aws_lc_rs::{digest, hmac};
use http::request::Parts;
use http::{HeaderMap, header};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::identity::{Identities, Principal};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// How far a request's date may be from the service's clock.
const MAX_SKEW: SignedDuration = SignedDuration::from_mins(15);

/// What RFC 3986 leaves unescaped, as signing requires.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why a request is not believed. Each protocol has its own code for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SignatureError {
    /// There is no signature.
    Missing,
    /// There is one that lacks a part.
    Incomplete(String),
    /// Nobody has this access key, or its session token is another one.
    UnknownKey,
    /// The session is over.
    Expired,
    /// The signature is not that of this request under this secret.
    Mismatch,
    /// The request's date is too far from the service's.
    Skewed(String),
}

/// Who signed a request, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) principal: Principal,
    pub(crate) region: String,
    pub(crate) service: String,
}

struct Authorization<'a> {
    access_key_id: &'a str,
    day: &'a str,
    region: &'a str,
    service: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

/// Returns the service that a request is signed for, before anything is verified.
pub(crate) fn claimed_service(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    Authorization::parse(text).ok().map(|authorization| authorization.service)
}

/// Verifies a request.
///
/// A date is fresh by either clock: `signing_now` is that of a client which goes by its host, `now` that of one which
/// goes by the dates of answers, as SDKs do once they notice a difference. Sessions end by `now`.
pub(crate) fn verify(
    parts: &Parts,
    body: &[u8],
    identities: &Identities,
    signing_now: Timestamp,
    now: Timestamp,
) -> Result<Signed, SignatureError> {
    let text = parts.headers.get(header::AUTHORIZATION).ok_or(SignatureError::Missing)?;
    let text = text.to_str().map_err(|_| SignatureError::Incomplete("Authorization is not text".into()))?;
    let authorization = Authorization::parse(text)?;
    let credential = identities.find(authorization.access_key_id).ok_or(SignatureError::UnknownKey)?;
    let token = parts.headers.get("x-amz-security-token").map(|token| token.as_bytes());
    match &credential.session {
        Some((expected, _)) if token != Some(expected.as_bytes()) => return Err(SignatureError::UnknownKey),
        Some((_, expires)) if *expires <= now => return Err(SignatureError::Expired),
        None if token.is_some() => return Err(SignatureError::UnknownKey),
        _ => {}
    }
    let date = header_text(&parts.headers, "x-amz-date")
        .ok_or_else(|| SignatureError::Incomplete("X-Amz-Date is required".into()))?;
    let by = |clock| check_freshness(&date, authorization.day, clock);
    by(signing_now).or_else(|refused| by(now).map_err(|_| refused))?;
    let canonical = canonical_request(parts, body, authorization.signed_headers)?;
    let scope = format!("{}/{}/{}/aws4_request", authorization.day, authorization.region, authorization.service);
    let to_sign = format!("{ALGORITHM}\n{date}\n{scope}\n{}", sha256_hex(canonical.as_bytes()));
    let key = signing_key(&credential.secret, &authorization);
    let given = hex::decode(authorization.signature).map_err(|_| SignatureError::Mismatch)?;
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &key), to_sign.as_bytes(), &given)
        .map_err(|_| SignatureError::Mismatch)?;
    Ok(Signed {
        principal: credential.principal,
        region: authorization.region.to_owned(),
        service: authorization.service.to_owned(),
    })
}

impl<'a> Authorization<'a> {
    fn parse(text: &'a str) -> Result<Self, SignatureError> {
        let missing = |what: &str| SignatureError::Incomplete(format!("Authorization header requires '{what}'"));
        let fields = text.strip_prefix(ALGORITHM).ok_or_else(|| missing(ALGORITHM))?;
        let fields: BTreeMap<&str, &str> = fields.split(',').filter_map(|field| field.trim().split_once('=')).collect();
        let field = |name: &str| fields.get(name).copied().ok_or_else(|| missing(name));
        let mut credential = field("Credential")?.split('/');
        let mut part = || credential.next().filter(|part| !part.is_empty());
        let parts = (part(), part(), part(), part(), part(), credential.next());
        let (Some(access_key_id), Some(day), Some(region), Some(service), Some("aws4_request"), None) = parts else {
            return Err(missing("Credential"));
        };
        let (signed_headers, signature) = (field("SignedHeaders")?, field("Signature")?);
        Ok(Self { access_key_id, day, region, service, signed_headers, signature })
    }
}

fn check_freshness(date: &str, day: &str, now: Timestamp) -> Result<(), SignatureError> {
    let parsed = DateTime::strptime("%Y%m%dT%H%M%SZ", date)
        .and_then(|date| date.to_zoned(TimeZone::UTC))
        .map_err(|_| SignatureError::Incomplete("X-Amz-Date must be in ISO-8601 basic format".into()))?;
    if !date.starts_with(day) {
        return Err(SignatureError::Mismatch);
    }
    let skew = now.duration_since(parsed.timestamp());
    let clock = now.strftime("%Y%m%dT%H%M%SZ");
    if skew > MAX_SKEW {
        Err(SignatureError::Skewed(format!("Signature expired: {date} is now earlier than {clock} less 15 min.")))
    } else if skew < -MAX_SKEW {
        Err(SignatureError::Skewed(format!(
            "Signature not yet current: {date} is still later than {clock} plus 15 min."
        )))
    } else {
        Ok(())
    }
}

fn canonical_request(parts: &Parts, body: &[u8], signed_headers: &str) -> Result<String, SignatureError> {
    let names: Vec<&str> = signed_headers.split(';').collect();
    if !names.contains(&"host") {
        return Err(SignatureError::Incomplete("'Host' must be a signed header".into()));
    }
    let mut headers = String::new();
    for name in &names {
        let value = header_text(&parts.headers, name).ok_or(SignatureError::Mismatch)?;
        headers.push_str(&format!("{name}:{value}\n"));
    }
    let path = utf8_percent_encode(parts.uri.path(), ESCAPED).to_string().replace("%2F", "/");
    let query = canonical_query(parts.uri.query().unwrap_or_default());
    Ok(format!("{}\n{path}\n{query}\n{headers}\n{signed_headers}\n{}", parts.method, sha256_hex(body)))
}

/// Returns a header's values joined by commas, with spaces trimmed and runs of them folded into one.
fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Option<Vec<String>> = headers
        .get_all(name)
        .iter()
        .map(|value| value.to_str().ok().map(|text| text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")))
        .collect();
    values.filter(|values| !values.is_empty()).map(|values| values.join(","))
}

fn canonical_query(query: &str) -> String {
    let encode = |text: &str| utf8_percent_encode(&percent_decode_str(text).decode_utf8_lossy(), ESCAPED).to_string();
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (encode(key), encode(value)))
        .collect();
    pairs.sort();
    pairs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&")
}

fn signing_key(secret: &str, authorization: &Authorization<'_>) -> Vec<u8> {
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [authorization.day, authorization.region, authorization.service, "aws4_request"] {
        key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec();
    }
    key
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn the_documented_signing_key_comes_out() {
        let authorization = Authorization::parse(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20120215/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=00",
        )
        .unwrap();
        let key = signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", &authorization);
        assert_eq!(hex::encode(key), "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d");
    }

    #[test]
    fn requests_are_made_canonical() {
        let request = Request::post("/a%20b?z=1&a=x+y&a=%2f")
            .header("host", "h")
            .header("x-amz-date", "20261121T000000Z")
            .header("my-header", "  a   b ")
            .body(())
            .unwrap();
        let (parts, ()) = request.into_parts();
        let canonical = canonical_request(&parts, b"", "host;my-header").unwrap();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(
            canonical,
            format!("POST\n/a%2520b\na=%2F&a=x%2By&z=1\nhost:h\nmy-header:a b\n\nhost;my-header\n{empty}")
        );
        assert!(matches!(canonical_request(&parts, b"", "my-header"), Err(SignatureError::Incomplete(_))));
    }

    #[test]
    fn broken_headers_are_incomplete() {
        for bad in [
            "Bearer x",
            "AWS4-HMAC-SHA256 Credential=a/20261121/r/ssm, SignedHeaders=host, Signature=00",
            "AWS4-HMAC-SHA256 Credential=a/20261121/r/ssm/aws4_request, Signature=00",
            "AWS4-HMAC-SHA256 Credential=/20261121/r/ssm/aws4_request, SignedHeaders=host, Signature=00",
        ] {
            assert!(matches!(Authorization::parse(bad), Err(SignatureError::Incomplete(_))), "{bad}");
        }
    }

    #[test]
    fn old_and_early_dates_are_refused() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let check = |date: &str| check_freshness(date, "20261121", now);
        assert_eq!(check("20261121T114500Z"), Ok(()));
        assert!(matches!(check("20261121T114459Z"), Err(SignatureError::Skewed(text)) if text.contains("earlier")));
        assert!(matches!(check("20261121T121501Z"), Err(SignatureError::Skewed(text)) if text.contains("later")));
        assert!(matches!(check("yesterday"), Err(SignatureError::Incomplete(_))));
        assert_eq!(check_freshness("20261121T120000Z", "20261120", now), Err(SignatureError::Mismatch));
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

        #[test]
        fn no_header_is_believed_by_its_shape(rest in "[A-Za-z=/,; 0-9]{0,80}", body in ".{0,20}") {
            let credential = "AKIAREPIN111122223333/20261121/r/ssm/aws4_request";
            let identities = Identities::new(vec!["111122223333".into()]);
            for text in [format!("{ALGORITHM} {rest}"), format!("{ALGORITHM} Credential={credential}, {rest}")] {
                let (parts, ()) = Request::post("/").header("authorization", text).body(()).unwrap().into_parts();
                let now = Timestamp::UNIX_EPOCH;
                proptest::prop_assert!(verify(&parts, body.as_bytes(), &identities, now, now).is_err());
            }
        }
    }
}
