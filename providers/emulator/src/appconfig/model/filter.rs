//! The grammar of the `key`, `label`, `name` and `status` filters.
//!
//! Omitted or `*` is anything; `abc` is exact; `abc*` a prefix; `a,b` up to five alternatives; a NUL no value at all.
//! `*`, `,` and `\` are escaped with a backslash, and any other character may be. `*abc` and `*abc*` exist for
//! revisions only.

/// How many alternatives a filter may list (documented limit).
const MAX_ALTERNATIVES: usize = 5;

/// A filter over a text that may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TextFilter {
    Any,
    /// Exactly one of these; `None` is no value.
    OneOf(Vec<Option<String>>),
    StartsWith(String),
    EndsWith(String),
    Contains(String),
}

/// Why a filter was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FilterError {
    /// A reserved character stands unescaped at this position, counted in characters from 1.
    #[error("({0}): Invalid character")]
    InvalidCharacter(usize),
    /// More than five alternatives.
    #[error(": Too many values. Maximum supported is {MAX_ALTERNATIVES}")]
    TooMany,
}

/// One character of a filter, its escape resolved.
#[derive(Clone, Copy)]
struct Symbol {
    char: char,
    escaped: bool,
    position: usize,
}

impl Symbol {
    fn is(self, special: char) -> bool {
        !self.escaped && self.char == special
    }
}

impl TextFilter {
    /// Parses a filter of a listing.
    ///
    /// # Errors
    ///
    /// When a reserved character stands unescaped where the grammar has no place for it, or five alternatives are
    /// exceeded.
    pub(crate) fn parse(text: &str) -> Result<Self, FilterError> {
        let symbols = symbols(text)?;
        match symbols.as_slice() {
            [] => Ok(Self::Any),
            [only] if only.is('*') => Ok(Self::Any),
            [prefix @ .., last] if last.is('*') => Ok(Self::StartsWith(literal(prefix)?)),
            all => Self::alternatives(all),
        }
    }

    /// Parses a filter of revisions, which may also look for an end or a middle.
    ///
    /// # Errors
    ///
    /// As [`TextFilter::parse`].
    pub(crate) fn parse_for_revisions(text: &str) -> Result<Self, FilterError> {
        let symbols = symbols(text)?;
        match symbols.as_slice() {
            [first, middle @ .., last] if first.is('*') && last.is('*') => match literal(middle)? {
                all if all.is_empty() => Ok(Self::Any),
                part => Ok(Self::Contains(part)),
            },
            [first, end @ ..] if first.is('*') && !end.is_empty() => Ok(Self::EndsWith(literal(end)?)),
            _ => Self::parse(text),
        }
    }

    /// Makes the filter that only this value passes.
    pub(crate) fn exactly(value: Option<String>) -> Self {
        Self::OneOf(vec![value])
    }

    fn alternatives(symbols: &[Symbol]) -> Result<Self, FilterError> {
        let parts: Vec<_> = symbols.split(|symbol| symbol.is(',')).collect();
        if parts.len() > MAX_ALTERNATIVES {
            return Err(FilterError::TooMany);
        }
        let one_of = parts.into_iter().map(|part| match part {
            [nothing] if nothing.is('\0') => Ok(None),
            part => literal(part).map(Some),
        });
        Ok(Self::OneOf(one_of.collect::<Result<_, _>>()?))
    }

    /// Reports whether a text, or its absence, passes.
    pub(crate) fn matches(&self, text: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(wanted) => wanted.iter().any(|wanted| wanted.as_deref() == text),
            Self::StartsWith(start) => text.is_some_and(|text| text.starts_with(start)),
            Self::EndsWith(end) => text.is_some_and(|text| text.ends_with(end)),
            Self::Contains(part) => text.is_some_and(|text| text.contains(part)),
        }
    }

    /// Reports whether more than one value could pass, which a snapshot of composition `key` refuses for labels.
    pub(crate) fn is_multiple(&self) -> bool {
        !matches!(self, Self::OneOf(wanted) if wanted.len() == 1)
    }
}

