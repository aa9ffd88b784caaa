//! AWS: an identity policy for each principal.
//!
//! What the sources say (IAM service authorization reference, Parameter Store and KMS developer guides, 2026-11-21):
//! - GetParametersByPath is authorised against the path that is asked for, not against what is below it.
//! - PutParameter with tags needs AddTagsToResource too; the owner tag is part of each create.
//! - Parameter Store calls KMS as the caller, with the parameter's ARN as encryption context: Encrypt for the standard
//!   tier, GenerateDataKey for the advanced one, Decrypt for both. All three can be bound to the service and to the names.
//! - A key that is named by an alias is not matched by the alias's ARN, but by the condition `kms:ResourceAliases`.
//! - GetCallerIdentity needs no right.

use std::collections::BTreeMap;

use repin_aws_ssm::{AssumeRole, Config, Serve};
use repin_provider::{Owner, TargetName};
use serde_json::{Value, json};

use super::{Mode, listed};
use crate::model::release::TargetId;

/// What one principal is to be granted.
#[derive(Debug, Clone, PartialEq)]
pub struct AwsAccess {
    /// The account.
    pub account: String,
    /// The profile of the AWS configuration files that leads to the principal, where the file names one.
    pub profile: Option<String>,
    /// The role that the policy is for, where the file names one; else it is the one that repin runs as.
    pub assume_role: Option<AssumeRole>,
    /// The targets that it is for.
    pub targets: Vec<TargetName>,
    /// The statements.
    pub statements: Vec<Statement>,
}

/// One statement of a policy; every one allows.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Its name in the policy.
    pub sid: String,
    /// What may be called: `ssm:PutParameter`.
    pub actions: Vec<&'static str>,
    /// On what, as ARNs that may end with a `*`.
    pub resources: Vec<String>,
    /// Under which condition; `Null` for none.
    pub condition: Value,
}

impl Statement {
    fn new(sid: impl Into<String>, actions: &[&'static str], resources: Vec<String>) -> Self {
        Self { sid: sid.into(), actions: actions.to_vec(), resources, condition: Value::Null }
    }

    fn json(&self) -> Value {
        let mut statement = json!({
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": one_or_all(&self.actions),
            "Resource": one_or_all(&self.resources),
        });
        if !self.condition.is_null() {
            statement["Condition"] = self.condition.clone();
        }
        statement
    }
}

impl AwsAccess {
    /// Returns the policy as AWS takes it.
    pub fn policy(&self) -> Value {
        policy(self.statements.iter())
    }

    /// Returns what the principal that assumes the role needs, where there is a role to assume.
    fn base_policy(&self) -> Option<Value> {
        let role = self.assume_role.as_ref()?;
        Some(policy([&Statement::new("AssumeRole", &["sts:AssumeRole"], vec![role.arn.clone()])].into_iter()))
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "account": self.account,
            "profile": self.profile,
            "assume_role": self.assume_role.as_ref().map(|role| &role.arn),
            "targets": self.targets,
            "policy": self.policy(),
            "base_policy": self.base_policy(),
        })
    }

    pub(super) fn text(&self) -> String {
        let principal = match (&self.assume_role, &self.profile) {
            (Some(role), _) => format!("the role {}", role.arn),
            (None, Some(profile)) => format!("the principal of the profile {profile}"),
            (None, None) => "the principal that repin runs as".to_owned(),
        };
        let targets = listed(&self.targets);
        let mut text = format!("# {targets}: AWS account {}, for {principal}\n{:#}\n", self.account, self.policy());
        if let Some(base) = self.base_policy() {
            text.push_str(&format!("\n# {targets}: for the principal that assumes that role\n{base:#}\n"));
        }
        text
    }
}

fn policy<'a>(statements: impl Iterator<Item = &'a Statement>) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements.map(Statement::json).collect::<Vec<_>>() })
}

/// A list of one is written as people write it.
fn one_or_all<T: AsRef<str>>(items: &[T]) -> Value {
    match items {
        [one] => json!(one.as_ref()),
        all => all.iter().map(AsRef::as_ref).collect(),
    }
}

