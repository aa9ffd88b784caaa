//! What is written packed: JSON, deflated, in base64, and cut into documents where it is long.

use std::io::{Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use repin_provider::DocumentName;

use super::format::Corrupt;

/// The most that a packed text may unpack to; far above a thousand entries, far below a bomb.
const MAX_UNPACKED: u64 = 64 * 1024 * 1024;

/// Packs a text.
pub(super) fn pack(text: &str) -> String {
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    deflate.write_all(text.as_bytes()).expect("writing to memory cannot fail");
    BASE64.encode(deflate.finish().expect("writing to memory cannot fail"))
}

/// Unpacks a text.
pub(super) fn unpack(packed: &str) -> Result<String, String> {
    let bytes = BASE64.decode(packed).map_err(|e| e.to_string())?;
    let mut text = String::new();
    let mut inflate = flate2::read::DeflateDecoder::new(bytes.as_slice()).take(MAX_UNPACKED);
    inflate.read_to_string(&mut text).map_err(|e| e.to_string())?;
    Ok(text)
}

/// What a document takes of a packed text, and the parts that take the rest.
pub(super) struct Cut {
    pub(super) head: String,
    pub(super) parts: Vec<(DocumentName, String)>,
}

/// Cuts a packed text to documents of at most `max` bytes. `room` says how many bytes the first document has for it
/// beside the names of these parts, `name` what a part is called. Full parts are cut from the front, so that they are
/// the same again where only the room in the first document is another.
pub(super) fn cut(
    packed: String,
    max: usize,
    room: impl Fn(&[DocumentName]) -> usize,
    name: impl Fn(usize, &str) -> DocumentName,
) -> Cut {
    if packed.len() <= room(&[]) {
        return Cut { head: packed, parts: Vec::new() };
    }
    // Base64 is ASCII, so a cut never splits a character.
    let pieces = packed.as_bytes().chunks(max).map(|piece| String::from_utf8_lossy(piece).into_owned());
    let mut parts: Vec<_> = pieces.enumerate().map(|(n, piece)| (name(n, &piece), piece)).collect();
    let last = parts.pop().unwrap_or_else(|| (name(0, ""), String::new()));
    let names: Vec<_> = parts.iter().map(|(name, _)| name.clone()).collect();
    if last.1.len() <= room(&names) {
        return Cut { head: last.1, parts };
    }
    parts.push(last);
    Cut { head: String::new(), parts }
}

/// Puts a packed text together again.
pub(super) fn join(
    head: &str,
    parts: &[DocumentName],
    part: impl Fn(&DocumentName) -> Option<String>,
) -> Result<String, Corrupt> {
    let mut packed = String::new();
    for name in parts {
        packed.push_str(&part(name).ok_or_else(|| Corrupt::MissingPart(name.clone()))?);
    }
    packed.push_str(head);
    Ok(packed)
}
