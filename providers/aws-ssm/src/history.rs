//! Past versions of one parameter.

use repin_provider::{ErrorKind, Key, Result, Revision};

use crate::Ssm;
use crate::client::Pages;
use crate::convert;
use crate::pace::Category;

/// Versions on one page: the most the store gives. It keeps a hundred.
const PAGE: i32 = 50;

impl Ssm {
    pub(crate) async fn past_versions(&self, key: &Key) -> Result<Vec<Revision>> {
        let name = self.name_of(key);
        let call = self.client.call("GetParameterHistory", Some(key), "");
        let mut pages = Pages::default();
        let mut revisions = Vec::new();
        loop {
            self.client.turn(Category::Put).await;
            let page = self
                .client
                .reads()
                .get_parameter_history()
                .name(&name)
                .with_decryption(false)
                .max_results(PAGE)
                .set_next_token(pages.token.clone())
                .send()
                .await
                .map_err(|error| call.failed(error))?;
            revisions.extend(page.parameters.unwrap_or_default());
            if !pages.turn(page.next_token).map_err(|text| call.error(ErrorKind::Unexpected, text))? {
                break;
            }
        }
        if revisions.is_empty() {
            return Err(call.error(ErrorKind::NotFound, "the store keeps no version of it"));
        }
        revisions.sort_by_key(|revision| std::cmp::Reverse(revision.version));
        Ok(revisions.into_iter().map(convert::revision).collect())
    }
}
