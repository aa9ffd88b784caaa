//! HMAC-SHA256 requests, verified over the request target exactly as it came; and access tokens.
//!
//! The credential id names the store, so that one listener serves several: `Id=contoso` reads and writes the store
//! `contoso`, `Id=contoso:ro` only reads it. Every store has the same, documented secret.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_STANDARD};
use http::request::Parts;
use http::{HeaderMap, header};
use jiff::{SignedDuration, Timestamp};

use super::date;
use super::reply::Refused;
use crate::credentials::{APPCONFIG_ID, APPCONFIG_SECRET, AzureRole};
use crate::identity::entra::role_in_store;
use crate::identity::token::Tokens;

const SCHEME: &str = "HMAC-SHA256";
const MS_DATE: &str = "x-ms-date";
const CONTENT_HASH: &str = "x-ms-content-sha256";

/// How far a request's date may be from the clock, either way (documented).
const WINDOW: SignedDuration = SignedDuration::from_mins(15);

/// What a credential id ends in if its key may only read.
const READ_ONLY: &str = ":ro";

/// The longest name of a store (documented limit of the service).
const MAX_STORE_NAME: usize = 50;

/// Who sent a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The store the credential belongs to.
    pub(crate) store: String,
    pub(crate) access: Access,
}

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    All,
    Read,
    /// An application without a role.
    None,
}

/// The `Authorization` header, taken apart.
struct Token<'a> {
    credential: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

/// Returns the access token of a request, if it has one.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = text(headers, header::AUTHORIZATION.as_str())?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(token.trim())
}

/// Verifies an access token. It is good for the store [`APPCONFIG_ID`]: in Azure the host names the store.
///
/// # Errors
///
/// [`Refused::Token`] where it is forged, over, or for something else.
pub(crate) fn verify_token(token: &str, tokens: Option<&Tokens>, now: Timestamp) -> Result<Caller, Refused> {
    let role = tokens.and_then(|tokens| role_in_store(tokens, token, now)).ok_or(Refused::Token)?;
    let access = match role {
        AzureRole::Owner => Access::All,
        AzureRole::Reader => Access::Read,
        AzureRole::None => Access::None,
    };
    Ok(Caller { store: APPCONFIG_ID.to_owned(), access })
}

/// Verifies the signature of a request; `hosts` are those accepted, all if empty. Its date is fresh by any of the
/// clocks: clients go by their host's, or by the dates of answers.
///
/// # Errors
///
/// [`Refused::Unauthorized`] with the documented description of what is wrong.
pub(crate) fn verify(parts: &Parts, body: &[u8], hosts: &[String], clocks: &[Timestamp]) -> Result<Caller, Refused> {
    let Some(value) = text(&parts.headers, header::AUTHORIZATION.as_str()) else {
        return Err(Refused::Unauthorized(None));
    };
    let token = Token::parse(value)?;
    check_signed_headers(&token, &parts.headers)?;
    check_date(&token, &parts.headers, clocks)?;
    let caller = find_caller(token.credential, text(&parts.headers, "host"), hosts)?;
    check_signature(&token, parts)?;
    check_content(text(&parts.headers, CONTENT_HASH), body)?;
    Ok(caller)
}

fn refused(why: &str) -> Refused {
    Refused::Unauthorized(Some(why.to_owned()))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

impl<'a> Token<'a> {
    /// Takes `HMAC-SHA256 Credential=..&SignedHeaders=..&Signature=..` apart; old clients separate by commas.
    fn parse(value: &'a str) -> Result<Self, Refused> {
        let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(Refused::Unauthorized(None));
        }
        let part = |wanted: &str| {
            rest.split(['&', ',']).find_map(|part| {
                let (name, value) = part.trim().split_once('=')?;
                (name == wanted).then_some(value)
            })
        };
        let signed = part("SignedHeaders").ok_or_else(|| refused("SignedHeaders parameter is required"))?;
        Ok(Self {
            credential: part("Credential").ok_or_else(|| refused("Invalid Credential"))?,
            signed_headers: signed.split(';').collect(),
            signature: part("Signature").ok_or_else(|| refused("Signature is required"))?,
        })
    }

    fn signs(&self, name: &str) -> bool {
        self.signed_headers.iter().any(|signed| signed.eq_ignore_ascii_case(name))
    }
}

fn check_signed_headers(token: &Token<'_>, headers: &HeaderMap) -> Result<(), Refused> {
    if !token.signs(MS_DATE) && !token.signs("date") {
        return Err(refused("x-ms-date is required as a signed header"));
    }
    for required in ["host", CONTENT_HASH] {
        if !token.signs(required) {
            return Err(refused(&format!("{required} is required as a signed header")));
        }
    }
    match token.signed_headers.iter().find(|name| !headers.contains_key(**name)) {
        Some(name) => Err(refused(&format!("Required signing request header '{}' not found", printable(name)))),
        None => Ok(()),
    }
}

fn check_date(token: &Token<'_>, headers: &HeaderMap, clocks: &[Timestamp]) -> Result<(), Refused> {
    let name = if token.signs(MS_DATE) { MS_DATE } else { "date" };
    let sent = text(headers, name).and_then(date::parse).ok_or_else(|| refused("Invalid access token date"))?;
    match clocks.iter().any(|now| now.duration_since(sent).abs() <= WINDOW) {
        true => Ok(()),
        false => Err(refused("The access token has expired")),
    }
}

fn find_caller(credential: &str, host: Option<&str>, hosts: &[String]) -> Result<Caller, Refused> {
    let accepted = |host: &str| hosts.iter().any(|accepted| accepted.eq_ignore_ascii_case(host));
    if !hosts.is_empty() && !host.is_some_and(accepted) {
        return Err(refused("Invalid Credential"));
    }
    let (store, access) = match credential.strip_suffix(READ_ONLY) {
        Some(store) => (store, Access::Read),
        None => (credential, Access::All),
    };
    let fits = (1..=MAX_STORE_NAME).contains(&store.len());
    match fits && store.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        true => Ok(Caller { store: store.to_owned(), access }),
        false => Err(refused("Invalid Credential")),
    }
}

fn check_signature(token: &Token<'_>, parts: &Parts) -> Result<(), Refused> {
    let secret = BASE64_STANDARD.decode(APPCONFIG_SECRET).expect("the documented secret is base64");
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let values: Vec<_> =
        token.signed_headers.iter().map(|name| text(&parts.headers, name).unwrap_or_default()).collect();
    let signed = format!("{}\n{target}\n{}", parts.method, values.join(";"));
    let presented = BASE64_STANDARD.decode(token.signature).map_err(|_| refused("Invalid Signature"))?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
    hmac::verify(&key, signed.as_bytes(), &presented).map_err(|_| refused("Invalid Signature"))
}

fn check_content(claimed: Option<&str>, body: &[u8]) -> Result<(), Refused> {
    let actual = BASE64_STANDARD.encode(digest(&SHA256, body));
    match claimed == Some(actual.as_str()) {
        true => Ok(()),
        false => Err(refused("Invalid request content hash")),
    }
}

/// Keeps what a client sent from breaking out of the header it is quoted in.
fn printable(text: &str) -> String {
    text.chars().filter(|char| char.is_ascii_alphanumeric() || *char == '-').collect()
}
