//! PURE: by what each right is tried. The one list of rights is that of [`crate::iam`]; this says for each of them how, or
//! why not.

use crate::iam::aws::Statement;

/// How a right is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trial {
    /// `GetParameters` of a name.
    Read(String),
    /// `GetParameterHistory` of a name.
    History(String),
    /// `ListTagsForResource` of a name.
    Tags(String),
    /// `GetParametersByPath` of a path.
    List(String),
    /// `GetServiceSetting` of the throughput.
    Throughput,
    /// `DescribeKey`.
    Key,
    /// `GetKeyRotationStatus`.
    Rotation,
    /// `GetParameters` of a secret, decrypting it.
    Decrypt,
    /// A read of a key-value that is not there.
    ReadKeyValue,
    /// A write under a condition that cannot hold.
    WriteKeyValue,
    /// A delete under a condition that cannot hold.
    DeleteKeyValue,
    /// A look at a snapshot that is not there.
    ReadSnapshot,
    /// A snapshot that is not there is recovered.
    ArchiveSnapshot,
    /// It is not tried, for this reason.
    Not(&'static str),
}

/// Why writes of Parameter Store are not tried: it has no conditional ones.
const EFFECT: &str = "no request shows it without an effect";
/// Why a key is not used for trial: `repin iam` binds its use to Parameter Store.
const VIA: &str = "the key is used through Parameter Store alone, and there only by writing";

/// What the names and paths end in that reads are tried on. Nothing has to be there.
const PROBE: &str = "repin-doctor";

/// Returns how an action of a statement is tried, on each of its resources; `None` for an action that nobody knows how to
/// try, or why not to.
pub fn trials(statement: &Statement, action: &str) -> Option<Vec<Trial>> {
    let each = |trial: fn(String) -> Trial| {
        Some(statement.resources.iter().filter_map(|resource| name_in(resource)).map(trial).collect())
    };
    match action {
        "ssm:GetParameters" => each(Trial::Read),
        "ssm:GetParameterHistory" => each(Trial::History),
        "ssm:ListTagsForResource" => each(Trial::Tags),
        "ssm:GetParametersByPath" => each(Trial::List),
        "ssm:GetServiceSetting" => Some(vec![Trial::Throughput]),
        "kms:DescribeKey" => Some(vec![Trial::Key]),
        "kms:GetKeyRotationStatus" => Some(vec![Trial::Rotation]),
        "kms:Decrypt" => Some(vec![Trial::Decrypt]),
        "kms:Encrypt" | "kms:GenerateDataKey" => Some(vec![Trial::Not(VIA)]),
        "ssm:PutParameter"
        | "ssm:AddTagsToResource"
        | "ssm:RemoveTagsFromResource"
        | "ssm:LabelParameterVersion"
        | "ssm:UnlabelParameterVersion"
        | "ssm:DeleteParameter" => Some(vec![Trial::Not(EFFECT)]),
        _ => None,
    }
}

/// Returns how a data action of App Configuration is tried; `None` for one that nobody knows.
pub fn data_trial(action: &str) -> Option<Trial> {
    Some(match short(action) {
        "keyValues/read" => Trial::ReadKeyValue,
        "keyValues/write" => Trial::WriteKeyValue,
        "keyValues/delete" => Trial::DeleteKeyValue,
        "snapshots/read" => Trial::ReadSnapshot,
        "snapshots/archive/action" => Trial::ArchiveSnapshot,
        "snapshots/write" => Trial::Not("a snapshot that is made cannot be deleted"),
        _ => return None,
    })
}

/// Returns a data action without what all of them begin with.
pub fn short(action: &str) -> &str {
    action.strip_prefix("Microsoft.AppConfiguration/configurationStores/").unwrap_or(action)
}

