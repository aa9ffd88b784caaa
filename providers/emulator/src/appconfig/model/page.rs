//! Pages of a listing, and what makes the etag of one.

use super::fingerprint;

/// How many items a page holds; clients cannot ask for another size.
const PAGE_SIZE: usize = 100;

/// One page of a listing.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// Whether further items follow the last one here.
    pub(crate) more: bool,
}

/// Takes the first page of what remains of a listing.
pub(crate) fn page_of<T>(mut rest: impl Iterator<Item = T>) -> Page<T> {
    let items = rest.by_ref().take(PAGE_SIZE).collect();
    Page { items, more: rest.next().is_some() }
}

/// Computes the etag of a page: it changes when an item does, comes or goes, and when a further page appears.
pub(crate) fn page_etag<'a>(etags: impl Iterator<Item = &'a str>, continuation: Option<&'a str>) -> String {
    let parts: Vec<_> = etags.chain([continuation.unwrap_or_default()]).map(str::as_bytes).collect();
    fingerprint(&parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_last_page_has_no_successor() {
        assert!(!page_of(0..100).more);
        assert!(page_of(0..101).more);
        assert_eq!(page_of(0..101).items.len(), 100);
        assert!(page_of(0..0).items.is_empty());
    }

    #[test]
    fn the_etag_tells_pages_apart() {
        let etag = |etags: &[&'static str], next| page_etag(etags.iter().copied(), next);
        let reference = etag(&["a", "b"], None);
        assert_eq!(etag(&["a", "b"], None), reference);
        for other in [etag(&["b", "a"], None), etag(&["ab"], None), etag(&["a", "b"], Some("t")), etag(&[], None)] {
            assert_ne!(other, reference);
        }
    }
}
