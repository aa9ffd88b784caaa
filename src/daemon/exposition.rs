//! The forms in which metrics are told: OpenMetrics where it is asked for, otherwise the text that everything reads.
//!
//! They differ in little: in the older text a counter's own name ends in `_total`, and there are no units and no end.

use std::collections::BTreeMap;

/// A form of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Prometheus text 0.0.4.
    Text,
}

impl Form {
    /// Chooses by what is accepted (RFC 9110, section 12.5.1).
    pub(super) fn accepted(accept: &str) -> Self {
        let weight = |name: &str| accept.split(',').filter_map(|range| weight(range, name)).fold(0.0, f32::max);
        let open = weight("application/openmetrics-text");
        if open > 0.0 && open >= weight("text/plain") { Self::OpenMetrics } else { Self::Text }
    }

    /// Returns how it is announced.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// Puts OpenMetrics text into this form.
    pub(super) fn write(self, open: String) -> String {
        match self {
            Self::OpenMetrics => open,
            Self::Text => to_text(&open),
        }
    }
}

/// Returns how welcome a media type is by one range of an `Accept`; `None` where the range is of another.
fn weight(range: &str, name: &str) -> Option<f32> {
    let mut parts = range.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(name) {
        return None;
    }
    let quality = parts.find_map(|part| part.strip_prefix("q=")?.trim().parse().ok());
    Some(quality.unwrap_or(1.0))
}

fn to_text(open: &str) -> String {
    let types: BTreeMap<&str, &str> =
        open.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let mut text = String::with_capacity(open.len());
    for line in open.lines() {
        let Some((what, rest)) = line.strip_prefix("# ").map(|rest| rest.split_once(' ').unwrap_or((rest, ""))) else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let (name, told) = rest.split_once(' ').unwrap_or((rest, ""));
        let (suffix, kind) = match types.get(name).copied() {
            Some("counter") => ("_total", "counter"),
            Some("info") => ("_info", "gauge"),
            Some("unknown") => ("", "untyped"),
            kind => ("", kind.unwrap_or("untyped")),
        };
        match what {
            "HELP" => text.push_str(&format!("# HELP {name}{suffix} {told}\n")),
            "TYPE" => text.push_str(&format!("# TYPE {name}{suffix} {kind}\n")),
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_the_one_that_is_asked_for() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                          application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, form) in [
            (prometheus, Form::OpenMetrics),
            ("application/openmetrics-text", Form::OpenMetrics),
            ("text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5", Form::Text),
            ("application/openmetrics-text; q=0", Form::Text),
            ("*/*", Form::Text),
            ("", Form::Text),
            ("application/openmetrics-text;q=much,;,", Form::OpenMetrics),
        ] {
            assert_eq!(Form::accepted(accept), form, "{accept}");
        }
    }

    #[test]
    fn open_metrics_become_text() {
        let open = "# HELP a Some.\n# TYPE a counter\na_total{x=\"# y\"} 1\n# HELP b Info.\n# TYPE b info\nb_info{v=\"1\"} 1\n\
                    # HELP t_seconds Took.\n# TYPE t_seconds histogram\n# UNIT t_seconds seconds\nt_seconds_sum 0.5\n# EOF\n";
        let text = "# HELP a_total Some.\n# TYPE a_total counter\na_total{x=\"# y\"} 1\n# HELP b_info Info.\n\
                    # TYPE b_info gauge\nb_info{v=\"1\"} 1\n# HELP t_seconds Took.\n# TYPE t_seconds histogram\n\
                    t_seconds_sum 0.5\n";
        assert_eq!(Form::Text.write(open.to_owned()), text);
        assert_eq!(Form::OpenMetrics.write(open.to_owned()), open);
    }
}
