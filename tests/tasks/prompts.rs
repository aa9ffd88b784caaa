//! Two hundred prompts by a pattern.

use std::fs;

use serde_json::json;

use crate::folder::Example;
use crate::support::all_files;

const BOTH: [&str; 2] = ["aws", "azure"];

fn example() -> Example {
    Example::new("two-hundred-prompts", &["repin.yaml"])
}

fn released() -> Example {
    let example = example();
    example.release_first(&[("aws", 200), ("azure", 200)]);
    example
}

#[test]
fn each_file_is_an_entry_that_holds_its_text() {
    let example = released();
    let root = example.path("prompts");
    let files = all_files(&root);
    assert_eq!(files.len(), 200);
    // A sample over the areas and tasks: each look-up is a run of the program.
    for (path, text) in files.iter().step_by(23) {
        let key = path.strip_prefix(&root).expect("inside").with_extension("");
        for target in BOTH {
            let served = example.served_json(target, &format!("prompts/{}", key.display()));
            assert_eq!(served.as_str().expect("a JSON string").as_bytes(), text, "{target}, {}", key.display());
        }
    }
}

#[test]
fn edited_added_and_removed_files_are_one_write_each_on_each_target() {
    let example = released();
    fs::write(example.path("prompts/billing/answer.md"), "Answer {{question}} in one sentence.\n").expect("written");
    let released =
        example.release(&[("aws", "prompts/billing/answer", "update"), ("azure", "prompts/billing/answer", "update")]);
    // The entry, the claim and the record.
    assert_eq!(
        (&released["requests"]["aws"]["PutParameter"], &released["requests"]["azure"]["PUT /kv/{key}"]),
        (&json!(3), &json!(3)),
        "{released}"
    );
    for target in BOTH {
        assert_eq!(example.served_json(target, "prompts/billing/answer"), "Answer {{question}} in one sentence.\n");
    }

    fs::create_dir_all(example.path("prompts/billing/dunning")).expect("made");
    fs::write(example.path("prompts/billing/dunning/first.md"), "Remind {{customer}} of {{invoice}}.")
        .expect("written");
    example.release(&[
        ("aws", "prompts/billing/dunning/first", "create"),
        ("azure", "prompts/billing/dunning/first", "create"),
    ]);

    fs::remove_file(example.path("prompts/stores/title.md")).expect("removed");
    example.release(&[("aws", "prompts/stores/title", "delete"), ("azure", "prompts/stores/title", "delete")]);
    example.json(1, &["get", "prompts/stores/title"]);
}

#[test]
fn an_empty_folder_is_refused_and_prunes_nothing() {
    let example = released();
    fs::remove_dir_all(example.path("prompts")).expect("removed");
    let said = example.run(&["reconcile"]).expect(78).stderr;
    assert!(said.contains("there is no folder"), "{said}");
    fs::create_dir(example.path("prompts")).expect("made");
    let said = example.run(&["reconcile"]).expect(78).stderr;
    assert!(said.contains("no file matches `prompts/**/*.md`"), "{said}");
    assert!(said.contains("an unmounted folder looks like this"), "{said}");
    for target in BOTH {
        assert!(example.served_json(target, "prompts/orders/answer").is_string());
    }
}

#[test]
fn a_missing_area_is_more_deletes_than_the_policy_allows() {
    let example = released();
    fs::remove_dir_all(example.path("prompts/outages")).expect("removed");
    example.run(&["reconcile"]).expect(1);
    for target in BOTH {
        assert!(example.served_json(target, "prompts/outages/answer").is_string());
    }
}
