//! Azure: a role for each App Configuration store.
//!
//! Rights hold for a whole store: there are none for a prefix or a label, so two teams that must not touch each other's
//! key-values need two stores. (App Configuration, Microsoft Entra authorization, 2026-11-21.)

use std::collections::BTreeMap;

use repin_azure_app_configuration::{Config, CredentialKind, Serve};
use repin_provider::{Owner, TargetName};
use serde_json::{Value, json};

use super::{Mode, listed};

/// What stands in a scope for what the file does not know.
const SUBSCRIPTION: &str = "SUBSCRIPTION";
const GROUP: &str = "RESOURCE-GROUP";

/// Where the stores are, which no file of repin's says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// The subscription's id.
    pub subscription: Option<String>,
    /// The resource group.
    pub resource_group: Option<String>,
}

impl Scope {
    fn group(&self) -> String {
        let subscription = self.subscription.as_deref().unwrap_or(SUBSCRIPTION);
        format!("/subscriptions/{subscription}/resourceGroups/{}", self.resource_group.as_deref().unwrap_or(GROUP))
    }

    fn is_whole(&self) -> bool {
        self.subscription.is_some() && self.resource_group.is_some()
    }
}

/// What is to be granted on one store.
#[derive(Debug, Clone, PartialEq)]
pub struct AzureAccess {
    /// The store.
    pub endpoint: String,
    /// The targets in it.
    pub targets: Vec<TargetName>,
    /// What may be done with its data, and nothing else.
    pub data_actions: Vec<&'static str>,
    /// The built-in role that allows all of it, and more; with its id.
    pub built_in: (&'static str, &'static str),
    /// What the narrow role is called.
    role: String,
    /// The scope that the role is made for, and the one that it is to be assigned on.
    scopes: (String, String),
    /// Whether a connection string is used instead of roles.
    signs: bool,
}

/// Reads everything.
const READER: (&str, &str) = ("App Configuration Data Reader", "516239f1-63e1-4d78-a4de-a74fb236a071");
/// Does everything.
const OWNER: (&str, &str) = ("App Configuration Data Owner", "5ae67dd6-50cb-40e7-96ff-dc2bfa4b606b");

impl AzureAccess {
    /// Returns the definition of a role that allows exactly this, as `az role definition create` takes it.
    pub fn role_definition(&self) -> Value {
        json!({
            "Name": self.role,
            "IsCustom": true,
            "Description": format!("What repin needs of the data of {}.", self.endpoint),
            "Actions": [],
            "NotActions": [],
            "DataActions": self.data_actions,
            "NotDataActions": [],
            "AssignableScopes": [self.scopes.0],
        })
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "endpoint": self.endpoint,
            "targets": self.targets,
            "connection_string": self.signs,
            "assign_on": self.scopes.1,
            "role": self.role_definition(),
            "built_in": { "name": self.built_in.0, "id": self.built_in.1 },
        })
    }

    pub(super) fn text(&self) -> String {
        let (targets, (built_in, id)) = (listed(&self.targets), self.built_in);
        format!(
            "# {targets}: {}, to be assigned on {}\n# ({built_in}, {id}, is built in and allows more.)\n{:#}\n",
            self.endpoint,
            self.scopes.1,
            self.role_definition()
        )
    }
}

type Targets<'a> = [(&'a TargetName, &'a Config)];

pub(super) fn access(name: &Owner, targets: &Targets<'_>, mode: Mode, scope: &Scope) -> Vec<AzureAccess> {
    let mut stores: BTreeMap<String, Vec<(&TargetName, &Config)>> = BTreeMap::new();
    for (target, config) in targets {
        let store = config.endpoint.trim_end_matches('/').to_lowercase();
        stores.entry(store).or_default().push((target, config));
    }
    let made = stores.into_iter().map(|(endpoint, targets)| {
        let snapshots = targets.iter().any(|(_, config)| matches!(config.serve, Serve::Snapshot(_)));
        let group = scope.group();
        let store =
            format!("{group}/providers/Microsoft.AppConfiguration/configurationStores/{}", store_name(&endpoint));
        AzureAccess {
            data_actions: data_actions(mode, snapshots),
            built_in: if mode.writes() { OWNER } else { READER },
            role: format!("repin {} {name} on {}", mode.word(), store_name(&endpoint)),
            scopes: (group, store),
            signs: targets.iter().any(|(_, config)| signs(config)),
            targets: targets.iter().map(|(target, _)| (*target).clone()).collect(),
            endpoint,
        }
    });
    made.collect()
}

/// Returns the store's name: what its host begins with.
fn store_name(endpoint: &str) -> &str {
    let host = endpoint.split("://").nth(1).unwrap_or(endpoint);
    host.split(['.', ':', '/']).next().unwrap_or(host)
}

