//! What was sent to the stores and what they answered, over all providers of the process and whatever becomes of them: a
//! provider is built anew when credentials are refused or its target changes, and counts only what went through itself.

use std::sync::Arc;

use repin_provider::{AnswerCounts, Provider, RequestCounts, TargetName};

/// The providers that may still be sending, and how much of what they counted was taken.
#[derive(Debug, Default)]
pub(super) struct Tally {
    known: Vec<Known>,
    /// All requests that providers gone by now have sent.
    before: u64,
}

#[derive(Debug)]
struct Known {
    target: TargetName,
    provider: Arc<dyn Provider>,
    answers: AnswerCounts,
    throttles: RequestCounts,
}

/// Something that was counted since it was last asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted<'a> {
    /// Answers of an operation with one HTTP status; `None` where nothing came back.
    Answers(&'a str, Option<u16>),
    /// Answers of an operation that asked for fewer requests.
    Throttles(&'a str),
}

impl Tally {
    /// Counts a provider's requests from its first one on.
    pub(super) fn watch(&mut self, target: &TargetName, provider: &Arc<dyn Provider>) {
        if !self.known.iter().any(|known| Arc::ptr_eq(&known.provider, provider)) {
            let (target, provider) = (target.clone(), Arc::clone(provider));
            self.known.push(Known { target, provider, answers: AnswerCounts::new(), throttles: RequestCounts::new() });
        }
    }

    /// Hands out what was counted since this was last called, and lets go of providers that nobody uses any more.
    pub(super) fn take(&mut self, mut count: impl FnMut(&TargetName, Counted<'_>, u64)) {
        let before = &mut self.before;
        self.known.retain_mut(|known| {
            // Looked at first: whoever lets go of it in between is done with sending.
            let in_use = Arc::strong_count(&known.provider) > 1;
            known.take(&mut count);
            if !in_use {
                *before += sent(known.provider.as_ref());
            }
            in_use
        });
    }

    /// Returns how many requests were sent since the start.
    pub(super) fn sent(&self) -> u64 {
        self.before + self.known.iter().map(|known| sent(known.provider.as_ref())).sum::<u64>()
    }
}

impl Known {
    fn take(&mut self, count: &mut impl FnMut(&TargetName, Counted<'_>, u64)) {
        let (answers, throttles) = (self.provider.answers(), self.provider.throttles());
        for (operation, statuses) in &answers {
            let before = self.answers.get(operation);
            for (status, all) in statuses {
                let taken = before.and_then(|before| before.get(status)).copied().unwrap_or(0);
                if *all > taken {
                    count(&self.target, Counted::Answers(operation, *status), all - taken);
                }
            }
        }
        for (operation, all) in &throttles {
            let taken = self.throttles.get(operation).copied().unwrap_or(0);
            if *all > taken {
                count(&self.target, Counted::Throttles(operation), all - taken);
            }
        }
        (self.answers, self.throttles) = (answers, throttles);
    }
}

fn sent(provider: &dyn Provider) -> u64 {
    provider.requests().into_values().sum()
}
