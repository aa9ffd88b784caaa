//! Looks for a secret in everything that a program leaves, in each way in which it could have been written.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::SENTINEL;

/// The ways in which a value could be written.
pub(crate) fn disguises() -> Vec<(&'static str, Vec<u8>)> {
    let bytes = SENTINEL.as_bytes();
    let each = |write: &dyn Fn(u8) -> String| bytes.iter().map(|byte| write(*byte)).collect::<Vec<_>>();
    let decimal = each(&|byte| byte.to_string());
    // A value inside something longer starts at any of three places of a base64 group; the middle is then the same.
    let inner = |engine: &dyn Fn(&[u8]) -> String, shift: usize| {
        let text = engine(&[&b"xx"[..shift], bytes].concat());
        text[shift + 3..text.len() - 4].to_owned()
    };
    let standard = |text: &[u8]| STANDARD_NO_PAD.encode(text);
    let url_safe = |text: &[u8]| URL_SAFE_NO_PAD.encode(text);
    let mut ways = vec![
        ("text", SENTINEL.to_owned()),
        ("base64", inner(&standard, 0)),
        ("base64 +1", inner(&standard, 1)),
        ("base64 +2", inner(&standard, 2)),
        ("base64url", inner(&url_safe, 0)),
        ("base64url +1", inner(&url_safe, 1)),
        ("base64url +2", inner(&url_safe, 2)),
        ("hex", hex::encode(bytes)),
        ("HEX", hex::encode_upper(bytes)),
        ("hex list", each(&|byte| format!("{byte:02x}")).join(" ")),
        ("0x list", each(&|byte| format!("0x{byte:02x}")).join(", ")),
        ("decimal bytes", decimal.join(", ")),
        ("decimal bytes, tight", decimal.join(",")),
        ("decimal bytes, lines", decimal.join(",\n")),
        ("percent", SENTINEL.replace('~', "%7E")),
        ("percent, all", each(&|byte| format!("%{byte:02X}")).concat()),
        ("JSON string", SENTINEL.replace('~', "\\u007e")),
        ("JSON string, all", each(&|byte| format!("\\u{byte:04x}")).concat()),
        ("escaped bytes", each(&|byte| format!("\\x{byte:02x}")).concat()),
        ("reversed", SENTINEL.chars().rev().collect()),
    ];
    // Debug output indents lists.
    let indented = decimal.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte},\n    ");
        text
    });
    ways.push(("decimal bytes, indented", indented.trim_end().to_owned()));
    ways.into_iter().map(|(name, text)| (name, text.into_bytes())).collect()
}

/// Asserts that the secret is nowhere in it.
#[track_caller]
pub(crate) fn assert_absent(what: &str, haystack: &[u8]) {
    if let Some(name) = disguise_in(haystack) {
        panic!("the secret as {name} in {what}");
    }
}

/// Returns the first way in which the secret stands there.
pub(crate) fn disguise_in(haystack: &[u8]) -> Option<&'static str> {
    let lower = haystack.to_ascii_lowercase();
    let is_in = |needle: &[u8]| {
        // A byte that occurs is found fast; most windows begin with another one.
        let first = needle[0].to_ascii_lowercase();
        lower.windows(needle.len()).any(|window| window[0] == first && window.eq_ignore_ascii_case(needle))
    };
    disguises().into_iter().find(|(_, needle)| is_in(needle)).map(|(name, _)| name)
}
