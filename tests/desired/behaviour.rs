//! What cannot be seen in one file: what makes two files the same, what a broken file still gives, and that no text
//! whatever makes loading fall over.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use repin::desired::{Request, load, load_identity, schema};
use repin::model::desired::Desired;
use repin_provider::Key;
use tempfile::TempDir;

use super::{CASES, SENTINEL, env};

const TARGETS: &str = r#"
version: 1
name: assistant-prod
targets:
  aws-eu: { provider: aws-ssm, account: "111122223333", region: eu-west-1, prefix: /ai, kms_key: alias/ai }
  azure: { provider: azure-app-configuration, endpoint: "https://x.azconfig.io", prefix: ai }
"#;

/// A folder with files, and the files to load from it.
struct Folder(TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        files.iter().for_each(|(name, text)| folder.write(name, text));
        folder
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn load(&self, names: &[&str]) -> Result<Desired, String> {
        load(&Request::new(names.iter().map(|name| self.path(name)), env)).map_err(|invalid| invalid.to_string())
    }
}

/// Loads entries for the two usual targets.
fn load_entries(entries: &str) -> Result<Desired, String> {
    Folder::new(&[("a.yaml", &format!("{TARGETS}{entries}"))]).load(&["a.yaml"])
}

fn digest(entries: &str) -> String {
    load_entries(entries).unwrap().digest.0
}

#[test]
fn the_digest_is_of_what_is_asked_and_not_of_how() {
    let one = digest("entries: { a: { value: { x: 1, y: [1.0, 100] } }, b: { value: text } }");
    let same = [
        "entries: { b: { value: 'text' }, a: { type: json, value: { y: [1, 1e2], x: 1.0 } } } # the same",
        "entries:\n  a:\n    per_target: { '*': { value: { y: [1, 0x64], x: 1 } } }\n  b: { value: text, targets: ['*'] }",
        "policy: { prune: true }\nforget: []\nentries: { a: { value: { x: 1, y: [1, 100] } }, b: { value: text } }",
    ];
    for text in same {
        assert_eq!(digest(text), one, "{text}");
    }
    let other = [
        "entries: { a: { value: { x: 1, y: [100, 1] } }, b: { value: text } }",
        "entries: { a: { value: { x: '1', y: [1.0, 100] } }, b: { value: text } }",
        "entries: { a: { value: { x: 1, y: [1.0, 100] } }, b: { value: 'text ' } }",
        "entries: { a: { value: { x: 1, y: [1.0, 100] } }, b: { value: text, targets: [azure] } }",
        "entries: { a: { value: { x: 1, y: [1.0, 100] } }, b: { value: text, pin: { aws-eu: 3 } } }",
        "entries: { a: { value: { x: 1, y: [1.0, 100] } }, b: { value: text, tags: { t: u } } }",
        "entries: { a: { value: { x: 1, y: [1.0, 100] } } }",
        "policy: { prune: false }\nentries: { a: { value: { x: 1, y: [1.0, 100] } }, b: { value: text } }",
        "forget: [c]\nentries: { a: { value: { x: 1, y: [1.0, 100] } }, b: { value: text } }",
    ];
    for text in other {
        assert_ne!(digest(text), one, "{text}");
    }
}

#[test]
fn a_secret_counts_by_reference_and_another_value_by_content() {
    let folder = Folder::new(&[
        (
            "a.yaml",
            &format!("{TARGETS}entries: {{ k: {{ secret: true, targets: [aws-eu], value_from: {{ file: key }} }} }}"),
        ),
        ("b.yaml", &format!("{TARGETS}entries: {{ k: {{ targets: [aws-eu], value_from: {{ file: key }} }} }}")),
        ("key", "one"),
    ]);
    let digests = || ["a.yaml", "b.yaml"].map(|name| folder.load(&[name]).unwrap().digest);
    let [secret, plain] = digests();
    folder.write("key", "two");
    let [secret_later, plain_later] = digests();
    assert_eq!(secret, secret_later);
    assert_ne!(plain, plain_later);

    let elsewhere = Folder::new(&[
        (
            "a.yaml",
            &format!("{TARGETS}entries: {{ k: {{ secret: true, targets: [aws-eu], value_from: {{ file: key }} }} }}"),
        ),
        ("key", "three"),
    ]);
    assert_eq!(elsewhere.load(&["a.yaml"]).unwrap().digest, secret, "hosts keep the file in different folders");
}

