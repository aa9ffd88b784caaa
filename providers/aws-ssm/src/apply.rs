//! Writes: one at a time, each with what it expects to replace.
//!
//! SSM has no compare-and-swap. A create is atomic (`Overwrite=false`). A replacement is written and then judged by the
//! version that it got: the expected one plus one, or somebody else's version lies buried below ours. A delete takes the
//! history with it and answers nothing, so that nobody could tell afterwards whom it met: it looks directly before, each
//! time, and what is written between these two requests is the one update that the store gives no means to save.

use aws_sdk_ssm::operation::put_parameter::PutParameterOutput;
use aws_sdk_ssm::types::ParameterTier;
use repin_provider::{
    Action, Applied, Content, Error, ErrorKind, Key, Observe, Outcome, Put, Result, Seen, Tier, Version, View, Write,
};

use crate::Ssm;
use crate::convert;
use crate::error::Call;
use crate::memory::Form;
use crate::pace::Category;

impl Ssm {
    pub(crate) async fn apply_write(&self, write: &Write) -> Result<Applied> {
        match &write.action {
            Action::Put(content, Put::Create) => self.create(&write.key, content).await,
            Action::Put(content, Put::Replace(expected)) => self.replace(&write.key, content, expected).await,
            Action::Serve { version, from: _ } => self.move_label(&write.key, version).await,
            Action::Withdraw(version) => self.take_label(&write.key, version).await,
            Action::Delete(expected) => self.delete(&write.key, expected).await,
        }
    }

    async fn create(&self, key: &Key, content: &Content) -> Result<Applied> {
        let name = self.name_of(key);
        let tier = self.tier(&name, content);
        if !self.client.is_loopback() {
            self.rest(key, &name).await;
        }
        let form = if content.value.is_secret() { Form::Secret } else { Form::String };
        let answer = match self.put(key, &name, content, (form, tier), false).await {
            // An emulator may keep to this rule of the service or not; one that does says so.
            Err(error) if error.kind == ErrorKind::Throttled && self.rest(key, &name).await => {
                self.put(key, &name, content, (form, tier), false).await?
            }
            other => other?,
        };
        Ok(Applied { version: Some(convert::version(answer.version, None)), buried: None })
    }

    /// Waits until a name that we deleted may be created again, and tells whether it had to.
    async fn rest(&self, key: &Key, name: &str) -> bool {
        let rest = self.memory.clean_up(name);
        if rest.is_zero() {
            return false;
        }
        tracing::info!(%key, seconds = rest.as_secs(), "waiting to re-create what was just deleted");
        tokio::time::sleep(rest).await;
        true
    }

    async fn replace(&self, key: &Key, content: &Content, expected: &Version) -> Result<Applied> {
        let call = self.client.call("PutParameter", Some(key), "");
        let Some(number) = convert::number(expected) else {
            return Err(call.error(ErrorKind::Conflict, format_args!("{expected:?} is no version of a parameter")));
        };
        let name = self.name_of(key);
        let form = self.form(key, &name, content).await?;
        self.ensure_tags(key, &name, content).await?;
        let tier = self.tier(&name, content);
        let answer = match self.put(key, &name, content, (form, tier), true).await {
            // The tier of a parameter costs a slow call to see, so it is found out this way: a definite no, once.
            Err(error) if tier == Tier::Standard && is_tier_refusal(&error) => {
                self.put(key, &name, content, (form, Tier::Advanced), true).await?
            }
            other => other?,
        };
        if answer.version < number {
            tracing::warn!(%key, expected = number, got = answer.version, "somebody re-created the parameter");
        }
        Ok(Applied {
            version: Some(convert::version(answer.version, None)),
            buried: buried(number, answer.version).map(|number| convert::version(number, None)),
        })
    }

    /// Returns what to store a content as that replaces another. A list stays one: its readers count on that.
    ///
    /// # Errors
    /// Refuses to put plain text over a secret: the store would take it, and show the value to whoever may read.
    async fn form(&self, key: &Key, name: &str, content: &Content) -> Result<Form> {
        if content.value.is_secret() {
            return Ok(Form::Secret);
        }
        let known = match self.memory.form(name) {
            Some(form) => Some(form),
            None => self.look(key).await?.item().map(Form::of),
        };
        match known {
            Some(Form::Secret) => {}
            Some(Form::List) => return Ok(Form::List),
            Some(Form::String) | None => return Ok(Form::String),
        }
        let message = "it is a SecureString, and plain text would take its place";
        let hint = "Set `secret: true` for it, or delete the parameter first.";
        Err(self.client.call("PutParameter", Some(key), "").error(ErrorKind::Refused, message).with_hint(hint))
    }

    /// Looks at what a write would meet: the newest version, whatever readers read.
    async fn look(&self, key: &Key) -> Result<Seen> {
        let request = Observe { keys: vec![key.clone()], view: View::Newest, ..Observe::default() };
        let mut observation = self.observe_keys(request).await?;
        Ok(observation.items.remove(key).unwrap_or(Seen::Absent))
    }

