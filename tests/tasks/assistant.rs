//! What a team would keep for one assistant: the folder that the README begins with.

use crate::folder::Example;

#[test]
fn staging_and_production_come_from_one_file() {
    let staging = Example::new("assistant", &["repin.yaml"]);
    staging.release_first(&[("aws-eu", 15), ("azure", 15)]);
    let key = staging.served("aws-eu", "chat/api-key");
    assert!(key["value"].as_str().is_some_and(|value| value.ends_with("not-a-real-key")), "without the newline: {key}");
    let production = staging.with(&["repin.yaml", "production.yaml"]);
    production.release_first(&[("aws-eu", 14), ("azure", 14)]);
    assert_eq!(production.served("azure", "limits/requests-per-minute")["value"], "3000");
    production.with(&["repin.yaml"]).expect_settled();
}
