//! Opaque texts: continuation tokens and sync tokens.

use base64::{Engine, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::reply::Refused;

/// Makes the continuation token of a position in a listing.
pub(crate) fn after<T: Serialize>(position: &T) -> String {
    let json = serde_json::to_vec(position).expect("positions are texts and numbers");
    BASE64_URL_SAFE_NO_PAD.encode(json)
}

/// Reads a continuation token.
///
/// # Errors
///
/// A token that was not made here for such a listing.
pub(crate) fn position<T: DeserializeOwned>(token: Option<&str>) -> Result<Option<T>, Refused> {
    let Some(token) = token else { return Ok(None) };
    let json = BASE64_URL_SAFE_NO_PAD.decode(token).ok();
    json.and_then(|json| serde_json::from_slice(&json).ok())
        .map(Some)
        .ok_or_else(|| Refused::invalid("after", "Invalid continuation token"))
}

/// Makes the sync token of a store after its write number `seq`.
pub(crate) fn sync(store: &str, seq: u64) -> String {
    format!("{}={};sn={seq}", sync_id(store), BASE64_STANDARD.encode(format!("0:{seq}")))
}

/// Reads the number of the newest write that a caller's sync tokens vouch for; others' tokens are ignored.
pub(crate) fn synced<'a>(store: &str, headers: impl Iterator<Item = &'a str>) -> u64 {
    let id = sync_id(store);
    let tokens = headers.flat_map(|header| header.split(','));
    let values = tokens.filter_map(|token| {
        let (found, value) = token.split(';').next()?.trim().split_once('=')?;
        (found == id).then_some(value)
    });
    let numbers = values.filter_map(|value| {
        let text = String::from_utf8(BASE64_STANDARD.decode(value).ok()?).ok()?;
        text.strip_prefix("0:")?.parse::<u64>().ok()
    });
    numbers.max().unwrap_or_default()
}

/// The id is the same for the life of a store and has no character that a token's own grammar uses.
fn sync_id(store: &str) -> String {
    format!("r{}", BASE64_URL_SAFE_NO_PAD.encode(store))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sync_tokens_come_back_without_their_number() {
        let token = sync("contoso", 28);
        assert!(token.ends_with(";sn=28"), "{token}");
        let echoed = token.split(';').next().unwrap();
        assert_eq!(synced("contoso", [echoed].into_iter()), 28);
        assert_eq!(synced("contoso", [format!("other=MDoy, {token}").as_str()].into_iter()), 28);
        assert_eq!(synced("fabrikam", [echoed].into_iter()), 0);
        assert_eq!(synced("contoso", ["", "junk", "a=b;sn=x"].into_iter()), 0);
    }

    #[test]
    fn positions_survive_the_trip() {
        let position_of = ("a/b".to_owned(), Some("é".to_owned()));
        let token = after(&position_of);
        assert_eq!(position::<(String, Option<String>)>(Some(&token)).unwrap(), Some(position_of));
        assert!(position::<(String, Option<String>)>(Some("junk")).is_err());
        assert!(position::<(String, u64)>(Some(&token)).is_err());
    }
}
