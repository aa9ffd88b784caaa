//! A value that differs by cloud.

use serde_json::json;

use crate::folder::Example;

fn example() -> Example {
    let example = Example::new("by-cloud", &["repin.yaml"]);
    example.release_first(&[("aws-eu", 3), ("azure", 4)]);
    example
}

#[test]
fn each_cloud_gets_its_own_value_under_one_key() {
    let example = example();
    let text = |target, key| example.served(target, key)["value"].clone();
    assert_eq!(text("aws-eu", "chat/endpoint"), "https://bedrock-runtime.eu-west-1.amazonaws.com");
    assert_eq!(text("azure", "chat/endpoint"), "https://contoso-ai.openai.azure.com");
    assert_eq!((text("aws-eu", "chat/timeout-ms"), text("azure", "chat/timeout-ms")), (json!("20000"), json!("30000")));
    let model = |name: &str| json!({ "model": name, "temperature": 0.2, "max_tokens": 800 });
    assert_eq!(example.served_json("aws-eu", "chat/model"), model("anthropic.claude-sonnet-4-20250514-v1:0"));
    assert_eq!(example.served_json("azure", "chat/model"), model("gpt-4o"));
    let threshold = example.json(0, &["get", "content-safety/threshold"]);
    let values: Vec<_> = threshold["targets"].as_array().expect("targets").iter().map(|t| &t["value"]).collect();
    assert_eq!(values, [&json!(null), &json!("4")]);
}

#[test]
fn an_edit_of_one_face_is_a_write_on_that_cloud_alone() {
    let example = example();
    example.edit("repin.yaml", "contoso-ai.openai.azure.com", "contoso-ai-2.openai.azure.com");
    example.release(&[("azure", "chat/endpoint", "update")]);
    assert_eq!(example.served("azure", "chat/endpoint")["value"], "https://contoso-ai-2.openai.azure.com");
    assert_eq!(example.served("aws-eu", "chat/endpoint")["value"], "https://bedrock-runtime.eu-west-1.amazonaws.com");
}

#[test]
fn an_edit_of_what_is_shared_is_a_write_on_both() {
    let example = example();
    example.edit("repin.yaml", "temperature: 0.2", "temperature: 0.4");
    example.release(&[("aws-eu", "chat/model", "update"), ("azure", "chat/model", "update")]);
    for target in ["aws-eu", "azure"] {
        assert_eq!(example.served_json(target, "chat/model")["temperature"], 0.4);
    }
}

#[test]
fn an_entry_that_leaves_a_cloud_is_pruned_there_alone() {
    let example = example();
    example.edit(
        "repin.yaml",
        "    value: 20000\n    per_target:\n      azure: { value: 30000 }\n",
        "    targets: [\"aws-*\"]\n    value: 20000\n",
    );
    example.release(&[("azure", "chat/timeout-ms", "delete")]);
    assert_eq!(example.served("aws-eu", "chat/timeout-ms")["version"], "1");
}
