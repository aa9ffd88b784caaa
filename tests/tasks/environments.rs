//! One model configuration on both clouds, with an overlay per environment.

use serde_json::{Value, json};

use crate::folder::Example;

const BOTH: [&str; 2] = ["aws", "azure"];

fn environment(overlay: &str) -> Example {
    Example::new("model-per-environment", &["base.yaml", overlay])
}

fn model(name: &str, temperature: f64, max_tokens: u32) -> Value {
    let system = json!({ "role": "system", "content": "You answer questions about orders. Today is {{today}}." });
    json!({ "model": name, "temperature": temperature, "top_p": 1.0, "max_tokens": max_tokens, "messages": [system] })
}

fn limits(requests: u32, tokens: u32) -> Value {
    json!({ "requests_per_minute": requests, "tokens_per_day": tokens, "timeout_ms": 30000 })
}

#[test]
fn each_environment_gets_the_base_with_its_own_fields_over_it() {
    for (overlay, entries, wanted_model, wanted_limits) in [
        ("dev.yaml", 3, model("gpt-4o-mini", 0.7, 800), limits(60, 1_000_000)),
        ("staging.yaml", 2, model("gpt-4o", 0.1, 800), limits(60, 1_000_000)),
        ("prod.yaml", 2, model("gpt-4o", 0.1, 1200), limits(3000, 90_000_000)),
    ] {
        let example = environment(overlay);
        example.release_first(&[("aws", entries), ("azure", entries)]);
        for target in BOTH {
            assert_eq!(example.served_json(target, "chat/model"), wanted_model, "{overlay}, {target}");
            assert_eq!(example.served_json(target, "chat/limits"), wanted_limits, "{overlay}, {target}");
        }
        let content_type = example.served("azure", "chat/model")["content_type"].clone();
        assert_eq!(content_type, r#"application/json; profile="https://azconfig.io/mime-profiles/ai/chat-completion""#);
    }
}

#[test]
fn environments_in_one_account_and_store_keep_apart() {
    let dev = environment("dev.yaml");
    dev.release_first(&[("aws", 3), ("azure", 3)]);
    assert_eq!(dev.served_json("aws", "debug/trace"), true);
    // The clouds are the same; the names, the prefix and the label are staging's.
    let staging = dev.with(&["base.yaml", "staging.yaml"]);
    staging.release_first(&[("aws", 2), ("azure", 2)]);
    assert_eq!(staging.served("aws", "chat/model")["native"], "/ai/assistant/staging/chat/model");
    staging.json(1, &["get", "debug/trace"]);
    let dev = staging.with(&["base.yaml", "dev.yaml"]);
    dev.expect_settled();
    assert_eq!(dev.served_json("azure", "chat/model"), model("gpt-4o-mini", 0.7, 800));
}

#[test]
fn an_edit_of_the_base_reaches_only_environments_that_do_not_override_it() {
    let dev = environment("dev.yaml");
    dev.release_first(&[("aws", 3), ("azure", 3)]);
    // Dev says which model itself: nothing changes there.
    dev.edit("base.yaml", "model: gpt-4o", "model: gpt-4.1");
    dev.expect_settled();
    dev.edit("base.yaml", "timeout_ms: 30000", "timeout_ms: 20000");
    dev.release(&[("aws", "chat/limits", "update"), ("azure", "chat/limits", "update")]);
    for target in BOTH {
        assert_eq!(dev.served_json(target, "chat/limits")["timeout_ms"], 20000);
    }

    let prod = environment("prod.yaml");
    prod.release_first(&[("aws", 2), ("azure", 2)]);
    prod.edit("base.yaml", "model: gpt-4o", "model: gpt-4.1");
    prod.release(&[("aws", "chat/model", "update"), ("azure", "chat/model", "update")]);
    assert_eq!(prod.served_json("aws", "chat/model"), model("gpt-4.1", 0.1, 1200));
}

#[test]
fn the_base_alone_is_no_configuration() {
    let base = Example::new("model-per-environment", &["base.yaml"]);
    let said = base.run(&["validate"]).expect(78).stderr;
    assert!(said.contains("missing field `name`") && said.contains("missing field `account`"), "{said}");
}

#[test]
fn a_slip_in_the_model_is_told_and_stored_as_it_stands() {
    let example = environment("staging.yaml");
    assert_eq!(example.json(0, &["validate"])["warnings"], json!([]));
    example.edit("base.yaml", "top_p: 1.0", "top_q: 1.0");
    let ran = example.run(&["validate"]).expect(0);
    assert!(ran.stderr.contains("warning: ") && ran.stderr.contains("does not know `top_q`"), "{ran:?}");
    let warnings = example.json(0, &["validate"])["warnings"].clone();
    assert_eq!((&warnings[0]["key"], warnings.as_array().map(Vec::len)), (&json!("chat/model"), Some(1)));
    example.release_first(&[("aws", 2), ("azure", 2)]);
    assert_eq!(example.served_json("azure", "chat/model")["top_q"], 1.0);
}

#[test]
fn files_may_be_named_by_the_environment_in_order() {
    let prod = environment("prod.yaml");
    let digest = prod.json(0, &["validate"])["digest"].clone();
    let named = |files: &[&str]| {
        let list = std::env::join_paths(files.iter().map(|file| prod.path(file))).expect("no colons");
        let output = prod.command(&["validate", "-o", "json"]).env("REPIN_FILE", list).output().expect("runs");
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")["digest"].clone()
    };
    assert_eq!(named(&["base.yaml", "prod.yaml"]), digest);
    assert_ne!(named(&["base.yaml", "staging.yaml"]), digest);
    assert_ne!(named(&["prod.yaml", "base.yaml"]), digest, "the later file wins");
}