type Targets<'a> = [(&'a TargetName, &'a Config)];

pub(super) fn access(name: &Owner, targets: &Targets<'_>, mode: Mode) -> Vec<AwsAccess> {
    let mut principals: BTreeMap<_, Vec<(&TargetName, &Config)>> = BTreeMap::new();
    for (target, config) in targets {
        let role = config.assume_role.as_ref().map(|role| role.arn.as_str());
        principals.entry((&config.account, config.profile.as_deref(), role)).or_default().push((target, config));
    }
    let made = principals.into_values().map(|targets| {
        let (_, first) = targets[0];
        AwsAccess {
            account: first.account.clone(),
            profile: first.profile.clone(),
            assume_role: first.assume_role.clone(),
            targets: targets.iter().map(|(target, _)| (*target).clone()).collect(),
            statements: statements(name, &targets, mode),
        }
    });
    made.collect()
}

fn statements(name: &Owner, targets: &Targets<'_>, mode: Mode) -> Vec<Statement> {
    let places: Vec<Place<'_>> = targets.iter().map(|(_, config)| Place::new(name, config)).collect();
    let mut listed: Vec<String> = places.iter().map(|place| place.ledger.clone()).collect();
    if mode != Mode::Rollback {
        listed.extend(places.iter().map(|place| place.path.clone()));
    }
    let entries = places.iter().map(Place::entries).collect();
    let documents = places.iter().map(Place::documents).collect();
    let settings: Vec<String> = places.iter().filter(|place| place.asks_for_quota()).map(Place::throughput).collect();
    // Whose something is that may be taken over matters to files alone. The history is for pins to a time, and to say who
    // keeps changing an entry.
    let reads: &[_] = match mode {
        Mode::Plan => &["ssm:GetParameters", "ssm:ListTagsForResource"],
        Mode::Apply => &["ssm:GetParameters", "ssm:ListTagsForResource", "ssm:GetParameterHistory"],
        Mode::Rollback => &["ssm:GetParameters", "ssm:GetParameterHistory"],
    };
    let mut statements = vec![
        Statement::new("ReadEntries", reads, entries),
        Statement::new("ReadLedger", &["ssm:GetParameters"], documents),
        Statement::new("List", &["ssm:GetParametersByPath"], sorted(listed)),
    ];
    if !settings.is_empty() {
        // Asked before many writes; without it they go out at the default rate.
        statements.push(Statement::new("ReadThroughput", &["ssm:GetServiceSetting"], sorted(settings)));
    }
    if mode.writes() {
        statements.extend(writes(&places, mode));
    }
    statements.extend(keys(&places, mode));
    statements
}

