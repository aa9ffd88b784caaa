//! Feature flags where each cloud's readers look for them.

use serde_json::json;

use crate::folder::Example;

fn example() -> Example {
    Example::new("feature-flags", &["repin.yaml"])
}

#[test]
fn flags_are_under_the_key_that_readers_list() {
    let example = example();
    example.release_first(&[("aws", 2), ("flags", 2)]);
    let flag = example.served("flags", "agent-tools");
    assert_eq!(flag["native"], ".appconfig.featureflag/agent-tools");
    assert_eq!(flag["content_type"], "application/vnd.microsoft.appconfig.ff+json;charset=utf-8");
    let filter = json!({ "name": "Microsoft.Percentage", "parameters": { "Value": 20 } });
    let wanted = json!({ "id": "agent-tools", "enabled": true, "conditions": { "client_filters": [filter] } });
    assert_eq!(example.served_json("flags", "agent-tools"), wanted);
    assert_eq!(example.served_json("aws", "flags/agent-tools"), wanted);
}

#[test]
fn one_edit_reaches_both_clouds() {
    let example = example();
    example.release_first(&[("aws", 2), ("flags", 2)]);
    example.edit("repin.yaml", "Value: 20", "Value: 50");
    example.release(&[("aws", "flags/agent-tools", "update"), ("flags", "agent-tools", "update")]);
}

#[test]
fn a_flag_that_no_reader_would_find_is_refused() {
    let example = example();
    example.edit("repin.yaml", "prefix: .appconfig.featureflag", "prefix: assistant");
    let said = example.run(&["validate"]).expect(78).stderr;
    assert!(said.contains("this would be `assistant/agent-tools`"), "{said}");
    assert!(said.contains("`prefix: .appconfig.featureflag`"), "{said}");
}

#[test]
fn a_flag_whose_id_is_not_its_key_is_refused() {
    let example = example();
    example.edit("repin.yaml", "id: answer-cache", "id: answers");
    let said = example.run(&["validate"]).expect(78).stderr;
    assert!(said.contains("names the feature flag `answer-cache`"), "{said}");
}
