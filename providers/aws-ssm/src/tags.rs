//! Tags of a parameter that exists: they lie beside its versions, and a put over it cannot carry any.

use std::collections::BTreeMap;

use aws_sdk_ssm::types::{ResourceTypeForTagging, Tag};
use repin_provider::{Content, ErrorKind, Key, Owner, Result};

use crate::Ssm;
use crate::convert::{self, OWNER_TAG};
use crate::error::Call;
use crate::pace::Category;

/// Tags under this prefix, in any case, are written by AWS alone and cannot be removed.
const AWS_TAGS: &str = "aws:";

impl Ssm {
    /// Makes a parameter's tags those of a content, with as few requests as that takes. A content without tags leaves
    /// them as they are.
    ///
    /// What is gone goes first, since fifty is the most that a parameter has. Either request may be repeated without
    /// harm, so a put that fails after them costs nothing but these requests again.
    pub(crate) async fn ensure_tags(&self, key: &Key, name: &str, content: &Content) -> Result<()> {
        if content.tags.is_empty() {
            return Ok(());
        }
        let Some(there) = self.list_tags(key).await? else {
            let call = self.client.call("PutParameter", Some(key), "");
            return Err(call.error(ErrorKind::Conflict, "it was to be replaced, and is not there"));
        };
        let (gone, new) = changes(&there, content, &self.owner);
        if !gone.is_empty() {
            self.remove_tags(key, name, gone).await?;
        }
        if !new.is_empty() {
            self.add_tags(key, name, new).await?;
        }
        Ok(())
    }

    async fn remove_tags(&self, key: &Key, name: &str, gone: Vec<String>) -> Result<()> {
        let call = Call { writes: true, ..self.client.call("RemoveTagsFromResource", Some(key), "") };
        self.client.turn(Category::Tags).await;
        let request = self.client.writes().remove_tags_from_resource();
        let sent = request.resource_type(ResourceTypeForTagging::Parameter).resource_id(name).set_tag_keys(Some(gone));
        sent.send().await.map_err(|error| call.failed(error))?;
        Ok(())
    }

    async fn add_tags(&self, key: &Key, name: &str, new: Vec<Tag>) -> Result<()> {
        let call = Call { writes: true, ..self.client.call("AddTagsToResource", Some(key), "") };
        self.client.turn(Category::Tags).await;
        let request = self.client.writes().add_tags_to_resource();
        let sent = request.resource_type(ResourceTypeForTagging::Parameter).resource_id(name).set_tags(Some(new));
        sent.send().await.map_err(|error| call.failed(error))?;
        Ok(())
    }
}

/// Returns the names of the tags to remove, and the tags to add or to change.
///
/// The owner tag is added where there is none, as on a parameter that was adopted. One that is there stays, whoever it
/// names: whose the parameter is was decided before.
fn changes(there: &BTreeMap<String, String>, content: &Content, owner: &Owner) -> (Vec<String>, Vec<Tag>) {
    let stays = |name: &str| {
        name == OWNER_TAG || content.tags.contains_key(name) || name.to_ascii_lowercase().starts_with(AWS_TAGS)
    };
    let gone = there.keys().filter(|name| !stays(name)).cloned().collect();
    let is_new = |tag: &Tag| match there.get(tag.key()) {
        Some(_) if tag.key() == OWNER_TAG => false,
        Some(value) => value != tag.value(),
        None => true,
    };
    (gone, convert::tags(content, owner).into_iter().filter(is_new).collect())
}

#[cfg(test)]
mod tests {
    use repin_provider::Value;

    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn found(there: &[(&str, &str)], wanted: &[(&str, &str)]) -> (Vec<String>, Vec<(String, String)>) {
        let value = Value::Plain("x".into());
        let content = Content { value, content_type: None, tags: map(wanted), description: None, tier: None };
        let (gone, new) = changes(&map(there), &content, &Owner::parse("mine").unwrap());
        (gone, new.into_iter().map(|tag| (tag.key, tag.value)).collect())
    }

    #[test]
    fn only_what_differs_is_sent() {
        let there = [("repin:owner", "mine"), ("kept", "1"), ("changed", "1"), ("dropped", "1")];
        let (gone, new) = found(&there, &[("kept", "1"), ("changed", "2"), ("added", "")]);
        assert_eq!(gone, ["dropped"]);
        assert_eq!(new, [("added".into(), String::new()), ("changed".into(), "2".into())]);
        let (gone, new) = found(&there[..2], &[("kept", "1")]);
        assert!(gone.is_empty() && new.is_empty());
    }

    #[test]
    fn tags_of_others_stay() {
        let (gone, new) = found(&[("aws:cloudformation:stack-name", "s"), ("AWS:x", "y")], &[("team", "ml")]);
        assert!(gone.is_empty(), "{gone:?}");
        assert_eq!(new, [("repin:owner".into(), "mine".into()), ("team".into(), "ml".into())], "no owner yet");
        let (gone, new) = found(&[("repin:owner", "other"), ("team", "ml")], &[("team", "ml")]);
        assert!(gone.is_empty() && new.is_empty(), "whose it is was decided elsewhere");
    }
}
