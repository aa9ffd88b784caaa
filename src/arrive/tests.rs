//! Whatever stores hold, the file that is made of it asks for just that.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use repin_provider::{Item, Key, Owner, Surveyed, TargetName, Version};

use super::{Entries, Found, Manner, Reasons, Text, blame, entries, fit, unlike};
use crate::desired::{self, Request};
use crate::model::desired::{Desired, Identity};
use crate::model::problem::Problem;

const HEAD: &str = "\
version: 1
name: test
targets:
  aws-eu: { provider: aws-ssm, account: \"111122223333\", region: eu-west-1, prefix: /ai/test, kms_key: alias/k }
  azure: { provider: azure-app-configuration, endpoint: \"https://a.azconfig.io\", prefix: test, label: prod }
";

/// What both targets hold under a key: a text on SSM, a text and its content type on App Configuration.
type Held = (Option<String>, Option<(String, Option<String>)>);

fn item(native: String, key: &str, value: &str, content_type: Option<&str>, native_type: Option<&str>) -> Surveyed {
    Surveyed {
        native,
        key: Key::parse(key),
        item: Item {
            version: Version::new("1", None),
            value: Some(value.to_owned()),
            secret: false,
            native_type: native_type.map(str::to_owned),
            content_type: content_type.map(str::to_owned),
            tags: None,
            description: None,
            owner: Some(None),
            locked: false,
        },
        served: true,
        tier: None,
        kms_key: None,
        special: Vec::new(),
    }
}

fn found(identity: &Identity, held: &BTreeMap<String, Held>) -> Vec<Found> {
    let of = |(target, config): (&TargetName, _)| {
        let items = held.iter().filter_map(|(key, (aws, azure))| match target.as_str() {
            "aws-eu" => Some(item(format!("/ai/test/{key}"), key, aws.as_deref()?, None, Some("String"))),
            _ => {
                let (value, content_type) = azure.as_ref()?;
                Some(item(format!("test/{key}"), key, value, content_type.as_deref(), None))
            }
        });
        Found { target: target.clone(), config, items: items.collect(), described: true, secrets: BTreeMap::new() }
    };
    identity.targets.iter().map(|(target, config)| of((target, config.clone()))).collect()
}

/// Writes what was made into a folder and loads it.
fn load(dir: &Path, text: &str, made: &Entries) -> Result<Desired, Vec<Problem>> {
    for beside in &made.beside {
        let path = dir.join(&beside.path);
        let Text::Plain(text) = &beside.text else { panic!("no secret was there") };
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    let file = dir.join("repin.yaml");
    std::fs::write(&file, text).expect("written");
    desired::load(&Request::new([file], |_| None)).map_err(|invalid| invalid.problems)
}

fn check(held: &BTreeMap<String, Held>) -> (String, Entries) {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("head.yaml");
    std::fs::write(&file, HEAD).expect("written");
    let identity = desired::load_identity(&Request::new([file], |_| None)).expect("valid");
    let targets: BTreeSet<_> = identity.targets.keys().cloned().collect();
    let head = fit(HEAD, identity.policy.adopt, "").expect("fit");
    let name = Owner::parse("test").expect("valid");
    let manner =
        Manner { name: &name, targets: &targets, adopt_each: head.adopt_each, values: "values", secrets: None };
    let found = found(&identity, held);
    let made = entries(&found, &manner, &Reasons::new());
    let text = head.with(&made.text);
    match load(dir.path(), &text, &made) {
        Ok(desired) => {
            let unlike = unlike(&found, &desired, &Reasons::new());
            assert!(unlike.is_empty(), "{unlike:?}\n{text}");
            let entries: usize = desired.targets.values().map(|target| target.entries.len()).sum();
            let items: usize = found.iter().map(|one| one.items.len()).sum();
            assert_eq!(entries, items, "{text}");
        }
        Err(problems) => {
            let (about, others) = blame(&found, problems);
            panic!("{about:?}\n{others:?}\n{text}");
        }
    }
    (text, made)
}

fn value() -> impl Strategy<Value = String> {
    let json = prop_oneof![
        Just(r#"{"model":"m","stop":["é",": ","- x","a\nb"],"n":1.50}"#.to_owned()),
        Just(r#"{ "spaced": [1, 2], "deep": {"a": {"b": []}} }"#.to_owned()),
        Just(r#""one string\nof two lines""#.to_owned()),
        Just(r#"{"uri":"https://v.vault.azure.net/secrets/s"}"#.to_owned()),
        Just(r#"{"a":1,"a":2}"#.to_owned()),
        Just("[]".to_owned()),
        Just("null".to_owned()),
        Just("1e400".to_owned()),
        any::<i32>().prop_map(|number| number.to_string()),
    ];
    let text = prop_oneof![".{1,60}", "(?s).{1,60}", "[ \\n\\t:#'\"{a-]{1,20}", "x{190,220}"];
    prop_oneof![json, text.prop_filter("SSM refuses references", |text| !text.contains("{{"))]
}

fn content_type() -> impl Strategy<Value = Option<String>> {
    let known = [
        "application/json",
        "application/json; charset=utf-8",
        r#"application/json; profile="https://azconfig.io/mime-profiles/ai/chat-completion""#,
        r#"application/json; profile="https://azconfig.io/mime-profiles/ai""#,
        "application/vnd.microsoft.appconfig.keyvaultref+json;charset=utf-8",
        "text/plain",
        "odd: # type",
    ];
    prop_oneof![Just(None), prop::sample::select(known.to_vec()).prop_map(|known| Some(known.to_owned()))]
}

fn any_held() -> impl Strategy<Value = BTreeMap<String, Held>> {
    let key = prop::collection::vec("[a-zA-Z][a-z0-9._-]{0,6}", 1..4).prop_map(|parts| parts.join("/"));
    let both = (value(), content_type()).prop_map(|(value, kind)| (Some(value.clone()), Some((value, kind))));
    let each = (value(), value(), content_type()).prop_map(|(aws, azure, kind)| (Some(aws), Some((azure, kind))));
    let one = prop_oneof![
        value().prop_map(|aws| (Some(aws), None)),
        (value(), content_type()).prop_map(|azure| (None, Some(azure))),
    ];
    prop::collection::btree_map(key, prop_oneof![both, each, one], 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_file_asks_for_what_was_found(held in any_held()) {
        check(&held);
    }
}

#[test]
fn what_a_target_alone_says_stands_below_it() {
    let held: BTreeMap<String, Held> = [
        ("plain".to_owned(), (Some("a".to_owned()), Some(("a".to_owned(), Some("text/plain".to_owned()))))),
        ("none".to_owned(), (Some(r#"{"a":1}"#.to_owned()), Some((r#"{"a":1}"#.to_owned(), None)))),
    ]
    .into();
    let (text, made) = check(&held);
    assert!(made.differences.is_empty(), "SSM has no content types to differ by: {:?}", made.differences);
    assert!(text.contains("  none:\n    value:\n      a: 1\n    content_type: \"\"\n"), "{text}");
    assert!(text.contains("  plain:\n    value: a\n    content_type: text/plain\n"), "{text}");
}
