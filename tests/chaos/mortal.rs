//! A future that is dropped when it has been woken so often: the process is gone between two awaits.

use std::pin::Pin;
use std::task::{Context, Poll};

use crate::story::Death;

/// Ends as another future does, or with nothing where that died.
pub(crate) struct Mortal<F> {
    inner: Option<Pin<Box<F>>>,
    polls: Option<u64>,
}

impl<F> Mortal<F> {
    pub(crate) fn new(inner: F, death: Option<Death>) -> Self {
        let polls = if let Some(Death::Poll(polls)) = death { Some(polls) } else { None };
        Self { inner: Some(Box::pin(inner)), polls }
    }
}

impl<F: Future> Future for Mortal<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(polls) = &mut self.polls {
            match polls.checked_sub(1) {
                Some(left) => *polls = left,
                None => {
                    self.inner = None;
                    return Poll::Ready(None);
                }
            }
        }
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        inner.as_mut().poll(context).map(Some)
    }
}
