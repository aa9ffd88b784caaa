//! What an entry says and none of its stores hears. Pure.

use super::problem::Issue;
use super::targets::Declared;
use super::tree::Node;
use crate::model::desired::TargetConfig;

/// Returns the fields of a map that none of the targets which it reaches takes.
pub(super) fn advise(fields: &Node, reached: &[&Declared]) -> Vec<Issue> {
    let reaches = |is_kind: fn(&TargetConfig) -> bool| reached.iter().any(|target| is_kind(&target.config));
    let told = |field: &str, store: &str| {
        let member = fields.get(field).filter(|member| !member.node.is_null())?;
        let message = format!("`{field}` has no effect here: it is for {store}, and no such target is meant");
        Some(Issue::at(member.key, message).hint("drop it, or set it where such a target is meant"))
    };
    let mut found = Vec::new();
    if reached.is_empty() {
        return found;
    }
    if !reaches(is_ssm) {
        found.extend(told("tier", "SSM"));
    }
    if !reaches(is_app_configuration) {
        found.extend(told("content_type", "App Configuration"));
    }
    found
}

fn is_ssm(config: &TargetConfig) -> bool {
    matches!(config, TargetConfig::AwsSsm(_))
}

fn is_app_configuration(config: &TargetConfig) -> bool {
    matches!(config, TargetConfig::AzureAppConfiguration(_))
}
