//! Pages and their tokens.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::aws::error::{AwsError, Result};

/// Where a listing goes on, and which listing it is.
pub(super) struct Cursor {
    after: Option<String>,
    /// What the request asks, so that a token of another listing is noticed.
    question: String,
    /// Pages given so far.
    page: usize,
}

/// One page.
pub(super) struct Page<T, V> {
    pub(super) items: Vec<(T, V)>,
    pub(super) next: Option<String>,
}

impl Cursor {
    /// Takes a request's token, which must come from the same question.
    pub(super) fn parse(token: Option<&str>, question: &[&str]) -> Result<Self> {
        let question = hex::encode(&digest(&SHA256, question.join("\0").as_bytes()).as_ref()[..8]);
        let Some(token) = token else { return Ok(Self { after: None, question, page: 0 }) };
        let text = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let parts = text.as_deref().and_then(|text| {
            let (asked, rest) = text.split_once(' ')?;
            let (page, after) = rest.split_once(' ')?;
            (asked == question).then_some(())?;
            Some((page.parse().ok()?, after.to_owned()))
        });
        match parts {
            Some((page, after)) => Ok(Self { after: Some(after), question, page }),
            None => Err(AwsError::new("InvalidNextToken", "The specified token isn't valid.")),
        }
    }

    /// Returns the key that the page before ended with; nothing at the start.
    pub(super) fn after(&self) -> Option<&str> {
        self.after.as_deref().filter(|after| !after.is_empty())
    }

    fn token(&self, after: &str) -> String {
        URL_SAFE_NO_PAD.encode(format!("{} {} {after}", self.question, self.page + 1))
    }
}

/// Cuts one page out of an ordered listing.
///
/// With `short`, pages come as the service may give them: filters drop items from a page after it was cut, and the
/// sizes change from page to page, none at all on the first. All ends with the first page without a token, either way.
pub(super) fn paginate<'k, T, V>(
    all: impl Iterator<Item = T>,
    key: impl Fn(&T) -> &'k str,
    select: impl Fn(&T) -> Option<V>,
    cursor: &Cursor,
    size: usize,
    short: bool,
) -> Page<T, V> {
    let mut rest = all.skip_while(|item| cursor.after().is_some_and(|after| key(item) <= after)).peekable();
    if short && cursor.page == 0 && rest.peek().is_some() {
        return Page { items: Vec::new(), next: Some(cursor.token("")) };
    }
    let scan = if short { size.min(1 + cursor.page % 3) } else { usize::MAX };
    let (mut items, mut last, mut scanned) = (Vec::new(), None, 0);
    while items.len() < size && scanned < scan {
        let Some(item) = rest.next() else { break };
        last = Some(key(&item).to_owned());
        scanned += 1;
        if let Some(value) = select(&item) {
            items.push((item, value));
        }
    }
    // Without short pages a token is given only when something is to follow.
    let more = if short { rest.peek().is_some() } else { rest.any(|item| select(&item).is_some()) };
    Page { items, next: last.filter(|_| more).map(|last| cursor.token(&last)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(size: usize, short: bool, keep: fn(&str) -> bool) -> (Vec<Vec<&'static str>>, Vec<String>) {
        let all = ["a", "b", "c", "d", "e"];
        let (mut pages, mut tokens, mut token) = (Vec::new(), Vec::new(), None::<String>);
        for _ in 0..20 {
            let cursor = Cursor::parse(token.as_deref(), &["q"]).unwrap();
            let page = paginate(all.into_iter(), |item| *item, |item| keep(item).then_some(()), &cursor, size, short);
            pages.push(page.items.into_iter().map(|(item, ())| item).collect());
            match page.next {
                Some(next) => tokens.push(next.clone()),
                None => return (pages, tokens),
            }
            token = tokens.last().cloned();
        }
        panic!("the listing does not end");
    }

    #[test]
    fn pages_are_full_and_the_last_has_no_token() {
        assert_eq!(walk(2, false, |_| true).0, [vec!["a", "b"], vec!["c", "d"], vec!["e"]]);
        assert_eq!(walk(5, false, |_| true).0.len(), 1);
        assert_eq!(walk(2, false, |item| item < "c").0, [vec!["a", "b"]]);
    }

    #[test]
    fn short_pages_lose_nothing() {
        let (pages, _) = walk(10, true, |_| true);
        assert!(pages[0].is_empty() && pages.len() == 3);
        assert_eq!(pages.concat(), ["a", "b", "c", "d", "e"]);
        assert_eq!(walk(10, true, |item| item == "d").0.concat(), ["d"]);
    }

    #[test]
    fn tokens_belong_to_their_question() {
        let (_, tokens) = walk(2, false, |_| true);
        assert_eq!(Cursor::parse(Some(&tokens[0]), &["other"]).err().unwrap().code, "InvalidNextToken");
        assert_eq!(Cursor::parse(Some("bogus"), &["q"]).err().unwrap().code, "InvalidNextToken");
    }
}