#[test]
fn targets_count_by_place_and_hosts_may_reach_them_differently() {
    let with = |name: &str, more: &str| {
        let target = format!("provider: aws-ssm, account: \"111122223333\", region: eu-west-1, prefix: /ai{more}");
        let text =
            format!("version: 1\nname: x\ntargets: {{ {name}: {{ {target} }} }}\nentries: {{ a: {{ value: b }} }}");
        Folder::new(&[("a.yaml", &text)]).load(&["a.yaml"]).unwrap().digest
    };
    let one = with("aws", "");
    assert_eq!(with("other-name", "/"), one);
    assert_eq!(with("aws", ", profile: prod, rate_share: 0.5, endpoint_url: \"http://localhost:1\""), one);
    assert_ne!(with("aws", "/x"), one);
    assert_ne!(with("aws", ", serve: { label: live }"), one);
    assert_ne!(with("aws", ", tier: advanced"), one);
}

#[test]
fn a_broken_entry_does_not_stop_a_rollback() {
    for rest in [
        "entries: { a: { vale: x }, b: { value_from: { env: NOT_SET } }, c: 5 }",
        "entries: { a: { value: x }, a: { value: y } }",
        "entries: { a: !vault x, <<: y }",
        "entries: [a]",
        "policy: { drift: never, drift: never }\nforget: 5",
        "unknown: section",
        "entries:\n  a: { value: [x }\n  b: { value: y }",
        "entries:\n  a: { value: x }\n b: { value: y }",
        "entries: { a: *nowhere }",
        "policy: { prune: \"",
    ] {
        let folder = Folder::new(&[("a.yaml", &format!("{TARGETS}{rest}"))]);
        assert!(folder.load(&["a.yaml"]).is_err(), "{rest}");
        let identity = load_identity(&Request::new([folder.path("a.yaml")], |_| None)).expect(rest);
        assert_eq!(identity.name.as_str(), "assistant-prod");
        assert_eq!(identity.targets.len(), 2);
    }
}

#[test]
fn a_broken_name_or_target_does_stop_it() {
    for (text, part) in [
        ("version: 1\ntargets: {}", "missing field `name`"),
        ("version: 1\nname: x\nname: y", "duplicate key `name`"),
        ("version: 1\nname: x\ntargets: { a: { provider: gcp } }", "unknown provider"),
        ("version: 2\nname: x", "version 1"),
        ("version: 1\nname: x", "missing field `targets`"),
    ] {
        let folder = Folder::new(&[("a.yaml", text)]);
        let invalid = load_identity(&Request::new([folder.path("a.yaml")], env)).expect_err(text);
        assert!(invalid.to_string().contains(part), "{invalid}");
    }
}

#[test]
fn mounted_volumes_and_links_are_read_once() {
    let folder = Folder::new(&[
        (
            "a.yaml",
            &format!("{TARGETS}entries: {{ 'p/*': {{ targets: [azure], value_from: {{ files: 'mount/**/*.md' }} }} }}"),
        ),
        ("mount/..2026_11_21/x.md", "x"),
        ("mount/sub/y.md", "y"),
    ]);
    let link = |to: &str, from: &str| std::os::unix::fs::symlink(to, folder.path(from)).unwrap();
    link("..2026_11_21", "mount/..data");
    link("..data/x.md", "mount/x.md");
    link("..", "mount/sub/loop");
    let desired = folder.load(&["a.yaml"]).unwrap();
    let keys: Vec<_> = desired.targets.values().flat_map(|target| target.entries.keys()).map(Key::as_str).collect();
    assert_eq!(keys, ["p/sub/y", "p/x"]);
}

