//! `If-Match` and `If-None-Match`, and what each asks of a read and of a write.

/// What one conditional header asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// `*`: the resource exists.
    Any,
    /// One of these etags, compared strongly.
    Etags(Vec<String>),
}

impl Condition {
    /// Parses a header: `*`, or etags separated by commas.
    ///
    /// Weak etags never match, since the service's are strong; the quotes may be missing.
    pub(crate) fn parse(header: &str) -> Self {
        let header = header.trim();
        if header == "*" || header == "\"*\"" {
            return Self::Any;
        }
        let etags = header.split(',').map(|etag| etag.trim().trim_matches('"').to_owned()).collect();
        Self::Etags(etags)
    }

    fn matches(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Etags(etags) => etags.iter().any(|wanted| wanted == etag),
        }
    }
}

/// Both conditional headers of one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) if_match: Option<Condition>,
    pub(crate) if_none_match: Option<Condition>,
}

/// What the conditions of a read say about a resource that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Proceed,
    NotModified,
    Failed,
}

impl Conditions {
    /// Judges a read of a resource with this etag.
    pub(crate) fn judge_read(&self, etag: &str) -> Verdict {
        if self.if_match.as_ref().is_some_and(|wanted| !wanted.matches(etag)) {
            Verdict::Failed
        } else if self.if_none_match.as_ref().is_some_and(|known| known.matches(etag)) {
            Verdict::NotModified
        } else {
            Verdict::Proceed
        }
    }

    /// Reports whether a write may go ahead over a resource with this etag, or over nothing.
    pub(crate) fn allow_write(&self, etag: Option<&str>) -> bool {
        let matched = |wanted: &Condition| etag.is_some_and(|etag| wanted.matches(etag));
        self.if_match.as_ref().is_none_or(matched) && !self.if_none_match.as_ref().is_some_and(matched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn if_match(header: &str) -> Conditions {
        Conditions { if_match: Some(Condition::parse(header)), if_none_match: None }
    }

    fn if_none_match(header: &str) -> Conditions {
        Conditions { if_match: None, if_none_match: Some(Condition::parse(header)) }
    }

    #[test]
    fn if_match_requires_existence() {
        assert!(if_match("*").allow_write(Some("a")));
        assert!(!if_match("*").allow_write(None));
        assert!(if_match("\"b\", \"a\"").allow_write(Some("a")));
        assert!(!if_match("\"b\"").allow_write(Some("a")));
        assert!(!if_match("\"b\"").allow_write(None));
    }

    #[test]
    fn if_none_match_requires_absence() {
        assert!(if_none_match("*").allow_write(None));
        assert!(!if_none_match("*").allow_write(Some("a")));
        assert!(if_none_match("\"b\"").allow_write(Some("a")));
        assert!(!if_none_match("\"a\"").allow_write(Some("a")));
    }

    #[test]
    fn reads_answer_304_or_412() {
        assert_eq!(if_none_match("\"a\"").judge_read("a"), Verdict::NotModified);
        assert_eq!(if_none_match("\"a\"").judge_read("b"), Verdict::Proceed);
        assert_eq!(if_match("\"a\"").judge_read("a"), Verdict::Proceed);
        assert_eq!(if_match("\"a\"").judge_read("b"), Verdict::Failed);
        assert_eq!(if_match("W/\"a\"").judge_read("a"), Verdict::Failed, "a weak etag never matches strongly");
    }
}
