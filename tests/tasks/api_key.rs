//! An API key: a secret on AWS, a Key Vault reference on Azure.

use std::fs;

use serde_json::json;

use crate::folder::Example;
use crate::support::all_files;

const KEY: &str = "example-key-not-a-real-one-7d41";

fn example() -> Example {
    let example = Example::new("api-key-and-key-vault", &["repin.yaml"]);
    example.release_first(&[("aws", 2), ("azure", 2)]);
    example
}

#[test]
fn the_key_is_a_secure_string_here_and_a_reference_there() {
    let example = example();
    let aws = example.served("aws", "chat/api-key");
    assert_eq!((&aws["secret"], &aws["value"]), (&json!(true), &json!(KEY)), "without the file's newline");
    let azure = example.served("azure", "chat/api-key");
    assert_eq!(azure["content_type"], "application/vnd.microsoft.appconfig.keyvaultref+json;charset=utf-8");
    assert_eq!(azure["value"], r#"{"uri":"https://contoso-ai.vault.azure.net/secrets/chat-api-key"}"#);
    for target in ["aws", "azure"] {
        let owner = example.served(target, "chat/api-key-owner");
        assert_eq!((&owner["secret"], &owner["value"]), (&json!(false), &json!("ml-platform@contoso.example")));
    }
}

#[test]
fn the_key_is_in_no_output_and_no_file_of_the_clouds() {
    let example = example();
    for args in [&["plan"][..], &["reconcile", "-vvv"], &["get", "chat/api-key"], &["history", "chat/api-key"]] {
        let ran = example.run(args).expect(0);
        assert!(!ran.stdout.contains(KEY) && !ran.stderr.contains(KEY), "{args:?}");
    }
    let clouds = example.path("../clouds");
    let kept = all_files(&clouds);
    assert!(!kept.is_empty());
    for (path, bytes) in kept {
        let found = bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes());
        assert!(!found, "{}", path.display());
    }
}

#[test]
fn a_rotated_key_is_one_write_on_aws_alone() {
    let example = example();
    fs::write(example.path("secrets/chat-api-key.txt"), "example-key-of-the-next-quarter\n").expect("written");
    example.release(&[("aws", "chat/api-key", "update")]);
    let aws = example.served("aws", "chat/api-key");
    assert_eq!((&aws["version"], &aws["value"]), (&json!("2"), &json!("example-key-of-the-next-quarter")));
}

#[test]
fn a_key_that_is_not_mounted_stops_everything() {
    let example = example();
    fs::remove_file(example.path("secrets/chat-api-key.txt")).expect("removed");
    let said = example.run(&["reconcile"]).expect(78).stderr;
    assert!(said.contains("secrets/chat-api-key.txt") && said.contains("there is no such file"), "{said}");
    assert_eq!(example.served("aws", "chat/api-key")["value"], KEY);
}

#[test]
fn the_same_secret_for_azure_is_refused_with_the_ways_out() {
    let example = Example::new("api-key-and-key-vault", &["repin.yaml"]);
    // As if the author had meant the secret for both clouds.
    example.edit("repin.yaml", "\"aws*\":", "\"*\":");
    example.edit("repin.yaml", "      azure:\n        type: key-vault-reference\n", "");
    example.edit("repin.yaml", "        value: https://contoso-ai.vault.azure.net/secrets/chat-api-key\n", "");
    let said = example.run(&["validate"]).expect(78).stderr;
    assert!(said.contains("App Configuration keeps no secrets") && said.contains("key-vault-reference"), "{said}");
}