#[test]
fn a_file_that_is_gone_is_an_error_and_never_an_absence() {
    let folder = Folder::new(&[
        (
            "a.yaml",
            &format!("{TARGETS}entries: {{ 'p/*': {{ targets: [azure], value_from: {{ files: 'p/*.md' }} }} }}"),
        ),
        ("p/x.md", "x"),
    ]);
    std::os::unix::fs::symlink("nowhere", folder.path("p/y.md")).unwrap();
    let error = folder.load(&["a.yaml"]).unwrap_err();
    assert!(error.contains("p/y.md") && error.contains("no such file"), "{error}");
    fs::remove_file(folder.path("p/y.md")).unwrap();
    assert!(folder.load(&["a.yaml"]).is_ok());
    fs::remove_file(folder.path("p/x.md")).unwrap();
    assert!(folder.load(&["a.yaml"]).unwrap_err().contains("no file matches"));
}

#[test]
fn a_snapshot_holds_a_megabyte() {
    let targets = TARGETS.replace("prefix: ai }", "prefix: ai, serve: { snapshot: release } }");
    let entries = |count: usize| {
        let entry = |n: usize| format!("  k{n}: {{ targets: [azure], value: {} }}\n", "x".repeat(10_000));
        format!("{targets}entries:\n{}", (0..count).map(entry).collect::<String>())
    };
    let load = |count| Folder::new(&[("a.yaml", &entries(count))]).load(&["a.yaml"]);
    assert!(load(100).is_ok());
    let error = load(110).unwrap_err();
    assert!(error.contains("a snapshot holds 1048576") && error.lines().count() < 5, "{error}");
}

#[test]
fn paths_start_from_the_file_that_names_them() {
    let folder = Folder::new(&[
        (
            "base/base.yaml",
            &format!("{TARGETS}entries: {{ a: {{ value_from: {{ file: v }} }}, b: {{ value_from: {{ file: v }} }} }}"),
        ),
        ("base/v", "of base"),
        ("over/over.yaml", "entries: { b: { value_from: { file: v } } }"),
        ("over/v", "of over"),
    ]);
    let desired = folder.load(&["base/base.yaml", "over/over.yaml"]).unwrap();
    let values: Vec<_> =
        desired.targets.values().next().unwrap().entries.values().map(|entry| entry.value.expose()).collect();
    assert_eq!(values, ["of base", "of over"]);
}

#[test]
fn yaml_and_json_ask_for_the_same() {
    let json = r#"{ "version": 1, "name": "x", "targets": { "t": { "provider": "aws-ssm", "account": "111122223333",
        "region": "eu-west-1", "prefix": "/ai" } }, "entries": { "a": { "value": { "b": [1.5, null, "ü\n"] } } } }"#;
    let yaml = "version: 1\nname: x\ntargets:\n  t:\n    provider: aws-ssm\n    account: '111122223333'\n    \
                region: eu-west-1\n    prefix: /ai\nentries:\n  a:\n    value:\n      b:\n      - 1.5\n      - ~\n      - \"\\u00fc\\n\"\n";
    let folder = Folder::new(&[("a.json", json), ("b.yaml", yaml), ("c.yml", json)]);
    let digests = ["a.json", "b.yaml", "c.yml"].map(|name| folder.load(&[name]).unwrap().digest);
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
}

#[test]
fn ten_thousand_entries_load() {
    let entry = |n: usize| format!("  group-{}/entry-{n}: {{ value: {{ model: gpt-4o, n: {n} }} }}\n", n % 100);
    let entries: String = (0..10_000).map(entry).collect();
    let desired = load_entries(&format!("entries:\n{entries}")).unwrap();
    assert!(desired.targets.values().all(|target| target.entries.len() == 10_000));
    let error = load_entries(&format!("entries:\n{entries}  one-more: {{ value: x }}\n")).unwrap_err();
    assert!(error.contains("10001 standard parameters"), "{error}");
}

#[test]
fn no_file_is_an_error() {
    let invalid = load(&Request::new(Vec::<PathBuf>::new(), env)).unwrap_err();
    assert!(invalid.to_string().contains("no file was given"));
    let invalid = load(&Request::new(["no/such.yaml"], env)).unwrap_err();
    assert!(invalid.to_string().contains("no/such.yaml: cannot be read: there is no such file"), "{invalid}");
}

