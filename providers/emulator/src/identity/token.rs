//! Access tokens and service account tokens: JWTs signed with a key that only this emulator has.
//!
//! HS256, so that nobody but the emulator can tell a good one from a forged one. No client looks inside a token; the
//! service does, and it is here.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::random_bytes;

/// `{"alg":"HS256","typ":"JWT"}` in base64url.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// Issues and verifies tokens. Clones share the key, which goes with the last of them.
#[derive(Clone)]
pub struct Tokens(Arc<hmac::Key>);

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// Who made it: Entra, or the emulated cluster.
    pub(crate) iss: String,
    /// Who it is for.
    pub(crate) aud: String,
    /// Whom it speaks of: the client id of an application, or a service account.
    pub(crate) sub: String,
    /// Seconds since 1970 by the emulator's clock: from when and until when it is good.
    pub(crate) iat: i64,
    pub(crate) exp: i64,
    /// The tenant, in Entra's tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tid: Option<String>,
}

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Untrusted {
    /// It is no token of this emulator's.
    Forged,
    /// It was good once.
    Expired,
}

impl Tokens {
    /// Makes a key of its own; nothing where the system has no randomness.
    pub fn random() -> Option<Self> {
        let key: [u8; 32] = random_bytes()?;
        Some(Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &key))))
    }

    /// Writes a token.
    pub(crate) fn issue(&self, claims: &Claims) -> String {
        let claims = serde_json::to_vec(claims).expect("claims are texts and numbers");
        let signed = format!("{HEADER}.{}", BASE64_URL_SAFE_NO_PAD.encode(claims));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// Reads a token that is signed by us and not over.
    pub(crate) fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, Untrusted> {
        let (signed, signature) = token.rsplit_once('.').ok_or(Untrusted::Forged)?;
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).map_err(|_| Untrusted::Forged)?;
        hmac::verify(&self.0, signed.as_bytes(), &signature).map_err(|_| Untrusted::Forged)?;
        let claims = signed.split_once('.').and_then(|(_, claims)| BASE64_URL_SAFE_NO_PAD.decode(claims).ok());
        let claims: Claims = claims.and_then(|json| serde_json::from_slice(&json).ok()).ok_or(Untrusted::Forged)?;
        if claims.exp <= now.as_second() { Err(Untrusted::Expired) } else { Ok(claims) }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(***)")
    }
}

impl Claims {
    /// Makes the claims of a token that is good from now on.
    pub(crate) fn new(iss: String, aud: &str, sub: &str, now: Timestamp, lifetime: SignedDuration) -> Self {
        let iat = now.as_second();
        Self { iss, aud: aud.to_owned(), sub: sub.to_owned(), iat, exp: iat + lifetime.as_secs(), tid: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fresh_tokens_of_ones_own_are_good() {
        let (tokens, others) = (Tokens::random().unwrap(), Tokens::random().unwrap());
        let start = Timestamp::from_second(1_000).unwrap();
        let claims = Claims::new("me".into(), "you", "it", start, SignedDuration::from_secs(60));
        let token = tokens.issue(&claims);
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(tokens.verify(&token, at(1_059)), Ok(claims));
        assert_eq!(tokens.verify(&token, at(1_060)), Err(Untrusted::Expired));
        assert_eq!(others.verify(&token, start), Err(Untrusted::Forged));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        for forged in ["", "a.b", "a.b.c", signed, &format!("{signed}x.{signature}"), &format!("{token}x")] {
            assert_eq!(tokens.verify(forged, start), Err(Untrusted::Forged), "{forged}");
        }
        assert!(!format!("{tokens:?}").contains("Key"));
    }
}
