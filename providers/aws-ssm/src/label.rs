//! The label that readers follow, where the file asks for one: a put is unseen until it moves.
//!
//! Moving a label is one request, reads nothing and makes no version. There is no compare-and-swap for it either: the
//! last move wins, and to repeat one changes nothing.

use repin_provider::{Applied, ErrorKind, Key, Result, Version};

use crate::config::Serve;
use crate::convert;
use crate::error::Call;
use crate::pace::Category;
use crate::{Config, Ssm};

impl Config {
    /// Returns the label that readers follow; `None` where they read the latest version.
    pub(crate) fn label(&self) -> Option<&str> {
        match &self.serve {
            Serve::Latest => None,
            Serve::Label(label) => Some(label),
        }
    }
}

impl Ssm {
    /// Moves the label to a version. Which one it leaves is not compared: the store has no means for that.
    pub(crate) async fn move_label(&self, key: &Key, version: &Version) -> Result<Applied> {
        let call = Call { writes: true, ..self.client.call("LabelParameterVersion", Some(key), "") };
        let (name, label, number) = self.labelling(&call, key, version)?;
        self.client.turn(Category::Put).await;
        let answer = self
            .client
            .writes()
            .label_parameter_version()
            .name(&name)
            // Left out, it would be the latest, whoever wrote that.
            .parameter_version(number)
            .labels(label)
            .send()
            .await
            .map_err(|error| call.failed(error))?;
        if !answer.invalid_labels().is_empty() {
            let error = call.error(ErrorKind::Refused, format_args!("the store takes no label {label:?}"));
            return Err(error.with_hint("Choose another `label` in the target's `serve`."));
        }
        self.memory.labelled(&name, Some(number));
        Ok(Applied { version: Some(version.clone()), buried: None })
    }

    /// Takes the label off a version. One that does not carry it, or is gone, is served to nobody through it.
    pub(crate) async fn take_label(&self, key: &Key, version: &Version) -> Result<Applied> {
        let call = Call { writes: true, ..self.client.call("UnlabelParameterVersion", Some(key), "") };
        let (name, label, number) = self.labelling(&call, key, version)?;
        self.client.turn(Category::Put).await;
        let request = self.client.writes().unlabel_parameter_version().name(&name);
        let sent = request.parameter_version(number).labels(label).send().await;
        match sent.map_err(|error| call.failed(error)) {
            Ok(answer) if answer.removed_labels().iter().any(|one| one == label) => {
                self.memory.labelled(&name, None);
            }
            // Somebody else moved it: where to is not known, and the next look tells.
            Ok(_) => {}
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(Applied { version: None, buried: None })
    }

    /// Returns what a request about the label names: the parameter, the label and the version's number.
    fn labelling(&self, call: &Call<'_>, key: &Key, version: &Version) -> Result<(String, &str, i64)> {
        let Some(label) = self.config.label() else {
            return Err(call.error(ErrorKind::Refused, "readers read the latest version here, and follow no label"));
        };
        let Some(number) = convert::number(version) else {
            return Err(call.error(ErrorKind::NotFound, format_args!("{version:?} is no version of a parameter")));
        };
        Ok((self.name_of(key), label, number))
    }
}
