//! The least rights that a file needs: an IAM policy for each AWS principal, a role for each App Configuration store.
//!
//! Pure: from the file's name and targets to what is to be granted. A test runs every command against the emulator and
//! holds each request against what stands here, in both directions: nothing is called that is not granted, and nothing is
//! granted that no command calls.

pub mod aws;
pub mod azure;

use std::collections::BTreeMap;

use repin_provider::{Owner, TargetName};
use serde_json::{Value, json};

use crate::model::desired::TargetConfig;
use aws::AwsAccess;
use azure::{AzureAccess, Scope};

/// What the rights are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Looking: `plan`, `status`, `history`, `show`, `diff`, `get`, and every `--dry-run`.
    Plan,
    /// Everything: `reconcile` and `daemon`, and what operators do.
    Apply,
    /// What operators do: `rollback`, `hold`, `resume`, `pin`, `unpin`, `forget`; and looking.
    Rollback,
}

impl Mode {
    /// Returns the word that it is called on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Apply => "apply",
            Self::Rollback => "rollback",
        }
    }

    /// Tells whether anything is written.
    pub fn writes(self) -> bool {
        self != Self::Plan
    }
}

/// What is to be granted for a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    /// One for each principal on AWS.
    pub aws: Vec<AwsAccess>,
    /// One for each App Configuration store.
    pub azure: Vec<AzureAccess>,
    /// What a policy cannot say, as sentences.
    pub notes: Vec<String>,
}

/// Works out what is to be granted for these targets of a file.
pub fn access(name: &Owner, targets: &BTreeMap<TargetName, TargetConfig>, mode: Mode, scope: &Scope) -> Access {
    let (mut on_aws, mut on_azure) = (Vec::new(), Vec::new());
    for (target, config) in targets {
        match config {
            TargetConfig::AwsSsm(config) => on_aws.push((target, config)),
            TargetConfig::AzureAppConfiguration(config) => on_azure.push((target, config)),
        }
    }
    let mut notes = aws::notes(&on_aws, mode);
    notes.extend(azure::notes(&on_azure, mode));
    let azure = azure::access(name, &on_azure, mode, scope);
    notes.extend(azure::placeholders(&azure, scope));
    Access { aws: aws::access(name, &on_aws, mode), azure, notes }
}

impl Access {
    /// Describes it for programs.
    pub fn json(&self, name: &Owner, mode: Mode) -> Value {
        json!({
            "name": name,
            "mode": mode.word(),
            "aws": self.aws.iter().map(AwsAccess::json).collect::<Vec<_>>(),
            "azure": self.azure.iter().map(AzureAccess::json).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }

    /// Describes it for people: what is granted to whom as comments, and between them what the clouds take as it is.
    pub fn text(&self, name: &Owner, mode: Mode) -> String {
        let mut text = format!("# The least that repin needs to {} {name}.\n", purpose(mode));
        for part in self.aws.iter().map(AwsAccess::text).chain(self.azure.iter().map(AzureAccess::text)) {
            text.push('\n');
            text.push_str(&part);
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        for note in &self.notes {
            text.push_str(&format!("# {note}\n"));
        }
        text
    }
}

fn purpose(mode: Mode) -> &'static str {
    match mode {
        Mode::Plan => "look at",
        Mode::Apply => "reconcile",
        Mode::Rollback => "look at and roll back",
    }
}

/// Joins the names of targets as a sentence has them.
fn listed(targets: &[TargetName]) -> String {
    targets.iter().map(TargetName::as_str).collect::<Vec<_>>().join(", ")
}
