//! Rights as the clouds judge them: which of what `repin iam` prints allows a request that reached the emulator.

use std::collections::{BTreeMap, BTreeSet};

use repin_emulator::Call;
use serde_json::Value;

use crate::support::{ACCOUNT, World};

/// One thing that is allowed: a statement's name, and an action; a data action of a role has no statement.
pub(crate) type Right = (String, String);

/// What is granted in one mode.
#[derive(Debug)]
pub(crate) struct Rights {
    statements: Vec<Value>,
    data_actions: BTreeSet<String>,
    /// What was made use of.
    used: BTreeSet<Right>,
}

impl Rights {
    /// Asks the program.
    pub(crate) async fn of(world: &World, mode: &str) -> Self {
        let printed = world.json(0, &["iam", "--mode", mode]).await;
        let statements = printed["aws"][0]["policy"]["Statement"].as_array().unwrap().clone();
        let data_actions = texts(&printed["azure"][0]["role"]["DataActions"]);
        Self { statements, data_actions: data_actions.into_iter().collect(), used: BTreeSet::new() }
    }

    /// Returns everything that is granted.
    pub(crate) fn granted(&self) -> BTreeSet<Right> {
        let of = |statement: &Value| {
            let sid = statement["Sid"].as_str().unwrap().to_owned();
            texts(&statement["Action"]).into_iter().map(move |action| (sid.clone(), action))
        };
        let data = self.data_actions.iter().map(|action| (String::new(), action.clone()));
        self.statements.iter().flat_map(of).chain(data).collect()
    }

    /// Returns what was needed so far.
    pub(crate) fn used(&self) -> BTreeSet<Right> {
        self.used.clone()
    }

    /// Forgets what was made use of since.
    pub(crate) fn unuse(&mut self, used: BTreeSet<Right>) {
        self.used = used;
    }

    /// Judges everything that reached the clouds since the last reset; returns what is not allowed.
    pub(crate) fn judge(&mut self, world: &World) -> Vec<String> {
        let counters = world.emulator.counters();
        let mut refused: Vec<String> =
            counters.calls().iter().filter(|call| !self.allows(call)).map(|call| format!("{call:?}")).collect();
        // What Parameter Store asks of KMS in the caller's name.
        for ((service, operation), _) in counters.snapshot() {
            if let ("kms", Some(action)) = (service.as_str(), operation.strip_suffix(" (ssm)"))
                && !self.allows_action(&format!("kms:{action}"), |_| true)
            {
                refused.push(operation);
            }
        }
        refused
    }

    fn allows(&mut self, call: &Call) -> bool {
        match call.service.as_str() {
            // Everybody may ask who they are.
            "sts" => call.operation == "GetCallerIdentity",
            "ssm" => {
                let of = if call.operation == "GetServiceSetting" { setting } else { arn };
                let names: Vec<String> = call.name.iter().flat_map(|names| names.split(',')).map(of).collect();
                let action = format!("ssm:{}", call.operation);
                // IAM asks for it where a put carries tags, as every create of an entry does: no request shows it.
                if call.operation == "PutParameter" {
                    self.allows_action("ssm:AddTagsToResource", |s| names.iter().all(|name| covers(s, name)));
                }
                !names.is_empty() && names.iter().all(|name| self.allows_action(&action, |s| covers(s, name)))
            }
            "kms" => {
                let name = call.name.clone().unwrap_or_default();
                self.allows_action(&format!("kms:{}", call.operation), |statement| {
                    // An ARN was answered for the alias, which is the only one of its key.
                    let alias = &statement["Condition"]["ForAnyValue:StringEquals"]["kms:ResourceAliases"];
                    *alias == name.as_str() || covers(statement, &name)
                })
            }
            "appconfig" => self.allows_data(&call.operation),
            _ => false,
        }
    }

    fn allows_action(&mut self, action: &str, fits: impl Fn(&Value) -> bool) -> bool {
        let allows =
            |statement: &&Value| texts(&statement["Action"]).iter().any(|one| one == action) && fits(statement);
        let Some(statement) = self.statements.iter().find(allows) else { return false };
        self.used.insert((statement["Sid"].as_str().unwrap().to_owned(), action.to_owned()));
        true
    }

    fn allows_data(&mut self, operation: &str) -> bool {
        let (method, resource) = operation.split_once(' ').unwrap();
        // App Configuration REST reference, authorization: which action each request needs.
        let needed: &[&str] = match (method, resource.split('/').nth(1).unwrap()) {
            ("GET" | "HEAD", "kv" | "keys" | "labels" | "revisions") => &["keyValues/read"],
            ("PUT", "kv" | "locks") => &["keyValues/write"],
            ("DELETE", "kv") => &["keyValues/delete"],
            ("GET" | "HEAD", "snapshots" | "operations") => &["snapshots/read"],
            ("PUT", "snapshots") => &["snapshots/write", "keyValues/read"],
            ("PATCH", "snapshots") => &["snapshots/archive/action"],
            _ => return false,
        };
        needed.iter().all(|needed| {
            let action = format!("Microsoft.AppConfiguration/configurationStores/{needed}");
            let allowed = self.data_actions.contains(&action);
            self.used.insert((String::new(), action));
            allowed
        })
    }
}

/// Returns the ARN that IAM makes of a name or a path: a version or a label that is asked for is no part of it.
fn arn(name: &str) -> String {
    let name = name.split(':').next().unwrap();
    format!("arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter{name}")
}

/// Returns the ARN of a setting of the account.
fn setting(id: &str) -> String {
    format!("arn:aws:ssm:eu-west-1:{ACCOUNT}:servicesetting{id}")
}

/// Tells whether a statement is about a resource. Ours end with a star or have none.
fn covers(statement: &Value, resource: &str) -> bool {
    texts(&statement["Resource"]).iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => resource.starts_with(start),
        None => resource == pattern,
    })
}

/// Reads a text or a list of texts.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(all) => all.iter().map(|text| text.as_str().unwrap().to_owned()).collect(),
        other => panic!("{other} is neither a text nor a list"),
    }
}

/// The rights of every mode.
pub(crate) struct Ledger(BTreeMap<&'static str, Rights>);

impl Ledger {
    pub(crate) async fn of(world: &World) -> Self {
        let mut all = BTreeMap::new();
        for mode in ["plan", "apply", "rollback"] {
            all.insert(mode, Rights::of(world, mode).await);
        }
        Self(all)
    }

    pub(crate) fn mode(&mut self, mode: &str) -> &mut Rights {
        self.0.get_mut(mode).unwrap()
    }
}