fn writes(places: &[Place<'_>], mode: Mode) -> Vec<Statement> {
    let documents = places.iter().map(Place::documents).collect();
    let entries: Vec<String> = places.iter().map(Place::entries).collect();
    let (labelled, at_once): (Vec<_>, Vec<_>) = places.iter().partition(|place| place.labelled());
    let labelled = labelled.into_iter().map(Place::entries).collect();
    // Only a file changes tags. The owner tag is part of every create, those of a way back too.
    let puts: &[_] = match mode {
        Mode::Apply => &["ssm:PutParameter", "ssm:AddTagsToResource", "ssm:RemoveTagsFromResource"],
        Mode::Plan | Mode::Rollback => &["ssm:PutParameter", "ssm:AddTagsToResource"],
    };
    // Behind a label, going back across a create takes the label off; only a pass removes what nobody needs any more.
    let deletable = match mode {
        Mode::Apply => entries.clone(),
        Mode::Plan | Mode::Rollback => at_once.into_iter().map(Place::entries).collect(),
    };
    let labels = ["ssm:LabelParameterVersion", "ssm:UnlabelParameterVersion"];
    let all = [
        Statement::new("WriteEntries", puts, entries),
        Statement::new("MoveLabel", &labels, labelled),
        Statement::new("DeleteEntries", &["ssm:DeleteParameter"], deletable),
        Statement::new("WriteLedger", &["ssm:PutParameter", "ssm:DeleteParameter"], documents),
    ];
    all.into_iter().filter(|statement| !statement.resources.is_empty()).collect()
}

/// Returns the statements about keys, one pair for each key: whoever uses it must do so through Parameter Store, for the
/// names of these targets.
fn keys(places: &[Place<'_>], mode: Mode) -> Vec<Statement> {
    let mut keys: BTreeMap<Key, Vec<&Place<'_>>> = BTreeMap::new();
    for place in places {
        if let Some(key) = Key::of(place.config) {
            keys.entry(key).or_default().push(place);
        }
    }
    let actions: &[_] =
        if mode.writes() { &["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"] } else { &["kms:Decrypt"] };
    let many = keys.len() > 1;
    let made = keys.into_iter().enumerate().flat_map(|(n, (key, places))| {
        let number = if many { (n + 1).to_string() } else { String::new() };
        let describe = Statement {
            condition: key.condition(),
            // Whether it is rotated is for repin doctor.
            ..Statement::new(
                format!("DescribeKey{number}"),
                &["kms:DescribeKey", "kms:GetKeyRotationStatus"],
                vec![key.resource()],
            )
        };
        let names = places.iter().flat_map(|place| [place.entries(), place.documents()]).collect();
        let mut condition = key.condition();
        condition["StringEquals"] = json!({ "kms:ViaService": one_or_all(&via_service(&key.store_region)) });
        condition["StringLike"] = json!({ "kms:EncryptionContext:PARAMETER_ARN": sorted(names) });
        let use_key =
            Statement { condition, ..Statement::new(format!("UseKey{number}"), actions, vec![key.resource()]) };
        [describe, use_key]
    });
    made.collect()
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list.dedup();
    list
}

/// One target as ARNs.
struct Place<'a> {
    config: &'a Config,
    /// The path that is asked for to list the entries.
    path: String,
    /// The path of the ledger.
    ledger: String,
}

impl<'a> Place<'a> {
    fn new(name: &Owner, config: &'a Config) -> Self {
        let start = format!("arn:{}:ssm:{}:{}:parameter", partition(&config.region), config.region, config.account);
        let below = |path: &str| format!("{start}{}", if path.is_empty() { "/" } else { path });
        let ledger = config.ledger_prefix.trim_end_matches('/');
        let id = TargetId::of(&config.place());
        Self {
            config,
            path: below(config.prefix.trim_end_matches('/')),
            ledger: below(&format!("{ledger}/{name}/{}", id.as_str())),
        }
    }

    /// Returns everything below the prefix.
    fn entries(&self) -> String {
        format!("{}/*", self.path.trim_end_matches('/'))
    }

    /// Returns everything in the ledger.
    fn documents(&self) -> String {
        format!("{}/*", self.ledger)
    }

    /// Tells whether the account's setting counts: not where the file itself says how fast it may write.
    fn asks_for_quota(&self) -> bool {
        self.config.rates.as_ref().is_none_or(|rates| rates.put.is_none())
    }

    /// Returns the setting that says whether the account has high throughput there.
    fn throughput(&self) -> String {
        let Config { region, account, .. } = self.config;
        let start = format!("arn:{}:ssm:{region}:{account}", partition(region));
        format!("{start}:servicesetting/ssm/parameter-store/high-throughput-enabled")
    }

    fn labelled(&self) -> bool {
        matches!(self.config.serve, Serve::Label(_))
    }
}

/// A KMS key as policies name it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// Where the parameters are that it is for.
    store_region: String,
    /// What stands before `key/` in its ARN.
    start: String,
    /// The key's id, or the alias that leads to it.
    id: Result<String, String>,
}