    /// Returns the tier to ask for: there is no way back from Advanced, so the larger of wanted and known.
    fn tier(&self, name: &str, content: &Content) -> Tier {
        let wanted = content.tier.or(self.config.tier).unwrap_or(Tier::Standard);
        self.memory.tier(name).map_or(wanted, |known| known.max(wanted))
    }

    /// Sends one put. Type, tier and key are always said, since what the store assumes in their place differs by
    /// account and by age; a key with a String is refused by the store, and so are tags with an overwrite.
    async fn put(
        &self,
        key: &Key,
        name: &str,
        content: &Content,
        (form, tier): (Form, Tier),
        overwrite: bool,
    ) -> Result<PutParameterOutput> {
        let call = Call {
            writes: true,
            value: Some(content.value.expose()),
            ..self.client.call("PutParameter", Some(key), "")
        };
        let kms_key = if form == Form::Secret { Some(self.kms_key(&call)?) } else { None };
        let tags = (!overwrite).then(|| convert::tags(content, &self.owner));
        self.client.turn(Category::Put).await;
        let answer = self
            .client
            .writes()
            .put_parameter()
            .name(name)
            .value(content.value.expose())
            .r#type(convert::native_type(form))
            .tier(convert::native_tier(tier))
            .overwrite(overwrite)
            .set_key_id(kms_key)
            .set_description(content.description.clone())
            .set_tags(tags)
            .send()
            .await
            .map_err(|error| call.failed(error))?;
        check_version(&call, answer.version)?;
        let advanced = answer.tier == Some(ParameterTier::Advanced);
        self.memory.put(name, answer.version, form, advanced.then_some(Tier::Advanced));
        Ok(answer)
    }

    async fn delete(&self, key: &Key, expected: &Version) -> Result<Applied> {
        let name = self.name_of(key);
        let done = Applied { version: None, buried: None };
        let call = Call { writes: true, ..self.client.call("DeleteParameter", Some(key), "") };
        // Its turn comes first: waiting for it afterwards would make the look old.
        self.client.turn(Category::Delete).await;
        match self.look(key).await? {
            // A read may lag behind the put that it does not show. Where nothing is there the request changes nothing.
            Seen::Absent => {}
            Seen::Present(item) if item.version == *expected => {}
            Seen::Present(item) => {
                let message = format!("expected version {expected}, found {}", item.version);
                return Err(call.error(ErrorKind::Conflict, message));
            }
            Seen::Unreadable(why) => return Err(call.error(ErrorKind::Unexpected, why)),
        }
        let sent = self.client.writes().delete_parameter().name(&name).send().await;
        match sent.map_err(|error| call.failed(error)) {
            Ok(_) => {}
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.memory.deleted(&name, convert::number(expected));
        Ok(done)
    }
}

/// Insists on a version in the answer to a put: one without says nothing about what became of it.
pub(crate) fn check_version(call: &Call<'_>, version: i64) -> Result<()> {
    if version > 0 {
        return Ok(());
    }
    Err(call.error(ErrorKind::Unexpected, "the answer has no version").with_outcome(Outcome::Unknown))
}

/// Returns the version of somebody else that a put covered: it got `got`, where `expected` plus one was due.
///
/// A number that is not above the expected one means that the parameter was deleted in between, and what was expected
/// with it: that is the version to name where nobody has written since.
fn buried(expected: i64, got: i64) -> Option<i64> {
    match got {
        got if got == expected + 1 => None,
        1 => Some(expected),
        got => Some(got - 1),
    }
}

/// Tells the store's refusal to go from Advanced back to Standard from its other refusals.
fn is_tier_refusal(error: &Error) -> bool {
    let text = error.message.to_ascii_lowercase();
    error.kind == ErrorKind::Refused
        && text.contains("tier")
        && (text.contains("downgrade") || text.contains("advanced"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_is_buried() {
        assert_eq!(buried(7, 8), None);
        assert_eq!(buried(7, 9), Some(8));
        assert_eq!(buried(7, 12), Some(11));
        assert_eq!(buried(7, 3), Some(2), "re-created in between, and written since");
        assert_eq!(buried(7, 1), Some(7), "deleted in between, with what was expected");
    }

    #[test]
    fn only_the_tier_refusal_is_tried_again() {
        let refusal = |text: &str| Error::new(ErrorKind::Refused, "PutParameter", text);
        assert!(is_tier_refusal(&refusal(
            "x answered ValidationException: You can't downgrade a parameter from the advanced-parameter tier"
        )));
        assert!(!is_tier_refusal(&refusal("x answered ValidationException: the value is too long")));
        assert!(!is_tier_refusal(&Error::new(ErrorKind::Denied, "PutParameter", "downgrade the tier")));
    }
}
