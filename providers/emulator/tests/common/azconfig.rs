//! Signs requests as App Configuration documents it, with other libraries than the emulator verifies with.

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use repin_emulator::credentials::APPCONFIG_SECRET;
use sha2::{Digest, Sha256};

/// The headers of a signed request.
pub(crate) type Signed = Vec<(&'static str, String)>;

/// Returns the headers that sign a request.
pub(crate) fn sign_for(host: &str, credential: &str, method: &str, target: &str, date: &str, body: &str) -> Signed {
    let hash = BASE64_STANDARD.encode(Sha256::digest(body.as_bytes()));
    let text = format!("{method}\n{target}\n{date};{host};{hash}");
    let mut mac = Hmac::<Sha256>::new_from_slice(&BASE64_STANDARD.decode(APPCONFIG_SECRET).unwrap()).unwrap();
    mac.update(text.as_bytes());
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    let names = "x-ms-date;host;x-ms-content-sha256";
    vec![
        ("host", host.to_owned()),
        ("x-ms-date", date.to_owned()),
        ("x-ms-content-sha256", hash),
        ("authorization", format!("HMAC-SHA256 Credential={credential}&SignedHeaders={names}&Signature={signature}")),
    ]
}