impl Key {
    fn of(config: &Config) -> Option<Self> {
        let text = config.kms_key.as_deref()?;
        let here = format!("arn:{}:kms:{}:{}:", partition(&config.region), config.region, config.account);
        // arn:aws:kms:REGION:ACCOUNT:key/ID or ...:alias/NAME
        let (start, rest) = match text.match_indices(':').nth(4) {
            Some((colon, _)) => (text[..=colon].to_owned(), &text[colon + 1..]),
            None => (here, text),
        };
        let id = if rest.starts_with("alias/") {
            Err(rest.to_owned())
        } else {
            Ok(rest.strip_prefix("key/").unwrap_or(rest).to_owned())
        };
        Some(Self { store_region: config.region.clone(), start, id })
    }

    fn resource(&self) -> String {
        format!("{}key/{}", self.start, self.id.as_deref().unwrap_or("*"))
    }

    fn condition(&self) -> Value {
        match &self.id {
            Ok(_) => Value::Null,
            Err(alias) => json!({ "ForAnyValue:StringEquals": { "kms:ResourceAliases": alias } }),
        }
    }
}

/// Returns the partition of a region.
fn partition(region: &str) -> &'static str {
    match region.split('-').collect::<Vec<_>>()[..] {
        ["cn", ..] => "aws-cn",
        ["us", "gov", ..] => "aws-us-gov",
        ["us", "iso", ..] => "aws-iso",
        ["us", "isob", ..] => "aws-iso-b",
        ["us", "isof", ..] => "aws-iso-f",
        ["eu", "isoe", ..] => "aws-iso-e",
        ["eusc", ..] => "aws-eusc",
        _ => "aws",
    }
}

/// Returns the names by which KMS knows Parameter Store. In China services are known by the partition's own domain, and
/// some by the global one too.
fn via_service(region: &str) -> Vec<String> {
    let mut names = vec![format!("ssm.{region}.amazonaws.com")];
    if partition(region) == "aws-cn" {
        names.push(format!("ssm.{region}.amazonaws.com.cn"));
    }
    names
}

