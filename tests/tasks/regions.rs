//! Two AWS regions with the same content.

use serde_json::{Value, json};

use crate::folder::Example;
use crate::support::steps;

const REGIONS: [&str; 2] = ["aws-eu", "aws-us"];
const KEYS: [&str; 5] = ["chat/api-key", "chat/fallback-model", "chat/model", "prompts/system", "retrieval/settings"];

fn example() -> Example {
    Example::new("two-regions", &["repin.yaml"])
}

#[track_caller]
fn assert_same_content(example: &Example) {
    for key in KEYS {
        let [one, other] = REGIONS.map(|region| example.served(region, key));
        assert_ne!(one["value"], Value::Null, "{key}");
        for field in ["value", "native", "secret", "content_type"] {
            assert_eq!(one[field], other[field], "{key}, {field}");
        }
    }
}

#[test]
fn both_regions_hold_the_same_under_the_same_names() {
    let example = example();
    example.release_first(&[("aws-eu", 5), ("aws-us", 5)]);
    assert_same_content(&example);
    let prompt = example.served("aws-us", "prompts/system");
    assert_eq!(
        serde_json::from_str::<String>(prompt["value"].as_str().expect("text")).expect("a JSON string"),
        "You are the assistant of {{company}}.\nAnswer in {{language}}, in at most three sentences.\n"
    );
}

#[test]
fn an_edit_is_one_write_in_each_region() {
    let example = example();
    example.release_first(&[("aws-eu", 5), ("aws-us", 5)]);
    example.edit("repin.yaml", "gpt-4o-mini", "gpt-4.1-mini");
    let released =
        example.release(&[("aws-eu", "chat/fallback-model", "update"), ("aws-us", "chat/fallback-model", "update")]);
    for region in REGIONS {
        // The entry, the claim and the record.
        assert_eq!(released["requests"][region]["PutParameter"], 3, "{released}");
    }
    assert_same_content(&example);
}

#[test]
fn one_region_can_go_first() {
    let example = example();
    let first = example.json(0, &["reconcile", "--target", "aws-us"]);
    assert_eq!((steps(&first, "aws-eu").len(), steps(&first, "aws-us").len()), (0, 5));
    let second = example.json(0, &["reconcile"]);
    assert_eq!((steps(&second, "aws-eu").len(), steps(&second, "aws-us").len()), (5, 0));
    assert_eq!(second["release"], json!(2));
    assert_same_content(&example);
    example.expect_settled();
}
