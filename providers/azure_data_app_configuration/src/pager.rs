//! Lists that go on over several pages.

use std::collections::HashSet;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};

use crate::error::{Error, Result};
use crate::models::{NextLink, Page};

/// The items of a list, fetched page by page as they are asked for. It ends after the first error.
pub struct Pager<T> {
    pages: PageStream<T>,
    items: std::vec::IntoIter<T>,
}

/// The pages of a list, fetched as they are asked for. It ends after the first error.
pub struct PageStream<T>(BoxStream<'static, Result<Page<T>>>);

/// Where a list is.
enum Position {
    Start,
    At(NextLink),
    End,
}

impl<T: Send + 'static> Pager<T> {
    /// Makes a pager of a function that fetches the page behind a link; `None` is the first page.
    pub(crate) fn new<F>(fetch: F) -> Self
    where
        F: Fn(Option<NextLink>) -> BoxFuture<'static, Result<Page<T>>> + Send + Sync + 'static,
    {
        let start = (fetch, Position::Start, HashSet::new());
        let pages = stream::try_unfold(start, |(fetch, position, mut followed)| async move {
            let link = match position {
                Position::Start => None,
                Position::At(link) => Some(link),
                Position::End => return Ok(None),
            };
            let page = fetch(link).await?;
            let position = match &page.next {
                None => Position::End,
                // It would lead round for ever.
                Some(next) if !followed.insert(next.clone()) => {
                    return Err(Error::unexpected("GET", "a page links to one that was read already as the next page"));
                }
                Some(next) => Position::At(next.clone()),
            };
            Ok(Some((page, (fetch, position, followed))))
        });
        Self { pages: PageStream(pages.boxed()), items: Vec::new().into_iter() }
    }

    /// Turns the list of items into a list of pages.
    pub fn into_pages(self) -> PageStream<T> {
        self.pages
    }

    /// Fetches every page and returns all items.
    ///
    /// # Errors
    /// The first error of any page.
    pub async fn collect_all(self) -> Result<Vec<T>> {
        self.pages
            .try_fold(Vec::new(), |mut items, page| async move {
                items.extend(page.items);
                Ok(items)
            })
            .await
    }
}

// The items are held by value but never pinned.
impl<T> Unpin for Pager<T> {}

impl<T> Stream for Pager<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(item) = self.items.next() {
                return Poll::Ready(Some(Ok(item)));
            }
            match std::task::ready!(self.pages.0.poll_next_unpin(cx)) {
                Some(Ok(page)) => self.items = page.items.into_iter(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl<T> Stream for PageStream<T> {
    type Item = Result<Page<T>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

impl<T> fmt::Debug for Pager<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pager").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for PageStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageStream").finish_non_exhaustive()
    }
}