fn signs(config: &Config) -> bool {
    config.credential == CredentialKind::ConnectionString || config.connection_string.is_some()
}

/// Returns what is done with a store's data. The ledger is key-values too: folding it away deletes.
fn data_actions(mode: Mode, snapshots: bool) -> Vec<&'static str> {
    let all = [
        (true, "Microsoft.AppConfiguration/configurationStores/keyValues/read"),
        (mode.writes(), "Microsoft.AppConfiguration/configurationStores/keyValues/write"),
        (mode.writes(), "Microsoft.AppConfiguration/configurationStores/keyValues/delete"),
        (snapshots, "Microsoft.AppConfiguration/configurationStores/snapshots/read"),
        (snapshots && mode.writes(), "Microsoft.AppConfiguration/configurationStores/snapshots/write"),
        // To archive what nobody needs any more, and to recover what somebody archived and readers still read.
        (snapshots && mode.writes(), "Microsoft.AppConfiguration/configurationStores/snapshots/archive/action"),
    ];
    all.into_iter().filter(|(needed, _)| *needed).map(|(_, action)| action).collect()
}

pub(super) fn notes(targets: &Targets<'_>, mode: Mode) -> Vec<String> {
    let mut notes = Vec::new();
    if targets.is_empty() {
        return notes;
    }
    notes.push(
        "Azure grants rights on a store as a whole, never on a prefix or a label; a new assignment may take 15 minutes."
            .to_owned(),
    );
    if targets.iter().any(|(_, config)| signs(config)) {
        let kind = if mode.writes() { "a read-write" } else { "a read-only" };
        notes.push(format!("A connection string needs no role: it is {kind} access key of the whole store."));
    }
    notes
}

/// Says what the reader has to fill in.
pub(super) fn placeholders(access: &[AzureAccess], scope: &Scope) -> Option<String> {
    (!access.is_empty() && !scope.is_whole())
        .then(|| format!("{SUBSCRIPTION} and {GROUP} are not in the file: give --subscription and --resource-group."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(more: Value) -> Config {
        let mut fields = json!({ "endpoint": "https://Contoso-AI.azconfig.io/", "prefix": "p" });
        for (name, value) in more.as_object().expect("fields") {
            fields[name] = value.clone();
        }
        serde_json::from_value(fields).expect("valid")
    }

    fn of(configs: &[Config], mode: Mode, scope: &Scope) -> Vec<AzureAccess> {
        let names: Vec<TargetName> =
            (0..configs.len()).map(|n| TargetName::parse(&format!("t{n}")).expect("valid")).collect();
        let targets: Vec<_> = names.iter().zip(configs).collect();
        access(&Owner::parse("mine").expect("valid"), &targets, mode, scope)
    }

    #[test]
    fn a_store_has_one_role_however_many_targets_it_has() {
        let labels = [config(json!({ "label": "a" })), config(json!({ "label": "b", "serve": { "snapshot": "r" } }))];
        let all = of(&labels, Mode::Plan, &Scope::default());
        assert_eq!(all.len(), 1);
        assert_eq!(listed(&all[0].targets), "t0, t1");
        assert_eq!(all[0].data_actions.len(), 2, "one of them reads snapshots: {all:?}");
        assert!(all[0].data_actions.iter().all(|action| action.ends_with("/read")));
        assert_eq!(all[0].built_in, READER);
    }

    #[test]
    fn snapshots_are_only_for_those_who_serve_them() {
        let plain = of(&[config(json!({}))], Mode::Apply, &Scope::default());
        assert!(plain[0].data_actions.iter().all(|action| action.contains("/keyValues/")), "{plain:?}");
        assert_eq!(plain[0].data_actions.len(), 3);
        let snapshots = of(&[config(json!({ "serve": { "snapshot": "r" } }))], Mode::Rollback, &Scope::default());
        assert_eq!(snapshots[0].data_actions.len(), 6);
    }

    #[test]
    fn scopes_name_the_store() {
        let scope = Scope { subscription: Some("s-1".into()), resource_group: Some("g".into()) };
        let all = of(&[config(json!({}))], Mode::Plan, &scope);
        let group = "/subscriptions/s-1/resourceGroups/g";
        assert_eq!(all[0].role_definition()["AssignableScopes"], json!([group]));
        let store = format!("{group}/providers/Microsoft.AppConfiguration/configurationStores/contoso-ai");
        assert_eq!(all[0].json()["assign_on"], store);
        assert_eq!(placeholders(&all, &scope), None);
        assert!(placeholders(&all, &Scope::default()).is_some());
    }
}
