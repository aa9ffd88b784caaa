//! The store's consistency tokens.
//!
//! A read may be answered from a copy a few seconds old unless the request says how far the client has already seen.
//! Each answer brings that mark, as `<id>=<value>;sn=<number>`; each attempt sends the newest `<id>=<value>` of every id.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use azure_core::http::headers::HeaderName;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request};

const SYNC_TOKEN: HeaderName = HeaderName::from_static("sync-token");

/// The tokens of one store, the newest of each id.
#[derive(Debug, Default)]
pub(crate) struct SyncTokens(Mutex<BTreeMap<String, Token>>);

#[derive(Debug)]
struct Token {
    value: String,
    sequence_number: u64,
}

impl SyncTokens {
    /// Takes in a header or the token of an event; what cannot be read in it is ignored.
    pub(crate) fn update(&self, header: &str) {
        let mut tokens = self.lock();
        for (id, token) in header.split(',').filter_map(parse) {
            let newest = tokens.get(id).is_none_or(|known| token.sequence_number >= known.sequence_number);
            if newest {
                tokens.insert(id.to_owned(), token);
            }
        }
    }

    /// Returns what to send, if anything is known.
    pub(crate) fn header(&self) -> Option<String> {
        let tokens = self.lock();
        let pairs: Vec<_> = tokens.iter().map(|(id, token)| format!("{id}={}", token.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join(","))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Token>> {
        // Each update is complete in itself, so a panic elsewhere leaves nothing half-done here.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads `<id>=<value>;sn=<number>`. The value is base64 and may end in `=`.
fn parse(text: &str) -> Option<(&str, Token)> {
    let (pair, rest) = text.trim().split_once(';')?;
    let (id, value) = pair.split_once('=')?;
    let number = rest.split(';').find_map(|part| part.trim().strip_prefix("sn="))?;
    let sequence_number = number.trim().parse().ok()?;
    let sendable = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    (sendable(id) && sendable(value)).then(|| (id, Token { value: value.to_owned(), sequence_number }))
}

/// Sends the tokens with each attempt and takes in those of each answer.
#[derive(Debug)]
pub(crate) struct SyncTokenPolicy(pub(crate) Arc<SyncTokens>);

#[async_trait]
impl Policy for SyncTokenPolicy {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        if let Some(header) = self.0.header() {
            request.insert_header(SYNC_TOKEN, header);
        }
        let response = next[0].send(ctx, request, &next[1..]).await?;
        if let Some(header) = response.headers().get_optional_str(&SYNC_TOKEN) {
            self.0.update(header);
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn the_newest_of_each_id_is_sent() {
        let tokens = SyncTokens::default();
        assert_eq!(tokens.header(), None);
        tokens.update("jtqGc1I4=MDoyOA==;sn=28");
        tokens.update("other=MQ==;sn=1, jtqGc1I4=MDoyNw==;sn=27");
        assert_eq!(tokens.header().as_deref(), Some("jtqGc1I4=MDoyOA==,other=MQ=="));
        tokens.update("jtqGc1I4=MDoyOQ==;sn=29");
        assert_eq!(tokens.header().as_deref(), Some("jtqGc1I4=MDoyOQ==,other=MQ=="));
    }

    #[test]
    fn nonsense_is_ignored() {
        let tokens = SyncTokens::default();
        for bad in ["", "a", "a=b", "a=b;sn=", "a=b;sn=x", "=b;sn=1", "a=;sn=1", "a=b c;sn=1", "a=\u{7f};sn=1"] {
            tokens.update(bad);
            assert_eq!(tokens.header(), None, "{bad:?}");
        }
    }
    proptest! {
        #[test]
        fn the_order_of_answers_does_not_matter(numbers in prop::collection::vec(any::<u64>(), 1..20)) {
            let tokens = SyncTokens::default();
            for number in &numbers {
                tokens.update(&format!("id=v{number};sn={number}"));
            }
            let newest = numbers.iter().max().map(|number| format!("id=v{number}"));
            prop_assert_eq!(tokens.header(), newest);
        }
    }
}
