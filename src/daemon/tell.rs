//! What the daemon says, each thing once: a state that lasts for months must not fill a log.

use std::collections::BTreeMap;

use crate::model::outcome::{Outcome, StepResult};
use crate::report::{Trouble, text};

/// What was said last, by what it was about.
#[derive(Debug, Default)]
pub(super) struct Told {
    said: BTreeMap<String, String>,
}

impl Told {
    /// Tells whether this is news about something.
    pub(super) fn is_news(&mut self, about: &str, text: &str) -> bool {
        if self.said.get(about).is_some_and(|said| said == text) {
            return false;
        }
        self.said.insert(about.to_owned(), text.to_owned());
        true
    }

    /// Notes that there is nothing to say about something any more. Tells whether there was.
    pub(super) fn is_over(&mut self, about: &str) -> bool {
        self.said.remove(about).is_some()
    }

    /// Keeps, of what was said about things whose names begin so, only what is still so.
    pub(super) fn keep(&mut self, prefix: &str, still: impl Fn(&str) -> bool) {
        self.said.retain(|about, _| about.strip_prefix(prefix).is_none_or(&still));
    }
}

/// Says what troubles are in one line.
pub(super) fn line(troubles: &[Trouble]) -> String {
    let each = troubles.iter().map(|trouble| {
        let place = match (&trouble.target, &trouble.key) {
            (Some(target), _) if trouble.location.is_none() => format!("{target}: "),
            (None, Some(key)) if !trouble.message.contains(key.as_str()) => format!("{key}: "),
            _ => String::new(),
        };
        let hint = trouble.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{place}{}{hint}", text::one_line(trouble))
    });
    each.collect::<Vec<_>>().join("; ")
}

/// Says how many steps are served on each target.
pub(super) fn served(outcome: &Outcome) -> String {
    let mut counts = BTreeMap::new();
    for step in outcome.steps.iter().filter(|step| is_done(step.result)) {
        *counts.entry(step.target.as_str()).or_insert(0) += 1;
    }
    let each: Vec<_> = counts.iter().map(|(target, count)| format!("{count} on {target}")).collect();
    if each.is_empty() { "nothing".to_owned() } else { each.join(", ") }
}

/// Tells whether a step needs nothing more.
pub(super) fn is_done(result: StepResult) -> bool {
    matches!(result, StepResult::Applied | StepResult::Unchanged)
}

/// Lists keys, the first few by name.
pub(super) fn keys<'a>(keys: impl Iterator<Item = &'a str>) -> String {
    const NAMED: usize = 5;
    let all: Vec<_> = keys.collect();
    let named = all.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    if all.len() > NAMED { format!("{named} and {} more", all.len() - NAMED) } else { named }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_said_once_until_it_changes() {
        let mut told = Told::default();
        assert!(told.is_news("azure", "unreachable"));
        assert!(!told.is_news("azure", "unreachable"));
        assert!(told.is_news("azure", "denied"));
        assert!(told.is_over("azure"));
        assert!(!told.is_over("azure"));
        assert!(told.is_news("azure", "denied"));
        told.is_news("held a", "x");
        told.is_news("held b", "x");
        told.keep("held ", |key| key == "b");
        assert!(told.is_news("held a", "x"), "it was lifted and is there again");
        assert!(!told.is_news("held b", "x"));
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(keys(["a", "b"].into_iter()), "a, b");
        assert_eq!(keys(["a", "b", "c", "d", "e", "f", "g"].into_iter()), "a, b, c, d, e and 2 more");
    }
}
