//! Text of others, made fit to be shown: everything that a screen or a reader's eye would not take as it stands is escaped.
//!
//! Names, values, messages and what stores say come from files, ledgers and answers that anybody may have written. A terminal
//! acts on control characters, and the bidirectional and invisible ones make a text look like another; each is written as
//! `\u{202e}`. Every printer goes through here. JSON for programs is escaped as JSON is, and parses back the same.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Tells whether a character does something else than being seen.
pub fn is_odd(c: char) -> bool {
    c.is_control() || is_invisible(c)
}

/// Tells whether a character is not seen, or changes the order in which others are (Unicode's `Default_Ignorable_Code_Point`,
/// the bidirectional controls, and the separators that end a line).
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Escapes a text that stands inside a line.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |_, _| 0)
}

/// Escapes a text that may have lines of its own.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c, _| usize::from(matches!(c, '\n' | '\t')))
}

/// Escapes a screen that was put together from texts and our own styles: the last look before it is printed.
///
/// The styles pass, which are all that we write of terminal codes: colours, bold and faint. What others say went through
/// [`line()`] or [`lines`] before, so that it cannot have any.
pub fn screen(text: &str) -> Cow<'_, str> {
    escaped(text, |c, rest| match c {
        '\n' | '\t' => 1,
        '\u{1b}' => style(rest),
        _ => 0,
    })
}

/// Escapes JSON, which stays the same to those who parse it: outside of texts it is all ASCII.
pub fn json(text: &str) -> Cow<'_, str> {
    if !text.contains(|c: char| is_odd(c) && c != '\n') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_odd(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Returns how many bytes a style at the start of a text has, 0 where none stands there.
fn style(text: &str) -> usize {
    let Some(rest) = text.strip_prefix("\u{1b}[") else { return 0 };
    match rest.find(|c: char| !(c.is_ascii_digit() || c == ';')) {
        Some(end) if rest[end..].starts_with('m') => 2 + end + 1,
        _ => 0,
    }
}

/// Escapes what is odd, but for as many bytes as `passes` says of an odd character and the text that begins with it.
fn escaped(text: &str, passes: impl Fn(char, &str) -> usize) -> Cow<'_, str> {
    if !text.contains(is_odd) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find(is_odd) {
        let (plain, from) = rest.split_at(at);
        out.push_str(plain);
        let c = from.chars().next().expect("found there");
        let width = match passes(c, from) {
            0 => {
                out.extend(c.escape_default());
                c.len_utf8()
            }
            width => {
                out.push_str(&from[..width]);
                width
            }
        };
        rest = &from[width..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_stays_as_it_is() {
        for text in ["", "chat/config", "Ümlaut 漢字 🙂 e\u{301}", "a\\nb", "עברית"] {
            assert!(matches!(line(text), Cow::Borrowed(_)), "{text:?}");
            assert!(matches!(json(text), Cow::Borrowed(_)), "{text:?}");
        }
    }

    #[test]
    fn what_steers_or_hides_is_escaped() {
        for (text, shown) in [
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("a\rb\nc\td", "a\\rb\\nc\\td"),
            ("\u{9b}31m\u{7f}\0", "\\u{9b}31m\\u{7f}\\u{0}"),
            ("admin\u{202e}txt.exe", "admin\\u{202e}txt.exe"),
            ("pay\u{200b}pal\u{feff}\u{2066}", "pay\\u{200b}pal\\u{feff}\\u{2066}"),
            ("\u{2028}\u{e0041}\u{ad}", "\\u{2028}\\u{e0041}\\u{ad}"),
        ] {
            assert_eq!(line(text), shown);
            assert!(!line(text).contains(is_odd));
        }
    }

    #[test]
    fn lines_stay_lines() {
        assert_eq!(lines("a\n\tb\r\n\u{1b}c"), "a\n\tb\\r\n\\u{1b}c");
    }

    #[test]
    fn a_screen_keeps_its_styles_and_nothing_else() {
        let ours = "\u{1b}[1m\u{1b}[31mname\u{1b}[0m\n";
        assert_eq!(screen(ours), ours);
        for (text, shown) in [
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{1b}[3", "\\u{1b}[3"),
            ("\u{1b}[1;31mx\u{1b}[?25l", "\u{1b}[1;31mx\\u{1b}[?25l"),
            ("\u{1b}", "\\u{1b}"),
        ] {
            assert_eq!(screen(text), shown);
        }
    }

    #[test]
    fn json_parses_back_the_same() {
        let text = "\u{9b}\u{7f}\u{202e}\u{200b}\u{e0041}\u{feff}\u{2028} \n\u{1b}é";
        let written = serde_json::to_string(text).expect("text");
        let escaped = json(&written);
        assert!(!escaped.contains(is_odd), "{escaped}");
        assert_eq!(serde_json::from_str::<String>(&escaped).expect("still JSON"), text);
    }
}