/// Returns the name or the path that an ARN of Parameter Store stands for: one below it, where it is for all below.
fn name_in(resource: &str) -> Option<String> {
    let (_, name) = resource.split_once(":parameter")?;
    Some(match name.strip_suffix('*') {
        Some(start) => format!("{start}{PROBE}"),
        None => name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use repin_provider::{Owner, TargetName};
    use serde_json::{Value, json};

    use super::*;
    use crate::iam::azure::Scope;
    use crate::iam::{Access, Mode, access};
    use crate::model::desired::TargetConfig;

    fn all(mode: Mode) -> Access {
        let aws = |serve: Value| {
            TargetConfig::AwsSsm(
                serde_json::from_value(json!({
                    "account": "111122223333", "region": "eu-west-1", "prefix": "/ai/prod", "kms_key": "alias/ai", "serve": serve,
                }))
                .expect("valid"),
            )
        };
        let azure = json!({ "endpoint": "https://a.azconfig.io", "prefix": "p", "serve": { "snapshot": "r" } });
        let azure = TargetConfig::AzureAppConfiguration(serde_json::from_value(azure).expect("valid"));
        let name = |text: &str| TargetName::parse(text).expect("valid");
        let targets: BTreeMap<_, _> =
            [(name("a"), aws(json!("latest"))), (name("b"), aws(json!({ "label": "live" }))), (name("c"), azure)]
                .into();
        access(&Owner::parse("mine").expect("valid"), &targets, mode, &Scope::default())
    }

    /// The list of `repin iam` is the whole list: each right is tried, or it is said why not.
    #[test]
    fn every_right_is_tried_or_said_to_be_not() {
        let (mut tried, mut untried) = (Vec::new(), Vec::new());
        for mode in [Mode::Plan, Mode::Apply, Mode::Rollback] {
            let access = all(mode);
            for statement in access.aws.iter().flat_map(|principal| &principal.statements) {
                for action in &statement.actions {
                    let trials = trials(statement, action).unwrap_or_else(|| panic!("nobody tries {action}"));
                    assert!(!trials.is_empty(), "{action} on {:?}", statement.resources);
                    let not = trials.iter().any(|trial| matches!(trial, Trial::Not(_)));
                    if not { untried.push(*action) } else { tried.push(*action) }
                }
            }
            for action in access.azure.iter().flat_map(|store| &store.data_actions) {
                let trial = data_trial(action).unwrap_or_else(|| panic!("nobody tries {action}"));
                let list = if matches!(trial, Trial::Not(_)) { &mut untried } else { &mut tried };
                list.push(short(action));
            }
        }
        for list in [&mut tried, &mut untried] {
            list.sort_unstable();
            list.dedup();
        }
        let reads = [
            "keyValues/delete",
            "keyValues/read",
            "keyValues/write",
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:GetKeyRotationStatus",
            "snapshots/archive/action",
            "snapshots/read",
            "ssm:GetParameterHistory",
            "ssm:GetParameters",
            "ssm:GetParametersByPath",
            "ssm:GetServiceSetting",
            "ssm:ListTagsForResource",
        ];
        assert_eq!(tried, reads);
        let writes = [
            "kms:Encrypt",
            "kms:GenerateDataKey",
            "snapshots/write",
            "ssm:AddTagsToResource",
            "ssm:DeleteParameter",
            "ssm:LabelParameterVersion",
            "ssm:PutParameter",
            "ssm:RemoveTagsFromResource",
            "ssm:UnlabelParameterVersion",
        ];
        assert_eq!(untried, writes);
    }

    #[test]
    fn a_right_is_tried_on_what_it_is_granted_for() {
        let access = all(Mode::Apply);
        let of = |sid: &str, action: &str| {
            let statement = access.aws[0].statements.iter().find(|statement| statement.sid == sid).expect("there");
            trials(statement, action).expect("known")
        };
        let read = Trial::Read("/ai/prod/repin-doctor".to_owned());
        assert!(of("ReadEntries", "ssm:GetParameters").contains(&read));
        assert!(of("List", "ssm:GetParametersByPath").contains(&Trial::List("/ai/prod".to_owned())));
        assert_eq!(trials(&access.aws[0].statements[0], "ssm:SendCommand"), None);
        assert_eq!(data_trial("Microsoft.AppConfiguration/configurationStores/read"), None);
        assert_eq!(name_in("arn:aws:ssm:r:1:parameter/*").as_deref(), Some("/repin-doctor"));
        assert_eq!(name_in("arn:aws:ssm:r:1:parameter/").as_deref(), Some("/"));
    }
}
