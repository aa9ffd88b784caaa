//! Dates as clients really send them, and as the service writes them.

use jiff::Timestamp;
use jiff::fmt::{rfc2822, strtime};

/// Reads a date from a header, liberally.
///
/// Besides RFC 9110 and RFC 3339 that is what the Python client sends: `Nov, 21 2026 21:04:20.257835 GMT` to sign with
/// and `2026-11-21 21:04:20` (or with `+00:00`) to travel in time. A date without an offset is UTC.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    if let Ok(at) = rfc2822::DateTimeParser::new().parse_timestamp(text) {
        return Some(at);
    }
    if let Ok(local) = text.parse::<jiff::civil::DateTime>() {
        return local.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    }
    let utc = text.strip_suffix("GMT").or_else(|| text.strip_suffix("UTC")).unwrap_or(text).trim_end();
    let local = strtime::parse("%b, %d %Y %H:%M:%S%.f", utc).ok()?.to_datetime().ok()?;
    local.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// Writes a date as JSON bodies do: RFC 3339, in whole seconds, with a numeric offset.
pub(crate) fn json(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_is_understood() {
        for text in [
            "Sat, 21 Nov 2026 21:04:20 GMT",
            "Nov, 21 2026 21:04:20 GMT",
            "Nov, 21 2026 21:04:20.000000 GMT",
            "2026-11-21T21:04:20.000Z",
            "2026-11-21T23:04:20+02:00",
            "2026-11-21 21:04:20+00:00",
            "2026-11-21 21:04:20",
            " 2026-11-21T21:04:20 ",
        ] {
            assert_eq!(parse(text).map(json).as_deref(), Some("2026-11-21T21:04:20+00:00"), "{text:?}");
        }
    }

    #[test]
    fn fractions_survive() {
        let at = parse("Nov, 21 2026 21:04:20.257835 GMT").unwrap();
        assert_eq!(at.subsec_microsecond(), 257_835);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "yesterday", "Nov, 41 2026 21:04:20 GMT", "1700000000"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