/// Resolves the escapes.
fn symbols(text: &str) -> Result<Vec<Symbol>, FilterError> {
    let mut out = Vec::new();
    let mut chars = text.chars().enumerate();
    while let Some((index, char)) = chars.next() {
        let position = index + 1;
        if char != '\\' {
            out.push(Symbol { char, escaped: false, position });
            continue;
        }
        let (_, char) = chars.next().ok_or(FilterError::InvalidCharacter(position))?;
        out.push(Symbol { char, escaped: true, position });
    }
    Ok(out)
}

fn literal(symbols: &[Symbol]) -> Result<String, FilterError> {
    symbols
        .iter()
        .map(|symbol| match symbol.is('*') || symbol.is(',') {
            true => Err(FilterError::InvalidCharacter(symbol.position)),
            false => Ok(symbol.char),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one_of(values: &[Option<&str>]) -> TextFilter {
        TextFilter::OneOf(values.iter().map(|value| value.map(Into::into)).collect())
    }

    #[test]
    fn grammar() {
        let cases = [
            ("", TextFilter::Any),
            ("*", TextFilter::Any),
            ("abc", one_of(&[Some("abc")])),
            ("abc*", TextFilter::StartsWith("abc".into())),
            ("a,b", one_of(&[Some("a"), Some("b")])),
            ("\0", one_of(&[None])),
            ("\\0", one_of(&[Some("0")])),
            ("\0,prod", one_of(&[None, Some("prod")])),
            ("a\\*", one_of(&[Some("a*")])),
            ("a\\,b", one_of(&[Some("a,b")])),
            ("a\\\\*", TextFilter::StartsWith("a\\".into())),
            ("\\a", one_of(&[Some("a")])),
        ];
        for (text, expected) in cases {
            assert_eq!(TextFilter::parse(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn misplaced_reserved_characters_are_refused_with_their_position() {
        let cases = [("a*b", 2), ("*abc", 1), ("a,b*", 2), ("ab\\", 3), ("a**", 2)];
        for (text, position) in cases {
            assert_eq!(TextFilter::parse(text), Err(FilterError::InvalidCharacter(position)), "{text:?}");
        }
        assert_eq!(TextFilter::parse("1,2,3,4,5,6"), Err(FilterError::TooMany));
        assert!(TextFilter::parse("1,2,3,4,5").is_ok());
    }

    #[test]
    fn ends_and_middles_are_for_revisions() {
        assert_eq!(TextFilter::parse_for_revisions("*abc"), Ok(TextFilter::EndsWith("abc".into())));
        assert_eq!(TextFilter::parse_for_revisions("*abc*"), Ok(TextFilter::Contains("abc".into())));
        assert_eq!(TextFilter::parse_for_revisions("**"), Ok(TextFilter::Any));
        assert_eq!(TextFilter::parse_for_revisions("*"), Ok(TextFilter::Any));
        assert_eq!(TextFilter::parse_for_revisions("abc*"), Ok(TextFilter::StartsWith("abc".into())));
    }

    #[test]
    fn matching() {
        let labels = TextFilter::parse("\0,prod").unwrap();
        assert!(labels.matches(None) && labels.matches(Some("prod")));
        assert!(!labels.matches(Some("dev")) && !labels.matches(Some("")));
        assert!(!TextFilter::parse("p*").unwrap().matches(None), "no label has no prefix");
        assert!(TextFilter::Any.matches(None));
        assert!(TextFilter::Contains("b".into()).matches(Some("abc")));
    }

    #[test]
    fn multiple_labels() {
        for (text, multiple) in [("*", true), ("a*", true), ("a,b", true), ("a", false), ("\0", false)] {
            assert_eq!(TextFilter::parse(text).unwrap().is_multiple(), multiple, "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn an_escaped_text_is_itself(text in "[^\0]{1,20}") {
            let escaped: String = text.chars().flat_map(|char| ['\\', char]).collect();
            prop_assert_eq!(TextFilter::parse(&escaped), Ok(one_of(&[Some(&text)])));
            prop_assert_eq!(TextFilter::parse_for_revisions(&escaped), Ok(one_of(&[Some(&text)])));
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in ".{0,30}", also in "[a*,\\\\\0]{0,8}") {
            for text in [&text, &also] {
                if let Err(FilterError::InvalidCharacter(position)) = TextFilter::parse(text) {
                    prop_assert!((1..=text.chars().count()).contains(&position));
                }
            }
        }
    }
}
