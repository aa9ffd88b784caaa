//! Parameter policies: checked, kept and shown. They do not act: nothing expires by them.

use serde::Deserialize;
use serde_json::Value;

use super::parameter::Policy;
use crate::aws::error::{AwsError, Result, check_length};

const MAX_POLICIES: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Written {
    #[serde(rename = "Type")]
    kind: Option<String>,
    attributes: Option<serde_json::Map<String, Value>>,
}

/// Parses the policies of a put: a JSON array in a text. `[{}]` clears them.
pub(super) fn parse(text: &str) -> Result<Vec<Policy>> {
    check_length("policies", text, 1, 4_096)?;
    let invalid = |what: &str| AwsError::new("InvalidPolicyAttributeException", what);
    let written: Vec<Value> =
        serde_json::from_str(text).map_err(|_| invalid("The policies are not a JSON array of objects."))?;
    if written.iter().all(|policy| policy.as_object().is_some_and(serde_json::Map::is_empty)) {
        return Ok(Vec::new());
    }
    if written.len() > MAX_POLICIES {
        return Err(AwsError::new("PoliciesLimitExceededException", "A parameter can have at most 10 policies."));
    }
    written
        .into_iter()
        .map(|value| {
            let text = value.to_string();
            let policy: Written =
                serde_json::from_value(value).map_err(|_| invalid("A policy is not an object of the right shape."))?;
            let kind = policy.kind.unwrap_or_default();
            if policy.attributes.is_none_or(|attributes| attributes.is_empty()) {
                return Err(invalid("A policy has no attributes."));
            }
            match kind.as_str() {
                "Expiration" | "ExpirationNotification" | "NoChangeNotification" => Ok(Policy { kind, text }),
                _ => Err(AwsError::new("InvalidPolicyTypeException", format!("{kind:?} is not a policy type."))),
            }
        })
        .collect()
}
