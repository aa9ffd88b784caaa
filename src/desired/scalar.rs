//! What an unquoted YAML scalar means: the core schema of YAML 1.2, section 10.3.2.
//!
//! Only these words are special. `yes`, `on`, `0123` as octal and `12:30` as a number belong to YAML 1.1.

use super::tree::{Data, Number};

/// Returns the meaning of a plain scalar.
pub(super) fn resolve(text: &str) -> Data {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Data::Null,
        "true" | "True" | "TRUE" => return Data::Bool(true),
        "false" | "False" | "FALSE" => return Data::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Data::Number(Number::not_finite()),
        _ => {}
    }
    match number(text) {
        Some(number) => Data::Number(number),
        None => Data::Text(text.to_owned()),
    }
}

fn number(text: &str) -> Option<Number> {
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Some(Number::not_finite());
    }
    if !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit()) {
        return Some(decimal(text));
    }
    if !is_float(unsigned) {
        return None;
    }
    if is_json_number(text) {
        return Some(Number::from_json(text));
    }
    text.parse().ok().map(Number::float)
}

fn radix(digits: &str, radix: u32) -> Option<Number> {
    let fits = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    fits.then(|| Number::integer(i128::from_str_radix(digits, radix).ok()))
}

fn decimal(text: &str) -> Number {
    if is_json_number(text) { Number::from_json(text) } else { Number::integer(text.parse().ok()) }
}

/// Tells whether text without a sign is `.5`, `5.`, `5.5` or `5`, with or without an exponent.
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let mantissa_fits = match mantissa.split_once('.') {
        Some((whole, fraction)) => {
            all_digits(whole) && all_digits(fraction) && !(whole.is_empty() && fraction.is_empty())
        }
        None => !mantissa.is_empty() && all_digits(mantissa),
    };
    let exponent_fits = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    mantissa_fits && exponent_fits
}

/// Tells whether a YAML number is spelled as JSON would: no `+`, no leading zero, digits around the point.
fn is_json_number(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::tree::NumberValue;
    use super::*;

    fn json(text: &str) -> String {
        match resolve(text) {
            Data::Null => "null".into(),
            Data::Bool(value) => value.to_string(),
            Data::Number(number) => match number.value {
                NumberValue::TooLarge => "too large".into(),
                NumberValue::NotFinite => "not finite".into(),
                _ => number.json.into(),
            },
            Data::Text(text) => format!("{text:?}"),
            Data::List(_) | Data::Map(_) => unreachable!("a scalar is neither"),
        }
    }

    #[test]
    fn the_core_schema_decides() {
        for (text, expected) in [
            ("", "null"),
            ("~", "null"),
            ("True", "true"),
            ("yes", "\"yes\""),
            ("on", "\"on\""),
            ("no", "\"no\""),
            ("12:30", "\"12:30\""),
            ("1_000", "\"1_000\""),
            ("0o17", "15"),
            ("0x1F", "31"),
            ("0o8", "\"0o8\""),
            ("0b1", "\"0b1\""),
            ("017", "17"),
            ("+7", "7"),
            ("-7", "-7"),
            ("1.0", "1.0"),
            ("1e3", "1e3"),
            (".5", "0.5"),
            ("5.", "5.0"),
            ("-.5e1", "-5.0"),
            (".", "\".\""),
            ("-", "\"-\""),
            ("e3", "\"e3\""),
            ("1e", "\"1e\""),
            ("1.2.3", "\"1.2.3\""),
            (".inf", "not finite"),
            ("-.INF", "not finite"),
            (".nan", "not finite"),
            ("nan", "\"nan\""),
            ("99999999999999999999", "too large"),
            ("0xFFFFFFFFFFFFFFFFFF", "too large"),
            ("1e999", "too large"),
            ("2026-11-21", "\"2026-11-21\""),
        ] {
            assert_eq!(json(text), expected, "{text}");
        }
    }
}