pub(super) fn notes(targets: &Targets<'_>, mode: Mode) -> Vec<String> {
    let mut notes = Vec::new();
    if targets.iter().any(|(_, config)| config.kms_key.is_some()) {
        notes.push(
            "The key's own policy must leave such rights to IAM, as the default one does; for a key of another account \
             it must name the principal."
                .to_owned(),
        );
    }
    if mode == Mode::Apply && !targets.is_empty() {
        notes.push(
            "DeleteEntries is for prune, for reconcile --atomic, and to finish a rollback across a create; without it \
             these steps fail (exit 77 or 3), and everything else works."
                .to_owned(),
        );
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(more: Value) -> Config {
        let mut fields = json!({ "account": "111122223333", "region": "eu-west-1", "prefix": "/ai/prod" });
        for (name, value) in more.as_object().expect("fields") {
            fields[name] = value.clone();
        }
        serde_json::from_value(fields).expect("valid")
    }

    fn of(configs: &[Config], mode: Mode) -> Vec<AwsAccess> {
        let names: Vec<TargetName> =
            (0..configs.len()).map(|n| TargetName::parse(&format!("t{n}")).expect("valid")).collect();
        let targets: Vec<_> = names.iter().zip(configs).collect();
        access(&Owner::parse("mine").expect("valid"), &targets, mode)
    }

    fn statement<'a>(access: &'a AwsAccess, sid: &str) -> &'a Statement {
        access.statements.iter().find(|statement| statement.sid == sid).expect("valid")
    }

    #[test]
    fn an_alias_is_a_condition_and_a_key_a_resource() {
        let key = |key: &str| {
            let access = of(&[config(json!({ "kms_key": key }))], Mode::Apply).remove(0);
            let describe = statement(&access, "DescribeKey");
            (describe.resources[0].clone(), describe.condition.clone())
        };
        let alias = json!({ "ForAnyValue:StringEquals": { "kms:ResourceAliases": "alias/ai" } });
        assert_eq!(key("alias/ai"), ("arn:aws:kms:eu-west-1:111122223333:key/*".into(), alias.clone()));
        let other = "arn:aws:kms:eu-west-1:444455556666:";
        assert_eq!(key(&format!("{other}alias/ai")), (format!("{other}key/*"), alias));
        assert_eq!(key("1-2-3"), ("arn:aws:kms:eu-west-1:111122223333:key/1-2-3".into(), Value::Null));
        assert_eq!(key(&format!("{other}key/1-2")), (format!("{other}key/1-2"), Value::Null));
    }

    #[test]
    fn what_a_key_is_used_for_is_bound_to_the_service_and_the_names() {
        let access = of(&[config(json!({ "kms_key": "1-2" }))], Mode::Apply).remove(0);
        let condition = &statement(&access, "UseKey").condition;
        assert_eq!(condition["StringEquals"]["kms:ViaService"], "ssm.eu-west-1.amazonaws.com");
        let names = condition["StringLike"]["kms:EncryptionContext:PARAMETER_ARN"].as_array().expect("valid");
        let start = "arn:aws:ssm:eu-west-1:111122223333:parameter/";
        assert_eq!(names[0], format!("{start}ai/prod/*"));
        assert!(names[1].as_str().expect("valid").starts_with(&format!("{start}repin/mine/")), "{names:?}");
    }

    #[test]
    fn a_plan_writes_nothing() {
        let access = of(&[config(json!({ "kms_key": "1-2", "serve": { "label": "live" } }))], Mode::Plan).remove(0);
        let looks = |action: &&str| {
            ["ssm:Get", "ssm:List", "kms:Describe", "kms:Get", "kms:Decrypt"]
                .iter()
                .any(|start| action.starts_with(start))
        };
        assert!(access.statements.iter().flat_map(|statement| &statement.actions).all(looks), "{access:?}");
    }

    #[test]
    fn the_quota_is_asked_for_only_where_the_file_does_not_say_it() {
        let asks = |config: Config| {
            let access = of(&[config], Mode::Plan).remove(0);
            access.statements.iter().any(|statement| statement.sid == "ReadThroughput")
        };
        assert!(asks(config(json!({}))));
        assert!(asks(config(json!({ "rates": { "get": 5.0 } }))));
        assert!(!asks(config(json!({ "rates": { "put": 5.0 } }))));
    }

    #[test]
    fn each_principal_has_a_policy_of_its_own() {
        let role = json!({ "assume_role": { "arn": "arn:aws:iam::111122223333:role/repin" } });
        let there = json!({ "region": "us-east-1" });
        let all = of(&[config(json!({})), config(role), config(there)], Mode::Plan);
        let targets: Vec<_> = all.iter().map(|access| listed(&access.targets)).collect();
        assert_eq!(targets, ["t0, t2", "t1"]);
        assert_eq!(all[0].base_policy(), None);
        let base = all[1].base_policy().expect("valid");
        assert_eq!(base["Statement"][0]["Resource"], "arn:aws:iam::111122223333:role/repin");
        assert_eq!(statement(&all[0], "ReadEntries").resources.len(), 2);
    }

    #[test]
    fn the_root_and_other_partitions_have_arns_too() {
        let root = of(&[config(json!({ "prefix": "/" }))], Mode::Plan).remove(0);
        assert_eq!(statement(&root, "ReadEntries").resources, ["arn:aws:ssm:eu-west-1:111122223333:parameter/*"]);
        let paths = &statement(&root, "List").resources;
        assert!(paths.contains(&"arn:aws:ssm:eu-west-1:111122223333:parameter/".to_owned()), "{paths:?}");
        let china = config(json!({ "region": "cn-north-1", "kms_key": "alias/ai" }));
        let china = of(&[china], Mode::Plan).remove(0);
        let key = statement(&china, "UseKey");
        assert_eq!(key.resources, ["arn:aws-cn:kms:cn-north-1:111122223333:key/*"]);
        assert_eq!(key.condition["StringEquals"]["kms:ViaService"].as_array().expect("valid").len(), 2);
    }
}