#[test]
fn the_schema_describes_every_field() {
    let schema = schema();
    let undescribed: Vec<_> =
        fields(&schema, "").into_iter().filter(|(_, field)| !has_description(&schema, field)).collect();
    assert!(undescribed.is_empty(), "{undescribed:#?}");
    let top = schema["properties"].as_object().unwrap();
    let mut names: Vec<_> = top.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["entries", "forget", "name", "policy", "targets", "version"]);
    assert!(schema["$defs"]["Layer"]["properties"].get("targets").is_none());
    assert!(schema["$defs"]["Entry"]["properties"].get("targets").is_some());
}

/// Returns every property below a schema with its path.
fn fields(schema: &serde_json::Value, path: &str) -> Vec<(String, serde_json::Value)> {
    match schema {
        serde_json::Value::Object(map) => map
            .iter()
            .flat_map(|(name, inner)| {
                let path = format!("{path}/{name}");
                let mut found = fields(inner, &path);
                // A choice of several is described as a whole.
                let is_choice = map.contains_key("description") && inner.as_object().is_some_and(|map| map.len() == 1);
                if let ("properties", Some(properties), false) = (name.as_str(), inner.as_object(), is_choice) {
                    found.extend(properties.iter().map(|(field, schema)| (format!("{path}/{field}"), schema.clone())));
                }
                found
            })
            .collect(),
        serde_json::Value::Array(items) => items.iter().flat_map(|item| fields(item, path)).collect(),
        _ => Vec::new(),
    }
}

fn has_description(schema: &serde_json::Value, field: &serde_json::Value) -> bool {
    let is_tag = field.get("const").is_some();
    let referred = field.get("$ref").and_then(|name| name.as_str()).and_then(|name| schema.pointer(&name[1..]));
    is_tag || field.get("description").is_some() || referred.is_some_and(|schema| schema.get("description").is_some())
}

fn sample() -> String {
    let read = |name: &str| fs::read_to_string(Path::new(CASES).join("good").join(name)).unwrap();
    let all = [read("alone/all-settings.yaml"), read("over-base/types.yaml"), read("over-base/per-target.yaml")];
    all.concat().replace("value: x", &format!("secret: true, value: \"{SENTINEL}\""))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Cuts and splices of a real file: near enough to get far into the checks.
    #[test]
    fn no_text_makes_loading_fall_over(cuts in prop::collection::vec((0.0..1.0_f64, 0.0..1.0_f64, "[ \\n{}\\[\\]:*&!|>'\"#,-]{0,3}"), 0..6), json in any::<bool>()) {
        let mut text: Vec<char> = sample().chars().collect();
        for (at, length, insert) in cuts {
            let at = (at * text.len() as f64) as usize;
            let end = (at + (length * 40.0) as usize).min(text.len());
            text.splice(at..end, insert.chars());
        }
        let name = if json { "a.json" } else { "a.yaml" };
        let folder = Folder::new(&[(name, &text.into_iter().collect::<String>())]);
        if let Err(message) = folder.load(&[name]) {
            prop_assert!(!message.contains(SENTINEL), "{message}");
        }
        let _ = load_identity(&Request::new([folder.path(name)], env));
    }

    /// What the file holds as JSON is what the stores get, whatever the spelling.
    #[test]
    fn json_arrives_equal(value in arbitrary_json()) {
        let text = serde_json::json!({ "entries": { "a": { "type": "json", "value": value } } }).to_string();
        let folder = Folder::new(&[("a.yaml", TARGETS), ("b.json", &text)]);
        let desired = folder.load(&["a.yaml", "b.json"]).unwrap();
        for target in desired.targets.values() {
            let stored = target.entries.values().next().unwrap().value.expose();
            prop_assert!(!target.name.as_str().starts_with("aws") || !stored.contains("{{"));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(stored).unwrap(), value.clone());
        }
    }
}

fn arbitrary_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        // Quarters: what a JSON reader makes of other fractions may differ in the last digit.
        any::<i32>().prop_map(|n| serde_json::Value::from(f64::from(n) / 4.0)),
        "[a-z{}\\\\\"ü\\n]{0,12}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::hash_map("[a-z{]{0,6}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}
