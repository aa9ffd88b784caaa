//! Owner tags of parameters: one request each, since no read answers tags.

use std::collections::BTreeMap;

use aws_sdk_ssm::types::ResourceTypeForTagging;
use futures::{StreamExt, TryStreamExt, stream};
use repin_provider::{ErrorKind, Key, Result};

use crate::Ssm;
use crate::convert::OWNER_TAG;
use crate::pace::Category;

/// Requests under way at once.
const PARALLEL: usize = 4;

impl Ssm {
    pub(crate) async fn owner_tags(&self, keys: &[Key]) -> Result<Vec<Option<String>>> {
        let requests: Vec<_> = keys.iter().map(|key| self.owner_tag(key)).collect();
        stream::iter(requests).buffered(PARALLEL).try_collect().await
    }

    async fn owner_tag(&self, key: &Key) -> Result<Option<String>> {
        Ok(self.list_tags(key).await?.and_then(|mut tags| tags.remove(OWNER_TAG)))
    }

    /// Reads every tag of a parameter, the owner's too; `None` where the parameter is not there.
    pub(crate) async fn list_tags(&self, key: &Key) -> Result<Option<BTreeMap<String, String>>> {
        self.client.turn(Category::Tags).await;
        let sent = self
            .client
            .reads()
            .list_tags_for_resource()
            .resource_type(ResourceTypeForTagging::Parameter)
            .resource_id(self.name_of(key))
            .send()
            .await;
        let call = self.client.call("ListTagsForResource", Some(key), "");
        match sent.map_err(|error| call.failed(error)) {
            Ok(answer) => {
                let tags = answer.tag_list.unwrap_or_default();
                Ok(Some(tags.into_iter().map(|tag| (tag.key, tag.value)).collect()))
            }
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
