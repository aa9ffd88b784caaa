//! Signs requests as AWS documents it, with other libraries than the emulator verifies with.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// Who signs, and for which service and region.
#[derive(Clone, Debug)]
pub(crate) struct Signer {
    pub(crate) key_id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
    pub(crate) region: String,
}

impl Signer {
    /// Returns the headers that a POST to `/` needs, with those that were given.
    pub(crate) fn sign(
        &self,
        service: &str,
        host: &str,
        given: &[(&str, String)],
        body: &str,
        at: Timestamp,
    ) -> Vec<(String, String)> {
        let date = at.strftime("%Y%m%dT%H%M%SZ").to_string();
        let mut headers: Vec<(String, String)> =
            given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        headers.push(("host".into(), host.into()));
        headers.push(("x-amz-date".into(), date.clone()));
        if let Some(token) = &self.token {
            headers.push(("x-amz-security-token".into(), token.clone()));
        }
        headers.sort();
        let names = headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!("POST\n/\n\n{lines}\n{names}\n{}", sha256(body));
        let scope = format!("{}/{}/{service}/aws4_request", &date[..8], self.region);
        let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256(&canonical));
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in scope.split('/') {
            key = mac(&key, part);
        }
        let signature = hex::encode(mac(&key, &to_sign));
        let credential = format!("{}/{scope}", self.key_id);
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}");
        headers.push(("authorization".into(), authorization));
        headers
    }
}

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
